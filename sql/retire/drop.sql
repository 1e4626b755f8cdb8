-- The end of a retired column, days later: what uses it is rewritten or dropped, its values are kept in a table.

CREATE FUNCTION @extschema@._model_access_view_without(view oid, column_name name, instead text, OUT definition text, OUT is_listed boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the name stands nowhere else, and PostgreSQL prints each item of a select list on a line of its own
    WITH text AS (
        SELECT pg_get_viewdef(view, 0) AS whole, E'(?:(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)[.]|[(](?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)(?:[.][*])?[)][.])?'
            || regexp_replace(quote_ident(column_name), E'([^A-Za-z0-9_])', '\\\1', 'g') || E'(?![a-z0-9_$"])' AS word)
    SELECT regexp_replace(t.whole, t.word, instead, 'g'),
        t.whole !~ E'\\m(UNION(?! ALL)|INTERSECT|EXCEPT|GROUP BY|DISTINCT(?! ON))\\M' AND (
            SELECT count(*) FROM regexp_matches(t.whole, t.word, 'g')) = (
            SELECT count(*) FROM regexp_split_to_table(t.whole, '\n') AS l(line)
            WHERE l.line ~ (E'^ *(?:SELECT +(?:DISTINCT ON [(][^()]*[)] *)?)?' || t.word || E'(?: AS (?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*))?[,;]?$'))
    FROM text AS t
$$;
COMMENT ON FUNCTION @extschema@._model_access_view_without(oid, name, text) IS 'Internal. A view with another expression in place of a column, and whether it only lists the column, so that it means the same.';

CREATE FUNCTION @extschema@._model_access_drop_uses(relation oid, column_name name, accept text[], disabled oid[]) RETURNS TABLE (object text, action text, why text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH use AS (
        SELECT d.*, v.oid AS view, w.definition, w.is_listed, w.definition <> pg_get_viewdef(v.oid, 0) AS is_changed,
            CASE WHEN k.oid IS NOT NULL THEN format(E'ALTER TABLE %s DROP CONSTRAINT %I;\n', k.conrelid::regclass, k.conname)
                 WHEN g.oid IS NOT NULL THEN (SELECT format(E'ALTER TABLE %s DROP COLUMN %I;\n', o.attrelid::regclass, o.attname)
                     FROM pg_attribute AS o WHERE o.attrelid = g.adrelid AND o.attnum = g.adnum AND o.attgenerated <> '')
                 ELSE 'DROP ' || upper(kind[1]) || ' ' || kind[2] || E';\n' END AS dropped,
            d.deptype = 'a' AND NOT EXISTS (SELECT FROM pg_depend AS o WHERE o.classid = d.class AND o.objid = d.id AND o.refclassid = 'pg_class'::regclass
                AND o.refobjid = relation AND o.refobjsubid NOT IN (0, a.attnum)) AS is_own,
            d.object = ANY (accept) OR d.object || ' as NULL' = ANY (accept) AS is_accepted,
            -- CREATE OR REPLACE drops options that it does not name: a lost security_invoker would open every row
            CASE WHEN v.oid IS NOT NULL THEN format(E'CREATE OR REPLACE VIEW %s%s AS\n%s\n', v.oid::regclass, ' WITH (' || array_to_string(v.reloptions, ', ') || ')', w.definition) END AS replaced
        FROM (SELECT * FROM @extschema@._model_access_dependents(relation, column_name)
              UNION SELECT 'pg_trigger'::regclass, t.id, 0, 'n', @extschema@._model_access_object('pg_trigger'::regclass::oid, t.id, 0) FROM unnest(disabled) AS t(id)) AS d
        JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = column_name
        JOIN pg_type AS t ON t.oid = @extschema@._model_access_column_type(relation, a.attnum)
        CROSS JOIN regexp_match(d.object, '^(view|materialized view|rule|policy|trigger|index|statistics|function|procedure)(?: object)? (.*)$') AS kind
        LEFT JOIN pg_constraint AS k ON d.class = 'pg_constraint'::regclass AND k.oid = d.id LEFT JOIN pg_attrdef AS g ON d.class = 'pg_attrdef'::regclass AND g.oid = d.id
        LEFT JOIN pg_rewrite AS r ON d.class = 'pg_rewrite'::regclass AND r.oid = d.id AND r.rulename = '_RETURN'
        LEFT JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = 'v'
        LEFT JOIN LATERAL @extschema@._model_access_view_without(v.oid, column_name, format('%L::%s', CASE WHEN d.object || ' as NULL' = ANY (accept) THEN NULL
            WHEN t.typcategory = 'A' THEN '{}' ELSE '[]' END, format_type(a.atttypid, a.atttypmod))) AS w ON v.oid IS NOT NULL)
    SELECT u.object, j.action,
        CASE WHEN u.is_own THEN 'it is about the column only' WHEN u.id = ANY (disabled) THEN 'switched off since the column was retired'
             WHEN u.is_listed THEN 'it only lists the column: an empty list takes its place; an INSERT through it cannot set it any more'
             WHEN u.is_changed THEN 'with an empty list it means something else; accepted, it is replaced as shown'
             WHEN u.object LIKE 'policy %' THEN 'accepted, it is dropped: mind which rows a policy that is gone lets through'
             WHEN u.dropped IS NULL THEN 'change it by hand' ELSE 'it is about more than the column; accepted, it is dropped' END,
        CASE j.action WHEN 'manual' THEN @extschema@._model_access_ddl_note(concat_ws(chr(10), u.object || ': it uses the column', coalesce(u.definition, u.dropped)), u.object)
             WHEN 'replace' THEN u.replaced ELSE coalesce(u.dropped, @extschema@._model_access_ddl_note('goes with the column'::text, NULL::text)) END
    FROM use AS u CROSS JOIN LATERAL (SELECT CASE WHEN u.is_own OR u.id = ANY (disabled) THEN 'drop' WHEN u.is_listed THEN 'replace'
        WHEN NOT u.is_accepted OR coalesce(u.replaced, u.dropped) IS NULL THEN 'manual' WHEN u.is_changed THEN 'replace' ELSE 'drop' END) AS j(action)
$$;
COMMENT ON FUNCTION @extschema@._model_access_drop_uses(oid, name, text[], oid[]) IS 'Internal. What becomes of everything that uses a retired column.';

CREATE FUNCTION @extschema@._model_access_ddl_keep(relation oid, gone @extschema@.model_access_retired) RETURNS TABLE (object text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH kept AS (
        SELECT c.relowner, format('%I.%I', c.relnamespace::regnamespace::text, left(c.relname, 30) || '_' || left(gone.column_name, 32)) AS name,
            (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM pg_index AS x CROSS JOIN LATERAL unnest(x.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
             JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum WHERE x.indrelid = relation AND x.indisprimary AND k.n <= x.indnkeyatts) AS keys
        FROM pg_class AS c WHERE c.oid = relation)
    SELECT 'table ' || k.name, format(E'CREATE TABLE %1$s AS SELECT %2$s, %3$I AS %4$I FROM %5$s WITH NO DATA;\n', k.name, concat_ws(', ', k.keys), gone.retired_name, gone.column_name, relation::regclass)
        || concat((SELECT string_agg(format(E'REVOKE ALL ON TABLE %s FROM %s;\n', k.name, g.role), '') FROM (
               SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
               FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a WHERE d.defaclobjtype = 'r' AND a.grantee <> d.defaclrole) AS g))
        || format(E'ALTER TABLE %s OWNER TO %s;\n', k.name, k.relowner::regrole)
        || format(E'SELECT %s._model_access_execute(%L::regclass::oid, %L::text);\n', '@extschema@', relation::regclass,
               format('INSERT INTO %s SELECT %s, %I FROM %s', k.name, k.keys, gone.retired_name, relation::regclass))
    FROM kept AS k WHERE k.keys IS NOT NULL
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_keep(oid, @extschema@.model_access_retired) IS 'Internal. The statements that keep the values in a table of the same owner, under the primary key; no row without one.';

CREATE FUNCTION @extschema@.model_access_drop_retired_column(profiles regclass, accept text[] DEFAULT '{}', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone     @extschema@.model_access_retired;
    disabled oid[];
BEGIN
    IF num_nulls(profiles, accept, dry_run) > 0 THEN RAISE EXCEPTION 'no argument must be null' USING ERRCODE = 'null_value_not_allowed'; END IF;
    gone := @extschema@._model_access_retired_of(profiles, NULL::name);
    disabled := ARRAY(SELECT t.oid FROM unnest(gone.relations, gone.triggers) AS g(id, name) JOIN pg_trigger AS t ON t.tgrelid = g.id AND t.tgname = g.name
                      WHERE t.tgenabled = 'D' AND t.tgparentid = 0);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(profiles, format('column "%s" of %s cannot be dropped yet', gone.retired_name, profiles), (SELECT jsonb_agg(to_jsonb(s)) FROM (
        SELECT 0, 'values of ' || profiles, 'manual', 'the table has no primary key to keep them under; accepted, they are lost',
            @extschema@._model_access_ddl_note('they would be lost'::text, 'values of ' || profiles)
        WHERE NOT EXISTS (SELECT FROM @extschema@._model_access_ddl_keep(profiles::oid, gone)) AND 'values of ' || profiles <> ALL (accept)
        UNION ALL
        SELECT 1, 'table ' || profiles, 'lock', 'with the views that are replaced, if nothing has changed since the dry run', @extschema@._model_access_ddl_lock(profiles::oid, gone.retired_name,
            ARRAY(SELECT r.ev_class FROM @extschema@._model_access_dependents(profiles::oid, gone.retired_name) AS d JOIN pg_rewrite AS r ON r.oid = d.id JOIN pg_class AS v ON v.oid = r.ev_class WHERE v.relkind = 'v'))
        UNION ALL
        SELECT 3, u.object, u.action, u.why, u.ddl FROM @extschema@._model_access_drop_uses(profiles::oid, gone.retired_name, accept, disabled) AS u
        UNION ALL
        SELECT 5, 'function ' || f.id::regprocedure, CASE WHEN 'function ' || f.id::regprocedure = ANY (accept) THEN 'drop' ELSE 'keep' END, 'nothing else uses it; accepted, it is dropped',
            CASE WHEN 'function ' || f.id::regprocedure = ANY (accept) THEN format(E'DROP FUNCTION %s;\n', f.id::regprocedure) ELSE @extschema@._model_access_ddl_note('stays'::text, NULL::text) END
        FROM (SELECT DISTINCT t.tgfoid AS id FROM pg_trigger AS t WHERE t.oid = ANY (disabled)) AS f
        WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.id
            AND NOT (d.classid = 'pg_trigger'::regclass AND (d.objid = ANY (disabled) OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.oid = d.objid AND t.tgparentid = ANY (disabled)))))
        UNION ALL
        SELECT 6, k.object, 'create', 'keeps the values under their keys; its owner is that of the table', k.ddl FROM @extschema@._model_access_ddl_keep(profiles::oid, gone) AS k
        UNION ALL
        SELECT 7, format('column %s.%I', profiles, gone.retired_name), 'drop', 'without CASCADE', format(E'ALTER TABLE %s DROP COLUMN %I;\n', profiles, gone.retired_name)
        UNION ALL
        SELECT 8, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'it cannot be restored any more',
            format(E'DELETE FROM %s WHERE profiles = %L::regclass AND column_name = %L;\n', '@extschema@.model_access_retired'::regclass, profiles, gone.column_name)) AS s(n, object, action, why, ddl)), dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_drop_retired_column(regclass, text[], boolean) IS 'Drops a retired column for good, without CASCADE: views that only list it get an empty list in its place (or NULL, where accept names "view … as NULL"), switched-off triggers go, and the values go to a table of the same owner. A dry run unless told otherwise; ddl, in order, is a migration script. manual: what accept must name first. Errors: 55000 while something is manual or has changed meanwhile, 42704 nothing was retired, 42501 not the owner, 55P03 locked by others. Owner only.';
