-- Records what belongs to this install, because there is no extension that records it.

CREATE TABLE @extschema@._model_access_installed (
    relation regclass UNIQUE,
    -- pg_upgrade refuses a column of type regprocedure
    routine  text UNIQUE,
    CHECK (num_nonnulls(relation, routine) = 1)
);
COMMENT ON TABLE @extschema@._model_access_installed IS
    'Internal. The relations and routines that the install script created, this table included.';
COMMENT ON COLUMN @extschema@._model_access_installed.relation IS 'A table, view or sequence.';
COMMENT ON COLUMN @extschema@._model_access_installed.routine IS 'A function or procedure, as to_regprocedure reads it.';

CREATE VIEW @extschema@._model_access_member AS
SELECT CASE WHEN i.routine IS NULL THEN 'pg_class'::regclass ELSE 'pg_proc'::regclass END AS class,
    coalesce(i.relation::oid, to_regprocedure(i.routine)::oid, 0) AS id, c.relowner AS owner
FROM @extschema@._model_access_installed AS i CROSS JOIN pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass;
COMMENT ON VIEW @extschema@._model_access_member IS
    'Internal. Every relation and routine of the install, and the role that should own it.';
