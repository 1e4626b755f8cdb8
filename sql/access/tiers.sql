-- Where callers read. One rule: a model is visible while it is active and listed, in the tiers that are flagged; an alias
-- only while the model that it stands for is not banned.

CREATE VIEW @extschema@._model_access_active AS
SELECT
    model_id, name, description, provider, context_length, max_completion_tokens, input_modalities, output_modalities,
    supported_parameters, pricing, prompt_usd_per_million, completion_usd_per_million, expires_on,
    is_free, is_pro, is_enterprise
FROM @extschema@.model_access
WHERE status = 'active' AND missing_since IS NULL AND NOT target_disabled;
COMMENT ON VIEW @extschema@._model_access_active IS 'Internal. Every model that is active and listed, with its tier flags; no alias of a model that is disabled. It chooses rows for convenience, not for secrecy.';

CREATE VIEW @extschema@.model_access_visible AS
SELECT
    model_id, name, description, provider, context_length, max_completion_tokens, input_modalities, output_modalities,
    supported_parameters, pricing, prompt_usd_per_million, completion_usd_per_million, expires_on
FROM @extschema@._model_access_active
WHERE is_free OR is_pro OR is_enterprise;
COMMENT ON VIEW @extschema@.model_access_visible IS 'Every model that is visible in at least one tier; its row type is what models_for_tier returns.';
COMMENT ON COLUMN @extschema@.model_access_visible.model_id IS 'Upstream id, exact: what a request to OpenRouter names.';
COMMENT ON COLUMN @extschema@.model_access_visible.name IS 'Name for people.';
COMMENT ON COLUMN @extschema@.model_access_visible.description IS 'Upstream description, cut short by upstream.';
COMMENT ON COLUMN @extschema@.model_access_visible.provider IS 'Who made the model.';
COMMENT ON COLUMN @extschema@.model_access_visible.context_length IS 'Context window in tokens; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.max_completion_tokens IS 'Longest completion in tokens; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.input_modalities IS 'What the model reads.';
COMMENT ON COLUMN @extschema@.model_access_visible.output_modalities IS 'What the model writes.';
COMMENT ON COLUMN @extschema@.model_access_visible.supported_parameters IS 'Request parameters that at least one host supports.';
COMMENT ON COLUMN @extschema@.model_access_visible.pricing IS 'Upstream pricing as given: strings, USD per token or per unit.';
COMMENT ON COLUMN @extschema@.model_access_visible.prompt_usd_per_million IS 'USD per million prompt tokens; NULL = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.completion_usd_per_million IS 'USD per million completion tokens; NULL = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.expires_on IS 'After this day the model may leave the list.';

