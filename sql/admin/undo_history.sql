-- Finds the changes in the history that an undo is about, and which of them still count. Nothing here writes.

CREATE FUNCTION @extschema@._model_access_is_decision(key text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN key = ANY (@extschema@._model_access_decided_columns());
COMMENT ON FUNCTION @extschema@._model_access_is_decision(text) IS
    'Internal. Tells whether a column of model_access is decided by admins: the status, a tier or the note.';

CREATE FUNCTION @extschema@._model_access_undo_unit(key text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN key = 'status_before_missing' THEN 'status'
    WHEN @extschema@._model_access_is_decision(key)
        OR key IN ('returned_at', 'free_revoked_at', 'tiers_before', 'price_guarded_at', 'override', 'rule') THEN key
    WHEN left(key, 9) = 'reviewed_' THEN 'review'
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_unit(text) IS
    'Internal. Gives the unit in which a key of old and new in the history is taken back; NULL if it is never taken back.';

CREATE VIEW @extschema@._model_access_undo_subject AS
SELECT h.*,
    CASE WHEN h.user_id IS NOT NULL THEN 'override' WHEN h.rule IS NOT NULL THEN 'rule' ELSE 'model' END AS kind,
    CASE WHEN h.user_id IS NOT NULL THEN coalesce(h.new #>> '{override,override_id}', h.old #>> '{override,override_id}')
         WHEN h.rule IS NOT NULL THEN h.rule::text ELSE h.model_id END AS subject
FROM @extschema@.model_access_history AS h;
COMMENT ON VIEW @extschema@._model_access_undo_subject IS
    'Internal. The history, with the subject of each row: a model, an override (its number) or a rule (its position).';

CREATE FUNCTION @extschema@._model_access_undone() RETURNS TABLE (history_id bigint, unit text, waits boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    undone text[] := '{}';
    found  text[];
    stamps jsonb;
BEGIN
    -- oldest: the change that replaced the stamp which the undo restored; the undo took back the reviews from that change on.
    -- It is NULL if the undo wrote a new stamp: then it took back no review.
    stamps := (SELECT jsonb_agg(v) FROM (
        SELECT h.model_id, h.history_id, h.undo_of, min(o.history_id) AS oldest,
            -- level: columns that the undone changes together left unchanged; they are taken back with the review
            ARRAY(SELECT k.key FROM @extschema@.model_access_history AS i CROSS JOIN LATERAL jsonb_object_keys(i.new) AS k(key)
                  WHERE i.history_id = ANY (h.undo_of) AND NOT h.new ? k.key
                    AND @extschema@._model_access_is_decision(k.key)
                  GROUP BY k.key
                  HAVING (array_agg(i.old -> k.key ORDER BY i.history_id))[1]
                       = (array_agg(i.new -> k.key ORDER BY i.history_id DESC))[1]) AS level
        FROM @extschema@.model_access_history AS h
        LEFT JOIN @extschema@.model_access_history AS o
          ON o.model_id = h.model_id AND o.history_id < h.history_id AND o.old ? 'reviewed_at'
          AND coalesce((o.old ->> 'reviewed_at')::timestamptz, '-infinity')
            = coalesce((h.new ->> 'reviewed_at')::timestamptz, '-infinity')
        WHERE h.undo_of IS NOT NULL AND h.new ? 'reviewed_at' GROUP BY h.history_id) AS v);
    -- an undo that was itself taken back takes nothing back; the loop runs once for each depth of undos of undos
    LOOP
        found := ARRAY(
            WITH stamp AS (
                -- a later undo that still counts may have restored an older stamp
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
-- waits: somebody decided after the undone review, so the review is taken back only together with that decision
COMMENT ON FUNCTION @extschema@._model_access_undone() IS
    'Internal. Gives the units of rows of the history that undos have taken back, without undos that were taken back themselves.';

CREATE FUNCTION @extschema@._model_access_undo_status(state jsonb, run_id bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE
    -- a model that leaves the list and returns keeps its status, in status_before_missing
    WHEN run_id IS NOT NULL
    THEN jsonb_build_object('status', coalesce(state ->> 'status_before_missing', state ->> 'status', 'inactive'),
        'status_before_missing', NULL)
    -- an admin's decision about a missing model changes both
    ELSE jsonb_build_object('status', coalesce(state ->> 'status', 'inactive'),
        'status_before_missing', state ->> 'status_before_missing')
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_status(jsonb, bigint) IS
    'Internal. Gives the status in old or new of a row of the history, in the form in which undo compares it.';

CREATE FUNCTION @extschema@._model_access_undo_mistimed(since timestamptz) RETURNS SETOF bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- statements that run at the same time get their numbers in any order, so a difference of up to a minute proves nothing
    SELECT t.history_id FROM (
        SELECT h.history_id, h.at, least(clock_timestamp(), min(h.at) OVER (
            ORDER BY h.history_id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS before
        FROM @extschema@.model_access_history AS h
        WHERE h.history_id >= (SELECT min(f.history_id) FROM @extschema@.model_access_history AS f WHERE f.at >= since)) AS t
    WHERE t.at >= since AND t.at > t.before + interval '1 minute';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_mistimed(timestamptz) IS
    'Internal. Gives the changes since a moment that were made before the clock was set back: a later one has an earlier time.';

CREATE FUNCTION @extschema@._model_access_undo_rows(
    since timestamptz, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean)
RETURNS TABLE (unit text, subject text, history_id bigint, old jsonb, new jsonb,
    wanted boolean, waits boolean, gives boolean, run_id bigint, why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH wanted AS MATERIALIZED (
        SELECT h.history_id, h.kind, h.subject FROM @extschema@._model_access_undo_subject AS h
        -- a change that was made before the clock was set back may be older than the moment that is meant
        WHERE (since IS NULL OR h.at >= since AND (history_ids IS NOT NULL
            OR h.history_id NOT IN (SELECT @extschema@._model_access_undo_mistimed(since))))
          -- without history_ids, undos are left out, and changes by syncs too if an actor is named
          AND CASE WHEN history_ids IS NULL
                   THEN h.undo_of IS NULL AND (h.run_id IS NULL OR _model_access_undo_rows.actor IS NULL)
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
    SELECT u.unit, h.subject, h.history_id, u.old, u.new, w.history_id IS NOT NULL,
        -- the review, and what the decision cleared, are taken back together
        q.history_id IS NOT NULL AND NOT @extschema@._model_access_is_decision(u.unit),
        h.run_id IS NOT NULL AND CASE WHEN u.unit = 'status' THEN u.new ->> 'status' = 'active'
            WHEN @extschema@._model_access_is_decision(u.unit) THEN u.new @> jsonb_build_object(u.unit, true)
            ELSE u.new @> jsonb_build_object(u.unit, NULL) END,
        h.run_id,
        CASE WHEN h.run_id IS NULL
             THEN format('changed since by %s, %s', coalesce(h.on_behalf_of, h.actor_role, h.actor), date_trunc('second', h.at))
             ELSE format('%s: run %s', CASE
                 WHEN h.new ? 'free_revoked_at' AND u.unit = 'is_free' THEN 'stopped being free'
                 WHEN h.new ->> 'returned_at' IS NOT NULL THEN 'returned late, or its price increased'
                 WHEN u.unit = 'status' AND u.new ->> 'status' = 'new' THEN 'price above the reviewed one'
                 ELSE 'changed since by a sync' END, h.run_id) END
    FROM @extschema@._model_access_undo_subject AS h
    JOIN first ON first.kind = h.kind AND first.subject = h.subject AND h.history_id >= first.history_id
    CROSS JOIN LATERAL (
        SELECT c.unit,
            CASE c.unit WHEN 'status' THEN @extschema@._model_access_undo_status(h.old, h.run_id)
                WHEN 'review' THEN jsonb_build_object('reviewed_at', h.old -> 'reviewed_at')
                ELSE jsonb_object_agg(c.key, h.old -> c.key) END AS old,
            CASE c.unit WHEN 'status' THEN @extschema@._model_access_undo_status(h.new, h.run_id)
                WHEN 'review' THEN jsonb_build_object('reviewed_at', h.new -> 'reviewed_at')
                ELSE jsonb_object_agg(c.key, h.new -> c.key) END AS new
        FROM (SELECT k.key, @extschema@._model_access_undo_unit(k.key) AS unit
              FROM jsonb_object_keys(h.old || h.new) AS k(key)) AS c
        WHERE c.unit IS NOT NULL GROUP BY c.unit) AS u
    LEFT JOIN wanted AS w ON w.history_id = h.history_id
    LEFT JOIN waiting AS q ON q.history_id = h.history_id
    WHERE u.old <> u.new
      -- an undo and the change that it took back cancel each other out
      AND (h.undo_of IS NULL OR w.history_id IS NOT NULL OR q.history_id IS NOT NULL)
      AND NOT EXISTS (SELECT FROM undone AS d WHERE d.history_id = h.history_id AND d.unit = u.unit AND NOT d.waits);
END;
-- wanted: the caller named this change. waits: an earlier undo left this review for later. gives: a sync gave something back.
-- why: the reason in the column refused, if this change prevents the undo.
COMMENT ON FUNCTION @extschema@._model_access_undo_rows(timestamptz, text[], text, bigint[], boolean, boolean) IS
    'Internal. Lists the changes to undo and the later ones, if they still count: one row for each unit.';
