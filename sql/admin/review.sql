-- What waits for a decision and why, and what confirming and accepting do.

CREATE VIEW @extschema@._model_access_waiting AS
SELECT * FROM (
    SELECT m.*, s.expiry_notice, p.proposed, p.changed_at AS rule_changed_at, CASE
        WHEN m.status = 'inactive' THEN 'left'
        WHEN m.free_revoked_at IS NOT NULL THEN 'free_revoked'
        WHEN m.status = 'active' AND m.reviewed_at IS NOT NULL AND m.alias_of IS DISTINCT FROM m.reviewed_alias_of THEN 'alias_moved'
        WHEN m.status = 'active' AND p.proposed IS NOT NULL THEN 'ban_proposed'
        WHEN m.status = 'new' AND m.returned_at IS NOT NULL THEN 'returned'
        WHEN m.price_guarded_at IS NOT NULL THEN 'price_up'
        WHEN m.reviewed_at IS NOT NULL AND s.price_alert IS NOT NULL AND m.highest_prices IS DISTINCT FROM m.reviewed_highest_prices
            AND @extschema@._model_access_is_above(m.highest_prices, m.reviewed_highest_prices, s.price_alert) THEN 'price_up'
        WHEN m.status = 'new' THEN 'new'
        WHEN m.expires_on <= current_date + s.expiry_notice THEN 'expiring'
        WHEN @extschema@._model_access_rank(m) IS NULL THEN 'active_without_tier'
        END AS reason
    FROM @extschema@.model_access AS m
    CROSS JOIN (SELECT
        (SELECT nullif(value, 'off')::numeric FROM @extschema@.model_access_settings WHERE name = 'price_alert') AS price_alert,
        (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'expiry_notice') AS expiry_notice) AS s
    -- rules are for what is undecided, and for bans: they must not rewrite a decision that only wants confirming
    LEFT JOIN @extschema@._model_access_proposal AS p ON p.model_id = m.model_id
        -- not once it was confirmed in spite of that very rule
        AND (m.status = 'new' OR m.reviewed_rule IS DISTINCT FROM 'not ' || p.rule OR m.alias_of IS DISTINCT FROM m.reviewed_alias_of)
    WHERE m.missing_since IS NULL AND m.status IN ('new', 'active')
       -- approved, gone, and nobody has seen it since
       OR m.status = 'inactive' AND m.status_before_missing = 'active' AND coalesce(m.reviewed_at <= m.missing_since, true)) AS w
WHERE w.reason IS NOT NULL;
COMMENT ON VIEW @extschema@._model_access_waiting IS 'Internal. The rows of model_access that wait for a decision, each with its most urgent reason and what a rule proposes.';

