\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- A body that mentions a name: in code, in a string only, or not at all. A comment is no mention.
CREATE TEMP TABLE body (n integer GENERATED ALWAYS AS IDENTITY, source text);
INSERT INTO body (source) VALUES
    ('NEW.allowed_models := ''{}'';'),
    ('SELECT ALLOWED_MODELS FROM profiles'),
    ('SELECT "allowed_models" FROM profiles'),
    ('SELECT "Allowed_Models" FROM profiles'),
    ('SELECT not_allowed_models, allowed_models_x, allowed_models$1 FROM profiles'),
    ('SELECT x.allowed_models[1]'),
    ('-- allowed_models'),
    ('x := 1; -- it''s not allowed_models'),
    ('/* allowed_models */ SELECT 1'),
    ('/* /* nested */ allowed_models */ SELECT 1'),
    ('/* not -- nested */ SELECT allowed_models'),
    ('-- /* no comment begins here' || E'\n' || 'SELECT allowed_models -- */'),
    ('SELECT 1 - -1, a--allowed_models'),
    ('x := ''allowed_models'';'),
    ('x := ''it''''s'' || allowed_models;'),
    ('x := ''it''''s allowed_models'';'),
    (E'x := E''it\\''s '' || allowed_models || '''';'),
    (E'x := E''it\\''s allowed_models'';'),
    -- with standard_conforming_strings off this string goes on; both readings count
    (E'x := ''a\\'' || allowed_models || ''b'';'),
    (E'x := ''a\\'' allowed_models ''b'';'),
    ('x := $$ allowed_models $$;'),
    ('x := $q$ $$ allowed_models $$ $q$;'),
    ('x := $q$ $$ $q$ || allowed_models;'),
    ('SELECT $1, allowed_models, $2'),
    ('SELECT a$b$ + allowed_models + c$b$'),
    ('SELECT date''2026-01-01'', allowed_models'),
    ('SELECT "--", allowed_models'),
    ('SELECT ''/*'', allowed_models, ''*/'''),
    ('SELECT "a""b", "it''s" , allowed_models'),
    ('SELECT ''does not end, allowed_models'),
    ('/* does not end: allowed_models'),
    ('SELECT U&"\0061llowed_models"'),
    ('SELECT U&"!0061llowed_models" UESCAPE ''!'''),
    ('SELECT é_allowed_models, allowed_modelsé'),
    ('EXECUTE ''UPDATE profiles SET allowed_models = NULL''');
SELECT n, source, coalesce(bool_or(in_code), false) AS in_code, count(text) > 0 AS at_all
FROM body LEFT JOIN LATERAL _model_access_mentions(source, 'plpgsql', 'allowed_models') ON true GROUP BY n, source ORDER BY n;
-- In any other language it is a mention wherever it stands, in whatever case.
SELECT * FROM _model_access_mentions(E'# allowed_models\nplpy.execute("SELECT Allowed_Models")\nnot_allowed_models = 1', 'plpython3u', 'allowed_models');
-- Lines are those of the source.
SELECT * FROM _model_access_mentions(E'BEGIN\n/* one\n two */ x := 1; -- allowed_models\n\tNEW.allowed_models := x;\nEND', 'plpgsql', 'allowed_models');
-- A name that must be quoted.
SELECT source, bool_or(in_code) FROM (VALUES ('SELECT "Allowed ""Models""", 1'), ('SELECT "allowed ""models"""'), ('SELECT allowed models')) AS v(source)
LEFT JOIN LATERAL _model_access_mentions(source, 'sql', 'Allowed "Models"') ON true GROUP BY source ORDER BY source COLLATE "C";
-- Long bodies are read a piece at a time, and wherever the cut is, it makes no difference.
SELECT n, m.line, m.in_code FROM (
    SELECT n, string_agg(m.line::text, ',') AS line, string_agg(m.in_code::text, ',') AS in_code
    FROM generate_series(300, 410) AS n
    CROSS JOIN LATERAL _model_access_mentions(repeat(' ', n) || $body$/* models /* */ */ e'\' models' "models" -- models
        'it''s models' $models$ models $models$ models$body$ || repeat(' ', 9000) || E'\nmodels -- ' || repeat('x', 20000) || E' models\nmodels', 'sql', 'models') AS m
    GROUP BY n) AS m GROUP BY 1, 2, 3 HAVING n = 300 OR (m.line, m.in_code) <> ('1,2,3,4', 'true,true,true,true');
-- A view without a column that it merely lists; NULL where it does anything else with it.
SELECT v.definition, w.* FROM (VALUES
    (1, 'SELECT p.id, p.models, p.tier FROM p;'),
    (2, 'SELECT p.models, p.id FROM p;'),
    (3, 'SELECT p.id, p.models FROM p;'),
    (4, 'SELECT p.id, p.models AS "Models" FROM p;'),
    (5, 'SELECT id, models FROM p;'),
    (6, 'SELECT p.id, p.models AS models FROM p;'),
    (7, 'SELECT p.id, ARRAY[1, 2] AS a, p.models, f(p.id, 2) AS f FROM p;'),
    (8, 'WITH w AS (SELECT q.id FROM q) SELECT w.id, p.models FROM w, p ORDER BY w.id;'),
    (9, 'SELECT p.id, p.models, ''models, from'' AS label FROM p;'),
    (10, 'SELECT p.models FROM p;'),
    (11, 'SELECT p.id, p.models FROM p WHERE p.models IS NOT NULL;'),
    (12, 'SELECT p.id, cardinality(p.models) AS n FROM p;'),
    (13, 'SELECT p.id, p.models || p.more AS models FROM p;'),
    (14, 'SELECT p.id, p.models, p.models AS again FROM p;'),
    (15, 'SELECT DISTINCT p.id, p.models FROM p;'),
    (16, 'SELECT p.id, p.models FROM p UNION ALL SELECT q.id, q.list FROM q;'),
    (17, 'SELECT p.id, p.models FROM p GROUP BY p.id, p.models;'),
    (18, 'SELECT s.id, s.models FROM (SELECT p.id, p.models FROM p) s;'),
    (19, 'SELECT p.id, q.models FROM p JOIN q USING (models);'),
    (20, 'SELECT p.id, p.list AS models FROM p;'),
    (21, 'SELECT p.id, p.models[1] AS first FROM p;'),
    (22, 'SELECT p.id, (p.models)::text AS models FROM p;'),
    (23, 'SELECT p.id, p.models FROM p p(id, models, list);')) AS v(n, definition)
