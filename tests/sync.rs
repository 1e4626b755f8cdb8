//! The sync while other sessions work: decisions made while it waits, locks, interrupts, crashes.

#![allow(clippy::unwrap_used)] // a test ends there

use postgres::Client;
use postgres::error::SqlState;
use std::thread;
use std::time::{Duration, Instant};
use tests::{Cluster, snapshot, sync, wait_until};

const BACKENDS: &str =
    "SELECT pid FROM pg_stat_activity WHERE query LIKE '%model_access_sync()%' AND pid <> pg_backend_pid()";

/// Much shorter than a stalled fetch takes by itself: the upstream gives up after a minute, the fetch after ten.
const NOT_BY_ITSELF: Duration = Duration::from_secs(30);

fn count(client: &mut Client, query: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {query}"), &[]).unwrap().get(0)
}

#[test]
fn a_second_sync_writes_one_log_row_and_nothing_else() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let first = sync(&mut client).unwrap();
    assert_eq!((first.outcome.as_str(), first.added, first.http_status), ("applied", 421, Some(200)));
    let before = snapshot(&mut client);
    let (mut job, heard) = cluster.hearing("");
    assert_eq!(sync(&mut job).unwrap().outcome, "unchanged");
    assert!(heard.try_recv().is_err(), "nothing to warn of");
    drop(job);

    // counters arrive with a delay; a new session flushes its own when it ends
    let written =
        "(SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables WHERE relname";
    drop(client);
    let mut client = cluster.connect();
    wait_until(&mut client, &format!("{written} = 'model_access_sync_log') = 2"));
    wait_until(&mut client, &format!("{written} = 'model_access') = 421"));
    assert_eq!(snapshot(&mut client), before);

    client.batch_execute("CHECKPOINT").unwrap();
    sync(&mut client).unwrap();
    let mut bytes: Vec<i64> = (0..9)
        .map(|_| {
            let lsn = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
            let start: i64 = client.query_one(lsn, &[]).unwrap().get(0);
            assert_eq!(sync(&mut client).unwrap().outcome, "unchanged");
            client.query_one(lsn, &[]).unwrap().get::<_, i64>(0) - start
        })
        .collect();
    bytes.sort_unstable();
    assert!(bytes[4] < 1024, "the median of {bytes:?} bytes of WAL");
}

#[test]
fn a_decision_committed_while_the_fetch_waits_survives() {
    let cluster = Cluster::start();
    let mut admin = cluster.connect();
    sync(&mut admin).unwrap();
    admin
        .batch_execute("UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'")
        .unwrap();
    // the models of openai are missing from this response, and another model changes with it
    let mut job = cluster.fetching("gate=1&only=anthropic");
    let waiting = thread::spawn(move || {
        let run = job.query_one("SELECT (model_access_sync(1000)).outcome", &[]).unwrap();
        run.get::<_, String>(0)
    });
    assert!(cluster.upstream.wait_for_requests(2));
    // no lock is held while the network is slow, and no run blocks a decision
    assert_eq!(
        count(&mut admin, "pg_locks WHERE relation = 'model_access'::regclass AND pid <> pg_backend_pid()"),
        0
    );
    admin
        .batch_execute(
            "UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5';
             UPDATE model_access SET is_enterprise = true WHERE model_id = 'anthropic/claude-opus-5'",
        )
        .unwrap();
    cluster.upstream.release();
    assert_eq!(waiting.join().unwrap(), "applied");
    let status = "SELECT status, status_before_missing FROM model_access WHERE model_id = $1";
    let banned = admin.query_one(status, &[&"openai/gpt-5"]).unwrap();
    assert_eq!((banned.get(0), banned.get(1)), ("disabled", None::<&str>));
    let vanished = admin.query_one(status, &[&"openai/gpt-5-mini"]).unwrap();
    assert_eq!((vanished.get(0), vanished.get(1)), ("inactive", Some("active")));
    assert_eq!(count(&mut admin, "model_access WHERE is_enterprise"), 1);
}

