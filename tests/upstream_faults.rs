//! A bad upstream: the run is logged and reported, and no model row changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a panic fails the test

use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Cluster, Run, daily_catalogues, eras, snapshot, sync};

/// Every row, without `absent_since`.
fn without_absent_since(client: &mut Client) -> Vec<String> {
    let query = "SELECT (to_jsonb(m) - 'absent_since' - 'last_run_id')::text FROM model_access AS m ORDER BY model_id";
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Syncs a scenario. The run must write one row, and raise a WARNING that names the URL and has a hint.
fn faulty_sync(cluster: &Cluster, scenario: &str) -> Run {
    let (mut job, heard) = cluster.hearing(scenario);
    let runs = |client: &mut Client| -> i64 {
        client.query_one("SELECT count(*) FROM model_access_sync_log", &[]).unwrap().get(0)
    };
    let before = runs(&mut job);
    let run = sync(&mut job).unwrap();
    assert_eq!(runs(&mut job), before + 1, "{scenario}");
    let warning = heard.try_recv().unwrap();
    assert_eq!(warning.severity(), "WARNING");
    let words = format!("{} {}", warning.message(), warning.detail().unwrap_or_default());
    assert!(words.contains(&cluster.upstream.url(scenario)), "it names the URL: {words}");
    assert!(warning.hint().is_some(), "it has a hint: {words}");
    run
}

/// Approves some models, so that a sync could take something.
fn with_decisions(cluster: &Cluster) -> Client {
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute("UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'")
        .unwrap();
    client
}

#[test]
fn a_bad_response_changes_no_row() {
    let cluster = Cluster::start();
    let mut client = with_decisions(&cluster);
    let before = snapshot(&mut client);
    for (scenario, code, status, words) in [
        ("status=301&location=https://evil.example/", "58000", 301, "Redirects are not followed"),
        ("status=401&body={}", "58000", 401, "The catalogue needs no key"),
        ("status=404", "58000", 404, "Check model_access.url"),
        ("status=429&body=slow", "58000", 429, "The next run tries again"),
        ("status=429&retry_after=3600", "58000", 429, "asks to wait 3600 s"),
        ("status=500&body=oops", "58000", 500, "The response was: oops"),
        ("status=503&retry_after=7200", "58000", 503, "asks to wait 7200 s"),
        ("body=%3Chtml%3E", "22032", 200, "a web page"),
        ("body=", "22032", 200, "empty"),
        ("body={%22data%22:[{%22id%22:%22a", "22032", 200, "not valid JSON"),
        ("body={}", "22000", 200, "has no \"data\" list"),
        ("body={%22data%22:null}", "22000", 200, "has no \"data\" list"),
        ("body={%22data%22:%22soon%22}", "22000", 200, "\"data\" is a string"),
        ("take=0", "02000", 200, "lists no models"),
        ("body={%22error%22:{%22message%22:%22No%20auth%22,%22code%22:401}}", "22000", 200, "No auth (401)"),
        (
            "body={%22success%22:false,%22error%22:{%22name%22:%22ZodError%22,%22message%22:%22[]%22}}",
            "22000",
            200,
            "[] (ZodError)",
        ),
        ("cut=1000", "08006", 200, "is incomplete"),
        ("cut=1000&plain=1", "08006", 200, "is incomplete"),
        ("encoding=br", "22032", 200, "has the unexpected content encoding \"br\""),
        ("encoding=identity", "22032", 200, "not valid UTF-8"),
        ("bytes=16777217&plain=1", "54000", 200, "larger than 16777216 bytes"),
        ("bytes=300000000", "54000", 200, "larger than 16777216 bytes"),
        ("catalogue=none", "58000", 404, "No such file"),
    ] {
        let run = faulty_sync(&cluster, scenario);
        let error = run.error.unwrap_or_default();
        assert_eq!(
            (run.outcome.as_str(), run.error_code.as_deref()),
            ("failed", Some(code)),
            "{scenario}: {error}"
        );
        assert_eq!(run.http_status, Some(status), "{scenario}");
        assert!(error.contains(words), "{scenario}: {error}");
        assert_eq!(snapshot(&mut client), before, "{scenario}");
    }
}

/// Documents made from the newest recorded one, in a folder that an upstream serves.
struct Documents {
    folder: PathBuf,
    recorded: Value,
}

impl Documents {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("model_access.{test}.{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let newest = Command::new("zcat").arg(eras().join("2026-08-22.json.gz")).output().unwrap().stdout;
        let documents = Self { folder, recorded: serde_json::from_slice(&newest).unwrap() };
        documents.write("zero", &newest);
        documents
    }

    fn write(&self, name: &str, document: &[u8]) {
        std::fs::write(self.folder.join(format!("{name}.json")), document).unwrap();
    }

    /// Writes a document with changed entries. Its `total_count` is their number.
    fn altered(&self, name: &str, alter: impl FnOnce(&mut Vec<Value>)) {
        let mut document = self.recorded.clone();
        let entries = document["data"].as_array_mut().unwrap();
        alter(entries);
        document["total_count"] = json!(entries.len());
        self.write(name, document.to_string().as_bytes());
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn serving(folder: &Path) -> (Cluster, Client) {
    let cluster = Cluster::start_serving(folder);
    let client = with_decisions(&cluster);
    (cluster, client)
}

#[test]
fn an_invalid_document_changes_no_row() {
    let documents = Documents::new("unreadable");
    documents
        .altered("all-unusable", |entries| entries.iter_mut().for_each(|entry| entry["name"] = json!(7)));
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    documents.write("deep", deep.as_bytes());
    let utf16: Vec<u8> = "\u{feff}{\"data\":[]}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    documents.write("utf-16", &utf16);
    documents.write("invalid-utf8", b"{\"data\":[{\"id\":\"a/b\",\"name\":\"\xff\"}]}");
    let (cluster, mut client) = serving(&documents.folder);
    let before = snapshot(&mut client);
    for (name, code, words) in [
        ("all-unusable", "02000", "none of the 421 entries"),
        ("deep", "02000", "none of the 1 entries"),
        ("invalid-utf8", "22032", "not valid UTF-8"),
        ("utf-16", "22032", "the document is UTF-16, not UTF-8"),
    ] {
        let run = faulty_sync(&cluster, &format!("catalogue={name}"));
        let error = run.error.unwrap_or_default();
        assert_eq!(
            (run.outcome.as_str(), run.error_code.as_deref()),
            ("failed", Some(code)),
            "{name}: {error}"
        );
        assert!(error.contains(words), "{name}: {error}");
        assert_eq!(snapshot(&mut client), before, "{name}");
    }
}

#[test]
fn unusable_entries_are_reported_and_their_rows_stay() {
    let documents = Documents::new("unusable");
    documents.altered("one", |entries| entries[0]["name"] = json!("x".repeat(10_000)));
    documents.altered("some", |entries| {
        entries[0]["id"] = json!("x".repeat(10_000));
        entries[1] = json!(null);
        entries[2]["description"] = json!("\0");
        entries[3]["name"] = json!(["?"]);
    });
    documents.altered("twice", |entries| {
        let mut twin = entries[0].clone();
        twin["name"] = json!("the second");
        entries.push(twin);
    });
    documents.altered("surrogate", |entries| entries[0]["name"] = json!("LONE"));
    let surrogate = std::fs::read_to_string(documents.folder.join("surrogate.json")).unwrap();
    documents.write("surrogate", surrogate.replace("LONE", "\\ud800").as_bytes());
    let (cluster, mut client) = serving(&documents.folder);
    let before = snapshot(&mut client);
    for (name, outcome, unusable) in [
        ("one", "unchanged", 1),
        ("some", "held", 4),
        ("twice", "unchanged", 1),
        ("surrogate", "unchanged", 1),
    ] {
        let run = faulty_sync(&cluster, &format!("catalogue={name}"));
        assert_eq!((run.outcome.as_str(), run.unusable), (outcome, unusable), "{name}: {:?}", run.error);
        assert_eq!(snapshot(&mut client), before, "{name}");
    }
}

#[test]
fn a_shorter_list_removes_no_more_than_the_limit_of_a_day() {
    let documents = Documents::new("shorter");
    documents.altered("lost-5-percent", |entries| entries.truncate(400));
    documents.altered("lost-30-percent", |entries| entries.truncate(295));
    documents.altered("lost-99-percent", |entries| entries.truncate(4));
    documents.altered("a-provider-gone", |entries| {
        entries.retain(|entry| !entry["id"].as_str().unwrap().starts_with("openai/"));
    });
    let (cluster, mut client) = serving(&documents.folder);
    let rows = without_absent_since(&mut client);
    for (name, withheld) in [("lost-30-percent", 126), ("lost-99-percent", 417), ("a-provider-gone", 93)] {
        let run = faulty_sync(&cluster, &format!("catalogue={name}"));
        assert_eq!((run.outcome.as_str(), run.withheld), ("held", withheld), "{name}");
        assert_eq!(without_absent_since(&mut client), rows, "{name}");
        // absent_since is written once
        let before = snapshot(&mut client);
        faulty_sync(&cluster, &format!("catalogue={name}"));
        assert_eq!(snapshot(&mut client), before, "{name}, again");
    }
    // once every model is listed again, no model is absent
    sync(&mut cluster.fetching("catalogue=zero")).unwrap();
    assert_eq!(without_absent_since(&mut client), rows);
    let before = snapshot(&mut client);
    for scenario in ["catalogue=zero&total_count=500", "catalogue=zero&next=/api/v1/models?offset=421"] {
        let run = faulty_sync(&cluster, scenario);
        assert_eq!((run.outcome.as_str(), run.withheld), ("held", 0), "{scenario}");
        assert_eq!(snapshot(&mut client), before, "{scenario}");
    }
    // one model in twenty may leave, if the active models among them are not too many
    let run = sync(&mut cluster.fetching("catalogue=lost-5-percent")).unwrap();
    assert_eq!((run.outcome.as_str(), run.error), ("applied", None));
}

#[test]
fn unusual_values_are_stored_exactly_or_as_unknown() {
    let prices = [
        (json!("0.0000001234567890123456789012345678901234"), Some("0.1234567890123456789012345678901234")),
        (json!("1e-7"), Some("0.1")),
        (json!("-1"), None),
        (json!(0.000_002), Some("2")),
    ];
    // a value that is not a price leaves the last price that could be read
    let no_prices = [json!("NaN"), json!("1e-9999999999"), json!(null), json!({"usd": "1"})];
    let name = "Robert'); DROP TABLE model_access;-- \"é\u{1f42c}\\";
    let documents = Documents::new("odd");
    documents.altered("odd", |entries| {
        for (entry, (price, _)) in entries.iter_mut().zip(&prices) {
            entry["pricing"]["prompt"] = price.clone();
            entry["name"] = json!(name);
        }
        for (entry, price) in entries.iter_mut().skip(prices.len()).zip(&no_prices) {
            entry["pricing"]["prompt"] = price.clone();
            entry["name"] = json!(name);
        }
        entries.push(json!({"id": "o'brien/\"quoted\"\\é:free", "name": name}));
    });
    let (cluster, mut client) = serving(&documents.folder);
    let kept = "SELECT model_id, prompt_usd_per_million::text FROM model_access
                WHERE name = $1 OR $1 = '' ORDER BY model_id";
    let read = |client: &mut Client, name: &str| -> BTreeMap<String, Option<String>> {
        client.query(kept, &[&name]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    let before = read(&mut client, "");
    let run = sync(&mut cluster.fetching("catalogue=odd")).unwrap();
    assert_eq!((run.outcome.as_str(), run.added, run.unusable, run.error), ("applied", 1, 4, None));
    let after = read(&mut client, name);
    for entry in
        documents.recorded["data"].as_array().unwrap().iter().skip(prices.len()).take(no_prices.len())
    {
        let id = entry["id"].as_str().unwrap();
        assert_eq!(after.get(id), before.get(id), "{id}");
    }
    let row = "SELECT name, prompt_usd_per_million::text FROM model_access WHERE model_id = $1";
    for (entry, (price, expected)) in documents.recorded["data"].as_array().unwrap().iter().zip(&prices) {
        let row = client.query_one(row, &[&entry["id"].as_str()]).unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, Option<&str>>(1)), (name, *expected), "{price}");
    }
    assert_eq!(client.query(row, &[&"o'brien/\"quoted\"\\é:free"]).unwrap().len(), 1);
}

#[test]
fn a_catalogue_in_another_encoding_is_read() {
    let documents = Documents::new("dressed");
    documents.write("marked", format!("\u{feff}{}", documents.recorded).as_bytes());
    let (cluster, mut client) = serving(&documents.folder);
    let before = snapshot(&mut client);
    for scenario in [
        "encoding=x-gzip",
        "encoding=X-GZIP",
        "encoding=GZip",
        "plain=1",
        "drip=1&body={}",
        "catalogue=marked",
    ] {
        let run = sync(&mut cluster.fetching(scenario)).unwrap();
        match scenario.contains("body") {
            true => assert_eq!(run.error_code.as_deref(), Some("22000"), "{scenario}: {:?}", run.error),
            false => assert_eq!((run.outcome.as_str(), run.error), ("unchanged", None), "{scenario}"),
        }
        assert_eq!(snapshot(&mut client), before, "{scenario}");
    }
}

#[test]
fn a_new_key_in_every_entry_is_applied_and_reported() {
    let cluster = Cluster::start_serving(&daily_catalogues());
    for (before, day, key) in
        [("2026-01-15", "2026-01-16", "expiration_date"), ("2026-03-25", "2026-03-26", "knowledge_cutoff")]
    {
        sync(&mut cluster.fetching(&format!("catalogue={before}"))).unwrap();
        let run = faulty_sync(&cluster, &format!("catalogue={day}"));
        assert_eq!((run.outcome.as_str(), run.error), ("applied", None), "{day}");
        let query = "SELECT changed_key FROM model_access_sync_log ORDER BY run_id DESC LIMIT 1";
        let named: Option<String> = cluster.connect().query_one(query, &[]).unwrap().get(0);
        assert_eq!(named.as_deref(), Some(key), "{day}");
    }
}

#[test]
fn a_temporary_fault_is_tried_again_within_the_timeout() {
    let cluster = Cluster::start();
    let run = sync(&mut cluster.fetching("status=503&retry_after=1&times=2")).unwrap();
    assert_eq!((run.outcome.as_str(), run.added), ("applied", 421));
    assert_eq!(cluster.upstream.requests(), 3);
    let run = sync(&mut cluster.fetching("status=429&retry_after=600&times=1")).unwrap();
    assert_eq!((run.outcome.as_str(), run.http_status), ("failed", Some(429)), "longer than the deadline");
    assert_eq!(cluster.upstream.requests(), 4);
    let run = sync(&mut cluster.fetching("status=503&retry_after=18446744073709551615")).unwrap();
    assert_eq!((run.outcome.as_str(), run.http_status), ("failed", Some(503)), "longer than any Instant");
}

#[test]
fn an_upstream_that_does_not_listen_or_answer_changes_no_row() {
    let cluster = Cluster::start();
    let mut client = with_decisions(&cluster);
    let before = snapshot(&mut client);
    for (url, code, words) in [
        ("http://127.0.0.1:1/", "08001", "cannot connect to http://127.0.0.1:1/"),
        ("https://catalogue.invalid/", "08001", "cannot resolve the host name of https://catalogue.invalid/"),
    ] {
        client.batch_execute(&format!("SET model_access.url = '{url}'")).unwrap();
        let run = sync(&mut client).unwrap();
        assert_eq!(
            (run.outcome.as_str(), run.error_code.as_deref(), run.http_status),
            ("failed", Some(code), None)
        );
        assert!(run.error.as_deref().unwrap_or_default().contains(words), "{:?}", run.error);
    }
    let mut client = cluster.fetching("stall=body");
    client.batch_execute("SET model_access.timeout = '500ms'").unwrap();
    let run = sync(&mut client).unwrap();
    assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("08006")));
    assert_eq!(run.http_status, Some(200), "the status came before the body stalled");
    assert!(run.error.unwrap_or_default().contains("within 0.5 s"));
    assert_eq!(snapshot(&mut client), before);
}

#[test]
fn a_standby_refuses_the_sync_and_names_the_primary() {
    let cluster = Cluster::start();
    let standby = cluster.standby();
    let error = sync(&mut standby.connect()).unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code().code(), error.message()), ("25006", "cannot sync model_access on a standby"));
    assert!(error.hint().unwrap().starts_with("Run the sync on the primary"), "{error:?}");
    // it lists the same models as the primary
    sync(&mut cluster.connect()).unwrap();
    cluster
        .connect()
        .batch_execute("UPDATE model_access SET status = 'active', is_free = true WHERE provider = 'qwen'")
        .unwrap();
    tests::wait_until(&mut standby.connect(), "(SELECT count(*) FROM models_for_tier('free')) = 51");
    // lookups of users and dry runs work too
    cluster
        .connect()
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text, allowed_models text[]);
             INSERT INTO profiles VALUES ('alice', 'free', '{openai/gpt-5}'); SELECT model_access_bind_profiles('profiles')",
        )
        .unwrap();
    tests::wait_until(&mut standby.connect(), "(SELECT count(*) FROM models_for_user('alice')) = 51");
    let lost =
        "SELECT lose FROM model_access_import_allowed_models('profiles') WHERE model_id = 'openai/gpt-5'";
    assert_eq!(standby.connect().query_one(lost, &[]).unwrap().get::<_, i64>(0), 1);
}
