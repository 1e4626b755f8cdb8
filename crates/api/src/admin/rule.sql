-- $1 position; $2 pattern; $3 provider; $4 max_usd_per_million; $5 modality; $6 what it proposes; $7 per_use; $8 note; $9 when the
-- rule that it replaces was changed, null for a new one
WITH new AS (
    SELECT $1::integer AS position, $2 AS pattern, $3 AS provider, $4::numeric AS max_usd_per_million, $5 AS modality,
        $6::jsonb ? 'free' AS is_free, $6::jsonb ? 'pro' AS is_pro, $6::jsonb ? 'enterprise' AS is_enterprise,
        CASE WHEN $6::jsonb ? 'disabled' THEN 'disabled' END AS status, $7 IS NOT NULL AS per_use, $8 AS note),
changed AS (
    UPDATE {s}.model_access_rule AS r SET pattern = n.pattern, provider = n.provider, max_usd_per_million = n.max_usd_per_million,
        modality = n.modality, is_free = n.is_free, is_pro = n.is_pro, is_enterprise = n.is_enterprise, status = n.status,
        per_use = n.per_use, note = n.note
    FROM new AS n WHERE r.position = n.position AND r.changed_at::text = $9 RETURNING 1),
made AS (
    INSERT INTO {s}.model_access_rule (position, pattern, provider, max_usd_per_million, modality, is_free, is_pro, is_enterprise,
        status, per_use, note)
    SELECT n.position, n.pattern, n.provider, n.max_usd_per_million, n.modality, n.is_free, n.is_pro, n.is_enterprise, n.status,
        n.per_use, n.note FROM new AS n WHERE $9 IS NULL RETURNING 1)
SELECT ((SELECT count(*) FROM changed) + (SELECT count(*) FROM made))::text
