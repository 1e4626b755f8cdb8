-- After CREATE EXTENSION only the owner holds anything: PUBLIC loses its EXECUTE, and so does whoever the
-- default privileges of the schema named.

DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT DISTINCT m.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM @extschema@._model_access_members() AS m CROSS JOIN LATERAL aclexplode(m.acl) AS a
        WHERE a.grantee <> m.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', item.object, item.grantee);
    END LOOP;
END
$$;
