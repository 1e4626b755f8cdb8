-- The nightly job: a procedure for any scheduler, and its job in pg_cron where that is installed.

CREATE PROCEDURE @extschema@.model_access_sync_job()
-- no SET and no SECURITY DEFINER: either would forbid COMMIT; so every name, type and operator is qualified
LANGUAGE plpgsql AS $$
DECLARE
    run  @extschema@.model_access_sync_log;
    code pg_catalog.text;
BEGIN
    -- inside a transaction block, this fails before anything is fetched
    COMMIT;
    -- the sync needs it, whatever the default of the role is
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    run := @extschema@._model_access_sync_as_job();
    -- keeps the run row, even if an error is raised below
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
COMMENT ON PROCEDURE @extschema@.model_access_sync_job() IS
    'Runs model_access_sync for a scheduler, commits its run row, and raises an error if it failed, was held or is long overdue.';

CREATE FUNCTION @extschema@._model_access_bad(run @extschema@.model_access_sync_log) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE run.outcome
        WHEN 'failed' THEN run.error_code
        WHEN 'held' THEN '55000'
        -- otherwise nobody would notice a session that holds the lock for ever and so prevents every sync
        WHEN 'skipped' THEN CASE WHEN NOT EXISTS (
            SELECT FROM @extschema@.model_access_sync_log AS l
            WHERE l.outcome IN ('applied', 'unchanged')
              AND l.started_at BETWEEN clock_timestamp() - interval '2 days' AND clock_timestamp())
            THEN '55006' END
    END
$$;
COMMENT ON FUNCTION @extschema@._model_access_bad(@extschema@.model_access_sync_log) IS
    'Internal. Gives the SQLSTATE that the job raises for a run; NULL = it raises no error.';

