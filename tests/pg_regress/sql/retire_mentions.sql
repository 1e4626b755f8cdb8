\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- Which function bodies use the column: those that name it in code, or as a key, together with the table or an object that depends on it.
CREATE TABLE profiles (id integer PRIMARY KEY, allowed_models text[], tier text);
CREATE VIEW listed AS SELECT id, allowed_models AS models FROM profiles;
CREATE TABLE teams (id integer, allowed_models text[]);
CREATE TEMP TABLE body (n integer GENERATED ALWAYS AS IDENTITY, source text);
INSERT INTO body (source) VALUES
    ('SELECT ALLOWED_MODELS FROM profiles'),
    ('SELECT "allowed_models" FROM profiles'),
    ('SELECT not_allowed_models, allowed_models_x, allowed_models$1 FROM profiles'),
    ('SELECT x.allowed_models[1] FROM public.listed AS x'),
    ('SELECT 1 FROM profiles -- allowed_models'),
    ('x := 1; -- it''s not allowed_models of profiles'),
    ('/* allowed_models */ SELECT 1 FROM profiles'),
    ('/* not -- nested */ SELECT allowed_models FROM profiles'),
    ('-- /* no comment begins here' || E'\n' || 'SELECT allowed_models FROM profiles -- */'),
    ('SELECT 1 - -1, a--allowed_models' || E'\n' || 'FROM profiles'),
    ('SELECT to_jsonb(p) -> ''allowed_models'' FROM profiles AS p'),
    ('SELECT to_jsonb(p) #>> ''{allowed_models,0}'' FROM profiles AS p'),
    ('SELECT to_jsonb(p) FROM profiles AS p'),
    ('SELECT to_jsonb(t) FROM teams AS t'),
    ('SELECT ''the allowed_models of a user'' FROM profiles'),
    ('EXECUTE ''UPDATE profiles SET allowed_models = NULL'''),
    ('SELECT allowed_models FROM teams'),
    ('x := ''it''''s '' || allowed_models FROM profiles'),
    (E'x := E''it\\''s '' || allowed_models || '''' FROM profiles'),
    ('x := $$ it''s $$ || allowed_models FROM profiles'),
    ('SELECT "--", allowed_models FROM profiles'),
    ('SELECT ''/*'', allowed_models, ''*/'' FROM profiles'),
    ('SELECT U&"\0061llowed_models" FROM profiles');
CREATE FUNCTION pg_temp.make() RETURNS void LANGUAGE plpgsql AS $$
DECLARE b record;
BEGIN
    SET LOCAL check_function_bodies = off;
    FOR b IN SELECT * FROM body LOOP
        EXECUTE format('CREATE FUNCTION public.f%s() RETURNS text LANGUAGE plpgsql AS %L', lpad(b.n::text, 2, '0'), b.source);
    END LOOP;
END
$$;
SELECT pg_temp.make();
SELECT n, source, u.action, u.why FROM body LEFT JOIN model_access_retire_allowed_models('profiles') AS u
    ON u.object = format('function public.f%s()', lpad(n::text, 2, '0')) ORDER BY n;
-- Parameters, results, rows, other languages. Bodies whose dependencies PostgreSQL records are kept.
CREATE FUNCTION takes(allowed_models text[]) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM profiles';
CREATE FUNCTION gives() RETURNS TABLE (allowed_models text[]) LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT ''{}''::text[] FROM profiles; END';
CREATE FUNCTION of_row(profiles) RETURNS text LANGUAGE sql AS 'SELECT $1.allowed_models[1]';
CREATE FUNCTION follows() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(allowed_models) FROM profiles; END;
CREATE FUNCTION far() RETURNS text LANGUAGE sql AS 'SELECT NULL::text AS allowed_models';
SELECT object, action, why FROM model_access_retire_allowed_models('profiles') WHERE object !~ 'function public.f\d\d' ORDER BY step;
-- The lines are those of the source.
CREATE FUNCTION lines() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    /* one
       two */ RETURN (SELECT
    allowed_models[1] FROM profiles);
END $$;
SELECT substring(ddl FROM 'line [^\n]*') AS line FROM model_access_retire_allowed_models('profiles') WHERE object ~ 'lines';
