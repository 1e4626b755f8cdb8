-- $1 ids; $2 status; $3 tiers as JSON, none = no tier; $4 note; null = as it is. Gives the ids whose status and tiers stay.
WITH old AS (
    SELECT o.model_id, o.status, o.is_free, o.is_pro, o.is_enterprise FROM {s}.model_access AS o
    WHERE o.model_id IN (SELECT jsonb_array_elements_text($1::jsonb))),
done AS (
    UPDATE {s}.model_access AS m SET
        status = coalesce($2, m.status),
        is_free = CASE WHEN $3 = '[]' THEN m.is_free ELSE $3::jsonb ? 'free' END,
        is_pro = CASE WHEN $3 = '[]' THEN m.is_pro ELSE $3::jsonb ? 'pro' END,
        is_enterprise = CASE WHEN $3 = '[]' THEN m.is_enterprise ELSE $3::jsonb ? 'enterprise' END,
        note = coalesce($4, m.note)
    FROM old AS o WHERE m.model_id = o.model_id
    RETURNING m.model_id, (o.status, o.is_free, o.is_pro, o.is_enterprise)
        IS NOT DISTINCT FROM (m.status, m.is_free, m.is_pro, m.is_enterprise) AS same)
SELECT coalesce(json_agg(model_id) FILTER (WHERE same AND ($2 IS NOT NULL OR $3 <> '[]')), '[]')::text FROM done
