-- Restores a retired column: it gets its old name again, and triggers get their old states. No value is moved.

CREATE FUNCTION @extschema@._model_access_retired_of(profiles regclass, column_name name)
RETURNS @extschema@.model_access_retired
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone @extschema@.model_access_retired := (
        SELECT r FROM @extschema@.model_access_retired AS r
        WHERE r.profiles = _model_access_retired_of.profiles
          AND r.column_name = coalesce(_model_access_retired_of.column_name, r.column_name)
        ORDER BY r.retired_at LIMIT 1);
BEGIN
    IF gone.profiles IS NULL OR @extschema@._model_access_column_number(profiles::oid, gone.retired_name) IS NULL THEN
        RAISE EXCEPTION 'no retired column%of % exists', coalesce(' "' || column_name || '" ', ' '), profiles
            USING ERRCODE = 'undefined_object', HINT = 'The table model_access_retired lists the retired columns.';
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, gone.retired_name);
    RETURN gone;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_retired_of(regclass, name) IS
    'Internal. Gives the record of a retired column, or raises error 42704.';

CREATE FUNCTION @extschema@._model_access_ddl_forget(gone @extschema@.model_access_retired) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'DELETE FROM %s WHERE profiles = %L::regclass AND column_name = %L;\n',
        '@extschema@.model_access_retired'::regclass, gone.profiles, gone.column_name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_forget(@extschema@.model_access_retired) IS
    'Internal. Gives the statement that removes the record of a retired column.';

CREATE FUNCTION @extschema@._model_access_ddl_refill(gone @extschema@.model_access_retired) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the columns that the UPDATE must name: those for which the triggers fire, else the tier, else any
    SELECT format('UPDATE %s SET %s%s;', gone.profiles, coalesce(
        (SELECT string_agg(format('%1$I = %1$I', a.attname), ', ' ORDER BY a.attnum) FROM pg_trigger AS t
         JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::smallint[])
         WHERE t.tgrelid = gone.profiles AND t.tgname = ANY (gone.triggers) AND a.attname <> gone.retired_name),
        (SELECT format('%1$I = %1$I', b.tier_column) FROM @extschema@.model_access_binding AS b
         WHERE b.profiles = gone.profiles),
        (SELECT format('%1$I = %1$I', a.attname) FROM pg_attribute AS a
         WHERE a.attrelid = gone.profiles AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> gone.retired_name
         ORDER BY a.attnum LIMIT 1)),
        CASE WHEN gone.profiles::oid = gone.table_id THEN format(' WHERE age(xmin) <= age(%L::xid)', gone.at_xid) END)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_refill(@extschema@.model_access_retired) IS
    'Internal. Gives the UPDATE that runs the triggers for rows that were written while they were disabled.';

CREATE FUNCTION @extschema@._model_access_ddl_enable(relation regclass, name name, state "char") RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'ALTER TABLE ONLY %s %s TRIGGER %I;\n', relation, CASE state
        WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END, name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_enable(regclass, name, "char") IS
    'Internal. Gives the statement that sets pg_trigger.tgenabled of a trigger.';

CREATE FUNCTION @extschema@._model_access_ddl_restore(profiles regclass, gone @extschema@.model_access_retired)
RETURNS TABLE (n integer, object text, action text, why text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 0, p.object, 'look', p.why, @extschema@._model_access_ddl_note(p.object, NULL::text)
    FROM @extschema@._model_access_publications(profiles::oid, gone.retired_name) AS p
    UNION ALL
    SELECT 1, 'table ' || profiles, 'lock', 'for milliseconds; stops if anything has changed since the dry run',
        @extschema@._model_access_ddl_lock(profiles::oid, gone.retired_name, '{}'::oid[])
    UNION ALL
    SELECT 2, format('column %s.%I', profiles, gone.column_name), 'rename', 'no value is moved',
        @extschema@._model_access_ddl_rename(profiles, gone.retired_name, gone.column_name)
    UNION ALL
    SELECT 3, format('default value for %s.%I', d, gone.column_name), 'drop', 'it was set while no trigger filled the column',
        format(E'ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT;\n', d, gone.column_name)
    FROM unnest(gone.defaults) AS d
    UNION ALL
    SELECT 4, format('trigger %I on %s', t.name, t.id), 'enable', 'it gets the state that it had',
        @extschema@._model_access_ddl_enable(t.id, t.name, t.state)
    FROM unnest(gone.relations, gone.triggers, gone.states) AS t(id, name, state)
    JOIN pg_trigger AS g ON g.tgrelid = t.id AND g.tgname = t.name
    UNION ALL
    SELECT 4, format('trigger %I on %s', t.name, t.id), 'missing', w,
        @extschema@._model_access_ddl_note(w, NULL::text)
    FROM unnest(gone.relations, gone.triggers) AS t(id, name)
    CROSS JOIN (SELECT 'it was dropped since the column was retired'::text) AS w(w)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.id AND g.tgname = t.name)
    UNION ALL
    SELECT 5, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'the column is not retired any more',
        @extschema@._model_access_ddl_forget(gone)
    UNION ALL
    -- by age, since numbers of transactions wrap around
    SELECT 6, 'table ' || profiles, 'look', format('rows written since: %s; the triggers did not fill the column in them. The '
        'UPDATE runs the triggers, but one that acts only on a changed value does nothing', w.r[1]),
        @extschema@._model_access_ddl_note(@extschema@._model_access_ddl_refill(gone), NULL::text)
    FROM @extschema@._model_access_read(profiles::oid, '{count(*)}'::text[],
        format('FROM %s AS p WHERE age(p.xmin) <= age(%L::xid)', profiles, gone.at_xid)) AS w(r)
    WHERE w.r[1] <> '0' AND profiles::oid = gone.table_id
    UNION ALL
    SELECT 6, 'table ' || profiles, 'look', 'rows written since: unknown, because the table was restored from a dump; the '
        'triggers did not fill the column in such rows. The UPDATE runs the triggers for all rows',
        @extschema@._model_access_ddl_note(@extschema@._model_access_ddl_refill(gone), NULL::text)
    WHERE profiles::oid <> gone.table_id AND cardinality(gone.triggers) > 0
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_restore(regclass, @extschema@.model_access_retired) IS
    'Internal. Gives the statements that restore a column.';

CREATE FUNCTION @extschema@.model_access_restore_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    steps jsonb;
BEGIN
    IF num_nulls(profiles, column_name, dry_run) > 0 THEN
        RAISE EXCEPTION 'arguments must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF @extschema@._model_access_column_number(profiles::oid, column_name) IS NOT NULL THEN
        RETURN QUERY SELECT 1, format('column %s.%I', profiles, column_name), 'nothing to do', w,
            @extschema@._model_access_ddl_note(w, NULL::text) FROM (SELECT 'the column has this name'::text) AS t(w);
        RETURN;
    END IF;
    steps := (SELECT jsonb_agg(to_jsonb(s)) FROM @extschema@._model_access_ddl_restore(
        profiles, @extschema@._model_access_retired_of(profiles, column_name)) AS s);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(profiles, ''::text, steps, dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_restore_allowed_models(regclass, name, boolean) IS
    'Gives a retired column its old name and its triggers their old states, or lists the steps in a dry run.';
