-- file: core/checks
-- Stops the install before it creates anything, if the database has another encoding or the schema has such a table already.

-- Names in this script are qualified or in pg_catalog: no other object of the schema may take their place.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'model_access requires a database with encoding UTF8'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = format('The encoding of this database is %s.', current_setting('server_encoding')),
                  HINT = 'Create a database with ENCODING ''UTF8'' TEMPLATE template0, and install model_access in it.';
    END IF;
    IF to_regclass('@extschema@.model_access_sync_log') IS NOT NULL THEN
        RAISE EXCEPTION 'model_access is already installed in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_object', DETAIL = 'Nothing was changed.';
    ELSIF to_regclass('@extschema@.model_access') IS NOT NULL THEN
        RAISE EXCEPTION 'relation "model_access" already exists in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_table',
                  DETAIL = 'model_access creates a table of this name, and never changes a table that it did not create.',
                  HINT = 'Rename it (ALTER TABLE @extschema@.model_access RENAME TO model_access_old), install model_access, '
                      'and copy the decisions with an UPDATE such as the one in README.md.';
    END IF;
END
$$;

-- file: core/model_access
-- The table model_access has one row for each model that was ever listed. Syncs own the upstream columns, and admins own
-- status, tier flags and note.

CREATE TABLE @extschema@.model_access (
    model_id                   text PRIMARY KEY,
    canonical_slug             text,
    name                       text,
    description                text,
    provider                   text,
    pricing                    jsonb,
    prompt_usd_per_million     numeric CHECK (prompt_usd_per_million >= 0),
    completion_usd_per_million numeric CHECK (completion_usd_per_million >= 0),
    context_length             integer,
    max_completion_tokens      integer,
    input_modalities           text[],
    output_modalities          text[],
    supported_parameters       text[],
    expires_on                 date,
    upstream                   jsonb,
    status                     text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'active', 'inactive', 'disabled')),
    is_free                    boolean NOT NULL DEFAULT false,
    is_pro                     boolean NOT NULL DEFAULT false,
    is_enterprise              boolean NOT NULL DEFAULT false,
    -- is here because every query reads it: to read a column, PostgreSQL must first unpack all columns before it
    target_disabled            boolean NOT NULL DEFAULT false,
    note                       text,
    first_seen_at              timestamptz NOT NULL DEFAULT now(),
    changed_at                 timestamptz NOT NULL DEFAULT now(),
    missing_since              timestamptz CHECK (isfinite(missing_since)),
    status_before_missing      text CHECK (status_before_missing IN ('new', 'active')),
    reviewed_at                timestamptz,
    reviewed_by                text,
    reviewed_pricing           jsonb,
    reviewed_prompt_usd_per_million     numeric,
    reviewed_completion_usd_per_million numeric,
    reviewed_rule              text,
    returned_at                timestamptz,
    free_revoked_at            timestamptz,
    tiers_before               text[],
    fingerprint                text,
    last_run_id                bigint,
    is_free_of_charge          boolean NOT NULL DEFAULT false,
    highest_prices             jsonb,
    highest_usd_per_million    numeric,
    charges_per_use            boolean,
    alias_of                   text,
    reviewed_is_free_of_charge boolean,
    reviewed_highest_prices    jsonb,
    reviewed_alias_of          text,
    absent_since               timestamptz,
    absence_confirmed          boolean NOT NULL DEFAULT false,
    price_unreadable_since     timestamptz,
    price_withheld_since       timestamptz,
    price_guarded_at           timestamptz,
    entry_hash                 text
);
DO $$
BEGIN
    -- pglz, the default, takes a third of the time of a first load
    ALTER TABLE @extschema@.model_access ALTER upstream SET COMPRESSION lz4, ALTER description SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL; -- the server was built without lz4
END
$$;

COMMENT ON TABLE @extschema@.model_access IS
    'One row for each model ever listed: syncs write the upstream columns, and admins write status, tiers and note.';
COMMENT ON COLUMN @extschema@.model_access.model_id IS
    'Upstream id, exact, such as openai/gpt-5:batch; the only identity of a model (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.canonical_slug IS
    'Upstream canonical_slug, which variants of one model share; NULL = none (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.name IS 'Upstream name, for people; not unique (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.description IS
    'Upstream description, which OpenRouter cuts short in its list; NULL = none (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.provider IS
    'Author part of the id without a leading ~: who made the model, not who hosts it; NULL = no such part (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.pricing IS
    'Upstream pricing as given: strings in USD per token or per use, -1 = variable; NULL = none (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.prompt_usd_per_million IS
    'Price of prompt tokens in USD per million tokens, exact; NULL = variable or unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.completion_usd_per_million IS
    'Price of completion tokens in USD per million tokens, exact; NULL = variable or unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.context_length IS
    'Context window in tokens; NULL = unknown or out of range (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.max_completion_tokens IS
    'Longest completion of the top provider, in tokens; NULL = unknown or out of range (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.input_modalities IS
    'What the model reads, such as {text,image}; NULL = unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.output_modalities IS
    'What the model writes, such as {text}; NULL = unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.supported_parameters IS
    'Request parameters that at least one host of the model supports; NULL = unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.expires_on IS
    'Upstream expiration_date, after which the model may leave the list; NULL = none (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.upstream IS
    'The whole upstream entry without the keys that setting ignored_keys names (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.status IS
    'new (waits for review), active (approved), inactive (not offered) or disabled (banned); written by admins and syncs.';
COMMENT ON COLUMN @extschema@.model_access.is_free IS
    'Whether the model is in tier free, and so in every tier (written by admins and syncs).';
COMMENT ON COLUMN @extschema@.model_access.is_pro IS
    'Whether the model is in tier pro, and so in every higher tier (written by admins and syncs).';
COMMENT ON COLUMN @extschema@.model_access.is_enterprise IS
    'Whether the model is in tier enterprise (written by admins and syncs).';
COMMENT ON COLUMN @extschema@.model_access.target_disabled IS
    'Whether this is an alias of a disabled model, also by way of other aliases (written by triggers and syncs).';
COMMENT ON COLUMN @extschema@.model_access.note IS 'Free text of an admin; NULL = none (written by admins).';
COMMENT ON COLUMN @extschema@.model_access.first_seen_at IS 'When a sync first found the model in the list (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.changed_at IS 'When an upstream value of the model last changed (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.missing_since IS
    'Since when the model is not listed; NULL = it is listed, or its removal is withheld (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.status_before_missing IS
    'Status before the model left the list, which a return in time restores; NULL = nothing to restore (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_at IS
    'When an admin last decided about the model; NULL = never (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_by IS
    'Role in effect at the last decision; NULL = no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_pricing IS
    'Value of pricing at the last decision; NULL = none, or no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_prompt_usd_per_million IS
    'Value of prompt_usd_per_million at the last decision; NULL = variable, unknown or no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_completion_usd_per_million IS
    'Value of completion_usd_per_million at the last decision; NULL = variable, unknown or no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_rule IS
    'Rule that model_access_accept applied, or "not " and the rule whose ban was rejected; NULL = none (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.returned_at IS
    'When the model returned to the list and needed a new decision; NULL = no such return, or decided since (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.free_revoked_at IS
    'When a sync cleared is_free because the model now costs money; NULL = never, or decided since (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.tiers_before IS
    'Tiers that a late return took from the model; NULL = no such return, or decided since (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.fingerprint IS
    'SHA-256 of the upstream entry in canonical form, which a sync compares (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.last_run_id IS
    'The run that last wrote this row, a run_id of model_access_sync_log (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.is_free_of_charge IS
    'Whether every price of the model is known to be 0, at any hour and prompt size (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.highest_prices IS
    'Highest price of each component, in USD per million tokens or per use; NULL = the price cannot be read (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.highest_usd_per_million IS
    'Highest of the prices per token, in USD per million tokens; NULL = one is variable or unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.charges_per_use IS
    'Whether the model also charges per request, image or search; NULL = unknown (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.alias_of IS
    'Model that an alias such as ~author/model-latest stands for now; NULL = not an alias (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_is_free_of_charge IS
    'Value of is_free_of_charge at the last decision; NULL = no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_highest_prices IS
    'Value of highest_prices at the last decision; NULL = not readable, or no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.reviewed_alias_of IS
    'Value of alias_of at the last decision; NULL = not an alias, or no decision (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.absent_since IS
    'Since when lists lack a model whose removal was withheld at first; NULL = none was withheld (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.absence_confirmed IS
    'Whether an admin has let the withheld removal of the model pass (written by decisions).';
COMMENT ON COLUMN @extschema@.model_access.price_unreadable_since IS
    'Since when the price cannot be read, and the last readable one is kept; NULL = it can be read (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.price_withheld_since IS
    'Since when the guard keeps a price from taking the model from users; NULL = nothing is withheld (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.price_guarded_at IS
    'When a sync sent the model to review for its price; NULL = never, or decided or given back since (written by syncs).';
COMMENT ON COLUMN @extschema@.model_access.entry_hash IS
    'SHA-256 of the bytes of the upstream entry, by which a sync finds what has not changed (written by syncs).';

-- file: access/tiers
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

-- file: core/prices
-- Compares two prices, for the review and for undo. The library and the program parse the prices: crates/catalog/src/price.rs.

CREATE FUNCTION @extschema@._model_access_is_above(now jsonb, reviewed jsonb, factor numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- Both prices are values of highest_prices. A component that is absent costs nothing. A component that is null is variable.
    -- A NULL price is unknown. A price that was known and is unknown now counts as above, and so does one that was unknown
    -- or 0 and costs something now.
    SELECT CASE WHEN _model_access_is_above.now IS NULL THEN _model_access_is_above.reviewed IS NOT NULL
        ELSE (
            SELECT coalesce(bool_or(CASE
                WHEN p.value IS NULL THEN p.old IS NOT NULL
                WHEN p.old IS NULL OR p.old = 0 THEN p.value > 0
                ELSE p.value > p.old * _model_access_is_above.factor END), false)
            FROM (
                SELECT n.value::numeric AS value,
                    CASE WHEN _model_access_is_above.reviewed ? n.key THEN (_model_access_is_above.reviewed ->> n.key)::numeric
                         WHEN _model_access_is_above.reviewed IS NOT NULL THEN 0 END AS old
                FROM jsonb_each_text(_model_access_is_above.now) AS n) AS p)
        END;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_above(jsonb, jsonb, numeric) IS
    'Internal. Tells whether any component of a price is above factor times the reviewed one; never NULL if factor is not NULL.';

-- file: core/settings
-- The settings decide about access and about rows. Only values that were set are stored: CREATE EXTENSION inserts no row, so a
-- restored dump cannot conflict with one.

CREATE TABLE @extschema@.model_access_setting (
    name  text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE @extschema@.model_access_setting IS
    'The settings that differ from their default; written by model_access_set.';
COMMENT ON COLUMN @extschema@.model_access_setting.name IS 'The name of the setting.';
COMMENT ON COLUMN @extschema@.model_access_setting.value IS 'The value of the setting, as text.';

CREATE VIEW @extschema@.model_access_settings AS
SELECT d.name, coalesce(s.value, d."default") AS value, d."default", d.unit, d.meaning
-- a new setting is one row here; a new unit also needs a branch in _model_access_setting_value and _model_access_setting_json
FROM (VALUES
    ('max_removal_percent', '20', 'percent',
     'largest share of the active models that syncs may take from users within 24 hours, '
     'and of the other listed models that one sync may mark as missing'),
    ('return_window', '7 days', 'interval', 'how long the status and tiers of a missing model wait for its return'),
    ('free_guard', 'on', 'on or off', 'whether a model that stops being free of charge leaves the free tier'),
    ('price_guard', 'off', 'factor or off',
     'an active model goes back to review when its price exceeds its reviewed price times this factor'),
    ('price_alert', '2', 'factor or off',
     'a model whose price exceeds its reviewed price times this factor is shown for review, and is not restored when it returns'),
    ('expiry_notice', '30 days', 'interval', 'how long before it expires a model is shown for review'),
    ('log_retention', '90 days', 'interval',
     'how long rows of the run log are kept; rows of complete lists are kept for at least return_window plus four days'),
    ('sync_interval', '1 day', 'interval',
     'how often a sync is due; health reports a problem when the last success is older than this plus 90 minutes'),
    ('ignored_keys', 'benchmarks', 'list of keys',
     'keys of an entry that are neither stored nor compared, because upstream fills them with measurements')
) AS d(name, "default", unit, meaning)
LEFT JOIN @extschema@.model_access_setting AS s USING (name);
COMMENT ON VIEW @extschema@.model_access_settings IS 'Every setting with its present value, default, unit and meaning.';
COMMENT ON COLUMN @extschema@.model_access_settings.name IS 'The name of the setting.';
COMMENT ON COLUMN @extschema@.model_access_settings.value IS 'The present value.';
COMMENT ON COLUMN @extschema@.model_access_settings."default" IS 'The value of the setting while nobody has set another.';
COMMENT ON COLUMN @extschema@.model_access_settings.unit IS 'The form of a valid value.';
COMMENT ON COLUMN @extschema@.model_access_settings.meaning IS 'What the setting decides.';

CREATE FUNCTION @extschema@._model_access_keys(list text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN btrim(list, E' \t\r\n') = '' THEN ''
        -- these keys decide the identity of a model, its price, the target of an alias, and whether it is a router
        WHEN bool_and(k.key <> '' AND octet_length(k.key) <= 100 AND k.key !~ '[[:cntrl:]]'
                      AND k.key <> ALL ('{id,name,pricing,alias_target,architecture}'))
             AND count(DISTINCT k.key) <= 50
        THEN string_agg(k.key, ', ' ORDER BY k.position) FILTER (WHERE k.is_first)
    END
    FROM (
        SELECT p.key, p.position, row_number() OVER (PARTITION BY p.key ORDER BY p.position) = 1 AS is_first
        FROM (
            SELECT btrim(t.part, E' \t\r\n'), t.position
            FROM string_to_table(list, ',') WITH ORDINALITY AS t(part, position)) AS p(key, position)) AS k
$$;
COMMENT ON FUNCTION @extschema@._model_access_keys(text) IS
    'Internal. Gives a list of keys in its usual form: each key once, separated by ", "; NULL if the list is not valid.';

CREATE FUNCTION @extschema@._model_access_key_array(list text) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN string_to_array(list, ', ');
COMMENT ON FUNCTION @extschema@._model_access_key_array(text) IS
    'Internal. Gives the keys of a list in its usual form, which _model_access_keys returns.';

CREATE FUNCTION @extschema@._model_access_setting_value(unit text, value text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
BEGIN
    CASE unit
    WHEN 'on or off' THEN
        RETURN CASE WHEN value::boolean THEN 'on' ELSE 'off' END;
    WHEN 'factor or off' THEN
        RETURN CASE WHEN lower(value) = 'off' THEN 'off'
                    WHEN value::numeric BETWEEN 1 AND 1000000 THEN value::numeric::text END;
    WHEN 'percent' THEN
        RETURN CASE WHEN value::numeric BETWEEN 0 AND 100 THEN value::numeric::text END;
    WHEN 'interval' THEN
        RETURN CASE WHEN value::interval BETWEEN '0' AND '100 years' THEN value::interval::text END;
    WHEN 'list of keys' THEN
        RETURN @extschema@._model_access_keys(value);
    ELSE
        RAISE EXCEPTION 'no rule for unit "%"', unit
            USING ERRCODE = 'internal_error', HINT = 'Add a branch for this unit to _model_access_setting_value.';
    END CASE;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_setting_value(text, text) IS
    'Internal. Gives the value of a setting in the usual form of its unit; NULL if the value is not valid.';

CREATE FUNCTION @extschema@.model_access_set(name text, value text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting record;
    usual   text;
BEGIN
    SELECT * INTO setting FROM @extschema@.model_access_settings AS s WHERE s.name = model_access_set.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unrecognized setting "%"', name
            USING ERRCODE = 'undefined_object', HINT = 'Look up the names in the view model_access_settings.';
    END IF;
    IF value IS NULL THEN
        DELETE FROM @extschema@.model_access_setting AS s WHERE s.name = setting.name;
        RETURN setting."default";
    END IF;
    usual := @extschema@._model_access_setting_value(setting.unit, value);
    IF usual IS NULL THEN
        RAISE EXCEPTION 'invalid value for setting "%": "%"', name, value
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('The unit of this setting is: %s.', setting.unit) || CASE setting.unit WHEN 'list of keys'
                      THEN ' A list has at most 50 names of at most 100 bytes, separated by commas,'
                          || ' and none of id, name, pricing, alias_target and architecture.' ELSE '' END,
                  HINT = format('Use NULL to set the default, %s.', quote_literal(setting."default"));
    END IF;
    INSERT INTO @extschema@.model_access_setting AS s VALUES (setting.name, usual)
    ON CONFLICT ON CONSTRAINT model_access_setting_pkey DO UPDATE SET value = usual WHERE s.value <> usual;
    RETURN usual;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_set(text, text) IS
    'Changes a setting and returns its new value; NULL sets the default.';

-- file: core/sync_log
-- The log of runs has one row for each run, failed runs included.

CREATE FUNCTION @extschema@._model_access_raise_sequence(numbers regclass, last bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    reached bigint := coalesce(pg_sequence_last_value(numbers), 0);
BEGIN
    -- Logical replication carries rows but not sequences (before PostgreSQL 19), and so does a copy of the rows.
    -- nextval and not setval: setval could take back a number that another session has just got.
    IF reached < last THEN
        PERFORM nextval(numbers) FROM generate_series(reached + 1, last);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_raise_sequence(regclass, bigint) IS
    'Internal. Raises a sequence to the highest number that is in use, if it is lower.';

CREATE SEQUENCE @extschema@.model_access_sync_log_run_id_seq;
COMMENT ON SEQUENCE @extschema@.model_access_sync_log_run_id_seq IS 'Numbers the runs.';

CREATE TABLE @extschema@.model_access_sync_log (
    run_id       bigint PRIMARY KEY DEFAULT nextval('@extschema@.model_access_sync_log_run_id_seq'),
    started_at   timestamptz NOT NULL,
    duration_ms  numeric NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'held', 'failed', 'skipped')),
    url          text,
    http_status  integer,
    listed       integer NOT NULL DEFAULT 0,
    added        integer NOT NULL DEFAULT 0,
    changed      integer NOT NULL DEFAULT 0,
    missing      integer NOT NULL DEFAULT 0,
    returned     integer NOT NULL DEFAULT 0,
    free_revoked integer NOT NULL DEFAULT 0,
    withheld     integer NOT NULL DEFAULT 0,
    unusable     jsonb NOT NULL DEFAULT '[]',
    error        text,
    error_code   text,
    max_removals integer,
    run_by       text NOT NULL,
    complete     boolean NOT NULL DEFAULT false,
    changed_key  text
);
ALTER SEQUENCE @extschema@.model_access_sync_log_run_id_seq OWNED BY @extschema@.model_access_sync_log.run_id;

COMMENT ON TABLE @extschema@.model_access_sync_log IS
    'One row for each sync or load, failed ones included; rows older than log_retention are deleted.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.run_id IS 'The number of the run.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.started_at IS 'When the run began.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.duration_ms IS 'The duration of the run in milliseconds.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.outcome IS 'The result: applied, unchanged, held, failed or skipped.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.url IS
    'The address from which the list was fetched; NULL for a document that the caller supplied.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.http_status IS 'The HTTP status of the response; NULL without a response.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.listed IS 'The number of usable entries in the list.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.added IS 'The number of models that were not known before.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.changed IS 'The number of known models whose upstream values changed.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.missing IS 'The number of models that became missing in this run.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.returned IS 'The number of missing models that are listed again.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.free_revoked IS
    'The number of models that lost is_free because they are no longer free of charge.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.withheld IS
    'The number of removals and withdrawals that the guard did not apply.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.unusable IS
    'The entries that could not be used, at most 100: [{"id": text or null, "reason": text}].';
COMMENT ON COLUMN @extschema@.model_access_sync_log.error IS
    'What went wrong, or why something was withheld, and what to do about it; NULL = no problem.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.error_code IS 'The SQLSTATE of error; NULL = no problem.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.max_removals IS
    'The argument max_removals of the call: how many removals and withdrawals it allowed.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.run_by IS 'The role in effect when it ran.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.complete IS
    'Whether the list was known to be whole; only such a list proves that a model is absent.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.changed_key IS
    'The top-level key that changed in more than half of the known models, where more than ten changed; otherwise NULL.';

-- file: core/write
-- Writes rows of model_access for a run, model_access_accept and model_access_undo. The caller names the columns, so that a new
-- column needs no change here.

CREATE FUNCTION @extschema@._model_access_lines(kind text, rows jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- JSON text has no line feed
    SELECT coalesce(string_agg(kind || r.value::text, e'\n'), '') FROM jsonb_array_elements(rows) AS r;
END;
COMMENT ON FUNCTION @extschema@._model_access_lines(text, jsonb) IS
    'Internal. Gives an array of rows as lines of JSON, each after this kind.';

CREATE FUNCTION @extschema@._model_access_rows(lines text, kind text) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- OFFSET, so that each line is parsed once, however often its row is used
    SELECT r.parsed FROM (
        SELECT substr(l.line, 2)::jsonb AS parsed FROM string_to_table(lines, e'\n') AS l(line)
        WHERE left(l.line, 1) = kind OFFSET 0) AS r;
END;
COMMENT ON FUNCTION @extschema@._model_access_rows(text, text) IS
    'Internal. Gives the rows of one kind among lines of JSON, one at a time, because all of them parsed would fill the memory.';

CREATE FUNCTION @extschema@._model_access_fetched(rows refcursor) RETURNS SETOF jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source  refcursor := rows;
    fetched jsonb;
BEGIN
    LOOP
        FETCH source INTO fetched;
        EXIT WHEN NOT FOUND;
        RETURN NEXT fetched;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_fetched(refcursor) IS
    'Internal. Gives the rows of a cursor to a dynamic statement, whose plan would have several copies of a large parameter.';

CREATE FUNCTION @extschema@._model_access_columns(keys text[], format text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(_model_access_columns.format, k.name), ', ' ORDER BY k.name)
    FROM unnest(keys) AS k(name) WHERE k.name <> 'model_id'
$$;
COMMENT ON FUNCTION @extschema@._model_access_columns(text[], text) IS
    'Internal. Gives the keys of rows except model_id, each in this format; NULL if there is no other key.';

CREATE FUNCTION @extschema@._model_access_insert(lines text, at timestamptz, run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
-- the targets of aliases by index: to scan a table that was empty seems free, but would read all new rows for each new row
SET enable_seqscan = off AS $$
DECLARE
    rows refcursor;
    -- a plan chooses no status for a new model; changed_at is the time of the run
    keys text[] := ARRAY(SELECT jsonb_object_keys(
        first.model - '{status,changed_at}'::text[] - @extschema@._model_access_not_planned())
        FROM (SELECT r.model FROM @extschema@._model_access_rows(lines, '+') AS r(model) LIMIT 1) AS first);
BEGIN
    IF keys <> '{}' THEN
        OPEN rows FOR SELECT r.model FROM @extschema@._model_access_rows(lines, '+') AS r(model);
        EXECUTE 'INSERT INTO @extschema@.model_access (model_id, first_seen_at, changed_at, last_run_id, target_disabled, '
            || @extschema@._model_access_columns(keys, '%I') || ')
            SELECT n.model_id, $2, $2, $3, EXISTS (
                SELECT FROM @extschema@.model_access AS t
                WHERE t.model_id = n.alias_of AND (t.status = ''disabled'' OR t.target_disabled)), '
            || @extschema@._model_access_columns(keys, 'n.%I') || '
            FROM @extschema@._model_access_fetched($1) AS r(model)
            CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access, r.model) AS n' USING rows, at, run;
        CLOSE rows;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_insert(text, timestamptz, bigint) IS
    'Internal. Inserts the new models of a run: the lines of kind +, which all have the same keys.';

CREATE FUNCTION @extschema@._model_access_update_rows(rows refcursor, keys text[], run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text := @extschema@._model_access_columns(keys,
        '%1$I = CASE WHEN c.change ? %1$L THEN n.%1$I ELSE m.%1$I END');
BEGIN
    IF columns IS NOT NULL THEN
        -- one statement, so that its triggers fire once and the history gets one row for each model
        EXECUTE 'UPDATE @extschema@.model_access AS m SET last_run_id = coalesce($2, m.last_run_id), ' || columns || '
            FROM @extschema@._model_access_fetched($1) AS c(change)
            CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access, c.change) AS n
            WHERE m.model_id = n.model_id' USING rows, run;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_update_rows(refcursor, text[], bigint) IS
    'Internal. Changes models: a cursor of objects with model_id and the columns to write, of which these are all keys.';

CREATE FUNCTION @extschema@._model_access_update(changes jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rows refcursor;
BEGIN
    OPEN rows FOR SELECT r.change FROM jsonb_array_elements(changes) AS r(change);
    PERFORM @extschema@._model_access_update_rows(rows,
        ARRAY(SELECT DISTINCT jsonb_object_keys(r.change) FROM jsonb_array_elements(changes) AS r(change)), NULL::bigint);
    CLOSE rows;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_update(jsonb) IS
    'Internal. Changes models under the lock of a run: an array of objects with model_id and the columns to write.';

-- file: core/decision
-- A plain UPDATE that changes status or a tier flag is a decision. These triggers stamp it: they record who took it, when, and
-- at which price, so that review can compare the present price with the approved one.

CREATE FUNCTION @extschema@._model_access_decided_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['status', 'note'] || @extschema@._model_access_flags();
COMMENT ON FUNCTION @extschema@._model_access_decided_columns() IS
    'Internal. Gives the columns of model_access that admins write.';

CREATE FUNCTION @extschema@._model_access_decision(model @extschema@.model_access) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY[(model).status, (model).is_free::text, (model).is_pro::text, (model).is_enterprise::text];
COMMENT ON FUNCTION @extschema@._model_access_decision(@extschema@.model_access) IS
    'Internal. Gives the status and the tier flags of a model, as an array that differs if the decision differs.';

CREATE FUNCTION @extschema@._model_access_owner_writes_columns() RETURNS trigger
-- not SECURITY DEFINER: current_user must be the role that writes the row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- not of type model_access, because a role that writes through a view may have no right to the schema
    rest record;
BEGIN
    IF pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
    END IF;
    -- the columns that admins may change
    rest := NEW;
    rest.status := OLD.status;
    rest.note := OLD.note;
    rest.is_free := OLD.is_free;
    rest.is_pro := OLD.is_pro;
    rest.is_enterprise := OLD.is_enterprise;
    -- the bytes first, for speed; the same value may have other bytes, and not every type has an equality
    IF rest OPERATOR(pg_catalog.*<>) OLD AND to_jsonb(rest) <> to_jsonb(OLD) THEN
        RAISE EXCEPTION 'permission denied to change upstream or bookkeeping columns of model "%"', OLD.model_id
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Only the owner of model_access may change columns other than '
                      'status, note, is_free, is_pro, is_enterprise.',
                  HINT = 'Change only those columns.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_owner_writes_columns() IS
    'Internal. Trigger function that refuses a change of upstream and bookkeeping columns by a role that does not own the table.';

-- fires before model_access_decide, since triggers fire in the order of their names
CREATE TRIGGER model_access_columns BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_owner_writes_columns();
COMMENT ON TRIGGER model_access_columns ON @extschema@.model_access IS
    'Lets only the owner change upstream and bookkeeping columns.';

CREATE FUNCTION @extschema@._model_access_actor() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- not current_user, which is the owner of the function in a SECURITY DEFINER function
    SELECT coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user::text);
END;
COMMENT ON FUNCTION @extschema@._model_access_actor() IS
    'Internal. Gives the role in effect, also inside SECURITY DEFINER functions.';

CREATE FUNCTION @extschema@._model_access_stamp_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['reviewed_at', 'reviewed_by', 'reviewed_rule', 'reviewed_pricing', 'reviewed_prompt_usd_per_million',
    'reviewed_completion_usd_per_million', 'reviewed_is_free_of_charge', 'reviewed_highest_prices', 'reviewed_alias_of',
    'returned_at', 'free_revoked_at', 'tiers_before', 'price_guarded_at'];
COMMENT ON FUNCTION @extschema@._model_access_stamp_columns() IS
    'Internal. Gives the columns that _model_access_decide writes with every decision.';

CREATE FUNCTION @extschema@._model_access_decide() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF array_position(@extschema@._model_access_decision(NEW), NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'status and tiers of model "%" must not be null', NEW.model_id
            USING ERRCODE = 'not_null_violation',
                  HINT = 'If the values come from a list with gaps, use coalesce(w.status, m.status).';
    ELSIF NEW.status NOT IN ('new', 'active', 'inactive', 'disabled') THEN
        RAISE EXCEPTION 'invalid status "%" for model "%"', NEW.status, NEW.model_id
            USING ERRCODE = 'check_violation', HINT = 'Use new, active, inactive or disabled.';
    END IF;
    IF NEW.reviewed_at IS NOT DISTINCT FROM OLD.reviewed_at THEN
        NEW.reviewed_at := clock_timestamp();
        -- a decision about flags alone keeps the record of a rejected ban, unless an alias had another target then
        NEW.reviewed_rule := CASE WHEN NEW.status = OLD.status AND NEW.alias_of IS NOT DISTINCT FROM OLD.reviewed_alias_of
            AND OLD.reviewed_rule LIKE 'not %' THEN OLD.reviewed_rule END;
    ELSIF NEW.reviewed_at IS NULL OR NEW.reviewed_by IS NOT NULL THEN
        -- undo writes the whole old stamp; only the owner of the table may do so
        RETURN NEW;
    END IF;
    -- model_access_confirm and model_access_accept write reviewed_at and reviewed_rule, with reviewed_by NULL; this function
    -- writes the rest of the stamp
    NEW.reviewed_by := @extschema@._model_access_actor();
    NEW.reviewed_pricing := NEW.pricing;
    NEW.reviewed_prompt_usd_per_million := NEW.prompt_usd_per_million;
    NEW.reviewed_completion_usd_per_million := NEW.completion_usd_per_million;
    NEW.reviewed_is_free_of_charge := NEW.is_free_of_charge;
    NEW.reviewed_highest_prices := NEW.highest_prices;
    NEW.reviewed_alias_of := NEW.alias_of;
    NEW.returned_at := NULL;
    NEW.free_revoked_at := NULL;
    NEW.tiers_before := NULL;
    NEW.price_guarded_at := NULL;
    -- A status given to a missing model stays when the model returns. A decision about flags alone, or a confirmation, does not
    -- change what its return restores.
    IF TG_NAME = 'model_access_keep' OR NEW.status <> OLD.status THEN
        NEW.status_before_missing := NULL;
        NEW.absence_confirmed := NEW.absent_since IS NOT NULL AND NEW.missing_since IS NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_decide() IS
    'Internal. Trigger function that stamps a decision: it records when, by whom and at which price it was taken.';

CREATE TRIGGER model_access_decide BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW
    -- a sync writes each row with a new last_run_id, and an admin never changes last_run_id
    WHEN (NEW.last_run_id IS NOT DISTINCT FROM OLD.last_run_id
        AND (NEW.status IS DISTINCT FROM OLD.status OR NEW.is_free IS DISTINCT FROM OLD.is_free
            OR NEW.is_pro IS DISTINCT FROM OLD.is_pro OR NEW.is_enterprise IS DISTINCT FROM OLD.is_enterprise
            OR NEW.reviewed_at IS DISTINCT FROM OLD.reviewed_at))
    EXECUTE FUNCTION @extschema@._model_access_decide();
COMMENT ON TRIGGER model_access_decide ON @extschema@.model_access IS
    'Records when, by whom and at which price an admin decided.';

CREATE TRIGGER model_access_keep BEFORE UPDATE OF status ON @extschema@.model_access
    FOR EACH ROW
    -- by the bytes: the owner may add a column whose type has no equality
    WHEN (OLD.status_before_missing IS NOT NULL AND OLD.* OPERATOR(pg_catalog.*=) NEW.*)
    EXECUTE FUNCTION @extschema@._model_access_decide();
COMMENT ON TRIGGER model_access_keep ON @extschema@.model_access IS
    'Makes an UPDATE that names the status of a missing model and changes nothing a decision: the model stays inactive.';

CREATE FUNCTION @extschema@._model_access_named() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A trigger with transition tables cannot have a list of columns, so this trigger notes what _model_access_settle needs. The
    -- depth distinguishes the statement from those in its triggers. _model_access.acting is set while model_access_accept or
    -- model_access_undo writes. A role that forges the note only gets a wrong notice.
    IF current_setting('_model_access.acting', true) IS DISTINCT FROM (pg_trigger_depth() - 1)::text THEN
        PERFORM set_config('_model_access.named',
            concat_ws(' ', pg_trigger_depth(), extract(epoch FROM clock_timestamp())), true);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_named() IS
    'Internal. Trigger function that notes for _model_access_settle when a statement that names status or a tier flag began.';

CREATE TRIGGER model_access_named BEFORE UPDATE OF status, is_free, is_pro, is_enterprise ON @extschema@.model_access
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_named();
COMMENT ON TRIGGER model_access_named ON @extschema@.model_access IS 'Notes that a statement names status or a tier flag.';

CREATE FUNCTION @extschema@._model_access_settle() RETURNS trigger
-- enable_nestloop: PostgreSQL keeps the plan that it made for the first statement, which may have changed one row
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
    noted    CONSTANT text[] := string_to_array(current_setting('_model_access.named', true), ' ');
    named    CONSTANT boolean := coalesce(noted[1] = pg_trigger_depth()::text AND noted[2] ~ '^\d+\.\d+$', false);
    unstamped text[];
    reverted  text[];
    untouched text[];
    waiting   bigint;
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    SELECT array_agg(n.model_id) FILTER (WHERE d.changed AND NOT d.stamped),
        -- a stamp that is older than the statement is left alone: the owner has written it
        array_agg(n.model_id) FILTER (WHERE NOT d.changed AND d.stamped AND NOT d.kept
            AND named AND extract(epoch FROM n.reviewed_at) >= noted[2]::numeric),
        array_agg(n.model_id) FILTER (WHERE NOT d.changed AND NOT d.kept)
    INTO unstamped, reverted, untouched
    FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id CROSS JOIN LATERAL (SELECT
        -- the cast: a row of a transition table is a record, and an overload could take records
        @extschema@._model_access_decision(n::@extschema@.model_access)
            IS DISTINCT FROM @extschema@._model_access_decision(o::@extschema@.model_access),
        n.reviewed_at IS DISTINCT FROM o.reviewed_at,
        n.status_before_missing IS DISTINCT FROM o.status_before_missing) AS d(changed, stamped, kept)
    WHERE n.last_run_id IS NOT DISTINCT FROM o.last_run_id;
    -- a trigger of the application that fired after the stamp changed the decision
    IF unstamped IS NOT NULL THEN
        UPDATE @extschema@.model_access AS m
        SET reviewed_at = clock_timestamp(), reviewed_by = NULL, reviewed_rule = NULL,
            status_before_missing = CASE WHEN m.status = o.status THEN m.status_before_missing END
        FROM old_rows AS o WHERE m.model_id = o.model_id AND o.model_id = ANY (unstamped);
    END IF;
    IF NOT named THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('_model_access.named', '', true);
    -- a trigger of the application put status and flags back: nothing was decided, so the old stamp is restored
    IF reverted IS NOT NULL THEN
        PERFORM @extschema@._model_access_update((
            SELECT jsonb_agg((SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(to_jsonb(o)) AS c
                WHERE c.key = ANY ('model_id'::text || @extschema@._model_access_stamp_columns())))
            FROM old_rows AS o WHERE o.model_id = ANY (reverted)));
    END IF;
    IF untouched IS NOT NULL THEN
        waiting := (SELECT count(*) FROM @extschema@._model_access_waiting AS w WHERE w.model_id = ANY (untouched));
    END IF;
    IF waiting > 0 THEN
        RAISE NOTICE USING
            MESSAGE = format(CASE waiting WHEN 1 THEN '%s model still waits for review: the UPDATE decided nothing about it'
                ELSE '%s models still wait for review: the UPDATE decided nothing about them' END, waiting),
            DETAIL = 'An UPDATE that changes neither status nor tiers is not a decision.',
            HINT = 'To keep a model as it is, at its present price, call model_access_confirm(model_id).';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_settle() IS
    'Internal. Trigger function that corrects stamps after all BEFORE triggers, and reports models that still wait for review.';

-- fires after model_access_record, since triggers fire in the order of their names: what it writes comes later in the history
CREATE TRIGGER model_access_settle AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_settle();
COMMENT ON TRIGGER model_access_settle ON @extschema@.model_access IS
    'Compares decisions after all BEFORE triggers, and reports models that still wait for review.';

-- file: core/alias
-- An alias stands for another model, its target. While the target is disabled, the alias must not be visible. The row of the
-- alias keeps this in target_disabled, since reading the row of the target as well would double the cost of model_allowed.

CREATE VIEW @extschema@._model_access_alias_in_doubt AS
-- the few models that matter, read once
WITH RECURSIVE few AS MATERIALIZED (
    SELECT m.model_id, m.status, m.alias_of, m.target_disabled FROM @extschema@.model_access AS m
    WHERE m.status = 'disabled' OR m.alias_of IS NOT NULL OR m.target_disabled),
-- an alias may stand for another alias; UNION ends the recursion if aliases refer to each other in a circle
banned AS (
    SELECT t.model_id FROM few AS t WHERE t.status = 'disabled'
    UNION
    SELECT a.model_id FROM banned AS b JOIN few AS a ON a.alias_of = b.model_id)
SELECT a.model_id, b.model_id IS NOT NULL AS target_disabled
FROM few AS a LEFT JOIN banned AS b ON b.model_id = a.alias_of
WHERE a.target_disabled <> (b.model_id IS NOT NULL);
COMMENT ON VIEW @extschema@._model_access_alias_in_doubt IS
    'Internal. The models whose target_disabled is wrong, with the right value.';

CREATE FUNCTION @extschema@._model_access_follow_target() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM @extschema@.model_access AS t
    WHERE t.model_id = NEW.alias_of AND (t.status = 'disabled' OR t.target_disabled);
    NEW.target_disabled := FOUND;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_follow_target() IS
    'Internal. Trigger function that sets target_disabled in the row of an alias.';

CREATE TRIGGER model_access_target BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW
    WHEN (NEW.alias_of IS DISTINCT FROM OLD.alias_of OR NEW.alias_of IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION @extschema@._model_access_follow_target();
COMMENT ON TRIGGER model_access_target ON @extschema@.model_access IS
    'Sets target_disabled when an alias gets another target or another status.';

CREATE FUNCTION @extschema@._model_access_lead_aliases() RETURNS trigger
-- enable_nestloop: PostgreSQL keeps the plan that it made for the first statement, which may have changed one row
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    PERFORM FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id
    WHERE (o.status = 'disabled') <> (n.status = 'disabled') OR o.alias_of IS DISTINCT FROM n.alias_of;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- the snapshot may be older than the last change of an alias; in that case, this locking fails with error 40001
        PERFORM FROM @extschema@.model_access AS a WHERE a.alias_of IS NOT NULL OR a.model_id LIKE '~%' FOR NO KEY UPDATE;
    END IF;
    UPDATE @extschema@.model_access AS a SET target_disabled = d.target_disabled
    FROM @extschema@._model_access_alias_in_doubt AS d
    WHERE a.model_id = d.model_id AND a.target_disabled <> d.target_disabled;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lead_aliases() IS
    'Internal. Trigger function that sets target_disabled of every alias whose target is now disabled or no longer disabled.';

-- Triggers fire in the order of their names, so this one fires after model_access_record, and what it writes comes later in
-- the history. It does not fire on INSERT: a model that is inserted is new, the run that inserts it corrects its aliases, and
-- a restore must record nothing.
CREATE TRIGGER model_access_target_banned AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_lead_aliases();
COMMENT ON TRIGGER model_access_target_banned ON @extschema@.model_access IS
    'Hides the aliases of a model that is now disabled, and shows those of one that no longer is.';

CREATE FUNCTION @extschema@._model_access_mend_aliases(run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- an UPDATE of no row would still cost the time of its triggers
    IF EXISTS (SELECT FROM @extschema@._model_access_alias_in_doubt) THEN
        -- a concurrent ban may not have seen an alias that was changing
        UPDATE @extschema@.model_access AS a SET target_disabled = d.target_disabled, last_run_id = run
        FROM @extschema@._model_access_alias_in_doubt AS d
        WHERE a.model_id = d.model_id;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mend_aliases(bigint) IS
    'Internal. Corrects target_disabled of all models, under the lock of a run.';

-- file: core/history
-- The history of changes by syncs and admins. An insert of a model writes no row: each model starts as new, in no tier, at
-- first_seen_at.

CREATE SEQUENCE @extschema@.model_access_history_history_id_seq;
COMMENT ON SEQUENCE @extschema@.model_access_history_history_id_seq IS 'Orders the history.';

CREATE TABLE @extschema@.model_access_history (
    history_id bigint PRIMARY KEY DEFAULT nextval('@extschema@.model_access_history_history_id_seq'),
    model_id   text,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL DEFAULT session_user,
    actor_role text DEFAULT nullif(current_setting('role'), 'none'),
    run_id     bigint,
    old        jsonb NOT NULL,
    new        jsonb NOT NULL,
    user_id    text,
    on_behalf_of text DEFAULT nullif(current_setting('model_access.on_behalf_of', true), ''),
    undo_of    bigint[],
    rule       integer,
    CHECK (num_nonnulls(model_id, user_id, rule) > 0)
);
ALTER SEQUENCE @extschema@.model_access_history_history_id_seq OWNED BY @extschema@.model_access_history.history_id;
CREATE INDEX model_access_history_model_id_idx ON @extschema@.model_access_history (model_id, history_id);
CREATE INDEX model_access_history_at_idx ON @extschema@.model_access_history (at, history_id);
-- the review finds by it since when a model waits
CREATE INDEX model_access_history_new_idx ON @extschema@.model_access_history (model_id, at) WHERE new ->> 'status' = 'new';
CREATE INDEX model_access_history_pricing_idx ON @extschema@.model_access_history (model_id, at) WHERE new ? 'pricing';
CREATE INDEX model_access_history_undo_idx ON @extschema@.model_access_history (history_id) WHERE undo_of IS NOT NULL;

COMMENT ON TABLE @extschema@.model_access_history IS
    'Who changed what: one append-only row for each statement and model, override or rule that it changed.';
COMMENT ON COLUMN @extschema@.model_access_history.history_id IS 'The number of the change, ascending.';
COMMENT ON COLUMN @extschema@.model_access_history.model_id IS
    'The model that changed; NULL for an override of a provider, and for a rule.';
COMMENT ON COLUMN @extschema@.model_access_history.at IS 'When the statement ran (clock_timestamp()).';
COMMENT ON COLUMN @extschema@.model_access_history.actor IS 'The role that had logged in (session_user).';
COMMENT ON COLUMN @extschema@.model_access_history.actor_role IS 'The role set by SET ROLE; NULL without one.';
COMMENT ON COLUMN @extschema@.model_access_history.run_id IS 'The run of the sync that made the change; NULL for an admin.';
COMMENT ON COLUMN @extschema@.model_access_history.old IS 'The columns that changed, with their values before the change.';
COMMENT ON COLUMN @extschema@.model_access_history.new IS 'The same columns, with their values after the change.';
COMMENT ON COLUMN @extschema@.model_access_history.user_id IS
    'The user whose override changed; NULL for a change of a model or rule.';
COMMENT ON COLUMN @extschema@.model_access_history.on_behalf_of IS
    'The person for whom actor claims to have acted; NULL without a claim.';
COMMENT ON COLUMN @extschema@.model_access_history.undo_of IS
    'The rows (history_id) that this change took back; NULL for any other change.';
COMMENT ON COLUMN @extschema@.model_access_history.rule IS 'The position of the rule that changed; NULL for any other change.';

CREATE FUNCTION @extschema@._model_access_check_trigger(relation oid, belongs_to regclass) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF relation OPERATOR(pg_catalog.<>) belongs_to::pg_catalog.oid THEN
        RAISE EXCEPTION 'trigger function can only be used on %', belongs_to
            USING ERRCODE = 'trigger_protocol_violated', HINT = 'Drop the trigger.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_trigger(oid, regclass) IS
    'Internal. Raises 39P01 if a trigger function that writes as the owner was attached to another table.';

CREATE FUNCTION @extschema@._model_access_number() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_RELID = '@extschema@.model_access_override'::regclass THEN
        PERFORM @extschema@._model_access_raise_sequence('@extschema@.model_access_override_override_id_seq'::regclass,
            (SELECT max(o.override_id) FROM @extschema@.model_access_override AS o));
    ELSE
        PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_history'::regclass);
        PERFORM @extschema@._model_access_raise_sequence('@extschema@.model_access_history_history_id_seq'::regclass,
            (SELECT max(h.history_id) FROM @extschema@.model_access_history AS h));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_number() IS
    'Internal. Trigger function that raises the sequence of a table before it numbers rows, if rows have higher numbers already.';

-- before the statement, so before any row gets its number
CREATE TRIGGER model_access_number BEFORE INSERT ON @extschema@.model_access_history
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_number();
COMMENT ON TRIGGER model_access_number ON @extschema@.model_access_history IS
    'Lets no row get a number that another row has, whatever the sequence says.';

CREATE FUNCTION @extschema@._model_access_record() RETURNS trigger
-- jit: the planner does not know that model_id is unique in old_rows, overestimates the rows, and would compile
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    at       CONSTANT timestamptz := clock_timestamp();
    pairs    CONSTANT text := 'FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id';
    -- the owner may add columns of any type: some have no equality, or one by which different texts are equal
    plain    CONSTANT regtype[] := '{text,text[],boolean,integer,bigint,numeric,date,timestamptz,jsonb}';
    differs  CONSTANT text := 'CASE WHEN %3$s THEN jsonb_build_object(%1$L, %2$I.%1$I) ELSE ''{}'' END';
    names    text[];
    tests    text[];
    changed  boolean[];
    before   text;
    after    text;
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    IF NOT EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(a.attname), array_agg(format(
        CASE WHEN a.atttypid = ANY (plain) AND a.attcollation IN (0, '"default"'::regcollation)
             THEN 'o.%1$I IS DISTINCT FROM n.%1$I' ELSE 'to_jsonb(o.%1$I) IS DISTINCT FROM to_jsonb(n.%1$I)' END, a.attname))
    INTO names, tests FROM pg_attribute AS a
    WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname <> ALL ('{upstream,fingerprint,entry_hash,changed_at,last_run_id}');
    -- a statement changes few columns; to make JSON of the others as well would take most of its time
    EXECUTE format('SELECT ARRAY[bool_or(%s)] %s', array_to_string(tests, '), bool_or('), pairs) INTO changed;
    SELECT string_agg(format(differs, r.name, 'o', r.test), ' || '), string_agg(format(differs, r.name, 'n', r.test), ' || ')
    INTO before, after FROM unnest(names, tests, changed) AS r(name, test, changed) WHERE r.changed;
    IF before IS NOT NULL THEN
        -- not format(), because the name of the schema may contain %
        EXECUTE 'INSERT INTO @extschema@.model_access_history (model_id, at, run_id, old, new)
            SELECT d.model_id, $1, d.run_id, d.old, d.new FROM (
                SELECT n.model_id, CASE WHEN n.last_run_id IS DISTINCT FROM o.last_run_id THEN n.last_run_id END AS run_id, '
                    || before || ' AS old, ' || after || ' AS new ' || pairs || ') AS d
            WHERE d.old <> ''{}'' ORDER BY d.model_id' USING at;
    END IF;
    -- upstream is not recorded, but model_access_entries_for_user shows it
    IF before IS NOT NULL OR EXISTS (SELECT FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id
                                     WHERE n.upstream IS DISTINCT FROM o.upstream) THEN
        PERFORM @extschema@._model_access_notify();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_record() IS
    'Internal. Trigger function that records the changes of a statement in the history, and notifies.';

CREATE FUNCTION @extschema@._model_access_notify() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    -- PostgreSQL sends equal payloads only once for each transaction
    SELECT pg_notify('model_access', '{"changed": "model_access"}');
END;
COMMENT ON FUNCTION @extschema@._model_access_notify() IS
    'Internal. Notifies the channel model_access, on commit, that lists of all users may have changed.';

CREATE FUNCTION @extschema@._model_access_bucket(user_key text) RETURNS integer
LANGUAGE sql IMMUTABLE
-- a number, because everybody may listen and must not learn the id; few numbers, so that many users give few notifications
RETURN (hashtextextended(user_key, 0) & 1023)::integer;
COMMENT ON FUNCTION @extschema@._model_access_bucket(text) IS
    'Internal. Gives the number from 0 to 1023 by which a notification names a user and the others that share the number.';

CREATE FUNCTION @extschema@._model_access_notify_user(user_key text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_notify('model_access', coalesce(
        '{"changed": "user", "bucket": ' || @extschema@._model_access_bucket(user_key) || '}', '{"changed": "model_access"}'));
END;
COMMENT ON FUNCTION @extschema@._model_access_notify_user(text) IS
    'Internal. Notifies the channel model_access, on commit, that the list of a user has changed; of all users without user_key.';

CREATE FUNCTION @extschema@._model_access_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM changed_rows) THEN
        PERFORM @extschema@._model_access_notify();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce() IS
    'Internal. Trigger function that notifies of inserted or deleted rows.';

CREATE FUNCTION @extschema@._model_access_announce_always() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_notify();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce_always() IS 'Internal. Trigger function that notifies.';

CREATE TRIGGER model_access_record AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record();
COMMENT ON TRIGGER model_access_record ON @extschema@.model_access IS
    'Records the changes of a statement in model_access_history, and notifies.';

CREATE TRIGGER model_access_announce_insert AFTER INSERT ON @extschema@.model_access
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_announce();
COMMENT ON TRIGGER model_access_announce_insert ON @extschema@.model_access IS 'Notifies of inserted rows.';

CREATE TRIGGER model_access_announce_delete AFTER DELETE ON @extschema@.model_access
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_announce();
COMMENT ON TRIGGER model_access_announce_delete ON @extschema@.model_access IS 'Notifies of deleted rows.';

CREATE TRIGGER model_access_announce_truncate AFTER TRUNCATE ON @extschema@.model_access
    EXECUTE FUNCTION @extschema@._model_access_announce_always();
COMMENT ON TRIGGER model_access_announce_truncate ON @extschema@.model_access IS 'Notifies that all rows were deleted.';

CREATE VIEW @extschema@.model_access_price_history AS
SELECT
    history_id, model_id, at, run_id,
    (old ->> 'prompt_usd_per_million')::numeric AS old_prompt_usd_per_million,
    (new ->> 'prompt_usd_per_million')::numeric AS new_prompt_usd_per_million,
    (old ->> 'completion_usd_per_million')::numeric AS old_completion_usd_per_million,
    (new ->> 'completion_usd_per_million')::numeric AS new_completion_usd_per_million,
    old -> 'pricing' AS old_pricing, new -> 'pricing' AS new_pricing
FROM @extschema@.model_access_history
WHERE new ? 'pricing';
COMMENT ON VIEW @extschema@.model_access_price_history IS 'Every change of the upstream pricing of a model.';
COMMENT ON COLUMN @extschema@.model_access_price_history.history_id IS 'The row of model_access_history.';
COMMENT ON COLUMN @extschema@.model_access_price_history.model_id IS 'The model.';
COMMENT ON COLUMN @extschema@.model_access_price_history.at IS 'When the sync wrote the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.run_id IS 'The run of the sync that wrote the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.old_prompt_usd_per_million IS
    'USD per million prompt tokens before the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.new_prompt_usd_per_million IS
    'USD per million prompt tokens after the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.old_completion_usd_per_million IS
    'USD per million completion tokens before the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.new_completion_usd_per_million IS
    'USD per million completion tokens after the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.old_pricing IS
    'Upstream pricing before the change, as upstream gave it.';
COMMENT ON COLUMN @extschema@.model_access_price_history.new_pricing IS 'Upstream pricing after the change, as upstream gave it.';

-- file: core/owner
-- Triggers that let only the owner write the tables of the extension. A GRANT on a table, by mistake or by default privileges
-- of its schema, must not let another role forge what syncs and functions write.

CREATE FUNCTION @extschema@._model_access_owner_writes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Only the owner may write to this table, whatever rights other roles have.',
                  HINT = 'Change status, tier flags and note in model_access; use the functions of the extension for the rest.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_owner_writes() IS
    'Internal. Trigger function that refuses a statement by a role that does not own the table.';

CREATE TRIGGER model_access_owner BEFORE INSERT OR DELETE OR TRUNCATE ON @extschema@.model_access
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access IS 'Lets only the owner insert and delete models.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_setting
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_setting IS 'Lets only the owner change settings.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_sync_log
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_sync_log IS 'Lets only the owner write the log.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_history
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_history IS 'Lets only the owner write the history.';

-- file: core/lock
-- No function waits for a lock without a limit: 5 s in a run, otherwise lock_timeout if the caller has set it, else 5 s. The
-- session that holds the lock is looked up with the rights of the caller, so that the message says no more than the caller may
-- see; a run looks it up as the owner.

CREATE FUNCTION @extschema@._model_access_limit_locks() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine text := current_setting('lock_timeout');
BEGIN
    -- this lasts until the caller restores the value; if an error is raised, the rollback restores it
    IF mine = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);
    END IF;
    RETURN mine;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_limit_locks() IS
    'Internal. Sets lock_timeout to 5 s if it is 0, and returns the value to restore.';

CREATE FUNCTION @extschema@._model_access_in_slices(script text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine  text        := @extschema@._model_access_limit_locks();
    ends  timestamptz := clock_timestamp() + current_setting('lock_timeout')::interval;
    slice integer     := 100;
BEGIN
    -- a later session waits behind this one only for a slice; slices grow, because transactions may take longer than the
    -- first one, and because PostgreSQL cancels an autovacuum that holds the lock only after deadlock_timeout
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', greatest(1, least(slice,
                1000 * extract(epoch FROM ends - clock_timestamp())))::integer::text, true);
            EXECUTE script;
            PERFORM set_config('lock_timeout', mine, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- the failed attempt has released all its locks
            IF clock_timestamp() > ends THEN
                RAISE;
            END IF;
        END;
        PERFORM pg_sleep(0.02);
        slice := least(2 * slice, 1600);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_in_slices(text) IS
    'Internal. Runs a script, and repeats it while it does not get its locks, until lock_timeout has passed.';

CREATE FUNCTION @extschema@._model_access_lock_holders(
    written oid[], locked oid[], OUT relation regclass, OUT holders text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- pg_stat_activity shows anybody the role and the application of a session, and the rest only to those who may see it
    WITH every AS MATERIALIZED (SELECT * FROM pg_locks),
    lock AS (
        SELECT DISTINCT ON (l.pid, l.virtualtransaction) l.* FROM every AS l
        WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
          AND (l.relation = ANY (written) AND l.mode <> 'AccessShareLock' OR l.relation = ANY (locked))
          AND l.pid IS DISTINCT FROM pg_backend_pid()
        ORDER BY l.pid, l.virtualtransaction, l.granted DESC, array_position(locked || written, l.relation)),
    holder AS (
        SELECT l.relation::regclass AS relation, row_number() OVER (ORDER BY l.granted DESC, a.xact_start, l.pid) AS n,
            concat(CASE WHEN l.pid IS NULL THEN 'Prepared transaction ' || quote_literal(p.gid)
                ELSE format('Process %s (%s)', l.pid, concat_ws(', ', 'role ' || quote_ident(a.usename),
                    'application ' || quote_literal(nullif(a.application_name, '')), nullif(a.backend_type, 'client backend'),
                    a.state, 'in a transaction since ' || date_trunc('second', a.xact_start))) END,
                CASE WHEN l.granted THEN ' holds' ELSE ' waits for' END, ' a lock on ', l.relation::regclass, '.') AS text
        FROM lock AS l
        LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
        LEFT JOIN every AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
            AND x.virtualtransaction = l.virtualtransaction
        LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid)
    SELECT (array_agg(h.relation ORDER BY h.n))[1], string_agg(h.text, ' ' ORDER BY h.n) FILTER (WHERE h.n <= 3)
        || CASE WHEN count(*) > 3 THEN format(' So do %s more.', count(*) - 3) ELSE '' END
    FROM holder AS h
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock_holders(oid[], oid[]) IS
    'Internal. Says who keeps others from writing the first relations, or from locking the second ones against readers, or NULL.';

CREATE FUNCTION @extschema@._model_access_not_locked(written oid[], locked oid[], mine text, cause text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record := @extschema@._model_access_lock_holders(written, locked);
BEGIN
    RAISE EXCEPTION USING
        -- without a holder, the lock was released since, or code of somebody else did not get another lock
        MESSAGE = CASE WHEN found.relation IS NULL THEN cause
            ELSE format('could not lock %s within %s', found.relation, coalesce(nullif(mine, '0'), '5s')) END,
        ERRCODE = 'lock_not_available', DETAIL = 'Nothing was changed.',
        HINT = coalesce(found.holders || ' Wait until no such transaction is open, or end it.', 'Try again.');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_not_locked(oid[], oid[], text, text) IS
    'Internal. Raises error 55P03 with who holds the lock; mine is what _model_access_limit_locks returned, cause is SQLERRM.';

-- file: script/member
-- Records what belongs to this install, because there is no extension that records it.

CREATE TABLE @extschema@._model_access_installed (
    relation regclass UNIQUE,
    -- pg_upgrade refuses a column of type regprocedure
    routine  text UNIQUE,
    CHECK (num_nonnulls(relation, routine) = 1)
);
COMMENT ON TABLE @extschema@._model_access_installed IS
    'Internal. The relations and routines that the install script created, this table included.';
COMMENT ON COLUMN @extschema@._model_access_installed.relation IS 'A table, view or sequence.';
COMMENT ON COLUMN @extschema@._model_access_installed.routine IS 'A function or procedure, as to_regprocedure reads it.';

CREATE VIEW @extschema@._model_access_member AS
SELECT CASE WHEN i.routine IS NULL THEN 'pg_class'::regclass ELSE 'pg_proc'::regclass END AS class,
    coalesce(i.relation::oid, to_regprocedure(i.routine)::oid, 0) AS id, c.relowner AS owner
FROM @extschema@._model_access_installed AS i CROSS JOIN pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass;
COMMENT ON VIEW @extschema@._model_access_member IS
    'Internal. Every relation and routine of the install, and the role that should own it.';

-- file: library/member
-- Finds in pg_depend what belongs to the extension.

CREATE VIEW @extschema@._model_access_member AS
SELECT d.classid AS class, d.objid AS id,
    CASE WHEN p.prosecdef IS NOT FALSE THEN to_regrole('model_access_owner')::oid ELSE e.extowner END AS owner
FROM pg_depend AS x JOIN pg_extension AS e ON e.oid = x.refobjid
JOIN pg_depend AS d ON d.refclassid = x.refclassid AND d.refobjid = x.refobjid AND d.deptype = 'e'
LEFT JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
WHERE x.classid = 'pg_class'::regclass AND x.objid = '@extschema@.model_access'::regclass
  AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
  AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass);
COMMENT ON VIEW @extschema@._model_access_member IS
    'Internal. Every relation and routine of the extension, and the role that should own it.';

-- file: script/version
-- The version, which nothing else records where there is no extension.

CREATE FUNCTION @extschema@.model_access_version() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT '0.2.0'::text;
END;
COMMENT ON FUNCTION @extschema@.model_access_version() IS
    'Gives the version of model_access in this database, and the version of the library if that is another one.';

-- file: library/version
-- The version, which PostgreSQL records for an extension.

CREATE FUNCTION @extschema@._model_access_library_version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE STRICT AS 'MODULE_PATHNAME', '_model_access_library_version_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_library_version() IS
    'Internal. Gives the version of the library that this session uses.';

CREATE FUNCTION @extschema@.model_access_version() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.extversion || CASE WHEN l.version <> e.extversion THEN format(' (library %s)', l.version) ELSE '' END
    FROM pg_extension AS e CROSS JOIN @extschema@._model_access_library_version() AS l(version)
    WHERE e.extname = 'model_access';
END;
COMMENT ON FUNCTION @extschema@.model_access_version() IS
    'Gives the version of model_access in this database, and the version of the library if that is another one.';

-- file: sync/apply
-- The state from which a plan is made, the lock under which it is made, and the only function that writes it.

CREATE FUNCTION @extschema@._model_access_setting_json(unit text, value text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CASE unit
    WHEN 'percent' THEN
        RETURN to_json(value::numeric);
    WHEN 'interval' THEN
        RETURN to_json(extract(epoch FROM value::interval)::bigint);
    WHEN 'on or off' THEN
        RETURN to_json(value::boolean);
    WHEN 'list of keys' THEN
        RETURN to_json(@extschema@._model_access_key_array(value));
    WHEN 'factor or off' THEN
        RETURN to_json(nullif(value, 'off')::numeric);
    ELSE
        RAISE EXCEPTION 'no JSON form for unit "%"', unit
            USING ERRCODE = 'internal_error', HINT = 'Add a branch for this unit to _model_access_setting_json.';
    END CASE;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_setting_json(text, text) IS
    'Internal. Gives the value of a setting as the planner reads it: a number, boolean, seconds, or list of keys; NULL for off.';

CREATE FUNCTION @extschema@._model_access_rows_version() RETURNS text
-- not LANGUAGE sql, which would plan the statement again in every call
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- each write gives a row another place or another transaction
    RETURN (SELECT coalesce(bit_xor(hash_record_extended(ROW(m.ctid, m.xmin), 0::bigint)), 0)
            FROM @extschema@.model_access AS m);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_rows_version() IS
    'Internal. Gives a text that differs after any change of the rows.';

CREATE FUNCTION @extschema@._model_access_state_rows() RETURNS text
-- not LANGUAGE sql, which would plan the statement again in every run
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    judges_all CONSTANT boolean := (
        SELECT s.value <> 'off' FROM @extschema@.model_access_settings AS s WHERE s.name = 'price_guard');
BEGIN
    -- As text, because JSON functions look up the type of each value in each row. A row is an array, in the order of the fields
    -- of Row in crates/catalog/src/state.rs. The last eight are left out if all of them are NULL or false, as in most rows.
    RETURN (SELECT string_agg(concat(
            rtrim(to_json(ARRAY[m.model_id, m.status, m.fingerprint, m.entry_hash])::text, ']'), ',',
            to_json(@extschema@._model_access_tiers_of(m)), coalesce(',' || to_json(m.reviewed_at)::text, ',null'),
            -- a price that no guard compares is true: only whether there is one matters
            CASE WHEN m.highest_prices IS NULL THEN ',null' WHEN g.compares THEN ',' || m.highest_prices::text ELSE ',true' END,
            CASE WHEN m.reviewed_highest_prices IS NULL THEN ',null' WHEN g.compares THEN ',' || m.reviewed_highest_prices::text
                 ELSE ',true' END,
            CASE WHEN m.absence_confirmed OR num_nonnulls(m.missing_since, m.status_before_missing, m.absent_since,
                    m.price_unreadable_since, m.price_withheld_since, m.free_revoked_at, m.price_guarded_at) > 0
                 THEN ',' || ltrim(json_build_array(m.missing_since, m.status_before_missing, m.absent_since, m.absence_confirmed,
                    m.price_unreadable_since, m.price_withheld_since, m.free_revoked_at, m.price_guarded_at)::text, '[')
                 ELSE ']' END), ',')
        FROM @extschema@.model_access AS m CROSS JOIN LATERAL (
            SELECT judges_all OR m.is_free OR num_nonnulls(m.missing_since, m.free_revoked_at, m.price_guarded_at) > 0
        ) AS g(compares));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_state_rows() IS
    'Internal. Gives the rows of model_access as far as a plan needs them: arrays in JSON, separated by commas.';

CREATE FUNCTION @extschema@._model_access_state() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- one statement, so that the rows, their version and the settings are of one snapshot
    RETURN (SELECT concat(rtrim(json_build_object(
        'now', clock_timestamp(),
        'settings', (
            SELECT json_object_agg(s.name, @extschema@._model_access_setting_json(s.unit, s.value))
            FROM @extschema@.model_access_settings AS s),
        'tiers', @extschema@._model_access_tiers(),
        'complete_days', (
            SELECT coalesce(json_agg(DISTINCT (l.started_at AT TIME ZONE 'UTC')::date), '[]')
            FROM @extschema@.model_access_sync_log AS l WHERE l.complete),
        'rows_version', @extschema@._model_access_rows_version())::text, '}'),
        ', "rows": [', @extschema@._model_access_state_rows(), ']}'));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_state() IS
    'Internal. Gives what a plan is made from, in the form of State in crates/catalog/src/state.rs, with intervals in seconds.';

CREATE FUNCTION @extschema@._model_access_lock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- readers do not wait; admins and other runs do, so nobody can decide between the plan and its writing
    LOCK TABLE @extschema@.model_access IN SHARE ROW EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock() IS 'Internal. Takes the lock under which a plan is made and written.';

CREATE FUNCTION @extschema@._model_access_flags_after(model @extschema@.model_access, tiers jsonb) RETURNS jsonb
-- STRICT: few changes have tiers
LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
    -- a plan can take tiers away; the only tier that it can add is the free tier, where a guard took it
    SELECT @extschema@._model_access_flags_of(ARRAY(
        SELECT t.tier FROM jsonb_array_elements_text(tiers) AS t(tier)
        WHERE t.tier = ANY (@extschema@._model_access_tiers_of(model))
            OR t.tier = 'free' AND (model).free_revoked_at IS NOT NULL));
END;
COMMENT ON FUNCTION @extschema@._model_access_flags_after(@extschema@.model_access, jsonb) IS
    'Internal. Gives the tier flags of a model after a change of a plan to these tiers, as columns in JSON.';

CREATE FUNCTION @extschema@._model_access_not_planned() RETURNS text[]
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- the tiers of a change are written by way of _model_access_flags_after
    SELECT array_remove(@extschema@._model_access_decided_columns(), 'status')
        || '{tiers,target_disabled,first_seen_at,last_run_id}'::text[]
        || ARRAY(SELECT s.name FROM unnest(@extschema@._model_access_stamp_columns()) AS s(name)
                 WHERE left(s.name, 9) = 'reviewed_');
END;
COMMENT ON FUNCTION @extschema@._model_access_not_planned() IS
    'Internal. Gives the columns that no plan may write.';

CREATE FUNCTION @extschema@._model_access_has_rows(lines text) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- not a regular expression, which would need four times the memory of the lines
    SELECT left(lines, 1) IN ('+', '~') OR strpos(lines, e'\n+') > 0 OR strpos(lines, e'\n~') > 0;
END;
COMMENT ON FUNCTION @extschema@._model_access_has_rows(text) IS
    'Internal. Tells whether the lines of a plan have a row to write.';

CREATE FUNCTION @extschema@._model_access_write(lines text, at timestamptz, run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    rows     refcursor;
    keys     text[];
    is_plain boolean;
BEGIN
    PERFORM @extschema@._model_access_insert(lines, at, run);
    IF left(lines, 1) <> '~' AND strpos(lines, e'\n~') = 0 THEN
        RETURN;
    END IF;
    -- json, which builds no values
    keys := ARRAY(SELECT DISTINCT json_object_keys(substr(l.line, 2)::json) FROM string_to_table(lines, e'\n') AS l(line)
        WHERE left(l.line, 1) = '~');
    IF keys <> '{}' THEN
        is_plain := NOT keys && @extschema@._model_access_not_planned();
        keys := ARRAY(
            SELECT k.name FROM unnest(keys) AS k(name) WHERE k.name <> ALL (@extschema@._model_access_not_planned())
            UNION ALL SELECT f.name FROM jsonb_object_keys(@extschema@._model_access_flags_of('{}'::text[])) AS f(name)
            WHERE 'tiers' = ANY (keys));
        IF is_plain THEN
            -- as in most plans; to copy the changes would take as long as to write them
            OPEN rows FOR SELECT c.change FROM @extschema@._model_access_rows(lines, '~') AS c(change);
        ELSE
            OPEN rows FOR
                SELECT c.change - @extschema@._model_access_not_planned()
                    || coalesce(@extschema@._model_access_flags_after(m, c.change -> 'tiers'), '{}')
                FROM @extschema@._model_access_rows(lines, '~') AS c(change)
                JOIN @extschema@.model_access AS m ON m.model_id = c.change ->> 'model_id';
        END IF;
        PERFORM @extschema@._model_access_update_rows(rows, keys, run);
        CLOSE rows;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_write(text, timestamptz, bigint) IS
    'Internal. Writes the rows of a plan: one INSERT for new models, one UPDATE for all others.';

CREATE FUNCTION @extschema@._model_access_changed_key(lines text, changed integer, known integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a few changed models do not show that the upstream changed its format, and need no comparison
    IF changed <= 10 OR 2 * changed <= known THEN
        RETURN NULL;
    END IF;
    RETURN (
        -- messages quote this key
        SELECT regexp_replace(left(k.key, 100), '[[:cntrl:]]', ' ', 'g')
        FROM @extschema@._model_access_rows(lines, '~') AS c(change)
        JOIN @extschema@.model_access AS m ON m.model_id = c.change ->> 'model_id'
        CROSS JOIN LATERAL (
            SELECT key FROM jsonb_each(m.upstream) AS old FULL JOIN jsonb_each(c.change -> 'upstream') AS new USING (key)
            WHERE old.value IS DISTINCT FROM new.value) AS k
        WHERE c.change ? 'upstream'
          -- this run removes a key that is now ignored from the stored entries
          AND k.key <> ALL (@extschema@._model_access_key_array(
              (SELECT s.value FROM @extschema@.model_access_settings AS s WHERE s.name = 'ignored_keys')))
        GROUP BY k.key HAVING 2 * count(*) > known
        ORDER BY count(*) DESC, k.key LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_changed_key(text, integer, integer) IS
    'Internal. Gives the key that a plan changes in most models and in more than half of the known ones; NULL if none.';

CREATE FUNCTION @extschema@._model_access_apply(head jsonb, lines text) RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    run     @extschema@.model_access_sync_log;
    problem jsonb   := nullif(head -> 'problem', 'null');
    mine    text    := @extschema@._model_access_limit_locks();
    writes  boolean := @extschema@._model_access_has_rows(lines);
    last    bigint;
BEGIN
    run := jsonb_populate_record(NULL::@extschema@.model_access_sync_log,
        '{"listed": 0, "added": 0, "changed": 0, "missing": 0, "returned": 0, "free_revoked": 0, "withheld": 0,
            "unusable": [], "complete": false}'
        || head);
    IF run.outcome = 'unchanged' THEN
        writes := EXISTS (SELECT FROM @extschema@._model_access_alias_in_doubt);
    END IF;
    last := (SELECT max(l.run_id) FROM @extschema@.model_access_sync_log AS l);
    IF writes THEN
        PERFORM @extschema@._model_access_lock();
    END IF;
    -- a run that failed because another session holds a lock on the table writes its run row, so it must not read the table
    IF run.outcome NOT IN ('failed', 'skipped') THEN
        -- last_run_id must not name a run that wrote the row before
        last := greatest(last, (SELECT max(m.last_run_id) FROM @extschema@.model_access AS m));
    END IF;
    PERFORM @extschema@._model_access_raise_sequence('@extschema@.model_access_sync_log_run_id_seq'::regclass, last);
    run.run_id := nextval('@extschema@.model_access_sync_log_run_id_seq');
    IF writes THEN
        run.changed_key := @extschema@._model_access_changed_key(lines, run.changed, run.listed - run.added);
        PERFORM @extschema@._model_access_write(lines, (head ->> 'at')::timestamptz, run.run_id);
        PERFORM @extschema@._model_access_mend_aliases(run.run_id);
    END IF;
    PERFORM @extschema@._model_access_refresh_binding();
    run.error := concat_ws('. ', problem ->> 'message', rtrim(problem ->> 'detail', '.'), problem ->> 'hint');
    run.error := nullif(run.error, '');
    run.error_code := problem ->> 'code';
    run.run_by := @extschema@._model_access_actor();
    run.duration_ms := round(1000 * extract(epoch FROM clock_timestamp() - run.started_at), 3);
    INSERT INTO @extschema@.model_access_sync_log SELECT run.*;
    PERFORM set_config('lock_timeout', mine, true);
    RETURN run;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_apply(jsonb, text) IS
    'Internal. Writes the rows of a plan, and the run row, which is made of the plan without its rows.';

CREATE FUNCTION @extschema@.model_access_apply(plan jsonb) RETURNS @extschema@.model_access_sync_log
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT @extschema@._model_access_apply(plan - '{insert,update}'::text[], concat_ws(e'\n',
        @extschema@._model_access_lines('+', plan -> 'insert'), @extschema@._model_access_lines('~', plan -> 'update')));
END;
COMMENT ON FUNCTION @extschema@.model_access_apply(jsonb) IS
    'Writes a plan and its run row, corrects what is stored about aliases, and returns the run row.';

-- file: sync/run_steps
-- The first and the last steps of every run, for a fetched list and for a given one.

CREATE TABLE @extschema@._model_access_run_lock ();
COMMENT ON TABLE @extschema@._model_access_run_lock IS
    'Internal. Has no rows; each run locks it, so that only one runs at a time.';

CREATE FUNCTION @extschema@._model_access_lock_run() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a table, because anybody who connects could hold an advisory lock;
    -- this mode does not conflict with pg_dump and assigns no transaction id
    LOCK TABLE @extschema@._model_access_run_lock IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
    RETURN NULL;
EXCEPTION WHEN lock_not_available THEN
    RETURN coalesce((
        SELECT format('Process %s holds the lock of a run.', l.pid) FROM pg_locks AS l
        WHERE l.locktype = 'relation' AND l.relation = '@extschema@._model_access_run_lock'::regclass AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
          AND l.mode <> 'AccessShareLock' LIMIT 1), 'The other run has ended since.');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock_run() IS
    'Internal. Takes the lock of a run until the transaction ends and returns NULL, or says who holds it.';

CREATE FUNCTION @extschema@._model_access_begin(max_removals integer) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder text;
    run    jsonb;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'cannot sync model_access on a standby'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = format('Run the sync on the primary%s. Replication brings its changes here.',
                      ' at ' || @extschema@._model_access_primary());
    ELSIF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'cannot sync model_access in a read-only transaction'
            USING ERRCODE = 'read_only_sql_transaction', HINT = 'Run the sync in a READ WRITE transaction.';
    ELSIF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot sync model_access in a % transaction', upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its snapshot would miss decisions committed since it began.',
                  HINT = 'Run the sync in a READ COMMITTED transaction.';
    ELSIF max_removals < 0 THEN
        RAISE EXCEPTION 'max_removals must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass NULL to let max_removal_percent decide.';
    END IF;
    run := jsonb_build_object('started_at', clock_timestamp(), 'max_removals', max_removals);
    holder := @extschema@._model_access_lock_run();
    IF holder IS NOT NULL THEN
        run := run || jsonb_build_object('outcome', 'skipped', 'problem', jsonb_build_object(
            'code', '55006', 'message', 'another sync is running', 'detail', holder,
            'hint', 'Wait until it ends, and read its run row.'));
    END IF;
    RETURN run;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_begin(integer) IS
    'Internal. Checks that a run is possible and that no other one is running, and returns the first columns of its run row.';

CREATE FUNCTION @extschema@._model_access_warn(run jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    problem  jsonb := nullif(run -> 'problem', 'null');
    unusable jsonb := coalesce(run -> 'unusable', '[]');
    message  text := format('model_access sync %s: %s', run ->> 'outcome', problem ->> 'message');
    source   text := format('The list came from %s.', run ->> 'url');
    hint     text := coalesce(problem ->> 'hint', 'No row was changed. Check the document and any proxy in between.');
    detail   text;
BEGIN
    IF run ->> 'url' IS NULL OR strpos(message, run ->> 'url') > 0 THEN
        source := NULL;
    END IF;
    detail := nullif(concat_ws(' ', problem ->> 'detail', source), '');
    IF problem IS NULL THEN
        NULL;
    ELSIF detail IS NOT NULL THEN
        RAISE WARNING USING MESSAGE = message, DETAIL = detail, HINT = hint;
    ELSE
        RAISE WARNING USING MESSAGE = message, HINT = hint;
    END IF;
    IF unusable <> '[]' THEN
        RAISE WARNING USING
            MESSAGE = format('model_access sync: %s entries of the list cannot be used', jsonb_array_length(unusable)),
            DETAIL = concat_ws(' ', format('The first one %s: %s.',
                coalesce('is ' || (unusable #>> '{0,id}'), 'has no usable id'), unusable #>> '{0,reason}'), source),
            HINT = 'Read column unusable of the run row. The rows of these models stay as they are.';
    END IF;
    IF run ->> 'changed_key' IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = format('model_access sync: the key "%s" changed in most entries of the list', run ->> 'changed_key'),
            DETAIL = concat_ws(' ', format('The run changed %s of %s known models.', run ->> 'changed',
                (run ->> 'listed')::integer - (run ->> 'added')::integer), source),
            HINT = CASE WHEN @extschema@._model_access_keys(run ->> 'changed_key') IS NULL
                THEN 'Compare some models with what their providers publish before you approve any model.'
                ELSE 'If the upstream fills this key with measurements, add it to the setting ignored_keys.' END;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_warn(jsonb) IS 'Internal. Raises a WARNING for each problem of a run.';

CREATE FUNCTION @extschema@._model_access_locked(code text, message text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('outcome', 'failed', 'insert', '[]'::jsonb, 'update', '[]'::jsonb,
        'problem', jsonb_build_object('code', code, 'message', 'could not lock model_access: ' || message,
            'hint', concat_ws(' ', h.holders, 'The next run tries again.')),
        'listed', 0, 'added', 0, 'changed', 0, 'missing', 0, 'returned', 0, 'free_revoked', 0, 'withheld', 0)
    FROM @extschema@._model_access_lock_holders(ARRAY['@extschema@.model_access'::regclass]::oid[], '{}'::oid[]) AS h;
END;
COMMENT ON FUNCTION @extschema@._model_access_locked(text, text) IS
    'Internal. Gives the plan of a run that failed because another session had locked model_access.';

CREATE FUNCTION @extschema@._model_access_prune() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH pruned AS (
        DELETE FROM @extschema@.model_access_sync_log
        WHERE started_at < clock_timestamp()
              - (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'log_retention')
          -- health reads the last success and the last run, however old they are
          AND run_id <> (SELECT coalesce(max(run_id), 0) FROM @extschema@.model_access_sync_log
                         WHERE outcome IN ('applied', 'unchanged'))
          AND run_id <> (SELECT max(run_id) FROM @extschema@.model_access_sync_log)
          -- return_window and the three days of the guard are counted in complete lists
          AND NOT (complete AND started_at > clock_timestamp() - interval '4 days'
              - (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'return_window'))
        RETURNING 1)
    SELECT count(*) FROM pruned
$$;
COMMENT ON FUNCTION @extschema@._model_access_prune() IS
    'Internal. Deletes run rows that log_retention does not keep, and returns their number.';

-- file: library/sync
-- The two ways to load a catalogue: model_access_sync fetches it, and model_access_load gets it as an argument. The rest of the
-- run is the same.

CREATE FUNCTION @extschema@._model_access_fetch()
RETURNS TABLE (url text, http_status integer, body bytea, problem text)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_fetch_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_fetch() IS
    'Internal. Fetches model_access.url within its limits, and gives either the body or the problem (JSON).';

CREATE FUNCTION @extschema@._model_access_primary() RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_primary_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_primary() IS
    'Internal. Gives host and port of the primary, on a standby that receives WAL from it.';

CREATE FUNCTION @extschema@._model_access_plan(document bytea, state text, max_removals integer) RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_model_access_plan_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_plan(bytea, text, integer) IS
    'Internal. Makes the plan for a document and a state: a line of JSON without the rows, and a line for each row.';

-- a text has the same bytes, and to convert it would need another copy of the document
CREATE FUNCTION @extschema@._model_access_plan(document text, state text, max_removals integer) RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_model_access_plan_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_plan(text, text, integer) IS
    'Internal. Makes the same plan for a document that is a text.';

CREATE FUNCTION @extschema@._model_access_head(plan text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT split_part(plan, e'\n', 1)::jsonb - '{insert,update}'::text[];
END;
COMMENT ON FUNCTION @extschema@._model_access_head(text) IS
    'Internal. Gives the first line of a plan: the plan without its rows.';

CREATE FUNCTION @extschema@._model_access_plan_now(body bytea, document text, max_removals integer) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plan text;
BEGIN
    plan := CASE WHEN body IS NULL
        THEN @extschema@._model_access_plan(document, @extschema@._model_access_state(), max_removals)
        ELSE @extschema@._model_access_plan(body, @extschema@._model_access_state(), max_removals) END;
    IF @extschema@._model_access_has_rows(plan) THEN
        PERFORM @extschema@._model_access_lock();
        IF @extschema@._model_access_head(plan) ->> 'rows_version' IS DISTINCT FROM @extschema@._model_access_rows_version() THEN
            -- rows changed before the lock was granted; now the lock keeps other sessions from changing them
            plan := CASE WHEN body IS NULL
                THEN @extschema@._model_access_plan(document, @extschema@._model_access_state(), max_removals)
                ELSE @extschema@._model_access_plan(body, @extschema@._model_access_state(), max_removals) END;
        END IF;
    END IF;
    RETURN plan;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_plan_now(bytea, text, integer) IS
    'Internal. Makes the plan for a document, which is one of both, and the present rows; keeps the lock if the plan writes.';

-- not anyelement: a function of somebody else with exactly the type of the document would be called in place of this one
CREATE FUNCTION @extschema@._model_access_run(body bytea, document text, run jsonb)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    plan    text := '';
    written @extschema@.model_access_sync_log;
BEGIN
    BEGIN
        IF NOT run ? 'outcome' THEN
            plan := @extschema@._model_access_plan_now(body, document, (run ->> 'max_removals')::integer);
            run := run || @extschema@._model_access_head(plan);
        END IF;
        written := @extschema@._model_access_apply(run, plan);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        run := run || @extschema@._model_access_locked(SQLSTATE, SQLERRM);
        written := @extschema@._model_access_apply(run, '');
    END;
    PERFORM @extschema@._model_access_warn(run || jsonb_build_object('changed_key', written.changed_key));
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_run(bytea, text, jsonb) IS
    'Internal. Does the rest of every run: plans unless the outcome is known, applies the plan, and warns.';

CREATE FUNCTION @extschema@.model_access_sync(max_removals integer DEFAULT NULL)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    run     jsonb := @extschema@._model_access_begin(max_removals);
    url     text;
    status  integer;
    body    bytea;
    problem text;
BEGIN
    IF NOT run ? 'outcome' THEN
        -- not into a record, which would be another copy of the body
        SELECT f.url, f.http_status, f.body, f.problem INTO STRICT url, status, body, problem
        FROM @extschema@._model_access_fetch() AS f;
        run := run || jsonb_build_object('url', url, 'http_status', status);
        IF problem IS NOT NULL THEN
            run := run || jsonb_build_object('outcome', 'failed', 'problem', problem::jsonb);
        END IF;
    END IF;
    RETURN @extschema@._model_access_run(body, NULL::text, run);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_sync(integer) IS
    'Fetches the catalogue, reconciles model_access with it, and returns the row of the run.';

CREATE FUNCTION @extschema@.model_access_load(document text, max_removals integer DEFAULT NULL)
RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
-- a custom plan would have several copies of a large parameter
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    run jsonb := @extschema@._model_access_begin(max_removals);
BEGIN
    IF document IS NULL THEN
        RAISE EXCEPTION 'document must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the JSON text of a model catalogue.';
    END IF;
    RETURN @extschema@._model_access_run(NULL::bytea, document, run);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_load(text, integer) IS
    'Does what model_access_sync does, but with a document that the caller gives, the JSON text of a catalogue.';

CREATE FUNCTION @extschema@._model_access_sync_as_job() RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN @extschema@.model_access_sync(NULL::integer);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_sync_as_job() IS
    'Internal. Runs model_access_sync for a role that may run only the job.';

-- file: library/schedule
-- The nightly job: a procedure for any scheduler, and its job in pg_cron where that is installed.

CREATE PROCEDURE @extschema@.model_access_sync_job()
-- no SET and no SECURITY DEFINER: either would forbid COMMIT; so every name, type and operator is qualified
LANGUAGE plpgsql AS $$
DECLARE
    run  @extschema@.model_access_sync_log;
    code pg_catalog.text;
BEGIN
    -- inside a transaction block, this fails before anything is fetched
    COMMIT;
    -- the sync needs it, whatever the default of the role is
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    run := @extschema@._model_access_sync_as_job();
    -- keeps the run row, even if an error is raised below
    COMMIT;
    PERFORM @extschema@._model_access_prune();
    COMMIT;
    code := @extschema@._model_access_bad(run);
    IF code IS NOT NULL THEN
        RAISE EXCEPTION 'model_access sync %: %', run.outcome, run.error
            USING ERRCODE = code, DETAIL = pg_catalog.format('It is run %s of model_access_sync_log.', run.run_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE @extschema@.model_access_sync_job() IS
    'Runs model_access_sync for a scheduler, commits its run row, and raises an error if it failed, was held or is long overdue.';

CREATE FUNCTION @extschema@._model_access_bad(run @extschema@.model_access_sync_log) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE run.outcome
        WHEN 'failed' THEN run.error_code
        WHEN 'held' THEN '55000'
        -- otherwise nobody would notice a session that holds the lock for ever and so prevents every sync
        WHEN 'skipped' THEN CASE WHEN NOT EXISTS (
            SELECT FROM @extschema@.model_access_sync_log AS l
            WHERE l.outcome IN ('applied', 'unchanged')
              AND l.started_at BETWEEN clock_timestamp() - interval '2 days' AND clock_timestamp())
            THEN '55006' END
    END
$$;
COMMENT ON FUNCTION @extschema@._model_access_bad(@extschema@.model_access_sync_log) IS
    'Internal. Gives the SQLSTATE that the job raises for a run; NULL = it raises no error.';

CREATE FUNCTION @extschema@._model_access_shell(word text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN word ~ '^[A-Za-z0-9_]+$' THEN word ELSE '''' || replace(word, '''', '''' || chr(92) || '''''') || '''' END;
COMMENT ON FUNCTION @extschema@._model_access_shell(text) IS 'Internal. Quotes a word for a shell.';

CREATE FUNCTION @extschema@._model_access_cron_field(field text, lowest integer, highest integer, names text[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part   text;
    name   text;
    range  text[];
    starts integer;
    ends   integer;
    found  integer[] := '{}';
BEGIN
    IF field IS NULL THEN
        RETURN NULL;
    END IF;
    FOREACH part IN ARRAY string_to_array(lower(field), ',') LOOP
        FOREACH name IN ARRAY names LOOP
            part := replace(part, name, (array_position(names, name) - 1 + lowest)::text);
        END LOOP;
        range := regexp_match(part, '^(?:([*])|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?$');
        starts := coalesce(range[2]::integer, lowest);
        ends := coalesce(range[3]::integer, range[2]::integer, highest);
        IF range IS NULL OR starts < lowest OR ends > highest OR starts > ends OR range[4]::integer = 0
            OR (range[4] IS NOT NULL AND range[2] IS NOT NULL AND range[3] IS NULL) THEN
            RETURN NULL;
        END IF;
        found := found || ARRAY(SELECT generate_series(starts, ends, coalesce(range[4]::integer, 1)));
    END LOOP;
    RETURN nullif(found, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_cron_field(text, integer, integer, text[]) IS
    'Internal. Gives the numbers that a field of a cron schedule names; NULL if it is not understood.';

CREATE FUNCTION @extschema@._model_access_longest_gap(schedule text) RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f        text[] := regexp_split_to_array(trim(CASE lower(trim(schedule))
        WHEN '@hourly' THEN '0 * * * *'
        WHEN '@daily' THEN '0 0 * * *'
        WHEN '@midnight' THEN '0 0 * * *'
        WHEN '@weekly' THEN '0 0 * * 0'
        WHEN '@monthly' THEN '0 0 1 * *'
        WHEN '@yearly' THEN '0 0 1 1 *'
        WHEN '@annually' THEN '0 0 1 1 *'
        ELSE schedule END), '[[:space:]]+');
    minutes  integer[] := @extschema@._model_access_cron_field(f[1], 0, 59, '{}'::text[]);
    hours    integer[] := @extschema@._model_access_cron_field(f[2], 0, 23, '{}'::text[]);
    days     integer[] := @extschema@._model_access_cron_field(f[3], 1, 31, '{}'::text[]);
    months   integer[] := @extschema@._model_access_cron_field(
        f[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'::text[]);
    weekdays integer[] := @extschema@._model_access_cron_field(f[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}'::text[]);
BEGIN
    IF cardinality(f) = 2 AND f[1] ~ '^[0-9]{1,2}$' AND lower(f[2]) IN ('second', 'seconds') THEN
        RETURN make_interval(secs => f[1]::integer);
    ELSIF cardinality(f) <> 5 OR minutes IS NULL OR hours IS NULL OR days IS NULL OR months IS NULL OR weekdays IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (
        WITH date AS (
            -- nine years hold every leap day and every first of a month on every weekday
            SELECT d::date AS day, extract(day FROM d) = ANY (days) AS is_day,
                extract(dow FROM d) = ANY (weekdays) OR extract(isodow FROM d) = ANY (weekdays) AS is_weekday
            FROM generate_series(date '2023-01-01', date '2032-01-01', interval '1 day') AS d
            WHERE extract(month FROM d) = ANY (months)),
        day AS (
            -- cron's rule: if both fields restrict the days, a day that matches either of them counts
            SELECT d.day FROM date AS d
            WHERE CASE WHEN f[3] LIKE '*%' OR f[5] LIKE '*%' THEN d.is_day AND d.is_weekday ELSE d.is_day OR d.is_weekday END),
        minute AS (SELECT DISTINCT h * 60 + m AS minute FROM unnest(hours) AS h, unnest(minutes) AS m),
        gap AS (
            SELECT lead(minute) OVER (ORDER BY minute) - minute AS minutes FROM minute
            UNION ALL
            SELECT (lead(day) OVER (ORDER BY day) - day) * 1440 + (SELECT min(minute) - max(minute) FROM minute) FROM day)
        SELECT make_interval(days => max(g.minutes) / 1440, mins => max(g.minutes) % 1440) FROM gap AS g
        HAVING (SELECT count(*) FROM day) > 1);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_longest_gap(text) IS
    'Internal. Gives the longest time between two runs of a cron schedule; NULL if it is not understood.';

CREATE FUNCTION @extschema@._model_access_has_pg_cron() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- any role can create objects with these names, so they must be members of the extension
    SELECT count(*) = 3 FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_cron'
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND (d.classid, d.objid) IN (
        ('pg_class'::regclass, to_regclass('cron.job')),
        ('pg_proc'::regclass, to_regprocedure('cron.unschedule(bigint)')),
        ('pg_proc'::regclass, to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)')));
END;
COMMENT ON FUNCTION @extschema@._model_access_has_pg_cron() IS
    'Internal. Tells whether pg_cron 1.4 or later is installed in this database.';

CREATE FUNCTION @extschema@._model_access_job_name() RETURNS text
LANGUAGE sql STABLE
-- pg_cron keeps the jobs of every database of a server in one list
RETURN 'model_access in ' || current_database();
COMMENT ON FUNCTION @extschema@._model_access_job_name() IS 'Internal. Gives the name of the job in pg_cron.';

CREATE FUNCTION @extschema@._model_access_crontab_line(schedule text, call text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text   := format('psql -X -d %s -c %s',
        @extschema@._model_access_shell(current_database()::text), @extschema@._model_access_shell(call));
    daily   text[] := regexp_match(schedule, '^([0-9]{1,2}) ([0-9]{1,2}) [*] [*] [*]$');
BEGIN
    RETURN concat(
        format('Without it, put this line into a crontab: %s %s.', schedule, replace(command, '%', chr(92) || '%')),
        CASE WHEN daily IS NOT NULL THEN
            format(' For a systemd timer: OnCalendar=*-*-* %s:%s:00 and ExecStart=%s.',
                lpad(daily[2], 2, '0'), lpad(daily[1], 2, '0'), replace(command, '%', '%%')) END);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_crontab_line(text, text) IS 'Internal. Says how cron or systemd can run the job.';

CREATE FUNCTION @extschema@._model_access_require_pg_cron(schedule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    elsewhere text := nullif(current_setting('cron.database_name', true), current_database());
    call      text := 'CALL @extschema@.model_access_sync_job()';
    due       text := (SELECT format(' Then tell health how often it runs: SELECT %s.model_access_set(''sync_interval'', %L).',
                           '@extschema@', gap)
                       FROM @extschema@._model_access_longest_gap(schedule) AS gap WHERE gap <> interval '1 day');
BEGIN
    IF @extschema@._model_access_has_pg_cron() THEN
        RETURN;
    ELSIF elsewhere IS NOT NULL THEN
        RAISE EXCEPTION 'pg_cron is in database "%", not in "%"', elsewhere, current_database()
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A server has one pg_cron, in the database that cron.database_name names.',
                  HINT = concat(format('Run this there: SELECT cron.schedule_in_database(%L, %L, %L, %L). '
                                       'To end it: SELECT cron.unschedule(%1$L).',
                      @extschema@._model_access_job_name(), schedule, call, current_database()), due);
    END IF;
    RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
        USING ERRCODE = 'feature_not_supported',
              DETAIL = format('To install it here, set shared_preload_libraries = ''pg_cron'' (beside libraries that are named '
                              'there) and cron.database_name = ''%s'' in postgresql.conf, restart, and run CREATE EXTENSION '
                              'pg_cron.', current_database()),
              HINT = concat(@extschema@._model_access_crontab_line(schedule, call), due);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_require_pg_cron(text) IS
    'Internal. Raises error 0A000, with what to do instead, where pg_cron 1.4 or later is not in this database.';

CREATE FUNCTION @extschema@.model_access_unschedule() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job     bigint;
    removed boolean := false;
BEGIN
    PERFORM @extschema@._model_access_require_pg_cron('17 3 * * *'::text);
    FOR job IN
        SELECT j.jobid FROM cron.job AS j
        WHERE j.jobname = @extschema@._model_access_job_name() AND j.database = current_database()
    LOOP
        removed := cron.unschedule(job::bigint) OR removed;
    END LOOP;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_unschedule() IS
    'Removes the job of this database from pg_cron; false if pg_cron had no such job.';

CREATE FUNCTION @extschema@.model_access_schedule(schedule text DEFAULT '17 3 * * *', role regrole DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gap text := @extschema@._model_access_longest_gap(schedule)::text;
    job bigint;
BEGIN
    PERFORM @extschema@._model_access_require_pg_cron(schedule);
    IF role IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role
            USING ERRCODE = 'undefined_object', HINT = 'Pass NULL to schedule it as the current role.';
    ELSIF NOT has_function_privilege(role, '@extschema@.model_access_sync_job()', 'EXECUTE') THEN
        RAISE EXCEPTION 'role % may not run the job', role
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Grant it: SELECT %s.model_access_grant(%L, ''job'')', '@extschema@', role::text);
    END IF;
    -- pg_cron allows one job per name and role; this extension has one per database
    PERFORM @extschema@.model_access_unschedule();
    job := cron.schedule_in_database(
        @extschema@._model_access_job_name(), schedule, 'CALL @extschema@.model_access_sync_job()'::text,
        current_database()::text,
        (SELECT r.rolname::text FROM pg_roles AS r WHERE r.oid = role OR (role IS NULL AND r.rolname = current_user)), true);
    IF gap IS NULL THEN
        RAISE NOTICE 'sync_interval is not changed'
            USING DETAIL = format('The longest time between two runs cannot be derived from "%s".', schedule),
                  HINT = 'Set it with model_access_set, so that health knows when a sync is late.';
    ELSE
        PERFORM @extschema@.model_access_set('sync_interval'::text, gap);
        RAISE NOTICE 'sync_interval is set to %', gap USING DETAIL = 'It is the longest time between two runs of this schedule.';
    END IF;
    RETURN job;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_schedule(text, regrole) IS
    'Schedules CALL model_access_sync_job() with pg_cron, in place of an earlier schedule, and returns the job id.';

-- file: library/preview
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

-- file: access/explain
-- Says in words why a tier may or may not use a model. The answer itself is always that of model_allowed.

CREATE FUNCTION @extschema@._model_access_reason(tier text, model_id text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((
        SELECT CASE
            WHEN m.status = 'disabled'
                THEN concat_ws(' ', 'disabled', 'by ' || m.reviewed_by, 'on ' || to_char(m.reviewed_at, 'YYYY-MM-DD'))
            WHEN m.missing_since IS NOT NULL THEN 'left the catalogue on ' || to_char(m.missing_since, 'YYYY-MM-DD')
            WHEN m.status = 'new' THEN 'waits for review since ' || to_char(coalesce(
                (SELECT max(h.at) FROM @extschema@.model_access_history AS h
                 WHERE h.model_id = m.model_id AND h.new ->> 'status' = 'new'),
                m.first_seen_at), 'YYYY-MM-DD')
            WHEN m.status = 'inactive'
                THEN concat_ws(' ', 'set inactive', 'by ' || m.reviewed_by, 'on ' || to_char(m.reviewed_at, 'YYYY-MM-DD'))
            WHEN m.target_disabled THEN format(CASE
                WHEN EXISTS (SELECT FROM @extschema@.model_access AS t WHERE t.model_id = m.alias_of AND t.target_disabled
                    AND t.status <> 'disabled') THEN 'its target %s is an alias of a disabled model'
                ELSE 'its target %s is disabled' END, m.alias_of)
            WHEN _model_access_reason.tier IS NULL THEN 'the tier is unknown'
            WHEN @extschema@._model_access_rank(m) <= @extschema@._model_access_rank(_model_access_reason.tier)
                THEN 'in tier ' || _model_access_reason.tier
            ELSE 'not in tier ' || _model_access_reason.tier
        END
        FROM @extschema@.model_access AS m WHERE m.model_id = _model_access_reason.model_id),
        CASE WHEN EXISTS (
            SELECT FROM @extschema@.model_access AS m
            WHERE m.model_id = regexp_replace(_model_access_reason.model_id, ':[^:]*$', ''))
        THEN 'not in the catalogue; the suffix is part of the id'
        ELSE 'not in the catalogue' END);
END;
COMMENT ON FUNCTION @extschema@._model_access_reason(text, text) IS 'Internal. Says why a model is or is not visible in a tier.';

CREATE FUNCTION @extschema@.model_access_explain(tier text, model_id text, OUT allowed boolean, OUT reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    allowed := @extschema@.model_allowed(tier, model_id);
    reason := @extschema@._model_access_reason(tier, model_id);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_explain(text, text) IS
    'Tells whether a tier may use a model, and why, as a text for people.';

-- file: access/profiles
-- Binds the table that has the users and their tiers. Whoever asks, the table is read as its owner: library/lookup.sql.

CREATE TABLE @extschema@.model_access_binding (
    profiles    regclass PRIMARY KEY,
    id_column   name NOT NULL,
    tier_column name NOT NULL,
    tier_map    jsonb,
    notify      boolean NOT NULL,
    key         text NOT NULL CHECK (key IN ('text', 'uuid', 'integer')),
    table_id    oid NOT NULL,
    id_number   smallint NOT NULL,
    tier_number smallint NOT NULL
);
CREATE UNIQUE INDEX model_access_binding_one_idx ON @extschema@.model_access_binding ((true));
COMMENT ON TABLE @extschema@.model_access_binding IS
    'Names the table that has the users and their tiers: at most one row, written by model_access_bind_profiles.';
COMMENT ON COLUMN @extschema@.model_access_binding.profiles IS 'The bound table.';
COMMENT ON COLUMN @extschema@.model_access_binding.id_column IS 'The column of that table with the key of a user.';
COMMENT ON COLUMN @extschema@.model_access_binding.tier_column IS 'The column of that table with the tier of a user.';
COMMENT ON COLUMN @extschema@.model_access_binding.tier_map IS
    'The tier for each value of tier_column, such as {"MAX": "pro"}; NULL if the column holds the names of the tiers.';
COMMENT ON COLUMN @extschema@.model_access_binding.notify IS 'Whether triggers on the bound table notify of a changed tier.';
COMMENT ON COLUMN @extschema@.model_access_binding.key IS 'The kind of the key of a user: text, uuid or integer (of any size).';
COMMENT ON COLUMN @extschema@.model_access_binding.table_id IS
    'The oid of profiles when it was bound; if it differs, after a restore, the columns are found by name.';
COMMENT ON COLUMN @extschema@.model_access_binding.id_number IS 'pg_attribute.attnum of id_column.';
COMMENT ON COLUMN @extschema@.model_access_binding.tier_number IS 'pg_attribute.attnum of tier_column.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_binding
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_binding IS 'Lets only the owner bind a table.';

CREATE FUNCTION @extschema@._model_access_tree(relation oid) RETURNS TABLE (id oid)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE tree AS (
        SELECT relation AS id
        UNION
        SELECT i.inhrelid FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.id)
    SELECT t.id FROM tree AS t;
END;
COMMENT ON FUNCTION @extschema@._model_access_tree(oid) IS
    'Internal. Lists a table with its partitions, or with what inherits from it.';

CREATE FUNCTION @extschema@._model_access_column_number(relation oid, column_name name) RETURNS smallint
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT a.attnum FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION @extschema@._model_access_column_number(oid, name) IS
    'Internal. Gives pg_attribute.attnum of a column; NULL if the column does not exist.';

CREATE FUNCTION @extschema@._model_access_column_type(relation oid, column_number smallint) RETURNS regtype
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE base AS (
        SELECT a.atttypid AS type FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum = column_number AND NOT a.attisdropped
        UNION ALL
        SELECT t.typbasetype FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype = 'd')
    SELECT b.type::regtype FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype <> 'd';
END;
COMMENT ON FUNCTION @extschema@._model_access_column_type(oid, smallint) IS
    'Internal. Gives the type of a column, or the base type of its domain; NULL if the column does not exist.';

CREATE FUNCTION @extschema@._model_access_key_kind(type regtype) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN type = 'uuid'::regtype THEN 'uuid'
            WHEN type IN ('text'::regtype, 'varchar'::regtype) THEN 'text'
            WHEN type IN ('int8'::regtype, 'int4'::regtype, 'int2'::regtype) THEN 'integer' END;
COMMENT ON FUNCTION @extschema@._model_access_key_kind(regtype) IS
    'Internal. Gives text, uuid or integer; NULL for a type that cannot be the key of a user.';

CREATE FUNCTION @extschema@._model_access_watched_column(relation oid, nth integer) RETURNS name
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- the condition of the trigger names the id first, then the tier, and follows a rename
    SELECT (parse_ident(c.name[1]))[1]::name FROM pg_trigger AS t
    CROSS JOIN LATERAL regexp_matches(pg_get_triggerdef(t.oid), '[(]old[.]("(?:[^"]|"")+"|[^ )]+)', 'g')
        WITH ORDINALITY AS c(name, n)
    WHERE t.tgrelid = relation AND t.tgname = 'model_access_announce_change' AND c.n = nth;
END;
COMMENT ON FUNCTION @extschema@._model_access_watched_column(oid, integer) IS
    'Internal. Gives the id (1) or the tier (2) column that the trigger on a bound table names; NULL without that trigger.';

CREATE VIEW @extschema@._model_access_bound AS
SELECT b.profiles, b.key, b.tier_map, b.notify,
    CASE WHEN b.profiles::oid = b.table_id THEN b.id_number ELSE @extschema@._model_access_column_number(
        b.profiles::oid, coalesce(@extschema@._model_access_watched_column(b.profiles::oid, 1), b.id_column)) END AS id_number,
    CASE WHEN b.profiles::oid = b.table_id THEN b.tier_number ELSE @extschema@._model_access_column_number(
        b.profiles::oid, coalesce(@extschema@._model_access_watched_column(b.profiles::oid, 2), b.tier_column)) END AS tier_number
FROM @extschema@.model_access_binding AS b;
COMMENT ON VIEW @extschema@._model_access_bound IS 'Internal. The bound table and the present numbers of its columns.';

CREATE FUNCTION @extschema@._model_access_check_bindable(profiles regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
BEGIN
    IF t.oid IS NULL THEN
        RAISE EXCEPTION 'relation with OID % does not exist', profiles USING ERRCODE = 'undefined_table';
    ELSIF t.relkind NOT IN ('r', 'p') OR t.relpersistence = 't'
        OR (t.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = t.oid)) THEN
        RAISE EXCEPTION '% cannot be bound', profiles
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'The table of the users must be partitioned, or an ordinary table from which no other inherits.',
                  HINT = 'Name the table that holds the users.';
    ELSIF EXISTS (SELECT FROM @extschema@._model_access_tree(t.oid) AS p JOIN pg_class AS c ON c.oid = p.id
                  WHERE c.relowner <> t.relowner) THEN
        RAISE EXCEPTION 'a partition of % belongs to another role', profiles
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'Code of the owner of a partition would run with the rights of the owner of the table.',
                  HINT = 'Give the partitions to the owner of the table: ALTER TABLE … OWNER TO.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_bindable(regclass) IS
    'Internal. Raises an error if a relation cannot be the table of the users.';

CREATE FUNCTION @extschema@._model_access_check_profiles(profiles regclass, id_column name, tier_column name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id_type   regtype := @extschema@._model_access_column_type(
        profiles::oid, @extschema@._model_access_column_number(profiles::oid, id_column));
    tier_type regtype := @extschema@._model_access_column_type(
        profiles::oid, @extschema@._model_access_column_number(profiles::oid, tier_column));
BEGIN
    IF num_nulls(profiles, id_column, tier_column) > 0 THEN
        RAISE EXCEPTION 'profiles, id_column and tier_column must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Name a table and two of its columns, as in '
                         'model_access_bind_profiles(''public.profiles'', ''id'', ''subscription_tier'').';
    END IF;
    PERFORM @extschema@._model_access_check_bindable(profiles);
    IF id_type IS NULL OR tier_type IS NULL THEN
        RAISE EXCEPTION 'column "%" of % does not exist', CASE WHEN id_type IS NULL THEN id_column ELSE tier_column END, profiles
            USING ERRCODE = 'undefined_column', HINT = 'Name the columns as id_column and tier_column.';
    ELSIF id_column = tier_column THEN
        RAISE EXCEPTION 'column "%" of % cannot be both id and tier', id_column, profiles
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name two columns as id_column and tier_column.';
    ELSIF @extschema@._model_access_key_kind(id_type) IS NULL THEN
        RAISE EXCEPTION 'column "%" of % has type %, which cannot be the key of a user', id_column, profiles, id_type
            USING ERRCODE = 'datatype_mismatch', HINT = 'A key is a uuid, a text, a varchar or an integer.';
    ELSIF EXISTS (SELECT FROM pg_attribute AS a JOIN pg_collation AS l ON l.oid = a.attcollation
                  WHERE a.attrelid = profiles AND a.attname = id_column AND NOT l.collisdeterministic) THEN
        RAISE EXCEPTION 'column "%" of % has a nondeterministic collation', id_column, profiles
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'An override for one spelling of a user would not apply to the others.',
                  HINT = 'Give the column a deterministic collation.';
    ELSIF tier_type <> ALL ('{text,character varying,character}'::regtype[])
        AND (SELECT y.typtype <> 'e' FROM pg_type AS y WHERE y.oid = tier_type) THEN
        RAISE EXCEPTION 'column "%" of % has type %, which cannot be a tier', tier_column, profiles, tier_type
            USING ERRCODE = 'datatype_mismatch', HINT = 'A tier is a text or an enum.';
    ELSIF NOT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam AND m.amname IN ('btree', 'hash')
        WHERE i.indrelid = profiles AND a.attname = id_column AND i.indisvalid AND i.indpred IS NULL) THEN
        RAISE EXCEPTION 'no index of % begins with column "%"', profiles, id_column
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Every lookup of a user would read the whole table.',
                  HINT = format('Create one: CREATE UNIQUE INDEX ON %s (%I)', profiles, id_column);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_profiles(regclass, name, name) IS
    'Internal. Raises an error if a table cannot be bound.';

CREATE FUNCTION @extschema@._model_access_binding_error() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b record;
BEGIN
    SELECT o.profiles, i.attname AS id_column, t.attname AS tier_column INTO b
    FROM @extschema@._model_access_bound AS o
    LEFT JOIN pg_attribute AS i ON i.attrelid = o.profiles AND i.attnum = o.id_number AND NOT i.attisdropped
    LEFT JOIN pg_attribute AS t ON t.attrelid = o.profiles AND t.attnum = o.tier_number AND NOT t.attisdropped;
    IF NOT FOUND THEN
        RETURN 'no table is bound';
    ELSIF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = b.profiles) THEN
        RETURN 'the bound table was dropped';
    ELSIF b.id_column IS NULL OR b.tier_column IS NULL THEN
        RETURN format('a bound column of %s was dropped', b.profiles);
    END IF;
    PERFORM @extschema@._model_access_check_profiles(b.profiles, b.id_column, b.tier_column);
    IF (SELECT u.bound FROM @extschema@._model_access_user('') AS u) THEN
        RETURN NULL;
    END IF;
    RETURN format('%s cannot be read as its owner', b.profiles);
EXCEPTION WHEN wrong_object_type OR datatype_mismatch OR feature_not_supported OR object_not_in_prerequisite_state THEN
    RETURN SQLERRM;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_binding_error() IS
    'Internal. Says why users cannot be looked up; NULL if they can.';

CREATE FUNCTION @extschema@._model_access_refresh_binding() RETURNS void
-- not LANGUAGE sql, which would plan the statement again in every run
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a dump needs the names, because columns have other numbers after a restore
    UPDATE @extschema@.model_access_binding AS b
    SET id_column = i.attname, tier_column = t.attname, table_id = b.profiles::oid, id_number = i.attnum, tier_number = t.attnum
    FROM @extschema@._model_access_bound AS o
    JOIN pg_attribute AS i ON i.attrelid = o.profiles AND i.attnum = o.id_number AND NOT i.attisdropped
    JOIN pg_attribute AS t ON t.attrelid = o.profiles AND t.attnum = o.tier_number AND NOT t.attisdropped
    WHERE (b.id_column, b.tier_column, b.table_id) IS DISTINCT FROM (i.attname, t.attname, b.profiles::oid);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refresh_binding() IS
    'Internal. Records the present names and numbers of the bound table and its columns.';

CREATE FUNCTION @extschema@._model_access_tier_writers() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE tables AS (
        SELECT b.profiles::oid AS table_id, a.attname AS tier, c.relowner AS owner
        FROM @extschema@._model_access_bound AS b
        JOIN pg_class AS c ON c.oid = b.profiles
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = b.tier_number
        UNION
        SELECT i.inhrelid, t.tier, t.owner FROM tables AS t JOIN pg_inherits AS i ON i.inhparent = t.table_id),
    writers AS (
        SELECT DISTINCT r.rolname, r.oid FROM tables AS t CROSS JOIN pg_roles AS r
        WHERE NOT r.rolsuper AND r.oid >= 16384 AND NOT pg_has_role(r.oid, t.owner, 'USAGE')
          AND has_column_privilege(r.oid, t.table_id, t.tier, 'UPDATE')
          AND NOT has_column_privilege(r.oid, '@extschema@.model_access', 'status', 'UPDATE'))
    SELECT string_agg(quote_ident(rolname), ', ' ORDER BY rolname) FROM writers;
END;
COMMENT ON FUNCTION @extschema@._model_access_tier_writers() IS
    'Internal. Names the roles that may UPDATE the bound tier column without being its owner or admins; NULL without such roles.';

CREATE FUNCTION @extschema@._model_access_users_without_tier() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted text[] := (
        SELECT @extschema@._model_access_unknown_tiers(b.profiles::oid, b.tier_number,
            coalesce(ARRAY(SELECT jsonb_object_keys(b.tier_map)), '{}')
                || CASE WHEN b.tier_map IS NULL THEN @extschema@._model_access_tiers() END)
        FROM @extschema@._model_access_bound AS b);
BEGIN
    RETURN CASE WHEN counted[1] <> '0' THEN format('%s, such as %L', counted[1], counted[2]) END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_users_without_tier() IS
    'Internal. Counts the users of the bound table in unknown tiers, with an example; NULL without such users.';

CREATE FUNCTION @extschema@._model_access_extension() RETURNS name
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT e.extname FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = '@extschema@.model_access'::regclass AND d.deptype = 'e';
END;
COMMENT ON FUNCTION @extschema@._model_access_extension() IS
    'Internal. Gives the name of the extension; NULL if the plain SQL script was run instead.';

CREATE FUNCTION @extschema@._model_access_announce_user() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- NULL if this is not the bound table or a partition of it, or if its columns have other numbers since a restore
    id      name := (
        SELECT a.attname FROM @extschema@.model_access_binding AS b
        JOIN pg_attribute AS i ON i.attrelid = b.profiles AND i.attnum = b.id_number
        JOIN pg_attribute AS a ON a.attrelid = TG_RELID AND a.attname = i.attname AND NOT a.attisdropped
        WHERE b.profiles::oid = b.table_id);
    key     text;
    new_key text;
BEGIN
    -- concat and not a cast: any role can make a cast, which would run here as the owner
    IF id = 'id' THEN
        -- faster than EXECUTE, for the name that most tables have
        key := concat(OLD.id);
        new_key := CASE TG_OP WHEN 'UPDATE' THEN concat(NEW.id) END;
    ELSIF id IS NOT NULL THEN
        EXECUTE format('SELECT concat(($1).%1$I), concat(($2).%1$I)', id) INTO key, new_key
            USING OLD, CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
    END IF;
    PERFORM @extschema@._model_access_notify_user(key::text);
    IF new_key <> key THEN
        PERFORM @extschema@._model_access_notify_user(new_key::text);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce_user() IS
    'Internal. Trigger function on the bound table that notifies of the user of a row.';

CREATE FUNCTION @extschema@._model_access_watches(profiles regclass) RETURNS TABLE (id oid, name name)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT t.oid, t.tgname FROM pg_trigger AS t
    WHERE t.tgrelid = profiles AND t.tgparentid = 0 AND t.tgfoid IN (
        '@extschema@._model_access_announce_user()'::regprocedure, '@extschema@._model_access_announce_always()'::regprocedure);
END;
COMMENT ON FUNCTION @extschema@._model_access_watches(regclass) IS
    'Internal. Lists the triggers on a table that _model_access_watch created.';

CREATE FUNCTION @extschema@._model_access_is_watched(profiles regclass, id_column name, tier_column name) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(*) = 3 AND bool_and(t.tgenabled IN ('O', 'A'))
        AND bool_and(@extschema@._model_access_extension() IS NULL OR EXISTS (
            SELECT FROM pg_depend AS d WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'x'))
        AND @extschema@._model_access_watched_column(profiles::oid, 1) = id_column
        AND @extschema@._model_access_watched_column(profiles::oid, 2) = tier_column
    FROM @extschema@._model_access_watches(profiles) AS w JOIN pg_trigger AS t ON t.oid = w.id;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_watched(regclass, name, name) IS
    'Internal. Tells whether a table has the triggers of _model_access_watch for these columns.';

CREATE FUNCTION @extschema@._model_access_watch(profiles regclass, id_column name, tier_column name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    extension name := @extschema@._model_access_extension();
    changed   text := format('FOR EACH ROW WHEN (OLD.%1$I IS DISTINCT FROM NEW.%1$I OR OLD.%2$I IS DISTINCT FROM NEW.%2$I)',
        id_column, tier_column);
    item      record;
BEGIN
    -- the strongest lock first: a session that holds a weaker one could end in a deadlock
    EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', profiles,
        CASE WHEN extension IS NULL THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END);
    -- other sessions now wait for this one, so it must not wait long for partitions
    PERFORM set_config('lock_timeout', '10ms', true);
    FOR item IN SELECT * FROM (VALUES
        ('model_access_announce_change', 'UPDATE', changed, 'user', 'of a changed tier'),
        ('model_access_announce_delete', 'DELETE', 'FOR EACH ROW', 'user', 'of a deleted user'),
        ('model_access_announce_truncate', 'TRUNCATE', '', 'always', 'of deleted users')) AS t(name, event, detail, whom, what)
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s %s EXECUTE FUNCTION %s._model_access_announce_%s()',
            item.name, item.event, profiles, item.detail, '@extschema@', item.whom);
        EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L',
            item.name, profiles, 'Notifies listeners of channel model_access ' || item.what || '.');
        -- they are not members of the extension, because a dump would not include them then; but DROP EXTENSION drops them
        IF extension IS NOT NULL THEN
            EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION %I', item.name, profiles, extension);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_watch(regclass, name, name) IS
    'Internal. Creates the triggers on a bound table that notify of changed tiers.';

CREATE FUNCTION @extschema@._model_access_unwatch(profiles regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF EXISTS (SELECT FROM @extschema@._model_access_watches(profiles)) THEN
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', profiles);
        PERFORM set_config('lock_timeout', '10ms', true);
    END IF;
    FOR item IN SELECT w.name FROM @extschema@._model_access_watches(profiles) AS w LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', item.name, profiles);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unwatch(regclass) IS 'Internal. Drops the triggers of _model_access_watch.';

CREATE FUNCTION @extschema@._model_access_lock_binding() RETURNS regclass
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE @extschema@.model_access_binding IN SHARE ROW EXCLUSIVE MODE;
    RETURN (SELECT b.profiles FROM @extschema@.model_access_binding AS b);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock_binding() IS
    'Internal. Locks the binding against others who bind, and returns the bound table.';

CREATE FUNCTION @extschema@._model_access_not_bound(tables regclass[], mine text, cause text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_not_locked(
        ARRAY['@extschema@.model_access_binding'::regclass, '@extschema@.model_access_override'::regclass]::oid[],
        ARRAY(SELECT t.id FROM unnest(tables) AS p(id) CROSS JOIN LATERAL @extschema@._model_access_tree(p.id::oid) AS t),
        mine, cause);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_not_bound(regclass[], text, text) IS
    'Internal. Raises error 55P03 for a table that could not be bound or unbound, and names who holds the lock.';

CREATE FUNCTION @extschema@.model_access_unbind_profiles() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine  text := @extschema@._model_access_limit_locks();
    bound regclass;
BEGIN
    bound := @extschema@._model_access_lock_binding();
    DELETE FROM @extschema@.model_access_binding;
    IF bound IS NOT NULL THEN
        PERFORM @extschema@._model_access_in_slices(format(
            'SELECT %s._model_access_unwatch(%L::regclass)', '@extschema@', bound));
        PERFORM @extschema@._model_access_notify();
    END IF;
    PERFORM set_config('lock_timeout', mine, true);
    RETURN bound IS NOT NULL;
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_bound(ARRAY[bound]::regclass[], mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_unbind_profiles() IS
    'Unbinds the table of the users, so that every user is unknown and may use no model; false if no table was bound.';

CREATE FUNCTION @extschema@._model_access_check_tier_map(tier_map jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong text;
BEGIN
    wrong := CASE WHEN jsonb_typeof(tier_map) <> 'object' THEN tier_map::text WHEN tier_map = '{}' THEN '{}'
        ELSE (SELECT format('%s: %s', to_jsonb(e.key), e.value) FROM jsonb_each(tier_map) AS e
              WHERE e.value <> ALL (SELECT to_jsonb(t) FROM unnest(@extschema@._model_access_tiers()) AS t)
              ORDER BY e.key LIMIT 1) END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid tier_map: %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'It must be a JSON object whose keys are values of the tier column, and whose values are tiers.',
                  HINT = 'Write it as in tier_map => ''{"BASIC": "free", "MAX": "pro"}'', or pass NULL where the column holds '
                         'the names of the tiers.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_tier_map(jsonb) IS
    'Internal. Raises error 22023 for a tier_map that does not map values to tiers.';

CREATE FUNCTION @extschema@._model_access_enum_without_tier() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
    FROM @extschema@._model_access_bound AS b
    JOIN pg_enum AS e ON e.enumtypid = @extschema@._model_access_column_type(b.profiles::oid, b.tier_number)
    HAVING NOT bool_or(CASE WHEN b.tier_map IS NULL THEN e.enumlabel = ANY (@extschema@._model_access_tiers())
                            ELSE b.tier_map ? e.enumlabel::text END);
END;
COMMENT ON FUNCTION @extschema@._model_access_enum_without_tier() IS
    'Internal. Lists the labels of the enum in the bound tier column if none of them is a tier; NULL otherwise.';

CREATE FUNCTION @extschema@._model_access_warn_of_profiles() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound   record;
    writers text := @extschema@._model_access_tier_writers();
    unknown text := @extschema@._model_access_users_without_tier();
    labels  text := @extschema@._model_access_enum_without_tier();
BEGIN
    SELECT b.profiles, a.attname AS tier_column INTO bound
    FROM @extschema@._model_access_bound AS b JOIN pg_attribute AS a ON a.attrelid = b.profiles AND a.attnum = b.tier_number;
    IF writers IS NOT NULL THEN
        RAISE WARNING 'column "%" of % can be updated by %', bound.tier_column, bound.profiles, writers
            USING DETAIL = 'Whoever may change a tier decides who may use which model. Row security restricts rows, not columns.',
                  HINT = format('REVOKE UPDATE ON %s from these roles, and GRANT UPDATE of the other columns.', bound.profiles);
    END IF;
    IF unknown IS NOT NULL THEN
        RAISE WARNING 'users of % are in unknown tiers: %', bound.profiles, unknown
            USING DETAIL = 'An unknown tier grants nothing; overrides still apply.',
                  HINT = 'Correct the tiers, or map these values to tiers with tier_map.';
    -- a table without users would otherwise pass without a warning
    ELSIF labels IS NOT NULL THEN
        RAISE WARNING 'no value of column "%" of % is a tier', bound.tier_column, bound.profiles
            USING DETAIL = format('Its type is an enum of %s. An unknown tier grants nothing.', labels),
                  HINT = 'Map these values to tiers with tier_map, as in tier_map => ''{"MAX": "pro"}''.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_warn_of_profiles() IS
    'Internal. Warns of roles that may change tiers, of users in unknown tiers, and of an enum without a tier.';

CREATE FUNCTION @extschema@._model_access_check_reader(profiles regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = profiles);
BEGIN
    IF NOT @extschema@._model_access_may_bind(owner) THEN
        RAISE EXCEPTION 'permission denied to read %', profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It is read as its owner, %s.', owner::regrole),
                  HINT = 'Call this as a superuser. Without the library, only tables of the owner of model_access can be read.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_reader(regclass) IS
    'Internal. Raises error 42501 if the caller may not have a table read as its owner.';

CREATE FUNCTION @extschema@.model_access_bind_profiles(
    profiles regclass, id_column name DEFAULT 'id', tier_column name DEFAULT 'subscription_tier',
    tier_map jsonb DEFAULT NULL, notify boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine   text := @extschema@._model_access_limit_locks();
    before regclass;
    id     smallint;
    tier   smallint;
BEGIN
    PERFORM @extschema@._model_access_check_profiles(profiles, id_column, tier_column);
    PERFORM @extschema@._model_access_check_tier_map(tier_map);
    IF notify IS NULL THEN
        RAISE EXCEPTION 'notify must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Pass true to be notified of changed tiers, or false to leave the table without triggers.';
    END IF;
    PERFORM @extschema@._model_access_check_reader(profiles);
    before := @extschema@._model_access_lock_binding();
    DELETE FROM @extschema@.model_access_binding;
    id := @extschema@._model_access_column_number(profiles::oid, id_column);
    tier := @extschema@._model_access_column_number(profiles::oid, tier_column);
    INSERT INTO @extschema@.model_access_binding (
        profiles, id_column, tier_column, tier_map, notify, key, table_id, id_number, tier_number)
    VALUES (profiles, id_column, tier_column, tier_map, notify,
        @extschema@._model_access_key_kind(@extschema@._model_access_column_type(profiles::oid, id)), profiles::oid, id, tier);
    PERFORM @extschema@._model_access_respell_overrides();
    PERFORM @extschema@._model_access_warn_of_profiles();
    PERFORM @extschema@._model_access_notify();
    -- last, because others cannot use the table from here until the transaction ends
    PERFORM @extschema@._model_access_in_slices(concat(
        CASE WHEN NOT notify OR before <> profiles THEN
            format('SELECT %s._model_access_unwatch(%L::regclass);', '@extschema@', before) END,
        CASE WHEN notify AND @extschema@._model_access_is_watched(profiles, id_column, tier_column) IS NOT TRUE THEN
            format('SELECT %s._model_access_watch(%L::regclass, %L::name, %L::name)',
                '@extschema@', profiles, id_column, tier_column) END));
    PERFORM set_config('lock_timeout', mine, true);
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_bound(ARRAY[before, profiles]::regclass[], mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_bind_profiles(regclass, name, name, jsonb, boolean) IS
    'Binds the table that has the users and their tiers, in place of the table that was bound before.';

-- file: library/lookup
-- Users are looked up in the bound table as its owner, in a security-restricted operation: src/as_owner.rs.

CREATE FUNCTION @extschema@._model_access_lookup(profiles oid, id_column smallint, tier_column smallint, user_id text)
RETURNS text[]
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_lookup_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_lookup(oid, smallint, smallint, text) IS
    'Internal. Gives the key and the tier of a user from the bound table; no values without exactly one row, NULL if unreadable.';

CREATE FUNCTION @extschema@._model_access_unknown_tiers(profiles oid, tier_column smallint, known text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_unknown_tiers_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_unknown_tiers(oid, smallint, text[]) IS
    'Internal. Gives the number of users in unknown tiers and the most frequent such tier; NULL if the table cannot be read.';

CREATE FUNCTION @extschema@._model_access_read(profiles oid, expressions text[], source text) RETURNS SETOF text[]
LANGUAGE c STABLE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', '_model_access_read_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_read(oid, text[], text) IS
    'Internal. Runs SELECT expressions FROM … as the owner of a table; error 42501 if the caller may not act as that owner.';

CREATE FUNCTION @extschema@._model_access_execute(profiles oid, statement text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', '_model_access_execute_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_execute(oid, text) IS
    'Internal. Runs a statement as the owner of a table and gives the number of rows; error 42501 as for _model_access_read.';

CREATE FUNCTION @extschema@._model_access_may_bind(owner oid) RETURNS boolean
LANGUAGE sql STABLE
RETURN pg_has_role(current_user, owner, 'USAGE');
COMMENT ON FUNCTION @extschema@._model_access_may_bind(oid) IS
    'Internal. Tells whether the current role may have a table of that owner read as its owner.';

CREATE FUNCTION @extschema@._model_access_as_committed(function regprocedure, user_id text, model_id text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_as_committed_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_as_committed(regprocedure, text, text) IS
    'Internal. Calls a STABLE function on what is committed now, also in a REPEATABLE READ transaction.';

-- file: script/lookup
-- Users are looked up in a table of the role that owns the tables of model_access: its code can do no more than that role.

CREATE FUNCTION @extschema@._model_access_may_bind(owner oid) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.relowner = owner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access_binding'::regclass;
END;
COMMENT ON FUNCTION @extschema@._model_access_may_bind(oid) IS
    'Internal. Tells whether a table of that owner may be bound: the owner must own the table model_access_binding too.';

CREATE FUNCTION @extschema@._model_access_is_readable(profiles oid) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- the table may have changed since it was bound
    SELECT bool_and(c.relkind IN ('r', 'p') AND @extschema@._model_access_may_bind(c.relowner))
    FROM @extschema@._model_access_tree(profiles) AS t JOIN pg_class AS c ON c.oid = t.id;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_readable(oid) IS
    'Internal. Tells whether a table may be bound, with its partitions; NULL if it does not exist.';

CREATE FUNCTION @extschema@._model_access_read(profiles oid, expressions text[], source text) RETURNS SETOF text[]
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF @extschema@._model_access_is_readable(profiles) THEN
        RETURN QUERY EXECUTE format('SELECT ARRAY[%s]::text[] %s', array_to_string(expressions, ', '), source);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_read(oid, text[], text) IS
    'Internal. Runs SELECT expressions FROM …, if the table may be bound.';

CREATE FUNCTION @extschema@._model_access_execute(profiles oid, statement text) RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM @extschema@._model_access_check_reader(profiles::regclass);
    EXECUTE statement;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_execute(oid, text) IS
    'Internal. Runs a statement that copies rows of a table, if the table may be bound, and gives the number of rows.';

CREATE FUNCTION @extschema@._model_access_printed(relation oid, column_number smallint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- concat and not a cast, because any role can make a cast; char(n) is padded
    SELECT format('CASE WHEN p.%1$I IS NOT NULL THEN %2$s END', a.attname,
        format(CASE WHEN a.atttypid = 'character'::regtype THEN 'rtrim(concat(p.%I))' ELSE 'concat(p.%I)' END, a.attname))
    FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum = column_number AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION @extschema@._model_access_printed(oid, smallint) IS
    'Internal. Gives the expression for a column of p as its type prints it.';

CREATE FUNCTION @extschema@._model_access_lookup(profiles oid, id_column smallint, tier_column smallint, user_id text)
RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id    text := (SELECT quote_ident(a.attname) FROM pg_attribute AS a
                   WHERE a.attrelid = profiles AND a.attnum = id_column AND NOT a.attisdropped);
    tier  text := @extschema@._model_access_printed(profiles, tier_column);
    kind  text := @extschema@._model_access_key_kind(@extschema@._model_access_column_type(profiles, id_column));
    key   text := CASE
        WHEN kind = 'text' THEN quote_literal(user_id)
        WHEN kind = 'uuid' AND user_id ~ '^([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}$' THEN quote_literal(user_id) || '::uuid'
        -- in two steps: what has too many digits must not be read as a number
        WHEN kind = 'integer' AND user_id ~ '^-?[0-9]{1,19}$' THEN
            CASE WHEN user_id::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
                 THEN quote_literal(user_id) || '::bigint' END
    END;
    found text[];
BEGIN
    IF kind IS NULL OR tier IS NULL OR @extschema@._model_access_is_readable(profiles) IS NOT TRUE THEN
        RETURN NULL;
    ELSIF key IS NOT NULL THEN
        EXECUTE format('SELECT CASE WHEN count(*) = 1 THEN min(r) END FROM ('
            'SELECT ARRAY[concat(p.%2$s), %3$s]::text[] AS r FROM %1$s AS p WHERE p.%2$s = %4$s LIMIT 2) AS l',
            profiles::regclass, id, tier, key) INTO found;
    END IF;
    RETURN coalesce(found, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lookup(oid, smallint, smallint, text) IS
    'Internal. Gives the key and the tier of a user from the bound table; no values without exactly one row, NULL if unreadable.';

CREATE FUNCTION @extschema@._model_access_unknown_tiers(profiles oid, tier_column smallint, known text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted text := format('(SELECT %s AS tier, count(*) AS users FROM %s AS p GROUP BY 1)',
        @extschema@._model_access_printed(profiles, tier_column), profiles::regclass);
BEGIN
    RETURN coalesce((SELECT r FROM @extschema@._model_access_read(profiles, '{sum(t.users) OVER (),t.tier}'::text[],
        format('FROM %s AS t WHERE t.tier <> ALL (%L::text[]) ORDER BY t.users DESC, t.tier LIMIT 1', counted, known)) AS r),
        '{0,NULL}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unknown_tiers(oid, smallint, text[]) IS
    'Internal. Gives the number of users in unknown tiers and the most frequent such tier.';

CREATE FUNCTION @extschema@._model_access_as_committed(function regprocedure, user_id text, model_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- without the library, a REPEATABLE READ transaction is judged by its snapshot
    RETURN @extschema@._model_access_refusal(user_id, model_id);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_as_committed(regprocedure, text, text) IS 'Internal. Calls _model_access_refusal.';

CREATE FUNCTION @extschema@._model_access_primary() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('%s port %s', r.sender_host, r.sender_port) FROM pg_stat_wal_receiver AS r WHERE r.sender_host IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_primary() IS
    'Internal. Gives host and port of the primary, on a standby that receives WAL from it, to a role that may see them.';

-- file: access/override
-- Exceptions for single users, written by plain DML: each allows or denies a model or a whole provider, for a time.

CREATE SEQUENCE @extschema@.model_access_override_override_id_seq;
COMMENT ON SEQUENCE @extschema@.model_access_override_override_id_seq IS 'Numbers the overrides.';

CREATE TABLE @extschema@.model_access_override (
    user_id     text NOT NULL,
    model_id    text,
    allowed     boolean NOT NULL,
    expires_at  timestamptz,
    note        text,
    provider    text,
    starts_at   timestamptz,
    override_id bigint PRIMARY KEY DEFAULT nextval('@extschema@.model_access_override_override_id_seq'),
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text NOT NULL DEFAULT current_user,
    CHECK (num_nonnulls(model_id, provider) = 1),
    CHECK (expires_at > starts_at)
);
ALTER SEQUENCE @extschema@.model_access_override_override_id_seq OWNED BY @extschema@.model_access_override.override_id;
-- allowed comes second, so that a scan gives the denials of a user first
CREATE INDEX model_access_override_user_id_idx ON @extschema@.model_access_override (user_id, allowed);

COMMENT ON TABLE @extschema@.model_access_override IS
    'Exceptions for single users, written by plain DML: each allows or denies a model or a provider, for a time.';
COMMENT ON COLUMN @extschema@.model_access_override.user_id IS 'The user, spelled as in the key of the bound table.';
COMMENT ON COLUMN @extschema@.model_access_override.model_id IS 'The model; NULL for an override of a provider.';
COMMENT ON COLUMN @extschema@.model_access_override.allowed IS
    'true allows what the tier does not, false denies what the tier allows.';
COMMENT ON COLUMN @extschema@.model_access_override.expires_at IS 'When it ends; NULL = never.';
COMMENT ON COLUMN @extschema@.model_access_override.note IS 'Free text of an admin; NULL = none.';
COMMENT ON COLUMN @extschema@.model_access_override.provider IS
    'The provider, for all its present and future models; NULL for an override of a model.';
COMMENT ON COLUMN @extschema@.model_access_override.starts_at IS 'When it starts; NULL = at once.';
COMMENT ON COLUMN @extschema@.model_access_override.override_id IS 'The number of the override.';
COMMENT ON COLUMN @extschema@.model_access_override.created_at IS 'When it was created.';
COMMENT ON COLUMN @extschema@.model_access_override.created_by IS 'The role that created it.';

CREATE FUNCTION @extschema@._model_access_user_key(user_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := (SELECT b.key FROM @extschema@.model_access_binding AS b);
BEGIN
    -- needs no lookup: a uuid or an integer has one spelling, and a deterministic collation has no two equal texts
    IF kind IS NULL OR kind = 'text' THEN
        RETURN user_id;
    END IF;
    BEGIN
        -- IF and not CASE: the planner would evaluate both casts of a CASE
        IF kind = 'uuid' THEN
            RETURN user_id::uuid::text;
        END IF;
        RETURN user_id::bigint::text;
    EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
        RETURN NULL;
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_user_key(text) IS
    'Internal. Gives a user id as the bound table spells it; NULL if it cannot be a key of that table.';

CREATE FUNCTION @extschema@._model_access_check_override() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    spelling text;
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_override'::regclass);
    spelling := @extschema@._model_access_user_key(NEW.user_id);
    IF num_nonnulls(NEW.model_id, NEW.provider) <> 1 THEN
        RAISE EXCEPTION 'an override must name either a model or a provider'
            USING ERRCODE = 'check_violation', HINT = 'Set model_id or provider, not both.';
    ELSIF NEW.user_id IS NULL OR NEW.user_id = '' OR NEW.allowed IS NULL THEN
        RAISE EXCEPTION 'an override must have values for user_id and allowed'
            USING ERRCODE = 'not_null_violation', HINT = 'Set user_id to the key of a user, and allowed to true or false.';
    ELSIF NEW.expires_at <= NEW.starts_at THEN
        RAISE EXCEPTION 'an override must not expire before it starts'
            USING ERRCODE = 'check_violation', HINT = 'Set starts_at to NULL for at once, or expires_at to NULL for ever.';
    ELSIF spelling IS NULL THEN
        RAISE EXCEPTION 'invalid user_id for the bound table: "%"', NEW.user_id
            USING ERRCODE = 'invalid_text_representation', HINT = 'Write user_id as the key of a user in that table.';
    END IF;
    NEW.user_id := spelling;
    IF NEW.model_id IS NOT NULL THEN
        PERFORM FROM @extschema@.model_access AS m WHERE m.model_id = NEW.model_id;
    ELSE
        PERFORM FROM @extschema@.model_access AS m WHERE m.provider = NEW.provider LIMIT 1;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% "%" does not exist',
            CASE WHEN NEW.model_id IS NULL THEN 'provider' ELSE 'model' END, coalesce(NEW.model_id, NEW.provider)
            USING ERRCODE = 'foreign_key_violation', HINT = 'Names must match exactly; look them up in model_access.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_override() IS
    'Internal. Trigger function that refuses an override that matches nothing, and spells its user as the bound table does.';

CREATE FUNCTION @extschema@._model_access_check_creation() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to set created_at or created_by'
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'An override that is older than its transaction is neither checked nor recorded.',
                  HINT = 'Leave both columns out: their defaults are the time and the role.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_creation() IS
    'Internal. Trigger function that lets only the owner say when and by whom an override was created.';

CREATE TRIGGER model_access_check_creation BEFORE INSERT ON @extschema@.model_access_override
    FOR EACH ROW WHEN (NEW.created_at IS DISTINCT FROM pg_catalog.now() OR NEW.created_by IS DISTINCT FROM current_user::text)
    EXECUTE FUNCTION @extschema@._model_access_check_creation();
COMMENT ON TRIGGER model_access_check_creation ON @extschema@.model_access_override IS
    'Lets only the owner say when and by whom an override was created, whatever rights other roles have.';

-- rows of a restored dump are older than its transaction and were checked before; an import sets created_at likewise
CREATE TRIGGER model_access_check_insert BEFORE INSERT ON @extschema@.model_access_override
    FOR EACH ROW WHEN (NEW.created_at IS NOT DISTINCT FROM pg_catalog.now())
    EXECUTE FUNCTION @extschema@._model_access_check_override();
CREATE TRIGGER model_access_check_update BEFORE UPDATE ON @extschema@.model_access_override
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_check_override();
COMMENT ON TRIGGER model_access_check_insert ON @extschema@.model_access_override IS
    'Refuses an override that matches nothing, and spells its user as the bound table does.';
COMMENT ON TRIGGER model_access_check_update ON @extschema@.model_access_override IS
    'Does the same for an override that is changed.';

CREATE TRIGGER model_access_number BEFORE INSERT ON @extschema@.model_access_override
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_number();
COMMENT ON TRIGGER model_access_number ON @extschema@.model_access_override IS
    'Lets no override get a number that another one has, whatever the sequence says.';

CREATE FUNCTION @extschema@._model_access_respell_overrides() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    -- the trigger writes the new spelling; a user_id that cannot be a key of that table stays, and matches nobody
    UPDATE @extschema@.model_access_override AS o SET user_id = o.user_id
    WHERE @extschema@._model_access_user_key(o.user_id) <> o.user_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_respell_overrides() IS
    'Internal. Spells the users of overrides as a newly bound table does.';

CREATE FUNCTION @extschema@._model_access_record_override() RETURNS trigger
-- enable_nestloop: PostgreSQL keeps the plan that it made for the first statement, which may have changed one row
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_override'::regclass);
    IF TG_OP = 'INSERT' THEN
        -- the history already has those of a restored dump or of an import
        INSERT INTO @extschema@.model_access_history (model_id, user_id, at, old, new)
        SELECT n.model_id, n.user_id, at, '{}', jsonb_build_object('override', to_jsonb(n))
        FROM new_rows AS n WHERE n.created_at = now() ORDER BY n.override_id;
        PERFORM @extschema@._model_access_notify_user(n.user_id::text) FROM new_rows AS n WHERE n.created_at = now();
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO @extschema@.model_access_history (model_id, user_id, at, old, new)
        SELECT o.model_id, o.user_id, at, jsonb_build_object('override', to_jsonb(o)), '{}'
        FROM old_rows AS o ORDER BY o.override_id;
        PERFORM @extschema@._model_access_notify_user(o.user_id::text) FROM old_rows AS o;
    ELSIF TG_OP = 'TRUNCATE' THEN
        -- this trigger runs before the TRUNCATE, while the rows exist
        INSERT INTO @extschema@.model_access_history (model_id, user_id, at, old, new)
        SELECT o.model_id, o.user_id, at, jsonb_build_object('override', to_jsonb(o)), '{}'
        FROM @extschema@.model_access_override AS o ORDER BY o.override_id;
        IF FOUND THEN
            PERFORM @extschema@._model_access_notify();
        END IF;
    ELSE
        INSERT INTO @extschema@.model_access_history (model_id, user_id, at, old, new)
        SELECT n.model_id, n.user_id, at,
            jsonb_build_object('override', to_jsonb(o)), jsonb_build_object('override', to_jsonb(n))
        FROM old_rows AS o JOIN new_rows AS n ON n.override_id = o.override_id WHERE o IS DISTINCT FROM n
        ORDER BY n.override_id;
        PERFORM @extschema@._model_access_notify_user(u.key::text)
        FROM old_rows AS o JOIN new_rows AS n ON n.override_id = o.override_id AND o IS DISTINCT FROM n
        CROSS JOIN LATERAL (VALUES (o.user_id), (n.user_id)) AS u(key);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_record_override() IS
    'Internal. Trigger function that records changes of overrides in model_access_history, and notifies of their users.';

CREATE TRIGGER model_access_record_insert AFTER INSERT ON @extschema@.model_access_override
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_override();
CREATE TRIGGER model_access_record_update AFTER UPDATE ON @extschema@.model_access_override
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_override();
CREATE TRIGGER model_access_record_delete AFTER DELETE ON @extschema@.model_access_override
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_override();
CREATE TRIGGER model_access_record_truncate BEFORE TRUNCATE ON @extschema@.model_access_override
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_override();
COMMENT ON TRIGGER model_access_record_insert ON @extschema@.model_access_override IS
    'Records new overrides in model_access_history, and notifies.';
COMMENT ON TRIGGER model_access_record_update ON @extschema@.model_access_override IS
    'Records changed overrides in model_access_history, and notifies.';
COMMENT ON TRIGGER model_access_record_delete ON @extschema@.model_access_override IS
    'Records deleted overrides in model_access_history, and notifies.';
COMMENT ON TRIGGER model_access_record_truncate ON @extschema@.model_access_override IS
    'Records truncated overrides in model_access_history, and notifies.';

CREATE VIEW @extschema@._model_access_override_in_force AS
SELECT user_id, model_id, provider, allowed, expires_at FROM @extschema@.model_access_override
WHERE (starts_at IS NULL OR starts_at <= clock_timestamp()) AND (expires_at IS NULL OR expires_at > clock_timestamp());
COMMENT ON VIEW @extschema@._model_access_override_in_force IS 'Internal. The overrides that have started and not ended.';

-- file: access/users
-- The answers for a user. The tier is read from the bound table of users, and overrides change what it allows.

CREATE FUNCTION @extschema@._model_access_lookup_restored(user_id text) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT @extschema@._model_access_lookup(b.profiles::oid, b.id_number, b.tier_number, _model_access_lookup_restored.user_id)
    FROM @extschema@._model_access_bound AS b;
END;
COMMENT ON FUNCTION @extschema@._model_access_lookup_restored(text) IS
    'Internal. Looks up a user in the bound table by _model_access_lookup, also after a restore.';

CREATE FUNCTION @extschema@._model_access_user(user_id text) RETURNS TABLE (user_key text, tier text, bound boolean)
-- SQL without SET, so that PostgreSQL inlines it. user_key is the user as the bound table spells it, and NULL for an unknown
-- user. tier is NULL for an unknown user and for an unknown tier.
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.found[1],
        CASE WHEN l.tier_map IS NOT NULL THEN l.tier_map ->> l.found[2]
             WHEN l.found[2] = ANY (@extschema@._model_access_tiers()) THEN l.found[2] END,
        l.found IS NOT NULL
    FROM (
        -- as in _model_access_bound, but without the costly part for a restored binding
        SELECT b.tier_map, CASE WHEN b.profiles::oid = b.table_id
            THEN @extschema@._model_access_lookup(b.profiles::oid, b.id_number, b.tier_number, _model_access_user.user_id)
            ELSE @extschema@._model_access_lookup_restored(_model_access_user.user_id) END AS found
        FROM @extschema@.model_access_binding AS b
        -- the table has at most one row; LIMIT makes PostgreSQL look up the user once, and not for each use of found
        LIMIT 1) AS l;
END;
COMMENT ON FUNCTION @extschema@._model_access_user(text) IS
    'Internal. Gives the key and the tier of a user, NULL if unknown, and whether the table can be read; no row without a table.';

CREATE FUNCTION @extschema@._model_access_terms(user_id text, OUT rank integer, OUT models jsonb, OUT providers jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u record;
BEGIN
    SELECT p.*, EXISTS (SELECT FROM @extschema@.model_access_override AS o WHERE o.user_id = p.user_key) AS has_overrides
    INTO u FROM @extschema@._model_access_user(_model_access_terms.user_id) AS p;
    rank := @extschema@._model_access_rank(u.tier);
    -- most users have no overrides
    IF u.has_overrides THEN
        -- deny beats allow: false comes last, and the last value of a key stays
        SELECT jsonb_object_agg(o.model_id, o.allowed ORDER BY o.allowed DESC) FILTER (WHERE o.model_id IS NOT NULL),
            jsonb_object_agg(o.provider, o.allowed ORDER BY o.allowed DESC) FILTER (WHERE o.provider IS NOT NULL)
        INTO models, providers FROM @extschema@._model_access_override_in_force AS o WHERE o.user_id = u.user_key;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_terms(text) IS
    'Internal. Gives the rank of the tier of a user, and whether overrides allow or deny each model and provider; NULL for none.';

CREATE FUNCTION @extschema@.models_for_user(user_id text) RETURNS SETOF @extschema@.model_access_visible
-- SQL without SET, so that PostgreSQL inlines it and need not store the list
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT v.*
    FROM @extschema@._model_access_terms(models_for_user.user_id) AS u
    CROSS JOIN @extschema@._model_access_active AS m CROSS JOIN LATERAL @extschema@._model_access_shown(m) AS v
    -- false if an override denies, NULL if there is none
    WHERE coalesce(
        (u.models -> m.model_id)::boolean AND (u.providers -> m.provider)::boolean,
        (u.models -> m.model_id)::boolean, (u.providers -> m.provider)::boolean, m.rank <= u.rank);
END;
COMMENT ON FUNCTION @extschema@.models_for_user(text) IS
    'Lists the models that a user may use, by the tier in the bound table and the overrides of the user.';

CREATE FUNCTION @extschema@.model_access_entries_for_user(user_id text, only_model text DEFAULT NULL)
    RETURNS TABLE (model_id text, provider text, entry jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH allowed AS MATERIALIZED (
        SELECT v.model_id, v.provider, v.name, v.pricing
        FROM @extschema@.models_for_user(model_access_entries_for_user.user_id) AS v)
    SELECT a.model_id, a.provider, CASE
            WHEN m.upstream IS NULL THEN jsonb_build_object('id', a.model_id, 'name', a.name, 'pricing', a.pricing)
            -- the row still has the last price that could be read
            WHEN m.price_unreadable_since IS NOT NULL THEN e.entry || jsonb_build_object('pricing', a.pricing)
            ELSE e.entry END
    FROM allowed AS a JOIN @extschema@.model_access AS m ON m.model_id = a.model_id
    -- an alias names its target only to those who may use the target
    CROSS JOIN LATERAL (SELECT CASE
        WHEN m.upstream ? 'alias_target' AND NOT EXISTS (SELECT FROM allowed AS t WHERE t.model_id = m.alias_of)
        THEN m.upstream - 'alias_target' ELSE m.upstream END) AS e(entry)
    WHERE only_model IS NULL OR a.model_id = only_model;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_entries_for_user(text, text) IS
    'Lists the upstream entries of the models that a user may use, or of one of them, for clients of OpenRouter.';

CREATE FUNCTION @extschema@.model_allowed_for_user(user_id text, model_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- the rule of models_for_user for one model, in one statement that looks up three indexes
    PERFORM FROM @extschema@._model_access_user(model_allowed_for_user.user_id) AS u
    CROSS JOIN @extschema@._model_access_active AS m
    WHERE m.model_id = model_allowed_for_user.model_id AND coalesce(
        (SELECT o.allowed FROM @extschema@._model_access_override_in_force AS o
         WHERE o.user_id = u.user_key AND (o.model_id = m.model_id OR o.provider = m.provider)
         -- false, which denies, sorts first
         ORDER BY o.allowed LIMIT 1),
        m.rank <= @extschema@._model_access_rank(u.tier));
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.model_allowed_for_user(text, text) IS
    'Tells whether a user may use a model, by the rule of models_for_user.';

CREATE FUNCTION @extschema@.model_access_explain_for_user(user_id text, model_id text, OUT allowed boolean, OUT reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' AS $$
DECLARE
    u        record;
    override record;
BEGIN
    SELECT * INTO u FROM @extschema@._model_access_user(model_access_explain_for_user.user_id);
    allowed := @extschema@.model_allowed_for_user(user_id, model_id);
    SELECT o.allowed, o.expires_at INTO override
    FROM @extschema@._model_access_active AS m
    JOIN @extschema@._model_access_override_in_force AS o ON o.model_id = m.model_id OR o.provider = m.provider
    WHERE m.model_id = model_access_explain_for_user.model_id AND o.user_id = u.user_key
    ORDER BY o.allowed, o.expires_at DESC NULLS FIRST LIMIT 1;
    reason := CASE
        WHEN u.user_key IS NULL THEN coalesce('unknown user: ' || @extschema@._model_access_binding_error(), 'unknown user')
        WHEN FOUND THEN concat(CASE WHEN override.allowed THEN 'allowed' ELSE 'denied' END, ' to this user',
            ' until ' || nullif(date_trunc('second', override.expires_at), 'infinity'))
        ELSE @extschema@._model_access_reason(u.tier, model_id)
    END;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_explain_for_user(text, text) IS
    'Tells whether a user may use a model, and why, as a text for people.';

CREATE FUNCTION @extschema@.model_access_user(
    user_id text, OUT known boolean, OUT tier text, OUT valid_until timestamptz, OUT bound boolean, OUT bucket integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u record;
BEGIN
    SELECT * INTO u FROM @extschema@._model_access_user(model_access_user.user_id);
    known := u.user_key IS NOT NULL;
    tier := u.tier;
    bound := u.bound IS TRUE;
    bucket := @extschema@._model_access_bucket(u.user_key);
    valid_until := (
        SELECT least(min(o.starts_at) FILTER (WHERE o.starts_at > clock_timestamp() AND isfinite(o.starts_at)),
                     min(o.expires_at) FILTER (WHERE o.expires_at > clock_timestamp() AND isfinite(o.expires_at)))
        FROM @extschema@.model_access_override AS o WHERE o.user_id = u.user_key);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_user(text) IS
    'Tells whether a user is known, the tier, when an override of the user next starts or ends, whether users can be looked up '
    'at all, and the bucket by which notifications name the user.';

CREATE FUNCTION @extschema@._model_access_me() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    claims text := nullif(current_setting('request.jwt.claims', true), '');
BEGIN
    -- older releases of PostgREST set one parameter for each claim; request.jwt.claims counts if it is set
    RETURN nullif(CASE WHEN claims IS NULL THEN current_setting('request.jwt.claim.sub', true)
        ELSE claims::jsonb ->> 'sub' END, '');
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_me() IS
    'Internal. Gives the claim sub of the request, as PostgREST sets it; NULL if the request has none.';

CREATE FUNCTION @extschema@.models_for_me() RETURNS SETOF @extschema@.model_access_visible
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.models_for_user(@extschema@._model_access_me());
END
$$;
COMMENT ON FUNCTION @extschema@.models_for_me() IS
    'Lists the models that the user of a PostgREST request may use; the claim sub names the user.';

-- file: access/enforce
-- The parts that both forms of the trigger model_access_enforce share. It refuses rows in an application's own tables.

CREATE FUNCTION @extschema@._model_access_refusal(user_id text, model_id text) RETURNS text
-- no SET, which would cost time for every row: nothing here is found by the search path
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF @extschema@.model_allowed_for_user(user_id, model_id) THEN
        RETURN '';
    END IF;
    RETURN (SELECT e.reason FROM @extschema@.model_access_explain_for_user(user_id, model_id) AS e);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refusal(text, text) IS
    'Internal. Says why a user may not use a model; empty if the user may.';

CREATE FUNCTION @extschema@._model_access_refuse(user_id text, model_id text, why text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'user % may not use model "%"', coalesce('"' || user_id || '"', 'NULL'), model_id
        USING ERRCODE = 'insufficient_privilege', DETAIL = upper(left(why, 1)) || substr(why, 2) || '.',
              HINT = 'The function models_for_user lists the models that a user may use.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refuse(text, text, text) IS
    'Internal. Raises error 42501 that says why a user may not use a model.';

CREATE FUNCTION @extschema@._model_access_check_enforce(relation oid, name name, event text, columns text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(cardinality(columns), 0) <> 2 OR event !~ '^(BEFORE|AFTER) (INSERT|UPDATE) ROW$' THEN
        RAISE EXCEPTION 'invalid definition of trigger "%" of %', name, relation::regclass
            USING ERRCODE = 'trigger_protocol_violated',
                  DETAIL = 'model_access_enforce needs a row trigger for INSERT or UPDATE and the names of two columns.',
                  HINT = 'Create it with: CREATE TRIGGER … AFTER INSERT OR UPDATE OF user_id, model_id ON … FOR EACH ROW '
                         'EXECUTE FUNCTION model_access_enforce(''user_id'', ''model_id'')';
    ELSIF (SELECT count(*) <> cardinality(columns) FROM unnest(columns) AS c(name)
           JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped) THEN
        -- TG_ARGV counts from 0
        RAISE EXCEPTION 'column "%" or "%" of % does not exist', columns[0], columns[1], relation::regclass
            USING ERRCODE = 'undefined_column', DETAIL = format('Trigger "%s" names both.', name),
                  HINT = 'Pass the names of the columns that hold the user and the model to model_access_enforce.';
    ELSIF EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = ANY (columns)
          -- since PostgreSQL 18 a column can be virtual: triggers see NULL in it
          AND (a.attgenerated = 'v' OR event LIKE 'BEFORE %' AND a.attgenerated <> '')) THEN
        RAISE EXCEPTION 'trigger "%" of % cannot read a generated column', name, relation::regclass
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A stored column is computed after BEFORE triggers have run, a virtual one only in queries.',
                  HINT = 'Make the column STORED and the trigger an AFTER trigger.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_enforce(oid, name, text, text[]) IS
    'Internal. Raises an error if model_access_enforce cannot serve a trigger as it is defined.';

-- file: library/enforce
-- The trigger for an application's own tables, where the library reads the row.

-- record and not anyelement: PostgreSQL prefers a function that takes exactly the type of the argument
CREATE FUNCTION @extschema@._model_access_values(row_in_row record, moment text, columns text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL SAFE STRICT AS 'MODULE_PATHNAME', '_model_access_values_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_values(record, text, text[]) IS
    'Internal. Gives two columns of the row in a row as their types print them; NULL if a trigger cannot read both.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- ROW(NEW) is a record, while NEW::record keeps the type of its table: PostgreSQL would prefer an overload for that type,
    -- which anybody may have made, and run it with the rights of the owner. NULL if the trigger has no such row.
    new_values CONSTANT text[] := @extschema@._model_access_values(ROW(NEW), TG_WHEN, TG_ARGV);
    old_values CONSTANT text[] := @extschema@._model_access_values(ROW(OLD), TG_WHEN, TG_ARGV);
    why        text;
BEGIN
    -- a trigger that cannot read both columns has NULL here too
    IF new_values[1] IS NULL OR new_values[2] IS NULL THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    -- a row without a model uses none, and a row that keeps its user and model was accepted before
    IF new_values[2] IS NOT NULL AND new_values IS DISTINCT FROM old_values THEN
        -- by assignment, which PL/pgSQL evaluates without a query
        why := @extschema@._model_access_as_committed(
            '@extschema@._model_access_refusal(text,text)'::regprocedure, coalesce(new_values[1], ''), new_values[2]);
        IF why <> '' THEN
            PERFORM @extschema@._model_access_refuse(new_values[1], new_values[2], why);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_enforce() IS
    'Trigger function that refuses a row whose user may not use its model; its arguments name the columns of both.';

-- file: script/enforce
-- The trigger for an application's own tables, where a query reads the row, since there is no library.

CREATE FUNCTION @extschema@._model_access_values_query(relation oid, moment text, columns text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- concat and not a cast, because any role can make a cast, which would run with the owner's rights; and only columns that
    -- exist, since ($1).name calls a function of that name otherwise; before the row is stored, a generated column holds what
    -- an earlier trigger wrote there
    SELECT format('SELECT ARRAY[%s]::text[]', string_agg(CASE
        WHEN a.attname IS NULL THEN 'NULL'
        ELSE format('CASE WHEN ($1).%1$I IS NOT NULL THEN concat(($1).%1$I) END', a.attname) END, ', ' ORDER BY c.n))
    FROM unnest(columns) WITH ORDINALITY AS c(name, n)
    LEFT JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attgenerated = '' OR moment <> 'BEFORE')
$$;
COMMENT ON FUNCTION @extschema@._model_access_values_query(oid, text, text[]) IS
    'Internal. Gives a query for columns of the row $1 as their types print them; NULL for one that a trigger cannot read.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_values text[];
    old_values text[];
    why        text;
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') AND TG_LEVEL = 'ROW' THEN
        EXECUTE @extschema@._model_access_values_query(TG_RELID, TG_WHEN, TG_ARGV) INTO new_values USING NEW;
    END IF;
    -- a column that cannot be read gives NULL
    IF new_values[1] IS NULL OR new_values[2] IS NULL OR TG_NARGS <> 2 OR TG_WHEN = 'INSTEAD OF' THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        EXECUTE @extschema@._model_access_values_query(TG_RELID, TG_WHEN, TG_ARGV) INTO old_values USING OLD;
    END IF;
    -- a row without a model uses none, and a row that keeps its user and model was accepted before
    IF new_values[2] IS NOT NULL AND new_values IS DISTINCT FROM old_values THEN
        -- by assignment, which PL/pgSQL evaluates without a query
        why := @extschema@._model_access_as_committed(
            '@extschema@._model_access_refusal(text,text)'::regprocedure, coalesce(new_values[1], ''), new_values[2]);
        IF why <> '' THEN
            PERFORM @extschema@._model_access_refuse(new_values[1], new_values[2], why);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_enforce() IS
    'Trigger function that refuses a row whose user may not use its model; its arguments name the columns of both.';

-- file: access/as_of
-- Lists what a tier saw at a moment in the past. It begins with the present rows and takes back the changes in the history. So it
-- is exact, except for transactions that were open at that moment.

CREATE FUNCTION @extschema@._model_access_last_change(at timestamptz) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- by the order of the history: the clock may have been set back. Changes whose time is in the future were made before now.
    SELECT l.id FROM (
        SELECT coalesce((SELECT h.history_id FROM @extschema@.model_access_history AS h
            WHERE h.at <= _model_access_last_change.at ORDER BY h.history_id DESC LIMIT 1), 0)) AS l(id)
    WHERE EXISTS (
        SELECT FROM @extschema@.model_access_history AS h WHERE h.history_id > l.id AND h.at <= clock_timestamp());
END;
COMMENT ON FUNCTION @extschema@._model_access_last_change(timestamptz) IS
    'Internal. Gives the last change up to a moment (0 = none before it), or NULL if nothing has changed since.';

CREATE FUNCTION @extschema@._model_access_as_of(at timestamptz) RETURNS SETOF @extschema@.model_access
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT r.*
    FROM @extschema@.model_access AS m
    LEFT JOIN (
        -- the value of each column before its first change after that moment
        SELECT f.model_id, jsonb_object_agg(f.key, f.value) AS columns
        FROM (
            SELECT DISTINCT ON (h.model_id, o.key) h.model_id, o.key, o.value
            FROM @extschema@.model_access_history AS h CROSS JOIN LATERAL jsonb_each(h.old) AS o
            WHERE h.history_id > @extschema@._model_access_last_change(_model_access_as_of.at)
            ORDER BY h.model_id, o.key, h.history_id) AS f
        GROUP BY f.model_id) AS past ON past.model_id = m.model_id
    CROSS JOIN LATERAL jsonb_populate_record(m, coalesce(past.columns, '{}')) AS r;
END;
COMMENT ON FUNCTION @extschema@._model_access_as_of(timestamptz) IS
    'Internal. Gives the rows as they were then, but the present upstream, fingerprint, entry_hash, changed_at and last_run_id.';

CREATE FUNCTION @extschema@._model_access_history_from() RETURNS timestamptz
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- A model starts as new, in no tier, so the history is whole if its first row is the first change. Otherwise the owner has
    -- deleted its beginning, or all of it.
    SELECT CASE
        WHEN f.history_id > 1 THEN greatest(f.at, i.at)
        WHEN f.history_id IS NULL AND pg_sequence_last_value('@extschema@.model_access_history_history_id_seq'::regclass) > 0
            THEN 'infinity'
        ELSE i.at END
    FROM (SELECT min(m.first_seen_at) FROM @extschema@.model_access AS m) AS i(at)
    LEFT JOIN (SELECT h.history_id, h.at FROM @extschema@.model_access_history AS h ORDER BY h.history_id LIMIT 1) AS f ON true;
END;
COMMENT ON FUNCTION @extschema@._model_access_history_from() IS
    'Internal. Gives the moment from which the rows and the history say how the models were; infinity = the history is gone.';

CREATE FUNCTION @extschema@._model_access_check_moment(at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    earliest CONSTANT timestamptz := @extschema@._model_access_history_from();
BEGIN
    IF at > clock_timestamp() THEN
        RAISE EXCEPTION 'at must not be in the future: %', at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a moment in the past.';
    ELSIF at < earliest THEN
        RAISE EXCEPTION 'the history does not reach back to %', at
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = CASE WHEN isfinite(earliest)
                      THEN 'The first model was inserted later, or earlier rows have been deleted.'
                      ELSE 'Its rows have been deleted, and nothing has changed since.' END,
                  HINT = CASE WHEN isfinite(earliest) THEN format('Name a moment from %s on.', earliest)
                      ELSE 'For the present, use models_for_tier.' END;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_moment(timestamptz) IS
    'Internal. Raises 22023 if the rows and the history do not say how the models were at that moment; otherwise true.';

CREATE FUNCTION @extschema@.models_for_tier_as_of(tier text, at timestamptz) RETURNS SETOF @extschema@.model_access_visible
-- without JIT, whose compilation takes several times as long as reading 100,000 changes
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
BEGIN ATOMIC
    WITH past AS MATERIALIZED (
        SELECT * FROM @extschema@._model_access_as_of(models_for_tier_as_of.at)
        WHERE @extschema@._model_access_check_moment(models_for_tier_as_of.at))
    SELECT v.*
    FROM past AS m CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_visible, to_jsonb(m)) AS v
    WHERE @extschema@._model_access_tier(models_for_tier_as_of.tier) IS NOT NULL
      AND m.first_seen_at <= models_for_tier_as_of.at AND m.status = 'active' AND m.missing_since IS NULL
      -- IN, because the planner expects one row, and with NOT EXISTS would compare each model with each disabled one
      AND (m.alias_of IN (SELECT t.model_id FROM past AS t WHERE t.status = 'disabled')) IS NOT TRUE
      AND @extschema@._model_access_rank(m::@extschema@.model_access)
          <= @extschema@._model_access_rank(models_for_tier_as_of.tier);
END;
COMMENT ON FUNCTION @extschema@.models_for_tier_as_of(text, timestamptz) IS
    'Lists the models that models_for_tier listed at a moment in the past.';

-- file: admin/rule
-- Rules propose tiers or a ban for models, by id, provider, price and modality. Only an admin's decision applies a proposal.

CREATE TABLE @extschema@.model_access_rule (
    position            integer PRIMARY KEY,
    pattern             text,
    provider            text,
    max_usd_per_million numeric,
    modality            text,
    is_free             boolean NOT NULL DEFAULT false,
    is_pro              boolean NOT NULL DEFAULT false,
    is_enterprise       boolean NOT NULL DEFAULT false,
    note                text,
    status              text CHECK (status IN ('active', 'disabled')),
    per_use             boolean NOT NULL DEFAULT false,
    changed_at          timestamptz NOT NULL DEFAULT now(),
    created_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (max_usd_per_million >= 0),
    CHECK ((status IS NOT DISTINCT FROM 'disabled') <> (is_free OR is_pro OR is_enterprise))
);
COMMENT ON TABLE @extschema@.model_access_rule IS
    'Rules that propose tiers for models that wait for review, or a ban for new and active models; written with plain DML.';
COMMENT ON COLUMN @extschema@.model_access_rule.position IS
    'The order of the rules, lowest first; rules that propose a ban come before all others.';
COMMENT ON COLUMN @extschema@.model_access_rule.pattern IS
    'A LIKE pattern that the model id must match, such as %:free; NULL = any id.';
COMMENT ON COLUMN @extschema@.model_access_rule.provider IS
    'The provider that the model must have, as in model_access.provider; NULL = any provider.';
COMMENT ON COLUMN @extschema@.model_access_rule.max_usd_per_million IS
    'The highest price that the model may have (highest_usd_per_million), in USD per million tokens; NULL = any price.';
COMMENT ON COLUMN @extschema@.model_access_rule.modality IS
    'A modality that the model must read or write, such as image; NULL = any modality.';
COMMENT ON COLUMN @extschema@.model_access_rule.is_free IS 'Whether the rule proposes the free tier.';
COMMENT ON COLUMN @extschema@.model_access_rule.is_pro IS 'Whether the rule proposes the pro tier.';
COMMENT ON COLUMN @extschema@.model_access_rule.is_enterprise IS 'Whether the rule proposes the enterprise tier.';
COMMENT ON COLUMN @extschema@.model_access_rule.note IS 'Free text of an admin; NULL = none.';
COMMENT ON COLUMN @extschema@.model_access_rule.status IS
    'What the rule proposes: disabled = a ban; active or NULL = the tiers whose flags are set.';
COMMENT ON COLUMN @extschema@.model_access_rule.per_use IS
    'Whether a rule with max_usd_per_million also matches models that charge by request, image or search.';
COMMENT ON COLUMN @extschema@.model_access_rule.changed_at IS
    'When the rule was made or last changed; only the owner can set it.';
COMMENT ON COLUMN @extschema@.model_access_rule.created_at IS 'When the rule was made; only the owner can set it.';

CREATE FUNCTION @extschema@._model_access_check_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- a function would need a right that a role with INSERT alone does not have
    has_tier CONSTANT boolean := NEW.is_free OR NEW.is_pro OR NEW.is_enterprise;
BEGIN
    IF NEW.status NOT IN ('active', 'disabled') THEN
        RAISE EXCEPTION 'invalid status "%" of rule %', NEW.status, NEW.position
            USING ERRCODE = 'check_violation',
                  HINT = 'Use disabled to propose a ban, or active or NULL to propose tiers.';
    ELSIF NEW.status = 'disabled' AND has_tier THEN
        RAISE EXCEPTION 'rule % proposes a ban and a tier', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'Set the flags of all tiers to false, or change status.';
    ELSIF NEW.status = 'disabled' AND NEW.max_usd_per_million IS NOT NULL THEN
        RAISE EXCEPTION 'rule % proposes a ban and sets max_usd_per_million', NEW.position
            USING ERRCODE = 'check_violation', DETAIL = 'It would ban cheap models only.',
                  HINT = 'Set max_usd_per_million to NULL, or change status.';
    ELSIF NEW.status IS DISTINCT FROM 'disabled' AND NOT has_tier THEN
        RAISE EXCEPTION 'rule % proposes neither a tier nor a ban', NEW.position
            USING ERRCODE = 'check_violation',
                  HINT = 'Set the flag of a tier, such as is_pro, or set status to disabled to propose a ban.';
    ELSIF NEW.max_usd_per_million < 0 OR NEW.max_usd_per_million IN ('NaN', 'Infinity') THEN
        RAISE EXCEPTION 'max_usd_per_million of rule % is not a price', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'Use USD per million tokens, or NULL for any price.';
    ELSIF NEW.pattern = '' OR NEW.provider = '' OR NEW.modality = '' THEN
        RAISE EXCEPTION 'rule % has an empty condition, which matches nothing', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'Set pattern, provider or modality to NULL to match any model.';
    -- chr(92) is a backslash, whatever standard_conforming_strings is
    ELSIF (length(NEW.pattern) - length(rtrim(NEW.pattern, chr(92)))) % 2 = 1 THEN
        RAISE EXCEPTION 'pattern of rule % ends with a backslash that escapes nothing', NEW.position
            USING ERRCODE = 'invalid_escape_sequence', HINT = 'Write two backslashes to match one.';
    END IF;
    -- an undo sets changed_at itself, and a tool that writes every column back changes nothing
    IF TG_OP = 'UPDATE' AND NEW.changed_at = OLD.changed_at
        AND to_jsonb(NEW) - 'created_at'::text <> to_jsonb(OLD) - 'created_at'::text THEN
        NEW.changed_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_rule() IS
    'Internal. Trigger function that refuses a rule that cannot match any model or does not propose one thing.';

CREATE TRIGGER model_access_check_rule BEFORE INSERT OR UPDATE ON @extschema@.model_access_rule
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_check_rule();
COMMENT ON TRIGGER model_access_check_rule ON @extschema@.model_access_rule IS
    'Refuses a rule that cannot match any model or does not propose one thing.';

CREATE FUNCTION @extschema@._model_access_rule_is_made() RETURNS trigger
-- this function is not SECURITY DEFINER: current_user is the role that writes the row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a rule with another created_at would count as part of a restored dump and would not be recorded in the history
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        NEW.created_at := CASE TG_OP WHEN 'INSERT' THEN now() ELSE OLD.created_at END;
        NEW.changed_at := CASE WHEN TG_OP = 'INSERT' THEN now()
            WHEN to_jsonb(NEW) - 'changed_at'::text = to_jsonb(OLD) - 'changed_at'::text THEN OLD.changed_at
            ELSE clock_timestamp() END;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_rule_is_made() IS
    'Internal. Trigger function that sets created_at and changed_at of a rule unless the owner writes it.';

CREATE TRIGGER model_access_rule_is_made BEFORE INSERT OR UPDATE ON @extschema@.model_access_rule
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_rule_is_made();
COMMENT ON TRIGGER model_access_rule_is_made ON @extschema@.model_access_rule IS
    'Sets created_at and changed_at unless the owner writes the rule.';

CREATE FUNCTION @extschema@._model_access_record_rule() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_rule'::regclass);
    IF TG_OP = 'INSERT' THEN
        -- the rules of a restored dump are in its history already
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT n.position, at, '{}', jsonb_build_object('rule', to_jsonb(n))
        FROM new_rows AS n WHERE n.created_at = now() ORDER BY n.position;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT o.position, at, jsonb_build_object('rule', to_jsonb(o)), '{}' FROM old_rows AS o ORDER BY o.position;
    ELSIF TG_OP = 'TRUNCATE' THEN
        -- this runs before the TRUNCATE, while the rows exist
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT o.position, at, jsonb_build_object('rule', to_jsonb(o)), '{}'
        FROM @extschema@.model_access_rule AS o ORDER BY o.position;
    ELSE
        -- a rule with a new position is recorded as removed from the old one and added at the new one
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT coalesce(o.position, n.position), at,
            CASE WHEN o.position IS NULL THEN '{}' ELSE jsonb_build_object('rule', to_jsonb(o)) END,
            CASE WHEN n.position IS NULL THEN '{}' ELSE jsonb_build_object('rule', to_jsonb(n)) END
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.position = o.position WHERE o IS DISTINCT FROM n ORDER BY 1;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_record_rule() IS
    'Internal. Trigger function that records changes of rules in model_access_history.';

CREATE TRIGGER model_access_record_insert AFTER INSERT ON @extschema@.model_access_rule
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
CREATE TRIGGER model_access_record_update AFTER UPDATE ON @extschema@.model_access_rule
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
CREATE TRIGGER model_access_record_delete AFTER DELETE ON @extschema@.model_access_rule
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
CREATE TRIGGER model_access_record_truncate BEFORE TRUNCATE ON @extschema@.model_access_rule
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
COMMENT ON TRIGGER model_access_record_insert ON @extschema@.model_access_rule IS
    'Records new rules in model_access_history.';
COMMENT ON TRIGGER model_access_record_update ON @extschema@.model_access_rule IS
    'Records changed rules in model_access_history.';
COMMENT ON TRIGGER model_access_record_delete ON @extschema@.model_access_rule IS
    'Records removed rules in model_access_history.';
COMMENT ON TRIGGER model_access_record_truncate ON @extschema@.model_access_rule IS
    'Records rules that a TRUNCATE removes in model_access_history.';

CREATE VIEW @extschema@._model_access_proposal AS
SELECT DISTINCT ON (m.model_id)
    m.model_id, coalesce(r.status, 'active') AS status, f.tiers,
    CASE WHEN r.status = 'disabled' THEN 'disabled' ELSE array_to_string(f.tiers, ',') END AS proposed,
    concat_ws(' ', r.position, r.pattern, r.provider, '<= ' || r.max_usd_per_million,
        CASE WHEN r.per_use AND r.max_usd_per_million IS NOT NULL THEN 'per use' END, r.modality) AS rule, r.changed_at
FROM @extschema@.model_access AS m
JOIN @extschema@.model_access_rule AS r
  ON (r.modality IS NULL OR r.modality = ANY (m.input_modalities || m.output_modalities))
 AND CASE
    WHEN r.status = 'disabled' THEN m.status IN ('new', 'active') AND (
        (r.pattern IS NULL OR m.model_id LIKE r.pattern) AND (r.provider IS NULL OR m.provider = r.provider)
        -- the target of an alias; its provider as in column provider
        OR (r.pattern IS NULL OR m.alias_of LIKE r.pattern)
            AND (r.provider IS NULL OR ltrim(split_part(m.alias_of, '/', 1), '~') = r.provider))
    ELSE m.status = 'new'
        AND (r.pattern IS NULL OR m.model_id LIKE r.pattern) AND (r.provider IS NULL OR m.provider = r.provider)
        AND (r.max_usd_per_million IS NULL
            OR m.highest_usd_per_million <= r.max_usd_per_million AND (r.per_use OR m.charges_per_use IS FALSE))
        -- a router or an alias reaches other models, so the approval would be of unknown models
        AND m.upstream #>> '{architecture,tokenizer}' IS DISTINCT FROM 'Router'
        AND m.model_id NOT LIKE '~%' AND m.alias_of IS NULL
    END
CROSS JOIN LATERAL (SELECT @extschema@._model_access_flagged(to_jsonb(r)) AS tiers) AS f
ORDER BY m.model_id, coalesce(r.status, 'active') <> 'disabled', r.position;
COMMENT ON VIEW @extschema@._model_access_proposal IS
    'Internal. The first matching rule of each new model, and the first matching ban of each active model.';

-- file: admin/review
-- Shows what waits for a decision, and why.

CREATE FUNCTION @extschema@._model_access_reasons() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['free_revoked', 'alias_moved', 'ban_proposed', 'price_up', 'left', 'returned', 'expiring', 'active_without_tier',
    'new'];
COMMENT ON FUNCTION @extschema@._model_access_reasons() IS 'Internal. Gives the reasons for a review, the most urgent first.';

CREATE VIEW @extschema@._model_access_waiting AS
SELECT * FROM (
    SELECT m.*, s.expiry_notice, p.proposed, p.changed_at AS rule_changed_at, CASE
        WHEN m.status = 'inactive' THEN 'left'
        WHEN m.free_revoked_at IS NOT NULL THEN 'free_revoked'
        WHEN m.status = 'active' AND m.reviewed_at IS NOT NULL AND m.alias_of IS DISTINCT FROM m.reviewed_alias_of
            THEN 'alias_moved'
        WHEN m.status = 'active' AND p.proposed IS NOT NULL THEN 'ban_proposed'
        WHEN m.status = 'new' AND m.returned_at IS NOT NULL THEN 'returned'
        WHEN m.price_guarded_at IS NOT NULL THEN 'price_up'
        WHEN m.reviewed_at IS NOT NULL AND s.price_alert IS NOT NULL
            AND m.highest_prices IS DISTINCT FROM m.reviewed_highest_prices
            AND @extschema@._model_access_is_above(m.highest_prices, m.reviewed_highest_prices, s.price_alert) THEN 'price_up'
        WHEN m.status = 'new' THEN 'new'
        WHEN m.expires_on <= current_date + s.expiry_notice THEN 'expiring'
        WHEN @extschema@._model_access_rank(m) IS NULL THEN 'active_without_tier'
        END AS reason
    FROM @extschema@.model_access AS m
    CROSS JOIN (SELECT
        (SELECT nullif(value, 'off')::numeric FROM @extschema@.model_access_settings WHERE name = 'price_alert') AS price_alert,
        (SELECT value::interval FROM @extschema@.model_access_settings WHERE name = 'expiry_notice') AS expiry_notice) AS s
    -- a rule proposes tiers only for a model without a decision; for an active model it can only propose a ban
    LEFT JOIN @extschema@._model_access_proposal AS p ON p.model_id = m.model_id
        -- model_access_confirm has rejected this ban, and the alias has not moved since
        AND (m.status = 'new' OR m.reviewed_rule IS DISTINCT FROM 'not ' || p.rule
            OR m.alias_of IS DISTINCT FROM m.reviewed_alias_of)
    WHERE m.missing_since IS NULL AND m.status IN ('new', 'active')
       -- an approved model that left the list, if nobody has decided since
       OR m.status = 'inactive' AND m.status_before_missing = 'active' AND coalesce(m.reviewed_at <= m.missing_since, true)) AS w
WHERE w.reason IS NOT NULL;
COMMENT ON VIEW @extschema@._model_access_waiting IS
    'Internal. The rows of model_access that wait for a decision, each with its reason and what a rule proposes.';

CREATE VIEW @extschema@._model_access_waiting_since AS
SELECT w.*, (CASE w.reason
    WHEN 'free_revoked' THEN w.free_revoked_at
    WHEN 'alias_moved' THEN coalesce((
        SELECT min(h.at) FROM @extschema@.model_access_history AS h
        WHERE h.model_id = w.model_id AND h.at > w.reviewed_at AND h.new ? 'alias_of'), w.changed_at)
    WHEN 'ban_proposed' THEN greatest(w.rule_changed_at, w.reviewed_at)
    WHEN 'price_up' THEN coalesce(w.price_guarded_at, (
        SELECT min(h.at) FROM @extschema@.model_access_history AS h
        WHERE h.model_id = w.model_id AND h.at > w.reviewed_at AND h.new ? 'pricing'), w.changed_at)
    WHEN 'left' THEN w.missing_since
    WHEN 'returned' THEN w.returned_at
    WHEN 'expiring' THEN w.expires_on - w.expiry_notice
    WHEN 'active_without_tier' THEN w.reviewed_at
    WHEN 'new' THEN coalesce((
        SELECT max(h.at) FROM @extschema@.model_access_history AS h
        WHERE h.model_id = w.model_id AND h.new ->> 'status' = 'new'), w.first_seen_at)
    END)::date AS since
-- OFFSET makes PostgreSQL compute the reason once, and not in each place that names it
FROM (SELECT * FROM @extschema@._model_access_waiting OFFSET 0) AS w;
COMMENT ON VIEW @extschema@._model_access_waiting_since IS 'Internal. The rows that wait, with the day since which they wait.';

CREATE FUNCTION @extschema@._model_access_usd(price numeric) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(trim_scale(round(price, 6))::text, '?');
COMMENT ON FUNCTION @extschema@._model_access_usd(numeric) IS
    'Internal. Writes a price in USD, rounded to six places; ? = variable or unknown.';

CREATE FUNCTION @extschema@._model_access_price_factor(old jsonb, new jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN bool_and((p.old IS NULL) = (p.new IS NULL))
        THEN round(max(CASE WHEN p.old > 0 THEN p.new / p.old WHEN p.old = 0 AND p.new > 0 THEN 'Infinity' END), 2) END
    FROM (
        -- a component that is absent costs nothing
        SELECT CASE WHEN _model_access_price_factor.old ? n.key
                THEN (_model_access_price_factor.old ->> n.key)::numeric ELSE 0 END AS old,
            n.value::numeric AS new
        FROM jsonb_each_text(_model_access_price_factor.new) AS n) AS p
    WHERE _model_access_price_factor.old IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_price_factor(jsonb, jsonb) IS
    'Internal. Gives the largest factor between two highest_prices; NULL if a component is known in one of them only.';

CREATE FUNCTION @extschema@._model_access_other_prices(prices jsonb, prompt numeric, completion numeric) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN length(a.text) > 60 THEN left(a.text, 59) || '…' ELSE a.text END
    FROM (
        -- prices per use first, then the highest: the end may be cut off
        SELECT nullif(concat_ws(', ',
            CASE WHEN (prices ->> 'prompt')::numeric > prompt OR (prices ->> 'completion')::numeric > completion
                 THEN format('up to %s / %s', @extschema@._model_access_usd((prices ->> 'prompt')::numeric),
                    @extschema@._model_access_usd((prices ->> 'completion')::numeric)) END,
            string_agg(concat(p.key, ' ', @extschema@._model_access_usd(p.value::numeric), CASE WHEN NOT u.per_use THEN '/M' END),
                ', ' ORDER BY u.per_use DESC, p.value::numeric DESC, p.key)), '') AS text
        FROM jsonb_each_text(prices) AS p
        CROSS JOIN LATERAL (SELECT p.key IN ('request', 'image', 'web_search') AS per_use) AS u
        WHERE p.key NOT IN ('prompt', 'completion') AND (p.value IS NULL OR p.value::numeric > 0)) AS a;
END;
COMMENT ON FUNCTION @extschema@._model_access_other_prices(jsonb, numeric, numeric) IS
    'Internal. Says what a model charges besides its usual prompt and completion prices, for people; NULL = nothing.';

CREATE FUNCTION @extschema@._model_access_initials(words text[]) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT string_agg(left(w.word, 1), '' ORDER BY w.position) FROM unnest(words) WITH ORDINALITY AS w(word, position);
END;
COMMENT ON FUNCTION @extschema@._model_access_initials(text[]) IS 'Internal. Gives the first letters of words.';

CREATE VIEW @extschema@.model_access_review AS
SELECT
    w.reason, w.since, w.model_id,
    concat(@extschema@._model_access_usd(w.prompt_usd_per_million), ' / ',
        @extschema@._model_access_usd(w.completion_usd_per_million),
        CASE WHEN w.prompt_usd_per_million = 0 AND w.completion_usd_per_million = 0 AND NOT w.is_free_of_charge
             THEN ' +' END) AS usd,
    CASE WHEN w.reviewed_at IS NOT NULL THEN concat(@extschema@._model_access_usd(w.reviewed_prompt_usd_per_million), ' / ',
        @extschema@._model_access_usd(w.reviewed_completion_usd_per_million)) END AS old_usd,
    CASE WHEN w.reviewed_at IS NOT NULL
         THEN @extschema@._model_access_price_factor(w.reviewed_highest_prices, w.highest_prices) END AS factor,
    w.context_length AS context,
    @extschema@._model_access_initials(w.input_modalities) || '>'
        || @extschema@._model_access_initials(w.output_modalities) AS io,
    w.provider, w.proposed,
    CASE
        WHEN w.reason = 'alias_moved'
            THEN format('> %s (was %s)', coalesce(w.alias_of, 'nothing'), coalesce(w.reviewed_alias_of, 'nothing'))
        WHEN w.alias_of IS NOT NULL THEN '> ' || w.alias_of
        WHEN w.model_id LIKE '~%' THEN 'alias'
        WHEN w.upstream #>> '{architecture,tokenizer}' = 'Router' THEN 'router'
    END AS reaches,
    @extschema@._model_access_other_prices(w.highest_prices, w.prompt_usd_per_million, w.completion_usd_per_million) AS also,
    coalesce(v.users, 0) AS overrides
FROM @extschema@._model_access_waiting_since AS w
LEFT JOIN (
    SELECT o.model_id, count(DISTINCT o.user_id) AS users FROM @extschema@._model_access_override_in_force AS o
    WHERE o.model_id IS NOT NULL GROUP BY o.model_id) AS v ON v.model_id = w.model_id
ORDER BY array_position(@extschema@._model_access_reasons(), w.reason), w.since, w.model_id;
COMMENT ON VIEW @extschema@.model_access_review IS 'The models that wait for a decision, one row a model, the most urgent first.';
COMMENT ON COLUMN @extschema@.model_access_review.reason IS
    'Why the model waits: free_revoked, alias_moved, ban_proposed, price_up, left, returned, expiring, active_without_tier '
    'or new.';
COMMENT ON COLUMN @extschema@.model_access_review.since IS 'The day since which the model waits.';
COMMENT ON COLUMN @extschema@.model_access_review.model_id IS
    'The model, as UPDATE, model_access_confirm and model_access_accept name it.';
COMMENT ON COLUMN @extschema@.model_access_review.usd IS
    'Prompt / completion price in USD per million tokens; ? = variable or unknown; + = other prices apply too.';
COMMENT ON COLUMN @extschema@.model_access_review.old_usd IS
    'The same prices at the last decision; NULL if there was no decision.';
COMMENT ON COLUMN @extschema@.model_access_review.factor IS
    'The largest factor by which a price changed since the last decision; Infinity if a price was 0; NULL if one is unknown.';
COMMENT ON COLUMN @extschema@.model_access_review.context IS 'Context window in tokens; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access_review.io IS
    'What the model reads > what it writes, by initials: text, image, file, audio, video.';
COMMENT ON COLUMN @extschema@.model_access_review.provider IS 'Who made the model.';
COMMENT ON COLUMN @extschema@.model_access_review.reaches IS
    'Other models that a request can reach: router, or > and the model that an alias stands for; NULL for other models.';
COMMENT ON COLUMN @extschema@.model_access_review.proposed IS
    'What the first matching rule proposes: tiers separated by commas, or disabled for a ban; NULL if no rule matches.';
COMMENT ON COLUMN @extschema@.model_access_review.also IS
    'What else the model charges, at most 60 characters; request, image and web_search in USD each, /M = USD per million tokens.';
COMMENT ON COLUMN @extschema@.model_access_review.overrides IS 'The number of users with an override in force for the model.';

-- file: admin/confirm
-- The work of model_access_confirm and model_access_accept.

CREATE FUNCTION @extschema@._model_access_check_ids(ids text[], known text[], message text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown CONSTANT text[] := ARRAY(
        SELECT coalesce('"' || i.id || '"', 'NULL') FROM unnest(ids) AS i(id)
        WHERE i.id IS NULL OR i.id <> ALL (known) ORDER BY i.id);
BEGIN
    IF unknown <> '{}' THEN
        RAISE EXCEPTION USING MESSAGE = format(message, unknown[1]), ERRCODE = 'no_data_found', HINT = hint,
            DETAIL = CASE WHEN cardinality(unknown) > 1
                THEN format('The same holds for %s. ', array_to_string(unknown[2:], ', ')) ELSE '' END || 'Nothing was changed.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_ids(text[], text[], text, text) IS
    'Internal. Raises error P0002 if an id is not among the known ones; message contains %s in place of the id.';

CREATE FUNCTION @extschema@._model_access_confirm(model_ids text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    confirmed bigint;
BEGIN
    PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
        'model %s does not exist'::text, 'Use the exact model_id of model_access.'::text);
    -- model_access_decide fills in the rest; an active model that a rule bans is kept in spite of that rule
    UPDATE @extschema@.model_access AS m
    SET absence_confirmed = m.absent_since IS NOT NULL AND m.missing_since IS NULL,
        reviewed_at = clock_timestamp(), reviewed_by = NULL, reviewed_rule = (
            SELECT 'not ' || p.rule FROM @extschema@._model_access_proposal AS p
            WHERE p.model_id = m.model_id AND p.status = 'disabled' AND m.status = 'active')
    WHERE m.model_id = ANY (model_ids);
    GET DIAGNOSTICS confirmed = ROW_COUNT;
    RETURN confirmed;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_confirm(text[]) IS 'Internal. Does the work of model_access_confirm.';

CREATE FUNCTION @extschema@._model_access_accept(model_ids text[])
RETURNS TABLE (model_id text, tiers text, rule text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    accepted jsonb;
BEGIN
    -- under these locks, no ban and no rule changes between the check and the write
    PERFORM @extschema@._model_access_lock();
    LOCK TABLE @extschema@.model_access_rule IN SHARE MODE;
    PERFORM @extschema@._model_access_check_ids(model_ids,
        ARRAY(SELECT w.model_id FROM @extschema@._model_access_waiting AS w WHERE w.proposed IS NOT NULL),
        'no rule proposes anything for model %s'::text,
        'The view model_access_review shows what waits and what is proposed.'::text);
    accepted := (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM @extschema@._model_access_proposal AS p
                 WHERE p.model_id = ANY (model_ids));
    -- model_access_decide fills in the rest; a ban leaves the tiers as they are
    PERFORM @extschema@._model_access_update((
        SELECT jsonb_agg(jsonb_build_object('model_id', p.model_id, 'status', p.status,
                'reviewed_at', clock_timestamp(), 'reviewed_by', NULL, 'reviewed_rule', p.rule)
            || CASE p.status WHEN 'active' THEN @extschema@._model_access_flags_of(p.tiers) ELSE '{}' END)
        FROM jsonb_to_recordset(accepted) AS p(model_id text, status text, tiers text[], rule text)));
    RETURN QUERY
        SELECT p.model_id, p.proposed, p.rule FROM jsonb_to_recordset(accepted) AS p(model_id text, proposed text, rule text);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_accept(text[]) IS 'Internal. Does the work of model_access_accept.';

-- file: admin/undo_history
-- Finds the changes in the history that an undo is about, and which of them still count. Nothing here writes.

CREATE FUNCTION @extschema@._model_access_is_decision(key text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN key = ANY (@extschema@._model_access_decided_columns());
COMMENT ON FUNCTION @extschema@._model_access_is_decision(text) IS
    'Internal. Tells whether a column of model_access is decided by admins: the status, a tier or the note.';

CREATE FUNCTION @extschema@._model_access_undo_unit(key text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN key = 'status_before_missing' THEN 'status'
    WHEN @extschema@._model_access_is_decision(key)
        OR key IN ('returned_at', 'free_revoked_at', 'tiers_before', 'price_guarded_at', 'override', 'rule') THEN key
    WHEN left(key, 9) = 'reviewed_' THEN 'review'
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_unit(text) IS
    'Internal. Gives the unit in which a key of old and new in the history is taken back; NULL if it is never taken back.';

CREATE VIEW @extschema@._model_access_undo_subject AS
SELECT h.*,
    CASE WHEN h.user_id IS NOT NULL THEN 'override' WHEN h.rule IS NOT NULL THEN 'rule' ELSE 'model' END AS kind,
    CASE WHEN h.user_id IS NOT NULL THEN coalesce(h.new #>> '{override,override_id}', h.old #>> '{override,override_id}')
         WHEN h.rule IS NOT NULL THEN h.rule::text ELSE h.model_id END AS subject
FROM @extschema@.model_access_history AS h;
COMMENT ON VIEW @extschema@._model_access_undo_subject IS
    'Internal. The history, with the subject of each row: a model, an override (its number) or a rule (its position).';

CREATE FUNCTION @extschema@._model_access_undone() RETURNS TABLE (history_id bigint, unit text, waits boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    undone text[] := '{}';
    found  text[];
    stamps jsonb;
BEGIN
    -- oldest: the change that replaced the stamp which the undo restored; the undo took back the reviews from that change on.
    -- It is NULL if the undo wrote a new stamp: then it took back no review.
    stamps := (SELECT jsonb_agg(v) FROM (
        SELECT h.model_id, h.history_id, h.undo_of, min(o.history_id) AS oldest,
            -- level: columns that the undone changes together left unchanged; they are taken back with the review
            ARRAY(SELECT k.key FROM @extschema@.model_access_history AS i CROSS JOIN LATERAL jsonb_object_keys(i.new) AS k(key)
                  WHERE i.history_id = ANY (h.undo_of) AND NOT h.new ? k.key
                    AND @extschema@._model_access_is_decision(k.key)
                  GROUP BY k.key
                  HAVING (array_agg(i.old -> k.key ORDER BY i.history_id))[1]
                       = (array_agg(i.new -> k.key ORDER BY i.history_id DESC))[1]) AS level
        FROM @extschema@.model_access_history AS h
        LEFT JOIN @extschema@.model_access_history AS o
          ON o.model_id = h.model_id AND o.history_id < h.history_id AND o.old ? 'reviewed_at'
          AND coalesce((o.old ->> 'reviewed_at')::timestamptz, '-infinity')
            = coalesce((h.new ->> 'reviewed_at')::timestamptz, '-infinity')
        WHERE h.undo_of IS NOT NULL AND h.new ? 'reviewed_at' GROUP BY h.history_id) AS v);
    -- an undo that was itself taken back takes nothing back; the loop runs once for each depth of undos of undos
    LOOP
        found := ARRAY(
            WITH stamp AS (
                -- a later undo that still counts may have restored an older stamp
                SELECT v.history_id, min(v.oldest) FILTER (WHERE d.item IS NULL)
                    OVER (PARTITION BY v.model_id ORDER BY v.history_id DESC) AS oldest
                FROM jsonb_to_recordset(stamps) AS v(model_id text, history_id bigint, oldest bigint)
                LEFT JOIN unnest(undone) AS d(item) ON d.item = format('%s review', v.history_id))
            SELECT DISTINCT format(CASE WHEN u.unit = 'review' AND (i.id < s.oldest) IS NOT FALSE
                                        THEN '%s %s waits' ELSE '%s %s' END, i.id, u.unit)
            FROM (SELECT DISTINCT h.history_id, h.undo_of, @extschema@._model_access_undo_unit(k.key) AS unit, NULL AS with_unit
                  FROM @extschema@.model_access_history AS h CROSS JOIN LATERAL jsonb_object_keys(h.old || h.new) AS k(key)
                  WHERE h.undo_of IS NOT NULL
                  UNION ALL
                  SELECT v.history_id, v.undo_of, l.key, 'review'
                  FROM jsonb_to_recordset(stamps) AS v(history_id bigint, undo_of bigint[], level text[])
                  CROSS JOIN LATERAL unnest(v.level) AS l(key)) AS u
            LEFT JOIN stamp AS s ON s.history_id = u.history_id
            CROSS JOIN LATERAL unnest(u.undo_of) AS i(id)
            WHERE u.unit IS NOT NULL AND i.id < u.history_id AND (u.with_unit IS NULL OR i.id >= s.oldest)
              AND NOT EXISTS (SELECT FROM unnest(undone) AS d(item)
                              WHERE d.item = format('%s %s', u.history_id, coalesce(u.with_unit, u.unit)))
            ORDER BY 1);
        EXIT WHEN found = undone;
        undone := found;
    END LOOP;
    RETURN QUERY SELECT split_part(d.item, ' ', 1)::bigint, split_part(d.item, ' ', 2), split_part(d.item, ' ', 3) <> ''
        FROM unnest(undone) AS d(item);
END
$$;
-- waits: somebody decided after the undone review, so the review is taken back only together with that decision
COMMENT ON FUNCTION @extschema@._model_access_undone() IS
    'Internal. Gives the units of rows of the history that undos have taken back, without undos that were taken back themselves.';

CREATE FUNCTION @extschema@._model_access_undo_status(state jsonb, run_id bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE
    -- a model that leaves the list and returns keeps its status, in status_before_missing
    WHEN run_id IS NOT NULL
    THEN jsonb_build_object('status', coalesce(state ->> 'status_before_missing', state ->> 'status', 'inactive'),
        'status_before_missing', NULL)
    -- an admin's decision about a missing model changes both
    ELSE jsonb_build_object('status', coalesce(state ->> 'status', 'inactive'),
        'status_before_missing', state ->> 'status_before_missing')
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_status(jsonb, bigint) IS
    'Internal. Gives the status in old or new of a row of the history, in the form in which undo compares it.';

CREATE FUNCTION @extschema@._model_access_undo_mistimed(since timestamptz) RETURNS SETOF bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- statements that run at the same time get their numbers in any order, so a difference of up to a minute proves nothing
    SELECT t.history_id FROM (
        SELECT h.history_id, h.at, least(clock_timestamp(), min(h.at) OVER (
            ORDER BY h.history_id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS before
        FROM @extschema@.model_access_history AS h
        WHERE h.history_id >= (SELECT min(f.history_id) FROM @extschema@.model_access_history AS f WHERE f.at >= since)) AS t
    WHERE t.at >= since AND t.at > t.before + interval '1 minute';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_mistimed(timestamptz) IS
    'Internal. Gives the changes since a moment that were made before the clock was set back: a later one has an earlier time.';

CREATE FUNCTION @extschema@._model_access_undo_rows(
    since timestamptz, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean)
RETURNS TABLE (unit text, subject text, history_id bigint, old jsonb, new jsonb,
    wanted boolean, waits boolean, gives boolean, run_id bigint, why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH wanted AS MATERIALIZED (
        SELECT h.history_id, h.kind, h.subject FROM @extschema@._model_access_undo_subject AS h
        -- a change that was made before the clock was set back may be older than the moment that is meant
        WHERE (since IS NULL OR h.at >= since AND (history_ids IS NOT NULL
            OR h.history_id NOT IN (SELECT @extschema@._model_access_undo_mistimed(since))))
          -- without history_ids, undos are left out, and changes by syncs too if an actor is named
          AND CASE WHEN history_ids IS NULL
                   THEN h.undo_of IS NULL AND (h.run_id IS NULL OR _model_access_undo_rows.actor IS NULL)
                   ELSE h.history_id IN (SELECT i.id FROM unnest(history_ids) AS i(id)) END
          AND (model_ids IS NULL OR h.model_id = ANY (model_ids))
          AND (_model_access_undo_rows.actor IS NULL OR _model_access_undo_rows.actor IN (h.actor, h.actor_role, h.on_behalf_of))
          AND CASE h.kind WHEN 'override' THEN overrides WHEN 'rule' THEN rules ELSE true END),
    undone AS MATERIALIZED (SELECT u.history_id, u.unit, u.waits FROM @extschema@._model_access_undone() AS u),
    waiting AS MATERIALIZED (
        SELECT h.history_id, h.kind, h.subject FROM @extschema@._model_access_undo_subject AS h
        WHERE h.history_id IN (SELECT d.history_id FROM undone AS d WHERE d.waits) AND h.run_id IS NULL),
    first AS (
        SELECT r.kind, r.subject, min(r.history_id) AS history_id FROM (
            SELECT w.*, true AS wanted FROM wanted AS w UNION ALL SELECT w.*, false FROM waiting AS w) AS r
        GROUP BY r.kind, r.subject HAVING bool_or(r.wanted))
    SELECT u.unit, h.subject, h.history_id, u.old, u.new, w.history_id IS NOT NULL,
        -- the review, and what the decision cleared, are taken back together
        q.history_id IS NOT NULL AND NOT @extschema@._model_access_is_decision(u.unit),
        h.run_id IS NOT NULL AND CASE WHEN u.unit = 'status' THEN u.new ->> 'status' = 'active'
            WHEN @extschema@._model_access_is_decision(u.unit) THEN u.new @> jsonb_build_object(u.unit, true)
            ELSE u.new @> jsonb_build_object(u.unit, NULL) END,
        h.run_id,
        CASE WHEN h.run_id IS NULL
             THEN format('changed since by %s, %s', coalesce(h.on_behalf_of, h.actor_role, h.actor), date_trunc('second', h.at))
             ELSE format('%s: run %s', CASE
                 WHEN h.new ? 'free_revoked_at' AND u.unit = 'is_free' THEN 'stopped being free'
                 WHEN h.new ->> 'returned_at' IS NOT NULL THEN 'returned late, or its price increased'
                 WHEN u.unit = 'status' AND u.new ->> 'status' = 'new' THEN 'price above the reviewed one'
                 ELSE 'changed since by a sync' END, h.run_id) END
    FROM @extschema@._model_access_undo_subject AS h
    JOIN first ON first.kind = h.kind AND first.subject = h.subject AND h.history_id >= first.history_id
    CROSS JOIN LATERAL (
        SELECT c.unit,
            CASE c.unit WHEN 'status' THEN @extschema@._model_access_undo_status(h.old, h.run_id)
                WHEN 'review' THEN jsonb_build_object('reviewed_at', h.old -> 'reviewed_at')
                ELSE jsonb_object_agg(c.key, h.old -> c.key) END AS old,
            CASE c.unit WHEN 'status' THEN @extschema@._model_access_undo_status(h.new, h.run_id)
                WHEN 'review' THEN jsonb_build_object('reviewed_at', h.new -> 'reviewed_at')
                ELSE jsonb_object_agg(c.key, h.new -> c.key) END AS new
        FROM (SELECT k.key, @extschema@._model_access_undo_unit(k.key) AS unit
              FROM jsonb_object_keys(h.old || h.new) AS k(key)) AS c
        WHERE c.unit IS NOT NULL GROUP BY c.unit) AS u
    LEFT JOIN wanted AS w ON w.history_id = h.history_id
    LEFT JOIN waiting AS q ON q.history_id = h.history_id
    WHERE u.old <> u.new
      -- an undo and the change that it took back cancel each other out
      AND (h.undo_of IS NULL OR w.history_id IS NOT NULL OR q.history_id IS NOT NULL)
      AND NOT EXISTS (SELECT FROM undone AS d WHERE d.history_id = h.history_id AND d.unit = u.unit AND NOT d.waits);
END;
-- wanted: the caller named this change. waits: an earlier undo left this review for later. gives: a sync gave something back.
-- why: the reason in the column refused, if this change prevents the undo.
COMMENT ON FUNCTION @extschema@._model_access_undo_rows(timestamptz, text[], text, bigint[], boolean, boolean) IS
    'Internal. Lists the changes to undo and the later ones, if they still count: one row for each unit.';

-- file: admin/undo_plan
-- Plans what an undo would write and refuse. Nothing here writes: a dry run shows the plan, and an undo writes it.

CREATE FUNCTION @extschema@._model_access_undo_old(model_id text, history_id bigint, key text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN count(*) > 0 THEN nullif((array_agg(f.value))[1], 'null') ELSE (
        SELECT nullif(to_jsonb(m) -> _model_access_undo_old.key, 'null') FROM @extschema@.model_access AS m
        WHERE m.model_id = _model_access_undo_old.model_id) END
    FROM (
        SELECT h.old -> _model_access_undo_old.key AS value FROM @extschema@.model_access_history AS h
        WHERE h.model_id = _model_access_undo_old.model_id AND h.history_id >= _model_access_undo_old.history_id
          AND h.old ? _model_access_undo_old.key
        ORDER BY h.history_id LIMIT 1) AS f;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_old(text, bigint, text) IS
    'Internal. Gives the value of a column of a model just before that row of the history.';

CREATE FUNCTION @extschema@._model_access_undo_agrees(history_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- if the row says that the model stopped being free, the model must be free of charge again
    SELECT m.missing_since IS NULL AND (m.is_free_of_charge OR h.new ->> 'free_revoked_at' IS NULL)
        AND NOT @extschema@._model_access_is_above(m.highest_prices,
            @extschema@._model_access_undo_old(m.model_id, h.history_id, 'reviewed_highest_prices'::text), 1::numeric)
    FROM @extschema@.model_access_history AS h JOIN @extschema@.model_access AS m ON m.model_id = h.model_id
    WHERE h.history_id = _model_access_undo_agrees.history_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_agrees(bigint) IS
    'Internal. Tells whether a model is listed now, at a price that is not above the reviewed price when a sync wrote that row.';

CREATE FUNCTION @extschema@._model_access_undo_absent(model_id text, history_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.missing_since IS NOT NULL AND NOT EXISTS (
        SELECT FROM @extschema@.model_access_history AS h
        WHERE h.model_id = m.model_id AND h.history_id >= _model_access_undo_absent.history_id
          AND h.old -> 'missing_since' = 'null')
    FROM @extschema@.model_access AS m WHERE m.model_id = _model_access_undo_absent.model_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_absent(text, bigint) IS
    'Internal. Tells whether a model was missing before that row of the history and has been missing since.';

CREATE FUNCTION @extschema@._model_access_undo_walk(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step    jsonb;
    tail    bigint[] := '{}';
    taken   bigint[] := '{}';
    waiting bigint[] := '{}';
    new     jsonb;
    pending text;
    blocker text;
BEGIN
    -- from the newest to the oldest
    FOR step IN SELECT s FROM jsonb_array_elements(steps) AS s LOOP
        IF blocker IS NULL AND NOT (step -> 'meant')::boolean AND step -> 'run_id' <> 'null' THEN
            -- changes by syncs that together change nothing do not prevent the undo
            new := coalesce(new, step -> 'new');
            pending := coalesce(pending, step ->> 'why');
            IF step -> 'old' = new THEN
                new := NULL;
                pending := NULL;
            END IF;
        ELSE
            blocker := coalesce(blocker, pending,
                CASE WHEN NOT (step -> 'meant')::boolean OR NOT (step -> 'allowed')::boolean THEN step ->> 'why' END);
            IF blocker IS NULL THEN
                tail := tail || (step -> 'history_id')::bigint;
                IF NOT (step -> 'wanted')::boolean THEN
                    waiting := waiting || (step -> 'history_id')::bigint;
                END IF;
                -- an undo never ends at a change by which a sync gave something back: it would restore the loss before it
                IF NOT (step -> 'gives')::boolean THEN
                    taken := tail;
                END IF;
            ELSIF taken <> '{}' THEN
                EXIT;
            ELSIF (step -> 'wanted')::boolean THEN
                RETURN jsonb_build_object('ids', taken, 'refused', blocker, 'old', step -> 'old');
            END IF;
        END IF;
    END LOOP;
    RETURN jsonb_build_object('ids', taken, 'waiting', waiting);
END
$$;
-- ids: the changes that can be taken back, from the newest down to the first that must stay; waiting: those of them that an
-- earlier undo named. If the newest must stay, refused says why, and old is what an undo would restore.
COMMENT ON FUNCTION @extschema@._model_access_undo_walk(jsonb) IS
    'Internal. Finds which changes of one unit can be taken back; they are given from the newest to the oldest.';

CREATE FUNCTION @extschema@._model_access_undo_steps(
    since timestamptz, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH step AS (
        SELECT r.unit, r.subject, @extschema@._model_access_undo_walk(jsonb_agg(jsonb_build_object(
            'history_id', r.history_id, 'old', r.old, 'new', r.new, 'wanted', r.wanted, 'meant', r.wanted OR r.waits,
            'gives', r.gives, 'run_id', r.run_id, 'why', r.why,
            'allowed', CASE WHEN r.run_id IS NULL OR r.gives THEN true
                            WHEN r.wanted OR r.waits THEN coalesce(@extschema@._model_access_undo_agrees(r.history_id), false)
                            ELSE false END)
            ORDER BY r.history_id DESC)) AS walk
        FROM @extschema@._model_access_undo_rows(since, model_ids, actor, history_ids, overrides, rules) AS r
        GROUP BY r.unit, r.subject)
    SELECT jsonb_agg(s.walk || jsonb_build_object('unit', s.unit, 'subject', s.subject)) FROM step AS s;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_steps(timestamptz, text[], text, bigint[], boolean, boolean) IS
    'Internal. Gives the result of _model_access_undo_walk for each unit of each model, override and rule.';

CREATE FUNCTION @extschema@._model_access_undo_columns(steps jsonb)
RETURNS TABLE (model_id text, columns jsonb, ids bigint[], costs boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH restored AS (
        -- the oldest of several changes has the value to restore
        SELECT DISTINCT ON (s.subject, k.key) s.subject, s.unit, s.ids, k.key, k.value, h.history_id,
            ARRAY(SELECT i.id FROM unnest(s.ids) AS i(id) WHERE i.id <> ALL (s.waiting)) AS named
        FROM jsonb_to_recordset(steps) AS s(unit text, subject text, ids bigint[], waiting bigint[])
        CROSS JOIN LATERAL unnest(s.ids) AS i(id) JOIN @extschema@.model_access_history AS h ON h.history_id = i.id
        CROSS JOIN LATERAL jsonb_each(CASE s.unit
            WHEN 'status' THEN @extschema@._model_access_undo_status(h.old, NULL::bigint)
            ELSE h.old END) AS k
        WHERE s.unit NOT IN ('override', 'rule') AND @extschema@._model_access_undo_unit(k.key) = s.unit
        ORDER BY s.subject, k.key, h.history_id),
    allowed AS (
        SELECT r.*, r.key = 'is_free' AND r.value = 'true' AND NOT m.is_free_of_charge
            AND @extschema@._model_access_undo_old(r.subject, r.history_id, 'reviewed_is_free_of_charge'::text)
                IS NOT DISTINCT FROM 'true' AS costs
        FROM restored AS r JOIN @extschema@.model_access AS m ON m.model_id = r.subject),
    found AS (
        SELECT a.subject, bool_or(a.costs) AS costs, jsonb_object_agg(a.key, a.value) FILTER (WHERE NOT a.costs) AS columns,
            array_agg(DISTINCT i.id) FILTER (WHERE NOT a.costs AND i.id IS NOT NULL) AS ids,
            min(a.history_id) FILTER (WHERE a.key = 'status') AS status_id
        FROM allowed AS a LEFT JOIN LATERAL unnest(a.named) AS i(id) ON true
        -- what a decision cleared comes back only together with the review
        WHERE a.value = 'null' OR a.unit = 'review' OR @extschema@._model_access_is_decision(a.unit)
           OR a.history_id >= (SELECT min(r.history_id) FROM restored AS r WHERE r.subject = a.subject AND r.unit = 'review')
        GROUP BY a.subject HAVING count(i.id) > 0)
    SELECT f.subject, f.columns || CASE
        -- a model that left since waits for its return; one that returned since waits for review
        WHEN m.missing_since IS NOT NULL AND w.status IN ('new', 'active')
            AND NOT @extschema@._model_access_undo_absent(m.model_id, f.status_id) THEN
            jsonb_build_object('status', 'inactive', 'status_before_missing', w.status)
        WHEN m.missing_since IS NULL AND f.columns ->> 'status_before_missing' IS NOT NULL THEN CASE
            -- a sync changed the status at the return; _model_access_undo_agrees has allowed to restore it
            WHEN EXISTS (SELECT FROM @extschema@.model_access_history AS h
                         WHERE h.history_id = f.status_id AND h.run_id IS NOT NULL)
            THEN jsonb_build_object('status', w.status, 'status_before_missing', NULL)
            ELSE jsonb_build_object('status', 'new', 'status_before_missing', NULL, 'returned_at', clock_timestamp()) END
        ELSE '{}' END, f.ids, f.costs
    FROM found AS f JOIN @extschema@.model_access AS m ON m.model_id = f.subject
    CROSS JOIN LATERAL (SELECT coalesce(f.columns ->> 'status_before_missing', f.columns ->> 'status')) AS w(status);
END;
-- costs: the model was free of charge when it was reviewed and now costs money, so that an undo does not put it in the free tier
COMMENT ON FUNCTION @extschema@._model_access_undo_columns(jsonb) IS
    'Internal. Gives for each model the columns to restore, the history rows to take back, and whether is_free stays false.';

CREATE FUNCTION @extschema@._model_access_undo_models(steps jsonb)
RETURNS TABLE (kind text, model_id text, subject text, ids bigint[], columns jsonb, old jsonb, new jsonb, refused jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH model AS (
        SELECT m.model_id, to_jsonb(m) AS old, to_jsonb(n) AS new, u.columns, u.ids, u.costs, r.refused
        FROM (SELECT DISTINCT s.subject FROM jsonb_to_recordset(steps) AS s(unit text, subject text)
              WHERE s.unit NOT IN ('override', 'rule')) AS s
        JOIN @extschema@.model_access AS m ON m.model_id = s.subject
        LEFT JOIN @extschema@._model_access_undo_columns(steps) AS u ON u.model_id = s.subject
        LEFT JOIN (
            SELECT s.subject, jsonb_object_agg(CASE s.unit WHEN 'review' THEN 'reviewed_at' ELSE s.unit END, s.refused) AS refused
            FROM jsonb_to_recordset(steps) AS s(unit text, subject text, refused text, old jsonb)
            JOIN @extschema@.model_access AS m ON m.model_id = s.subject
            -- no reason is given where the model already is as an undo would make it
            WHERE s.refused IS NOT NULL AND CASE
                WHEN s.unit = 'status' THEN s.old NOT IN (
                    @extschema@._model_access_undo_status(to_jsonb(m), NULL::bigint),
                    @extschema@._model_access_undo_status(to_jsonb(m), 0::bigint))
                WHEN s.unit = 'review' THEN true
                ELSE @extschema@._model_access_is_decision(s.unit) AND to_jsonb(m) -> s.unit <> s.old -> s.unit END
            GROUP BY s.subject) AS r ON r.subject = s.subject
        -- so that times and numbers have the same text in old and new
        CROSS JOIN LATERAL jsonb_populate_record(m, coalesce(u.columns, '{}')) AS n),
    shown AS (
        SELECT m.model_id, m.ids, m.old, m.new, coalesce(d.keys, '{}') AS written,
            ARRAY(SELECT d.key FROM unnest(d.keys) AS d(key)
                  WHERE @extschema@._model_access_is_decision(@extschema@._model_access_undo_unit(d.key))) AS keys,
            coalesce(m.refused, '{}') || CASE WHEN m.costs THEN '{"is_free": "no longer free of charge"}'::jsonb ELSE '{}' END
                AS refused
        FROM model AS m
        CROSS JOIN LATERAL (SELECT array_agg(c.key) AS keys FROM jsonb_object_keys(coalesce(m.columns, '{}')) AS c(key)
                            WHERE m.old -> c.key <> m.new -> c.key) AS d),
    -- the stamp of the review is reported only where nothing else is
    reported AS (
        SELECT s.model_id, s.ids, s.old, s.new, s.written,
            CASE WHEN s.keys = '{}' AND 'reviewed_at' = ANY (s.written) THEN '{reviewed_at}' ELSE s.keys END AS keys,
            CASE WHEN s.keys = '{}' AND s.refused - 'reviewed_at' = '{}' THEN s.refused
                 ELSE s.refused - 'reviewed_at' END AS refused
        FROM shown AS s)
    SELECT 'model', s.model_id, s.model_id, s.ids,
        (SELECT jsonb_object_agg(k.key, s.new -> k.key) FROM unnest(s.written) AS k(key) WHERE s.keys <> '{}'),
        (SELECT jsonb_object_agg(k.key, s.old -> k.key)
         FROM (SELECT unnest(s.keys) UNION SELECT jsonb_object_keys(s.refused)) AS k(key)),
        (SELECT jsonb_object_agg(k.key, s.new -> k.key) FROM unnest(s.keys) AS k(key)), nullif(s.refused, '{}')
    FROM reported AS s WHERE s.keys <> '{}' OR s.refused <> '{}';
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_models(jsonb) IS
    'Internal. Gives for each model what an undo writes (columns), and what it reports.';

CREATE FUNCTION @extschema@._model_access_override_problem(override jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF @extschema@._model_access_user_key(override ->> 'user_id') IS NULL THEN
        RETURN format('invalid user_id for the bound table: "%s"', override ->> 'user_id');
    END IF;
    IF override ->> 'model_id' IS NOT NULL THEN
        PERFORM FROM @extschema@.model_access AS m WHERE m.model_id = override ->> 'model_id';
        RETURN CASE WHEN NOT FOUND THEN format('model "%s" does not exist', override ->> 'model_id') END;
    END IF;
    PERFORM FROM @extschema@.model_access AS m WHERE m.provider = override ->> 'provider' LIMIT 1;
    RETURN CASE WHEN NOT FOUND THEN format('provider "%s" does not exist', override ->> 'provider') END;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_override_problem(jsonb) IS
    'Internal. Says why an override from the history could match nothing now; NULL if it could match.';

CREATE FUNCTION @extschema@._model_access_undo_others(steps jsonb)
RETURNS TABLE (kind text, model_id text, subject text, ids bigint[], columns jsonb, old jsonb, new jsonb, refused jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH step AS (
        SELECT s.unit, s.subject, s.ids, s.refused, nullif(coalesce(h.old, s.old) -> s.unit, 'null') AS new
        FROM jsonb_to_recordset(steps) AS s(unit text, subject text, ids bigint[], refused text, old jsonb)
        LEFT JOIN @extschema@.model_access_history AS h ON h.history_id = (SELECT min(i.id) FROM unnest(s.ids) AS i(id))
        WHERE s.unit IN ('override', 'rule')),
    -- so that times have the same text in old and new, and a column that was added since is null
    found AS (
        SELECT s.unit, s.subject, s.ids, s.refused, to_jsonb(o) AS old,
            (SELECT to_jsonb(n) FROM jsonb_populate_record(NULL::@extschema@.model_access_override, s.new) AS n
             WHERE n.override_id IS NOT NULL) AS new
        FROM step AS s LEFT JOIN @extschema@.model_access_override AS o ON o.override_id = s.subject::bigint
        WHERE s.unit = 'override'
        UNION ALL
        SELECT s.unit, s.subject, s.ids, s.refused, to_jsonb(r),
            (SELECT to_jsonb(n) FROM jsonb_populate_record(NULL::@extschema@.model_access_rule, s.new) AS n
             WHERE n.position IS NOT NULL)
        FROM step AS s LEFT JOIN @extschema@.model_access_rule AS r ON r.position = s.subject::integer WHERE s.unit = 'rule'),
    judged AS (
        SELECT f.*, coalesce(f.refused, CASE WHEN f.unit = 'override' AND f.new IS NOT NULL
            THEN @extschema@._model_access_override_problem(f.new) END) AS reason
        FROM found AS f WHERE f.old IS DISTINCT FROM f.new)
    SELECT j.unit, coalesce(j.old, j.new) ->> 'model_id', j.subject, j.ids,
        CASE WHEN j.reason IS NULL THEN coalesce(j.new, '{}') END,
        jsonb_build_object(j.unit, j.old), CASE WHEN j.reason IS NULL THEN jsonb_build_object(j.unit, j.new) END,
        CASE WHEN j.reason IS NOT NULL THEN jsonb_build_object(j.unit, j.reason) END
    FROM judged AS j;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_others(jsonb) IS
    'Internal. Gives for each override and rule what an undo writes (columns; {} = it deletes the row), and what it reports.';

-- file: admin/undo
-- Takes changes back: rows of the history, not all that happened since a moment. Later changes by others stay, and what an undo
-- took back already is not taken back again. An undo is itself a recorded change; undo_of in its rows names what it took back.

CREATE FUNCTION @extschema@._model_access_undo_check(
    since timestamptz, dry_run boolean, model_ids text[], history_ids bigint[], overrides boolean, rules boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found text;
BEGIN
    IF since IS NULL AND history_ids IS NULL THEN
        RAISE EXCEPTION 'since or history_ids must be specified'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Copy the statement from column undo of model_access_changes, or name a moment in the past.';
    ELSIF since > clock_timestamp() THEN
        RAISE EXCEPTION 'since must not be in the future: %', since
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a moment in the past, or name the changes in history_ids.';
    ELSIF dry_run IS NULL THEN
        RAISE EXCEPTION 'dry_run must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Set dry_run to true or false.';
    ELSIF model_ids IS NOT NULL THEN
        PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
            'model %s does not exist'::text, 'Use the exact model_id of model_access.'::text);
    END IF;
    found := (SELECT string_agg(coalesce(i.id::text, 'NULL'), ', ' ORDER BY i.id) FROM (
        SELECT i.id FROM unnest(history_ids) AS i(id) LEFT JOIN @extschema@.model_access_history AS h ON h.history_id = i.id
        WHERE h.history_id IS NULL ORDER BY i.id LIMIT 5) AS i);
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'history_ids do not exist: %', found
            USING ERRCODE = 'no_data_found', DETAIL = 'Nothing was changed.',
                  HINT = 'Look up history_id in model_access_history.';
    END IF;
    found := (
        SELECT min(CASE WHEN h.rule IS NULL THEN 'overrides' ELSE 'rules' END) FROM @extschema@.model_access_history AS h
        WHERE h.history_id = ANY (history_ids)
          AND ((h.user_id IS NOT NULL AND NOT overrides) OR (h.rule IS NOT NULL AND NOT rules)));
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'history_ids include changes of %', found
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Nothing was changed.', HINT = format('Add %s => true.', found);
    END IF;
    IF history_ids IS NULL THEN
        found := (SELECT format('%s:%s', count(*), string_agg(m.id::text, ', ' ORDER BY m.id) FILTER (WHERE m.n <= 10))
            FROM (SELECT u.id, row_number() OVER (ORDER BY u.id) FROM @extschema@._model_access_undo_mistimed(since) AS u(id))
                AS m(id, n) HAVING count(*) > 0);
    END IF;
    IF found IS NOT NULL THEN
        RAISE NOTICE 'changes left out because the clock was set back: %', split_part(found, ':', 1)
            USING DETAIL = format('Each has a time in the future, or is followed in the history by a change with an earlier '
                      'time: %s%s.', split_part(found, ':', 2),
                      CASE WHEN split_part(found, ':', 1)::bigint > 10 THEN ', …' END),
                  HINT = 'To take them back, name them in history_ids.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo_check(timestamptz, boolean, text[], bigint[], boolean, boolean) IS
    'Internal. Raises 22004, 22023 or P0002 if the arguments of model_access_undo are not valid.';

CREATE FUNCTION @extschema@._model_access_undo_write(plan jsonb, after bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT @extschema@._model_access_update(jsonb_agg(
        -- if the undo restores no stamp, only when and by whom is new, since somebody decides now; a note is no decision
        CASE WHEN p.columns ? 'reviewed_at' OR p.columns - 'note' = '{}' THEN '{}'
             ELSE jsonb_build_object('reviewed_at', clock_timestamp(), 'reviewed_by', @extschema@._model_access_actor()) END
        || p.columns || jsonb_build_object('model_id', p.model_id)))
    FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, columns jsonb)
    WHERE p.kind = 'model' AND p.columns <> '{}';

    -- under the lock nobody else writes rows of models
    UPDATE @extschema@.model_access_history AS h SET undo_of = p.ids
    FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, columns jsonb, ids bigint[])
    WHERE h.history_id > after AND h.model_id = p.model_id AND h.user_id IS NULL AND p.kind = 'model' AND p.columns IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write(jsonb, bigint) IS
    'Internal. Writes what an undo does to models, and names in the history the rows that it took back.';

CREATE FUNCTION @extschema@._model_access_undo_write_others(plan jsonb, after bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM @extschema@.model_access_override AS o USING jsonb_to_recordset(plan) AS p(kind text, subject text, columns jsonb)
    WHERE p.kind = 'override' AND p.columns IS NOT NULL AND o.override_id = p.subject::bigint;
    INSERT INTO @extschema@.model_access_override SELECT n.*
    FROM jsonb_to_recordset(plan) AS p(kind text, columns jsonb)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_override, p.columns
        || jsonb_build_object('user_id', @extschema@._model_access_user_key(p.columns ->> 'user_id'))) AS n
    WHERE p.kind = 'override' AND p.columns <> '{}';
    DELETE FROM @extschema@.model_access_rule AS r USING jsonb_to_recordset(plan) AS p(kind text, subject text, columns jsonb)
    WHERE p.kind = 'rule' AND p.columns IS NOT NULL AND r.position = p.subject::integer;
    INSERT INTO @extschema@.model_access_rule SELECT n.*
    FROM jsonb_to_recordset(plan) AS p(kind text, columns jsonb)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_rule, p.columns) AS n
    WHERE p.kind = 'rule' AND p.columns <> '{}';

    -- one row each replaces what the triggers recorded; under the locks nobody else writes such rows
    DELETE FROM @extschema@.model_access_history AS h USING jsonb_to_recordset(plan) AS p(kind text, subject text)
    WHERE h.history_id > after
      AND p.kind = CASE WHEN h.user_id IS NOT NULL THEN 'override' WHEN h.rule IS NOT NULL THEN 'rule' END
      AND p.subject = CASE WHEN h.rule IS NOT NULL THEN h.rule::text
          ELSE coalesce(h.new #>> '{override,override_id}', h.old #>> '{override,override_id}') END;
    INSERT INTO @extschema@.model_access_history (model_id, user_id, rule, at, old, new, undo_of)
    SELECT p.model_id, CASE p.kind WHEN 'override' THEN coalesce(o.user_id, p.old #>> '{override,user_id}') END,
        CASE p.kind WHEN 'rule' THEN p.subject::integer END, t.at,
        CASE WHEN p.old -> p.kind = 'null' THEN '{}' ELSE p.old END,
        CASE WHEN p.columns = '{}' THEN '{}'
             ELSE jsonb_build_object(p.kind, CASE p.kind WHEN 'rule' THEN p.columns ELSE to_jsonb(o) END) END,
        p.ids
    FROM (SELECT clock_timestamp()) AS t(at)
    CROSS JOIN jsonb_to_recordset(plan) AS p(kind text, model_id text, subject text, columns jsonb, old jsonb, ids bigint[])
    LEFT JOIN @extschema@.model_access_override AS o ON p.kind = 'override' AND o.override_id = p.subject::bigint
    WHERE p.kind IN ('override', 'rule') AND p.columns IS NOT NULL ORDER BY p.kind, p.subject;
    SELECT @extschema@._model_access_notify();
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_write_others(jsonb, bigint) IS
    'Internal. Writes what an undo does to overrides and rules, with one row for each in the history.';

CREATE FUNCTION @extschema@._model_access_undo(
    since timestamptz, dry_run boolean, model_ids text[], actor text, history_ids bigint[], overrides boolean, rules boolean,
    OUT model_id text, OUT old jsonb, OUT new jsonb, OUT refused jsonb)
RETURNS SETOF record
-- jit: compiling takes several times as long as reading the history. enable_nestloop: the planner cannot know the number of rows,
-- and where it guesses too few, nested loops take quadratic time
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
    steps jsonb;
    plan  jsonb;
    after bigint;
BEGIN
    overrides := coalesce(overrides, false);
    rules := coalesce(rules, false);
    PERFORM @extschema@._model_access_undo_check(since, dry_run, model_ids, history_ids, overrides, rules);
    IF NOT dry_run THEN
        -- nobody changes anything between the plan and the writing
        PERFORM @extschema@._model_access_lock();
        IF overrides THEN
            LOCK TABLE @extschema@.model_access_override IN SHARE ROW EXCLUSIVE MODE;
        END IF;
        IF rules THEN
            LOCK TABLE @extschema@.model_access_rule IN SHARE ROW EXCLUSIVE MODE;
        END IF;
    END IF;
    steps := @extschema@._model_access_undo_steps(since, model_ids, actor, history_ids, overrides, rules);
    plan := (SELECT jsonb_agg(to_jsonb(p)) FROM (
        SELECT * FROM @extschema@._model_access_undo_models(steps)
        UNION ALL SELECT * FROM @extschema@._model_access_undo_others(steps)) AS p);
    IF NOT dry_run THEN
        after := (SELECT coalesce(max(h.history_id), 0) FROM @extschema@.model_access_history AS h);
        PERFORM @extschema@._model_access_undo_write(plan, after);
        IF plan @? '$[*] ? (@.kind != "model" && @.columns != null)' THEN
            PERFORM @extschema@._model_access_undo_write_others(plan, after);
        END IF;
    END IF;
    RETURN QUERY
        SELECT p.model_id, p.old, nullif(p.new, 'null'), nullif(p.refused, 'null')
        FROM jsonb_to_recordset(plan) AS p(kind text, model_id text, subject text, old jsonb, new jsonb, refused jsonb)
        ORDER BY p.kind, p.model_id, length(p.subject), p.subject;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_undo(timestamptz, boolean, text[], text, bigint[], boolean, boolean) IS
    'Internal. Does the work of model_access_undo.';

-- file: admin/act
-- Functions that change decisions run with the rights of their caller. They insert into a view, and the right to INSERT into it
-- is the right to decide. PostgreSQL checks that right also inside SECURITY DEFINER functions of an application.

CREATE VIEW @extschema@.model_access_action AS
SELECT NULL::text AS action, NULL::jsonb AS arguments, NULL::jsonb AS result WHERE false;
COMMENT ON VIEW @extschema@.model_access_action IS
    'Internal. The view into which model_access_confirm, model_access_accept and model_access_undo insert; it holds no row.';
COMMENT ON COLUMN @extschema@.model_access_action.action IS 'confirm, accept or undo.';
COMMENT ON COLUMN @extschema@.model_access_action.arguments IS 'The arguments of the function.';
COMMENT ON COLUMN @extschema@.model_access_action.result IS 'What the function returns.';

CREATE FUNCTION @extschema@._model_access_act() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model_ids text[];
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_action'::regclass);
    IF jsonb_typeof(NEW.arguments -> 'model_ids') = 'array' THEN
        model_ids := ARRAY(SELECT jsonb_array_elements_text(NEW.arguments -> 'model_ids'));
    END IF;
    -- these writes are decisions even if they change no value: see _model_access_named
    PERFORM set_config('_model_access.acting', pg_trigger_depth()::text, true);
    CASE NEW.action
    WHEN 'confirm' THEN
        NEW.result := to_jsonb(@extschema@._model_access_confirm(coalesce(model_ids, '{}')));
    WHEN 'accept' THEN
        NEW.result := (SELECT jsonb_agg(to_jsonb(a)) FROM @extschema@._model_access_accept(coalesce(model_ids, '{}')) AS a);
    WHEN 'undo' THEN
        NEW.result := (SELECT jsonb_agg(to_jsonb(u)) FROM @extschema@._model_access_undo(
            (NEW.arguments ->> 'since')::timestamptz, (NEW.arguments ->> 'dry_run')::boolean, model_ids,
            NEW.arguments ->> 'actor',
            CASE WHEN jsonb_typeof(NEW.arguments -> 'history_ids') = 'array' THEN
                ARRAY(SELECT jsonb_array_elements_text(NEW.arguments -> 'history_ids')::bigint) END,
            (NEW.arguments ->> 'overrides')::boolean, (NEW.arguments ->> 'rules')::boolean) AS u);
    END CASE;
    PERFORM set_config('_model_access.acting', '', true);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_act() IS
    'Internal. Trigger function that confirms, accepts or undoes, as the owner of the tables.';

CREATE TRIGGER model_access_act INSTEAD OF INSERT ON @extschema@.model_access_action
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_act();
COMMENT ON TRIGGER model_access_act ON @extschema@.model_access_action IS
    'Confirms, accepts or undoes, as the inserted row says.';

CREATE FUNCTION @extschema@._model_access_ask(action text, arguments jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine   text := @extschema@._model_access_limit_locks();
    answer jsonb;
BEGIN
    INSERT INTO @extschema@.model_access_action AS a (action, arguments)
    VALUES (_model_access_ask.action, _model_access_ask.arguments)
    RETURNING a.result INTO answer;
    PERFORM set_config('lock_timeout', mine, true);
    RETURN answer;
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_locked(
        ARRAY['@extschema@.model_access'::regclass, '@extschema@.model_access_rule'::regclass,
            '@extschema@.model_access_override'::regclass]::oid[], '{}'::oid[], mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ask(text, jsonb) IS
    'Internal. Inserts into model_access_action with the rights of the caller, and returns the result.';

CREATE FUNCTION @extschema@.model_access_confirm(VARIADIC model_ids text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN @extschema@._model_access_ask('confirm'::text, jsonb_build_object('model_ids', model_ids))::bigint;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_confirm(text[]) IS
    'Keeps models as they are, with the present price as the reviewed one, and returns the number of models.';

CREATE FUNCTION @extschema@.model_access_accept(VARIADIC model_ids text[]) RETURNS TABLE (model_id text, tiers text, rule text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT a.model_id, a.tiers, a.rule
        FROM jsonb_to_recordset(@extschema@._model_access_ask('accept'::text, jsonb_build_object('model_ids', model_ids)))
        AS a(model_id text, tiers text, rule text);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_accept(text[]) IS
    'Applies the proposal of the first matching rule to models that wait for review, and returns what it did.';

CREATE FUNCTION @extschema@.model_access_undo(
    since timestamptz DEFAULT NULL, dry_run boolean DEFAULT true, model_ids text[] DEFAULT NULL, actor text DEFAULT NULL,
    history_ids bigint[] DEFAULT NULL, overrides boolean DEFAULT false, rules boolean DEFAULT false,
    OUT model_id text, OUT old jsonb, OUT new jsonb, OUT refused jsonb)
RETURNS SETOF record
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF dry_run THEN
        -- reads what the caller may read, on a standby too
        RETURN QUERY SELECT *
            FROM @extschema@._model_access_undo(since, dry_run, model_ids, actor, history_ids, overrides, rules);
        RETURN;
    END IF;
    RETURN QUERY SELECT u.model_id, u.old, u.new, u.refused
        FROM jsonb_to_recordset(@extschema@._model_access_ask('undo'::text, jsonb_build_object('since', since, 'dry_run', dry_run,
            'model_ids', model_ids, 'actor', actor, 'history_ids', history_ids, 'overrides', overrides, 'rules', rules)))
        AS u(model_id text, old jsonb, new jsonb, refused jsonb);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_undo(timestamptz, boolean, text[], text, bigint[], boolean, boolean) IS
    'Takes changes back if dry_run is false, otherwise shows what an undo would do: one row for each model, override or rule.';

-- file: admin/changes
-- The history for people: what each statement changed, and the statement that takes it back.

CREATE FUNCTION @extschema@._model_access_undo_statement(ids bigint[], overrides boolean, rules boolean) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('SELECT * FROM %s(history_ids => %s,%s%s dry_run => false);',
        -- with its types, because others may have functions of this name
        '@extschema@.model_access_undo(timestamptz,boolean,text[],text,bigint[],boolean,boolean)'::regprocedure::regproc,
        CASE WHEN count(*) > 3 OR cardinality(ids) <= 20 THEN format('''{%s}''', array_to_string(ids, ','))
             -- ranges keep the statement short
             ELSE format('ARRAY(%s)', string_agg(
                 format('SELECT generate_series(%s, %s)', r.first, r.last), ' UNION ALL ' ORDER BY r.first)) END,
        CASE WHEN overrides THEN ' overrides => true,' END, CASE WHEN rules THEN ' rules => true,' END)
    FROM (
        SELECT min(n.id) AS first, max(n.id) AS last
        FROM (SELECT i.id, i.id - row_number() OVER (ORDER BY i.id) AS range FROM unnest(ids) AS i(id)) AS n
        GROUP BY n.range) AS r
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION @extschema@._model_access_undo_statement(bigint[], boolean, boolean) IS
    'Internal. Gives the call of model_access_undo that takes back exactly these rows of the history; NULL without rows.';

CREATE VIEW @extschema@._model_access_change AS
SELECT l.at, l.actor, l.actor_role, l.on_behalf_of, l.run_id, s.*
FROM @extschema@.model_access_history AS l
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, array_agg(h.history_id) AS ids,
        bool_or(h.undo_of IS NOT NULL) AS is_undo, bool_or(h.user_id IS NOT NULL) AS overrides,
        bool_or(h.rule IS NOT NULL) AS rules,
        array_agg(h.history_id ORDER BY h.history_id) FILTER (WHERE CASE WHEN h.run_id IS NULL
            THEN h.user_id IS NOT NULL OR h.rule IS NOT NULL
              OR h.new ?| ('{status_before_missing,reviewed_at}'::text[] || @extschema@._model_access_decided_columns())
            -- what a sync took
            ELSE @extschema@._model_access_flagged(h.old) <> '{}'
              OR (coalesce(h.old ->> 'status_before_missing', h.old ->> 'status') = 'active'
                  AND coalesce(h.new ->> 'status_before_missing', h.new ->> 'status') = 'new') END) AS undoable
    FROM @extschema@.model_access_history AS h
    WHERE h.at = l.at AND (h.actor, h.actor_role, h.on_behalf_of, h.run_id)
        IS NOT DISTINCT FROM (l.actor, l.actor_role, l.on_behalf_of, l.run_id)) AS s
-- The last row of each statement. In this order the newest few are found by the primary key, whatever the clock said.
WHERE CASE WHEN EXISTS (
        -- most rows are followed by a row of their statement; to look for the last one from each takes quadratic time
        SELECT FROM @extschema@.model_access_history AS h
        WHERE h.history_id = (
            SELECT min(n.history_id) FROM @extschema@.model_access_history AS n WHERE n.history_id > l.history_id)
          AND h.at = l.at AND (h.actor, h.actor_role, h.on_behalf_of, h.run_id)
            IS NOT DISTINCT FROM (l.actor, l.actor_role, l.on_behalf_of, l.run_id)) THEN false
    -- With >= and not =, the planner expects many such rows, and so does not compile the plan of a query with LIMIT.
    ELSE l.history_id >= (
        SELECT h.history_id FROM @extschema@.model_access_history AS h
        WHERE h.at = l.at AND (h.actor, h.actor_role, h.on_behalf_of, h.run_id)
            IS NOT DISTINCT FROM (l.actor, l.actor_role, l.on_behalf_of, l.run_id)
        ORDER BY h.history_id DESC LIMIT 1) END
ORDER BY l.history_id DESC;
COMMENT ON VIEW @extschema@._model_access_change IS
    'Internal. One row for each statement: its rows of the history (ids), and those of them that can be undone (undoable).';

CREATE VIEW @extschema@._model_access_change_item AS
SELECT h.history_id, i.item,
    CASE WHEN k.key IN ('status', 'override', 'rule') THEN 1
         WHEN k.key = 'note' THEN 3
         WHEN @extschema@._model_access_is_decision(k.key) THEN 2
         WHEN k.key IN ('missing_since', 'reviewed_at') THEN 4 ELSE 5 END AS rank
FROM @extschema@.model_access_history AS h
CROSS JOIN LATERAL jsonb_object_keys(h.old || h.new) AS k(key)
CROSS JOIN LATERAL (SELECT CASE
    WHEN k.key IN ('override', 'rule') THEN format('%s %s', k.key,
        CASE WHEN h.old = '{}' THEN 'added' WHEN h.new = '{}' THEN 'removed' ELSE 'changed' END)
    WHEN k.key = 'missing_since' THEN CASE WHEN h.new ->> k.key IS NULL THEN 'listed again' ELSE 'left the list' END
    -- a decision writes reviewed_at too
    WHEN k.key = 'reviewed_at' THEN CASE WHEN NOT EXISTS (
        SELECT FROM jsonb_object_keys(h.new) AS n(key) WHERE @extschema@._model_access_is_decision(n.key) AND n.key <> 'note')
        THEN 'reviewed' END
    WHEN k.key = 'note' THEN k.key
    WHEN @extschema@._model_access_is_decision(k.key) THEN format('%s: %s -> %s', k.key, h.old ->> k.key, h.new ->> k.key)
    -- these change together with another key
    WHEN left(k.key, 9) = 'reviewed_' OR k.key IN (
        'changed_at', 'last_run_id', 'status_before_missing', 'returned_at', 'free_revoked_at', 'tiers_before',
        'price_guarded_at', 'prompt_usd_per_million', 'completion_usd_per_million', 'highest_usd_per_million',
        'highest_prices', 'is_free_of_charge', 'charges_per_use') THEN NULL
    ELSE k.key END) AS i(item)
WHERE i.item IS NOT NULL;
COMMENT ON VIEW @extschema@._model_access_change_item IS
    'Internal. What each row of the history changed, as model_access_changes names it, and how important that is (1 is most).';

CREATE VIEW @extschema@.model_access_changes AS
SELECT
    c.at, c.actor, c.actor_role, c.on_behalf_of, c.run_id, c.rows,
    CASE WHEN c.is_undo THEN 'undo: ' ELSE '' END || coalesce((
        SELECT string_agg(CASE WHEN i.n <= 6 THEN format('%s (%s)', i.item, i.count) ELSE '...' END, '; ' ORDER BY i.n) FROM (
            SELECT d.item, count(*), row_number() OVER (ORDER BY min(d.rank), count(*) DESC, d.item) AS n
            FROM @extschema@._model_access_change_item AS d WHERE d.history_id = ANY (c.ids) GROUP BY d.item) AS i
        WHERE i.n <= 7), 'bookkeeping') AS what,
    u.undone,
    CASE WHEN NOT u.undone THEN @extschema@._model_access_undo_statement(c.undoable, c.overrides, c.rules) END AS undo
FROM @extschema@._model_access_change AS c
LEFT JOIN LATERAL (
    SELECT bool_and((d.history_id, k.unit) IN (
        SELECT b.history_id, b.unit FROM @extschema@._model_access_undone() AS b)) AS undone
    FROM @extschema@.model_access_history AS d CROSS JOIN LATERAL (
        SELECT @extschema@._model_access_undo_unit(k.key) AS unit FROM jsonb_object_keys(d.old || d.new) AS k(key)) AS k
    WHERE d.history_id = ANY (c.undoable)
      AND (@extschema@._model_access_is_decision(k.unit) OR k.unit IN ('review', 'override', 'rule'))) AS u ON true;
COMMENT ON VIEW @extschema@.model_access_changes IS
    'Shows what was done: one row for each statement, the newest first, with the statement that undoes it.';
COMMENT ON COLUMN @extschema@.model_access_changes.at IS 'When the statement ran.';
COMMENT ON COLUMN @extschema@.model_access_changes.actor IS 'The role that had logged in.';
COMMENT ON COLUMN @extschema@.model_access_changes.actor_role IS 'The role set by SET ROLE; NULL without one.';
COMMENT ON COLUMN @extschema@.model_access_changes.on_behalf_of IS
    'The person for whom actor claims to have acted; NULL without a claim.';
COMMENT ON COLUMN @extschema@.model_access_changes.run_id IS 'The run of the sync that made the change; NULL for an admin.';
COMMENT ON COLUMN @extschema@.model_access_changes.rows IS 'The number of models, overrides or rules that the statement changed.';
COMMENT ON COLUMN @extschema@.model_access_changes.what IS
    'The six most important kinds of changes, each with the number of rows.';
COMMENT ON COLUMN @extschema@.model_access_changes.undone IS
    'Whether everything in the row has been taken back; NULL if nothing in it can be taken back.';
COMMENT ON COLUMN @extschema@.model_access_changes.undo IS
    'The statement that takes the change back; NULL if it has been taken back or cannot be.';

-- file: retire/mentions
-- Finds what uses a column such as profiles.allowed_models, in pg_depend and in the text of function bodies.

CREATE FUNCTION @extschema@._model_access_object(class oid, id oid, sub integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- names the view in place of its rule, and the generated column in place of its expression
    SELECT CASE
        WHEN c.relkind = 'm' THEN format('materialized view %s', c.oid::regclass)
        WHEN c.oid IS NOT NULL THEN format('view %s', c.oid::regclass)
        WHEN a.attgenerated <> '' THEN format('generated column %s.%I', a.attrelid::regclass, a.attname)
        ELSE concat_ws(' ', i.type, i.identity) END
    FROM pg_identify_object(class, id, sub) AS i
    LEFT JOIN pg_rewrite AS r ON class = 'pg_rewrite'::regclass AND r.oid = id AND r.rulename = '_RETURN'
    LEFT JOIN pg_class AS c ON c.oid = r.ev_class
    LEFT JOIN pg_attrdef AS f ON class = 'pg_attrdef'::regclass AND f.oid = id
    LEFT JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
$$;
COMMENT ON FUNCTION @extschema@._model_access_object(oid, oid, integer) IS
    'Internal. Gives the name that reports and accept use for an object.';

CREATE FUNCTION @extschema@._model_access_dependents(relation oid, column_name name)
RETURNS TABLE (class oid, id oid, sub integer, deptype "char", object text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (o.object) k.class, k.id, d.objsubid, d.deptype, o.object
    FROM @extschema@._model_access_tree(relation) AS t
    JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name AND a.attnum > 0
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND d.refobjsubid = a.attnum
    -- names the constraint in place of its index
    LEFT JOIN pg_constraint AS x ON d.classid = 'pg_class'::regclass AND x.conindid = d.objid AND x.contype <> 'f'
    CROSS JOIN LATERAL (SELECT CASE WHEN x.oid IS NULL THEN d.classid ELSE 'pg_constraint'::regclass::oid END,
                               coalesce(x.oid, d.objid)) AS k(class, id)
    CROSS JOIN LATERAL (SELECT @extschema@._model_access_object(k.class, k.id, d.objsubid)) AS o(object)
    -- what a partition inherits from its parent is created and dropped with the parent's object
    WHERE NOT EXISTS (
        SELECT FROM pg_class AS c
        WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND d.objsubid = 0 AND c.relispartition)
      AND NOT EXISTS (
        SELECT FROM pg_trigger AS g
        WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid AND (g.tgparentid <> 0 OR g.tgisinternal))
      AND NOT EXISTS (
        SELECT FROM pg_constraint AS n
        WHERE d.classid = 'pg_constraint'::regclass AND n.oid = d.objid AND (n.coninhcount > 0 OR n.contype = 'n'))
    ORDER BY o.object, d.deptype
$$;
COMMENT ON FUNCTION @extschema@._model_access_dependents(oid, name) IS
    'Internal. Lists what uses a column according to pg_depend, with pg_depend.deptype.';

CREATE FUNCTION @extschema@._model_access_as_regex(word text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(word, E'([^A-Za-z0-9_\u0080-\uFFFF[:space:]])', '\\\1', 'g')
$$;
COMMENT ON FUNCTION @extschema@._model_access_as_regex(text) IS
    'Internal. Gives a regular expression that matches exactly this text.';

CREATE FUNCTION @extschema@._model_access_has_word(source text, word text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT strpos(lower(source), lower(word)) > 0 AND lower(source) ~ concat(E'(?<![a-z0-9_$\u0080-\uFFFF])',
        @extschema@._model_access_as_regex(lower(replace(word, '"', '""'))), E'(?![a-z0-9_$\u0080-\uFFFF])')
$$;
COMMENT ON FUNCTION @extschema@._model_access_has_word(text, text) IS
    'Internal. Tells whether a text contains a name as a whole word, in upper or lower case.';

CREATE FUNCTION @extschema@._model_access_code(source text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- where strings could be read in more than one way, everything counts as code
    SELECT CASE WHEN source ~ E'\\\\''|[$][A-Za-z0-9_\u0080-\uFFFF]*[$]|[uU]&["'']' THEN source
        ELSE regexp_replace(source,
            E'("(?:[^"]|"")*")|--[^\n\r]*|/[*](?:[^*]|[*]+[^*/])*[*]+/|''(?:[^'']|'''')*''', '\1 ', 'g') END
$$;
COMMENT ON FUNCTION @extschema@._model_access_code(text) IS 'Internal. Gives the text of a body without comments and strings.';

CREATE FUNCTION @extschema@._model_access_mention(source text, code text, parameters text[], column_name text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN column_name = ANY (parameters) THEN 'parameter'
        WHEN @extschema@._model_access_has_word(code, column_name) THEN 'code'
        WHEN NOT @extschema@._model_access_has_word(source, column_name) THEN CASE WHEN source ~* 'u&"' THEN 'escape' END
        WHEN source ~ concat('''[{]?"?', @extschema@._model_access_as_regex(column_name), '"?[},'']') THEN 'key'
        WHEN @extschema@._model_access_has_word(code, 'execute'::text) THEN 'execute'
        WHEN source <> code AND source ~ '''' THEN 'text' END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mention(text, text, text[], text) IS
    'Internal. Says in which way a function mentions a column, as a key of _model_access_mention_label; NULL if it does not.';

CREATE FUNCTION @extschema@._model_access_mention_label(mention text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE mention
        WHEN 'parameter' THEN 'a parameter or a result column has the name'
        WHEN 'code' THEN 'its body names the column'
        WHEN 'escape' THEN 'its body contains names with escapes (U&"…")'
        WHEN 'key' THEN 'a string in its body equals the name: it may be a key of a row as JSON'
        WHEN 'execute' THEN 'a string in its body contains the name, and its body may run that string'
        WHEN 'text' THEN 'only a string or a comment contains the name'
        WHEN 'row' THEN 'it uses whole rows: the column or key in them gets the new name' END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mention_label(text) IS 'Internal. Explains a mention in the words of the report.';

CREATE FUNCTION @extschema@._model_access_with_views(relation oid) RETURNS TABLE (id oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE standing AS (
        SELECT t.id FROM @extschema@._model_access_tree(relation) AS t
        UNION
        SELECT r.ev_class FROM standing AS s
        JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.id AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN')
    SELECT s.id FROM standing AS s
$$;
COMMENT ON FUNCTION @extschema@._model_access_with_views(oid) IS
    'Internal. Lists a table, its partitions, and the views that read them.';

CREATE FUNCTION @extschema@._model_access_bodies(relation oid)
RETURNS TABLE (id oid, source text, code text, parameters text[], gives_rows boolean, is_near boolean)
-- ROWS: with the default of 1,000, JIT would compile what reads this
LANGUAGE sql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
    WITH standing AS (
        SELECT c.oid, ARRAY[c.reltype, y.typarray] AS types FROM @extschema@._model_access_with_views(relation) AS v
        JOIN pg_class AS c ON c.oid = v.id JOIN pg_type AS y ON y.oid = c.reltype)
    SELECT p.oid, p.prosrc,
        -- PostgreSQL knows what a body of BEGIN ATOMIC refers to, and follows a rename
        CASE WHEN p.prosqlbody IS NOT NULL THEN ''
             WHEN l.lanname IN ('sql', 'plpgsql') THEN @extschema@._model_access_code(p.prosrc)
             ELSE p.prosrc END,
        coalesce(p.proargnames, '{}'),
        p.prorettype IN (
            SELECT c.reltype FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id),
        ARRAY[p.prorettype] || p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}')
            && ARRAY(SELECT unnest(s.types) FROM standing AS s)
        OR EXISTS (
            SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid AND t.tgrelid IN (SELECT s.oid FROM standing AS s))
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND p.prokind IN ('f', 'p', 'w') AND l.lanname NOT IN ('c', 'internal')
      AND p.oid NOT IN (SELECT m.id FROM @extschema@._model_access_member AS m)
$$;
COMMENT ON FUNCTION @extschema@._model_access_bodies(oid) IS
    'Internal. Lists functions of others; is_near: a type or a trigger ties the function to the table or its views.';

CREATE FUNCTION @extschema@._model_access_functions(relation oid, column_name name)
RETURNS TABLE (id oid, object text, mention text, is_near boolean, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH body AS MATERIALIZED (
        SELECT b.*, @extschema@._model_access_mention(b.source, b.code, b.parameters, column_name::text) AS mention,
            b.gives_rows OR b.code ~* '\m(to_jsonb?|row_to_json|hstore)\M' AS has_rows
        FROM @extschema@._model_access_bodies(relation) AS b),
    found AS (
        SELECT b.id, b.source, coalesce(b.mention, 'row') AS mention, b.is_near OR EXISTS (
            SELECT FROM @extschema@._model_access_with_views(relation) AS v JOIN pg_class AS c ON c.oid = v.id
            WHERE @extschema@._model_access_has_word(b.source, c.relname::text)) AS is_near
        FROM body AS b WHERE b.mention IS NOT NULL OR b.has_rows)
    SELECT f.id, 'function ' || f.id::regprocedure, f.mention, f.is_near, (
        SELECT string_agg(format('line %s: %s', s.n, trim(E' \t\r' FROM s.line)), E'\n' ORDER BY s.n)
        FROM regexp_split_to_table(f.source, '\n') WITH ORDINALITY AS s(line, n)
        WHERE @extschema@._model_access_has_word(s.line, column_name::text)
           OR (f.mention = 'row' AND s.line ~* 'to_json|hstore'))
    FROM found AS f
    -- where nothing ties a function to the table, only the name itself is reported
    WHERE CASE
        WHEN f.mention IN ('row', 'escape') THEN f.is_near
        WHEN f.mention = 'text' THEN @extschema@._model_access_has_word(
            regexp_replace(f.source, E'--[^\n\r]*|/[*](?:[^*]|[*]+[^*/])*[*]+/', ' ', 'g'), column_name::text)
        ELSE true END
$$;
COMMENT ON FUNCTION @extschema@._model_access_functions(oid, name) IS
    'Internal. Lists the functions that mention a column, or that use whole rows of its table.';

CREATE FUNCTION @extschema@._model_access_column_triggers(relation oid, column_name name)
RETURNS TABLE (relation_id regclass, name name, state "char", function oid, why text, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgfoid,
        CASE WHEN f.id IS NOT NULL THEN 'its function names the column' ELSE 'it names the column itself' END,
        concat_ws(chr(10), pg_get_triggerdef(t.oid), f.lines)
    FROM @extschema@._model_access_tree(relation) AS r
    JOIN pg_trigger AS t ON t.tgrelid = r.id AND NOT t.tgisinternal
    LEFT JOIN @extschema@._model_access_functions(relation, column_name) AS f
        ON f.id = t.tgfoid AND f.mention NOT IN ('text', 'row')
    WHERE f.id IS NOT NULL OR EXISTS (
        SELECT FROM pg_depend AS d JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attname = column_name
        WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid AND d.refobjsubid = a.attnum)
$$;
COMMENT ON FUNCTION @extschema@._model_access_column_triggers(oid, name) IS
    'Internal. Lists the triggers of a table and its partitions that use a column, with pg_trigger.tgenabled.';

-- file: retire/retire
-- Retires a column such as profiles.allowed_models by giving it another name. SQL that uses the old name fails from then on, and
-- works again after a restore. Objects for which PostgreSQL records a dependency on the column work until it is dropped.

CREATE TABLE @extschema@.model_access_retired (
    profiles     regclass,
    column_name  name,
    retired_name name NOT NULL,
    retired_at   timestamptz NOT NULL DEFAULT now(),
    retired_by   text NOT NULL DEFAULT current_user,
    at_xid       text NOT NULL DEFAULT pg_current_xact_id()::xid::text,
    defaults     regclass[] NOT NULL,
    relations    regclass[] NOT NULL,
    triggers     name[] NOT NULL,
    states       "char"[] NOT NULL,
    table_id     oid NOT NULL,
    PRIMARY KEY (profiles, column_name)
);
COMMENT ON TABLE @extschema@.model_access_retired IS
    'One row for each column that is retired, and neither restored nor dropped yet.';
COMMENT ON COLUMN @extschema@.model_access_retired.profiles IS 'The table.';
COMMENT ON COLUMN @extschema@.model_access_retired.column_name IS 'The old name of the column.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_name IS 'The new name of the column.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_at IS 'When it was renamed.';
COMMENT ON COLUMN @extschema@.model_access_retired.retired_by IS 'The role that renamed it.';
COMMENT ON COLUMN @extschema@.model_access_retired.at_xid IS 'The transaction that renamed it.';
COMMENT ON COLUMN @extschema@.model_access_retired.defaults IS
    'The table, and those of its partitions, whose column was given an empty list as default.';
COMMENT ON COLUMN @extschema@.model_access_retired.relations IS 'The table or partition of each trigger that was disabled.';
COMMENT ON COLUMN @extschema@.model_access_retired.triggers IS 'The name of each of these triggers, in the order of relations.';
COMMENT ON COLUMN @extschema@.model_access_retired.states IS
    'The state that each of these triggers had, as in pg_trigger.tgenabled, in the order of relations.';
COMMENT ON COLUMN @extschema@.model_access_retired.table_id IS
    'The oid of profiles when the column was renamed; if profiles has another oid now, at_xid is not used.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_retired
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_retired IS 'Lets only the owner retire columns.';

CREATE FUNCTION @extschema@._model_access_ddl_note(source text, stops_at text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- a carriage return also ends a comment, so the text after it would be run as SQL
    SELECT concat('--   ', regexp_replace(rtrim(source, chr(10)), E'\r\n|\r|\n', E'\n--   ', 'g'), E'\n',
        'DO ' || quote_literal('BEGIN RAISE EXCEPTION USING MESSAGE = ' || quote_literal(stops_at || ' must be reviewed first')
            || ', ERRCODE = ''object_not_in_prerequisite_state'', HINT = ''Change it, or name it in accept.''; END') || E';\n')
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_note(text, text) IS
    'Internal. Gives a text as an SQL comment, followed by a statement that fails where stops_at names an object.';

CREATE FUNCTION @extschema@._model_access_check_column(profiles regclass, column_name name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t    pg_class     := (SELECT c FROM pg_class AS c WHERE c.oid = profiles);
    a    pg_attribute := (
        SELECT c FROM pg_attribute AS c WHERE c.attrelid = profiles AND c.attname = column_name AND c.attnum > 0);
    type regtype      := @extschema@._model_access_column_type(profiles::oid, a.attnum::smallint);
BEGIN
    IF t.relkind NOT IN ('r', 'p') OR t.relpersistence = 't' OR t.reloftype <> 0 THEN
        RAISE EXCEPTION '% is not an ordinary or partitioned table', profiles
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Name the table that has the column. A typed table needs ALTER TABLE … NOT OF first.';
    ELSIF NOT pg_has_role(t.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', profiles
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It belongs to %s.', t.relowner::regrole),
                  HINT = 'Call this as a superuser. Without the library, call it as the role that owns both the table and '
                         'model_access.';
    ELSIF a.attnum IS NULL THEN
        RAISE EXCEPTION 'column "%" of % does not exist', column_name, profiles
            USING ERRCODE = 'undefined_column', HINT = 'Give the exact name as column_name.';
    ELSIF a.attgenerated <> '' OR type <> ALL (
        '{text[],character varying[],jsonb,json,text,character varying}'::regtype[]) THEN
        RAISE EXCEPTION 'column "%" of % does not hold a list as text[] or jsonb', column_name, profiles
            USING ERRCODE = 'datatype_mismatch',
                  DETAIL = format('Its type is %s%s.', type, CASE WHEN a.attgenerated <> '' THEN ', and it is generated' END),
                  HINT = 'Name the column that holds the models a user may use.';
    ELSIF a.attinhcount > 0 THEN
        RAISE EXCEPTION 'column "%" of % is inherited', column_name, profiles
            USING ERRCODE = 'wrong_object_type', HINT = (
                SELECT format('Name the table it comes from: %s.', string_agg(i.inhparent::regclass::text, ', '))
                FROM pg_inherits AS i WHERE i.inhrelid = profiles);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_column(regclass, name) IS
    'Internal. Raises an error if a column cannot be renamed.';

CREATE FUNCTION @extschema@._model_access_carry_out(profiles regclass, what text, steps jsonb, dry_run boolean)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    mine   text  := current_setting('lock_timeout');
    plan   jsonb := (
        SELECT jsonb_agg(s || jsonb_build_object('step', n) ORDER BY n) FROM (
            SELECT s, row_number() OVER (
                ORDER BY s ->> 'action' <> 'manual', (s ->> 'n')::integer, s ->> 'object' COLLATE "C") AS n
            FROM jsonb_array_elements(steps) AS s) AS s);
    missed text  := (
        SELECT string_agg(p ->> 'object', E'\n' ORDER BY (p ->> 'step')::integer)
        FROM jsonb_array_elements(plan) AS p WHERE p ->> 'action' = 'manual');
BEGIN
    IF NOT dry_run AND missed IS NOT NULL THEN
        RAISE EXCEPTION '%', what
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format(E'These objects must be reviewed first:\n%s', missed),
                  HINT = 'The dry run says why. Change each so that it does not need the column, or name it in accept.';
    END IF;
    IF NOT dry_run THEN
        PERFORM @extschema@._model_access_in_slices(
            (SELECT string_agg(p ->> 'ddl', '' ORDER BY (p ->> 'step')::integer) FROM jsonb_array_elements(plan) AS p));
    END IF;
    RETURN QUERY SELECT p.*
        FROM jsonb_to_recordset(plan) AS p(step integer, object text, action text, why text, ddl text) ORDER BY p.step;
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_locked(
        ARRAY['@extschema@.model_access_retired'::regclass]::oid[],
        ARRAY(SELECT t.id FROM @extschema@._model_access_tree(profiles::oid) AS t), mine, SQLERRM);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_carry_out(regclass, text, jsonb, boolean) IS
    'Internal. Numbers the steps and, unless it is a dry run, runs their ddl as one script, with retries until lock_timeout.';

CREATE FUNCTION @extschema@._model_access_cron_uses(column_name name) RETURNS TABLE (object text, lines text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- only pg_cron's own table is read
    IF EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_cron'
               WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass('cron.job') AND d.deptype = 'e')
        AND has_table_privilege(to_regclass('cron.job')::oid, 'SELECT') THEN
        RETURN QUERY SELECT concat_ws(' ', 'pg_cron job', j.jobid, j.jobname), j.command FROM cron.job AS j
            WHERE j.database = current_database() AND @extschema@._model_access_has_word(j.command, column_name::text);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_cron_uses(name) IS
    'Internal. Lists the jobs of pg_cron whose command contains the name of a column.';

CREATE FUNCTION @extschema@._model_access_publications(relation oid, column_name name) RETURNS TABLE (object text, why text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT 'publication ' || quote_ident(p.pubname),
        'rename the column on the subscribers as well, with no write in between; otherwise replication stops there until their '
        'column has the name that their log reports as missing'
    FROM @extschema@._model_access_tree(relation) AS t JOIN pg_class AS c ON c.oid = t.id
    JOIN pg_publication_tables AS p ON p.schemaname = c.relnamespace::regnamespace::text AND p.tablename = c.relname
    WHERE column_name = ANY (p.attnames)
$$;
COMMENT ON FUNCTION @extschema@._model_access_publications(oid, name) IS
    'Internal. Lists the publications of a column, and what a rename needs there.';

CREATE FUNCTION @extschema@._model_access_retire_uses(relation oid, column_name name)
RETURNS TABLE (object text, action text, why text, lines text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH tree AS (SELECT t.id FROM @extschema@._model_access_tree(relation) AS t)
    SELECT d.object, 'keep', CASE WHEN r.oid IS NULL THEN 'works until the drop'
        ELSE 'works until the drop; an INSERT through it still writes the column' END, NULL
    FROM @extschema@._model_access_dependents(relation, column_name) AS d
    LEFT JOIN pg_rewrite AS r ON d.class = 'pg_rewrite'::regclass AND r.oid = d.id AND r.rulename = '_RETURN'
        AND EXISTS (SELECT FROM pg_class AS v WHERE v.oid = r.ev_class AND v.relkind = 'v')
    WHERE d.class NOT IN ('pg_trigger'::regclass, 'pg_publication_rel'::regclass)
    UNION ALL
    SELECT format('grants on column %s.%I', relation::regclass, column_name), 'keep', 'they stay with the column',
        array_to_string(a.attacl, ', ')
    FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = column_name AND a.attacl IS NOT NULL
    UNION ALL
    SELECT p.object, 'manual', p.why, NULL FROM @extschema@._model_access_publications(relation, column_name) AS p
    UNION ALL
    SELECT DISTINCT @extschema@._model_access_object(d.classid, d.objid, 0), 'manual',
        'it selects whole rows: the key in them gets the new name', NULL
    FROM tree AS t
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND d.refobjsubid = 0
        AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN' AND pg_get_viewdef(r.ev_class) ~ '[.][*]'
    UNION ALL
    SELECT c.object, 'manual', 'its command contains the name', c.lines
    FROM @extschema@._model_access_cron_uses(column_name) AS c
    UNION ALL
    SELECT f.object, CASE WHEN f.is_near AND f.mention <> 'text' THEN 'manual' ELSE 'keep' END,
        CASE WHEN f.is_near OR f.mention = 'text' THEN @extschema@._model_access_mention_label(f.mention)
             ELSE 'it contains the name, but neither the table nor a view of it' END, f.lines
    FROM @extschema@._model_access_functions(relation, column_name) AS f
    -- a function that only triggers of this table call is reported with them
    WHERE f.mention = 'text' OR NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.id)
       OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.id AND t.tgrelid NOT IN (SELECT r.id FROM tree AS r))
    UNION ALL
    SELECT format('trigger %I on %s', t.name, t.relation_id), 'manual',
        t.why || '; accepted, it is disabled with everything else it does', concat_ws(chr(10), t.lines, p.prosrc)
    FROM @extschema@._model_access_column_triggers(relation, column_name) AS t JOIN pg_proc AS p ON p.oid = t.function
    WHERE NOT EXISTS (
        SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.relation_id AND g.tgname = t.name AND g.tgparentid <> 0)
$$;
COMMENT ON FUNCTION @extschema@._model_access_retire_uses(oid, name) IS
    'Internal. Lists everything that uses a column, and what a new name means for it.';

CREATE FUNCTION @extschema@._model_access_fingerprint(relation oid, column_name name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- it has names and no oids, so it is the same in every copy of a database
    SELECT md5(jsonb_build_array(
        ARRAY(SELECT jsonb_build_array(u.object, u.action, u.lines)
              FROM @extschema@._model_access_retire_uses(relation, column_name) AS u
              ORDER BY u.object COLLATE "C", u.action COLLATE "C", u.lines COLLATE "C"),
        ARRAY(SELECT jsonb_build_array(t.relation_id, t.name, t.state)
              FROM @extschema@._model_access_column_triggers(relation, column_name) AS t
              ORDER BY t.relation_id::text COLLATE "C", t.name),
        ARRAY(SELECT jsonb_build_array(a.attrelid::regclass, a.atttypid::regtype, a.attnotnull, a.atthasdef)
              FROM @extschema@._model_access_tree(relation) AS t
              JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name
              ORDER BY a.attrelid::regclass::text COLLATE "C"))::text)
$$;
COMMENT ON FUNCTION @extschema@._model_access_fingerprint(oid, name) IS
    'Internal. Gives a hash that changes when anything that uses a column changes.';

CREATE FUNCTION @extschema@._model_access_check_unchanged(profiles regclass, column_name name, fingerprint text) RETURNS void
-- the table is locked while this runs: JIT would take longer than it saves
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot change % in a % transaction', profiles, upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its snapshot would miss what was committed since it began.',
                  HINT = 'Start the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, column_name);
    IF fingerprint <> @extschema@._model_access_fingerprint(profiles::oid, column_name) THEN
        RAISE EXCEPTION 'objects that use column "%" of % have changed since this script was written', column_name, profiles
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Review the dry run again, and use its new script.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_unchanged(regclass, name, text) IS
    'Internal. Raises error 55000, once the locks are held, where anything that uses a column has changed.';

CREATE FUNCTION @extschema@._model_access_ddl_lock(relation oid, column_name name, views oid[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat(
        E'-- in one transaction: psql -1 -v ON_ERROR_STOP=1 -f FILE\nSET LOCAL search_path = pg_catalog, pg_temp;\n',
        -- while this waits for its lock, every later query on the table waits too, so the wait is limited
        E'SELECT set_config(''lock_timeout'', ''5s'', true) WHERE current_setting(''lock_timeout'') = ''0'';\n',
        format(E'LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE;\n', relation::regclass),
        -- from here on, readers wait for this transaction; it must not wait for them for long, or a deadlock ends one of them
        E'SET LOCAL lock_timeout = ''10ms'';\n',
        (SELECT string_agg(
            format(E'LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE;\n', t.id::regclass), '' ORDER BY t.id::regclass::text)
         FROM @extschema@._model_access_tree(relation) AS t WHERE t.id <> relation),
        (SELECT string_agg(
            format(E'ALTER VIEW %s OWNER TO %s;  -- nothing but a lock\n', c.oid::regclass, c.relowner::regrole), ''
            ORDER BY c.oid::regclass::text)
         FROM pg_class AS c WHERE c.oid = ANY (views)),
        format(E'SELECT %s._model_access_check_unchanged(%L::regclass, %L::name, %L::text);\n', '@extschema@',
            relation::regclass, column_name, @extschema@._model_access_fingerprint(relation, column_name)))
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_lock(oid, name, oid[]) IS
    'Internal. Gives the beginning of a script: it takes the locks, and fails if the script is out of date.';

CREATE FUNCTION @extschema@._model_access_ddl_rename(profiles regclass, old_name name, new_name name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'ALTER TABLE %s RENAME COLUMN %I TO %I;\n', profiles, old_name, new_name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_rename(regclass, name, name) IS
    'Internal. Gives the statement that renames a column.';

CREATE FUNCTION @extschema@._model_access_retired_name(relation oid, column_name name) RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the name must occur nowhere else in the database, so that it stands for this column in every definition
    SELECT c.name FROM generate_series(1, 1000) AS i
    CROSS JOIN LATERAL (SELECT (left(column_name, 50) || '_retired' || coalesce('_' || nullif(i, 1), ''))::name) AS c(name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attname = c.name)
      AND NOT EXISTS (
        SELECT FROM @extschema@._model_access_dependents(relation, column_name) AS d JOIN pg_rewrite AS r ON r.oid = d.id
        WHERE strpos(pg_get_ruledef(r.oid), c.name) > 0)
    ORDER BY i LIMIT 1
$$;
COMMENT ON FUNCTION @extschema@._model_access_retired_name(oid, name) IS 'Internal. Gives a free name for a retired column.';

CREATE FUNCTION @extschema@._model_access_accepted_triggers(relation oid, column_name name, accept text[])
RETURNS TABLE (relation_id regclass, name name, state "char")
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.relation_id, t.name, t.state FROM @extschema@._model_access_column_triggers(relation, column_name) AS t
    JOIN pg_trigger AS g ON g.tgrelid = t.relation_id AND g.tgname = t.name
    -- a trigger of a partition is accepted with that of its parent
    LEFT JOIN pg_trigger AS p ON p.oid = g.tgparentid
    WHERE format('trigger %I on %s', t.name, coalesce(p.tgrelid, g.tgrelid)::regclass) = ANY (accept)
    ORDER BY t.relation_id::text, t.name
$$;
COMMENT ON FUNCTION @extschema@._model_access_accepted_triggers(oid, name, text[]) IS
    'Internal. Lists the triggers that retiring a column disables.';

CREATE FUNCTION @extschema@._model_access_ddl_retire(relation oid, column_name name, accept text[])
RETURNS TABLE (n integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    retired   name := @extschema@._model_access_retired_name(relation, column_name);
    type      oid  := @extschema@._model_access_column_type(
        relation, @extschema@._model_access_column_number(relation, column_name));
    empty     text := (SELECT CASE t.typcategory WHEN 'A' THEN '{}' ELSE '[]' END FROM pg_type AS t WHERE t.oid = type);
    relations regclass[];
    triggers  name[];
    states    "char"[];
    defaults  regclass[];
BEGIN
    SELECT coalesce(array_agg(t.relation_id), '{}'), coalesce(array_agg(t.name), '{}'), coalesce(array_agg(t.state), '{}')
    INTO relations, triggers, states FROM @extschema@._model_access_accepted_triggers(relation, column_name, accept) AS t;
    defaults := ARRAY(
        SELECT t.id::regclass FROM @extschema@._model_access_tree(relation) AS t
        JOIN pg_attribute AS a ON a.attrelid = t.id AND a.attname = column_name
        JOIN pg_type AS y ON y.oid = a.atttypid
        WHERE (a.attnotnull OR y.typnotnull) AND NOT a.atthasdef AND y.typdefault IS NULL AND cardinality(triggers) > 0
        ORDER BY t.id::regclass::text);
    RETURN QUERY
    SELECT 1, 'table ' || relation::regclass, 'lock', 'for milliseconds; stops if anything has changed since the dry run',
        @extschema@._model_access_ddl_lock(relation, column_name, '{}'::oid[])
    UNION ALL
    SELECT 2, format('trigger %I on %s', t.name, t.id), 'disable', 'accepted',
        format(E'ALTER TABLE ONLY %s DISABLE TRIGGER %I;\n', t.id, t.name)
    FROM unnest(relations, triggers) AS t(id, name)
    UNION ALL
    SELECT 3, format('default value for %s.%I', d, column_name), 'set',
        'the column is NOT NULL, and no trigger fills it any more; a restore drops this default',
        format(E'ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %L;\n', d, column_name, empty)
    FROM unnest(defaults) AS d
    UNION ALL
    SELECT 4, format('column %s.%I', relation::regclass, column_name), 'rename',
        'SQL that uses the old name fails from now on; a restore renames it back',
        @extschema@._model_access_ddl_rename(relation::regclass, column_name, retired)
    UNION ALL
    SELECT 5, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'what a restore needs',
        format(E'INSERT INTO %s (profiles, column_name, retired_name, defaults, relations, triggers, states, table_id)\n'
               'VALUES (%L, %L, %L, %L, %L, %L, %L, %2$L::regclass);\n', '@extschema@.model_access_retired'::regclass,
            relation::regclass, column_name, retired, defaults, relations, triggers, states);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_retire(oid, name, text[]) IS
    'Internal. Gives the statements that retire a column.';

CREATE FUNCTION @extschema@.model_access_retire_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', accept text[] DEFAULT '{}', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone  @extschema@.model_access_retired := (
        SELECT r FROM @extschema@.model_access_retired AS r
        WHERE r.profiles = model_access_retire_allowed_models.profiles
          AND r.column_name = model_access_retire_allowed_models.column_name);
    steps jsonb;
BEGIN
    IF num_nulls(profiles, column_name, accept, dry_run) > 0 THEN
        RAISE EXCEPTION 'arguments must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF gone.profiles IS NOT NULL AND @extschema@._model_access_column_number(profiles::oid, column_name) IS NULL THEN
        RETURN QUERY SELECT 1, format('column %s.%I', gone.profiles, gone.column_name), 'nothing to do', w,
                @extschema@._model_access_ddl_note(w, NULL::text)
            FROM format('retired at %s by %s; it is called %s', gone.retired_at, gone.retired_by, gone.retired_name) AS w;
        RETURN;
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, column_name);
    steps := (SELECT jsonb_agg(to_jsonb(s)) FROM (
        SELECT 0 AS n, u.object, j.action, u.why, @extschema@._model_access_ddl_note(
            concat_ws(chr(10), format('%s: %s', u.object, u.why), u.lines),
            CASE j.action WHEN 'manual' THEN u.object END) AS ddl
        FROM @extschema@._model_access_retire_uses(profiles::oid, column_name) AS u
        CROSS JOIN LATERAL (
            SELECT CASE WHEN u.action = 'manual' AND u.object = ANY (accept) THEN 'accepted' ELSE u.action END) AS j(action)
        UNION ALL
        SELECT d.n, d.object, d.action, d.why, d.ddl
        FROM @extschema@._model_access_ddl_retire(profiles::oid, column_name, accept) AS d) AS s);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(
        profiles, format('column "%s" of %s cannot be retired yet', column_name, profiles), steps, dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_retire_allowed_models(regclass, name, text[], boolean) IS
    'Renames a column such as profiles.allowed_models and disables the accepted triggers, or lists the steps in a dry run.';

-- file: retire/restore
-- Restores a retired column: it gets its old name again, and triggers get their old states. No value is moved.

CREATE FUNCTION @extschema@._model_access_retired_of(profiles regclass, column_name name)
RETURNS @extschema@.model_access_retired
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone @extschema@.model_access_retired := (
        SELECT r FROM @extschema@.model_access_retired AS r
        WHERE r.profiles = _model_access_retired_of.profiles
          AND r.column_name = coalesce(_model_access_retired_of.column_name, r.column_name)
        ORDER BY r.retired_at LIMIT 1);
BEGIN
    IF gone.profiles IS NULL OR @extschema@._model_access_column_number(profiles::oid, gone.retired_name) IS NULL THEN
        RAISE EXCEPTION 'no retired column%of % exists', coalesce(' "' || column_name || '" ', ' '), profiles
            USING ERRCODE = 'undefined_object', HINT = 'The table model_access_retired lists the retired columns.';
    END IF;
    PERFORM @extschema@._model_access_check_column(profiles, gone.retired_name);
    RETURN gone;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_retired_of(regclass, name) IS
    'Internal. Gives the record of a retired column, or raises error 42704.';

CREATE FUNCTION @extschema@._model_access_ddl_forget(gone @extschema@.model_access_retired) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'DELETE FROM %s WHERE profiles = %L::regclass AND column_name = %L;\n',
        '@extschema@.model_access_retired'::regclass, gone.profiles, gone.column_name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_forget(@extschema@.model_access_retired) IS
    'Internal. Gives the statement that removes the record of a retired column.';

CREATE FUNCTION @extschema@._model_access_ddl_refill(gone @extschema@.model_access_retired) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the columns that the UPDATE must name: those for which the triggers fire, else the tier, else any
    SELECT format('UPDATE %s SET %s%s;', gone.profiles, coalesce(
        (SELECT string_agg(format('%1$I = %1$I', a.attname), ', ' ORDER BY a.attnum) FROM pg_trigger AS t
         JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::smallint[])
         WHERE t.tgrelid = gone.profiles AND t.tgname = ANY (gone.triggers) AND a.attname <> gone.retired_name),
        (SELECT format('%1$I = %1$I', b.tier_column) FROM @extschema@.model_access_binding AS b
         WHERE b.profiles = gone.profiles),
        (SELECT format('%1$I = %1$I', a.attname) FROM pg_attribute AS a
         WHERE a.attrelid = gone.profiles AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> gone.retired_name
         ORDER BY a.attnum LIMIT 1)),
        CASE WHEN gone.profiles::oid = gone.table_id THEN format(' WHERE age(xmin) <= age(%L::xid)', gone.at_xid) END)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_refill(@extschema@.model_access_retired) IS
    'Internal. Gives the UPDATE that runs the triggers for rows that were written while they were disabled.';

CREATE FUNCTION @extschema@._model_access_ddl_enable(relation regclass, name name, state "char") RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(E'ALTER TABLE ONLY %s %s TRIGGER %I;\n', relation, CASE state
        WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END, name)
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_enable(regclass, name, "char") IS
    'Internal. Gives the statement that sets pg_trigger.tgenabled of a trigger.';

CREATE FUNCTION @extschema@._model_access_ddl_restore(profiles regclass, gone @extschema@.model_access_retired)
RETURNS TABLE (n integer, object text, action text, why text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 0, p.object, 'look', p.why, @extschema@._model_access_ddl_note(p.object, NULL::text)
    FROM @extschema@._model_access_publications(profiles::oid, gone.retired_name) AS p
    UNION ALL
    SELECT 1, 'table ' || profiles, 'lock', 'for milliseconds; stops if anything has changed since the dry run',
        @extschema@._model_access_ddl_lock(profiles::oid, gone.retired_name, '{}'::oid[])
    UNION ALL
    SELECT 2, format('column %s.%I', profiles, gone.column_name), 'rename', 'no value is moved',
        @extschema@._model_access_ddl_rename(profiles, gone.retired_name, gone.column_name)
    UNION ALL
    SELECT 3, format('default value for %s.%I', d, gone.column_name), 'drop', 'it was set while no trigger filled the column',
        format(E'ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT;\n', d, gone.column_name)
    FROM unnest(gone.defaults) AS d
    UNION ALL
    SELECT 4, format('trigger %I on %s', t.name, t.id), 'enable', 'it gets the state that it had',
        @extschema@._model_access_ddl_enable(t.id, t.name, t.state)
    FROM unnest(gone.relations, gone.triggers, gone.states) AS t(id, name, state)
    JOIN pg_trigger AS g ON g.tgrelid = t.id AND g.tgname = t.name
    UNION ALL
    SELECT 4, format('trigger %I on %s', t.name, t.id), 'missing', w,
        @extschema@._model_access_ddl_note(w, NULL::text)
    FROM unnest(gone.relations, gone.triggers) AS t(id, name)
    CROSS JOIN (SELECT 'it was dropped since the column was retired'::text) AS w(w)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.id AND g.tgname = t.name)
    UNION ALL
    SELECT 5, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'the column is not retired any more',
        @extschema@._model_access_ddl_forget(gone)
    UNION ALL
    -- by age, since numbers of transactions wrap around
    SELECT 6, 'table ' || profiles, 'look', format('rows written since: %s; the triggers did not fill the column in them. The '
        'UPDATE runs the triggers, but one that acts only on a changed value does nothing', w.r[1]),
        @extschema@._model_access_ddl_note(@extschema@._model_access_ddl_refill(gone), NULL::text)
    FROM @extschema@._model_access_read(profiles::oid, '{count(*)}'::text[],
        format('FROM %s AS p WHERE age(p.xmin) <= age(%L::xid)', profiles, gone.at_xid)) AS w(r)
    WHERE w.r[1] <> '0' AND profiles::oid = gone.table_id
    UNION ALL
    SELECT 6, 'table ' || profiles, 'look', 'rows written since: unknown, because the table was restored from a dump; the '
        'triggers did not fill the column in such rows. The UPDATE runs the triggers for all rows',
        @extschema@._model_access_ddl_note(@extschema@._model_access_ddl_refill(gone), NULL::text)
    WHERE profiles::oid <> gone.table_id AND cardinality(gone.triggers) > 0
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_restore(regclass, @extschema@.model_access_retired) IS
    'Internal. Gives the statements that restore a column.';

CREATE FUNCTION @extschema@.model_access_restore_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    steps jsonb;
BEGIN
    IF num_nulls(profiles, column_name, dry_run) > 0 THEN
        RAISE EXCEPTION 'arguments must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF @extschema@._model_access_column_number(profiles::oid, column_name) IS NOT NULL THEN
        RETURN QUERY SELECT 1, format('column %s.%I', profiles, column_name), 'nothing to do', w,
            @extschema@._model_access_ddl_note(w, NULL::text) FROM (SELECT 'the column has this name'::text) AS t(w);
        RETURN;
    END IF;
    steps := (SELECT jsonb_agg(to_jsonb(s)) FROM @extschema@._model_access_ddl_restore(
        profiles, @extschema@._model_access_retired_of(profiles, column_name)) AS s);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(profiles, ''::text, steps, dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_restore_allowed_models(regclass, name, boolean) IS
    'Gives a retired column its old name and its triggers their old states, or lists the steps in a dry run.';

-- file: retire/drop
-- Drops a retired column, days later: what uses it is replaced or dropped, and a table keeps its values.

CREATE FUNCTION @extschema@._model_access_view_without(
    view oid, column_name name, instead text, OUT definition text, OUT is_listed boolean, OUT is_changed boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- the name occurs nowhere else, and PostgreSQL prints each item of a select list on its own line
    WITH part AS (
        SELECT pg_get_viewdef(view, 0) AS whole, '(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)' AS name,
            @extschema@._model_access_as_regex(quote_ident(column_name)) || '(?![a-z0-9_$"])' AS column_name),
    text AS (
        -- the name alone, as table.name, or as a field: (table).name or (table.*).name
        SELECT p.whole, p.name, format('(?:%1$s[.]|[(]%1$s(?:[.][*])?[)][.])?%2$s', p.name, p.column_name) AS word FROM part AS p)
    SELECT regexp_replace(t.whole, t.word, instead, 'g'),
        t.whole !~ E'\\m(UNION(?! ALL)|INTERSECT|EXCEPT|GROUP BY|DISTINCT(?! ON))\\M' AND (
            SELECT count(*) FROM regexp_matches(t.whole, t.word, 'g')) = (
            SELECT count(*) FROM regexp_split_to_table(t.whole, '\n') AS l(line)
            WHERE l.line ~ format('^ *(?:SELECT +(?:DISTINCT ON [(][^()]*[)] *)?)?%s(?: AS %s)?[,;]?$', t.word, t.name)),
        t.whole ~ t.word
    FROM text AS t
$$;
COMMENT ON FUNCTION @extschema@._model_access_view_without(oid, name, text) IS
    'Internal. Gives a view with another expression in place of a column, and whether the view only selects that column.';

CREATE FUNCTION @extschema@._model_access_ddl_view(view oid, definition text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- CREATE OR REPLACE drops options that it does not name: without security_invoker, the view would show every row
    SELECT format(E'CREATE OR REPLACE VIEW %s%s AS\n%s\n', c.oid::regclass,
        ' WITH (' || array_to_string(c.reloptions, ', ') || ')', definition)
    FROM pg_class AS c WHERE c.oid = view
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_view(oid, text) IS
    'Internal. Gives the statement that replaces a view and keeps its options.';

CREATE FUNCTION @extschema@._model_access_ddl_drop_object(class oid, id oid, object text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE class
        WHEN 'pg_constraint'::regclass THEN (
            SELECT format(E'ALTER TABLE %s DROP CONSTRAINT %I;\n', k.conrelid::regclass, k.conname)
            FROM pg_constraint AS k WHERE k.oid = id)
        WHEN 'pg_attrdef'::regclass THEN (
            SELECT format(E'ALTER TABLE %s DROP COLUMN %I;\n', a.attrelid::regclass, a.attname)
            FROM pg_attrdef AS g JOIN pg_attribute AS a ON a.attrelid = g.adrelid AND a.attnum = g.adnum
            WHERE g.oid = id AND a.attgenerated <> '')
        ELSE (
            SELECT format(E'DROP %s %s;\n', upper(k.kind[1]), k.kind[2]) FROM regexp_match(object,
                '^(view|materialized view|rule|policy|trigger|index|statistics|function|procedure)(?: object)? (.*)$')
                AS k(kind) WHERE k.kind IS NOT NULL) END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_drop_object(oid, oid, text) IS
    'Internal. Gives the statement that drops an object; NULL if the object goes with the column, or the kind is unknown.';

CREATE FUNCTION @extschema@._model_access_drop_uses(relation oid, column_name name, accept text[], disabled oid[])
RETURNS TABLE (object text, action text, why text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH dependent AS (
        SELECT d.class, d.id, d.deptype, d.object FROM @extschema@._model_access_dependents(relation, column_name) AS d
        UNION
        SELECT 'pg_trigger'::regclass, t.id, 'n', o.object FROM unnest(disabled) AS t(id)
        CROSS JOIN LATERAL (SELECT @extschema@._model_access_object('pg_trigger'::regclass::oid, t.id, 0)) AS o(object)),
    use AS (
        SELECT d.*, w.definition, w.is_listed, w.is_changed, d.id = ANY (disabled) AS is_disabled,
            n.is_null OR d.object = ANY (accept) AS is_accepted,
            @extschema@._model_access_ddl_drop_object(d.class, d.id, d.object) AS dropped,
            @extschema@._model_access_ddl_view(v.oid, w.definition) AS replaced,
            d.deptype = 'a' AND NOT EXISTS (
                SELECT FROM pg_depend AS o
                WHERE o.classid = d.class AND o.objid = d.id AND o.refclassid = 'pg_class'::regclass
                  AND o.refobjid = relation AND o.refobjsubid NOT IN (0, a.attnum)) AS is_own
        FROM dependent AS d CROSS JOIN LATERAL (SELECT d.object || ' as NULL' = ANY (accept)) AS n(is_null)
        JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = column_name
        JOIN pg_type AS t ON t.oid = @extschema@._model_access_column_type(relation, a.attnum)
        LEFT JOIN pg_rewrite AS r ON d.class = 'pg_rewrite'::regclass AND r.oid = d.id AND r.rulename = '_RETURN'
        LEFT JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = 'v'
        LEFT JOIN LATERAL @extschema@._model_access_view_without(v.oid, column_name, format('%L::%s',
            CASE WHEN n.is_null THEN NULL WHEN t.typcategory = 'A' THEN '{}' ELSE '[]' END,
            format_type(a.atttypid, a.atttypmod))) AS w ON v.oid IS NOT NULL)
    SELECT u.object, j.action,
        CASE WHEN u.is_own THEN 'it uses only this column'
             WHEN u.is_disabled THEN 'disabled since the column was retired'
             WHEN u.is_listed THEN 'it only selects the column: an empty list replaces it, and an INSERT cannot set it any more'
             WHEN u.is_changed THEN 'an empty list changes what it means; accepted, it is replaced as shown'
             WHEN u.class = 'pg_policy'::regclass THEN 'accepted, it is dropped: check which rows can be reached without it'
             WHEN u.dropped IS NULL THEN 'change it by hand'
             ELSE 'it uses more than this column; accepted, it is dropped' END,
        CASE j.action
             WHEN 'manual' THEN @extschema@._model_access_ddl_note(
                 concat_ws(chr(10), u.object || ': it uses the column', coalesce(u.definition, u.dropped)), u.object)
             WHEN 'replace' THEN u.replaced
             ELSE coalesce(u.dropped, @extschema@._model_access_ddl_note('goes with the column'::text, NULL::text)) END
    FROM use AS u CROSS JOIN LATERAL (SELECT CASE
        WHEN u.is_own OR u.is_disabled THEN 'drop'
        WHEN u.is_listed THEN 'replace'
        WHEN NOT u.is_accepted OR coalesce(u.replaced, u.dropped) IS NULL THEN 'manual'
        WHEN u.is_changed THEN 'replace'
        ELSE 'drop' END) AS j(action)
$$;
COMMENT ON FUNCTION @extschema@._model_access_drop_uses(oid, name, text[], oid[]) IS
    'Internal. Lists what a drop does with everything that uses a retired column.';

CREATE FUNCTION @extschema@._model_access_drop_functions(accept text[], disabled oid[])
RETURNS TABLE (object text, action text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH own AS (SELECT t.oid, t.tgfoid FROM pg_trigger AS t WHERE t.oid = ANY (disabled) OR t.tgparentid = ANY (disabled)),
    unused AS (
        SELECT DISTINCT o.tgfoid, 'function ' || o.tgfoid::regprocedure AS object FROM own AS o
        WHERE NOT EXISTS (
            SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = o.tgfoid
              AND NOT (d.classid = 'pg_trigger'::regclass AND d.objid IN (SELECT t.oid FROM own AS t))))
    SELECT f.object, j.action, CASE j.action
        WHEN 'drop' THEN format(E'DROP FUNCTION %s;\n', f.tgfoid::regprocedure)
        ELSE @extschema@._model_access_ddl_note('stays'::text, NULL::text) END
    FROM unused AS f
    CROSS JOIN LATERAL (SELECT CASE WHEN f.object = ANY (accept) THEN 'drop' ELSE 'keep' END) AS j(action)
$$;
COMMENT ON FUNCTION @extschema@._model_access_drop_functions(text[], oid[]) IS
    'Internal. Lists the functions that only the disabled triggers use, and whether they are dropped.';

CREATE FUNCTION @extschema@._model_access_ddl_keep(relation oid, gone @extschema@.model_access_retired)
RETURNS TABLE (object text, ddl text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH kept AS (
        SELECT c.relowner, relation::regclass AS profiles, (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM pg_index AS x
            CROSS JOIN LATERAL unnest(x.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
            JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
            WHERE x.indrelid = relation AND x.indisprimary AND k.n <= x.indnkeyatts) AS keys,
            format('%I.%I', c.relnamespace::regnamespace::text,
                left(c.relname, 30) || '_' || left(gone.column_name, 32)) AS name
        FROM pg_class AS c WHERE c.oid = relation),
    named AS (
        -- hosted PostgreSQL grants every new object to its web roles
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
        WHERE d.defaclobjtype = 'r' AND a.grantee <> d.defaclrole)
    SELECT 'table ' || k.name, concat(
        format(E'CREATE TABLE %s AS SELECT %s, %I AS %I FROM %s WITH NO DATA;\n',
            k.name, k.keys, gone.retired_name, gone.column_name, k.profiles),
        (SELECT string_agg(format(E'REVOKE ALL ON TABLE %s FROM %s;\n', k.name, n.role), '') FROM named AS n),
        format(E'ALTER TABLE %s OWNER TO %s;\n', k.name, k.relowner::regrole),
        format(E'SELECT %s._model_access_execute(%L::regclass::oid, %L::text);\n', '@extschema@', k.profiles,
            format('INSERT INTO %s SELECT %s, %I FROM %s', k.name, k.keys, gone.retired_name, k.profiles)))
    FROM kept AS k WHERE k.keys IS NOT NULL
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_keep(oid, @extschema@.model_access_retired) IS
    'Internal. Gives the statements that keep the values in a table, with the primary key; no row where there is no primary key.';

CREATE FUNCTION @extschema@._model_access_ddl_drop(profiles regclass, gone @extschema@.model_access_retired, accept text[])
RETURNS TABLE (n integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    disabled oid[]   := ARRAY(
        SELECT t.oid FROM unnest(gone.relations, gone.triggers) AS g(id, name)
        JOIN pg_trigger AS t ON t.tgrelid = g.id AND t.tgname = g.name WHERE t.tgenabled = 'D' AND t.tgparentid = 0);
    views    oid[]   := ARRAY(
        SELECT v.oid FROM @extschema@._model_access_dependents(profiles::oid, gone.retired_name) AS d
        JOIN pg_rewrite AS r ON r.oid = d.id JOIN pg_class AS v ON v.oid = r.ev_class WHERE v.relkind = 'v');
    lost     text    := 'values of ' || profiles;
    is_kept  boolean := EXISTS (SELECT FROM @extschema@._model_access_ddl_keep(profiles::oid, gone));
BEGIN
    RETURN QUERY
    SELECT 0, lost, 'manual', 'they cannot be kept without a primary key; accepted, they are lost',
        @extschema@._model_access_ddl_note('they would be lost'::text, lost)
    WHERE NOT is_kept AND lost <> ALL (accept)
    UNION ALL
    SELECT 1, 'table ' || profiles, 'lock',
        'with the views that are replaced; stops if anything has changed since the dry run',
        @extschema@._model_access_ddl_lock(profiles::oid, gone.retired_name, views)
    UNION ALL
    SELECT 2, u.object, u.action, u.why, u.ddl
    FROM @extschema@._model_access_drop_uses(profiles::oid, gone.retired_name, accept, disabled) AS u
    UNION ALL
    SELECT 3, f.object, f.action, 'nothing else uses it; accepted, it is dropped', f.ddl
    FROM @extschema@._model_access_drop_functions(accept, disabled) AS f
    UNION ALL
    SELECT 4, k.object, 'create', 'keeps the values with their keys, and has the owner of the table', k.ddl
    FROM @extschema@._model_access_ddl_keep(profiles::oid, gone) AS k
    UNION ALL
    SELECT 5, format('column %s.%I', profiles, gone.retired_name), 'drop', 'without CASCADE',
        format(E'ALTER TABLE %s DROP COLUMN %I;\n', profiles, gone.retired_name)
    UNION ALL
    SELECT 6, 'table ' || '@extschema@.model_access_retired'::regclass, 'record', 'the column cannot be restored any more',
        @extschema@._model_access_ddl_forget(gone);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_ddl_drop(regclass, @extschema@.model_access_retired, text[]) IS
    'Internal. Gives the statements that drop a retired column.';

CREATE FUNCTION @extschema@.model_access_drop_retired_column(
    profiles regclass, accept text[] DEFAULT '{}', dry_run boolean DEFAULT true)
RETURNS TABLE (step integer, object text, action text, why text, ddl text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone  @extschema@.model_access_retired;
    steps jsonb;
BEGIN
    IF num_nulls(profiles, accept, dry_run) > 0 THEN
        RAISE EXCEPTION 'arguments must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    gone := @extschema@._model_access_retired_of(profiles, NULL::name);
    steps := (SELECT jsonb_agg(to_jsonb(s)) FROM @extschema@._model_access_ddl_drop(profiles, gone, accept) AS s);
    RETURN QUERY SELECT c.* FROM @extschema@._model_access_carry_out(
        profiles, format('column "%s" of %s cannot be dropped yet', gone.retired_name, profiles), steps, dry_run) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_drop_retired_column(regclass, text[], boolean) IS
    'Drops a retired column without CASCADE and keeps its values in a table, or lists the steps in a dry run.';

-- file: retire/import
-- Before such a column is retired: shows which users would lose which model, and adds overrides that keep them for a time.

CREATE FUNCTION @extschema@._model_access_import_lists(profiles regclass, column_name name, id_column name, tier_column name)
RETURNS TABLE (user_id text, tier text, list jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- output functions print keys and tiers, because any role can make a cast; one row for each user, because lists are long
    SELECT @extschema@._model_access_user_key(r[1]), coalesce(b.tier_map ->> r[2], r[2]), r[3]::jsonb
    FROM @extschema@._model_access_read(profiles::oid,
        ARRAY[format('concat(p.%I)', id_column), format('CASE WHEN p.%1$I IS NOT NULL THEN concat(p.%1$I) END', tier_column),
            format('to_jsonb(p.%I)', column_name)]::text[],
        -- a row without a key belongs to no user
        format('FROM %s AS p WHERE concat(p.%I) <> ''''', profiles, id_column)) AS r
    LEFT JOIN @extschema@.model_access_binding AS b ON b.profiles = _model_access_import_lists.profiles
$$;
COMMENT ON FUNCTION @extschema@._model_access_import_lists(regclass, name, name, name) IS
    'Internal. Lists the users of a table with their tiers and the contents of a column.';

CREATE FUNCTION @extschema@._model_access_import_rows(profiles regclass, column_name name, id_column name, tier_column name)
RETURNS TABLE (user_id text, model_id text, finding text, tier text, loses boolean, is_open boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH listed AS MATERIALIZED (
        SELECT l.user_id AS id, l.tier, l.list, CASE jsonb_typeof(l.list) WHEN 'array' THEN l.list
            WHEN 'null' THEN '[]' ELSE jsonb_build_array(NULL) END AS items
        FROM @extschema@._model_access_import_lists(profiles, column_name, id_column, tier_column) AS l),
    had AS (
        SELECT DISTINCT l.id, l.tier, e.model_id, CASE
            WHEN l.list IS NULL OR l.list = 'null' THEN 'no list'
            WHEN l.list = '[]' THEN 'empty list'
            WHEN e.model_id IN ('*', 'all') THEN 'everything'
            WHEN e.model_id IS NULL THEN 'not a model id' END AS list
        FROM listed AS l LEFT JOIN LATERAL (
            SELECT CASE jsonb_typeof(i) WHEN 'string' THEN nullif(i #>> '{}', '') END
            FROM jsonb_array_elements(l.items) AS i) AS e(model_id) ON true),
    in_force AS (
        SELECT v.user_id, v.model_id, v.provider, bool_and(v.allowed) AS allowed
        FROM @extschema@.model_access_override AS v
        WHERE v.expires_at IS NULL OR v.expires_at > clock_timestamp() GROUP BY v.user_id, v.model_id, v.provider)
    SELECT h.id, CASE WHEN h.list IS NULL THEN h.model_id END,
        CASE WHEN h.list IS NOT NULL THEN h.list
             WHEN m.model_id IS NULL THEN 'unknown'
             WHEN m.missing_since IS NOT NULL THEN 'left the catalogue'
             ELSE m.status END,
        (@extschema@._model_access_tiers())[@extschema@._model_access_rank(m)],
        -- what cannot be read counts as a loss
        CASE WHEN h.list IS NOT NULL THEN h.list IN ('everything', 'not a model id')
             ELSE a.model_id IS NULL OR NOT coalesce(least(o.allowed, p.allowed),
                 a.rank <= @extschema@._model_access_rank(h.tier), false) END,
        -- no override if an admin has rejected the model, or if another override is already in force
        h.list IS NULL AND h.id IS NOT NULL AND (m.status IN ('new', 'active') OR m.status_before_missing IS NOT NULL)
            AND o.allowed IS NULL AND p.allowed IS NULL
    FROM had AS h
    LEFT JOIN @extschema@.model_access AS m ON m.model_id = h.model_id
    LEFT JOIN @extschema@._model_access_active AS a ON a.model_id = h.model_id
    -- as joins: a table that was just filled has poor statistics, and a subquery would run for each row
    LEFT JOIN in_force AS o ON o.user_id = h.id AND o.model_id = m.model_id
    LEFT JOIN in_force AS p ON p.user_id = h.id AND p.provider = m.provider
$$;
COMMENT ON FUNCTION @extschema@._model_access_import_rows(regclass, name, name, name) IS
    'Internal. Lists what each user had, whether the user would lose it, and whether an override may keep it.';

CREATE FUNCTION @extschema@._model_access_import_overrides(
    profiles regclass, column_name name, id_column name, tier_column name, until timestamptz, at timestamptz)
RETURNS TABLE (model_id text, finding text, tier text, users bigint, lose bigint, overrides bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- one statement, because to read the lists takes most of the time
    WITH found AS MATERIALIZED (
        SELECT * FROM @extschema@._model_access_import_rows(profiles, column_name, id_column, tier_column)),
    -- created_at is not now(), as in a restored dump: these rows need no check, and triggers do not record them
    given AS (
        INSERT INTO @extschema@.model_access_override (user_id, model_id, allowed, expires_at, note, created_at)
        SELECT f.user_id, f.model_id, true, until, format('was in %s.%I', profiles, column_name), at
        FROM found AS f WHERE f.loses AND f.is_open ORDER BY f.user_id, f.model_id
        RETURNING *),
    -- the history as the triggers would write it, for all rows at once
    recorded AS (
        INSERT INTO @extschema@.model_access_history (model_id, user_id, at, old, new)
        SELECT g.model_id, g.user_id, g.created_at, '{}', jsonb_build_object('override', to_jsonb(g)) FROM given AS g)
    SELECT f.model_id, f.finding, f.tier, count(*), count(*) FILTER (WHERE f.loses), count(*) FILTER (WHERE f.loses AND f.is_open)
    FROM found AS f GROUP BY f.model_id, f.finding, f.tier
$$;
COMMENT ON FUNCTION @extschema@._model_access_import_overrides(regclass, name, name, name, timestamptz, timestamptz) IS
    'Internal. Writes the overrides that keep what users had, created at a moment, and counts as the dry run does.';

CREATE FUNCTION @extschema@.model_access_import_allowed_models(
    profiles regclass, column_name name DEFAULT 'allowed_models', id_column name DEFAULT 'id',
    tier_column name DEFAULT 'subscription_tier', until timestamptz DEFAULT now() + interval '90 days',
    dry_run boolean DEFAULT true)
RETURNS TABLE (model_id text, finding text, tier text, users bigint, lose bigint, overrides bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_check_profiles(profiles, id_column, tier_column);
    PERFORM @extschema@._model_access_check_reader(profiles);
    PERFORM @extschema@._model_access_check_column(profiles, column_name);
    IF dry_run IS NULL THEN
        RAISE EXCEPTION 'dry_run must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF until <= now() THEN
        RAISE EXCEPTION 'until must be in the future'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a later moment, as in until => now() + interval ''90 days''; NULL means for ever.';
    END IF;
    IF dry_run THEN
        RETURN QUERY SELECT i.model_id, i.finding, i.tier, count(*), count(*) FILTER (WHERE i.loses),
                count(*) FILTER (WHERE i.loses AND i.is_open)
            FROM @extschema@._model_access_import_rows(profiles, column_name, id_column, tier_column) AS i
            GROUP BY i.model_id, i.finding, i.tier
            ORDER BY i.model_id IS NOT NULL, count(*) DESC, i.finding COLLATE "C", i.model_id COLLATE "C";
    ELSE
        RETURN QUERY SELECT r.* FROM @extschema@._model_access_import_overrides(
                profiles, column_name, id_column, tier_column, until, clock_timestamp()) AS r
            ORDER BY r.model_id IS NOT NULL, r.users DESC, r.finding COLLATE "C", r.model_id COLLATE "C";
        PERFORM @extschema@._model_access_notify();
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_import_allowed_models(regclass, name, name, name, timestamptz, boolean) IS
    'Counts, for each model in a column such as profiles.allowed_models, the users who would lose it, and gives them overrides '
    'unless it is a dry run.';

-- file: admin/grant
-- Defines what each role may do. Only the owner has rights until model_access_grant gives rights to other roles.

CREATE TABLE @extschema@.model_access_granted (
    role      name,
    rights    text,
    role_id   oid NOT NULL,
    table_id  oid NOT NULL,
    system_id bigint NOT NULL,
    PRIMARY KEY (role, rights)
);
COMMENT ON TABLE @extschema@.model_access_granted IS 'The rights that model_access_grant gave to each role.';
COMMENT ON COLUMN @extschema@.model_access_granted.role IS 'The name of the role; the role does not need to exist.';
COMMENT ON COLUMN @extschema@.model_access_granted.rights IS 'The rights: user, reader, viewer, admin or job.';
COMMENT ON COLUMN @extschema@.model_access_granted.role_id IS 'The oid of the role when the rights were granted.';
COMMENT ON COLUMN @extschema@.model_access_granted.table_id IS
    'The oid of the table model_access when the rights were granted.';
COMMENT ON COLUMN @extschema@.model_access_granted.system_id IS
    'The identifier of the database cluster when the rights were granted.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_granted
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_granted IS 'Lets only the owner record granted rights.';

CREATE FUNCTION @extschema@._model_access_system() RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.system_identifier FROM pg_control_system() AS c;
END;
COMMENT ON FUNCTION @extschema@._model_access_system() IS 'Internal. Gives the identifier of the database cluster.';

CREATE VIEW @extschema@._model_access_grantee AS
SELECT r.oid AS role_id, r.rolname AS role, g.rights, g.is_here
FROM (
    SELECT g.*, g.table_id = '@extschema@.model_access'::regclass::oid AND g.system_id = s.id AS is_here
    FROM @extschema@.model_access_granted AS g CROSS JOIN @extschema@._model_access_system() AS s(id)) AS g
-- a restore gives the table another oid, or is in another cluster; only then is the role found by its name
JOIN pg_roles AS r ON CASE WHEN g.is_here THEN r.oid = g.role_id ELSE r.rolname = g.role END;
COMMENT ON VIEW @extschema@._model_access_grantee IS 'Internal. The roles of model_access_granted that exist.';

CREATE VIEW @extschema@._model_access_call AS
SELECT DISTINCT CASE WHEN v.oid IS NULL THEN 'pg_proc'::regclass ELSE 'pg_class'::regclass END AS caller_class,
    coalesce(v.ev_class, d.objid) AS caller, d.refclassid::regclass AS callee_class, d.refobjid AS callee
FROM pg_depend AS d LEFT JOIN pg_rewrite AS v ON v.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
LEFT JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
JOIN @extschema@._model_access_member AS m ON m.class = d.refclassid AND m.id = d.refobjid
WHERE d.deptype = 'n' AND (v.oid IS NOT NULL AND v.rulename = '_RETURN' OR NOT p.prosecdef);
COMMENT ON VIEW @extschema@._model_access_call IS
    'Internal. Lists what views and SECURITY INVOKER functions use, from pg_depend, which does not record what PL/pgSQL uses.';

CREATE VIEW @extschema@._model_access_right AS
WITH RECURSIVE listed AS (
    SELECT r.rights, r.kind, '@extschema@.' || r.name AS name, r.privilege, r.columns, i.id FROM (VALUES
        ('user',   'ROUTINE',  'models_for_me()', 'EXECUTE', NULL::name[]),
        ('reader', 'ROUTINE',  'models_for_tier(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_allowed(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_explain(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'models_for_user(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_entries_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_allowed_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_explain_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_user(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_enforce()', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_version()', 'EXECUTE', NULL),
        ('reader', 'TABLE',    '_model_access_active', 'SELECT', NULL),
        ('reader', 'TABLE',    'model_access_visible', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_review', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_history', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_price_history', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_changes', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_sync_log', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_settings', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_rule', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_override', 'SELECT', NULL),
        ('viewer', 'ROUTINE',  'models_for_tier_as_of(text,timestamptz)', 'EXECUTE', NULL),
        ('viewer', 'ROUTINE',  'model_access_health()', 'EXECUTE', NULL),
        ('admin',  'TABLE',    'model_access', 'UPDATE', @extschema@._model_access_decided_columns()::name[]),
        ('admin',  'TABLE',    'model_access_action', 'INSERT', '{action,arguments}'),
        ('admin',  'TABLE',    'model_access_action', 'SELECT', '{result}'),
        ('admin',  'ROUTINE',  '_model_access_ask(text,jsonb)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_limit_locks()', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_not_locked(oid[],oid[],text,text)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_lock_holders(oid[],oid[])', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_accept(text[])', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_confirm(text[])', 'EXECUTE', NULL),
        ('admin',  'TABLE',    '_model_access_undo_subject', 'SELECT', NULL),
        ('admin',  'ROUTINE',  'model_access_undo(timestamptz,boolean,text[],text,bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo(timestamptz,boolean,text[],text,bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_check(timestamptz,boolean,text[],bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_steps(timestamptz,text[],text,bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_models(jsonb)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_others(jsonb)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_check_ids(text[],text[],text,text)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_preview(text,integer)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_preview_fetched(integer)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_sync(integer)', 'EXECUTE', NULL),
        ('admin',  'TABLE',    'model_access_rule', 'INSERT', NULL),
        ('admin',  'TABLE',    'model_access_rule', 'UPDATE', NULL),
        ('admin',  'TABLE',    'model_access_rule', 'DELETE', NULL),
        ('admin',  'TABLE',    'model_access_override', 'DELETE', NULL),
        ('admin',  'TABLE',    'model_access_override', 'INSERT',
            '{user_id,model_id,allowed,expires_at,note,provider,starts_at}'),
        ('admin',  'TABLE',    'model_access_override', 'UPDATE',
            '{user_id,model_id,allowed,expires_at,note,provider,starts_at}'),
        ('admin',  'SEQUENCE', 'model_access_override_override_id_seq', 'USAGE', NULL),
        ('job',    'ROUTINE',  'model_access_sync_job()', 'EXECUTE', NULL),
        ('job',    'ROUTINE',  '_model_access_sync_as_job()', 'EXECUTE', NULL),
        ('job',    'ROUTINE',  '_model_access_prune()', 'EXECUTE', NULL),
        ('job',    'ROUTINE',  '_model_access_bad(@extschema@.model_access_sync_log)', 'EXECUTE', NULL)
    ) AS r(rights, kind, name, privilege, columns)
    CROSS JOIN LATERAL (SELECT CASE r.kind
        WHEN 'ROUTINE' THEN to_regprocedure('@extschema@.' || r.name)::oid
        ELSE to_regclass('@extschema@.' || r.name)::oid
    END) AS i(id)
    -- some functions do not exist without the library
    WHERE i.id IS NOT NULL),
-- a view reads its tables with the rights of its owner, but calls functions with the rights of the role that reads it
used AS (
    SELECT l.rights, CASE l.kind WHEN 'ROUTINE' THEN 'pg_proc'::regclass ELSE 'pg_class'::regclass END AS class, l.id
    FROM listed AS l WHERE l.privilege IN ('EXECUTE', 'SELECT')
    UNION
    -- a function that is listed belongs only to the rights that list it, even if a function of other rights calls it
    SELECT u.rights, c.callee_class, c.callee FROM used AS u
    JOIN @extschema@._model_access_call AS c ON c.caller_class = u.class AND c.caller = u.id
    WHERE NOT EXISTS (
        SELECT FROM listed AS l WHERE l.kind = 'ROUTINE' AND c.callee_class = 'pg_proc'::regclass AND l.id = c.callee))
SELECT l.* FROM listed AS l
UNION ALL
SELECT u.rights, 'ROUTINE', u.id::regprocedure::text, 'EXECUTE', NULL, u.id FROM used AS u
WHERE u.class = 'pg_proc'::regclass AND NOT EXISTS (SELECT FROM listed AS l WHERE l.kind = 'ROUTINE' AND l.id = u.id);
COMMENT ON VIEW @extschema@._model_access_right IS
    'Internal. The privileges that belong to each of the rights: those listed here, and EXECUTE on what these call.';

CREATE FUNCTION @extschema@._model_access_included(rights text) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE rights
    WHEN 'admin' THEN '{reader,viewer,admin}'::text[]
    WHEN 'viewer' THEN '{reader,viewer}'::text[]
    ELSE ARRAY[rights]
END;
COMMENT ON FUNCTION @extschema@._model_access_included(text) IS 'Internal. Gives these rights and those that they include.';

CREATE FUNCTION @extschema@._model_access_check_role(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'role must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name an existing role, such as ''app''::regrole.';
    ELSIF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'role with OID % does not exist', role::oid
            USING ERRCODE = 'undefined_object', HINT = 'Name an existing role, such as ''app''::regrole.';
    ELSIF role = (SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass) THEN
        RAISE EXCEPTION 'role % owns model_access', role
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The owner has all rights. Name another role.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_role(regrole) IS
    'Internal. Raises error 22004 for NULL, 42704 for a role that does not exist, 22023 for the owner of model_access.';

CREATE FUNCTION @extschema@._model_access_give(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    -- a GRANT without the right to grant raises only a warning
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        RAISE EXCEPTION 'role % has no USAGE on schema %', role, '@extschema@'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('The owner of the schema must run: GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    FOR item IN
        SELECT * FROM @extschema@._model_access_right AS r
        WHERE r.rights = ANY (@extschema@._model_access_included(_model_access_give.rights))
    LOOP
        EXECUTE format('GRANT %s ON %s %s TO %s',
            item.privilege || coalesce(' (' || array_to_string(item.columns, ', ') || ')', ''), item.kind, item.name, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_give(regrole, text) IS 'Internal. Grants the privileges that belong to the rights.';

CREATE FUNCTION @extschema@.model_access_grant(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF rights NOT IN ('user', 'reader', 'viewer', 'admin', 'job') OR rights IS NULL THEN
        RAISE EXCEPTION 'unknown rights "%"', rights
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The rights are user, reader, viewer, admin and job.';
    END IF;
    PERFORM @extschema@._model_access_check_role(role);
    IF rights = 'job' AND to_regprocedure('@extschema@.model_access_sync_job()') IS NULL THEN
        RAISE EXCEPTION 'cannot grant rights "job" without the library'
            USING ERRCODE = 'feature_not_supported', DETAIL = 'The job is a procedure of the library.',
                  HINT = 'Run model-access push as a member of the role that owns model_access.';
    END IF;
    PERFORM @extschema@._model_access_give(role, rights);
    INSERT INTO @extschema@.model_access_granted AS g (role, rights, role_id, table_id, system_id)
    SELECT r.rolname, model_access_grant.rights, r.oid, '@extschema@.model_access'::regclass, @extschema@._model_access_system()
    FROM pg_roles AS r WHERE r.oid = model_access_grant.role
    ON CONFLICT ON CONSTRAINT model_access_granted_pkey DO UPDATE
    SET role_id = excluded.role_id, table_id = excluded.table_id, system_id = excluded.system_id;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_grant(regrole, text) IS
    'Gives a role the rights user, reader, viewer, admin or job, in addition to those that it has, and USAGE on the schema.';

-- file: admin/privileges
-- The privileges that roles hold, compared with those that they were given: health reports them, repair and revoke change them.

CREATE VIEW @extschema@._model_access_held AS
WITH relation AS (
    SELECT m.class, m.id, c.relowner AS owner, c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS kind,
        format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass) AS object
    FROM @extschema@._model_access_member AS m JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass),
item AS (
    SELECT r.class, r.id, r.object, r.owner, coalesce(r.relacl, acldefault(r.kind, r.owner)) AS acl, NULL::name AS column_name
    FROM relation AS r
    UNION ALL
    SELECT r.class, r.id, r.object, r.owner, t.attacl, t.attname
    FROM relation AS r JOIN pg_attribute AS t ON t.attrelid = r.id AND t.attacl IS NOT NULL
    UNION ALL
    SELECT m.class, m.id, format('ROUTINE %s', p.oid::regprocedure), p.proowner,
        coalesce(p.proacl, acldefault('f', p.proowner)), NULL
    FROM @extschema@._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass)
SELECT o.class, o.id, o.object, o.owner, a.grantee, a.grantor, o.column_name,
    a.privilege_type || coalesce(' (' || quote_ident(o.column_name) || ')', '') AS privilege
FROM item AS o CROSS JOIN LATERAL aclexplode(o.acl) AS a
WHERE a.grantee <> o.owner;
COMMENT ON VIEW @extschema@._model_access_held IS
    'Internal. Every privilege on an object of the extension that a role other than its owner holds; grantee 0 is PUBLIC.';

CREATE VIEW @extschema@._model_access_due AS
SELECT r.id, g.role AS grantee_name, g.role_id AS grantee,
    r.privilege || coalesce(' (' || quote_ident(c.name) || ')', '') AS privilege, format('%s %s', r.kind, r.name) AS object
FROM @extschema@._model_access_grantee AS g
JOIN @extschema@._model_access_right AS r ON r.rights = ANY (@extschema@._model_access_included(g.rights))
LEFT JOIN LATERAL unnest(r.columns) AS c(name) ON true
UNION
-- definer functions run as the owner of the tables, who may call all others but those that act as the owner of any table
SELECT p.oid, o.rolname, o.oid, 'EXECUTE', format('ROUTINE %s', p.oid::regprocedure)
FROM @extschema@._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass
JOIN @extschema@._model_access_member AS t
    ON t.class = 'pg_class'::regclass AND t.id = '@extschema@.model_access'::regclass AND t.owner <> m.owner
JOIN pg_roles AS o ON o.oid = t.owner
WHERE p.proname NOT IN ('_model_access_read', '_model_access_execute');
COMMENT ON VIEW @extschema@._model_access_due IS 'Internal. Every privilege that a role should hold.';

CREATE VIEW @extschema@._model_access_lacking AS
SELECT u.* FROM @extschema@._model_access_due AS u WHERE NOT EXISTS (
    SELECT FROM @extschema@._model_access_held AS h
    WHERE h.id = u.id AND h.grantee = u.grantee AND h.privilege = u.privilege);
COMMENT ON VIEW @extschema@._model_access_lacking IS 'Internal. Every privilege that a role should hold and does not hold.';

CREATE FUNCTION @extschema@._model_access_close(known oid[] DEFAULT '{}') RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT DISTINCT format('REVOKE ALL ON %s FROM %s CASCADE',
            h.object, CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END)
        FROM @extschema@._model_access_held AS h
        WHERE h.id <> ALL (known) AND (h.grantee = 0 OR h.grantee IN (
            -- hosted PostgreSQL grants every new object to its web roles
            SELECT a.grantee FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
            WHERE d.defaclnamespace IN (0, '@extschema@'::regnamespace) AND a.grantee <> d.defaclrole
            EXCEPT SELECT u.grantee FROM @extschema@._model_access_due AS u))
    LOOP
        EXECUTE command;
        RETURN NEXT command;
    END LOOP;
    FOR command IN
        SELECT format('GRANT %s ON %s TO %s', l.privilege, l.object, l.grantee::regrole)
        FROM @extschema@._model_access_lacking AS l WHERE l.id <> ALL (known)
          -- in an upgrade, roles get theirs when it has ended
          AND (known = '{}' OR l.grantee = to_regrole('model_access_owner'))
    LOOP
        EXECUTE command;
        RETURN NEXT command;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_close(oid[]) IS
    'Internal. On objects that are not known: revokes what PUBLIC and default privileges got, grants what roles lack.';

CREATE FUNCTION @extschema@._model_access_grant_again() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('GRANT %s ON %s TO %s', l.privilege, l.object, l.grantee::regrole)
        FROM @extschema@._model_access_lacking AS l
    LOOP
        EXECUTE command;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_grant_again() IS
    'Internal. Trigger function that grants what roles lack.';

-- an upgrade writes the rows as they are; until COMMIT, PostgreSQL would take the GRANT for a part of the extension
CREATE CONSTRAINT TRIGGER model_access_grant_again AFTER UPDATE ON @extschema@.model_access_granted
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD IS NOT DISTINCT FROM NEW)
    EXECUTE FUNCTION @extschema@._model_access_grant_again();
COMMENT ON TRIGGER model_access_grant_again ON @extschema@.model_access_granted IS
    'Grants at the end of an upgrade what roles lack.';

CREATE FUNCTION @extschema@.model_access_repair_privileges() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT DISTINCT format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', u.grantee::regrole) AS command
        FROM @extschema@._model_access_due AS u
        WHERE NOT has_schema_privilege(u.grantee, '@extschema@'::regnamespace, 'USAGE')
    LOOP
        EXECUTE item.command;
        RETURN NEXT item.command;
    END LOOP;
    RETURN QUERY SELECT * FROM @extschema@._model_access_close('{}'::oid[]);
    UPDATE @extschema@.model_access_granted AS g
    SET role = t.role, role_id = t.role_id, table_id = '@extschema@.model_access'::regclass,
        system_id = @extschema@._model_access_system()
    FROM @extschema@._model_access_grantee AS t
    WHERE t.rights = g.rights AND CASE WHEN t.is_here
        THEN t.role_id = g.role_id AND t.role <> g.role ELSE t.role = g.role END;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_repair_privileges() IS
    'Grants again what a restore lost, revokes what PUBLIC and default privileges hold, and gives the statements that it ran.';

CREATE FUNCTION @extschema@._model_access_revoke_as(grantor oid, command text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me text := current_setting('role');
BEGIN
    -- only the role that granted a privilege can revoke it
    PERFORM set_config('role', (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = grantor), true);
    EXECUTE command;
    PERFORM set_config('role', me, true);
    RETURN true;
EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_revoke_as(oid, text) IS
    'Internal. Revokes what another role granted; false if the caller may not act as that role.';

CREATE FUNCTION @extschema@.model_access_revoke(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
    kept text;
BEGIN
    PERFORM @extschema@._model_access_check_role(role);
    FOR item IN
        SELECT DISTINCT h.object, h.grantor, h.owner FROM @extschema@._model_access_held AS h
        WHERE h.grantee = model_access_revoke.role
    LOOP
        IF item.grantor = item.owner THEN
            EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', item.object, role);
        ELSE
            PERFORM @extschema@._model_access_revoke_as(
                item.grantor, format('REVOKE ALL ON %s FROM %s CASCADE', item.object, role));
        END IF;
    END LOOP;
    DELETE FROM @extschema@.model_access_granted AS g USING pg_roles AS r
    WHERE r.oid = model_access_revoke.role AND (g.role_id = r.oid OR g.role = r.rolname);
    kept := (SELECT string_agg(DISTINCT format('%s on %s, granted by %s', h.privilege, h.object, h.grantor::regrole), '; ')
             FROM @extschema@._model_access_held AS h WHERE h.grantee = model_access_revoke.role);
    IF kept IS NOT NULL THEN
        RAISE WARNING 'role % keeps privileges that only their grantors can revoke', role
            USING DETAIL = format('It holds %s.', kept), HINT = 'Revoke them as those roles, or as a superuser.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_revoke(regrole) IS
    'Revokes every privilege of a role on the objects of the extension, whoever granted it.';

CREATE FUNCTION @extschema@._model_access_creators() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_roles AS r
    WHERE has_schema_privilege(r.oid, '@extschema@'::regnamespace, 'CREATE') AND NOT r.rolsuper AND r.oid >= 16384
      AND NOT pg_has_role(
        r.oid, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass), 'USAGE')
$$;
COMMENT ON FUNCTION @extschema@._model_access_creators() IS
    'Internal. Names the roles, beside superusers and the owner, that may create objects in the schema; NULL without any.';

CREATE FUNCTION @extschema@._model_access_strangers() RETURNS TABLE (what text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH member AS (
        SELECT m.*, coalesce(c.relowner, p.proowner) AS owner_now,
            coalesce(c.oid::regclass::text, p.oid::regprocedure::text) AS name
        FROM @extschema@._model_access_member AS m
        LEFT JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass
        LEFT JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass),
    relation AS (SELECT m.id, m.name, m.owner_now FROM member AS m WHERE m.class = 'pg_class'::regclass)
    SELECT format('%s is owned by %s', m.name, m.owner_now::regrole) FROM member AS m
    WHERE m.owner_now IS DISTINCT FROM m.owner
    UNION ALL
    SELECT format('%s is a member of %s', a.member::regrole, a.roleid::regrole)
    FROM relation AS r JOIN pg_auth_members AS a ON r.owner_now IN (a.roleid, a.member)
    WHERE r.id = '@extschema@.model_access'::regclass AND r.owner_now = to_regrole('model_access_owner')
    UNION ALL
    SELECT format('trigger %I on %s%s', t.tgname, m.name,
        CASE WHEN f.id IS NULL THEN ' does not belong to the extension' ELSE ' is disabled' END)
    FROM pg_trigger AS t JOIN relation AS m ON m.id = t.tgrelid
    LEFT JOIN member AS f ON f.id = t.tgfoid AND f.class = 'pg_proc'::regclass
    WHERE NOT t.tgisinternal AND (f.id IS NULL OR t.tgenabled <> 'O')
    UNION ALL
    SELECT format('rule %I on %s does not belong to the extension', r.rulename, m.name)
    FROM pg_rewrite AS r JOIN relation AS m ON m.id = r.ev_class WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT format('policy %I on %s does not belong to the extension', p.polname, m.name)
    FROM pg_policy AS p JOIN relation AS m ON m.id = p.polrelid
$$;
COMMENT ON FUNCTION @extschema@._model_access_strangers() IS
    'Internal. Lists owners, memberships, triggers, rules and policies that differ from the install.';

CREATE FUNCTION @extschema@._model_access_privilege_findings() RETURNS TABLE (rank integer, what text, repair text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 1, s.what, NULL FROM @extschema@._model_access_strangers() AS s
    UNION ALL
    SELECT 2, format('%s holds %s on %s',
        CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END, h.privilege, h.object),
        CASE h.grantee WHEN 0 THEN 'revokes what PUBLIC holds' END
    FROM @extschema@._model_access_held AS h WHERE NOT EXISTS (
        SELECT FROM @extschema@._model_access_due AS u
        WHERE u.id = h.id AND u.grantee = h.grantee AND u.privilege = h.privilege)
    UNION ALL
    SELECT 3, format('%s lacks %s on %s', l.grantee_name, l.privilege, l.object), 'grants what roles lack'
    FROM @extschema@._model_access_lacking AS l
    UNION ALL
    SELECT 4, format('%s may create objects in schema %s', c.roles, '@extschema@'), NULL
    FROM @extschema@._model_access_creators() AS c(roles) WHERE c.roles IS NOT NULL
$$;
COMMENT ON FUNCTION @extschema@._model_access_privilege_findings() IS
    'Internal. Lists what differs from the rights that were granted, and how model_access_repair_privileges corrects it.';

CREATE FUNCTION @extschema@._model_access_health_of_privileges() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH finding AS (
        SELECT f.*, row_number() OVER (ORDER BY f.rank, f.what) AS n FROM @extschema@._model_access_privilege_findings() AS f),
    summary AS (
        SELECT count(*) AS total, string_agg(f.what, '; ' ORDER BY f.n) FILTER (WHERE f.n <= 5) AS first_five,
            string_agg(DISTINCT f.repair, ' and ' ORDER BY f.repair DESC) AS repair
        FROM finding AS f)
    SELECT 'privileges', s.total = 0, CASE WHEN s.total = 0 THEN 'roles hold what model_access_grant gave, and nothing else'
        ELSE concat_ws('; ', s.first_five, CASE WHEN s.total > 5 THEN format('and %s more', s.total - 5) END,
            'model_access_repair_privileges() ' || s.repair) END
    FROM summary AS s
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_privileges() IS
    'Internal. Gives the check privileges of model_access_health.';

-- file: admin/health
-- One query for alerts: it shows what is wrong, and what will soon be wrong.

CREATE FUNCTION @extschema@._model_access_health_of_runs() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
    -- a run may start late and take a while, and a day has 25 hours when daylight saving time ends
    WITH allowed AS (
        SELECT value::interval + interval '90 minutes' AS age
        FROM @extschema@.model_access_settings WHERE name = 'sync_interval'),
    last_run AS (SELECT * FROM @extschema@.model_access_sync_log WHERE outcome <> 'skipped' ORDER BY run_id DESC LIMIT 1),
    -- the last by its number: a clock that was ahead must not hide later runs. The clock of a standby may be a little behind.
    success AS (
        SELECT max(s.at) AS at, max(s.at) > clock_timestamp() + interval '1 minute' AS is_ahead FROM (
            SELECT started_at FROM @extschema@.model_access_sync_log WHERE outcome IN ('applied', 'unchanged')
            ORDER BY run_id DESC LIMIT 1) AS s(at))
    SELECT 'last_success', coalesce(s.at > clock_timestamp() - a.age AND NOT s.is_ahead, false),
        CASE WHEN s.at IS NULL THEN 'no sync has succeeded yet'
             WHEN s.is_ahead THEN format('in the future, at %s: the clock was set back, or the log is from another server', s.at)
             ELSE format('%s ago, %s allowed', date_trunc('second', clock_timestamp() - s.at), a.age) END
    FROM success AS s CROSS JOIN allowed AS a
    UNION ALL
    SELECT 'last_run', coalesce(bool_and(outcome IN ('applied', 'unchanged')), false),
        coalesce(string_agg(concat_ws(': ', outcome, error), ''), 'no sync has run yet')
    FROM last_run
    UNION ALL
    SELECT 'withheld', coalesce(bool_and(withheld = 0), true),
        format('withheld from the last list: %s', coalesce(sum(withheld), 0))
    FROM last_run
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_runs() IS 'Internal. Gives the checks of model_access_health about runs.';

CREATE FUNCTION @extschema@._model_access_health_of_tiers() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- a tier that had active models and has no active model left, because of what syncs took
    SELECT 'tiers', count(t.tier) = 0, coalesce(
        'no model is left in tier ' || string_agg(t.tier, ', ' ORDER BY t.tier), 'no tier has lost its last model')
    FROM (
        SELECT f.tier FROM @extschema@.model_access AS m
        CROSS JOIN LATERAL unnest(@extschema@._model_access_tiers_of(m)
            || CASE WHEN m.free_revoked_at IS NOT NULL THEN '{free}'::text[] END) AS f(tier)
        WHERE (m.status = 'active' OR m.status_before_missing = 'active' OR m.price_guarded_at IS NOT NULL)
        GROUP BY f.tier
        HAVING NOT bool_or(m.status = 'active' AND m.missing_since IS NULL AND (f.tier <> 'free' OR m.is_free))) AS t
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_tiers() IS 'Internal. Gives the check tiers of model_access_health.';

CREATE FUNCTION @extschema@._model_access_health_of_profiles() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound   regclass := (SELECT b.profiles FROM @extschema@.model_access_binding AS b);
    problem text     := @extschema@._model_access_binding_error();
    writers text     := @extschema@._model_access_tier_writers();
    unknown text;
    silent  text     := (SELECT '; bound with notify => false, so caches learn of a changed tier only when their entries expire'
                         FROM @extschema@.model_access_binding AS b WHERE NOT b.notify);
BEGIN
    IF bound IS NULL THEN
        RETURN QUERY VALUES ('profiles', true, 'no table is bound: models_for_user knows no user');
        RETURN;
    ELSIF problem IS NOT NULL THEN
        RETURN QUERY VALUES ('profiles', false, format('users cannot be looked up: %s; bind the table again', problem));
    ELSE
        unknown := @extschema@._model_access_users_without_tier();
        RETURN QUERY VALUES (
            'profiles', unknown IS NULL, format('users of %s in unknown tiers: %s%s', bound, coalesce(unknown, '0'), silent));
    END IF;
    RETURN QUERY VALUES ('tier_column', writers IS NULL,
        coalesce('can be updated by ' || writers, 'only its owner and admins may update it directly'));
EXCEPTION WHEN OTHERS THEN
    -- reading the table runs code of its owner; an error there must not hide the other checks
    RETURN QUERY VALUES ('profiles', false, format('users of %s cannot be read: %s', bound, SQLERRM));
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_of_profiles() IS
    'Internal. Gives the checks of model_access_health about the bound table.';

CREATE FUNCTION @extschema@._model_access_health_checks() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH review AS (SELECT reason, since, model_id FROM @extschema@.model_access_review),
    size AS (
        SELECT pg_total_relation_size('@extschema@.model_access_history'::regclass) AS history,
               pg_total_relation_size('@extschema@.model_access_sync_log'::regclass) AS log)
    SELECT * FROM @extschema@._model_access_health_of_runs()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_tiers()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_profiles()
    UNION ALL
    SELECT * FROM @extschema@._model_access_health_of_privileges()
    UNION ALL
    SELECT 'review', coalesce(min(since) >= current_date - 7, true),
        format('waiting: %s%s', count(*), ', the oldest since ' || min(since))
    FROM review WHERE reason <> 'expiring'
    UNION ALL
    SELECT 'free_revoked', count(*) = 0, format('no longer free and not yet decided: %s', count(*))
    FROM review WHERE reason = 'free_revoked'
    UNION ALL
    SELECT 'expiring', count(*) = 0, format('active models that expire soon: %s%s',
        count(*), ', ' || string_agg(model_id, ', ' ORDER BY since, model_id))
    FROM review WHERE reason = 'expiring'
    UNION ALL
    SELECT 'size', history + log < 1024 ^ 3, format('history %s, log %s', pg_size_pretty(history), pg_size_pretty(log)) FROM size
$$;
COMMENT ON FUNCTION @extschema@._model_access_health_checks() IS 'Internal. Gives every check of model_access_health but schema.';

CREATE FUNCTION @extschema@.model_access_health() RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET jit = off
BEGIN ATOMIC
    -- a body of BEGIN ATOMIC refers to functions by oid, so it works even where the others name a schema that was renamed
    WITH schema AS (
        SELECT n.nspname AS present, (parse_ident('@extschema@'))[1] AS installed
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = '@extschema@.model_access'::regclass)
    SELECT 'schema', s.present = s.installed,
        CASE WHEN s.present = s.installed THEN format('the schema is %I, as at the install', s.present)
             ELSE format('the schema was %I at the install, and functions need that name: ALTER SCHEMA %I RENAME TO %1$I',
                 s.installed, s.present) END
    FROM schema AS s
    UNION ALL
    SELECT h."check", h.ok, h.detail FROM @extschema@._model_access_health_checks() AS h
    WHERE (SELECT s.present = s.installed FROM schema AS s);
END;
COMMENT ON FUNCTION @extschema@.model_access_health() IS
    'Gives one row (check, ok, detail) for each check of the runs, the review, the bound table, the privileges and the size.';

-- file: library/owner
-- Tables, views, sequences and SECURITY DEFINER functions belong to a role of their own, so that a mistake in such a function
-- affects nothing else. What runs with the rights of its caller belongs to the installer: whoever could alter it would act as
-- the superuser who calls it.

DO $$
DECLARE
    role record;
    item record;
BEGIN
    SELECT r.*,
        ARRAY(SELECT m.member::regrole::text FROM pg_auth_members AS m WHERE m.roleid = r.oid) AS members,
        ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members AS m WHERE m.member = r.oid) AS groups
    INTO role FROM pg_roles AS r WHERE r.rolname = 'model_access_owner';
    IF NOT FOUND THEN
        CREATE ROLE model_access_owner;
        COMMENT ON ROLE model_access_owner IS
            'Owns the tables and the SECURITY DEFINER functions of the extension model_access, and has no members.';
    ELSIF role.rolcanlogin OR role.rolsuper OR role.rolcreaterole OR role.rolcreatedb OR role.rolreplication OR role.rolbypassrls
        OR role.members <> '{}' OR role.groups <> '{}' THEN
        RAISE EXCEPTION 'role "model_access_owner" exists and cannot own the extension'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('It must have no attribute such as LOGIN, no members and no memberships. '
                                  'Its members: %s; its memberships: %s.',
                      coalesce(nullif(array_to_string(role.members, ', '), ''), 'none'),
                      coalesce(nullif(array_to_string(role.groups, ', '), ''), 'none')),
                  HINT = 'Revoke these from the role, or rename the role.';
    END IF;
    IF NOT has_schema_privilege('model_access_owner', '@extschema@'::regnamespace, 'USAGE') THEN
        GRANT USAGE ON SCHEMA @extschema@ TO model_access_owner;
    END IF;
    FOR item IN
        SELECT CASE WHEN c.oid IS NOT NULL THEN format('TABLE %s', c.oid::regclass)
                    ELSE format('ROUTINE %s', m.id::regprocedure) END AS name, m.owner::regrole AS owner
        FROM @extschema@._model_access_member AS m
        LEFT JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass
        LEFT JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass
        -- only what an upgrade made, which another superuser may run
        WHERE m.owner <> coalesce(c.relowner, p.proowner)
          -- a sequence follows its table
          AND c.relkind IS DISTINCT FROM 'S'
    LOOP
        EXECUTE format('ALTER %s OWNER TO %s', item.name, item.owner);
    END LOOP;
END
$$;

-- file: script/record
-- The script runs in one transaction, so it made or replaced whatever this transaction wrote to pg_class and pg_proc.

INSERT INTO @extschema@._model_access_installed (relation)
SELECT c.oid::regclass FROM pg_class AS c
WHERE c.relnamespace = '@extschema@'::regnamespace AND c.xmin = pg_current_xact_id()::xid AND c.relkind IN ('r', 'v', 'S')
ON CONFLICT DO NOTHING;
INSERT INTO @extschema@._model_access_installed (routine)
SELECT i.identity FROM pg_proc AS p CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, p.oid, 0) AS i
WHERE p.pronamespace = '@extschema@'::regnamespace AND p.xmin = pg_current_xact_id()::xid
ON CONFLICT DO NOTHING;
-- an upgrade may have dropped some
DELETE FROM @extschema@._model_access_installed AS i
WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = i.relation) AND to_regprocedure(i.routine) IS NULL;

-- file: admin/closed
-- After the install only the owner holds privileges: PUBLIC loses EXECUTE, and roles lose what default privileges gave them.

DO $$
DECLARE
    creators text := @extschema@._model_access_creators();
BEGIN
    PERFORM @extschema@._model_access_close('{}'::oid[]);
    IF creators IS NOT NULL THEN
        RAISE WARNING 'other roles may create objects in schema %', '@extschema@'
            USING DETAIL = format('The roles are: %s. A caller could run a function of theirs in place of one of the extension.',
                      creators),
                  HINT = 'Install into a schema of its own, or revoke CREATE from these roles.';
    END IF;
END
$$;

-- file: library/dump
-- Tells pg_dump what to include: the tables that hold decisions, their history, settings and runs, and the sequences behind them.

SELECT pg_extension_config_dump('@extschema@.model_access', '');
SELECT pg_extension_config_dump('@extschema@.model_access_setting', '');
SELECT pg_extension_config_dump('@extschema@.model_access_rule', '');
SELECT pg_extension_config_dump('@extschema@.model_access_sync_log', '');
SELECT pg_extension_config_dump('@extschema@.model_access_sync_log_run_id_seq', '');
SELECT pg_extension_config_dump('@extschema@.model_access_history', '');
SELECT pg_extension_config_dump('@extschema@.model_access_history_history_id_seq', '');
SELECT pg_extension_config_dump('@extschema@.model_access_binding', '');
SELECT pg_extension_config_dump('@extschema@.model_access_granted', '');
SELECT pg_extension_config_dump('@extschema@.model_access_override', '');
SELECT pg_extension_config_dump('@extschema@.model_access_override_override_id_seq', '');
SELECT pg_extension_config_dump('@extschema@.model_access_retired', '');

