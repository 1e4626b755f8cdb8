//! The blocks of docs/api.md run as printed, one after the other. Only the port differs.

use crate::service::scratch;
use std::process::{Command, Stdio};
use tests::{Cluster, repository, sync};

/// One script of all blocks; SQL blocks run in psql.
fn script(text: &str) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (head, tail) = match line {
            "```sh" => ("", ""),
            "```sql" => ("psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres <<'SQL'\n", "SQL\n"),
            _ => continue,
        };
        let body: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        script += &format!("{head}{body}{tail}");
    }
    script
}

#[test]
fn the_blocks_run_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute(
            "UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
             UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'google/gemini-2.5-pro'",
        )
        .unwrap();
    let free_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = std::fs::read_to_string(repository().join("docs/api.md")).unwrap();
    let script = script(&text).replace("8080", &free_port.to_string());
    assert!(script.matches("curl").count() > 5 && script.matches("psql").count() > 0);
    let folder = scratch();
    let programs = repository().join("target/debug");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(&folder).env("PATH", path).env("PGHOST", cluster.socket());
    let output = bash.stdin(Stdio::null()).output().unwrap();
    let (printed, logged) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{logged}");
    // the list, the filtered list, the other form, the status of the conditional request, the metrics
    for words in [
        "{\"data\":[{\"model_id\":",
        "{\"data\":[{\"model_id\":\"google/gemini-2.5-pro\"",
        "{\"object\":\"list\",\"data\":[{\"id\": ",
        "304\n",
        "model_access_api_listening",
    ] {
        assert!(printed.contains(words), "{words} is not in {printed}");
    }
    // the document names every metric, and no other
    let named = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = words.filter(|word| word.starts_with("model_access_api_"));
        let base = |word: &str| {
            ["_bucket", "_sum", "_count"].iter().fold(word.to_owned(), |word, end| word.replace(end, ""))
        };
        ours.map(base).collect()
    };
    let shown = named(&printed);
    for metric in named(&text) {
        // a counter with labels has no line before its first event
        let has_happened = !["tokens_refused", "jwks_loads"].iter().any(|name| metric.contains(name));
        assert_eq!(shown.contains(&metric), has_happened, "{metric}");
    }
    assert!(shown.is_subset(&named(&text)), "{shown:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
