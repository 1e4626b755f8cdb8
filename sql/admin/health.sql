-- One query for an alert: what is wrong, or would be soon.

CREATE FUNCTION @extschema@._model_access_job(OUT period interval, OUT active boolean, OUT last_status text, OUT last_message text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- late-bound: pg_cron may not be there
    RETURN QUERY EXECUTE $query$
        SELECT CASE
                WHEN f[5] <> '*' THEN interval '7 days' WHEN f[3] <> '*' OR f[4] <> '*' THEN interval '31 days'
                WHEN f[2] = '*' THEN interval '1 hour'
                WHEN f[2] ~ '^[*]/[0-9]+$' THEN make_interval(hours => substr(f[2], 3)::integer)
                ELSE interval '1 day' END,
            j.active, d.status, d.return_message
        FROM cron.job AS j
        CROSS JOIN LATERAL regexp_split_to_array(trim(j.schedule), '[[:space:]]+') AS f
        LEFT JOIN LATERAL (
            SELECT status, return_message FROM cron.job_run_details AS r
            WHERE r.jobid = j.jobid AND r.status IN ('succeeded', 'failed') ORDER BY r.runid DESC LIMIT 1) AS d ON true
        WHERE j.jobname = 'model_access' AND j.database = current_database()$query$;
EXCEPTION WHEN undefined_table OR invalid_schema_name OR insufficient_privilege THEN
    RETURN;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_job() IS 'Internal. The nightly job in pg_cron, how often it runs and how it last ended; no row where there is none to be seen.';

CREATE FUNCTION @extschema@._model_access_health_of_runs() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
    WITH job AS (SELECT * FROM @extschema@._model_access_job() LIMIT 1),
    -- a run may start late and take a while
    allowed AS (SELECT coalesce((SELECT period FROM job), interval '1 day') * 1.25 AS age),
    last_run AS (SELECT * FROM @extschema@.model_access_sync_log WHERE outcome <> 'skipped' ORDER BY run_id DESC LIMIT 1),
    success AS (SELECT max(started_at) AS at FROM @extschema@.model_access_sync_log WHERE outcome IN ('applied', 'unchanged'))
    SELECT 'last_success', coalesce(s.at > clock_timestamp() - a.age, false),
           CASE WHEN s.at IS NULL THEN 'no sync has succeeded yet'
                ELSE format('%s ago, %s allowed', date_trunc('second', clock_timestamp() - s.at), a.age) END
    FROM success AS s CROSS JOIN allowed AS a
    UNION ALL
    SELECT 'last_run', coalesce(bool_and(outcome IN ('applied', 'unchanged')), false),
           coalesce(string_agg(concat_ws(': ', outcome, error), ''), 'no sync has run yet') FROM last_run
    UNION ALL
    SELECT 'withheld', coalesce(bool_and(withheld = 0), true), format('removals withheld: %s', coalesce(sum(withheld), 0)) FROM last_run
    UNION ALL
    SELECT 'job', coalesce(bool_and(active AND last_status IS DISTINCT FROM 'failed'), true),
           coalesce(string_agg(concat_ws(': ', CASE WHEN NOT active THEN 'switched off in pg_cron' END, coalesce(last_status, 'scheduled, has not run yet'), last_message), ''),
               'no job of pg_cron to be seen; another scheduler is fine') FROM job
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_runs() IS 'Internal. The part of model_access_health about runs.';

CREATE FUNCTION @extschema@._model_access_health_of_profiles() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound   text := (SELECT coalesce(c.oid::regclass::text, 'a table that was dropped') FROM @extschema@.model_access_binding AS b LEFT JOIN pg_class AS c ON c.oid = b.profiles);
    writers text := @extschema@._model_access_tier_writers();
BEGIN
    IF bound IS NULL THEN
        RETURN QUERY VALUES ('profiles', true, 'no profiles are bound: models_for_user knows nobody');
    ELSIF NOT (@extschema@._model_access_is_bound() AND @extschema@._model_access_is_bound('@extschema@.model_access_profile_tiers()')) THEN
        RETURN QUERY VALUES ('profiles', false, format('the lookup of users in %s is gone, or not its owner''s: bind it again; until then no user is known', bound));
    ELSE
        RETURN QUERY
            SELECT 'profiles', count(*) = 0, format('users of %s in a tier that does not exist: %s%s', bound, coalesce(sum(t.users), 0),
                ', such as ' || quote_literal((array_agg(t.tier ORDER BY t.users DESC, t.tier))[1]))
            FROM @extschema@._model_access_ask_tiers() AS t WHERE t.tier NOT IN ('free', 'pro', 'enterprise');
        RETURN QUERY VALUES ('tier_column', writers IS NULL, coalesce('can be updated by ' || writers, 'only its owner and admins may update it directly'));
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- the lookup is its owner's affair; the other checks must be seen all the same
    RETURN QUERY VALUES ('profiles', false, format('users of %s cannot be read: %s', bound, SQLERRM));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_profiles() IS 'Internal. The part of model_access_health about the bound table.';

CREATE FUNCTION @extschema@.model_access_health() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET jit = off AS $$
    WITH review AS (SELECT * FROM @extschema@.model_access_review),
    size AS (
        SELECT pg_total_relation_size('@extschema@.model_access_history'::regclass) AS history,
               pg_total_relation_size('@extschema@.model_access_sync_log'::regclass) AS log)
    SELECT * FROM @extschema@._model_access_health_of_runs()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_profiles()
    UNION ALL
    SELECT 'review', coalesce(min(since) >= current_date - 7, true), format('waiting: %s%s', count(*), ', the oldest since ' || min(since))
    FROM review WHERE reason <> 'expiring'
    UNION ALL
    SELECT 'free_revoked', count(*) = 0, format('stopped being free, no decision yet: %s', count(*))
    FROM review WHERE reason = 'free_revoked'
    UNION ALL
    SELECT 'expiring', count(*) = 0, format('active models that expire soon: %s%s', count(*), ', ' || string_agg(model_id, ', ' ORDER BY since, model_id))
    FROM review WHERE reason = 'expiring'
    UNION ALL
    SELECT 'size', history + log < 1024 ^ 3, format('history %s, log %s', pg_size_pretty(history), pg_size_pretty(log)) FROM size
$$;
COMMENT ON FUNCTION @extschema@.model_access_health() IS 'Rows (check, ok, detail) fit for an alert: last_success, last_run, withheld, job, review (nothing waits for more than 7 days), free_revoked, expiring, profiles (no unknown tiers in the bound table), tier_column (nobody but its owner and admins may update it), size (below 1 GB).';
