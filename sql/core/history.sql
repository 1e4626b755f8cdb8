-- Who changed what, sync and admins alike. Inserts of models leave no row: one starts new, in no tier, at first_seen_at.

CREATE SEQUENCE @extschema@.model_access_history_history_id_seq;
COMMENT ON SEQUENCE @extschema@.model_access_history_history_id_seq IS 'Orders the history.';

CREATE TABLE @extschema@.model_access_history (
    history_id bigint PRIMARY KEY DEFAULT nextval('@extschema@.model_access_history_history_id_seq'),
    model_id   text,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL DEFAULT session_user,
    actor_role text DEFAULT nullif(current_setting('role'), 'none'),
    run_id     bigint,
    old        jsonb NOT NULL,
    new        jsonb NOT NULL,
    user_id    text,
    on_behalf_of text DEFAULT nullif(current_setting('model_access.on_behalf_of', true), ''),
    undo_of    bigint[],
    rule       integer,
    CHECK (num_nonnulls(model_id, user_id, rule) > 0)
);
ALTER SEQUENCE @extschema@.model_access_history_history_id_seq OWNED BY @extschema@.model_access_history.history_id;
CREATE INDEX model_access_history_model_id_idx ON @extschema@.model_access_history (model_id, history_id);
CREATE INDEX model_access_history_at_idx ON @extschema@.model_access_history (at);
-- since when a model waits: for the review
CREATE INDEX model_access_history_new_idx ON @extschema@.model_access_history (model_id, at) WHERE new ->> 'status' = 'new';
CREATE INDEX model_access_history_pricing_idx ON @extschema@.model_access_history (model_id, at) WHERE new ? 'pricing';
CREATE INDEX model_access_history_undo_idx ON @extschema@.model_access_history (history_id) WHERE undo_of IS NOT NULL;

COMMENT ON TABLE @extschema@.model_access_history IS 'One row per model, override or rule, and statement that changed it, in the order of history_id. Append-only for everyone but the owner.';
COMMENT ON COLUMN @extschema@.model_access_history.history_id IS 'Order of the changes.';
COMMENT ON COLUMN @extschema@.model_access_history.model_id IS 'The model that changed; NULL for an override of a provider, and for a rule.';
COMMENT ON COLUMN @extschema@.model_access_history.at IS 'When the statement ran (clock_timestamp()).';
COMMENT ON COLUMN @extschema@.model_access_history.actor IS 'Who had logged in (session_user).';
COMMENT ON COLUMN @extschema@.model_access_history.actor_role IS 'The role set with SET ROLE; NULL where none was.';
COMMENT ON COLUMN @extschema@.model_access_history.run_id IS 'The sync that changed it; NULL for an admin. Its run row may have been pruned.';
COMMENT ON COLUMN @extschema@.model_access_history.old IS 'The columns that changed, as they were. upstream, fingerprint, changed_at and last_run_id are not recorded.';
COMMENT ON COLUMN @extschema@.model_access_history.new IS 'The same columns, as they became.';
COMMENT ON COLUMN @extschema@.model_access_history.user_id IS 'Whose override changed: old and new hold it whole under the key override, or nothing where it was not there. NULL for a change of the model.';
COMMENT ON COLUMN @extschema@.model_access_history.on_behalf_of IS 'For whom, as actor claims by SET LOCAL model_access.on_behalf_of; NULL where nothing was claimed.';
COMMENT ON COLUMN @extschema@.model_access_history.undo_of IS 'The rows (history_id) that this change took back; NULL for any other change.';
COMMENT ON COLUMN @extschema@.model_access_history.rule IS 'Position of the rule that changed: old and new hold it whole under the key rule, or nothing where it was not there. NULL for any other change.';

CREATE FUNCTION @extschema@._model_access_check_trigger(relation oid, belongs_to regclass) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF relation OPERATOR(pg_catalog.<>) belongs_to::pg_catalog.oid THEN
        RAISE EXCEPTION 'this trigger function belongs to % and to no other table', belongs_to
            USING ERRCODE = 'trigger_protocol_violated', HINT = 'Drop the trigger.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_trigger(oid, regclass) IS 'Internal. Error 39P01 where a trigger function that writes as the owner was attached to a table of somebody else.';

