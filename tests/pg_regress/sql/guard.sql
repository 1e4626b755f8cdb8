\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome, added FROM model_access_load(:'catalogue');
-- Half a list is held: rows are refreshed and added, none is removed.
UPDATE recorded SET entry = jsonb_set(entry, '{name}', '"Renamed"') WHERE model_id = 'openai/gpt-5';
CREATE TEMP TABLE half AS SELECT jsonb_build_object('data', jsonb_agg(entry))::text AS document
    FROM (SELECT entry FROM recorded ORDER BY model_id COLLATE "C" DESC LIMIT 210) AS h;
SELECT outcome, listed, changed, missing, withheld, error_code, error FROM model_access_load((SELECT document FROM half));
SELECT count(*) FROM model_access WHERE missing_since IS NULL;
-- max_removals lets up to that many removals through, once.
SELECT outcome, missing, withheld, max_removals, error FROM model_access_load((SELECT document FROM half), max_removals => 210);
SELECT outcome, missing, withheld, max_removals, error FROM model_access_load((SELECT document FROM half), max_removals => 211);
SELECT outcome, returned, changed FROM model_access_load(:'catalogue');
-- Ten removals of models that nobody has approved pass, whatever the share. Of approved models, two a day or 20 % pass.
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro'));
SELECT outcome, returned FROM model_access_load(:'catalogue');
CREATE FUNCTION pg_temp.approve(VARIADIC ids text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE model_access SET status = 'new', is_pro = false, is_free = false;
    UPDATE model_access SET status = 'active', is_pro = true, is_free = false WHERE model_id = ANY (ids) $$;
\set five '\'openai/gpt-5\', \'openai/gpt-5-mini\', \'openai/gpt-5-nano\', \'openai/gpt-5-pro\', \'openai/gpt-4o\''
-- One of three leaves, then the second. The third is withheld: it would be the last of the tier, and the third within a day.
SELECT pg_temp.approve('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano');
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5'));
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini'));
SELECT outcome, missing, withheld, error FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT outcome, returned FROM model_access_load(:'catalogue');
-- Three of five leave at once: all are withheld, and each row says since when it is absent, written once.
SELECT pg_temp.approve(:five);
SELECT outcome, missing, withheld, error FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT model_id, status, missing_since, absent_since IS NOT NULL AS absent FROM model_access WHERE absent_since IS NOT NULL ORDER BY model_id COLLATE "C";
SELECT outcome, changed, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT "check", ok, detail FROM model_access_health() WHERE "check" IN ('withheld', 'tiers');
-- The last two of a tier are withheld, and the rest of the list is applied. A single one may go, and so may one by its price.
SELECT outcome, returned FROM model_access_load(:'catalogue');
SELECT count(*) FROM model_access WHERE absent_since IS NOT NULL;
UPDATE model_access SET is_pro = false, is_free = true WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-mini');
SELECT outcome, missing, withheld, error FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'z-ai/glm-4.5'));
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5'));
SELECT outcome, returned FROM model_access_load(:'catalogue');
-- What complete lists say on three days, over 48 hours, is applied, even if it empties a tier. An incomplete list does not count.
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but(:five));
SELECT pg_temp.days_pass(1);
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but(:five));
UPDATE model_access_sync_log SET complete = false WHERE run_by = 'test';
SELECT pg_temp.days_pass(1);
SELECT outcome, missing, withheld FROM model_access_load(jsonb_set(pg_temp.all_but(:five)::jsonb, '{total_count}', '500')::text);
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but(:five));
SELECT model_id, status_before_missing, absent_since < missing_since AS absent_before, date_trunc('day', clock_timestamp() - missing_since) AS missing FROM model_access WHERE missing_since IS NOT NULL ORDER BY model_id COLLATE "C";
SELECT "check", ok, detail FROM model_access_health() WHERE "check" = 'tiers';
SELECT outcome, returned FROM model_access_load(:'catalogue');
SELECT count(*) FROM model_access WHERE status = 'active';
-- A new status, or model_access_confirm, ends the hold of a model.
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but(:five));
SELECT model_access_confirm('openai/gpt-5', 'openai/gpt-4o');
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but(:five));
SELECT outcome, returned FROM model_access_load(:'catalogue');
-- A change of flags does not. A removal that was confirmed counts towards the limit for the others.
SELECT pg_temp.approve(:five);
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but(:five));
UPDATE model_access SET is_enterprise = true WHERE is_pro;
SELECT model_access_confirm('openai/gpt-5');
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT reason, model_id FROM model_access_review WHERE reason = 'left';
SELECT outcome, returned FROM model_access_load(:'catalogue');
SELECT pg_temp.hours_pass(30);
-- A day later the removal of one passes. Within the next hours, the removal of others in addition does not.
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT pg_temp.hours_pass(25);
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini'));
SELECT pg_temp.hours_pass(1);
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
-- An entry that cannot be used counts as listed: it ends the absence.
SELECT outcome, missing, withheld FROM model_access_load((SELECT jsonb_build_object('data', jsonb_agg(
    CASE WHEN model_id = 'openai/gpt-5-nano' THEN entry - 'name' ELSE entry END))::text FROM recorded WHERE model_id NOT IN ('openai/gpt-5', 'openai/gpt-5-mini')));
