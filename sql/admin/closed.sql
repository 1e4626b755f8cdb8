-- After the install only the owner holds privileges: PUBLIC loses EXECUTE, and roles lose what default privileges gave them.

DO $$
DECLARE
    creators text := @extschema@._model_access_creators();
BEGIN
    PERFORM @extschema@._model_access_close('{}'::oid[]);
    IF creators IS NOT NULL THEN
        RAISE WARNING 'other roles may create objects in schema %', '@extschema@'
            USING DETAIL = format('The roles are: %s. A caller could run a function of theirs in place of one of the extension.',
                      creators),
                  HINT = 'Install into a schema of its own, or revoke CREATE from these roles.';
    END IF;
END
$$;
