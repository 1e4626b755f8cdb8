-- Accepts every proposal, to see which rule makes it; the transaction is rolled back. $1 position of a rule
SELECT coalesce(json_agg(json_build_object('model_id', a.model_id, 'tiers', a.tiers) ORDER BY a.model_id), '[]')::text
FROM {s}.model_access_accept(VARIADIC ARRAY(SELECT r.model_id FROM {s}.model_access_review AS r WHERE r.proposed IS NOT NULL)) AS a
WHERE split_part(a.rule, ' ', 1) = $1::integer::text
