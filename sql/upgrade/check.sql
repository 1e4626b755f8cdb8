-- Stops an install or an upgrade without the library, if what is in the schema cannot be upgraded.

-- names in this script are qualified or in pg_catalog
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    found regclass := to_regclass('@extschema@.model_access_sync_log');
    known text[]   := string_to_array('@known@', ',');
    owner name;
    here  text;
BEGIN
    IF found IS NULL THEN
        RETURN;
    ELSIF EXISTS (
        SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = found AND d.deptype = 'e') THEN
        RAISE EXCEPTION 'the extension model_access is already installed in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_object', DETAIL = 'Nothing was changed.',
                  HINT = 'Run: ALTER EXTENSION model_access UPDATE';
    END IF;
    SELECT r.rolname INTO owner FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner WHERE c.oid = found;
    -- before anything of the install is called: it is code of its owner
    IF owner <> current_user THEN
        RAISE EXCEPTION 'must be owner of model_access in schema %', '@extschema@'
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Nothing was changed.',
                  HINT = format('Connect as role %s, or run SET ROLE first.', quote_ident(owner));
    ELSIF NOT EXISTS (
        SELECT FROM pg_proc AS p
        WHERE p.oid = to_regprocedure('@extschema@.model_access_version()') AND p.proowner = to_regrole(quote_ident(owner))) THEN
        RAISE EXCEPTION 'model_access in schema % is older than the first release and cannot be upgraded', '@extschema@'
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Nothing was changed.',
                  HINT = 'Copy the decisions, drop its objects, install it again, and put the decisions back.';
    END IF;
    here := @extschema@.model_access_version();
    IF here <> ALL (known) THEN
        RAISE EXCEPTION 'model_access in schema % has version %, which version % cannot upgrade', '@extschema@', here, '@version@'
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Nothing was changed.',
                  HINT = format('Use the script or the program of version %s, or of a later one.', here);
    ELSIF here = '@version@' THEN
        RAISE NOTICE 'model_access % is already installed in schema %', here, '@extschema@';
    END IF;
END
$$;
