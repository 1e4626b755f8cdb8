-- The history for people: what each statement changed, and the statement that takes it back.

CREATE FUNCTION @extschema@._model_access_undo_statement(ids bigint[], overrides boolean, rules boolean) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('SELECT * FROM %s(history_ids => %s,%s%s dry_run => false);',
        -- with its types, because others may have functions of this name
        '@extschema@.model_access_undo(timestamptz,boolean,text[],text,bigint[],boolean,boolean)'::regprocedure::regproc,
        CASE WHEN count(*) > 3 OR cardinality(ids) <= 20 THEN format('''{%s}''', array_to_string(ids, ','))
             -- ranges keep the statement short
             ELSE format('ARRAY(%s)', string_agg(
                 format('SELECT generate_series(%s, %s)', r.first, r.last), ' UNION ALL ' ORDER BY r.first)) END,
        CASE WHEN overrides THEN ' overrides => true,' END, CASE WHEN rules THEN ' rules => true,' END)
    FROM (
        SELECT min(n.id) AS first, max(n.id) AS last
        FROM (SELECT i.id, i.id - row_number() OVER (ORDER BY i.id) AS range FROM unnest(ids) AS i(id)) AS n
        GROUP BY n.range) AS r
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_statement(bigint[], boolean, boolean) IS
    'Internal. Gives the call of model_access_undo that takes back exactly these rows of the history; NULL without rows.';

CREATE VIEW @extschema@._model_access_change AS
SELECT l.at, l.actor, l.actor_role, l.on_behalf_of, l.run_id, s.*
FROM @extschema@.model_access_history AS l
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, array_agg(h.history_id) AS ids,
        bool_or(h.undo_of IS NOT NULL) AS is_undo, bool_or(h.user_id IS NOT NULL) AS overrides,
        bool_or(h.rule IS NOT NULL) AS rules,
        array_agg(h.history_id ORDER BY h.history_id) FILTER (WHERE CASE WHEN h.run_id IS NULL
            THEN h.user_id IS NOT NULL OR h.rule IS NOT NULL
              OR h.new ?| ('{status_before_missing,reviewed_at}'::text[] || @extschema@._model_access_decided_columns())
            -- what a sync took
            ELSE @extschema@._model_access_flagged(h.old) <> '{}'
              OR (coalesce(h.old ->> 'status_before_missing', h.old ->> 'status') = 'active'
                  AND coalesce(h.new ->> 'status_before_missing', h.new ->> 'status') = 'new') END) AS undoable
    FROM @extschema@.model_access_history AS h
    WHERE h.at = l.at AND (h.actor, h.actor_role, h.on_behalf_of, h.run_id)
        IS NOT DISTINCT FROM (l.actor, l.actor_role, l.on_behalf_of, l.run_id)) AS s
-- The last row of each statement. In this order the newest few are found by the primary key, whatever the clock said.
WHERE CASE WHEN EXISTS (
        -- most rows are followed by a row of their statement; to look for the last one from each takes quadratic time
        SELECT FROM @extschema@.model_access_history AS h
        WHERE h.history_id = (
            SELECT min(n.history_id) FROM @extschema@.model_access_history AS n WHERE n.history_id > l.history_id)
          AND h.at = l.at AND (h.actor, h.actor_role, h.on_behalf_of, h.run_id)
            IS NOT DISTINCT FROM (l.actor, l.actor_role, l.on_behalf_of, l.run_id)) THEN false
    -- With >= and not =, the planner expects many such rows, and so does not compile the plan of a query with LIMIT.
    ELSE l.history_id >= (
        SELECT h.history_id FROM @extschema@.model_access_history AS h
        WHERE h.at = l.at AND (h.actor, h.actor_role, h.on_behalf_of, h.run_id)
            IS NOT DISTINCT FROM (l.actor, l.actor_role, l.on_behalf_of, l.run_id)
        ORDER BY h.history_id DESC LIMIT 1) END
ORDER BY l.history_id DESC;
COMMENT ON VIEW @extschema@._model_access_change IS
    'Internal. One row for each statement: its rows of the history (ids), and those of them that can be undone (undoable).';

CREATE VIEW @extschema@._model_access_change_item AS
SELECT h.history_id, i.item,
    CASE WHEN k.key IN ('status', 'override', 'rule') THEN 1
         WHEN k.key = 'note' THEN 3
         WHEN @extschema@._model_access_is_decision(k.key) THEN 2
         WHEN k.key IN ('missing_since', 'reviewed_at') THEN 4 ELSE 5 END AS rank
