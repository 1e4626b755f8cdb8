//! The extension in another place: dumps and restores, and a standby or a logical replica that takes over.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::Client;
use std::process::Command;
use tests::filled::{assert_works, contents, fill, tables};
use tests::{Cluster, heard, server_program, sync, wait_until};

/// Runs a program of the server, and panics with what it printed if it fails.
fn run(cluster: &Cluster, program: &str, arguments: &[&str]) {
    let output = Command::new(server_program(program))
        .args(["-U", "postgres", "-h"])
        .arg(cluster.socket())
        .args(arguments)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.is_empty(), "{program} {arguments:?}: {printed}");
}

/// Fills a database, dumps it with several jobs, and restores it with each of these numbers of jobs.
fn restores_completely(rows: usize, jobs: &[&str]) {
    let cluster = Cluster::start_with(&["max_locks_per_transaction=256"]);
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client.batch_execute("CREATE ROLE ops").unwrap();
    fill(&mut client, rows);
    let tables = tables(&mut client, rows);
    let before = contents(&mut client, &tables);

    let folder = tests::repository().join("target").join(format!("dump.{}.{rows}", std::process::id()));
    let dump = folder.to_str().unwrap();
    run(&cluster, "pg_dump", &["-Fd", "-j", "4", "-f", dump, "postgres"]);
    for number in jobs {
        client.batch_execute("DROP DATABASE IF EXISTS restored").unwrap();
        client.batch_execute("CREATE DATABASE restored").unwrap();
        run(&cluster, "pg_restore", &["-j", number, "-d", "restored", dump]);
        let mut restored = cluster.connect_to("restored");
        assert_eq!(contents(&mut restored, &tables), before, "after pg_restore -j {number}");
        // a dump has no transaction ids, so nobody can say how many rows the disabled trigger missed
        let missed = "SELECT why FROM model_access_restore_allowed_models('users') WHERE action = 'look'";
        let missed: String = restored.query_one(missed, &[]).unwrap().get(0);
        assert!(missed.starts_with("rows written since: unknown"), "{missed}");
        assert_works(&mut restored, |client| sync(client).unwrap().outcome);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_parallel_restore_loses_no_row() {
    restores_completely(2_000, &["4"]);
}

#[test]
#[ignore = "takes a minute; make test-all runs it"]
fn a_parallel_restore_loses_no_row_of_20_000_with_any_number_of_jobs() {
    restores_completely(20_000, &["2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
#[ignore = "takes a minute; make test-all runs it"]
fn a_dump_restores_whatever_its_options_are() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client.batch_execute("CREATE ROLE ops").unwrap();
    fill(&mut client, 100);
    let tables = tables(&mut client, 100);
    let before = contents(&mut client, &tables);
    let dump = tests::repository().join("target").join(format!("dump.{}", std::process::id()));
    let dump = dump.to_str().unwrap();
    // the options of each dump, and those of each restore of it
    for (dumped, restored) in [
        (&["-Fc"][..], &[&["--single-transaction"][..]][..]),
        (&["-Fc", "--no-acl"], &[&[]]),
        (&["-Fc", "--no-owner", "--no-comments"], &[&["--no-acl"]]),
        (&["-Ft", "-n", "public", "-e", "model_access"], &[&["--clean", "--if-exists"]]),
        (&["-Fc"], &[&["--section=pre-data"], &["--section=data"], &["--section=post-data"]]),
        (&["-Fc"], &[&["--schema-only"], &["--data-only", "--disable-triggers"]]),
    ] {
        run(&cluster, "pg_dump", &[dumped, &["-f", dump, "postgres"]].concat());
        client.batch_execute("DROP DATABASE IF EXISTS restored").unwrap();
        client.batch_execute("CREATE DATABASE restored").unwrap();
        for options in restored {
            run(&cluster, "pg_restore", &[&["-d", "restored", dump][..], options].concat());
        }
        let mut restored = cluster.connect_to("restored");
        assert_eq!(contents(&mut restored, &tables), before, "{dumped:?}");
        restored.batch_execute("SELECT * FROM model_access_repair_privileges()").unwrap();
        assert_works(&mut restored, |client| sync(client).unwrap().outcome);
    }
    std::fs::remove_file(dump).unwrap();
}

#[test]
fn a_standby_that_is_promoted_goes_on() {
    let primary = Cluster::start();
    let mut client = primary.connect();
    sync(&mut client).unwrap();
    client.batch_execute("CREATE ROLE ops").unwrap();
    fill(&mut client, 100);
    let standby = primary.standby();
    // this arrives as WAL, not with the copy
    client.batch_execute("UPDATE model_access SET note = 'last' WHERE model_id = 'openai/gpt-5'").unwrap();
    let tables = tables(&mut client, 100);
    let before = contents(&mut client, &tables);
    let mut client = standby.connect();
    wait_until(&mut client, "EXISTS (SELECT FROM model_access WHERE note = 'last')");
    primary.ctl(&["stop", "-m", "immediate"]);
    standby.ctl(&["promote"]);
    assert_eq!(contents(&mut client, &tables), before);
    let mut listener = standby.connect();
    listener.batch_execute("LISTEN model_access").unwrap();
    assert_works(&mut client, |client| sync(client).unwrap().outcome);
    assert!(!heard(&mut listener).is_empty());
}

/// The tables that docs/operations.md says to publish.
fn published() -> String {
    let page = std::fs::read_to_string(tests::repository().join("docs/operations.md")).unwrap();
    let (_, rest) = page.split_once("CREATE PUBLICATION").unwrap();
    let (statement, _) = rest.split_once(';').unwrap();
    format!("CREATE PUBLICATION{statement}")
}

#[test]
fn a_logical_replica_that_takes_over_gives_no_number_twice() {
    let publisher = Cluster::start_with(&["wal_level=logical"]);
    let subscriber = Cluster::start();
    let mut before = publisher.connect();
    let mut after = subscriber.connect();
    sync(&mut before).unwrap();
    let decide = |client: &mut Client, statements: &[&str]| {
        for statement in statements {
            client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    };
    decide(
        &mut before,
        &[
            "UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'",
            "INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true)",
            "SELECT model_access_set('return_window', '3 days')",
            "INSERT INTO model_access_override (user_id, model_id, allowed) SELECT i::text, 'openai/gpt-5', true FROM generate_series(1, 9) AS i",
            &published(),
        ],
    );
    let connection = format!("host={} user=postgres dbname=postgres", publisher.socket().display());
    after
        .batch_execute(&format!(
            "CREATE SUBSCRIPTION catalogue CONNECTION '{connection}' PUBLICATION catalogue"
        ))
        .unwrap();
    // these arrive as changes, not with the first copy
    wait_until(&mut after, "(SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel)");
    decide(
        &mut before,
        &[
            "UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5-mini'",
            "DELETE FROM model_access_override WHERE user_id = '9'",
            "UPDATE model_access SET note = 'oops'",
            "SELECT model_access_undo((SELECT max(at) FROM model_access_history), dry_run => false)",
        ],
    );
    sync(&mut before).unwrap();
    let tables: Vec<String> = before
        .query("SELECT tablename::text FROM pg_publication_tables ORDER BY 1", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(tables.len() >= 6, "{tables:?}");
    let position: String = before.query_one("SELECT pg_current_wal_lsn()::text", &[]).unwrap().get(0);
    wait_until(
        &mut before,
        &format!("(SELECT bool_and(confirmed_flush_lsn >= '{position}') FROM pg_replication_slots)"),
    );
    assert_eq!(contents(&mut after, &tables), contents(&mut before, &tables));

    // the publisher is lost; its work continues here, whatever the sequences say
    let numbers = "SELECT (SELECT max(run_id) FROM model_access_sync_log), (SELECT max(history_id) FROM model_access_history),
                          (SELECT max(override_id) FROM model_access_override)";
    let last = after.query_one(numbers, &[]).unwrap();
    decide(&mut after, &["DROP SUBSCRIPTION catalogue"]);
    // two sessions at once
    let mut other = subscriber.connect();
    let ban = |model: &str| {
        format!("UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/{model}'")
    };
    decide(&mut other, &["BEGIN", &ban("gpt-4o")]);
    decide(&mut after, &[&ban("gpt-4o-mini")]);
    decide(&mut other, &["COMMIT"]);
    decide(
        &mut after,
        &[
            "CREATE ROLE ops; SELECT model_access_grant('ops', 'viewer')",
            "UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5'",
            "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('10', 'openai/gpt-5', false)",
        ],
    );
    assert_eq!(sync(&mut after).unwrap().outcome, "unchanged");
    let next = after.query_one(numbers, &[]).unwrap();
    for column in 0..3 {
        assert!(next.get::<_, i64>(column) > last.get::<_, i64>(column), "number {column}");
    }
    // a run that writes models, and an undo of a decision that was replicated
    let moved = "SELECT outcome FROM model_access_load((
        SELECT jsonb_agg(upstream || '{\"name\": \"renamed\"}')::text FROM model_access))";
    assert_eq!(after.query_one(moved, &[]).unwrap().get::<_, &str>(0), "applied");
    let undo = "SELECT model_access_undo(history_ids => ARRAY(SELECT history_id FROM model_access_history
                    WHERE model_id = 'openai/gpt-5-mini' AND new ->> 'status' = 'disabled'), dry_run => false)";
    decide(&mut after, &[undo]);
    let status = "SELECT string_agg(status, ' ' ORDER BY model_id) FROM model_access WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-mini')";
    assert_eq!(after.query_one(status, &[]).unwrap().get::<_, &str>(0), "disabled active");
    let failing =
        "SELECT coalesce(string_agg(\"check\" || ': ' || detail, '; '), '') FROM model_access_health()
                   WHERE NOT ok AND \"check\" IN ('schema', 'last_success', 'last_run', 'privileges')";
    assert_eq!(after.query_one(failing, &[]).unwrap().get::<_, &str>(0), "");
}
