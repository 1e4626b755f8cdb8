\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-5';
CREATE FUNCTION pg_temp.who(VARIADIC ids text[]) RETURNS TABLE (id text, known boolean, tier text, models bigint) LANGUAGE sql AS
    $$ SELECT i, u.known, u.tier, (SELECT count(*) FROM models_for_user(i)) FROM unnest(ids) WITH ORDINALITY AS x(i, n), model_access_user(i) AS u ORDER BY n $$;
-- Nothing is bound: nobody is known.
SELECT * FROM pg_temp.who('alice', NULL);
SELECT * FROM model_access_explain_for_user('alice', 'openai/gpt-5');
-- A key may be a uuid, a text or an integer; what cannot be one is an unknown user, not an error.
CREATE ROLE regress_app;
-- default privileges give nobody anything on what binding makes
CREATE ROLE regress_hosted;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO regress_hosted;
CREATE TABLE by_uuid (id uuid PRIMARY KEY, subscription_tier text);
INSERT INTO by_uuid VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'free'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'enterprise'),
    ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', 'gold'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', NULL);
ALTER TABLE by_uuid OWNER TO regress_app;
SELECT model_access_bind_profiles('by_uuid');
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12', 'a0eebc999c0b4ef8bb6d6bb9bd380a12',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1', 'alice', '', NULL);
CREATE TABLE "By Name" ("User" varchar(5) PRIMARY KEY, "The Plan" varchar(20));
INSERT INTO "By Name" VALUES ('alice', 'pro'), ('bob', 'Pro');
SELECT model_access_bind_profiles('"By Name"', 'User', 'The Plan');
SELECT * FROM pg_temp.who('alice', 'alice2', 'Alice', 'bob', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
CREATE TYPE plan AS ENUM ('free', 'pro', 'enterprise');
CREATE DOMAIN user_number AS bigint CHECK (VALUE > 0);
CREATE TABLE by_number (id user_number, region text, tier plan, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE by_number_eu PARTITION OF by_number FOR VALUES IN ('eu');
CREATE TABLE by_number_us PARTITION OF by_number FOR VALUES IN ('us');
INSERT INTO by_number VALUES (7, 'eu', 'free'), (8, 'us', 'enterprise'), (9, 'eu', 'free'), (9, 'us', 'enterprise'), (9223372036854775807, 'us', 'pro');
SELECT model_access_bind_profiles('by_number', tier_column => 'tier');
-- The id 9 is two rows', and so nobody's.
SELECT * FROM pg_temp.who('7', '007', '8', '9', '-1', '9223372036854775807', '9223372036854775808', '99999999999999999999', '7.0', ' 7', '7; DROP TABLE by_number');
CREATE TABLE by_small_number (id smallint PRIMARY KEY, subscription_tier text);
INSERT INTO by_small_number VALUES (7, 'pro');
SELECT model_access_bind_profiles('by_small_number');
SELECT * FROM pg_temp.who('7', '70000');
-- A type's own cast to text is not called: it would run as the owner of the table.
CREATE TYPE gift AS ENUM ('free', 'pro', 'enterprise');
CREATE FUNCTION more(gift) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'enterprise' $$;
CREATE CAST (gift AS text) WITH FUNCTION more(gift);
CREATE TABLE by_gift (id integer PRIMARY KEY, subscription_tier gift);
INSERT INTO by_gift VALUES (1, 'free'), (2, NULL);
SELECT model_access_bind_profiles('by_gift');
SELECT * FROM pg_temp.who('1', '2');
-- The lookup uses the index of the key.
CREATE TABLE many (id uuid PRIMARY KEY, subscription_tier text);
INSERT INTO many SELECT md5(n::text)::uuid, 'free' FROM generate_series(1, 10000) AS n;
ANALYZE many;
SELECT model_access_bind_profiles('many');
SELECT pg_stat_force_next_flush();
SELECT pg_stat_reset_single_table_counters('many'::regclass);
SELECT count(*) FROM models_for_user(md5('77')::uuid::text);
SELECT pg_stat_force_next_flush();
SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'many';
-- What it cannot be.
CREATE VIEW profiles_view AS SELECT * FROM by_uuid;
CREATE TABLE no_index (id uuid, other integer, subscription_tier text, times timestamptz);
CREATE INDEX ON no_index (id) WHERE other > 0;
CREATE INDEX ON no_index (other, id);
SELECT model_access_bind_profiles(NULL);
SELECT model_access_bind_profiles('nowhere');
SELECT model_access_bind_profiles('profiles_view');
SELECT model_access_bind_profiles('no_index');
CREATE INDEX ON no_index USING brin (id);
SELECT model_access_bind_profiles('no_index');
SELECT model_access_bind_profiles('no_index', 'uid');
SELECT model_access_bind_profiles('no_index', 'id', 'plan');
SELECT model_access_bind_profiles('no_index', 'id', 'id');
SELECT model_access_bind_profiles('no_index', 'times');
SELECT model_access_bind_profiles('no_index', 'id', 'times');
CREATE TABLE by_letters (id char(5) PRIMARY KEY, subscription_tier text);
SELECT model_access_bind_profiles('by_letters');
CREATE TABLE parent (id text PRIMARY KEY, subscription_tier text);
CREATE TABLE child () INHERITS (parent);
SELECT model_access_bind_profiles('parent');
-- Nothing of that undid the binding.
SELECT known FROM model_access_user(md5('77')::uuid::text);
-- The lookup runs as the owner of the table, follows renaming, and keeps its columns from being dropped.
SELECT model_access_bind_profiles('by_uuid');
SELECT p.proname, p.proowner::regrole, p.prosecdef, has_function_privilege('public', p.oid, 'EXECUTE') OR has_function_privilege('regress_hosted', p.oid, 'EXECUTE') AS anyone
FROM pg_proc AS p WHERE proname LIKE 'model\_access\_profile%' ORDER BY 1;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'many'::regclass;
ALTER TABLE by_uuid RENAME COLUMN subscription_tier TO plan;
ALTER TABLE by_uuid RENAME TO members;
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT detail FROM model_access_health() WHERE "check" = 'profiles';
ALTER TABLE members DROP COLUMN plan;
-- Row security does not hide users from it, unless it is forced on the owner.
ALTER TABLE members ENABLE ROW LEVEL SECURITY;
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
ALTER TABLE members FORCE ROW LEVEL SECURITY;
SET client_min_messages = warning;
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
ALTER TABLE members NO FORCE ROW LEVEL SECURITY;
-- It warns of roles that may change a tier, by a grant on the table, the column or a partition, to them or to PUBLIC.
CREATE ROLE regress_web;
CREATE ROLE regress_clerk;
CREATE ROLE regress_groups NOINHERIT IN ROLE regress_clerk;
CREATE ROLE regress_admin;
SELECT model_access_grant('regress_admin', 'admin');
GRANT UPDATE ON members TO regress_admin;
GRANT SELECT, INSERT, UPDATE (id) ON members TO regress_web;
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'tier_column';
GRANT UPDATE ON members TO regress_clerk;
GRANT UPDATE (plan) ON members TO regress_web;
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'tier_column';
SELECT model_access_bind_profiles('by_number', tier_column => 'tier');
GRANT UPDATE ON by_number_us TO PUBLIC;
SELECT ok, detail ~ 'regress_groups.*regress_web' AS everyone FROM model_access_health() WHERE "check" = 'tier_column';
REVOKE UPDATE ON by_number_us FROM PUBLIC;
-- Another owner, a lookup of that name by another role, none: no user is known, and health says so.
SELECT model_access_bind_profiles('members', tier_column => 'plan');
ALTER TABLE members OWNER TO regress_web;
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
ALTER TABLE members OWNER TO regress_app;
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
DROP FUNCTION model_access_profile(text);
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
GRANT CREATE ON SCHEMA public TO regress_web;
SET ROLE regress_web;
CREATE FUNCTION model_access_profile(user_id text) RETURNS TABLE (user_key text, tier text) LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN RAISE EXCEPTION 'a planted function ran as %', current_user; END $$;
RESET ROLE;
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
DROP FUNCTION model_access_profile(text);
-- An error of the lookup is health's news, and not the end of it.
SELECT model_access_bind_profiles('members', tier_column => 'plan');
REVOKE SELECT ON members FROM regress_app;
SELECT ok, detail FROM model_access_health() WHERE "check" IN ('profiles', 'tier_column');
GRANT SELECT ON members TO regress_app;
-- Unbinding leaves nothing on the table.
SELECT model_access_unbind_profiles(), model_access_unbind_profiles();
SELECT tgname FROM pg_trigger WHERE tgrelid = 'members'::regclass;
SELECT proname FROM pg_proc WHERE proname LIKE 'model\_access\_profile%';
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12');
SELECT model_access_revoke('regress_admin');
REVOKE CREATE ON SCHEMA public FROM regress_web;
DROP VIEW profiles_view;
DROP OWNED BY regress_hosted, regress_app, regress_web, regress_clerk, regress_admin;
DROP ROLE regress_hosted, regress_app, regress_web, regress_groups, regress_clerk, regress_admin;
