-- What only the owner of the extension's tables writes, whatever else has been granted.

CREATE FUNCTION @extschema@._model_access_owner_writes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to % %', lower(TG_OP), TG_RELID::regclass
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Only its owner writes this table, whatever has been granted.',
                  HINT = 'Decide by UPDATE of status, flags and note in model_access; the functions of the extension do the rest.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_owner_writes() IS 'Internal. Trigger function: refuses a statement of anybody but the owner of the table.';

CREATE TRIGGER model_access_owner BEFORE INSERT OR DELETE OR TRUNCATE ON @extschema@.model_access
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access IS 'Only the owner adds and removes models.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_setting
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_setting IS 'Only the owner changes settings.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_sync_log
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_sync_log IS 'Only the owner writes the log.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_history
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_history IS 'Only the owner writes the history.';
