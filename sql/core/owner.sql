-- Triggers that let only the owner write the tables of the extension. A GRANT on a table, by mistake or by default privileges
-- of its schema, must not let another role forge what syncs and functions write.

CREATE FUNCTION @extschema@._model_access_owner_writes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Only the owner may write to this table, whatever rights other roles have.',
                  HINT = 'Change status, tier flags and note in model_access; use the functions of the extension for the rest.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_owner_writes() IS
    'Internal. Trigger function that refuses a statement by a role that does not own the table.';

CREATE TRIGGER model_access_owner BEFORE INSERT OR DELETE OR TRUNCATE ON @extschema@.model_access
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access IS 'Lets only the owner insert and delete models.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_setting
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_setting IS 'Lets only the owner change settings.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_sync_log
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_sync_log IS 'Lets only the owner write the log.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_history
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_history IS 'Lets only the owner write the history.';
