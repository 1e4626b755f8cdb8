-- What must be true before anything is created.

-- Names in this script are qualified or the system's: an object in the schema of the install must not get in between.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'model_access needs a database with encoding UTF8'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = format('The encoding of this database is %s.', current_setting('server_encoding')),
                  HINT = 'Create a database with ENCODING ''UTF8'' TEMPLATE template0, and the extension there.';
    END IF;
    IF to_regclass('@extschema@.model_access_sync_log') IS NOT NULL THEN
        RAISE EXCEPTION 'model_access is already installed in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_object', HINT = 'Nothing was changed, and nothing needs to be.';
    ELSIF to_regclass('@extschema@.model_access') IS NOT NULL THEN
        RAISE EXCEPTION 'relation "model_access" already exists in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_table',
                  DETAIL = 'The extension keeps its catalogue in a table of that name, and never touches one it did not create.',
                  HINT = 'Rename it (ALTER TABLE @extschema@.model_access RENAME TO model_access_old), create the extension, and import its decisions with an UPDATE; README shows one.';
    END IF;
END
$$;
