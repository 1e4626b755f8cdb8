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
