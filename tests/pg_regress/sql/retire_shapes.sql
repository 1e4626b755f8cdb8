\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SET client_min_messages = error;
-- A partitioned table, names that must be quoted, a domain over jsonb, states and defaults that differ from partition to partition.
CREATE ROLE "regress App";
CREATE ROLE regress_web;
CREATE SCHEMA "My App" AUTHORIZATION "regress App";
GRANT USAGE ON SCHEMA "My App" TO regress_web;
ALTER DEFAULT PRIVILEGES IN SCHEMA "My App" GRANT ALL ON TABLES TO regress_web;
ALTER DEFAULT PRIVILEGES IN SCHEMA "My App" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SET ROLE "regress App";
SET search_path = "My App";
CREATE DOMAIN "Models" AS jsonb CHECK (jsonb_typeof(value) = 'array');
CREATE TABLE "Profiles" ("User" integer, region text, "AllowedModels" "Models" NOT NULL DEFAULT '["a/b"]', tier text, note text, touched integer DEFAULT 0,
    PRIMARY KEY ("User", region)) PARTITION BY LIST (region);
CREATE TABLE "Profiles eu" PARTITION OF "Profiles" FOR VALUES IN ('eu');
CREATE TABLE us (note text, "User" integer, region text, gone integer, tier text, touched integer, "AllowedModels" "Models" NOT NULL, PRIMARY KEY ("User", region));
ALTER TABLE us DROP COLUMN gone;
ALTER TABLE "Profiles" ATTACH PARTITION us FOR VALUES IN ('us', 'ca');
ALTER TABLE ONLY us ALTER COLUMN "AllowedModels" SET DEFAULT '["us"]';
ALTER TABLE us ALTER COLUMN "AllowedModels" SET STORAGE EXTERNAL, ALTER COLUMN "AllowedModels" SET (n_distinct = 7);
COMMENT ON COLUMN us."AllowedModels" IS 'Over there';
GRANT UPDATE ("AllowedModels") ON us TO regress_web;
CREATE INDEX "Who has" ON "Profiles" USING gin ("AllowedModels");
CREATE INDEX how_many ON "Profiles" ((jsonb_array_length("AllowedModels"))) WHERE "AllowedModels" <> '[]';
CREATE INDEX only_us ON us ("AllowedModels");
CREATE INDEX by_tier ON "Profiles" (tier, "AllowedModels");
ALTER TABLE "Profiles" ADD CONSTRAINT "Not too many" CHECK (jsonb_array_length("AllowedModels") < 50);
ALTER TABLE us ADD CONSTRAINT "Fewer" CHECK (jsonb_array_length("AllowedModels") < 40);
ALTER TABLE "Profiles" ADD CONSTRAINT pro_has_some CHECK (tier <> 'pro' OR "AllowedModels" <> '[]');
CREATE STATISTICS tier_and_models ON tier, "AllowedModels" FROM "Profiles";
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tier = 'pro' THEN NEW."AllowedModels" = '["p/p"]'; END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fill BEFORE INSERT OR UPDATE OF tier ON "Profiles" FOR EACH ROW EXECUTE FUNCTION fill();
ALTER TABLE us DISABLE TRIGGER fill;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := OLD.touched + 1; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON "Profiles" FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE us ENABLE REPLICA TRIGGER touch;
ALTER TABLE "Profiles eu" ENABLE ALWAYS TRIGGER touch;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."AllowedModels" := '[]'; NEW.note := 'stamped'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE UPDATE OF "AllowedModels" ON "Profiles" FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE "Profiles" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "Profiles" FORCE ROW LEVEL SECURITY;
ALTER TABLE us ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "Has models" ON "Profiles" AS RESTRICTIVE FOR UPDATE TO regress_web, "regress App" USING ("AllowedModels" <> '[]') WITH CHECK (tier = 'x');
COMMENT ON POLICY "Has models" ON "Profiles" IS 'Who has none may change nothing';
CREATE RULE keep_empty AS ON DELETE TO "Profiles" WHERE old."AllowedModels" = '[]' DO INSTEAD NOTHING;
ALTER TABLE "Profiles" DISABLE RULE keep_empty;
CREATE VIEW v AS SELECT "User", "AllowedModels", region, tier FROM "Profiles";
ALTER VIEW v ALTER COLUMN tier SET DEFAULT 'free';
CREATE FUNCTION insert_v() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "My App"."Profiles" ("User", region) VALUES (NEW."User", 'eu'); RETURN NEW; END $$;
CREATE TRIGGER insert_v INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION insert_v();
CREATE RULE no_update AS ON UPDATE TO v DO INSTEAD NOTHING;
COMMENT ON RULE no_update ON v IS 'Look, do not touch';
CREATE VIEW many AS SELECT "User" FROM v WHERE jsonb_array_length("AllowedModels") > 1;
CREATE VIEW on_many AS SELECT * FROM many;
CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM "Profiles" WHERE "AllowedModels" <> '[]'; END;
CREATE FUNCTION v_users(v) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN $1."User"; END $$;
CREATE VIEW renamed AS SELECT region, "AllowedModels" AS list, "User" FROM "Profiles";
CREATE FUNCTION other_name() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM "My App".renamed WHERE list IS NULL';
CREATE PROCEDURE by_text() LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'UPDATE "My App"."Profiles" SET "AllowedModels" = ''[]'''; END $$;
RESET ROLE;
INSERT INTO "Profiles" ("User", region, tier, note, "AllowedModels")
SELECT row_number() OVER (), region, tier, 'n', '["z", null, "Zoë\\"]' FROM unnest('{eu,us,ca}'::text[]) AS region, unnest('{free,pro}'::text[]) AS tier;
UPDATE "Profiles" SET tier = 'free' WHERE region = 'ca';
RESET search_path;
\i :abs_srcdir/catalogue.sql
SELECT step, object, action FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels');
SELECT object, regexp_replace(substring(ddl FROM ': ([^\n]*\n(?:--   line[^\n]*)?)'), '(v|"Profiles")\.(?="AllowedModels")', '') AS why FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels') WHERE action = 'needs you';
TABLE pg_temp.changed;
-- With all of that accepted: what depends on the column is dropped, what only mentions it stays.
SELECT array_agg(object) AS accepted FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels') WHERE action = 'needs you' \gset
SELECT step, object, action FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels', :'accepted', dry_run => false);
SELECT key, value FROM model_access_retired_value ORDER BY key;
SELECT * FROM "My App".v ORDER BY 1;
INSERT INTO "My App"."Profiles" ("User", region) VALUES (8, 'us'), (9, 'eu');
SELECT count(*) FROM model_access_restore_allowed_models('"My App"."Profiles"');
SELECT "User", "AllowedModels", touched FROM "My App"."Profiles" WHERE "User" > 7 ORDER BY 1;
DELETE FROM "My App"."Profiles" WHERE "User" > 7;
TABLE pg_temp.changed;
-- A table that others inherit from: a key may be there in parent and child, defaults differ.
CREATE TABLE base (id integer PRIMARY KEY, allowed_models varchar(40)[] DEFAULT '{base}', x integer);
CREATE TABLE child (y integer) INHERITS (base);
CREATE TABLE grandchild () INHERITS (child);
ALTER TABLE child ALTER COLUMN allowed_models SET DEFAULT '{child}';
CREATE INDEX child_idx ON child (allowed_models);
INSERT INTO base VALUES (1, '{a}', 1), (2, NULL, 2);
INSERT INTO child VALUES (1, '{b}', 3, 4), (3, '{}', 5, 6);
INSERT INTO grandchild VALUES (1, '{c}', 7, 8);
SELECT pg_temp.remember();
SELECT step, object, action FROM model_access_retire_allowed_models('base', dry_run => false);
SELECT relation, key, value FROM model_access_retired_value WHERE retired_id = (SELECT max(retired_id) FROM model_access_retired) ORDER BY 1, 2;
INSERT INTO grandchild VALUES (4);
INSERT INTO child VALUES (4);
SELECT step, object, action FROM model_access_restore_allowed_models('base');
SELECT tableoid::regclass, allowed_models FROM base WHERE id = 4 ORDER BY 1;
DELETE FROM base WHERE id = 4;
TABLE pg_temp.changed;
-- Generated columns, keys that others refer to, publications.
CREATE TABLE lists (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, allowed_models text[] NOT NULL, n integer GENERATED ALWAYS AS (cardinality(allowed_models)) STORED);
COMMENT ON COLUMN lists.n IS 'How many';
CREATE INDEX lists_n_idx ON lists (n);
ALTER TABLE lists ADD CONSTRAINT lists_key UNIQUE (allowed_models);
COMMENT ON CONSTRAINT lists_key ON lists IS 'No list twice';
CREATE TABLE named (name text, list text[] REFERENCES lists (allowed_models));
CREATE PUBLICATION regress_lists FOR TABLE lists (id, allowed_models) WHERE (id > 0);
INSERT INTO lists (allowed_models) VALUES ('{a}'), ('{}');
INSERT INTO named VALUES ('one', '{a}');
SELECT pg_temp.remember();
SELECT array_agg(object) AS accepted FROM model_access_retire_allowed_models('lists') WHERE action = 'needs you' \gset
SELECT step, object, action FROM model_access_retire_allowed_models('lists', accept => :'accepted', dry_run => false);
SELECT attnames, rowfilter FROM pg_publication_tables WHERE pubname = 'regress_lists';
-- A row that came since has no list, and must have one: nothing is restored, until it is gone.
INSERT INTO lists DEFAULT VALUES;
SELECT model_access_restore_allowed_models('lists');
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'lists'::regclass AND attnum > 0 AND NOT attisdropped;
DELETE FROM lists WHERE id = 3;
SELECT count(*) FROM model_access_restore_allowed_models('lists');
TABLE pg_temp.changed;
DROP PUBLICATION regress_lists;
DROP OWNED BY "regress App", regress_web CASCADE;
DROP ROLE "regress App", regress_web;
