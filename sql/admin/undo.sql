-- Takes changes back: rows of the history, not all that happened since a moment. Later changes by others stay, and what an undo
-- took back already is not taken back again. An undo is itself a recorded change; undo_of in its rows names what it took back.

CREATE FUNCTION @extschema@._model_access_undo_check(
    since timestamptz, dry_run boolean, model_ids text[], history_ids bigint[], overrides boolean, rules boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found text;
BEGIN
    IF since IS NULL AND history_ids IS NULL THEN
        RAISE EXCEPTION 'since or history_ids must be specified'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Copy the statement from column undo of model_access_changes, or name a moment in the past.';
    ELSIF since > clock_timestamp() THEN
        RAISE EXCEPTION 'since must not be in the future: %', since
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a moment in the past, or name the changes in history_ids.';
    ELSIF dry_run IS NULL THEN
        RAISE EXCEPTION 'dry_run must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Set dry_run to true or false.';
    ELSIF model_ids IS NOT NULL THEN
        PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
            'model %s does not exist'::text, 'Use the exact model_id of model_access.'::text);
    END IF;
    found := (SELECT string_agg(coalesce(i.id::text, 'NULL'), ', ' ORDER BY i.id) FROM (
        SELECT i.id FROM unnest(history_ids) AS i(id) LEFT JOIN @extschema@.model_access_history AS h ON h.history_id = i.id
        WHERE h.history_id IS NULL ORDER BY i.id LIMIT 5) AS i);
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'history_ids do not exist: %', found
            USING ERRCODE = 'no_data_found', DETAIL = 'Nothing was changed.',
                  HINT = 'Look up history_id in model_access_history.';
    END IF;
    found := (
        SELECT min(CASE WHEN h.rule IS NULL THEN 'overrides' ELSE 'rules' END) FROM @extschema@.model_access_history AS h
        WHERE h.history_id = ANY (history_ids)
          AND ((h.user_id IS NOT NULL AND NOT overrides) OR (h.rule IS NOT NULL AND NOT rules)));
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'history_ids include changes of %', found
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Nothing was changed.', HINT = format('Add %s => true.', found);
    END IF;
    IF history_ids IS NULL THEN
        found := (SELECT format('%s:%s', count(*), string_agg(m.id::text, ', ' ORDER BY m.id) FILTER (WHERE m.n <= 10))
            FROM (SELECT u.id, row_number() OVER (ORDER BY u.id) FROM @extschema@._model_access_undo_mistimed(since) AS u(id))
                AS m(id, n) HAVING count(*) > 0);
    END IF;
    IF found IS NOT NULL THEN
        RAISE NOTICE 'changes left out because the clock was set back: %', split_part(found, ':', 1)
            USING DETAIL = format('Each has a time in the future, or is followed in the history by a change with an earlier '
                      'time: %s%s.', split_part(found, ':', 2),
                      CASE WHEN split_part(found, ':', 1)::bigint > 10 THEN ', …' END),
                  HINT = 'To take them back, name them in history_ids.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo_check(timestamptz, boolean, text[], bigint[], boolean, boolean) IS
    'Internal. Raises 22004, 22023 or P0002 if the arguments of model_access_undo are not valid.';

CREATE FUNCTION @extschema@._model_access_undo_write(plan jsonb, after bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT @extschema@._model_access_update(jsonb_agg(
        -- if the undo restores no stamp, only when and by whom is new, since somebody decides now; a note is no decision
        CASE WHEN p.columns ? 'reviewed_at' OR p.columns - 'note' = '{}' THEN '{}'
             ELSE jsonb_build_object('reviewed_at', clock_timestamp(), 'reviewed_by', @extschema@._model_access_actor()) END
        || p.columns || jsonb_build_object('model_id', p.model_id)))
    FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, columns jsonb)
    WHERE p.kind = 'model' AND p.columns <> '{}';

    -- under the lock nobody else writes rows of models
    UPDATE @extschema@.model_access_history AS h SET undo_of = p.ids
    FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, columns jsonb, ids bigint[])
    WHERE h.history_id > after AND h.model_id = p.model_id AND h.user_id IS NULL AND p.kind = 'model' AND p.columns IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write(jsonb, bigint) IS
    'Internal. Writes what an undo does to models, and names in the history the rows that it took back.';

