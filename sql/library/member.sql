-- Finds in pg_depend what belongs to the extension.

CREATE VIEW @extschema@._model_access_member AS
SELECT d.classid AS class, d.objid AS id,
    CASE WHEN p.prosecdef IS NOT FALSE THEN to_regrole('model_access_owner')::oid ELSE e.extowner END AS owner
FROM pg_depend AS x JOIN pg_extension AS e ON e.oid = x.refobjid
JOIN pg_depend AS d ON d.refclassid = x.refclassid AND d.refobjid = x.refobjid AND d.deptype = 'e'
LEFT JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
WHERE x.classid = 'pg_class'::regclass AND x.objid = '@extschema@.model_access'::regclass
  AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
  AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass);
COMMENT ON VIEW @extschema@._model_access_member IS
    'Internal. Every relation and routine of the extension, and the role that should own it.';
