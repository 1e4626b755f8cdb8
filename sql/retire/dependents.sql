-- What touches such a column, by the catalogue or by the words of a body, and what is to become of each.

CREATE FUNCTION @extschema@._model_access_dependents(relation oid, column_name name)
RETURNS TABLE (class oid, id oid, sub integer, level integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE walk AS (
        SELECT 'pg_class'::regclass::oid AS class, t.id, a.attnum::integer AS sub, 0 AS level
        FROM @extschema@._model_access_tree(relation) AS t JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name
        UNION
        SELECT n.class, n.id, n.sub, w.level + 1
        FROM walk AS w
        JOIN pg_depend AS d ON d.refclassid = w.class AND d.refobjid = w.id AND (w.sub = 0 OR d.refobjsubid = w.sub) AND d.deptype IN ('n', 'a', 'i')
        LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        LEFT JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
        LEFT JOIN pg_attribute AS g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
        LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        LEFT JOIN pg_index AS i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
        LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
        LEFT JOIN pg_statistic_ext AS s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
        -- a view stands for the rule behind it, a generated column for its expression, a constraint also for its index
        CROSS JOIN LATERAL (SELECT
            CASE WHEN r.rulename = '_RETURN' OR g.attgenerated <> '' THEN 'pg_class'::regclass ELSE d.classid END AS class,
            CASE WHEN r.rulename = '_RETURN' THEN r.ev_class WHEN g.attgenerated <> '' THEN f.adrelid ELSE d.objid END AS id,
            CASE WHEN g.attgenerated <> '' THEN f.adnum ELSE d.objsubid END AS sub,
            coalesce(r.ev_class, f.adrelid, t.tgrelid, i.indrelid, s.stxrelid) AS belongs
            UNION ALL
            SELECT 'pg_constraint'::regclass, k.oid, 0, NULL WHERE k.oid IS NOT NULL) AS n
        WHERE w.level < 50 AND (n.class, n.id, n.sub) <> (w.class, w.id, w.sub) AND (t.tgisinternal AND t.tgparentid = 0) IS NOT TRUE
          -- what belongs to a view comes and goes with it, and a default with its column
          AND NOT (w.class = 'pg_class'::regclass AND w.sub = 0 AND n.belongs IS NOT DISTINCT FROM w.id)
          AND NOT (f.oid IS NOT NULL AND f.adrelid = w.id AND f.adnum = w.sub))
    SELECT w.class, w.id, w.sub, max(w.level) FROM walk AS w WHERE w.level > 0 GROUP BY w.class, w.id, w.sub
$$;
COMMENT ON FUNCTION @extschema@._model_access_dependents(oid, name) IS 'Internal. Whatever the catalogue knows to depend on a column, directly or through others; level is how far away.';

CREATE FUNCTION @extschema@._model_access_is_part(class oid, id oid, sub integer) RETURNS boolean
LANGUAGE sql STABLE
RETURN class = 'pg_type'::regclass OR EXISTS (SELECT FROM pg_class AS c WHERE class = 'pg_class'::regclass AND c.oid = id AND c.relkind = 't')
    OR EXISTS (SELECT FROM pg_attribute AS a WHERE class = 'pg_class'::regclass AND a.attrelid = id AND a.attnum = sub AND a.attinhcount > 0)
    OR EXISTS (SELECT FROM pg_trigger AS t WHERE class = 'pg_trigger'::regclass AND t.oid = id AND (t.tgparentid <> 0 OR t.tgisinternal))
    OR EXISTS (SELECT FROM pg_constraint AS c WHERE class = 'pg_constraint'::regclass AND c.oid = id
               AND (c.contype = 't' OR c.conparentid <> 0 OR (c.coninhcount > 0 AND NOT c.conislocal) OR c.contype = 'n'))
    OR EXISTS (SELECT FROM pg_class AS c WHERE class = 'pg_class'::regclass AND c.oid = id AND c.relkind IN ('i', 'I')
               AND (c.relispartition OR EXISTS (SELECT FROM pg_constraint AS o WHERE o.conindid = c.oid AND o.contype IN ('p', 'u', 'x'))));
COMMENT ON FUNCTION @extschema@._model_access_is_part(oid, oid, integer) IS 'Internal. Whether an object comes and goes with another one: a row type, what a partition has from its parent, the index of a constraint.';

CREATE FUNCTION @extschema@._model_access_refs(class oid, id oid, sub integer) RETURNS TABLE (ref oid, refsub integer)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT d.refobjid, d.refobjsubid FROM pg_depend AS d
    WHERE d.deptype IN ('n', 'a') AND (d.classid, d.objid) = ANY (
        SELECT class, id
        UNION ALL
        SELECT 'pg_rewrite'::regclass::oid, r.oid FROM pg_rewrite AS r WHERE class = 'pg_class'::regclass AND r.ev_class = id AND sub = 0
        UNION ALL
        SELECT 'pg_attrdef'::regclass::oid, f.oid FROM pg_attrdef AS f WHERE class = 'pg_class'::regclass AND f.adrelid = id AND f.adnum = sub
        UNION ALL
        SELECT 'pg_class'::regclass::oid, c.conindid FROM pg_constraint AS c
        WHERE class = 'pg_constraint'::regclass AND c.oid = id AND c.contype IN ('p', 'u', 'x'));
END;
COMMENT ON FUNCTION @extschema@._model_access_refs(oid, oid, integer) IS 'Internal. What an object refers to: relations, their columns, types, functions.';

CREATE FUNCTION @extschema@._model_access_mentioning(word text, near text DEFAULT NULL)
RETURNS TABLE (id oid, in_code boolean, lines text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own  oid[] := ARRAY(SELECT o.id FROM @extschema@._model_access_member AS o WHERE o.class = 'pg_proc'::regclass);
    body record;
BEGIN
    FOR body IN
        SELECT p.oid, p.prosrc AS source, l.lanname::text AS language
        FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        -- what BEGIN ATOMIC bodies refer to, the catalogue knows
        WHERE p.prosqlbody IS NULL AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          AND (strpos(lower(replace(p.prosrc, '""', '"')), lower(word)) > 0 OR strpos(lower(p.prosrc), 'u&"') > 0) AND p.oid <> ALL (own)
    LOOP
        CONTINUE WHEN near IS NOT NULL AND NOT EXISTS (SELECT FROM @extschema@._model_access_mentions(body.source, body.language, near));
        id := body.oid;
        -- a string counts where a statement is made of strings
        SELECT bool_or(m.in_code) OR (body.language = 'plpgsql' AND EXISTS (
                   SELECT FROM @extschema@._model_access_tokens(@extschema@._model_access_code(body.source, false, false)) AS t
                   WHERE upper(t.token) = 'EXECUTE')),
               string_agg(format('line %s: %s', m.line, m.text), E'\n' ORDER BY m.line)
        INTO in_code, lines FROM @extschema@._model_access_mentions(body.source, body.language, word) AS m;
        IF lines IS NOT NULL THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mentioning(text, text) IS 'Internal. The functions whose bodies mention a name, and another one beside it where it is given: in code, or only in strings that are not executed.';

CREATE FUNCTION @extschema@._model_access_fillers(relation oid, column_name name) RETURNS oid[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(m.id), '{}') FROM @extschema@._model_access_mentioning(column_name::text, NULL::text) AS m
    WHERE m.in_code AND @extschema@._model_access_only_fills(m.id, column_name)
      -- called by rows of this table before they are written, by nothing else, and no part of an extension
      AND EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = m.id)
      AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = m.id
          AND (t.tgtype & 67 <> 3 OR t.tgrelid NOT IN (SELECT r.id FROM @extschema@._model_access_tree(relation) AS r)))
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = m.id AND d.classid <> 'pg_trigger'::regclass)
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = m.id AND d.deptype IN ('e', 'x'))
$$;
COMMENT ON FUNCTION @extschema@._model_access_fillers(oid, name) IS 'Internal. The trigger functions that do nothing but fill the column.';