#[test]
fn a_plan_is_made_again_only_when_rows_changed_before_the_lock() {
    let cluster = Cluster::start_with(&["track_functions=all"]);
    let mut admin = cluster.connect();
    sync(&mut admin).unwrap();
    let mut observer = cluster.connect();
    for (scenario, decision, plans) in [
        ("without=openai/gpt-5-mini", "SELECT", 1),
        ("", "UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5-mini'", 2),
        (
            "without=openai/gpt-5",
            "UPDATE model_access SET note = 'x' WHERE model_id = 'openai/gpt-5-nano'",
            2,
        ),
        ("", "SELECT", 1),
    ] {
        admin.batch_execute("BEGIN; LOCK TABLE model_access IN ROW EXCLUSIVE MODE").unwrap();
        let mut job = cluster.fetching(scenario);
        let waiting = thread::spawn(move || {
            let mut run = job.transaction().unwrap();
            let outcome: String = run.query_one("SELECT (model_access_sync()).outcome", &[]).unwrap().get(0);
            let calls = "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = '_model_access_plan'";
            let calls: i64 = run.query_one(calls, &[]).unwrap().get(0);
            run.commit().unwrap();
            (outcome, calls)
        });
        let blocked =
            "EXISTS (SELECT FROM pg_locks WHERE relation = 'model_access'::regclass AND NOT granted)";
        wait_until(&mut observer, blocked);
        admin.batch_execute(&format!("{decision}; COMMIT")).unwrap();
        assert_eq!(waiting.join().unwrap(), ("applied".to_owned(), plans), "{scenario} {decision}");
    }
    assert_eq!(count(&mut admin, "model_access WHERE status = 'disabled' AND missing_since IS NULL"), 1);
}

#[test]
fn of_two_syncs_at_once_one_is_skipped() {
    let cluster = Cluster::start();
    let mut first = cluster.fetching("gate=1");
    let waiting = thread::spawn(move || sync(&mut first).unwrap());
    assert!(cluster.upstream.wait_for_requests(1));
    let mut second = cluster.connect();
    let skipped = sync(&mut second).unwrap();
    assert_eq!((skipped.outcome.as_str(), skipped.error_code.as_deref()), ("skipped", Some("55006")));
    assert_eq!(cluster.upstream.requests(), 1, "the skipped run fetches nothing");
    cluster.upstream.release();
    assert_eq!(waiting.join().unwrap().outcome, "applied");
    assert_eq!(count(&mut second, "model_access_sync_log"), 2);
}

#[test]
fn a_lock_held_elsewhere_fails_the_run_and_leaves_its_row() {
    let cluster = Cluster::start();
    let mut other = cluster.connect();
    for lock in ["ACCESS EXCLUSIVE", "ROW EXCLUSIVE"] {
        other.batch_execute(&format!("BEGIN; LOCK TABLE model_access IN {lock} MODE")).unwrap();
        let run = sync(&mut cluster.connect()).unwrap();
        assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("55P03")), "{lock}");
        other.batch_execute("COMMIT").unwrap();
    }
    assert_eq!(sync(&mut other).unwrap().added, 421);
    // a row lock blocks the write itself
    other.batch_execute("BEGIN; SELECT FROM model_access WHERE model_id = 'openai/gpt-5' FOR SHARE").unwrap();
    let before = snapshot(&mut cluster.connect());
    let run = sync(&mut cluster.fetching("without=openai/gpt-5")).unwrap();
    assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("55P03")));
    assert_eq!(snapshot(&mut cluster.connect()), before);
    other.batch_execute("COMMIT").unwrap();
    assert_eq!(count(&mut other, "model_access_sync_log WHERE error_code = '55P03'"), 3);
    // with nothing to write, the open transaction of an admin does not block the sync
    let mut admin = cluster.connect();
    admin.batch_execute("BEGIN; UPDATE model_access SET note = 'x'").unwrap();
    assert_eq!(sync(&mut other).unwrap().outcome, "unchanged");
}

