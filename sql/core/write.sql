-- Writes rows of model_access for a run, model_access_accept and model_access_undo. The caller names the columns, so that a new
-- column needs no change here.

CREATE FUNCTION @extschema@._model_access_columns(rows jsonb, format text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(_model_access_columns.format, k.name), ', ' ORDER BY k.name)
    FROM (SELECT DISTINCT jsonb_object_keys(r.value) AS name FROM jsonb_array_elements(rows) AS r) AS k
    WHERE k.name <> 'model_id'
$$;
COMMENT ON FUNCTION @extschema@._model_access_columns(jsonb, text) IS
    'Internal. Gives the keys of an array of rows except model_id, each in this format; NULL if there is no other key.';

CREATE FUNCTION @extschema@._model_access_insert(rows jsonb, at timestamptz, run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- a plan chooses no status for a new model; changed_at is the time of the run
    first jsonb := jsonb_build_array((rows -> 0) - '{status,changed_at}'::text[] - @extschema@._model_access_not_planned());
BEGIN
    IF rows <> '[]' THEN
        EXECUTE 'INSERT INTO @extschema@.model_access (model_id, first_seen_at, changed_at, last_run_id, target_disabled, '
            || @extschema@._model_access_columns(first, '%I') || ')
            SELECT n.model_id, $2, $2, $3, EXISTS (
                SELECT FROM @extschema@.model_access AS t
                WHERE t.model_id = n.alias_of AND (t.status = ''disabled'' OR t.target_disabled)), '
            || @extschema@._model_access_columns(first, 'n.%I') || '
            FROM jsonb_populate_recordset(NULL::@extschema@.model_access, $1) AS n' USING rows, at, run;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_insert(jsonb, timestamptz, bigint) IS
    'Internal. Inserts the new models of a run: an array of objects that all have the same keys.';

CREATE FUNCTION @extschema@._model_access_update(changes jsonb, run bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text := @extschema@._model_access_columns(changes,
        '%1$I = CASE WHEN c.change ? %1$L THEN n.%1$I ELSE m.%1$I END');
BEGIN
    IF columns IS NOT NULL THEN
        -- one statement, so that its triggers fire once and the history gets one row for each model
        EXECUTE 'UPDATE @extschema@.model_access AS m SET last_run_id = coalesce($2, m.last_run_id), ' || columns || '
            FROM jsonb_array_elements($1) AS c(change)
            CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access, c.change) AS n
            WHERE m.model_id = n.model_id' USING changes, run;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_update(jsonb, bigint) IS
    'Internal. Changes models under the lock of a run: an array of objects with model_id and the columns to write.';
