-- Drops every object of the install, and with CASCADE what depends on it.
SET LOCAL client_min_messages = warning;
DO $$
DECLARE
    relations oid[] := ARRAY(SELECT m.id FROM @extschema@._model_access_member AS m WHERE m.class = 'pg_class'::regclass);
    routines  oid[] := ARRAY(SELECT m.id FROM @extschema@._model_access_member AS m WHERE m.class = 'pg_proc'::regclass);
    command   text;
BEGIN
    FOR i IN 1..cardinality(relations) LOOP
        SELECT format('DROP %s %s CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            c.oid::regclass) INTO command FROM pg_class AS c WHERE c.oid = relations[i];
        IF FOUND THEN EXECUTE command; END IF;
    END LOOP;
    FOR i IN 1..cardinality(routines) LOOP
        SELECT format('DROP ROUTINE %s CASCADE', p.oid::regprocedure) INTO command FROM pg_proc AS p WHERE p.oid = routines[i];
        IF FOUND THEN EXECUTE command; END IF;
    END LOOP;
END
$$;
