WITH login AS (
    SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole FROM pg_roles AS r WHERE r.rolname = session_user),
owned AS (
    SELECT c.oid, c.relname, c.relowner FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $3
      AND c.relname IN ('model_access', 'model_access_action', 'model_access_rule', 'model_access_override')),
roles AS (
    SELECT w.name, w.is_admin, r.oid, r.rolsuper FROM (VALUES ($1, true), ($2, false)) AS w(name, is_admin)
    LEFT JOIN pg_roles AS r ON r.rolname = w.name),
writers AS (
    SELECT r.oid, bool_or(has_any_column_privilege(r.oid, o.oid, 'INSERT') OR has_any_column_privilege(r.oid, o.oid, 'UPDATE')
        OR has_table_privilege(r.oid, o.oid, 'DELETE')) AS may_decide,
        bool_or(pg_has_role(r.oid, o.relowner, 'MEMBER')) AS is_owner
    FROM (SELECT l.oid FROM login AS l UNION SELECT r.oid FROM roles AS r WHERE r.oid IS NOT NULL) AS r CROSS JOIN owned AS o
    GROUP BY r.oid)
SELECT coalesce(json_agg(p.problem), '[]')::text FROM (
    SELECT format('the login %s is a superuser, or can become one', l.rolname) AS problem FROM login AS l
    WHERE l.rolsuper OR EXISTS (SELECT FROM pg_roles AS s WHERE s.rolsuper AND pg_has_role(l.oid, s.oid, 'MEMBER'))
    UNION ALL
    SELECT format('the login %s may create roles', l.rolname) FROM login AS l WHERE l.rolcreaterole AND NOT l.rolsuper
    UNION ALL
    SELECT format('the login %s can become the owner of model_access', l.rolname) FROM login AS l JOIN writers USING (oid)
    WHERE is_owner AND NOT l.rolsuper
    UNION ALL
    SELECT format('the login %s may decide without taking a role; make it NOINHERIT, and revoke its rights', l.rolname)
    FROM login AS l JOIN writers USING (oid) WHERE may_decide AND NOT l.rolsuper
    UNION ALL
    SELECT format('the role %s does not exist', r.name) FROM roles AS r WHERE r.oid IS NULL
    UNION ALL
    SELECT format('the role %s is a superuser, or the owner of model_access', r.name)
    FROM roles AS r JOIN writers USING (oid) WHERE r.rolsuper OR is_owner
    UNION ALL
    SELECT format('the login %s is not a member of the role %s', l.rolname, r.name)
    FROM login AS l CROSS JOIN roles AS r WHERE NOT pg_has_role(l.oid, r.oid, 'MEMBER')
    UNION ALL
    SELECT format('the role %s may decide, although it is for people who only look', r.name)
    FROM roles AS r JOIN writers USING (oid) WHERE may_decide AND NOT r.is_admin
    UNION ALL
    SELECT 'the schema has no table model_access' WHERE NOT EXISTS (SELECT FROM owned)) AS p
