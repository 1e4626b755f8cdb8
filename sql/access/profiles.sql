-- Which table knows the users and their tiers. Binding generates a plain lookup for it, run as the owner of that table.

CREATE TABLE @extschema@.model_access_binding (
    profiles regclass PRIMARY KEY,
    key      text NOT NULL CHECK (key IN ('text', 'uuid', 'integer'))
);
CREATE UNIQUE INDEX model_access_binding_one_idx ON @extschema@.model_access_binding ((true));
COMMENT ON TABLE @extschema@.model_access_binding IS 'The table that knows the users and their tiers, if any; written by model_access_bind_profiles.';
COMMENT ON COLUMN @extschema@.model_access_binding.profiles IS 'That table. Whoever owns it, and nobody else, answers for tiers.';
COMMENT ON COLUMN @extschema@.model_access_binding.key IS 'What a key of a user is there: text, uuid or integer (of any size).';

CREATE FUNCTION @extschema@._model_access_is_bound(generated text DEFAULT '@extschema@.model_access_profile(text)') RETURNS boolean
-- PL/pgSQL for its cached plan: every call for a user asks this first
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a function of that name that somebody else put there is not asked
    RETURN EXISTS (
        SELECT FROM pg_proc AS f
        WHERE f.oid = to_regprocedure(generated) AND f.prosecdef
          AND f.proowner = (SELECT c.relowner FROM pg_class AS c WHERE c.oid = (SELECT b.profiles FROM @extschema@.model_access_binding AS b)));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_is_bound(text) IS 'Internal. Whether a generated function is there and belongs to the owner of the bound table.';

CREATE FUNCTION @extschema@._model_access_ask_profile(user_id text) RETURNS TABLE (user_key text, tier text)
LANGUAGE plpgsql STABLE ROWS 1 SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys  text[];
    tiers text[];
BEGIN
    BEGIN
        SELECT array_agg(p.user_key), array_agg(p.tier) INTO keys, tiers FROM @extschema@.model_access_profile(user_id) AS p;
        -- whatever else that did, such as setting a parameter or queueing a trigger for the commit, is undone
        RAISE EXCEPTION USING ERRCODE = 'MA000';
    EXCEPTION WHEN SQLSTATE 'MA000' THEN
        NULL;
    END;
    RETURN QUERY SELECT * FROM unnest(keys, tiers);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ask_profile(text) IS 'Internal. What the generated function says of a user, asked with no rights of the extension''s owner, and with no effect.';

