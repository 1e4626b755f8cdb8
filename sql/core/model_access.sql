-- One row per model ever listed. The sync owns the upstream columns, the admin owns status, flags and note.

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
    -- here, and not at the end: readers ask for it, and need not unpack the columns in between
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
    price_guarded_at           timestamptz
);

COMMENT ON TABLE @extschema@.model_access IS 'One row per model that OpenRouter ever listed, never deleted. The sync writes what the upstream says; status, is_free, is_pro, is_enterprise and note are the admin''s.';
COMMENT ON COLUMN @extschema@.model_access.model_id IS 'Upstream id, exact, such as openai/gpt-5:batch; the only identity of a model.';
COMMENT ON COLUMN @extschema@.model_access.canonical_slug IS 'Upstream canonical_slug; shared by variants of one model.';
COMMENT ON COLUMN @extschema@.model_access.name IS 'Upstream name, for people; not unique.';
COMMENT ON COLUMN @extschema@.model_access.description IS 'Upstream description; the list cuts it short.';
COMMENT ON COLUMN @extschema@.model_access.provider IS 'Author part of the id, without a leading ~: who made the model, not who hosts it.';
COMMENT ON COLUMN @extschema@.model_access.pricing IS 'Upstream pricing as given: strings, USD per token or per unit; -1 = variable.';
COMMENT ON COLUMN @extschema@.model_access.prompt_usd_per_million IS 'USD per million prompt tokens, exact; NULL = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access.completion_usd_per_million IS 'USD per million completion tokens, exact; NULL = variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access.context_length IS 'Context window in tokens; NULL = unknown or out of range.';
COMMENT ON COLUMN @extschema@.model_access.max_completion_tokens IS 'Longest completion of the top provider in tokens; NULL = unknown or out of range.';
COMMENT ON COLUMN @extschema@.model_access.input_modalities IS 'What the model reads, such as {text,image}.';
COMMENT ON COLUMN @extschema@.model_access.output_modalities IS 'What the model writes, such as {text}.';
COMMENT ON COLUMN @extschema@.model_access.supported_parameters IS 'Request parameters that at least one host supports.';
COMMENT ON COLUMN @extschema@.model_access.expires_on IS 'Upstream expiration_date: after it the model may leave the list.';
COMMENT ON COLUMN @extschema@.model_access.upstream IS 'The whole upstream entry except its ignored_keys (see model_access_settings).';
COMMENT ON COLUMN @extschema@.model_access.status IS 'new (waits for review), active (approved), inactive (not offered) or disabled (banned).';
COMMENT ON COLUMN @extschema@.model_access.is_free IS 'In the free tier, and so in pro and enterprise.';
COMMENT ON COLUMN @extschema@.model_access.is_pro IS 'In the pro tier, and so in enterprise.';
COMMENT ON COLUMN @extschema@.model_access.is_enterprise IS 'In the enterprise tier.';
COMMENT ON COLUMN @extschema@.model_access.target_disabled IS 'Whether the model that this alias stands for, also by way of other aliases, is disabled: then nobody sees the alias.';
COMMENT ON COLUMN @extschema@.model_access.note IS 'The admin''s own words.';
COMMENT ON COLUMN @extschema@.model_access.first_seen_at IS 'When a sync first saw the model.';
COMMENT ON COLUMN @extschema@.model_access.changed_at IS 'When an upstream value last moved.';
COMMENT ON COLUMN @extschema@.model_access.missing_since IS 'Since when the model is not listed; NULL while it is.';
COMMENT ON COLUMN @extschema@.model_access.status_before_missing IS 'Not NULL = inactive because it vanished; what a return within return_window restores.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_at IS 'When an admin last decided.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_by IS 'Who decided: the role in effect.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_pricing IS 'The pricing that the decision saw.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_prompt_usd_per_million IS 'prompt_usd_per_million that the decision saw.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_completion_usd_per_million IS 'completion_usd_per_million that the decision saw.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_rule IS 'The rule whose proposal model_access_accept applied; not and the rule: a ban that model_access_confirm turned down. NULL for any other decision.';
COMMENT ON COLUMN @extschema@.model_access.returned_at IS 'When the model came back and needed a new decision; NULL once decided.';
COMMENT ON COLUMN @extschema@.model_access.free_revoked_at IS 'When the sync took is_free because the model stopped being free; NULL once decided.';
COMMENT ON COLUMN @extschema@.model_access.tiers_before IS 'The tiers that a late return took; NULL once decided.';
COMMENT ON COLUMN @extschema@.model_access.fingerprint IS 'SHA-256 of the upstream entry in canonical form: what a sync compares.';
COMMENT ON COLUMN @extschema@.model_access.last_run_id IS 'The run that last wrote this row (model_access_sync_log.run_id).';
COMMENT ON COLUMN @extschema@.model_access.is_free_of_charge IS 'Whether every price is known to be 0, at any hour and size.';
COMMENT ON COLUMN @extschema@.model_access.highest_prices IS 'The highest price of each component that any hour or size can cost: USD per million tokens, and for request, image and web_search USD each; null = variable (-1). NULL = the price cannot be read.';
COMMENT ON COLUMN @extschema@.model_access.highest_usd_per_million IS 'The highest of all prices that are counted in tokens, USD per million; NULL = one is variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access.charges_per_use IS 'Whether the model also charges by request, image or search; NULL = unknown.';
COMMENT ON COLUMN @extschema@.model_access.alias_of IS 'The model that an alias such as ~author/model-latest stands for now; NULL for a model.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_is_free_of_charge IS 'is_free_of_charge that the decision saw.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_highest_prices IS 'highest_prices that the decision saw.';
COMMENT ON COLUMN @extschema@.model_access.reviewed_alias_of IS 'alias_of that the decision saw.';
COMMENT ON COLUMN @extschema@.model_access.absent_since IS 'Since when lists lack the model, where its removal was withheld at first; NULL otherwise.';
COMMENT ON COLUMN @extschema@.model_access.absence_confirmed IS 'Whether model_access_confirm, or a new status, has let its removal through.';
COMMENT ON COLUMN @extschema@.model_access.price_unreadable_since IS 'Since when the price could not be read any more: the one here is the last that could. NULL otherwise.';
COMMENT ON COLUMN @extschema@.model_access.price_withheld_since IS 'Since when the guard keeps a price from taking is_free or status active from the model; NULL otherwise.';
COMMENT ON COLUMN @extschema@.model_access.price_guarded_at IS 'When a sync sent the model to review because of its price; NULL once decided or given back.';