CREATE VIEW @extschema@.model_access_review AS
SELECT
    r.reason,
    (CASE r.reason
        WHEN 'free_revoked' THEN r.free_revoked_at
        WHEN 'alias_moved' THEN coalesce((
            SELECT min(h.at) FROM @extschema@.model_access_history AS h
            WHERE h.model_id = r.model_id AND h.at > r.reviewed_at AND h.new ? 'alias_of'), r.changed_at)
        WHEN 'ban_proposed' THEN greatest(r.rule_changed_at, r.reviewed_at)
        WHEN 'returned' THEN r.returned_at
        WHEN 'price_up' THEN coalesce(r.price_guarded_at, (
            SELECT min(h.at) FROM @extschema@.model_access_history AS h
            WHERE h.model_id = r.model_id AND h.at > r.reviewed_at AND h.new ? 'pricing'), r.changed_at)
        WHEN 'left' THEN r.missing_since
        WHEN 'expiring' THEN r.expires_on - r.expiry_notice
        WHEN 'active_without_tier' THEN r.reviewed_at
        ELSE coalesce((
            SELECT max(h.at) FROM @extschema@.model_access_history AS h
            WHERE h.model_id = r.model_id AND h.new ->> 'status' = 'new'), r.first_seen_at)
    END)::date AS since,
    r.model_id,
    coalesce(trim_scale(round(r.prompt_usd_per_million, 6))::text, '?') || ' / '
        || coalesce(trim_scale(round(r.completion_usd_per_million, 6))::text, '?')
        || CASE WHEN r.prompt_usd_per_million = 0 AND r.completion_usd_per_million = 0 AND NOT r.is_free_of_charge THEN ' +' ELSE '' END AS usd,
    CASE WHEN r.reviewed_at IS NOT NULL THEN
        coalesce(trim_scale(round(r.reviewed_prompt_usd_per_million, 6))::text, '?') || ' / '
            || coalesce(trim_scale(round(r.reviewed_completion_usd_per_million, 6))::text, '?')
    END AS was,
    CASE WHEN r.reviewed_at IS NOT NULL AND r.reviewed_highest_prices IS NOT NULL THEN (
        -- nothing where one is known and the other is not
        SELECT CASE WHEN bool_and((n.now IS NULL) = (n.then IS NULL)) THEN
            round(max(CASE WHEN n.then > 0 THEN n.now / n.then WHEN n.then = 0 AND n.now > 0 THEN 'Infinity' END), 2) END
        FROM (
            SELECT p.value::numeric AS now,
                CASE WHEN r.reviewed_highest_prices ? p.key THEN (r.reviewed_highest_prices ->> p.key)::numeric ELSE 0 END AS then
            FROM jsonb_each_text(r.highest_prices) AS p) AS n)
    END AS factor,
    r.context_length AS context,
    (SELECT string_agg(left(x, 1), '' ORDER BY n) FROM unnest(r.input_modalities) WITH ORDINALITY AS i(x, n)) || '>'
        || (SELECT string_agg(left(x, 1), '' ORDER BY n) FROM unnest(r.output_modalities) WITH ORDINALITY AS o(x, n)) AS io,
    r.provider,
    r.proposed,
    CASE
        WHEN r.reason = 'alias_moved' THEN concat('> ', coalesce(r.alias_of, 'nothing'), ' (was ', coalesce(r.reviewed_alias_of, 'nothing'), ')')
        WHEN r.alias_of IS NOT NULL THEN '> ' || r.alias_of
        WHEN r.model_id LIKE '~%' THEN 'alias'
        WHEN r.upstream #>> '{architecture,tokenizer}' = 'Router' THEN 'router'
    END AS reaches,
    (SELECT CASE WHEN length(a.text) > 60 THEN left(a.text, 59) || '…' ELSE a.text END
     FROM (
        -- what is not counted in tokens first, then the dearest: the end may be cut off
        SELECT nullif(concat_ws(', ',
            CASE WHEN (r.highest_prices ->> 'prompt')::numeric > r.prompt_usd_per_million
                    OR (r.highest_prices ->> 'completion')::numeric > r.completion_usd_per_million
                 THEN concat('up to ', trim_scale(round((r.highest_prices ->> 'prompt')::numeric, 6)), ' / ',
                    trim_scale(round((r.highest_prices ->> 'completion')::numeric, 6))) END,
            string_agg(concat(p.key, ' ', coalesce(trim_scale(round(p.value::numeric, 6))::text, '?'), CASE WHEN NOT u.per_use THEN '/M' END),
                ', ' ORDER BY u.per_use DESC, p.value::numeric DESC, p.key)), '') AS text
        FROM jsonb_each_text(r.highest_prices) AS p
        CROSS JOIN LATERAL (SELECT p.key IN ('request', 'image', 'web_search') AS per_use) AS u
        WHERE p.key NOT IN ('prompt', 'completion') AND (p.value IS NULL OR p.value::numeric > 0)) AS a) AS also,
    coalesce(v.users, 0) AS overrides
-- OFFSET: the reason is found once, and not wherever it is named
FROM (SELECT * FROM @extschema@._model_access_waiting OFFSET 0) AS r
LEFT JOIN (
    SELECT o.model_id, count(DISTINCT o.user_id) AS users FROM @extschema@._model_access_override_in_force AS o
    WHERE o.model_id IS NOT NULL GROUP BY o.model_id) AS v ON v.model_id = r.model_id
ORDER BY array_position('{free_revoked,alias_moved,ban_proposed,price_up,left,returned,expiring,active_without_tier,new}', r.reason),
    since, r.model_id;
