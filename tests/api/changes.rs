//! The cache is never wrong: after a change, a lost connection, the start of an override, or a restart.

use crate::service::{Service, database, token, wait_for};
use postgres::Client;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tests::{Cluster, wait_until};

const MODEL: &str = "google/gemini-2.5-pro";
const REVOKE: &str = "UPDATE model_access SET status = 'inactive' WHERE model_id = 'google/gemini-2.5-pro'";
const GRANT: &str = "UPDATE model_access SET status = 'active' WHERE model_id = 'google/gemini-2.5-pro'";

fn sees(service: &Service, user: &str) -> bool {
    service.ids(user).iter().any(|id| id == MODEL)
}

/// How many statements a request of this user sends.
fn statements(service: &Service, user: &str) -> u64 {
    let before = service.metric("queries_total");
    assert!(!service.ids(user).is_empty());
    service.metric("queries_total") - before
}

fn blocked(client: &mut Client) {
    wait_until(
        client,
        "EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api' AND wait_event_type = 'Lock')",
    );
}

#[test]
fn a_notification_clears_the_cache() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    assert_eq!((statements(&service, "bob"), statements(&service, "bob")), (1, 0));
    assert_eq!(service.get_as("bob", &format!("/v1/models/{MODEL}")).status, 200);
    assert_eq!(statements(&service, "bob"), 0, "a model of a cached list sends no statement");
    assert_eq!(service.metric("cached_users"), 1);

    // models, overrides, tiers, the binding: the first answer after the notification is right
    assert!(sees(&service, "bob"));
    service.hear(&mut client, REVOKE);
    assert!(!sees(&service, "bob"));
    service.hear(&mut client, GRANT);
    assert!(sees(&service, "bob") && !sees(&service, "ada"));
    let allow = format!(
        "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('ada', '{MODEL}', true)"
    );
    service.hear(&mut client, &allow);
    assert!(sees(&service, "ada"));
    service.hear(&mut client, "UPDATE model_access_override SET allowed = false");
    assert!(!sees(&service, "ada"));
    service.hear(&mut client, "UPDATE profiles SET subscription_tier = 'free' WHERE id = 'bob'");
    assert!(!sees(&service, "bob"));
    service.hear(&mut client, "DELETE FROM profiles WHERE id = 'bob'");
    service.get_as("bob", "/api/models").assert_problem(403, "a user that is gone");
    service.hear(&mut client, "SELECT model_access_unbind_profiles()");
    service.get_as("cleo", "/api/models").assert_problem(403, "no profiles");
    // a change that is rolled back sends no notification
    let before = service.metric("changes_total");
    client.batch_execute(&format!("BEGIN; {REVOKE}; ROLLBACK")).unwrap();
    assert_eq!(service.metric("changes_total"), before);
}

#[test]
fn without_a_cache_every_request_asks() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--cache-ttl", "0"]);
    assert_eq!((statements(&service, "bob"), statements(&service, "bob")), (1, 1));
    let listening = "NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%')";
    wait_until(&mut cluster.connect(), listening);
}

#[test]
fn a_list_from_before_a_change_is_not_cached_after_it() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--timeout", "60"]);
    let (mut client, mut locker) = (cluster.connect(), cluster.connect());
    service.wait_until_listening();
    // the statement has its snapshot, and waits to read the profile of the user
    locker.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| service.ids("bob"));
        blocked(&mut client);
        service.hear(&mut client, REVOKE);
        locker.batch_execute("COMMIT").unwrap();
        assert!(slow.join().unwrap().iter().any(|id| id == MODEL), "requested before the change");
    });
    assert!(!sees(&service, "bob"), "the first answer after it");
    assert_eq!(statements(&service, "bob"), 0, "the new list is cached");
}

#[test]
fn a_lost_listener_means_no_cache_until_it_is_back() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    assert!(sees(&service, "bob"));
    // the connection for requests remains, and the service cannot listen again
    client
        .batch_execute(
            "ALTER ROLE api NOLOGIN;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND usename = 'api'",
        )
        .unwrap();
    wait_for("the loss", || service.metric("listening") == 0);
    assert_eq!(service.metric("cached_users"), 0);
    client.batch_execute(REVOKE).unwrap();
    assert!(!sees(&service, "bob"));
    client.batch_execute(GRANT).unwrap();
    assert!(sees(&service, "bob"));
    assert_eq!(statements(&service, "bob"), 1);
    client.batch_execute("ALTER ROLE api LOGIN").unwrap();
    service.wait_until_listening();
    assert_eq!((statements(&service, "bob"), statements(&service, "bob")), (1, 0));
    service.hear(&mut client, REVOKE);
    assert!(!sees(&service, "bob"));
}

