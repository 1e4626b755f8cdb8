-- The log of runs has one row for each run, failed runs included.

CREATE FUNCTION @extschema@._model_access_raise_sequence(numbers regclass, last bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    reached bigint := coalesce(pg_sequence_last_value(numbers), 0);
BEGIN
    -- Logical replication carries rows but not sequences (before PostgreSQL 19), and so does a copy of the rows.
    -- nextval and not setval: setval could take back a number that another session has just got.
    IF reached < last THEN
        PERFORM nextval(numbers) FROM generate_series(reached + 1, last);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_raise_sequence(regclass, bigint) IS
    'Internal. Raises a sequence to the highest number that is in use, if it is lower.';

CREATE SEQUENCE @extschema@.model_access_sync_log_run_id_seq;
COMMENT ON SEQUENCE @extschema@.model_access_sync_log_run_id_seq IS 'Numbers the runs.';

CREATE TABLE @extschema@.model_access_sync_log (
    run_id       bigint PRIMARY KEY DEFAULT nextval('@extschema@.model_access_sync_log_run_id_seq'),
    started_at   timestamptz NOT NULL,
    duration_ms  numeric NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'held', 'failed', 'skipped')),
    url          text,
    http_status  integer,
    listed       integer NOT NULL DEFAULT 0,
    added        integer NOT NULL DEFAULT 0,
    changed      integer NOT NULL DEFAULT 0,
    missing      integer NOT NULL DEFAULT 0,
    returned     integer NOT NULL DEFAULT 0,
    free_revoked integer NOT NULL DEFAULT 0,
    withheld     integer NOT NULL DEFAULT 0,
    unusable     jsonb NOT NULL DEFAULT '[]',
    error        text,
    error_code   text,
    max_removals integer,
    run_by       text NOT NULL,
    complete     boolean NOT NULL DEFAULT false,
    changed_key  text
);
ALTER SEQUENCE @extschema@.model_access_sync_log_run_id_seq OWNED BY @extschema@.model_access_sync_log.run_id;

COMMENT ON TABLE @extschema@.model_access_sync_log IS
    'One row for each sync or load, failed ones included; rows older than log_retention are deleted.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.run_id IS 'The number of the run.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.started_at IS 'When the run began.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.duration_ms IS 'The duration of the run in milliseconds.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.outcome IS 'The result: applied, unchanged, held, failed or skipped.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.url IS
    'The address from which the list was fetched; NULL for a document that the caller supplied.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.http_status IS 'The HTTP status of the response; NULL without a response.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.listed IS 'The number of usable entries in the list.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.added IS 'The number of models that were not known before.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.changed IS 'The number of known models whose upstream values changed.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.missing IS 'The number of models that became missing in this run.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.returned IS 'The number of missing models that are listed again.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.free_revoked IS
    'The number of models that lost is_free because they are no longer free of charge.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.withheld IS
    'The number of removals and withdrawals that the guard did not apply.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.unusable IS
    'The entries that could not be used, at most 100: [{"id": text or null, "reason": text}].';
COMMENT ON COLUMN @extschema@.model_access_sync_log.error IS
    'What went wrong, or why something was withheld, and what to do about it; NULL = no problem.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.error_code IS 'The SQLSTATE of error; NULL = no problem.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.max_removals IS
    'The argument max_removals of the call: how many removals and withdrawals it allowed.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.run_by IS 'The role in effect when it ran.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.complete IS
    'Whether the list was known to be whole; only such a list proves that a model is absent.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.changed_key IS
    'The top-level key that changed in more than half of the known models, where more than ten changed; otherwise NULL.';
