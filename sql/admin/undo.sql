-- Takes changes back: rows of the history, not a moment. What others changed since stays, and so does what an undo took back
-- already. The undo is itself a recorded change, and its rows say in undo_of what they took back.

CREATE FUNCTION @extschema@._model_access_undo_unit(key text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN key IN ('status', 'status_before_missing') THEN 'status'
    WHEN key IN ('is_free', 'is_pro', 'is_enterprise', 'note', 'returned_at', 'free_revoked_at', 'tiers_before',
                 'price_guarded_at', 'override', 'rule') THEN key
    WHEN left(key, 9) = 'reviewed_' THEN 'review'
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_unit(text) IS 'Internal. What a key of old and new in the history is taken back with: the stamp of a review is one unit, and so is a status with what it was before the model went missing; NULL for what a sync writes.';

CREATE VIEW @extschema@._model_access_undo_subject AS
SELECT h.*,
    CASE WHEN h.user_id IS NOT NULL THEN 'override' WHEN h.rule IS NOT NULL THEN 'rule' ELSE 'model' END AS kind,
    CASE WHEN h.user_id IS NOT NULL THEN coalesce(h.new #>> '{override,override_id}', h.old #>> '{override,override_id}')
         WHEN h.rule IS NOT NULL THEN h.rule::text ELSE h.model_id END AS subject
FROM @extschema@.model_access_history AS h;
COMMENT ON VIEW @extschema@._model_access_undo_subject IS 'Internal. The history, with what each row is about: a model, an override (its number) or a rule (its position).';

CREATE FUNCTION @extschema@._model_access_undone() RETURNS TABLE (history_id bigint, unit text, waits boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    undone text[] := '{}';
    found  text[];
    stamps jsonb;
BEGIN
    -- an undo took reviews back down to the oldest stamp that it or a later one put back; a stamp of its own takes none back
    stamps := (SELECT jsonb_agg(v) FROM (
        SELECT h.model_id, h.history_id, h.undo_of, min(o.history_id) AS oldest,
            -- what several changes had left as it was is taken back with their review
            ARRAY(SELECT k.key FROM @extschema@.model_access_history AS i CROSS JOIN LATERAL jsonb_object_keys(i.new) AS k(key)
                  WHERE i.history_id = ANY (h.undo_of) AND NOT h.new ? k.key
                    AND k.key IN ('status', 'is_free', 'is_pro', 'is_enterprise', 'note')
                  GROUP BY k.key
                  HAVING (array_agg(i.old -> k.key ORDER BY i.history_id))[1]
                       = (array_agg(i.new -> k.key ORDER BY i.history_id DESC))[1]) AS level
        FROM @extschema@.model_access_history AS h
        LEFT JOIN @extschema@.model_access_history AS o
          ON o.model_id = h.model_id AND o.history_id < h.history_id AND o.old ? 'reviewed_at'
          AND coalesce((o.old ->> 'reviewed_at')::timestamptz, '-infinity')
            = coalesce((h.new ->> 'reviewed_at')::timestamptz, '-infinity')
        WHERE h.undo_of IS NOT NULL AND h.new ? 'reviewed_at' GROUP BY h.history_id) AS v);
    -- an undo that was itself taken back took nothing back; as many rounds as there are undos of undos
    LOOP
        found := ARRAY(
            WITH stamp AS (
                SELECT v.history_id, min(v.oldest) FILTER (WHERE d.item IS NULL)
                    OVER (PARTITION BY v.model_id ORDER BY v.history_id DESC) AS oldest
                FROM jsonb_to_recordset(stamps) AS v(model_id text, history_id bigint, oldest bigint)
                LEFT JOIN unnest(undone) AS d(item) ON d.item = format('%s review', v.history_id))
            SELECT DISTINCT format(CASE WHEN u.unit = 'review' AND (i.id < s.oldest) IS NOT FALSE
                                        THEN '%s %s waits' ELSE '%s %s' END, i.id, u.unit)
            FROM (SELECT DISTINCT h.history_id, h.undo_of, @extschema@._model_access_undo_unit(k.key) AS unit, NULL AS with_unit
                  FROM @extschema@.model_access_history AS h CROSS JOIN LATERAL jsonb_object_keys(h.old || h.new) AS k(key)
                  WHERE h.undo_of IS NOT NULL
                  UNION ALL
                  SELECT v.history_id, v.undo_of, l.key, 'review'
                  FROM jsonb_to_recordset(stamps) AS v(history_id bigint, undo_of bigint[], level text[])
                  CROSS JOIN LATERAL unnest(v.level) AS l(key)) AS u
            LEFT JOIN stamp AS s ON s.history_id = u.history_id
            CROSS JOIN LATERAL unnest(u.undo_of) AS i(id)
            WHERE u.unit IS NOT NULL AND i.id < u.history_id AND (u.with_unit IS NULL OR i.id >= s.oldest)
              AND NOT EXISTS (SELECT FROM unnest(undone) AS d(item)
                              WHERE d.item = format('%s %s', u.history_id, coalesce(u.with_unit, u.unit)))
            ORDER BY 1);
        EXIT WHEN found = undone;
        undone := found;
    END LOOP;
    RETURN QUERY SELECT split_part(d.item, ' ', 1)::bigint, split_part(d.item, ' ', 2), split_part(d.item, ' ', 3) <> ''
        FROM unnest(undone) AS d(item);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undone() IS 'Internal. What undos have taken back of which rows of the history, but for undos that were taken back themselves. waits: the review, where somebody had decided since, so that it goes when that is taken back.';

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

CREATE FUNCTION @extschema@._model_access_undo_status(state jsonb, run_id bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE
    -- a model that leaves the list and returns keeps its status, in status_before_missing
    WHEN run_id IS NOT NULL
    THEN jsonb_build_object('status', coalesce(state ->> 'status_before_missing', state ->> 'status', 'inactive'),
        'status_before_missing', NULL)
    -- what an admin decides about a model that is missing is more than that
    ELSE jsonb_build_object('status', coalesce(state ->> 'status', 'inactive'),
        'status_before_missing', state ->> 'status_before_missing')
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_status(jsonb, bigint) IS 'Internal. The status in old or new of a row of the history, as changes of it are compared. For a sync (run_id) a model that leaves the list or returns keeps it.';

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

CREATE FUNCTION @extschema@._model_access_undo_rows(
    since timestamptz, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean)
RETURNS TABLE (unit text, subject text, history_id bigint, was jsonb, became jsonb,
    wanted boolean, waits boolean, gives boolean, run_id bigint, why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH wanted AS MATERIALIZED (
        SELECT h.history_id, h.kind, h.subject FROM @extschema@._model_access_undo_subject AS h
        WHERE (since IS NULL OR h.at >= since)
          -- a sync's and an undo's only where named, or what a sync took since then where nobody's are meant
          AND CASE WHEN history_ids IS NULL THEN h.undo_of IS NULL AND (h.run_id IS NULL OR _model_access_undo_rows.actor IS NULL)
                   ELSE h.history_id IN (SELECT i.id FROM unnest(history_ids) AS i(id)) END
          AND (model_ids IS NULL OR h.model_id = ANY (model_ids))
          AND (_model_access_undo_rows.actor IS NULL OR _model_access_undo_rows.actor IN (h.actor, h.actor_role, h.on_behalf_of))
          AND CASE h.kind WHEN 'override' THEN overrides WHEN 'rule' THEN rules ELSE true END),
    undone AS MATERIALIZED (SELECT u.history_id, u.unit, u.waits FROM @extschema@._model_access_undone() AS u),
    waiting AS MATERIALIZED (
        SELECT h.history_id, h.kind, h.subject FROM @extschema@._model_access_undo_subject AS h
        WHERE h.history_id IN (SELECT d.history_id FROM undone AS d WHERE d.waits) AND h.run_id IS NULL),
    first AS (
        SELECT r.kind, r.subject, min(r.history_id) AS history_id FROM (
            SELECT w.*, true AS wanted FROM wanted AS w UNION ALL SELECT w.*, false FROM waiting AS w) AS r
        GROUP BY r.kind, r.subject HAVING bool_or(r.wanted))
    SELECT u.unit, h.subject, h.history_id, u.was, u.became, w.history_id IS NOT NULL,
        -- with the review goes what the decision cleared
        q.history_id IS NOT NULL
            AND u.unit IN ('review', 'returned_at', 'free_revoked_at', 'tiers_before', 'price_guarded_at'),
        h.run_id IS NOT NULL AND CASE u.unit WHEN 'status' THEN u.became ->> 'status' = 'active'
            WHEN 'is_free' THEN u.became @> '{"is_free": true}' WHEN 'is_pro' THEN u.became @> '{"is_pro": true}'
            WHEN 'is_enterprise' THEN u.became @> '{"is_enterprise": true}' ELSE u.became @> jsonb_build_object(u.unit, NULL) END,
        h.run_id,
        CASE WHEN h.run_id IS NULL
             THEN format('changed since by %s, %s', coalesce(h.on_behalf_of, h.actor_role, h.actor), date_trunc('second', h.at))
             ELSE format('%s: run %s', CASE
                 WHEN h.new ? 'free_revoked_at' AND u.unit = 'is_free' THEN 'stopped being free'
                 WHEN h.new ->> 'returned_at' IS NOT NULL THEN 'came back late or dearer'
                 WHEN u.unit = 'status' AND u.became ->> 'status' = 'new' THEN 'price above the reviewed one'
                 ELSE 'changed since by a sync' END, h.run_id) END
    FROM @extschema@._model_access_undo_subject AS h
    JOIN first ON first.kind = h.kind AND first.subject = h.subject AND h.history_id >= first.history_id
    CROSS JOIN LATERAL (
        SELECT c.unit,
            CASE c.unit
                WHEN 'status' THEN @extschema@._model_access_undo_status(h.old, h.run_id)
                WHEN 'review' THEN jsonb_build_object('reviewed_at', h.old -> 'reviewed_at')
                ELSE jsonb_object_agg(c.key, h.old -> c.key) END AS was,
            CASE c.unit
                WHEN 'status' THEN @extschema@._model_access_undo_status(h.new, h.run_id)
                WHEN 'review' THEN jsonb_build_object('reviewed_at', h.new -> 'reviewed_at')
                ELSE jsonb_object_agg(c.key, h.new -> c.key) END AS became
        FROM (SELECT k.key, @extschema@._model_access_undo_unit(k.key) AS unit
              FROM jsonb_object_keys(h.old || h.new) AS k(key)) AS c
        WHERE c.unit IS NOT NULL GROUP BY c.unit) AS u
    LEFT JOIN wanted AS w ON w.history_id = h.history_id
    LEFT JOIN waiting AS q ON q.history_id = h.history_id
    WHERE u.was <> u.became
      -- an undo and what it took back cancel out
      AND (h.undo_of IS NULL OR w.history_id IS NOT NULL OR q.history_id IS NOT NULL)
      AND NOT EXISTS (SELECT FROM undone AS d WHERE d.history_id = h.history_id AND d.unit = u.unit AND NOT d.waits);
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_rows(timestamptz, text[], text, bigint[], boolean, boolean) IS 'Internal. What counts still of the changes that are to be undone (wanted) and of those that came after them, a row for each unit of _model_access_undo_unit: what it was and became, whether an earlier undo left it for later (waits), whether a sync gave it back, and what to say where it stands in the way.';

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

CREATE FUNCTION @extschema@._model_access_undo_write(plan jsonb, after bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT @extschema@._model_access_update(jsonb_agg(
        -- the stamp of somebody else's review stays, with what it saw; but now somebody decided otherwise; a note is no decision
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
COMMENT ON FUNCTION @extschema@._model_access_undo_write(jsonb, bigint) IS 'Internal. Writes what an undo does to models: one UPDATE for decisions, one for rows of which only the note changed; and names in the history what it took back.';

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

    -- one row each in place of what the triggers recorded; under the locks nobody else writes such rows
    DELETE FROM @extschema@.model_access_history AS h USING jsonb_to_recordset(plan) AS p(kind text, subject text)
    WHERE h.history_id > after
      AND p.kind = CASE WHEN h.user_id IS NOT NULL THEN 'override' WHEN h.rule IS NOT NULL THEN 'rule' END
      AND p.subject = CASE WHEN h.rule IS NOT NULL THEN h.rule::text
          ELSE coalesce(h.new #>> '{override,override_id}', h.old #>> '{override,override_id}') END;
    INSERT INTO @extschema@.model_access_history (model_id, user_id, rule, at, old, new, undo_of)
    SELECT p.model_id, CASE p.kind WHEN 'override' THEN coalesce(o.user_id, p.is_now #>> '{override,user_id}') END,
        CASE p.kind WHEN 'rule' THEN p.subject::integer END, t.at,
        CASE WHEN p.is_now -> p.kind = 'null' THEN '{}' ELSE p.is_now END,
        CASE WHEN p.columns = '{}' THEN '{}'
             ELSE jsonb_build_object(p.kind, CASE p.kind WHEN 'rule' THEN p.columns ELSE to_jsonb(o) END) END,
        p.ids
    FROM (SELECT clock_timestamp()) AS t(at)
    CROSS JOIN jsonb_to_recordset(plan) AS p(kind text, model_id text, subject text, columns jsonb, is_now jsonb, ids bigint[])
    LEFT JOIN @extschema@.model_access_override AS o ON p.kind = 'override' AND o.override_id = p.subject::bigint
    WHERE p.kind IN ('override', 'rule') AND p.columns IS NOT NULL ORDER BY p.kind, p.subject;
    SELECT @extschema@._model_access_notify();
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write_others(jsonb, bigint) IS 'Internal. Writes what an undo does to overrides and rules, and one row for each in the history.';

CREATE FUNCTION @extschema@._model_access_undo_check(
    since timestamptz, dry_run boolean, model_ids text[], history_ids bigint[], overrides boolean, rules boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found text;
BEGIN
    IF (since IS NULL AND history_ids IS NULL) OR dry_run IS NULL OR since > clock_timestamp() THEN
        RAISE EXCEPTION 'cannot undo what was changed since %', coalesce(since::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a moment in the past, or history_ids; model_access_changes has the statement for each change.';
    ELSIF model_ids IS NOT NULL THEN
        PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
            'there is no model'::text, 'Ids are exact; look in model_access.'::text);
    END IF;
    found := (SELECT string_agg(coalesce(i.id::text, 'NULL'), ', ' ORDER BY i.id) FROM (
        SELECT i.id FROM unnest(history_ids) AS i(id) LEFT JOIN @extschema@.model_access_history AS h ON h.history_id = i.id
        WHERE h.history_id IS NULL ORDER BY i.id LIMIT 5) AS i);
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'there is no change %', found
            USING ERRCODE = 'no_data_found', DETAIL = 'Nothing was changed.',
                  HINT = 'Name history_id of rows of model_access_history.';
    END IF;
    found := (
        SELECT min(CASE WHEN h.rule IS NULL THEN 'overrides' ELSE 'rules' END) FROM @extschema@.model_access_history AS h
        WHERE h.history_id = ANY (history_ids)
          AND ((h.user_id IS NOT NULL AND NOT overrides) OR (h.rule IS NOT NULL AND NOT rules)));
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'history_ids name changes of %', found
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Nothing was changed.', HINT = format('Add %s => true.', found);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo_check(timestamptz, boolean, text[], bigint[], boolean, boolean) IS 'Internal. Error 22023 or P0002 where the arguments of model_access_undo name nothing that can be undone.';

CREATE FUNCTION @extschema@._model_access_undo(
    since timestamptz, dry_run boolean, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean,
    OUT model_id text, OUT is_now jsonb, OUT was jsonb, OUT refused jsonb)
RETURNS SETOF record
-- jit: compiling costs several times what the walk through the history does; nested loops: how many rows are meant is not known
-- beforehand, and a guess of few is slow by the square
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
        -- what is planned is what is written
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
        SELECT p.model_id, p.is_now, nullif(p.was, 'null'), nullif(p.refused, 'null')
        FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, subject text, is_now jsonb, was jsonb, refused jsonb)
        ORDER BY p.kind, p.model_id, length(p.subject), p.subject;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo(timestamptz, boolean, text[], text, bigint[], boolean, boolean) IS 'Internal. What model_access_undo does.';
