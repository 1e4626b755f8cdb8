//! Two clients: curl, and the Python package of OpenAI.

use crate::service::{Service, database, scratch, token};
use std::process::{Command, Output};
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
assert all(model.object == "model" and isinstance(model.created, int) for model in models)
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
    assert error.code == "token_malformed", error.body
print(" ".join(model.id for model in models))
"#;
    let python = repository().join("target/python/bin/python");
    assert!(python.exists(), "make test-clients installs the package openai there");
    let output =
        Command::new(python).args(["-c", script, &service.url("/v1"), &token("bob")]).output().unwrap();
    assert_eq!(text(&output).split_whitespace().collect::<Vec<_>>(), service.ids("bob"));
}
