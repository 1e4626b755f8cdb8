-- The sync fetches a catalogue over HTTP. Every model waits for a decision.
CREATE EXTENSION model_access;
SELECT outcome, listed, added, url FROM model_access_sync();

-- A second sync: nothing has changed, so it writes no model row.
SELECT outcome, added, changed, missing FROM model_access_sync();
SELECT count(*) AS rows_written FROM model_access WHERE last_run_id = 2;

-- Five of the models that wait; prices are in US dollars per million tokens.
SELECT model_id, prompt_usd_per_million AS prompt, completion_usd_per_million AS completion, context_length
FROM model_access WHERE status = 'new' AND provider = 'anthropic' ORDER BY prompt DESC, model_id LIMIT 5;

-- Decide in plain SQL: free models for everyone, models with a low price for pro, one provider is banned.
UPDATE model_access SET status = 'active', is_free = true WHERE status = 'new' AND model_id LIKE '%:free';
UPDATE model_access SET status = 'active', is_pro = true
WHERE status = 'new' AND completion_usd_per_million BETWEEN 0.1 AND 10 AND provider <> 'openrouter';
UPDATE model_access SET status = 'disabled', note = 'legal says no' WHERE provider = 'deepseek';

-- What a pro user may use, and why a banned model is not allowed.
SELECT model_id, prompt_usd_per_million AS prompt, completion_usd_per_million AS completion
FROM models_for_tier('pro') ORDER BY model_id LIMIT 5;
SELECT min(model_id) AS banned FROM model_access WHERE status = 'disabled' \gset
SELECT * FROM model_access_explain('pro', :'banned');

-- The upstream breaks: it sends an empty list, then half a list. No model is taken from users.
SELECT count(*) AS active FROM model_access WHERE status = 'active';
\set empty :mock take=0
\set half :mock take=210
SET model_access.url = :'empty';
SELECT outcome, error FROM model_access_sync();
SET model_access.url = :'half';
SELECT outcome, withheld FROM model_access_sync();
SELECT count(*) AS active FROM model_access WHERE status = 'active';
-- The next list is whole again.
SET model_access.url = :'mock';
SELECT outcome, returned FROM model_access_sync();

-- A banned model leaves the list and returns. It is still banned.
\set without :mock without= :banned
SET model_access.url = :'without';
SELECT outcome, missing FROM model_access_sync();
SET model_access.url = :'mock';
SELECT outcome, returned FROM model_access_sync();
SELECT model_id, status, note FROM model_access WHERE model_id = :'banned';
RESET model_access.url;

-- Two users in two tiers, in a table of the application, and a role for the HTTP service.
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
INSERT INTO profiles VALUES ('alice', 'free'), ('bob', 'pro');
SELECT model_access_bind_profiles('profiles');
SELECT id, count(m.model_id) AS models FROM profiles LEFT JOIN models_for_user(id) AS m ON true GROUP BY id ORDER BY id;
CREATE ROLE api LOGIN;
SELECT model_access_grant('api', 'reader');

-- An admin for the page.
CREATE ROLE ann LOGIN;
SELECT model_access_grant('ann', 'admin');
