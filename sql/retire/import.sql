-- Before such a column is retired: shows which users would lose which model, and adds overrides that keep them for a time.

CREATE FUNCTION @extschema@._model_access_import_lists(profiles regclass, column_name name, id_column name, tier_column name)
RETURNS TABLE (user_id text, tier text, list jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- output functions print keys and tiers, because any role can make a cast; one row for each user, because lists are long
    SELECT @extschema@._model_access_user_key(r[1]), coalesce(b.tier_map ->> r[2], r[2]), r[3]::jsonb
    FROM @extschema@._model_access_read(profiles::oid,
        ARRAY[format('concat(p.%I)', id_column), format('CASE WHEN p.%1$I IS NOT NULL THEN concat(p.%1$I) END', tier_column),
            format('to_jsonb(p.%I)', column_name)]::text[],
        -- a row without a key belongs to no user
        format('FROM %s AS p WHERE concat(p.%I) <> ''''', profiles, id_column)) AS r
    LEFT JOIN @extschema@.model_access_binding AS b ON b.profiles = _model_access_import_lists.profiles
$$;
COMMENT ON FUNCTION @extschema@._model_access_import_lists(regclass, name, name, name) IS
    'Internal. Lists the users of a table with their tiers and the contents of a column.';

CREATE FUNCTION @extschema@._model_access_import_rows(profiles regclass, column_name name, id_column name, tier_column name)
RETURNS TABLE (user_id text, model_id text, finding text, tier text, loses boolean, is_open boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH listed AS MATERIALIZED (
        SELECT l.user_id AS id, l.tier, l.list, CASE jsonb_typeof(l.list) WHEN 'array' THEN l.list
            WHEN 'null' THEN '[]' ELSE jsonb_build_array(NULL) END AS items
        FROM @extschema@._model_access_import_lists(profiles, column_name, id_column, tier_column) AS l),
    had AS (
        SELECT DISTINCT l.id, l.tier, e.model_id, CASE
            WHEN l.list IS NULL OR l.list = 'null' THEN 'no list'
            WHEN l.list = '[]' THEN 'empty list'
            WHEN e.model_id IN ('*', 'all') THEN 'everything'
            WHEN e.model_id IS NULL THEN 'not a model id' END AS list
        FROM listed AS l LEFT JOIN LATERAL (
            SELECT CASE jsonb_typeof(i) WHEN 'string' THEN nullif(i #>> '{}', '') END
            FROM jsonb_array_elements(l.items) AS i) AS e(model_id) ON true),
    in_force AS (
        SELECT v.user_id, v.model_id, v.provider, bool_and(v.allowed) AS allowed
        FROM @extschema@.model_access_override AS v
        WHERE v.expires_at IS NULL OR v.expires_at > clock_timestamp() GROUP BY v.user_id, v.model_id, v.provider)
    SELECT h.id, CASE WHEN h.list IS NULL THEN h.model_id END,
        CASE WHEN h.list IS NOT NULL THEN h.list
             WHEN m.model_id IS NULL THEN 'unknown'
             WHEN m.missing_since IS NOT NULL THEN 'left the catalogue'
             ELSE m.status END,
        (@extschema@._model_access_tiers())[@extschema@._model_access_rank(m)],
        -- what cannot be read counts as a loss
        CASE WHEN h.list IS NOT NULL THEN h.list IN ('everything', 'not a model id')
             ELSE a.model_id IS NULL OR NOT coalesce(least(o.allowed, p.allowed),
                 a.rank <= @extschema@._model_access_rank(h.tier), false) END,
        -- no override if an admin has rejected the model, or if another override is already in force
        h.list IS NULL AND h.id IS NOT NULL AND (m.status IN ('new', 'active') OR m.status_before_missing IS NOT NULL)
            AND o.allowed IS NULL AND p.allowed IS NULL
    FROM had AS h
    LEFT JOIN @extschema@.model_access AS m ON m.model_id = h.model_id
    LEFT JOIN @extschema@._model_access_active AS a ON a.model_id = h.model_id
    -- as joins: a table that was just filled has poor statistics, and a subquery would run for each row
    LEFT JOIN in_force AS o ON o.user_id = h.id AND o.model_id = m.model_id
    LEFT JOIN in_force AS p ON p.user_id = h.id AND p.provider = m.provider
$$;
COMMENT ON FUNCTION @extschema@._model_access_import_rows(regclass, name, name, name) IS
    'Internal. Lists what each user had, whether the user would lose it, and whether an override may keep it.';

CREATE FUNCTION @extschema@._model_access_import_overrides(
    profiles regclass, column_name name, id_column name, tier_column name, until timestamptz, at timestamptz)
RETURNS TABLE (model_id text, finding text, tier text, users bigint, lose bigint, overrides bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- one statement, because to read the lists takes most of the time
    WITH found AS MATERIALIZED (
        SELECT * FROM @extschema@._model_access_import_rows(profiles, column_name, id_column, tier_column)),
    -- created_at is not now(), as in a restored dump: these rows need no check, and triggers do not record them
    given AS (
        INSERT INTO @extschema@.model_access_override (user_id, model_id, allowed, expires_at, note, created_at)
        SELECT f.user_id, f.model_id, true, until, format('was in %s.%I', profiles, column_name), at
        FROM found AS f WHERE f.loses AND f.is_open ORDER BY f.user_id, f.model_id
        RETURNING *),
    -- the history as the triggers would write it, for all rows at once
    recorded AS (
        INSERT INTO @extschema@.model_access_history (model_id, user_id, at, old, new)
        SELECT g.model_id, g.user_id, g.created_at, '{}', jsonb_build_object('override', to_jsonb(g)) FROM given AS g)
    SELECT f.model_id, f.finding, f.tier, count(*), count(*) FILTER (WHERE f.loses), count(*) FILTER (WHERE f.loses AND f.is_open)
    FROM found AS f GROUP BY f.model_id, f.finding, f.tier
$$;
COMMENT ON FUNCTION @extschema@._model_access_import_overrides(regclass, name, name, name, timestamptz, timestamptz) IS
    'Internal. Writes the overrides that keep what users had, created at a moment, and counts as the dry run does.';

CREATE FUNCTION @extschema@.model_access_import_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', id_column name DEFAULT 'id',
    tier_column name DEFAULT 'subscription_tier', until timestamptz DEFAULT now() + interval '90 days',
    dry_run boolean DEFAULT true)
RETURNS TABLE (model_id text, finding text, tier text, users bigint, lose bigint, overrides bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_check_profiles(profiles, id_column, tier_column);
    PERFORM @extschema@._model_access_check_reader(profiles);
    PERFORM @extschema@._model_access_check_column(profiles, column_name);
    IF dry_run IS NULL THEN
        RAISE EXCEPTION 'dry_run must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF until <= now() THEN
        RAISE EXCEPTION 'until must be in the future'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a later moment, as in until => now() + interval ''90 days''; NULL means for ever.';
    END IF;
    IF dry_run THEN
        RETURN QUERY SELECT i.model_id, i.finding, i.tier, count(*), count(*) FILTER (WHERE i.loses),
                count(*) FILTER (WHERE i.loses AND i.is_open)
            FROM @extschema@._model_access_import_rows(profiles, column_name, id_column, tier_column) AS i
            GROUP BY i.model_id, i.finding, i.tier
            ORDER BY i.model_id IS NOT NULL, count(*) DESC, i.finding COLLATE "C", i.model_id COLLATE "C";
    ELSE
        RETURN QUERY SELECT r.* FROM @extschema@._model_access_import_overrides(
                profiles, column_name, id_column, tier_column, until, clock_timestamp()) AS r
            ORDER BY r.model_id IS NOT NULL, r.users DESC, r.finding COLLATE "C", r.model_id COLLATE "C";
        PERFORM @extschema@._model_access_notify();
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_import_allowed_models(regclass, name, name, name, timestamptz, boolean) IS
    'Counts, for each model in a column such as profiles.allowed_models, the users who would lose it, and gives them overrides '
    'unless it is a dry run.';
