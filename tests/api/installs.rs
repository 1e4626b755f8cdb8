//! Other ways to install the extension, and to connect to its database.

use crate::service::Service;
use std::process::Command;
use tests::{Cluster, push_program};

const USERS: &str = "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
                     INSERT INTO profiles VALUES ('ada', 'free'), ('bob', 'pro')";

#[test]
fn in_a_schema_with_an_unusual_name() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let schema = "Given Away";
    client
        .batch_execute(&format!(
            r#"DROP EXTENSION model_access; CREATE SCHEMA "Given Away"; CREATE EXTENSION model_access SCHEMA "Given Away";
               {USERS}; CREATE ROLE api LOGIN; SET search_path = "Given Away", public;
               SELECT model_access_sync(); SELECT model_access_bind_profiles('profiles'); SELECT model_access_grant('api', 'reader');
               UPDATE model_access SET status = 'active', is_free = true WHERE provider = 'google'"#
        ))
        .unwrap();
    let service = Service::start(&cluster, &["--schema", schema]);
    assert!(!service.ids("ada").is_empty());
    Service::start(&cluster, &[]).get_as("ada", "/api/models").assert_code(
        503,
        "database_unavailable",
        "the schema is not public",
    );
}

#[test]
fn without_the_library() {
    let cluster = Cluster::start_without_library();
    let mut push = Command::new(push_program());
    push.args(["push", "--url", &cluster.upstream.url("")]);
    push.env("PGHOST", cluster.socket()).env("PGUSER", "keeper").env("PGDATABASE", "postgres");
    assert!(push.output().unwrap().status.success());
    let mut client = cluster.connect();
    client
        .batch_execute(&format!(
            "CREATE ROLE api LOGIN; SET SESSION AUTHORIZATION keeper; {USERS};
             SELECT model_access_bind_profiles('profiles'); SELECT model_access_grant('api', 'reader');
             UPDATE model_access SET status = 'active', is_free = true WHERE provider = 'google'"
        ))
        .unwrap();
    let service = Service::start(&cluster, &[]);
    service.wait_until_listening();
    assert!(!service.ids("ada").is_empty());
    service.hear(&mut client, "UPDATE model_access SET status = 'inactive' WHERE provider = 'google'");
    assert!(service.ids("ada").is_empty());
    // a table of another role is not read
    client.batch_execute("RESET SESSION AUTHORIZATION; ALTER TABLE profiles OWNER TO postgres").unwrap();
    service.get_as("bob", "/api/models").assert_code(503, "profiles_unavailable", "another owner");
    service.send("GET /readyz HTTP/1.1\r\n").assert_code(503, "profiles_unavailable", "another owner");
    assert!(service.log().contains("profiles cannot be read as its owner"), "{}", service.log());
    client.batch_execute("ALTER TABLE profiles OWNER TO keeper").unwrap();
    assert!(service.ids("bob").is_empty());
    service.get_as("eve", "/api/models").assert_code(403, "user_unknown", "not in profiles");
}
