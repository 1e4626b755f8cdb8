-- No function waits for a lock without a limit, and the error says who holds the lock: here a prepared transaction of this session.
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
INSERT INTO model_access (model_id, provider) VALUES ('acme/one', 'acme');
INSERT INTO model_access_rule (position, provider, is_pro) VALUES (1, 'acme', true);
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text, allowed_models text[]);
CREATE TABLE members (id text PRIMARY KEY, subscription_tier text) PARTITION BY LIST (id);
CREATE TABLE member_a PARTITION OF members FOR VALUES IN ('a');
ALTER TABLE profiles OWNER TO :"owner";
ALTER TABLE members OWNER TO :"owner";
ALTER TABLE member_a OWNER TO :"owner";
SET lock_timeout = '50ms';
-- A reader of the bound table: new triggers wait for it (in the extension, which also drops them), and so does the drop of triggers.
SELECT model_access_bind_profiles('profiles');
BEGIN;
SELECT FROM profiles;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_unbind_profiles();
SELECT model_access_bind_profiles('profiles', notify => false);
SELECT model_access_bind_profiles('members');
-- Binding again in the same way needs no lock, and a table without triggers needs none.
SELECT model_access_bind_profiles('profiles');
SELECT model_access_retire_allowed_models('profiles', dry_run => false);
ROLLBACK PREPARED 'regress_locks';
SELECT model_access_bind_profiles('profiles', notify => false);
BEGIN;
SELECT FROM profiles;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_unbind_profiles();
SELECT model_access_bind_profiles('profiles', notify => false);
ROLLBACK PREPARED 'regress_locks';
-- Somebody else locks the bound table against readers, or binds.
BEGIN;
LOCK TABLE profiles;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_bind_profiles('profiles', notify => false);
ROLLBACK PREPARED 'regress_locks';
BEGIN;
LOCK TABLE model_access_binding IN ROW EXCLUSIVE MODE;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_unbind_profiles();
ROLLBACK PREPARED 'regress_locks';
-- A reader of a partition keeps triggers from being dropped.
SELECT model_access_bind_profiles('members');
BEGIN;
SELECT FROM member_a;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_unbind_profiles();
ROLLBACK PREPARED 'regress_locks';
SELECT model_access_unbind_profiles();
-- Decisions: the lock of the table, of rules, of overrides, and of a row.
BEGIN;
LOCK TABLE model_access IN ROW EXCLUSIVE MODE;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_accept('acme/one');
SELECT * FROM model_access_undo('2020-01-01', false);
ROLLBACK PREPARED 'regress_locks';
BEGIN;
LOCK TABLE model_access_rule IN ROW EXCLUSIVE MODE;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_accept('acme/one');
ROLLBACK PREPARED 'regress_locks';
BEGIN;
LOCK TABLE model_access_override IN ROW EXCLUSIVE MODE;
PREPARE TRANSACTION 'regress_locks';
SELECT * FROM model_access_undo('2020-01-01', false, overrides => true);
ROLLBACK PREPARED 'regress_locks';
BEGIN;
SELECT FROM model_access WHERE model_id = 'acme/one' FOR UPDATE;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_confirm('acme/one');
ROLLBACK PREPARED 'regress_locks';
-- A lock that a trigger of the application does not get has its own message.
CREATE TABLE desk (id integer);
ALTER TABLE desk OWNER TO :"owner";
CREATE FUNCTION use_desk() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN LOCK TABLE public.desk NOWAIT; RETURN NULL; END $$;
ALTER FUNCTION use_desk() OWNER TO :"owner";
CREATE TRIGGER use_desk AFTER UPDATE ON model_access EXECUTE FUNCTION use_desk();
BEGIN;
LOCK TABLE desk;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_confirm('acme/one');
ROLLBACK PREPARED 'regress_locks';
DROP TRIGGER use_desk ON model_access;
-- Restore and drop wait as a retire does.
SELECT count(*) > 0 AS retired FROM model_access_retire_allowed_models('profiles', dry_run => false);
BEGIN;
SELECT FROM profiles;
PREPARE TRANSACTION 'regress_locks';
SELECT model_access_restore_allowed_models('profiles', dry_run => false);
SELECT model_access_drop_retired_column('profiles', dry_run => false);
ROLLBACK PREPARED 'regress_locks';
-- Afterwards lock_timeout is what it was, also in the transaction of the caller.
RESET lock_timeout;
BEGIN;
SELECT model_access_bind_profiles('profiles');
SHOW lock_timeout;
SELECT model_access_unbind_profiles();
SHOW lock_timeout;
SELECT model_access_accept('acme/one');
SHOW lock_timeout;
SELECT count(*) > 0 AS restored FROM model_access_restore_allowed_models('profiles', dry_run => false);
SHOW lock_timeout;
SET LOCAL lock_timeout = '70ms';
SELECT model_access_confirm('acme/one');
SHOW lock_timeout;
COMMIT;
SHOW lock_timeout;
