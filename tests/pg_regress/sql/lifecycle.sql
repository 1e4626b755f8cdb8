\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- The lifecycle table, row by row. Every model below is approved, banned or left as it is; then it leaves and returns.
CREATE FUNCTION pg_temp.show() RETURNS TABLE (model_id text, status text, before text, missing boolean, tiers text) LANGUAGE sql AS $$
    SELECT model_id, status, status_before_missing, missing_since IS NOT NULL,
           concat_ws(',', CASE WHEN is_free THEN 'free' END, CASE WHEN is_pro THEN 'pro' END, CASE WHEN is_enterprise THEN 'enterprise' END)
    FROM model_access ORDER BY model_id COLLATE "C" $$;
\set all '\'openai/gpt-5\', \'openai/gpt-5-mini\', \'openai/gpt-5-nano\', \'openai/gpt-5-pro\', \'openai/gpt-4o\''
SELECT outcome, added FROM model_access_load(pg_temp.listing(:all));
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'disabled', is_pro = true, note = 'leaks' WHERE model_id = 'openai/gpt-5-nano';
-- max_removals is set because the guard has a test of its own. Only gpt-4o stays: new and active ones become inactive, the others only missing.
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-4o'), max_removals => 4);
SELECT * FROM pg_temp.show();
-- Absent again: nothing is written.
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-4o'), max_removals => 4);
-- All return within the window: each has its old status. The ban is still there.
SELECT outcome, returned, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show();
-- They leave again, and return after the window: approved and unreviewed ones wait for review, without tiers.
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-4o'), max_removals => 4);
SELECT pg_temp.days_pass(8);
SELECT outcome, returned FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show();
SELECT model_id, returned_at IS NOT NULL AS returned, tiers_before FROM model_access WHERE returned_at IS NOT NULL ORDER BY model_id COLLATE "C";
-- A decision on a missing model still holds when it returns, even if it changed nothing.
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-pro');
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-4o'), max_removals => 4);
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5-pro';
SELECT outcome, returned FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-pro');
-- A model that returns within the window at more than price_alert times its reviewed price waits for review, with its tiers.
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-pro');
SELECT outcome, missing FROM model_access_load(pg_temp.listing('openai/gpt-4o'), max_removals => 4);
SELECT pg_temp.reprice('openai/gpt-5', '0.0000025', '0.00001'), pg_temp.reprice('openai/gpt-5-pro', '0.0000301', '0.00024');
SELECT outcome, returned, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-pro');
-- price_guard, once it is on, sends an active model back to review.
SELECT pg_temp.reprice('openai/gpt-5', '0.00000126', '0.00001');
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
SELECT model_access_confirm('openai/gpt-5');
SELECT pg_temp.reprice('openai/gpt-5', '0.000002', '0.00001');
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id = 'openai/gpt-5';
SELECT model_access_set('price_guard', '1.5');
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id = 'openai/gpt-5';
-- What price_guard took comes back when the price is at most the reviewed one, unless an admin has decided in the meantime.
SELECT pg_temp.reprice('openai/gpt-5', '0.00000126', '0.00001');
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id = 'openai/gpt-5';
SELECT pg_temp.reprice('openai/gpt-5', '0.000002', '0.00001');
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5';
SELECT pg_temp.reprice('openai/gpt-5', '0.00000126', '0.00001');
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id = 'openai/gpt-5';
-- free_guard: a model that was free at its review leaves the free tier when it costs money. One that cost money at its review stays.
SELECT pg_temp.reprice('openai/gpt-4o', '0', '0');
UPDATE recorded SET entry = entry #- '{pricing,input_cache_read}' WHERE model_id = 'openai/gpt-4o';
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
UPDATE model_access SET status = 'active', is_free = true, is_pro = true WHERE model_id IN ('openai/gpt-4o', 'openai/gpt-5-mini');
SELECT pg_temp.reprice('openai/gpt-4o', '0', '0.000001'), pg_temp.reprice('openai/gpt-5-mini', '0.0000003', '0.000002');
SELECT outcome, changed, free_revoked FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id IN ('openai/gpt-4o', 'openai/gpt-5-mini');
SELECT model_id FROM model_access WHERE free_revoked_at IS NOT NULL;
-- It is free again within the window, and so back in the tier. Then it charges for a search, and is free again too late.
SELECT pg_temp.reprice('openai/gpt-4o', '0', '0');
SELECT outcome, changed, free_revoked FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id = 'openai/gpt-4o';
UPDATE recorded SET entry = jsonb_set(entry, '{pricing,web_search}', '"0.01"') WHERE model_id = 'openai/gpt-4o';
SELECT outcome, changed, free_revoked FROM model_access_load(pg_temp.listing(:all));
SELECT pg_temp.days_pass(8);
UPDATE recorded SET entry = entry #- '{pricing,web_search}' WHERE model_id = 'openai/gpt-4o';
SELECT outcome, changed FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.show() WHERE model_id = 'openai/gpt-4o';
SELECT model_id FROM model_access WHERE free_revoked_at IS NOT NULL;
-- If an admin puts it back, the price at that moment is the reviewed one.
UPDATE model_access SET is_free = true WHERE model_id = 'openai/gpt-4o';
SELECT outcome, free_revoked FROM model_access_load(pg_temp.listing(:all));
SELECT model_id FROM model_access WHERE free_revoked_at IS NOT NULL;
-- A decision is stamped; a note is not a decision, and neither is a sync.
SELECT count(*) FROM model_access WHERE reviewed_at IS NULL;
UPDATE model_access SET status = 'new' WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET reviewed_at = NULL, reviewed_by = NULL, reviewed_pricing = NULL;
UPDATE model_access SET note = 'ask legal' WHERE model_id = 'openai/gpt-5';
SELECT count(*) FROM model_access WHERE reviewed_at IS NOT NULL;
UPDATE model_access SET status = 'active' WHERE model_id = 'openai/gpt-5';
SELECT model_id, reviewed_by, reviewed_pricing = pricing AS at_this_price FROM model_access WHERE reviewed_at IS NOT NULL;
UPDATE model_access SET status = 'activ' WHERE model_id = 'openai/gpt-5';
-- A plan gives no tier, approves no new model, and writes no decision, whatever it names.
INSERT INTO model_access (model_id, name) VALUES ('forged/one', 'One');
SELECT (model_access_apply(jsonb_build_object('outcome', 'applied', 'at', now(), 'started_at', now(),
    'insert', '[{"model_id": "forged/two", "status": "active", "is_pro": true, "note": "x", "reviewed_by": "x", "first_seen_at": "2020-01-01", "changed_at": "2020-01-01", "last_run_id": 0, "target_disabled": true, "is_free_of_charge": false}]'::jsonb,
    'update', '[{"model_id": "forged/one", "is_pro": true, "tiers": ["free", "pro"], "note": "x", "reviewed_by": "x", "reviewed_at": "2020-01-01", "first_seen_at": "2020-01-01"}]'::jsonb))).outcome;
SELECT model_id, status, is_free, is_pro, note, reviewed_by, reviewed_at, first_seen_at > '2021-01-01' AS seen
FROM model_access WHERE model_id LIKE 'forged/%' ORDER BY model_id COLLATE "C";
