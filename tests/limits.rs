//! The memory that a run takes at most, and what happens if memory, threads or the postmaster are missing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a panic fails the test

use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tests::{Cluster, eras, sync};

/// The most memory of a backend in a run, in kB, without shared buffers.
const MOST: u64 = 150 * 1024;
/// Less than `model_access.max_body`.
const SIZE: usize = 16 * 1024 * 1024 - 1024;

/// The most memory that the process of a session has had.
fn most(client: &mut Client) -> u64 {
    let process = process(client);
    status(process, "VmHWM") - status(process, "RssShmem")
}

/// There are few shared buffers, because those that a backend has used count as its memory.
fn cluster(folder: &Path) -> Cluster {
    let upstream = mock_upstream::MockUpstream::start("127.0.0.1:0", folder).unwrap();
    Cluster::start_beside(upstream, &["shared_buffers=8MB"], &[])
}

fn process(client: &mut Client) -> i32 {
    client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0)
}

/// A number of kB in the status of a process, such as `VmHWM`, the most memory that it has had.
fn status(process: i32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sets a limit of the process of a session, such as `nproc`. The server's user may do so for its own processes.
fn limit(client: &mut Client, name: &str, value: impl Display) {
    let set = format!("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; prlimit --pid $PPID --{name}={value}:'");
    client.batch_execute(&set).unwrap();
}

/// A list of as many entries as fit, at most 10,000; `entry` gets the number of an entry.
fn list(entry: impl Fn(usize) -> String) -> String {
    list_within(SIZE, entry)
}

fn list_within(size: usize, entry: impl Fn(usize) -> String) -> String {
    let mut document = String::from(r#"{"data":["#);
    for number in 0..10_000 {
        let entry = entry(number);
        if document.len() + entry.len() + 8 > size {
            break;
        }
        document.push_str(if number == 0 { "" } else { "," });
        document.push_str(&entry);
    }
    document + "]}"
}

/// A list of entries that have this member; `part` is repeated in it.
fn member(begin: &str, part: &str, times: usize, end: &str) -> String {
    let member = format!("{begin}{}{end}", part.repeat(times));
    list(|number| format!(r#"{{"id":"a/b{number}","name":"x",{member}}}"#))
}

/// One document with a value that fills it.
fn filled(begin: &str, part: &str, end: &str) -> String {
    format!("{begin}{}{end}", part.repeat((SIZE - begin.len() - end.len()) / part.len()))
}

fn keys(times: usize, value: &str) -> String {
    (0..times).map(|key| format!(r#""{key:x}":{value}"#)).collect::<Vec<_>>().join(",")
}

/// Documents of 16 MB, or with the most entries, each with the SQLSTATE of its run.
fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let one = r#"{"data":[{"id":"a/b","name":"x"}]"#;
    vec![
        ("deep", format!(r#"{{"data":{}{}}}"#, "[".repeat(SIZE / 2 - 8), "]".repeat(SIZE / 2 - 8)), "02000"),
        ("arrays", member(r#""x":["#, "[],", 4900, "0]"), "54000"),
        ("nested", member(r#""x":["#, &format!("{}{},", "[".repeat(30), "]".repeat(30)), 160, "0]"), "54000"),
        ("numbers", member(r#""x":["#, "0,", 4900, "0]"), "54000"),
        ("strings", member(r#""supported_parameters":["#, r#""","#, 4900, r#"""]"#), "54000"),
        (
            "prices",
            list(|n| format!(r#"{{"id":"a/b{n}","name":"x","pricing":{{{}}}}}"#, keys(2400, "\"1\""))),
            "54000",
        ),
        ("escapes", member(r#""description":""#, "\\u0001", 10_800, "\""), ""),
        ("quotes", member(r#""canonical_slug":""#, "\\\"", 32_000, "\""), ""),
        ("modalities", member(r#""architecture":{"modality":"->"#, "+", 65_000, "\"}"), ""),
        ("one-string", filled(r#"{"data":[{"id":"a/b","name":""#, "x", r#""}]}"#), "02000"),
        ("one-id", filled(r#"{"data":[{"name":"x","id":["#, "0,", "0]}]}"), "02000"),
        ("one-entry", format!(r#"{{"data":[{{"id":"a/b","name":"x",{}}}]}}"#, keys(1_300_000, "0")), "02000"),
        ("same-keys", filled(r#"{"data":[{"id":"a/b","name":"x"#, r#"","x":""#, r#""}]}"#), "02000"),
        ("ignored", filled(r#"{"data":[{"id":"a/b","name":"x","benchmarks":["#, "0,", "0]}]}"), ""),
        ("links", filled(&format!(r#"{one},"links":{{"next":["#), "0,", "0]}}"), "01000"),
        ("error", filled(r#"{"error":{"message":["#, "0,", "0]}}"), "22000"),
        ("minimal", list(|n| format!(r#"{{"id":"a/b{n}","name":"x"}}"#)), ""),
    ]
}

/// A folder of documents, and the list of 10,000 entries of the recorded kind, which has 13 MB.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("model_access.{test}.{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, document: &str) {
        std::fs::write(self.0.join(format!("{name}.json")), document).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A list of entries of the recorded kind, 10,000 if they fit; with another `context`, every entry differs.
fn real(size: usize, context: u32) -> String {
    let newest = Command::new("zcat").arg(eras().join("2026-08-22.json.gz")).output().unwrap().stdout;
    let recorded: Value = serde_json::from_slice(&newest).unwrap();
    let recorded = recorded["data"].as_array().unwrap();
    list_within(size, |number| {
        let mut entry = recorded[number % recorded.len()].clone();
        entry["id"] = json!(format!("{}-{number}", entry["id"].as_str().unwrap()));
        entry["context_length"] = json!(context);
        entry.as_object_mut().unwrap().remove("benchmarks");
        entry.to_string()
    })
}

#[test]
fn no_document_takes_more_than_150_mb() {
    let folder = Folder::new("memory");
    let (first, then) = (real(SIZE, 4096), real(SIZE, 8192));
    assert!(first.len() > 12_000_000);
    folder.write("first", &first);
    folder.write("then", &then);
    let hostile = hostile();
    hostile.iter().for_each(|(name, document, _)| folder.write(name, document));
    let cluster = cluster(&folder.0);
    let mut owner = cluster.connect();

    for (name, _, code) in &hostile {
        owner.batch_execute("TRUNCATE model_access, model_access_history, model_access_sync_log").unwrap();
        let mut client = cluster.fetching(&format!("plain=1&catalogue={name}"));
        let run = sync(&mut client).unwrap();
        assert_eq!(run.error_code.unwrap_or_default(), *code, "{name}: {:?}", run.error);
        let most = most(&mut client);
        assert!(most < MOST, "{name}: {most} kB");
    }
    // the same as an argument, and as a preview
    let nested = &hostile.iter().find(|(name, ..)| *name == "nested").unwrap().1;
    for statement in
        ["SELECT count(*) FROM model_access_load($1)", "SELECT count(*) FROM model_access_preview($1)"]
    {
        let mut client = cluster.connect();
        client.query_one(statement, &[nested]).unwrap();
        let most = most(&mut client);
        assert!(most < MOST, "{statement}: {most} kB");
    }
    // 10,000 new models, the same again, and a change of each of them
    owner.batch_execute("TRUNCATE model_access, model_access_history, model_access_sync_log").unwrap();
    for (name, outcome) in [("first", "applied"), ("first", "unchanged"), ("then", "applied")] {
        let mut client = cluster.fetching(&format!("plain=1&catalogue={name}"));
        assert_eq!(sync(&mut client).unwrap().outcome, outcome);
        let most = most(&mut client);
        assert!(most < MOST, "{name}, {outcome}: {most} kB");
    }
}

#[test]
fn memory_that_a_limit_withholds_is_an_error_and_no_crash() {
    let folder = Folder::new("limit");
    let cluster = cluster(&folder.0);
    let mut other = cluster.connect();
    let document = real(2_000_000, 4096);
    folder.write("list", &document);
    let mut client = cluster.fetching("plain=1&catalogue=list");
    client.batch_execute("LOAD 'model_access'").unwrap();
    let pid = process(&mut client);
    let statements = ["SELECT outcome FROM model_access_sync()", "SELECT outcome FROM model_access_load($1)"];
    let mut refused = Vec::new();
    // from almost nothing to almost enough
    for more in [1, 4, 12, 20, 28, 36, 44, 52] {
        for statement in statements {
            limit(&mut client, "as", "unlimited");
            limit(&mut client, "as", (status(pid, "VmSize") + more * 1024) * 1024);
            let arguments: &[&(dyn postgres::types::ToSql + Sync)] = &[&document];
            let arguments = &arguments[..usize::from(statement.contains("$1"))];
            if let Err(error) = client.query_one(statement, arguments) {
                let error = error.as_db_error().unwrap();
                assert_eq!(error.code(), &SqlState::OUT_OF_MEMORY, "{error:?}");
                refused.push(error.detail().unwrap_or_default().to_owned());
            }
        }
    }
    assert!(refused.iter().any(|detail| detail.contains("a run of model_access")), "{refused:?}");
    limit(&mut client, "as", "unlimited");
    client.query_one(statements[0], &[]).unwrap();
    // no session was lost
    other.batch_execute("SELECT 1").unwrap();
}

#[test]
fn a_fetch_that_gets_no_thread_fails_and_is_logged() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client.batch_execute("LOAD 'model_access'; SET model_access.url = 'https://catalogue.invalid/'").unwrap();
    limit(&mut client, "nproc", 1);
    let run = sync(&mut client).unwrap();
    assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("08001")));
    assert!(run.error.unwrap().contains("could not start a thread"));
}

#[test]
fn a_backend_that_fetches_ends_with_the_postmaster() {
    let cluster = Cluster::start_with(&["model_access.timeout=10min"]);
    let mut client = cluster.fetching("stall=body");
    let pid = process(&mut client);
    let session = std::thread::spawn(move || sync(&mut client));
    assert!(cluster.upstream.wait_for_requests(1));
    let postmaster = std::fs::read_to_string(cluster.socket().join("data/postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap();
    assert!(Command::new("kill").args(["-KILL", postmaster]).status().unwrap().success());
    // the upstream stalls for a minute, the fetch for ten
    let start = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "the backend is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    session.join().unwrap().unwrap_err();
    cluster.ctl(&["start"]);
    assert_eq!(sync(&mut cluster.connect()).unwrap().outcome, "applied");
}
