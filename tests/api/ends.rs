//! How the program starts and ends.

use crate::service::{RSA, SECRET, Service, database, scratch, token, wait_for};
use std::io::Write;
use std::process::{Command, Output};
use tests::wait_until;

const WAITS: &str =
    "EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api' AND wait_event_type = 'Lock')";

#[test]
fn unfinished_requests_finish_within_the_shutdown_timeout() {
    let cluster = database(&[]);
    let (mut client, mut locker) = (cluster.connect(), cluster.connect());
    for (signal, shutdown_timeout, code) in [("TERM", "60", 0), ("INT", "60", 0), ("TERM", "0", 1)] {
        let mut service =
            Service::start(&cluster, &["--timeout", "60", "--shutdown-timeout", shutdown_timeout]);
        locker.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
        // an idle connection ends at once
        let idle = service.connect().unwrap();
        std::thread::scope(|scope| {
            let slow =
                scope.spawn(|| std::panic::catch_unwind(|| service.get_and_stay("bob", "/api/models")));
            wait_until(&mut client, WAITS);
            service.signal(signal);
            wait_for("no new connection", || service.connect().is_err());
            if code == 1 {
                assert!(slow.join().unwrap().is_err(), "it is cut off");
                locker.batch_execute("COMMIT").unwrap();
            } else {
                locker.batch_execute("COMMIT").unwrap();
                let reply = slow.join().unwrap().unwrap();
                assert!(!reply.ids().is_empty());
                assert_eq!(reply.header("connection"), Some("close"));
            }
        });
        assert_eq!(
            service.child.wait().unwrap().code(),
            Some(code),
            "{signal} {shutdown_timeout}: {}",
            service.log()
        );
        drop(idle);
        wait_until(&mut client, "NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api')");
    }
}

#[test]
fn a_request_whose_client_leaves_is_finished() {
    let cluster = database(&[]);
    let (mut client, mut locker) = (cluster.connect(), cluster.connect());
    // one connection to the database, which stays usable only if each statement is finished
    let arguments = ["--cache-ttl", "0", "--database-connections", "1", "--timeout", "60"];
    let service = Service::start(&cluster, &arguments);
    locker.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
    let request =
        format!("GET /api/models HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n", token("bob"));
    for _ in 0..4 {
        service.connect().unwrap().write_all(request.as_bytes()).unwrap();
    }
    wait_until(&mut client, WAITS);
    locker.batch_execute("COMMIT").unwrap();
    let of_lists = "requests_total{route=\"/api/models\"";
    wait_for("the four requests", || service.metric(of_lists) == 4);
    assert_eq!(service.log().matches("\"/api/models\"").count(), 4);
    assert_eq!(service.get_as("bob", "/api/models").status, 200);
    assert_eq!(service.metric("queries_total{outcome=\"ok\",statement=\"list\"}"), 5);
    assert_eq!(service.metric("queries_total{outcome=\"failed\""), 0);
}

#[test]
fn a_client_that_reads_nothing_loses_its_connection() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--connections", "1", "--client-timeout", "1"]);
    let mut deaf = service.connect().unwrap();
    let request =
        format!("GET /api/models HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n", token("bob"));
    // far more than the buffers of the kernel
    deaf.write_all(request.repeat(500).as_bytes()).unwrap();
    assert_eq!(service.send("GET /healthz HTTP/1.1\r\n").status, 200);
    drop(deaf);
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command: Command = Service::command(arguments);
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn invalid_options_stop_the_start() {
    let folder = scratch();
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (short, pem) = (file("short", "too short\n"), file("pem", &RSA.public_key_pem()));
    let (rubbish, good) = (file("rubbish", "rubbish"), file("secret", &format!("{SECRET}\n")));
    let other =
        file("other", r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"OKP","crv":"Ed448","x":"AAAA"}]}"#);
    let with_rubbish = format!("postgresql://h/d?sslrootcert={rubbish}");
    for (arguments, code, words) in [
        (&[][..], 1, "no key to verify tokens with"),
        (&["--hs256-secret-file", &short], 1, "shorter than 32 bytes"),
        (&["--hs256-secret-file", &pem], 1, "is a PEM file"),
        (&["--hs256-secret-file", "/nonexistent"], 1, "No such file"),
        (&["--jwks", &rubbish], 1, "could not load the JWKS"),
        (&["--jwks", "http://id.example/jwks.json"], 2, "Plain http is accepted for localhost"),
        (&["--hs256-secret-file", &good, "--database", "port=x"], 1, "--database"),
        (
            &["--jwks", &other],
            1,
            "2 of 2 keys: key 1: a shared secret (oct) is not accepted in a JWKS; key 2: the curve \"Ed448\"",
        ),
        (&["--hs256-secret-file", &good, "--listen", "127.0.0.1"], 2, "--listen"),
        (&["--hs256-secret-file", &good, "--trusted-proxy", "proxy.example"], 1, "--trusted-proxy"),
        (&["--hs256-secret-file", &good, "--database", &with_rubbish], 1, "the file contains no certificate"),
        (&["--hs256-secret-file", &good, "--database", "host=h sslcrl=x"], 1, "does not support sslcrl"),
        (&["--hs256-secret-file", &good, "--database", "host=h password=x y"], 1, "not followed by ="),
        (&["--hs256-secret-file", &good, "--database", "service=nowhere"], 1, "in no service file"),
        (&["--hs256-secret-file", &good, "--cache-ttl=-1"], 2, "--cache-ttl"),
        (&["--hs256-secret", SECRET], 2, "unexpected argument"),
    ] {
        let output = run(arguments, &[]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(words), "{arguments:?}: {message}");
        assert!(!message.contains(SECRET));
    }
    let twice = run(&["--hs256-secret-file", &good], &[("MODEL_ACCESS_API_HS256_SECRET_PREVIOUS", SECRET)]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("cannot be used together"));
    let separators = run(&["--hs256-secret-file", &good], &[("MODEL_ACCESS_API_TRUSTED_PROXY", " , ")]);
    let message = String::from_utf8_lossy(&separators.stderr);
    assert!(message.contains("the variable of --trusted-proxy contains no value"), "{message}");
    let help = run(
        &["--help"],
        &[("MODEL_ACCESS_API_HS256_SECRET", SECRET), ("MODEL_ACCESS_API_DATABASE", "postgresql://u:pw@h/d")],
    );
    let help = String::from_utf8_lossy(&help.stdout);
    for words in ["sslmode", "PGHOST", "--cache-ttl", "MODEL_ACCESS_API_HS256_SECRET", "reader"] {
        assert!(help.contains(words), "{words}");
    }
    assert!(!help.contains(SECRET) && !help.contains("u:pw"));
    std::fs::remove_dir_all(folder).unwrap();
}
