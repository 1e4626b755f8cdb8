-- The history of changes by syncs and admins. An insert of a model writes no row: each model starts as new, in no tier, at
-- first_seen_at.

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
CREATE INDEX model_access_history_at_idx ON @extschema@.model_access_history (at, history_id);
-- the review finds by it since when a model waits
CREATE INDEX model_access_history_new_idx ON @extschema@.model_access_history (model_id, at) WHERE new ->> 'status' = 'new';
CREATE INDEX model_access_history_pricing_idx ON @extschema@.model_access_history (model_id, at) WHERE new ? 'pricing';
CREATE INDEX model_access_history_undo_idx ON @extschema@.model_access_history (history_id) WHERE undo_of IS NOT NULL;

COMMENT ON TABLE @extschema@.model_access_history IS
    'Who changed what: one append-only row for each statement and model, override or rule that it changed.';
COMMENT ON COLUMN @extschema@.model_access_history.history_id IS 'The number of the change, ascending.';
COMMENT ON COLUMN @extschema@.model_access_history.model_id IS
    'The model that changed; NULL for an override of a provider, and for a rule.';
COMMENT ON COLUMN @extschema@.model_access_history.at IS 'When the statement ran (clock_timestamp()).';
COMMENT ON COLUMN @extschema@.model_access_history.actor IS 'The role that had logged in (session_user).';
COMMENT ON COLUMN @extschema@.model_access_history.actor_role IS 'The role set by SET ROLE; NULL without one.';
COMMENT ON COLUMN @extschema@.model_access_history.run_id IS 'The run of the sync that made the change; NULL for an admin.';
COMMENT ON COLUMN @extschema@.model_access_history.old IS 'The columns that changed, with their values before the change.';
COMMENT ON COLUMN @extschema@.model_access_history.new IS 'The same columns, with their values after the change.';
COMMENT ON COLUMN @extschema@.model_access_history.user_id IS
    'The user whose override changed; NULL for a change of a model or rule.';
COMMENT ON COLUMN @extschema@.model_access_history.on_behalf_of IS
    'The person for whom actor claims to have acted; NULL without a claim.';
COMMENT ON COLUMN @extschema@.model_access_history.undo_of IS
    'The rows (history_id) that this change took back; NULL for any other change.';
COMMENT ON COLUMN @extschema@.model_access_history.rule IS 'The position of the rule that changed; NULL for any other change.';

CREATE FUNCTION @extschema@._model_access_check_trigger(relation oid, belongs_to regclass) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF relation OPERATOR(pg_catalog.<>) belongs_to::pg_catalog.oid THEN
        RAISE EXCEPTION 'trigger function can only be used on %', belongs_to
            USING ERRCODE = 'trigger_protocol_violated', HINT = 'Drop the trigger.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_trigger(oid, regclass) IS
    'Internal. Raises 39P01 if a trigger function that writes as the owner was attached to another table.';

CREATE FUNCTION @extschema@._model_access_number() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_RELID = '@extschema@.model_access_override'::regclass THEN
        PERFORM @extschema@._model_access_raise_sequence('@extschema@.model_access_override_override_id_seq'::regclass,
            (SELECT max(o.override_id) FROM @extschema@.model_access_override AS o));
    ELSE
        PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access_history'::regclass);
        PERFORM @extschema@._model_access_raise_sequence('@extschema@.model_access_history_history_id_seq'::regclass,
            (SELECT max(h.history_id) FROM @extschema@.model_access_history AS h));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_number() IS
    'Internal. Trigger function that raises the sequence of a table before it numbers rows, if rows have higher numbers already.';

-- before the statement, so before any row gets its number
CREATE TRIGGER model_access_number BEFORE INSERT ON @extschema@.model_access_history
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_number();
COMMENT ON TRIGGER model_access_number ON @extschema@.model_access_history IS
    'Lets no row get a number that another row has, whatever the sequence says.';

CREATE FUNCTION @extschema@._model_access_record() RETURNS trigger
-- jit: the planner does not know that model_id is unique in old_rows, overestimates the rows, and would compile
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    at       CONSTANT timestamptz := clock_timestamp();
    pairs    CONSTANT text := 'FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id';
    -- the owner may add columns of any type: some have no equality, or one by which different texts are equal
    plain    CONSTANT regtype[] := '{text,text[],boolean,integer,bigint,numeric,date,timestamptz,jsonb}';
    differs  CONSTANT text := 'CASE WHEN %3$s THEN jsonb_build_object(%1$L, %2$I.%1$I) ELSE ''{}'' END';
    names    text[];
    tests    text[];
    changed  boolean[];
    before   text;
    after    text;
