-- Locks the chosen models, and says which are still as they were seen. $1 what was seen; $2 what to do
WITH chosen AS MATERIALIZED (
    SELECT split_part(s.seen, ':', 1) AS version, split_part(s.seen, ':', 2) AS proposed,
        substr(s.seen, length(split_part(s.seen, ':', 1)) + length(split_part(s.seen, ':', 2)) + 3) AS model_id
    FROM jsonb_array_elements_text($1::jsonb) AS s(seen)),
present AS MATERIALIZED (
    SELECT m.model_id, m.xmin::text AS version, m.status, concat_ws(' ', CASE WHEN m.is_free THEN 'free' END,
        CASE WHEN m.is_pro THEN 'pro' END, CASE WHEN m.is_enterprise THEN 'enterprise' END) AS tiers
    FROM {s}.model_access AS m WHERE m.model_id IN (SELECT c.model_id FROM chosen AS c)
    ORDER BY m.model_id FOR NO KEY UPDATE),
judged AS (
    SELECT DISTINCT ON (c.model_id) c.model_id, p.status, p.tiers, CASE
        WHEN p.model_id IS NULL THEN 'it does not exist'
        WHEN p.version <> c.version THEN concat('it was changed', (
            SELECT format(' by %s at %s', coalesce(h.on_behalf_of, h.actor_role, h.actor), to_char(h.at, 'YYYY-MM-DD HH24:MI:SS'))
            FROM {s}.model_access_history AS h WHERE h.model_id = c.model_id ORDER BY h.history_id DESC LIMIT 1))
        WHEN $2 = 'accept' AND r.proposed IS NULL THEN 'no rule proposes anything for it'
        WHEN $2 = 'accept' AND r.proposed <> c.proposed THEN 'rules propose something else now'
        END AS why
    FROM chosen AS c LEFT JOIN present AS p USING (model_id)
    LEFT JOIN {s}.model_access_review AS r ON $2 = 'accept' AND r.model_id = c.model_id
    ORDER BY c.model_id)
SELECT json_build_object(
    'ids', (SELECT coalesce(json_agg(model_id), '[]') FROM judged WHERE why IS NULL),
    'left_out', (SELECT coalesce(json_agg(j), '[]') FROM judged AS j WHERE why IS NOT NULL))::text
