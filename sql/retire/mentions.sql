-- What touches a column such as profiles.allowed_models: by what the catalogue records, and by the words of bodies.

CREATE FUNCTION @extschema@._model_access_object(class oid, id oid, sub integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- a view stands for its rule, and a generated column for its expression
    SELECT CASE WHEN r.oid IS NOT NULL THEN format('%s %s', CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, c.oid::regclass)
                WHEN a.attgenerated <> '' THEN format('generated column %s.%I', a.attrelid::regclass, a.attname) ELSE concat_ws(' ', i.type, i.identity) END
    FROM pg_identify_object(class, id, sub) AS i
    LEFT JOIN pg_rewrite AS r ON class = 'pg_rewrite'::regclass AND r.oid = id AND r.rulename = '_RETURN' LEFT JOIN pg_class AS c ON c.oid = r.ev_class
    LEFT JOIN pg_attrdef AS f ON class = 'pg_attrdef'::regclass AND f.oid = id LEFT JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
$$;
COMMENT ON FUNCTION @extschema@._model_access_object(oid, oid, integer) IS 'Internal. What an object is called here.';

CREATE FUNCTION @extschema@._model_access_dependents(relation oid, column_name name) RETURNS TABLE (class oid, id oid, sub integer, deptype "char", object text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (o.object) k.class, k.id, d.objsubid, d.deptype, o.object
    FROM @extschema@._model_access_tree(relation) AS t
    JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name AND a.attnum > 0
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND d.refobjsubid = a.attnum
    LEFT JOIN pg_constraint AS x ON d.classid = 'pg_class'::regclass AND x.conindid = d.objid AND x.contype <> 'f' -- the constraint stands for its index
    CROSS JOIN LATERAL (SELECT CASE WHEN x.oid IS NULL THEN d.classid ELSE 'pg_constraint'::regclass::oid END, coalesce(x.oid, d.objid)) AS k(class, id)
    CROSS JOIN LATERAL (SELECT @extschema@._model_access_object(k.class, k.id, d.objsubid)) AS o(object)
    -- what a partition has from its parent comes and goes with that
    WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND d.objsubid = 0 AND c.relispartition)
      AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid AND (g.tgparentid <> 0 OR g.tgisinternal))
      AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND (k.coninhcount > 0 OR k.contype = 'n'))
    ORDER BY o.object, d.deptype
$$;
COMMENT ON FUNCTION @extschema@._model_access_dependents(oid, name) IS 'Internal. What the catalogue knows to use a column; deptype is that of pg_depend.';

