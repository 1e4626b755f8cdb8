-- The way back: the column gets its name again, triggers their states. No value is moved.

CREATE FUNCTION @extschema@._model_access_retired_of(profiles regclass, column_name name) RETURNS @extschema@.model_access_retired
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone @extschema@.model_access_retired := (SELECT r FROM @extschema@.model_access_retired AS r WHERE r.profiles = _model_access_retired_of.profiles
        AND r.column_name = coalesce(_model_access_retired_of.column_name, r.column_name) ORDER BY r.retired_at LIMIT 1);
BEGIN
    IF gone.profiles IS NULL OR @extschema@._model_access_column_number(profiles::oid, gone.retired_name) IS NULL THEN
        RAISE EXCEPTION 'no column of % is retired%', profiles, coalesce(' that was called ' || quote_ident(column_name), '')
            USING ERRCODE = 'undefined_object', HINT = 'model_access_retired lists what was retired, and what it is called.';
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, gone.retired_name);
    RETURN gone;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_retired_of(regclass, name) IS 'Internal. What was written down of a retired column; error 42704 where nothing was, or the column is gone.';

CREATE FUNCTION @extschema@.model_access_restore_allowed_models(profiles regclass, column_name name DEFAULT 'allowed_models', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone @extschema@.model_access_retired;
BEGIN
    IF num_nulls(profiles, column_name, dry_run) > 0 THEN
        RAISE EXCEPTION 'no argument must be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF @extschema@._model_access_column_number(profiles::oid, column_name) IS NOT NULL THEN
        RETURN QUERY SELECT 1, format('column %s.%I', profiles, column_name), 'nothing to do', 'the column has that name', @extschema@._model_access_ddl_note('it is there'::text, NULL::text);
        RETURN;
    END IF;
    gone := @extschema@._model_access_retired_of(profiles, column_name);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(profiles, ''::text, (SELECT jsonb_agg(to_jsonb(s)) FROM (
        SELECT 0, u.object, 'look', 'rename it back on the subscribers too, with no write in between: their apply stops otherwise', @extschema@._model_access_ddl_note(u.object, NULL::text)
        FROM @extschema@._model_access_retire_uses(profiles::oid, gone.retired_name) AS u WHERE u.object LIKE 'publication %'
        UNION ALL
        SELECT 1, 'table ' || profiles, 'lock', 'for an instant, if nothing has changed since the dry run', @extschema@._model_access_ddl_lock(profiles::oid, gone.retired_name, '{}'::oid[])
        UNION ALL
        SELECT 2, format('column %s.%I', profiles, gone.column_name), 'rename', 'its values never moved',
            format(E'ALTER TABLE %s RENAME COLUMN %I TO %I;\n', profiles, gone.retired_name, gone.column_name)
        UNION ALL
        SELECT 3, format('default value for %s.%I', d, gone.column_name), 'drop', 'it was there while nothing filled the column',
            format(E'ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT;\n', d, gone.column_name) FROM unnest(gone.defaults) AS d
        UNION ALL
        SELECT 4, format('trigger %I on %s', t.name, t.id), CASE WHEN g.oid IS NULL THEN 'missing' ELSE 'enable' END, 'as it was',
            CASE WHEN g.oid IS NULL THEN @extschema@._model_access_ddl_note('somebody dropped it since'::text, NULL::text)
                 ELSE format(E'ALTER TABLE ONLY %s %s TRIGGER %I;\n', t.id, CASE t.state WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END, t.name) END
        FROM unnest(gone.relations, gone.triggers, gone.states) AS t(id, name, state) LEFT JOIN pg_trigger AS g ON g.tgrelid = t.id AND g.tgname = t.name
        UNION ALL
        SELECT 5, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'nothing is retired any more',
            format(E'DELETE FROM %s WHERE profiles = %L::regclass AND column_name = %L;\n', '@extschema@.model_access_retired'::regclass, profiles, gone.column_name)
        UNION ALL
        -- the triggers that filled the column ran for these rows no more; by age, since numbers of transactions wrap around
        SELECT 6, 'table ' || profiles, 'look', format('%s %s written since: users who came, or whose tier changed, may have another list than the triggers would give; a trigger that acts only on a changed value does nothing here', w.r[1], CASE w.r[1] WHEN '1' THEN 'row was' ELSE 'rows were' END),
            @extschema@._model_access_ddl_note(format('UPDATE %s SET %s WHERE age(xmin) <= age(%L::xid);', profiles, coalesce(
                (SELECT string_agg(format('%1$I = %1$I', a.attname), ', ' ORDER BY a.attnum)
                 FROM pg_trigger AS t JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::smallint[])
                 WHERE t.tgrelid = profiles AND t.tgname = ANY (gone.triggers) AND a.attname <> gone.retired_name),
                (SELECT format('%1$I = %1$I', b.tier_column) FROM @extschema@.model_access_binding AS b WHERE b.profiles = gone.profiles),
                (SELECT format('%1$I = %1$I', a.attname) FROM pg_attribute AS a WHERE a.attrelid = gone.profiles AND a.attnum > 0 AND NOT a.attisdropped
                 AND a.attname <> gone.retired_name ORDER BY a.attnum LIMIT 1)), gone.at_xid), NULL::text)
        FROM @extschema@._model_access_read(profiles::oid, '{count(*)}'::text[], format('FROM %s AS p WHERE age(p.xmin) <= age(%L::xid)', profiles, gone.at_xid)) AS w(r)
        WHERE w.r[1] <> '0') AS s(n, object, action, why, ddl)), dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_restore_allowed_models(regclass, name, boolean) IS 'Gives a retired column its name back, and its triggers their states. A dry run unless told otherwise; ddl, in order, is the very script. The last row says how many rows were written since, and which UPDATE lets the triggers run for them. Errors: 42704 nothing was retired, 42501 not the owner, 55P03 locked by others. Owner only.';
