\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\set all '\'openai/gpt-5\', \'openai/gpt-5-mini\', \'openai/gpt-4o\''
SELECT outcome, added FROM model_access_load(pg_temp.listing(:all));
-- Inserts write no history: a model starts as new, in no tier, at first_seen_at.
SELECT count(*) FROM model_access_history;
-- A decision by an admin, with the role that made it.
CREATE ROLE regress_admin;
SELECT model_access_grant('regress_admin', 'admin');
SET ROLE regress_admin;
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('openai/gpt-5', 'openai/gpt-4o');
UPDATE model_access SET note = 'ask legal' WHERE model_id = 'openai/gpt-4o';
RESET ROLE;
SELECT clock_timestamp() AS before_oops \gset
-- An UPDATE that changes nothing records nothing.
UPDATE model_access SET note = note;
-- A sync, and an UPDATE without WHERE by mistake.
SELECT pg_temp.reprice('openai/gpt-5', '0.000002', '0.00001');
SELECT outcome, changed, missing FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini'));
SELECT clock_timestamp() AS after_sync \gset
UPDATE model_access SET status = 'disabled';
SELECT history_id, model_id, CASE WHEN run_id IS NULL THEN actor ELSE 'sync' END AS actor, actor_role, run_id, (old - '{reviewed_at,reviewed_pricing,changed_at,missing_since,pricing}'::text[]) AS old,
       (new - '{reviewed_at,reviewed_pricing,changed_at,missing_since,pricing}'::text[]) AS new
FROM model_access_history ORDER BY history_id;
SELECT model_id, run_id, old_prompt_usd_per_million, new_prompt_usd_per_million, old_completion_usd_per_million, new_completion_usd_per_million FROM model_access_price_history;
-- What a tier saw then, and what it sees now.
SELECT model_id FROM models_for_tier_as_of('pro', :'before_oops') ORDER BY 1;
SELECT model_id, prompt_usd_per_million FROM models_for_tier_as_of('pro', :'after_sync') ORDER BY 1;
SELECT model_id FROM models_for_tier('pro');
SELECT models_for_tier_as_of('gold', now());
-- The dry run of undo shows what it would do. Then undo does it, and is recorded like any other change.
SELECT * FROM model_access_undo(:'after_sync');
SELECT count(*) FROM models_for_tier('pro');
SELECT * FROM model_access_undo(:'after_sync', dry_run => false, model_ids => '{openai/gpt-5}');
SELECT model_id, status, is_pro, reviewed_by FROM model_access ORDER BY model_id COLLATE "C";
-- Everything is undone. A model that left in the meantime waits for its return.
SELECT * FROM model_access_undo(:'before_oops', dry_run => false);
SELECT model_id, status, status_before_missing, is_pro, note FROM model_access ORDER BY model_id COLLATE "C";
SELECT * FROM model_access_undo(:'before_oops');
SELECT count(*) > 6 AS recorded FROM model_access_history;
-- Undo does not make a model free again that stopped being free, and says why.
SELECT pg_temp.reprice('openai/gpt-5-mini', '0', '0');
UPDATE recorded SET entry = entry #- '{pricing,input_cache_read}' #- '{pricing,web_search}' WHERE model_id = 'openai/gpt-5-mini';
SELECT outcome FROM model_access_load(pg_temp.listing(:all));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-mini';
SELECT clock_timestamp() AS while_free \gset
SELECT pg_temp.reprice('openai/gpt-5-mini', '0.000001', '0');
SELECT outcome, free_revoked FROM model_access_load(pg_temp.listing(:all));
UPDATE model_access SET is_pro = true WHERE model_id = 'openai/gpt-5-mini';
SELECT model_id, new, regexp_replace(refused::text, '\d+', 'N') AS refused FROM model_access_undo(:'while_free', dry_run => false);
-- A mistake, named by its moment in the history. In the meantime one model left and another came back.
SELECT model_access_set('price_alert', 'off'), model_access_set('return_window', '7 days');
UPDATE model_access SET status = 'active', is_free = false, is_pro = true;
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini'));
UPDATE model_access SET status = 'disabled';
SELECT outcome, missing, returned FROM model_access_load(pg_temp.listing('openai/gpt-4o', 'openai/gpt-5-mini'));
SELECT max(at) AS oops FROM model_access_history WHERE run_id IS NULL \gset
SELECT model_id, new, refused FROM model_access_undo(:'oops', dry_run => false);
SELECT model_id, status, status_before_missing, missing_since IS NOT NULL AS missing, returned_at IS NOT NULL AS returned FROM model_access ORDER BY model_id COLLATE "C";
-- Invalid arguments.
SELECT model_access_undo(now(), true, '{no/such,NULL}');
SELECT model_access_undo(NULL);
SELECT model_access_undo('2100-01-01');
-- Append-only: not even an admin changes it.
SET ROLE regress_admin;
SELECT count(*) > 0 AS readable FROM model_access_history;
INSERT INTO model_access_history (model_id, actor, old, new) VALUES ('x', 'x', '{}', '{}');
UPDATE model_access_history SET actor = 'nobody';
DELETE FROM model_access_history;
TRUNCATE model_access_history;
RESET ROLE;
SELECT model_access_revoke('regress_admin');
DROP ROLE regress_admin;
-- A service names the person for whom it acts. This is a claim by the role that acts.
BEGIN;
SET LOCAL model_access.on_behalf_of = 'anna@example.com';
UPDATE model_access SET note = 'for Anna' WHERE model_id = 'openai/gpt-5-mini';
COMMIT;
UPDATE model_access SET note = 'for nobody' WHERE model_id = 'openai/gpt-5-mini';
SELECT actor, on_behalf_of, new ->> 'note' AS note FROM model_access_history ORDER BY history_id DESC LIMIT 2;
-- A statement records what has another value as JSON, in every column but those of the bookkeeping, also in a new one.
ALTER TABLE model_access ADD COLUMN "a 'new' %1$I column" numeric[];
CREATE TEMPORARY TABLE earlier AS SELECT * FROM model_access;
SELECT max(history_id) AS earlier FROM model_access_history \gset
UPDATE model_access SET "a 'new' %1$I column" = '{1.0, NULL}', note = nullif(note, 'ask legal'), changed_at = now(), fingerprint = 'x', entry_hash = 'x',
    pricing = CASE model_id WHEN 'openai/gpt-5' THEN NULL ELSE jsonb_set(pricing, '{prompt}', 'null') END, expires_on = '2030-01-01', supported_parameters = '{}',
    prompt_usd_per_million = 1.250, completion_usd_per_million = completion_usd_per_million * 1.0, upstream = '{}', name = upper(name), last_run_id = last_run_id + 1;
