-- Other things in the same database: two-phase commit, enums, triggers, replicas, restores, renamed schemas.
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
CREATE ROLE regress_web;
INSERT INTO model_access (model_id, name, provider) VALUES ('acme/one', 'One', 'acme'), ('acme/two', 'Two', 'acme');
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'acme/one';
-- Two-phase commit: a transaction that sends a notification cannot be prepared, so a table whose writers use it is bound without triggers.
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text, allowed_models text[]);
ALTER TABLE profiles OWNER TO :"owner";
INSERT INTO profiles VALUES ('u1', 'free', '{acme/one,acme/two}'), ('u2', 'free', NULL);
SELECT model_access_bind_profiles('profiles');
BEGIN;
UPDATE profiles SET subscription_tier = 'pro' WHERE id = 'u1';
PREPARE TRANSACTION 'regress_around_1';
SELECT model_access_bind_profiles('profiles', notify => false);
BEGIN;
UPDATE profiles SET subscription_tier = 'pro' WHERE id = 'u1';
DELETE FROM profiles WHERE id = 'u2';
PREPARE TRANSACTION 'regress_around_2';
SELECT tier FROM model_access_user('u1');
COMMIT PREPARED 'regress_around_2';
SELECT tier FROM model_access_user('u1');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'profiles'::regclass;
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
-- An override sends a notification too.
BEGIN;
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('u1', 'acme/one', false);
PREPARE TRANSACTION 'regress_around_4';
-- A decision sends a notification, whatever is bound.
BEGIN;
UPDATE model_access SET note = 'by XA' WHERE model_id = 'acme/one';
PREPARE TRANSACTION 'regress_around_3';
-- Binding warns of an enum none of whose labels is a tier, with users and without.
SET client_min_messages = warning;
CREATE TYPE plan AS ENUM ('BASIC', 'PRO', 'it''s MAX');
CREATE TABLE members (id text PRIMARY KEY, plan plan NOT NULL DEFAULT 'BASIC');
ALTER TABLE members OWNER TO :"owner";
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SELECT model_access_bind_profiles('members', tier_column => 'plan', tier_map => '{"pro": "pro"}');
INSERT INTO members VALUES ('m1', 'PRO'), ('m2', 'PRO'), ('m3', 'BASIC');
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SELECT count(*) FROM models_for_user('m1');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
-- One label that is a tier is enough if no user has another one.
DELETE FROM members WHERE id = 'm3';
SELECT model_access_bind_profiles('members', tier_column => 'plan', tier_map => '{"PRO": "pro"}');
SELECT count(*) FROM models_for_user('m1');
ALTER TYPE plan ADD VALUE 'free';
DELETE FROM members;
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SET client_min_messages = error;
SELECT model_access_unbind_profiles();
-- Event triggers: those that the extension's functions fire run with search_path = pg_catalog, pg_temp.
CREATE TABLE ddl_log (tag text, object text);
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ddl_log SELECT c.command_tag, c.object_identity FROM pg_event_trigger_ddl_commands() AS c; END $$;
CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION log_ddl();
SELECT model_access_grant('regress_web', 'user');
SELECT model_access_bind_profiles('members', tier_column => 'plan');
CREATE OR REPLACE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.ddl_log SELECT c.command_tag, c.object_identity FROM pg_event_trigger_ddl_commands() AS c; END $$;
SELECT model_access_grant('regress_web', 'user');
SELECT model_access_bind_profiles('profiles');
DROP EVENT TRIGGER log_ddl;
SELECT DISTINCT tag FROM ddl_log WHERE tag IN ('GRANT', 'CREATE TRIGGER') ORDER BY 1;
-- Triggers on the extension's tables: the same is true of them, and health names them.
CREATE TABLE events (model_id text, status text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO events VALUES (NEW.model_id, NEW.status); RETURN NULL; END $$;
CREATE TRIGGER note_change AFTER UPDATE ON model_access FOR EACH ROW EXECUTE FUNCTION note_change();
UPDATE model_access SET note = 'fine' WHERE model_id = 'acme/one';
SELECT model_access_confirm('acme/one');
CREATE OR REPLACE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.events VALUES (NEW.model_id, NEW.status); RETURN NULL; END $$;
SELECT model_access_confirm('acme/one');
ALTER FUNCTION note_change() SECURITY DEFINER SET search_path = public, pg_temp;
SELECT model_access_confirm('acme/one');
SELECT count(*) FROM events;
SELECT ok, detail FROM model_access_health() WHERE "check" = 'privileges';
DROP TRIGGER note_change ON model_access;
-- Functions that only read also work in a read-only transaction, as on a standby.
BEGIN READ ONLY;
SELECT model_id FROM models_for_tier('free');
SELECT model_id, model_allowed_for_user('u1', 'acme/one') FROM models_for_user('u1');
SELECT allowed, regexp_replace(reason, '\d{4}-.*', 'DAY') AS reason FROM model_access_explain_for_user('u1', 'acme/two');
SELECT known, tier FROM model_access_user('u1');
SELECT model_id, reason FROM model_access_review;
SELECT count(*) > 5 FROM model_access_health();
SELECT model_id FROM models_for_tier_as_of('free', now());
SELECT count(*) > 0 FROM model_access_undo('2020-01-01');
SELECT model_id, finding, users, lose FROM model_access_import_allowed_models('profiles');
SELECT count(*) > 0 FROM model_access_retire_allowed_models('profiles', 'allowed_models');
ROLLBACK;
-- REPEATABLE READ: a decision made after the first statement is not visible until the transaction ends.
\setenv DATABASE :DBNAME
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT model_allowed_for_user('u1', 'acme/one');
\! psql -X -q -d "$DATABASE" -c "UPDATE model_access SET status = 'disabled' WHERE model_id = 'acme/one'"
SELECT model_allowed_for_user('u1', 'acme/one'), (SELECT count(*) FROM models_for_tier('free'));
COMMIT;
SELECT model_allowed_for_user('u1', 'acme/one'), (SELECT count(*) FROM models_for_tier('free'));
-- After a restore without privileges, PUBLIC may call the functions of an install without the library, as PostgreSQL creates them.
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO PUBLIC;
SELECT ok, regexp_replace(detail, ';.*more;', ' …;') AS detail FROM model_access_health() WHERE "check" = 'privileges';
SELECT count(*) > 50 AS repaired FROM model_access_repair_privileges();
SELECT ok, detail FROM model_access_health() WHERE "check" = 'privileges';
SET ROLE regress_web;
SELECT * FROM models_for_user('u1');
RESET ROLE;
SELECT model_access_revoke('regress_web');
-- A renamed schema: decisions and answers that look for the old name fail. Health reports it and says how to rename the schema back.
ALTER SCHEMA public RENAME TO "My models";
SELECT count(*) FROM "My models".models_for_tier('free');
\set VERBOSITY terse
SELECT "My models".model_allowed('free', 'acme/one');
SELECT * FROM "My models".model_access_health();
ALTER SCHEMA "My models" RENAME TO public;
UPDATE model_access SET status = 'active' WHERE model_id = 'acme/one';
SELECT "check", ok, detail FROM model_access_health() WHERE "check" = 'schema';
DROP OWNED BY regress_web;
DROP ROLE regress_web;
