-- What one would write without the extension: three functions that reconcile a table with a document. None has a guard, a run
-- log, or decisions of admins to keep. Each writes the table models of the first schema in search_path, and each schema
-- has one, with the columns of model_access.

CREATE SCHEMA hand;
CREATE SCHEMA by_row;
CREATE SCHEMA by_upsert;
CREATE SCHEMA by_difference;
CREATE SCHEMA with_history;
CREATE TABLE by_row.models (LIKE model_access INCLUDING ALL);
CREATE TABLE by_upsert.models (LIKE model_access INCLUDING ALL);
CREATE TABLE by_difference.models (LIKE model_access INCLUDING ALL);
CREATE TABLE with_history.models (LIKE model_access INCLUDING ALL);

CREATE FUNCTION hand.price(price text) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN price::numeric >= 0 THEN price::numeric * 1000000 END
$$;

CREATE FUNCTION hand.strings(list jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(list) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(list)) END
$$;

CREATE FUNCTION hand.columns(entry jsonb) RETURNS TABLE (model_id text, canonical_slug text, name text, description text,
    provider text, pricing jsonb, prompt_usd_per_million numeric, completion_usd_per_million numeric, context_length integer,
    max_completion_tokens integer, input_modalities text[], output_modalities text[], supported_parameters text[],
    expires_on date, upstream jsonb)
