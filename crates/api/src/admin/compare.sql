-- $1 a run; $2 what the preview showed: each an action and a model
WITH seen AS (
    SELECT split_part(v.text, ' ', 1) AS action, substr(v.text, strpos(v.text, ' ') + 1) AS model_id
    FROM jsonb_array_elements_text($2::jsonb) AS v(text)),
touched AS (SELECT m.model_id FROM {s}.model_access AS m WHERE m.last_run_id = $1::bigint)
SELECT json_build_object(
    'run', (SELECT to_json(r) FROM {s}.model_access_sync_log AS r WHERE r.run_id = $1::bigint),
    'more', (SELECT coalesce(json_agg(t.model_id ORDER BY t.model_id), '[]') FROM touched AS t
        WHERE t.model_id NOT IN (SELECT s.model_id FROM seen AS s)),
    'less', (SELECT coalesce(json_agg(s.model_id ORDER BY s.model_id), '[]') FROM seen AS s
        WHERE s.action <> 'withhold' AND s.model_id NOT IN (SELECT t.model_id FROM touched AS t)))::text