CROSS JOIN LATERAL _model_access_view_without(v.definition, '{models}') AS w ORDER BY v.n;
-- A trigger function that only fills the column; anything else it might do makes it more than that.
CREATE TABLE audit (at timestamptz);
CREATE FUNCTION list_of(tier text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT CASE tier WHEN 'pro' THEN '{a,b}'::text[] ELSE '{a}' END $$;
CREATE FUNCTION audited(tier text) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (now()); RETURN '{}'; END $$;
CREATE FUNCTION audited_two(a text, b text) RETURNS text[] LANGUAGE sql AS $$ INSERT INTO audit VALUES (now()); SELECT ARRAY[a, b] $$;
CREATE FUNCTION liar(tier text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN audited(tier); END $$;
CREATE OPERATOR @@@ (LEFTARG = text, RIGHTARG = text, FUNCTION = audited_two);
CREATE FUNCTION pg_temp.fills(body text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION pg_temp.candidate() RETURNS trigger LANGUAGE plpgsql AS %L', body);
    RETURN _model_access_only_fills('pg_temp.candidate()'::regprocedure, 'allowed_models');
END
$$;
SELECT n, body, pg_temp.fills(body) FROM (VALUES
    (1, 'BEGIN NEW.allowed_models := list_of(NEW.tier); RETURN NEW; END'),
    (2, 'BEGIN IF NEW.tier = ''pro'' THEN NEW.allowed_models = ''{a}''; ELSE NEW.allowed_models = ''{}''; END IF; RETURN NEW; END'),
    (3, 'BEGIN SELECT array_agg(m.model_id) INTO STRICT NEW.allowed_models FROM model_access AS m; RETURN NEW; END'),
    (4, 'DECLARE t text := NEW.tier; r record; BEGIN SELECT 1, 2 INTO r; NEW."allowed_models" := ARRAY[t]; RETURN NEW; END'),
    (5, 'BEGIN NEW.allowed_models := ''{}''; NEW.updated_at := now(); RETURN NEW; END'),
    (6, 'BEGIN NEW.allowed_models := ''{}''; NEW.updated_at = now(); RETURN NEW; END'),
    (7, 'BEGIN NEW.allowed_models := audited(NEW.tier); RETURN NEW; END'),
    (8, 'BEGIN NEW.allowed_models := liar(NEW.tier); RETURN NEW; END'),
    (9, 'BEGIN NEW.allowed_models := ''{}''; INSERT INTO audit VALUES (now()); RETURN NEW; END'),
    (10, 'BEGIN NEW.allowed_models := ''{}''; PERFORM list_of(''x''); RETURN NEW; END'),
    (11, 'BEGIN NEW.allowed_models := ''{}''; RETURN NULL; END'),
    (12, 'BEGIN NEW.allowed_models := ''{}''; IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END'),
    (13, 'BEGIN NEW.allowed_models := ''{}''; RAISE EXCEPTION ''no''; RETURN NEW; END'),
    (14, 'BEGIN NEW.allowed_models := ''{}''; NEW := jsonb_populate_record(NEW, ''{}''); RETURN NEW; END'),
    (15, 'BEGIN SELECT ''{}'', now() INTO NEW.allowed_models, NEW.updated_at; RETURN NEW; END'),
    (16, 'BEGIN SELECT now() INTO NEW.updated_at; NEW.allowed_models := ''{}''; RETURN NEW; END'),
    (17, 'DECLARE n ALIAS FOR NEW; BEGIN n.tier := ''x''; NEW.allowed_models := ''{}''; RETURN NEW; END'),
    (18, 'BEGIN EXECUTE ''SELECT 1''; NEW.allowed_models := ''{}''; RETURN NEW; END'),
    (19, 'BEGIN NEW.allowed_models := ''{}''; FOR NEW.updated_at IN SELECT now() LOOP END LOOP; RETURN NEW; END'),
    (20, 'BEGIN NEW.allowed_models := set_config(''a.b'', ''c'', true)::text[]; RETURN NEW; END'),
    (21, 'BEGIN IF cardinality(NEW.allowed_models) > 3 THEN NEW.tier = ''pro''; END IF; RETURN NEW; END'),
    (22, 'BEGIN RETURN NEW; END'),
    (23, 'BEGIN NEW.allowed_models := ''{}''; "new".tier := ''gold''; RETURN NEW; END'),
    (24, 'BEGIN NEW.allowed_models := NEW.tier @@@ ''x''; RETURN NEW; END'),
    (25, 'BEGIN SELECT ''{}'', now() INTO STRICT NEW.allowed_models, NEW.updated_at; RETURN NEW; END')) AS v(n, body) ORDER BY n;
DROP TABLE audit;
