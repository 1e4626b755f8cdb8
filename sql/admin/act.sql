-- Functions that change decisions run with the rights of their caller. They insert into a view, and the right to INSERT into it
-- is the right to decide. PostgreSQL checks that right also inside SECURITY DEFINER functions of an application.

CREATE VIEW @extschema@.model_access_action AS
SELECT NULL::text AS action, NULL::jsonb AS arguments, NULL::jsonb AS result WHERE false;
COMMENT ON VIEW @extschema@.model_access_action IS
    'Internal. The view into which functions that change decisions insert, such as model_access_confirm; it holds no row.';
COMMENT ON COLUMN @extschema@.model_access_action.action IS 'confirm, accept, undo or import.';
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
    WHEN 'import' THEN
        NEW.result := (SELECT jsonb_agg(to_jsonb(i)) FROM @extschema@._model_access_import(NEW.arguments ->> 'document') AS i);
    END CASE;
    PERFORM set_config('_model_access.acting', '', true);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_act() IS
    'Internal. Trigger function that confirms, accepts, undoes or imports, as the owner of the tables.';

CREATE TRIGGER model_access_act INSTEAD OF INSERT ON @extschema@.model_access_action
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_act();
COMMENT ON TRIGGER model_access_act ON @extschema@.model_access_action IS
    'Confirms, accepts, undoes or imports, as the inserted row says.';

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
