\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- A whole catalogue, then the same again: nothing changed, nothing written.
SELECT run_id, outcome, url, http_status, listed, added, changed, missing, withheld, unusable, error, max_removals, run_by
FROM model_access_load(:'catalogue');
SELECT run_id, outcome, listed, added, changed FROM model_access_load(:'catalogue');
SELECT count(*), count(DISTINCT provider) AS providers, bool_and(status = 'new') AS all_new,
       bool_or(is_free OR is_pro OR is_enterprise) AS any_flag FROM model_access;
-- Prices are exact, variable ones are unknown.
SELECT model_id, provider, pricing ->> 'prompt' AS given, prompt_usd_per_million, context_length
FROM model_access
WHERE model_id IN ('openrouter/auto', '~anthropic/claude-opus-latest', 'openai/gpt-5-nano') OR length(pricing ->> 'prompt') > 20
ORDER BY model_id COLLATE "C";
-- What is volatile is not kept, everything else is.
SELECT bool_or(upstream ? 'benchmarks') AS benchmarks, count(upstream -> 'reasoning') AS reasoning FROM model_access;
SET client_min_messages = warning;
-- A bad document is a failed run that touches no row.
SELECT outcome, error_code, error FROM model_access_load('<!DOCTYPE html><title>524</title>');
SELECT outcome, error_code, error FROM model_access_load('{"data": []}');
SELECT outcome, error_code, error FROM model_access_load('{"error": {"message": "No auth", "code": 401}}');
SELECT max(last_run_id) FROM model_access;
-- An entry that cannot be read counts as seen, and costs no other.
UPDATE recorded SET entry = entry - 'name' WHERE model_id = 'openai/gpt-5';
SELECT outcome, listed, missing, withheld, unusable, error FROM model_access_load(pg_temp.all_but(''));
-- One without an id could be any of those that are missing.
UPDATE recorded SET entry = entry - 'id' WHERE model_id = 'openai/gpt-5';
SELECT outcome, listed, missing, withheld, unusable, error FROM model_access_load(pg_temp.all_but(''));
-- Arguments.
SELECT model_access_load(NULL);
SELECT model_access_load('[]', -1);
BEGIN READ ONLY;
SELECT model_access_load('[]');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT model_access_load('[]');
ROLLBACK;
