-- After the install only the owner holds anything: PUBLIC loses its EXECUTE, and so does whoever the default privileges named.

DO $$
DECLARE
    creators text := @extschema@._model_access_creators();
BEGIN
    PERFORM @extschema@._model_access_close();
    IF creators IS NOT NULL THEN
        RAISE WARNING 'schema % is open to others', '@extschema@'
            USING DETAIL = format('These roles may create objects in it: %s.', creators),
                  HINT = 'Install into a schema of its own, or revoke CREATE: a function of theirs could be taken for one of the extension''s.';
    END IF;
END
$$;
