-- A catalogue enters: fetched by model_access_sync, or in hand by model_access_load. Both end in one run.

COMMENT ON FUNCTION @extschema@._model_access_fetch() IS 'Internal. Fetches model_access.url within its limits; problem is NULL where body is not.';
COMMENT ON FUNCTION @extschema@._model_access_plan(bytea, text, integer) IS 'Internal. The plan for a document on a state, as JSON; a document that is no catalogue gives a plan with outcome failed.';

CREATE FUNCTION @extschema@._model_access_begin(max_removals integer) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    primary_server text;
    run            jsonb;
BEGIN
    IF pg_is_in_recovery() THEN
        SELECT format(' at %s port %s', sender_host, sender_port) INTO primary_server
        FROM pg_stat_wal_receiver WHERE sender_host IS NOT NULL;
        RAISE EXCEPTION 'cannot sync model_access on a standby'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = format('Run it on the primary%s; the rows arrive here by replication.', primary_server);
    ELSIF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'cannot sync model_access in a read-only transaction'
            USING ERRCODE = 'read_only_sql_transaction', HINT = 'Start the transaction READ WRITE.';
    ELSIF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot sync model_access in a % transaction', upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its snapshot is older than the decisions that must not be lost.',
                  HINT = 'Run it in a READ COMMITTED transaction.';
    ELSIF max_removals < 0 THEN
        RAISE EXCEPTION 'max_removals must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL leaves the decision to max_removal_percent.';
    END IF;
    run := jsonb_build_object('started_at', clock_timestamp(), 'max_removals', max_removals);
    IF NOT pg_try_advisory_xact_lock(hashtext('model_access'), hashtext('sync')) THEN
        run := run || jsonb_build_object('outcome', 'skipped', 'problem', jsonb_build_object(
            'code', '55006', 'message', 'another sync is running', 'hint', 'Wait for it, and look at its run row.'));
    END IF;
    RETURN run;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_begin(integer) IS 'Internal. Checks that a run can be recorded here and is the only one, before anything is fetched; returns the beginning of its run row.';

CREATE FUNCTION @extschema@._model_access_warn(run jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    problem  jsonb := nullif(run -> 'problem', 'null');
    unusable jsonb := coalesce(run -> 'unusable', '[]');
    message  text := format('model_access sync %s: %s', run ->> 'outcome', problem ->> 'message');
    source   text := CASE WHEN strpos(message, run ->> 'url') = 0 THEN format('It came from %s.', run ->> 'url') END;
    detail   text := nullif(concat_ws(' ', problem ->> 'detail', source), '');
    hint     text := coalesce(problem ->> 'hint', 'No row was touched. Look at the document, and at what stands between it and here.');
BEGIN
    IF problem IS NULL THEN
        NULL;
    ELSIF detail IS NOT NULL THEN
        RAISE WARNING USING MESSAGE = message, DETAIL = detail, HINT = hint;
    ELSE
        RAISE WARNING USING MESSAGE = message, HINT = hint;
    END IF;
    IF unusable <> '[]' THEN
        RAISE WARNING USING
            MESSAGE = format('model_access sync: %s entries of the list cannot be used', jsonb_array_length(unusable)),
            DETAIL = format('The first one is %s: %s.', coalesce(unusable #>> '{0,id}', 'without a usable id'), unusable #>> '{0,reason}'),
            HINT = 'Their rows stay as they are; column unusable of the run row names them.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_warn(jsonb) IS 'Internal. Raises a WARNING for what a run could not do.';

CREATE FUNCTION @extschema@._model_access_plan_now(document bytea, max_removals integer) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    plan jsonb;
BEGIN
    plan := @extschema@._model_access_plan(document, @extschema@._model_access_state()::text, max_removals);
    IF plan -> 'insert' <> '[]' OR plan -> 'update' <> '[]' THEN
        PERFORM @extschema@._model_access_lock();
        -- again, on the rows as they are under the lock
        plan := @extschema@._model_access_plan(document, @extschema@._model_access_state()::text, max_removals);
    END IF;
    RETURN plan;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN jsonb_build_object('outcome', 'failed', 'insert', '[]'::jsonb, 'update', '[]'::jsonb, 'problem', jsonb_build_object(
        'code', SQLSTATE, 'message', 'could not lock model_access: ' || SQLERRM,
        'hint', 'Another session holds a lock on it, see pg_locks; the next run tries again.'));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_plan_now(bytea, integer) IS 'Internal. The plan for a document on the rows as they are; where it writes, made under the lock.';

CREATE FUNCTION @extschema@._model_access_run(document bytea, run jsonb)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT run ? 'outcome' THEN
        run := run || @extschema@._model_access_plan_now(document, (run ->> 'max_removals')::integer);
    END IF;
    PERFORM @extschema@._model_access_warn(run);
    RETURN @extschema@.model_access_apply(run);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_run(bytea, jsonb) IS 'Internal. The end of every run: plan unless the outcome is known, warn, apply.';

CREATE FUNCTION @extschema@.model_access_sync(max_removals integer DEFAULT NULL)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run     jsonb := @extschema@._model_access_begin(max_removals);
    fetched record;
    body    bytea;
BEGIN
    IF NOT run ? 'outcome' THEN
        SELECT * INTO STRICT fetched FROM @extschema@._model_access_fetch();
        body := fetched.body;
        run := run || jsonb_build_object('url', fetched.url, 'http_status', fetched.http_status);
        IF fetched.problem IS NOT NULL THEN
            run := run || jsonb_build_object('outcome', 'failed', 'problem', fetched.problem::jsonb);
        END IF;
    END IF;
    RETURN @extschema@._model_access_run(body, run);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_sync(integer) IS 'Fetches the catalogue, reconciles model_access with it and returns the run row. max_removals lets up to that many removals through whatever the guard says, once. A bad upstream gives outcome failed and a WARNING; errors are 25006 on a standby or read-only, 0A000 above READ COMMITTED, 22023 for a negative max_removals.';

CREATE FUNCTION @extschema@.model_access_load(document text, max_removals integer DEFAULT NULL)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run jsonb := @extschema@._model_access_begin(max_removals);
BEGIN
    IF document IS NULL THEN
        RAISE EXCEPTION 'document must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the JSON text of a model catalogue.';
    END IF;
    RETURN @extschema@._model_access_run(convert_to(document, 'UTF8'), run);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_load(text, integer) IS 'Does what model_access_sync does, with a document in hand: the JSON text of a catalogue. Owner only: whoever may load can forge upstream columns.';