SELECT count(*), bool_and(h.old = e.old AND h.new = e.new) AS equal, jsonb_object_agg(h.model_id, ARRAY(SELECT jsonb_object_keys(h.new))) AS recorded
FROM model_access_history AS h JOIN (
    SELECT o.model_id, jsonb_object_agg(o.key, o.value) AS old, jsonb_object_agg(o.key, n.value) AS new
    FROM (SELECT model_id, (jsonb_each(to_jsonb(e))).* FROM earlier AS e) AS o
    JOIN (SELECT model_id, (jsonb_each(to_jsonb(m))).* FROM model_access AS m) AS n USING (model_id, key)
    WHERE o.value <> n.value AND key NOT IN ('upstream', 'fingerprint', 'entry_hash', 'changed_at', 'last_run_id') GROUP BY o.model_id) AS e USING (model_id)
WHERE h.history_id > :earlier;
-- An UPDATE that finds no row, or changes only the bookkeeping, records nothing.
UPDATE model_access SET note = 'x' WHERE false;
UPDATE model_access SET last_run_id = last_run_id + 1, changed_at = now();
SELECT count(*) FROM model_access_history WHERE history_id > :earlier;
-- The owner may add columns of any type: without an equality, or with one by which different texts are equal.
ALTER TABLE model_access ADD COLUMN a_json json, ADD COLUMN a_box box, ADD COLUMN an_interval interval;
SELECT max(history_id) AS earlier FROM model_access_history \gset
UPDATE model_access SET a_json = '{"a": 1}', a_box = '(1,1),(0,0)', an_interval = '30 days' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET a_json = '{"a":1}', a_box = '(2,2),(1,1)', an_interval = '1 month' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET a_json = a_json, note = 'for all types' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET missing_since = now(), status = 'inactive', status_before_missing = 'active', last_run_id = 90 WHERE model_id = 'openai/gpt-5';
CREATE ROLE regress_admin;
SELECT model_access_grant('regress_admin', 'admin');
SET ROLE regress_admin;
UPDATE model_access SET status = status WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET note = 'by an admin' WHERE model_id = 'openai/gpt-5';
RESET ROLE;
SELECT model_access_revoke('regress_admin');
DROP ROLE regress_admin;
SELECT old - '{reviewed_at,missing_since}'::text[] AS old, new - '{reviewed_at,missing_since}'::text[] AS new
FROM model_access_history WHERE history_id > :earlier ORDER BY history_id;
-- Large statements take no quadratic time: neither to record one after a small one, nor to list the changes.
SET statement_timeout = '10s';
INSERT INTO model_access_override (user_id, model_id, allowed) SELECT 'user ' || n, 'openai/gpt-5', false FROM generate_series(1, 12000) AS n;
UPDATE model_access_override SET note = 'one' WHERE user_id = 'user 1';
UPDATE model_access_override SET note = 'all' WHERE user_id LIKE 'user %';
SELECT rows FROM model_access_changes LIMIT 3;
SELECT sum(rows) = (SELECT count(*) FROM model_access_history) AS whole FROM model_access_changes;
RESET statement_timeout;
