//! Other ways to install the extension, and to connect to its database.

use crate::service::{Service, database, scratch};
use postgres::Client;
use rcgen::{CertificateParams, KeyPair};
use std::process::Command;
use tests::{Cluster, push_program, wait_until};

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

/// Makes the server use TLS on its own loopback address. Returns that address and the certificate.
fn speak_tls(cluster: &Cluster, client: &mut Client) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["db.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = cluster.socket().display();
    for (name, pem) in [("key", key.serialize_pem()), ("certificate", certificate.pem())] {
        let program = format!("umask 077; cat > {folder}/{name}");
        client
            .batch_execute(&format!("COPY (SELECT string_to_table('{pem}', E'\n')) TO PROGRAM '{program}'"))
            .unwrap();
    }
    let process = std::process::id();
    let address = format!("127.{}.{}.77", process >> 8 & 0xff, process & 0xff);
    for (name, value) in [
        ("ssl", "on".to_owned()),
        ("ssl_key_file", format!("{folder}/key")),
        ("ssl_cert_file", format!("{folder}/certificate")),
        ("listen_addresses", address.clone()),
    ] {
        client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).unwrap();
    }
    cluster.ctl(&["restart"]);
    *client = cluster.connect();
    (address, certificate.pem())
}

#[test]
fn over_tls_with_a_certificate_that_is_verified() {
    let cluster = database(&[]);
    let mut client = cluster.connect();
    let (address, certificate) = speak_tls(&cluster, &mut client);
    let folder = scratch();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let ca = ["--database-ca", ca.to_str().unwrap()];
    for (host, mode, arguments, encrypted) in [
        ("db.example", "require", &ca[..], Some(true)),
        ("db.example", "prefer", &ca, Some(true)),
        ("db.example", "disable", &[], Some(false)),
        ("another.example", "require", &ca, None),
        ("another.example", "prefer", &ca, None),
        ("db.example", "require", &[], None),
    ] {
        let target = format!("host={host} hostaddr={address} port=5432 sslmode={mode}");
        let service = Service::start(&cluster, &[&["--database", target.as_str()], arguments].concat());
        let reply = service.get_as("bob", "/api/models");
        if let Some(encrypted) = encrypted {
            assert_eq!(reply.status, 200, "{target}: {}", service.log());
            let all = "SELECT bool_and(ssl) AND count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'api'";
            assert_eq!(client.query_one(all, &[]).unwrap().get::<_, bool>(0), encrypted, "{target}");
        } else {
            reply.assert_problem(503, &target);
            assert!(service.log().contains("certificate"), "{}", service.log());
        }
        drop(service);
        wait_until(&mut client, "NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api')");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
