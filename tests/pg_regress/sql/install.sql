\set SHOW_CONTEXT never
\set database :DBNAME
-- A table of that name is never touched.
CREATE TABLE model_access (id uuid, model_id varchar(100), tier text);
CREATE EXTENSION model_access;
DROP TABLE model_access;
-- Neither is a database that cannot hold every name.
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' TEMPLATE template0;
\connect regress_latin1
CREATE EXTENSION model_access;
\connect :database
DROP DATABASE regress_latin1;
-- Every object says what it is.
CREATE EXTENSION model_access;
SELECT extversion, extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'model_access';
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'model_access' AND d.deptype = 'e' AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL ORDER BY 1;
SELECT c.relname, a.attname AS without_comment
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relname LIKE 'model\_access%' AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL ORDER BY 1, 2;
-- A function that runs with the owner's rights pins its search_path.
SELECT p.proname FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND ('search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) IS NOT TRUE;
-- Every relation and routine stands in the list that GRANT and REVOKE go by.
SELECT pg_describe_object(d.classid, d.objid, 0) AS not_in_list
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'model_access' AND d.deptype = 'e' AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
  AND d.objid NOT IN (SELECT id FROM _model_access_object);
-- What pg_dump carries.
SELECT t.name::regclass FROM pg_extension, unnest(extconfig) AS t(name) WHERE extname = 'model_access' ORDER BY 1;
-- Dropping it leaves nothing.
DROP EXTENSION model_access;
SELECT relname FROM pg_class WHERE relname LIKE '%model%access%' UNION SELECT proname FROM pg_proc WHERE proname LIKE '%model%access%';
