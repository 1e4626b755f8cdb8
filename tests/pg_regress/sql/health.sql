\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- No sync has run yet.
SELECT "check", ok FROM model_access_health();
SELECT outcome FROM model_access_load(:'catalogue');
UPDATE model_access SET status = 'inactive';
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'z-ai/glm-5.2:free';
SELECT "check", ok FROM model_access_health();
-- Each check fails by itself.
SELECT outcome, withheld FROM model_access_load((SELECT jsonb_build_object('data', jsonb_agg(entry))::text FROM (SELECT entry FROM recorded LIMIT 100) AS r));
SELECT "check", left(detail, 70) AS detail FROM model_access_health() WHERE NOT ok;
UPDATE model_access_sync_log SET started_at = started_at - interval '31 hours';
SELECT "check", regexp_replace(detail, '07:0\d:\d\d', 'HOURS') AS detail FROM model_access_health() WHERE NOT ok AND "check" = 'last_success';
SELECT pg_temp.reprice('z-ai/glm-5.2:free', '0.000001', '0');
UPDATE recorded SET entry = jsonb_set(entry, '{expiration_date}', to_jsonb(current_date + 3)) WHERE model_id = 'openai/gpt-5';
SELECT outcome FROM model_access_load(pg_temp.all_but(''));
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET free_revoked_at = free_revoked_at - interval '8 days';
SELECT "check", regexp_replace(detail, '\d{4}-\d\d-\d\d', 'DAY') AS detail FROM model_access_health() WHERE NOT ok;
-- One line for Nagios.
SELECT coalesce(string_agg("check" || ': ' || regexp_replace(detail, '\d{4}-\d\d-\d\d', 'DAY'), '; '), 'all is well') AS status FROM model_access_health() WHERE NOT ok;
