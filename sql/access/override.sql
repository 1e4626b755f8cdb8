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
