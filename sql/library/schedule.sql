-- The nightly job: a procedure for any scheduler, and its entry in pg_cron where that is there.

CREATE PROCEDURE @extschema@.model_access_sync_job()
-- no SET and no SECURITY DEFINER: either would forbid COMMIT; so every name and operator is qualified
LANGUAGE plpgsql AS $$
DECLARE
    run  @extschema@.model_access_sync_log;
    code text;
BEGIN
    -- inside a transaction block this fails at once, before anything is fetched
    COMMIT;
    -- whatever the role's default is: the sync needs it
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    run := @extschema@.model_access_sync();
    -- the run row stays, whatever is raised below
    COMMIT;
    PERFORM @extschema@._model_access_prune();
    COMMIT;
    code := @extschema@._model_access_bad(run);
    IF code IS NOT NULL THEN
        RAISE EXCEPTION 'model_access sync %: %', run.outcome, run.error
            USING ERRCODE = code, DETAIL = pg_catalog.format('It is run %s of model_access_sync_log.', run.run_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE @extschema@.model_access_sync_job() IS 'For a scheduler: runs model_access_sync, commits its run row, prunes old ones, and raises if the outcome was failed or held, or skipped without a success for two days, so that the scheduler sees it. Cannot run in a transaction block.';

CREATE FUNCTION @extschema@._model_access_bad(run @extschema@.model_access_sync_log) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE run.outcome
        WHEN 'failed' THEN run.error_code
        WHEN 'held' THEN '55000'
        -- whoever holds the lock and never ends would hold up every sync unseen
        WHEN 'skipped' THEN CASE WHEN NOT EXISTS (
            SELECT FROM @extschema@.model_access_sync_log AS l
            WHERE l.outcome IN ('applied', 'unchanged') AND l.started_at > clock_timestamp() - interval '2 days')
            THEN '55006' END
    END
$$;
COMMENT ON FUNCTION @extschema@._model_access_bad(@extschema@.model_access_sync_log) IS 'Internal. The SQLSTATE that a job raises for a run; NULL where all is well.';

CREATE FUNCTION @extschema@._model_access_shell(word text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN word ~ '^[A-Za-z0-9_]+$' THEN word ELSE '''' || replace(word, '''', '''' || chr(92) || '''''') || '''' END;
COMMENT ON FUNCTION @extschema@._model_access_shell(text) IS 'Internal. A word as a shell takes it.';

CREATE FUNCTION @extschema@._model_access_require_pg_cron(schedule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    elsewhere text := nullif(current_setting('cron.database_name', true), current_database());
    call      text := 'CALL @extschema@.model_access_sync_job()';
    command   text := format('psql -X -d %s -c %s',
        @extschema@._model_access_shell(current_database()), @extschema@._model_access_shell(call));
    daily     text[] := regexp_match(schedule, '^([0-9]{1,2}) ([0-9]{1,2}) [*] [*] [*]$');
    timer     text := CASE WHEN daily IS NOT NULL THEN
        format(' For a systemd timer: OnCalendar=*-*-* %s:%s:00 and ExecStart=%s.',
            lpad(daily[2], 2, '0'), lpad(daily[1], 2, '0'), replace(command, '%', '%%')) END;
BEGIN
    IF to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)') IS NOT NULL THEN
        RETURN;
    ELSIF elsewhere IS NOT NULL THEN
        RAISE EXCEPTION 'pg_cron is in database "%", not in "%"', elsewhere, current_database()
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A server has one pg_cron, in the database that cron.database_name names.',
                  HINT = format('Run this there: SELECT cron.schedule_in_database(''model_access'', %L, %L, %L). To end it: SELECT cron.unschedule(''model_access'').',
                      schedule, call, current_database());
    END IF;
    RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
        USING ERRCODE = 'feature_not_supported',
              DETAIL = format('To have it here, add it to the preloaded libraries (shared_preload_libraries = ''pg_cron'') and set cron.database_name = ''%s'' in postgresql.conf, restart, and run CREATE EXTENSION pg_cron.', current_database()),
              HINT = format('Without it, put this line into a crontab: %s %s.%s', schedule, replace(command, '%', chr(92) || '%'), timer);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_require_pg_cron(text) IS 'Internal. Error 0A000 where pg_cron 1.4 or later is not there, with what to set and what to use in its place.';

CREATE FUNCTION @extschema@.model_access_unschedule() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job     bigint;
    removed boolean := false;
BEGIN
    PERFORM @extschema@._model_access_require_pg_cron('17 3 * * *');
    FOR job IN SELECT j.jobid FROM cron.job AS j WHERE j.jobname = 'model_access' AND j.database = current_database() LOOP
        removed := cron.unschedule(job) OR removed;
    END LOOP;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_unschedule() IS 'Removes the nightly job from pg_cron; false where there was none. Error 0A000 without pg_cron. Owner only.';

CREATE FUNCTION @extschema@.model_access_schedule(schedule text DEFAULT '17 3 * * *', role regrole DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_require_pg_cron(schedule);
    IF role IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'there is no role %', role
            USING ERRCODE = 'undefined_object', HINT = 'NULL schedules as the current role.';
    ELSIF NOT has_function_privilege(role, '@extschema@.model_access_sync_job()', 'EXECUTE') THEN
        RAISE EXCEPTION 'role % may not run the job', role
            USING ERRCODE = 'insufficient_privilege', HINT = format('SELECT @extschema@.model_access_grant(%L, ''job'')', role::text);
    END IF;
    -- pg_cron keeps one job per name and role; here there is one per database
    PERFORM @extschema@.model_access_unschedule();
    RETURN cron.schedule_in_database('model_access', schedule, 'CALL @extschema@.model_access_sync_job()',
        current_database(), (SELECT rolname FROM pg_roles WHERE oid = role OR (role IS NULL AND rolname = current_user)), true);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_schedule(text, regrole) IS 'Schedules CALL model_access_sync_job() with pg_cron and returns its job id; a second call replaces the first. schedule: minute hour day month weekday, in GMT unless cron.timezone says otherwise. role: who runs it, by default who schedules it; rights job are all it needs. Error 0A000 without pg_cron. Owner only.';
