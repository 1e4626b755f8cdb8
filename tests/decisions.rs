//! The program `model-access` copies decisions by a file to a new install of either kind. An import sees a change that was
//! made after the dry run.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::Client;
use std::path::PathBuf;
use std::process::{Command, Output};
use tests::{Cluster, eras, push_program, sql, wait_until};

/// Runs `model-access` as a role, with arguments that no shell reads.
fn program(cluster: &Cluster, role: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(push_program());
    command.args(arguments);
    command.env("PGHOST", cluster.socket()).env("PGUSER", role).env("PGDATABASE", "postgres");
    command.output().unwrap()
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

/// Exit code, standard output and standard error.
fn decisions(cluster: &Cluster, role: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = program(cluster, role, &[&["decisions"], arguments].concat());
    (output.status.code().unwrap(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("model_access.{name}.{}", std::process::id()))
}

/// Loads the newest recorded catalogue as the owner.
fn load(cluster: &Cluster, owner: &str) {
    let list = Command::new("zcat").arg(eras().join("2026-08-22.json.gz")).output().unwrap().stdout;
    let file = scratch(&format!("list.{owner}"));
    std::fs::write(&file, list).unwrap();
    let output = program(cluster, owner, &["push", "--file", file.to_str().unwrap()]);
    assert!(text(&output.stdout).starts_with("applied"), "{}", text(&output.stderr));
}

const DECIDED: &str = "
    UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai';
    UPDATE model_access SET status = 'disabled', note = E'no\\n\"never\"' WHERE provider = 'deepseek';
    INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true);
    INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('anna', 'qwen', true);
    SELECT model_access_set('price_alert', '3')";

/// Exports by psql and by the program, removes the install, and brings everything back.
fn survives_a_new_install(cluster: &Cluster, owner: &str, remove: &str, install: impl Fn(&mut Client)) {
    let mut client = cluster.connect();
    load(cluster, owner);
    client.batch_execute(DECIDED).unwrap();
    let (exported, kept) = (scratch(&format!("exported.{owner}")), scratch(&format!("kept.{owner}")));
    let [exported, kept] = [&exported, &kept].map(|file| file.to_str().unwrap());
    let all = ["export", "--overrides", "--settings"];
    assert_eq!(
        decisions(cluster, owner, &[&all[..], &["--file", kept]].concat()),
        (0, String::new(), String::new())
    );
    let psql = Command::new("psql")
        .args([
            "-X",
            "-U",
            "postgres",
            "-h",
            cluster.socket().to_str().unwrap(),
            "-d",
            "postgres",
            "-At",
            "-c",
        ])
        .arg("SELECT model_access_export_decisions(true, true)")
        .output()
        .unwrap();
    std::fs::write(exported, &psql.stdout).unwrap();
    let document = std::fs::read_to_string(kept).unwrap();
    assert!(text(&psql.stdout) == document && document.lines().count() > 60, "psql writes it as it is");
    assert_eq!(decisions(cluster, owner, &["diff", kept]), (0, "differences: 0\n".to_owned(), String::new()));

    client.batch_execute(remove).unwrap();
    install(&mut client);
    load(cluster, owner);
    let (code, printed, _) = decisions(cluster, owner, &["diff", exported]);
    assert_eq!(code, 1);
    assert!(printed.contains("\n~ openai/gpt-5 status: \"new\" -> \"active\"\n"), "{printed}");
    assert!(
        printed.contains("\n+ rule 10: {") && printed.contains("\n~ setting price_alert: \"2\" -> \"3\"\n"),
        "{printed}"
    );
    let (_, unchanged, _) = decisions(cluster, owner, &["export"]);
    assert_eq!(unchanged.lines().count(), 1, "diff writes nothing");
    let (code, applied, _) = decisions(cluster, owner, &["apply", exported]);
    assert_eq!((code, applied.replace("\napplied:", "\ndifferences:")), (0, printed));
    assert_eq!(
        decisions(cluster, owner, &["diff", exported]),
        (0, "differences: 0\n".to_owned(), String::new())
    );
    let (_, again, _) = decisions(cluster, owner, &all);
    assert!(again == document, "the same bytes");
    let pro: i64 = client.query_one("SELECT count(*) FROM models_for_tier('pro')", &[]).unwrap().get(0);
    assert!(pro > 30, "{pro}");
    for file in [exported, kept] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn decisions_survive_a_new_extension() {
    let cluster = Cluster::start();
    survives_a_new_install(&cluster, "postgres", "DROP EXTENSION model_access", |client| {
        client.batch_execute("CREATE EXTENSION model_access").unwrap();
    });
}

#[test]
fn decisions_survive_a_new_install_without_the_library() {
    let cluster = Cluster::start_without_library();
    let remove = "DROP OWNED BY keeper CASCADE; GRANT CREATE ON SCHEMA public TO keeper";
    survives_a_new_install(&cluster, "keeper", remove, |client| {
        client.batch_execute("SET SESSION AUTHORIZATION keeper").unwrap();
        client.batch_execute(&format!("BEGIN; {}; COMMIT", sql(&["install"]))).unwrap();
        client.batch_execute("RESET SESSION AUTHORIZATION").unwrap();
    });
}

#[test]
fn exit_codes_and_messages_are_fit_for_a_pipeline() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "SELECT model_access_load('[{\"id\": \"a/one\", \"name\": \"One\"}]');
             CREATE ROLE watcher LOGIN; CREATE ROLE decider LOGIN; CREATE ROLE stranger LOGIN;
             SELECT model_access_grant('watcher', 'viewer'), model_access_grant('decider', 'admin')",
        )
        .unwrap();
    let file = scratch("document");
    let path = file.to_str().unwrap();
    let write = |lines: &str| {
        std::fs::write(
            &file,
            format!("{{\"format\": \"model_access_decisions\", \"version\": 1}}\r\n{lines}"),
        )
        .unwrap();
    };
    write(
        "{\"model\": \"a/one\", \"status\": \"active\", \"note\": \"\\u001b[2J\u{9b}2J\"}\r\n{\"model\": \"a/two\", \"status\": \"active\"}",
    );
    let run = |role: &str, arguments: &[&str]| decisions(&cluster, role, arguments);
    let diff = "~ a/one status: \"new\" -> \"active\" (reviewed at the present price)\n\
                ~ a/one note: null -> \"\\u001b[2J\\u{9b}2J\"\n\
                ! a/two: {\"status\":\"active\"} left out (not in this catalogue)\n";
    assert_eq!(
        run("watcher", &["diff", path]),
        (1, format!("{diff}differences: 2, left out: 1\n"), String::new())
    );
    let (code, printed, error) = run("watcher", &["apply", path]);
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(error.starts_with("model-access: permission denied"), "{error}");
    assert_eq!(
        run("decider", &["apply", path]),
        (3, format!("{diff}applied: 2, left out: 1\n"), String::new())
    );
    assert_eq!(
        run("decider", &["apply", path]),
        (
            3,
            "! a/two: {\"status\":\"active\"} left out (not in this catalogue)\napplied: 0, left out: 1\n"
                .to_owned(),
            String::new()
        )
    );

    // nothing of a wrong document is applied, and the line is named
    write("{\"model\": \"a/one\", \"status\": \"disabled\"}\n{\"model\": \"a/one\"");
    for (command, expected) in [("diff", 2), ("apply", 1)] {
        let (code, printed, error) = run("decider", &[command, path]);
        assert_eq!((code, printed.as_str()), (expected, ""));
        assert!(error.contains("line 3 of the document is not valid JSON"), "{error}");
    }
    write(
        "{\"setting\": \"price_alert\", \"value\": \"5\"}\n{\"model\": \"a/one\", \"status\": \"disabled\"}",
    );
    let (code, _, error) = run("decider", &["apply", path]);
    assert!(code == 1 && error.contains("permission denied to change settings"), "{error}");
    // libpq would cut it off at the NUL
    write("{\"model\": \"a/one\", \"status\": \"disabled\"}\n\0{\"model\": \"a/two\"}");
    let (code, _, error) = run("decider", &["apply", path]);
    assert!(code == 1 && error.contains("it has a NUL character"), "{error}");
    let (code, _, error) = run("decider", &["diff", "/nowhere/decisions.jsonl"]);
    assert!(code == 2 && error.contains("could not read /nowhere/decisions.jsonl"), "{error}");
    let (code, _, error) = run("stranger", &["export"]);
    assert!(code == 1 && error.contains("permission denied"), "{error}");
    let status: String = client.query_one("SELECT status FROM model_access", &[]).unwrap().get(0);
    assert_eq!(status, "active");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_decision_between_the_dry_run_and_the_import_is_seen() {
    let cluster = Cluster::start();
    let (mut client, mut other) = (cluster.connect(), cluster.connect());
    client
        .batch_execute("SELECT model_access_load('[{\"id\": \"a/one\", \"name\": \"One\"}, {\"id\": \"a/two\", \"name\": \"Two\"}]')")
        .unwrap();
    let import = "FROM model_access_import_decisions(e'{\"format\": \"model_access_decisions\", \"version\": 1}\\n\
                  {\"model\": \"a/one\", \"status\": \"active\"}\\n{\"model\": \"a/two\", \"status\": \"inactive\"}'";
    let changes = |client: &mut Client, call: &str| -> Vec<String> {
        let query = format!("SELECT id || ' ' || (old #>> '{{}}') || ' ' || (new #>> '{{}}') {call}");
        client.query(&query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
    };
    let dry_run = changes(&mut client, &format!("{import})"));
    assert_eq!(dry_run, ["a/one new active", "a/two new inactive"]);
    other
        .batch_execute(
            "BEGIN; UPDATE model_access SET status = 'disabled', note = 'just now' WHERE model_id = 'a/one'",
        )
        .unwrap();
    let mut importer = cluster.connect();
    let call = format!("{import}, false)");
    let importing = std::thread::spawn(move || changes(&mut importer, &call));
    wait_until(
        &mut client,
        "EXISTS (SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND NOT granted)",
    );
    other
        .batch_execute("UPDATE model_access SET status = 'inactive' WHERE model_id = 'a/two'; COMMIT")
        .unwrap();
    // the import waited, and then compared again: the second model is as wanted, and the note of the other session stays
    assert_eq!(importing.join().unwrap(), ["a/one disabled active"]);
    let note: String =
        client.query_one("SELECT note FROM model_access WHERE model_id = 'a/one'", &[]).unwrap().get(0);
    assert_eq!(note, "just now");
}