FROM @extschema@.model_access_history AS h
CROSS JOIN LATERAL jsonb_object_keys(h.old || h.new) AS k(key)
CROSS JOIN LATERAL (SELECT CASE
    WHEN k.key IN ('override', 'rule') THEN format('%s %s', k.key,
        CASE WHEN h.old = '{}' THEN 'added' WHEN h.new = '{}' THEN 'removed' ELSE 'changed' END)
    WHEN k.key = 'missing_since' THEN CASE WHEN h.new ->> k.key IS NULL THEN 'listed again' ELSE 'left the list' END
    -- a decision writes reviewed_at too
    WHEN k.key = 'reviewed_at' THEN CASE WHEN NOT EXISTS (
        SELECT FROM jsonb_object_keys(h.new) AS n(key) WHERE @extschema@._model_access_is_decision(n.key) AND n.key <> 'note')
        THEN 'reviewed' END
    WHEN k.key = 'note' THEN k.key
    WHEN @extschema@._model_access_is_decision(k.key) THEN format('%s: %s -> %s', k.key, h.old ->> k.key, h.new ->> k.key)
    -- these change together with another key
    WHEN left(k.key, 9) = 'reviewed_' OR k.key IN (
        'changed_at', 'last_run_id', 'status_before_missing', 'returned_at', 'free_revoked_at', 'tiers_before',
        'price_guarded_at', 'prompt_usd_per_million', 'completion_usd_per_million', 'highest_usd_per_million',
        'highest_prices', 'is_free_of_charge', 'charges_per_use') THEN NULL
    ELSE k.key END) AS i(item)
WHERE i.item IS NOT NULL;
COMMENT ON VIEW @extschema@._model_access_change_item IS
    'Internal. What each row of the history changed, as model_access_changes names it, and how important that is (1 is most).';

CREATE VIEW @extschema@.model_access_changes AS
SELECT
    c.at, c.actor, c.actor_role, c.on_behalf_of, c.run_id, c.rows,
    CASE WHEN c.is_undo THEN 'undo: ' ELSE '' END || coalesce((
        SELECT string_agg(CASE WHEN i.n <= 6 THEN format('%s (%s)', i.item, i.count) ELSE '...' END, '; ' ORDER BY i.n) FROM (
            SELECT d.item, count(*), row_number() OVER (ORDER BY min(d.rank), count(*) DESC, d.item) AS n
            FROM @extschema@._model_access_change_item AS d WHERE d.history_id = ANY (c.ids) GROUP BY d.item) AS i
        WHERE i.n <= 7), 'bookkeeping') AS what,
    u.undone,
    CASE WHEN NOT u.undone THEN @extschema@._model_access_undo_statement(c.undoable, c.overrides, c.rules) END AS undo
FROM @extschema@._model_access_change AS c
LEFT JOIN LATERAL (
    SELECT bool_and((d.history_id, k.unit) IN (
        SELECT b.history_id, b.unit FROM @extschema@._model_access_undone() AS b)) AS undone
    FROM @extschema@.model_access_history AS d CROSS JOIN LATERAL (
        SELECT @extschema@._model_access_undo_unit(k.key) AS unit FROM jsonb_object_keys(d.old || d.new) AS k(key)) AS k
    WHERE d.history_id = ANY (c.undoable)
      AND (@extschema@._model_access_is_decision(k.unit) OR k.unit IN ('review', 'override', 'rule'))) AS u ON true;
COMMENT ON VIEW @extschema@.model_access_changes IS
    'Shows what was done: one row for each statement, the newest first, with the statement that undoes it.';
COMMENT ON COLUMN @extschema@.model_access_changes.at IS 'When the statement ran.';
COMMENT ON COLUMN @extschema@.model_access_changes.actor IS 'The role that had logged in.';
COMMENT ON COLUMN @extschema@.model_access_changes.actor_role IS 'The role set by SET ROLE; NULL without one.';
COMMENT ON COLUMN @extschema@.model_access_changes.on_behalf_of IS
    'The person for whom actor claims to have acted; NULL without a claim.';
COMMENT ON COLUMN @extschema@.model_access_changes.run_id IS 'The run of the sync that made the change; NULL for an admin.';
COMMENT ON COLUMN @extschema@.model_access_changes.rows IS 'The number of models, overrides or rules that the statement changed.';
COMMENT ON COLUMN @extschema@.model_access_changes.what IS
    'The six most important kinds of changes, each with the number of rows.';
COMMENT ON COLUMN @extschema@.model_access_changes.undone IS
    'Whether everything in the row has been taken back; NULL if nothing in it can be taken back.';
COMMENT ON COLUMN @extschema@.model_access_changes.undo IS
    'The statement that takes the change back; NULL if it has been taken back or cannot be.';