SELECT model_id, missing_since IS NOT NULL AS missing, absent_since IS NOT NULL AS absent FROM model_access WHERE model_id IN (:five) ORDER BY model_id COLLATE "C";
SELECT outcome, returned FROM model_access_load(:'catalogue');
UPDATE model_access SET is_enterprise = false;
-- Pruning keeps the runs with complete lists, because days are counted by them.
SELECT model_access_set('log_retention', '0 days');
SELECT count(*) > 0 AS pruned, (SELECT count(*) FROM model_access_sync_log WHERE complete) > 5 AS kept FROM _model_access_prune() AS p WHERE p > 0;
SELECT model_access_set('log_retention', NULL);
-- max_removals lets removals and withdrawals through if together they are at most that many, else none of them.
UPDATE recorded SET entry = jsonb_set(entry, '{pricing}', '{"prompt": "0", "completion": "0"}') WHERE model_id IN (:five);
SELECT outcome, changed FROM model_access_load(pg_temp.all_but('z-ai/glm-4.5'));
SELECT pg_temp.approve(:five);
UPDATE model_access SET is_free = true WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano');
SELECT pg_temp.reprice('openai/gpt-5', '0.001', '0.001'), pg_temp.reprice('openai/gpt-5-mini', '0.001', '0.001'), pg_temp.reprice('openai/gpt-5-nano', '0.001', '0.001');
SELECT outcome, free_revoked, missing, withheld, error FROM model_access_load(pg_temp.all_but('openai/gpt-5-pro'));
SELECT model_id, is_free, price_withheld_since IS NOT NULL AS withheld FROM model_access WHERE is_free OR price_withheld_since IS NOT NULL ORDER BY model_id COLLATE "C";
SELECT outcome, free_revoked, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5-pro'), max_removals => 3);
SELECT outcome, free_revoked, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5-pro'), max_removals => 4);
-- What was taken comes back by itself: with the price, and with the model.
SELECT pg_temp.reprice('openai/gpt-5', '0', '0'), pg_temp.reprice('openai/gpt-5-mini', '0', '0');
SELECT outcome, changed FROM model_access_load(pg_temp.all_but(''));
SELECT model_id, status, is_free FROM model_access WHERE model_id IN (:five) ORDER BY model_id COLLATE "C";
-- A list that says that it is incomplete removes nothing.
SELECT outcome, missing, withheld, error FROM model_access_load(jsonb_set(pg_temp.all_but('openai/gpt-5-pro')::jsonb, '{total_count}', '500')::text);
SELECT outcome, missing, withheld, error
FROM model_access_load(jsonb_set(pg_temp.all_but('openai/gpt-5-pro')::jsonb, '{links}', '{"next": "/api/v1/models?offset=500&limit=500"}')::text);
-- Prices in an unknown form: the rest of each row is refreshed, the prices stay, and the run is held.
SELECT pg_temp.approve(:five);
CREATE TEMP TABLE reshaped AS SELECT jsonb_build_object('data', jsonb_agg(jsonb_set(entry, '{pricing}', '{"input": {"usd": "0"}}') ORDER BY model_id))::text AS document FROM recorded;
SELECT outcome, changed, withheld, jsonb_array_length(unusable) AS unusable, error FROM model_access_load((SELECT document FROM reshaped));
SELECT count(*) AS actives, count(prompt_usd_per_million) AS prices, count(price_unreadable_since) AS unreadable FROM model_access WHERE status = 'active';
SELECT pg_temp.days_pass(8);
SELECT outcome, changed, jsonb_array_length(unusable) AS unusable FROM model_access_load((SELECT document FROM reshaped));
SELECT count(*) AS actives, count(prompt_usd_per_million) AS prices, count(price_unreadable_since) AS unreadable FROM model_access WHERE status = 'active';
SELECT outcome, changed FROM model_access_load((SELECT jsonb_build_object('data', jsonb_agg(entry))::text FROM recorded));
SELECT count(*) AS actives, count(prompt_usd_per_million) AS prices FROM model_access WHERE status = 'active';
-- Most entries are unusable: the run is held too, even if nothing would be removed.
SELECT outcome, withheld, error FROM model_access_load((
    SELECT jsonb_build_object('data', jsonb_agg(CASE WHEN model_id < 'm' THEN entry - 'name' ELSE entry END))::text FROM recorded));
-- max_removal_percent changes the limit.
SELECT model_access_set('max_removal_percent', '60');
SELECT outcome, missing, withheld FROM model_access_load((SELECT document FROM half), max_removals => NULL);
