-- Writes the objects of an installed database and their COMMENTs as Markdown; scripts/reference runs it and adds the notes.
-- Objects whose names begin with _ are internal and left out.

CREATE EXTENSION model_access;
-- types in the schema of the extension are printed without it
SET search_path = public, pg_catalog;

-- text outside a table: what Markdown or HTML would take for its own
CREATE FUNCTION pg_temp.prose(text) RETURNS text LANGUAGE sql
RETURN regexp_replace(regexp_replace($1, '([*<~])', '\\\1', 'g'), '\s+', ' ', 'g');
CREATE FUNCTION pg_temp.cell(text) RETURNS text LANGUAGE sql
RETURN replace(pg_temp.prose($1), '|', '\|');
CREATE FUNCTION pg_temp.code(text) RETURNS text LANGUAGE sql
RETURN '`' || $1 || '`';

-- types by their short names, and literals without the cast that the argument or column implies
CREATE FUNCTION pg_temp.short(text) RETURNS text LANGUAGE sql
RETURN regexp_replace(replace($1, 'timestamp with time zone', 'timestamptz'), '(NULL|''[^'']*'')::[a-z]+(\[\])?', '\1', 'g');

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'model_access';

-- A role for each of the rights holds what model_access_grant gives.
SELECT format('CREATE ROLE %I', 'holds_' || rights), format('SELECT model_access_grant(%L, %L)', 'holds_' || rights, rights)
FROM (SELECT DISTINCT rights FROM _model_access_right) AS r ORDER BY rights \gexec

CREATE TEMP TABLE held AS
SELECT substr(a.grantee::regrole::text, 7) AS rights, o.classid, o.objid, o.name, o.kind, a.privilege_type AS privilege,
    string_agg(quote_ident(o.column_name), ', ' ORDER BY o.attnum) AS columns
FROM (
    SELECT m.classid, m.objid, p.proname AS name, 3 AS kind, p.proacl AS acl, NULL::name AS column_name, NULL::smallint AS attnum
    FROM member AS m JOIN pg_proc AS p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
    UNION ALL
    SELECT m.classid, m.objid, c.relname, CASE c.relkind WHEN 'S' THEN 2 ELSE 1 END, c.relacl, NULL, NULL
    FROM member AS m JOIN pg_class AS c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
    UNION ALL
    SELECT m.classid, m.objid, c.relname, 1, t.attacl, t.attname, t.attnum
    FROM member AS m JOIN pg_class AS c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
    JOIN pg_attribute AS t ON t.attrelid = c.oid) AS o
CROSS JOIN LATERAL aclexplode(o.acl) AS a
WHERE a.grantee::regrole::text LIKE 'holds\_%'
GROUP BY a.grantee, o.classid, o.objid, o.name, o.kind, a.privilege_type;

-- rights that hold all that others hold, and more
CREATE TEMP TABLE included AS
SELECT a.rights, b.rights AS includes
FROM (SELECT DISTINCT rights FROM held) AS a CROSS JOIN (SELECT DISTINCT rights FROM held) AS b
WHERE a.rights <> b.rights AND NOT EXISTS (
    SELECT h.objid, h.privilege, h.columns FROM held AS h WHERE h.rights = b.rights
    EXCEPT SELECT h.objid, h.privilege, h.columns FROM held AS h WHERE h.rights = a.rights);

-- from the fewest rights to the most
CREATE FUNCTION pg_temp.ranked(rights text) RETURNS bigint LANGUAGE sql
RETURN (SELECT count(*) FROM held AS h WHERE h.rights = $1);

CREATE FUNCTION pg_temp.holders(class oid, object oid, privilege text) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(pg_temp.code(h.rights), ', ' ORDER BY pg_temp.ranked(h.rights), h.rights)
        FROM held AS h WHERE h.classid = $1 AND h.objid = $2 AND h.privilege = $3);

\echo '# Reference'
\echo
\echo 'This page lists every public object of an installed database, with its COMMENT. `make reference` writes it.'

\echo
\echo '## Functions'
SELECT concat_ws(E'\n\n',
    E'\n### ' || p.proname || CASE WHEN count(*) OVER (PARTITION BY p.proname) > 1
        THEN format('(%s)', pg_get_function_identity_arguments(p.oid)) ELSE '' END,
    E'```\n' || CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END
        || CASE WHEN length(s.arguments) > 90 THEN format(E'%s(\n    %s\n)', p.proname, replace(s.arguments, ', ', E',\n    '))
                ELSE format('%s(%s)', p.proname, s.arguments) END
        || coalesce(E'\nRETURNS ' || pg_temp.short(pg_get_function_result(p.oid)), '') || E'\n```',
    pg_temp.prose(obj_description(p.oid, 'pg_proc')),
    concat_ws(' ', format('Rights: %s.', coalesce(pg_temp.holders(m.classid, p.oid, 'EXECUTE'), 'owner only')),
        CASE WHEN p.proname = ANY (:'library_only'::text[]) THEN 'Needs the library.' END))
