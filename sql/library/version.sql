-- The version, which PostgreSQL records for an extension.

CREATE FUNCTION @extschema@._model_access_library_version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE STRICT AS 'MODULE_PATHNAME', '_model_access_library_version_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_library_version() IS
    'Internal. Gives the version of the library that this session uses.';

CREATE FUNCTION @extschema@.model_access_version() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.extversion || CASE WHEN l.version <> e.extversion THEN format(' (library %s)', l.version) ELSE '' END
    FROM pg_extension AS e CROSS JOIN @extschema@._model_access_library_version() AS l(version)
    WHERE e.extname = 'model_access';
END;
COMMENT ON FUNCTION @extschema@.model_access_version() IS
    'Gives the version of model_access in this database, and the version of the library if that is another one.';
