//! The cache is never wrong: after a change, a lost connection, the start of an override, or a restart.

use crate::service::{Service, database, token, wait_for};
use postgres::Client;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tests::{Cluster, wait_until};

const MODEL: &str = "google/gemini-2.5-pro";
pub const REVOKE: &str =
    "UPDATE model_access SET status = 'inactive' WHERE model_id = 'google/gemini-2.5-pro'";
pub const GRANT: &str = "UPDATE model_access SET status = 'active' WHERE model_id = 'google/gemini-2.5-pro'";

pub fn sees(service: &Service, user: &str) -> bool {
    service.ids(user).iter().any(|id| id == MODEL)
}

/// How many statements a request of this user sends.
pub fn statements(service: &Service, user: &str) -> u64 {
    let before = service.metric("queries_total");
    assert!(!service.ids(user).is_empty());
    service.metric("queries_total") - before
}

pub fn blocked(client: &mut Client) {
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
    service.get_as("cleo", "/api/models").assert_code(503, "profiles_unavailable", "no profiles");
    // a change that is rolled back sends no notification
    let before = service.metric("changes_total");
    client.batch_execute(&format!("BEGIN; {REVOKE}; ROLLBACK")).unwrap();
    assert_eq!(service.metric("changes_total"), before);
}

#[test]
fn a_change_of_one_user_concerns_only_that_user() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    let users = ["ada", "bob", "cleo"];
    let buckets = "SELECT count(DISTINCT u.bucket) FROM unnest($1::text[]) AS i, model_access_user(i) AS u";
    assert_eq!(client.query_one(buckets, &[&&users[..]]).unwrap().get::<_, i64>(0), 3);
    let asked = |service: &Service| users.map(|user| statements(service, user));
    assert_eq!(asked(&service), [1, 1, 1]);
    for (change, notifications, expected) in [
        ("UPDATE profiles SET subscription_tier = 'enterprise' WHERE id = 'bob'", 1, [0, 1, 0]),
        ("UPDATE profiles SET subscription_tier = 'enterprise' WHERE id = 'bob'", 0, [0, 0, 0]),
        (
            "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('ada', 'google', true)",
            1,
            [1, 0, 0],
        ),
        ("UPDATE model_access_override SET user_id = 'cleo'", 2, [1, 0, 1]),
        ("DELETE FROM model_access_override", 1, [0, 0, 1]),
        ("TRUNCATE model_access_override", 0, [0, 0, 0]),
        (REVOKE, 1, [1, 1, 1]),
        ("NOTIFY model_access, 'from anybody'", 1, [1, 1, 1]),
        (
            r#"ALTER TABLE profiles RENAME id TO "the id";
               UPDATE profiles SET subscription_tier = 'pro' WHERE "the id" = 'bob'"#,
            1,
            [0, 1, 0],
        ),
        (
            r#"UPDATE profiles SET "the id" = 'bo' WHERE "the id" = 'bob'; INSERT INTO profiles VALUES ('bob', 'pro')"#,
            2,
            [0, 1, 0],
        ),
    ] {
        let before = service.metric("changes_total");
        client.batch_execute(change).unwrap();
        wait_for(change, || service.metric("changes_total") == before + notifications);
        assert_eq!(asked(&service), expected, "{change}");
        assert_eq!(asked(&service), [0, 0, 0], "{change}");
    }
}

#[test]
fn requests_of_one_user_at_once_send_one_statement() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--timeout", "60"]);
    let (mut client, mut locker) = (cluster.connect(), cluster.connect());
    service.wait_until_listening();
    for change in [REVOKE, GRANT, "NOTIFY model_access, 'from anybody'"] {
        service.hear(&mut client, change);
        locker.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
        let (misses, queries) =
            (service.metric("cache_lookups_total{result=\"miss\""), service.metric("queries_total"));
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..20).map(|_| scope.spawn(|| service.ids("bob"))).collect();
            wait_for("all", || service.metric("cache_lookups_total{result=\"miss\"") == misses + 20);
            locker.batch_execute("COMMIT").unwrap();
            let lists: Vec<_> = waiting.into_iter().map(|one| one.join().unwrap()).collect();
            assert!(lists.iter().all(|list| *list == lists[0] && !list.is_empty()));
        });
        assert_eq!(service.metric("queries_total") - queries, 1, "{change}");
    }
}

