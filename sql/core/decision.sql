-- A plain UPDATE of status or a tier flag is a decision; this records who took it, when, and at which price.

CREATE FUNCTION @extschema@._model_access_actor() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- in a SECURITY DEFINER function current_user is its owner
    SELECT coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user::text);
END;
COMMENT ON FUNCTION @extschema@._model_access_actor() IS 'Internal. The role in effect, also inside SECURITY DEFINER functions.';

CREATE FUNCTION @extschema@._model_access_decide() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.status IS NULL OR NEW.is_free IS NULL OR NEW.is_pro IS NULL OR NEW.is_enterprise IS NULL THEN
        RAISE EXCEPTION 'status and tiers of model "%" must not be null', NEW.model_id
            USING ERRCODE = 'not_null_violation', HINT = 'From a list with gaps, use coalesce(w.status, m.status).';
    ELSIF NEW.status NOT IN ('new', 'active', 'inactive', 'disabled') THEN
        RAISE EXCEPTION 'invalid status "%" for model "%"', NEW.status, NEW.model_id
            USING ERRCODE = 'check_violation', HINT = 'A status is new, active, inactive or disabled.';
    END IF;
    -- accept and undo write reviewed_at and what belongs to it themselves; nobody else may
    IF NEW.reviewed_at IS DISTINCT FROM OLD.reviewed_at THEN
        RETURN NEW;
    END IF;
    NEW.reviewed_rule := NULL;
    NEW.reviewed_at := clock_timestamp();
    NEW.reviewed_by := @extschema@._model_access_actor();
    NEW.reviewed_pricing := NEW.pricing;
    NEW.reviewed_prompt_usd_per_million := NEW.prompt_usd_per_million;
    NEW.reviewed_completion_usd_per_million := NEW.completion_usd_per_million;
    NEW.reviewed_is_free_of_charge := NEW.is_free_of_charge;
    NEW.reviewed_highest_prices := NEW.highest_prices;
    NEW.reviewed_alias_of := NEW.alias_of;
    NEW.price_guarded_at := NULL;
    -- a decision on a missing model stands when the model returns
    NEW.status_before_missing := NULL;
    NEW.returned_at := NULL;
    NEW.free_revoked_at := NULL;
    NEW.tiers_before := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_decide() IS 'Internal. Trigger function: stamps an admin''s decision.';

CREATE TRIGGER model_access_decide
    BEFORE UPDATE OF status, is_free, is_pro, is_enterprise ON @extschema@.model_access
    FOR EACH ROW
    -- a sync writes each row with a new last_run_id, an admin never does
    WHEN (NEW.last_run_id IS NOT DISTINCT FROM OLD.last_run_id)
    EXECUTE FUNCTION @extschema@._model_access_decide();
COMMENT ON TRIGGER model_access_decide ON @extschema@.model_access IS 'Stamps an admin''s decision: reviewed_at, reviewed_by, reviewed_pricing.';
