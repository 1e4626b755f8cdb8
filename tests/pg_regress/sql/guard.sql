\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome, added FROM model_access_load(:'catalogue');
-- Half a list is held: rows are refreshed and added, none is taken away.
UPDATE recorded SET entry = jsonb_set(entry, '{name}', '"Renamed"') WHERE model_id = 'openai/gpt-5';
CREATE TEMP TABLE half AS SELECT jsonb_build_object('data', jsonb_agg(entry))::text AS document
    FROM (SELECT entry FROM recorded ORDER BY model_id COLLATE "C" DESC LIMIT 210) AS h;
SELECT outcome, listed, changed, missing, withheld, error_code, error FROM model_access_load((SELECT document FROM half));
SELECT count(*) FROM model_access WHERE missing_since IS NULL;
-- max_removals lets that many through, once.
SELECT outcome, missing, withheld, max_removals, error FROM model_access_load((SELECT document FROM half), max_removals => 210);
SELECT outcome, missing, withheld, max_removals, error FROM model_access_load((SELECT document FROM half), max_removals => 211);
SELECT outcome, returned, changed FROM model_access_load(:'catalogue');
-- A few removals always pass, whatever the share; the share of active ones is guarded by itself.
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro'));
SELECT outcome, returned FROM model_access_load(:'catalogue');
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id LIKE 'openai/gpt-5%';
UPDATE model_access SET status = 'new', is_pro = false WHERE model_id LIKE 'openai/gpt-5%' AND model_id NOT IN ('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro');
SELECT outcome, missing, withheld, error FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro'));
SELECT outcome, missing, withheld FROM model_access_load(pg_temp.all_but('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
-- A list that says it is not whole takes nothing away.
SELECT outcome, missing, withheld, error FROM model_access_load(jsonb_set(pg_temp.all_but('openai/gpt-5-pro')::jsonb, '{total_count}', '500')::text);
SELECT outcome, missing, withheld, error
FROM model_access_load(jsonb_set(pg_temp.all_but('openai/gpt-5-pro')::jsonb, '{links}', '{"next": "/api/v1/models?offset=500&limit=500"}')::text);
-- max_removal_percent moves the share.
SELECT model_access_set('max_removal_percent', '60');
SELECT outcome, missing, withheld FROM model_access_load((SELECT document FROM half));
