-- The version, which nothing else records where there is no extension.

CREATE FUNCTION @extschema@.model_access_version() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT '@version@'::text;
END;
COMMENT ON FUNCTION @extschema@.model_access_version() IS
    'Gives the version of model_access in this database, and the version of the library if that is another one.';
