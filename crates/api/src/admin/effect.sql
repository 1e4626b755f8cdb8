-- $1 what the tiers saw before, $2 what they see now
SELECT json_agg(json_build_object('tier', t.key, 'before', jsonb_array_length(t.value), 'after', jsonb_array_length(n.ids),
    'gained', (SELECT count(*) FROM jsonb_array_elements_text(n.ids) AS x(id) WHERE NOT t.value ? x.id),
    'lost', (SELECT count(*) FROM jsonb_array_elements_text(t.value) AS x(id) WHERE NOT n.ids ? x.id)
    ) ORDER BY array_position('{free,pro,enterprise}'::text[], t.key))::text
FROM jsonb_each($1::jsonb) AS t CROSS JOIN LATERAL (SELECT $2::jsonb -> t.key AS ids) AS n
