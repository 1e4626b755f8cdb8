-- Takes decisions back: the admin's columns as they were, itself a recorded change.

CREATE FUNCTION @extschema@._model_access_is_free(pricing jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- as crates/catalog/src/price.rs reads it: everything known to be zero, overrides included
    SELECT coalesce(bool_and(p.key = 'discount' OR p.value = 'null' OR p.text ~ '^-?(0+([.]0*)?|[.]0+)([eE][+-]?[0-9]+)?$')
            AND count(*) FILTER (WHERE p.key IN ('prompt', 'completion') AND p.value <> 'null') = 2, false)
    FROM (
        SELECT e.key, e.value, e.value #>> '{}' AS text FROM jsonb_each(pricing) AS e WHERE e.key <> 'overrides'
        UNION ALL
        SELECT 'override', o.value, o.value #>> '{}'
        FROM jsonb_array_elements(CASE jsonb_typeof(pricing -> 'overrides')
                 WHEN 'array' THEN pricing -> 'overrides' WHEN 'null' THEN '[]' ELSE coalesce(jsonb_build_array(pricing -> 'overrides'), '[]') END) AS entry
        CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(entry) WHEN 'object' THEN entry ELSE jsonb_build_object('?', entry) END) AS o
        WHERE pricing ? 'overrides' AND o.key NOT IN ('min_prompt_tokens', 'utc_start', 'utc_end')) AS p;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_free(jsonb) IS 'Internal. Whether a pricing is known to cost nothing: prompt and completion 0 and no other price above 0 or unknown.';

