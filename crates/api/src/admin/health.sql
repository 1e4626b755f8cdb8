WITH runs AS MATERIALIZED (
    SELECT run_id, to_char(started_at, 'YYYY-MM-DD HH24:MI:SS') AS started, outcome, outcome IN ('applied', 'unchanged') AS ok,
        coalesce(duration_ms, 0)::bigint AS duration_ms, listed, added, changed, missing, returned, free_revoked, withheld,
        coalesce(added + changed + missing + returned, 0)::bigint AS changes, error,
        row_number() OVER (ORDER BY run_id DESC) - 1 AS place
    FROM {s}.model_access_sync_log ORDER BY run_id DESC LIMIT 60)
SELECT json_build_object(
    'checks', (
        SELECT json_agg(json_build_object('check', h."check", 'ok', h.ok, 'detail', h.detail, 'hint', CASE h."check"
            WHEN 'last_success' THEN 'Look at the runs below, and at Next sync.'
            WHEN 'last_run' THEN 'Look at the runs below, and at Next sync.'
            WHEN 'withheld' THEN 'Next sync shows what is withheld, and can let it through.'
            WHEN 'tiers' THEN 'Choose all models in Review, and approve some for that tier.'
            WHEN 'profiles' THEN 'Bind the table of the users again: model_access_bind_profiles.'
            WHEN 'tier_column' THEN 'Revoke UPDATE of that column from ordinary roles.'
            WHEN 'privileges' THEN 'Call model_access_repair_privileges() as the owner.'
            WHEN 'size' THEN 'The setting log_retention says how long the log is kept.'
            WHEN 'schema' THEN 'Run the statement that the check gives.'
            ELSE 'Decide in Review.' END))
        FROM {s}.model_access_health() AS h),
    'runs', (SELECT coalesce(json_agg(r ORDER BY r.run_id DESC), '[]') FROM runs AS r),
    -- two rows of bars: the longest is 52 high
    'plot', (
        SELECT json_agg(json_build_object('name', p.name, 'base', p.base, 'top', p.base - 54, 'most', p.most, 'bars', (
            SELECT coalesce(json_agg(json_build_object('x', 630 - r.place * 9, 'y', p.base - b.height, 'height', b.height, 'ok', r.ok)), '[]')
            FROM runs AS r CROSS JOIN LATERAL (
                SELECT greatest(1, CASE p.name WHEN 'ms' THEN r.duration_ms ELSE r.changes END * 52 / p.most) AS height) AS b)))
        FROM (
            SELECT 'ms' AS name, 70 AS base, greatest(1, max(duration_ms)) AS most FROM runs
            UNION ALL SELECT 'changes', 140, greatest(1, max(changes)) FROM runs) AS p))::text
