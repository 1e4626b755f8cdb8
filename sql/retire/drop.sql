-- Drops a retired column, days later: what uses it is replaced or dropped, and a table keeps its values.

CREATE FUNCTION @extschema@._model_access_view_without(
    view oid, column_name name, instead text, OUT definition text, OUT is_listed boolean, OUT is_changed boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the name occurs nowhere else, and PostgreSQL prints each item of a select list on its own line
    WITH part AS (
        SELECT pg_get_viewdef(view, 0) AS whole, '(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)' AS name,
            @extschema@._model_access_as_regex(quote_ident(column_name)) || '(?![a-z0-9_$"])' AS column_name),
    text AS (
        -- the name alone, as table.name, or as a field: (table).name or (table.*).name
        SELECT p.whole, p.name, format('(?:%1$s[.]|[(]%1$s(?:[.][*])?[)][.])?%2$s', p.name, p.column_name) AS word FROM part AS p)
    SELECT regexp_replace(t.whole, t.word, instead, 'g'),
        t.whole !~ E'\\m(UNION(?! ALL)|INTERSECT|EXCEPT|GROUP BY|DISTINCT(?! ON))\\M' AND (
            SELECT count(*) FROM regexp_matches(t.whole, t.word, 'g')) = (
            SELECT count(*) FROM regexp_split_to_table(t.whole, '\n') AS l(line)
            WHERE l.line ~ format('^ *(?:SELECT +(?:DISTINCT ON [(][^()]*[)] *)?)?%s(?: AS %s)?[,;]?$', t.word, t.name)),
        t.whole ~ t.word
    FROM text AS t
$$;
COMMENT ON FUNCTION @extschema@._model_access_view_without(oid, name, text) IS
    'Internal. Gives a view with another expression in place of a column, and whether the view only selects that column.';

CREATE FUNCTION @extschema@._model_access_ddl_view(view oid, definition text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- CREATE OR REPLACE drops options that it does not name: without security_invoker, the view would show every row
    SELECT format(E'CREATE OR REPLACE VIEW %s%s AS\n%s\n', c.oid::regclass,
        ' WITH (' || array_to_string(c.reloptions, ', ') || ')', definition)
    FROM pg_class AS c WHERE c.oid = view
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_view(oid, text) IS
    'Internal. Gives the statement that replaces a view and keeps its options.';

CREATE FUNCTION @extschema@._model_access_ddl_drop_object(class oid, id oid, object text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE class
        WHEN 'pg_constraint'::regclass THEN (
            SELECT format(E'ALTER TABLE %s DROP CONSTRAINT %I;\n', k.conrelid::regclass, k.conname)
            FROM pg_constraint AS k WHERE k.oid = id)
        WHEN 'pg_attrdef'::regclass THEN (
            SELECT format(E'ALTER TABLE %s DROP COLUMN %I;\n', a.attrelid::regclass, a.attname)
            FROM pg_attrdef AS g JOIN pg_attribute AS a ON a.attrelid = g.adrelid AND a.attnum = g.adnum
            WHERE g.oid = id AND a.attgenerated <> '')
        ELSE (
            SELECT format(E'DROP %s %s;\n', upper(k.kind[1]), k.kind[2]) FROM regexp_match(object,
                '^(view|materialized view|rule|policy|trigger|index|statistics|function|procedure)(?: object)? (.*)$')
                AS k(kind) WHERE k.kind IS NOT NULL) END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_drop_object(oid, oid, text) IS
    'Internal. Gives the statement that drops an object; NULL if the object goes with the column, or the kind is unknown.';

CREATE FUNCTION @extschema@._model_access_drop_uses(relation oid, column_name name, accept text[], disabled oid[])
RETURNS TABLE (object text, action text, why text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH dependent AS (
        SELECT d.class, d.id, d.deptype, d.object FROM @extschema@._model_access_dependents(relation, column_name) AS d
        UNION
        SELECT 'pg_trigger'::regclass, t.id, 'n', o.object FROM unnest(disabled) AS t(id)
        CROSS JOIN LATERAL (SELECT @extschema@._model_access_object('pg_trigger'::regclass::oid, t.id, 0)) AS o(object)),
    use AS (
        SELECT d.*, w.definition, w.is_listed, w.is_changed, d.id = ANY (disabled) AS is_disabled,
            n.is_null OR d.object = ANY (accept) AS is_accepted,
            @extschema@._model_access_ddl_drop_object(d.class, d.id, d.object) AS dropped,
            @extschema@._model_access_ddl_view(v.oid, w.definition) AS replaced,
            d.deptype = 'a' AND NOT EXISTS (
                SELECT FROM pg_depend AS o
                WHERE o.classid = d.class AND o.objid = d.id AND o.refclassid = 'pg_class'::regclass
                  AND o.refobjid = relation AND o.refobjsubid NOT IN (0, a.attnum)) AS is_own
        FROM dependent AS d CROSS JOIN LATERAL (SELECT d.object || ' as NULL' = ANY (accept)) AS n(is_null)
        JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = column_name
        JOIN pg_type AS t ON t.oid = @extschema@._model_access_column_type(relation, a.attnum)
        LEFT JOIN pg_rewrite AS r ON d.class = 'pg_rewrite'::regclass AND r.oid = d.id AND r.rulename = '_RETURN'
        LEFT JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = 'v'
        LEFT JOIN LATERAL @extschema@._model_access_view_without(v.oid, column_name, format('%L::%s',
            CASE WHEN n.is_null THEN NULL WHEN t.typcategory = 'A' THEN '{}' ELSE '[]' END,
            format_type(a.atttypid, a.atttypmod))) AS w ON v.oid IS NOT NULL)
    SELECT u.object, j.action,
        CASE WHEN u.is_own THEN 'it uses only this column'
             WHEN u.is_disabled THEN 'disabled since the column was retired'
             WHEN u.is_listed THEN 'it only selects the column: an empty list replaces it, and an INSERT cannot set it any more'
             WHEN u.is_changed THEN 'an empty list changes what it means; accepted, it is replaced as shown'
             WHEN u.class = 'pg_policy'::regclass THEN 'accepted, it is dropped: check which rows can be reached without it'
             WHEN u.dropped IS NULL THEN 'change it by hand'
             ELSE 'it uses more than this column; accepted, it is dropped' END,
        CASE j.action
             WHEN 'manual' THEN @extschema@._model_access_ddl_note(
                 concat_ws(chr(10), u.object || ': it uses the column', coalesce(u.definition, u.dropped)), u.object)
             WHEN 'replace' THEN u.replaced
             ELSE coalesce(u.dropped, @extschema@._model_access_ddl_note('goes with the column'::text, NULL::text)) END
    FROM use AS u CROSS JOIN LATERAL (SELECT CASE
        WHEN u.is_own OR u.is_disabled THEN 'drop'
        WHEN u.is_listed THEN 'replace'
        WHEN NOT u.is_accepted OR coalesce(u.replaced, u.dropped) IS NULL THEN 'manual'
        WHEN u.is_changed THEN 'replace'
        ELSE 'drop' END) AS j(action)
$$;
COMMENT ON FUNCTION @extschema@._model_access_drop_uses(oid, name, text[], oid[]) IS
    'Internal. Lists what a drop does with everything that uses a retired column.';

CREATE FUNCTION @extschema@._model_access_drop_functions(accept text[], disabled oid[])
RETURNS TABLE (object text, action text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH own AS (SELECT t.oid, t.tgfoid FROM pg_trigger AS t WHERE t.oid = ANY (disabled) OR t.tgparentid = ANY (disabled)),
    unused AS (
        SELECT DISTINCT o.tgfoid, 'function ' || o.tgfoid::regprocedure AS object FROM own AS o
        WHERE NOT EXISTS (
            SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = o.tgfoid
              AND NOT (d.classid = 'pg_trigger'::regclass AND d.objid IN (SELECT t.oid FROM own AS t))))
    SELECT f.object, j.action, CASE j.action
        WHEN 'drop' THEN format(E'DROP FUNCTION %s;\n', f.tgfoid::regprocedure)
        ELSE @extschema@._model_access_ddl_note('stays'::text, NULL::text) END
    FROM unused AS f
    CROSS JOIN LATERAL (SELECT CASE WHEN f.object = ANY (accept) THEN 'drop' ELSE 'keep' END) AS j(action)
$$;
COMMENT ON FUNCTION @extschema@._model_access_drop_functions(text[], oid[]) IS
    'Internal. Lists the functions that only the disabled triggers use, and whether they are dropped.';

CREATE FUNCTION @extschema@._model_access_ddl_keep(relation oid, gone @extschema@.model_access_retired)
RETURNS TABLE (object text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH kept AS (
        SELECT c.relowner, relation::regclass AS profiles, (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM pg_index AS x
            CROSS JOIN LATERAL unnest(x.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
            JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
            WHERE x.indrelid = relation AND x.indisprimary AND k.n <= x.indnkeyatts) AS keys,
            format('%I.%I', c.relnamespace::regnamespace::text,
                left(c.relname, 30) || '_' || left(gone.column_name, 32)) AS name
        FROM pg_class AS c WHERE c.oid = relation),
    named AS (
        -- hosted PostgreSQL grants every new object to its web roles
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
        WHERE d.defaclobjtype = 'r' AND a.grantee <> d.defaclrole)
    SELECT 'table ' || k.name, concat(
        format(E'CREATE TABLE %s AS SELECT %s, %I AS %I FROM %s WITH NO DATA;\n',
            k.name, k.keys, gone.retired_name, gone.column_name, k.profiles),
        (SELECT string_agg(format(E'REVOKE ALL ON TABLE %s FROM %s;\n', k.name, n.role), '') FROM named AS n),
        format(E'ALTER TABLE %s OWNER TO %s;\n', k.name, k.relowner::regrole),
        format(E'SELECT %s._model_access_execute(%L::regclass::oid, %L::text);\n', '@extschema@', k.profiles,
            format('INSERT INTO %s SELECT %s, %I FROM %s', k.name, k.keys, gone.retired_name, k.profiles)))
    FROM kept AS k WHERE k.keys IS NOT NULL
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_keep(oid, @extschema@.model_access_retired) IS
    'Internal. Gives the statements that keep the values in a table, with the primary key; no row where there is no primary key.';

CREATE FUNCTION @extschema@._model_access_ddl_drop(profiles regclass, gone @extschema@.model_access_retired, accept text[])
RETURNS TABLE (n integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    disabled oid[]   := ARRAY(
        SELECT t.oid FROM unnest(gone.relations, gone.triggers) AS g(id, name)
        JOIN pg_trigger AS t ON t.tgrelid = g.id AND t.tgname = g.name WHERE t.tgenabled = 'D' AND t.tgparentid = 0);
    views    oid[]   := ARRAY(
        SELECT v.oid FROM @extschema@._model_access_dependents(profiles::oid, gone.retired_name) AS d
        JOIN pg_rewrite AS r ON r.oid = d.id JOIN pg_class AS v ON v.oid = r.ev_class WHERE v.relkind = 'v');
    lost     text    := 'values of ' || profiles;
    is_kept  boolean := EXISTS (SELECT FROM @extschema@._model_access_ddl_keep(profiles::oid, gone));
BEGIN
    RETURN QUERY
    SELECT 0, lost, 'manual', 'they cannot be kept without a primary key; accepted, they are lost',
        @extschema@._model_access_ddl_note('they would be lost'::text, lost)
    WHERE NOT is_kept AND lost <> ALL (accept)
    UNION ALL
    SELECT 1, 'table ' || profiles, 'lock',
        'with the views that are replaced; stops if anything has changed since the dry run',
        @extschema@._model_access_ddl_lock(profiles::oid, gone.retired_name, views)
    UNION ALL
    SELECT 2, u.object, u.action, u.why, u.ddl
    FROM @extschema@._model_access_drop_uses(profiles::oid, gone.retired_name, accept, disabled) AS u
    UNION ALL
    SELECT 3, f.object, f.action, 'nothing else uses it; accepted, it is dropped', f.ddl
    FROM @extschema@._model_access_drop_functions(accept, disabled) AS f
    UNION ALL
    SELECT 4, k.object, 'create', 'keeps the values with their keys, and has the owner of the table', k.ddl
    FROM @extschema@._model_access_ddl_keep(profiles::oid, gone) AS k
    UNION ALL
    SELECT 5, format('column %s.%I', profiles, gone.retired_name), 'drop', 'without CASCADE',
        format(E'ALTER TABLE %s DROP COLUMN %I;\n', profiles, gone.retired_name)
    UNION ALL
    SELECT 6, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'the column cannot be restored any more',
        @extschema@._model_access_ddl_forget(gone);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_drop(regclass, @extschema@.model_access_retired, text[]) IS
    'Internal. Gives the statements that drop a retired column.';

CREATE FUNCTION @extschema@.model_access_drop_retired_column(
    profiles regclass, accept text[] DEFAULT '{}', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone  @extschema@.model_access_retired;
    steps jsonb;
BEGIN
    IF num_nulls(profiles, accept, dry_run) > 0 THEN
        RAISE EXCEPTION 'arguments must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    gone := @extschema@._model_access_retired_of(profiles, NULL::name);
    steps := (SELECT jsonb_agg(to_jsonb(s)) FROM @extschema@._model_access_ddl_drop(profiles, gone, accept) AS s);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(
        profiles, format('column "%s" of %s cannot be dropped yet', gone.retired_name, profiles), steps, dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_drop_retired_column(regclass, text[], boolean) IS
    'Drops a retired column without CASCADE and keeps its values in a table, or lists the steps in a dry run.';
