-- What users had in such a column, as decisions, before it goes: who would lose which model, and overrides for a time.

CREATE FUNCTION @extschema@._model_access_had(profiles regclass, column_name name, id_column name, tier_column name)
RETURNS TABLE (user_id text, tier text, model_id text, list text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    items text := CASE WHEN @extschema@._model_access_column_type(profiles::oid, @extschema@._model_access_column_number(profiles::oid, column_name))
                            IN ('text[]'::regtype, 'character varying[]'::regtype)
        THEN 'SELECT nullif(i::text, ''''), true FROM unnest(p.%1$I) AS i'
        ELSE 'SELECT CASE jsonb_typeof(i) WHEN ''string'' THEN nullif(i #>> ''{}'', '''') END, true
              FROM jsonb_array_elements(CASE jsonb_typeof(p.%1$I::jsonb) WHEN ''array'' THEN p.%1$I::jsonb ELSE ''[null]'' END) AS i' END;
BEGIN
    -- output functions, no casts of keys and tiers: a cast may be somebody's own
    RETURN QUERY SELECT r[1], r[2], r[3], r[4] FROM @extschema@._model_access_read(profiles::oid, '{h.user_id,h.tier,h.item,h.list}'::text[], format(
        'FROM (SELECT DISTINCT format(''%%s'', p.%2$I) AS user_id, CASE WHEN p.%3$I IS NOT NULL THEN format(''%%s'', p.%3$I) END AS tier, h.item,
                CASE WHEN p.%1$I IS NULL THEN ''no list'' WHEN h.is_item IS NULL THEN ''empty list'' WHEN h.item IS NULL THEN ''not a model id'' END AS list
         FROM %4$s AS p LEFT JOIN LATERAL (' || items || ') AS h(item, is_item) ON p.%1$I IS NOT NULL
         WHERE format(''%%s'', p.%2$I) <> '''') AS h', -- nobody
        column_name, id_column, tier_column, profiles)) AS r;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_had(regclass, name, name, name) IS 'Internal. Every user with the tier, and one row a model of the list; or one that says what the list is instead.';

CREATE FUNCTION @extschema@.model_access_import_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', id_column name DEFAULT 'id', tier_column name DEFAULT 'subscription_tier',
    until timestamptz DEFAULT now() + interval '90 days', dry_run boolean DEFAULT true)
RETURNS TABLE (model_id text, finding text, tier text, users bigint, lose bigint, overrides bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET row_security = off
SET datestyle = 'ISO' SET timezone = 'UTC' SET standard_conforming_strings = on AS $$
DECLARE
    type   regtype := @extschema@._model_access_column_type(profiles::oid, @extschema@._model_access_column_number(profiles::oid, column_name));
    report jsonb;
BEGIN
    PERFORM @extschema@._model_access_check_profiles(profiles, id_column, tier_column);
    PERFORM @extschema@._model_access_check_reader(profiles);
    IF type IS NULL OR type <> ALL ('{text[],character varying[],jsonb,json}'::regtype[]) THEN
        RAISE EXCEPTION 'column "%" of % is no list that is kept as text[] or jsonb', column_name, profiles
            USING ERRCODE = 'datatype_mismatch', HINT = 'Name the column that holds the models a user may use as column_name.';
    ELSIF until <= now() OR dry_run IS NULL THEN
        RAISE EXCEPTION 'until must be in the future, and dry_run true or false'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'until => now() + interval ''90 days''; NULL = for ever.';
    END IF;
    CREATE TEMP TABLE model_access_imported ON COMMIT DROP AS
        SELECT h.user_id, h.model_id, h.list, m.model_id IS NOT NULL AS is_known, m.status, m.missing_since, m.status_before_missing,
               CASE WHEN m.is_free THEN 'free' WHEN m.is_pro THEN 'pro' WHEN m.is_enterprise THEN 'enterprise' END AS tier,
               a.model_id IS NULL OR NOT @extschema@._model_access_in_tier(h.tier, a.is_free, a.is_pro, a.is_enterprise) AS loses,
               -- not what an admin has turned down, and not where there is a word on it already
               (m.status IN ('new', 'active') OR m.status_before_missing IS NOT NULL) AND NOT EXISTS (
                   SELECT FROM @extschema@.model_access_override AS o WHERE o.user_id = h.user_id AND o.model_id = h.model_id) AS is_open
        FROM @extschema@._model_access_had(profiles, column_name, id_column, tier_column) AS h
        LEFT JOIN @extschema@.model_access AS m ON m.model_id = h.model_id
        LEFT JOIN @extschema@._model_access_active AS a ON a.model_id = h.model_id;
    report := (
        SELECT jsonb_agg(r ORDER BY r.model_id IS NOT NULL, r.users DESC, r.finding COLLATE "C", r.model_id COLLATE "C") FROM (
            SELECT i.model_id, f.finding, i.tier, count(*) AS users, count(*) FILTER (WHERE i.list IS NULL AND i.loses) AS lose,
                   count(*) FILTER (WHERE i.loses AND i.is_open) AS overrides
            FROM pg_temp.model_access_imported AS i
            CROSS JOIN LATERAL (SELECT CASE WHEN i.list IS NOT NULL THEN i.list WHEN NOT i.is_known THEN 'unknown'
                WHEN i.missing_since IS NOT NULL THEN 'left the catalogue' ELSE i.status END) AS f(finding)
            GROUP BY i.model_id, f.finding, i.tier) AS r);
    IF NOT dry_run THEN
        INSERT INTO @extschema@.model_access_override (user_id, model_id, allowed, expires_at, note)
        SELECT i.user_id, i.model_id, true, until, format('was in %s.%I', profiles, column_name)
        FROM pg_temp.model_access_imported AS i WHERE i.loses AND i.is_open ORDER BY i.user_id, i.model_id;
    END IF;
    DROP TABLE pg_temp.model_access_imported;
    RETURN QUERY SELECT r.* FROM jsonb_to_recordset(report) AS r(model_id text, finding text, tier text, users bigint, lose bigint, overrides bigint);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_import_allowed_models(regclass, name, name, name, timestamptz, boolean) IS 'Before a column such as profiles.allowed_models goes: one row a model that users had in it, with what it is now (its status, left the catalogue, unknown), its lowest tier, how many had it, how many of them would lose it, and how many of those get an override that allows it until then; and rows for users with no list (NULL), an empty list, or something else. A dry run unless told otherwise. A model that an admin turned down gets no override, nor does a user who has one for that model. Errors: as model_access_bind_profiles, 42804 no list, 22023 until in the past. Owner only.';