#[test]
fn a_flood_of_notifications_makes_no_answer_wrong() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for payload in
            ["format('{\"changed\": \"user\", \"bucket\": %s}', i % 2000)", "repeat(md5(i::text), 100)"]
        {
            let (mut anybody, over) = (cluster.connect(), &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let flood = format!(
                        "SELECT pg_notify('model_access', {payload}) FROM generate_series(1, 2000) AS i"
                    );
                    anybody.batch_execute(&flood).unwrap();
                }
            });
        }
        for round in 0..20 {
            service.hear(&mut client, if round % 2 == 0 { REVOKE } else { GRANT });
            // its own notification is behind those that were sent before
            wait_for("the change", || sees(&service, "bob") == (round % 2 == 1));
            assert!(service.metric("cached_users") <= 3);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(service.metric("queries_total{outcome=\"failed\""), 0);
    wait_for("a quiet cache", || statements(&service, "bob") == 0);
    assert_eq!(service.metric("listening"), 1);
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
fn a_listener_that_hears_nothing_is_not_trusted() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--timeout", "1"]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    assert!(sees(&service, "bob"));
    let pid = "SELECT pid::text FROM pg_stat_activity WHERE usename = 'api' AND query LIKE 'LISTEN%'";
    let pid: String = client.query_one(pid, &[]).unwrap().get(0);
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, pid.as_str()]).status().unwrap().success());
    signal("-STOP");
    client.batch_execute(REVOKE).unwrap();
    wait_for("the loss", || service.log().contains("not listening for changes"));
    assert!(!sees(&service, "bob"));
    service.wait_until_listening();
    signal("-CONT");
    assert_eq!((statements(&service, "bob"), statements(&service, "bob")), (1, 0));
}

#[test]
fn users_that_cannot_be_looked_up_are_503_and_logged_once() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    let bind = "SELECT model_access_bind_profiles('profiles')";
    for (breaks, mends, reason) in [
        ("SELECT model_access_unbind_profiles()", bind, "no table is bound"),
        (
            "SELECT model_access_bind_profiles('profiles', notify => false);
             ALTER TABLE profiles ALTER subscription_tier TYPE integer USING 1",
            "ALTER TABLE profiles ALTER subscription_tier TYPE text USING 'pro'",
            "cannot be a tier",
        ),
        (
            "DROP TABLE profiles",
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             INSERT INTO profiles VALUES ('bob', 'pro'); SELECT model_access_bind_profiles('profiles')",
            "the bound table was dropped",
        ),
    ] {
        client.batch_execute(breaks).unwrap();
        service.hear(&mut client, "NOTIFY model_access");
        for _ in 0..3 {
            for path in
                ["/api/models", "/v1/models", "/v1/models/google/gemini-2.5-pro", "/v1/models/no/such"]
            {
                service.get_as("bob", path).assert_code(503, "profiles_unavailable", reason);
            }
            let ready = service.send("GET /readyz HTTP/1.1\r\n");
            ready.assert_code(503, "profiles_unavailable", reason);
        }
        client.batch_execute(mends).unwrap();
        assert_eq!(service.get_as("bob", "/api/models").status, 200, "{reason}");
        assert_eq!(service.send("GET /readyz HTTP/1.1\r\n").status, 200);
        service.get_as("eve", "/api/models").assert_code(403, "user_unknown", reason);
        assert_eq!(service.log().matches(reason).count(), 1, "{}", service.log());
    }
    assert_eq!(service.log().matches("users can be looked up again").count(), 3);
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
