-- The database refuses: a trigger for an application's own tables.

CREATE FUNCTION @extschema@._model_access_refusal(user_id text, model_id text) RETURNS text
-- no SET, which every row would pay for: nothing here is found by the search path
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF @extschema@.model_allowed_for_user(user_id, model_id) THEN
        RETURN '';
    END IF;
    RETURN (SELECT e.reason FROM @extschema@.model_access_explain_for_user(user_id, model_id) AS e);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refusal(text, text) IS 'Internal. Why a user may not use a model; empty where it may.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    becomes      text[];
    was          text[];
    why          text;
BEGIN
    IF TG_NARGS <> 2 OR TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') OR TG_WHEN = 'INSTEAD OF' THEN
        RAISE EXCEPTION 'trigger "%" of % calls model_access_enforce wrongly', TG_NAME, TG_RELID::regclass
            USING ERRCODE = 'trigger_protocol_violated',
                  HINT = 'CREATE TRIGGER … BEFORE INSERT OR UPDATE OF user_id, model_id ON … FOR EACH ROW EXECUTE FUNCTION model_access_enforce(''user_id'', ''model_id'')';
    END IF;
    IF TG_WHEN = 'BEFORE' AND EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = TG_RELID AND a.attname = ANY (TG_ARGV) AND a.attgenerated <> '') THEN
        RAISE EXCEPTION 'trigger "%" of % cannot see a generated column', TG_NAME, TG_RELID::regclass
            USING ERRCODE = 'feature_not_supported', DETAIL = 'It is computed after BEFORE triggers have run.', HINT = 'Make it an AFTER trigger.';
    END IF;
    becomes := @extschema@._model_access_values(NEW, TG_ARGV);
    IF becomes IS NULL THEN
        RAISE EXCEPTION '% has no column "%" or none "%"', TG_RELID::regclass, TG_ARGV[0], TG_ARGV[1]
            USING ERRCODE = 'undefined_column', DETAIL = format('Trigger "%s" names them.', TG_NAME),
                  HINT = 'The arguments of model_access_enforce are the names of the columns that hold the user and the model.';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        was := @extschema@._model_access_values(OLD, TG_ARGV);
    END IF;
    -- a row without a model uses none, and one that keeps its model and user was let in before
    IF becomes[2] IS NULL OR was = becomes THEN
        RETURN NEW;
    END IF;
    why := @extschema@._model_access_as_committed('@extschema@._model_access_refusal(text,text)'::regprocedure, coalesce(becomes[1], ''), becomes[2]);
    IF why = '' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'user % may not use model "%"', coalesce('"' || becomes[1] || '"', 'NULL'), becomes[2]
        USING ERRCODE = 'insufficient_privilege', DETAIL = upper(left(why, 1)) || substr(why, 2) || '.',
              HINT = 'models_for_user lists what a user may use.';
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_enforce() IS 'Trigger function, BEFORE or AFTER INSERT OR UPDATE FOR EACH ROW, with the names of the column that holds the user and of the one that holds the model: refuses with 42501 a row whose user may not use its model, with the reason as DETAIL. A NULL model passes, and so does an UPDATE that changes neither. Costs one lookup of the user and one of the model a row.';
