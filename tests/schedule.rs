//! The nightly job on a real pg_cron, in both of its modes.

#![allow(clippy::unwrap_used)] // a test ends there

use postgres::Client;
use tests::{Cluster, wait_until};

/// Waits for a new run of the job in pg_cron, and returns its outcome.
fn next_run(client: &mut Client, known: &mut i64) -> (String, String) {
    wait_until(
        client,
        &format!(
            "EXISTS (SELECT FROM cron.job_run_details WHERE runid > {known} AND status IN ('succeeded', 'failed'))"
        ),
    );
    let query = "SELECT runid, status, return_message FROM cron.job_run_details WHERE runid > $1 ORDER BY runid DESC LIMIT 1";
    let row = client.query_one(query, &[known]).unwrap();
    *known = row.get(0);
    (row.get(1), row.get(2))
}

fn count(client: &mut Client, query: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {query}"), &[]).unwrap().get(0)
}

fn a_job_runs_and_reports_failure(settings: &[&str]) {
    let cluster = Cluster::start_with(settings);
    let mut client = cluster.connect();
    if count(&mut client, "pg_available_extensions WHERE name = 'pg_cron'") == 0 {
        assert!(std::env::var("PG_CONFIG").is_ok_and(|path| !path.contains("/15/")), "pg_cron is missing");
        return; // another server, without pg_cron
    }
    client
        .batch_execute(
            "CREATE EXTENSION pg_cron;
             CREATE ROLE \"Nightly Job\" LOGIN;
             ALTER ROLE \"Nightly Job\" SET default_transaction_isolation = 'serializable';
             SELECT model_access_grant('\"Nightly Job\"', 'job');
             INSERT INTO model_access_sync_log (started_at, duration_ms, outcome, run_by)
             VALUES (now() - interval '91 days', 1, 'failed', 'old'), (now() - interval '89 days', 1, 'failed', 'recent'),
                    (now() - interval '95 days', 1, 'applied', 'the last success');
             SELECT model_access_schedule('* * * * *', '\"Nightly Job\"')",
        )
        .unwrap();
    // a second call replaces the first, whichever role runs the job
    client
        .batch_execute(
            "SELECT model_access_schedule('0 0 1 1 *'); SELECT model_access_schedule('* * * * *', '\"Nightly Job\"')",
        )
        .unwrap();
    assert_eq!(
        count(
            &mut client,
            "cron.job WHERE jobname = 'model_access in postgres' AND username = 'Nightly Job'"
        ),
        1
    );
    assert_eq!(count(&mut client, "cron.job"), 1);

    let mut known = 0;
    let (status, message) = next_run(&mut client, &mut known);
    assert_eq!(status, "succeeded", "{message}");
    let kept = "SELECT string_agg(run_by || ' ' || outcome, ', ' ORDER BY run_id) FROM model_access_sync_log";
    let log = |client: &mut Client| client.query_one(kept, &[]).unwrap().get::<_, String>(0);
    assert_eq!(
        log(&mut client),
        "recent failed, Nightly Job applied",
        "91 days old, and no longer the last success: pruned"
    );

    // the upstream breaks: the job fails, and its run row stays
    let broken = cluster.upstream.url("take=0");
    client.batch_execute(&format!("ALTER SYSTEM SET model_access.url = '{broken}'")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let (status, message) = next_run(&mut client, &mut known);
    assert_eq!(status, "failed");
    assert!(message.contains("model_access sync failed: the document lists no models"), "{message}");
    assert_eq!(log(&mut client), "recent failed, Nightly Job applied, Nightly Job failed");

    assert!(client.query_one("SELECT model_access_unschedule()", &[]).unwrap().get::<_, bool>(0));
    assert!(!client.query_one("SELECT model_access_unschedule()", &[]).unwrap().get::<_, bool>(0));
    assert_eq!(count(&mut client, "cron.job"), 0);
}

#[test]
fn a_job_over_a_connection_of_pg_cron() {
    a_job_runs_and_reports_failure(&[]);
}

#[test]
fn a_job_in_a_background_worker_of_pg_cron() {
    a_job_runs_and_reports_failure(&["cron.use_background_workers=on"]);
}

#[test]
fn without_pg_cron_an_error_says_what_to_set_and_what_to_use_instead() {
    let cluster = Cluster::start();
    let error = cluster.connect().batch_execute("SELECT model_access_schedule('5 4 * * *')").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "0A000");
    assert_eq!(error.message(), "pg_cron is not installed in database \"postgres\"");
    let detail = error.detail().unwrap();
    for setting in [
        "shared_preload_libraries = 'pg_cron'",
        "cron.database_name = 'postgres'",
        "CREATE EXTENSION pg_cron",
    ] {
        assert!(detail.contains(setting), "{detail}");
    }
    let command = "psql -X -d postgres -c 'CALL public.model_access_sync_job()'";
    assert_eq!(
        error.hint().unwrap(),
        format!(
            "Without it, put this line into a crontab: 5 4 * * * {command}. \
             For a systemd timer: OnCalendar=*-*-* 04:05:00 and ExecStart={command}."
        )
    );
}