CREATE FUNCTION @extschema@._model_access_ask_tiers() RETURNS TABLE (tier text, users bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tiers  text[];
    counts bigint[];
BEGIN
    BEGIN
        SELECT array_agg(p.tier), array_agg(p.users) INTO tiers, counts FROM @extschema@.model_access_profile_tiers() AS p;
        RAISE EXCEPTION USING ERRCODE = 'MA000';
    EXCEPTION WHEN SQLSTATE 'MA000' THEN
        NULL;
    END;
    RETURN QUERY SELECT * FROM unnest(tiers, counts);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ask_tiers() IS 'Internal. Every tier in the bound table, asked in the same way.';

DO $$
BEGIN
    -- The owner of the bound table may change the generated functions at any moment, to SECURITY INVOKER as well, and
    -- would then act as whoever calls them. So a superuser does not; a role that may do next to nothing does.
    IF (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
        ALTER FUNCTION @extschema@._model_access_ask_profile(text) OWNER TO pg_checkpoint;
        ALTER FUNCTION @extschema@._model_access_ask_tiers() OWNER TO pg_checkpoint;
    END IF;
END
$$;

CREATE FUNCTION @extschema@._model_access_column_type(relation regclass, column_name name) RETURNS regtype
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE base AS (
        SELECT a.atttypid AS type FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT t.typbasetype FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype = 'd')
    SELECT b.type::regtype FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype <> 'd';
END;
COMMENT ON FUNCTION @extschema@._model_access_column_type(regclass, name) IS 'Internal. The type of a column, of a domain its base type; NULL where there is no such column.';

CREATE FUNCTION @extschema@._model_access_key_kind(type regtype) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN type = 'uuid'::regtype THEN 'uuid'
            WHEN type IN ('text'::regtype, 'varchar'::regtype) THEN 'text'
            WHEN type IN ('int8'::regtype, 'int4'::regtype, 'int2'::regtype) THEN 'integer' END;
COMMENT ON FUNCTION @extschema@._model_access_key_kind(regtype) IS 'Internal. text, uuid or integer; NULL for a type that is no key of a user.';

CREATE FUNCTION @extschema@._model_access_check_profiles(profiles regclass, id_column name, tier_column name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t         pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
    id_type   regtype  := @extschema@._model_access_column_type(profiles, id_column);
    tier_type regtype  := @extschema@._model_access_column_type(profiles, tier_column);
    missing   name     := CASE WHEN id_type IS NULL THEN id_column WHEN tier_type IS NULL THEN tier_column END;
BEGIN
    IF t.oid IS NULL OR id_column IS NULL OR tier_column IS NULL THEN
        RAISE EXCEPTION 'profiles, id_column and tier_column must name a table and two of its columns'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'As in model_access_bind_profiles(''public.profiles'', ''id'', ''subscription_tier'').';
    ELSIF t.relkind NOT IN ('r', 'p') OR t.relpersistence = 't'
        OR (t.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = t.oid)) THEN
        RAISE EXCEPTION '% cannot be bound', profiles
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'Users and tiers are looked up in an ordinary table that no other inherits from, or in a partitioned one.',
                  HINT = 'Name the table behind it.';
    ELSIF missing IS NOT NULL OR id_column = tier_column THEN
        RAISE EXCEPTION 'column "%" of % %', coalesce(missing, id_column), profiles,
            CASE WHEN missing IS NULL THEN 'cannot be both id and tier' ELSE 'does not exist' END
            USING ERRCODE = 'undefined_column', HINT = 'Name the columns as id_column and tier_column.';
    ELSIF @extschema@._model_access_key_kind(id_type) IS NULL THEN
        RAISE EXCEPTION 'column "%" of % has type %, which is no key of a user', id_column, profiles, id_type
            USING ERRCODE = 'datatype_mismatch', HINT = 'A key is a uuid, a text, a varchar or an integer.';
    ELSIF EXISTS (SELECT FROM pg_attribute AS a JOIN pg_collation AS l ON l.oid = a.attcollation
                  WHERE a.attrelid = t.oid AND a.attname = id_column AND NOT l.collisdeterministic) THEN
        RAISE EXCEPTION 'column "%" of % has a nondeterministic collation', id_column, profiles
            USING ERRCODE = 'feature_not_supported', DETAIL = 'An override for one spelling of a user would miss the others.',
                  HINT = 'Give the column a deterministic collation.';
    ELSIF (SELECT y.typcategory NOT IN ('S', 'E') FROM pg_type AS y WHERE y.oid = tier_type) THEN
        RAISE EXCEPTION 'column "%" of % has type %, which holds no tier', tier_column, profiles, tier_type
            USING ERRCODE = 'datatype_mismatch', HINT = 'A tier is a text or an enum.';
    ELSIF NOT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam AND m.amname IN ('btree', 'hash')
        WHERE i.indrelid = t.oid AND a.attname = id_column AND i.indisvalid AND i.indpred IS NULL) THEN
        RAISE EXCEPTION 'no index of % begins with column "%"', profiles, id_column
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Every lookup of a user would read the whole table.',
                  HINT = format('CREATE UNIQUE INDEX ON %s (%I)', profiles, id_column);
    ELSIF NOT pg_has_role(t.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be able to act as %, the owner of %', t.relowner::regrole, profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'The lookup runs as that owner.',
                  HINT = format('GRANT %s TO %I', t.relowner::regrole, current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_profiles(regclass, name, name) IS 'Internal. Raises an error where a table cannot be bound.';

CREATE FUNCTION @extschema@._model_access_profile_ddl(profiles regclass, id_column name, tier_column name) RETURNS TABLE (step integer, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $ddl$
    WITH parts AS (
        SELECT format('%I.%I', n.nspname, c.relname) AS profiles, c.relowner::regrole AS owner,
            (SELECT f.proowner::regrole FROM pg_proc AS f WHERE f.oid = '@extschema@._model_access_ask_profile(text)'::regprocedure) AS caller,
            replace(CASE @extschema@._model_access_key_kind(y.oid)
                WHEN 'text' THEN 'KEY'
                WHEN 'uuid' THEN 'CASE WHEN KEY ~ ''^([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}$'' THEN KEY::uuid END'
                ELSE 'CASE WHEN KEY ~ ''^-?[0-9]{1,19}$'' THEN CASE WHEN KEY::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN KEY::bigint END END'
            END, 'KEY', 'model_access_profile.user_id') AS key,
            -- a cast of another type may be anybody's function, and would run as the owner of the table
            CASE WHEN @extschema@._model_access_column_type(profiles, tier_column) IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)
                 THEN format('p.%I::text', tier_column)
                 ELSE format('CASE WHEN p.%1$I IS NOT NULL THEN concat(p.%1$I) END', tier_column) END AS tier
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_type AS y ON y.oid = @extschema@._model_access_column_type(profiles, id_column)
        WHERE c.oid = profiles)
    SELECT s.step, format(s.ddl, p.profiles, id_column, tier_column, p.key, p.owner, p.caller, p.tier) FROM parts AS p CROSS JOIN (VALUES
        (1, $$CREATE OR REPLACE FUNCTION @extschema@.model_access_profile(user_id text) RETURNS TABLE (user_key text, tier text)
LANGUAGE sql STABLE ROWS 1 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.%2$I::text, %7$s FROM %1$s AS p WHERE p.%2$I = %4$s LIMIT 2;
END$$),
        (2, $$CREATE OR REPLACE FUNCTION @extschema@.model_access_profile_tiers(OUT tier text, OUT users bigint) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT %7$s, count(*) FROM %1$s AS p GROUP BY 1;
END$$),
        (3, $$COMMENT ON FUNCTION @extschema@.model_access_profile(text) IS 'Generated by model_access_bind_profiles. The user as the bound table spells it, and the tier; a second row where the id is not unique.'$$),
        (3, $$COMMENT ON FUNCTION @extschema@.model_access_profile_tiers() IS 'Generated by model_access_bind_profiles. Every tier of the bound table, and how many users it has.'$$),
        (4, 'ALTER FUNCTION @extschema@.model_access_profile(text) OWNER TO %5$s'),
        (4, 'ALTER FUNCTION @extschema@.model_access_profile_tiers() OWNER TO %5$s'),
        (5, 'SELECT @extschema@._model_access_revoke_default(''@extschema@.model_access_profile(text)'')'),
        (5, 'SELECT @extschema@._model_access_revoke_default(''@extschema@.model_access_profile_tiers()'')'),
        (6, 'GRANT EXECUTE ON FUNCTION @extschema@.model_access_profile(text), @extschema@.model_access_profile_tiers() TO %6$s'),
        (6, 'GRANT USAGE ON SCHEMA @extschema@ TO %6$s'),
        (7, $$CREATE OR REPLACE TRIGGER model_access_announce_change AFTER UPDATE ON %1$s FOR EACH ROW
WHEN (OLD.%2$I IS DISTINCT FROM NEW.%2$I OR OLD.%3$I IS DISTINCT FROM NEW.%3$I) EXECUTE FUNCTION @extschema@._model_access_announce_always()$$),
        (7, 'CREATE OR REPLACE TRIGGER model_access_announce_delete AFTER DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_announce_always()'),
        (7, 'CREATE OR REPLACE TRIGGER model_access_announce_truncate AFTER TRUNCATE ON %1$s EXECUTE FUNCTION @extschema@._model_access_announce_always()'),
        (8, $$COMMENT ON TRIGGER model_access_announce_change ON %1$s IS 'Notifies listeners of channel model_access of a changed tier.'$$),
        (8, $$COMMENT ON TRIGGER model_access_announce_delete ON %1$s IS 'Notifies listeners of channel model_access of a user that went.'$$),
        (8, $$COMMENT ON TRIGGER model_access_announce_truncate ON %1$s IS 'Notifies listeners of channel model_access of users that went.'$$)
    ) AS s(step, ddl)
    ORDER BY s.step
$ddl$;
COMMENT ON FUNCTION @extschema@._model_access_profile_ddl(regclass, name, name) IS 'Internal. The statements that bind a table. The key of a user is compared in the type of its column, so that its index serves; what is no such key matches nothing.';

CREATE FUNCTION @extschema@._model_access_revoke_default(function regprocedure) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
        WHERE p.oid = function AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', function, grantee);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_revoke_default(regprocedure) IS 'Internal. Takes from PUBLIC, and from whoever the default privileges named, what they were given on a function.';

CREATE FUNCTION @extschema@._model_access_tier_writers() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- the tier column is the one that the second generated function reads, whatever it is called by now
    WITH RECURSIVE tables AS (
        SELECT d.refobjid AS table_id, a.attname AS tier, c.relowner AS owner
        FROM @extschema@.model_access_binding AS b
        JOIN pg_class AS c ON c.oid = b.profiles
        JOIN pg_depend AS d ON d.refobjid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
            AND d.classid = 'pg_proc'::regclass AND d.objid = to_regprocedure('@extschema@.model_access_profile_tiers()')
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        UNION
        SELECT i.inhrelid, t.tier, t.owner FROM tables AS t JOIN pg_inherits AS i ON i.inhparent = t.table_id),
    writers AS (
        SELECT DISTINCT r.rolname, r.oid FROM tables AS t CROSS JOIN pg_roles AS r
        WHERE NOT r.rolsuper AND r.oid >= 16384 AND NOT pg_has_role(r.oid, t.owner, 'USAGE')
          AND has_column_privilege(r.oid, t.table_id, t.tier, 'UPDATE')
          AND NOT has_column_privilege(r.oid, '@extschema@.model_access', 'status', 'UPDATE'))
    SELECT string_agg(quote_ident(rolname), ', ' ORDER BY rolname) FROM writers;
END;
COMMENT ON FUNCTION @extschema@._model_access_tier_writers() IS 'Internal. The roles, other than the owner of the bound table and admins, that may UPDATE its tier column; NULL where there are none.';

CREATE FUNCTION @extschema@.model_access_unbind_profiles() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound   text;
    trigger text;
BEGIN
    LOCK TABLE @extschema@.model_access_binding IN SHARE ROW EXCLUSIVE MODE;
    SELECT c.oid::regclass INTO bound FROM @extschema@.model_access_binding AS b JOIN pg_class AS c ON c.oid = b.profiles;
    IF bound IS NOT NULL THEN
        FOREACH trigger IN ARRAY '{model_access_announce_change,model_access_announce_delete,model_access_announce_truncate}'::text[] LOOP
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', trigger, bound);
        END LOOP;
    END IF;
    DROP FUNCTION IF EXISTS @extschema@.model_access_profile(text);
    DROP FUNCTION IF EXISTS @extschema@.model_access_profile_tiers();
    DELETE FROM @extschema@.model_access_binding;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @extschema@._model_access_notify();
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_unbind_profiles() IS 'Forgets the bound table: from then on no user is known, and none may use any model. False where none was bound. Owner only.';

CREATE FUNCTION @extschema@._model_access_depend_on_extension(profiles regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    extension text := (SELECT e.extname FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
                       WHERE d.classid = 'pg_class'::regclass AND d.objid = '@extschema@.model_access'::regclass AND d.deptype = 'e');
    object    text;
BEGIN
    -- they are no members, which a dump would restore as they were at first; but they go when it goes
    FOREACH object IN ARRAY ARRAY['FUNCTION @extschema@.model_access_profile(text)', 'FUNCTION @extschema@.model_access_profile_tiers()',
        'TRIGGER model_access_announce_change ON ' || profiles, 'TRIGGER model_access_announce_delete ON ' || profiles,
        'TRIGGER model_access_announce_truncate ON ' || profiles]
    LOOP
        CONTINUE WHEN extension IS NULL;
        EXECUTE format('ALTER %s DEPENDS ON EXTENSION %I', object, extension);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_depend_on_extension(regclass) IS 'Internal. Has what was generated for a bound table go with the extension; does nothing without one.';

CREATE FUNCTION @extschema@.model_access_bind_profiles(
    profiles regclass, id_column name DEFAULT 'id', tier_column name DEFAULT 'subscription_tier') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item    record;
    writers text;
BEGIN
    PERFORM @extschema@._model_access_check_profiles(profiles, id_column, tier_column);
    LOCK TABLE @extschema@.model_access_binding IN SHARE ROW EXCLUSIVE MODE;
    -- the same table again: replaced in place, so that those who ask meanwhile get an answer
    IF NOT EXISTS (SELECT FROM @extschema@.model_access_binding AS b WHERE b.profiles = model_access_bind_profiles.profiles) THEN
        PERFORM @extschema@.model_access_unbind_profiles();
    END IF;
    FOR item IN SELECT * FROM @extschema@._model_access_profile_ddl(profiles, id_column, tier_column) AS d WHERE d.step < 7 ORDER BY d.step LOOP
        EXECUTE item.ddl;
    END LOOP;
    INSERT INTO @extschema@.model_access_binding
    VALUES (profiles, @extschema@._model_access_key_kind(@extschema@._model_access_column_type(profiles, id_column)))
    ON CONFLICT ON CONSTRAINT model_access_binding_pkey DO UPDATE SET key = excluded.key;
    PERFORM @extschema@._model_access_respell_overrides();
    -- what locks the table comes last
    FOR item IN SELECT * FROM @extschema@._model_access_profile_ddl(profiles, id_column, tier_column) AS d WHERE d.step >= 7 ORDER BY d.step LOOP
        EXECUTE item.ddl;
    END LOOP;
    PERFORM @extschema@._model_access_depend_on_extension(profiles);
    PERFORM @extschema@._model_access_notify();
    IF (SELECT c.relforcerowsecurity AND NOT (r.rolsuper OR r.rolbypassrls) FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
        WHERE c.oid = profiles) THEN
        RAISE WARNING 'row security of % is forced on its owner', profiles
            USING DETAIL = 'The lookup runs as that owner; a user whose row its policies hide is unknown.',
                  HINT = format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, or a policy that shows the owner every row.', profiles);
    END IF;
    writers := @extschema@._model_access_tier_writers();
    IF writers IS NOT NULL THEN
        RAISE WARNING 'column "%" of % can be updated by %', tier_column, profiles, writers
            USING DETAIL = 'Whoever may change a tier decides who may use which model; row security chooses rows, not columns.',
                  HINT = format('REVOKE UPDATE ON %s FROM them, and GRANT UPDATE of the other columns.', profiles);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_bind_profiles(regclass, name, name) IS 'Names the table that knows the users: generates the lookup that the calls for users stand on, and triggers that notify of a changed tier. A second call replaces the first. id_column: uuid, text or integer, with an index; tier_column: text or enum. Warns when others than its owner and admins may UPDATE the tier. Errors: 42809 not a table, 42703 no such column, 42804 a type that is no key or tier, 55000 no index, 42501 not the owner. Owner only.';
