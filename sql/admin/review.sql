-- What waits for a decision and why, and what confirming and accepting do.

CREATE VIEW @extschema@.model_access_review AS
WITH setting AS (
    SELECT
        (SELECT nullif(value, 'off')::numeric FROM @extschema@.model_access_settings WHERE name = 'price_alert') AS price_alert,
        (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'expiry_notice') AS expiry_notice
), listed AS (
    SELECT m.*, s.expiry_notice,
        m.prompt_usd_per_million > s.price_alert * m.reviewed_prompt_usd_per_million
            OR m.completion_usd_per_million > s.price_alert * m.reviewed_completion_usd_per_million
            -- known when reviewed, and not now: it could be anything
            OR (s.price_alert IS NOT NULL AND m.prompt_usd_per_million IS NULL AND m.reviewed_prompt_usd_per_million IS NOT NULL)
            OR (s.price_alert IS NOT NULL AND m.completion_usd_per_million IS NULL AND m.reviewed_completion_usd_per_million IS NOT NULL)
            AS dearer
    FROM @extschema@.model_access AS m CROSS JOIN setting AS s
    WHERE m.missing_since IS NULL AND m.status IN ('new', 'active')
), reasoned AS (
    SELECT l.*, CASE
        WHEN l.free_revoked_at IS NOT NULL THEN 'free_revoked'
        WHEN l.status = 'new' AND l.returned_at IS NOT NULL THEN 'returned'
        WHEN l.dearer THEN 'price_up'
        WHEN l.status = 'new' THEN 'new'
        WHEN l.expires_on <= current_date + l.expiry_notice THEN 'expiring'
        WHEN NOT (l.is_free OR l.is_pro OR l.is_enterprise) THEN 'active_without_tier'
    END AS reason
    FROM listed AS l
)
SELECT
    r.reason,
    (CASE r.reason
        WHEN 'free_revoked' THEN r.free_revoked_at
        WHEN 'returned' THEN r.returned_at
        WHEN 'price_up' THEN coalesce((
            SELECT min(h.at) FROM @extschema@.model_access_history AS h
            WHERE h.model_id = r.model_id AND h.at > r.reviewed_at AND h.new ? 'pricing'), r.changed_at)
        WHEN 'expiring' THEN r.expires_on - r.expiry_notice
        WHEN 'active_without_tier' THEN r.reviewed_at
        ELSE coalesce((
            SELECT max(h.at) FROM @extschema@.model_access_history AS h
            WHERE h.model_id = r.model_id AND h.new ->> 'status' = 'new'), r.first_seen_at)
    END)::date AS since,
    r.model_id,
    coalesce(trim_scale(round(r.prompt_usd_per_million, 6))::text, '?') || ' / '
        || coalesce(trim_scale(round(r.completion_usd_per_million, 6))::text, '?') AS usd,
    CASE WHEN r.reviewed_at IS NOT NULL THEN
        coalesce(trim_scale(round(r.reviewed_prompt_usd_per_million, 6))::text, '?') || ' / '
            || coalesce(trim_scale(round(r.reviewed_completion_usd_per_million, 6))::text, '?')
    END AS was,
    round(greatest(
        CASE WHEN r.reviewed_prompt_usd_per_million > 0 THEN r.prompt_usd_per_million / r.reviewed_prompt_usd_per_million
             WHEN r.reviewed_prompt_usd_per_million = 0 AND r.prompt_usd_per_million > 0 THEN 'Infinity' END,
        CASE WHEN r.reviewed_completion_usd_per_million > 0 THEN r.completion_usd_per_million / r.reviewed_completion_usd_per_million
             WHEN r.reviewed_completion_usd_per_million = 0 AND r.completion_usd_per_million > 0 THEN 'Infinity' END), 2) AS factor,
    r.context_length AS context,
    (SELECT string_agg(left(x, 1), '' ORDER BY n) FROM unnest(r.input_modalities) WITH ORDINALITY AS i(x, n)) || '>'
        || (SELECT string_agg(left(x, 1), '' ORDER BY n) FROM unnest(r.output_modalities) WITH ORDINALITY AS o(x, n)) AS io,
    r.provider,
    p.tiers AS proposed,
    CASE
        WHEN r.upstream #>> '{alias_target,slug}' IS NOT NULL THEN '> ' || (r.upstream #>> '{alias_target,slug}')
        WHEN r.model_id LIKE '~%' THEN 'alias'
        WHEN r.upstream #>> '{architecture,tokenizer}' = 'Router' THEN 'router'
    END AS reaches
