\set ECHO none
-- Everything that must be the same after retire and restore: the objects in pg_catalog, by name, and the rows.
CREATE FUNCTION pg_temp.catalogue() RETURNS TABLE (object text, detail text) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $catalogue$
BEGIN
    RETURN QUERY
    WITH spaces AS (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname !~ '^(pg_|information_schema$)'),
    relations AS (
        SELECT c.* FROM pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
        WHERE c.relname !~ 'model_access_(retired|history|sync_log)' AND c.relpersistence <> 't'),
    acls AS (
        SELECT 'grant on ' || c.oid::regclass AS on, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl FROM relations AS c WHERE c.relkind IN ('r', 'p', 'v', 'm')
        UNION ALL
        SELECT format('grant on %s.%I', c.oid::regclass, a.attname), a.attacl FROM relations AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'grant on ' || p.oid::regprocedure, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace)
    SELECT 'relation ' || c.oid::regclass, concat_ws(' ', c.relkind, c.relowner::regrole, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispopulated,
        c.relispartition, pg_get_expr(c.relpartbound, c.oid), (SELECT string_agg(i.inhparent::regclass::text, ',') FROM pg_inherits AS i WHERE i.inhrelid = c.oid)) FROM relations AS c
    UNION ALL
    SELECT format('column %s.%I', c.oid::regclass, a.attname), concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage, a.attcompression,
        a.attstattarget, a.attgenerated, a.attinhcount, a.attislocal, a.attcollation::regcollation, pg_get_expr(d.adbin, c.oid),
        (SELECT string_agg(o, ',') FROM unnest(a.attoptions) AS o WHERE o LIKE 'n\_distinct%'))
    FROM relations AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT l.on, concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable, 'by', x.grantor::regrole) FROM acls AS l, aclexplode(l.acl) AS x
    WHERE x.privilege_type <> 'MAINTAIN' -- since PostgreSQL 17
    UNION ALL
    SELECT 'view ' || c.oid::regclass, pg_get_viewdef(c.oid) FROM relations AS c WHERE c.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'rule ' || r.rulename, concat_ws(' ', pg_get_ruledef(r.oid), r.ev_enabled) FROM pg_rewrite AS r JOIN relations AS c ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN'
    UNION ALL
    -- since PostgreSQL 18, NOT NULL has a name, which a partition takes from its parent
    SELECT 'constraint ' || CASE WHEN o.contype = 'n' AND NOT o.conislocal THEN 'NOT NULL' ELSE o.conname END, concat_ws(' ', o.conrelid::regclass, pg_get_constraintdef(o.oid), o.coninhcount, o.conislocal) FROM pg_constraint AS o JOIN relations AS c ON c.oid = o.conrelid
    UNION ALL
    SELECT 'index ' || i.indexrelid::regclass, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident,
        (SELECT h.inhparent::regclass FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)) FROM pg_index AS i JOIN relations AS c ON c.oid = i.indrelid
    UNION ALL
    SELECT 'trigger ' || t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled) FROM pg_trigger AS t JOIN relations AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'policy ' || p.polname, concat_ws(' ', p.polrelid::regclass, p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) FROM pg_policy AS p
    UNION ALL
    SELECT 'function ' || f.oid::regprocedure, concat_ws(' ', f.proowner::regrole, pg_get_functiondef(f.oid)) FROM pg_proc AS f JOIN spaces AS s ON s.oid = f.pronamespace WHERE f.prokind <> 'a'
    UNION ALL
    SELECT 'statistics ' || x.stxname, concat_ws(' ', x.stxrelid::regclass, x.stxkind, x.stxstattarget, x.stxowner::regrole, pg_get_expr(x.stxexprs, x.stxrelid),
        (SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute AS a WHERE a.attrelid = x.stxrelid AND a.attnum = ANY (x.stxkeys))) FROM pg_statistic_ext AS x
    UNION ALL
    SELECT 'publication ' || p.pubname, concat_ws(' ', p.schemaname, p.tablename, (SELECT array_agg(n ORDER BY n) FROM unnest(p.attnames) AS n), p.rowfilter) FROM pg_publication_tables AS p
    UNION ALL
    SELECT 'comment on ' || concat_ws(' ', i.type, i.identity), d.description FROM pg_description AS d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
    WHERE d.classoid <> 'pg_collation'::regclass AND i.schema IS DISTINCT FROM 'pg_catalog' AND i.identity !~ '^(pg_catalog|information_schema)\.|model_access';
    FOR object IN SELECT r.oid::regclass FROM pg_class AS r WHERE r.relkind IN ('r', 'v', 'm') AND r.relispopulated AND r.relpersistence <> 't'
        AND r.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)' AND r.relname !~ 'model_access'
    LOOP
        RETURN QUERY EXECUTE format('SELECT %L, to_jsonb(t)::text FROM %s AS t', 'row of ' || object, object);
    END LOOP;
END
$catalogue$;
CREATE TEMP TABLE remembered AS SELECT * FROM pg_temp.catalogue();
CREATE VIEW pg_temp.changed AS
    SELECT 'missing' AS what, m.* FROM (TABLE remembered EXCEPT ALL SELECT * FROM pg_temp.catalogue()) AS m
    UNION ALL
    SELECT 'new', n.* FROM (SELECT * FROM pg_temp.catalogue() EXCEPT ALL TABLE remembered) AS n;
CREATE FUNCTION pg_temp.remember() RETURNS void LANGUAGE sql AS 'DELETE FROM remembered; INSERT INTO remembered SELECT * FROM pg_temp.catalogue()';
\set ECHO all
