-- The first statements of each upgrade. What is there now is remembered, because the end must close only what is new.

-- names in this script are qualified or in pg_catalog
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    mine text := @extschema@._model_access_limit_locks();
BEGIN
    -- no run while its functions change
    LOCK TABLE @extschema@._model_access_run_lock IN SHARE UPDATE EXCLUSIVE MODE;
    PERFORM set_config('model_access_upgrade.members',
        (SELECT string_agg(m.id::text, ',') FROM @extschema@._model_access_member AS m), true);
EXCEPTION WHEN lock_not_available THEN
    PERFORM @extschema@._model_access_not_locked(
        ARRAY['@extschema@._model_access_run_lock'::regclass]::oid[], '{}'::oid[], mine, SQLERRM);
END
$$;

