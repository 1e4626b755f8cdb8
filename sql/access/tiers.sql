-- The tiers, and the answers for a tier. All answers follow one rule: a model is visible in its own tier and in higher tiers
-- while it is active and listed, and an alias only while its target is not disabled. Every list of tiers is in this file, except
-- the columns of model_access and of model_access_rule, and the triggers in core/decision.sql.

CREATE FUNCTION @extschema@._model_access_tiers() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['free', 'pro', 'enterprise'];
COMMENT ON FUNCTION @extschema@._model_access_tiers() IS
    'Internal. Gives the tiers, lowest first; each has a column is_<tier> in model_access.';

CREATE FUNCTION @extschema@._model_access_rank(tier text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_position(@extschema@._model_access_tiers(), tier);
COMMENT ON FUNCTION @extschema@._model_access_rank(text) IS
    'Internal. Gives the rank of a tier, 1 for the lowest; NULL for an unknown tier.';

CREATE FUNCTION @extschema@._model_access_rank(model @extschema@.model_access) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (model).is_free THEN 1 WHEN (model).is_pro THEN 2 WHEN (model).is_enterprise THEN 3 END;
COMMENT ON FUNCTION @extschema@._model_access_rank(@extschema@.model_access) IS
    'Internal. Gives the rank of the lowest tier that holds a model; NULL for a model in no tier.';

CREATE FUNCTION @extschema@._model_access_tiers_of(model @extschema@.model_access) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_remove(ARRAY[CASE WHEN (model).is_free THEN 'free' END, CASE WHEN (model).is_pro THEN 'pro' END,
    CASE WHEN (model).is_enterprise THEN 'enterprise' END], NULL);
COMMENT ON FUNCTION @extschema@._model_access_tiers_of(@extschema@.model_access) IS
    'Internal. Gives the tiers whose flags are set for a model.';

CREATE FUNCTION @extschema@._model_access_flags() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT 'is_' || t.tier FROM unnest(@extschema@._model_access_tiers()) WITH ORDINALITY AS t(tier, rank) ORDER BY t.rank);
COMMENT ON FUNCTION @extschema@._model_access_flags() IS
    'Internal. Gives the columns of the tier flags, in the order of the tiers.';

CREATE FUNCTION @extschema@._model_access_flagged(flags jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT t.tier FROM unnest(@extschema@._model_access_tiers()) WITH ORDINALITY AS t(tier, rank)
    WHERE (flags ->> ('is_' || t.tier))::boolean ORDER BY t.rank);
COMMENT ON FUNCTION @extschema@._model_access_flagged(jsonb) IS
    'Internal. Gives the tiers whose flags are set in a row that is given as JSON.';

