-- The first and the last steps of every run, for a fetched list and for a given one.

CREATE TABLE @extschema@._model_access_run_lock ();
COMMENT ON TABLE @extschema@._model_access_run_lock IS
    'Internal. Has no rows; each run locks it, so that only one runs at a time.';

CREATE FUNCTION @extschema@._model_access_lock_run() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a table, because anybody who connects could hold an advisory lock;
    -- this mode does not conflict with pg_dump and assigns no transaction id
    LOCK TABLE @extschema@._model_access_run_lock IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
    RETURN NULL;
EXCEPTION WHEN lock_not_available THEN
    RETURN coalesce((
        SELECT format('Process %s holds the lock of a run.', l.pid) FROM pg_locks AS l
        WHERE l.locktype = 'relation' AND l.relation = '@extschema@._model_access_run_lock'::regclass AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
          AND l.mode <> 'AccessShareLock' LIMIT 1), 'The other run has ended since.');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock_run() IS
    'Internal. Takes the lock of a run until the transaction ends and returns NULL, or says who holds it.';

CREATE FUNCTION @extschema@._model_access_begin(max_removals integer) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder text;
    run    jsonb;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'cannot sync model_access on a standby'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = format('Run the sync on the primary%s. Replication brings its changes here.',
                      ' at ' || @extschema@._model_access_primary());
    ELSIF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'cannot sync model_access in a read-only transaction'
            USING ERRCODE = 'read_only_sql_transaction', HINT = 'Run the sync in a READ WRITE transaction.';
    ELSIF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot sync model_access in a % transaction', upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its snapshot would miss decisions committed since it began.',
                  HINT = 'Run the sync in a READ COMMITTED transaction.';
    ELSIF max_removals < 0 THEN
        RAISE EXCEPTION 'max_removals must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass NULL to let max_removal_percent decide.';
    END IF;
    run := jsonb_build_object('started_at', clock_timestamp(), 'max_removals', max_removals);
    holder := @extschema@._model_access_lock_run();
    IF holder IS NOT NULL THEN
        run := run || jsonb_build_object('outcome', 'skipped', 'problem', jsonb_build_object(
            'code', '55006', 'message', 'another sync is running', 'detail', holder,
            'hint', 'Wait until it ends, and read its run row.'));
    END IF;
    RETURN run;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_begin(integer) IS
    'Internal. Checks that a run is possible and that no other one is running, and returns the first columns of its run row.';

CREATE FUNCTION @extschema@._model_access_warn(run jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    problem  jsonb := nullif(run -> 'problem', 'null');
    unusable jsonb := coalesce(run -> 'unusable', '[]');
    message  text := format('model_access sync %s: %s', run ->> 'outcome', problem ->> 'message');
    source   text := format('The list came from %s.', run ->> 'url');
    hint     text := coalesce(problem ->> 'hint', 'No row was changed. Check the document and any proxy in between.');
    detail   text;
BEGIN
    IF run ->> 'url' IS NULL OR strpos(message, run ->> 'url') > 0 THEN
        source := NULL;
    END IF;
    detail := nullif(concat_ws(' ', problem ->> 'detail', source), '');
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
            DETAIL = concat_ws(' ', format('The first one %s: %s.',
                coalesce('is ' || (unusable #>> '{0,id}'), 'has no usable id'), unusable #>> '{0,reason}'), source),
            HINT = 'Read column unusable of the run row. The rows of these models stay as they are.';
    END IF;
    IF run ->> 'changed_key' IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = format('model_access sync: the key "%s" changed in most entries of the list', run ->> 'changed_key'),
            DETAIL = concat_ws(' ', format('The run changed %s of %s known models.', run ->> 'changed',
                (run ->> 'listed')::integer - (run ->> 'added')::integer), source),
            HINT = CASE WHEN @extschema@._model_access_keys(run ->> 'changed_key') IS NULL
                THEN 'Compare some models with what their providers publish before you approve any model.'
                ELSE 'If the upstream fills this key with measurements, add it to the setting ignored_keys.' END;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_warn(jsonb) IS 'Internal. Raises a WARNING for each problem of a run.';

CREATE FUNCTION @extschema@._model_access_locked(code text, message text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('outcome', 'failed', 'insert', '[]'::jsonb, 'update', '[]'::jsonb,
        'problem', jsonb_build_object('code', code, 'message', 'could not lock model_access: ' || message,
            'hint', concat_ws(' ', h.holders, 'The next run tries again.')),
        'listed', 0, 'added', 0, 'changed', 0, 'missing', 0, 'returned', 0, 'free_revoked', 0, 'withheld', 0)
    FROM @extschema@._model_access_lock_holders(ARRAY['@extschema@.model_access'::regclass]::oid[], '{}'::oid[]) AS h;
END;
COMMENT ON FUNCTION @extschema@._model_access_locked(text, text) IS
    'Internal. Gives the plan of a run that failed because another session had locked model_access.';

CREATE FUNCTION @extschema@._model_access_prune() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH pruned AS (
        DELETE FROM @extschema@.model_access_sync_log
        WHERE started_at < clock_timestamp()
              - (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'log_retention')
          -- health reads the last success and the last run, however old they are
          AND run_id <> (SELECT coalesce(max(run_id), 0) FROM @extschema@.model_access_sync_log
                         WHERE outcome IN ('applied', 'unchanged'))
          AND run_id <> (SELECT max(run_id) FROM @extschema@.model_access_sync_log)
          -- return_window and the three days of the guard are counted in complete lists
          AND NOT (complete AND started_at > clock_timestamp() - interval '4 days'
              - (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'return_window'))
        RETURNING 1)
    SELECT count(*) FROM pruned
$$;
COMMENT ON FUNCTION @extschema@._model_access_prune() IS
    'Internal. Deletes run rows that log_retention does not keep, and returns their number.';
