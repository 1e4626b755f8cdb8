-- What roles hold, beside what they were given: told by health, mended, and taken back.

CREATE VIEW @extschema@._model_access_held AS
SELECT o.class, o.id, o.object, o.owner, a.grantee, a.grantor, o.column_name,
    a.privilege_type || coalesce(' (' || quote_ident(o.column_name) || ')', '') AS privilege
FROM (
    SELECT m.class, m.id, format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass) AS object,
        c.relowner AS owner, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl, NULL::name AS column_name
    FROM @extschema@._model_access_member AS m JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass
    UNION ALL
    SELECT m.class, m.id, format('TABLE %s', c.oid::regclass), c.relowner, t.attacl, t.attname
    FROM @extschema@._model_access_member AS m JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass
    JOIN pg_attribute AS t ON t.attrelid = c.oid AND t.attacl IS NOT NULL
    UNION ALL
    SELECT m.class, m.id, format('ROUTINE %s', p.oid::regprocedure), p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)), NULL
    FROM @extschema@._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass) AS o
CROSS JOIN LATERAL aclexplode(o.acl) AS a
WHERE a.grantee <> o.owner;
COMMENT ON VIEW @extschema@._model_access_held IS 'Internal. Every privilege on an object of the extension that somebody but its owner holds; grantee 0 is PUBLIC.';

CREATE VIEW @extschema@._model_access_due AS
SELECT r.id, g.role AS grantee_name, g.role_id AS grantee, r.privilege || coalesce(' (' || quote_ident(c.name) || ')', '') AS privilege,
    format('%s %s', r.kind, r.name) AS object
FROM @extschema@._model_access_grantee AS g
JOIN @extschema@._model_access_right AS r ON r.rights = ANY (@extschema@._model_access_included(g.rights))
LEFT JOIN LATERAL unnest(r.columns) AS c(name) ON true
UNION
-- the definer functions call the others; but not those that act as the owner of any table
SELECT p.oid, o.rolname, o.oid, 'EXECUTE', format('ROUTINE %s', p.oid::regprocedure)
FROM @extschema@._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass
JOIN @extschema@._model_access_member AS t ON t.class = 'pg_class'::regclass AND t.id = '@extschema@.model_access'::regclass AND t.owner <> m.owner
JOIN pg_roles AS o ON o.oid = t.owner
WHERE p.proname NOT IN ('_model_access_read', '_model_access_execute');
COMMENT ON VIEW @extschema@._model_access_due IS 'Internal. Every privilege that somebody should hold.';

CREATE FUNCTION @extschema@._model_access_close() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT DISTINCT format('REVOKE ALL ON %s FROM %s CASCADE', h.object, CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END)
        FROM @extschema@._model_access_held AS h
        WHERE h.grantee = 0 OR h.grantee IN (
            -- hosted PostgreSQL gives its web roles everything new
            SELECT a.grantee FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
            WHERE d.defaclnamespace IN (0, '@extschema@'::regnamespace) AND a.grantee <> d.defaclrole
            EXCEPT SELECT u.grantee FROM @extschema@._model_access_due AS u)
    LOOP
        EXECUTE command;
        RETURN NEXT command;
    END LOOP;
    FOR command IN
        SELECT format('GRANT %s ON %s TO %s', u.privilege, u.object, u.grantee::regrole) FROM @extschema@._model_access_due AS u
        WHERE NOT EXISTS (SELECT FROM @extschema@._model_access_held AS h WHERE h.id = u.id AND h.grantee = u.grantee AND h.privilege = u.privilege)
    LOOP
        EXECUTE command;
        RETURN NEXT command;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_close() IS 'Internal. Takes what PUBLIC and default privileges got, and grants what should be held and is not; gives the statements.';

