\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro', 'openai/gpt-4o'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'active' WHERE model_id = 'openai/gpt-5-pro';
-- Tiers are cumulative; active without a tier is in none.
SELECT t.tier, m.model_id FROM (VALUES ('free'), ('pro'), ('enterprise')) AS t(tier), models_for_tier(t.tier) AS m ORDER BY 1, 2;
SELECT model_id FROM model_access_visible ORDER BY 1;
SELECT model_id, name, provider, context_length, max_completion_tokens, input_modalities, prompt_usd_per_million, completion_usd_per_million, expires_on
FROM models_for_tier('free');
-- Listing, checking and explaining agree on every tier and model.
SELECT t.tier, m.model_id, a.allowed, e.allowed = a.allowed AND l.listed = a.allowed AS agree, e.reason ~ ' \d{4}-' AS dated, regexp_replace(e.reason, '\d{4}-\d\d-\d\d', 'DAY') AS reason
FROM (VALUES ('free'), ('pro'), ('enterprise'), (NULL)) AS t(tier)
CROSS JOIN (SELECT model_id FROM model_access UNION VALUES ('openai/gpt-5:nitro'), ('nobody/nothing'), (NULL)) AS m
CROSS JOIN LATERAL (SELECT model_allowed(t.tier, m.model_id) AS allowed) AS a
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM models_for_tier(t.tier) AS v WHERE v.model_id = m.model_id) AS listed) AS l
CROSS JOIN LATERAL model_access_explain(t.tier, m.model_id) AS e
ORDER BY t.tier, m.model_id COLLATE "C";
-- Every other reason.
UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5-pro';
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-pro'));
SELECT model_id, allowed, regexp_replace(reason, '\d{4}-\d\d-\d\d', 'DAY') AS reason
FROM model_access, model_access_explain('enterprise', model_id) ORDER BY 1;
SELECT count(*) FROM models_for_tier('enterprise');
-- A tier that does not exist is an error where it is spelt out, on an empty table too; NULL is no tier.
SELECT * FROM models_for_tier('gold');
SELECT model_allowed('Pro', 'openai/gpt-5');
SELECT model_access_explain('', 'openai/gpt-5');
TRUNCATE model_access;
PREPARE listing(text) AS SELECT model_id FROM models_for_tier($1);
SET plan_cache_mode = force_generic_plan;
EXECUTE listing('gold');
EXECUTE listing(NULL);
RESET plan_cache_mode;
-- A role that only reads gets the plan of the plain query: no Function Scan.
CREATE ROLE regress_reader;
SELECT model_access_grant('regress_reader', 'reader');
EXPLAIN (COSTS OFF) SELECT model_id FROM model_access WHERE status = 'active' AND missing_since IS NULL AND (is_free OR is_pro);
SET ROLE regress_reader;
EXPLAIN (COSTS OFF) SELECT model_id FROM models_for_tier('pro');
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT name FROM models_for_tier('pro') WHERE model_id = 'openai/gpt-5';
RESET enable_seqscan;
RESET ROLE;
SELECT model_access_revoke('regress_reader');
DROP ROLE regress_reader;
