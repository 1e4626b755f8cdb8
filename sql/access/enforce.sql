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

CREATE FUNCTION @extschema@._model_access_refuse(user_id text, model_id text, why text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'user % may not use model "%"', coalesce('"' || user_id || '"', 'NULL'), model_id
        USING ERRCODE = 'insufficient_privilege', DETAIL = upper(left(why, 1)) || substr(why, 2) || '.',
              HINT = 'models_for_user lists what a user may use.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refuse(text, text, text) IS 'Internal. Error 42501: why a user may not use a model.';

CREATE FUNCTION @extschema@._model_access_check_enforce(relation oid, name name, event text, columns text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(cardinality(columns), 0) <> 2 OR event !~ '^(BEFORE|AFTER) (INSERT|UPDATE) ROW$' THEN
        RAISE EXCEPTION 'trigger "%" of % calls model_access_enforce wrongly', name, relation::regclass
            USING ERRCODE = 'trigger_protocol_violated',
                  HINT = 'CREATE TRIGGER … AFTER INSERT OR UPDATE OF user_id, model_id ON … FOR EACH ROW EXECUTE FUNCTION model_access_enforce(''user_id'', ''model_id'')';
    ELSIF (SELECT count(*) <> cardinality(columns) FROM unnest(columns) AS c(name)
           JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped) THEN
        RAISE EXCEPTION '% has no column "%" or none "%"', relation::regclass, columns[0], columns[1] -- as TG_ARGV counts
            USING ERRCODE = 'undefined_column', DETAIL = format('Trigger "%s" names them.', name),
                  HINT = 'The arguments of model_access_enforce are the names of the columns that hold the user and the model.';
    ELSIF event LIKE 'BEFORE %' AND EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attgenerated <> '') THEN
        RAISE EXCEPTION 'trigger "%" of % cannot see a generated column', name, relation::regclass
            USING ERRCODE = 'feature_not_supported', DETAIL = 'It is computed after BEFORE triggers have run.', HINT = 'Make it an AFTER trigger.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_enforce(oid, name, text, text[]) IS 'Internal. Raises an error where a trigger of model_access_enforce is not what it serves.';