CREATE FUNCTION @extschema@._model_access_undo_write_others(plan jsonb, after bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM @extschema@.model_access_override AS o USING jsonb_to_recordset(plan) AS p(kind text, subject text, columns jsonb)
    WHERE p.kind = 'override' AND p.columns IS NOT NULL AND o.override_id = p.subject::bigint;
    INSERT INTO @extschema@.model_access_override SELECT n.*
    FROM jsonb_to_recordset(plan) AS p(kind text, columns jsonb)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_override, p.columns
        || jsonb_build_object('user_id', @extschema@._model_access_user_key(p.columns ->> 'user_id'))) AS n
    WHERE p.kind = 'override' AND p.columns <> '{}';
    DELETE FROM @extschema@.model_access_rule AS r USING jsonb_to_recordset(plan) AS p(kind text, subject text, columns jsonb)
    WHERE p.kind = 'rule' AND p.columns IS NOT NULL AND r.position = p.subject::integer;
    INSERT INTO @extschema@.model_access_rule SELECT n.*
    FROM jsonb_to_recordset(plan) AS p(kind text, columns jsonb)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_rule, p.columns) AS n
    WHERE p.kind = 'rule' AND p.columns <> '{}';

    -- one row each replaces what the triggers recorded; under the locks nobody else writes such rows
    DELETE FROM @extschema@.model_access_history AS h USING jsonb_to_recordset(plan) AS p(kind text, subject text)
    WHERE h.history_id > after
      AND p.kind = CASE WHEN h.user_id IS NOT NULL THEN 'override' WHEN h.rule IS NOT NULL THEN 'rule' END
      AND p.subject = CASE WHEN h.rule IS NOT NULL THEN h.rule::text
          ELSE coalesce(h.new #>> '{override,override_id}', h.old #>> '{override,override_id}') END;
    INSERT INTO @extschema@.model_access_history (model_id, user_id, rule, at, old, new, undo_of)
    SELECT p.model_id, CASE p.kind WHEN 'override' THEN coalesce(o.user_id, p.old #>> '{override,user_id}') END,
        CASE p.kind WHEN 'rule' THEN p.subject::integer END, t.at,
        CASE WHEN p.old -> p.kind = 'null' THEN '{}' ELSE p.old END,
        CASE WHEN p.columns = '{}' THEN '{}'
             ELSE jsonb_build_object(p.kind, CASE p.kind WHEN 'rule' THEN p.columns ELSE to_jsonb(o) END) END,
        p.ids
    FROM (SELECT clock_timestamp()) AS t(at)
    CROSS JOIN jsonb_to_recordset(plan) AS p(kind text, model_id text, subject text, columns jsonb, old jsonb, ids bigint[])
    LEFT JOIN @extschema@.model_access_override AS o ON p.kind = 'override' AND o.override_id = p.subject::bigint
    WHERE p.kind IN ('override', 'rule') AND p.columns IS NOT NULL ORDER BY p.kind, p.subject;
    SELECT @extschema@._model_access_notify();
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write_others(jsonb, bigint) IS
    'Internal. Writes what an undo does to overrides and rules, with one row for each in the history.';

CREATE FUNCTION @extschema@._model_access_undo(
    since timestamptz, dry_run boolean, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean,
    OUT model_id text, OUT old jsonb, OUT new jsonb, OUT refused jsonb)
RETURNS SETOF record
-- jit: compiling takes several times as long as reading the history. enable_nestloop: the planner cannot know the number of rows,
-- and where it guesses too few, nested loops take quadratic time
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
    steps jsonb;
    plan  jsonb;
    after bigint;
BEGIN
    overrides := coalesce(overrides, false);
    rules := coalesce(rules, false);
    PERFORM @extschema@._model_access_undo_check(since, dry_run, model_ids, history_ids, overrides, rules);
    IF NOT dry_run THEN
        -- nobody changes anything between the plan and the writing
        PERFORM @extschema@._model_access_lock();
        IF overrides THEN
            LOCK TABLE @extschema@.model_access_override IN SHARE ROW EXCLUSIVE MODE;
        END IF;
        IF rules THEN
            LOCK TABLE @extschema@.model_access_rule IN SHARE ROW EXCLUSIVE MODE;
        END IF;
    END IF;
    steps := @extschema@._model_access_undo_steps(since, model_ids, actor, history_ids, overrides, rules);
    plan := (SELECT jsonb_agg(to_jsonb(p)) FROM (
        SELECT * FROM @extschema@._model_access_undo_models(steps)
        UNION ALL SELECT * FROM @extschema@._model_access_undo_others(steps)) AS p);
    IF NOT dry_run THEN
        after := (SELECT coalesce(max(h.history_id), 0) FROM @extschema@.model_access_history AS h);
        PERFORM @extschema@._model_access_undo_write(plan, after);
        IF plan @? '$[*] ? (@.kind != "model" && @.columns != null)' THEN
            PERFORM @extschema@._model_access_undo_write_others(plan, after);
        END IF;
    END IF;
    RETURN QUERY
        SELECT p.model_id, p.old, nullif(p.new, 'null'), nullif(p.refused, 'null')
        FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, subject text, old jsonb, new jsonb, refused jsonb)
        ORDER BY p.kind, p.model_id, length(p.subject), p.subject;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo(timestamptz, boolean, text[], text, bigint[], boolean, boolean) IS
    'Internal. Does the work of model_access_undo.';
