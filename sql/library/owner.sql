-- Tables, views, sequences and SECURITY DEFINER functions belong to a role of their own, so that a mistake in such a function
-- affects nothing else. What runs with the rights of its caller belongs to the installer: whoever could alter it would act as
-- the superuser who calls it.

DO $$
DECLARE
    role record;
    item record;
BEGIN
    SELECT r.*,
        ARRAY(SELECT m.member::regrole::text FROM pg_auth_members AS m WHERE m.roleid = r.oid) AS members,
        ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members AS m WHERE m.member = r.oid) AS groups
    INTO role FROM pg_roles AS r WHERE r.rolname = 'model_access_owner';
    IF NOT FOUND THEN
        CREATE ROLE model_access_owner;
        COMMENT ON ROLE model_access_owner IS
            'Owns the tables and the SECURITY DEFINER functions of the extension model_access, and has no members.';
    ELSIF role.rolcanlogin OR role.rolsuper OR role.rolcreaterole OR role.rolcreatedb OR role.rolreplication OR role.rolbypassrls
        OR role.members <> '{}' OR role.groups <> '{}' THEN
        RAISE EXCEPTION 'role "model_access_owner" exists and cannot own the extension'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('It must have no attribute such as LOGIN, no members and no memberships. '
                                  'Its members: %s; its memberships: %s.',
                      coalesce(nullif(array_to_string(role.members, ', '), ''), 'none'),
                      coalesce(nullif(array_to_string(role.groups, ', '), ''), 'none')),
                  HINT = 'Revoke these from the role, or rename the role.';
    END IF;
    IF NOT has_schema_privilege('model_access_owner', '@extschema@'::regnamespace, 'USAGE') THEN
        GRANT USAGE ON SCHEMA @extschema@ TO model_access_owner;
    END IF;
    FOR item IN
        SELECT CASE WHEN c.oid IS NOT NULL THEN format('TABLE %s', c.oid::regclass)
                    ELSE format('ROUTINE %s', m.id::regprocedure) END AS name, m.owner::regrole AS owner
        FROM @extschema@._model_access_member AS m
        LEFT JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass
        LEFT JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass
        -- only what an upgrade made, which another superuser may run
        WHERE m.owner <> coalesce(c.relowner, p.proowner)
          -- a sequence follows its table
          AND c.relkind IS DISTINCT FROM 'S'
    LOOP
        EXECUTE format('ALTER %s OWNER TO %s', item.name, item.owner);
    END LOOP;
END
$$;
