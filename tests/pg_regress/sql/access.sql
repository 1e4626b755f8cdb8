\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\i :abs_srcdir/prices.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro', 'openai/gpt-4o'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'active' WHERE model_id = 'openai/gpt-5-pro';
-- Tiers are cumulative. An active model without a flag is in no tier.
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
-- Every other reason of explain.
UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5-pro';
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-pro'));
SELECT model_id, allowed, regexp_replace(reason, '\d{4}-\d\d-\d\d', 'DAY') AS reason
FROM model_access, model_access_explain('enterprise', model_id) ORDER BY 1;
SELECT count(*) FROM models_for_tier('enterprise');
-- An unknown tier is an error for the functions that take a tier, also on an empty table. NULL is no tier.
SELECT * FROM models_for_tier('gold');
SELECT model_allowed('Pro', 'openai/gpt-5');
SELECT model_access_explain('', 'openai/gpt-5');
TRUNCATE model_access;
PREPARE listing(text) AS SELECT model_id FROM models_for_tier($1);
SET plan_cache_mode = force_generic_plan;
EXECUTE listing('gold');
EXECUTE listing(NULL);
RESET plan_cache_mode;
-- For a role that may only read, models_for_tier has the plan of the plain query: no Function Scan. So has models_for_user.
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- from PostgreSQL 17 on, $0 has another name
        RETURN NEXT regexp_replace(replace(line, '(InitPlan 1).col1', '$0'), 'InitPlan 1$', 'InitPlan 1 (returns $0)');
    END LOOP;
END
$$;
CREATE ROLE regress_reader;
SELECT model_access_grant('regress_reader', 'reader');
SELECT pg_temp.plan('SELECT model_id FROM model_access WHERE status = ''active'' AND missing_since IS NULL AND (is_free OR is_pro)');
SET ROLE regress_reader;
SELECT pg_temp.plan('SELECT model_id FROM models_for_tier(''pro'')');
SET enable_seqscan = off;
SELECT pg_temp.plan('SELECT name FROM models_for_tier(''pro'') WHERE model_id = ''openai/gpt-5''');
SELECT count(*) AS "index scans" FROM pg_temp.plan('SELECT name FROM models_for_user(''alice'') WHERE model_id = ''openai/gpt-5''') AS p(line) WHERE line LIKE '%Index Cond%';
RESET enable_seqscan;
RESET ROLE;
SELECT model_access_revoke('regress_reader');
DROP ROLE regress_reader;
-- An alias that moves stays active. While the model that it stands for is banned, the alias is not visible, whichever of the two changed.
\set cheap '\'{"prompt": "0.000001", "completion": "0.000002"}\''
\set models 'pg_temp.entry(\'acme/big-4\', :cheap), pg_temp.entry(\'acme/big-5\', :cheap), pg_temp.entry(\'acme/big-6\', :cheap)'
CREATE FUNCTION pg_temp.ask(id text) RETURNS TABLE (allowed boolean, listed boolean, visible boolean, for_user boolean, for_user_listed boolean, as_of boolean, reason text, user_reason text) LANGUAGE sql AS $$
    SELECT model_allowed('pro', id), EXISTS (SELECT FROM models_for_tier('pro') AS m WHERE m.model_id = id), EXISTS (SELECT FROM model_access_visible AS m WHERE m.model_id = id),
           model_allowed_for_user('alice', id), EXISTS (SELECT FROM models_for_user('alice') AS m WHERE m.model_id = id),
           EXISTS (SELECT FROM models_for_tier_as_of('pro', clock_timestamp()) AS m WHERE m.model_id = id), e.reason, u.reason
    FROM model_access_explain('pro', id) AS e, model_access_explain_for_user('alice', id) AS u $$;
CREATE TABLE people (id text PRIMARY KEY, subscription_tier text);
ALTER TABLE people OWNER TO :"owner";
INSERT INTO people VALUES ('alice', 'pro');
SET SESSION AUTHORIZATION :"owner";
SELECT model_access_bind_profiles('people', notify => false);
RESET SESSION AUTHORIZATION;
SELECT outcome FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/big-latest', :cheap, 'acme/big-4'), :models));
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('acme/big-4', '~acme/big-latest');
UPDATE model_access SET status = 'disabled', note = 'legal says no' WHERE model_id = 'acme/big-5';
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('alice', '~acme/big-latest', true);
SELECT * FROM pg_temp.ask('~acme/big-latest');
SELECT clock_timestamp() AS before \gset
-- The alias moves to a model without a decision: it stays active and waits for review. Then it moves to the banned one.
SELECT outcome, changed FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/big-latest', :cheap, 'acme/big-6'), :models));
SELECT reason, model_id, reaches FROM model_access_review WHERE reason <> 'new';
SELECT * FROM pg_temp.ask('~acme/big-latest');
SELECT outcome, changed FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/big-latest', :cheap, 'acme/big-5'), :models));
SELECT reason, since = current_date AS today, model_id, reaches FROM model_access_review WHERE reason <> 'new';
SELECT * FROM pg_temp.ask('~acme/big-latest');
SELECT clock_timestamp() AS hidden \gset
-- When the ban is lifted, the alias is visible again. Once confirmed, it does not wait. When the ban returns, it is hidden at once; models_for_tier_as_of knows when it was visible.
UPDATE model_access SET status = 'new' WHERE model_id = 'acme/big-5';
SELECT * FROM pg_temp.ask('~acme/big-latest');
SELECT model_access_confirm('~acme/big-latest');
SELECT count(*) FROM model_access_review WHERE reason <> 'new';
UPDATE model_access SET status = 'disabled' WHERE model_id IN ('acme/big-5', 'acme/big-4');
SELECT * FROM pg_temp.ask('~acme/big-latest');
SELECT model_id, count(*) FILTER (WHERE at > :'hidden') AS now, count(*) FILTER (WHERE at < :'before') AS before FROM
    (SELECT 'now'::timestamptz AS at, model_id FROM models_for_tier('pro') UNION ALL SELECT :'before'::timestamptz - interval '1 second', model_id FROM models_for_tier_as_of('pro', :'before')
     UNION ALL SELECT :'hidden', model_id FROM models_for_tier_as_of('pro', :'hidden')) AS m GROUP BY 1 ORDER BY 1;
