SELECT json_object_agg(t.tier, ARRAY(SELECT v.model_id FROM {s}.models_for_tier(t.tier) AS v ORDER BY v.model_id))::text
FROM unnest('{free,pro,enterprise}'::text[]) AS t(tier)
