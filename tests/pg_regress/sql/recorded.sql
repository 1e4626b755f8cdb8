\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- For every recorded era, a second reading in SQL equals the table, row by row.
CREATE FUNCTION pg_temp.document(catalogue jsonb) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT CASE jsonb_typeof(catalogue) WHEN 'array' THEN catalogue ELSE catalogue -> 'data' END $$;
CREATE FUNCTION pg_temp.per_million(price text) RETURNS numeric LANGUAGE sql AS
    $$ SELECT CASE WHEN price::numeric >= 0 THEN price::numeric * 1000000 END $$;
CREATE FUNCTION pg_temp.compare(catalogue text) RETURNS TABLE (models bigint, rows bigint, differ bigint) LANGUAGE sql AS $$
    SELECT count(e), count(m), count(*) FILTER (WHERE
        (m.name, m.description, m.canonical_slug, m.provider) IS DISTINCT FROM
            (e ->> 'name', e ->> 'description', e ->> 'canonical_slug', regexp_replace(e ->> 'id', '^~?([^/]+)/.*$', '\1'))
        OR (m.pricing, m.prompt_usd_per_million, m.completion_usd_per_million) IS DISTINCT FROM
            (e -> 'pricing', pg_temp.per_million(e #>> '{pricing,prompt}'), pg_temp.per_million(e #>> '{pricing,completion}'))
        OR (m.context_length, m.max_completion_tokens, m.expires_on) IS DISTINCT FROM
            ((e ->> 'context_length')::integer, (e #>> '{top_provider,max_completion_tokens}')::integer, (e ->> 'expiration_date')::date)
        OR (e #> '{architecture,input_modalities}' IS NOT NULL AND (to_jsonb(m.input_modalities), to_jsonb(m.output_modalities)) IS DISTINCT FROM
            (e #> '{architecture,input_modalities}', e #> '{architecture,output_modalities}'))
        OR to_jsonb(m.supported_parameters) IS DISTINCT FROM e -> 'supported_parameters'
        OR m.upstream IS DISTINCT FROM e - 'benchmarks' OR m.missing_since IS NOT NULL)
    FROM jsonb_array_elements(pg_temp.document(catalogue::jsonb)) AS e
    FULL JOIN (SELECT * FROM model_access WHERE missing_since IS NULL) AS m ON m.model_id = e ->> 'id' $$;
-- The eras are loaded in order. They are months apart, so max_removals lets removals through.
\set era 2024-09-18
\i :abs_srcdir/era.sql
\set era 2024-11-11
\i :abs_srcdir/era.sql
\set era 2025-04-09
\i :abs_srcdir/era.sql
\set era 2025-05-05
\i :abs_srcdir/era.sql
\set era 2025-06-11
\i :abs_srcdir/era.sql
\set era 2025-09-14
\i :abs_srcdir/era.sql
\set era 2025-12-25
\i :abs_srcdir/era.sql
\set era 2026-08-05-output_modalities-all
\i :abs_srcdir/era.sql
\set era 2026-08-22
\i :abs_srcdir/era.sql
-- Unusual recorded rows: prices are exact to the last of 23 digits.
\set peculiar `cat "$PG_ABS_SRCDIR/../catalogues/peculiar_rows.json"`
CREATE TEMP TABLE peculiar AS
    SELECT DISTINCT ON (p #>> '{row,id}') p ->> 'why' AS why, p -> 'row' AS entry FROM jsonb_array_elements(:'peculiar'::jsonb) AS p ORDER BY p #>> '{row,id}';
TRUNCATE model_access;
SELECT outcome, jsonb_array_length(unusable) AS unusable FROM model_access_load((SELECT jsonb_agg(entry)::text FROM peculiar));
SELECT differ FROM pg_temp.compare((SELECT jsonb_agg(entry)::text FROM peculiar));
SELECT why, prompt_usd_per_million, completion_usd_per_million FROM peculiar JOIN model_access ON model_id = entry ->> 'id'
WHERE why ~ 'digits|double|noise' ORDER BY why;
