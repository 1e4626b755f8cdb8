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