CREATE FUNCTION @extschema@._model_access_undo_plan(since timestamptz, model_ids text[])
RETURNS TABLE (model_id text, key text, is_now jsonb, was jsonb, refused text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH then_and_now AS (
        SELECT m.model_id, m.missing_since, t.key, n.value AS is_now, t.value AS was,
               @extschema@._model_access_is_free(old.pricing) AND NOT @extschema@._model_access_is_free(m.pricing) AS costs
        FROM @extschema@.model_access AS m
        -- as it was before that moment: who names the moment of a mistake means to undo it
        JOIN @extschema@._model_access_as_of(since - interval '1 microsecond') AS old ON old.model_id = m.model_id
        CROSS JOIN LATERAL jsonb_each(jsonb_build_object('status', old.status, 'is_free', old.is_free,
            'is_pro', old.is_pro, 'is_enterprise', old.is_enterprise, 'note', old.note)) AS t
        JOIN LATERAL jsonb_each(jsonb_build_object('status', m.status, 'is_free', m.is_free,
            'is_pro', m.is_pro, 'is_enterprise', m.is_enterprise, 'note', m.note)) AS n ON n.key = t.key
        WHERE n.value <> t.value AND (model_ids IS NULL OR m.model_id = ANY (model_ids)))
    SELECT c.model_id, c.key, c.is_now, c.was,
        CASE WHEN taken.run_id IS NOT NULL THEN format('%s: run %s', CASE
                WHEN taken.new ? 'free_revoked_at' AND c.key = 'is_free' THEN 'stopped being free'
                WHEN taken.new ->> 'missing_since' IS NOT NULL THEN 'left the catalogue'
                WHEN taken.new ? 'returned_at' THEN 'came back late or dearer'
                WHEN taken.new ? 'missing_since' THEN 'is listed again'
                ELSE 'price above the reviewed one' END, taken.run_id)
             WHEN c.key = 'is_free' AND c.was = 'true' AND c.costs THEN 'not free any more'
        END
    FROM then_and_now AS c
    LEFT JOIN LATERAL (
        -- a sync that since then took away just this, and nothing gave it back
        SELECT h.run_id, h.new FROM @extschema@.model_access_history AS h
        WHERE h.model_id = c.model_id AND h.at >= since AND h.run_id IS NOT NULL AND h.old -> c.key = c.was
          AND NOT EXISTS (
              SELECT FROM @extschema@.model_access_history AS back
              WHERE back.model_id = h.model_id AND back.history_id > h.history_id AND back.new -> c.key = c.was)
        ORDER BY h.history_id DESC LIMIT 1) AS taken ON true;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_plan(timestamptz, text[]) IS 'Internal. Each admin column that differs from what it was before that moment, and why it must stay.';

CREATE FUNCTION @extschema@._model_access_undo_write(since timestamptz, plan jsonb) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    -- with the price that was approved, so that the guards go on from there
    UPDATE @extschema@.model_access AS m
    SET is_free = n.is_free, is_pro = n.is_pro, is_enterprise = n.is_enterprise, note = n.note,
        -- a model that left meanwhile waits for its return; one that came back meanwhile waits for review
        status = CASE WHEN m.missing_since IS NOT NULL AND n.status IN ('new', 'active') THEN 'inactive'
                      WHEN m.missing_since IS NULL AND old.status_before_missing IS NOT NULL AND n.status = 'inactive' THEN 'new'
                      ELSE n.status END,
        status_before_missing = CASE WHEN m.missing_since IS NOT NULL THEN
            CASE WHEN n.status IN ('new', 'active') THEN n.status WHEN n.status = 'inactive' THEN old.status_before_missing END END,
        returned_at = CASE WHEN m.missing_since IS NULL AND old.status_before_missing IS NOT NULL AND n.status = 'inactive'
            THEN clock_timestamp() ELSE coalesce(m.returned_at, old.returned_at) END,
        reviewed_at = old.reviewed_at, reviewed_by = old.reviewed_by, reviewed_rule = old.reviewed_rule,
        reviewed_pricing = old.reviewed_pricing,
        reviewed_prompt_usd_per_million = old.reviewed_prompt_usd_per_million,
        reviewed_completion_usd_per_million = old.reviewed_completion_usd_per_million,
        tiers_before = coalesce(m.tiers_before, old.tiers_before),
        free_revoked_at = coalesce(m.free_revoked_at, old.free_revoked_at)
    FROM (
        SELECT p.model_id, jsonb_object_agg(p.key, p.was) AS columns
        FROM jsonb_to_recordset(plan) AS p(model_id text, key text, was jsonb, refused text) WHERE p.refused IS NULL
        GROUP BY p.model_id HAVING bool_or(p.key <> 'note')) AS u
    JOIN @extschema@._model_access_as_of(since - interval '1 microsecond') AS old ON old.model_id = u.model_id
    JOIN @extschema@.model_access AS present ON present.model_id = u.model_id
    CROSS JOIN LATERAL jsonb_populate_record(present, u.columns) AS n
    WHERE m.model_id = u.model_id;

    -- a note is no decision
    UPDATE @extschema@.model_access AS m SET note = p.was #>> '{}'
    FROM jsonb_to_recordset(plan) AS p(model_id text, key text, was jsonb, refused text)
    WHERE p.model_id = m.model_id AND p.key = 'note' AND m.note IS DISTINCT FROM p.was #>> '{}';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write(timestamptz, jsonb) IS 'Internal. Writes an undo: one UPDATE for decisions, one for rows of which only the note changed.';

CREATE FUNCTION @extschema@._model_access_undo(
    since timestamptz, dry_run boolean, model_ids text[], OUT model_id text, OUT is_now jsonb, OUT was jsonb, OUT refused jsonb)
RETURNS SETOF record
-- jit: compiling costs several times what the walk through the history does
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    plan jsonb;
BEGIN
    IF since IS NULL OR dry_run IS NULL OR since > clock_timestamp() THEN
        RAISE EXCEPTION 'cannot undo to %', coalesce(since::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a moment in the past, such as column at of the change in model_access_history.';
    ELSIF model_ids IS NOT NULL THEN
        PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
            'there is no model'::text, 'Ids are exact; look in model_access.'::text);
    END IF;
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_lock();
    END IF;
    plan := (SELECT jsonb_agg(to_jsonb(p)) FROM @extschema@._model_access_undo_plan(since, model_ids) AS p);
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_undo_write(since, plan);
    END IF;
    RETURN QUERY
        SELECT p.model_id, jsonb_object_agg(p.key, p.is_now),
               jsonb_object_agg(p.key, p.was) FILTER (WHERE p.refused IS NULL),
               jsonb_object_agg(p.key, p.refused) FILTER (WHERE p.refused IS NOT NULL)
        FROM jsonb_to_recordset(plan) AS p(model_id text, key text, is_now jsonb, was jsonb, refused text)
        GROUP BY p.model_id ORDER BY p.model_id;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo(timestamptz, boolean, text[]) IS 'Internal. What model_access_undo does.';
