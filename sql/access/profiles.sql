-- Binds the table that has the users and their tiers. Whoever asks, the table is read as its owner: library/lookup.sql.

CREATE TABLE @extschema@.model_access_binding (
    profiles    regclass PRIMARY KEY,
    id_column   name NOT NULL,
    tier_column name NOT NULL,
    tier_map    jsonb,
    notify      boolean NOT NULL,
    key         text NOT NULL CHECK (key IN ('text', 'uuid', 'integer')),
    table_id    oid NOT NULL,
    id_number   smallint NOT NULL,
    tier_number smallint NOT NULL
);
CREATE UNIQUE INDEX model_access_binding_one_idx ON @extschema@.model_access_binding ((true));
COMMENT ON TABLE @extschema@.model_access_binding IS
    'Names the table that has the users and their tiers: at most one row, written by model_access_bind_profiles.';
COMMENT ON COLUMN @extschema@.model_access_binding.profiles IS 'The bound table.';
COMMENT ON COLUMN @extschema@.model_access_binding.id_column IS 'The column of that table with the key of a user.';
COMMENT ON COLUMN @extschema@.model_access_binding.tier_column IS 'The column of that table with the tier of a user.';
COMMENT ON COLUMN @extschema@.model_access_binding.tier_map IS
    'The tier for each value of tier_column, such as {"MAX": "pro"}; NULL if the column holds the names of the tiers.';
COMMENT ON COLUMN @extschema@.model_access_binding.notify IS 'Whether triggers on the bound table notify of a changed tier.';
COMMENT ON COLUMN @extschema@.model_access_binding.key IS 'The kind of the key of a user: text, uuid or integer (of any size).';
COMMENT ON COLUMN @extschema@.model_access_binding.table_id IS
    'The oid of profiles when it was bound; if it differs, after a restore, the columns are found by name.';
COMMENT ON COLUMN @extschema@.model_access_binding.id_number IS 'pg_attribute.attnum of id_column.';
COMMENT ON COLUMN @extschema@.model_access_binding.tier_number IS 'pg_attribute.attnum of tier_column.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_binding
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_binding IS 'Lets only the owner bind a table.';

CREATE FUNCTION @extschema@._model_access_tree(relation oid) RETURNS TABLE (id oid)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE tree AS (
        SELECT relation AS id
        UNION
        SELECT i.inhrelid FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.id)
    SELECT t.id FROM tree AS t;
END;
COMMENT ON FUNCTION @extschema@._model_access_tree(oid) IS
    'Internal. Lists a table with its partitions, or with what inherits from it.';

CREATE FUNCTION @extschema@._model_access_column_number(relation oid, column_name name) RETURNS smallint
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT a.attnum FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION @extschema@._model_access_column_number(oid, name) IS
    'Internal. Gives pg_attribute.attnum of a column; NULL if the column does not exist.';

CREATE FUNCTION @extschema@._model_access_column_type(relation oid, column_number smallint) RETURNS regtype
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE base AS (
        SELECT a.atttypid AS type FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum = column_number AND NOT a.attisdropped
        UNION ALL
        SELECT t.typbasetype FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype = 'd')
    SELECT b.type::regtype FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype <> 'd';
END;
COMMENT ON FUNCTION @extschema@._model_access_column_type(oid, smallint) IS
    'Internal. Gives the type of a column, or the base type of its domain; NULL if the column does not exist.';

CREATE FUNCTION @extschema@._model_access_key_kind(type regtype) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN type = 'uuid'::regtype THEN 'uuid'
            WHEN type IN ('text'::regtype, 'varchar'::regtype) THEN 'text'
            WHEN type IN ('int8'::regtype, 'int4'::regtype, 'int2'::regtype) THEN 'integer' END;
COMMENT ON FUNCTION @extschema@._model_access_key_kind(regtype) IS
    'Internal. Gives text, uuid or integer; NULL for a type that cannot be the key of a user.';

