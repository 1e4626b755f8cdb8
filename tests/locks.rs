//! What waits for a lock: for how long, who waits behind it, and what the error says about the session that holds the lock.

#![allow(clippy::unwrap_used)] // a test ends there

use postgres::{Client, Config, NoTls};
use std::thread;
use tests::{Cluster, sync, wait_until};

fn connect_as(cluster: &Cluster, role: &str) -> Client {
    Config::new().host_path(cluster.socket()).user(role).dbname("postgres").connect(NoTls).unwrap()
}

fn pid(client: &mut Client) -> i32 {
    client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0)
}

/// The message and the hint of an error 55P03.
fn refusal(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "55P03", "{sql}: {error}");
    (error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

#[test]
fn users_are_served_while_a_binding_waits_for_a_dump() {
    let cluster = Cluster::start();
    let (mut client, mut dump, mut user) = (cluster.connect(), cluster.connect(), cluster.connect());
    let mut observer = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text); INSERT INTO profiles VALUES ('alice', 'pro');
             CREATE TABLE customers (id text PRIMARY KEY, subscription_tier text); SELECT model_access_bind_profiles('profiles')",
        )
        .unwrap();
    dump.batch_execute(
        "SET application_name = 'pg_dump'; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
         LOCK TABLE profiles, customers IN ACCESS SHARE MODE",
    )
    .unwrap();
    let holder = format!("Process {} (role postgres, application 'pg_dump'", pid(&mut dump));
    user.batch_execute("SET statement_timeout = '4s'").unwrap();
    for (change, limit) in [
        ("SELECT model_access_unbind_profiles()", "5s"),
        ("SET lock_timeout = '6s'; SELECT model_access_bind_profiles('customers')", "6s"),
    ] {
        let mut binder = cluster.connect();
        let binding = thread::spawn(move || refusal(&mut binder, change));
        wait_until(
            &mut observer,
            "EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted)",
        );
        while !binding.is_finished() {
            user.batch_execute("SELECT FROM models_for_user('alice')").unwrap();
            user.batch_execute("UPDATE profiles SET subscription_tier = 'pro'").unwrap();
            user.batch_execute("SELECT FROM customers").unwrap();
        }
        let (message, hint) = binding.join().unwrap();
        assert_eq!(message, format!("could not lock public.profiles within {limit}"));
        assert!(hint.contains(&holder), "{hint}");
    }
    dump.batch_execute("COMMIT").unwrap();
    client.batch_execute("SELECT model_access_bind_profiles('customers')").unwrap();
}

#[test]
fn the_hint_says_no_more_than_the_caller_may_see() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute(
            "CREATE ROLE editor LOGIN; CREATE ROLE reviewer LOGIN;
             SELECT model_access_grant('editor', 'admin'), model_access_grant('reviewer', 'admin')",
        )
        .unwrap();
    let (mut editor, mut reviewer) = (connect_as(&cluster, "editor"), connect_as(&cluster, "reviewer"));
    editor
        .batch_execute(
            "SET application_name = 'desk'; BEGIN; UPDATE model_access SET note = 'x' WHERE model_id = 'openai/gpt-5'",
        )
        .unwrap();
    let holder = format!("Process {} (role editor, application 'desk'", pid(&mut editor));
    for decision in [
        "SELECT model_access_confirm('openai/gpt-5')",
        "SELECT model_access_accept('openai/gpt-5')",
        "SELECT model_access_undo('2020-01-01', false)",
        "SELECT model_access_import_decisions('{\"format\": \"model_access_decisions\", \"version\": 1}', false)",
    ] {
        let sql = format!("SET lock_timeout = '100ms'; {decision}");
        let (message, hint) = refusal(&mut reviewer, &sql);
        assert_eq!(message, "could not lock public.model_access within 100ms");
        assert!(
            hint.starts_with(&format!("{holder}) holds a lock on public.model_access.")),
            "{decision}: {hint}"
        );
        let (_, hint) = refusal(&mut client, &sql);
        assert!(
            hint.starts_with(&format!("{holder}, idle in transaction, in a transaction since 20")),
            "{hint}"
        );
    }
    // the row of a run says it too, with the rights of the owner of the extension
    let run = sync(&mut cluster.fetching("without=openai/gpt-5")).unwrap();
    assert_eq!(run.error_code.as_deref(), Some("55P03"));
    assert!(run.error.as_deref().unwrap().contains(&format!("{holder}) holds a lock on")), "{run:?}");
    editor.batch_execute("COMMIT").unwrap();
    reviewer.batch_execute("SELECT model_access_confirm('openai/gpt-5')").unwrap();
}

#[test]
fn binding_beside_writers_ends_nobody_in_a_deadlock() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text) PARTITION BY LIST (id);
             CREATE TABLE profile_a PARTITION OF profiles FOR VALUES IN ('a'); CREATE TABLE profile_b PARTITION OF profiles DEFAULT;
             INSERT INTO profiles VALUES ('a', 'free'), ('b', 'free')",
        )
        .unwrap();
    // each holds a weak lock before it asks for a stronger one, or holds a partition before it asks for the table
    let writers: Vec<_> = ["profiles", "profile_a", "profile_b", "models_for_user('a')"]
        .map(|first| {
            let mut session = cluster.connect();
            thread::spawn(move || {
                for _ in 0..100 {
                    session
                        .batch_execute(&format!(
                            "BEGIN; SELECT FROM {first}; UPDATE profiles SET subscription_tier = 'pro' WHERE id = 'a'; COMMIT"
                        ))
                        .unwrap();
                }
            })
        })
        .into();
    client.batch_execute("SET lock_timeout = '30s'").unwrap();
    for _ in 0..10 {
        client.batch_execute("SELECT model_access_bind_profiles('profiles')").unwrap();
        client.batch_execute("SELECT model_access_unbind_profiles()").unwrap();
    }
    for writer in writers {
        writer.join().unwrap();
    }
}
