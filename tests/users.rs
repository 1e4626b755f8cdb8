//! Users, their overrides and the bound table: tests that need a second session or a dump.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test ends there

use std::collections::BTreeSet;
use tests::{Cluster, copy_database, heard, sync};

#[test]
fn a_dump_carries_the_binding_and_the_overrides_and_dropping_the_extension_leaves_nothing() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    for statement in [
        "CREATE ROLE app_owner",
        // after model_access, in every order that a dump may choose, and before it
        "CREATE SCHEMA zz CREATE TABLE profiles (id uuid PRIMARY KEY, subscription_tier text)",
        "INSERT INTO zz.profiles VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'pro')",
        "ALTER TABLE zz.profiles OWNER TO app_owner",
        "GRANT USAGE ON SCHEMA zz TO app_owner",
        "UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'",
        "SELECT model_access_bind_profiles('zz.profiles')",
        "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'openai/gpt-5', false)",
        "INSERT INTO model_access_override (user_id, provider, allowed, note) VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12', 'openai', true, 'x')",
        "CREATE DATABASE restored",
    ] {
        client.batch_execute(statement).unwrap();
    }
    copy_database(&cluster, "postgres", "restored");
    let mut restored = cluster.connect_to("restored");
    for sql in [
        "SELECT string_agg(o::text, '|' ORDER BY override_id) FROM model_access_override AS o",
        "SELECT string_agg(h::text, '|' ORDER BY history_id) FROM model_access_history AS h WHERE user_id IS NOT NULL",
        "SELECT string_agg(model_id, '|' ORDER BY model_id) FROM models_for_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')",
        "SELECT string_agg(tgname || tgenabled::text, '|' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'zz.profiles'::regclass",
        "SELECT (to_jsonb(b) - 'table_id')::text FROM model_access_binding AS b",
        "SELECT detail FROM model_access_health() WHERE \"check\" = 'profiles'",
    ] {
        let [before, after] = [&mut client, &mut restored]
            .map(|client| client.query_one(sql, &[]).unwrap().get::<_, String>(0));
        assert_eq!(before, after, "{sql}");
    }
    restored
        .batch_execute(
            "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'openai', true);
             DROP EXTENSION model_access",
        )
        .unwrap();
    let left = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'zz.profiles'::regclass)
                     + (SELECT count(*) FROM pg_proc WHERE proname LIKE '%model\\_access%')";
    assert_eq!(restored.query_one(left, &[]).unwrap().get::<_, i64>(0), 0);
    restored.batch_execute("UPDATE zz.profiles SET subscription_tier = 'free'").unwrap();
}

#[test]
fn listeners_are_notified_of_whatever_changes_an_answer() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    let mut listener = cluster.connect();
    listener.batch_execute("LISTEN model_access").unwrap();
    client
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text, seen integer DEFAULT 0)",
        )
        .unwrap();
    let everybody: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    // whose lists have changed; * is everything
    let news: [(&str, &[&str]); 18] = [
        ("SELECT model_access_bind_profiles('profiles')", &["*"]),
        ("INSERT INTO profiles SELECT n, 'free' FROM generate_series(1, 100) AS n", &[]),
        ("UPDATE profiles SET seen = 1", &[]),
        ("UPDATE profiles SET subscription_tier = subscription_tier, seen = 2", &[]),
        ("UPDATE profiles SET subscription_tier = 'pro'", &everybody),
        ("UPDATE profiles SET id = 'x' WHERE id = '1'", &["1", "x"]),
        ("DELETE FROM profiles WHERE id IN ('2', '3')", &["2", "3"]),
        (
            "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('4', 'openai', true)",
            &["4"],
        ),
        ("UPDATE model_access_override SET allowed = false", &["4"]),
        ("DELETE FROM model_access_override", &["4"]),
        ("UPDATE model_access_override SET allowed = true WHERE false", &[]),
        ("TRUNCATE model_access_override", &[]),
        (
            "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('4', 'openai', true)",
            &["4"],
        ),
        ("TRUNCATE model_access_override", &["*"]),
        ("SELECT model_access_bind_profiles('profiles')", &["*"]),
        ("TRUNCATE profiles", &["*"]),
        ("SELECT model_access_unbind_profiles()", &["*"]),
        ("SELECT model_access_unbind_profiles()", &[]),
    ];
    for (statement, expected) in news {
        client.batch_execute(statement).unwrap();
        let heard = heard(&mut listener);
        let payload = "SELECT coalesce('{\"changed\": \"user\", \"bucket\": ' || _model_access_bucket(nullif(user_key, '*')) || '}',
            '{\"changed\": \"model_access\"}') FROM unnest($1::text[]) AS user_key";
        let expected: BTreeSet<String> =
            client.query(payload, &[&expected]).unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(heard.len(), expected.len(), "equal ones are sent once: {statement}");
        assert_eq!(BTreeSet::from_iter(heard), expected, "{statement}");
    }
}

