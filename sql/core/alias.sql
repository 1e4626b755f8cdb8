-- An alias stands for another model, its target. While the target is disabled, the alias must not be visible. The row of the
-- alias keeps this in target_disabled, since reading the row of the target as well would double the cost of model_allowed.

CREATE VIEW @extschema@._model_access_alias_in_doubt AS
-- the few models that matter, read once
WITH RECURSIVE few AS MATERIALIZED (
    SELECT m.model_id, m.status, m.alias_of, m.target_disabled FROM @extschema@.model_access AS m
    WHERE m.status = 'disabled' OR m.alias_of IS NOT NULL OR m.target_disabled),
-- an alias may stand for another alias; UNION ends the recursion if aliases refer to each other in a circle
banned AS (
    SELECT t.model_id FROM few AS t WHERE t.status = 'disabled'
    UNION
    SELECT a.model_id FROM banned AS b JOIN few AS a ON a.alias_of = b.model_id)
SELECT a.model_id, b.model_id IS NOT NULL AS target_disabled
FROM few AS a LEFT JOIN banned AS b ON b.model_id = a.alias_of
WHERE a.target_disabled <> (b.model_id IS NOT NULL);
COMMENT ON VIEW @extschema@._model_access_alias_in_doubt IS
    'Internal. The models whose target_disabled is wrong, with the right value.';

CREATE FUNCTION @extschema@._model_access_follow_target() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM @extschema@.model_access AS t
    WHERE t.model_id = NEW.alias_of AND (t.status = 'disabled' OR t.target_disabled);
    NEW.target_disabled := FOUND;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_follow_target() IS
    'Internal. Trigger function that sets target_disabled in the row of an alias.';

CREATE TRIGGER model_access_target BEFORE UPDATE ON @extschema@.model_access
    FOR EACH ROW
    WHEN (NEW.alias_of IS DISTINCT FROM OLD.alias_of OR NEW.alias_of IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION @extschema@._model_access_follow_target();
COMMENT ON TRIGGER model_access_target ON @extschema@.model_access IS
    'Sets target_disabled when an alias gets another target or another status.';

CREATE FUNCTION @extschema@._model_access_lead_aliases() RETURNS trigger
-- enable_nestloop: PostgreSQL keeps the plan that it made for the first statement, which may have changed one row
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    PERFORM FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id
    WHERE (o.status = 'disabled') <> (n.status = 'disabled') OR o.alias_of IS DISTINCT FROM n.alias_of;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- the snapshot may be older than the last change of an alias; in that case, this locking fails with error 40001
        PERFORM FROM @extschema@.model_access AS a WHERE a.alias_of IS NOT NULL OR a.model_id LIKE '~%' FOR NO KEY UPDATE;
    END IF;
    UPDATE @extschema@.model_access AS a SET target_disabled = d.target_disabled
    FROM @extschema@._model_access_alias_in_doubt AS d
    WHERE a.model_id = d.model_id AND a.target_disabled <> d.target_disabled;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lead_aliases() IS
    'Internal. Trigger function that sets target_disabled of every alias whose target is now disabled or no longer disabled.';

-- Triggers fire in the order of their names, so this one fires after model_access_record, and what it writes comes later in
-- the history. It does not fire on INSERT: a model that is inserted is new, the run that inserts it corrects its aliases, and
-- a restore must record nothing.
CREATE TRIGGER model_access_target_banned AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_lead_aliases();
COMMENT ON TRIGGER model_access_target_banned ON @extschema@.model_access IS
    'Hides the aliases of a model that is now disabled, and shows those of one that no longer is.';

CREATE FUNCTION @extschema@._model_access_mend_aliases(run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- an UPDATE of no row would still cost the time of its triggers
    IF EXISTS (SELECT FROM @extschema@._model_access_alias_in_doubt) THEN
        -- a concurrent ban may not have seen an alias that was changing
        UPDATE @extschema@.model_access AS a SET target_disabled = d.target_disabled, last_run_id = run
        FROM @extschema@._model_access_alias_in_doubt AS d
        WHERE a.model_id = d.model_id;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_mend_aliases(bigint) IS
    'Internal. Corrects target_disabled of all models, under the lock of a run.';
