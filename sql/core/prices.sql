-- Compares two prices, for the review and for undo. The library and the program parse the prices: crates/catalog/src/price.rs.

CREATE FUNCTION @extschema@._model_access_is_above(now jsonb, reviewed jsonb, factor numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    -- Both prices are values of highest_prices. A component that is absent costs nothing. A component that is null is variable.
    -- A NULL price is unknown. A price that was known and is unknown now counts as above, and so does one that was unknown
    -- or 0 and costs something now.
    SELECT CASE WHEN _model_access_is_above.now IS NULL THEN _model_access_is_above.reviewed IS NOT NULL
        ELSE (
            SELECT coalesce(bool_or(CASE
                WHEN p.value IS NULL THEN p.old IS NOT NULL
                WHEN p.old IS NULL OR p.old = 0 THEN p.value > 0
                ELSE p.value > p.old * _model_access_is_above.factor END), false)
            FROM (
                SELECT n.value::numeric AS value,
                    CASE WHEN _model_access_is_above.reviewed ? n.key THEN (_model_access_is_above.reviewed ->> n.key)::numeric
                         WHEN _model_access_is_above.reviewed IS NOT NULL THEN 0 END AS old
                FROM jsonb_each_text(_model_access_is_above.now) AS n) AS p)
        END;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_above(jsonb, jsonb, numeric) IS
    'Internal. Tells whether any component of a price is above factor times the reviewed one; never NULL if factor is not NULL.';
