-- The install without the library, owned by a role that is not a superuser. The server cannot fetch and plan there, so
-- model_access_load passes its document to model-access push.
SET SESSION AUTHORIZATION :"owner";
SET client_min_messages = error;
\getenv scripts MODEL_ACCESS_SCRIPTS
\set script :scripts / :schema .sql
\o /dev/null
\i :script
RESET SESSION AUTHORIZATION;
RESET client_min_messages;
\getenv push MODEL_ACCESS_PUSH
SELECT set_config('test.push', format('%s --file - --schema ''%s'' postgresql:///%s', :'push', :'schema', current_database()), false);
\o
CREATE FUNCTION :"schema".model_access_load(document text, max_removals integer DEFAULT NULL) RETURNS :"schema".model_access_sync_log
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    command text := concat_ws(' ', current_setting('test.push'), '--max-removals ' || max_removals, '>/dev/null 2>&1 || true');
    run     record;
BEGIN
    -- CSV whose quote and delimiter cannot occur in JSON is the plain text
    EXECUTE format('COPY (SELECT %L) TO PROGRAM %L (FORMAT csv, DELIMITER E''\x01'', QUOTE E''\x02'')', document::jsonb::text, command);
    EXECUTE format('SELECT * FROM %I.model_access_sync_log ORDER BY run_id DESC LIMIT 1', split_part(current_setting('test.push'), '''', 2)) INTO run;
    RETURN run;
END
$$;
REVOKE ALL ON FUNCTION :"schema".model_access_load(text, integer) FROM PUBLIC;
