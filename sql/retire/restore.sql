-- The way back: a retired column with its data and all that went with it, as it was.

CREATE FUNCTION @extschema@._model_access_ddl_now(object text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN object LIKE 'function %' THEN @extschema@._model_access_ddl_function(to_regprocedure(n.name))
                ELSE @extschema@._model_access_ddl_view(to_regclass(n.name)::oid, NULL::text, '{}'::text[]) END
    FROM regexp_replace(object, '^(materialized )?(view|function) ', '') AS n(name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_now(text) IS 'Internal. A view or function as it is now, by the name that retiring gave it; NULL where it is gone.';

CREATE FUNCTION @extschema@._model_access_changed_since(objects jsonb, accept text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(o.object, chr(10))
    FROM jsonb_to_recordset(objects) AS o(object text, action text, again text)
    WHERE o.action = 'recreate' AND o.object ~ '^(materialized view|view|function) ' AND o.object <> ALL (accept)
      -- who switches roles for a grant is not what it is about
      AND regexp_replace(o.again, 'SET LOCAL ROLE [^;]+;|\s+', ' ', 'g')
          IS DISTINCT FROM regexp_replace(@extschema@._model_access_ddl_now(o.object), 'SET LOCAL ROLE [^;]+;|\s+', ' ', 'g')
$$;
COMMENT ON FUNCTION @extschema@._model_access_changed_since(jsonb, text[]) IS 'Internal. Which of the rewritten views and functions are not as retiring left them, but for those accepted; NULL for none.';

CREATE FUNCTION @extschema@._model_access_ddl_as(role text, ddl text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN role <> quote_ident(current_user) THEN format(E'SET LOCAL ROLE %s;\n%sSET LOCAL ROLE %I;\n', role, ddl, current_user) ELSE ddl END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_as(text, text) IS 'Internal. DDL that evaluates what the owner of a table wrote, such as a default or a check: run as that owner, not with the rights of whoever restores.';

CREATE FUNCTION @extschema@._model_access_ddl_triggers_off(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(
        (SELECT format(E'ALTER TABLE ONLY %s DISABLE TRIGGER USER;\n', relation::regclass)
         WHERE EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation AND NOT t.tgisinternal)),
        (SELECT string_agg(format(E'ALTER TABLE ONLY %s DISABLE RULE %I;\n', relation::regclass, r.rulename), '' ORDER BY r.rulename)
         FROM pg_rewrite AS r WHERE r.ev_class = relation AND r.ev_enabled <> 'D'))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_triggers_off(oid) IS 'Internal. Keeps the triggers and rules of a table from firing.';

CREATE FUNCTION @extschema@._model_access_ddl_triggers_back(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(E'ALTER TABLE ONLY %s %s %s %I;\n', relation::regclass,
               CASE o.enabled WHEN 'O' THEN 'ENABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, o.kind, o.name), '' ORDER BY o.kind, o.name)
    FROM (SELECT 'TRIGGER', t.tgname, t.tgenabled FROM pg_trigger AS t WHERE t.tgrelid = relation AND NOT t.tgisinternal
          UNION ALL
          SELECT 'RULE', r.rulename, r.ev_enabled FROM pg_rewrite AS r WHERE r.ev_class = relation) AS o(kind, name, enabled)
    WHERE o.enabled <> 'D'
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_triggers_back(oid) IS 'Internal. Puts the triggers and rules of a table back to the state they are in now.';

CREATE FUNCTION @extschema@._model_access_ddl_values(relation oid, root oid, retired @extschema@.model_access_retired) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(@extschema@._model_access_ddl_triggers_off(relation),
        @extschema@._model_access_ddl_as(c.relowner::regrole::text, concat(
            format(E'UPDATE ONLY %s AS p SET %I = a.value::%s\n'
                   'FROM pg_temp.model_access_restored AS a WHERE a.relation = %L AND a.key = %s AND a.value IS NOT NULL;\n',
                c.oid::regclass, retired.column_name, retired.column_type, k.kept_as, k.key),
            format(E'UPDATE ONLY %s AS p SET %I = DEFAULT\n'
                   'WHERE NOT EXISTS (SELECT FROM pg_temp.model_access_restored AS a WHERE a.relation = %L AND a.key = %s);\n',
                c.oid::regclass, retired.column_name, k.kept_as, k.key))),
        @extschema@._model_access_ddl_triggers_back(relation))
    FROM pg_class AS c CROSS JOIN pg_class AS r
    CROSS JOIN LATERAL (SELECT @extschema@._model_access_ddl_key(root) AS key, CASE r.relkind WHEN 'p' THEN root ELSE c.oid END::regclass::text AS kept_as) AS k
    WHERE c.oid = relation AND r.oid = root
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_values(oid, oid, @extschema@.model_access_retired) IS 'Internal. Gives the rows of one table what they had; rows added since get the default.';

CREATE FUNCTION @extschema@._model_access_restore_plan(relation oid, retired @extschema@.model_access_retired)
RETURNS TABLE (step integer, object text, action text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH o AS (
        SELECT r.* FROM ROWS FROM (jsonb_to_recordset(retired.objects)
            AS (object text, action text, remove text, back text, run_as text)) WITH ORDINALITY AS r(object, action, remove, back, run_as, n)),
    steps(part, rank, object, action, ddl) AS (
        SELECT 1, 0, 'table ' || relation::regclass, 'lock', @extschema@._model_access_ddl_prepare(relation, NULL::name)
        UNION ALL
        SELECT 2, o.n, o.object, 'drop', o.remove FROM o
        WHERE o.action = 'recreate' AND (o.object !~ '^(materialized view|view|function) ' OR @extschema@._model_access_ddl_now(o.object) IS NOT NULL)
        UNION ALL
        SELECT 3, 0, format('column %s.%I', relation::regclass, retired.column_name), 'restore',
            @extschema@._model_access_ddl_as((SELECT c.relowner::regrole::text FROM pg_class AS c WHERE c.oid = relation), retired.back)
        UNION ALL
        SELECT 4, 0, 'table ' || '@extschema@.model_access_retired_value'::regclass, 'read',
            format(E'CREATE TEMP TABLE model_access_restored ON COMMIT DROP AS\n'
                   'SELECT relation, key, value FROM %s WHERE retired_id = %s;\n'
                   'ANALYZE pg_temp.model_access_restored;\nGRANT SELECT ON pg_temp.model_access_restored TO PUBLIC;\n',
                   '@extschema@.model_access_retired_value'::regclass, retired.retired_id)
            || coalesce(@extschema@._model_access_ddl_forced(relation, 'NO FORCE'::text), '')
        UNION ALL
        SELECT 5, t.depth, 'table ' || t.id::regclass, 'fill', @extschema@._model_access_ddl_values(t.id, relation, retired)
        FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id WHERE c.relkind = 'r'
        UNION ALL
        SELECT 6, 0, 'table ' || relation::regclass, 'fill', concat(@extschema@._model_access_ddl_forced(relation, 'FORCE'::text),
            E'DROP TABLE pg_temp.model_access_restored;\n', retired.not_null)
        UNION ALL
        SELECT 7, -o.n, o.object, 'restore', CASE WHEN o.run_as IS NULL THEN o.back ELSE @extschema@._model_access_ddl_as(o.run_as, o.back) END FROM o
        UNION ALL
        SELECT 8, 0, 'table ' || '@extschema@.model_access_retired'::regclass, 'archive', format(
            E'UPDATE %s SET restored_at = now(), restored_by = current_user WHERE retired_id = %s;\n',
            '@extschema@.model_access_retired'::regclass, retired.retired_id))
    SELECT row_number() OVER (ORDER BY s.part, s.rank, s.object COLLATE "C")::integer, s.object, s.action, s.ddl FROM steps AS s ORDER BY 1
$$;
COMMENT ON FUNCTION @extschema@._model_access_restore_plan(oid, @extschema@.model_access_retired) IS 'Internal. The steps of bringing a column back; ddl, in order, is the script.';

CREATE FUNCTION @extschema@.model_access_restore_allowed_models(profiles regclass, dry_run boolean DEFAULT false, accept text[] DEFAULT '{}')
RETURNS TABLE (step integer, object text, action text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = off SET row_security = off
SET datestyle = 'ISO' SET timezone = 'UTC' SET standard_conforming_strings = on SET quote_all_identifiers = off
SET bytea_output = 'hex' SET intervalstyle = 'postgres' SET extra_float_digits = 3 SET array_nulls = on AS $$
DECLARE
    owner   oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = profiles);
    retired @extschema@.model_access_retired;
    changed text;
    plan    jsonb;
BEGIN
    IF profiles IS NULL OR dry_run IS NULL OR accept IS NULL THEN
        RAISE EXCEPTION 'profiles, dry_run and accept must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT pg_has_role(owner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It belongs to %s.', owner::regrole),
                  HINT = 'Let a superuser call this, or a role that owns both the table and model_access.';
    END IF;
    SELECT r.* INTO retired FROM @extschema@.model_access_retired AS r
    WHERE r.profiles = model_access_restore_allowed_models.profiles::text
      -- of a column that was added again and retired again, the last counts
      AND NOT EXISTS (SELECT FROM @extschema@.model_access_retired AS n
                      WHERE n.profiles = r.profiles AND n.column_name = r.column_name AND n.retired_id > r.retired_id)
    ORDER BY r.restored_at IS NULL DESC, r.retired_id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no column of % was retired', profiles
            USING ERRCODE = 'no_data_found', HINT = 'model_access_retired lists what was, under the name that the table had then.';
    ELSIF retired.restored_at IS NOT NULL THEN
        RETURN QUERY SELECT 1, format('column %s.%I', profiles, retired.column_name), 'nothing to do',
                            @extschema@._model_access_comment_out(format('restored at %s by %s', retired.restored_at, retired.restored_by));
        RETURN;
    END IF;
    IF retired.key_columns IS DISTINCT FROM @extschema@._model_access_key_columns(profiles::oid)::text[] THEN
        RAISE EXCEPTION 'the primary key of % has changed since column "%" was retired', profiles, retired.column_name
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It was: %s.', array_to_string(retired.key_columns, ', ')),
                  HINT = 'What users had is kept under it, in model_access_retired_value.';
    END IF;
    IF EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = profiles AND a.attname = retired.column_name) THEN
        RAISE EXCEPTION 'column "%" of % is there', retired.column_name, profiles
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'It has been added again since it was retired.',
                  HINT = 'Rename it first, or drop it.';
    END IF;
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_run_script(profiles::oid, ARRAY[@extschema@._model_access_ddl_prepare(profiles::oid, NULL::name)]);
    END IF;
    changed := @extschema@._model_access_changed_since(retired.objects, accept);
    IF changed IS NOT NULL THEN
        RAISE EXCEPTION 'what was rewritten when column "%" of % was retired has changed since', retired.column_name, profiles
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = changed,
                  HINT = 'Name it in accept to have it replaced by what it was before; make the change anew afterwards.';
    END IF;
    plan := (SELECT jsonb_agg(p ORDER BY p.step) FROM @extschema@._model_access_restore_plan(profiles::oid, retired) AS p);
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_run_script(profiles::oid, ARRAY(SELECT p ->> 'ddl' FROM jsonb_array_elements(plan) AS p));
    END IF;
    RETURN QUERY SELECT p.* FROM jsonb_to_recordset(plan) AS p(step integer, object text, action text, ddl text) ORDER BY p.step;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_restore_allowed_models(regclass, boolean, text[]) IS 'Brings back the column that was last retired from a table: data, default, constraints, indexes, triggers, functions, views, grants, as they were, but for its place, which is last. Rows added since get the default. No trigger or rule of yours fires. Acts unless dry_run. accept names what was rewritten then, has been changed since, and may be replaced all the same. Errors: P0002 nothing was retired, 55000 the column is there, or a rewritten view or function, or the primary key, has changed since, 42501 not the owner, 55P03 locked by others. Owner only.';
