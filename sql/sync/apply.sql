-- The state from which a plan is made, the lock under which it is made, and the only function that writes it.

CREATE FUNCTION @extschema@._model_access_setting_json(unit text, value text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CASE unit
    WHEN 'percent' THEN
        RETURN to_json(value::numeric);
    WHEN 'interval' THEN
        RETURN to_json(extract(epoch FROM value::interval)::bigint);
    WHEN 'on or off' THEN
        RETURN to_json(value::boolean);
    WHEN 'list of keys' THEN
        RETURN to_json(@extschema@._model_access_key_array(value));
    WHEN 'factor or off' THEN
        RETURN to_json(nullif(value, 'off')::numeric);
    ELSE
        RAISE EXCEPTION 'no JSON form for unit "%"', unit
            USING ERRCODE = 'internal_error', HINT = 'Add a branch for this unit to _model_access_setting_json.';
    END CASE;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_setting_json(text, text) IS
    'Internal. Gives the value of a setting as the planner reads it: a number, boolean, seconds, or list of keys; NULL for off.';

CREATE FUNCTION @extschema@._model_access_rows_version() RETURNS text
-- not LANGUAGE sql, which would plan the statement again in every call
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- each write gives a row another place or another transaction
    RETURN (SELECT coalesce(bit_xor(hash_record_extended(ROW(m.ctid, m.xmin), 0::bigint)), 0)
            FROM @extschema@.model_access AS m);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_rows_version() IS
    'Internal. Gives a text that differs after any change of the rows.';

CREATE FUNCTION @extschema@._model_access_state_rows() RETURNS text
-- not LANGUAGE sql, which would plan the statement again in every run
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    judges_all CONSTANT boolean := (
        SELECT s.value <> 'off' FROM @extschema@.model_access_settings AS s WHERE s.name = 'price_guard');
BEGIN
    -- As text, because JSON functions look up the type of each value in each row. A row is an array, in the order of the fields
    -- of Row in crates/catalog/src/state.rs. Only an id needs escapes: status and tiers are words, and the hashes, which only
    -- runs write, are hexadecimal. The last eight are left out if all of them are NULL or false, as in most rows.
    RETURN (SELECT string_agg(concat('[', to_json(m.model_id)::text, ',"', m.status, '",',
            coalesce('"' || m.fingerprint || '",', 'null,'), coalesce('"' || m.entry_hash || '",', 'null,'),
            coalesce('["' || nullif(array_to_string(@extschema@._model_access_tiers_of(m), '","'), '') || '"]', '[]'),
            CASE WHEN m.reviewed_at IS NULL THEN ',null' ELSE ',true' END,
            -- a price that no guard compares is true: only whether there is one matters
            CASE WHEN m.highest_prices IS NULL THEN ',null' WHEN g.compares THEN ',' || m.highest_prices::text ELSE ',true' END,
            CASE WHEN m.reviewed_highest_prices IS NULL THEN ',null' WHEN g.compares THEN ',' || m.reviewed_highest_prices::text
                 ELSE ',true' END,
            CASE WHEN m.absence_confirmed OR num_nonnulls(m.missing_since, m.status_before_missing, m.absent_since,
                    m.price_unreadable_since, m.price_withheld_since, m.free_revoked_at, m.price_guarded_at) > 0
                 THEN ',' || ltrim(json_build_array(m.missing_since, m.status_before_missing, m.absent_since, m.absence_confirmed,
                    m.price_unreadable_since, m.price_withheld_since, m.free_revoked_at, m.price_guarded_at)::text, '[')
                 ELSE ']' END), ',')
        FROM @extschema@.model_access AS m CROSS JOIN LATERAL (
            SELECT judges_all OR m.is_free OR num_nonnulls(m.missing_since, m.free_revoked_at, m.price_guarded_at) > 0
        ) AS g(compares));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_state_rows() IS
    'Internal. Gives the rows of model_access as far as a plan needs them: arrays in JSON, separated by commas.';

CREATE FUNCTION @extschema@._model_access_state() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- one statement, so that the rows, their version and the settings are of one snapshot
    RETURN (SELECT concat(rtrim(json_build_object(
        'now', clock_timestamp(),
        'settings', (
            SELECT json_object_agg(s.name, @extschema@._model_access_setting_json(s.unit, s.value))
            FROM @extschema@.model_access_settings AS s),
        'tiers', @extschema@._model_access_tiers(),
        'complete_days', (
            SELECT coalesce(json_agg(DISTINCT (l.started_at AT TIME ZONE 'UTC')::date), '[]')
            FROM @extschema@.model_access_sync_log AS l WHERE l.complete),
        'rows_version', @extschema@._model_access_rows_version())::text, '}'),
        ', "rows": [', @extschema@._model_access_state_rows(), ']}'));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_state() IS
    'Internal. Gives what a plan is made from, in the form of State in crates/catalog/src/state.rs, with intervals in seconds.';

CREATE FUNCTION @extschema@._model_access_lock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- readers do not wait; admins and other runs do, so nobody can decide between the plan and its writing
    LOCK TABLE @extschema@.model_access IN SHARE ROW EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock() IS 'Internal. Takes the lock under which a plan is made and written.';

CREATE FUNCTION @extschema@._model_access_flags_after(model @extschema@.model_access, tiers jsonb) RETURNS jsonb
-- STRICT: few changes have tiers
LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
    -- a plan can take tiers away; the only tier that it can add is the free tier, where a guard took it
    SELECT @extschema@._model_access_flags_of(ARRAY(
        SELECT t.tier FROM jsonb_array_elements_text(tiers) AS t(tier)
        WHERE t.tier = ANY (@extschema@._model_access_tiers_of(model))
            OR t.tier = 'free' AND (model).free_revoked_at IS NOT NULL));
END;
COMMENT ON FUNCTION @extschema@._model_access_flags_after(@extschema@.model_access, jsonb) IS
    'Internal. Gives the tier flags of a model after a change of a plan to these tiers, as columns in JSON.';

CREATE FUNCTION @extschema@._model_access_not_planned() RETURNS text[]
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- the tiers of a change are written by way of _model_access_flags_after
    SELECT array_remove(@extschema@._model_access_decided_columns(), 'status')
        || '{tiers,target_disabled,first_seen_at,last_run_id}'::text[]
        || ARRAY(SELECT s.name FROM unnest(@extschema@._model_access_stamp_columns()) AS s(name)
                 WHERE left(s.name, 9) = 'reviewed_');
END;
COMMENT ON FUNCTION @extschema@._model_access_not_planned() IS
    'Internal. Gives the columns that no plan may write.';

CREATE FUNCTION @extschema@._model_access_has_rows(lines text) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- not a regular expression, which would need four times the memory of the lines
    SELECT left(lines, 1) IN ('+', '~') OR strpos(lines, e'\n+') > 0 OR strpos(lines, e'\n~') > 0;
END;
COMMENT ON FUNCTION @extschema@._model_access_has_rows(text) IS
    'Internal. Tells whether the lines of a plan have a row to write.';

CREATE FUNCTION @extschema@._model_access_write(lines text, at timestamptz, run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    rows     refcursor;
    keys     text[];
    is_plain boolean;
BEGIN
    PERFORM @extschema@._model_access_insert(lines, at, run);
    IF left(lines, 1) <> '~' AND strpos(lines, e'\n~') = 0 THEN
        RETURN;
    END IF;
    -- json, which builds no values
    keys := ARRAY(SELECT DISTINCT json_object_keys(substr(l.line, 2)::json) FROM string_to_table(lines, e'\n') AS l(line)
        WHERE left(l.line, 1) = '~');
    IF keys <> '{}' THEN
        is_plain := NOT keys && @extschema@._model_access_not_planned();
        keys := ARRAY(
            SELECT k.name FROM unnest(keys) AS k(name) WHERE k.name <> ALL (@extschema@._model_access_not_planned())
            UNION ALL SELECT f.name FROM jsonb_object_keys(@extschema@._model_access_flags_of('{}'::text[])) AS f(name)
            WHERE 'tiers' = ANY (keys));
        IF is_plain THEN
            -- as in most plans; to copy the changes would take as long as to write them
            OPEN rows FOR SELECT c.change FROM @extschema@._model_access_rows(lines, '~') AS c(change);
        ELSE
            OPEN rows FOR
                SELECT c.change - @extschema@._model_access_not_planned()
                    || coalesce(@extschema@._model_access_flags_after(m, c.change -> 'tiers'), '{}')
                FROM @extschema@._model_access_rows(lines, '~') AS c(change)
                JOIN @extschema@.model_access AS m ON m.model_id = c.change ->> 'model_id';
        END IF;
        PERFORM @extschema@._model_access_update_rows(rows, keys, run);
        CLOSE rows;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_write(text, timestamptz, bigint) IS
    'Internal. Writes the rows of a plan: one INSERT for new models, one UPDATE for all others.';

CREATE FUNCTION @extschema@._model_access_changed_key(lines text, changed integer, known integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a few changed models do not show that the upstream changed its format, and need no comparison
    IF changed <= 10 OR 2 * changed <= known THEN
        RETURN NULL;
    END IF;
    RETURN (
        -- messages quote this key
        SELECT regexp_replace(left(k.key, 100), '[[:cntrl:]]', ' ', 'g')
        FROM @extschema@._model_access_rows(lines, '~') AS c(change)
        JOIN @extschema@.model_access AS m ON m.model_id = c.change ->> 'model_id'
        CROSS JOIN LATERAL (
            SELECT key FROM jsonb_each(m.upstream) AS old FULL JOIN jsonb_each(c.change -> 'upstream') AS new USING (key)
            WHERE old.value IS DISTINCT FROM new.value) AS k
        WHERE c.change ? 'upstream'
          -- this run removes a key that is now ignored from the stored entries
          AND k.key <> ALL (@extschema@._model_access_key_array(
              (SELECT s.value FROM @extschema@.model_access_settings AS s WHERE s.name = 'ignored_keys')))
        GROUP BY k.key HAVING 2 * count(*) > known
        ORDER BY count(*) DESC, k.key LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_changed_key(text, integer, integer) IS
    'Internal. Gives the key that a plan changes in most models and in more than half of the known ones; NULL if none.';

CREATE FUNCTION @extschema@._model_access_apply(head jsonb, lines text) RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    run     @extschema@.model_access_sync_log;
    problem jsonb   := nullif(head -> 'problem', 'null');
    mine    text    := @extschema@._model_access_limit_locks();
    writes  boolean := @extschema@._model_access_has_rows(lines);
    last    bigint;
BEGIN
    run := jsonb_populate_record(NULL::@extschema@.model_access_sync_log,
        '{"listed": 0, "added": 0, "changed": 0, "missing": 0, "returned": 0, "free_revoked": 0, "withheld": 0,
            "unusable": [], "complete": false}'
        || head);
    IF run.outcome = 'unchanged' THEN
        writes := EXISTS (SELECT FROM @extschema@._model_access_alias_in_doubt);
    END IF;
    last := (SELECT max(l.run_id) FROM @extschema@.model_access_sync_log AS l);
    IF writes THEN
        PERFORM @extschema@._model_access_lock();
    END IF;
    -- a run that failed because another session holds a lock on the table writes its run row, so it must not read the table
    IF run.outcome NOT IN ('failed', 'skipped') THEN
        -- last_run_id must not name a run that wrote the row before
        last := greatest(last, (SELECT max(m.last_run_id) FROM @extschema@.model_access AS m));
    END IF;
    PERFORM @extschema@._model_access_raise_sequence('@extschema@.model_access_sync_log_run_id_seq'::regclass, last);
    run.run_id := nextval('@extschema@.model_access_sync_log_run_id_seq');
    IF writes THEN
        run.changed_key := @extschema@._model_access_changed_key(lines, run.changed, run.listed - run.added);
        PERFORM @extschema@._model_access_write(lines, (head ->> 'at')::timestamptz, run.run_id);
        PERFORM @extschema@._model_access_mend_aliases(run.run_id);
    END IF;
    PERFORM @extschema@._model_access_refresh_binding();
    run.error := concat_ws('. ', problem ->> 'message', rtrim(problem ->> 'detail', '.'), problem ->> 'hint');
    run.error := nullif(run.error, '');
    run.error_code := problem ->> 'code';
    run.run_by := @extschema@._model_access_actor();
    run.duration_ms := round(1000 * extract(epoch FROM clock_timestamp() - run.started_at), 3);
    INSERT INTO @extschema@.model_access_sync_log SELECT run.*;
    PERFORM set_config('lock_timeout', mine, true);
    RETURN run;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_apply(jsonb, text) IS
    'Internal. Writes the rows of a plan, and the run row, which is made of the plan without its rows.';

CREATE FUNCTION @extschema@.model_access_apply(plan jsonb) RETURNS @extschema@.model_access_sync_log
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT @extschema@._model_access_apply(plan - '{insert,update}'::text[], concat_ws(e'\n',
        @extschema@._model_access_lines('+', plan -> 'insert'), @extschema@._model_access_lines('~', plan -> 'update')));
END;
COMMENT ON FUNCTION @extschema@.model_access_apply(jsonb) IS
    'Writes a plan and its run row, corrects what is stored about aliases, and returns the run row.';
