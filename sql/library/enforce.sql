-- The trigger for an application's own tables, where C reads the row.

-- record and not anyelement: a function of the very row type would be taken instead
CREATE FUNCTION @extschema@._model_access_values(row_value record, columns text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL SAFE STRICT AS 'MODULE_PATHNAME', '_model_access_values_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_values(record, text[]) IS 'Internal. Columns of a row as their types print them; NULL where it lacks one.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    becomes text[];
    was     text[];
    why     text;
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') AND TG_LEVEL = 'ROW' THEN
        becomes := @extschema@._model_access_values(NEW::record, TG_ARGV);
    END IF;
    -- a column that is not there is NULL
    IF becomes[1] IS NULL OR becomes[2] IS NULL OR TG_NARGS <> 2 OR TG_WHEN = 'INSTEAD OF' THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    -- a generated column is here what an earlier trigger made of it
    IF TG_WHEN = 'BEFORE' AND EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = TG_RELID AND a.attname = ANY (TG_ARGV) AND a.attgenerated <> '') THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        was := @extschema@._model_access_values(OLD::record, TG_ARGV);
    END IF;
    -- a row without a model uses none, and one that keeps its model and user was let in before
    IF becomes[2] IS NOT NULL AND becomes IS DISTINCT FROM was THEN
        -- by assignment, which PL/pgSQL evaluates without a query
        why := @extschema@._model_access_as_committed('@extschema@._model_access_refusal(text,text)'::regprocedure, coalesce(becomes[1], ''), becomes[2]);
        IF why <> '' THEN
            PERFORM @extschema@._model_access_refuse(becomes[1], becomes[2], why);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_enforce() IS 'Trigger function, AFTER (or BEFORE) INSERT OR UPDATE FOR EACH ROW, with the names of the column that holds the user and of the one that holds the model: refuses with 42501 a row whose user may not use its model, with the reason as DETAIL. A NULL model passes, and so does an UPDATE that changes neither. BEFORE judges an upsert of a row that was let in earlier as a new row, and may refuse it; AFTER judges it as the UPDATE that it is. Costs one lookup of the user and one of the model a row.';
