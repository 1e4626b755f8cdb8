//! The admin's page in Chromium: tests/clients/admin.js has what an admin does there, in its order.

use crate::admin::{PEOPLE, Page, assertion, with_roles};
use crate::service::scratch;
use serde_json::json;
use std::process::Command;
use tests::{Cluster, repository, server_program};

#[test]
#[ignore = "needs Chromium, and packages of npm; make test-all installs them"]
fn the_days_of_an_admin() {
    // the script puts the catalogues there
    let catalogues = scratch();
    let cluster = Cluster::start_serving(&catalogues);
    with_roles(&cluster);
    cluster
        .connect()
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             INSERT INTO profiles VALUES ('ada', 'free'), ('bob', 'pro');
             SELECT model_access_bind_profiles('profiles')",
        )
        .unwrap();
    let local = Page::start(&cluster, "postgres", &[]);
    let people = Page::start(&cluster, "page", &PEOPLE);
    let token = |name: &str, group: &str| {
        let header = assertion(name, json!([group]));
        json!(header.trim().split(' ').next_back())
    };
    let tokens = json!({
        "anna": token("anna", "model-access-admin"),
        "ben": token("ben", "model-access-admin"),
        "vera": token("vera", "model-access-viewer"),
        "eve": token("eve", "staff"),
    });
    let folder = repository().join("target/clients");
    assert!(folder.join("node_modules/axe-core").exists(), "make test-clients installs the packages there");
    let mut node = Command::new("node");
    node.current_dir(folder).arg("admin.js");
    node.env("REPOSITORY", repository()).env("CLUSTER", cluster.socket()).env("CATALOGUES", &catalogues);
    node.env("PSQL", server_program("psql")).env("CODES", local.folder.join("out"));
    node.env("LOCAL_URL", local.url()).env("PEOPLE_URL", people.url()).env("TOKENS", tokens.to_string());
    let output = node.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    std::fs::remove_dir_all(catalogues).unwrap();
}
