\echo Use "ALTER EXTENSION model_access UPDATE" to load this file. \quit
-- 0.1.0 was never released.

DO $$
BEGIN
    RAISE EXCEPTION 'model_access 0.1.0 cannot be upgraded'
        USING ERRCODE = 'feature_not_supported', DETAIL = 'Nothing was changed. Version 0.2.0 is the first release.',
              HINT = 'Copy the decisions as docs/security.md says, DROP EXTENSION, CREATE EXTENSION, and put the decisions back.';
END
$$;