CREATE FUNCTION @extschema@._model_access_shell(word text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN word ~ '^[A-Za-z0-9_]+$' THEN word ELSE '''' || replace(word, '''', '''' || chr(92) || '''''') || '''' END;
COMMENT ON FUNCTION @extschema@._model_access_shell(text) IS 'Internal. Quotes a word for a shell.';

CREATE FUNCTION @extschema@._model_access_cron_field(field text, lowest integer, highest integer, names text[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part   text;
    name   text;
    range  text[];
    starts integer;
    ends   integer;
    found  integer[] := '{}';
BEGIN
    IF field IS NULL THEN
        RETURN NULL;
    END IF;
    FOREACH part IN ARRAY string_to_array(lower(field), ',') LOOP
        FOREACH name IN ARRAY names LOOP
            part := replace(part, name, (array_position(names, name) - 1 + lowest)::text);
        END LOOP;
        range := regexp_match(part, '^(?:([*])|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?$');
        starts := coalesce(range[2]::integer, lowest);
        ends := coalesce(range[3]::integer, range[2]::integer, highest);
        IF range IS NULL OR starts < lowest OR ends > highest OR starts > ends OR range[4]::integer = 0
            OR (range[4] IS NOT NULL AND range[2] IS NOT NULL AND range[3] IS NULL) THEN
            RETURN NULL;
        END IF;
        found := found || ARRAY(SELECT generate_series(starts, ends, coalesce(range[4]::integer, 1)));
    END LOOP;
    RETURN nullif(found, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_cron_field(text, integer, integer, text[]) IS
    'Internal. Gives the numbers that a field of a cron schedule names; NULL if it is not understood.';

CREATE FUNCTION @extschema@._model_access_longest_gap(schedule text) RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f        text[] := regexp_split_to_array(trim(CASE lower(trim(schedule))
        WHEN '@hourly' THEN '0 * * * *'
        WHEN '@daily' THEN '0 0 * * *'
        WHEN '@midnight' THEN '0 0 * * *'
        WHEN '@weekly' THEN '0 0 * * 0'
        WHEN '@monthly' THEN '0 0 1 * *'
        WHEN '@yearly' THEN '0 0 1 1 *'
        WHEN '@annually' THEN '0 0 1 1 *'
        ELSE schedule END), '[[:space:]]+');
    minutes  integer[] := @extschema@._model_access_cron_field(f[1], 0, 59, '{}'::text[]);
    hours    integer[] := @extschema@._model_access_cron_field(f[2], 0, 23, '{}'::text[]);
    days     integer[] := @extschema@._model_access_cron_field(f[3], 1, 31, '{}'::text[]);
    months   integer[] := @extschema@._model_access_cron_field(
        f[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'::text[]);
    weekdays integer[] := @extschema@._model_access_cron_field(f[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}'::text[]);
BEGIN
    IF cardinality(f) = 2 AND f[1] ~ '^[0-9]{1,2}$' AND lower(f[2]) IN ('second', 'seconds') THEN
        RETURN make_interval(secs => f[1]::integer);
    ELSIF cardinality(f) <> 5 OR minutes IS NULL OR hours IS NULL OR days IS NULL OR months IS NULL OR weekdays IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (
        WITH date AS (
            -- nine years hold every leap day and every first of a month on every weekday
            SELECT d::date AS day, extract(day FROM d) = ANY (days) AS is_day,
                extract(dow FROM d) = ANY (weekdays) OR extract(isodow FROM d) = ANY (weekdays) AS is_weekday
            FROM generate_series(date '2023-01-01', date '2032-01-01', interval '1 day') AS d
            WHERE extract(month FROM d) = ANY (months)),
        day AS (
            -- cron's rule: if both fields restrict the days, a day that matches either of them counts
            SELECT d.day FROM date AS d
            WHERE CASE WHEN f[3] LIKE '*%' OR f[5] LIKE '*%' THEN d.is_day AND d.is_weekday ELSE d.is_day OR d.is_weekday END),
        minute AS (SELECT DISTINCT h * 60 + m AS minute FROM unnest(hours) AS h, unnest(minutes) AS m),
        gap AS (
            SELECT lead(minute) OVER (ORDER BY minute) - minute AS minutes FROM minute
            UNION ALL
            SELECT (lead(day) OVER (ORDER BY day) - day) * 1440 + (SELECT min(minute) - max(minute) FROM minute) FROM day)
        SELECT make_interval(days => max(g.minutes) / 1440, mins => max(g.minutes) % 1440) FROM gap AS g
        HAVING (SELECT count(*) FROM day) > 1);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_longest_gap(text) IS
    'Internal. Gives the longest time between two runs of a cron schedule; NULL if it is not understood.';

CREATE FUNCTION @extschema@._model_access_has_pg_cron() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- any role can create objects with these names, so they must be members of the extension
    SELECT count(*) = 3 FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_cron'
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND (d.classid, d.objid) IN (
        ('pg_class'::regclass, to_regclass('cron.job')),
        ('pg_proc'::regclass, to_regprocedure('cron.unschedule(bigint)')),
        ('pg_proc'::regclass, to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)')));
END;
COMMENT ON FUNCTION @extschema@._model_access_has_pg_cron() IS
    'Internal. Tells whether pg_cron 1.4 or later is installed in this database.';

CREATE FUNCTION @extschema@._model_access_job_name() RETURNS text
LANGUAGE sql STABLE
-- pg_cron keeps the jobs of every database of a server in one list
RETURN 'model_access in ' || current_database();
COMMENT ON FUNCTION @extschema@._model_access_job_name() IS 'Internal. Gives the name of the job in pg_cron.';

CREATE FUNCTION @extschema@._model_access_crontab_line(schedule text, call text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text   := format('psql -X -d %s -c %s',
        @extschema@._model_access_shell(current_database()::text), @extschema@._model_access_shell(call));
    daily   text[] := regexp_match(schedule, '^([0-9]{1,2}) ([0-9]{1,2}) [*] [*] [*]$');
BEGIN
    RETURN concat(
        format('Without it, put this line into a crontab: %s %s.', schedule, replace(command, '%', chr(92) || '%')),
        CASE WHEN daily IS NOT NULL THEN
            format(' For a systemd timer: OnCalendar=*-*-* %s:%s:00 and ExecStart=%s.',
                lpad(daily[2], 2, '0'), lpad(daily[1], 2, '0'), replace(command, '%', '%%')) END);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_crontab_line(text, text) IS 'Internal. Says how cron or systemd can run the job.';

CREATE FUNCTION @extschema@._model_access_require_pg_cron(schedule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    elsewhere text := nullif(current_setting('cron.database_name', true), current_database());
    call      text := 'CALL @extschema@.model_access_sync_job()';
    due       text := (SELECT format(' Then tell health how often it runs: SELECT %s.model_access_set(''sync_interval'', %L).',
                           '@extschema@', gap)
                       FROM @extschema@._model_access_longest_gap(schedule) AS gap WHERE gap <> interval '1 day');
BEGIN
    IF @extschema@._model_access_has_pg_cron() THEN
        RETURN;
    ELSIF elsewhere IS NOT NULL THEN
        RAISE EXCEPTION 'pg_cron is in database "%", not in "%"', elsewhere, current_database()
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A server has one pg_cron, in the database that cron.database_name names.',
                  HINT = concat(format('Run this there: SELECT cron.schedule_in_database(%L, %L, %L, %L). '
                                       'To end it: SELECT cron.unschedule(%1$L).',
                      @extschema@._model_access_job_name(), schedule, call, current_database()), due);
    END IF;
    RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
        USING ERRCODE = 'feature_not_supported',
              DETAIL = format('To install it here, set shared_preload_libraries = ''pg_cron'' (beside libraries that are named '
                              'there) and cron.database_name = ''%s'' in postgresql.conf, restart, and run CREATE EXTENSION '
                              'pg_cron.', current_database()),
              HINT = concat(@extschema@._model_access_crontab_line(schedule, call), due);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_require_pg_cron(text) IS
    'Internal. Raises error 0A000, with what to do instead, where pg_cron 1.4 or later is not in this database.';

CREATE FUNCTION @extschema@.model_access_unschedule() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job     bigint;
    removed boolean := false;
BEGIN
    PERFORM @extschema@._model_access_require_pg_cron('17 3 * * *'::text);
    FOR job IN
        SELECT j.jobid FROM cron.job AS j
        WHERE j.jobname = @extschema@._model_access_job_name() AND j.database = current_database()
    LOOP
        removed := cron.unschedule(job::bigint) OR removed;
    END LOOP;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_unschedule() IS
    'Removes the job of this database from pg_cron; false if pg_cron had no such job.';

CREATE FUNCTION @extschema@.model_access_schedule(schedule text DEFAULT '17 3 * * *', role regrole DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gap text := @extschema@._model_access_longest_gap(schedule)::text;
    job bigint;
BEGIN
    PERFORM @extschema@._model_access_require_pg_cron(schedule);
    IF role IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role
            USING ERRCODE = 'undefined_object', HINT = 'Pass NULL to schedule it as the current role.';
    ELSIF NOT has_function_privilege(role, '@extschema@.model_access_sync_job()', 'EXECUTE') THEN
        RAISE EXCEPTION 'role % may not run the job', role
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Grant it: SELECT %s.model_access_grant(%L, ''job'')', '@extschema@', role::text);
    END IF;
    -- pg_cron allows one job per name and role; this extension has one per database
    PERFORM @extschema@.model_access_unschedule();
    job := cron.schedule_in_database(
        @extschema@._model_access_job_name(), schedule, 'CALL @extschema@.model_access_sync_job()'::text,
        current_database()::text,
        (SELECT r.rolname::text FROM pg_roles AS r WHERE r.oid = role OR (role IS NULL AND r.rolname = current_user)), true);
    IF gap IS NULL THEN
        RAISE NOTICE 'sync_interval is not changed'
            USING DETAIL = format('The longest time between two runs cannot be derived from "%s".', schedule),
                  HINT = 'Set it with model_access_set, so that health knows when a sync is late.';
    ELSE
        PERFORM @extschema@.model_access_set('sync_interval'::text, gap);
        RAISE NOTICE 'sync_interval is set to %', gap USING DETAIL = 'It is the longest time between two runs of this schedule.';
    END IF;
    RETURN job;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_schedule(text, regrole) IS
    'Schedules CALL model_access_sync_job() with pg_cron, in place of an earlier schedule, and returns the job id.';