CREATE FUNCTION @extschema@._model_access_tier(tier text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF tier OPERATOR(pg_catalog.=) ANY (ARRAY['free', 'pro', 'enterprise']) THEN
        RETURN tier;
    ELSIF tier IS NULL THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'unknown tier "%"', tier
        USING ERRCODE = 'invalid_parameter_value', HINT = 'The tiers are free, pro and enterprise.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_tier(text) IS 'Internal. The tier itself; NULL for NULL; error 22023 for a name that is no tier.';

CREATE FUNCTION @extschema@._model_access_in_tier(tier text, is_free boolean, is_pro boolean, is_enterprise boolean)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE tier
    WHEN 'free' THEN is_free
    WHEN 'pro' THEN is_free OR is_pro
    WHEN 'enterprise' THEN is_free OR is_pro OR is_enterprise
    ELSE false
END;
COMMENT ON FUNCTION @extschema@._model_access_in_tier(text, boolean, boolean, boolean) IS 'Internal. Whether a model with these flags is in the tier; tiers are cumulative, and an unknown tier or NULL holds nothing.';

CREATE FUNCTION @extschema@.models_for_tier(tier text) RETURNS SETOF @extschema@.model_access_visible
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        m.model_id, m.name, m.description, m.provider, m.context_length, m.max_completion_tokens, m.input_modalities,
        m.output_modalities, m.supported_parameters, m.pricing, m.prompt_usd_per_million, m.completion_usd_per_million,
        m.expires_on
    FROM @extschema@._model_access_active AS m
    WHERE @extschema@._model_access_tier(models_for_tier.tier) IS NOT NULL
      AND @extschema@._model_access_in_tier(models_for_tier.tier, m.is_free, m.is_pro, m.is_enterprise);
END;
COMMENT ON FUNCTION @extschema@.models_for_tier(text) IS 'Every model visible in a tier: free, pro (free and pro) or enterprise (all three); no alias of a model that is disabled. NULL gives no row, another name error 22023. Inlines to the plain query.';

CREATE FUNCTION @extschema@.model_allowed(tier text, model_id text) RETURNS boolean
-- PL/pgSQL for its cached plan; no SET, which would cost more than the probe
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    PERFORM FROM @extschema@._model_access_active AS m
    WHERE m.model_id OPERATOR(pg_catalog.=) model_allowed.model_id
      AND @extschema@._model_access_in_tier(model_allowed.tier, m.is_free, m.is_pro, m.is_enterprise);
    IF NOT FOUND THEN
        -- or because there is no such tier
        tier := @extschema@._model_access_tier(tier);
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.model_allowed(text, text) IS 'Whether a tier may use a model: the rule of models_for_tier for one exact id. Never NULL; error 22023 for a name that is no tier.';

CREATE FUNCTION @extschema@._model_access_reason(tier text, model_id text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((
        SELECT CASE
            WHEN m.status = 'disabled' THEN concat_ws(' ', 'disabled', 'by ' || m.reviewed_by, 'on ' || to_char(m.reviewed_at, 'YYYY-MM-DD'))
            WHEN m.missing_since IS NOT NULL THEN 'left the catalogue on ' || to_char(m.missing_since, 'YYYY-MM-DD')
            WHEN m.status = 'new' THEN 'waits for review since ' || to_char(coalesce(
                (SELECT max(h.at) FROM @extschema@.model_access_history AS h
                 WHERE h.model_id = m.model_id AND h.new ->> 'status' = 'new'),
                m.first_seen_at), 'YYYY-MM-DD')
            WHEN m.status = 'inactive' THEN concat_ws(' ', 'inactive', 'by ' || m.reviewed_by, 'since ' || to_char(m.reviewed_at, 'YYYY-MM-DD'))
            WHEN m.target_disabled THEN format(CASE
                WHEN EXISTS (SELECT FROM @extschema@.model_access AS t WHERE t.model_id = m.alias_of AND t.target_disabled
                    AND t.status <> 'disabled') THEN 'its target %s stands for a model that is disabled'
                ELSE 'its target %s is disabled' END, m.alias_of)
            WHEN _model_access_reason.tier IS NULL THEN 'no tier'
            WHEN @extschema@._model_access_in_tier(_model_access_reason.tier, m.is_free, m.is_pro, m.is_enterprise)
                THEN 'in tier ' || _model_access_reason.tier
            ELSE 'not in tier ' || _model_access_reason.tier
        END
        FROM @extschema@.model_access AS m WHERE m.model_id = _model_access_reason.model_id),
        CASE WHEN EXISTS (
            SELECT FROM @extschema@.model_access AS m
            WHERE m.model_id = regexp_replace(_model_access_reason.model_id, ':[^:]*$', ''))
        THEN 'not in the catalogue; a model''s suffix is part of its id'
        ELSE 'not in the catalogue' END);
END;
COMMENT ON FUNCTION @extschema@._model_access_reason(text, text) IS 'Internal. Why a model is or is not visible in a tier.';

CREATE FUNCTION @extschema@.model_access_explain(tier text, model_id text, OUT allowed boolean, OUT reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    allowed := @extschema@.model_allowed(tier, model_id);
    reason := @extschema@._model_access_reason(tier, model_id);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_explain(text, text) IS 'Whether a tier may use a model, and why, in one line for people. Error 22023 for a name that is no tier.';
