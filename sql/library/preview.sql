-- Shows what a sync would do now, and what the guard would withhold.

CREATE FUNCTION @extschema@._model_access_preview(plan jsonb, lines text) RETURNS TABLE (action text, model_id text, detail jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT plan ->> 'outcome', NULL::text, plan -> 'problem' WHERE plan ->> 'outcome' IN ('failed', 'held')
    UNION ALL
    SELECT 'add', n.model ->> 'model_id', n.model - '{model_id,upstream,fingerprint,entry_hash}'::text[]
    FROM @extschema@._model_access_rows(lines, '+') AS n(model)
    UNION ALL
    SELECT
        CASE
            WHEN c.change ->> 'missing_since' IS NOT NULL THEN 'missing'
            WHEN c.change ? 'missing_since' THEN 'return'
            WHEN c.change ->> 'free_revoked_at' IS NOT NULL THEN 'free_revoked'
            WHEN c.change ->> 'status' = 'active' OR c.change -> 'free_revoked_at' = 'null' THEN 'give_back'
            WHEN c.change ? 'status' THEN 'review'
            ELSE 'change'
        END,
        m.model_id,
        (SELECT coalesce(jsonb_object_agg(o.key, jsonb_build_object('old', o.value, 'new', n.value)), '{}')
         FROM jsonb_each(to_jsonb(jsonb_populate_record(m, c.change
                || coalesce(@extschema@._model_access_flags_after(m, c.change -> 'tiers'), '{}')))
            - '{upstream,fingerprint,entry_hash}'::text[]) AS n
         JOIN jsonb_each(to_jsonb(m)) AS o ON o.key = n.key
         WHERE o.value <> n.value)
    FROM @extschema@._model_access_rows(lines, '~') AS c(change)
    JOIN @extschema@.model_access AS m ON m.model_id = c.change ->> 'model_id'
    -- the only change of a withheld model may be that absent_since is set
    WHERE c.change - '{model_id,absent_since,price_withheld_since}'::text[] <> '{}' OR NOT plan -> 'withheld_models' ? m.model_id
    UNION ALL
    SELECT 'withhold', w.model_id, plan -> 'problem' FROM jsonb_array_elements_text(plan -> 'withheld_models') AS w(model_id);
END;
COMMENT ON FUNCTION @extschema@._model_access_preview(jsonb, text) IS 'Internal. Shows a plan as rows for people.';

CREATE FUNCTION @extschema@._model_access_preview_document(body bytea, max_removals integer)
RETURNS TABLE (action text, model_id text, detail jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    lines text := @extschema@._model_access_plan(body, @extschema@._model_access_state(), max_removals);
    plan  jsonb := @extschema@._model_access_head(lines);
BEGIN
    PERFORM @extschema@._model_access_warn(plan);
    RETURN QUERY SELECT p.action, p.model_id, p.detail FROM @extschema@._model_access_preview(plan, lines) AS p
        ORDER BY p.action, p.model_id;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_preview_document(bytea, integer) IS 'Internal. Previews a run with a document.';

CREATE FUNCTION @extschema@._model_access_preview_fetched(max_removals integer)
RETURNS TABLE (action text, model_id text, detail jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    fetched record;
    lines   text := '';
    plan    jsonb;
BEGIN
    SELECT * INTO STRICT fetched FROM @extschema@._model_access_fetch();
    IF fetched.body IS NULL THEN
        plan := jsonb_build_object('outcome', 'failed', 'problem', fetched.problem::jsonb, 'url', fetched.url);
    ELSE
        lines := @extschema@._model_access_plan(fetched.body, @extschema@._model_access_state(), max_removals);
        plan := @extschema@._model_access_head(lines) || jsonb_build_object('url', fetched.url);
    END IF;
    PERFORM @extschema@._model_access_warn(plan);
    RETURN QUERY SELECT p.action, p.model_id, p.detail FROM @extschema@._model_access_preview(plan, lines) AS p
        ORDER BY p.action, p.model_id;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_preview_fetched(integer) IS
    'Internal. Previews a run with the document that it fetches from model_access.url.';

CREATE FUNCTION @extschema@.model_access_preview(document text DEFAULT NULL, max_removals integer DEFAULT NULL)
RETURNS TABLE (action text, model_id text, detail jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF max_removals < 0 THEN
        RAISE EXCEPTION 'max_removals must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass NULL to let max_removal_percent decide.';
    ELSIF document IS NULL THEN
        RETURN QUERY SELECT * FROM @extschema@._model_access_preview_fetched(max_removals);
    ELSIF NOT has_function_privilege('@extschema@._model_access_preview_document(bytea,integer)', 'EXECUTE') THEN
        RAISE EXCEPTION 'permission denied to preview a document'
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Only the owner may pass a document.',
                  HINT = 'Call it without a document to preview the catalogue at model_access.url.';
    ELSE
        RETURN QUERY SELECT * FROM @extschema@._model_access_preview_document(convert_to(document, 'UTF8'), max_removals);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_preview(text, integer) IS
    'Shows what model_access_sync, or model_access_load with this document, would do now, row by row; writes nothing.';
