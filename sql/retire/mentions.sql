-- Finds what uses a column such as profiles.allowed_models, in pg_depend and in the text of function bodies.

CREATE FUNCTION @extschema@._model_access_object(class oid, id oid, sub integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- names the view in place of its rule, and the generated column in place of its expression
    SELECT CASE
        WHEN c.relkind = 'm' THEN format('materialized view %s', c.oid::regclass)
        WHEN c.oid IS NOT NULL THEN format('view %s', c.oid::regclass)
        WHEN a.attgenerated <> '' THEN format('generated column %s.%I', a.attrelid::regclass, a.attname)
        ELSE concat_ws(' ', i.type, i.identity) END
    FROM pg_identify_object(class, id, sub) AS i
    LEFT JOIN pg_rewrite AS r ON class = 'pg_rewrite'::regclass AND r.oid = id AND r.rulename = '_RETURN'
    LEFT JOIN pg_class AS c ON c.oid = r.ev_class
    LEFT JOIN pg_attrdef AS f ON class = 'pg_attrdef'::regclass AND f.oid = id
    LEFT JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
$$;
COMMENT ON FUNCTION @extschema@._model_access_object(oid, oid, integer) IS
    'Internal. Gives the name that reports and accept use for an object.';

CREATE FUNCTION @extschema@._model_access_dependents(relation oid, column_name name)
RETURNS TABLE (class oid, id oid, sub integer, deptype "char", object text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (o.object) k.class, k.id, d.objsubid, d.deptype, o.object
    FROM @extschema@._model_access_tree(relation) AS t
    JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name AND a.attnum > 0
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND d.refobjsubid = a.attnum
    -- names the constraint in place of its index
    LEFT JOIN pg_constraint AS x ON d.classid = 'pg_class'::regclass AND x.conindid = d.objid AND x.contype <> 'f'
    CROSS JOIN LATERAL (SELECT CASE WHEN x.oid IS NULL THEN d.classid ELSE 'pg_constraint'::regclass::oid END,
                               coalesce(x.oid, d.objid)) AS k(class, id)
    CROSS JOIN LATERAL (SELECT @extschema@._model_access_object(k.class, k.id, d.objsubid)) AS o(object)
    -- what a partition inherits from its parent is created and dropped with the parent's object
    WHERE NOT EXISTS (
        SELECT FROM pg_class AS c
        WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND d.objsubid = 0 AND c.relispartition)
      AND NOT EXISTS (
        SELECT FROM pg_trigger AS g
        WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid AND (g.tgparentid <> 0 OR g.tgisinternal))
      AND NOT EXISTS (
        SELECT FROM pg_constraint AS n
        WHERE d.classid = 'pg_constraint'::regclass AND n.oid = d.objid AND (n.coninhcount > 0 OR n.contype = 'n'))
    ORDER BY o.object, d.deptype
$$;
COMMENT ON FUNCTION @extschema@._model_access_dependents(oid, name) IS
    'Internal. Lists what uses a column according to pg_depend, with pg_depend.deptype.';

CREATE FUNCTION @extschema@._model_access_as_regex(word text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(word, E'([^A-Za-z0-9_\u0080-\uFFFF[:space:]])', '\\\1', 'g')
$$;
COMMENT ON FUNCTION @extschema@._model_access_as_regex(text) IS
    'Internal. Gives a regular expression that matches exactly this text.';

CREATE FUNCTION @extschema@._model_access_has_word(source text, word text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT strpos(lower(source), lower(word)) > 0 AND lower(source) ~ concat(E'(?<![a-z0-9_$\u0080-\uFFFF])',
        @extschema@._model_access_as_regex(lower(replace(word, '"', '""'))), E'(?![a-z0-9_$\u0080-\uFFFF])')
$$;
COMMENT ON FUNCTION @extschema@._model_access_has_word(text, text) IS
    'Internal. Tells whether a text contains a name as a whole word, in upper or lower case.';

CREATE FUNCTION @extschema@._model_access_code(source text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- where strings could be read in more than one way, everything counts as code
    SELECT CASE WHEN source ~ E'\\\\''|[$][A-Za-z0-9_\u0080-\uFFFF]*[$]|[uU]&["'']' THEN source
        ELSE regexp_replace(source,
            E'("(?:[^"]|"")*")|--[^\n\r]*|/[*](?:[^*]|[*]+[^*/])*[*]+/|''(?:[^'']|'''')*''', '\1 ', 'g') END
$$;
COMMENT ON FUNCTION @extschema@._model_access_code(text) IS 'Internal. Gives the text of a body without comments and strings.';

CREATE FUNCTION @extschema@._model_access_mention(source text, code text, parameters text[], column_name text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN column_name = ANY (parameters) THEN 'parameter'
        WHEN @extschema@._model_access_has_word(code, column_name) THEN 'code'
        WHEN NOT @extschema@._model_access_has_word(source, column_name) THEN CASE WHEN source ~* 'u&"' THEN 'escape' END
        WHEN source ~ concat('''[{]?"?', @extschema@._model_access_as_regex(column_name), '"?[},'']') THEN 'key'
        WHEN @extschema@._model_access_has_word(code, 'execute'::text) THEN 'execute'
        WHEN source <> code AND source ~ '''' THEN 'text' END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mention(text, text, text[], text) IS
    'Internal. Says in which way a function mentions a column, as a key of _model_access_mention_label; NULL if it does not.';

CREATE FUNCTION @extschema@._model_access_mention_label(mention text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE mention
        WHEN 'parameter' THEN 'a parameter or a result column has the name'
        WHEN 'code' THEN 'its body names the column'
        WHEN 'escape' THEN 'its body contains names with escapes (U&"…")'
        WHEN 'key' THEN 'a string in its body equals the name: it may be a key of a row as JSON'
        WHEN 'execute' THEN 'a string in its body contains the name, and its body may run that string'
        WHEN 'text' THEN 'only a string or a comment contains the name'
        WHEN 'row' THEN 'it uses whole rows: the column or key in them gets the new name' END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mention_label(text) IS 'Internal. Explains a mention in the words of the report.';

CREATE FUNCTION @extschema@._model_access_with_views(relation oid) RETURNS TABLE (id oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE standing AS (
        SELECT t.id FROM @extschema@._model_access_tree(relation) AS t
        UNION
        SELECT r.ev_class FROM standing AS s
        JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.id AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN')
    SELECT s.id FROM standing AS s
$$;
COMMENT ON FUNCTION @extschema@._model_access_with_views(oid) IS
    'Internal. Lists a table, its partitions, and the views that read them.';

CREATE FUNCTION @extschema@._model_access_bodies(relation oid)
RETURNS TABLE (id oid, source text, code text, parameters text[], gives_rows boolean, is_near boolean)
-- ROWS: with the default of 1,000, JIT would compile what reads this
LANGUAGE sql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
    WITH standing AS (
        SELECT c.oid, ARRAY[c.reltype, y.typarray] AS types FROM @extschema@._model_access_with_views(relation) AS v
        JOIN pg_class AS c ON c.oid = v.id JOIN pg_type AS y ON y.oid = c.reltype)
    SELECT p.oid, p.prosrc,
        -- PostgreSQL knows what a body of BEGIN ATOMIC refers to, and follows a rename
        CASE WHEN p.prosqlbody IS NOT NULL THEN ''
             WHEN l.lanname IN ('sql', 'plpgsql') THEN @extschema@._model_access_code(p.prosrc)
             ELSE p.prosrc END,
        coalesce(p.proargnames, '{}'),
        p.prorettype IN (
            SELECT c.reltype FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id),
        ARRAY[p.prorettype] || p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}')
            && ARRAY(SELECT unnest(s.types) FROM standing AS s)
        OR EXISTS (
            SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid AND t.tgrelid IN (SELECT s.oid FROM standing AS s))
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND p.prokind IN ('f', 'p', 'w') AND l.lanname NOT IN ('c', 'internal')
      AND p.oid NOT IN (SELECT m.id FROM @extschema@._model_access_member AS m)
$$;
COMMENT ON FUNCTION @extschema@._model_access_bodies(oid) IS
    'Internal. Lists functions of others; is_near: a type or a trigger ties the function to the table or its views.';

CREATE FUNCTION @extschema@._model_access_functions(relation oid, column_name name)
RETURNS TABLE (id oid, object text, mention text, is_near boolean, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH body AS MATERIALIZED (
        SELECT b.*, @extschema@._model_access_mention(b.source, b.code, b.parameters, column_name::text) AS mention,
            b.gives_rows OR b.code ~* '\m(to_jsonb?|row_to_json|hstore)\M' AS has_rows
        FROM @extschema@._model_access_bodies(relation) AS b),
    found AS (
        SELECT b.id, b.source, coalesce(b.mention, 'row') AS mention, b.is_near OR EXISTS (
            SELECT FROM @extschema@._model_access_with_views(relation) AS v JOIN pg_class AS c ON c.oid = v.id
            WHERE @extschema@._model_access_has_word(b.source, c.relname::text)) AS is_near
        FROM body AS b WHERE b.mention IS NOT NULL OR b.has_rows)
    SELECT f.id, 'function ' || f.id::regprocedure, f.mention, f.is_near, (
        SELECT string_agg(format('line %s: %s', s.n, trim(E' \t\r' FROM s.line)), E'\n' ORDER BY s.n)
        FROM regexp_split_to_table(f.source, '\n') WITH ORDINALITY AS s(line, n)
        WHERE @extschema@._model_access_has_word(s.line, column_name::text)
           OR (f.mention = 'row' AND s.line ~* 'to_json|hstore'))
    FROM found AS f
    -- where nothing ties a function to the table, only the name itself is reported
    WHERE CASE
        WHEN f.mention IN ('row', 'escape') THEN f.is_near
        WHEN f.mention = 'text' THEN @extschema@._model_access_has_word(
            regexp_replace(f.source, E'--[^\n\r]*|/[*](?:[^*]|[*]+[^*/])*[*]+/', ' ', 'g'), column_name::text)
        ELSE true END
$$;
COMMENT ON FUNCTION @extschema@._model_access_functions(oid, name) IS
    'Internal. Lists the functions that mention a column, or that use whole rows of its table.';

CREATE FUNCTION @extschema@._model_access_column_triggers(relation oid, column_name name)
RETURNS TABLE (relation_id regclass, name name, state "char", function oid, why text, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgfoid,
        CASE WHEN f.id IS NOT NULL THEN 'its function names the column' ELSE 'it names the column itself' END,
        concat_ws(chr(10), pg_get_triggerdef(t.oid), f.lines)
    FROM @extschema@._model_access_tree(relation) AS r
    JOIN pg_trigger AS t ON t.tgrelid = r.id AND NOT t.tgisinternal
    LEFT JOIN @extschema@._model_access_functions(relation, column_name) AS f
        ON f.id = t.tgfoid AND f.mention NOT IN ('text', 'row')
    WHERE f.id IS NOT NULL OR EXISTS (
        SELECT FROM pg_depend AS d JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attname = column_name
        WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid AND d.refobjsubid = a.attnum)
$$;
COMMENT ON FUNCTION @extschema@._model_access_column_triggers(oid, name) IS
    'Internal. Lists the triggers of a table and its partitions that use a column, with pg_trigger.tgenabled.';
