\set ECHO none
\set SHOW_CONTEXT never
\getenv owner MODEL_ACCESS_OWNER
\getenv install MODEL_ACCESS_INSTALL
\if :{?schema}
\else
\set schema public
\endif
\i :install
-- The newest recorded catalogue, and documents made from its entries.
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
-- Changes times as if so many hours had passed, or so many days with a complete list on each.
CREATE FUNCTION pg_temp.hours_pass(hours integer) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    UPDATE model_access_sync_log SET started_at = started_at - hours * interval '1 hour';
    UPDATE model_access SET missing_since = missing_since - hours * interval '1 hour',
        absent_since = absent_since - hours * interval '1 hour', price_withheld_since = price_withheld_since - hours * interval '1 hour',
        price_unreadable_since = price_unreadable_since - hours * interval '1 hour',
        free_revoked_at = free_revoked_at - hours * interval '1 hour', price_guarded_at = price_guarded_at - hours * interval '1 hour',
        reviewed_at = reviewed_at - hours * interval '1 hour', last_run_id = last_run_id + 1000;
    PERFORM setval('model_access_sync_log_run_id_seq', (SELECT max(last_run_id) FROM model_access));
END $$;
CREATE FUNCTION pg_temp.days_pass(days integer) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_temp.hours_pass(24 * days);
    INSERT INTO model_access_sync_log (started_at, duration_ms, outcome, complete, run_by)
        SELECT clock_timestamp() - d * interval '1 day', 0, 'unchanged', true, 'test' FROM generate_series(1, days) AS d;
END $$;
\set ECHO all
