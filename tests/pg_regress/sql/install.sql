\set SHOW_CONTEXT never
\set database :DBNAME
-- A table of that name is never changed.
CREATE TABLE model_access (id uuid, model_id varchar(100), tier text);
CREATE EXTENSION model_access;
DROP TABLE model_access;
-- Nor is a database that cannot store every name.
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' TEMPLATE template0;
\connect regress_latin1
CREATE EXTENSION model_access;
\connect :database
DROP DATABASE regress_latin1;
-- Every object has a comment.
CREATE EXTENSION model_access;
SELECT extversion = model_access_version() AS is_version, extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'model_access';
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'model_access' AND d.deptype = 'e' AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL ORDER BY 1;
SELECT c.relname, a.attname AS without_comment
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relname LIKE 'model\_access%' AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL ORDER BY 1, 2;
-- A function that runs with its owner's rights has a fixed search_path, and its owner is not a superuser. Nothing is LEAKPROOF.
SELECT p.oid::regprocedure, p.proowner::regrole, p.proleakproof, p.proconfig FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
WHERE d.refobjid = (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'model_access') AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND (p.proleakproof OR (p.prosecdef AND (('search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) IS NOT TRUE
       OR (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = p.proowner))));
-- A function that runs with its caller's rights belongs to the installer: whoever could alter it would act as its callers.
SELECT count(*) > 50 AS many, bool_and(p.proowner = e.extowner) AS all_of_them FROM pg_extension AS e JOIN pg_depend AS d ON d.refobjid = e.oid AND d.deptype = 'e'
JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass WHERE e.extname = 'model_access' AND NOT p.prosecdef;
-- Tables, views and sequences belong to a role that has no other privileges.
SELECT DISTINCT c.relowner::regrole FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
WHERE d.refobjid = (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'model_access') AND d.deptype = 'e';
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication OR rolbypassrls AS anything FROM pg_roles WHERE rolname = 'model_access_owner';
-- Neither PUBLIC nor any role but the owner has access to anything.
SELECT pg_describe_object(h.class, h.id, 0) AS open, h.grantee FROM _model_access_held AS h WHERE h.grantee <> 'model_access_owner'::regrole;
SELECT * FROM model_access_health() WHERE "check" = 'privileges';
-- What pg_dump includes.
SELECT t.name::regclass FROM pg_extension, unnest(extconfig) AS t(name) WHERE extname = 'model_access' ORDER BY 1;
-- Dropping the extension leaves nothing.
DROP EXTENSION model_access;
SELECT relname FROM pg_class WHERE relname LIKE '%model%access%' UNION SELECT proname FROM pg_proc WHERE proname LIKE '%model%access%';
-- An existing role of that name with any attribute or membership is refused.
ALTER ROLE model_access_owner LOGIN;
CREATE EXTENSION model_access;
ALTER ROLE model_access_owner NOLOGIN;
CREATE ROLE regress_member IN ROLE model_access_owner;
CREATE EXTENSION model_access;
DROP ROLE regress_member;
-- Health reports members, and new triggers, rules and policies.
CREATE EXTENSION model_access;
CREATE ROLE regress_member IN ROLE model_access_owner;
CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER mine BEFORE UPDATE ON model_access FOR EACH ROW EXECUTE FUNCTION mine();
ALTER TABLE model_access_history DISABLE TRIGGER model_access_owner;
CREATE RULE mine AS ON DELETE TO model_access_rule DO INSTEAD NOTHING;
CREATE POLICY mine ON model_access_override;
SELECT regexp_split_to_table(detail, '; ') FROM model_access_health() WHERE "check" = 'privileges';
DROP EXTENSION model_access;
DROP ROLE regress_member;
-- The schema may have any name that an extension's schema may have.
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text, allowed_models text[]);
CREATE ROLE regress_admin;
CREATE SCHEMA "100%";
CREATE SCHEMA "a%s";
CREATE EXTENSION model_access SCHEMA "100%";
SELECT outcome FROM "100%".model_access_load('[{"id": "a/one", "name": "One"}]');
SELECT "100%".model_access_grant('regress_admin', 'admin'), "100%".model_access_bind_profiles('profiles');
SELECT "100%".model_access_confirm('a/one');
SELECT "check", ok FROM "100%".model_access_health() WHERE "check" IN ('profiles', 'privileges');
SELECT count(*) FROM "100%".model_access_repair_privileges(), "100%".model_access_import_allowed_models('profiles');
SELECT action FROM "100%".model_access_retire_allowed_models('profiles', dry_run => false) LIMIT 1;
SELECT action FROM "100%".model_access_restore_allowed_models('profiles') LIMIT 1;
-- The HINT differs where the server has pg_cron.
CREATE FUNCTION pg_temp.hint() RETURNS text LANGUAGE plpgsql AS $$ DECLARE hint text; BEGIN
    PERFORM "100%".model_access_schedule();
EXCEPTION WHEN feature_not_supported THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN replace(substring(hint FROM 'CALL [^)]*[)]'), E'\\', '');
END $$;
SELECT pg_temp.hint();
DROP EXTENSION model_access;
CREATE EXTENSION model_access SCHEMA "a%s";
SELECT outcome FROM "a%s".model_access_load('[{"id": "a/one", "name": "One"}]');
SELECT "a%s".model_access_grant('regress_admin', 'admin'), "a%s".model_access_bind_profiles('profiles');
SELECT "a%s".model_access_revoke('regress_admin');
DROP EXTENSION model_access;
DROP OWNED BY regress_admin;
DROP ROLE regress_admin;
