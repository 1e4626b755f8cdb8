-- Says in words why a tier may or may not use a model. The answer itself is always that of model_allowed.

CREATE FUNCTION @extschema@._model_access_reason(tier text, model_id text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((
        SELECT CASE
            WHEN m.status = 'disabled'
                THEN concat_ws(' ', 'disabled', 'by ' || m.reviewed_by, 'on ' || to_char(m.reviewed_at, 'YYYY-MM-DD'))
            WHEN m.missing_since IS NOT NULL THEN 'left the catalogue on ' || to_char(m.missing_since, 'YYYY-MM-DD')
            WHEN m.status = 'new' THEN 'waits for review since ' || to_char(coalesce(
                (SELECT max(h.at) FROM @extschema@.model_access_history AS h
                 WHERE h.model_id = m.model_id AND h.new ->> 'status' = 'new'),
                m.first_seen_at), 'YYYY-MM-DD')
            WHEN m.status = 'inactive'
                THEN concat_ws(' ', 'set inactive', 'by ' || m.reviewed_by, 'on ' || to_char(m.reviewed_at, 'YYYY-MM-DD'))
            WHEN m.target_disabled THEN format(CASE
                WHEN EXISTS (SELECT FROM @extschema@.model_access AS t WHERE t.model_id = m.alias_of AND t.target_disabled
                    AND t.status <> 'disabled') THEN 'its target %s is an alias of a disabled model'
                ELSE 'its target %s is disabled' END, m.alias_of)
            WHEN _model_access_reason.tier IS NULL THEN 'the tier is unknown'
            WHEN @extschema@._model_access_rank(m) <= @extschema@._model_access_rank(_model_access_reason.tier)
                THEN 'in tier ' || _model_access_reason.tier
            ELSE 'not in tier ' || _model_access_reason.tier
        END
        FROM @extschema@.model_access AS m WHERE m.model_id = _model_access_reason.model_id),
        CASE WHEN EXISTS (
            SELECT FROM @extschema@.model_access AS m
            WHERE m.model_id = regexp_replace(_model_access_reason.model_id, ':[^:]*$', ''))
        THEN 'not in the catalogue; the suffix is part of the id'
        ELSE 'not in the catalogue' END);
END;
COMMENT ON FUNCTION @extschema@._model_access_reason(text, text) IS 'Internal. Says why a model is or is not visible in a tier.';

CREATE FUNCTION @extschema@.model_access_explain(tier text, model_id text, OUT allowed boolean, OUT reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    allowed := @extschema@.model_allowed(tier, model_id);
    reason := @extschema@._model_access_reason(tier, model_id);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_explain(text, text) IS
    'Tells whether a tier may use a model, and why, as a text for people.';
