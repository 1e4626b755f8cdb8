-- One row per run, whatever became of it.

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

COMMENT ON TABLE @extschema@.model_access_sync_log IS 'One row per sync or load, whatever became of it; pruned after log_retention.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.run_id IS 'Number of the run.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.started_at IS 'When the run began.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.duration_ms IS 'How long it took, in milliseconds of the wall clock.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.outcome IS 'applied, unchanged, held (rows added and refreshed, what the list would take away withheld), failed (no usable list, no row touched) or skipped (another run was under way).';
COMMENT ON COLUMN @extschema@.model_access_sync_log.url IS 'Where the list came from; NULL for a document in hand.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.http_status IS 'HTTP status of the answer; NULL where there was none.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.listed IS 'Usable entries in the list.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.added IS 'Models that were not known before.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.changed IS 'Known models of which an upstream value moved.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.missing IS 'Models that left the list with this run.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.returned IS 'Missing models that are listed again.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.free_revoked IS 'Models that lost is_free because they stopped being free.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.withheld IS 'Models that left the list, or that would lose a tier or their approval by their price, but were left as they are.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.unusable IS 'Entries that could not be used: [{"id": text or null, "reason": text}], the first hundred.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.error IS 'What went wrong or why something was withheld, with what to do about it; NULL where all is well.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.error_code IS 'SQLSTATE of error: 08001 not reached, 08004 TLS, 08006 answer incomplete or too late, 58000 HTTP status, 54000 too large, 22032 not JSON, 22000 not a catalogue, 02000 no usable model, 55P03 or 40P01 table locked, 55006 another sync running, 01000 something was withheld.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.max_removals IS 'The argument of the call: how many removals and withdrawals it let through.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.run_by IS 'The role in effect that ran it.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.complete IS 'Whether a list arrived that is known to be whole: only such a list says what is absent.';
COMMENT ON COLUMN @extschema@.model_access_sync_log.changed_key IS 'The top-level key of the entries that changed in more than half of the known models, where more than ten changed; NULL where there is none.';