CREATE FUNCTION @extschema@._model_access_watched_column(relation oid, nth integer) RETURNS name
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- the condition of the trigger names the id first, then the tier, and follows a rename
    SELECT (parse_ident(c.name[1]))[1]::name FROM pg_trigger AS t
    CROSS JOIN LATERAL regexp_matches(pg_get_triggerdef(t.oid), '[(]old[.]("(?:[^"]|"")+"|[^ )]+)', 'g')
        WITH ORDINALITY AS c(name, n)
    WHERE t.tgrelid = relation AND t.tgname = 'model_access_announce_change' AND c.n = nth;
END;
COMMENT ON FUNCTION @extschema@._model_access_watched_column(oid, integer) IS
    'Internal. Gives the id (1) or the tier (2) column that the trigger on a bound table names; NULL without that trigger.';

CREATE VIEW @extschema@._model_access_bound AS
SELECT b.profiles, b.key, b.tier_map, b.notify,
    CASE WHEN b.profiles::oid = b.table_id THEN b.id_number ELSE @extschema@._model_access_column_number(
        b.profiles::oid, coalesce(@extschema@._model_access_watched_column(b.profiles::oid, 1), b.id_column)) END AS id_number,
    CASE WHEN b.profiles::oid = b.table_id THEN b.tier_number ELSE @extschema@._model_access_column_number(
        b.profiles::oid, coalesce(@extschema@._model_access_watched_column(b.profiles::oid, 2), b.tier_column)) END AS tier_number
FROM @extschema@.model_access_binding AS b;
COMMENT ON VIEW @extschema@._model_access_bound IS 'Internal. The bound table and the present numbers of its columns.';

CREATE FUNCTION @extschema@._model_access_check_bindable(profiles regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
BEGIN
    IF t.oid IS NULL THEN
        RAISE EXCEPTION 'relation with OID % does not exist', profiles USING ERRCODE = 'undefined_table';
    ELSIF t.relkind NOT IN ('r', 'p') OR t.relpersistence = 't'
        OR (t.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = t.oid)) THEN
        RAISE EXCEPTION '% cannot be bound', profiles
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'The table of the users must be partitioned, or an ordinary table from which no other inherits.',
                  HINT = 'Name the table that holds the users.';
    ELSIF EXISTS (SELECT FROM @extschema@._model_access_tree(t.oid) AS p JOIN pg_class AS c ON c.oid = p.id
                  WHERE c.relowner <> t.relowner) THEN
        RAISE EXCEPTION 'a partition of % belongs to another role', profiles
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'Code of the owner of a partition would run with the rights of the owner of the table.',
                  HINT = 'Give the partitions to the owner of the table: ALTER TABLE … OWNER TO.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_bindable(regclass) IS
    'Internal. Raises an error if a relation cannot be the table of the users.';

