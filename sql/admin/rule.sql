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
