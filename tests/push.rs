//! `model-access push`: the sync from outside, on an install without the library.

#![allow(clippy::unwrap_used)] // a test ends there

use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use tests::{Cluster, eras, push_program, snapshot};

/// Runs a push as the owner of the tables.
fn push(cluster: &Cluster, arguments: &[&str]) -> Output {
    command(cluster, arguments).output().unwrap()
}

fn command(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(push_program());
    command.arg("push").args(arguments);
    command.env("PGHOST", cluster.socket()).env("PGUSER", "keeper").env("PGDATABASE", "postgres");
    command
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

fn scratch(name: &str, content: &str) -> String {
    let path = std::env::temp_dir().join(format!("model_access.{name}.{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn exit_codes_and_output_say_how_a_run_ended() {
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    let url = |scenario: &str| cluster.upstream.url(scenario);
    for (scenario, code, words) in [
        ("", 0, "applied: listed 421, added 421"),
        ("", 0, "unchanged: listed 421, added 0"),
        ("take=200", 3, "held: listed 200, added 0"),
        ("status=500", 1, "failed: listed 0"),
        ("body=", 1, "failed: listed 0"),
    ] {
        let output = push(&cluster, &["--url", &url(scenario)]);
        assert_eq!(output.status.code(), Some(code), "{scenario}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(words), "{scenario}: {}", text(&output.stdout));
        assert_eq!(text(&output.stderr).contains("WARNING"), code != 0, "{scenario}");
    }
    let runs: i64 = client.query_one("SELECT count(*) FROM model_access_sync_log", &[]).unwrap().get(0);
    assert_eq!(runs, 5);

    // a dry run writes nothing, and prints what it would write; before it, all 421 models are listed
    assert_eq!(push(&cluster, &["--url", &url("take=421")]).status.code(), Some(0));
    let before = snapshot(&mut client);
    let output = push(&cluster, &["--dry-run", "--url", &url("take=420")]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(0), 2));
    assert!(text(&output.stdout).starts_with("~ openai/gpt-4 missing_since="), "{}", text(&output.stdout));
    assert_eq!(snapshot(&mut client), before);

    // of two runs at once, the second is skipped
    let mut first = command(&cluster, &["--url", &url("gate=1")]);
    let requests = cluster.upstream.requests();
    let waiting = thread::spawn(move || first.output().unwrap());
    assert!(cluster.upstream.wait_for_requests(requests + 1));
    assert_eq!(push(&cluster, &["--url", &url("")]).status.code(), Some(4));
    cluster.upstream.release();
    assert_eq!(waiting.join().unwrap().status.code(), Some(0));

    // if the table is locked, the run fails and still writes its row
    client.batch_execute("BEGIN; LOCK TABLE model_access").unwrap();
    let output = push(&cluster, &["--url", &url("take=420")]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    client.batch_execute("COMMIT").unwrap();
    let last = "SELECT error_code, error FROM model_access_sync_log ORDER BY run_id DESC LIMIT 1";
    let last = client.query_one(last, &[]).unwrap();
    assert_eq!(last.get::<_, &str>(0), "55P03");
    assert!(!last.get::<_, &str>(1).contains('\n'));
}

#[test]
fn arguments_are_checked_before_anything_is_touched() {
    let cluster = Cluster::start_without_library();
    for arguments in [
        &["--url", "https://user:s3cret@openrouter.ai/x"][..],
        &["--url", "http://openrouter.ai/x"],
        &["--proxy", "proxy:3128"],
        &["--timeout", "0"],
        &["--timeout", "18446744073709551615"],
        &["--max-removals", "4294967295"],
        &["--max-removals", "-1"],
        &["--max-entry", "0"],
        &["--max-entry", "16385"],
        &["--max-entry-values", "99"],
    ] {
        assert_eq!(push(&cluster, arguments).status.code(), Some(2), "{arguments:?}");
    }
    let big = scratch("big", &" ".repeat((1 << 20) + 1));
    let output = push(&cluster, &["--max-body", "1", "--file", &big]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("larger than --max-body"), "{}", text(&output.stderr));
    std::fs::remove_file(big).unwrap();
    // the limits of an entry; ignored keys do not count
    let values = "0,".repeat(5000);
    let large = scratch(
        "large",
        &format!(
            r#"[{{"id":"a/b","name":"x","list":[{values}0],"benchmarks":[{values}0]}},{{"id":"a/c","name":"x"}}]"#
        ),
    );
    for (options, said) in [
        (&[][..], "listed 1,"),
        (&["--max-entry-values", "5004"], "listed 2,"),
        (&["--max-entry-values", "5004", "--max-entry", "9"], "listed 1,"),
    ] {
        let output = push(&cluster, &[&["--dry-run", "--file", &large], options].concat());
        assert!(text(&output.stdout).contains(said), "{options:?}: {}", text(&output.stdout));
    }
    std::fs::remove_file(large).unwrap();
    assert_eq!(push(&cluster, &["--file", "/nonexistent"]).status.code(), Some(1));
    // a database as a name, a URL or conninfo; and one that does not exist
    let empty = scratch("empty", "");
    for database in ["postgres", "postgresql:///postgres", "dbname=postgres"] {
        assert!(
            text(&push(&cluster, &["--file", &empty, database]).stdout).starts_with("failed"),
            "{database}"
        );
    }
    assert!(text(&push(&cluster, &["--file", &empty, "no such"]).stderr).contains("does not exist"));
    std::fs::remove_file(empty).unwrap();
}

#[test]
fn settings_of_the_session_change_nothing() {
    let cluster = Cluster::start_without_library();
    let document = r#"{"data": [{"id": "test/é-🐬", "name": "Café 🐬"}]}"#;
    let file = scratch("accents", document);
    let odd = "-c idle_in_transaction_session_timeout=1s -c default_transaction_isolation=serializable -c search_path=nowhere";
    let stall = ["--url", &cluster.upstream.url("stall=headers"), "--timeout", "2"];
    let output = command(&cluster, &stall).env("PGOPTIONS", odd).output().unwrap();
    assert!(text(&output.stdout).starts_with("failed"), "{}", text(&output.stderr));
    for outcome in ["applied", "unchanged"] {
        let output = command(&cluster, &["--file", &file])
            .env("PGCLIENTENCODING", "LATIN1")
            .env("PGOPTIONS", odd)
            .output();
        let output = output.unwrap();
        assert!(text(&output.stdout).starts_with(outcome), "{}", text(&output.stderr));
    }
    let row = cluster.connect().query_one("SELECT model_id || name FROM model_access", &[]).unwrap();
    assert_eq!(row.get::<_, &str>(0), "test/é-🐬Café 🐬");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn only_the_owner_pushes_and_no_function_of_another_role_runs() {
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE stranger LOGIN; CREATE ROLE member LOGIN IN ROLE keeper; GRANT CREATE ON SCHEMA public TO stranger;
             CREATE SCHEMA elsewhere AUTHORIZATION stranger; GRANT USAGE ON SCHEMA elsewhere TO PUBLIC",
        )
        .unwrap();
    client
        .batch_execute(
            "SET ROLE stranger;
             CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'planted'; RETURN 'public'; END $$;
             CREATE TABLE elsewhere.model_access_sync_log (run_id bigint);
             CREATE FUNCTION elsewhere._model_access_begin(integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'planted'; RETURN '{}'; END $$;
             RESET ROLE",
        )
        .unwrap();
    let newest = eras().join("2026-08-22.json.gz");
    let list = Command::new("zcat").arg(newest).output().unwrap().stdout;
    let file = scratch("list", text(&list));
    let path = "-c search_path=elsewhere,public";
    let output = command(&cluster, &["--file", &file]).env("PGOPTIONS", path).output().unwrap();
    assert!(text(&output.stdout).starts_with("applied"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("planted"), "{}", text(&output.stderr));
    // a member of the owner may push; another role may not
    let output = command(&cluster, &["--file", &file]).env("PGUSER", "member").output().unwrap();
    assert!(text(&output.stdout).starts_with("unchanged"), "{}", text(&output.stderr));
    let output = command(&cluster, &["--file", &file, "--schema", "public"])
        .env("PGUSER", "stranger")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("permission denied"), "{}", text(&output.stderr));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_standby_says_where_to_push() {
    let cluster = Cluster::start_without_library();
    let standby = cluster.standby();
    let output = push(&standby, &["--file", Path::new("/dev/null").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot sync model_access on a standby"),
        "{}",
        text(&output.stderr)
    );
}
