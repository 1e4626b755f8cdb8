-- The trigger for an application's own tables, where a query reads the row, since there is no library.

CREATE FUNCTION @extschema@._model_access_values_query(relation oid, moment text, columns text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- concat and not a cast, because any role can make a cast, which would run with the owner's rights; and only columns that
    -- exist, since ($1).name calls a function of that name otherwise; before the row is stored, a generated column holds what
    -- an earlier trigger wrote there
    SELECT format('SELECT ARRAY[%s]::text[]', string_agg(CASE
        WHEN a.attname IS NULL THEN 'NULL'
        ELSE format('CASE WHEN ($1).%1$I IS NOT NULL THEN concat(($1).%1$I) END', a.attname) END, ', ' ORDER BY c.n))
    FROM unnest(columns) WITH ORDINALITY AS c(name, n)
    LEFT JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attgenerated = '' OR moment <> 'BEFORE')
$$;
COMMENT ON FUNCTION @extschema@._model_access_values_query(oid, text, text[]) IS
    'Internal. Gives a query for columns of the row $1 as their types print them; NULL for one that a trigger cannot read.';

CREATE FUNCTION @extschema@.model_access_enforce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_values text[];
    old_values text[];
    why        text;
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') AND TG_LEVEL = 'ROW' THEN
        EXECUTE @extschema@._model_access_values_query(TG_RELID, TG_WHEN, TG_ARGV) INTO new_values USING NEW;
    END IF;
    -- a column that cannot be read gives NULL
    IF new_values[1] IS NULL OR new_values[2] IS NULL OR TG_NARGS <> 2 OR TG_WHEN = 'INSTEAD OF' THEN
        PERFORM @extschema@._model_access_check_enforce(TG_RELID, TG_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL), TG_ARGV);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        EXECUTE @extschema@._model_access_values_query(TG_RELID, TG_WHEN, TG_ARGV) INTO old_values USING OLD;
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