-- Approving an alias of a banned model does not make it visible, nor does approving a new alias of it. Undoing the ban of the model does.
UPDATE model_access SET status = 'disabled' WHERE model_id = '~acme/big-latest';
UPDATE model_access SET status = 'active' WHERE model_id = '~acme/big-latest';
SELECT outcome, added FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/big-latest', :cheap, 'acme/big-5'), pg_temp.entry('~acme/other', :cheap, 'acme/big-5'), pg_temp.entry('~acme/nowhere', :cheap, 'acme/none'), :models));
SELECT count(*) AS recorded_of_what_came FROM model_access_history WHERE model_id IN ('~acme/other', '~acme/nowhere');
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('~acme/other', '~acme/nowhere');
SELECT id, model_allowed('pro', id) FROM unnest('{~acme/big-latest,~acme/other,~acme/nowhere}'::text[]) AS id;
SELECT model_id, new - 'reviewed_at' AS new FROM model_access_undo((SELECT max(at) FROM model_access_history WHERE model_id = 'acme/big-5'), dry_run => false, model_ids => '{acme/big-4,acme/big-5,~acme/big-latest}') ORDER BY model_id COLLATE "C";
SELECT id, model_allowed('pro', id) FROM unnest('{~acme/big-latest,~acme/other,~acme/nowhere}'::text[]) AS id;
-- An alias of an alias follows the model at the end of the chain, however the chain is broken and closed. A circle of aliases ends the search.
\set chain 'pg_temp.entry(\'~acme/one\', :cheap, \'~acme/two\'), pg_temp.entry(\'~acme/two\', :cheap, \'~acme/three\'), :models'
SELECT outcome FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/three', :cheap, 'acme/big-6'), :chain), 10);
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('~acme/one', '~acme/two', '~acme/three', 'acme/big-6');
CREATE FUNCTION pg_temp.chain() RETURNS TABLE (id text, hidden boolean, allowed boolean, reason text) LANGUAGE sql AS $$
    SELECT m.model_id, m.target_disabled, e.* FROM model_access AS m, model_access_explain('pro', m.model_id) AS e
    WHERE m.model_id IN ('~acme/one', '~acme/two', '~acme/three') ORDER BY array_position('{~acme/one,~acme/two,~acme/three}', m.model_id) $$;
SELECT * FROM pg_temp.chain();
UPDATE model_access SET status = 'disabled' WHERE model_id = 'acme/big-6';
SELECT * FROM pg_temp.chain();
UPDATE model_access SET status = 'disabled' WHERE model_id = '~acme/two';
UPDATE model_access SET status = 'active' WHERE model_id = 'acme/big-6';
SELECT id, hidden, allowed FROM pg_temp.chain();
UPDATE model_access SET status = 'active' WHERE model_id = '~acme/two';
SELECT id, hidden, allowed FROM pg_temp.chain();
UPDATE model_access SET status = 'disabled' WHERE model_id = 'acme/big-5';
SELECT outcome FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/three', :cheap, 'acme/big-5'), :chain));
SELECT id, hidden, allowed FROM pg_temp.chain();
SELECT outcome FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/three', :cheap, '~acme/one'), :chain));
SELECT id, hidden, allowed FROM pg_temp.chain();
UPDATE model_access SET status = 'disabled' WHERE model_id = '~acme/three';
SELECT id, hidden, allowed FROM pg_temp.chain();
UPDATE model_access SET status = 'active' WHERE model_id = '~acme/three';
SELECT id, hidden, allowed FROM pg_temp.chain();
-- A new alias in the middle of a chain takes effect at once.
SELECT outcome, added FROM pg_temp.load(pg_temp.list(pg_temp.entry('~acme/three', :cheap, '~acme/four'), pg_temp.entry('~acme/four', :cheap, 'acme/big-5'), :chain));
SELECT id, hidden, allowed FROM pg_temp.chain();
-- The next run corrects a wrong target_disabled and records it in the history. A run that finds nothing wrong writes nothing.
\set same 'pg_temp.list(pg_temp.entry(\'~acme/three\', :cheap, \'~acme/four\'), pg_temp.entry(\'~acme/four\', :cheap, \'acme/big-5\'), :chain)'
UPDATE model_access SET target_disabled = (model_id = 'acme/big-6'), last_run_id = last_run_id + 1 WHERE model_id IN ('~acme/one', 'acme/big-6');
SELECT id, allowed FROM pg_temp.chain();
SELECT outcome, changed, run_id FROM pg_temp.load(:same) \gset
SELECT :'outcome' AS outcome, :'changed' AS changed;
SELECT id, allowed FROM pg_temp.chain();
SELECT model_id, old, new FROM model_access_history WHERE run_id = :run_id ORDER BY 1;
SELECT outcome, run_id FROM pg_temp.load(:same) \gset
SELECT :'outcome' AS outcome, count(*) FROM model_access WHERE last_run_id = :run_id;