CREATE FUNCTION @extschema@.model_access_repair_privileges() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT DISTINCT format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', u.grantee::regrole) AS command FROM @extschema@._model_access_due AS u
        WHERE NOT has_schema_privilege(u.grantee, '@extschema@'::regnamespace, 'USAGE')
    LOOP
        EXECUTE item.command;
        RETURN NEXT item.command;
    END LOOP;
    RETURN QUERY SELECT * FROM @extschema@._model_access_close();
    UPDATE @extschema@.model_access_granted AS g SET role = t.role, role_id = t.role_id, table_id = '@extschema@.model_access'::regclass
    FROM @extschema@._model_access_grantee AS t WHERE t.rights = g.rights AND CASE WHEN g.table_id = '@extschema@.model_access'::regclass::oid
        THEN t.role_id = g.role_id AND t.role <> g.role ELSE t.role = g.role END;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_repair_privileges() IS 'Puts back what a restore lost: grants what model_access_grant once gave and is not held, with USAGE on the schema, and takes what PUBLIC and default privileges hold; gives the statements that it ran. What was granted by hand stays. Owner only.';

CREATE FUNCTION @extschema@._model_access_revoke_as(grantor oid, command text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me text := current_setting('role');
BEGIN
    -- only whoever granted a privilege can take it back
    PERFORM set_config('role', (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = grantor), true);
    EXECUTE command;
    PERFORM set_config('role', me, true);
    RETURN true;
EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_revoke_as(oid, text) IS 'Internal. Takes back what another role granted; false where the caller may not act as that role.';

CREATE FUNCTION @extschema@.model_access_revoke(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
    kept text;
BEGIN
    PERFORM @extschema@._model_access_check_role(role);
    FOR item IN
        SELECT DISTINCT h.object, h.grantor, h.owner FROM @extschema@._model_access_held AS h WHERE h.grantee = model_access_revoke.role
    LOOP
        IF item.grantor = item.owner THEN
            EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', item.object, role);
        ELSE
            PERFORM @extschema@._model_access_revoke_as(item.grantor, format('REVOKE ALL ON %s FROM %s CASCADE', item.object, role));
        END IF;
    END LOOP;
    DELETE FROM @extschema@.model_access_granted AS g USING pg_roles AS r
    WHERE r.oid = model_access_revoke.role AND (g.role_id = r.oid OR g.role = r.rolname);
    kept := (SELECT string_agg(DISTINCT format('%s on %s, granted by %s', h.privilege, h.object, h.grantor::regrole), '; ')
             FROM @extschema@._model_access_held AS h WHERE h.grantee = model_access_revoke.role);
    IF kept IS NOT NULL THEN
        RAISE WARNING 'role % keeps privileges that only their grantors can take back', role
            USING DETAIL = format('It holds %s.', kept), HINT = 'Let those roles, or a superuser, revoke them.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_revoke(regrole) IS 'Takes every privilege that a role holds on the extension''s objects, those that others granted as well, and what it passed on; warns of what only the grantor can take. USAGE on the schema stays. Owner only.';

CREATE FUNCTION @extschema@._model_access_creators() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_roles AS r
    WHERE has_schema_privilege(r.oid, '@extschema@'::regnamespace, 'CREATE') AND NOT r.rolsuper AND r.oid >= 16384
      AND NOT pg_has_role(r.oid, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass), 'USAGE')
$$;
COMMENT ON FUNCTION @extschema@._model_access_creators() IS 'Internal. Who, beside superusers and the owner, may create objects in the schema of the install; NULL = nobody.';

CREATE FUNCTION @extschema@._model_access_strangers() RETURNS TABLE (what text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH owner AS (SELECT c.relowner AS oid FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass)
    SELECT format('%s is owned by %s', CASE m.class WHEN 'pg_proc'::regclass THEN m.id::regprocedure::text ELSE m.id::regclass::text END, o.owner::regrole)
    FROM @extschema@._model_access_member AS m
    CROSS JOIN LATERAL (SELECT coalesce((SELECT c.relowner FROM pg_class AS c WHERE m.class = 'pg_class'::regclass AND c.oid = m.id),
                                        (SELECT p.proowner FROM pg_proc AS p WHERE m.class = 'pg_proc'::regclass AND p.oid = m.id))) AS o(owner)
    WHERE o.owner IS DISTINCT FROM m.owner
    UNION ALL
    SELECT format('%s is a member of %s', a.member::regrole, a.roleid::regrole) FROM owner AS o JOIN pg_auth_members AS a ON a.roleid = o.oid
    WHERE a.roleid = to_regrole('model_access_owner')
    UNION ALL
    SELECT format('%s is a member of %s', a.member::regrole, a.roleid::regrole) FROM owner AS o JOIN pg_auth_members AS a ON a.member = o.oid
    WHERE a.member = to_regrole('model_access_owner')
    UNION ALL
    SELECT format('trigger %I on %s%s', t.tgname, t.tgrelid::regclass, CASE WHEN f.id IS NULL THEN ' is not the extension''s' ELSE ' is switched off' END)
    FROM pg_trigger AS t JOIN @extschema@._model_access_member AS m ON m.id = t.tgrelid AND m.class = 'pg_class'::regclass
    LEFT JOIN @extschema@._model_access_member AS f ON f.id = t.tgfoid AND f.class = 'pg_proc'::regclass
    WHERE NOT t.tgisinternal AND (f.id IS NULL OR t.tgenabled <> 'O')
    UNION ALL
    SELECT format('rule %I on %s is not the extension''s', r.rulename, r.ev_class::regclass)
    FROM pg_rewrite AS r JOIN @extschema@._model_access_member AS m ON m.id = r.ev_class AND m.class = 'pg_class'::regclass WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT format('policy %I on %s is not the extension''s', p.polname, p.polrelid::regclass)
    FROM pg_policy AS p JOIN @extschema@._model_access_member AS m ON m.id = p.polrelid AND m.class = 'pg_class'::regclass
$$;
COMMENT ON FUNCTION @extschema@._model_access_strangers() IS 'Internal. Owners, members, triggers, rules and policies that the install did not make.';

CREATE FUNCTION @extschema@._model_access_health_of_privileges() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH finding AS (
        SELECT 1 AS rank, s.what FROM @extschema@._model_access_strangers() AS s
        UNION ALL
        SELECT 2, format('%s holds %s on %s', CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END, h.privilege, h.object)
        FROM @extschema@._model_access_held AS h
        WHERE NOT EXISTS (SELECT FROM @extschema@._model_access_due AS u WHERE u.id = h.id AND u.grantee = h.grantee AND u.privilege = h.privilege)
        UNION ALL
        SELECT 3, format('%s lacks %s on %s', u.grantee_name, u.privilege, u.object) FROM @extschema@._model_access_due AS u
        WHERE NOT EXISTS (SELECT FROM @extschema@._model_access_held AS h WHERE h.id = u.id AND h.grantee = u.grantee AND h.privilege = u.privilege)
        UNION ALL
        SELECT 4, format('%s may create objects in schema %s', c.roles, '@extschema@') FROM @extschema@._model_access_creators() AS c(roles) WHERE c.roles IS NOT NULL),
    numbered AS (SELECT f.*, row_number() OVER (ORDER BY f.rank, f.what) AS n, count(*) OVER () AS total FROM finding AS f)
    SELECT 'privileges', count(*) = 0, coalesce(
        string_agg(n.what, '; ' ORDER BY n.n) FILTER (WHERE n.n <= 5) || CASE WHEN max(n.total) > 5 THEN format('; and %s more', max(n.total) - 5) ELSE '' END
            || coalesce('; model_access_repair_privileges() ' || nullif(concat_ws(' and ', CASE WHEN bool_or(n.what LIKE 'PUBLIC holds %') THEN 'takes what PUBLIC holds' END,
                CASE WHEN bool_or(n.rank = 3) THEN 'puts back what is lacking' END), ''), ''),
        'roles hold what model_access_grant gave, and nothing else')
    FROM numbered AS n
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_privileges() IS 'Internal. The part of model_access_health about rights.';
