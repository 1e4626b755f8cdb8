-- The trigger for an application's own tables, where the library reads the row.

-- record and not anyelement: PostgreSQL prefers a function that takes exactly the type of the argument
CREATE FUNCTION @extschema@._model_access_values(row_value record, moment text, columns text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL SAFE STRICT AS 'MODULE_PATHNAME', '_model_access_values_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_values(record, text, text[]) IS
    'Internal. Gives two columns of a row as their types print them; NULL if a trigger at that moment cannot read both.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- NEW has the type of its table, even as NEW::record: PostgreSQL would prefer an overload for that type, which anybody may
    -- have made, and run it with the rights of the owner
    anonymous  record;
    new_values text[];
    old_values text[];
    why        text;
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') AND TG_LEVEL = 'ROW' THEN
        SELECT NEW.* INTO anonymous;
        new_values := @extschema@._model_access_values(anonymous, TG_WHEN, TG_ARGV);
    END IF;
    -- A trigger that cannot read both columns has NULL here too. Before the row is stored, a generated column holds what an
    -- earlier trigger wrote there.
    IF new_values[1] IS NULL OR new_values[2] IS NULL OR TG_WHEN = 'BEFORE' AND EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = TG_RELID AND a.attname = ANY (TG_ARGV) AND a.attgenerated <> '') THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT OLD.* INTO anonymous;
        old_values := @extschema@._model_access_values(anonymous, TG_WHEN, TG_ARGV);
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
