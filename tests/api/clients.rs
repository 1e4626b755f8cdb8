//! Clients: curl, the packages of OpenAI and OpenRouter, a browser, and schemathesis, which tries what openapi.json says.

use crate::service::{Service, database, scratch, token};
use std::process::{Command, Output};
use tests::page::{blocks, shell};
use tests::repository;

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn curl_stores_a_list_with_its_tag() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let folder = scratch();
    let curl = |compare: bool| {
        let mut command = Command::new("curl");
        command.current_dir(&folder).args([
            "-sS",
            "-w",
            "%{http_code}",
            "-o",
            "models.json",
            "--etag-save",
            "etag",
        ]);
        if compare {
            command.args(["--etag-compare", "etag"]);
        }
        command
            .args(["-H", &format!("Authorization: Bearer {}", token("bob"))])
            .arg(service.url("/api/models"));
        text(&command.output().unwrap())
    };
    assert_eq!((curl(false).as_str(), curl(true).as_str()), ("200", "304"));
    cluster
        .connect()
        .batch_execute("UPDATE model_access SET status = 'inactive' WHERE provider = 'google'")
        .unwrap();
    crate::service::wait_for("the new list", || curl(true) == "200");
    assert_eq!(curl(true), "304");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs a package of PyPI; make test-all installs it"]
fn openai_for_python_lists_and_retrieves() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let script = r#"
import openai, sys
client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
models = list(client.models.list())
assert all(model.object == "model" and model.created > 1_600_000_000 for model in models)
one = client.models.retrieve("google/gemini-2.5-pro")
assert one.owned_by == "google" and one.context_length > 0
for wrong, error in [("no/such", openai.NotFoundError), ("deepseek/deepseek-chat", openai.NotFoundError)]:
    try:
        client.models.retrieve(wrong)
        raise SystemExit(wrong + " was found")
    except error:
        pass
try:
    openai.OpenAI(base_url=sys.argv[1], api_key="wrong", max_retries=0).models.list()
    raise SystemExit("a wrong key was accepted")
except openai.AuthenticationError as error:
    assert error.code == "token_malformed" and "not a well-formed JWT" in error.message, error.body
print(" ".join(model.id for model in models))
"#;
    let python = repository().join("target/python/bin/python");
    assert!(python.exists(), "make test-clients installs the package openai there");
    let output =
        Command::new(python).args(["-c", script, &service.url("/v1"), &token("bob")]).output().unwrap();
    assert_eq!(text(&output).split_whitespace().collect::<Vec<_>>(), service.ids("bob"));
}

/// Runs a script of tests/clients, where `make test-clients` has installed the packages, and returns the ids that it prints.
fn node(script: &str, url: &str, page_port: &str) -> Vec<String> {
    let folder = repository().join("target/clients");
    assert!(folder.join("node_modules").exists(), "make test-clients installs the packages there");
    let mut node = Command::new("node");
    let output =
        node.current_dir(folder).args([script, url, &token("bob")]).env("PAGE_PORT", page_port).output();
    text(&output.unwrap()).split_whitespace().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs packages of npm; make test-all installs them"]
fn clients_of_node_list_and_retrieve() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let ids = service.ids("bob");
    for script in ["openai.js", "openrouter.js"] {
        assert_eq!(node(script, &service.url("/v1"), ""), ids, "{script}");
    }
}

#[test]
#[ignore = "needs packages of npm and PyPI; make test-all installs them"]
fn the_clients_of_the_page_list_as_printed() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let [clients, ..] = blocks::<4>("docs/api.md", "text");
    let clients: Vec<&str> = clients.lines().map(|line| line.split("   ").next().unwrap()).collect();
    let [python, node, openrouter] = clients[..] else { panic!("{clients:?}") };
    let import = "import OpenAI from 'openai'; import { OpenRouter } from '@openrouter/sdk'; const token = process.argv[1];";
    let print = "console.log(model.id);";
    for (folder, program, begin, list) in [
        (
            "target/python",
            "bin/python -c",
            "import sys\nfrom openai import OpenAI\ntoken = sys.argv[1]\n",
            format!("for model in {python}: print(model.id)"),
        ),
        (
            "target/clients",
            "node --input-type=module -e",
            import,
            format!("for await (const model of {node}) {print}"),
        ),
        (
            "target/clients",
            "node --input-type=module -e",
            import,
            format!(
                "for await (const page of await {openrouter}) for (const model of page.result.data) {print}"
            ),
        ),
    ] {
        let script = begin.to_owned() + &list.replace("http://127.0.0.1:8080/", &service.url("/"));
        let mut shell = shell(&format!("{program} \"$@\""), &repository().join(folder));
        let output = shell.args([&script, &token("bob")]).output().unwrap();
        assert_eq!(text(&output).lines().collect::<Vec<_>>(), service.ids("bob"), "{list}");
    }
}

#[test]
#[ignore = "needs Chromium, and a package of npm; make test-all installs them"]
fn a_page_of_a_listed_origin_reads_the_list() {
    let cluster = database(&[]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let service = Service::start(&cluster, &["--cors-origin", &format!("http://localhost:{port}")]);
    assert_eq!(node("browser.js", &service.url("/v1/models"), &port), service.ids("bob"));
}

#[test]
#[ignore = "needs a package of PyPI; make test-all installs it"]
fn schemathesis_finds_what_the_description_says() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--log-level", "warn"]);
    let program = repository().join("target/python/bin/schemathesis");
    assert!(program.exists(), "make test-clients installs the package schemathesis there");
    let folder = crate::service::scratch();
    let mut schemathesis = Command::new(program);
    schemathesis.current_dir(&folder).args(["run", &service.url("/openapi.json"), "--header"]);
    schemathesis.arg(format!("Authorization: Bearer {}", token("bob")));
    schemathesis.args([
        "--phases=examples,coverage,fuzzing",
        "--max-examples=20",
        "--generation-deterministic",
    ]);
    // few texts are a segment of a path
    schemathesis.args(["--suppress-health-check=filter_too_much", "--no-color"]);
    let output = schemathesis.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::remove_dir_all(folder).unwrap();
}