#[test]
fn overrides_begin_and_end_by_themselves() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    let times = "INSERT INTO model_access_override (user_id, model_id, allowed, starts_at, expires_at)
                 VALUES ('ada', 'google/gemini-2.5-pro', true, now() + interval '1.5 s', now() + interval '3 s')";
    service.hear(&mut client, times);
    // no further notification comes
    let notifications = service.metric("changes_total");
    for (moment, expected) in [("starts_at", true), ("expires_at", false)] {
        assert_eq!(sees(&service, "ada"), !expected, "before {moment}");
        wait_until(
            &mut client,
            &format!("(SELECT {moment} <= clock_timestamp() FROM model_access_override)"),
        );
        assert_eq!(sees(&service, "ada"), expected, "after {moment}");
    }
    assert_eq!(service.metric("changes_total"), notifications);
    assert_eq!(statements(&service, "ada"), 0, "no override starts or ends later, so the list is cached");
}

#[test]
fn a_slow_database_is_503_and_not_an_empty_list() {
    let cluster = database(&[]);
    let service =
        Service::start(&cluster, &["--timeout", "1", "--cache-ttl", "0", "--database-connections", "2"]);
    let mut client = cluster.connect();
    assert!(sees(&service, "bob"));
    client.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
    for path in ["/api/models", "/v1/models", "/v1/models/google/gemini-2.5-pro"] {
        service.get_as("bob", path).assert_code(503, "database_unavailable", path);
    }
    // more requests than connections: none waits forever
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| service.get_as("bob", "/api/models").assert_problem(503, "no connection"));
        }
    });
    client.batch_execute("COMMIT").unwrap();
    wait_for("an answer", || service.get_as("bob", "/api/models").status == 200);
}

#[test]
fn a_connection_that_does_not_answer_is_not_used_again() {
    let cluster = database(&[]);
    let service =
        Service::start(&cluster, &["--timeout", "1", "--cache-ttl", "0", "--database-connections", "1"]);
    assert!(sees(&service, "bob"));
    let pid = "SELECT pid::text FROM pg_stat_activity WHERE usename = 'api'";
    let pid: String = cluster.connect().query_one(pid, &[]).unwrap().get(0);
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, pid.as_str()]).status().unwrap().success());
    signal("-STOP");
    service.get_as("bob", "/api/models").assert_problem(503, "as from behind a broken network");
    assert!(sees(&service, "bob"), "by another connection");
    signal("-CONT");
}

#[test]
fn a_role_without_rights_is_503_and_logged() {
    let cluster = database(&[]);
    cluster.connect().batch_execute("SELECT model_access_revoke('api')").unwrap();
    let service = Service::start(&cluster, &[]);
    service.get_as("bob", "/api/models").assert_problem(503, "no rights");
    assert_eq!(service.send("GET /readyz HTTP/1.1\r\n").status, 503);
    assert!(service.log().contains("permission denied"), "{}", service.log());
    cluster.connect().batch_execute("SELECT model_access_grant('api', 'reader')").unwrap();
    assert_eq!(service.get_as("bob", "/api/models").status, 200);
    assert_eq!(service.send("GET /readyz HTTP/1.1\r\n").status, 200);
}

/// Requests from four clients until ten thousand are answered and the restart is over.
fn flood(service: &Service, cluster: &Cluster) -> BTreeMap<u16, usize> {
    let whole = service.get_as("bob", "/api/models");
    let tag = whole.header("etag").unwrap();
    let (sent, over, counts) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let token = token("bob");
                while sent.fetch_add(1, Ordering::Relaxed) < 10_000 || !over.load(Ordering::Relaxed) {
                    let known = if sent.load(Ordering::Relaxed) % 2 == 0 { tag } else { "\"another\"" };
                    let reply = service.send(&format!(
                        "GET /api/models HTTP/1.1\r\nAuthorization: Bearer {token}\r\nIf-None-Match: {known}\r\n"
                    ));
                    match reply.status {
                        200 => assert_eq!(reply.body, whole.body),
                        503 => reply.assert_problem(503, "while PostgreSQL restarts"),
                        _ => assert_eq!(reply.header("etag"), Some(tag)),
                    }
                    *counts.lock().unwrap().entry(reply.status).or_default() += 1;
                }
            });
        }
        wait_for("three thousand answers", || sent.load(Ordering::Relaxed) > 3000);
        cluster.ctl(&["restart", "-m", "immediate"]);
        over.store(true, Ordering::Relaxed);
    });
    counts.into_inner().unwrap()
}

#[test]
fn ten_thousand_requests_and_a_restart_in_the_middle() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    service.wait_until_listening();
    let counts = flood(&service, &cluster);
    assert!(counts.keys().all(|status| [200, 304, 503].contains(status)), "{counts:?}");
    assert!(counts.values().sum::<usize>() >= 10_000 && counts.len() == 3, "{counts:?}");
    service.wait_until_listening();
    wait_for("an answer", || service.get_as("bob", "/api/models").status == 200);
    assert_eq!((statements(&service, "cleo"), statements(&service, "cleo")), (1, 0), "it caches again");
    service.hear(&mut cluster.connect(), REVOKE);
    assert!(!sees(&service, "bob"));
}