FROM member AS m JOIN pg_proc AS p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
CROSS JOIN LATERAL (SELECT pg_temp.short(pg_get_function_arguments(p.oid))) AS s(arguments)
WHERE p.proname NOT LIKE '\_%'
ORDER BY p.proname COLLATE "C", p.oid;

\echo
\echo '## Tables and views'
SELECT concat_ws(E'\n\n',
    E'\n### ' || c.relname,
    concat_ws(' ', CASE c.relkind WHEN 'v' THEN 'View.' ELSE 'Table.' END, pg_temp.prose(obj_description(c.oid, 'pg_class'))),
    format('Rights to read: %s.', coalesce(pg_temp.holders(m.classid, c.oid, 'SELECT'), 'owner only')),
    E'| column | type | meaning |\n| --- | --- | --- |\n' || (
        SELECT string_agg(format('| %s | %s | %s |', a.attname, pg_temp.code(pg_temp.short(concat_ws(' ', format_type(a.atttypid, a.atttypmod),
            CASE WHEN k.conkey = ARRAY[a.attnum] THEN 'PRIMARY KEY' WHEN a.attnotnull THEN 'NOT NULL' END,
            'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)))), pg_temp.cell(col_description(c.oid, a.attnum))), E'\n' ORDER BY a.attnum)
        FROM pg_attribute AS a
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM member AS m JOIN pg_class AS c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
WHERE c.relname NOT LIKE '\_%' AND c.relkind IN ('r', 'v')
ORDER BY c.relname COLLATE "C";

\echo
\echo '## Settings'
SELECT concat_ws(E'\n\n', E'\n### ' || s.name, format('Default: %s. Unit: %s.', pg_temp.code(s."default"), s.unit),
    pg_temp.prose(upper(left(s.meaning, 1)) || substr(s.meaning, 2) || CASE WHEN s.meaning LIKE '%.' THEN '' ELSE '.' END))
FROM model_access_settings AS s;

\echo
\echo '## Parameters'
LOAD 'model_access';
SELECT concat_ws(E'\n\n', E'\n### ' || p.name,
    concat_ws(' ',
        format('Default: %s.', coalesce(nullif(pg_temp.code(concat_ws(' ', p.boot_val, p.unit)), '``'), 'empty')),
        CASE WHEN p.min_val IS NOT NULL THEN format('From %s to %s.', concat_ws(' ', p.min_val, p.unit), concat_ws(' ', p.max_val, p.unit)) END,
        CASE p.context WHEN 'superuser' THEN 'Superusers set it.' WHEN 'user' THEN 'Anybody sets it.' ELSE p.context END),
    pg_temp.prose(concat_ws(' ', p.short_desc, p.extra_desc)))
FROM pg_settings AS p WHERE p.name LIKE 'model\_access.%'
ORDER BY p.name COLLATE "C";

\echo
\echo '## Outcomes of a run'
\echo
\echo '| outcome | what happened, and what to do |'
\echo '| --- | --- |'
SELECT format('| %s | |', pg_temp.code(v.value[1]))
FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum] AND a.attname = 'outcome'
CROSS JOIN LATERAL regexp_matches(pg_get_constraintdef(c.oid), '''(\w+)''', 'g') WITH ORDINALITY AS v(value, n)
WHERE c.conrelid = 'model_access_sync_log'::regclass AND c.contype = 'c'
ORDER BY v.n;

\echo
\echo '## Error codes'
\echo
\echo '| SQLSTATE | condition | what happened, and what to do |'
\echo '| --- | --- | --- |'
\echo :error_codes

\echo
\echo '## Rights'
SELECT concat_ws(E'\n\n', E'\n### ' || r.rights,
    'Includes: ' || (SELECT string_agg(pg_temp.code(i.includes), ', ' ORDER BY pg_temp.ranked(i.includes)) FROM included AS i
                     WHERE i.rights = r.rights) || '.',
    (SELECT string_agg(o.line, E'\n' ORDER BY o.kind, o.privilege, o.columns NULLS FIRST)
     FROM (
        SELECT h.kind, h.privilege, h.columns,
            format('- %s%s on %s', h.privilege, ' (' || h.columns || ')', string_agg(pg_temp.code(h.name), ', ' ORDER BY h.name COLLATE "C")) AS line
        FROM held AS h
        WHERE h.rights = r.rights AND h.kind <> 2 AND h.name NOT LIKE '\_%' AND NOT EXISTS (
            SELECT FROM included AS i JOIN held AS g ON g.rights = i.includes
            WHERE i.rights = r.rights AND g.objid = h.objid AND g.privilege = h.privilege AND g.columns IS NOT DISTINCT FROM h.columns)
        GROUP BY h.kind, h.privilege, h.columns) AS o))
FROM (SELECT DISTINCT rights FROM held) AS r
ORDER BY pg_temp.ranked(r.rights), r.rights;
