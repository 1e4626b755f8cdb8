-- Shows what waits for a decision, and why.

CREATE FUNCTION @extschema@._model_access_reasons() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['free_revoked', 'alias_moved', 'ban_proposed', 'price_up', 'left', 'returned', 'expiring', 'active_without_tier',
    'new'];
COMMENT ON FUNCTION @extschema@._model_access_reasons() IS 'Internal. Gives the reasons for a review, the most urgent first.';

CREATE VIEW @extschema@._model_access_waiting AS
SELECT * FROM (
    SELECT m.*, s.expiry_notice, p.proposed, p.changed_at AS rule_changed_at, CASE
        WHEN m.status = 'inactive' THEN 'left'
        WHEN m.free_revoked_at IS NOT NULL THEN 'free_revoked'
        WHEN m.status = 'active' AND m.reviewed_at IS NOT NULL AND m.alias_of IS DISTINCT FROM m.reviewed_alias_of
            THEN 'alias_moved'
        WHEN m.status = 'active' AND p.proposed IS NOT NULL THEN 'ban_proposed'
        WHEN m.status = 'new' AND m.returned_at IS NOT NULL THEN 'returned'
        WHEN m.price_guarded_at IS NOT NULL THEN 'price_up'
        WHEN m.reviewed_at IS NOT NULL AND s.price_alert IS NOT NULL
            AND m.highest_prices IS DISTINCT FROM m.reviewed_highest_prices
            AND @extschema@._model_access_is_above(m.highest_prices, m.reviewed_highest_prices, s.price_alert) THEN 'price_up'
        WHEN m.status = 'new' THEN 'new'
        WHEN m.expires_on <= current_date + s.expiry_notice THEN 'expiring'
        WHEN @extschema@._model_access_rank(m) IS NULL THEN 'active_without_tier'
        END AS reason
    FROM @extschema@.model_access AS m
    CROSS JOIN (SELECT
        (SELECT nullif(value, 'off')::numeric FROM @extschema@.model_access_settings WHERE name = 'price_alert') AS price_alert,
        (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'expiry_notice') AS expiry_notice) AS s
    -- a rule proposes tiers only for a model without a decision; for an active model it can only propose a ban
    LEFT JOIN @extschema@._model_access_proposal AS p ON p.model_id = m.model_id
        -- model_access_confirm has rejected this ban, and the alias has not moved since
        AND (m.status = 'new' OR m.reviewed_rule IS DISTINCT FROM 'not ' || p.rule
            OR m.alias_of IS DISTINCT FROM m.reviewed_alias_of)
    WHERE m.missing_since IS NULL AND m.status IN ('new', 'active')
       -- an approved model that left the list, if nobody has decided since
       OR m.status = 'inactive' AND m.status_before_missing = 'active' AND coalesce(m.reviewed_at <= m.missing_since, true)) AS w
WHERE w.reason IS NOT NULL;
COMMENT ON VIEW @extschema@._model_access_waiting IS
    'Internal. The rows of model_access that wait for a decision, each with its reason and what a rule proposes.';

CREATE VIEW @extschema@._model_access_waiting_since AS
SELECT w.*, (CASE w.reason
    WHEN 'free_revoked' THEN w.free_revoked_at
    WHEN 'alias_moved' THEN coalesce((
        SELECT min(h.at) FROM @extschema@.model_access_history AS h
        WHERE h.model_id = w.model_id AND h.at > w.reviewed_at AND h.new ? 'alias_of'), w.changed_at)
    WHEN 'ban_proposed' THEN greatest(w.rule_changed_at, w.reviewed_at)
    WHEN 'price_up' THEN coalesce(w.price_guarded_at, (
        SELECT min(h.at) FROM @extschema@.model_access_history AS h
        WHERE h.model_id = w.model_id AND h.at > w.reviewed_at AND h.new ? 'pricing'), w.changed_at)
    WHEN 'left' THEN w.missing_since
    WHEN 'returned' THEN w.returned_at
    WHEN 'expiring' THEN w.expires_on - w.expiry_notice
    WHEN 'active_without_tier' THEN w.reviewed_at
    WHEN 'new' THEN coalesce((
        SELECT max(h.at) FROM @extschema@.model_access_history AS h
        WHERE h.model_id = w.model_id AND h.new ->> 'status' = 'new'), w.first_seen_at)
    END)::date AS since
