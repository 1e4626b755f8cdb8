\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active' WHERE model_id = 'openai/gpt-5';
CREATE TABLE profiles (id bigint PRIMARY KEY, subscription_tier text);
ALTER TABLE profiles OWNER TO :"owner";
INSERT INTO profiles VALUES (1, 'free'), (2, 'pro');
SELECT model_access_bind_profiles('profiles');
CREATE TABLE messages (message_id integer GENERATED ALWAYS AS IDENTITY, "User" bigint, model varchar(100), body text);
CREATE TRIGGER model_access_enforce BEFORE INSERT OR UPDATE ON messages
    FOR EACH ROW EXECUTE FUNCTION model_access_enforce('User', 'model');
-- An end-user role writes its messages, and has no privileges on the extension.
CREATE ROLE regress_web;
GRANT SELECT, INSERT, UPDATE ON messages TO regress_web;
SET ROLE regress_web;
INSERT INTO messages ("User", model) VALUES (1, 'openai/gpt-5-nano'), (2, 'openai/gpt-5-nano'), (2, 'openai/gpt-5-mini');
INSERT INTO messages ("User", model) VALUES (1, 'openai/gpt-5-mini');
INSERT INTO messages ("User", model) VALUES (2, 'openai/gpt-5');
INSERT INTO messages ("User", model) VALUES (2, 'openai/gpt-5-mini:nitro');
INSERT INTO messages ("User", model) VALUES (3, 'openai/gpt-5-nano');
-- One row that is not allowed refuses the whole statement.
INSERT INTO messages ("User", model) SELECT 1, m FROM unnest('{openai/gpt-5-nano,openai/gpt-5-nano,openai/gpt-5-mini}'::text[]) AS m;
INSERT INTO messages ("User", model, body) SELECT 1 + n % 2, 'openai/gpt-5-nano', repeat('x', 1000) FROM generate_series(1, 1000) AS n;
SELECT count(*) FROM messages;
-- NULL: a row without a model passes. A row with a model and no user is refused.
INSERT INTO messages ("User", model) VALUES (1, NULL), (NULL, NULL);
INSERT INTO messages ("User", model) VALUES (NULL, 'openai/gpt-5-nano');
RESET ROLE;
-- After a revocation, an existing row can still be edited, until its user or model changes.
UPDATE model_access SET is_pro = false WHERE model_id = 'openai/gpt-5-mini';
SET ROLE regress_web;
UPDATE messages SET body = 'edited' WHERE model = 'openai/gpt-5-mini';
UPDATE messages SET "User" = 1 WHERE model = 'openai/gpt-5-mini';
UPDATE messages SET model = 'openai/gpt-5-mini' WHERE message_id = 1;
UPDATE messages SET model = NULL WHERE message_id = 1;
RESET ROLE;
-- Overrides apply here too, at once.
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('1', 'openai/gpt-5-nano', false);
INSERT INTO messages ("User", model) VALUES (1, 'openai/gpt-5-nano');
DELETE FROM model_access_override;
INSERT INTO messages ("User", model) VALUES (1, 'openai/gpt-5-nano');
-- The trigger also runs for partitions, COPY and MERGE.
CREATE TABLE parted (u text, m text, region text) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TRIGGER model_access_enforce BEFORE INSERT OR UPDATE OF u, m ON parted FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
COPY parted FROM STDIN (DELIMITER ' ');
1 openai/gpt-5-nano eu
1 openai/gpt-5 eu
\.
MERGE INTO parted_eu AS p USING (VALUES ('1', 'openai/gpt-5')) AS v(u, m) ON p.u = v.u WHEN NOT MATCHED THEN INSERT VALUES (v.u, v.m, 'eu');
INSERT INTO parted VALUES ('2', 'openai/gpt-5-nano', 'eu');
-- A generated column has its value only after BEFORE triggers.
CREATE TABLE generated (u bigint, body jsonb, m text GENERATED ALWAYS AS (body ->> 'model') STORED);
CREATE TRIGGER model_access_enforce BEFORE INSERT ON generated FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO generated VALUES (1, '{"model": "openai/gpt-5-nano"}');
CREATE FUNCTION pretend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.m := 'openai/gpt-5-nano'; RETURN NEW; END $$;
CREATE TRIGGER earlier BEFORE INSERT ON generated FOR EACH ROW EXECUTE FUNCTION pretend();
INSERT INTO generated VALUES (1, '{"model": "openai/gpt-5"}');
DROP TRIGGER earlier ON generated;
DROP TRIGGER model_access_enforce ON generated;
CREATE TRIGGER model_access_enforce AFTER INSERT ON generated FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO generated VALUES (1, '{"model": "openai/gpt-5-nano"}');
INSERT INTO generated VALUES (1, '{"model": "openai/gpt-5"}');
-- To a BEFORE trigger an upsert is an INSERT, even if it becomes an UPDATE. An AFTER trigger sees what it became.
CREATE TABLE upserted (message_id integer PRIMARY KEY, u text, m text, body text);
CREATE TRIGGER model_access_enforce BEFORE INSERT OR UPDATE OF u, m ON upserted FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO upserted VALUES (1, '1', 'openai/gpt-5-nano', 'hello');
UPDATE model_access SET is_free = false WHERE model_id = 'openai/gpt-5-nano';
INSERT INTO upserted VALUES (1, '1', 'openai/gpt-5-nano', 'edited')
ON CONFLICT (message_id) DO UPDATE SET u = excluded.u, m = excluded.m, body = excluded.body;
INSERT INTO upserted VALUES (1, '1', 'openai/gpt-5-nano', 'again') ON CONFLICT DO NOTHING;
CREATE OR REPLACE TRIGGER model_access_enforce AFTER INSERT OR UPDATE OF u, m ON upserted FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO upserted VALUES (1, '1', 'openai/gpt-5-nano', 'edited')
ON CONFLICT (message_id) DO UPDATE SET u = excluded.u, m = excluded.m, body = excluded.body RETURNING body;
INSERT INTO upserted VALUES (1, '1', 'openai/gpt-5-nano', 'again') ON CONFLICT DO NOTHING;
INSERT INTO upserted VALUES (1, '1', 'openai/gpt-5', 'other')
ON CONFLICT (message_id) DO UPDATE SET u = excluded.u, m = excluded.m, body = excluded.body;
INSERT INTO upserted VALUES (2, '1', 'openai/gpt-5-nano', 'new');
SELECT * FROM upserted;
UPDATE model_access SET is_free = true WHERE model_id = 'openai/gpt-5-nano';
-- Invalid triggers.
CREATE TYPE mood AS ENUM ('openai/gpt-5-nano');
CREATE TABLE wrong (u bigint, m mood, j jsonb);
CREATE TRIGGER a BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u');
INSERT INTO wrong VALUES (1);
DROP TRIGGER a ON wrong;
CREATE TRIGGER a BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'model');
INSERT INTO wrong VALUES (1);
DROP TRIGGER a ON wrong;
-- No user-defined cast is called, because it would run with the owner's rights.
CREATE FUNCTION caught(mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a cast ran as %', current_user; END $$;
CREATE CAST (mood AS text) WITH FUNCTION caught(mood) AS ASSIGNMENT;
CREATE TRIGGER a BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO wrong VALUES (1, 'openai/gpt-5-nano');
INSERT INTO wrong VALUES (3, 'openai/gpt-5-nano');
DROP TRIGGER a ON wrong;
CREATE TRIGGER a AFTER DELETE ON wrong FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
ALTER TABLE wrong DISABLE TRIGGER a;
INSERT INTO wrong VALUES (1);
ALTER TABLE wrong ENABLE TRIGGER a;
DELETE FROM wrong;
CREATE VIEW wrong_view AS SELECT * FROM wrong;
CREATE TRIGGER c INSTEAD OF INSERT ON wrong_view FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO wrong_view VALUES (1, 'openai/gpt-5-nano');
CREATE TRIGGER b BEFORE INSERT ON wrong EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO wrong VALUES (1);
DROP OWNED BY regress_web;
DROP ROLE regress_web;
-- A function of somebody else for the rows of a table is never called: it would run with the rights of the owner.
CREATE TABLE lured (u text, m text);
CREATE FUNCTION _model_access_values(row_value lured, moment text, columns text[]) RETURNS text[]
LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'called as another role: %', current_user; RETURN NULL; END $$;
GRANT EXECUTE ON FUNCTION _model_access_values(lured, text, text[]) TO PUBLIC;
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON lured FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
CREATE TRIGGER after AFTER INSERT OR UPDATE ON lured FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm');
INSERT INTO lured VALUES ('1', 'openai/gpt-5-nano');
UPDATE lured SET m = 'openai/gpt-5';
