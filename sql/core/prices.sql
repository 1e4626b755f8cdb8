-- What dearer means, wherever SQL asks for it: component by component, each by the highest that any hour or size can cost.

CREATE FUNCTION @extschema@._model_access_is_above(now jsonb, reviewed jsonb, factor numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN now IS NULL THEN reviewed IS NOT NULL
        ELSE EXISTS (
            SELECT FROM jsonb_each(now) AS n
            CROSS JOIN LATERAL (
                SELECT CASE WHEN reviewed IS NULL THEN 'null' ELSE coalesce(reviewed -> n.key, '0') END) AS r(value)
            WHERE CASE
                WHEN n.value = 'null' THEN r.value <> 'null'
                WHEN r.value IN ('null', '0') THEN n.value::numeric > 0
                ELSE n.value::numeric > r.value::numeric * factor
            END)
    END;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_above(jsonb, jsonb, numeric) IS 'Internal. Whether any component of the highest prices now is above the factor times the reviewed one. A component that is absent costs 0, null is unknown, and NULL is a price of which nothing is known. What was 0 and costs now is above, and so is what was unknown and costs now, or was known and is unknown now.';