BEGIN
    PERFORM @extschema@._model_access_check_trigger(TG_RELID, '@extschema@.model_access'::regclass);
    IF NOT EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(a.attname), array_agg(format(
        CASE WHEN a.atttypid = ANY (plain) AND a.attcollation IN (0, '"default"'::regcollation)
             THEN 'o.%1$I IS DISTINCT FROM n.%1$I' ELSE 'to_jsonb(o.%1$I) IS DISTINCT FROM to_jsonb(n.%1$I)' END, a.attname))
    INTO names, tests FROM pg_attribute AS a
    WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname <> ALL ('{upstream,fingerprint,entry_hash,changed_at,last_run_id}');
    -- a statement changes few columns; to make JSON of the others as well would take most of its time
    EXECUTE format('SELECT ARRAY[bool_or(%s)] %s', array_to_string(tests, '), bool_or('), pairs) INTO changed;
    SELECT string_agg(format(differs, r.name, 'o', r.test), ' || '), string_agg(format(differs, r.name, 'n', r.test), ' || ')
    INTO before, after FROM unnest(names, tests, changed) AS r(name, test, changed) WHERE r.changed;
    IF before IS NOT NULL THEN
        -- not format(), because the name of the schema may contain %
        EXECUTE 'INSERT INTO @extschema@.model_access_history (model_id, at, run_id, old, new)
            SELECT d.model_id, $1, d.run_id, d.old, d.new FROM (
                SELECT n.model_id, CASE WHEN n.last_run_id IS DISTINCT FROM o.last_run_id THEN n.last_run_id END AS run_id, '
                    || before || ' AS old, ' || after || ' AS new ' || pairs || ') AS d
            WHERE d.old <> ''{}'' ORDER BY d.model_id' USING at;
    END IF;
    -- upstream is not recorded, but model_access_entries_for_user shows it
    IF before IS NOT NULL OR EXISTS (SELECT FROM old_rows AS o JOIN new_rows AS n ON n.model_id = o.model_id
                                     WHERE n.upstream IS DISTINCT FROM o.upstream) THEN
        PERFORM @extschema@._model_access_notify();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_record() IS
    'Internal. Trigger function that records the changes of a statement in the history, and notifies.';

CREATE FUNCTION @extschema@._model_access_notify() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    -- PostgreSQL sends equal payloads only once for each transaction
    SELECT pg_notify('model_access', '{"changed": "model_access"}');
END;
COMMENT ON FUNCTION @extschema@._model_access_notify() IS
    'Internal. Notifies the channel model_access, on commit, that lists of all users may have changed.';

CREATE FUNCTION @extschema@._model_access_bucket(user_key text) RETURNS integer
LANGUAGE sql IMMUTABLE
-- a number, because everybody may listen and must not learn the id; few numbers, so that many users give few notifications
RETURN (hashtextextended(user_key, 0) & 1023)::integer;
COMMENT ON FUNCTION @extschema@._model_access_bucket(text) IS
    'Internal. Gives the number from 0 to 1023 by which a notification names a user and the others that share the number.';

CREATE FUNCTION @extschema@._model_access_notify_user(user_key text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_notify('model_access', coalesce(
        '{"changed": "user", "bucket": ' || @extschema@._model_access_bucket(user_key) || '}', '{"changed": "model_access"}'));
END;
COMMENT ON FUNCTION @extschema@._model_access_notify_user(text) IS
    'Internal. Notifies the channel model_access, on commit, that the list of a user has changed; of all users without user_key.';

CREATE FUNCTION @extschema@._model_access_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM changed_rows) THEN
        PERFORM @extschema@._model_access_notify();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce() IS
    'Internal. Trigger function that notifies of inserted or deleted rows.';

CREATE FUNCTION @extschema@._model_access_announce_always() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@._model_access_notify();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_announce_always() IS 'Internal. Trigger function that notifies.';

CREATE TRIGGER model_access_record AFTER UPDATE ON @extschema@.model_access
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_record();
COMMENT ON TRIGGER model_access_record ON @extschema@.model_access IS
    'Records the changes of a statement in model_access_history, and notifies.';

CREATE TRIGGER model_access_announce_insert AFTER INSERT ON @extschema@.model_access
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_announce();
COMMENT ON TRIGGER model_access_announce_insert ON @extschema@.model_access IS 'Notifies of inserted rows.';

CREATE TRIGGER model_access_announce_delete AFTER DELETE ON @extschema@.model_access
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_announce();
COMMENT ON TRIGGER model_access_announce_delete ON @extschema@.model_access IS 'Notifies of deleted rows.';

CREATE TRIGGER model_access_announce_truncate AFTER TRUNCATE ON @extschema@.model_access
    EXECUTE FUNCTION @extschema@._model_access_announce_always();
COMMENT ON TRIGGER model_access_announce_truncate ON @extschema@.model_access IS 'Notifies that all rows were deleted.';

CREATE VIEW @extschema@.model_access_price_history AS
SELECT
    history_id, model_id, at, run_id,
    (old ->> 'prompt_usd_per_million')::numeric AS old_prompt_usd_per_million,
    (new ->> 'prompt_usd_per_million')::numeric AS new_prompt_usd_per_million,
    (old ->> 'completion_usd_per_million')::numeric AS old_completion_usd_per_million,
    (new ->> 'completion_usd_per_million')::numeric AS new_completion_usd_per_million,
    old -> 'pricing' AS old_pricing, new -> 'pricing' AS new_pricing
FROM @extschema@.model_access_history
WHERE new ? 'pricing';
COMMENT ON VIEW @extschema@.model_access_price_history IS 'Every change of the upstream pricing of a model.';
COMMENT ON COLUMN @extschema@.model_access_price_history.history_id IS 'The row of model_access_history.';
COMMENT ON COLUMN @extschema@.model_access_price_history.model_id IS 'The model.';
COMMENT ON COLUMN @extschema@.model_access_price_history.at IS 'When the sync wrote the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.run_id IS 'The run of the sync that wrote the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.old_prompt_usd_per_million IS
    'USD per million prompt tokens before the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.new_prompt_usd_per_million IS
    'USD per million prompt tokens after the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.old_completion_usd_per_million IS
    'USD per million completion tokens before the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.new_completion_usd_per_million IS
    'USD per million completion tokens after the change.';
COMMENT ON COLUMN @extschema@.model_access_price_history.old_pricing IS
    'Upstream pricing before the change, as upstream gave it.';
COMMENT ON COLUMN @extschema@.model_access_price_history.new_pricing IS 'Upstream pricing after the change, as upstream gave it.';
