-- After the install only the owner holds anything: PUBLIC loses its EXECUTE, and so does whoever the default
-- privileges of the schema named.

DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        WITH objects AS (
            SELECT DISTINCT o.kind, o.name, coalesce(c.relowner, p.proowner) AS owner,
                   coalesce(c.relacl, p.proacl, acldefault('f', p.proowner)) AS acl
            FROM @extschema@._model_access_object AS o
            LEFT JOIN pg_class AS c ON c.oid = o.id AND o.kind <> 'ROUTINE'
            LEFT JOIN pg_proc AS p ON p.oid = o.id AND o.kind = 'ROUTINE')
        SELECT DISTINCT o.kind, o.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM objects AS o CROSS JOIN LATERAL aclexplode(o.acl) AS a
        WHERE a.grantee <> o.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', item.kind, item.name, item.grantee);
    END LOOP;
END
$$;