CREATE FUNCTION @extschema@._model_access_rewrite_view(id oid, names text[], OUT again text, OUT removed text[], OUT lines text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    definition text := pg_get_viewdef(id);
    parts      text := @extschema@._model_access_ddl_view_parts(id);
    without    text;
BEGIN
    IF names IS NULL THEN
        again := @extschema@._model_access_ddl_view(id, NULL::text, '{}'::text[]);
        removed := '{}';
        RETURN;
    END IF;
    SELECT v.definition_without, v.removed INTO without, removed FROM @extschema@._model_access_view_without(definition, names) AS v;
    lines := (SELECT string_agg(format('line %s: %s', m.line, m.text), E'\n')
              FROM unnest(names) AS n(name) CROSS JOIN LATERAL @extschema@._model_access_mentions(definition, 'sql'::text, n.name) AS m WHERE m.in_code);
    IF without IS NULL OR EXISTS (
        -- its own rules, triggers, indexes, statistics
        SELECT FROM unnest(removed || names) AS n(name) CROSS JOIN LATERAL @extschema@._model_access_mentions(parts, 'sql'::text, n.name) AS m WHERE m.in_code) THEN
        removed := NULL;
    ELSE
        again := @extschema@._model_access_ddl_view(id, without, removed);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_rewrite_view(oid, text[]) IS 'Internal. A view as DDL without these columns of what it reads; NULL, and the lines that mention them, where that would be a guess.';

CREATE FUNCTION @extschema@._model_access_only_of(class oid, id oid, ddl text, gone text[]) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- an index on expressions refers to the table as well; to the row as a whole only where that is written out
    SELECT bool_and(format('%s.%s', r.ref, r.refsub) = ANY (gone)) FILTER (WHERE r.refsub > 0) AND strpos(ddl, '.*') = 0
       AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indexrelid = id AND (i.indisreplident OR i.indisprimary))
       -- a foreign key of another table
       AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE class = 'pg_constraint'::regclass AND c.oid = id
                       AND c.conrelid NOT IN (SELECT split_part(g, '.', 1)::oid FROM unnest(gone) AS g))
    FROM @extschema@._model_access_refs(class, id, 0) AS r
    WHERE r.ref IN (SELECT split_part(g, '.', 1)::oid FROM unnest(gone) AS g);
