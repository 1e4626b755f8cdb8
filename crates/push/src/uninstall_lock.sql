-- Locks what an uninstall removes, if the role may remove it.
SET LOCAL search_path = pg_catalog, pg_temp;
DO $$
DECLARE
    owner name := (SELECT r.rolname FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
                   WHERE c.oid = '@extschema@.model_access'::regclass);
BEGIN
    -- before anything of the install is called: it is code of its owner
    IF owner <> current_user THEN
        RAISE EXCEPTION 'must be owner of model_access in schema %', '@extschema@'
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Nothing was removed.',
                  HINT = format('Connect as role %s, or run SET ROLE first.', quote_ident(owner));
    END IF;
    LOCK TABLE @extschema@._model_access_run_lock, @extschema@.model_access, @extschema@.model_access_history,
        @extschema@.model_access_override, @extschema@.model_access_rule, @extschema@.model_access_setting
        IN ACCESS EXCLUSIVE MODE;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'could not lock model_access within 5s'
        USING ERRCODE = 'lock_not_available', DETAIL = 'Nothing was removed.',
              HINT = 'Wait until no transaction and no run uses its tables, or end them.';
END
$$;
