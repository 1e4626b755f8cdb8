-- The history for people: what was done, statement by statement, and how to take each back.

CREATE FUNCTION @extschema@._model_access_undo_statement(ids bigint[], overrides boolean, rules boolean) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('SELECT * FROM %s(history_ids => %s,%s%s dry_run => false);', '@extschema@.model_access_undo'::regproc,
        CASE WHEN count(*) > 3 OR cardinality(ids) <= 20 THEN format('''{%s}''', array_to_string(ids, ','))
             -- exact, and short
             ELSE format('ARRAY(%s)', string_agg(
                 format('SELECT generate_series(%s, %s)', r.first, r.last), ' UNION ALL ' ORDER BY r.first)) END,
        CASE WHEN overrides THEN ' overrides => true,' END, CASE WHEN rules THEN ' rules => true,' END)
    FROM (
        SELECT min(n.id) AS first, max(n.id) AS last
        FROM (SELECT i.id, i.id - row_number() OVER (ORDER BY i.id) AS range FROM unnest(ids) AS i(id)) AS n
        GROUP BY n.range) AS r
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_statement(bigint[], boolean, boolean) IS 'Internal. The call of model_access_undo that takes back just these rows of the history; NULL for none.';

CREATE VIEW @extschema@.model_access_changes AS
SELECT
    c.at, c.actor, c.actor_role, c.on_behalf_of, c.run_id, c.rows,
    CASE WHEN c.is_undo THEN 'undo: ' ELSE '' END || coalesce((
        SELECT string_agg(CASE WHEN i.n <= 6 THEN format('%s (%s)', i.item, i.count) ELSE '...' END, '; ' ORDER BY i.n) FROM (
            SELECT s.item, count(*), row_number() OVER (ORDER BY min(s.rank), count(*) DESC, s.item) AS n
            FROM @extschema@.model_access_history AS d CROSS JOIN LATERAL jsonb_object_keys(d.old || d.new) AS k(key)
            CROSS JOIN LATERAL (SELECT
                CASE WHEN k.key IN ('status', 'override', 'rule') THEN 1
                     WHEN k.key IN ('is_free', 'is_pro', 'is_enterprise') THEN 2
                     WHEN k.key = 'note' THEN 3
                     WHEN k.key IN ('missing_since', 'reviewed_at') THEN 4 ELSE 5 END AS rank,
                CASE WHEN k.key IN ('status', 'is_free', 'is_pro', 'is_enterprise')
                     THEN format('%s: %s -> %s', k.key, d.old ->> k.key, d.new ->> k.key)
                     WHEN k.key IN ('override', 'rule') THEN format('%s %s', k.key,
                         CASE WHEN d.old = '{}' THEN 'added' WHEN d.new = '{}' THEN 'removed' ELSE 'changed' END)
                     WHEN k.key = 'missing_since'
                     THEN CASE WHEN d.new ->> k.key IS NULL THEN 'listed again' ELSE 'left the list' END
                     WHEN k.key = 'reviewed_at'
                     THEN CASE WHEN NOT d.new ?| '{status,is_free,is_pro,is_enterprise}' THEN 'reviewed' END
                     -- what goes with another key
                     WHEN left(k.key, 9) = 'reviewed_' OR k.key IN (
                         'changed_at', 'last_run_id', 'status_before_missing', 'returned_at', 'free_revoked_at',
                         'tiers_before', 'price_guarded_at', 'prompt_usd_per_million', 'completion_usd_per_million',
                         'highest_usd_per_million', 'highest_prices', 'is_free_of_charge', 'charges_per_use') THEN NULL
                     ELSE k.key END AS item) AS s
            WHERE d.history_id = ANY (c.ids) AND s.item IS NOT NULL GROUP BY s.item) AS i
        WHERE i.n <= 7), 'bookkeeping') AS what,
    (SELECT bool_and((d.history_id, k.unit) IN (SELECT u.history_id, u.unit FROM @extschema@._model_access_undone() AS u))
     FROM @extschema@.model_access_history AS d CROSS JOIN LATERAL (
         SELECT @extschema@._model_access_undo_unit(k.key) AS unit FROM jsonb_object_keys(d.old || d.new) AS k(key)) AS k
     WHERE d.history_id = ANY (c.undoable)
       AND k.unit IN ('status', 'is_free', 'is_pro', 'is_enterprise', 'note', 'review', 'override', 'rule')) AS undone,
    (SELECT CASE WHEN NOT bool_and(
             (d.history_id, k.unit) IN (SELECT u.history_id, u.unit FROM @extschema@._model_access_undone() AS u))
             THEN @extschema@._model_access_undo_statement(c.undoable, c.overrides, c.rules) END
     FROM @extschema@.model_access_history AS d CROSS JOIN LATERAL (
         SELECT @extschema@._model_access_undo_unit(k.key) AS unit FROM jsonb_object_keys(d.old || d.new) AS k(key)) AS k
     WHERE d.history_id = ANY (c.undoable)
       AND k.unit IN ('status', 'is_free', 'is_pro', 'is_enterprise', 'note', 'review', 'override', 'rule')) AS undo
