-- Stops the install before it creates anything, if the database has another encoding or the schema has such a table already.

-- Names in this script are qualified or in pg_catalog: no other object of the schema may take their place.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'model_access requires a database with encoding UTF8'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = format('The encoding of this database is %s.', current_setting('server_encoding')),
                  HINT = 'Create a database with ENCODING ''UTF8'' TEMPLATE template0, and install model_access in it.';
    END IF;
    IF to_regclass('@extschema@.model_access_sync_log') IS NOT NULL THEN
        RAISE EXCEPTION 'model_access is already installed in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_object', DETAIL = 'Nothing was changed.',
                  -- names no function of the schema, which may be code of another role
                  HINT = 'The program model-access says what is there (model-access version), and upgrades or removes an '
                      'install without the library.';
    ELSIF to_regclass('@extschema@.model_access') IS NOT NULL THEN
        RAISE EXCEPTION 'relation "model_access" already exists in schema %', '@extschema@'
            USING ERRCODE = 'duplicate_table',
                  DETAIL = 'model_access creates a table of this name, and never changes a table that it did not create.',
                  HINT = 'Rename it (ALTER TABLE @extschema@.model_access RENAME TO model_access_old), install model_access, '
                      'and copy the decisions with an UPDATE such as the one in README.md.';
    END IF;
END
$$;
