\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- Something writes each column of model_access: a plan, a decision, its stamp, or the lifecycle of a model.
SELECT attname AS "column" FROM pg_attribute WHERE attrelid = 'model_access'::regclass AND attnum > 0
EXCEPT SELECT jsonb_object_keys(r) FROM _model_access_rows(_model_access_plan(convert_to(:'catalogue', 'UTF8'), _model_access_state(), NULL), '+') AS r
EXCEPT SELECT unnest(_model_access_decided_columns() || _model_access_stamp_columns())
EXCEPT SELECT unnest('{first_seen_at,changed_at,last_run_id,target_disabled,missing_since,status_before_missing,absent_since,absence_confirmed,
    price_unreadable_since,price_withheld_since}'::text[]);
-- A whole catalogue, then the same again: nothing changes and nothing is written.
SELECT run_id, outcome, url, http_status, listed, added, changed, missing, withheld, unusable, error, max_removals, run_by
FROM model_access_load(:'catalogue');
-- Each upstream column has a value for some model.
SELECT c.key AS "column" FROM model_access AS m CROSS JOIN jsonb_each(to_jsonb(m)) AS c
WHERE c.key IN (SELECT jsonb_object_keys(r) FROM _model_access_rows(_model_access_plan(convert_to('[{"id": "a/b"}]', 'UTF8'), _model_access_state(), NULL), '+') AS r)
GROUP BY c.key HAVING bool_and(c.value = 'null');
SELECT run_id, outcome, listed, added, changed FROM model_access_load(:'catalogue');
SELECT count(*), count(DISTINCT provider) AS providers, bool_and(status = 'new') AS all_new,
       bool_or(is_free OR is_pro OR is_enterprise) AS any_flag FROM model_access;
-- Prices are exact; a variable price is NULL.
SELECT model_id, provider, pricing ->> 'prompt' AS given, prompt_usd_per_million, context_length
FROM model_access
WHERE model_id IN ('openrouter/auto', '~anthropic/claude-opus-latest', 'openai/gpt-5-nano') OR length(pricing ->> 'prompt') > 20
ORDER BY model_id COLLATE "C";
-- Volatile keys are not kept; all others are.
SELECT bool_or(upstream ? 'benchmarks') AS benchmarks, count(upstream -> 'reasoning') AS reasoning FROM model_access;
SET client_min_messages = warning;
-- A bad document is a failed run, and no row changes.
SELECT outcome, error_code, error FROM model_access_load('<!DOCTYPE html><title>524</title>');
SELECT outcome, error_code, error FROM model_access_load('{"data": []}');
SELECT outcome, error_code, error FROM model_access_load('{"error": {"message": "No auth", "code": 401}}');
SELECT max(last_run_id) FROM model_access;
-- An entry that cannot be read counts as listed, and affects no other entry.
UPDATE recorded SET entry = entry - 'name' WHERE model_id = 'openai/gpt-5';
SELECT outcome, listed, missing, withheld, unusable, error FROM model_access_load(pg_temp.all_but(''));
-- An entry without an id could be any of the models that are missing.
UPDATE recorded SET entry = entry - 'id' WHERE model_id = 'openai/gpt-5';
SELECT outcome, listed, missing, withheld, unusable, error FROM model_access_load(pg_temp.all_but(''));
-- Small deviations are accepted: a byte order mark before the document, times in place of dates, numbers with a point, a null in a list.
TRUNCATE model_access;
SELECT outcome, listed, unusable FROM model_access_load(U&'\FEFF' || '{"total_count": "2", "links": {"next": ""}, "has_more": false, "data": [
    {"id": "a/one", "name": "One", "expiration_date": "2026-12-06T00:00:00.000Z", "context_length": 131072.0,
     "top_provider": {"max_completion_tokens": 1.6384e4}, "supported_parameters": ["seed", null, "tools"]},
    {"id": "a/two", "name": "Two", "expiration_date": "2026-12-06T23:00:00-08:00", "context_length": "131072",
     "top_provider": {"max_completion_tokens": 16384.5}}]}');
SELECT model_id, expires_on, context_length, max_completion_tokens, supported_parameters FROM model_access ORDER BY model_id;
-- The list says that there are more pages: nothing is removed.
SELECT outcome, missing, withheld, error FROM model_access_load('{"has_more": true, "data": [{"id": "a/three", "name": "Three"}]}');
-- A parameter limits the size of an entry; ignored keys do not count.
CREATE FUNCTION pg_temp.wide(key text, number integer) RETURNS text LANGUAGE sql AS $$
    SELECT jsonb_build_array(jsonb_build_object('id', 'a/three', 'name', 'Three', key, (SELECT jsonb_agg(i) FROM generate_series(1, number) AS i)),
                             '{"id": "a/one", "name": "One"}'::jsonb, '{"id": "a/two", "name": "Two"}'::jsonb)::text $$;
SELECT unusable FROM model_access_load(pg_temp.wide('list', 5000));
SET model_access.max_entry_values = 6000;
SELECT unusable FROM model_access_load(pg_temp.wide('list', 5000));
SET model_access.max_entry = '1kB';
SELECT unusable FROM model_access_load(pg_temp.wide('list', 1000));
SELECT unusable FROM model_access_load(pg_temp.wide('benchmarks', 10000));
RESET model_access.max_entry;
RESET model_access.max_entry_values;
-- A run names the key that changed in most models.
SELECT outcome, missing FROM model_access_load(pg_temp.all_but('openai/gpt-5'), 10);
UPDATE recorded SET entry = entry || '{"endpoints": {"uptime": 99.5}}';
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.all_but('openai/gpt-5'));
UPDATE recorded SET entry = jsonb_set(entry, '{name}', to_jsonb(model_id));
SELECT outcome, changed, changed_key FROM model_access_load(pg_temp.all_but('openai/gpt-5'));
-- Invalid arguments.
SELECT model_access_load(NULL);
SELECT model_access_load('[]', -1);
BEGIN READ ONLY;
SELECT model_access_load('[]');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT model_access_load('[]');
ROLLBACK;
