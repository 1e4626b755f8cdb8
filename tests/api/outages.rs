//! Failures of the database: limits of connections, rotated passwords, ended sessions, restarts.

use crate::changes::{REVOKE, sees, statements};
use crate::service::{ED, RSA, ed_key};
use crate::service::{
    PASSWORD, SECRET, Service, claims, database, ed_jwk, jwk, rsa_key, scratch, sign, token, wait_for,
};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::wait_until;

const END_ALL: &str = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'api'";

/// Ends the load also if the test fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends requests that need the database, from so many clients at once. Returns every status but 200.
fn crowd(service: &Service, clients: usize, requests: usize) -> Vec<u16> {
    std::thread::scope(|scope| {
        let ask = || (0..requests).map(|_| service.get_as("bob", "/v1/models/no/such").status).collect();
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        let all = clients.into_iter().flat_map(|client| -> Vec<u16> { client.join().unwrap() });
        all.filter(|status| *status != 404).collect()
    })
}

#[test]
fn a_limit_of_connections_slows_requests_but_fails_none() {
    let cluster = database(&[]);
    let mut client = cluster.connect();
    client.batch_execute("ALTER ROLE api CONNECTION LIMIT 3").unwrap();
    let service = Service::start(&cluster, &[]);
    service.wait_until_listening();
    assert_eq!(crowd(&service, 16, 20), [0; 0], "{}", service.log());
    assert_eq!(service.metric("database_connections"), 2);
    assert!(service.log().contains("too many connections for role"), "{}", service.log());
    // the connection that listens comes back although others want its place
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = Ending(&is_over);
        let crowd = scope.spawn(|| {
            let mut failed = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                failed.extend(crowd(&service, 8, 5));
            }
            failed
        });
        let listener =
            "SELECT pid FROM pg_stat_activity WHERE usename = 'api' AND query ~ 'LISTEN|^$' LIMIT 1";
        for _ in 0..3 {
            let pid: i32 = client.query_one(listener, &[]).unwrap().get(0);
            client.execute("SELECT pg_terminate_backend($1, 60000)", &[&pid]).unwrap();
            wait_until(&mut client, &format!("NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})"));
            wait_until(
                &mut client,
                "EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api' AND query ~ 'LISTEN|^$')",
            );
            service.wait_until_listening();
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(crowd.join().unwrap(), [0; 0], "{}", service.log());
    });
}

#[test]
fn sessions_that_end_while_idle_cost_no_request() {
    let cluster = database(&[]);
    let mut client = cluster.connect();
    let service = Service::start(&cluster, &["--cache-ttl", "0"]);
    for _ in 0..15 {
        assert_eq!(crowd(&service, 4, 2), [0; 0], "{}", service.log());
        client.execute(END_ALL, &[]).unwrap();
    }
    client.batch_execute("ALTER ROLE api SET idle_session_timeout = '20ms'").unwrap();
    client.execute(END_ALL, &[]).unwrap();
    for pause in 10..40 {
        assert_eq!(crowd(&service, 2, 1), [0; 0], "{}", service.log());
        std::thread::sleep(std::time::Duration::from_millis(pause));
    }
}

#[test]
fn a_restart_under_load_ends_with_answers() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    service.wait_until_listening();
    for mode in ["fast", "immediate"] {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _end = Ending(&is_over);
            let load = scope.spawn(|| {
                let mut failed = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    failed.extend(crowd(&service, 8, 5));
                }
                failed
            });
            cluster.ctl(&["restart", "-m", mode]);
            wait_for("an answer", || service.get_as("bob", "/v1/models/no/such").status == 404);
            is_over.store(true, Ordering::Relaxed);
            let failed = load.join().unwrap();
            assert!(failed.iter().all(|status| *status == 503), "{failed:?}");
        });
        assert_eq!(crowd(&service, 8, 5), [0; 0], "{mode}: {}", service.log());
        service.wait_until_listening();
    }
}

