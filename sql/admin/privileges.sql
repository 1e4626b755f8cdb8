-- The privileges that roles hold, compared with those that they were given: health reports them, repair and revoke change them.

CREATE VIEW @extschema@._model_access_held AS
WITH relation AS (
    SELECT m.class, m.id, c.relowner AS owner, c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS kind,
        format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass) AS object
    FROM @extschema@._model_access_member AS m JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass),
item AS (
    SELECT r.class, r.id, r.object, r.owner, coalesce(r.relacl, acldefault(r.kind, r.owner)) AS acl, NULL::name AS column_name
    FROM relation AS r
    UNION ALL
    SELECT r.class, r.id, r.object, r.owner, t.attacl, t.attname
    FROM relation AS r JOIN pg_attribute AS t ON t.attrelid = r.id AND t.attacl IS NOT NULL
    UNION ALL
    SELECT m.class, m.id, format('ROUTINE %s', p.oid::regprocedure), p.proowner,
        coalesce(p.proacl, acldefault('f', p.proowner)), NULL
    FROM @extschema@._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass)
SELECT o.class, o.id, o.object, o.owner, a.grantee, a.grantor, o.column_name,
    a.privilege_type || coalesce(' (' || quote_ident(o.column_name) || ')', '') AS privilege
FROM item AS o CROSS JOIN LATERAL aclexplode(o.acl) AS a
WHERE a.grantee <> o.owner;
COMMENT ON VIEW @extschema@._model_access_held IS
    'Internal. Every privilege on an object of the extension that a role other than its owner holds; grantee 0 is PUBLIC.';

CREATE VIEW @extschema@._model_access_due AS
SELECT r.id, g.role AS grantee_name, g.role_id AS grantee,
    r.privilege || coalesce(' (' || quote_ident(c.name) || ')', '') AS privilege, format('%s %s', r.kind, r.name) AS object
FROM @extschema@._model_access_grantee AS g
JOIN @extschema@._model_access_right AS r ON r.rights = ANY (@extschema@._model_access_included(g.rights))
LEFT JOIN LATERAL unnest(r.columns) AS c(name) ON true
UNION
-- definer functions run as the owner of the tables, who may call all others but those that act as the owner of any table
SELECT p.oid, o.rolname, o.oid, 'EXECUTE', format('ROUTINE %s', p.oid::regprocedure)
FROM @extschema@._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass
JOIN @extschema@._model_access_member AS t
    ON t.class = 'pg_class'::regclass AND t.id = '@extschema@.model_access'::regclass AND t.owner <> m.owner
JOIN pg_roles AS o ON o.oid = t.owner
WHERE p.proname NOT IN ('_model_access_read', '_model_access_execute');
COMMENT ON VIEW @extschema@._model_access_due IS 'Internal. Every privilege that a role should hold.';

CREATE VIEW @extschema@._model_access_lacking AS
SELECT u.* FROM @extschema@._model_access_due AS u WHERE NOT EXISTS (
    SELECT FROM @extschema@._model_access_held AS h
    WHERE h.id = u.id AND h.grantee = u.grantee AND h.privilege = u.privilege);
COMMENT ON VIEW @extschema@._model_access_lacking IS 'Internal. Every privilege that a role should hold and does not hold.';

CREATE FUNCTION @extschema@._model_access_close(known oid[] DEFAULT '{}') RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT DISTINCT format('REVOKE ALL ON %s FROM %s CASCADE',
            h.object, CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END)
        FROM @extschema@._model_access_held AS h
        WHERE h.id <> ALL (known) AND (h.grantee = 0 OR h.grantee IN (
            -- hosted PostgreSQL grants every new object to its web roles
            SELECT a.grantee FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
            WHERE d.defaclnamespace IN (0, '@extschema@'::regnamespace) AND a.grantee <> d.defaclrole
            EXCEPT SELECT u.grantee FROM @extschema@._model_access_due AS u))
    LOOP
        EXECUTE command;
        RETURN NEXT command;
    END LOOP;
    FOR command IN
        SELECT format('GRANT %s ON %s TO %s', l.privilege, l.object, l.grantee::regrole)
        FROM @extschema@._model_access_lacking AS l WHERE l.id <> ALL (known)
          -- in an upgrade, roles get theirs when it has ended
          AND (known = '{}' OR l.grantee = to_regrole('model_access_owner'))
    LOOP
        EXECUTE command;
        RETURN NEXT command;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_close(oid[]) IS
    'Internal. On objects that are not known: revokes what PUBLIC and default privileges got, grants what roles lack.';