#[test]
fn pg_cron_elsewhere_or_a_role_without_rights_is_an_error_that_says_what_to_do() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client.batch_execute("CREATE DATABASE app; ").unwrap();
    let mut app = cluster.connect_to("app");
    app.batch_execute("CREATE SCHEMA \"My Models\"; CREATE EXTENSION model_access SCHEMA \"My Models\"")
        .unwrap();
    let error = app.batch_execute("SELECT \"My Models\".model_access_schedule()").unwrap_err();
    let error = error.as_db_error().unwrap();
    if error.message() == "pg_cron is in database \"postgres\", not in \"app\"" {
        let line = error.hint().unwrap().split_once(": ").unwrap().1.split_once(". To end").unwrap().0;
        client.batch_execute(&format!("CREATE EXTENSION pg_cron; {line}")).unwrap();
        assert_eq!(count(&mut client, "cron.job WHERE database = 'app'"), 1);
        // the job of another database is still there, unchanged
        client.batch_execute("SELECT model_access_schedule()").unwrap();
        assert_eq!(count(&mut client, "cron.job"), 2);
        let end = error.hint().unwrap().split_once("To end it: ").unwrap().1.trim_end_matches('.');
        client.batch_execute(&format!("{end}; SELECT model_access_unschedule(); CREATE ROLE idle")).unwrap();
        for role in ["idle", "0", "99999"] {
            let error = client
                .batch_execute(&format!("SELECT model_access_schedule('0 0 * * *', '{role}')"))
                .unwrap_err();
            let error = error.as_db_error().unwrap();
            assert!(["42501", "42704"].contains(&error.code().code()), "{error}");
        }
        assert_eq!(count(&mut client, "cron.job"), 0);
    } else {
        // the command, quoted for a shell
        assert!(
            error.hint().unwrap().contains("-c 'CALL \"My Models\".model_access_sync_job()'"),
            "{error:?}"
        );
    }
}

#[test]
fn a_schedule_sets_sync_interval() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    if count(&mut client, "pg_available_extensions WHERE name = 'pg_cron'") == 0 {
        return;
    }
    client.batch_execute("CREATE EXTENSION pg_cron").unwrap();
    // the longest gap, an age of the last success that is still allowed, and one that is too old
    for (schedule, gap, well, late) in [
        ("17 3 * * *", "1 day", "25 hours", "26 hours"),
        ("17 3 * * 1-5", "3 days", "73 hours", "74 hours"),
        ("17 3 * * mon-fri", "3 days", "73 hours", "74 hours"),
        ("17 3 * * 0-6", "1 day", "25 hours", "26 hours"),
        ("17 3 */2 * *", "2 days", "49 hours", "50 hours"),
        ("17 3 1-31 * *", "1 day", "25 hours", "26 hours"),
        ("17 3 1,15 * *", "17 days", "17 days 1 hour", "17 days 2 hours"),
        ("17 3 13 * 5", "7 days", "7 days 1 hour", "7 days 2 hours"),
        ("@hourly", "01:00:00", "2 hours", "3 hours"),
        ("17 3,15 * * *", "12:00:00", "13 hours", "14 hours"),
        ("17 */6 * * *", "06:00:00", "7 hours", "8 hours"),
        ("@weekly", "7 days", "7 days 1 hour", "7 days 2 hours"),
        ("0 3 * * 7", "7 days", "7 days 1 hour", "7 days 2 hours"),
        ("@monthly", "31 days", "31 days 1 hour", "31 days 2 hours"),
        ("* * * * *", "00:01:00", "1 hour", "2 hours"),
        ("30 seconds", "00:00:30", "1 hour", "2 hours"),
    ] {
        // pg_cron 1.4 has no seconds
        if client.execute("SELECT model_access_schedule($1)", &[&schedule]).is_err() {
            assert_eq!(schedule, "30 seconds");
            continue;
        }
        let interval = "SELECT value FROM model_access_settings WHERE name = 'sync_interval'";
        assert_eq!(client.query_one(interval, &[]).unwrap().get::<_, &str>(0), gap, "{schedule}");
        for (age, ok) in [(well, true), (late, false)] {
            client
                .batch_execute(&format!(
                    "DELETE FROM model_access_sync_log; INSERT INTO model_access_sync_log (started_at, duration_ms, outcome, run_by)
                     VALUES (now() - interval '{age}', 1, 'unchanged', 'x')"
                ))
                .unwrap();
            let check = "SELECT ok FROM model_access_health() WHERE \"check\" = 'last_success'";
            assert_eq!(client.query_one(check, &[]).unwrap().get::<_, bool>(0), ok, "{schedule}: {age}");
        }
    }
    // a schedule that is not understood leaves the setting unchanged
    client
        .batch_execute(
            "SELECT model_access_set('sync_interval', '5 days'); SELECT model_access_schedule('@reboot')",
        )
        .unwrap();
    let interval = "SELECT value FROM model_access_settings WHERE name = 'sync_interval'";
    assert_eq!(client.query_one(interval, &[]).unwrap().get::<_, &str>(0), "5 days");
}

#[test]
fn the_job_refuses_a_transaction_block_before_it_fetches() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let error = client.batch_execute("BEGIN; CALL model_access_sync_job()").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "2D000");
    assert_eq!(cluster.upstream.requests(), 0);
    client.batch_execute("ROLLBACK").unwrap();
    client.batch_execute("CALL model_access_sync_job()").unwrap();
    assert_eq!(cluster.upstream.requests(), 1);
    // the outcome held is an error too
    let mut client = cluster.fetching("take=100");
    let error = client.batch_execute("CALL model_access_sync_job()").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "55000");
    assert_eq!(count(&mut client, "model_access_sync_log WHERE outcome = 'held'"), 1);
}