CREATE FUNCTION @extschema@._model_access_check_profiles(profiles regclass, id_column name, tier_column name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id_type   regtype := @extschema@._model_access_column_type(
        profiles::oid, @extschema@._model_access_column_number(profiles::oid, id_column));
    tier_type regtype := @extschema@._model_access_column_type(
        profiles::oid, @extschema@._model_access_column_number(profiles::oid, tier_column));
BEGIN
    IF num_nulls(profiles, id_column, tier_column) > 0 THEN
        RAISE EXCEPTION 'profiles, id_column and tier_column must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Name a table and two of its columns, as in '
                         'model_access_bind_profiles(''public.profiles'', ''id'', ''subscription_tier'').';
    END IF;
    PERFORM @extschema@._model_access_check_bindable(profiles);
    IF id_type IS NULL OR tier_type IS NULL THEN
        RAISE EXCEPTION 'column "%" of % does not exist', CASE WHEN id_type IS NULL THEN id_column ELSE tier_column END, profiles
            USING ERRCODE = 'undefined_column', HINT = 'Name the columns as id_column and tier_column.';
    ELSIF id_column = tier_column THEN
        RAISE EXCEPTION 'column "%" of % cannot be both id and tier', id_column, profiles
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name two columns as id_column and tier_column.';
    ELSIF @extschema@._model_access_key_kind(id_type) IS NULL THEN
        RAISE EXCEPTION 'column "%" of % has type %, which cannot be the key of a user', id_column, profiles, id_type
            USING ERRCODE = 'datatype_mismatch', HINT = 'A key is a uuid, a text, a varchar or an integer.';
    ELSIF EXISTS (SELECT FROM pg_attribute AS a JOIN pg_collation AS l ON l.oid = a.attcollation
                  WHERE a.attrelid = profiles AND a.attname = id_column AND NOT l.collisdeterministic) THEN
        RAISE EXCEPTION 'column "%" of % has a nondeterministic collation', id_column, profiles
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'An override for one spelling of a user would not apply to the others.',
                  HINT = 'Give the column a deterministic collation.';
    ELSIF tier_type <> ALL ('{text,character varying,character}'::regtype[])
        AND (SELECT y.typtype <> 'e' FROM pg_type AS y WHERE y.oid = tier_type) THEN
        RAISE EXCEPTION 'column "%" of % has type %, which cannot be a tier', tier_column, profiles, tier_type
            USING ERRCODE = 'datatype_mismatch', HINT = 'A tier is a text or an enum.';
    ELSIF NOT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam AND m.amname IN ('btree', 'hash')
        WHERE i.indrelid = profiles AND a.attname = id_column AND i.indisvalid AND i.indpred IS NULL) THEN
        RAISE EXCEPTION 'no index of % begins with column "%"', profiles, id_column
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Every lookup of a user would read the whole table.',
                  HINT = format('Create one: CREATE UNIQUE INDEX ON %s (%I)', profiles, id_column);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_profiles(regclass, name, name) IS
    'Internal. Raises an error if a table cannot be bound.';

CREATE FUNCTION @extschema@._model_access_binding_error() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b record;
BEGIN
    SELECT o.profiles, i.attname AS id_column, t.attname AS tier_column INTO b
    FROM @extschema@._model_access_bound AS o
    LEFT JOIN pg_attribute AS i ON i.attrelid = o.profiles AND i.attnum = o.id_number AND NOT i.attisdropped
    LEFT JOIN pg_attribute AS t ON t.attrelid = o.profiles AND t.attnum = o.tier_number AND NOT t.attisdropped;
    IF NOT FOUND THEN
        RETURN 'no table is bound';
    ELSIF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = b.profiles) THEN
        RETURN 'the bound table was dropped';
    ELSIF b.id_column IS NULL OR b.tier_column IS NULL THEN
        RETURN format('a bound column of %s was dropped', b.profiles);
    END IF;
    PERFORM @extschema@._model_access_check_profiles(b.profiles, b.id_column, b.tier_column);
    IF (SELECT u.bound FROM @extschema@._model_access_user('') AS u) THEN
        RETURN NULL;
    END IF;
    RETURN format('%s cannot be read as its owner', b.profiles);
EXCEPTION WHEN wrong_object_type OR datatype_mismatch OR feature_not_supported OR object_not_in_prerequisite_state THEN
    RETURN SQLERRM;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_binding_error() IS
    'Internal. Says why users cannot be looked up; NULL if they can.';

CREATE FUNCTION @extschema@._model_access_refresh_binding() RETURNS void
-- not LANGUAGE sql, which would plan the statement again in every run
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a dump needs the names, because columns have other numbers after a restore
    UPDATE @extschema@.model_access_binding AS b
    SET id_column = i.attname, tier_column = t.attname, table_id = b.profiles::oid, id_number = i.attnum, tier_number = t.attnum
    FROM @extschema@._model_access_bound AS o
    JOIN pg_attribute AS i ON i.attrelid = o.profiles AND i.attnum = o.id_number AND NOT i.attisdropped
    JOIN pg_attribute AS t ON t.attrelid = o.profiles AND t.attnum = o.tier_number AND NOT t.attisdropped
    WHERE (b.id_column, b.tier_column, b.table_id) IS DISTINCT FROM (i.attname, t.attname, b.profiles::oid);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refresh_binding() IS
    'Internal. Records the present names and numbers of the bound table and its columns.';

