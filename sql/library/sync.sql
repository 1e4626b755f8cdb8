-- The two ways to load a catalogue: model_access_sync fetches it, and model_access_load gets it as an argument. The rest of the
-- run is the same.

CREATE FUNCTION @extschema@._model_access_fetch()
RETURNS TABLE (url text, http_status integer, body bytea, problem text)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_fetch_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_fetch() IS
    'Internal. Fetches model_access.url within its limits, and gives either the body or the problem (JSON).';

CREATE FUNCTION @extschema@._model_access_primary() RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_primary_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_primary() IS
    'Internal. Gives host and port of the primary, on a standby that receives WAL from it.';

CREATE FUNCTION @extschema@._model_access_plan(document bytea, state text, max_removals integer) RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_model_access_plan_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_plan(bytea, text, integer) IS
    'Internal. Makes the plan for a document and a state: a line of JSON without the rows, and a line for each row.';

-- a text has the same bytes, and to convert it would need another copy of the document
CREATE FUNCTION @extschema@._model_access_plan(document text, state text, max_removals integer) RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_model_access_plan_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_plan(text, text, integer) IS
    'Internal. Makes the same plan for a document that is a text.';

CREATE FUNCTION @extschema@._model_access_head(plan text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT split_part(plan, e'\n', 1)::jsonb - '{insert,update}'::text[];
END;
COMMENT ON FUNCTION @extschema@._model_access_head(text) IS
    'Internal. Gives the first line of a plan: the plan without its rows.';

CREATE FUNCTION @extschema@._model_access_plan_now(body bytea, document text, max_removals integer) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plan text;
BEGIN
    plan := CASE WHEN body IS NULL
        THEN @extschema@._model_access_plan(document, @extschema@._model_access_state(), max_removals)
        ELSE @extschema@._model_access_plan(body, @extschema@._model_access_state(), max_removals) END;
    IF @extschema@._model_access_has_rows(plan) THEN
        PERFORM @extschema@._model_access_lock();
        IF @extschema@._model_access_head(plan) ->> 'rows_version' IS DISTINCT FROM @extschema@._model_access_rows_version() THEN
            -- rows changed before the lock was granted; now the lock keeps other sessions from changing them
            plan := CASE WHEN body IS NULL
                THEN @extschema@._model_access_plan(document, @extschema@._model_access_state(), max_removals)
                ELSE @extschema@._model_access_plan(body, @extschema@._model_access_state(), max_removals) END;
        END IF;
    END IF;
    RETURN plan;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_plan_now(bytea, text, integer) IS
    'Internal. Makes the plan for a document, which is one of both, and the present rows; keeps the lock if the plan writes.';

-- not anyelement: a function of somebody else with exactly the type of the document would be called in place of this one
CREATE FUNCTION @extschema@._model_access_run(body bytea, document text, run jsonb)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    plan    text := '';
    written @extschema@.model_access_sync_log;
BEGIN
    BEGIN
        IF NOT run ? 'outcome' THEN
            plan := @extschema@._model_access_plan_now(body, document, (run ->> 'max_removals')::integer);
            run := run || @extschema@._model_access_head(plan);
        END IF;
        written := @extschema@._model_access_apply(run, plan);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        run := run || @extschema@._model_access_locked(SQLSTATE, SQLERRM);
        written := @extschema@._model_access_apply(run, '');
    END;
    PERFORM @extschema@._model_access_warn(run || jsonb_build_object('changed_key', written.changed_key));
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_run(bytea, text, jsonb) IS
    'Internal. Does the rest of every run: plans unless the outcome is known, applies the plan, and warns.';

CREATE FUNCTION @extschema@.model_access_sync(max_removals integer DEFAULT NULL)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    run     jsonb := @extschema@._model_access_begin(max_removals);
    url     text;
    status  integer;
    body    bytea;
    problem text;
BEGIN
    IF NOT run ? 'outcome' THEN
        -- not into a record, which would be another copy of the body
        SELECT f.url, f.http_status, f.body, f.problem INTO STRICT url, status, body, problem
        FROM @extschema@._model_access_fetch() AS f;
        run := run || jsonb_build_object('url', url, 'http_status', status);
        IF problem IS NOT NULL THEN
            run := run || jsonb_build_object('outcome', 'failed', 'problem', problem::jsonb);
        END IF;
    END IF;
    RETURN @extschema@._model_access_run(body, NULL::text, run);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_sync(integer) IS
    'Fetches the catalogue, reconciles model_access with it, and returns the row of the run.';

CREATE FUNCTION @extschema@.model_access_load(document text, max_removals integer DEFAULT NULL)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    run jsonb := @extschema@._model_access_begin(max_removals);
BEGIN
    IF document IS NULL THEN
        RAISE EXCEPTION 'document must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the JSON text of a model catalogue.';
    END IF;
    RETURN @extschema@._model_access_run(NULL::bytea, document, run);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_load(text, integer) IS
    'Does what model_access_sync does, but with a document that the caller gives, the JSON text of a catalogue.';

CREATE FUNCTION @extschema@._model_access_sync_as_job() RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN @extschema@.model_access_sync(NULL::integer);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_sync_as_job() IS
    'Internal. Runs model_access_sync for a role that may run only the job.';
