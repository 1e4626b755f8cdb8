-- The trigger for an application's own tables, where a query reads the row.

CREATE FUNCTION @extschema@._model_access_values_query(relation oid, columns text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- concat and not a cast, which may be anybody's function and would run with the owner's rights; and only columns, since
    -- ($1).name calls a function of that name where there is no such column
    SELECT format('SELECT ARRAY[%s]::text[]', string_agg(
        CASE WHEN a.attname IS NULL THEN 'NULL' ELSE format('CASE WHEN ($1).%1$I IS NOT NULL THEN concat(($1).%1$I) END', a.attname) END, ', ' ORDER BY c.n))
    FROM unnest(columns) WITH ORDINALITY AS c(name, n)
    LEFT JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION @extschema@._model_access_values_query(oid, text[]) IS 'Internal. A query for columns of the row $1 as their types print them; NULL for one that its table lacks.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    becomes text[];
    was     text[];
    why     text;
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') AND TG_LEVEL = 'ROW' THEN
        EXECUTE @extschema@._model_access_values_query(TG_RELID, TG_ARGV) INTO becomes USING NEW;
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
        EXECUTE @extschema@._model_access_values_query(TG_RELID, TG_ARGV) INTO was USING OLD;
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
