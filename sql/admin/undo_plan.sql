-- Plans what an undo would write and refuse. Nothing here writes: a dry run shows the plan, and an undo writes it.

CREATE FUNCTION @extschema@._model_access_undo_old(model_id text, history_id bigint, key text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN count(*) > 0 THEN nullif((array_agg(f.value))[1], 'null') ELSE (
        SELECT nullif(to_jsonb(m) -> _model_access_undo_old.key, 'null') FROM @extschema@.model_access AS m
        WHERE m.model_id = _model_access_undo_old.model_id) END
    FROM (
        SELECT h.old -> _model_access_undo_old.key AS value FROM @extschema@.model_access_history AS h
        WHERE h.model_id = _model_access_undo_old.model_id AND h.history_id >= _model_access_undo_old.history_id
          AND h.old ? _model_access_undo_old.key
        ORDER BY h.history_id LIMIT 1) AS f;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_old(text, bigint, text) IS
    'Internal. Gives the value of a column of a model just before that row of the history.';

CREATE FUNCTION @extschema@._model_access_undo_agrees(history_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- if the row says that the model stopped being free, the model must be free of charge again
    SELECT m.missing_since IS NULL AND (m.is_free_of_charge OR h.new ->> 'free_revoked_at' IS NULL)
        AND NOT @extschema@._model_access_is_above(m.highest_prices,
            @extschema@._model_access_undo_old(m.model_id, h.history_id, 'reviewed_highest_prices'::text), 1::numeric)
    FROM @extschema@.model_access_history AS h JOIN @extschema@.model_access AS m ON m.model_id = h.model_id
    WHERE h.history_id = _model_access_undo_agrees.history_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_agrees(bigint) IS
    'Internal. Tells whether a model is listed now, at a price that is not above the reviewed price when a sync wrote that row.';

CREATE FUNCTION @extschema@._model_access_undo_absent(model_id text, history_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.missing_since IS NOT NULL AND NOT EXISTS (
        SELECT FROM @extschema@.model_access_history AS h
        WHERE h.model_id = m.model_id AND h.history_id >= _model_access_undo_absent.history_id
          AND h.old -> 'missing_since' = 'null')
    FROM @extschema@.model_access AS m WHERE m.model_id = _model_access_undo_absent.model_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_absent(text, bigint) IS
    'Internal. Tells whether a model was missing before that row of the history and has been missing since.';

CREATE FUNCTION @extschema@._model_access_undo_walk(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step    jsonb;
    tail    bigint[] := '{}';
    taken   bigint[] := '{}';
    waiting bigint[] := '{}';
    new     jsonb;
    pending text;
    blocker text;
BEGIN
    -- from the newest to the oldest
    FOR step IN SELECT s FROM jsonb_array_elements(steps) AS s LOOP
        IF blocker IS NULL AND NOT (step -> 'meant')::boolean AND step -> 'run_id' <> 'null' THEN
            -- changes by syncs that together change nothing do not prevent the undo
            new := coalesce(new, step -> 'new');
            pending := coalesce(pending, step ->> 'why');
            IF step -> 'old' = new THEN
                new := NULL;
                pending := NULL;
            END IF;
        ELSE
            blocker := coalesce(blocker, pending,
                CASE WHEN NOT (step -> 'meant')::boolean OR NOT (step -> 'allowed')::boolean THEN step ->> 'why' END);
            IF blocker IS NULL THEN
                tail := tail || (step -> 'history_id')::bigint;
                IF NOT (step -> 'wanted')::boolean THEN
                    waiting := waiting || (step -> 'history_id')::bigint;
                END IF;
                -- an undo never ends at a change by which a sync gave something back: it would restore the loss before it
                IF NOT (step -> 'gives')::boolean THEN
                    taken := tail;
                END IF;
            ELSIF taken <> '{}' THEN
                EXIT;
            ELSIF (step -> 'wanted')::boolean THEN
                RETURN jsonb_build_object('ids', taken, 'refused', blocker, 'old', step -> 'old');
            END IF;
        END IF;
    END LOOP;
    RETURN jsonb_build_object('ids', taken, 'waiting', waiting);
END
$$;
-- ids: the changes that can be taken back, from the newest down to the first that must stay; waiting: those of them that an
-- earlier undo named. If the newest must stay, refused says why, and old is what an undo would restore.
COMMENT ON FUNCTION @extschema@._model_access_undo_walk(jsonb) IS
    'Internal. Finds which changes of one unit can be taken back; they are given from the newest to the oldest.';

CREATE FUNCTION @extschema@._model_access_undo_steps(
    since timestamptz, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH step AS (
        SELECT r.unit, r.subject, @extschema@._model_access_undo_walk(jsonb_agg(jsonb_build_object(
            'history_id', r.history_id, 'old', r.old, 'new', r.new, 'wanted', r.wanted, 'meant', r.wanted OR r.waits,
            'gives', r.gives, 'run_id', r.run_id, 'why', r.why,
            'allowed', CASE WHEN r.run_id IS NULL OR r.gives THEN true
                            WHEN r.wanted OR r.waits THEN coalesce(@extschema@._model_access_undo_agrees(r.history_id), false)
                            ELSE false END)
            ORDER BY r.history_id DESC)) AS walk
        FROM @extschema@._model_access_undo_rows(since, model_ids, actor, history_ids, overrides, rules) AS r
        GROUP BY r.unit, r.subject)
    SELECT jsonb_agg(s.walk || jsonb_build_object('unit', s.unit, 'subject', s.subject)) FROM step AS s;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_steps(timestamptz, text[], text, bigint[], boolean, boolean) IS
    'Internal. Gives the result of _model_access_undo_walk for each unit of each model, override and rule.';

CREATE FUNCTION @extschema@._model_access_undo_columns(steps jsonb)
RETURNS TABLE (model_id text, columns jsonb, ids bigint[], costs boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH restored AS (
        -- the oldest of several changes has the value to restore
        SELECT DISTINCT ON (s.subject, k.key) s.subject, s.unit, s.ids, k.key, k.value, h.history_id,
            ARRAY(SELECT i.id FROM unnest(s.ids) AS i(id) WHERE i.id <> ALL (s.waiting)) AS named
        FROM jsonb_to_recordset(steps) AS s(unit text, subject text, ids bigint[], waiting bigint[])
        CROSS JOIN LATERAL unnest(s.ids) AS i(id) JOIN @extschema@.model_access_history AS h ON h.history_id = i.id
        CROSS JOIN LATERAL jsonb_each(CASE s.unit
            WHEN 'status' THEN @extschema@._model_access_undo_status(h.old, NULL::bigint)
            ELSE h.old END) AS k
        WHERE s.unit NOT IN ('override', 'rule') AND @extschema@._model_access_undo_unit(k.key) = s.unit
        ORDER BY s.subject, k.key, h.history_id),
    allowed AS (
        SELECT r.*, r.key = 'is_free' AND r.value = 'true' AND NOT m.is_free_of_charge
            AND @extschema@._model_access_undo_old(r.subject, r.history_id, 'reviewed_is_free_of_charge'::text)
                IS NOT DISTINCT FROM 'true' AS costs
        FROM restored AS r JOIN @extschema@.model_access AS m ON m.model_id = r.subject),
    found AS (
        SELECT a.subject, bool_or(a.costs) AS costs, jsonb_object_agg(a.key, a.value) FILTER (WHERE NOT a.costs) AS columns,
            array_agg(DISTINCT i.id) FILTER (WHERE NOT a.costs AND i.id IS NOT NULL) AS ids,
            min(a.history_id) FILTER (WHERE a.key = 'status') AS status_id
        FROM allowed AS a LEFT JOIN LATERAL unnest(a.named) AS i(id) ON true
        -- what a decision cleared comes back only together with the review
        WHERE a.value = 'null' OR a.unit = 'review' OR @extschema@._model_access_is_decision(a.unit)
           OR a.history_id >= (SELECT min(r.history_id) FROM restored AS r WHERE r.subject = a.subject AND r.unit = 'review')
        GROUP BY a.subject HAVING count(i.id) > 0)
    SELECT f.subject, f.columns || CASE
        -- a model that left since waits for its return; one that returned since waits for review
        WHEN m.missing_since IS NOT NULL AND w.status IN ('new', 'active')
            AND NOT @extschema@._model_access_undo_absent(m.model_id, f.status_id) THEN
            jsonb_build_object('status', 'inactive', 'status_before_missing', w.status)
        WHEN m.missing_since IS NULL AND f.columns ->> 'status_before_missing' IS NOT NULL THEN CASE
            -- a sync changed the status at the return; _model_access_undo_agrees has allowed to restore it
            WHEN EXISTS (SELECT FROM @extschema@.model_access_history AS h
                         WHERE h.history_id = f.status_id AND h.run_id IS NOT NULL)
            THEN jsonb_build_object('status', w.status, 'status_before_missing', NULL)
            ELSE jsonb_build_object('status', 'new', 'status_before_missing', NULL, 'returned_at', clock_timestamp()) END
        ELSE '{}' END, f.ids, f.costs
    FROM found AS f JOIN @extschema@.model_access AS m ON m.model_id = f.subject
    CROSS JOIN LATERAL (SELECT coalesce(f.columns ->> 'status_before_missing', f.columns ->> 'status')) AS w(status);
END;
-- costs: the model was free of charge when it was reviewed and now costs money, so that an undo does not put it in the free tier
COMMENT ON FUNCTION @extschema@._model_access_undo_columns(jsonb) IS
    'Internal. Gives for each model the columns to restore, the history rows to take back, and whether is_free stays false.';

CREATE FUNCTION @extschema@._model_access_undo_models(steps jsonb)
RETURNS TABLE (kind text, model_id text, subject text, ids bigint[], columns jsonb, old jsonb, new jsonb, refused jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH model AS (
        SELECT m.model_id, to_jsonb(m) AS old, to_jsonb(n) AS new, u.columns, u.ids, u.costs, r.refused
        FROM (SELECT DISTINCT s.subject FROM jsonb_to_recordset(steps) AS s(unit text, subject text)
              WHERE s.unit NOT IN ('override', 'rule')) AS s
        JOIN @extschema@.model_access AS m ON m.model_id = s.subject
        LEFT JOIN @extschema@._model_access_undo_columns(steps) AS u ON u.model_id = s.subject
        LEFT JOIN (
            SELECT s.subject, jsonb_object_agg(CASE s.unit WHEN 'review' THEN 'reviewed_at' ELSE s.unit END, s.refused) AS refused
            FROM jsonb_to_recordset(steps) AS s(unit text, subject text, refused text, old jsonb)
            JOIN @extschema@.model_access AS m ON m.model_id = s.subject
            -- no reason is given where the model already is as an undo would make it
            WHERE s.refused IS NOT NULL AND CASE
                WHEN s.unit = 'status' THEN s.old NOT IN (
                    @extschema@._model_access_undo_status(to_jsonb(m), NULL::bigint),
                    @extschema@._model_access_undo_status(to_jsonb(m), 0::bigint))
                WHEN s.unit = 'review' THEN true
                ELSE @extschema@._model_access_is_decision(s.unit) AND to_jsonb(m) -> s.unit <> s.old -> s.unit END
            GROUP BY s.subject) AS r ON r.subject = s.subject
        -- so that times and numbers have the same text in old and new
        CROSS JOIN LATERAL jsonb_populate_record(m, coalesce(u.columns, '{}')) AS n),
    shown AS (
        SELECT m.model_id, m.ids, m.old, m.new, coalesce(d.keys, '{}') AS written,
            ARRAY(SELECT d.key FROM unnest(d.keys) AS d(key)
                  WHERE @extschema@._model_access_is_decision(@extschema@._model_access_undo_unit(d.key))) AS keys,
            coalesce(m.refused, '{}') || CASE WHEN m.costs THEN '{"is_free": "no longer free of charge"}'::jsonb ELSE '{}' END
                AS refused
        FROM model AS m
        CROSS JOIN LATERAL (SELECT array_agg(c.key) AS keys FROM jsonb_object_keys(coalesce(m.columns, '{}')) AS c(key)
                            WHERE m.old -> c.key <> m.new -> c.key) AS d),
    -- the stamp of the review is reported only where nothing else is
    reported AS (
        SELECT s.model_id, s.ids, s.old, s.new, s.written,
            CASE WHEN s.keys = '{}' AND 'reviewed_at' = ANY (s.written) THEN '{reviewed_at}' ELSE s.keys END AS keys,
            CASE WHEN s.keys = '{}' AND s.refused - 'reviewed_at' = '{}' THEN s.refused
                 ELSE s.refused - 'reviewed_at' END AS refused
        FROM shown AS s)
    SELECT 'model', s.model_id, s.model_id, s.ids,
        (SELECT jsonb_object_agg(k.key, s.new -> k.key) FROM unnest(s.written) AS k(key) WHERE s.keys <> '{}'),
        (SELECT jsonb_object_agg(k.key, s.old -> k.key)
         FROM (SELECT unnest(s.keys) UNION SELECT jsonb_object_keys(s.refused)) AS k(key)),
        (SELECT jsonb_object_agg(k.key, s.new -> k.key) FROM unnest(s.keys) AS k(key)), nullif(s.refused, '{}')
    FROM reported AS s WHERE s.keys <> '{}' OR s.refused <> '{}';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_models(jsonb) IS
    'Internal. Gives for each model what an undo writes (columns), and what it reports.';

CREATE FUNCTION @extschema@._model_access_override_problem(override jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF @extschema@._model_access_user_key(override ->> 'user_id') IS NULL THEN
        RETURN format('invalid user_id for the bound table: "%s"', override ->> 'user_id');
    END IF;
    IF override ->> 'model_id' IS NOT NULL THEN
        PERFORM FROM @extschema@.model_access AS m WHERE m.model_id = override ->> 'model_id';
        RETURN CASE WHEN NOT FOUND THEN format('model "%s" does not exist', override ->> 'model_id') END;
    END IF;
    PERFORM FROM @extschema@.model_access AS m WHERE m.provider = override ->> 'provider' LIMIT 1;
    RETURN CASE WHEN NOT FOUND THEN format('provider "%s" does not exist', override ->> 'provider') END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_override_problem(jsonb) IS
    'Internal. Says why an override from the history could match nothing now; NULL if it could match.';

CREATE FUNCTION @extschema@._model_access_undo_others(steps jsonb)
RETURNS TABLE (kind text, model_id text, subject text, ids bigint[], columns jsonb, old jsonb, new jsonb, refused jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH step AS (
        SELECT s.unit, s.subject, s.ids, s.refused, nullif(coalesce(h.old, s.old) -> s.unit, 'null') AS new
        FROM jsonb_to_recordset(steps) AS s(unit text, subject text, ids bigint[], refused text, old jsonb)
        LEFT JOIN @extschema@.model_access_history AS h ON h.history_id = (SELECT min(i.id) FROM unnest(s.ids) AS i(id))
        WHERE s.unit IN ('override', 'rule')),
    -- so that times have the same text in old and new, and a column that was added since is null
    found AS (
        SELECT s.unit, s.subject, s.ids, s.refused, to_jsonb(o) AS old,
            (SELECT to_jsonb(n) FROM jsonb_populate_record(NULL::@extschema@.model_access_override, s.new) AS n
             WHERE n.override_id IS NOT NULL) AS new
        FROM step AS s LEFT JOIN @extschema@.model_access_override AS o ON o.override_id = s.subject::bigint
        WHERE s.unit = 'override'
        UNION ALL
        SELECT s.unit, s.subject, s.ids, s.refused, to_jsonb(r),
            (SELECT to_jsonb(n) FROM jsonb_populate_record(NULL::@extschema@.model_access_rule, s.new) AS n
             WHERE n.position IS NOT NULL)
        FROM step AS s LEFT JOIN @extschema@.model_access_rule AS r ON r.position = s.subject::integer WHERE s.unit = 'rule'),
    judged AS (
        SELECT f.*, coalesce(f.refused, CASE WHEN f.unit = 'override' AND f.new IS NOT NULL
            THEN @extschema@._model_access_override_problem(f.new) END) AS reason
        FROM found AS f WHERE f.old IS DISTINCT FROM f.new)
    SELECT j.unit, coalesce(j.old, j.new) ->> 'model_id', j.subject, j.ids,
        CASE WHEN j.reason IS NULL THEN coalesce(j.new, '{}') END,
        jsonb_build_object(j.unit, j.old), CASE WHEN j.reason IS NULL THEN jsonb_build_object(j.unit, j.new) END,
        CASE WHEN j.reason IS NOT NULL THEN jsonb_build_object(j.unit, j.reason) END
    FROM judged AS j;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_others(jsonb) IS
    'Internal. Gives for each override and rule what an undo writes (columns; {} = it deletes the row), and what it reports.';