CREATE FUNCTION @extschema@._model_access_flags_of(tiers text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_object_agg('is_' || t.tier, t.tier = ANY (_model_access_flags_of.tiers))
    FROM unnest(@extschema@._model_access_tiers()) AS t(tier);
END;
COMMENT ON FUNCTION @extschema@._model_access_flags_of(text[]) IS
    'Internal. Gives the tier flags of a model that is in exactly these tiers, as columns in JSON.';

CREATE VIEW @extschema@._model_access_active AS
SELECT
    model_id, name, description, provider, context_length, max_completion_tokens, input_modalities, output_modalities,
    supported_parameters, pricing, prompt_usd_per_million, completion_usd_per_million, expires_on,
    -- not _model_access_rank(): a role that has only the right to read a view may not call it
    CASE WHEN is_free THEN 1 WHEN is_pro THEN 2 WHEN is_enterprise THEN 3 END AS rank
FROM @extschema@.model_access
WHERE status = 'active' AND missing_since IS NULL AND NOT target_disabled;
COMMENT ON VIEW @extschema@._model_access_active IS
    'Internal. Every model that is active, listed and not an alias of a disabled model, with the rank of its lowest tier.';

CREATE VIEW @extschema@.model_access_visible AS
SELECT
    model_id, name, description, provider, context_length, max_completion_tokens, input_modalities, output_modalities,
    supported_parameters, pricing, prompt_usd_per_million, completion_usd_per_million, expires_on
FROM @extschema@._model_access_active
WHERE rank IS NOT NULL;
COMMENT ON VIEW @extschema@.model_access_visible IS
    'Every model that is visible in at least one tier; models_for_tier and models_for_user return rows of this type.';
COMMENT ON COLUMN @extschema@.model_access_visible.model_id IS 'Upstream id, exact, for requests to OpenRouter.';
COMMENT ON COLUMN @extschema@.model_access_visible.name IS 'Upstream name, for people; not unique.';
COMMENT ON COLUMN @extschema@.model_access_visible.description IS
    'Upstream description, which OpenRouter cuts short in its list; NULL = none.';
COMMENT ON COLUMN @extschema@.model_access_visible.provider IS 'Who made the model, not who hosts it; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.context_length IS 'Context window in tokens; NULL = unknown or out of range.';
COMMENT ON COLUMN @extschema@.model_access_visible.max_completion_tokens IS
    'Longest completion in tokens; NULL = unknown or out of range.';
COMMENT ON COLUMN @extschema@.model_access_visible.input_modalities IS
    'What the model reads, such as {text,image}; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.output_modalities IS 'What the model writes, such as {text}; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.supported_parameters IS
    'Request parameters that at least one host of the model supports; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.pricing IS
    'Upstream pricing as given: strings in USD per token or per use, -1 = variable; NULL = none.';
COMMENT ON COLUMN @extschema@.model_access_visible.prompt_usd_per_million IS
    'Price of prompt tokens in USD per million tokens, exact; NULL = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.completion_usd_per_million IS
    'Price of completion tokens in USD per million tokens, exact; NULL = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access_visible.expires_on IS
    'Upstream expiration_date, after which the model may leave the list; NULL = none.';

CREATE FUNCTION @extschema@._model_access_shown(model @extschema@._model_access_active)
    RETURNS SETOF @extschema@.model_access_visible
-- PostgreSQL inlines it, and checks that its columns match the view
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT
        (model).model_id, (model).name, (model).description, (model).provider, (model).context_length,
        (model).max_completion_tokens, (model).input_modalities, (model).output_modalities, (model).supported_parameters,
        (model).pricing, (model).prompt_usd_per_million, (model).completion_usd_per_million, (model).expires_on;
END;
COMMENT ON FUNCTION @extschema@._model_access_shown(@extschema@._model_access_active) IS
    'Internal. Gives the visible columns of an active model, as one row.';

CREATE FUNCTION @extschema@._model_access_unknown_tier(tier text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tiers CONSTANT text[] := @extschema@._model_access_tiers();
    last  CONSTANT integer := cardinality(tiers);
BEGIN
    RAISE EXCEPTION 'unknown tier "%"', tier
        USING ERRCODE = 'invalid_parameter_value',
              HINT = format('Use %s or %s.', array_to_string(tiers[:last - 1], ', '), tiers[last]);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unknown_tier(text) IS 'Internal. Raises error 22023 for an unknown tier.';

CREATE FUNCTION @extschema@._model_access_tier(tier text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN tier IS NULL OR tier = ANY (@extschema@._model_access_tiers()) THEN tier
            ELSE @extschema@._model_access_unknown_tier(tier) END;
COMMENT ON FUNCTION @extschema@._model_access_tier(text) IS
    'Internal. Gives the tier itself, or NULL for NULL; raises error 22023 for an unknown tier.';

CREATE FUNCTION @extschema@.models_for_tier(tier text) RETURNS SETOF @extschema@.model_access_visible
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v.*
    FROM @extschema@._model_access_active AS m CROSS JOIN LATERAL @extschema@._model_access_shown(m) AS v
    WHERE @extschema@._model_access_tier(models_for_tier.tier) IS NOT NULL
      -- a subquery, so that the rank of a parameter is computed once and not for every model
      AND m.rank <= (SELECT @extschema@._model_access_rank(models_for_tier.tier));
END;
COMMENT ON FUNCTION @extschema@.models_for_tier(text) IS
    'Lists the models that a tier may use: its own and those of every lower tier.';

CREATE FUNCTION @extschema@.model_allowed(tier text, model_id text) RETURNS boolean
-- PL/pgSQL for its cached plan; without SET, which would cost more than the lookup
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    PERFORM FROM @extschema@._model_access_active AS m
    WHERE m.model_id OPERATOR(pg_catalog.=) model_allowed.model_id
      AND m.rank OPERATOR(pg_catalog.<=) @extschema@._model_access_rank(model_allowed.tier);
    IF NOT FOUND THEN
        -- raises an error if the tier is unknown
        tier := @extschema@._model_access_tier(tier);
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.model_allowed(text, text) IS
    'Tells whether a tier may use a model, by the rule of models_for_tier.';