CREATE FUNCTION @extschema@._model_access_record() RETURNS trigger
-- jit: the rows of jsonb_each are overestimated, and compiling costs several times what the comparison does
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    INSERT INTO @extschema@.model_access_history (model_id, at, run_id, old, new)
    SELECT n.model_id, at, CASE WHEN n.last_run_id IS DISTINCT FROM o.last_run_id THEN n.last_run_id END, d.old, d.new
    FROM old_rows AS o
    JOIN new_rows AS n ON n.model_id = o.model_id
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(was.key, was.value), jsonb_object_agg(is_now.key, is_now.value)
        FROM jsonb_each(to_jsonb(o) - '{upstream,fingerprint,changed_at,last_run_id}'::text[]) AS was
        JOIN jsonb_each(to_jsonb(n)) AS is_now ON is_now.key = was.key
        WHERE is_now.value <> was.value) AS d(old, new)
    WHERE d.old IS NOT NULL
    ORDER BY n.model_id;
    IF FOUND THEN
        PERFORM @extschema@._model_access_notify();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_record() IS 'Internal. Trigger function: records what a statement changed, and notifies; a row of which only upstream, fingerprint and bookkeeping moved is no change.';

CREATE FUNCTION @extschema@._model_access_notify() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    -- equal payloads: one notification a transaction, whatever it changed
    SELECT pg_notify('model_access', '{"changed": "model_access"}');
END;
COMMENT ON FUNCTION @extschema@._model_access_notify() IS 'Internal. Tells listeners of channel model_access, on commit, that models have changed.';

CREATE FUNCTION @extschema@._model_access_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM changed_rows) THEN
        PERFORM @extschema@._model_access_notify();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce() IS 'Internal. Trigger function: notifies of rows that came or went.';

CREATE FUNCTION @extschema@._model_access_announce_always() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_notify();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce_always() IS 'Internal. Trigger function: notifies.';

CREATE TRIGGER model_access_record AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record();
COMMENT ON TRIGGER model_access_record ON @extschema@.model_access IS 'Records what a statement changed in model_access_history, and notifies.';

CREATE TRIGGER model_access_announce_insert AFTER INSERT ON @extschema@.model_access
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_announce();
COMMENT ON TRIGGER model_access_announce_insert ON @extschema@.model_access IS 'Notifies of rows that came.';

CREATE TRIGGER model_access_announce_delete AFTER DELETE ON @extschema@.model_access
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_announce();
COMMENT ON TRIGGER model_access_announce_delete ON @extschema@.model_access IS 'Notifies of rows that went.';

CREATE TRIGGER model_access_announce_truncate AFTER TRUNCATE ON @extschema@.model_access
    EXECUTE FUNCTION @extschema@._model_access_announce_always();
COMMENT ON TRIGGER model_access_announce_truncate ON @extschema@.model_access IS 'Notifies of rows that went.';

CREATE VIEW @extschema@.model_access_price_history AS
SELECT
    history_id, model_id, at, run_id,
    (old ->> 'prompt_usd_per_million')::numeric AS prompt_was, (new ->> 'prompt_usd_per_million')::numeric AS prompt_became,
    (old ->> 'completion_usd_per_million')::numeric AS completion_was, (new ->> 'completion_usd_per_million')::numeric AS completion_became,
    old -> 'pricing' AS pricing_was, new -> 'pricing' AS pricing_became
FROM @extschema@.model_access_history
WHERE new ? 'pricing';
COMMENT ON VIEW @extschema@.model_access_price_history IS 'Every change of a price, in USD per million tokens. NULL in both columns of a price: it stayed; in one of them: variable or unknown.';
COMMENT ON COLUMN @extschema@.model_access_price_history.history_id IS 'Row of model_access_history.';
COMMENT ON COLUMN @extschema@.model_access_price_history.model_id IS 'The model.';
COMMENT ON COLUMN @extschema@.model_access_price_history.at IS 'When the sync wrote it.';
COMMENT ON COLUMN @extschema@.model_access_price_history.run_id IS 'The sync that wrote it.';
COMMENT ON COLUMN @extschema@.model_access_price_history.prompt_was IS 'USD per million prompt tokens before.';
COMMENT ON COLUMN @extschema@.model_access_price_history.prompt_became IS 'USD per million prompt tokens after.';
COMMENT ON COLUMN @extschema@.model_access_price_history.completion_was IS 'USD per million completion tokens before.';
COMMENT ON COLUMN @extschema@.model_access_price_history.completion_became IS 'USD per million completion tokens after.';
COMMENT ON COLUMN @extschema@.model_access_price_history.pricing_was IS 'Upstream pricing before, as given.';
COMMENT ON COLUMN @extschema@.model_access_price_history.pricing_became IS 'Upstream pricing after, as given.';