CREATE FUNCTION @extschema@._model_access_code(source text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- where strings could be read in more than one way, everything counts as code
    SELECT CASE WHEN source ~ E'\\\\''|[$][A-Za-z0-9_\u0080-\uFFFF]*[$]|[uU]&["'']' THEN source
                ELSE regexp_replace(source, E'("(?:[^"]|"")*")|--[^\n\r]*|/[*](?:[^*]|[*]+[^*/])*[*]+/|''(?:[^'']|'''')*''', '\1 ', 'g') END
$$;
COMMENT ON FUNCTION @extschema@._model_access_code(text) IS 'Internal. A body without its comments and strings.';

CREATE FUNCTION @extschema@._model_access_has_word(source text, word text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT strpos(lower(source), lower(word)) > 0 AND lower(source) ~ (E'(?<![a-z0-9_$\u0080-\uFFFF])'
        || regexp_replace(lower(replace(word, '"', '""')), E'([^a-z0-9_\u0080-\uFFFF[:space:]])', '\\\1', 'g') || E'(?![a-z0-9_$\u0080-\uFFFF])')
$$;
COMMENT ON FUNCTION @extschema@._model_access_has_word(text, text) IS 'Internal. Whether a text has a name as a whole word, in whatever case.';

CREATE FUNCTION @extschema@._model_access_functions(relation oid, column_name name)
RETURNS TABLE (id oid, object text, names boolean, why text, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE view AS (
        SELECT t.id FROM @extschema@._model_access_tree(relation) AS t UNION
        SELECT r.ev_class FROM view AS v JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.id AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN'),
    standing AS (
        SELECT c.oid, c.relname, c.reltype, e.typarray FROM view AS v JOIN pg_class AS c ON c.oid = v.id JOIN pg_type AS e ON e.oid = c.reltype),
    body AS MATERIALIZED (
        SELECT p.oid, p.prosrc, l.lanname IN ('sql', 'plpgsql') AS is_sql, coalesce(p.proargnames, '{}') AS parameters,
            -- what a body of BEGIN ATOMIC refers to, the catalogue knows, and it follows a rename
            CASE WHEN p.prosqlbody IS NOT NULL THEN '' WHEN l.lanname IN ('sql', 'plpgsql') THEN @extschema@._model_access_code(p.prosrc) ELSE p.prosrc END AS code,
            p.prorettype IN (SELECT c.reltype FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id) AS gives_rows,
            ARRAY[p.prorettype] || p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}') && ARRAY(SELECT unnest(ARRAY[s.reltype, s.typarray]) FROM standing AS s)
                OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid AND t.tgrelid IN (SELECT s.oid FROM standing AS s)) AS is_near
        FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND p.prokind IN ('f', 'p', 'w')
          AND l.lanname NOT IN ('c', 'internal') AND p.oid NOT IN (SELECT m.id FROM @extschema@._model_access_member AS m)),
    found AS (
        SELECT b.*, w.word, w.whole, b.is_near OR EXISTS (SELECT FROM standing AS s WHERE @extschema@._model_access_has_word(b.prosrc, s.relname::text)) AS near
        FROM body AS b CROSS JOIN LATERAL (SELECT
            CASE WHEN b.parameters && ARRAY[column_name::text] THEN 'a parameter or a column of its result has the name'
                 WHEN @extschema@._model_access_has_word(b.code, column_name::text) THEN 'its body mentions the column'
                 WHEN NOT @extschema@._model_access_has_word(b.prosrc, column_name::text) THEN CASE WHEN b.prosrc ~* 'u&"' THEN 'its body has escaped names' END
                 WHEN b.prosrc ~ (E'''[{]?"?' || regexp_replace(column_name, E'([^A-Za-z0-9_])', '\\\1', 'g') || '"?[},'']') THEN 'a string of its body is the name: a key of a whole row'
                 WHEN @extschema@._model_access_has_word(b.code, 'execute'::text) THEN 'a string that its body may run mentions the column'
                 WHEN b.prosrc <> b.code AND b.prosrc ~ '''' THEN '' END AS word,
            b.code ~* '\m(to_jsonb?|row_to_json|hstore)\M' AS whole) AS w WHERE w.word IS NOT NULL OR w.whole OR b.gives_rows)
    SELECT f.oid, 'function ' || f.oid::regprocedure, f.word <> '',
        CASE WHEN f.word = '' THEN 'mentioned in a string or a comment only'
             WHEN f.word IS NULL THEN 'it passes whole rows on: the key or the column in them gets the new name'
             WHEN NOT f.near THEN NULL ELSE f.word END,
        (SELECT string_agg(format('line %s: %s', s.n, trim(E' \t\r' FROM s.line)), E'\n' ORDER BY s.n)
         FROM regexp_split_to_table(f.prosrc, '\n') WITH ORDINALITY AS s(line, n)
         WHERE @extschema@._model_access_has_word(s.line, column_name::text) OR (f.word IS NULL AND s.line ~* 'to_json|hstore'))
    FROM found AS f -- far from the table only the name itself is worth a look
    WHERE CASE WHEN f.word IS NULL THEN f.near WHEN f.word LIKE '%escaped%' THEN f.near
               WHEN f.word = '' THEN @extschema@._model_access_has_word(regexp_replace(f.prosrc, E'--[^\n\r]*|/[*](?:[^*]|[*]+[^*/])*[*]+/', ' ', 'g'), column_name::text)
               ELSE true END
$$;
COMMENT ON FUNCTION @extschema@._model_access_functions(oid, name) IS 'Internal. Functions whose body, parameters or result mention a column, or that pass whole rows on. names: by the name itself; why is NULL where the table is not mentioned beside it.';

CREATE FUNCTION @extschema@._model_access_column_triggers(relation oid, column_name name) RETURNS TABLE (relation_id regclass, name name, state "char", function oid, why text, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgfoid,
        CASE WHEN f.id IS NOT NULL THEN 'its function mentions the column' ELSE 'it names the column itself' END,
        concat_ws(chr(10), pg_get_triggerdef(t.oid), f.lines)
    FROM @extschema@._model_access_tree(relation) AS r
    JOIN pg_trigger AS t ON t.tgrelid = r.id AND NOT t.tgisinternal
    LEFT JOIN @extschema@._model_access_functions(relation, column_name) AS f ON f.id = t.tgfoid AND f.names
    WHERE f.id IS NOT NULL OR EXISTS (
        SELECT FROM pg_depend AS d JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attname = column_name
        WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid AND d.refobjsubid = a.attnum)
$$;
COMMENT ON FUNCTION @extschema@._model_access_column_triggers(oid, name) IS 'Internal. The triggers of a table and its partitions that are about a column, with their states.';