END;
COMMENT ON FUNCTION @extschema@._model_access_only_of(oid, oid, text, text[]) IS 'Internal. Whether an object of a table refers to no column of it but those that go.';

CREATE FUNCTION @extschema@._model_access_is_fixed(class oid, id oid) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = class AND d.objid = id AND d.deptype IN ('e', 'x'))
    OR EXISTS (SELECT FROM pg_seclabel AS l WHERE l.classoid = class AND l.objoid = id)
    OR EXISTS (SELECT FROM pg_class AS c WHERE class = 'pg_class'::regclass AND c.oid = id AND c.relpersistence = 't');
COMMENT ON FUNCTION @extschema@._model_access_is_fixed(oid, oid) IS 'Internal. Whether an object could not be made again as it is: part of an extension, labelled, temporary.';

CREATE FUNCTION @extschema@._model_access_verdict(
    class oid, id oid, sub integer, column_name name, gone text[], lost oid[], fillers oid[],
    OUT action text, OUT why text, OUT again text, OUT removed text[], OUT lines text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_view boolean := sub = 0 AND EXISTS (SELECT FROM pg_class AS c WHERE class = 'pg_class'::regclass AND c.oid = id AND c.relkind IN ('v', 'm'));
    body    record;
    names   text[]  := (SELECT array_agg(DISTINCT a.attname) FROM @extschema@._model_access_refs(class, id, sub) AS r
                        JOIN pg_attribute AS a ON a.attrelid = r.ref AND a.attnum = r.refsub WHERE format('%s.%s', r.ref, r.refsub) = ANY (gone));
BEGIN
    IF is_view THEN
        SELECT v.* INTO again, removed, lines FROM @extschema@._model_access_rewrite_view(id, names) AS v;
        action := CASE WHEN again IS NOT NULL THEN 'recreate' END;
        why := 'it does more with the column than to list it';
    ELSIF class = 'pg_proc'::regclass THEN
        SELECT * INTO body FROM @extschema@._model_access_source(id);
        SELECT string_agg(format('line %s: %s', m.line, m.text), E'\n' ORDER BY m.line) FILTER (WHERE m.in_code) INTO lines
        FROM @extschema@._model_access_mentions(body.source, body.language, column_name) AS m;
        why := CASE WHEN names IS NOT NULL THEN 'its body reads the column'
                    ELSE 'it takes or returns rows of a view that is rewritten, and its body mentions the column' END;
        action := CASE WHEN lines IS NULL AND names IS NULL AND body.language IN ('sql'::text, 'plpgsql') THEN 'recreate' END;
        again := @extschema@._model_access_ddl_function(id);
    ELSIF class IN ('pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_statistic_ext'::regclass)
       OR (class = 'pg_class'::regclass AND sub = 0) THEN
        why := CASE WHEN class = 'pg_trigger'::regclass THEN 'its function does more than to fill the column' ELSE 'it is about more than the column' END;
        again := (SELECT d.back FROM @extschema@._model_access_ddl(class, id, sub) AS d);
        action := CASE
            WHEN class = 'pg_trigger'::regclass AND EXISTS (SELECT FROM pg_trigger AS t WHERE t.oid = id AND t.tgfoid = ANY (fillers)) THEN 'drop'
            WHEN names IS NULL THEN 'recreate'
            WHEN class IN ('pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass) THEN NULL
            WHEN @extschema@._model_access_only_of(class, id, again, gone) THEN 'drop' END;
    ELSE
        why := CASE WHEN class = 'pg_publication_rel'::regclass THEN 'subscribers expect the column'
                    WHEN EXISTS (SELECT FROM pg_attribute AS a
                                 WHERE class = 'pg_class'::regclass AND a.attrelid = id AND a.attnum = sub AND a.attgenerated <> '')
                    THEN 'it is computed from the column'
                    ELSE 'change it first: what it is made of would be dropped' END;
    END IF;
    IF action IS NOT NULL AND @extschema@._model_access_is_fixed(class, id) THEN
        action := NULL;
        why := 'it belongs to an extension, is temporary, or has a security label';
    ELSIF action = 'recreate' AND (again IS NULL OR EXISTS (SELECT FROM @extschema@._model_access_refs(class, id, sub) AS r WHERE r.ref = ANY (lost))) THEN
        action := NULL;
        why := 'it depends on something that needs you';
    END IF;
    why := CASE WHEN action IS NULL THEN why END;
    action := coalesce(action, 'needs you');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_verdict(oid, oid, integer, name, text[], oid[], oid[]) IS 'Internal. What is to become of one object: drop, recreate or needs you, and why.';

CREATE FUNCTION @extschema@._model_access_retire_bodies(relation oid, column_name name, accept text[], seen oid[], aliases jsonb)
RETURNS TABLE (object text, action text, why text, lines text, back text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH mentions AS (
        SELECT m.id, m.in_code, m.lines FROM @extschema@._model_access_mentioning(column_name::text, NULL::text) AS m
        UNION ALL
        -- the column under another name, in a function that mentions the view which gives it that name
        SELECT m.id, m.in_code, m.lines FROM jsonb_to_recordset(aliases) AS a(alias text, view text)
        CROSS JOIN LATERAL @extschema@._model_access_mentioning(a.alias, a.view) AS m WHERE a.alias <> column_name),
    functions AS (
        SELECT m.id, bool_or(m.in_code) AS in_code, string_agg(m.lines, chr(10)) AS lines,
               'function ' || m.id::regprocedure AS object
        FROM mentions AS m WHERE m.id <> ALL (seen) GROUP BY m.id)
    SELECT f.object, CASE WHEN f.in_code AND f.object <> ALL (accept) THEN 'needs you' ELSE 'keep' END,
           CASE WHEN NOT f.in_code THEN 'mentioned in a string only'
                WHEN f.object = ANY (accept) THEN 'its body mentions the column; accepted as it is'
                ELSE 'its body mentions the column: change it first, or accept it as it is' END,
           f.lines, @extschema@._model_access_ddl_function(f.id)
    FROM functions AS f
    UNION ALL
    SELECT DISTINCT 'view ' || r.ev_class::regclass, 'keep', 'it passes whole rows on, which come without the column', NULL, NULL
    FROM @extschema@._model_access_tree(relation) AS t
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN'
    WHERE r.ev_class <> ALL (seen) AND EXISTS (
        SELECT FROM (SELECT k.token, lead(k.token) OVER (ORDER BY k.n) AS next
                     FROM @extschema@._model_access_tokens(pg_get_viewdef(r.ev_class)) AS k) AS w
        WHERE w.token = '.' AND w.next = '*')
$$;
COMMENT ON FUNCTION @extschema@._model_access_retire_bodies(oid, name, text[], oid[], jsonb) IS 'Internal. The functions that mention the column, or a view''s other name for it, where only their bodies do.';

CREATE FUNCTION @extschema@._model_access_retire_objects(relation oid, column_name name, accept text[])
RETURNS TABLE (level integer, object text, action text, why text, lines text, remove text, again text, back text, id oid, run_as text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone    text[] := ARRAY(SELECT format('%s.%s', t.id, a.attnum) FROM @extschema@._model_access_tree(relation) AS t
                            JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name);
    fillers oid[]  := @extschema@._model_access_fillers(relation, column_name);
    lost    oid[]  := '{}';
    seen    oid[]  := '{}';
    aliases jsonb  := '[]';
    removed text[];
    node    record;
BEGIN
    FOR node IN
        WITH dependents AS MATERIALIZED (SELECT * FROM @extschema@._model_access_dependents(relation, column_name))
        SELECT d.* FROM dependents AS d WHERE NOT @extschema@._model_access_is_part(d.class, d.id, d.sub)
          -- a rule of a view that is a step comes and goes with it
          AND NOT EXISTS (SELECT FROM pg_rewrite AS r JOIN dependents AS v ON v.class = 'pg_class'::regclass AND v.id = r.ev_class AND v.sub = 0
                          WHERE d.class = 'pg_rewrite'::regclass AND r.oid = d.id)
        UNION
        SELECT 'pg_trigger'::regclass::oid, t.oid, 0, 1 FROM pg_trigger AS t WHERE t.tgfoid = ANY (fillers) AND t.tgparentid = 0
        ORDER BY 4, 1, 2, 3
    LOOP
        CONTINUE WHEN node.id = ANY (seen) AND node.sub = 0;
        level := node.level;
        id := node.id;
        seen := seen || id;
        SELECT d.object, d.remove, d.back INTO object, remove, back FROM @extschema@._model_access_ddl(node.class, id, node.sub) AS d;
        SELECT v.action, v.why, v.again, v.removed, v.lines INTO action, why, again, removed, lines
        FROM @extschema@._model_access_verdict(node.class, id, node.sub, column_name, gone, lost, fillers) AS v;
        IF action = 'needs you' AND object = ANY (accept) AND remove IS NOT NULL AND back IS NOT NULL AND NOT @extschema@._model_access_is_fixed(node.class, id) THEN
            action := CASE WHEN node.class = 'pg_publication_rel'::regclass AND NOT EXISTS (
                SELECT FROM pg_publication_rel AS r CROSS JOIN LATERAL @extschema@._model_access_mentions(pg_get_expr(r.prqual, r.prrelid), 'sql'::text, column_name)
                WHERE r.oid = node.id) THEN 'recreate' ELSE 'drop' END;
            again := @extschema@._model_access_ddl_publication(id, column_name);
        END IF;
        IF action = 'recreate' THEN
            gone := gone || ARRAY(SELECT format('%s.%s', id, a.attnum) FROM pg_attribute AS a WHERE a.attrelid = node.id AND a.attname = ANY (removed));
            aliases := aliases || coalesce((SELECT jsonb_agg(jsonb_build_object('alias', r, 'view', c.relname))
                                            FROM unnest(removed) AS r CROSS JOIN pg_class AS c WHERE c.oid = node.id), '[]');
        ELSE
            again := NULL;
            -- a generated column goes, but not its table
            gone := gone || ARRAY(SELECT format('%s.%s', node.id, node.sub) WHERE node.sub > 0);
            lost := lost || ARRAY(SELECT node.id WHERE node.sub = 0) || ARRAY(SELECT t.oid FROM pg_class AS c JOIN pg_type AS t ON c.reltype <> 0 AND c.reltype IN (t.oid, t.typelem)
                                       WHERE c.oid = node.id AND node.sub = 0)
                         || ARRAY(SELECT c.conindid FROM pg_constraint AS c WHERE c.oid = node.id);
        END IF;
        run_as := (SELECT c.relowner::regrole FROM pg_class AS c
                   WHERE c.oid = CASE WHEN node.sub > 0 THEN node.id
                                      ELSE (SELECT k.conrelid FROM pg_constraint AS k WHERE k.oid = node.id AND k.contype = 'c') END);
        RETURN NEXT;
    END LOOP;
    RETURN QUERY
        SELECT 0, d.object, 'drop', NULL, NULL, d.remove, NULL, d.back, f.id, NULL
        FROM unnest(fillers) AS f(id) CROSS JOIN LATERAL @extschema@._model_access_ddl('pg_proc'::regclass, f.id, 0) AS d
        UNION ALL
        SELECT NULL, b.object, b.action, b.why, b.lines, NULL, NULL, b.back, NULL, NULL
        FROM @extschema@._model_access_retire_bodies(relation, column_name, accept, seen || fillers, aliases) AS b;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_retire_objects(oid, name, text[]) IS 'Internal. Everything that touches the column, what is to become of it, and the DDL for that; level is how far from the column it is.';
