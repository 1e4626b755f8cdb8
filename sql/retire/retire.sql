-- Retires a column such as profiles.allowed_models by giving it another name. SQL that uses the old name fails from then on, and
-- works again after a restore. Objects for which PostgreSQL records a dependency on the column work until it is dropped.

CREATE TABLE @extschema@.model_access_retired (
    profiles     regclass,
    column_name  name,
    retired_name name NOT NULL,
    retired_at   timestamptz NOT NULL DEFAULT now(),
    retired_by   text NOT NULL DEFAULT current_user,
    at_xid       text NOT NULL DEFAULT pg_current_xact_id()::xid::text,
    defaults     regclass[] NOT NULL,
    relations    regclass[] NOT NULL,
    triggers     name[] NOT NULL,
    states       "char"[] NOT NULL,
    table_id     oid NOT NULL,
    PRIMARY KEY (profiles, column_name)
);
COMMENT ON TABLE @extschema@.model_access_retired IS
    'One row for each column that is retired, and neither restored nor dropped yet.';
COMMENT ON COLUMN @extschema@.model_access_retired.profiles IS 'The table.';
COMMENT ON COLUMN @extschema@.model_access_retired.column_name IS 'The old name of the column.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_name IS 'The new name of the column.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_at IS 'When it was renamed.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_by IS 'The role that renamed it.';
COMMENT ON COLUMN @extschema@.model_access_retired.at_xid IS 'The transaction that renamed it.';
COMMENT ON COLUMN @extschema@.model_access_retired.defaults IS
    'The table, and those of its partitions, whose column was given an empty list as default.';
COMMENT ON COLUMN @extschema@.model_access_retired.relations IS 'The table or partition of each trigger that was disabled.';
COMMENT ON COLUMN @extschema@.model_access_retired.triggers IS 'The name of each of these triggers, in the order of relations.';
COMMENT ON COLUMN @extschema@.model_access_retired.states IS
    'The state that each of these triggers had, as in pg_trigger.tgenabled, in the order of relations.';
COMMENT ON COLUMN @extschema@.model_access_retired.table_id IS
    'The oid of profiles when the column was renamed; if profiles has another oid now, at_xid is not used.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_retired
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_retired IS 'Lets only the owner retire columns.';

