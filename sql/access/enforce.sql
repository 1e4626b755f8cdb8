-- The parts that both forms of the trigger model_access_enforce share. It refuses rows in an application's own tables.

CREATE FUNCTION @extschema@._model_access_refusal(user_id text, model_id text) RETURNS text
-- no SET, which would cost time for every row: nothing here is found by the search path
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF @extschema@.model_allowed_for_user(user_id, model_id) THEN
        RETURN '';
    END IF;
    RETURN (SELECT e.reason FROM @extschema@.model_access_explain_for_user(user_id, model_id) AS e);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refusal(text, text) IS
    'Internal. Says why a user may not use a model; empty if the user may.';

CREATE FUNCTION @extschema@._model_access_refuse(user_id text, model_id text, why text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'user % may not use model "%"', coalesce('"' || user_id || '"', 'NULL'), model_id
        USING ERRCODE = 'insufficient_privilege', DETAIL = upper(left(why, 1)) || substr(why, 2) || '.',
              HINT = 'The function models_for_user lists the models that a user may use.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_refuse(text, text, text) IS
    'Internal. Raises error 42501 that says why a user may not use a model.';

CREATE FUNCTION @extschema@._model_access_check_enforce(relation oid, name name, event text, columns text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(cardinality(columns), 0) <> 2 OR event !~ '^(BEFORE|AFTER) (INSERT|UPDATE) ROW$' THEN
        RAISE EXCEPTION 'invalid definition of trigger "%" of %', name, relation::regclass
            USING ERRCODE = 'trigger_protocol_violated',
                  DETAIL = 'model_access_enforce needs a row trigger for INSERT or UPDATE and the names of two columns.',
                  HINT = 'Create it with: CREATE TRIGGER … AFTER INSERT OR UPDATE OF user_id, model_id ON … FOR EACH ROW '
                         'EXECUTE FUNCTION model_access_enforce(''user_id'', ''model_id'')';
    ELSIF (SELECT count(*) <> cardinality(columns) FROM unnest(columns) AS c(name)
           JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped) THEN
        -- TG_ARGV counts from 0
        RAISE EXCEPTION 'column "%" or "%" of % does not exist', columns[0], columns[1], relation::regclass
            USING ERRCODE = 'undefined_column', DETAIL = format('Trigger "%s" names both.', name),
                  HINT = 'Pass the names of the columns that hold the user and the model to model_access_enforce.';
    ELSIF EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = ANY (columns)
          -- since PostgreSQL 18 a column can be virtual: triggers see NULL in it
          AND (a.attgenerated = 'v' OR event LIKE 'BEFORE %' AND a.attgenerated <> '')) THEN
        RAISE EXCEPTION 'trigger "%" of % cannot read a generated column', name, relation::regclass
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A stored column is computed after BEFORE triggers have run, a virtual one only in queries.',
                  HINT = 'Make the column STORED and the trigger an AFTER trigger.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_enforce(oid, name, text, text[]) IS
    'Internal. Raises an error if model_access_enforce cannot serve a trigger as it is defined.';
