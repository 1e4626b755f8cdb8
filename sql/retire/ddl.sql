-- Objects as DDL: what drops one, and what brings it back exactly, with owner, grants, comment and whatever hangs on it.
-- PostgreSQL's own pg_get_…def does the main part. Names come out qualified, because search_path is pinned.

CREATE FUNCTION @extschema@._model_access_revoke_all(object text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind    text := split_part(object, ' ', 1);
    name    text := substr(object, length(kind) + 2);
    grantee record;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee AS id
        FROM (SELECT c.relacl FROM pg_class AS c WHERE kind = 'TABLE' AND c.oid = name::regclass
              UNION ALL
              SELECT coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc AS p WHERE kind = 'ROUTINE' AND p.oid = name::regprocedure) AS o(acl)
        CROSS JOIN LATERAL aclexplode(o.acl) AS a
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', object, CASE grantee.id WHEN 0 THEN 'PUBLIC' ELSE grantee.id::regrole::text END);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_revoke_all(text) IS 'Internal. Takes everything that default privileges gave on a new object, such as TABLE public.some_view.';

CREATE FUNCTION @extschema@._model_access_ddl_grants(object text, column_name name, owner oid, acl aclitem[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(CASE WHEN g.grantor = owner THEN '%4$s' ELSE 'SET LOCAL ROLE %1$s; %4$sSET LOCAL ROLE %2$I;%3$s' END,
               g.grantor::regrole, current_user, E'\n', format(E'GRANT %s ON %s TO %s%s;\n', g.privileges, object,
                   CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)),
               '' ORDER BY g.grantor <> owner, g.first)
    FROM (
        SELECT a.grantor, a.grantee, a.is_grantable, min(a.n) AS first,
               string_agg(a.privilege_type || coalesce(' (' || quote_ident(column_name) || ')', ''), ', ' ORDER BY a.privilege_type COLLATE "C") AS privileges
        FROM aclexplode(acl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, n)
        GROUP BY a.grantor, a.grantee, a.is_grantable) AS g
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_grants(text, name, oid, aclitem[]) IS 'Internal. The GRANTs that make an access control list, each by whoever granted it.';

CREATE FUNCTION @extschema@._model_access_ddl_comment(object text, class oid, id oid, sub integer) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT format(E'COMMENT ON %s IS %L;\n', object, d.description) FROM pg_description AS d
        WHERE d.classoid = class AND d.objoid = id AND d.objsubid = sub);
COMMENT ON FUNCTION @extschema@._model_access_ddl_comment(text, oid, oid, integer) IS 'Internal. The comment of an object; NULL where it has none.';

CREATE FUNCTION @extschema@._model_access_ddl_trigger(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE clones AS (
        SELECT t.oid, t.tgname, t.tgrelid, t.tgenabled, 0 AS depth FROM pg_trigger AS t WHERE t.oid = id
        UNION ALL
        SELECT t.oid, t.tgname, t.tgrelid, t.tgenabled, c.depth + 1 FROM clones AS c JOIN pg_trigger AS t ON t.tgparentid = c.oid)
    SELECT concat(pg_get_triggerdef(id), E';\n',
        (SELECT string_agg(format(E'ALTER TABLE ONLY %s %s TRIGGER %I;\n', c.tgrelid::regclass,
                    CASE c.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, c.tgname), ''
                    ORDER BY c.depth, c.tgrelid::regclass::text)
         FROM clones AS c WHERE c.tgenabled <> 'O'),
        @extschema@._model_access_ddl_comment(format('TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass), 'pg_trigger'::regclass::oid, id, 0::integer))
    FROM pg_trigger AS t WHERE t.oid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_trigger(oid) IS 'Internal. A trigger as DDL, with its state here and in every partition.';

CREATE FUNCTION @extschema@._model_access_ddl_rule(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(pg_get_ruledef(id), E'\n',
        CASE WHEN r.ev_enabled <> 'O' THEN format(E'ALTER TABLE %s %s RULE %I;\n', r.ev_class::regclass,
            CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, r.rulename) END,
        @extschema@._model_access_ddl_comment(format('RULE %I ON %s', r.rulename, r.ev_class::regclass), 'pg_rewrite'::regclass::oid, id, 0::integer))
    FROM pg_rewrite AS r WHERE r.oid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_rule(oid) IS 'Internal. A rule as DDL, with its state.';

CREATE FUNCTION @extschema@._model_access_ddl_policy(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, p.polrelid::regclass,
            CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ') FROM unnest(p.polroles) AS r)),
        E'\n    USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        E'\n    WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', E';\n',
        @extschema@._model_access_ddl_comment(format('POLICY %I ON %s', p.polname, p.polrelid::regclass), 'pg_policy'::regclass::oid, id, 0::integer))
    FROM pg_policy AS p WHERE p.oid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_policy(oid) IS 'Internal. A row security policy as DDL.';

CREATE FUNCTION @extschema@._model_access_ddl_index_settings(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(
        'ALTER INDEX ' || i.indexrelid::regclass || ' SET TABLESPACE ' || quote_ident(s.spcname) || E';\n',
        (SELECT string_agg(format(E'ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s;\n', id::regclass, a.attnum, a.attstattarget), '' ORDER BY a.attnum)
         FROM pg_attribute AS a WHERE a.attrelid = id AND a.attstattarget >= 0),
        CASE WHEN i.indisclustered THEN format(E'ALTER TABLE %s CLUSTER ON %I;\n', i.indrelid::regclass, c.relname) END,
        CASE WHEN i.indisreplident THEN format(E'ALTER TABLE ONLY %s REPLICA IDENTITY USING INDEX %I;\n', i.indrelid::regclass, c.relname) END,
        @extschema@._model_access_ddl_comment('INDEX ' || id::regclass, 'pg_class'::regclass::oid, id, 0::integer))
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
    WHERE i.indexrelid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_index_settings(oid) IS 'Internal. What belongs to an index beside its definition.';

CREATE FUNCTION @extschema@._model_access_ddl_constraint(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(format(E'ALTER TABLE %s%s ADD CONSTRAINT %I %s;\n', CASE WHEN c.contype IN ('p', 'u', 'x') THEN 'ONLY ' END,
            c.conrelid::regclass, c.conname, pg_get_constraintdef(id)),
        @extschema@._model_access_ddl_comment(format('CONSTRAINT %I ON %s', c.conname, c.conrelid::regclass), 'pg_constraint'::regclass::oid, id, 0::integer))
    FROM pg_constraint AS c WHERE c.oid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_constraint(oid) IS 'Internal. A constraint of a table as DDL.';

CREATE FUNCTION @extschema@._model_access_ddl_index(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- as pg_dump does it: each partition's own index under its own name, then attached
    WITH RECURSIVE parts AS (
        SELECT id AS part, NULL::oid AS parent, 0 AS depth
        UNION ALL
        SELECT i.inhrelid, i.inhparent, p.depth + 1 FROM parts AS p JOIN pg_inherits AS i ON i.inhparent = p.part),
    ddl AS (
        SELECT p.*, c.oid AS constraint_id FROM parts AS p
        LEFT JOIN pg_constraint AS c ON c.conindid = p.part AND c.contype IN ('p', 'u', 'x'))
    SELECT concat(
        string_agg(CASE WHEN d.constraint_id IS NULL THEN pg_get_indexdef(d.part) || E';\n'
                        ELSE @extschema@._model_access_ddl_constraint(d.constraint_id) END
                   || @extschema@._model_access_ddl_index_settings(d.part), '' ORDER BY d.depth, d.part::regclass::text),
        string_agg(format(E'ALTER INDEX %s ATTACH PARTITION %s;\n', d.parent::regclass, d.part::regclass), ''
                   ORDER BY d.depth DESC, d.part::regclass::text) FILTER (WHERE d.parent IS NOT NULL))
    FROM ddl AS d
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_index(oid) IS 'Internal. An index as DDL, with those of the partitions, or the constraint that it serves.';

CREATE FUNCTION @extschema@._model_access_ddl_statistics(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(pg_get_statisticsobjdef(id), E';\n', format(E'ALTER STATISTICS %s OWNER TO %s;\n', n.name, s.stxowner::regrole),
        CASE WHEN s.stxstattarget >= 0 THEN format(E'ALTER STATISTICS %s SET STATISTICS %s;\n', n.name, s.stxstattarget) END,
        @extschema@._model_access_ddl_comment('STATISTICS ' || n.name, 'pg_statistic_ext'::regclass::oid, id, 0::integer))
    FROM pg_statistic_ext AS s CROSS JOIN LATERAL (SELECT format('%s.%I', s.stxnamespace::regnamespace, s.stxname)) AS n(name)
    WHERE s.oid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_statistics(oid) IS 'Internal. Extended statistics as DDL.';

CREATE FUNCTION @extschema@._model_access_ddl_function(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- not OR REPLACE: what has that name by then is somebody else's
    SELECT concat(regexp_replace(trim(E'\n' FROM pg_get_functiondef(id)), '^CREATE OR REPLACE', 'CREATE'), E';\n',
        format(E'ALTER ROUTINE %s OWNER TO %s;\n', n.name, p.proowner::regrole),
        format(E'SELECT %s._model_access_revoke_all(%L::text);\n', '@extschema@'::regnamespace, 'ROUTINE ' || n.name),
        @extschema@._model_access_ddl_grants('ROUTINE ' || n.name, NULL, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))),
        @extschema@._model_access_ddl_comment('ROUTINE ' || n.name, 'pg_proc'::regclass::oid, id, 0::integer))
    FROM pg_proc AS p CROSS JOIN LATERAL (SELECT p.oid::regprocedure::text) AS n(name)
    -- there is no such definition of an aggregate
    WHERE p.oid = id AND p.prokind <> 'a'
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_function(oid) IS 'Internal. A function or procedure as DDL.';

CREATE FUNCTION @extschema@._model_access_ddl_publication(id oid, without name DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'ALTER PUBLICATION %I ADD TABLE ONLY %s%s%s;\n', p.pubname, r.prrelid::regclass,
        (SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' FROM pg_attribute AS a
         WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs) AND a.attname IS DISTINCT FROM without),
        ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')')
    FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.oid = id
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_publication(oid, name) IS 'Internal. A published table as DDL, without a column where one is named.';

CREATE FUNCTION @extschema@._model_access_ddl_view_columns(id oid, without text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(concat(
        format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT ', id::regclass, a.attname) || pg_get_expr(d.adbin, id) || E';\n',
        CASE WHEN a.attstattarget >= 0 THEN format(E'ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s;\n', id::regclass, a.attname, a.attstattarget) END,
        CASE WHEN c.relkind = 'm' AND a.attstorage <> t.typstorage THEN format(E'ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s;\n', id::regclass, a.attname,
            CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END,
        @extschema@._model_access_ddl_grants('TABLE ' || id::regclass, a.attname, c.relowner, a.attacl),
        @extschema@._model_access_ddl_comment(format('COLUMN %s.%I', id::regclass, a.attname), 'pg_class'::regclass::oid, id, a.attnum::integer)), '' ORDER BY a.attnum)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.oid = id AND a.attnum > 0 AND a.attname <> ALL (without)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_view_columns(oid, text[]) IS 'Internal. What belongs to the columns of a view, but for those that go: defaults, settings, grants, comments.';

CREATE FUNCTION @extschema@._model_access_ddl_view_parts(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(
        (SELECT string_agg(@extschema@._model_access_ddl_rule(r.oid), '' ORDER BY r.rulename) FROM pg_rewrite AS r
         WHERE r.ev_class = id AND r.rulename <> '_RETURN'),
        (SELECT string_agg(@extschema@._model_access_ddl_trigger(t.oid), '' ORDER BY t.tgname) FROM pg_trigger AS t
         WHERE t.tgrelid = id AND NOT t.tgisinternal),
        (SELECT string_agg(@extschema@._model_access_ddl_index(i.indexrelid), '' ORDER BY i.indexrelid::regclass::text) FROM pg_index AS i
         WHERE i.indrelid = id),
        (SELECT string_agg(@extschema@._model_access_ddl_statistics(s.oid), '' ORDER BY s.stxname) FROM pg_statistic_ext AS s WHERE s.stxrelid = id))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_view_parts(oid) IS 'Internal. The rules, triggers, indexes and statistics of a view.';

CREATE FUNCTION @extschema@._model_access_ddl_view(id oid, definition text DEFAULT NULL, without text[] DEFAULT '{}') RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(
        format('CREATE %sVIEW %s', CASE c.relkind WHEN 'm' THEN 'MATERIALIZED ' END, id::regclass),
        CASE WHEN c.relkind = 'm' THEN format(' USING %I', m.amname) END,
        (SELECT ' WITH (' || string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') || ')' FROM unnest(c.reloptions) AS o),
        ' TABLESPACE ' || quote_ident(s.spcname),
        E' AS\n', rtrim(coalesce(definition, pg_get_viewdef(id)), ';'), CASE WHEN c.relkind = 'm' THEN E'\n  WITH NO DATA' END, E';\n',
        format(E'ALTER TABLE %s OWNER TO %s;\n', id::regclass, c.relowner::regrole),
        format(E'SELECT %s._model_access_revoke_all(%L::text);\n', '@extschema@'::regnamespace, 'TABLE ' || id::regclass),
        @extschema@._model_access_ddl_grants('TABLE ' || id::regclass, NULL, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner))),
        @extschema@._model_access_ddl_comment(CASE c.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END || 'VIEW ' || id::regclass, 'pg_class'::regclass::oid, id, 0),
        @extschema@._model_access_ddl_view_columns(id, without), @extschema@._model_access_ddl_view_parts(id),
        CASE WHEN c.relkind = 'm' AND c.relispopulated THEN format(E'REFRESH MATERIALIZED VIEW %s;\n', id::regclass) END)
    FROM pg_class AS c LEFT JOIN pg_am AS m ON m.oid = c.relam LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
    WHERE c.oid = id AND c.relkind IN ('v', 'm')
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_view(oid, text, text[]) IS 'Internal. A view or materialized view as DDL, with all that belongs to it; with another definition, and without some columns, where they are given.';

CREATE FUNCTION @extschema@._model_access_tree(relation oid) RETURNS TABLE (id oid, depth integer)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE tree AS (
        SELECT relation AS id, 0 AS depth
        UNION ALL
        SELECT i.inhrelid, t.depth + 1 FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.id)
    SELECT t.id, max(t.depth) FROM tree AS t GROUP BY t.id;
END;
COMMENT ON FUNCTION @extschema@._model_access_tree(oid) IS 'Internal. A table and all its partitions or children.';

CREATE FUNCTION @extschema@._model_access_ddl_column(relation oid, column_name name, OUT back text, OUT not_null text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH columns AS (
        SELECT r.depth, r.id, c.relowner, a.*, format('ALTER TABLE ONLY %s ALTER COLUMN %I', r.id::regclass, column_name) AS alter_column
        FROM @extschema@._model_access_tree(relation) AS r
        JOIN pg_class AS c ON c.oid = r.id JOIN pg_attribute AS a ON a.attrelid = r.id AND a.attname = column_name),
    settings AS (
        SELECT c.*, n.conname, n.conislocal, concat(
            CASE WHEN c.attgenerated = '' THEN c.alter_column || ' SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) || E';\n' END,
            CASE WHEN c.attstorage <> t.typstorage THEN c.alter_column || format(E' SET STORAGE %s;\n',
                CASE c.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END,
            CASE c.attcompression WHEN 'p' THEN c.alter_column || E' SET COMPRESSION pglz;\n' WHEN 'l' THEN c.alter_column || E' SET COMPRESSION lz4;\n' END,
            CASE WHEN c.attstattarget >= 0 THEN c.alter_column || format(E' SET STATISTICS %s;\n', c.attstattarget) END,
            c.alter_column || ' SET (' || (SELECT string_agg(o, ', ') FROM unnest(c.attoptions) AS o WHERE o LIKE 'n\_distinct%') || E');\n',
            @extschema@._model_access_ddl_grants('TABLE ' || c.id::regclass, column_name, c.relowner, c.attacl),
            (SELECT string_agg(format(E'SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L;\n', l.provider, c.id::regclass, column_name, l.label), '')
             FROM pg_seclabel AS l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = c.id AND l.objsubid = c.attnum),
            @extschema@._model_access_ddl_comment(format('COLUMN %s.%I', c.id::regclass, column_name), 'pg_class'::regclass::oid, c.id, c.attnum::integer)) AS ddl
        FROM columns AS c JOIN pg_type AS t ON t.oid = c.atttypid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.id AND d.adnum = c.attnum
        LEFT JOIN pg_constraint AS n ON n.conrelid = c.id AND n.contype = 'n' AND n.conkey = ARRAY[c.attnum])
    SELECT concat((SELECT format(E'ALTER TABLE %s ADD COLUMN %I %s%s%s;\n', relation::regclass, column_name, format_type(c.atttypid, c.atttypmod),
                          (SELECT format(' COLLATE %s', c.attcollation::regcollation)
                           FROM pg_type AS t WHERE t.oid = c.atttypid AND t.typcollation <> c.attcollation),
                          CASE c.attgenerated WHEN '' THEN '' ELSE format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(d.adbin, d.adrelid),
                              CASE c.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END) END)
                   FROM columns AS c LEFT JOIN pg_attrdef AS d ON d.adrelid = c.id AND d.adnum = c.attnum WHERE c.id = relation),
                  (SELECT string_agg(s.ddl, '' ORDER BY s.depth, s.id::regclass::text) FROM settings AS s)),
           -- where NOT NULL is a constraint it has a name, and children inherit it
           (SELECT string_agg(CASE WHEN s.conname IS NULL THEN s.alter_column || E' SET NOT NULL;\n'
                      ELSE format(E'ALTER TABLE %s ADD CONSTRAINT %I NOT NULL %I;\n', s.id::regclass, s.conname, column_name) END,
                      '' ORDER BY s.depth DESC, s.id::regclass::text)
            FROM settings AS s WHERE s.attnotnull AND s.conislocal IS NOT FALSE)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_column(oid, name) IS 'Internal. A column as DDL, with what belongs to it here and in partitions or children; and whether it takes NULL, for later, when it has its values.';

CREATE FUNCTION @extschema@._model_access_ddl(
    class oid, id oid, sub integer, OUT object text, OUT remove text, OUT back text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind char := (SELECT c.relkind FROM pg_class AS c WHERE c.oid = id AND class = 'pg_class'::regclass);
BEGIN
    SELECT o.type || ' ' || o.identity INTO object FROM pg_identify_object(class, id, sub) AS o;
    IF kind IN ('v', 'm') AND sub = 0 THEN
        object := CASE kind WHEN 'm' THEN 'materialized ' ELSE '' END || 'view ' || id::regclass;
        remove := format(E'DROP %sVIEW %s;\n', CASE kind WHEN 'm' THEN 'MATERIALIZED ' END, id::regclass);
        back := @extschema@._model_access_ddl_view(id, NULL::text, '{}'::text[]);
    ELSIF kind IN ('i', 'I') THEN
        object := 'index ' || id::regclass;
        remove := format(E'DROP INDEX %s;\n', id::regclass);
        back := @extschema@._model_access_ddl_index(id);
    ELSIF kind IS NOT NULL AND sub > 0 AND (SELECT a.attgenerated <> '' FROM pg_attribute AS a WHERE a.attrelid = id AND a.attnum = sub) THEN
        SELECT 'generated column ' || o.identity, format(E'ALTER TABLE %s DROP COLUMN %I;\n', id::regclass, a.attname), concat(c.back, c.not_null)
        INTO object, remove, back
        FROM pg_attribute AS a CROSS JOIN @extschema@._model_access_ddl_column(id, a.attname) AS c CROSS JOIN pg_identify_object(class, id, sub) AS o
        WHERE a.attrelid = id AND a.attnum = sub;
    ELSIF class = 'pg_proc'::regclass THEN
        object := 'function ' || id::regprocedure;
        remove := format(E'DROP ROUTINE %s;\n', id::regprocedure);
        back := @extschema@._model_access_ddl_function(id);
    ELSIF class = 'pg_trigger'::regclass THEN
        SELECT format(E'DROP TRIGGER %I ON %s;\n', t.tgname, t.tgrelid::regclass) INTO remove FROM pg_trigger AS t WHERE t.oid = id;
        back := @extschema@._model_access_ddl_trigger(id);
    ELSIF class = 'pg_rewrite'::regclass THEN
        SELECT format(E'DROP RULE %I ON %s;\n', r.rulename, r.ev_class::regclass) INTO remove FROM pg_rewrite AS r WHERE r.oid = id;
        back := @extschema@._model_access_ddl_rule(id);
    ELSIF class = 'pg_policy'::regclass THEN
        SELECT format(E'DROP POLICY %I ON %s;\n', p.polname, p.polrelid::regclass) INTO remove FROM pg_policy AS p WHERE p.oid = id;
        back := @extschema@._model_access_ddl_policy(id);
    ELSIF class = 'pg_constraint'::regclass THEN
        SELECT format('constraint %I on %s', c.conname, c.conrelid::regclass),
               format(E'ALTER TABLE %s DROP CONSTRAINT %I;\n', c.conrelid::regclass, c.conname),
               CASE WHEN c.contype IN ('p', 'u', 'x') THEN @extschema@._model_access_ddl_index(c.conindid)
                    ELSE @extschema@._model_access_ddl_constraint(id) END
        INTO object, remove, back FROM pg_constraint AS c WHERE c.oid = id AND c.conrelid <> 0;
    ELSIF class = 'pg_statistic_ext'::regclass THEN
        SELECT 'statistics ' || o.identity, format(E'DROP STATISTICS %s;\n', o.identity) INTO object, remove FROM pg_identify_object(class, id, 0) AS o;
        back := @extschema@._model_access_ddl_statistics(id);
    ELSIF class = 'pg_publication_rel'::regclass THEN
        SELECT format(E'ALTER PUBLICATION %I DROP TABLE ONLY %s;\n', p.pubname, r.prrelid::regclass)
        INTO remove FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.oid = id;
        back := @extschema@._model_access_ddl_publication(id, NULL::name);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl(oid, oid, integer) IS 'Internal. An object by name, what drops it, and what brings it back; the latter two are NULL where that is not known.';
