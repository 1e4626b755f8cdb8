\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SET client_min_messages = error;
CREATE TABLE profiles (id integer PRIMARY KEY, email text, allowed_models jsonb, n integer, g jsonb GENERATED ALWAYS AS (allowed_models) STORED);
CREATE TABLE keyless (allowed_models text[]);
CREATE TABLE own (id integer PRIMARY KEY, allowed_models text[]);
CREATE TABLE own_child (allowed_models text[]) INHERITS (own);
CREATE TABLE parted (id integer PRIMARY KEY, allowed_models text[]) PARTITION BY HASH (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE VIEW listed AS SELECT id, email, allowed_models FROM profiles;
-- Columns that cannot be retired.
SELECT model_access_retire_allowed_models(NULL);
SELECT model_access_retire_allowed_models('profiles', dry_run => NULL);
SELECT model_access_retire_allowed_models('nowhere');
SELECT model_access_retire_allowed_models('listed');
SELECT model_access_retire_allowed_models('profiles', 'models');
SELECT model_access_retire_allowed_models('profiles', 'ctid');
SELECT model_access_retire_allowed_models('profiles', 'n');
SELECT model_access_retire_allowed_models('profiles', 'g');
SELECT model_access_retire_allowed_models('own_child');
SELECT model_access_retire_allowed_models('parted_0');
CREATE TYPE row_type AS (id integer, allowed_models text[]);
CREATE TABLE typed OF row_type (PRIMARY KEY (id));
SELECT model_access_retire_allowed_models('typed');
SELECT model_access_restore_allowed_models('own');
SELECT model_access_restore_allowed_models('profiles', 'models');
SELECT model_access_restore_allowed_models(NULL);
SELECT model_access_drop_retired_column('profiles');
SELECT model_access_drop_retired_column(NULL);
\i :abs_srcdir/catalogue.sql
-- If the script fails in the middle, everything is as before.
CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'columns are for ever'; END $$;
CREATE EVENT TRIGGER regress_guard ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION guard();
SELECT pg_temp.remember();
SELECT model_access_retire_allowed_models('profiles', dry_run => false);
TABLE pg_temp.changed;
DROP EVENT TRIGGER regress_guard;
-- Text that others wrote cannot leave its comment and run: a carriage return ends a comment, and names may contain line breaks.
CREATE FUNCTION sly() RETURNS integer LANGUAGE sql AS E'SELECT 1 /*\r; CREATE TABLE ran (); --*/ AS allowed_models FROM profiles';
CREATE FUNCTION "sly
; CREATE TABLE ran (); --"() RETURNS text LANGUAGE sql AS E'SELECT ''allowed_models x\r; CREATE TABLE ran (); --''';
BEGIN;
SELECT count(*) > 3 AS retired FROM model_access_retire_allowed_models('profiles', accept => '{function public.sly()}', dry_run => false);
SELECT to_regclass('public.ran');
ROLLBACK;
SELECT regexp_replace(ddl, '\r', '<CR>', 'g') AS ddl FROM model_access_retire_allowed_models('profiles') WHERE object ~ 'sly' ORDER BY step;
DROP FUNCTION sly(), "sly
; CREATE TABLE ran (); --"();
-- If another column has the old name, there is nothing to restore until it is dropped.
SELECT count(*) > 3 AS retired FROM model_access_retire_allowed_models('profiles', dry_run => false);
ALTER TABLE profiles ADD COLUMN allowed_models jsonb;
SELECT action FROM model_access_restore_allowed_models('profiles', dry_run => false);
ALTER TABLE profiles DROP COLUMN allowed_models;
-- After a rename of the table, it is still the same table.
ALTER TABLE profiles RENAME TO members;
SELECT action FROM model_access_restore_allowed_models('members', dry_run => false);
ALTER TABLE members RENAME TO profiles;
-- A column that already has the retired name, and a trigger that was dropped in the meantime.
ALTER TABLE profiles ADD COLUMN allowed_models_retired text;
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.allowed_models := '[]'; RETURN NEW; END $$;
CREATE TRIGGER fill BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION fill();
SELECT object FROM model_access_retire_allowed_models('profiles', accept => '{trigger fill on public.profiles}', dry_run => false) WHERE action IN ('disable', 'rename');
SELECT retired_name FROM model_access_retired;
DROP TRIGGER fill ON profiles;
SELECT object, action FROM model_access_restore_allowed_models('profiles', dry_run => false);
-- Nobody else may see or run this.
CREATE ROLE regress_reader;
SET ROLE regress_reader;
SELECT * FROM model_access_retired;
SELECT model_access_retire_allowed_models('own');
SELECT model_access_restore_allowed_models('own');
SELECT model_access_drop_retired_column('own');
SELECT model_access_import_allowed_models('own');
RESET ROLE;
DROP ROLE regress_reader;
