-- Writes rows of model_access for a run, model_access_accept and model_access_undo. The caller names the columns, so that a new
-- column needs no change here.

CREATE FUNCTION @extschema@._model_access_lines(kind text, rows jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- JSON text has no line feed
    SELECT coalesce(string_agg(kind || r.value::text, e'\n'), '') FROM jsonb_array_elements(rows) AS r;
END;
COMMENT ON FUNCTION @extschema@._model_access_lines(text, jsonb) IS
    'Internal. Gives an array of rows as lines of JSON, each after this kind.';

CREATE FUNCTION @extschema@._model_access_rows(lines text, kind text) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- OFFSET, so that each line is parsed once, however often its row is used
    SELECT r.parsed FROM (
        SELECT substr(l.line, 2)::jsonb AS parsed FROM string_to_table(lines, e'\n') AS l(line)
        WHERE left(l.line, 1) = kind OFFSET 0) AS r;
END;
COMMENT ON FUNCTION @extschema@._model_access_rows(text, text) IS
    'Internal. Gives the rows of one kind among lines of JSON, one at a time, because all of them parsed would fill the memory.';

CREATE FUNCTION @extschema@._model_access_fetched(rows refcursor) RETURNS SETOF jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source  refcursor := rows;
    fetched jsonb;
BEGIN
    LOOP
        FETCH source INTO fetched;
        EXIT WHEN NOT FOUND;
        RETURN NEXT fetched;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_fetched(refcursor) IS
    'Internal. Gives the rows of a cursor to a dynamic statement, whose plan would have several copies of a large parameter.';

CREATE FUNCTION @extschema@._model_access_columns(keys text[], format text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(_model_access_columns.format, k.name), ', ' ORDER BY k.name)
    FROM unnest(keys) AS k(name) WHERE k.name <> 'model_id'
$$;
COMMENT ON FUNCTION @extschema@._model_access_columns(text[], text) IS
    'Internal. Gives the keys of rows except model_id, each in this format; NULL if there is no other key.';

CREATE FUNCTION @extschema@._model_access_insert(lines text, at timestamptz, run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
-- the targets of aliases by index: to scan a table that was empty seems free, but would read all new rows for each new row
SET enable_seqscan = off AS $$
DECLARE
    rows refcursor;
    -- a plan chooses no status for a new model; changed_at is the time of the run
    keys text[] := ARRAY(SELECT jsonb_object_keys(
        first.model - '{status,changed_at}'::text[] - @extschema@._model_access_not_planned())
        FROM (SELECT r.model FROM @extschema@._model_access_rows(lines, '+') AS r(model) LIMIT 1) AS first);
BEGIN
    IF keys <> '{}' THEN
        OPEN rows FOR SELECT r.model FROM @extschema@._model_access_rows(lines, '+') AS r(model);
        EXECUTE 'INSERT INTO @extschema@.model_access (model_id, first_seen_at, changed_at, last_run_id, target_disabled, '
            || @extschema@._model_access_columns(keys, '%I') || ')
            SELECT n.model_id, $2, $2, $3, EXISTS (
                SELECT FROM @extschema@.model_access AS t
                WHERE t.model_id = n.alias_of AND (t.status = ''disabled'' OR t.target_disabled)), '
            || @extschema@._model_access_columns(keys, 'n.%I') || '
            FROM @extschema@._model_access_fetched($1) AS r(model)
            CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access, r.model) AS n' USING rows, at, run;
        CLOSE rows;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_insert(text, timestamptz, bigint) IS
    'Internal. Inserts the new models of a run: the lines of kind +, which all have the same keys.';

CREATE FUNCTION @extschema@._model_access_update_rows(rows refcursor, keys text[], run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text := @extschema@._model_access_columns(keys,
        '%1$I = CASE WHEN c.change ? %1$L THEN n.%1$I ELSE m.%1$I END');
BEGIN
    IF columns IS NOT NULL THEN
        -- one statement, so that its triggers fire once and the history gets one row for each model
        EXECUTE 'UPDATE @extschema@.model_access AS m SET last_run_id = coalesce($2, m.last_run_id), ' || columns || '
            FROM @extschema@._model_access_fetched($1) AS c(change)
            CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access, c.change) AS n
            WHERE m.model_id = n.model_id' USING rows, run;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_update_rows(refcursor, text[], bigint) IS
    'Internal. Changes models: a cursor of objects with model_id and the columns to write, of which these are all keys.';

CREATE FUNCTION @extschema@._model_access_update(changes jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rows refcursor;
BEGIN
    OPEN rows FOR SELECT r.change FROM jsonb_array_elements(changes) AS r(change);
    PERFORM @extschema@._model_access_update_rows(rows,
        ARRAY(SELECT DISTINCT jsonb_object_keys(r.change) FROM jsonb_array_elements(changes) AS r(change)), NULL::bigint);
    CLOSE rows;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_update(jsonb) IS
    'Internal. Changes models under the lock of a run: an array of objects with model_id and the columns to write.';