-- so that the newest few are found by the index on at
FROM (
    SELECT h.at, h.actor, h.actor_role, h.on_behalf_of, h.run_id, count(*) AS rows, array_agg(h.history_id) AS ids,
        bool_or(h.undo_of IS NOT NULL) AS is_undo, bool_or(h.user_id IS NOT NULL) AS overrides,
        bool_or(h.rule IS NOT NULL) AS rules,
        array_agg(h.history_id ORDER BY h.history_id) FILTER (WHERE CASE WHEN h.run_id IS NULL
            THEN h.user_id IS NOT NULL OR h.rule IS NOT NULL
              OR h.new ?| '{status,status_before_missing,is_free,is_pro,is_enterprise,note,reviewed_at}'
            -- what a sync took
            ELSE h.old @> '{"is_free": true}' OR h.old @> '{"is_pro": true}' OR h.old @> '{"is_enterprise": true}'
              OR (coalesce(h.old ->> 'status_before_missing', h.old ->> 'status') = 'active'
                  AND coalesce(h.new ->> 'status_before_missing', h.new ->> 'status') = 'new') END) AS undoable
    FROM @extschema@.model_access_history AS h
    GROUP BY h.at, h.actor, h.actor_role, h.on_behalf_of, h.run_id ORDER BY h.at DESC) AS c;
COMMENT ON VIEW @extschema@.model_access_changes IS 'What was done, one row a statement (moment and actor), the newest first, with the statement that undoes it.';
COMMENT ON COLUMN @extschema@.model_access_changes.at IS 'When the statement ran.';
COMMENT ON COLUMN @extschema@.model_access_changes.actor IS 'Who had logged in.';
COMMENT ON COLUMN @extschema@.model_access_changes.actor_role IS 'The role set with SET ROLE; NULL where none was.';
COMMENT ON COLUMN @extschema@.model_access_changes.on_behalf_of IS 'For whom, as actor claims; NULL where nothing was claimed.';
COMMENT ON COLUMN @extschema@.model_access_changes.run_id IS 'The sync that did it; NULL for an admin.';
COMMENT ON COLUMN @extschema@.model_access_changes.rows IS 'How many models, overrides or rules it changed.';
COMMENT ON COLUMN @extschema@.model_access_changes.what IS 'What it changed, with the number of rows: the six most important kinds, ... for more. It begins with undo: where it was one.';
COMMENT ON COLUMN @extschema@.model_access_changes.undone IS 'Whether all of it has been taken back; NULL where there is nothing to take back.';
COMMENT ON COLUMN @extschema@.model_access_changes.undo IS 'The statement that takes it back, to paste; set dry_run to true to see first what it would do. NULL where it has been taken back, and where there is nothing to take back.';