CREATE FUNCTION @extschema@._model_access_tier_writers() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE tables AS (
        SELECT b.profiles::oid AS table_id, a.attname AS tier, c.relowner AS owner
        FROM @extschema@._model_access_bound AS b
        JOIN pg_class AS c ON c.oid = b.profiles
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = b.tier_number
        UNION
        SELECT i.inhrelid, t.tier, t.owner FROM tables AS t JOIN pg_inherits AS i ON i.inhparent = t.table_id),
    writers AS (
        SELECT DISTINCT r.rolname, r.oid FROM tables AS t CROSS JOIN pg_roles AS r
        WHERE NOT r.rolsuper AND r.oid >= 16384 AND NOT pg_has_role(r.oid, t.owner, 'USAGE')
          AND has_column_privilege(r.oid, t.table_id, t.tier, 'UPDATE')
          AND NOT has_column_privilege(r.oid, '@extschema@.model_access', 'status', 'UPDATE'))
    SELECT string_agg(quote_ident(rolname), ', ' ORDER BY rolname) FROM writers;
END;
COMMENT ON FUNCTION @extschema@._model_access_tier_writers() IS
    'Internal. Names the roles that may UPDATE the bound tier column without being its owner or admins; NULL without such roles.';

CREATE FUNCTION @extschema@._model_access_users_without_tier() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted text[] := (
        SELECT @extschema@._model_access_unknown_tiers(b.profiles::oid, b.tier_number,
            coalesce(ARRAY(SELECT jsonb_object_keys(b.tier_map)), '{}')
                || CASE WHEN b.tier_map IS NULL THEN @extschema@._model_access_tiers() END)
        FROM @extschema@._model_access_bound AS b);
BEGIN
    RETURN CASE WHEN counted[1] <> '0' THEN format('%s, such as %L', counted[1], counted[2]) END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_users_without_tier() IS
    'Internal. Counts the users of the bound table in unknown tiers, with an example; NULL without such users.';

CREATE FUNCTION @extschema@._model_access_extension() RETURNS name
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT e.extname FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = '@extschema@.model_access'::regclass AND d.deptype = 'e';
END;
COMMENT ON FUNCTION @extschema@._model_access_extension() IS
    'Internal. Gives the name of the extension; NULL if the plain SQL script was run instead.';

CREATE FUNCTION @extschema@._model_access_announce_user() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- NULL if this is not the bound table or a partition of it, or if its columns have other numbers since a restore
    id      name := (
        SELECT a.attname FROM @extschema@.model_access_binding AS b
        JOIN pg_attribute AS i ON i.attrelid = b.profiles AND i.attnum = b.id_number
        JOIN pg_attribute AS a ON a.attrelid = TG_RELID AND a.attname = i.attname AND NOT a.attisdropped
        WHERE b.profiles::oid = b.table_id);
    key     text;
    new_key text;
BEGIN
    -- concat and not a cast: any role can make a cast, which would run here as the owner
    IF id = 'id' THEN
        -- faster than EXECUTE, for the name that most tables have
        key := concat(OLD.id);
        new_key := CASE TG_OP WHEN 'UPDATE' THEN concat(NEW.id) END;
    ELSIF id IS NOT NULL THEN
        EXECUTE format('SELECT concat(($1).%1$I), concat(($2).%1$I)', id) INTO key, new_key
            USING OLD, CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
    END IF;
    PERFORM @extschema@._model_access_notify_user(key::text);
    IF new_key <> key THEN
        PERFORM @extschema@._model_access_notify_user(new_key::text);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce_user() IS
    'Internal. Trigger function on the bound table that notifies of the user of a row.';