#[test]
fn an_interrupt_ends_a_stalled_fetch() {
    // the fetch itself would take much longer than this test waits
    let cluster = Cluster::start_with(&["model_access.timeout=600s"]);
    for scenario in ["stall=headers", "stall=body", "drip=1"] {
        let mut client = cluster.fetching(scenario);
        client.batch_execute("SET statement_timeout = '300ms'").unwrap();
        let start = Instant::now();
        let error = sync(&mut client).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{scenario}");
        assert!(start.elapsed() < NOT_BY_ITSELF, "{scenario}: an interrupt ended it");
        // the session still works
        client.batch_execute("SET statement_timeout = 0").unwrap();
        assert_eq!(count(&mut client, "model_access_sync_log"), 0);
    }
    let mut admin = cluster.connect();
    for signal in ["cancel", "terminate"] {
        let requests = cluster.upstream.requests();
        let mut client = cluster.fetching("stall=headers");
        let waiting = thread::spawn(move || sync(&mut client).unwrap_err());
        assert!(cluster.upstream.wait_for_requests(requests + 1));
        let start = Instant::now();
        admin.batch_execute(&format!("SELECT pg_{signal}_backend(pid) FROM ({BACKENDS}) AS b")).unwrap();
        let error = waiting.join().unwrap();
        assert!(start.elapsed() < NOT_BY_ITSELF, "{signal}: an interrupt ended it");
        // the message of a server that closes the connection may be lost
        assert!(
            error.is_closed()
                || error.code()
                    == Some(&if signal == "cancel" {
                        SqlState::QUERY_CANCELED
                    } else {
                        SqlState::ADMIN_SHUTDOWN
                    }),
            "{error}"
        );
        wait_until(&mut admin, &format!("NOT EXISTS ({BACKENDS} AND state = 'active')"));
    }
    assert_eq!(sync(&mut admin).unwrap().outcome, "applied");
}

#[test]
fn a_waiting_fetch_blocks_no_other_session() {
    let cluster = Cluster::start();
    let mut admin = cluster.connect();
    admin.batch_execute("CREATE DATABASE elsewhere").unwrap();
    let mut client = cluster.fetching("gate=1");
    let waiting = thread::spawn(move || sync(&mut client).unwrap().outcome);
    assert!(cluster.upstream.wait_for_requests(1));
    // this waits for every backend to process a barrier
    admin.batch_execute("SET statement_timeout = '10s'").unwrap();
    admin.batch_execute("DROP DATABASE elsewhere").unwrap();
    // and the fetch continues afterwards
    cluster.upstream.release();
    assert_eq!(waiting.join().unwrap(), "applied");
}

#[test]
fn a_crash_leaves_the_rows_of_the_last_commit() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute("UPDATE model_access SET status = 'active', is_free = true WHERE provider = 'qwen'")
        .unwrap();
    let before = snapshot(&mut client);
    let mut job = cluster.connect();
    job.batch_execute("BEGIN").unwrap();
    let cut = cluster.upstream.url("take=300");
    job.batch_execute(&format!("SET LOCAL model_access.url = '{cut}'; SELECT model_access_sync(1000)"))
        .unwrap();
    cluster.ctl(&["restart", "-m", "immediate"]);
    let mut client = cluster.connect();
    assert_eq!(snapshot(&mut client), before);
    assert_eq!(count(&mut client, "model_access_sync_log"), 1);
    assert_eq!(sync(&mut client).unwrap().outcome, "unchanged");
}

#[test]
fn a_sync_is_not_taken_for_a_decision_after_the_log_was_emptied() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute(
            "UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5';
             TRUNCATE model_access_sync_log RESTART IDENTITY",
        )
        .unwrap();
    assert_eq!(sync(&mut cluster.fetching("without=openai/gpt-5")).unwrap().outcome, "applied");
    let query = "model_access WHERE model_id = 'openai/gpt-5' AND status_before_missing = 'active' AND last_run_id = 2";
    assert_eq!(count(&mut client, query), 1, "a sync, not a decision");
}

#[test]
fn planning_a_hostile_document_can_be_cancelled() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    // as many values as some hundred thousand entries have, within every limit
    let document =
        "SELECT json_build_object('data', json_agg(json_build_object('id', 'a/' || i, 'name', 'x', 'x',
                        (SELECT json_agg(0) FROM generate_series(1, 4900)))))::text AS document
                    FROM generate_series(1, 1500) AS i";
    client
        .batch_execute(&format!("CREATE TABLE hostile AS {document}; SET statement_timeout = '100ms'"))
        .unwrap();
    let error = client.batch_execute("SELECT model_access_load(document) FROM hostile").unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    client.batch_execute("SET statement_timeout = 0").unwrap();
    assert_eq!(count(&mut client, "model_access"), 0);
}
