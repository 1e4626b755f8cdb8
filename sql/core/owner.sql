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

CREATE FUNCTION @extschema@._model_access_owner_writes_columns() RETURNS trigger
-- runs as whoever writes the row, and so knows who it is
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    admins CONSTANT text[] := '{status,is_free,is_pro,is_enterprise,note}';
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE')
        AND to_jsonb(NEW) - admins <> to_jsonb(OLD) - admins THEN
        RAISE EXCEPTION 'permission denied to change what a sync writes of model "%"', OLD.model_id
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Only the owner of model_access writes columns other than status, is_free, is_pro, is_enterprise and note.',
                  HINT = 'Leave the other columns as they are.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_owner_writes_columns() IS 'Internal. Trigger function: refuses to change upstream and bookkeeping columns for anybody but the owner.';

-- before model_access_decide, by the order of their names
CREATE TRIGGER model_access_columns BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW EXECUTE FUNCTION @extschema@._model_access_owner_writes_columns();
COMMENT ON TRIGGER model_access_columns ON @extschema@.model_access IS 'Only the owner writes what a sync writes.';
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
