-- Writes the decisions as text: one line of JSON for each model, rule, override and setting. Import compares a line with what
-- these functions give for the row, so every form of a value is chosen here.
--
-- Whoever exports or compares reads the rows with its own rights. What is only computed runs as the owner: these functions call
-- others that were there before, which the roles that may export need not be allowed to call.

CREATE FUNCTION @extschema@._model_access_compact(object json) RETURNS json
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- an import leaves alone what a line does not name, so the keys that an import may have to clear stay
    SELECT ('{' || string_agg(to_json(k.key)::text || ': ' || k.value::text, ', ' ORDER BY k.position) || '}')::json
    FROM json_each(object) WITH ORDINALITY AS k(key, value, position)
    WHERE k.value::text <> 'null' OR k.key IN ('note', 'value');
END;
COMMENT ON FUNCTION @extschema@._model_access_compact(json) IS
    'Internal. Writes an object in the form of an export: in one line, and without the keys that are null except note and value.';

CREATE FUNCTION @extschema@._model_access_review_key(column_name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN regexp_replace(column_name, '^reviewed_', '');
COMMENT ON FUNCTION @extschema@._model_access_review_key(text) IS
    'Internal. Gives the key of a column of the stamp in the review of an exported model.';

CREATE FUNCTION @extschema@._model_access_exported_review(model @extschema@.model_access) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- the whole stamp: also what a sync took since, which a review shows until somebody decides
    SELECT @extschema@._model_access_compact(json_build_object(
        'at', (model).reviewed_at, 'by', (model).reviewed_by, 'rule', (model).reviewed_rule,
        'pricing', (model).reviewed_pricing, 'prompt_usd_per_million', (model).reviewed_prompt_usd_per_million,
        'completion_usd_per_million', (model).reviewed_completion_usd_per_million,
        'is_free_of_charge', (model).reviewed_is_free_of_charge, 'highest_prices', (model).reviewed_highest_prices,
        'alias_of', (model).reviewed_alias_of, 'returned_at', (model).returned_at,
        'free_revoked_at', (model).free_revoked_at, 'tiers_before', to_jsonb((model).tiers_before),
        'price_guarded_at', (model).price_guarded_at));
END;
COMMENT ON FUNCTION @extschema@._model_access_exported_review(@extschema@.model_access) IS
    'Internal. Gives the stamp of the last decision about a model, with the price that was reviewed; NULL = no stamp.';

CREATE FUNCTION @extschema@._model_access_exported(model @extschema@.model_access) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT @extschema@._model_access_compact(json_build_object(
        'model', (model).model_id,
        -- that a model left the list is not a decision: another catalogue may have it
        'status', coalesce((model).status_before_missing, (model).status),
        'tiers', to_jsonb(@extschema@._model_access_tiers_of(model)),
        'note', (model).note,
        'review', @extschema@._model_access_exported_review(model)));
END;
COMMENT ON FUNCTION @extschema@._model_access_exported(@extschema@.model_access) IS
    'Internal. Gives what was decided about a model, as an export writes it.';

CREATE FUNCTION @extschema@._model_access_exported(rule @extschema@.model_access_rule) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT @extschema@._model_access_compact(json_build_object(
        'rule', (rule).position, 'pattern', (rule).pattern, 'provider', (rule).provider,
        'max_usd_per_million', (rule).max_usd_per_million, 'per_use', nullif((rule).per_use, false),
        'modality', (rule).modality, 'status', (rule).status,
        'tiers', to_jsonb(nullif(@extschema@._model_access_flagged(to_jsonb(rule)), '{}')), 'note', (rule).note));
END;
COMMENT ON FUNCTION @extschema@._model_access_exported(@extschema@.model_access_rule) IS
    'Internal. Gives a rule as an export writes it.';

CREATE FUNCTION @extschema@._model_access_exported(override @extschema@.model_access_override) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT @extschema@._model_access_compact(json_build_object(
        'override', (override).user_id, 'model', (override).model_id, 'provider', (override).provider,
        'allowed', (override).allowed, 'starts_at', (override).starts_at, 'expires_at', (override).expires_at,
        'note', (override).note));
END;
COMMENT ON FUNCTION @extschema@._model_access_exported(@extschema@.model_access_override) IS
    'Internal. Gives an override as an export writes it.';

CREATE FUNCTION @extschema@._model_access_exported(setting @extschema@.model_access_settings) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- null = the default, which another version may have changed
    SELECT @extschema@._model_access_compact(json_build_object(
        'setting', (setting).name, 'value', nullif((setting).value, (setting)."default")));
END;
COMMENT ON FUNCTION @extschema@._model_access_exported(@extschema@.model_access_settings) IS
    'Internal. Gives a setting as an export writes it.';

CREATE FUNCTION @extschema@.model_access_export_decisions(overrides boolean DEFAULT false, settings boolean DEFAULT false)
RETURNS text
-- timezone: the form of times. jit: compiling takes longer than reading
LANGUAGE sql STABLE SET timezone = 'UTC' SET jit = off
BEGIN ATOMIC
    SELECT string_agg(l.line, e'\n' ORDER BY l.rank, l.position, l.id COLLATE "C", l.line COLLATE "C")
    FROM (
        SELECT 1 AS rank, 0 AS position, '' AS id, '{"format": "model_access_decisions", "version": 1}' AS line
        UNION ALL
        SELECT 2, 0, m.model_id, e.line::text
        FROM @extschema@.model_access AS m CROSS JOIN LATERAL @extschema@._model_access_exported(m) AS e(line)
        WHERE m.reviewed_at IS NOT NULL OR m.note IS NOT NULL OR e.line ->> 'status' <> 'new' OR e.line ->> 'tiers' <> '[]'
        UNION ALL
        SELECT 3, r.position, '', @extschema@._model_access_exported(r)::text FROM @extschema@.model_access_rule AS r
        UNION ALL
        -- two overrides that say the same are one decision
        SELECT * FROM (
            SELECT DISTINCT 4, 0, o.user_id, @extschema@._model_access_exported(o)::text
            FROM @extschema@.model_access_override AS o WHERE overrides) AS o
        UNION ALL
        SELECT 5, 0, s.name, @extschema@._model_access_exported(s)::text FROM @extschema@.model_access_settings AS s
        WHERE settings) AS l;
END;
COMMENT ON FUNCTION @extschema@.model_access_export_decisions(boolean, boolean) IS
    'Gives the decisions and rules as text, one line for each model or rule, and overrides and settings if asked.';
