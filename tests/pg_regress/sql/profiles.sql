\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-5';
CREATE FUNCTION pg_temp.who(VARIADIC ids text[]) RETURNS TABLE (id text, known boolean, tier text, models bigint) LANGUAGE sql AS
    $$ SELECT i, u.known, u.tier, (SELECT count(*) FROM models_for_user(i)) FROM unnest(ids) WITH ORDINALITY AS x(i, n), model_access_user(i) AS u ORDER BY n $$;
CREATE ROLE regress_app;
CREATE TABLE by_uuid (id uuid PRIMARY KEY, subscription_tier text);
INSERT INTO by_uuid VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'free'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'enterprise'),
    ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', 'gold'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', NULL);
ALTER TABLE by_uuid OWNER TO regress_app;
SELECT model_access_bind_profiles('by_uuid');
CREATE TYPE plan AS ENUM ('free', 'pro', 'enterprise');
CREATE DOMAIN user_number AS bigint CHECK (VALUE > 0);
CREATE TABLE by_number (id user_number, region text, tier plan, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE by_number_eu PARTITION OF by_number FOR VALUES IN ('eu');
CREATE TABLE by_number_us PARTITION OF by_number FOR VALUES IN ('us');
INSERT INTO by_number VALUES (7, 'eu', 'free'), (8, 'us', 'enterprise'), (9, 'eu', 'free'), (9, 'us', 'enterprise'), (9223372036854775807, 'us', 'pro');
SELECT model_access_bind_profiles('by_number', tier_column => 'tier');
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
-- Tables and columns that cannot be bound.
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
-- None of those calls changed the binding.
SELECT known FROM model_access_user(md5('77')::uuid::text);
-- Lookups still work after a rename, and the triggers of the binding keep the columns from being dropped.
SELECT model_access_bind_profiles('by_uuid');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'many'::regclass;
ALTER TABLE by_uuid RENAME COLUMN subscription_tier TO plan;
ALTER TABLE by_uuid RENAME TO members;
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT detail FROM model_access_health() WHERE "check" = 'profiles';
ALTER TABLE members DROP COLUMN plan;
-- Row security does not apply to lookups.
ALTER TABLE members ENABLE ROW LEVEL SECURITY;
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
ALTER TABLE members FORCE ROW LEVEL SECURITY;
SET client_min_messages = warning;
SELECT model_access_bind_profiles('members', tier_column => 'plan');
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
ALTER TABLE members NO FORCE ROW LEVEL SECURITY;
-- Binding warns of roles that may change a tier, by a grant on the table, the column or a partition, to them or to PUBLIC.
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
-- The owner of the table is trusted about tiers. A table that can no longer be read gives no tier, and health says why.
SELECT model_access_bind_profiles('members', tier_column => 'plan');
ALTER TABLE members OWNER TO regress_web;
SELECT known FROM model_access_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
ALTER TABLE members OWNER TO regress_app;
CREATE TABLE gone (id text PRIMARY KEY, subscription_tier text);
INSERT INTO gone VALUES ('alice', 'pro');
SELECT model_access_bind_profiles('gone', notify => false);
SELECT tgname FROM pg_trigger WHERE tgrelid IN ('gone'::regclass, 'members'::regclass);
SELECT known, tier, bound FROM model_access_user('alice');
SELECT known, bound, bucket FROM model_access_user('nobody');
ALTER TABLE gone ALTER subscription_tier TYPE integer USING 1;
SELECT known, bound FROM model_access_user('alice');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
ALTER TABLE gone DROP COLUMN subscription_tier;
SELECT known, bound FROM model_access_user('alice');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
ALTER TABLE gone ADD subscription_tier text;
CREATE TABLE heir () INHERITS (gone);
SELECT model_access_bind_profiles('gone', notify => false);
DROP TABLE heir;
SELECT model_access_bind_profiles('gone', notify => false);
DROP TABLE gone;
SELECT known, bound FROM model_access_user('alice');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
SELECT * FROM model_access_explain_for_user('alice', 'openai/gpt-5');
-- If the lookup raises an error, health reports it and does not fail.
SELECT model_access_bind_profiles('members', tier_column => 'plan');
REVOKE SELECT ON members FROM regress_app;
SELECT ok, detail FROM model_access_health() WHERE "check" IN ('profiles', 'tier_column');
GRANT SELECT ON members TO regress_app;
-- Unbinding leaves nothing on the table.
SELECT model_access_unbind_profiles(), model_access_unbind_profiles();
SELECT known, bound, bucket FROM model_access_user('alice');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'members'::regclass;
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12');
SELECT model_access_revoke('regress_admin');
DROP VIEW profiles_view;
DROP OWNED BY regress_app, regress_web, regress_clerk, regress_admin;
DROP ROLE regress_app, regress_web, regress_groups, regress_clerk, regress_admin;
