-- Rules propose, people approve: what a new model would be, and what is to be banned, by pattern, provider, price, modality.

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
COMMENT ON TABLE @extschema@.model_access_rule IS 'Rules that propose tiers for models that wait for review, or a ban for new and active ones. Bans come before all others; of each kind the first match by position counts. Plain DML. A rule does nothing by itself: model_access_accept does.';
COMMENT ON COLUMN @extschema@.model_access_rule.position IS 'Order of the rules, lowest first; bans come before the others whatever it is.';
COMMENT ON COLUMN @extschema@.model_access_rule.pattern IS 'LIKE pattern of the model id, such as %:free, in a ban also of the id that an alias stands for; NULL = any.';
COMMENT ON COLUMN @extschema@.model_access_rule.provider IS 'Who made the model, in a ban also who made the one that an alias stands for; NULL = anyone.';
COMMENT ON COLUMN @extschema@.model_access_rule.max_usd_per_million IS 'Ceiling in USD per million for all that is counted in tokens, at any hour and size (highest_usd_per_million); a variable or unknown price is above any ceiling. See per_use for the rest. NULL = any price.';
COMMENT ON COLUMN @extschema@.model_access_rule.modality IS 'What the model must read or write, such as image; NULL = anything.';
COMMENT ON COLUMN @extschema@.model_access_rule.is_free IS 'Proposes the free tier.';
COMMENT ON COLUMN @extschema@.model_access_rule.is_pro IS 'Proposes the pro tier.';
COMMENT ON COLUMN @extschema@.model_access_rule.is_enterprise IS 'Proposes the enterprise tier.';
COMMENT ON COLUMN @extschema@.model_access_rule.note IS 'The admin''s own words.';
COMMENT ON COLUMN @extschema@.model_access_rule.status IS 'disabled = proposes a ban, for active models, routers and aliases too, and takes no tier and no ceiling; NULL or active = proposes the tiers.';
COMMENT ON COLUMN @extschema@.model_access_rule.per_use IS 'Whether a rule with a ceiling also takes models that charge by request, image or search, whatever that costs.';
COMMENT ON COLUMN @extschema@.model_access_rule.changed_at IS 'When the rule was made or last changed; only the owner sets it.';
COMMENT ON COLUMN @extschema@.model_access_rule.created_at IS 'When it was made; only the owner sets it.';

CREATE FUNCTION @extschema@._model_access_check_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- not a function: a role that was granted INSERT alone could not call it
    has_tier CONSTANT boolean := NEW.is_free OR NEW.is_pro OR NEW.is_enterprise;
BEGIN
    IF NEW.status NOT IN ('active', 'disabled') THEN
        RAISE EXCEPTION 'invalid status "%" of rule %', NEW.status, NEW.position
            USING ERRCODE = 'check_violation', HINT = 'disabled proposes a ban; NULL or active proposes the tiers that are flagged.';
    ELSIF NEW.status = 'disabled' AND has_tier THEN
        RAISE EXCEPTION 'rule % proposes a ban and a tier', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'Leave the flags of all tiers false where status is disabled.';
    ELSIF NEW.status = 'disabled' AND NEW.max_usd_per_million IS NOT NULL THEN
        RAISE EXCEPTION 'rule % proposes a ban up to a price', NEW.position
            USING ERRCODE = 'check_violation', DETAIL = 'It would ban what is cheap, and leave what is dear or unknown.',
                  HINT = 'Leave max_usd_per_million NULL where status is disabled.';
    ELSIF NEW.status IS DISTINCT FROM 'disabled' AND NOT has_tier THEN
        RAISE EXCEPTION 'rule % proposes no tier and no ban', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'Set the flag of a tier, such as is_pro, or set status to disabled for a ban.';
    ELSIF NEW.max_usd_per_million < 0 OR NEW.max_usd_per_million IN ('NaN', 'Infinity') THEN
        RAISE EXCEPTION 'max_usd_per_million of rule % is not a price', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'It is in US dollars per million tokens; NULL for any price.';
    ELSIF NEW.pattern = '' OR NEW.provider = '' OR NEW.modality = '' THEN
        RAISE EXCEPTION 'rule % has an empty condition, which matches nothing', NEW.position
            USING ERRCODE = 'check_violation', HINT = 'Leave pattern, provider or modality NULL to match anything.';
    -- chr(92) is a backslash, however strings are written here
    ELSIF (length(NEW.pattern) - length(rtrim(NEW.pattern, chr(92)))) % 2 = 1 THEN
        RAISE EXCEPTION 'pattern of rule % ends with a backslash that escapes nothing', NEW.position
            USING ERRCODE = 'invalid_escape_sequence', HINT = 'Write two of them for one.';
    END IF;
    -- but not for an undo, which brings the moment with it, nor for a tool that writes every column back
    IF TG_OP = 'UPDATE' AND NEW.changed_at = OLD.changed_at
        AND to_jsonb(NEW) - 'created_at'::text <> to_jsonb(OLD) - 'created_at'::text THEN
        NEW.changed_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_rule() IS 'Internal. Trigger function: refuses a rule that can match nothing or propose nothing.';

