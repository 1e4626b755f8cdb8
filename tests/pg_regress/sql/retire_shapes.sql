\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SET client_min_messages = error;
-- A partitioned table, names that must be quoted, a domain over jsonb, and trigger states and defaults that differ between partitions.
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
SELECT object, why FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels') WHERE action = 'manual';
TABLE pg_temp.changed;
-- With all of that accepted: triggers are disabled, in each partition; the rest stays as it is.
SELECT array_agg(object) AS accepted FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels') WHERE action = 'manual' \gset
SELECT step, object, action FROM model_access_retire_allowed_models('"My App"."Profiles"', 'AllowedModels', :'accepted', dry_run => false);
SELECT * FROM "My App".v ORDER BY 1;
INSERT INTO "My App"."Profiles" ("User", region) VALUES (8, 'us'), (9, 'eu');
SELECT profiles, retired_name, defaults, relations, triggers, states FROM model_access_retired;
SELECT action, object FROM model_access_restore_allowed_models('"My App"."Profiles"', 'AllowedModels', dry_run => false);
SELECT "User", "AllowedModels", touched FROM "My App"."Profiles" WHERE "User" > 7 ORDER BY 1;
DELETE FROM "My App"."Profiles" WHERE "User" > 7;
TABLE pg_temp.changed;
-- A table that others inherit from: parent and child may have the same key, and their defaults differ.
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
INSERT INTO grandchild VALUES (4);
INSERT INTO child VALUES (4);
SELECT step, object, action FROM model_access_restore_allowed_models('base', dry_run => false);
SELECT tableoid::regclass, allowed_models FROM base WHERE id = 4 ORDER BY 1;
DELETE FROM base WHERE id = 4;
TABLE pg_temp.changed;
-- Generated columns, keys that other tables reference, publications.
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
SELECT array_agg(object) AS accepted FROM model_access_retire_allowed_models('lists') WHERE action = 'manual' \gset
SELECT step, object, action FROM model_access_retire_allowed_models('lists', accept => :'accepted', dry_run => false);
SELECT attnames, rowfilter FROM pg_publication_tables WHERE pubname = 'regress_lists';
SELECT step, object, action FROM model_access_restore_allowed_models('lists', dry_run => false);
TABLE pg_temp.changed;
-- The trigger that fills a NOT NULL column is disabled: new users get an empty list, and a restore drops that default.
CREATE TABLE filled (id integer PRIMARY KEY, tier text, allowed_models jsonb NOT NULL);
CREATE FUNCTION fill_list() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.allowed_models := jsonb_build_array(NEW.tier); RETURN NEW; END $$;
CREATE TRIGGER fill BEFORE INSERT OR UPDATE OF tier ON filled FOR EACH ROW EXECUTE FUNCTION fill_list();
INSERT INTO filled VALUES (1, 'free');
SELECT pg_temp.remember();
SELECT object, action FROM model_access_retire_allowed_models('filled', accept => '{trigger fill on public.filled}', dry_run => false);
INSERT INTO filled VALUES (2, 'pro') RETURNING *;
UPDATE filled SET tier = 'pro' WHERE id = 1;
SELECT object, action, why FROM model_access_restore_allowed_models('filled') WHERE action IN ('look', 'drop');
SELECT ltrim(ddl, '- ') AS mend FROM model_access_restore_allowed_models('filled', dry_run => false) WHERE action = 'look' \gset
:mend
SELECT * FROM filled ORDER BY id;
DELETE FROM filled WHERE id = 2;
SELECT what, object FROM pg_temp.changed WHERE object <> 'row of filled';
-- Domains with a default and a CHECK, names that only a search_path finds, a grant by a third role, an invalid index, a role that is dropped.
SET ROLE "regress App";
SET search_path = "My App";
CREATE FUNCTION ok(text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT cardinality($1) < 5';
CREATE FUNCTION nothing() RETURNS text[] LANGUAGE sql AS 'SELECT ''{n}''::text[]';
CREATE DOMAIN models AS text[] DEFAULT '{dd}' CHECK (ok(VALUE));
CREATE TABLE odd (id integer PRIMARY KEY, list models, allowed_models text[] DEFAULT nothing() CHECK (ok(allowed_models)), n text);
INSERT INTO odd (id, list, allowed_models) VALUES (1, NULL, NULL), (2, DEFAULT, DEFAULT), (3, '{}', '{x}'), (4, '{}', '{x}');
GRANT SELECT (allowed_models) ON odd TO regress_web WITH GRANT OPTION;
RESET ROLE;
CREATE ROLE regress_third;
SET ROLE regress_web;
GRANT SELECT (allowed_models) ON odd TO regress_third;
RESET ROLE;
CREATE UNIQUE INDEX CONCURRENTLY broken ON odd (allowed_models);
RESET search_path;
SELECT pg_temp.remember();
CREATE ROLE regress_boss SUPERUSER;
SET ROLE regress_boss;
SELECT action FROM model_access_retire_allowed_models('"My App".odd', dry_run => false) WHERE action NOT IN ('keep', 'lock', 'check');
RESET ROLE;
DROP ROLE regress_boss;
INSERT INTO "My App".odd (id) VALUES (5) RETURNING *;
DELETE FROM "My App".odd WHERE id = 5;
SELECT action FROM model_access_restore_allowed_models('"My App".odd', dry_run => false);
TABLE pg_temp.changed;
SELECT action FROM model_access_retire_allowed_models('"My App".odd', 'list', dry_run => false) WHERE action NOT IN ('keep', 'lock', 'check');
SELECT action FROM model_access_restore_allowed_models('"My App".odd', 'list', dry_run => false);
TABLE pg_temp.changed;
DROP PUBLICATION regress_lists;
DROP OWNED BY "regress App", regress_web, regress_third CASCADE;
DROP ROLE "regress App", regress_web, regress_third;
