\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SET client_min_messages = error;
CREATE TABLE profiles (id integer PRIMARY KEY, email text, allowed_models jsonb, n integer, g jsonb GENERATED ALWAYS AS (allowed_models) STORED);
CREATE TABLE keyless (allowed_models text[]);
CREATE TABLE keyed (allowed_models text[] PRIMARY KEY);
CREATE TABLE own (id integer PRIMARY KEY, allowed_models text[]);
CREATE TABLE own_child (allowed_models text[]) INHERITS (own);
CREATE TABLE parted (id integer PRIMARY KEY, allowed_models text[]) PARTITION BY HASH (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE VIEW listed AS SELECT id, email, allowed_models FROM profiles;
CREATE TABLE by_list (id integer, allowed_models text, PRIMARY KEY (id, allowed_models)) PARTITION BY LIST (allowed_models);
-- What cannot be retired.
SELECT model_access_retire_allowed_models(NULL);
SELECT model_access_retire_allowed_models('profiles', dry_run => NULL);
SELECT model_access_retire_allowed_models('nowhere');
SELECT model_access_retire_allowed_models('listed');
SELECT model_access_retire_allowed_models('profiles', 'models');
SELECT model_access_retire_allowed_models('profiles', 'ctid');
SELECT model_access_retire_allowed_models('profiles', 'n');
SELECT model_access_retire_allowed_models('profiles', 'g');
SELECT model_access_retire_allowed_models('keyless');
SELECT model_access_retire_allowed_models('keyed');
SELECT model_access_retire_allowed_models('by_list');
SELECT model_access_retire_allowed_models('own');
SELECT model_access_retire_allowed_models('own_child');
SELECT model_access_retire_allowed_models('parted_0');
CREATE TYPE row_type AS (id integer, allowed_models text[]);
CREATE TABLE typed OF row_type (PRIMARY KEY (id));
SELECT model_access_retire_allowed_models('typed');
CREATE DOMAIN always AS text[] NOT NULL;
CREATE TABLE in_domain (id integer PRIMARY KEY, allowed_models always);
SELECT model_access_retire_allowed_models('in_domain');
CREATE TABLE snapped (id integer PRIMARY KEY, allowed_models text[]);
CREATE TYPE pair AS (a snapped, b snapped);
CREATE TABLE snapshots (at date, "Rows" snapped[], pair pair);
SELECT model_access_retire_allowed_models('snapped');
DROP TABLE snapshots;
SELECT model_access_restore_allowed_models('profiles');
SELECT model_access_restore_allowed_models(NULL);
ALTER TABLE profiles DROP COLUMN g;
INSERT INTO profiles VALUES (1, 'a@b', '["a/b"]');
\i :abs_srcdir/catalogue.sql
-- What is part of an extension, what a type is used for, what is temporary: not to be had by accepting it.
ALTER EXTENSION plpgsql ADD VIEW listed;
CREATE TABLE of_rows (row listed);
CREATE TEMP VIEW mine AS SELECT allowed_models, id FROM profiles;
SELECT object, action, substring(ddl FROM ': ([^\n]*)') AS why FROM model_access_retire_allowed_models('profiles') WHERE action = 'needs you';
SELECT array_agg(object) AS accepted FROM model_access_retire_allowed_models('profiles') WHERE action = 'needs you' \gset
SELECT model_access_retire_allowed_models('profiles', accept => :'accepted', dry_run => false);
DROP VIEW mine;
DROP TABLE of_rows;
ALTER EXTENSION plpgsql DROP VIEW listed;
TABLE pg_temp.changed;
-- A failure half-way leaves everything as it was: a function that would not return the rewritten rows,
CREATE TABLE import (id integer, email text, list jsonb);
CREATE FUNCTION imported() RETURNS SETOF listed LANGUAGE sql AS 'SELECT id, email, list FROM import';
SELECT pg_temp.remember();
SELECT model_access_retire_allowed_models('profiles', dry_run => false);
TABLE pg_temp.changed;
DROP FUNCTION imported();
-- a body that does not parse,
SET check_function_bodies = off;
CREATE FUNCTION broken(listed) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; EN';
RESET check_function_bodies;
SELECT model_access_retire_allowed_models('profiles', dry_run => false);
DROP FUNCTION broken(listed);
-- an event trigger,
CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_type = 'table column') THEN
        RAISE EXCEPTION 'columns are for ever';
    END IF;
