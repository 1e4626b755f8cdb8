-- The last statements of each upgrade. In an extension script, PostgreSQL takes every GRANT and REVOKE for a part of the
-- extension, and pg_dump leaves out all privileges on that object. So only new objects are closed here, and the trigger
-- model_access_grant_again grants at COMMIT what roles lack.

DO $$
BEGIN
    PERFORM @extschema@._model_access_close(string_to_array(current_setting('model_access_upgrade.members'), ',')::oid[]);
    UPDATE @extschema@.model_access_granted SET role = role;
END
$$;
