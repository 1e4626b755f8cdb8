-- Other things in the same database that only the extension meets: CREATE EXTENSION, a sync in the server, DROP EXTENSION.
CREATE TABLE ddl_log (tag text);
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ddl_log SELECT c.command_tag FROM pg_event_trigger_ddl_commands() AS c; END $$;
CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION log_ddl();
\set SHOW_CONTEXT never
CREATE EXTENSION model_access;
CREATE OR REPLACE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.ddl_log SELECT c.command_tag FROM pg_event_trigger_ddl_commands() AS c; END $$;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
DROP EVENT TRIGGER log_ddl;
SELECT outcome, added FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini'));
-- An error in a trigger of the application ends the sync, and no run row is written.
CREATE TABLE events (model_id text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO events VALUES (NEW.model_id); RETURN NULL; END $$;
CREATE TRIGGER note_change AFTER INSERT ON model_access FOR EACH ROW EXECUTE FUNCTION note_change();
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT outcome, added FROM model_access_sync_log;
SELECT detail FROM model_access_health() WHERE "check" = 'privileges';
DROP TRIGGER note_change ON model_access;
SELECT outcome, added FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
-- DROP EXTENSION deletes every decision. A copy brings the decisions back, with who made them and when, and nothing is recorded twice.
UPDATE model_access SET status = 'active', is_pro = true, note = 'fine' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5-mini';
INSERT INTO model_access_override (user_id, model_id, allowed, expires_at) VALUES ('u1', 'openai/gpt-5', true, '2100-01-01'), ('u2', 'openai/gpt-5', false, NULL);
DELETE FROM model_access_override WHERE user_id = 'u2';
INSERT INTO model_access_rule (position, provider, is_pro) VALUES (10, 'openai', true);
SELECT model_access_set('free_guard', 'off');
CREATE SCHEMA kept;
CREATE TABLE kept.model_access AS TABLE model_access;
CREATE TABLE kept.override AS TABLE model_access_override;
CREATE TABLE kept.rule AS TABLE model_access_rule;
CREATE TABLE kept.setting AS TABLE model_access_setting;
CREATE TABLE kept.sync_log AS TABLE model_access_sync_log;
CREATE TABLE kept.history AS TABLE model_access_history;
DROP EXTENSION model_access;
SELECT to_regclass('model_access');
CREATE EXTENSION model_access;
INSERT INTO model_access_history SELECT * FROM kept.history;
SELECT setval('model_access_history_history_id_seq', max(history_id)) IS NOT NULL AS set FROM model_access_history;
INSERT INTO model_access_sync_log SELECT * FROM kept.sync_log;
SELECT setval('model_access_sync_log_run_id_seq', max(run_id)) IS NOT NULL AS set FROM model_access_sync_log;
INSERT INTO model_access SELECT * FROM kept.model_access;
INSERT INTO model_access_override SELECT * FROM kept.override;
SELECT setval('model_access_override_override_id_seq', max(override_id)) IS NOT NULL AS set FROM model_access_override;
INSERT INTO model_access_rule SELECT * FROM kept.rule;
INSERT INTO model_access_setting SELECT * FROM kept.setting;
SELECT t.name, (SELECT count(*) FROM jsonb_array_elements(t.new)) AS rows, t.new = t.old AS same FROM (VALUES
    ('model_access', (SELECT jsonb_agg(to_jsonb(m) ORDER BY model_id) FROM model_access AS m), (SELECT jsonb_agg(to_jsonb(m) ORDER BY model_id) FROM kept.model_access AS m)),
    ('override', (SELECT jsonb_agg(to_jsonb(o) ORDER BY override_id) FROM model_access_override AS o), (SELECT jsonb_agg(to_jsonb(o) ORDER BY override_id) FROM kept.override AS o)),
    ('rule', (SELECT jsonb_agg(to_jsonb(r) ORDER BY position) FROM model_access_rule AS r), (SELECT jsonb_agg(to_jsonb(r) ORDER BY position) FROM kept.rule AS r)),
    ('setting', (SELECT jsonb_agg(to_jsonb(s) ORDER BY name) FROM model_access_setting AS s), (SELECT jsonb_agg(to_jsonb(s) ORDER BY name) FROM kept.setting AS s)),
    ('sync_log', (SELECT jsonb_agg(to_jsonb(l) ORDER BY run_id) FROM model_access_sync_log AS l), (SELECT jsonb_agg(to_jsonb(l) ORDER BY run_id) FROM kept.sync_log AS l)),
    ('history', (SELECT jsonb_agg(to_jsonb(h) ORDER BY history_id) FROM model_access_history AS h), (SELECT jsonb_agg(to_jsonb(h) ORDER BY history_id) FROM kept.history AS h))) AS t(name, new, old);
-- Decisions and syncs work again.
SELECT outcome, added, missing FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5';
SELECT count(*) = (SELECT count(*) + 1 FROM kept.history) AS one_more FROM model_access_history;
-- Why many functions have no search_path: with one, models_for_tier is no longer inlined to the plain query.
CREATE FUNCTION pg_temp.is_inlined() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE $q$ EXPLAIN (FORMAT JSON) SELECT model_id FROM models_for_tier('pro') WHERE provider = 'openai' $q$ INTO plan;
    RETURN plan::text NOT LIKE '%Function Scan%';
END
$$;
SELECT pg_temp.is_inlined();
ALTER FUNCTION models_for_tier(text) SET search_path = '';
SELECT pg_temp.is_inlined();
ALTER FUNCTION models_for_tier(text) RESET ALL;
-- Such functions need no search_path: their body was bound to its objects when it was created, or qualifies every name.
SELECT p.oid::regprocedure FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'model_access'
JOIN pg_proc AS p ON p.oid = d.objid JOIN pg_language AS l ON l.oid = p.prolang
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.proconfig IS NULL AND p.prosqlbody IS NULL AND l.lanname <> 'c'
ORDER BY p.proname COLLATE "C";
DROP SCHEMA kept CASCADE;
