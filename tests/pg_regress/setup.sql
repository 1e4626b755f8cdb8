\set ECHO none
\set SHOW_CONTEXT never
\getenv owner MODEL_ACCESS_OWNER
\getenv install MODEL_ACCESS_INSTALL
\if :{?schema}
\else
\set schema public
\endif
\i :install
-- The newest recorded catalogue, and documents made of its entries.
\set catalogue `zcat "$PG_ABS_SRCDIR/../catalogues/eras/2026-08-22.json.gz"`
CREATE TEMP TABLE recorded AS
    SELECT entry ->> 'id' AS model_id, entry
    FROM jsonb_array_elements(:'catalogue'::jsonb -> 'data') AS entry;
CREATE FUNCTION pg_temp.listing(VARIADIC ids text[]) RETURNS text LANGUAGE sql AS
    $$ SELECT jsonb_build_object('data', jsonb_agg(entry ORDER BY model_id))::text FROM recorded WHERE model_id = ANY (ids) $$;
CREATE FUNCTION pg_temp.all_but(VARIADIC ids text[]) RETURNS text LANGUAGE sql AS
    $$ SELECT jsonb_build_object('data', jsonb_agg(entry ORDER BY model_id))::text FROM recorded WHERE model_id <> ALL (ids) $$;
CREATE FUNCTION pg_temp.reprice(id text, prompt text, completion text) RETURNS void LANGUAGE sql AS
    $$ UPDATE recorded SET entry = jsonb_set(entry, '{pricing}', entry -> 'pricing' || jsonb_build_object('prompt', prompt, 'completion', completion)) WHERE model_id = id $$;
\set ECHO all
