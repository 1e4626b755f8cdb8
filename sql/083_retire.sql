-- Leaving a column such as profiles.allowed_models: what hangs on it, what becomes of each, the script that does it.

CREATE SEQUENCE @extschema@.model_access_retired_retired_id_seq;
COMMENT ON SEQUENCE @extschema@.model_access_retired_retired_id_seq IS 'Numbers the retired columns.';

CREATE TABLE @extschema@.model_access_retired (
    retired_id  bigint PRIMARY KEY DEFAULT nextval('@extschema@.model_access_retired_retired_id_seq'),
    profiles    text NOT NULL,
    column_name text NOT NULL,
    column_type text NOT NULL,
    key_columns text[] NOT NULL,
    back        text NOT NULL,
    not_null    text NOT NULL,
    objects     jsonb NOT NULL,
    retired_at  timestamptz NOT NULL DEFAULT now(),
    retired_by  text NOT NULL DEFAULT current_user,
    restored_at timestamptz,
    restored_by text
);
ALTER SEQUENCE @extschema@.model_access_retired_retired_id_seq OWNED BY @extschema@.model_access_retired.retired_id;
CREATE TABLE @extschema@.model_access_retired_value (
    retired_id bigint REFERENCES @extschema@.model_access_retired ON DELETE CASCADE,
    relation   text,
    key        text,
    value      text,
    PRIMARY KEY (retired_id, relation, key)
);
-- they hold data of users, and belong to nobody but the owner
ALTER TABLE @extschema@.model_access_retired ENABLE ROW LEVEL SECURITY;
ALTER TABLE @extschema@.model_access_retired_value ENABLE ROW LEVEL SECURITY;

COMMENT ON TABLE @extschema@.model_access_retired IS 'One row per column that model_access_retire_allowed_models removed, with the DDL that brings it back. Deleting a row deletes its data; then it cannot be restored.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_id IS 'Number of the retired column.';
COMMENT ON COLUMN @extschema@.model_access_retired.profiles IS 'The table it was taken from, qualified.';
COMMENT ON COLUMN @extschema@.model_access_retired.column_name IS 'Its name.';
COMMENT ON COLUMN @extschema@.model_access_retired.column_type IS 'Its type.';
COMMENT ON COLUMN @extschema@.model_access_retired.key_columns IS 'The primary key of the table, which model_access_retired_value.key holds.';
COMMENT ON COLUMN @extschema@.model_access_retired.back IS 'DDL that adds it again, with default, storage, grants and comment.';
COMMENT ON COLUMN @extschema@.model_access_retired.not_null IS 'DDL that makes it NOT NULL again, where it was.';
COMMENT ON COLUMN @extschema@.model_access_retired.objects IS 'Whatever went or was rewritten with it: what removed it, what made it again without the column, what brings it back.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_at IS 'When it was removed.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_by IS 'By which role.';
COMMENT ON COLUMN @extschema@.model_access_retired.restored_at IS 'When model_access_restore_allowed_models brought it back; NULL while it is gone.';
COMMENT ON COLUMN @extschema@.model_access_retired.restored_by IS 'By which role.';
COMMENT ON TABLE @extschema@.model_access_retired_value IS 'What every row had in a retired column.';
COMMENT ON COLUMN @extschema@.model_access_retired_value.retired_id IS 'The retired column.';
COMMENT ON COLUMN @extschema@.model_access_retired_value.relation IS 'The table of the row: the one named, or a child that inherits from it.';
COMMENT ON COLUMN @extschema@.model_access_retired_value.key IS 'Its primary key, as text: the user.';
COMMENT ON COLUMN @extschema@.model_access_retired_value.value IS 'The value, as text.';

CREATE FUNCTION @extschema@._model_access_key_columns(relation oid) RETURNS name[]
LANGUAGE sql STABLE
RETURN (SELECT array_agg(a.attname ORDER BY k.n) FROM pg_index AS i
        CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]::smallint[]) WITH ORDINALITY AS k(attnum, n)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = relation AND i.indisprimary);