CREATE FUNCTION @extschema@._model_access_watches(profiles regclass) RETURNS TABLE (id oid, name name)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT t.oid, t.tgname FROM pg_trigger AS t
    WHERE t.tgrelid = profiles AND t.tgparentid = 0 AND t.tgfoid IN (
        '@extschema@._model_access_announce_user()'::regprocedure, '@extschema@._model_access_announce_always()'::regprocedure);
END;
COMMENT ON FUNCTION @extschema@._model_access_watches(regclass) IS
    'Internal. Lists the triggers on a table that _model_access_watch created.';

CREATE FUNCTION @extschema@._model_access_is_watched(profiles regclass, id_column name, tier_column name) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(*) = 3 AND bool_and(t.tgenabled IN ('O', 'A'))
        AND bool_and(@extschema@._model_access_extension() IS NULL OR EXISTS (
            SELECT FROM pg_depend AS d WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'x'))
        AND @extschema@._model_access_watched_column(profiles::oid, 1) = id_column
        AND @extschema@._model_access_watched_column(profiles::oid, 2) = tier_column
    FROM @extschema@._model_access_watches(profiles) AS w JOIN pg_trigger AS t ON t.oid = w.id;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_watched(regclass, name, name) IS
    'Internal. Tells whether a table has the triggers of _model_access_watch for these columns.';

CREATE FUNCTION @extschema@._model_access_watch(profiles regclass, id_column name, tier_column name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    extension name := @extschema@._model_access_extension();
    changed   text := format('FOR EACH ROW WHEN (OLD.%1$I IS DISTINCT FROM NEW.%1$I OR OLD.%2$I IS DISTINCT FROM NEW.%2$I)',
        id_column, tier_column);
    item      record;
BEGIN
    -- the strongest lock first: a session that holds a weaker one could end in a deadlock
    EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', profiles,
        CASE WHEN extension IS NULL THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END);
    -- other sessions now wait for this one, so it must not wait long for partitions
    PERFORM set_config('lock_timeout', '10ms', true);
    FOR item IN SELECT * FROM (VALUES
        ('model_access_announce_change', 'UPDATE', changed, 'user', 'of a changed tier'),
        ('model_access_announce_delete', 'DELETE', 'FOR EACH ROW', 'user', 'of a deleted user'),
        ('model_access_announce_truncate', 'TRUNCATE', '', 'always', 'of deleted users')) AS t(name, event, detail, whom, what)
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s %s EXECUTE FUNCTION %s._model_access_announce_%s()',
            item.name, item.event, profiles, item.detail, '@extschema@', item.whom);
        EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L',
            item.name, profiles, 'Notifies listeners of channel model_access ' || item.what || '.');
        -- they are not members of the extension, because a dump would not include them then; but DROP EXTENSION drops them
        IF extension IS NOT NULL THEN
            EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION %I', item.name, profiles, extension);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_watch(regclass, name, name) IS
    'Internal. Creates the triggers on a bound table that notify of changed tiers.';