#[test]
fn without_the_library_only_tables_of_the_owner_are_bound() {
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE other; CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             INSERT INTO profiles VALUES ('alice', 'pro'); ALTER TABLE profiles OWNER TO other; GRANT other TO keeper; GRANT CREATE ON SCHEMA public TO other;
             SET SESSION AUTHORIZATION keeper",
        )
        .unwrap();
    let bind = "SELECT model_access_bind_profiles('profiles')";
    assert_eq!(client.batch_execute(bind).unwrap_err().code().unwrap().code(), "42501");
    let known = "SELECT known FROM model_access_user('alice')";
    assert!(!client.query_one(known, &[]).unwrap().get::<_, bool>(0));
    client.batch_execute(&format!("ALTER TABLE profiles OWNER TO keeper; {bind}")).unwrap();
    assert!(client.query_one(known, &[]).unwrap().get::<_, bool>(0));
    client.batch_execute("ALTER TABLE profiles OWNER TO other").unwrap();
    assert!(!client.query_one(known, &[]).unwrap().get::<_, bool>(0), "it belongs to another role");
}

#[test]
fn a_dump_finds_the_bound_columns_after_a_rename() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE profiles (dropped text, \"Who\" varchar(20) PRIMARY KEY, subscription_tier text);
             INSERT INTO profiles VALUES ('x', 'alice', 'pro');
             SELECT model_access_bind_profiles('profiles', 'Who'); ALTER TABLE profiles DROP COLUMN dropped;
             ALTER TABLE profiles RENAME subscription_tier TO \"The Plan\"; ALTER TABLE profiles RENAME \"Who\" TO id;
             ALTER TABLE profiles ADD subscription_tier text; ALTER TABLE profiles RENAME TO members",
        )
        .unwrap();
    let tier = "SELECT tier FROM model_access_user('alice')";
    assert_eq!(client.query_one(tier, &[]).unwrap().get::<_, Option<&str>>(0), Some("pro"));
    // found by the trigger on the columns or, without a trigger, by the names that a sync keeps up to date
    for (database, rebind) in [
        ("watched", "SELECT 1"),
        ("unwatched", "SELECT model_access_bind_profiles('members', 'id', 'The Plan', notify => false);
                       ALTER TABLE members RENAME \"The Plan\" TO plan; SELECT outcome FROM model_access_load('[{\"id\": \"a/b\"}]')"),
    ] {
        client.batch_execute(rebind).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
        copy_database(&cluster, "postgres", database);
        let mut restored = cluster.connect_to(database);
        assert_eq!(restored.query_one(tier, &[]).unwrap().get::<_, Option<&str>>(0), Some("pro"), "{database}");
        restored.batch_execute("SELECT outcome FROM model_access_load('[{\"id\": \"a/b\"}]')").unwrap();
        assert_eq!(restored.query_one(tier, &[]).unwrap().get::<_, Option<&str>>(0), Some("pro"), "{database}");
    }
}

#[test]
fn a_key_with_a_nondeterministic_collation_is_refused() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let collation =
        "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    // not every server is built with ICU
    if client.batch_execute(collation).is_ok() {
        client
            .batch_execute("CREATE TABLE p (id text COLLATE any_case PRIMARY KEY, subscription_tier text)")
            .unwrap();
        let error = client.batch_execute("SELECT model_access_bind_profiles('p')").unwrap_err();
        assert_eq!(error.code().unwrap().code(), "0A000");
    }
}

#[test]
fn a_dump_of_another_schema_brings_back_every_override() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "DROP EXTENSION model_access; CREATE SCHEMA ma; CREATE EXTENSION model_access SCHEMA ma; SELECT ma.model_access_sync();
             CREATE TABLE public.profiles (id bigint PRIMARY KEY, subscription_tier text);
             SELECT ma.model_access_bind_profiles('public.profiles');
             INSERT INTO ma.model_access_override (user_id, model_id, allowed) SELECT '1', model_id, false FROM ma.model_access",
        )
        .unwrap();
    client.batch_execute("CREATE DATABASE restored").unwrap();
    copy_database(&cluster, "postgres", "restored");
    let count = "SELECT (SELECT count(*) FROM ma.model_access_override), (SELECT count(*) FROM ma.model_access_history)";
    let [before, after] = [&mut client, &mut cluster.connect_to("restored")].map(|client| {
        let row = client.query_one(count, &[]).unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    });
    assert_eq!((before, after), ((421, 421), (421, 421)));
}

#[test]
fn binding_again_waits_for_locks_and_keeps_users_known() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let bind = "SELECT model_access_bind_profiles('profiles')";
    client
        .batch_execute(&format!(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text); INSERT INTO profiles VALUES ('alice', 'pro'); {bind}"
        ))
        .unwrap();
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT known FROM model_access_user('alice')")
        .unwrap();
    // while that transaction still holds its locks and its snapshot
    let binding: Vec<_> = (0..4)
        .map(|_| {
            let mut session = cluster.connect();
            std::thread::spawn(move || {
                for _ in 0..5 {
                    session.batch_execute(&format!("SET lock_timeout = '30s'; {bind}")).unwrap();
                }
            })
        })
        .collect();
    for thread in binding {
        thread.join().unwrap();
    }
    assert!(client.query_one("SELECT known FROM model_access_user('alice')", &[]).unwrap().get::<_, bool>(0));
}
