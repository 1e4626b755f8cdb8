-- The trigger for an application's own tables, where the library reads the row.

-- record and not anyelement: PostgreSQL prefers a function that takes exactly the type of the argument
CREATE FUNCTION @extschema@._model_access_values(row_in_row record, moment text, columns text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL SAFE STRICT AS 'MODULE_PATHNAME', '_model_access_values_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_values(record, text, text[]) IS
    'Internal. Gives two columns of the row in a row as their types print them; NULL if a trigger cannot read both.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- ROW(NEW) is a record, while NEW::record keeps the type of its table: PostgreSQL would prefer an overload for that type,
    -- which anybody may have made, and run it with the rights of the owner. NULL if the trigger has no such row.
    new_values CONSTANT text[] := @extschema@._model_access_values(ROW(NEW), TG_WHEN, TG_ARGV);
    old_values CONSTANT text[] := @extschema@._model_access_values(ROW(OLD), TG_WHEN, TG_ARGV);
    why        text;
BEGIN
    -- a trigger that cannot read both columns has NULL here too
    IF new_values[1] IS NULL OR new_values[2] IS NULL THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    -- a row without a model uses none, and a row that keeps its user and model was accepted before
    IF new_values[2] IS NOT NULL AND new_values IS DISTINCT FROM old_values THEN
        -- by assignment, which PL/pgSQL evaluates without a query
        why := @extschema@._model_access_as_committed(
            '@extschema@._model_access_refusal(text,text)'::regprocedure, coalesce(new_values[1], ''), new_values[2]);
        IF why <> '' THEN
            PERFORM @extschema@._model_access_refuse(new_values[1], new_values[2], why);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_enforce() IS
    'Trigger function that refuses a row whose user may not use its model; its arguments name the columns of both.';