CREATE FUNCTION @extschema@._model_access_ddl_note(source text, stops_at text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- a carriage return also ends a comment, so the text after it would be run as SQL
    SELECT concat('--   ', regexp_replace(rtrim(source, chr(10)), E'\r\n|\r|\n', E'\n--   ', 'g'), E'\n',
        'DO ' || quote_literal('BEGIN RAISE EXCEPTION USING MESSAGE = ' || quote_literal(stops_at || ' must be reviewed first')
            || ', ERRCODE = ''object_not_in_prerequisite_state'', HINT = ''Change it, or name it in accept.''; END') || E';\n')
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_note(text, text) IS
    'Internal. Gives a text as an SQL comment, followed by a statement that fails where stops_at names an object.';

CREATE FUNCTION @extschema@._model_access_check_column(profiles regclass, column_name name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t    pg_class     := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
    a    pg_attribute := (
        SELECT c FROM pg_attribute AS c WHERE c.attrelid = profiles AND c.attname = column_name AND c.attnum > 0);
    type regtype      := @extschema@._model_access_column_type(profiles::oid, a.attnum::smallint);
BEGIN
    IF t.relkind NOT IN ('r', 'p') OR t.relpersistence = 't' OR t.reloftype <> 0 THEN
        RAISE EXCEPTION '% is not an ordinary or partitioned table', profiles
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Name the table that has the column. A typed table needs ALTER TABLE … NOT OF first.';
    ELSIF NOT pg_has_role(t.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It belongs to %s.', t.relowner::regrole),
                  HINT = 'Call this as a superuser. Without the library, call it as the role that owns both the table and '
                         'model_access.';
    ELSIF a.attnum IS NULL THEN
        RAISE EXCEPTION 'column "%" of % does not exist', column_name, profiles
            USING ERRCODE = 'undefined_column', HINT = 'Give the exact name as column_name.';
    ELSIF a.attgenerated <> '' OR type <> ALL (
        '{text[],character varying[],jsonb,json,text,character varying}'::regtype[]) THEN
        RAISE EXCEPTION 'column "%" of % does not hold a list as text[] or jsonb', column_name, profiles
            USING ERRCODE = 'datatype_mismatch',
                  DETAIL = format('Its type is %s%s.', type, CASE WHEN a.attgenerated <> '' THEN ', and it is generated' END),
                  HINT = 'Name the column that holds the models a user may use.';
    ELSIF a.attinhcount > 0 THEN
        RAISE EXCEPTION 'column "%" of % is inherited', column_name, profiles
            USING ERRCODE = 'wrong_object_type', HINT = (
                SELECT format('Name the table it comes from: %s.', string_agg(i.inhparent::regclass::text, ', '))
                FROM pg_inherits AS i WHERE i.inhrelid = profiles);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_column(regclass, name) IS
    'Internal. Raises an error if a column cannot be renamed.';

CREATE FUNCTION @extschema@._model_access_carry_out(profiles regclass, what text, steps jsonb, dry_run boolean)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    mine   text  := current_setting('lock_timeout');
    plan   jsonb := (
        SELECT jsonb_agg(s || jsonb_build_object('step', n) ORDER BY n) FROM (
            SELECT s, row_number() OVER (
                ORDER BY s ->> 'action' <> 'manual', (s ->> 'n')::integer, s ->> 'object' COLLATE "C") AS n
            FROM jsonb_array_elements(steps) AS s) AS s);
    missed text  := (
        SELECT string_agg(p ->> 'object', E'\n' ORDER BY (p ->> 'step')::integer)
        FROM jsonb_array_elements(plan) AS p WHERE p ->> 'action' = 'manual');
BEGIN
    IF NOT dry_run AND missed IS NOT NULL THEN
        RAISE EXCEPTION '%', what
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format(E'These objects must be reviewed first:\n%s', missed),
                  HINT = 'The dry run says why. Change each so that it does not need the column, or name it in accept.';
    END IF;
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_in_slices(
            (SELECT string_agg(p ->> 'ddl', '' ORDER BY (p ->> 'step')::integer) FROM jsonb_array_elements(plan) AS p));
    END IF;
    RETURN QUERY SELECT p.*
        FROM jsonb_to_recordset(plan) AS p(step integer, object text, action text, why text, ddl text) ORDER BY p.step;
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_locked(
        ARRAY['@extschema@.model_access_retired'::regclass]::oid[],
        ARRAY(SELECT t.id FROM @extschema@._model_access_tree(profiles::oid) AS t), mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_carry_out(regclass, text, jsonb, boolean) IS
    'Internal. Numbers the steps and, unless it is a dry run, runs their ddl as one script, with retries until lock_timeout.';

CREATE FUNCTION @extschema@._model_access_cron_uses(column_name name) RETURNS TABLE (object text, lines text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- only pg_cron's own table is read
    IF EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_cron'
               WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass('cron.job') AND d.deptype = 'e')
        AND has_table_privilege(to_regclass('cron.job')::oid, 'SELECT') THEN
        RETURN QUERY SELECT concat_ws(' ', 'pg_cron job', j.jobid, j.jobname), j.command FROM cron.job AS j
            WHERE j.database = current_database() AND @extschema@._model_access_has_word(j.command, column_name::text);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_cron_uses(name) IS
    'Internal. Lists the jobs of pg_cron whose command contains the name of a column.';

CREATE FUNCTION @extschema@._model_access_publications(relation oid, column_name name) RETURNS TABLE (object text, why text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT 'publication ' || quote_ident(p.pubname),
        'rename the column on the subscribers as well, with no write in between; otherwise replication stops there until their '
        'column has the name that their log reports as missing'
    FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id
    JOIN pg_publication_tables AS p ON p.schemaname = c.relnamespace::regnamespace::text AND p.tablename = c.relname
    WHERE column_name = ANY (p.attnames)
$$;
COMMENT ON FUNCTION @extschema@._model_access_publications(oid, name) IS
    'Internal. Lists the publications of a column, and what a rename needs there.';

CREATE FUNCTION @extschema@._model_access_retire_uses(relation oid, column_name name)
RETURNS TABLE (object text, action text, why text, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH tree AS (SELECT t.id FROM @extschema@._model_access_tree(relation) AS t)
    SELECT d.object, 'keep', CASE WHEN r.oid IS NULL THEN 'works until the drop'
        ELSE 'works until the drop; an INSERT through it still writes the column' END, NULL
    FROM @extschema@._model_access_dependents(relation, column_name) AS d
    LEFT JOIN pg_rewrite AS r ON d.class = 'pg_rewrite'::regclass AND r.oid = d.id AND r.rulename = '_RETURN'
        AND EXISTS (SELECT FROM pg_class AS v WHERE v.oid = r.ev_class AND v.relkind = 'v')
    WHERE d.class NOT IN ('pg_trigger'::regclass, 'pg_publication_rel'::regclass)
    UNION ALL
    SELECT format('grants on column %s.%I', relation::regclass, column_name), 'keep', 'they stay with the column',
        array_to_string(a.attacl, ', ')
    FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = column_name AND a.attacl IS NOT NULL
    UNION ALL
    SELECT p.object, 'manual', p.why, NULL FROM @extschema@._model_access_publications(relation, column_name) AS p
    UNION ALL
    SELECT DISTINCT @extschema@._model_access_object(d.classid, d.objid, 0), 'manual',
        'it selects whole rows: the key in them gets the new name', NULL
    FROM tree AS t
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND d.refobjsubid = 0
        AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN' AND pg_get_viewdef(r.ev_class) ~ '[.][*]'
    UNION ALL
    SELECT c.object, 'manual', 'its command contains the name', c.lines
    FROM @extschema@._model_access_cron_uses(column_name) AS c
    UNION ALL
    SELECT f.object, CASE WHEN f.is_near AND f.mention <> 'text' THEN 'manual' ELSE 'keep' END,
        CASE WHEN f.is_near OR f.mention = 'text' THEN @extschema@._model_access_mention_label(f.mention)
             ELSE 'it contains the name, but neither the table nor a view of it' END, f.lines
    FROM @extschema@._model_access_functions(relation, column_name) AS f
    -- a function that only triggers of this table call is reported with them
    WHERE f.mention = 'text' OR NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.id)
       OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.id AND t.tgrelid NOT IN (SELECT r.id FROM tree AS r))
    UNION ALL
    SELECT format('trigger %I on %s', t.name, t.relation_id), 'manual',
        t.why || '; accepted, it is disabled with everything else it does', concat_ws(chr(10), t.lines, p.prosrc)
    FROM @extschema@._model_access_column_triggers(relation, column_name) AS t JOIN pg_proc AS p ON p.oid = t.function
    WHERE NOT EXISTS (
        SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.relation_id AND g.tgname = t.name AND g.tgparentid <> 0)
$$;
COMMENT ON FUNCTION @extschema@._model_access_retire_uses(oid, name) IS
    'Internal. Lists everything that uses a column, and what a new name means for it.';

CREATE FUNCTION @extschema@._model_access_fingerprint(relation oid, column_name name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- it has names and no oids, so it is the same in every copy of a database
    SELECT md5(jsonb_build_array(
        ARRAY(SELECT jsonb_build_array(u.object, u.action, u.lines)
              FROM @extschema@._model_access_retire_uses(relation, column_name) AS u
              ORDER BY u.object COLLATE "C", u.action COLLATE "C", u.lines COLLATE "C"),
        ARRAY(SELECT jsonb_build_array(t.relation_id, t.name, t.state)
              FROM @extschema@._model_access_column_triggers(relation, column_name) AS t
              ORDER BY t.relation_id::text COLLATE "C", t.name),
        ARRAY(SELECT jsonb_build_array(a.attrelid::regclass, a.atttypid::regtype, a.attnotnull, a.atthasdef)
              FROM @extschema@._model_access_tree(relation) AS t
              JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name
              ORDER BY a.attrelid::regclass::text COLLATE "C"))::text)
$$;
COMMENT ON FUNCTION @extschema@._model_access_fingerprint(oid, name) IS
    'Internal. Gives a hash that changes when anything that uses a column changes.';

CREATE FUNCTION @extschema@._model_access_check_unchanged(profiles regclass, column_name name, fingerprint text) RETURNS void
-- the table is locked while this runs: JIT would take longer than it saves
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot change % in a % transaction', profiles, upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its snapshot would miss what was committed since it began.',
                  HINT = 'Start the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, column_name);
    IF fingerprint <> @extschema@._model_access_fingerprint(profiles::oid, column_name) THEN
        RAISE EXCEPTION 'objects that use column "%" of % have changed since this script was written', column_name, profiles
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Review the dry run again, and use its new script.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_unchanged(regclass, name, text) IS
    'Internal. Raises error 55000, once the locks are held, where anything that uses a column has changed.';

CREATE FUNCTION @extschema@._model_access_ddl_lock(relation oid, column_name name, views oid[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(
        E'-- in one transaction: psql -1 -v ON_ERROR_STOP=1 -f FILE\nSET LOCAL search_path = pg_catalog, pg_temp;\n',
        -- while this waits for its lock, every later query on the table waits too, so the wait is limited
        E'SELECT set_config(''lock_timeout'', ''5s'', true) WHERE current_setting(''lock_timeout'') = ''0'';\n',
        format(E'LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE;\n', relation::regclass),
        -- from here on, readers wait for this transaction; it must not wait for them for long, or a deadlock ends one of them
        E'SET LOCAL lock_timeout = ''10ms'';\n',
        (SELECT string_agg(
            format(E'LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE;\n', t.id::regclass), '' ORDER BY t.id::regclass::text)
         FROM @extschema@._model_access_tree(relation) AS t WHERE t.id <> relation),
        (SELECT string_agg(
            format(E'ALTER VIEW %s OWNER TO %s;  -- nothing but a lock\n', c.oid::regclass, c.relowner::regrole), ''
            ORDER BY c.oid::regclass::text)
         FROM pg_class AS c WHERE c.oid = ANY (views)),
        format(E'SELECT %s._model_access_check_unchanged(%L::regclass, %L::name, %L::text);\n', '@extschema@',
            relation::regclass, column_name, @extschema@._model_access_fingerprint(relation, column_name)))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_lock(oid, name, oid[]) IS
    'Internal. Gives the beginning of a script: it takes the locks, and fails if the script is out of date.';

CREATE FUNCTION @extschema@._model_access_ddl_rename(profiles regclass, old_name name, new_name name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'ALTER TABLE %s RENAME COLUMN %I TO %I;\n', profiles, old_name, new_name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_rename(regclass, name, name) IS
    'Internal. Gives the statement that renames a column.';

CREATE FUNCTION @extschema@._model_access_retired_name(relation oid, column_name name) RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the name must occur nowhere else in the database, so that it stands for this column in every definition
    SELECT c.name FROM generate_series(1, 1000) AS i
    CROSS JOIN LATERAL (SELECT (left(column_name, 50) || '_retired' || coalesce('_' || nullif(i, 1), ''))::name) AS c(name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attname = c.name)
      AND NOT EXISTS (
        SELECT FROM @extschema@._model_access_dependents(relation, column_name) AS d JOIN pg_rewrite AS r ON r.oid = d.id
        WHERE strpos(pg_get_ruledef(r.oid), c.name) > 0)
    ORDER BY i LIMIT 1
$$;
COMMENT ON FUNCTION @extschema@._model_access_retired_name(oid, name) IS 'Internal. Gives a free name for a retired column.';

CREATE FUNCTION @extschema@._model_access_accepted_triggers(relation oid, column_name name, accept text[])
RETURNS TABLE (relation_id regclass, name name, state "char")
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.relation_id, t.name, t.state FROM @extschema@._model_access_column_triggers(relation, column_name) AS t
    JOIN pg_trigger AS g ON g.tgrelid = t.relation_id AND g.tgname = t.name
    -- a trigger of a partition is accepted with that of its parent
    LEFT JOIN pg_trigger AS p ON p.oid = g.tgparentid
    WHERE format('trigger %I on %s', t.name, coalesce(p.tgrelid, g.tgrelid)::regclass) = ANY (accept)
    ORDER BY t.relation_id::text, t.name
$$;
COMMENT ON FUNCTION @extschema@._model_access_accepted_triggers(oid, name, text[]) IS
    'Internal. Lists the triggers that retiring a column disables.';

CREATE FUNCTION @extschema@._model_access_ddl_retire(relation oid, column_name name, accept text[])
RETURNS TABLE (n integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    retired   name := @extschema@._model_access_retired_name(relation, column_name);
    type      oid  := @extschema@._model_access_column_type(
        relation, @extschema@._model_access_column_number(relation, column_name));
    empty     text := (SELECT CASE t.typcategory WHEN 'A' THEN '{}' ELSE '[]' END FROM pg_type AS t WHERE t.oid = type);
    relations regclass[];
    triggers  name[];
    states    "char"[];
    defaults  regclass[];
BEGIN
    SELECT coalesce(array_agg(t.relation_id), '{}'), coalesce(array_agg(t.name), '{}'), coalesce(array_agg(t.state), '{}')
    INTO relations, triggers, states FROM @extschema@._model_access_accepted_triggers(relation, column_name, accept) AS t;
    defaults := ARRAY(
        SELECT t.id::regclass FROM @extschema@._model_access_tree(relation) AS t
        JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name
        JOIN pg_type AS y ON y.oid = a.atttypid
        WHERE (a.attnotnull OR y.typnotnull) AND NOT a.atthasdef AND y.typdefault IS NULL AND cardinality(triggers) > 0
        ORDER BY t.id::regclass::text);
    RETURN QUERY
    SELECT 1, 'table ' || relation::regclass, 'lock', 'for milliseconds; stops if anything has changed since the dry run',
        @extschema@._model_access_ddl_lock(relation, column_name, '{}'::oid[])
    UNION ALL
    SELECT 2, format('trigger %I on %s', t.name, t.id), 'disable', 'accepted',
        format(E'ALTER TABLE ONLY %s DISABLE TRIGGER %I;\n', t.id, t.name)
    FROM unnest(relations, triggers) AS t(id, name)
    UNION ALL
    SELECT 3, format('default value for %s.%I', d, column_name), 'set',
        'the column is NOT NULL, and no trigger fills it any more; a restore drops this default',
        format(E'ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %L;\n', d, column_name, empty)
    FROM unnest(defaults) AS d
    UNION ALL
    SELECT 4, format('column %s.%I', relation::regclass, column_name), 'rename',
        'SQL that uses the old name fails from now on; a restore renames it back',
        @extschema@._model_access_ddl_rename(relation::regclass, column_name, retired)
    UNION ALL
    SELECT 5, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'what a restore needs',
        format(E'INSERT INTO %s (profiles, column_name, retired_name, defaults, relations, triggers, states, table_id)\n'
               'VALUES (%L, %L, %L, %L, %L, %L, %L, %2$L::regclass);\n', '@extschema@.model_access_retired'::regclass,
            relation::regclass, column_name, retired, defaults, relations, triggers, states);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_retire(oid, name, text[]) IS
    'Internal. Gives the statements that retire a column.';

CREATE FUNCTION @extschema@.model_access_retire_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', accept text[] DEFAULT '{}', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone  @extschema@.model_access_retired := (
        SELECT r FROM @extschema@.model_access_retired AS r
        WHERE r.profiles = model_access_retire_allowed_models.profiles
          AND r.column_name = model_access_retire_allowed_models.column_name);
    steps jsonb;
BEGIN
    IF num_nulls(profiles, column_name, accept, dry_run) > 0 THEN
        RAISE EXCEPTION 'arguments must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF gone.profiles IS NOT NULL AND @extschema@._model_access_column_number(profiles::oid, column_name) IS NULL THEN
        RETURN QUERY SELECT 1, format('column %s.%I', gone.profiles, gone.column_name), 'nothing to do', w,
                @extschema@._model_access_ddl_note(w, NULL::text)
            FROM format('retired at %s by %s; it is called %s', gone.retired_at, gone.retired_by, gone.retired_name) AS w;
        RETURN;
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, column_name);
    steps := (SELECT jsonb_agg(to_jsonb(s)) FROM (
        SELECT 0 AS n, u.object, j.action, u.why, @extschema@._model_access_ddl_note(
            concat_ws(chr(10), format('%s: %s', u.object, u.why), u.lines),
            CASE j.action WHEN 'manual' THEN u.object END) AS ddl
        FROM @extschema@._model_access_retire_uses(profiles::oid, column_name) AS u
        CROSS JOIN LATERAL (
            SELECT CASE WHEN u.action = 'manual' AND u.object = ANY (accept) THEN 'accepted' ELSE u.action END) AS j(action)
        UNION ALL
        SELECT d.n, d.object, d.action, d.why, d.ddl
        FROM @extschema@._model_access_ddl_retire(profiles::oid, column_name, accept) AS d) AS s);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(
        profiles, format('column "%s" of %s cannot be retired yet', column_name, profiles), steps, dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_retire_allowed_models(regclass, name, text[], boolean) IS
    'Renames a column such as profiles.allowed_models and disables the accepted triggers, or lists the steps in a dry run.';
