\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- The parameters of the fetch are known once the library is loaded, and are validated.
LOAD 'model_access';
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'model\_access.%' ORDER BY name;
SET model_access.url = 'http://openrouter.ai/api/v1/models';
SET model_access.url = 'https://user:secret@openrouter.ai/api/v1/models';
\set VERBOSITY sqlstate
SET model_access.timeout = '10ms';
SET model_access.max_body = '1GB';
SET model_access.max_entry = '1GB';
SET model_access.max_entry_values = 99;
SET model_access.max_entry_values = '64kB';
\set VERBOSITY default
SET model_access.proxy = 'proxy:3128';
SET model_access.proxy = 'http://user:secret@proxy.example:3128';
SET model_access.tiemout = '10s';
-- Only a superuser sets them, before and after the library is loaded.
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SET model_access.url = 'https://example.com/';
SELECT name FROM pg_settings WHERE name LIKE 'model\_access.%' ORDER BY name;
RESET ROLE;
-- A role that runs the sync for others can do nothing else.
SELECT model_access_grant('regress_nobody', 'job');
SET ROLE regress_nobody;
SELECT models_for_tier('free');
SELECT * FROM model_access_sync_log;
SELECT model_access_load('[]');
SELECT model_access_schedule();
RESET ROLE;
SELECT has_function_privilege('regress_nobody', 'model_access_sync(integer)', 'EXECUTE') AS sync,
       has_function_privilege('regress_nobody', 'model_access_sync_job()', 'EXECUTE') AS job;
SELECT model_access_revoke('regress_nobody');
DROP ROLE regress_nobody;
