-- The nightly job: a procedure for any scheduler, and its entry in pg_cron where that is there.

CREATE PROCEDURE @extschema@.model_access_sync_job()
-- no SET and no SECURITY DEFINER: either would forbid COMMIT; so every name is qualified
LANGUAGE plpgsql AS $$
DECLARE
    run @extschema@.model_access_sync_log;
BEGIN
    -- inside a transaction block this fails at once, before anything is fetched
    COMMIT;
    run := @extschema@.model_access_sync();
    -- the run row stays, whatever is raised below
    COMMIT;
    PERFORM @extschema@._model_access_prune();
    COMMIT;
    IF run.outcome OPERATOR(pg_catalog.=) 'failed' OR run.outcome OPERATOR(pg_catalog.=) 'held' THEN
        RAISE EXCEPTION 'model_access sync %: %', run.outcome, run.error
            USING ERRCODE = CASE run.outcome WHEN 'held' THEN 'object_not_in_prerequisite_state' ELSE run.error_code END,
                  DETAIL = pg_catalog.format('It is run %s of model_access_sync_log.', run.run_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE @extschema@.model_access_sync_job() IS 'For a scheduler: runs model_access_sync, commits its run row, prunes old ones, and raises if the outcome was failed or held, so that the scheduler sees it. Cannot run in a transaction block.';

CREATE FUNCTION @extschema@._model_access_require_pg_cron(schedule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command  text := format('psql -X -d %s -c "CALL @extschema@.model_access_sync_job()"', quote_ident(current_database()));
    daily    text[] := regexp_match(schedule, '^(\d{1,2}) (\d{1,2}) \* \* \*$');
    timer    text := CASE WHEN daily IS NOT NULL THEN
        format(' For a systemd timer: OnCalendar=*-*-* %s:%s:00 and ExecStart=%s.', lpad(daily[2], 2, '0'), lpad(daily[1], 2, '0'), command) END;
BEGIN
    IF to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)') IS NULL THEN
        RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = format('To have it here, set shared_preload_libraries = ''pg_cron'' and cron.database_name = ''%s'' in postgresql.conf, restart, and run CREATE EXTENSION pg_cron.', current_database()),
                  HINT = format('Without it, put this line into a crontab: %s %s.%s', schedule, command, timer);
    END IF;
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
    -- pg_cron keeps one job per name and role; here there is one per database
    PERFORM @extschema@.model_access_unschedule();
    RETURN cron.schedule_in_database('model_access', schedule, 'CALL @extschema@.model_access_sync_job()',
        current_database(), (SELECT rolname FROM pg_roles WHERE oid = role OR (role IS NULL AND rolname = current_user)), true);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_schedule(text, regrole) IS 'Schedules CALL model_access_sync_job() with pg_cron and returns its job id; a second call replaces the first. schedule: minute hour day month weekday, in GMT unless cron.timezone says otherwise. role: who runs it, by default who schedules it; rights job are all it needs. Error 0A000 without pg_cron. Owner only.';
