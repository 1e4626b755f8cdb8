-- An alias stands for another model: while that one is banned, the alias is not to be seen. This is kept in the row of the
-- alias, since a look at a second row would double what model_allowed costs.

CREATE VIEW @extschema@._model_access_alias_in_doubt AS
-- an alias may stand for another alias; UNION ends the walk where they form a circle
WITH RECURSIVE banned AS (
    SELECT t.model_id FROM @extschema@.model_access AS t WHERE t.status = 'disabled'
    UNION
    SELECT a.model_id FROM banned AS b JOIN @extschema@.model_access AS a ON a.alias_of = b.model_id)
SELECT a.model_id, b.model_id IS NOT NULL AS target_disabled
FROM @extschema@.model_access AS a LEFT JOIN banned AS b ON b.model_id = a.alias_of
WHERE a.target_disabled <> (b.model_id IS NOT NULL);
COMMENT ON VIEW @extschema@._model_access_alias_in_doubt IS 'Internal. The models whose target_disabled is wrong, and what it should be.';

CREATE FUNCTION @extschema@._model_access_follow_target() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM @extschema@.model_access AS t
    WHERE t.model_id = NEW.alias_of AND (t.status = 'disabled' OR t.target_disabled);
    NEW.target_disabled := FOUND;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_follow_target() IS 'Internal. Trigger function: notes in the row of an alias whether the model that it stands for is disabled, or stands itself for such a one.';

CREATE TRIGGER model_access_target BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW
    WHEN (NEW.alias_of IS DISTINCT FROM OLD.alias_of OR NEW.alias_of IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION @extschema@._model_access_follow_target();
COMMENT ON TRIGGER model_access_target ON @extschema@.model_access IS 'An alias that moves, or is approved, follows the model that it stands for.';

CREATE FUNCTION @extschema@._model_access_lead_aliases() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    PERFORM FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id
    WHERE (o.status = 'disabled') <> (n.status = 'disabled') OR o.alias_of IS DISTINCT FROM n.alias_of;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- an old snapshot shows where aliases stood; one that has moved since then ends this with error 40001
        PERFORM FROM @extschema@.model_access AS a WHERE a.alias_of IS NOT NULL OR a.model_id LIKE '~%' FOR NO KEY UPDATE;
    END IF;
    UPDATE @extschema@.model_access AS a SET target_disabled = d.target_disabled
    FROM @extschema@._model_access_alias_in_doubt AS d
    WHERE a.model_id = d.model_id AND a.target_disabled <> d.target_disabled;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lead_aliases() IS 'Internal. Trigger function: a model that is banned, or not any more, takes its aliases with it. Error 40001 above READ COMMITTED where an alias changed since the snapshot.';

-- after model_access_record, by the order of their names: what it writes comes later in the history
-- none on INSERT: a model that comes is new, the run that brings it mends what stands for it, and a restore records nothing
CREATE TRIGGER model_access_target_banned AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_lead_aliases();
COMMENT ON TRIGGER model_access_target_banned ON @extschema@.model_access IS 'A model that is banned, or not any more, takes its aliases with it.';

CREATE FUNCTION @extschema@._model_access_mend_aliases(run bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE @extschema@.model_access AS a SET target_disabled = d.target_disabled, last_run_id = run
    FROM @extschema@._model_access_alias_in_doubt AS d
    WHERE a.model_id = d.model_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_mend_aliases(bigint) IS 'Internal. Under the lock of a run: sets target_disabled where it is wrong, as by a ban that did not see an alias come.';
