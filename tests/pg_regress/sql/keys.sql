\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-5';
CREATE FUNCTION pg_temp.who(VARIADIC ids text[]) RETURNS TABLE (id text, known boolean, tier text, models bigint) LANGUAGE sql AS
    $$ SELECT i, u.known, u.tier, (SELECT count(*) FROM models_for_user(i)) FROM unnest(ids) WITH ORDINALITY AS x(i, n), model_access_user(i) AS u ORDER BY n $$;
-- Nothing is bound: no user is known.
SELECT * FROM pg_temp.who('alice', NULL);
SELECT * FROM model_access_explain_for_user('alice', 'openai/gpt-5');
-- A key may be a uuid, a text or an integer. A value of another form is an unknown user, not an error.
CREATE TABLE by_uuid (id uuid PRIMARY KEY, subscription_tier text);
INSERT INTO by_uuid VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'free'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'enterprise'),
    ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', 'gold'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', NULL);
ALTER TABLE by_uuid OWNER TO :"owner";
SELECT model_access_bind_profiles('by_uuid');
SELECT * FROM pg_temp.who('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12', 'a0eebc999c0b4ef8bb6d6bb9bd380a12',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1', 'alice', '', NULL);
CREATE TABLE "By Name" ("User" varchar(5) PRIMARY KEY, "The Plan" varchar(20));
INSERT INTO "By Name" VALUES ('alice', 'pro'), ('bob', 'Pro');
ALTER TABLE "By Name" OWNER TO :"owner";
SELECT model_access_bind_profiles('"By Name"', 'User', 'The Plan');
SELECT * FROM pg_temp.who('alice', 'alice2', 'Alice', 'bob', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
CREATE TYPE plan AS ENUM ('free', 'pro', 'enterprise');
CREATE DOMAIN user_number AS bigint CHECK (VALUE > 0);
CREATE TABLE by_number (id user_number, region text, tier plan, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE by_number_eu PARTITION OF by_number FOR VALUES IN ('eu');
CREATE TABLE by_number_us PARTITION OF by_number FOR VALUES IN ('us');
INSERT INTO by_number VALUES (7, 'eu', 'free'), (8, 'us', 'enterprise'), (9, 'eu', 'free'), (9, 'us', 'enterprise'), (9223372036854775807, 'us', 'pro');
ALTER TABLE by_number OWNER TO :"owner";
ALTER TABLE by_number_eu OWNER TO :"owner";
ALTER TABLE by_number_us OWNER TO :"owner";
SELECT model_access_bind_profiles('by_number', tier_column => 'tier');
-- Two rows have the id 9, so that user is unknown.
SELECT * FROM pg_temp.who('7', '007', '8', '9', '-1', '9223372036854775807', '9223372036854775808', '99999999999999999999', '7.0', ' 7', '7; DROP TABLE by_number');
CREATE TABLE by_small_number (id smallint PRIMARY KEY, subscription_tier text);
INSERT INTO by_small_number VALUES (7, 'pro');
ALTER TABLE by_small_number OWNER TO :"owner";
SELECT model_access_bind_profiles('by_small_number');
SELECT * FROM pg_temp.who('7', '70000');
-- A user-defined cast to text is not called: it would run as the owner of the table.
CREATE TYPE gift AS ENUM ('free', 'pro', 'enterprise');
CREATE FUNCTION more(gift) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'enterprise' $$;
CREATE CAST (gift AS text) WITH FUNCTION more(gift);
CREATE TABLE by_gift (id integer PRIMARY KEY, subscription_tier gift);
INSERT INTO by_gift VALUES (1, 'free'), (2, NULL);
ALTER TABLE by_gift OWNER TO :"owner";
SELECT model_access_bind_profiles('by_gift');
SELECT * FROM pg_temp.who('1', '2');
-- Plans with names of their own: with a tier_map only its names count.
CREATE TYPE own_plan AS ENUM ('BASIC', 'MAX', 'pro');
CREATE TABLE by_plan (id text PRIMARY KEY, subscription_tier own_plan);
INSERT INTO by_plan VALUES ('alice', 'BASIC'), ('bob', 'MAX'), ('carol', 'pro'), ('dora', NULL);
ALTER TABLE by_plan OWNER TO :"owner";
SELECT model_access_bind_profiles('by_plan');
SELECT model_access_bind_profiles('by_plan', tier_map => '{"BASIC": "free", "MAX": "pro"}');
SELECT * FROM pg_temp.who('alice', 'bob', 'carol', 'dora');
SELECT ok, detail FROM model_access_health() WHERE "check" = 'profiles';
SELECT model_access_bind_profiles('by_plan', tier_map => '{"BASIC": "gratis"}');
SELECT model_access_bind_profiles('by_plan', tier_map => '["free"]');
SELECT model_access_bind_profiles('by_plan', tier_map => '{}');
SELECT model_access_bind_profiles('by_plan', notify => NULL);
SELECT model_access_unbind_profiles();