-- OFFSET makes PostgreSQL compute the reason once, and not in each place that names it
FROM (SELECT * FROM @extschema@._model_access_waiting OFFSET 0) AS w;
COMMENT ON VIEW @extschema@._model_access_waiting_since IS 'Internal. The rows that wait, with the day since which they wait.';

CREATE FUNCTION @extschema@._model_access_usd(price numeric) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(trim_scale(round(price, 6))::text, '?');
COMMENT ON FUNCTION @extschema@._model_access_usd(numeric) IS
    'Internal. Writes a price in USD, rounded to six places; ? = variable or unknown.';

CREATE FUNCTION @extschema@._model_access_price_factor(old jsonb, new jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN bool_and((p.old IS NULL) = (p.new IS NULL))
        THEN round(max(CASE WHEN p.old > 0 THEN p.new / p.old WHEN p.old = 0 AND p.new > 0 THEN 'Infinity' END), 2) END
    FROM (
        -- a component that is absent costs nothing
        SELECT CASE WHEN _model_access_price_factor.old ? n.key
                THEN (_model_access_price_factor.old ->> n.key)::numeric ELSE 0 END AS old,
            n.value::numeric AS new
        FROM jsonb_each_text(_model_access_price_factor.new) AS n) AS p
    WHERE _model_access_price_factor.old IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_price_factor(jsonb, jsonb) IS
    'Internal. Gives the largest factor between two highest_prices; NULL if a component is known in one of them only.';

CREATE FUNCTION @extschema@._model_access_other_prices(prices jsonb, prompt numeric, completion numeric) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN length(a.text) > 60 THEN left(a.text, 59) || '…' ELSE a.text END
    FROM (
        -- prices per use first, then the highest: the end may be cut off
        SELECT nullif(concat_ws(', ',
            CASE WHEN (prices ->> 'prompt')::numeric > prompt OR (prices ->> 'completion')::numeric > completion
                 THEN format('up to %s / %s', @extschema@._model_access_usd((prices ->> 'prompt')::numeric),
                    @extschema@._model_access_usd((prices ->> 'completion')::numeric)) END,
            string_agg(concat(p.key, ' ', @extschema@._model_access_usd(p.value::numeric), CASE WHEN NOT u.per_use THEN '/M' END),
                ', ' ORDER BY u.per_use DESC, p.value::numeric DESC, p.key)), '') AS text
        FROM jsonb_each_text(prices) AS p
        CROSS JOIN LATERAL (SELECT p.key IN ('request', 'image', 'web_search') AS per_use) AS u
        WHERE p.key NOT IN ('prompt', 'completion') AND (p.value IS NULL OR p.value::numeric > 0)) AS a;
END;
COMMENT ON FUNCTION @extschema@._model_access_other_prices(jsonb, numeric, numeric) IS
    'Internal. Says what a model charges besides its usual prompt and completion prices, for people; NULL = nothing.';

CREATE FUNCTION @extschema@._model_access_initials(words text[]) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT string_agg(left(w.word, 1), '' ORDER BY w.position) FROM unnest(words) WITH ORDINALITY AS w(word, position);
END;
COMMENT ON FUNCTION @extschema@._model_access_initials(text[]) IS 'Internal. Gives the first letters of words.';

CREATE VIEW @extschema@.model_access_review AS
SELECT
    w.reason, w.since, w.model_id,
    concat(@extschema@._model_access_usd(w.prompt_usd_per_million), ' / ',
        @extschema@._model_access_usd(w.completion_usd_per_million),
        CASE WHEN w.prompt_usd_per_million = 0 AND w.completion_usd_per_million = 0 AND NOT w.is_free_of_charge
             THEN ' +' END) AS usd,
    CASE WHEN w.reviewed_at IS NOT NULL THEN concat(@extschema@._model_access_usd(w.reviewed_prompt_usd_per_million), ' / ',
        @extschema@._model_access_usd(w.reviewed_completion_usd_per_million)) END AS old_usd,
    CASE WHEN w.reviewed_at IS NOT NULL
         THEN @extschema@._model_access_price_factor(w.reviewed_highest_prices, w.highest_prices) END AS factor,
    w.context_length AS context,
    @extschema@._model_access_initials(w.input_modalities) || '>'
        || @extschema@._model_access_initials(w.output_modalities) AS io,
    w.provider, w.proposed,
    CASE
        WHEN w.reason = 'alias_moved'
            THEN format('> %s (was %s)', coalesce(w.alias_of, 'nothing'), coalesce(w.reviewed_alias_of, 'nothing'))
        WHEN w.alias_of IS NOT NULL THEN '> ' || w.alias_of
        WHEN w.model_id LIKE '~%' THEN 'alias'
        WHEN w.upstream #>> '{architecture,tokenizer}' = 'Router' THEN 'router'
    END AS reaches,
    @extschema@._model_access_other_prices(w.highest_prices, w.prompt_usd_per_million, w.completion_usd_per_million) AS also,
    coalesce(v.users, 0) AS overrides
FROM @extschema@._model_access_waiting_since AS w
LEFT JOIN (
    SELECT o.model_id, count(DISTINCT o.user_id) AS users FROM @extschema@._model_access_override_in_force AS o
    WHERE o.model_id IS NOT NULL GROUP BY o.model_id) AS v ON v.model_id = w.model_id
ORDER BY array_position(@extschema@._model_access_reasons(), w.reason), w.since, w.model_id;
COMMENT ON VIEW @extschema@.model_access_review IS 'The models that wait for a decision, one row a model, the most urgent first.';
COMMENT ON COLUMN @extschema@.model_access_review.reason IS
    'Why the model waits: free_revoked, alias_moved, ban_proposed, price_up, left, returned, expiring, active_without_tier '
    'or new.';
COMMENT ON COLUMN @extschema@.model_access_review.since IS 'The day since which the model waits.';
COMMENT ON COLUMN @extschema@.model_access_review.model_id IS
    'The model, as UPDATE, model_access_confirm and model_access_accept name it.';
COMMENT ON COLUMN @extschema@.model_access_review.usd IS
    'Prompt / completion price in USD per million tokens; ? = variable or unknown; + = other prices apply too.';
COMMENT ON COLUMN @extschema@.model_access_review.old_usd IS
    'The same prices at the last decision; NULL if there was no decision.';
COMMENT ON COLUMN @extschema@.model_access_review.factor IS
    'The largest factor by which a price changed since the last decision; Infinity if a price was 0; NULL if one is unknown.';
COMMENT ON COLUMN @extschema@.model_access_review.context IS 'Context window in tokens; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_review.io IS
    'What the model reads > what it writes, by initials: text, image, file, audio, video.';
COMMENT ON COLUMN @extschema@.model_access_review.provider IS 'Who made the model.';
COMMENT ON COLUMN @extschema@.model_access_review.reaches IS
    'Other models that a request can reach: router, or > and the model that an alias stands for; NULL for other models.';
COMMENT ON COLUMN @extschema@.model_access_review.proposed IS
    'What the first matching rule proposes: tiers separated by commas, or disabled for a ban; NULL if no rule matches.';
COMMENT ON COLUMN @extschema@.model_access_review.also IS
    'What else the model charges, at most 60 characters; request, image and web_search in USD each, /M = USD per million tokens.';
COMMENT ON COLUMN @extschema@.model_access_review.overrides IS 'The number of users with an override in force for the model.';
