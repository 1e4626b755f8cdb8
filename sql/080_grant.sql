-- Who may do what. Nobody but the owner holds anything until model_access_grant says so.

CREATE FUNCTION @extschema@._model_access_rights() RETURNS TABLE (rights text, privilege text, object text)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT * FROM (VALUES
        ('reader', 'EXECUTE', 'FUNCTION @extschema@.models_for_tier(text)'),
        ('reader', 'EXECUTE', 'FUNCTION @extschema@.model_allowed(text, text)'),
        ('reader', 'EXECUTE', 'FUNCTION @extschema@.model_access_explain(text, text)'),
        ('reader', 'EXECUTE', 'FUNCTION @extschema@._model_access_tier(text)'),
        ('reader', 'EXECUTE', 'FUNCTION @extschema@._model_access_in_tier(text, boolean, boolean, boolean)'),
        ('reader', 'SELECT', 'TABLE @extschema@._model_access_active'),
        ('reader', 'SELECT', 'TABLE @extschema@.model_access_visible'),
        ('admin', 'SELECT, UPDATE (status, is_free, is_pro, is_enterprise, note)', 'TABLE @extschema@.model_access'),
        ('admin', 'SELECT', 'TABLE @extschema@.model_access_sync_log'),
        ('admin', 'SELECT', 'TABLE @extschema@.model_access_settings'),
        ('admin', 'EXECUTE', 'FUNCTION @extschema@.model_access_sync(integer)')
    ) AS r(rights, privilege, object);
END;
COMMENT ON FUNCTION @extschema@._model_access_rights() IS 'Internal. What each set of rights is made of; admin includes reader.';

CREATE FUNCTION @extschema@.model_access_grant(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF rights NOT IN ('reader', 'admin') OR rights IS NULL THEN
        RAISE EXCEPTION 'unknown rights "%"', rights
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The rights are reader and admin.';
    END IF;
    PERFORM @extschema@._model_access_check_role(role);
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %s', role);
    END IF;
    FOR item IN
        SELECT r.privilege, r.object FROM @extschema@._model_access_rights() AS r
        WHERE r.rights IN ('reader', model_access_grant.rights)
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', item.privilege, item.object, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_grant(regrole, text) IS 'Gives a role rights: reader (listing, checking, explaining) or admin (reader, and deciding, log, sync), with USAGE on the schema. Owner only. Error 22023 for unknown rights.';

CREATE FUNCTION @extschema@.model_access_revoke(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    object text;
BEGIN
    PERFORM @extschema@._model_access_check_role(role);
    FOR object IN SELECT m.object FROM @extschema@._model_access_members() AS m LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', object, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_revoke(regrole) IS 'Takes every right that a role holds on the extension''s objects, however it came by them; USAGE on the schema stays. Owner only.';

CREATE FUNCTION @extschema@._model_access_check_role(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'role must be given'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name an existing role, as in ''app''::regrole.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_role(regrole) IS 'Internal. Error 22023 where there is no such role, or none was given.';

CREATE FUNCTION @extschema@._model_access_members() RETURNS TABLE (object text, owner oid, acl aclitem[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        CASE WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass::text, c.relowner,
        coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    JOIN pg_class AS c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
    WHERE e.extname = 'model_access' AND d.deptype = 'e' AND c.relkind IN ('r', 'v', 'S')
    UNION ALL
    SELECT 'ROUTINE ' || p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
    WHERE e.extname = 'model_access' AND d.deptype = 'e';
END;
COMMENT ON FUNCTION @extschema@._model_access_members() IS 'Internal. Every relation and routine of the extension, as GRANT names it, with its owner and privileges.';
