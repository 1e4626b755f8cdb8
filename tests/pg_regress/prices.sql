\set ECHO none
-- The columns that the sync reads from prices, for rows in which they are not filled: a library that reads them leaves nothing to do.
CREATE FUNCTION pg_temp.fill() RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH price AS (
        SELECT m.model_id, e.key, e.value #>> '{}' AS text
        FROM model_access AS m CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(m.pricing) WHEN 'object' THEN m.pricing END) AS e WHERE e.key NOT IN ('overrides', 'discount')
        UNION ALL
        SELECT m.model_id, e.key, e.value #>> '{}'
        FROM model_access AS m CROSS JOIN LATERAL jsonb_array_elements(m.pricing -> 'overrides') AS o CROSS JOIN LATERAL jsonb_each(o) AS e
        WHERE e.key NOT IN ('min_prompt_tokens', 'utc_start', 'utc_end')),
    component AS (
        SELECT p.model_id, p.key, p.key IN ('request', 'image', 'web_search') AS per_use,
            CASE WHEN bool_and(p.text::numeric >= 0) THEN trim_scale(max(p.text::numeric) * CASE WHEN p.key IN ('request', 'image', 'web_search') THEN 1 ELSE 1000000 END) END AS usd
        FROM price AS p GROUP BY 1, 2),
    model AS (
        SELECT c.model_id, jsonb_object_agg(c.key, c.usd) AS prices,
            CASE WHEN bool_and(c.usd IS NOT NULL) FILTER (WHERE NOT c.per_use) THEN max(c.usd) FILTER (WHERE NOT c.per_use) END AS highest,
            CASE WHEN bool_or(c.usd > 0) FILTER (WHERE c.per_use) THEN true WHEN bool_or(c.usd IS NULL) FILTER (WHERE c.per_use) THEN NULL ELSE false END AS per_use, coalesce(bool_and(c.usd = 0), false) AS free
        FROM component AS c GROUP BY 1)
    UPDATE model_access AS m
    SET highest_prices = p.prices, highest_usd_per_million = p.highest, charges_per_use = p.per_use, is_free_of_charge = coalesce(p.free, false),
        alias_of = m.upstream #>> '{alias_target,slug}',
        -- a sync's write
        last_run_id = -m.last_run_id
    FROM model_access AS r LEFT JOIN model AS p ON p.model_id = r.model_id
    WHERE r.model_id = m.model_id AND m.missing_since IS NULL
      AND (m.highest_prices IS DISTINCT FROM p.prices OR m.alias_of IS DISTINCT FROM m.upstream #>> '{alias_target,slug}')
$$;
CREATE FUNCTION pg_temp.load(document text, max_removals integer DEFAULT NULL) RETURNS model_access_sync_log
LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = error AS $$
DECLARE
    run model_access_sync_log;
BEGIN
    SELECT * INTO run FROM model_access_load(document, max_removals);
    PERFORM pg_temp.fill();
    RETURN run;
END
$$;
-- An entry of a list, as short as it can be, and lists of such.
CREATE FUNCTION pg_temp.entry(id text, pricing jsonb, target text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'name', id, 'pricing', pricing, 'architecture', '{"input_modalities": ["text"], "output_modalities": ["text"]}'::jsonb)
        || CASE WHEN target IS NULL THEN '{}' ELSE jsonb_build_object('alias_target', jsonb_build_object('slug', target)) END $$;
CREATE FUNCTION pg_temp.list(VARIADIC entries jsonb[]) RETURNS text LANGUAGE sql AS $$ SELECT jsonb_build_object('data', to_jsonb(entries))::text $$;
\set ECHO all
