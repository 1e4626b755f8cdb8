-- $1 only changes before this moment
SELECT json_build_object('changes', coalesce(json_agg(json_build_object(
    'at', c.at::text, 'shown', to_char(c.at, 'YYYY-MM-DD HH24:MI:SS'), 'who', coalesce(c.on_behalf_of, c.actor_role, c.actor),
    'run', c.run_id, 'rows', c.rows, 'what', c.what, 'undone', c.undone, 'undoable', c.undo IS NOT NULL)), '[]'))::text
FROM (
    SELECT * FROM {s}.model_access_changes WHERE $1 IS NULL OR at < $1::timestamptz LIMIT 50) AS c
