\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- The entries of the models that a user may use, as the upstream sent them.
\set models '''openai/gpt-5.6-sol'', ''~openai/gpt-latest'', ''z-ai/glm-5.3'', ''~z-ai/glm-latest'', ''google/gemini-2.5-pro'''
SELECT outcome FROM model_access_load(pg_temp.listing(:models));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id IN ('~openai/gpt-latest', 'z-ai/glm-5.3', '~z-ai/glm-latest');
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5.6-sol';
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
ALTER TABLE profiles OWNER TO :"owner";
INSERT INTO profiles VALUES ('ada', 'free'), ('bob', 'pro');
SELECT model_access_bind_profiles('profiles');
SELECT u.id, e.model_id, e.provider, r.entry - 'benchmarks' = e.entry AS same, e.entry #>> '{alias_target,slug}' AS target,
    (SELECT array_agg(k) FROM jsonb_object_keys(r.entry) AS k WHERE NOT e.entry ? k) AS left_out
FROM profiles AS u, model_access_entries_for_user(u.id) AS e JOIN recorded AS r ON r.model_id = e.entry ->> 'id'
ORDER BY u.id, e.model_id COLLATE "C";
-- No entry names a model that the user may not use.
SELECT e.model_id, o.model_id AS names FROM model_access_entries_for_user('ada') AS e
JOIN model_access AS o ON strpos(e.entry::text, '"' || o.model_id || '"') > 0
WHERE o.model_id NOT IN (SELECT model_id FROM models_for_user('ada'));
-- The lists of both forms have the same models; one model can be asked for.
SELECT u.id, (SELECT array_agg(model_id ORDER BY model_id) FROM model_access_entries_for_user(u.id))
    IS NOT DISTINCT FROM (SELECT array_agg(model_id ORDER BY model_id) FROM models_for_user(u.id)) AS same
FROM (VALUES ('ada'), ('bob'), ('nobody'), (NULL)) AS u(id);
SELECT u.id, m.id AS model, e.model_id FROM (VALUES ('ada'), ('bob')) AS u(id) CROSS JOIN (VALUES ('openai/gpt-5.6-sol'), ('google/gemini-2.5-pro')) AS m(id)
CROSS JOIN LATERAL model_access_entries_for_user(u.id, m.id) AS e;
-- A price that cannot be read any more: the entry has the last one that could.
SELECT pg_temp.reprice('z-ai/glm-5.3', 'a lot', 'more');
SELECT outcome FROM model_access_load(pg_temp.listing(:models));
SELECT m.upstream #>> '{pricing,prompt}' AS stored, e.entry #>> '{pricing,prompt}' AS shown
FROM model_access_entries_for_user('ada', 'z-ai/glm-5.3') AS e JOIN model_access AS m USING (model_id);
-- A row that no list filled has an entry too.
INSERT INTO model_access (model_id, name) VALUES ('own/model', 'Own');
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'own/model';
SELECT entry FROM model_access_entries_for_user('ada', 'own/model');
-- Readers may call it, others may not.
CREATE ROLE regress_reader;
SET ROLE regress_reader;
SELECT count(*) FROM model_access_entries_for_user('ada');
RESET ROLE;
SELECT model_access_grant('regress_reader', 'reader');
SET ROLE regress_reader;
SELECT count(*) FROM model_access_entries_for_user('ada');
SELECT upstream FROM model_access;
RESET ROLE;
SELECT model_access_revoke('regress_reader');
DROP OWNED BY regress_reader;
DROP ROLE regress_reader;
