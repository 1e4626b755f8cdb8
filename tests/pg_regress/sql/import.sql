\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SET client_min_messages = error;
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro', 'openai/gpt-4o', 'openai/gpt-4o-mini', 'anthropic/claude-haiku-4.5'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id IN ('openai/gpt-5-mini', 'anthropic/claude-haiku-4.5');
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5-pro';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-4o';
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'openai/gpt-5-pro', 'openai/gpt-4o', 'openai/gpt-4o-mini'));
CREATE TABLE profiles (id integer PRIMARY KEY, subscription_tier text, allowed_models jsonb);
ALTER TABLE profiles OWNER TO :"owner";
INSERT INTO profiles VALUES
    (1, 'free', '["openai/gpt-5-nano", "openai/gpt-5-mini", "openai/gpt-5-mini", "openai/gpt-4o-mini"]'),
    (2, 'free', '["openai/gpt-5-mini", "openai/gpt-5-pro", "openai/gpt-4o", "anthropic/claude-haiku-4.5", "nobody/nothing", "openai/gpt-5:nitro"]'),
    (3, 'pro', '["openai/gpt-5-mini", "openai/gpt-5"]'),
    (4, 'enterprise', '["openai/gpt-5"]'), (5, NULL, '["openai/gpt-5-nano"]'), (6, 'gold', '["openai/gpt-5-nano"]'),
    -- no list, an empty one, and what is neither
    (7, 'free', NULL), (8, 'free', '[]'), (9, 'free', 'null'), (10, 'free', '{"model": "openai/gpt-5"}'), (11, 'free', '[7, "openai/gpt-5-nano"]');
SELECT model_access_bind_profiles('profiles');
INSERT INTO model_access_override (user_id, model_id, allowed, note) VALUES ('2', 'openai/gpt-5-mini', false, 'not for him');
-- The report writes nothing. For each model it shows its status now, its lowest tier, who had it, and who would lose it.
SELECT * FROM model_access_import_allowed_models('profiles');
SELECT count(*) FROM model_access_override;
-- Overrides for those who would lose a model, but not for a model that was rejected, and not for a user who already has an override.
SELECT model_id, overrides FROM model_access_import_allowed_models('profiles', until => now() + interval '1 day', dry_run => false) WHERE overrides > 0;
SELECT user_id, model_id, allowed, expires_at IS NOT NULL AS ends, note FROM model_access_override ORDER BY user_id::integer, model_id;
SELECT u.id, string_agg(m.model_id, ', ' ORDER BY m.model_id) FROM profiles AS u, models_for_user(u.id::text) AS m GROUP BY u.id ORDER BY u.id;
SELECT model_allowed_for_user('2', 'openai/gpt-5-mini') AS denied_stays_denied;
-- A second run adds nothing.
SELECT sum(overrides) FROM model_access_import_allowed_models('profiles', dry_run => false);
-- An override also applies to a model that becomes active later: one that waited for review, or was missing.
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id = 'openai/gpt-4o-mini';
SELECT model_allowed_for_user('1', 'openai/gpt-4o-mini'), model_allowed_for_user('3', 'openai/gpt-4o-mini');
-- A JSON array, with other column names.
SELECT model_access_unbind_profiles();
DELETE FROM model_access_override;
CREATE TABLE "Users" ("Id" uuid PRIMARY KEY, "Plan" varchar(10), "Models" varchar(100)[]);
ALTER TABLE "Users" OWNER TO :"owner";
INSERT INTO "Users" VALUES (gen_random_uuid(), 'free', '{openai/gpt-5,openai/gpt-5}'), (gen_random_uuid(), 'free', '{}'), (gen_random_uuid(), 'free', NULL), (gen_random_uuid(), 'pro', '{NULL,""}');
SELECT * FROM model_access_import_allowed_models('"Users"', 'Models', 'Id', 'Plan', NULL, false);
SELECT u."Plan", o.model_id, o.expires_at FROM model_access_override AS o JOIN "Users" AS u ON u."Id"::text = o.user_id;
-- Then the column can be dropped.
SELECT object, action FROM model_access_retire_allowed_models('"Users"', 'Models', dry_run => false);
SELECT model_access_import_allowed_models('"Users"', 'Models', 'Id', 'Plan');
-- A row without an id is no user. The other users get their overrides.
CREATE TABLE nobody (id text UNIQUE, subscription_tier text, allowed_models text[]);
ALTER TABLE nobody OWNER TO :"owner";
INSERT INTO nobody VALUES (NULL, 'free', '{openai/gpt-5}'), ('', 'free', '{openai/gpt-5}'), ('somebody', 'free', '{openai/gpt-5}');
SELECT * FROM model_access_import_allowed_models('nobody');
SELECT * FROM model_access_import_allowed_models('nobody', dry_run => false);
SELECT user_id, model_id FROM model_access_override WHERE note LIKE '%nobody%';
DROP TABLE nobody;
-- Invalid arguments.
SELECT model_access_import_allowed_models(NULL);
SELECT model_access_import_allowed_models('profiles', 'subscription_tier');
SELECT model_access_import_allowed_models('profiles', until => now());
SELECT model_access_import_allowed_models('profiles', id_column => 'user_id');
DROP TABLE profiles, "Users";