LANGUAGE sql IMMUTABLE AS $$
    SELECT entry ->> 'id', entry ->> 'canonical_slug', entry ->> 'name', entry ->> 'description',
        ltrim(split_part(entry ->> 'id', '/', 1), '~'), entry -> 'pricing', hand.price(entry #>> '{pricing,prompt}'),
        hand.price(entry #>> '{pricing,completion}'), (entry ->> 'context_length')::integer,
        (entry #>> '{top_provider,max_completion_tokens}')::integer, hand.strings(entry #> '{architecture,input_modalities}'),
        hand.strings(entry #> '{architecture,output_modalities}'), hand.strings(entry -> 'supported_parameters'),
        (entry ->> 'expiration_date')::date, entry
$$;

CREATE FUNCTION hand.entries(document text) RETURNS TABLE (model_id text, upstream jsonb) LANGUAGE sql IMMUTABLE AS $$
    SELECT e.value ->> 'id', e.value - 'benchmarks' FROM jsonb_array_elements(document::jsonb -> 'data') AS e
$$;

-- (a) the upsert of applications: one statement for each row
CREATE FUNCTION hand.load_by_row(document text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry record;
    ids   text[] := '{}';
BEGIN
    FOR entry IN SELECT * FROM hand.entries(document) LOOP
        INSERT INTO models AS m (model_id, canonical_slug, name, description, provider, pricing, prompt_usd_per_million,
            completion_usd_per_million, context_length, max_completion_tokens, input_modalities, output_modalities,
            supported_parameters, expires_on, upstream)
        SELECT * FROM hand.columns(entry.upstream)
        ON CONFLICT (model_id) DO UPDATE SET canonical_slug = excluded.canonical_slug, name = excluded.name,
            description = excluded.description, provider = excluded.provider, pricing = excluded.pricing,
            prompt_usd_per_million = excluded.prompt_usd_per_million,
            completion_usd_per_million = excluded.completion_usd_per_million, context_length = excluded.context_length,
            max_completion_tokens = excluded.max_completion_tokens, input_modalities = excluded.input_modalities,
            output_modalities = excluded.output_modalities, supported_parameters = excluded.supported_parameters,
            expires_on = excluded.expires_on, upstream = excluded.upstream, changed_at = now(), missing_since = NULL;
        ids := ids || entry.model_id;
    END LOOP;
    UPDATE models AS m SET missing_since = now()
    WHERE m.missing_since IS NULL AND NOT EXISTS (SELECT FROM unnest(ids) AS l(model_id) WHERE l.model_id = m.model_id);
END
$$;

-- (b) one upsert for all rows, which writes those that differ; everything is derived from upstream, so only that is compared
CREATE FUNCTION hand.load_by_upsert(document text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH listed AS MATERIALIZED (SELECT * FROM hand.entries(document)),
    written AS (
        INSERT INTO models AS m (model_id, canonical_slug, name, description, provider, pricing, prompt_usd_per_million,
            completion_usd_per_million, context_length, max_completion_tokens, input_modalities, output_modalities,
            supported_parameters, expires_on, upstream)
        SELECT c.* FROM listed AS l CROSS JOIN LATERAL hand.columns(l.upstream) AS c
        ON CONFLICT (model_id) DO UPDATE SET canonical_slug = excluded.canonical_slug, name = excluded.name,
            description = excluded.description, provider = excluded.provider, pricing = excluded.pricing,
            prompt_usd_per_million = excluded.prompt_usd_per_million,
            completion_usd_per_million = excluded.completion_usd_per_million, context_length = excluded.context_length,
            max_completion_tokens = excluded.max_completion_tokens, input_modalities = excluded.input_modalities,
            output_modalities = excluded.output_modalities, supported_parameters = excluded.supported_parameters,
            expires_on = excluded.expires_on, upstream = excluded.upstream, changed_at = now(), missing_since = NULL
        WHERE m.upstream IS DISTINCT FROM excluded.upstream OR m.missing_since IS NOT NULL)
    UPDATE models AS m SET missing_since = now()
    WHERE m.missing_since IS NULL AND NOT EXISTS (SELECT FROM listed AS l WHERE l.model_id = m.model_id);
END
$$;

-- The same, but it joins with the table first: ON CONFLICT locks each row that it meets, even if it then writes nothing. It
-- is also (c), in a schema whose table has triggers.
CREATE FUNCTION hand.load_by_difference(document text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH listed AS MATERIALIZED (SELECT * FROM hand.entries(document)),
    written AS (
        INSERT INTO models AS m (model_id, canonical_slug, name, description, provider, pricing, prompt_usd_per_million,
            completion_usd_per_million, context_length, max_completion_tokens, input_modalities, output_modalities,
            supported_parameters, expires_on, upstream)
        SELECT c.*
        FROM listed AS l LEFT JOIN models AS o ON o.model_id = l.model_id CROSS JOIN LATERAL hand.columns(l.upstream) AS c
        WHERE o.upstream IS DISTINCT FROM l.upstream OR o.missing_since IS NOT NULL
        ON CONFLICT (model_id) DO UPDATE SET canonical_slug = excluded.canonical_slug, name = excluded.name,
            description = excluded.description, provider = excluded.provider, pricing = excluded.pricing,
            prompt_usd_per_million = excluded.prompt_usd_per_million,
            completion_usd_per_million = excluded.completion_usd_per_million, context_length = excluded.context_length,
            max_completion_tokens = excluded.max_completion_tokens, input_modalities = excluded.input_modalities,
            output_modalities = excluded.output_modalities, supported_parameters = excluded.supported_parameters,
            expires_on = excluded.expires_on, upstream = excluded.upstream, changed_at = now(), missing_since = NULL)
    UPDATE models AS m SET missing_since = now()
    WHERE m.missing_since IS NULL AND NOT EXISTS (SELECT FROM listed AS l WHERE l.model_id = m.model_id);
END
$$;

-- (c) the history of PostgreSQL's documentation ("Auditing with Transition Tables"): whole rows, one trigger for each statement
CREATE TABLE with_history.history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL DEFAULT session_user,
    model_id   text NOT NULL,
    old        jsonb,
    new        jsonb
);
CREATE INDEX ON with_history.history (model_id, history_id);

CREATE FUNCTION with_history.record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO with_history.history (model_id, new) SELECT n.model_id, to_jsonb(n) FROM new_rows AS n;
    ELSE
        INSERT INTO with_history.history (model_id, old, new)
        SELECT n.model_id, to_jsonb(o), to_jsonb(n) FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER record_insert AFTER INSERT ON with_history.models
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION with_history.record();
CREATE TRIGGER record_update AFTER UPDATE ON with_history.models
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION with_history.record();
