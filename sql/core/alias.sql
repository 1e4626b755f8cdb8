-- An alias stands for another model: while that one is banned, the alias is not to be seen. This is kept in the row of the
-- alias, since a look at a second row would double what model_allowed costs.

CREATE FUNCTION @extschema@._model_access_follow_target() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM @extschema@.model_access AS t WHERE t.model_id = NEW.alias_of AND t.status = 'disabled';
    NEW.target_disabled := FOUND;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_follow_target() IS 'Internal. Trigger function: notes in the row of an alias whether the model that it stands for is disabled.';

CREATE TRIGGER model_access_target BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW
    WHEN (NEW.alias_of IS DISTINCT FROM OLD.alias_of OR NEW.alias_of IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION @extschema@._model_access_follow_target();
COMMENT ON TRIGGER model_access_target ON @extschema@.model_access IS 'An alias that moves, or is approved, follows the model that it stands for.';

CREATE FUNCTION @extschema@._model_access_lead_aliases() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    IF TG_OP = 'UPDATE' THEN
        PERFORM FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id
        WHERE (o.status = 'disabled') <> (n.status = 'disabled') OR o.alias_of IS DISTINCT FROM n.alias_of;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    UPDATE @extschema@.model_access AS a SET target_disabled = NOT a.target_disabled
    WHERE (a.alias_of IS NOT NULL OR a.target_disabled) AND a.target_disabled <> EXISTS (
        SELECT FROM @extschema@.model_access AS t WHERE t.model_id = a.alias_of AND t.status = 'disabled');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lead_aliases() IS 'Internal. Trigger function: a model that is banned, or not any more, takes its aliases with it.';

-- after model_access_record, by the order of their names: what it writes comes later in the history
CREATE TRIGGER model_access_target_banned AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_lead_aliases();
COMMENT ON TRIGGER model_access_target_banned ON @extschema@.model_access IS 'A model that is banned, or not any more, takes its aliases with it.';
CREATE TRIGGER model_access_target_inserted AFTER INSERT ON @extschema@.model_access
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_lead_aliases();
COMMENT ON TRIGGER model_access_target_inserted ON @extschema@.model_access IS 'As model_access_target_banned, for rows that come; those of a restored dump are right already.';