END
$$;
CREATE EVENT TRIGGER regress_guard ON sql_drop EXECUTE FUNCTION guard();
SELECT pg_temp.remember();
SELECT model_access_retire_allowed_models('profiles', dry_run => false);
TABLE pg_temp.changed;
DROP EVENT TRIGGER regress_guard;
-- a materialized view that cannot be filled any more.
CREATE TABLE denominators (d integer);
INSERT INTO denominators VALUES (1);
CREATE MATERIALIZED VIEW fractions AS SELECT p.id, p.allowed_models, 1 / d.d AS fraction FROM profiles AS p, denominators AS d;
UPDATE denominators SET d = 0;
SELECT pg_temp.remember();
SELECT model_access_retire_allowed_models('profiles', dry_run => false);
TABLE pg_temp.changed;
SELECT count(*) FROM model_access_retired;
SELECT count(*) FROM model_access_retired_value;
DROP MATERIALIZED VIEW fractions;
-- Nothing that others wrote leaves its comment and is run: a carriage return ends one, and names may hold line breaks.
CREATE FUNCTION sly() RETURNS integer LANGUAGE sql AS E'SELECT 1 /*\r; CREATE TABLE ran (); --*/ AS allowed_models';
CREATE FUNCTION "sly
; CREATE TABLE ran (); --"() RETURNS text LANGUAGE sql AS E'SELECT ''allowed_models\r; CREATE TABLE ran (); --''';
BEGIN;
SELECT count(*) > 3 AS retired FROM model_access_retire_allowed_models('profiles', accept => '{function public.sly()}', dry_run => false);
SELECT to_regclass('public.ran');
ROLLBACK;
SELECT regexp_replace(ddl, '\r', '<CR>', 'g') AS ddl FROM model_access_retire_allowed_models('profiles') WHERE object ~ 'sly' ORDER BY step;
DROP FUNCTION sly(), "sly
; CREATE TABLE ran (); --"();
-- Not restored: over a view that has changed since, under one that is new, beside a column that is back already.
CREATE ROLE regress_reader;
SELECT count(*) > 3 AS retired FROM model_access_retire_allowed_models('profiles', dry_run => false);
SELECT pg_temp.remember();
GRANT SELECT ON listed TO regress_reader;
SELECT model_access_restore_allowed_models('profiles');
SELECT model_access_restore_allowed_models('profiles', dry_run => true);
SELECT step, object, action FROM model_access_restore_allowed_models('profiles', dry_run => true, accept => '{view public.listed}');
BEGIN;
DROP VIEW listed;
SELECT model_access_restore_allowed_models('profiles');
ROLLBACK;
BEGIN;
DROP VIEW listed;
SELECT step, object, action FROM model_access_restore_allowed_models('profiles', accept => '{view public.listed}');
SELECT allowed_models FROM listed;
ROLLBACK;
REVOKE SELECT ON listed FROM regress_reader;
CREATE VIEW newer AS SELECT id FROM listed;
SELECT model_access_restore_allowed_models('profiles');
DROP VIEW newer;
ALTER TABLE profiles RENAME COLUMN id TO user_id;
SELECT model_access_restore_allowed_models('profiles');
ALTER TABLE profiles RENAME COLUMN user_id TO id;
ALTER TABLE profiles ADD COLUMN allowed_models jsonb;
SELECT model_access_restore_allowed_models('profiles');
-- retired once more: the last time counts
BEGIN;
SELECT count(*) > 3 AS retired FROM model_access_retire_allowed_models('profiles', dry_run => false);
SELECT count(*) > 3 AS restored FROM model_access_restore_allowed_models('profiles');
SELECT action FROM model_access_restore_allowed_models('profiles');
ROLLBACK;
ALTER TABLE profiles DROP COLUMN allowed_models;
TABLE pg_temp.changed;
SELECT count(*) > 3 AS restored FROM model_access_restore_allowed_models('profiles');
SELECT allowed_models FROM listed;
-- Deleting the row of a retired column deletes what users had in it.
SELECT count(*) > 3 AS retired FROM model_access_retire_allowed_models('profiles', dry_run => false);
DELETE FROM model_access_retired;
SELECT count(*) FROM model_access_retired_value;
SELECT model_access_restore_allowed_models('profiles');
-- Nobody else may see it or do it.
SET ROLE regress_reader;
SELECT * FROM model_access_retired;
SELECT * FROM model_access_retired_value;
SELECT model_access_retire_allowed_models('own');
SELECT model_access_restore_allowed_models('own');
SELECT model_access_import_allowed_models('own');
RESET ROLE;
DROP ROLE regress_reader;
