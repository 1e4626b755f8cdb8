-- Takes decisions back: the admin's columns as they were, itself a recorded change.

CREATE FUNCTION @extschema@._model_access_undo_plan(since timestamptz, model_ids text[])
RETURNS TABLE (model_id text, key text, is_now jsonb, was jsonb, refused text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH then_and_now AS (
        SELECT m.model_id, t.key, n.value AS is_now, t.value AS was,
               old.prompt_usd_per_million = 0 AND old.completion_usd_per_million = 0 AS was_free,
               m.prompt_usd_per_million = 0 AND m.completion_usd_per_million = 0 AS is_free
        FROM @extschema@.model_access AS m
        JOIN @extschema@._model_access_as_of(since) AS old ON old.model_id = m.model_id
        CROSS JOIN LATERAL jsonb_each(jsonb_build_object('status', old.status, 'is_free', old.is_free,
            'is_pro', old.is_pro, 'is_enterprise', old.is_enterprise, 'note', old.note)) AS t
        JOIN LATERAL jsonb_each(to_jsonb(m)) AS n ON n.key = t.key
        WHERE n.value <> t.value AND (model_ids IS NULL OR m.model_id = ANY (model_ids)))
    SELECT c.model_id, c.key, c.is_now, c.was,
        CASE WHEN taken.run_id IS NOT NULL THEN format('%s: run %s', CASE
                WHEN taken.new ? 'free_revoked_at' AND c.key = 'is_free' THEN 'stopped being free'
                WHEN taken.new ? 'missing_since' AND taken.new ->> 'missing_since' IS NOT NULL THEN 'left the catalogue'
                WHEN taken.new ? 'returned_at' THEN 'came back late or dearer'
                ELSE 'price above the reviewed one' END, taken.run_id)
             WHEN c.key = 'is_free' AND c.was = 'true' AND c.was_free AND c.is_free IS NOT TRUE THEN 'not free any more'
        END
    FROM then_and_now AS c
    LEFT JOIN LATERAL (
        -- a sync that since then took away just this
        SELECT h.run_id, h.new FROM @extschema@.model_access_history AS h
        WHERE h.model_id = c.model_id AND h.at > since AND h.run_id IS NOT NULL AND h.old -> c.key = c.was
        ORDER BY h.history_id DESC LIMIT 1) AS taken ON true;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_plan(timestamptz, text[]) IS 'Internal. Each admin column that differs from what it was, and why it must stay.';

CREATE FUNCTION @extschema@._model_access_undo_write(since timestamptz, model_ids text[]) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    -- with the price that was approved, so that the guards go on from there
    UPDATE @extschema@.model_access AS m
    SET status = n.status, is_free = n.is_free, is_pro = n.is_pro, is_enterprise = n.is_enterprise, note = n.note,
        reviewed_at = old.reviewed_at, reviewed_by = old.reviewed_by, reviewed_rule = old.reviewed_rule,
        reviewed_pricing = old.reviewed_pricing,
        reviewed_prompt_usd_per_million = old.reviewed_prompt_usd_per_million,
        reviewed_completion_usd_per_million = old.reviewed_completion_usd_per_million,
        status_before_missing = CASE WHEN m.missing_since = old.missing_since THEN old.status_before_missing END,
        returned_at = coalesce(m.returned_at, old.returned_at), tiers_before = coalesce(m.tiers_before, old.tiers_before),
        free_revoked_at = coalesce(m.free_revoked_at, old.free_revoked_at)
    FROM (
        SELECT p.model_id, jsonb_object_agg(p.key, p.was) AS columns
        FROM @extschema@._model_access_undo_plan(since, model_ids) AS p WHERE p.refused IS NULL
        GROUP BY p.model_id HAVING bool_or(p.key <> 'note')) AS u
    JOIN @extschema@._model_access_as_of(since) AS old ON old.model_id = u.model_id
    JOIN @extschema@.model_access AS present ON present.model_id = u.model_id
    CROSS JOIN LATERAL jsonb_populate_record(present, u.columns) AS n
    WHERE m.model_id = u.model_id;

    -- a note is no decision
    UPDATE @extschema@.model_access AS m SET note = p.was #>> '{}'
    FROM @extschema@._model_access_undo_plan(since, model_ids) AS p
    WHERE p.model_id = m.model_id AND p.key = 'note';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write(timestamptz, text[]) IS 'Internal. Writes an undo: one UPDATE for decisions, one for rows of which only the note changed.';

CREATE FUNCTION @extschema@.model_access_undo(
    since timestamptz, dry_run boolean DEFAULT true, model_ids text[] DEFAULT NULL,
    OUT model_id text, OUT is_now jsonb, OUT was jsonb, OUT refused jsonb)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF since IS NULL OR dry_run IS NULL OR since > clock_timestamp() THEN
        RAISE EXCEPTION 'cannot undo to %', coalesce(since::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a moment in the past; model_access_history has them in column at.';
    END IF;
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_lock();
    END IF;
    FOR item IN
        SELECT p.model_id, jsonb_object_agg(p.key, p.is_now) AS is_now,
               jsonb_object_agg(p.key, p.was) FILTER (WHERE p.refused IS NULL) AS restored,
               jsonb_object_agg(p.key, p.refused) FILTER (WHERE p.refused IS NOT NULL) AS refused
        FROM @extschema@._model_access_undo_plan(since, model_ids) AS p GROUP BY p.model_id ORDER BY p.model_id
    LOOP
        model_id := item.model_id;
        is_now := item.is_now;
        was := item.restored;
        refused := item.refused;
        RETURN NEXT;
    END LOOP;
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_undo_write(since, model_ids);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_undo(timestamptz, boolean, text[]) IS 'Puts status, tiers and note back as they were at that moment, with reviewed_*, for all models or those named; a dry run unless told otherwise. One row a model: the columns as they are, as they were, and those that stay because a sync took them for a reason since. Error 22023 for a moment that is not in the past.';