CREATE FUNCTION @extschema@._model_access_grant_again() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('GRANT %s ON %s TO %s', l.privilege, l.object, l.grantee::regrole)
        FROM @extschema@._model_access_lacking AS l
    LOOP
        EXECUTE command;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_grant_again() IS
    'Internal. Trigger function that grants what roles lack.';

-- an upgrade writes the rows as they are; until COMMIT, PostgreSQL would take the GRANT for a part of the extension
CREATE CONSTRAINT TRIGGER model_access_grant_again AFTER UPDATE ON @extschema@.model_access_granted
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD IS NOT DISTINCT FROM NEW)
    EXECUTE FUNCTION @extschema@._model_access_grant_again();
COMMENT ON TRIGGER model_access_grant_again ON @extschema@.model_access_granted IS
    'Grants at the end of an upgrade what roles lack.';

CREATE FUNCTION @extschema@.model_access_repair_privileges() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT DISTINCT format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', u.grantee::regrole) AS command
        FROM @extschema@._model_access_due AS u
        WHERE NOT has_schema_privilege(u.grantee, '@extschema@'::regnamespace, 'USAGE')
    LOOP
        EXECUTE item.command;
        RETURN NEXT item.command;
    END LOOP;
    RETURN QUERY SELECT * FROM @extschema@._model_access_close('{}'::oid[]);
    UPDATE @extschema@.model_access_granted AS g
    SET role = t.role, role_id = t.role_id, table_id = '@extschema@.model_access'::regclass,
        system_id = @extschema@._model_access_system()
    FROM @extschema@._model_access_grantee AS t
    WHERE t.rights = g.rights AND CASE WHEN t.is_here
        THEN t.role_id = g.role_id AND t.role <> g.role ELSE t.role = g.role END;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_repair_privileges() IS
    'Grants again what a restore lost, revokes what PUBLIC and default privileges hold, and gives the statements that it ran.';