COMMENT ON VIEW @extschema@.model_access_review IS 'What waits for a decision and why, one row a model, most urgent first.';
COMMENT ON COLUMN @extschema@.model_access_review.reason IS 'free_revoked (left the free tier), alias_moved (stands for another model than the one approved), ban_proposed (active, and a rule bans it), price_up (a price above price_alert times the reviewed one, or sent back for its price), left (approved, and not listed any more), returned, expiring (within expiry_notice), active_without_tier or new: in this order, the most urgent one of each model.';
COMMENT ON COLUMN @extschema@.model_access_review.since IS 'Since when it waits.';
COMMENT ON COLUMN @extschema@.model_access_review.model_id IS 'Which model: what UPDATE, model_access_confirm and model_access_accept name.';
COMMENT ON COLUMN @extschema@.model_access_review.usd IS 'Prompt / completion price, USD per million tokens, to six places; ? = variable or unknown; 0 / 0 + where something else costs, see also.';
COMMENT ON COLUMN @extschema@.model_access_review.was IS 'The same at the last decision; NULL where there was none.';
COMMENT ON COLUMN @extschema@.model_access_review.factor IS 'The largest change of any price, as a factor; Infinity where one was 0. NULL where one is variable or unknown and was not, or the other way round.';
COMMENT ON COLUMN @extschema@.model_access_review.context IS 'Context window in tokens.';
COMMENT ON COLUMN @extschema@.model_access_review.io IS 'What it reads > writes, by initials: text, image, file, audio, video.';
COMMENT ON COLUMN @extschema@.model_access_review.provider IS 'Who made it.';
COMMENT ON COLUMN @extschema@.model_access_review.reaches IS 'router: reaches other models; > id: an alias, and the model it stands for now, or stood for when it left; (was id): the one it stood for when it was approved.';
COMMENT ON COLUMN @extschema@.model_access_review.proposed IS 'The tiers that the first matching rule proposes for a new or returned model, or disabled for a new or active one that a rule bans; model_access_accept applies it.';
COMMENT ON COLUMN @extschema@.model_access_review.also IS 'What else it charges: up to, where prompt / completion cost more at some hour or size; request, image and web_search in USD each, the others in USD per million tokens (/M), at the most; ? = variable. Cut off after 60 characters.';
COMMENT ON COLUMN @extschema@.model_access_review.overrides IS 'How many users have an override in force that names the model.';

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
    -- model_access_decide fills in the rest; an active model that a rule bans is kept in spite of that rule
    UPDATE @extschema@.model_access AS m
    SET absence_confirmed = m.absent_since IS NOT NULL AND m.missing_since IS NULL, reviewed_at = clock_timestamp(), reviewed_by = NULL, reviewed_rule = (
            SELECT 'not ' || p.rule FROM @extschema@._model_access_proposal AS p
            WHERE p.model_id = m.model_id AND p.status = 'disabled' AND m.status = 'active')
    WHERE m.model_id = ANY (model_ids);
    GET DIAGNOSTICS confirmed = ROW_COUNT;
    RETURN confirmed;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_confirm(text[]) IS 'Internal. What model_access_confirm does.';

CREATE FUNCTION @extschema@._model_access_accept(model_ids text[])
RETURNS TABLE (model_id text, tiers text, rule text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    accepted jsonb;
BEGIN
    -- what is checked is what is written: no ban and no other rule falls in between
    PERFORM @extschema@._model_access_lock();
    LOCK TABLE @extschema@.model_access_rule IN SHARE MODE;
    PERFORM @extschema@._model_access_check_ids(model_ids,
        ARRAY(SELECT w.model_id FROM @extschema@._model_access_waiting AS w WHERE w.proposed IS NOT NULL),
        'no rule proposes anything for'::text, 'model_access_review shows what waits and what is proposed.'::text);
    accepted := (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM @extschema@._model_access_proposal AS p
                 WHERE p.model_id = ANY (model_ids));
    -- model_access_decide fills in the rest; a ban leaves the tiers as they are
    PERFORM @extschema@._model_access_update((
        SELECT jsonb_agg(jsonb_build_object('model_id', p.model_id, 'status', p.status,
                'reviewed_at', clock_timestamp(), 'reviewed_by', NULL, 'reviewed_rule', p.rule)
            || CASE p.status WHEN 'active' THEN @extschema@._model_access_flags_of(p.tiers) ELSE '{}' END)
        FROM jsonb_to_recordset(accepted) AS p(model_id text, status text, tiers text[], rule text)));
    RETURN QUERY
        SELECT p.model_id, p.proposed, p.rule FROM jsonb_to_recordset(accepted) AS p(model_id text, proposed text, rule text);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_accept(text[]) IS 'Internal. What model_access_accept does.';
