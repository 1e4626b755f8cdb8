-- What SQL must know of prices. Reading them is the library's and the program's: crates/catalog/src/price.rs.

CREATE FUNCTION @extschema@._model_access_is_above(now jsonb, reviewed jsonb, factor numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- a component that is not there costs nothing; where all is NULL nothing is known, not even that
    SELECT CASE WHEN _model_access_is_above.now IS NULL THEN _model_access_is_above.reviewed IS NOT NULL
        ELSE (
            SELECT coalesce(bool_or(CASE
                WHEN p.value IS NULL THEN p.was IS NOT NULL
                WHEN p.was IS NULL OR p.was = 0 THEN p.value > 0
                ELSE p.value > p.was * _model_access_is_above.factor END), false)
            FROM (
                SELECT n.value::numeric AS value,
                    CASE WHEN _model_access_is_above.reviewed ? n.key THEN (_model_access_is_above.reviewed ->> n.key)::numeric
                         WHEN _model_access_is_above.reviewed IS NOT NULL THEN 0 END AS was
                FROM jsonb_each_text(_model_access_is_above.now) AS n) AS p)
        END;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_above(jsonb, jsonb, numeric) IS 'Internal. Whether a price is above factor times the reviewed one, over every component of two highest_prices: one that cost nothing and costs now is, and so is one that was unknown and costs now, or was known and is unknown now. Never NULL, unless factor is.';