#[test]
fn a_failover_moves_the_service_to_the_other_host() {
    let cluster = database(&[]);
    let standby = cluster.standby();
    let (first, second) = (cluster.socket().display(), standby.socket().display());
    let both = format!("host={first},{second} target_session_attrs=read-write");
    let service = Service::start(&cluster, &["--database", &both]);
    let of_standby = Service::start(&standby, &[]);
    service.wait_until_listening();
    assert!(sees(&service, "bob"));
    // a standby answers, but sends no notifications
    wait_for("the copy", || of_standby.get_as("bob", "/api/models").status == 200);
    assert_eq!((statements(&of_standby, "bob"), statements(&of_standby, "bob")), (1, 1));
    assert_eq!(of_standby.metric("listening"), 0);

    cluster.ctl(&["stop", "-m", "immediate"]);
    // the standby is no server to write to, so no answer comes from it
    wait_for("the loss", || service.get_as("bob", "/v1/models/no/such").status == 503);
    assert_eq!(service.metric("cached_users"), 0);
    standby.ctl(&["promote"]);
    wait_for("an answer", || service.get_as("bob", "/v1/models/no/such").status == 404);
    for service in [&service, &of_standby] {
        service.wait_until_listening();
        assert!(sees(service, "bob"));
        assert_eq!(statements(service, "bob"), 0, "{}", service.log());
    }
    standby.connect().batch_execute(REVOKE).unwrap();
    for service in [&service, &of_standby] {
        wait_for("the change", || !sees(service, "bob"));
    }
    assert_eq!(crowd(&service, 8, 5), [0; 0], "{}", service.log());
}

#[test]
fn a_rotated_password_and_new_keys_are_read_at_sighup() {
    let cluster = database(&[]);
    let mut client = cluster.connect();
    client.batch_execute(&format!("ALTER ROLE api PASSWORD '{PASSWORD}'")).unwrap();
    let rules = "local all postgres trust\nlocal all api scram-sha-256\n";
    std::fs::write(cluster.socket().join("data/pg_hba.conf"), rules).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let folder = scratch();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::set_permissions(folder.join("new"), PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    };
    write("passwords", &format!("*:*:*:api:{PASSWORD}\n"));
    write("secret", SECRET);
    write("jwks", &json!({ "keys": [jwk(&rsa_key(&RSA), Algorithm::RS256, "rsa")] }).to_string());
    let (secret, jwks) = (path("secret"), path("jwks"));
    let arguments = [
        "--cache-ttl",
        "0",
        "--hs256-secret-file",
        &secret,
        "--jwks",
        &jwks,
        "--jwks-refresh",
        "86400",
        "--jwks-pause",
        "3600",
    ];
    let mut command = Service::command(&arguments);
    command.env_remove("PGPASSWORD").env("PGPASSFILE", path("passwords")).env("PGHOST", cluster.socket());
    let service = Service::spawn(command);
    let by_new = sign(&claims("bob"), Algorithm::HS256, None, &EncodingKey::from_secret(&[7; 40]));
    let by_ed = sign(&claims("bob"), Algorithm::EdDSA, Some("ed"), &ed_key(&ED));
    let statuses = || {
        [token("bob"), by_new.clone(), by_ed.clone()].map(|token| service.get("/api/models", &token).status)
    };
    assert_eq!(statuses(), [200, 401, 401], "{}", service.log());

    // a connection that works is better than an error
    client.batch_execute("ALTER ROLE api PASSWORD 'the password of tomorrow'").unwrap();
    assert_eq!(crowd(&service, 8, 10), [0; 0], "{}", service.log());
    assert!(service.log().contains("password authentication failed"), "{}", service.log());
    write("passwords", "*:*:*:api:the password of tomorrow\n");
    write("secret", &"\u{7}".repeat(40));
    write("jwks", &json!({ "keys": [ed_jwk("ed")] }).to_string());
    service.signal("HUP");
    wait_for("the files", || service.log().contains("\"reloaded\""));
    client.execute(END_ALL, &[]).unwrap();
    assert_eq!(statuses(), [401, 200, 200], "{}", service.log());

    // what cannot be read stays as it is
    write("secret", "short");
    write("jwks", "rubbish");
    service.signal("HUP");
    wait_for("the log", || service.log().contains("not everything could be reloaded"));
    assert_eq!(statuses(), [401, 200, 200], "{}", service.log());
    assert!(!service.log().contains("tomorrow"));
    std::fs::remove_dir_all(folder).unwrap();
}