COMMENT ON FUNCTION @extschema@._model_access_key_columns(oid) IS 'Internal. The columns of a primary key, in order; NULL where there is none.';

CREATE FUNCTION @extschema@._model_access_check_retire(profiles regclass, column_name name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t      pg_class     := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
    a      pg_attribute := (SELECT c FROM pg_attribute AS c WHERE c.attrelid = profiles AND c.attname = column_name AND c.attnum > 0);
    key    name[]       := @extschema@._model_access_key_columns(profiles);
    type   regtype      := @extschema@._model_access_column_type(profiles, column_name);
    beside text;
BEGIN
    SELECT string_agg(c.oid::regclass::text, ', ') INTO beside
    FROM @extschema@._model_access_tree(profiles) AS r JOIN pg_class AS c ON c.oid = r.id
    JOIN pg_attribute AS i ON i.attrelid = c.oid AND i.attname = column_name
    WHERE r.depth > 0 AND (c.relkind NOT IN ('r', 'p') OR i.attislocal OR i.attinhcount > 1);
    IF t.relkind NOT IN ('r', 'p') OR t.relpersistence = 't' THEN
        RAISE EXCEPTION '% is not an ordinary or a partitioned table', profiles
            USING ERRCODE = 'wrong_object_type', HINT = 'Name the table that has the column.';
    ELSIF NOT pg_has_role(t.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It belongs to %s.', t.relowner::regrole),
                  HINT = 'Let a superuser call this, or a role that owns both the table and model_access.';
    ELSIF a.attnum IS NULL THEN
        RAISE EXCEPTION 'column "%" of % does not exist', column_name, profiles
            USING ERRCODE = 'undefined_column', HINT = 'Name the column as column_name, exactly as it is spelt.';
    ELSIF type <> ALL ('{text[],character varying[],jsonb,json,text,character varying}'::regtype[]) OR a.attgenerated <> '' OR a.attidentity <> '' THEN
        RAISE EXCEPTION 'column "%" of % is no list that is kept as text[] or jsonb', column_name, profiles
            USING ERRCODE = 'datatype_mismatch', DETAIL = format('It is a %s%s.', CASE a.attgenerated WHEN '' THEN '' ELSE 'generated ' END, type),
                  HINT = 'Name the column that holds the models a user may use.';
    ELSIF a.attinhcount > 0 THEN
        RAISE EXCEPTION 'column "%" of % is inherited', column_name, profiles
            USING ERRCODE = 'wrong_object_type', HINT = format('Name the table it comes from: %s.',
                (SELECT string_agg(i.inhparent::regclass::text, ', ') FROM pg_inherits AS i WHERE i.inhrelid = profiles));
    ELSIF beside IS NOT NULL THEN
        RAISE EXCEPTION 'column "%" of % is not only inherited from %', column_name, beside, profiles
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A child that declares the column itself, has it of two parents, or is a foreign table would keep it.',
                  HINT = 'Detach such a child first (ALTER TABLE … NO INHERIT), and attach it again later.';
    ELSIF key IS NULL OR column_name = ANY (key) THEN
        RAISE EXCEPTION '% has no primary key without column "%"', profiles, column_name
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'What a user had is kept under the primary key of the row.',
                  HINT = format('ALTER TABLE %s ADD PRIMARY KEY (…)', profiles);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_retire(regclass, name) IS 'Internal. Raises an error where a column cannot be retired.';

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
               AND (c.conparentid <> 0 OR (c.coninhcount > 0 AND NOT c.conislocal) OR c.contype = 'n'))
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
    own  oid[] := ARRAY(SELECT o.id FROM @extschema@._model_access_object AS o WHERE o.kind = 'ROUTINE');
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
    SELECT coalesce(array_agg(m.id), '{}') FROM @extschema@._model_access_mentioning(column_name) AS m
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
        again := @extschema@._model_access_ddl_view(id);
        removed := '{}';
        RETURN;
    END IF;
    SELECT v.definition_without, v.removed INTO without, removed FROM @extschema@._model_access_view_without(definition, names) AS v;
    lines := (SELECT string_agg(format('line %s: %s', m.line, m.text), E'\n')
              FROM unnest(names) AS n(name) CROSS JOIN LATERAL @extschema@._model_access_mentions(definition, 'sql', n.name) AS m WHERE m.in_code);
    IF without IS NULL OR EXISTS (
        -- its own rules, triggers, indexes, statistics
        SELECT FROM unnest(removed || names) AS n(name) CROSS JOIN LATERAL @extschema@._model_access_mentions(parts, 'sql', n.name) AS m WHERE m.in_code) THEN
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
        action := CASE WHEN lines IS NULL AND names IS NULL AND body.language IN ('sql', 'plpgsql') THEN 'recreate' END;
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
        SELECT m.id, m.in_code, m.lines FROM @extschema@._model_access_mentioning(column_name) AS m
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
        SELECT d.* FROM @extschema@._model_access_dependents(relation, column_name) AS d WHERE NOT @extschema@._model_access_is_part(d.class, d.id, d.sub)
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
        IF action = 'needs you' AND object = ANY (accept) AND remove IS NOT NULL AND NOT @extschema@._model_access_is_fixed(node.class, id) THEN
            action := CASE WHEN node.class = 'pg_publication_rel'::regclass AND NOT EXISTS (
                SELECT FROM pg_publication_rel AS r CROSS JOIN LATERAL @extschema@._model_access_mentions(pg_get_expr(r.prqual, r.prrelid), 'sql', column_name)
                WHERE r.oid = node.id) THEN 'recreate' ELSE 'drop' END;
            again := @extschema@._model_access_ddl_publication(id, column_name);
        END IF;
        IF action = 'recreate' THEN
            gone := gone || ARRAY(SELECT format('%s.%s', id, a.attnum) FROM pg_attribute AS a WHERE a.attrelid = node.id AND a.attname = ANY (removed));
            aliases := aliases || coalesce((SELECT jsonb_agg(jsonb_build_object('alias', r, 'view', c.relname))
                                            FROM unnest(removed) AS r CROSS JOIN pg_class AS c WHERE c.oid = node.id), '[]');
        ELSE
            again := NULL;
            lost := lost || id || ARRAY(SELECT t.oid FROM pg_class AS c JOIN pg_type AS t ON c.reltype <> 0 AND c.reltype IN (t.oid, t.typelem)
                                       WHERE c.oid = node.id)
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

CREATE FUNCTION @extschema@._model_access_check_function(function regprocedure) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = on AS $$
DECLARE
    p         pg_proc := (SELECT f FROM pg_proc AS f WHERE f.oid = function);
    lang      text    := (SELECT l.lanname FROM pg_language AS l WHERE l.oid = p.prolang);
    validator text    := CASE lang WHEN 'sql' THEN 'SELECT pg_catalog.fmgr_sql_validator($1)' ELSE 'SELECT pg_catalog.plpgsql_validator($1)' END;
    checker   text    := (SELECT format('SELECT pg_catalog.string_agg(m, '' '') FROM %I.plpgsql_check_function($1) AS m '
                                        'WHERE m OPERATOR(pg_catalog.~~) ''error:%%''', n.nspname)
                          FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
                          WHERE e.extname = 'plpgsql_check' AND lang = 'plpgsql' AND p.prorettype <> 'trigger'::regtype
                            AND has_schema_privilege(p.proowner, n.oid, 'USAGE'));
    path      text    := coalesce((SELECT substr(o, 13) FROM unnest(p.proconfig) AS o WHERE o LIKE 'search_path=%'),
                                  (SELECT s.reset_val FROM pg_settings AS s WHERE s.name = 'search_path'));
    me        text    := current_setting('role');
    found     text;
BEGIN
    -- as its owner, since planning a query may run what it calls; names in it mean what they mean to its callers
    PERFORM set_config('role', (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = p.proowner), true), set_config('search_path', path, true);
    EXECUTE validator USING function;
    IF checker IS NOT NULL THEN
        EXECUTE checker INTO found USING function;
    END IF;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION '%', found USING ERRCODE = 'invalid_function_definition';
    END IF;
    PERFORM pg_catalog.set_config('role', me, true);
EXCEPTION WHEN syntax_error_or_access_rule_violation THEN
    RAISE EXCEPTION 'function % does not work without the column: %', function, SQLERRM
        USING ERRCODE = 'invalid_function_definition', HINT = 'Change it so that it works with and without the column, then retire it.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_function(regprocedure) IS 'Internal. Raises an error where a function does not parse, or plpgsql_check, if it is there, finds an error in it.';

CREATE FUNCTION @extschema@._model_access_comment_out(source text) RETURNS text
LANGUAGE sql IMMUTABLE
-- a carriage return ends a comment too: what follows it would be run
RETURN '--   ' || regexp_replace(rtrim(source, chr(10)), E'\r\n|\r|\n', E'\n--   ', 'g') || chr(10);
COMMENT ON FUNCTION @extschema@._model_access_comment_out(text) IS 'Internal. A text as SQL comment.';

CREATE FUNCTION @extschema@._model_access_ddl_prepare(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(E'-- in one transaction: psql -1 -v ON_ERROR_STOP=1 -f FILE\n',
        E'SET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL check_function_bodies = off;\nSET LOCAL row_security = off;\n',
        E'SET LOCAL quote_all_identifiers = off;\nSET LOCAL datestyle = ISO;\nSET LOCAL timezone = UTC;\n',
        -- whoever waits for this lock holds up everybody behind him
        CASE WHEN current_setting('lock_timeout') = '0' THEN E'SET LOCAL lock_timeout = ''5s'';\n' END,
        format(E'LOCK TABLE %s IN ACCESS EXCLUSIVE MODE;\n', relation::regclass))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_prepare(oid) IS 'Internal. What a script begins with: names and texts that mean the same everywhere, and the lock.';

CREATE FUNCTION @extschema@._model_access_ddl_key(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- by output functions only: a cast may be somebody's own
    SELECT CASE cardinality(k) WHEN 1 THEN format('format(''%%s'', p.%I)', k[1])
                ELSE format('ROW(%s)::text', (SELECT string_agg(format('p.%I', c), ', ' ORDER BY n) FROM unnest(k) WITH ORDINALITY AS u(c, n))) END
    FROM @extschema@._model_access_key_columns(relation) AS k
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_key(oid) IS 'Internal. The primary key of a row p, as an expression of text.';

CREATE FUNCTION @extschema@._model_access_ddl_forced(relation oid, clause text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(E'ALTER TABLE ONLY %s %s ROW LEVEL SECURITY;\n', c.oid::regclass, clause), '' ORDER BY c.oid::regclass::text)
    FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id WHERE c.relforcerowsecurity
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_forced(oid, text) IS 'Internal. Where row security is forced on the owner: NO FORCE it for a while, and FORCE it again.';

CREATE FUNCTION @extschema@._model_access_ddl_archive(relation oid, column_name name, objects jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(@extschema@._model_access_ddl_forced(relation, 'NO FORCE'),
        format(E'WITH retired AS (\n    INSERT INTO %s (profiles, column_name, column_type, key_columns, back, not_null, objects)\n'
               '    VALUES (%L, %L, %L, %L, %L, %L, %L)\n    RETURNING retired_id)\n', '@extschema@.model_access_retired'::regclass,
            relation::regclass, column_name, format_type(a.atttypid, a.atttypmod),
            @extschema@._model_access_key_columns(relation), d.back, coalesce(d.not_null, ''), objects),
        format(E'INSERT INTO %s (retired_id, relation, key, value)\n'
               'SELECT r.retired_id, %s, %s, p.%I::text FROM retired AS r CROSS JOIN %s AS p;\n', '@extschema@.model_access_retired_value'::regclass,
            CASE c.relkind WHEN 'p' THEN quote_literal(relation::regclass) ELSE 'p.tableoid::regclass::text' END,
            @extschema@._model_access_ddl_key(relation), column_name, relation::regclass),
        @extschema@._model_access_ddl_forced(relation, 'FORCE'))
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid CROSS JOIN @extschema@._model_access_ddl_column(relation, column_name) AS d
    WHERE c.oid = relation AND a.attname = column_name
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_archive(oid, name, jsonb) IS 'Internal. The statement that keeps what every row has in the column, and the DDL that brings it back.';

CREATE FUNCTION @extschema@._model_access_ddl_drop_column(relation oid, column_name name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(E'-- these go with it, and restore brings them back; but PostgreSQL puts a column that is added again last:\n',
        @extschema@._model_access_comment_out(concat(d.back, d.not_null)), format(E'ALTER TABLE %s DROP COLUMN %I;\n', relation::regclass, column_name))
    FROM @extschema@._model_access_ddl_column(relation, column_name) AS d
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_drop_column(oid, name) IS 'Internal. The statement that drops the column, and what goes with it.';

CREATE FUNCTION @extschema@._model_access_column_parts(relation oid, column_name name) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%s column %s.%I', p.part, c.id::regclass, column_name)
    FROM @extschema@._model_access_tree(relation) AS c JOIN pg_attribute AS a ON a.attrelid = c.id AND a.attname = column_name
    CROSS JOIN LATERAL (VALUES ('default of', a.atthasdef AND a.attgenerated = ''), ('grants on', a.attacl IS NOT NULL)) AS p(part, is_there)
    WHERE p.is_there
$$;
COMMENT ON FUNCTION @extschema@._model_access_column_parts(oid, name) IS 'Internal. What belongs to a column, here and in partitions or children, and goes with it.';

CREATE FUNCTION @extschema@._model_access_ddl_needs_you(object text, why text, lines text, back text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(@extschema@._model_access_comment_out(concat_ws(chr(10), format('%s: %s', object, why), lines, 'as it is:', back)),
        format(E'DO %L;\n', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L, ERRCODE = ''object_not_in_prerequisite_state''; END', object || ' needs you')))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_needs_you(text, text, text, text) IS 'Internal. What to look at, as a comment; and an error, so that the script does not go past it.';

CREATE FUNCTION @extschema@._model_access_mark(relation oid, column_name name, objects jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- alike in every copy of a database, whoever asks
    SELECT md5(concat(d.back, d.not_null, (SELECT string_agg(regexp_replace(o::text, 'SET LOCAL ROLE [^;]+;', '', 'g'), ',' ORDER BY o ->> 'object' COLLATE "C")
                                           FROM jsonb_array_elements(objects) AS o)))
    FROM @extschema@._model_access_ddl_column(relation, column_name) AS d
$$;
COMMENT ON FUNCTION @extschema@._model_access_mark(oid, name, jsonb) IS 'Internal. A fingerprint of everything that touches a column and what is to become of it.';

CREATE FUNCTION @extschema@._model_access_check_isolation() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot do this in a transaction that is %', current_setting('transaction_isolation')
            USING ERRCODE = 'active_sql_transaction',
                  DETAIL = 'It would not see what others wrote before it had the lock, and not keep that.', HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_isolation() IS 'Internal. Raises an error where a transaction does not see what others commit.';

CREATE FUNCTION @extschema@._model_access_check_mark(profiles regclass, column_name name, accept text[], mark text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET quote_all_identifiers = off AS $$
BEGIN
    PERFORM @extschema@._model_access_check_isolation();
    PERFORM @extschema@._model_access_check_retire(profiles, column_name);
    IF mark <> @extschema@._model_access_mark(profiles, column_name, (
        SELECT coalesce(jsonb_agg(to_jsonb(o) - 'id'), '[]') FROM @extschema@._model_access_retire_objects(profiles, column_name, accept) AS o)) THEN
        RAISE EXCEPTION 'what touches column "%" of % is not what it was when this script was written', column_name, profiles
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Look at the dry run again, and take the script that it gives now.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_mark(regclass, name, text[], text) IS 'Internal. Raises an error where a script is out of date.';

CREATE FUNCTION @extschema@._model_access_retire_plan(relation oid, column_name name, accept text[])
RETURNS TABLE (step integer, object text, action text, ddl text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    objects jsonb := (SELECT coalesce(jsonb_agg(to_jsonb(o) - 'id'), '[]') FROM @extschema@._model_access_retire_objects(relation, column_name, accept) AS o);
BEGIN
    RETURN QUERY
        WITH o AS (
            SELECT * FROM jsonb_to_recordset(objects) AS o(level integer, object text, action text, why text, lines text,
                                                                 remove text, again text, back text, run_as text)),
        steps(part, rank, object, action, ddl) AS (
            SELECT 1, 0, o.object, o.action, @extschema@._model_access_ddl_needs_you(o.object, o.why, o.lines, o.back) FROM o WHERE o.action = 'needs you'
            UNION ALL
            SELECT 2, 0, o.object, o.action, @extschema@._model_access_comment_out(concat_ws(chr(10), format('%s: %s', o.object, o.why), o.lines))
            FROM o WHERE o.action = 'keep'
            UNION ALL
            SELECT 3, 0, 'table ' || relation::regclass, 'lock', @extschema@._model_access_ddl_prepare(relation)
            UNION ALL
            SELECT 3, 1, 'table ' || relation::regclass, 'check', format(E'SELECT %s._model_access_check_mark(%L, %L, %L, %L);\n', '@extschema@'::regnamespace,
                relation::regclass, column_name, accept, @extschema@._model_access_mark(relation, column_name, objects))
            UNION ALL
            SELECT 4, 0, 'table ' || '@extschema@.model_access_retired'::regclass, 'archive', @extschema@._model_access_ddl_archive(relation, column_name,
                (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(o) - '{why,lines}'::text[]) ORDER BY o.level DESC, o.object COLLATE "C"), '[]')
                 FROM o WHERE o.action IN ('drop', 'recreate')))
            UNION ALL
            SELECT 5, -o.level, o.object, o.action, o.remove FROM o WHERE o.action IN ('drop', 'recreate')
            UNION ALL
            SELECT 5, 1, p.object, 'drop', @extschema@._model_access_comment_out(p.object || ': goes with the column')
            FROM @extschema@._model_access_column_parts(relation, column_name) AS p(object)
            UNION ALL
            SELECT 6, 0, format('column %s.%I', relation::regclass, column_name), 'drop', @extschema@._model_access_ddl_drop_column(relation, column_name)
            UNION ALL
            SELECT 7, o.level, o.object, o.action, o.again FROM o WHERE o.action = 'recreate'
            UNION ALL
            SELECT 8, 0, o.object, 'check', format(E'SELECT %s._model_access_check_function(%L);\n', '@extschema@'::regnamespace, substr(o.object, 10))
            FROM o WHERE o.action = 'recreate' AND o.object LIKE 'function %')
        SELECT row_number() OVER (ORDER BY s.part, s.rank, s.object COLLATE "C")::integer, s.object, s.action, s.ddl FROM steps AS s ORDER BY 1;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_retire_plan(oid, name, text[]) IS 'Internal. The steps of retiring a column; ddl, in order, is the script.';

CREATE FUNCTION @extschema@._model_access_run_script(relation oid, script text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    waits   text := current_setting('lock_timeout');
    present text := current_setting('role');
    ddl     text;
    blocked text;
BEGIN
    PERFORM @extschema@._model_access_check_isolation();
    FOREACH ddl IN ARRAY script LOOP
        EXECUTE ddl;
    END LOOP;
    PERFORM set_config('lock_timeout', waits, true), set_config('role', present, true);
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RAISE EXCEPTION 'another session has a lock that % needs: %', relation::regclass, SQLERRM
        USING ERRCODE = SQLSTATE, DETAIL = 'Nothing was changed.',
              HINT = 'pg_stat_activity and pg_locks show which. Try again at a quiet hour, or with a longer lock_timeout.';
WHEN dependent_objects_still_exist THEN
    GET STACKED DIAGNOSTICS blocked = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE, DETAIL = blocked,
        HINT = 'Nothing was changed. Drop what is in the way, and make it again afterwards.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_run_script(oid, text[]) IS 'Internal. Runs a script, statement by statement, in the words of its author.';

CREATE FUNCTION @extschema@.model_access_retire_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', accept text[] DEFAULT '{}', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = off SET row_security = off
SET datestyle = 'ISO' SET timezone = 'UTC' SET standard_conforming_strings = on SET quote_all_identifiers = off AS $$
DECLARE
    gone   record;
    plan   jsonb;
    missed text;
BEGIN
    IF profiles IS NULL OR column_name IS NULL OR accept IS NULL OR dry_run IS NULL THEN
        RAISE EXCEPTION 'profiles, column_name, accept and dry_run must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT * INTO gone FROM @extschema@.model_access_retired AS r
    WHERE r.profiles = model_access_retire_allowed_models.profiles::text AND r.column_name = model_access_retire_allowed_models.column_name
      AND r.restored_at IS NULL AND NOT EXISTS (
          SELECT FROM pg_attribute AS a WHERE a.attrelid = model_access_retire_allowed_models.profiles AND a.attname = r.column_name)
    ORDER BY r.retired_id DESC LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT 1, format('column %s.%I', profiles, gone.column_name), 'nothing to do',
                            @extschema@._model_access_comment_out(format('retired at %s by %s', gone.retired_at, gone.retired_by));
        RETURN;
    END IF;
    PERFORM @extschema@._model_access_check_retire(profiles, column_name);
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_run_script(profiles, ARRAY[@extschema@._model_access_ddl_prepare(profiles)]);
    END IF;
    plan := (SELECT jsonb_agg(p ORDER BY p.step) FROM @extschema@._model_access_retire_plan(profiles, column_name, accept) AS p);
    IF NOT dry_run THEN
        missed := (SELECT string_agg(p ->> 'object', E'\n') FROM jsonb_array_elements(plan) AS p WHERE p ->> 'action' = 'needs you');
        IF missed IS NOT NULL THEN
            RAISE EXCEPTION 'column "%" of % cannot be retired yet', column_name, profiles
                USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format(E'These need you:\n%s', missed),
                      HINT = 'The dry run says why. Change each so that it does without the column, or name it in accept.';
        END IF;
        PERFORM @extschema@._model_access_run_script(profiles, ARRAY(SELECT p ->> 'ddl' FROM jsonb_array_elements(plan) AS p));
    END IF;
    RETURN QUERY SELECT p.* FROM jsonb_to_recordset(plan) AS p(step integer, object text, action text, ddl text) ORDER BY p.step;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_retire_allowed_models(regclass, name, text[], boolean) IS 'Removes a column such as profiles.allowed_models with what exists only for it, rewrites the views that merely list it, and keeps its data and all that goes in model_access_retired. A dry run unless told otherwise: one row a step, and ddl, in order, is the very script. needs you: what it will not guess about; accept names what you have looked at: what depends on the column is dropped, a function that only mentions it stays. Errors: 55000 while something needs you, 25001 not READ COMMITTED, 42501 not the owner, 42703 no such column, 42804 no list, 55P03 locked by others. Owner only.';
