-- The script runs in one transaction, so it made or replaced whatever this transaction wrote to pg_class and pg_proc.

INSERT INTO @extschema@._model_access_installed (relation)
SELECT c.oid::regclass FROM pg_class AS c
WHERE c.relnamespace = '@extschema@'::regnamespace AND c.xmin = pg_current_xact_id()::xid AND c.relkind IN ('r', 'v', 'S')
ON CONFLICT DO NOTHING;
INSERT INTO @extschema@._model_access_installed (routine)
SELECT i.identity FROM pg_proc AS p CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, p.oid, 0) AS i
WHERE p.pronamespace = '@extschema@'::regnamespace AND p.xmin = pg_current_xact_id()::xid
ON CONFLICT DO NOTHING;
-- an upgrade may have dropped some
DELETE FROM @extschema@._model_access_installed AS i
WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = i.relation) AND to_regprocedure(i.routine) IS NULL;
