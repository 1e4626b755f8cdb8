\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\set all '\'openai/gpt-5\', \'openai/gpt-5-mini\', \'openai/gpt-5-nano\', \'openai/gpt-4o\''
SELECT action, model_id, detail ->> 'name' AS name, detail ->> 'prompt_usd_per_million' AS prompt FROM model_access_preview(pg_temp.listing(:all));
SELECT count(*) FROM model_access;
SELECT outcome FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM model_access_preview(pg_temp.listing(:all));
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
SELECT pg_temp.reprice('openai/gpt-5', '0.000002', '0.00001');
SELECT action, model_id, detail - '{changed_at,missing_since}'::text[] AS detail FROM model_access_preview(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-nano', 'openai/gpt-4o'));
-- The same, with removals withheld.
SELECT action, model_id, detail ->> 'message' AS message FROM model_access_preview(pg_temp.listing('openai/gpt-5-nano', 'openai/gpt-4o'), max_removals => 1);
SELECT action, detail ->> 'message' AS message FROM model_access_preview('<html>');
SELECT max(run_id) FROM model_access_sync_log;
SELECT * FROM model_access_preview('[]', -1);
-- Only the owner may pass a document.
CREATE ROLE regress_admin;
SELECT model_access_grant('regress_admin', 'admin');
SET ROLE regress_admin;
SELECT * FROM model_access_preview('[]');
RESET ROLE;
SELECT model_access_revoke('regress_admin');
DROP ROLE regress_admin;