CREATE FUNCTION @extschema@._model_access_unwatch(profiles regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF EXISTS (SELECT FROM @extschema@._model_access_watches(profiles)) THEN
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', profiles);
        PERFORM set_config('lock_timeout', '10ms', true);
    END IF;
    FOR item IN SELECT w.name FROM @extschema@._model_access_watches(profiles) AS w LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', item.name, profiles);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unwatch(regclass) IS 'Internal. Drops the triggers of _model_access_watch.';

CREATE FUNCTION @extschema@._model_access_lock_binding() RETURNS regclass
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE @extschema@.model_access_binding IN SHARE ROW EXCLUSIVE MODE;
    RETURN (SELECT b.profiles FROM @extschema@.model_access_binding AS b);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock_binding() IS
    'Internal. Locks the binding against others who bind, and returns the bound table.';

CREATE FUNCTION @extschema@._model_access_not_bound(tables regclass[], mine text, cause text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_not_locked(
        ARRAY['@extschema@.model_access_binding'::regclass, '@extschema@.model_access_override'::regclass]::oid[],
        ARRAY(SELECT t.id FROM unnest(tables) AS p(id) CROSS JOIN LATERAL @extschema@._model_access_tree(p.id::oid) AS t),
        mine, cause);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_not_bound(regclass[], text, text) IS
    'Internal. Raises error 55P03 for a table that could not be bound or unbound, and names who holds the lock.';

CREATE FUNCTION @extschema@.model_access_unbind_profiles() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine  text := @extschema@._model_access_limit_locks();
    bound regclass;
BEGIN
    bound := @extschema@._model_access_lock_binding();
    DELETE FROM @extschema@.model_access_binding;
    IF bound IS NOT NULL THEN
        PERFORM @extschema@._model_access_in_slices(format(
            'SELECT %s._model_access_unwatch(%L::regclass)', '@extschema@', bound));
        PERFORM @extschema@._model_access_notify();
    END IF;
    PERFORM set_config('lock_timeout', mine, true);
    RETURN bound IS NOT NULL;
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_bound(ARRAY[bound]::regclass[], mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_unbind_profiles() IS
    'Unbinds the table of the users, so that every user is unknown and may use no model; false if no table was bound.';

CREATE FUNCTION @extschema@._model_access_check_tier_map(tier_map jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong text;
BEGIN
    wrong := CASE WHEN jsonb_typeof(tier_map) <> 'object' THEN tier_map::text WHEN tier_map = '{}' THEN '{}'
        ELSE (SELECT format('%s: %s', to_jsonb(e.key), e.value) FROM jsonb_each(tier_map) AS e
              WHERE e.value <> ALL (SELECT to_jsonb(t) FROM unnest(@extschema@._model_access_tiers()) AS t)
              ORDER BY e.key LIMIT 1) END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid tier_map: %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'It must be a JSON object whose keys are values of the tier column, and whose values are tiers.',
                  HINT = 'Write it as in tier_map => ''{"BASIC": "free", "MAX": "pro"}'', or pass NULL where the column holds '
                         'the names of the tiers.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_tier_map(jsonb) IS
    'Internal. Raises error 22023 for a tier_map that does not map values to tiers.';

CREATE FUNCTION @extschema@._model_access_enum_without_tier() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
    FROM @extschema@._model_access_bound AS b
    JOIN pg_enum AS e ON e.enumtypid = @extschema@._model_access_column_type(b.profiles::oid, b.tier_number)
    HAVING NOT bool_or(CASE WHEN b.tier_map IS NULL THEN e.enumlabel = ANY (@extschema@._model_access_tiers())
                            ELSE b.tier_map ? e.enumlabel::text END);
END;
COMMENT ON FUNCTION @extschema@._model_access_enum_without_tier() IS
    'Internal. Lists the labels of the enum in the bound tier column if none of them is a tier; NULL otherwise.';

CREATE FUNCTION @extschema@._model_access_warn_of_profiles() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound   record;
    writers text := @extschema@._model_access_tier_writers();
    unknown text := @extschema@._model_access_users_without_tier();
    labels  text := @extschema@._model_access_enum_without_tier();
BEGIN
    SELECT b.profiles, a.attname AS tier_column INTO bound
    FROM @extschema@._model_access_bound AS b JOIN pg_attribute AS a ON a.attrelid = b.profiles AND a.attnum = b.tier_number;
    IF writers IS NOT NULL THEN
        RAISE WARNING 'column "%" of % can be updated by %', bound.tier_column, bound.profiles, writers
            USING DETAIL = 'Whoever may change a tier decides who may use which model. Row security restricts rows, not columns.',
                  HINT = format('REVOKE UPDATE ON %s from these roles, and GRANT UPDATE of the other columns.', bound.profiles);
    END IF;
    IF unknown IS NOT NULL THEN
        RAISE WARNING 'users of % are in unknown tiers: %', bound.profiles, unknown
            USING DETAIL = 'An unknown tier grants nothing; overrides still apply.',
                  HINT = 'Correct the tiers, or map these values to tiers with tier_map.';
    -- a table without users would otherwise pass without a warning
    ELSIF labels IS NOT NULL THEN
        RAISE WARNING 'no value of column "%" of % is a tier', bound.tier_column, bound.profiles
            USING DETAIL = format('Its type is an enum of %s. An unknown tier grants nothing.', labels),
                  HINT = 'Map these values to tiers with tier_map, as in tier_map => ''{"MAX": "pro"}''.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_warn_of_profiles() IS
    'Internal. Warns of roles that may change tiers, of users in unknown tiers, and of an enum without a tier.';

CREATE FUNCTION @extschema@._model_access_check_reader(profiles regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = profiles);
BEGIN
    IF NOT @extschema@._model_access_may_bind(owner) THEN
        RAISE EXCEPTION 'permission denied to read %', profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It is read as its owner, %s.', owner::regrole),
                  HINT = 'Call this as a superuser. Without the library, only tables of the owner of model_access can be read.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_reader(regclass) IS
    'Internal. Raises error 42501 if the caller may not have a table read as its owner.';

CREATE FUNCTION @extschema@.model_access_bind_profiles(
    profiles regclass, id_column name DEFAULT 'id', tier_column name DEFAULT 'subscription_tier',
    tier_map jsonb DEFAULT NULL, notify boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine   text := @extschema@._model_access_limit_locks();
    before regclass;
    id     smallint;
    tier   smallint;
BEGIN
    PERFORM @extschema@._model_access_check_profiles(profiles, id_column, tier_column);
    PERFORM @extschema@._model_access_check_tier_map(tier_map);
    IF notify IS NULL THEN
        RAISE EXCEPTION 'notify must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Pass true to be notified of changed tiers, or false to leave the table without triggers.';
    END IF;
    PERFORM @extschema@._model_access_check_reader(profiles);
    before := @extschema@._model_access_lock_binding();
    DELETE FROM @extschema@.model_access_binding;
    id := @extschema@._model_access_column_number(profiles::oid, id_column);
    tier := @extschema@._model_access_column_number(profiles::oid, tier_column);
    INSERT INTO @extschema@.model_access_binding (
        profiles, id_column, tier_column, tier_map, notify, key, table_id, id_number, tier_number)
    VALUES (profiles, id_column, tier_column, tier_map, notify,
        @extschema@._model_access_key_kind(@extschema@._model_access_column_type(profiles::oid, id)), profiles::oid, id, tier);
    PERFORM @extschema@._model_access_respell_overrides();
    PERFORM @extschema@._model_access_warn_of_profiles();
    PERFORM @extschema@._model_access_notify();
    -- last, because others cannot use the table from here until the transaction ends
    PERFORM @extschema@._model_access_in_slices(concat(
        CASE WHEN NOT notify OR before <> profiles THEN
            format('SELECT %s._model_access_unwatch(%L::regclass);', '@extschema@', before) END,
        CASE WHEN notify AND @extschema@._model_access_is_watched(profiles, id_column, tier_column) IS NOT TRUE THEN
            format('SELECT %s._model_access_watch(%L::regclass, %L::name, %L::name)',
                '@extschema@', profiles, id_column, tier_column) END));
    PERFORM set_config('lock_timeout', mine, true);
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_bound(ARRAY[before, profiles]::regclass[], mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_bind_profiles(regclass, name, name, jsonb, boolean) IS
    'Binds the table that has the users and their tiers, in place of the table that was bound before.';
