-- Installs of model_access as a JSON array: schema, is_extension, version, and call, which gives the version.
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
    'schema', n.nspname, 'is_extension', e.extversion IS NOT NULL, 'version', e.extversion,
    -- a member of the owner, such as every superuser, must not run its code
    'call', CASE WHEN e.extversion IS NULL AND p.proowner = c.relowner AND c.relowner = r.oid
        THEN pg_catalog.format('%I.model_access_version()', n.nspname) END) ORDER BY n.nspname), '[]')::text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
    AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
LEFT JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'model_access_version' AND p.pronargs = 0
WHERE c.relname = 'model_access_sync_log' AND c.relkind = 'r' AND ($1::text IS NULL OR n.nspname = $1)