CREATE TRIGGER model_access_check_rule BEFORE INSERT OR UPDATE ON @extschema@.model_access_rule
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_check_rule();
COMMENT ON TRIGGER model_access_check_rule ON @extschema@.model_access_rule IS 'Refuses a rule that can match nothing or propose nothing.';

CREATE FUNCTION @extschema@._model_access_rule_is_made() RETURNS trigger
-- runs as whoever writes the row, and so knows who it is
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a rule that said it was made at another time would be taken for one of a restored dump, and leave no history
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        NEW.created_at := CASE TG_OP WHEN 'INSERT' THEN now() ELSE OLD.created_at END;
        NEW.changed_at := CASE WHEN TG_OP = 'INSERT' THEN now()
            WHEN to_jsonb(NEW) - 'changed_at'::text = to_jsonb(OLD) - 'changed_at'::text THEN OLD.changed_at
            ELSE clock_timestamp() END;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_rule_is_made() IS 'Internal. Trigger function: nobody but the owner says when a rule was made or changed.';

CREATE TRIGGER model_access_rule_is_made BEFORE INSERT OR UPDATE ON @extschema@.model_access_rule
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_rule_is_made();
COMMENT ON TRIGGER model_access_rule_is_made ON @extschema@.model_access_rule IS 'Nobody but the owner says when a rule was made or changed.';

CREATE FUNCTION @extschema@._model_access_record_rule() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_rule'::regclass);
    IF TG_OP = 'INSERT' THEN
        -- not those of a restored dump, which are in the history already
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT n.position, at, '{}', jsonb_build_object('rule', to_jsonb(n))
        FROM new_rows AS n WHERE n.created_at = now() ORDER BY n.position;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT o.position, at, jsonb_build_object('rule', to_jsonb(o)), '{}' FROM old_rows AS o ORDER BY o.position;
    ELSIF TG_OP = 'TRUNCATE' THEN
        -- before it, while the rows are there
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT o.position, at, jsonb_build_object('rule', to_jsonb(o)), '{}'
        FROM @extschema@.model_access_rule AS o ORDER BY o.position;
    ELSE
        -- one that moved went from one position and came to another
        INSERT INTO @extschema@.model_access_history (rule, at, old, new)
        SELECT coalesce(o.position, n.position), at,
            CASE WHEN o.position IS NULL THEN '{}' ELSE jsonb_build_object('rule', to_jsonb(o)) END,
            CASE WHEN n.position IS NULL THEN '{}' ELSE jsonb_build_object('rule', to_jsonb(n)) END
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.position = o.position WHERE o IS DISTINCT FROM n ORDER BY 1;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_record_rule() IS 'Internal. Trigger function: records what became of rules in model_access_history.';

CREATE TRIGGER model_access_record_insert AFTER INSERT ON @extschema@.model_access_rule
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
CREATE TRIGGER model_access_record_update AFTER UPDATE ON @extschema@.model_access_rule
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
CREATE TRIGGER model_access_record_delete AFTER DELETE ON @extschema@.model_access_rule
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
CREATE TRIGGER model_access_record_truncate BEFORE TRUNCATE ON @extschema@.model_access_rule
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record_rule();
COMMENT ON TRIGGER model_access_record_insert ON @extschema@.model_access_rule IS 'Records new rules in model_access_history.';
COMMENT ON TRIGGER model_access_record_update ON @extschema@.model_access_rule IS 'Records changed rules in model_access_history.';
COMMENT ON TRIGGER model_access_record_delete ON @extschema@.model_access_rule IS 'Records removed rules in model_access_history.';
COMMENT ON TRIGGER model_access_record_truncate ON @extschema@.model_access_rule IS 'Records rules that a TRUNCATE removes in model_access_history.';

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
        -- what an alias stands for: its author as in column provider
        OR (r.pattern IS NULL OR m.alias_of LIKE r.pattern)
            AND (r.provider IS NULL OR ltrim(split_part(m.alias_of, '/', 1), '~') = r.provider))
    ELSE m.status = 'new' AND (r.pattern IS NULL OR m.model_id LIKE r.pattern) AND (r.provider IS NULL OR m.provider = r.provider)
        AND (r.max_usd_per_million IS NULL
            OR m.highest_usd_per_million <= r.max_usd_per_million AND (r.per_use OR m.charges_per_use IS FALSE))
        -- a router or an alias reaches other models, so nobody knows what would be approved
        AND m.upstream #>> '{architecture,tokenizer}' IS DISTINCT FROM 'Router' AND m.model_id NOT LIKE '~%' AND m.alias_of IS NULL
    END
CROSS JOIN LATERAL (SELECT @extschema@._model_access_flagged(to_jsonb(r)) AS tiers) AS f
ORDER BY m.model_id, coalesce(r.status, 'active') <> 'disabled', r.position;
COMMENT ON VIEW @extschema@._model_access_proposal IS 'Internal. For each new model the first rule that matches, a ban before all others, and for each active one a ban; tiers never for a router or an alias.';
