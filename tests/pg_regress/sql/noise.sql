\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
CREATE FUNCTION pg_temp.measure(key text, value text) RETURNS void LANGUAGE sql AS
    $$ UPDATE recorded SET entry = entry || jsonb_build_object(key, jsonb_build_object('uptime', value, 'of', model_id)) $$;
CREATE FUNCTION pg_temp.whole() RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.all_but('') $$;
CREATE TEMP VIEW what AS SELECT
    (SELECT count(*) FROM model_access_history) AS history,
    (SELECT count(*) FROM model_access WHERE upstream ? 'endpoints') AS with_endpoints,
    (SELECT count(*) FROM model_access WHERE upstream ? 'benchmarks') AS with_benchmarks;
-- Ten changed models are too few to name a key; eleven are enough.
CREATE FUNCTION pg_temp.twelve() RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.listing(VARIADIC ARRAY(SELECT model_id FROM recorded ORDER BY model_id COLLATE "C" LIMIT 12)) $$;
CREATE FUNCTION pg_temp.describe(models integer, what text) RETURNS void LANGUAGE sql AS $$
    UPDATE recorded SET entry = entry || jsonb_build_object('description', what)
    WHERE model_id IN (SELECT model_id FROM recorded ORDER BY model_id COLLATE "C" LIMIT models) $$;
SELECT outcome, listed, added, changed, changed_key FROM model_access_load(pg_temp.twelve());
SELECT pg_temp.describe(10, 'one');
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.twelve());
SELECT pg_temp.describe(11, 'two');
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.twelve());
TRUNCATE model_access, model_access_history;
SELECT outcome, listed, added, changed, changed_key FROM model_access_load(pg_temp.whole());
-- The upstream adds a key with measurements, then measures again: the rows are refreshed, no other column changes, and the run names the key.
SELECT pg_temp.measure('endpoints', '99.1');
SELECT outcome, changed, withheld, changed_key FROM model_access_load(pg_temp.whole());
SELECT pg_temp.measure('endpoints', '99.2');
SELECT outcome, changed, withheld, changed_key FROM model_access_load(pg_temp.whole());
SELECT * FROM what;
-- The key is ignored from now on: it is removed from the rows and no longer compared. The removal is not named.
SELECT model_access_set('ignored_keys', 'benchmarks,endpoints');
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
SELECT pg_temp.measure('endpoints', '99.3');
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
SELECT * FROM what;
-- A key that is no longer ignored comes back into the rows, even if the upstream changed nothing.
SELECT model_access_set('ignored_keys', '');
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
SELECT * FROM what;
SELECT model_access_set('ignored_keys', NULL);
SELECT outcome, changed FROM model_access_load(pg_temp.whole());
SELECT * FROM what;
-- A real change beside the noise is recorded for its model alone, without the bookkeeping columns.
SELECT pg_temp.measure('endpoints', '99.4');
UPDATE recorded SET entry = jsonb_set(entry, '{description}', '"new"') WHERE model_id = 'openai/gpt-5';
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
SELECT model_id, run_id IS NOT NULL AS by_sync, new FROM model_access_history;
-- What makes a model wait for review is recorded too: it is not bookkeeping.
SET timezone = 'UTC';
UPDATE model_access SET last_run_id = last_run_id + 1, changed_at = now() WHERE provider = 'openai';
UPDATE model_access SET last_run_id = last_run_id + 1, absent_since = '2026-01-01 UTC' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET last_run_id = last_run_id + 1, price_unreadable_since = '2026-01-02 UTC', price_withheld_since = '2026-01-03 UTC'
WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET reviewed_by = 'someone' WHERE model_id = 'openai/gpt-5';
SELECT model_id, run_id IS NOT NULL AS by_sync, new FROM model_access_history WHERE NOT new ? 'description' ORDER BY history_id;
-- Half of the models, then one more.
UPDATE recorded SET entry = entry || '{"links": {}}' WHERE model_id IN (SELECT model_id FROM model_access ORDER BY model_id LIMIT 210);
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
UPDATE recorded SET entry = entry || '{"links": {"a": 1}}' WHERE model_id IN (SELECT model_id FROM model_access ORDER BY model_id LIMIT 211);
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
-- Each model changes by a key of its own: none is named. Two keys change: the one in more models is named, even if it cannot be ignored.
UPDATE recorded SET entry = entry || jsonb_build_object('key ' || model_id, 1);
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
UPDATE recorded SET entry = jsonb_set(entry, '{name}', to_jsonb(entry ->> 'name' || '.')) || '{"links": {"a": 2}}'
WHERE model_id NOT IN (SELECT model_id FROM model_access ORDER BY model_id DESC LIMIT 1);
UPDATE recorded SET entry = jsonb_set(entry, '{name}', '"the last one"')
WHERE model_id IN (SELECT model_id FROM model_access ORDER BY model_id DESC LIMIT 1);
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.whole());
-- A key comes from the upstream and is printed in terminals.
UPDATE recorded SET entry = entry || jsonb_build_object(repeat('x', 90) || E'\x1b[31m\n' || repeat('y', 90), 1);
SELECT outcome, changed, length(changed_key), changed_key ~ '[[:cntrl:]]' AS control FROM model_access_load(pg_temp.whole());