CREATE FUNCTION @extschema@._model_access_revoke_as(grantor oid, command text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me text := current_setting('role');
BEGIN
    -- only the role that granted a privilege can revoke it
    PERFORM set_config('role', (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = grantor), true);
    EXECUTE command;
    PERFORM set_config('role', me, true);
    RETURN true;
EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_revoke_as(oid, text) IS
    'Internal. Revokes what another role granted; false if the caller may not act as that role.';

CREATE FUNCTION @extschema@.model_access_revoke(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
    kept text;
BEGIN
    PERFORM @extschema@._model_access_check_role(role);
    FOR item IN
        SELECT DISTINCT h.object, h.grantor, h.owner FROM @extschema@._model_access_held AS h
        WHERE h.grantee = model_access_revoke.role
    LOOP
        IF item.grantor = item.owner THEN
            EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', item.object, role);
        ELSE
            PERFORM @extschema@._model_access_revoke_as(
                item.grantor, format('REVOKE ALL ON %s FROM %s CASCADE', item.object, role));
        END IF;
    END LOOP;
    DELETE FROM @extschema@.model_access_granted AS g USING pg_roles AS r
    WHERE r.oid = model_access_revoke.role AND (g.role_id = r.oid OR g.role = r.rolname);
    kept := (SELECT string_agg(DISTINCT format('%s on %s, granted by %s', h.privilege, h.object, h.grantor::regrole), '; ')
             FROM @extschema@._model_access_held AS h WHERE h.grantee = model_access_revoke.role);
    IF kept IS NOT NULL THEN
        RAISE WARNING 'role % keeps privileges that only their grantors can revoke', role
            USING DETAIL = format('It holds %s.', kept), HINT = 'Revoke them as those roles, or as a superuser.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_revoke(regrole) IS
    'Revokes every privilege of a role on the objects of the extension, whoever granted it.';

CREATE FUNCTION @extschema@._model_access_creators() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT nullif(concat_ws(', ',
        CASE WHEN has_schema_privilege('public', '@extschema@'::regnamespace, 'CREATE') THEN 'PUBLIC' END,
        string_agg(r.rolname, ', ' ORDER BY r.rolname)), '')
    FROM pg_roles AS r
    WHERE has_schema_privilege(r.oid, '@extschema@'::regnamespace, 'CREATE') AND NOT r.rolsuper AND r.oid >= 16384
      AND NOT pg_has_role(
        r.oid, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass), 'USAGE')
$$;
COMMENT ON FUNCTION @extschema@._model_access_creators() IS
    'Internal. Names the roles, beside superusers and the owner, that may create objects in the schema; NULL without any.';

CREATE FUNCTION @extschema@._model_access_strangers() RETURNS TABLE (what text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH member AS (
        SELECT m.*, coalesce(c.relowner, p.proowner) AS owner_now,
            coalesce(c.oid::regclass::text, p.oid::regprocedure::text) AS name
        FROM @extschema@._model_access_member AS m
        LEFT JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass
        LEFT JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass),
    relation AS (SELECT m.id, m.name, m.owner_now FROM member AS m WHERE m.class = 'pg_class'::regclass)
    SELECT format('%s is owned by %s', m.name, m.owner_now::regrole) FROM member AS m
    WHERE m.owner_now IS DISTINCT FROM m.owner
    UNION ALL
    SELECT format('%s is a member of %s', a.member::regrole, a.roleid::regrole)
    FROM relation AS r JOIN pg_auth_members AS a ON r.owner_now IN (a.roleid, a.member)
    WHERE r.id = '@extschema@.model_access'::regclass AND r.owner_now = to_regrole('model_access_owner')
    UNION ALL
    SELECT format('trigger %I on %s%s', t.tgname, m.name,
        CASE WHEN f.id IS NULL THEN ' does not belong to the extension' ELSE ' is disabled' END)
    FROM pg_trigger AS t JOIN relation AS m ON m.id = t.tgrelid
    LEFT JOIN member AS f ON f.id = t.tgfoid AND f.class = 'pg_proc'::regclass
    WHERE NOT t.tgisinternal AND (f.id IS NULL OR t.tgenabled <> 'O')
    UNION ALL
    SELECT format('rule %I on %s does not belong to the extension', r.rulename, m.name)
    FROM pg_rewrite AS r JOIN relation AS m ON m.id = r.ev_class WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT format('policy %I on %s does not belong to the extension', p.polname, m.name)
    FROM pg_policy AS p JOIN relation AS m ON m.id = p.polrelid
$$;
COMMENT ON FUNCTION @extschema@._model_access_strangers() IS
    'Internal. Lists owners, memberships, triggers, rules and policies that differ from the install.';

CREATE FUNCTION @extschema@._model_access_privilege_findings() RETURNS TABLE (rank integer, what text, repair text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 1, s.what, NULL FROM @extschema@._model_access_strangers() AS s
    UNION ALL
    SELECT 2, format('%s holds %s on %s',
        CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END, h.privilege, h.object),
        CASE h.grantee WHEN 0 THEN 'revokes what PUBLIC holds' END
    FROM @extschema@._model_access_held AS h WHERE NOT EXISTS (
        SELECT FROM @extschema@._model_access_due AS u
        WHERE u.id = h.id AND u.grantee = h.grantee AND u.privilege = h.privilege)
    UNION ALL
    SELECT 3, format('%s lacks %s on %s', l.grantee_name, l.privilege, l.object), 'grants what roles lack'
    FROM @extschema@._model_access_lacking AS l
    UNION ALL
    SELECT 4, format('%s may create objects in schema %s', c.roles, '@extschema@'), NULL
    FROM @extschema@._model_access_creators() AS c(roles) WHERE c.roles IS NOT NULL
$$;
COMMENT ON FUNCTION @extschema@._model_access_privilege_findings() IS
    'Internal. Lists what differs from the rights that were granted, and how model_access_repair_privileges corrects it.';

CREATE FUNCTION @extschema@._model_access_health_of_privileges() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH finding AS (
        SELECT f.*, row_number() OVER (ORDER BY f.rank, f.what) AS n FROM @extschema@._model_access_privilege_findings() AS f),
    summary AS (
        SELECT count(*) AS total, string_agg(f.what, '; ' ORDER BY f.n) FILTER (WHERE f.n <= 5) AS first_five,
            string_agg(DISTINCT f.repair, ' and ' ORDER BY f.repair DESC) AS repair
        FROM finding AS f)
    SELECT 'privileges', s.total = 0, CASE WHEN s.total = 0 THEN 'roles hold what model_access_grant gave, and nothing else'
        ELSE concat_ws('; ', s.first_five, CASE WHEN s.total > 5 THEN format('and %s more', s.total - 5) END,
            'model_access_repair_privileges() ' || s.repair) END
    FROM summary AS s
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_privileges() IS
    'Internal. Gives the check privileges of model_access_health.';
