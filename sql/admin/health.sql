-- One query for alerts: it shows what is wrong, and what will soon be wrong.

CREATE FUNCTION @extschema@._model_access_health_of_runs() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
    -- a run may start late and take a while, and a day has 25 hours when daylight saving time ends
    WITH allowed AS (
        SELECT value::interval + interval '90 minutes' AS age
        FROM @extschema@.model_access_settings WHERE name = 'sync_interval'),
    last_run AS (SELECT * FROM @extschema@.model_access_sync_log WHERE outcome <> 'skipped' ORDER BY run_id DESC LIMIT 1),
    -- the last by its number: a clock that was ahead must not hide later runs. The clock of a standby may be a little behind.
    success AS (
        SELECT max(s.at) AS at, max(s.at) > clock_timestamp() + interval '1 minute' AS is_ahead FROM (
            SELECT started_at FROM @extschema@.model_access_sync_log WHERE outcome IN ('applied', 'unchanged')
            ORDER BY run_id DESC LIMIT 1) AS s(at))
    SELECT 'last_success', coalesce(s.at > clock_timestamp() - a.age AND NOT s.is_ahead, false),
        CASE WHEN s.at IS NULL THEN 'no sync has succeeded yet'
             WHEN s.is_ahead THEN format('in the future, at %s: the clock was set back, or the log is from another server', s.at)
             ELSE format('%s ago, %s allowed', date_trunc('second', clock_timestamp() - s.at), a.age) END
    FROM success AS s CROSS JOIN allowed AS a
    UNION ALL
    SELECT 'last_run', coalesce(bool_and(outcome IN ('applied', 'unchanged')), false),
        coalesce(string_agg(concat_ws(': ', outcome, error), ''), 'no sync has run yet')
    FROM last_run
    UNION ALL
    SELECT 'withheld', coalesce(bool_and(withheld = 0), true),
        format('withheld from the last list: %s', coalesce(sum(withheld), 0))
    FROM last_run
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_runs() IS 'Internal. Gives the checks of model_access_health about runs.';

CREATE FUNCTION @extschema@._model_access_health_of_tiers() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- a tier that had active models and has no active model left, because of what syncs took
    SELECT 'tiers', count(t.tier) = 0, coalesce(
        'no model is left in tier ' || string_agg(t.tier, ', ' ORDER BY t.tier), 'no tier has lost its last model')
    FROM (
        SELECT f.tier FROM @extschema@.model_access AS m
        CROSS JOIN LATERAL unnest(@extschema@._model_access_tiers_of(m)
            || CASE WHEN m.free_revoked_at IS NOT NULL THEN '{free}'::text[] END) AS f(tier)
        WHERE (m.status = 'active' OR m.status_before_missing = 'active' OR m.price_guarded_at IS NOT NULL)
        GROUP BY f.tier
        HAVING NOT bool_or(m.status = 'active' AND m.missing_since IS NULL AND (f.tier <> 'free' OR m.is_free))) AS t
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_tiers() IS 'Internal. Gives the check tiers of model_access_health.';

CREATE FUNCTION @extschema@._model_access_health_of_profiles() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound   regclass := (SELECT b.profiles FROM @extschema@.model_access_binding AS b);
    problem text     := @extschema@._model_access_binding_error();
    writers text     := @extschema@._model_access_tier_writers();
    unknown text;
    silent  text     := (SELECT '; bound with notify => false, so caches learn of a changed tier only when their entries expire'
                         FROM @extschema@.model_access_binding AS b WHERE NOT b.notify);
BEGIN
    IF bound IS NULL THEN
        RETURN QUERY VALUES ('profiles', true, 'no table is bound: models_for_user knows no user');
        RETURN;
    ELSIF problem IS NOT NULL THEN
        RETURN QUERY VALUES ('profiles', false, format('users cannot be looked up: %s; bind the table again', problem));
    ELSE
        unknown := @extschema@._model_access_users_without_tier();
        RETURN QUERY VALUES (
            'profiles', unknown IS NULL, format('users of %s in unknown tiers: %s%s', bound, coalesce(unknown, '0'), silent));
    END IF;
    RETURN QUERY VALUES ('tier_column', writers IS NULL,
        coalesce('can be updated by ' || writers, 'only its owner and admins may update it directly'));
EXCEPTION WHEN OTHERS THEN
    -- reading the table runs code of its owner; an error there must not hide the other checks
    RETURN QUERY VALUES ('profiles', false, format('users of %s cannot be read: %s', bound, SQLERRM));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_profiles() IS
    'Internal. Gives the checks of model_access_health about the bound table.';

CREATE FUNCTION @extschema@._model_access_health_checks() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH review AS (SELECT reason, since, model_id FROM @extschema@.model_access_review),
    size AS (
        SELECT pg_total_relation_size('@extschema@.model_access_history'::regclass) AS history,
               pg_total_relation_size('@extschema@.model_access_sync_log'::regclass) AS log)
    SELECT * FROM @extschema@._model_access_health_of_runs()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_tiers()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_profiles()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_privileges()
    UNION ALL
    SELECT 'review', coalesce(min(since) >= current_date - 7, true),
        format('waiting: %s%s', count(*), ', the oldest since ' || min(since))
    FROM review WHERE reason <> 'expiring'
    UNION ALL
    SELECT 'free_revoked', count(*) = 0, format('no longer free and not yet decided: %s', count(*))
    FROM review WHERE reason = 'free_revoked'
    UNION ALL
    SELECT 'expiring', count(*) = 0, format('active models that expire soon or have expired: %s%s',
        count(*), ', ' || string_agg(model_id, ', ' ORDER BY since, model_id))
    FROM review WHERE reason = 'expiring'
    UNION ALL
    SELECT 'size', history + log < 1024 ^ 3, format('history %s, log %s', pg_size_pretty(history), pg_size_pretty(log)) FROM size
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_checks() IS 'Internal. Gives every check of model_access_health but schema.';

CREATE FUNCTION @extschema@.model_access_health() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET jit = off
BEGIN ATOMIC
    -- a body of BEGIN ATOMIC refers to functions by oid, so it works even where the others name a schema that was renamed
    WITH schema AS (
        SELECT n.nspname AS present, (parse_ident('@extschema@'))[1] AS installed
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = '@extschema@.model_access'::regclass)
    SELECT 'schema', s.present = s.installed,
        CASE WHEN s.present = s.installed THEN format('the schema is %I, as at the install', s.present)
             ELSE format('the schema was %I at the install, and functions need that name: ALTER SCHEMA %I RENAME TO %1$I',
                 s.installed, s.present) END
    FROM schema AS s
    UNION ALL
    SELECT h."check", h.ok, h.detail FROM @extschema@._model_access_health_checks() AS h
    WHERE (SELECT s.present = s.installed FROM schema AS s);
END;
COMMENT ON FUNCTION @extschema@.model_access_health() IS
    'Gives one row (check, ok, detail) for each check of the runs, the review, the bound table, the privileges and the size.';
