//! What must always be true of the tables.

use postgres::Client;
use tests::{sync, wait_until};

/// The chain of the history: for each model and column, each row of the history begins with the value with which the
/// row before it ended; the first one begins with the value of a new model, and the last one ended with the value that
/// the model has now. So replaying the history gives the present table, and no change was lost or recorded twice.
const BROKEN_LINKS: &str = "
    WITH step AS (
        SELECT h.history_id, h.model_id, o.key, o.value AS old, h.new -> o.key AS new,
            lag(h.new -> o.key) OVER of_column AS before, row_number() OVER of_column AS number,
            lead(h.history_id) OVER of_column AS next
        FROM model_access_history AS h CROSS JOIN LATERAL jsonb_each(h.old) AS o
        WHERE h.model_id IS NOT NULL AND h.user_id IS NULL AND h.rule IS NULL
        WINDOW of_column AS (PARTITION BY h.model_id, o.key ORDER BY h.history_id)),
    first AS (SELECT * FROM jsonb_each(
        '{\"status\": \"new\", \"is_free\": false, \"is_pro\": false, \"is_enterprise\": false, \"note\": null,
          \"missing_since\": null, \"status_before_missing\": null, \"reviewed_at\": null, \"reviewed_by\": null}'))
    SELECT format('%s, history_id %s, %s: %s is not %s', s.model_id, s.history_id, s.key, b.is, b.should)
    FROM step AS s
    LEFT JOIN first AS f ON f.key = s.key AND s.number = 1
    LEFT JOIN model_access AS m ON m.model_id = s.model_id
    CROSS JOIN LATERAL (VALUES
        (s.number > 1, s.old, s.before),
        (f.key IS NOT NULL, s.old, f.value),
        (s.next IS NULL, s.new, to_jsonb(m) -> s.key)) AS b(applies, \"is\", should)
    WHERE b.applies AND b.is IS DISTINCT FROM b.should
    UNION ALL
    SELECT format('history_id %s: old and new have different columns', h.history_id) FROM model_access_history AS h
    WHERE h.model_id IS NOT NULL AND h.user_id IS NULL AND h.rule IS NULL
      AND ARRAY(SELECT jsonb_object_keys(h.old) ORDER BY 1) <> ARRAY(SELECT jsonb_object_keys(h.new) ORDER BY 1)
    LIMIT 10";

/// A run row says what happened, and every model was written by a run that has one.
const BAD_RUNS: &str = "
    SELECT format('run %s: %s', l.run_id, to_jsonb(l)) FROM model_access_sync_log AS l
    WHERE l.started_at > clock_timestamp() OR l.duration_ms < 0
       OR l.outcome IN ('failed', 'skipped', 'held') AND (l.error_code IS NULL OR l.error IS NULL)
       OR l.outcome IN ('failed', 'skipped', 'unchanged') AND l.added + l.changed + l.missing + l.returned > 0
    LIMIT 10";
const UNKNOWN_RUNS: &str = "
    SELECT format('%s was written by run %s', m.model_id, m.last_run_id) FROM model_access AS m
    WHERE NOT EXISTS (SELECT FROM model_access_sync_log AS l WHERE l.run_id = m.last_run_id) LIMIT 10";

/// An alias is hidden exactly while its target is disabled.
const WRONG_ALIASES: &str = "
    SELECT format('%s: target_disabled is %s', a.model_id, a.target_disabled) FROM model_access AS a
    JOIN model_access AS t ON t.model_id = a.alias_of
    WHERE a.target_disabled <> (t.status = 'disabled') LIMIT 10";

/// A lock on the extension's tables that some other session holds or waits for.
const LOCKS: &str = "EXISTS (
    SELECT FROM pg_locks AS l JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = l.relation
    JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'model_access'
    WHERE l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))";

fn none(client: &mut Client, query: &str, when: &str) {
    let found: Vec<String> = client.query(query, &[]).expect(query).iter().map(|row| row.get(0)).collect();
    assert!(found.is_empty(), "{when}: {}", found.join("\n"));
}

/// The chain of the history.
pub fn check_history(client: &mut Client, when: &str) {
    none(client, BROKEN_LINKS, when);
    none(client, WRONG_ALIASES, when);
}

/// Everything that must be true when nobody works: the chain of the history, the run rows, no lock that is left, and
/// that the next sync works.
pub fn check(client: &mut Client, when: &str) {
    wait_until(client, &format!("NOT {LOCKS}"));
    check_history(client, when);
    none(client, BAD_RUNS, when);
    none(client, UNKNOWN_RUNS, when);
    let run = sync(client).expect(when);
    assert!(["applied", "unchanged", "held"].contains(&run.outcome.as_str()), "{when}: {run:?}");
    check_history(client, when);
    let health = client.query("SELECT * FROM model_access_health()", &[]).expect(when);
    assert!(!health.is_empty(), "{when}");
}
