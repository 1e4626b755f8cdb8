-- Lists what a tier saw at a moment in the past. It begins with the present rows and takes back the changes in the history. So it
-- is exact, except for transactions that were open at that moment.

CREATE FUNCTION @extschema@._model_access_last_change(at timestamptz) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- by the order of the history: the clock may have been set back. Changes whose time is in the future were made before now.
    SELECT l.id FROM (
        SELECT coalesce((SELECT h.history_id FROM @extschema@.model_access_history AS h
            WHERE h.at <= _model_access_last_change.at ORDER BY h.history_id DESC LIMIT 1), 0)) AS l(id)
    WHERE EXISTS (
        SELECT FROM @extschema@.model_access_history AS h WHERE h.history_id > l.id AND h.at <= clock_timestamp());
END;
COMMENT ON FUNCTION @extschema@._model_access_last_change(timestamptz) IS
    'Internal. Gives the last change up to a moment (0 = none before it), or NULL if nothing has changed since.';

CREATE FUNCTION @extschema@._model_access_as_of(at timestamptz) RETURNS SETOF @extschema@.model_access
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT r.*
    FROM @extschema@.model_access AS m
    LEFT JOIN (
        -- the value of each column before its first change after that moment
        SELECT f.model_id, jsonb_object_agg(f.key, f.value) AS columns
        FROM (
            SELECT DISTINCT ON (h.model_id, o.key) h.model_id, o.key, o.value
            FROM @extschema@.model_access_history AS h CROSS JOIN LATERAL jsonb_each(h.old) AS o
            WHERE h.history_id > @extschema@._model_access_last_change(_model_access_as_of.at)
            ORDER BY h.model_id, o.key, h.history_id) AS f
        GROUP BY f.model_id) AS past ON past.model_id = m.model_id
    CROSS JOIN LATERAL jsonb_populate_record(m, coalesce(past.columns, '{}')) AS r;
END;
COMMENT ON FUNCTION @extschema@._model_access_as_of(timestamptz) IS
    'Internal. Gives the rows as they were then, but the present upstream, fingerprint, entry_hash, changed_at and last_run_id.';

CREATE FUNCTION @extschema@._model_access_history_from() RETURNS timestamptz
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- A model starts as new, in no tier, so the history is whole if its first row is the first change. Otherwise the owner has
    -- deleted its beginning, or all of it.
    SELECT CASE
        WHEN f.history_id > 1 THEN greatest(f.at, i.at)
        WHEN f.history_id IS NULL AND pg_sequence_last_value('@extschema@.model_access_history_history_id_seq'::regclass) > 0
            THEN 'infinity'
        ELSE i.at END
    FROM (SELECT min(m.first_seen_at) FROM @extschema@.model_access AS m) AS i(at)
    LEFT JOIN (SELECT h.history_id, h.at FROM @extschema@.model_access_history AS h ORDER BY h.history_id LIMIT 1) AS f ON true;
END;
COMMENT ON FUNCTION @extschema@._model_access_history_from() IS
    'Internal. Gives the moment from which the rows and the history say how the models were; infinity = the history is gone.';

CREATE FUNCTION @extschema@._model_access_check_moment(at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    earliest CONSTANT timestamptz := @extschema@._model_access_history_from();
BEGIN
    IF at > clock_timestamp() THEN
        RAISE EXCEPTION 'at must not be in the future: %', at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a moment in the past.';
    ELSIF at < earliest THEN
        RAISE EXCEPTION 'the history does not reach back to %', at
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = CASE WHEN isfinite(earliest)
                      THEN 'The first model was inserted later, or earlier rows have been deleted.'
                      ELSE 'Its rows have been deleted, and nothing has changed since.' END,
                  HINT = CASE WHEN isfinite(earliest) THEN format('Name a moment from %s on.', earliest)
                      ELSE 'For the present, use models_for_tier.' END;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_moment(timestamptz) IS
    'Internal. Raises 22023 if the rows and the history do not say how the models were at that moment; otherwise true.';

CREATE FUNCTION @extschema@.models_for_tier_as_of(tier text, at timestamptz) RETURNS SETOF @extschema@.model_access_visible
-- without JIT, whose compilation takes several times as long as reading 100,000 changes
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
BEGIN ATOMIC
    WITH past AS MATERIALIZED (
        SELECT * FROM @extschema@._model_access_as_of(models_for_tier_as_of.at)
        WHERE @extschema@._model_access_check_moment(models_for_tier_as_of.at))
    SELECT v.*
    FROM past AS m CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_visible, to_jsonb(m)) AS v
    WHERE @extschema@._model_access_tier(models_for_tier_as_of.tier) IS NOT NULL
      AND m.first_seen_at <= models_for_tier_as_of.at AND m.status = 'active' AND m.missing_since IS NULL
      -- IN, because the planner expects one row, and with NOT EXISTS would compare each model with each disabled one
      AND (m.alias_of IN (SELECT t.model_id FROM past AS t WHERE t.status = 'disabled')) IS NOT TRUE
      AND @extschema@._model_access_rank(m::@extschema@.model_access)
          <= @extschema@._model_access_rank(models_for_tier_as_of.tier);
END;
COMMENT ON FUNCTION @extschema@.models_for_tier_as_of(text, timestamptz) IS
    'Lists the models that models_for_tier listed at a moment in the past.';
