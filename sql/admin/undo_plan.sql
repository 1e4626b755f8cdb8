-- What an undo would write, and what it would refuse. Nothing here writes: a dry run shows the plan, and an undo writes it.

CREATE FUNCTION @extschema@._model_access_undo_was(model_id text, history_id bigint, key text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN count(*) > 0 THEN nullif((array_agg(f.value))[1], 'null') ELSE (
        SELECT nullif(to_jsonb(m) -> _model_access_undo_was.key, 'null') FROM @extschema@.model_access AS m
        WHERE m.model_id = _model_access_undo_was.model_id) END
    FROM (
        SELECT h.old -> _model_access_undo_was.key AS value FROM @extschema@.model_access_history AS h
        WHERE h.model_id = _model_access_undo_was.model_id AND h.history_id >= _model_access_undo_was.history_id
          AND h.old ? _model_access_undo_was.key
        ORDER BY h.history_id LIMIT 1) AS f;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_was(text, bigint, text) IS 'Internal. What a column of a model held just before that row of the history.';

CREATE FUNCTION @extschema@._model_access_undo_agrees(history_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.missing_since IS NULL AND (m.is_free_of_charge OR h.new ->> 'free_revoked_at' IS NULL)
        AND NOT @extschema@._model_access_is_above(m.highest_prices,
            @extschema@._model_access_undo_was(m.model_id, h.history_id, 'reviewed_highest_prices'::text), 1::numeric)
    FROM @extschema@.model_access_history AS h JOIN @extschema@.model_access AS m ON m.model_id = h.model_id
    WHERE h.history_id = _model_access_undo_agrees.history_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_agrees(bigint) IS 'Internal. Whether the present list agrees with what was reviewed when a sync wrote that row: the model is listed and no dearer, and free of charge where that was lost.';

CREATE FUNCTION @extschema@._model_access_undo_absent(model_id text, history_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.missing_since IS NOT NULL AND NOT EXISTS (
        SELECT FROM @extschema@.model_access_history AS h
        WHERE h.model_id = m.model_id AND h.history_id >= _model_access_undo_absent.history_id
          AND h.old -> 'missing_since' = 'null')
    FROM @extschema@.model_access AS m WHERE m.model_id = _model_access_undo_absent.model_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_absent(text, bigint) IS 'Internal. Whether a model was missing before that row of the history, and has been missing since.';

CREATE FUNCTION @extschema@._model_access_undo_walk(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step    jsonb;
    tail    bigint[] := '{}';
    taken   bigint[] := '{}';
    waiting bigint[] := '{}';
    became  jsonb;
    pending text;
    blocker text;
BEGIN
    -- from the newest to the oldest
    FOR step IN SELECT s FROM jsonb_array_elements(steps) AS s LOOP
        IF blocker IS NULL AND NOT (step -> 'meant')::boolean AND step -> 'run_id' <> 'null' THEN
            -- what a sync took and gave back is as if it had not been
            became := coalesce(became, step -> 'became');
            pending := coalesce(pending, step ->> 'why');
            IF step -> 'was' = became THEN
                became := NULL;
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
                -- to go back to what a sync had taken away is no undo
                IF NOT (step -> 'gives')::boolean THEN
                    taken := tail;
                END IF;
            ELSIF taken <> '{}' THEN
                EXIT;
            ELSIF (step -> 'wanted')::boolean THEN
                RETURN jsonb_build_object('ids', taken, 'refused', blocker, 'was', step -> 'was');
            END IF;
        END IF;
    END LOOP;
    RETURN jsonb_build_object('ids', taken, 'waiting', waiting);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo_walk(jsonb) IS 'Internal. Of the changes of one unit, the newest first: ids of those that can be taken back, down to the first that must stay (waiting: which of them an earlier undo named); or, where that is the newest, why (refused) and what it would be (was).';

CREATE FUNCTION @extschema@._model_access_undo_steps(
    since timestamptz, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH step AS (
        SELECT r.unit, r.subject, @extschema@._model_access_undo_walk(jsonb_agg(jsonb_build_object(
            'history_id', r.history_id, 'was', r.was, 'became', r.became, 'wanted', r.wanted, 'meant', r.wanted OR r.waits,
            'gives', r.gives, 'run_id', r.run_id, 'why', r.why,
            'allowed', CASE WHEN r.run_id IS NULL OR r.gives THEN true
                            WHEN r.wanted OR r.waits THEN coalesce(@extschema@._model_access_undo_agrees(r.history_id), false)
                            ELSE false END)
            ORDER BY r.history_id DESC)) AS walk
        FROM @extschema@._model_access_undo_rows(since, model_ids, actor, history_ids, overrides, rules) AS r
        GROUP BY r.unit, r.subject)
    SELECT jsonb_agg(s.walk || jsonb_build_object('unit', s.unit, 'subject', s.subject)) FROM step AS s;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_steps(timestamptz, text[], text, bigint[], boolean, boolean) IS 'Internal. For each unit of each model, override and rule what _model_access_undo_walk gives.';

CREATE FUNCTION @extschema@._model_access_undo_columns(steps jsonb)
RETURNS TABLE (model_id text, columns jsonb, ids bigint[], costs boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH past AS (
        -- of several changes the oldest tells what it was
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
        SELECT p.*, p.key = 'is_free' AND p.value = 'true' AND NOT m.is_free_of_charge
            AND @extschema@._model_access_undo_was(p.subject, p.history_id, 'reviewed_is_free_of_charge'::text)
                IS NOT DISTINCT FROM 'true' AS costs
        FROM past AS p JOIN @extschema@.model_access AS m ON m.model_id = p.subject),
    found AS (
        SELECT a.subject, bool_or(a.costs) AS costs, jsonb_object_agg(a.key, a.value) FILTER (WHERE NOT a.costs) AS columns,
            array_agg(DISTINCT i.id) FILTER (WHERE NOT a.costs AND i.id IS NOT NULL) AS ids,
            min(a.history_id) FILTER (WHERE a.key = 'status') AS status_id
        FROM allowed AS a LEFT JOIN LATERAL unnest(a.named) AS i(id) ON true
        -- what a decision cleared comes back with its stamp only
        WHERE a.value = 'null' OR a.unit NOT IN ('returned_at', 'free_revoked_at', 'tiers_before', 'price_guarded_at')
           OR a.history_id >= (SELECT min(p.history_id) FROM past AS p WHERE p.subject = a.subject AND p.unit = 'review')
        GROUP BY a.subject HAVING count(i.id) > 0)
    SELECT f.subject, f.columns || CASE
        -- a model that left meanwhile waits for its return; one that came back meanwhile waits for review
        WHEN m.missing_since IS NOT NULL AND w.status IN ('new', 'active')
            AND NOT @extschema@._model_access_undo_absent(m.model_id, f.status_id) THEN
            jsonb_build_object('status', 'inactive', 'status_before_missing', w.status)
        WHEN m.missing_since IS NULL AND f.columns ->> 'status_before_missing' IS NOT NULL THEN CASE
            -- a sync took it at the return, and the list agrees now: that was judged already
            WHEN EXISTS (SELECT FROM @extschema@.model_access_history AS h
                         WHERE h.history_id = f.status_id AND h.run_id IS NOT NULL)
            THEN jsonb_build_object('status', w.status, 'status_before_missing', NULL)
            ELSE jsonb_build_object('status', 'new', 'status_before_missing', NULL, 'returned_at', clock_timestamp()) END
        ELSE '{}' END, f.ids, f.costs
    FROM found AS f JOIN @extschema@.model_access AS m ON m.model_id = f.subject
    CROSS JOIN LATERAL (SELECT coalesce(f.columns ->> 'status_before_missing', f.columns ->> 'status')) AS w(status);
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_columns(jsonb) IS 'Internal. For each model the columns that an undo puts back, the rows of the history that it takes back, and whether is_free must stay because the model costs now.';

CREATE FUNCTION @extschema@._model_access_undo_models(steps jsonb)
RETURNS TABLE (kind text, model_id text, subject text, ids bigint[], columns jsonb, is_now jsonb, was jsonb, refused jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH model AS (
        SELECT m.model_id, to_jsonb(m) AS present, to_jsonb(n) AS past, u.columns, u.ids, u.costs, r.refused
        FROM (SELECT DISTINCT s.subject FROM jsonb_to_recordset(steps) AS s(unit text, subject text)
              WHERE s.unit NOT IN ('override', 'rule')) AS s
        JOIN @extschema@.model_access AS m ON m.model_id = s.subject
        LEFT JOIN @extschema@._model_access_undo_columns(steps) AS u ON u.model_id = s.subject
        LEFT JOIN (
            SELECT s.subject, jsonb_object_agg(CASE s.unit WHEN 'review' THEN 'reviewed_at' ELSE s.unit END, s.refused) AS refused
            FROM jsonb_to_recordset(steps) AS s(unit text, subject text, refused text, was jsonb)
            JOIN @extschema@.model_access AS m ON m.model_id = s.subject
            -- what is so already needs no reason
            WHERE s.refused IS NOT NULL AND CASE
                WHEN s.unit = 'status' THEN s.was NOT IN (
                    @extschema@._model_access_undo_status(to_jsonb(m), NULL::bigint),
                    @extschema@._model_access_undo_status(to_jsonb(m), 0::bigint))
                WHEN s.unit = 'review' THEN true
                ELSE jsonb_build_object('is_free', m.is_free, 'is_pro', m.is_pro, 'is_enterprise', m.is_enterprise,
                    'note', m.note)
                    -> s.unit <> s.was -> s.unit END
            GROUP BY s.subject) AS r ON r.subject = s.subject
        -- times and numbers are written alike, whoever recorded them
        CROSS JOIN LATERAL jsonb_populate_record(m, coalesce(u.columns, '{}')) AS n),
    shown AS (
        SELECT m.model_id, m.ids, m.present, m.past, coalesce(d.keys, '{}') AS written,
            ARRAY(SELECT d.key FROM unnest(d.keys) AS d(key) WHERE d.key IN (
                'status', 'status_before_missing', 'is_free', 'is_pro', 'is_enterprise', 'note')) AS keys,
            coalesce(m.refused, '{}') || CASE WHEN m.costs THEN '{"is_free": "not free any more"}'::jsonb ELSE '{}' END AS refused
        FROM model AS m
        CROSS JOIN LATERAL (SELECT array_agg(c.key) AS keys FROM jsonb_object_keys(coalesce(m.columns, '{}')) AS c(key)
                            WHERE m.present -> c.key <> m.past -> c.key) AS d),
    -- the stamp goes without saying, but where there is nothing else
    said AS (
        SELECT s.model_id, s.ids, s.present, s.past, s.written,
            CASE WHEN s.keys = '{}' AND 'reviewed_at' = ANY (s.written) THEN '{reviewed_at}' ELSE s.keys END AS keys,
            CASE WHEN s.keys = '{}' AND s.refused - 'reviewed_at' = '{}' THEN s.refused
                 ELSE s.refused - 'reviewed_at' END AS refused
        FROM shown AS s)
    SELECT 'model', s.model_id, s.model_id, s.ids,
        (SELECT jsonb_object_agg(k.key, s.past -> k.key) FROM unnest(s.written) AS k(key) WHERE s.keys <> '{}'),
        (SELECT jsonb_object_agg(k.key, s.present -> k.key)
         FROM (SELECT unnest(s.keys) UNION SELECT jsonb_object_keys(s.refused)) AS k(key)),
        (SELECT jsonb_object_agg(k.key, s.past -> k.key) FROM unnest(s.keys) AS k(key)), nullif(s.refused, '{}')
    FROM said AS s WHERE s.keys <> '{}' OR s.refused <> '{}';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_models(jsonb) IS 'Internal. A row for each model: what an undo writes (columns), and what it shows of that.';

CREATE FUNCTION @extschema@._model_access_override_problem(override jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF @extschema@._model_access_user_key(override ->> 'user_id') IS NULL THEN
        RETURN format('user "%s" cannot be in the bound profiles', override ->> 'user_id');
    END IF;
    IF override ->> 'model_id' IS NOT NULL THEN
        PERFORM FROM @extschema@.model_access AS m WHERE m.model_id = override ->> 'model_id';
        RETURN CASE WHEN NOT FOUND THEN format('there is no model "%s"', override ->> 'model_id') END;
    END IF;
    PERFORM FROM @extschema@.model_access AS m WHERE m.provider = override ->> 'provider' LIMIT 1;
    RETURN CASE WHEN NOT FOUND THEN format('there is no provider "%s"', override ->> 'provider') END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_override_problem(jsonb) IS 'Internal. Why an override as the history holds it could match nothing now; NULL where it can.';

CREATE FUNCTION @extschema@._model_access_undo_others(steps jsonb)
RETURNS TABLE (kind text, model_id text, subject text, ids bigint[], columns jsonb, is_now jsonb, was jsonb, refused jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH step AS (
        SELECT s.unit, s.subject, s.ids, s.refused, nullif(coalesce(h.old, s.was) -> s.unit, 'null') AS past
        FROM jsonb_to_recordset(steps) AS s(unit text, subject text, ids bigint[], refused text, was jsonb)
        LEFT JOIN @extschema@.model_access_history AS h ON h.history_id = (SELECT min(i.id) FROM unnest(s.ids) AS i(id))
        WHERE s.unit IN ('override', 'rule')),
    -- times are written alike, whoever recorded them; a column that came since is null
    found AS (
        SELECT s.unit, s.subject, s.ids, s.refused, to_jsonb(o) AS present,
            (SELECT to_jsonb(n) FROM jsonb_populate_record(NULL::@extschema@.model_access_override, s.past) AS n
             WHERE n.override_id IS NOT NULL) AS past
        FROM step AS s LEFT JOIN @extschema@.model_access_override AS o ON o.override_id = s.subject::bigint
        WHERE s.unit = 'override'
        UNION ALL
        SELECT s.unit, s.subject, s.ids, s.refused, to_jsonb(r),
            (SELECT to_jsonb(n) FROM jsonb_populate_record(NULL::@extschema@.model_access_rule, s.past) AS n
             WHERE n.position IS NOT NULL)
        FROM step AS s LEFT JOIN @extschema@.model_access_rule AS r ON r.position = s.subject::integer WHERE s.unit = 'rule'),
    judged AS (
        SELECT f.*, coalesce(f.refused, CASE WHEN f.unit = 'override' AND f.past IS NOT NULL
            THEN @extschema@._model_access_override_problem(f.past) END) AS reason
        FROM found AS f WHERE f.present IS DISTINCT FROM f.past)
    SELECT j.unit, coalesce(j.present, j.past) ->> 'model_id', j.subject, j.ids,
        CASE WHEN j.reason IS NULL THEN coalesce(j.past, '{}') END,
        jsonb_build_object(j.unit, j.present), CASE WHEN j.reason IS NULL THEN jsonb_build_object(j.unit, j.past) END,
        CASE WHEN j.reason IS NOT NULL THEN jsonb_build_object(j.unit, j.reason) END
    FROM judged AS j;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_others(jsonb) IS 'Internal. A row for each override and rule: what it was (columns; {} = it was not there), and what an undo shows.';
