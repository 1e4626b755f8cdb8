-- Installed into a schema whose default privileges grant everything, nobody but the owner has any privilege.
CREATE ROLE regress_web;
\getenv owner MODEL_ACCESS_OWNER
CREATE SCHEMA "Given Away";
GRANT CREATE ON SCHEMA "Given Away" TO :owner;
GRANT USAGE ON SCHEMA "Given Away" TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner IN SCHEMA "Given Away" GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner IN SCHEMA "Given Away" GRANT ALL ON TABLES TO regress_web WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner IN SCHEMA "Given Away" GRANT ALL ON SEQUENCES TO PUBLIC, regress_web;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner IN SCHEMA "Given Away" GRANT ALL ON FUNCTIONS TO PUBLIC, regress_web;
-- A role that may create in the schema plants functions that match calls better, to be called with the owner's rights.
GRANT CREATE ON SCHEMA "Given Away" TO regress_web;
SET ROLE regress_web;
CREATE FUNCTION "Given Away".caught() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a planted function ran as %', current_user; END $$;
CREATE FUNCTION "Given Away".format(text, text) RETURNS text LANGUAGE sql AS 'SELECT "Given Away".caught()';
CREATE FUNCTION "Given Away".format(text, text, text, text) RETURNS text LANGUAGE sql AS 'SELECT "Given Away".caught()';
CREATE FUNCTION "Given Away".concat_ws(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT "Given Away".caught()';
CREATE FUNCTION "Given Away".concat_ws(text, text, text, text) RETURNS text LANGUAGE sql AS 'SELECT "Given Away".caught()';
CREATE FUNCTION "Given Away".json_build_object(text, timestamptz, text, json, text, json) RETURNS json LANGUAGE sql AS 'SELECT "Given Away".caught()::json';
CREATE FUNCTION "Given Away".jsonb_build_object(text, timestamptz, text, integer) RETURNS jsonb LANGUAGE sql AS 'SELECT "Given Away".caught()::jsonb';
CREATE FUNCTION "Given Away".same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT "Given Away".caught() IS NULL';
CREATE OPERATOR "Given Away".= (LEFTARG = text, RIGHTARG = text, FUNCTION = "Given Away".same);
RESET ROLE;
\set schema 'Given Away'
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
CREATE VIEW held AS
    SELECT c.relname AS object, a.grantee::regrole AS grantee, string_agg(a.privilege_type, ',' ORDER BY a.privilege_type) AS privileges
    FROM pg_class AS c, aclexplode(c.relacl) AS a
    WHERE c.relnamespace = '"Given Away"'::regnamespace AND a.grantee NOT IN (c.relowner, coalesce(to_regrole('model_access_owner'), 0)) GROUP BY 1, 2
    UNION ALL
    SELECT c.relname || '.' || t.attname, a.grantee::regrole, string_agg(a.privilege_type, ',' ORDER BY a.privilege_type)
    FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid, aclexplode(t.attacl) AS a
    WHERE c.relnamespace = '"Given Away"'::regnamespace AND a.grantee NOT IN (c.relowner, coalesce(to_regrole('model_access_owner'), 0)) GROUP BY 1, 2
    UNION ALL
    SELECT p.proname, a.grantee::regrole, string_agg(a.privilege_type, ',' ORDER BY a.privilege_type)
    FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
    WHERE p.pronamespace = '"Given Away"'::regnamespace AND a.grantee NOT IN (p.proowner, coalesce(to_regrole('model_access_owner'), 0)) GROUP BY 1, 2;
SELECT * FROM held WHERE object NOT IN ('caught', 'format', 'concat_ws', 'json_build_object', 'jsonb_build_object', 'same');
SET search_path = "Given Away", public;
SELECT outcome FROM model_access_load('[{"id": "a/b", "name": "x"}, {"id": "c/d", "name": "y"}]');
-- A role without rights can do nothing.
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SELECT * FROM models_for_tier('free');
SELECT model_allowed('free', 'a/b');
SELECT * FROM model_access;
RESET ROLE;
-- user: only models_for_me.
CREATE ROLE regress_user;
SELECT model_access_grant('regress_user', 'user');
SELECT object, privileges FROM held WHERE grantee = 'regress_user'::regrole;
SELECT model_access_revoke('regress_user');
DROP OWNED BY regress_user;
DROP ROLE regress_user;
-- reader: the answers, and nothing else.
CREATE ROLE regress_reader;
SELECT model_access_grant('regress_reader', 'reader');
SELECT object, privileges FROM held WHERE grantee = 'regress_reader'::regrole ORDER BY object COLLATE "C";
SET ROLE regress_reader;
SELECT count(*) FROM models_for_tier('enterprise');
SELECT model_allowed('free', 'a/b'), e.* FROM model_access_explain('free', 'nobody/nothing') AS e;
SELECT count(*) FROM model_access_visible;
SELECT * FROM model_access;
UPDATE model_access SET status = 'active';
RESET ROLE;
-- admin: decides, reads the log, runs the sync; changes no upstream column, passes no document, grants no rights.
CREATE ROLE regress_admin;
SELECT model_access_grant('regress_admin', 'admin');
SELECT object, privileges FROM held WHERE grantee = 'regress_admin'::regrole AND object NOT IN ('model_access_sync', 'model_access_preview', '_model_access_preview_fetched') ORDER BY object COLLATE "C";
SET ROLE regress_admin;
UPDATE model_access SET status = 'active', is_free = true, note = 'fine' WHERE model_id = 'a/b' RETURNING model_id, reviewed_by;
SELECT model_id FROM models_for_tier('free');
SELECT outcome, run_by = :'owner' AS by_owner FROM model_access_sync_log;
SELECT count(*) FROM model_access_settings;
INSERT INTO model_access_rule (position, is_pro) VALUES (10, true);
SELECT model_id, reason, proposed FROM model_access_review;
SELECT model_id, tiers FROM model_access_accept('c/d');
SELECT model_access_confirm('a/b');
SELECT model_id, old, new FROM model_access_undo('2020-01-01', model_ids => '{c/d}');
SELECT model_id, actor_role FROM model_access_history ORDER BY history_id;
SELECT count(*) FROM model_access_price_history;
SELECT model_id FROM models_for_tier_as_of('pro', clock_timestamp()) ORDER BY 1;
SELECT count(*) FROM model_access_health();
ALTER TABLE model_access ADD COLUMN mine text;
CREATE TRIGGER mine AFTER UPDATE ON model_access FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
DROP VIEW model_access_review;
UPDATE model_access SET reviewed_rule = 'mine', status = 'active';
SELECT _model_access_lock();
UPDATE model_access SET pricing = '{}';
UPDATE model_access SET reviewed_by = 'somebody else';
UPDATE model_access SET last_run_id = 7, status = 'active';
INSERT INTO model_access (model_id) VALUES ('x/y');
DELETE FROM model_access;
TRUNCATE model_access;
DELETE FROM model_access_sync_log;
SELECT model_access_load('[]');
SELECT model_access_apply('{}');
SELECT model_access_set('free_guard', 'off');
SELECT model_access_grant('regress_admin', 'reader');
RESET ROLE;
-- No planted function ran with the owner's rights.
UPDATE model_access SET status = 'disabled' WHERE model_id = 'c/d';
SET ROLE regress_reader;
SELECT m.model_id, e.allowed FROM (VALUES ('a/b'), ('c/d')) AS m(model_id), model_access_explain('free', m.model_id) AS e;
RESET ROLE;
-- A dump may be restored in another cluster, where the same oid is another role. There the name counts.
BEGIN;
UPDATE model_access_granted SET role_id = 'regress_nobody'::regrole WHERE role = 'regress_reader';
SELECT role, role_id::regrole FROM _model_access_grantee WHERE rights = 'reader';
UPDATE model_access_granted SET system_id = system_id + 1;
SELECT role, role_id::regrole FROM _model_access_grantee WHERE rights = 'reader';
SELECT * FROM model_access_repair_privileges();
SELECT role, role_id::regrole, system_id = (SELECT system_identifier FROM pg_control_system()) AS here
FROM model_access_granted ORDER BY role;
ROLLBACK;
-- After a revoke, a role holds nothing, however it got its privileges.
GRANT SELECT ON model_access_setting TO regress_admin;
GRANT UPDATE (name) ON model_access TO regress_admin;
GRANT USAGE ON SEQUENCE model_access_sync_log_run_id_seq TO regress_admin;
SELECT model_access_revoke('regress_admin'), model_access_revoke('regress_reader');
SELECT * FROM held WHERE grantee <> ALL ('{regress_web,-}'::regrole[]);
-- Invalid arguments.
SELECT model_access_grant('regress_reader', 'superuser');
SELECT model_access_grant('regress_reader', NULL);
SELECT model_access_grant(NULL, 'reader');
SELECT model_access_revoke(0);
DROP VIEW held;
DROP OWNED BY regress_web;
DROP ROLE regress_web, regress_nobody, regress_reader, regress_admin;