FROM reasoned AS r
-- rules are for what is undecided: they must not rewrite a decision that only wants confirming
LEFT JOIN @extschema@._model_access_proposal AS p ON p.model_id = r.model_id AND r.status = 'new'
WHERE r.reason IS NOT NULL
ORDER BY array_position('{free_revoked,price_up,returned,expiring,active_without_tier,new}', r.reason), since, r.model_id;
COMMENT ON VIEW @extschema@.model_access_review IS 'What waits for a decision and why, one row a model, most urgent first.';
COMMENT ON COLUMN @extschema@.model_access_review.reason IS 'free_revoked, price_up (above price_alert times the reviewed price), returned, expiring (within expiry_notice), active_without_tier or new; the most urgent one.';
COMMENT ON COLUMN @extschema@.model_access_review.since IS 'Since when it waits.';
COMMENT ON COLUMN @extschema@.model_access_review.model_id IS 'Which model: what UPDATE, model_access_confirm and model_access_accept name.';
COMMENT ON COLUMN @extschema@.model_access_review.usd IS 'Prompt / completion price, USD per million tokens, to six places; ? = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access_review.was IS 'The same at the last decision; NULL where there was none.';
COMMENT ON COLUMN @extschema@.model_access_review.factor IS 'The larger of the two changes, as a factor.';
COMMENT ON COLUMN @extschema@.model_access_review.context IS 'Context window in tokens.';
COMMENT ON COLUMN @extschema@.model_access_review.io IS 'What it reads > writes, by initials: text, image, file, audio, video.';
COMMENT ON COLUMN @extschema@.model_access_review.provider IS 'Who made it.';
COMMENT ON COLUMN @extschema@.model_access_review.reaches IS 'router: reaches other models; > id: an alias, and its successor, the model it stands for now.';
COMMENT ON COLUMN @extschema@.model_access_review.proposed IS 'The tiers that the first matching rule proposes for a new or returned model; model_access_accept applies them.';

CREATE FUNCTION @extschema@._model_access_check_ids(ids text[], known text[], what text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown text := (SELECT string_agg(quote_literal(id), ', ' ORDER BY id) FROM unnest(ids) AS id
                     WHERE id IS NULL OR id <> ALL (known));
BEGIN
    IF unknown IS NOT NULL OR array_position(ids, NULL) IS NOT NULL THEN
        RAISE EXCEPTION '% %', what, coalesce(unknown, 'NULL')
            USING ERRCODE = 'no_data_found', DETAIL = 'Nothing was changed.', HINT = hint;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_ids(text[], text[], text, text) IS 'Internal. Error P0002 that names the ids which are not among the known ones.';

CREATE FUNCTION @extschema@._model_access_confirm(model_ids text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    confirmed bigint;
BEGIN
    PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
        'there is no model'::text, 'Ids are exact; look in model_access.'::text);
    -- not naming status, which would end the wait of a missing model for its return
    UPDATE @extschema@.model_access AS m
    SET reviewed_at = clock_timestamp(), reviewed_by = @extschema@._model_access_actor(), reviewed_rule = NULL,
        reviewed_pricing = m.pricing, reviewed_prompt_usd_per_million = m.prompt_usd_per_million,
        reviewed_completion_usd_per_million = m.completion_usd_per_million,
        reviewed_is_free_of_charge = m.is_free_of_charge, reviewed_highest_prices = m.highest_prices,
        reviewed_alias_of = m.alias_of, price_guarded_at = NULL,
        returned_at = NULL, free_revoked_at = NULL, tiers_before = NULL
    WHERE m.model_id = ANY (model_ids);
    GET DIAGNOSTICS confirmed = ROW_COUNT;
    RETURN confirmed;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_confirm(text[]) IS 'Internal. What model_access_confirm does.';

CREATE FUNCTION @extschema@._model_access_accept(model_ids text[])
RETURNS TABLE (model_id text, tiers text, rule text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- what is checked is what is written: no ban and no other rule falls in between
    PERFORM @extschema@._model_access_lock();
    LOCK TABLE @extschema@.model_access_rule IN SHARE MODE;
    PERFORM @extschema@._model_access_check_ids(model_ids,
        ARRAY(SELECT r.model_id FROM @extschema@.model_access_review AS r WHERE r.proposed IS NOT NULL),
        'no rule proposes anything for'::text, 'model_access_review shows what waits and what is proposed.'::text);
    RETURN QUERY
        UPDATE @extschema@.model_access AS m
        SET status = 'active', is_free = p.is_free, is_pro = p.is_pro, is_enterprise = p.is_enterprise,
            reviewed_at = clock_timestamp(), reviewed_by = @extschema@._model_access_actor(), reviewed_rule = p.rule,
            reviewed_pricing = m.pricing, reviewed_prompt_usd_per_million = m.prompt_usd_per_million,
            reviewed_completion_usd_per_million = m.completion_usd_per_million,
            reviewed_is_free_of_charge = m.is_free_of_charge, reviewed_highest_prices = m.highest_prices,
            reviewed_alias_of = m.alias_of, price_guarded_at = NULL,
            status_before_missing = NULL, returned_at = NULL, free_revoked_at = NULL, tiers_before = NULL
        FROM @extschema@._model_access_proposal AS p
        WHERE p.model_id = m.model_id AND m.model_id = ANY (model_ids)
        RETURNING m.model_id, p.tiers, p.rule;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_accept(text[]) IS 'Internal. What model_access_accept does.';
