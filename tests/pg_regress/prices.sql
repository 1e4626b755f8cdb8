\set ECHO none
-- A load without its warnings, and functions that make short entries.
CREATE FUNCTION pg_temp.load(document text, max_removals integer DEFAULT NULL) RETURNS model_access_sync_log
LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = error AS $$
DECLARE
    run model_access_sync_log;
BEGIN
    SELECT * INTO run FROM model_access_load(document, max_removals);
    RETURN run;
END
$$;
-- The shortest entry of a list, and lists of such entries.
CREATE FUNCTION pg_temp.entry(id text, pricing jsonb, target text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'name', id, 'pricing', pricing, 'architecture', '{"input_modalities": ["text"], "output_modalities": ["text"]}'::jsonb)
        || CASE WHEN target IS NULL THEN '{}' ELSE jsonb_build_object('alias_target', jsonb_build_object('slug', target)) END $$;
CREATE FUNCTION pg_temp.list(VARIADIC entries jsonb[]) RETURNS text LANGUAGE sql AS $$ SELECT jsonb_build_object('data', to_jsonb(entries))::text $$;
\set ECHO all
