-- Where a source text mentions a name. Bodies of functions are text to PostgreSQL, so they are read as text here:
-- comments and strings apart, and where two readings are possible, both count.

CREATE FUNCTION @extschema@._model_access_comment_length(source text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    depth integer := 0;
    ends  integer := 0;
    next  integer;
BEGIN
    LOOP
        next := regexp_instr(source, '/[*]|[*]/', ends + 1);
        IF next = 0 THEN
            RETURN NULL;
        END IF;
        depth := depth + CASE substr(source, next, 2) WHEN '/*' THEN 1 ELSE -1 END;
        ends := next + 1;
        IF depth = 0 THEN
            RETURN ends;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_comment_length(text) IS 'Internal. How long the block comment is that a text begins with, those inside it included; NULL where it does not end.';

CREATE FUNCTION @extschema@._model_access_code(source text, strings boolean, escapes boolean) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    word   CONSTANT text := '[A-Za-z_\u0080-\uFFFF][A-Za-z0-9_\u0080-\uFFFF]*';
    start  CONSTANT text := '--|/[*]|(?<![A-Za-z0-9_$\u0080-\uFFFF])[eE]''|''|"|(?<![A-Za-z0-9_$\u0080-\uFFFF])[$](?:' || word || ')?[$]';
    total  CONSTANT integer := length(source);
    -- a piece at a time: cutting all of it at every sign would take the square of its length
    piece  CONSTANT integer := 400;
    rest   text    := left(source, piece);
    taken  integer := piece;
    cut    integer;
    more   boolean := false;
    code   text    := '';
    opener text;
    part   text;
    at     integer;
BEGIN
    LOOP
        IF taken < total AND (more OR length(rest) < piece / 2) THEN
            -- as much again where something does not end in it
            cut := CASE WHEN more THEN greatest(length(rest), piece) ELSE piece END;
            rest := rest || substr(source, taken + 1, cut);
            taken := taken + cut;
        END IF;
        at := regexp_instr(rest, start);
        more := at = 0 AND taken < total;
        CONTINUE WHEN more;
        EXIT WHEN at = 0;
        code := code || CASE WHEN strings THEN regexp_replace(left(rest, at - 1), '[^\n\r]', ' ', 'g') ELSE left(rest, at - 1) END;
        rest := substr(rest, at);
        opener := substring(rest FROM '^(?:--|/[*]|[eE]''|''|"|[$][^$]*[$])');
        part := CASE
            WHEN opener = '--' THEN substring(rest FROM '^[^\n\r]*')
            WHEN opener = '/*' THEN left(rest, @extschema@._model_access_comment_length(rest))
            WHEN opener = '"' THEN substring(rest FROM '^"(?:[^"]|"")*"')
            WHEN opener LIKE '$%' THEN opener || left(substr(rest, length(opener) + 1),
                nullif(strpos(substr(rest, length(opener) + 1), opener), 0) + length(opener) - 1)
            WHEN escapes OR lower(opener) = 'e''' THEN substring(rest FROM '^[eE]?''(?:[^''\\]|''''|\\.)*''')
            ELSE substring(rest FROM '^''(?:[^'']|'''')*''')
        END;
        more := taken < total AND (part IS NULL OR length(part) = length(rest));
        CONTINUE WHEN more;
        -- what does not end is left as it stands
        EXIT WHEN part IS NULL;
        code := code || CASE WHEN opener NOT IN ('--', '/*') AND strings = (opener <> '"') THEN part ELSE regexp_replace(part, '[^\n\r]', ' ', 'g') END;
        rest := substr(rest, length(part) + 1);
    END LOOP;
    RETURN code || CASE WHEN strings THEN '' ELSE rest END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_code(text, boolean, boolean) IS 'Internal. A source text of which only the code, or only the strings, is left and the rest made blanks, so that lines stay. escapes: a backslash escapes in plain strings too.';

CREATE FUNCTION @extschema@._model_access_tokens(code text) RETURNS TABLE (n bigint, token text, depth bigint)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.n, t.token[1], sum(CASE WHEN t.token[1] IN ('(', '[') THEN 1 WHEN t.token[1] IN (')', ']') THEN -1 ELSE 0 END) OVER (ORDER BY t.n)
    FROM regexp_matches(code, '(''(?:[^'']|'''')*''|"(?:[^"]|"")*"|[A-Za-z_\u0080-\uFFFF][A-Za-z0-9_$\u0080-\uFFFF]*|[[:space:]]+|:=|.)', 'g')
         WITH ORDINALITY AS t(token, n)
$$;
COMMENT ON FUNCTION @extschema@._model_access_tokens(text) IS 'Internal. A text without comments, cut into words, strings, blanks and signs; depth counts open brackets.';

CREATE FUNCTION @extschema@._model_access_names(token text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN token LIKE '"%' THEN replace(substr(token, 2, length(token) - 2), '""', '"')
            WHEN token ~ '^[A-Za-z_\u0080-\uFFFF]' THEN lower(token) END;
COMMENT ON FUNCTION @extschema@._model_access_names(text) IS 'Internal. The name that a word or a quoted identifier stands for; NULL for anything else.';

CREATE FUNCTION @extschema@._model_access_mentions(source text, language text, word text)
RETURNS TABLE (line bigint, text text, in_code boolean)
-- PL/pgSQL for its cached plan: this is asked of every body that has the word anywhere
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whole_word CONSTANT text := '(?<![a-z0-9_$\u0080-\uFFFF])' || regexp_replace(lower(word), '([^a-z0-9_\u0080-\uFFFF[:space:]])', '\\\1', 'g')
                                || '(?![a-z0-9_$\u0080-\uFFFF])';
    found bigint[] := '{}';
    named bigint[] := '{}';
    reading boolean;
BEGIN
    FOREACH reading IN ARRAY CASE WHEN strpos(source, '\') > 0 THEN '{false,true}'::boolean[] ELSE '{false}' END LOOP
        EXIT WHEN language NOT IN ('sql', 'plpgsql');
        named := named || ARRAY(
            SELECT t.line FROM (
                SELECT k.token, 1 + sum(length(k.token) - length(replace(k.token, chr(10), ''))) OVER (ORDER BY k.n) AS line
                FROM @extschema@._model_access_tokens(@extschema@._model_access_code(source, false, reading)) AS k) AS t
            -- an escaped identifier may be any
            WHERE @extschema@._model_access_names(t.token) = word
               OR (t.token LIKE '"%' AND (strpos(t.token, '\') > 0 OR strpos(lower(source), 'uescape') > 0)));
        found := found || ARRAY(SELECT s.line FROM regexp_split_to_table(@extschema@._model_access_code(source, true, reading), '\n')
                                WITH ORDINALITY AS s(text, line) WHERE lower(s.text) ~ whole_word);
    END LOOP;
    RETURN QUERY
        SELECT o.line, trim(E' \t\r' FROM o.text), language NOT IN ('sql', 'plpgsql') OR o.line = ANY (named)
        FROM regexp_split_to_table(source, '\n') WITH ORDINALITY AS o(text, line)
        WHERE CASE WHEN language IN ('sql', 'plpgsql') THEN o.line = ANY (found || named) ELSE lower(o.text) ~ whole_word END
        ORDER BY o.line;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mentions(text, text, text) IS 'Internal. The lines of a body that mention a name as a whole word: in code, or else in a string. Comments count in languages other than sql and plpgsql only.';

CREATE FUNCTION @extschema@._model_access_view_without(definition text, names text[], OUT definition_without text, OUT removed text[])
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH tokens AS (
        SELECT t.n, t.token, t.depth, @extschema@._model_access_names(t.token) AS name, t.token ~ '^[[:space:]]' AS blank
        FROM @extschema@._model_access_tokens(definition) AS t),
    list AS (
        SELECT s.n AS starts, coalesce((
            SELECT min(e.n) FROM tokens AS e
            WHERE e.n > s.n AND e.depth = 0 AND e.token IN ('FROM', 'WHERE', 'GROUP', 'HAVING', 'WINDOW', 'ORDER', 'LIMIT', 'OFFSET', 'FETCH', 'FOR', ';')),
            (SELECT max(e.n) + 1 FROM tokens AS e)) AS ends
        FROM (SELECT min(n) AS n FROM tokens WHERE depth = 0 AND token = 'SELECT') AS s),
    listed AS (
        SELECT t.*, count(*) FILTER (WHERE t.depth = 0 AND t.token = ',') OVER (ORDER BY t.n) AS item
        FROM list AS l JOIN tokens AS t ON t.n > l.starts AND t.n < l.ends),
    items AS (
        SELECT i.item, array_agg(i.token ORDER BY i.n) FILTER (WHERE NOT i.blank AND i.token <> ',') AS words,
               array_agg(coalesce(i.name, i.token) ORDER BY i.n) FILTER (WHERE NOT i.blank AND i.token <> ',') AS names
        FROM listed AS i GROUP BY i.item),
    plain AS (
        -- column, relation.column, column AS name, relation.column AS name
        SELECT i.item, i.names[cardinality(i.names)] AS name FROM items AS i
        WHERE (cardinality(i.words) IN (1, 3) AND i.names[1] = ANY (_model_access_view_without.names) AND coalesce(i.words[2], 'AS') = 'AS')
           OR (cardinality(i.words) IN (3, 5) AND i.words[2] = '.'
               AND i.names[3] = ANY (_model_access_view_without.names) AND coalesce(i.words[4], 'AS') = 'AS')),
    verdict AS (
        SELECT count(*) > 0 AND count(*) < (SELECT count(*) FROM items)
           AND count(*) = cardinality(_model_access_view_without.names)
           -- mentioned nowhere else: the name that the item gives itself does not count
           AND (SELECT count(*) FROM tokens AS t WHERE t.name = ANY (_model_access_view_without.names))
             = count(*) + (SELECT count(*) FROM items AS i JOIN plain AS p USING (item)
                           WHERE i.words[cardinality(i.words) - 1] = 'AS' AND p.name = ANY (_model_access_view_without.names))
           -- fewer columns mean fewer distinct rows
           AND NOT EXISTS (SELECT FROM tokens AS t WHERE t.depth = 0 AND t.token IN ('DISTINCT', 'UNION', 'INTERSECT', 'EXCEPT')) AS clean
        FROM plain)
    SELECT (SELECT string_agg(t.token, '' ORDER BY t.n) FROM tokens AS t CROSS JOIN list AS l LEFT JOIN listed AS i USING (n)
            WHERE i.item IS NULL OR (t.blank AND t.n = l.ends - 1)
               OR i.item NOT IN (SELECT item FROM plain)
                  -- and the comma before what comes first now
                  AND NOT (t.token = ',' AND t.depth = 0 AND i.item = (SELECT min(item) FROM items WHERE item NOT IN (SELECT item FROM plain)))),
           (SELECT array_agg(p.name ORDER BY p.item) FROM plain AS p)
    FROM verdict WHERE clean
$$;
COMMENT ON FUNCTION @extschema@._model_access_view_without(text, text[]) IS 'Internal. A view''s definition, as PostgreSQL prints it, without the plain select-list items that are these columns, and the names they had; NULL where a column is used in any other way.';

CREATE FUNCTION @extschema@._model_access_source(function oid, OUT source text, OUT language text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), l.lanname::text
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang WHERE p.oid = function;
END;
COMMENT ON FUNCTION @extschema@._model_access_source(oid) IS 'Internal. The body of a function, and its language.';

CREATE FUNCTION @extschema@._model_access_only_reads(function oid, depth integer DEFAULT 0) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body  record;
    words text[];
BEGIN
    SELECT * INTO body FROM @extschema@._model_access_source(function);
    IF body.language IN ('internal', 'c') THEN
        RETURN (SELECT p.provolatile <> 'v' AND p.pronamespace = 'pg_catalog'::regnamespace FROM pg_proc AS p WHERE p.oid = function);
    ELSIF body.language NOT IN ('sql', 'plpgsql') OR depth > 5
        -- a trigger function is volatile by default, and does what its body says
        OR (depth > 0 AND (SELECT p.provolatile = 'v' FROM pg_proc AS p WHERE p.oid = function)) THEN
        RETURN false;
    END IF;
    words := ARRAY(SELECT t.token FROM @extschema@._model_access_tokens(
        @extschema@._model_access_code(body.source, false, false)) AS t WHERE t.token !~ '^[[:space:]]' ORDER BY t.n);
    RETURN NOT EXISTS (
        SELECT FROM unnest(words) AS w
        WHERE upper(w) IN ('INSERT', 'UPDATE', 'DELETE', 'MERGE', 'TRUNCATE', 'COPY', 'EXECUTE', 'PERFORM', 'CALL', 'DO', 'CREATE', 'ALTER', 'DROP',
            'GRANT', 'REVOKE', 'COMMENT', 'SECURITY', 'REASSIGN', 'IMPORT', 'SET', 'RESET', 'DISCARD', 'LOCK', 'NOTIFY', 'LISTEN', 'UNLISTEN',
            'COMMIT', 'ROLLBACK', 'PREPARE', 'OPEN', 'FETCH', 'MOVE', 'REFRESH', 'CLUSTER', 'VACUUM', 'ANALYZE', 'REINDEX',
            'RAISE', 'ASSERT', 'DIAGNOSTICS', 'OPERATOR'))
    AND NOT EXISTS (
        -- every function of a name that is called, whichever it will be
        SELECT FROM (SELECT w.word, lead(w.word) OVER (ORDER BY w.n) AS next FROM unnest(words) WITH ORDINALITY AS w(word, n)) AS w
        JOIN pg_proc AS p ON p.proname = @extschema@._model_access_names(w.word)
        WHERE w.next = '(' AND p.oid <> function AND NOT @extschema@._model_access_only_reads(p.oid, depth + 1))
    AND NOT EXISTS (
        -- an operator is a call, too; those in C are taken for what their names say
        SELECT FROM pg_operator AS o JOIN pg_proc AS p ON p.oid = o.oprcode JOIN pg_language AS l ON l.oid = p.prolang
        WHERE o.oprnamespace <> 'pg_catalog'::regnamespace AND l.lanname NOT IN ('internal', 'c') AND p.oid <> function
          AND strpos(array_to_string(words, ''), o.oprname) > 0 AND NOT @extschema@._model_access_only_reads(p.oid, depth + 1));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_only_reads(oid, integer) IS 'Internal. Whether a function is known to write nothing and to raise nothing by its own words, and so are those it calls. In doubt, false.';

CREATE FUNCTION @extschema@._model_access_only_fills(function oid, column_name name) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body  record;
    words text[];
BEGIN
    SELECT * INTO body FROM @extschema@._model_access_source(function);
    IF body.language <> 'plpgsql' OR NOT @extschema@._model_access_only_reads(function, 0) THEN
        RETURN false;
    END IF;
    words := ARRAY(SELECT t.token FROM @extschema@._model_access_tokens(
        @extschema@._model_access_code(body.source, false, false)) AS t WHERE t.token !~ '^[[:space:]]' ORDER BY t.n);
    RETURN (
        WITH w AS (
            -- a quoted name is that name, too
            SELECT lag(u.word) OVER o AS before, u.word, lead(u.word) OVER o AS next, lead(u.word, 2) OVER o AS second,
                   lead(u.word, 3) OVER o AS after, lead(u.word, 4) OVER o AS fourth, lead(u.word, 5) OVER o AS fifth,
                   lead(u.name, 2) OVER o AS field
            FROM (SELECT t.n, @extschema@._model_access_names(t.token) AS name,
                         upper(coalesce(@extschema@._model_access_names(t.token), t.token)) AS word
                  FROM unnest(words) WITH ORDINALITY AS t(token, n)) AS u
            WINDOW o AS (ORDER BY u.n))
        SELECT count(*) FILTER (WHERE w.word = 'NEW' AND w.next = '.' AND w.field = column_name
                   AND (w.before IN (';', 'BEGIN', 'THEN', 'ELSE', 'LOOP') AND w.after IN (':=', '=') OR w.before IN ('INTO', 'STRICT'))) > 0
           AND count(*) FILTER (WHERE
               -- the row as a whole is only returned, and always is
               (w.word = 'NEW' AND w.next <> '.' AND w.before <> 'RETURN')
               OR (w.word = 'RETURN' AND w.next <> 'NEW') OR (w.word = 'OLD' AND w.next <> '.')
               -- what a statement begins with, is assigned to
               OR (w.word IN ('NEW', 'OLD') AND w.before IN (';', 'BEGIN', 'THEN', 'ELSE', 'LOOP', '>', 'FOR', 'FOREACH', 'INTO', 'STRICT')
                   AND (w.field <> column_name OR w.word = 'OLD'))
               OR (w.word IN ('NEW', 'OLD') AND w.after = ':=' AND (w.field <> column_name OR w.word = 'OLD'))
               -- into one target only
               OR (w.word = 'INTO' AND ',' = CASE WHEN w.next = 'STRICT' THEN CASE w.after WHEN '.' THEN w.fifth ELSE w.after END
                                                 ELSE CASE w.second WHEN '.' THEN w.fourth ELSE w.second END END)) = 0
        FROM w);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_only_fills(oid, name) IS 'Internal. Whether all that a trigger function does is to set one column of the new row. In doubt, false.';
