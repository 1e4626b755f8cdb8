-- Leaving a column such as profiles.allowed_models: the script that does it, what it keeps, and how it is run.

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

CREATE FUNCTION @extschema@._model_access_row_holders(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE holding AS (
        SELECT c.reltype AS type FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id WHERE c.reltype <> 0
        UNION
        -- in arrays, domains and composites, too
        SELECT CASE WHEN d.classid = 'pg_type'::regclass THEN d.objid ELSE c.reltype END FROM holding AS h
        JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = h.type
        LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'c'
        WHERE d.classid = 'pg_type'::regclass OR c.oid IS NOT NULL)
    SELECT string_agg(format('%s.%I', c.oid::regclass, a.attname), ', ' ORDER BY c.oid::regclass::text, a.attnum)
    FROM holding AS h JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = h.type AND d.classid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.objid AND c.relkind IN ('r', 'p', 'm', 'f')
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION @extschema@._model_access_row_holders(oid) IS 'Internal. The columns that keep whole rows of a table; NULL where there are none.';

CREATE FUNCTION @extschema@._model_access_check_retire(profiles regclass, column_name name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t       pg_class     := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
    a       pg_attribute := (SELECT c FROM pg_attribute AS c WHERE c.attrelid = profiles AND c.attname = column_name AND c.attnum > 0);
    key     name[]       := @extschema@._model_access_key_columns(profiles::oid);
    type    regtype      := @extschema@._model_access_column_type(profiles::oid, @extschema@._model_access_column_number(profiles::oid, column_name));
    holders text         := @extschema@._model_access_row_holders(profiles::oid);
    beside  text;
BEGIN
    SELECT string_agg(c.oid::regclass::text, ', ') INTO beside
    FROM @extschema@._model_access_tree(profiles::oid) AS r JOIN pg_class AS c ON c.oid = r.id
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
    ELSIF t.reloftype <> 0 THEN
        RAISE EXCEPTION '% is a typed table', profiles
            USING ERRCODE = 'wrong_object_type', HINT = format('ALTER TABLE %s NOT OF', profiles);
    ELSIF EXISTS (SELECT FROM pg_type AS d WHERE d.oid = a.atttypid AND d.typnotnull) THEN
        RAISE EXCEPTION 'column "%" of % has a domain that is NOT NULL', column_name, profiles
            USING ERRCODE = 'feature_not_supported', DETAIL = 'It could not be added again before it has its values.',
                  HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', profiles, column_name, type);
    ELSIF holders IS NOT NULL THEN
        RAISE EXCEPTION 'whole rows of % are kept in %', profiles, holders
            USING ERRCODE = 'feature_not_supported', DETAIL = 'They would lose what they have in the column, for good.',
                  HINT = 'Keep single columns instead of rows first.';
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

CREATE FUNCTION @extschema@._model_access_ddl_prepare(relation oid, column_name name DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(E'-- in one transaction: psql -1 -v ON_ERROR_STOP=1 -f FILE\n',
        E'SET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL check_function_bodies = off;\nSET LOCAL row_security = off;\n',
        E'SET LOCAL quote_all_identifiers = off;\nSET LOCAL standard_conforming_strings = on;\n',
        E'SET LOCAL datestyle = ISO;\nSET LOCAL timezone = UTC;\nSET LOCAL intervalstyle = postgres;\n',
        E'SET LOCAL bytea_output = hex;\nSET LOCAL extra_float_digits = 3;\nSET LOCAL array_nulls = on;\n',
        -- whoever waits for this lock holds up everybody behind
        CASE WHEN current_setting('lock_timeout') = '0' THEN E'SET LOCAL lock_timeout = ''5s'';\n' END,
        -- who reads a view locks it before the table; LOCK TABLE would ask what its owner may do with the table
        (SELECT string_agg(format(E'ALTER VIEW %s OWNER TO %s;  -- nothing but a lock\n', v.oid::regclass, v.relowner::regrole), ''
                           ORDER BY d.level DESC, v.oid::regclass::text)
         FROM @extschema@._model_access_dependents(relation, column_name) AS d
         JOIN pg_class AS v ON d.class = 'pg_class'::regclass AND v.oid = d.id AND d.sub = 0 AND v.relkind = 'v'
         WHERE pg_has_role(v.relowner, 'USAGE')),
        format(E'LOCK TABLE %s IN ACCESS EXCLUSIVE MODE;\n', relation::regclass))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_prepare(oid, name) IS 'Internal. What a script begins with: names and texts that mean the same everywhere, and the locks.';

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
    SELECT concat(@extschema@._model_access_ddl_forced(relation, 'NO FORCE'::text),
        format(E'WITH retired AS (\n    INSERT INTO %s (profiles, column_name, column_type, key_columns, back, not_null, objects)\n'
               '    VALUES (%L, %L, %L, %L, %L, %L, %L)\n    RETURNING retired_id)\n', '@extschema@.model_access_retired'::regclass,
            relation::regclass, column_name, format_type(a.atttypid, a.atttypmod),
            @extschema@._model_access_key_columns(relation), d.back, coalesce(d.not_null, ''), objects),
        format(E'INSERT INTO %s (retired_id, relation, key, value)\n'
               'SELECT r.retired_id, %s, %s, p.%I::text FROM retired AS r CROSS JOIN %s AS p;\n', '@extschema@.model_access_retired_value'::regclass,
            CASE c.relkind WHEN 'p' THEN quote_literal(relation::regclass) ELSE 'p.tableoid::regclass::text' END,
            @extschema@._model_access_ddl_key(relation), column_name, relation::regclass),
        @extschema@._model_access_ddl_forced(relation, 'FORCE'::text))
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_check_isolation();
    PERFORM @extschema@._model_access_check_retire(profiles, column_name);
    IF mark <> @extschema@._model_access_mark(profiles::oid, column_name, (
        SELECT coalesce(jsonb_agg(to_jsonb(o) - 'id'), '[]') FROM @extschema@._model_access_retire_objects(profiles::oid, column_name, accept) AS o)) THEN
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
            SELECT 3, 0, 'table ' || relation::regclass, 'lock', @extschema@._model_access_ddl_prepare(relation, column_name)
            UNION ALL
            SELECT 3, 1, 'table ' || relation::regclass, 'check', format(E'SELECT %s._model_access_check_mark(%L::regclass, %L::name, %L::text[], %L::text);\n', '@extschema@'::regnamespace,
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
            SELECT 8, 0, o.object, 'check', format(E'SELECT %s._model_access_check_function(%L::regprocedure);\n', '@extschema@'::regnamespace, substr(o.object, 10))
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
SET datestyle = 'ISO' SET timezone = 'UTC' SET standard_conforming_strings = on SET quote_all_identifiers = off
SET bytea_output = 'hex' SET intervalstyle = 'postgres' SET extra_float_digits = 3 SET array_nulls = on AS $$
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
        PERFORM @extschema@._model_access_run_script(profiles::oid, ARRAY[@extschema@._model_access_ddl_prepare(profiles::oid, column_name)]);
    END IF;
    plan := (SELECT jsonb_agg(p ORDER BY p.step) FROM @extschema@._model_access_retire_plan(profiles::oid, column_name, accept) AS p);
    IF NOT dry_run THEN
        missed := (SELECT string_agg(p ->> 'object', E'\n') FROM jsonb_array_elements(plan) AS p WHERE p ->> 'action' = 'needs you');
        IF missed IS NOT NULL THEN
            RAISE EXCEPTION 'column "%" of % cannot be retired yet', column_name, profiles
                USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format(E'These need you:\n%s', missed),
                      HINT = 'The dry run says why. Change each so that it does without the column, or name it in accept.';
        END IF;
        PERFORM @extschema@._model_access_run_script(profiles::oid, ARRAY(SELECT p ->> 'ddl' FROM jsonb_array_elements(plan) AS p));
    END IF;
    RETURN QUERY SELECT p.* FROM jsonb_to_recordset(plan) AS p(step integer, object text, action text, ddl text) ORDER BY p.step;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_retire_allowed_models(regclass, name, text[], boolean) IS 'Removes a column such as profiles.allowed_models with what exists only for it, rewrites the views that merely list it, and keeps its data and all that goes in model_access_retired. A dry run unless told otherwise: one row a step, and ddl, in order, is the very script. needs you: what it will not guess about; accept names what you have looked at: what depends on the column is dropped, a function that only mentions it stays. Errors: 55000 while something needs you, 25001 not READ COMMITTED, 42501 not the owner, 42703 no such column, 42804 no list, 42809 or 0A000 a table that it cannot do this for, 55P03 locked by others. Owner only.';
