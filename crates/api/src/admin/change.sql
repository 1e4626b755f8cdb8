-- $1 the moment of a statement
SELECT json_build_object(
    'ids', coalesce(json_agg(h.history_id ORDER BY h.history_id), '[]'),
    'overrides', coalesce(bool_or(h.user_id IS NOT NULL), false), 'rules', coalesce(bool_or(h.rule IS NOT NULL), false),
    'shown', to_char(min(h.at), 'YYYY-MM-DD HH24:MI:SS'), 'who', min(coalesce(h.on_behalf_of, h.actor_role, h.actor)), 'run', min(h.run_id),
    'rows', coalesce(json_agg(json_build_object('model_id', h.model_id, 'user_id', h.user_id, 'rule', h.rule, 'diff', (
        SELECT json_agg(json_build_object('key', d.key, 'old', left(h.old ->> d.key, 200), 'new', left(h.new ->> d.key, 200)))
        FROM jsonb_object_keys(h.old || h.new) AS d(key)
        WHERE h.old -> d.key IS DISTINCT FROM h.new -> d.key
                  -- written together with another key
                  AND (left(d.key, 9) <> 'reviewed_' OR d.key = 'reviewed_at'))) ORDER BY h.history_id), '[]'))::text
FROM {s}.model_access_history AS h WHERE h.at = $1::timestamptz
