//! Users, their overrides and the profiles they are looked up in: what needs a second session, a dump, or every combination.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test ends there

use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};
use tests::{Cluster, copy_database, heard, sync};

const TIERS: [&str; 3] = ["free", "pro", "enterprise"];
const STATUSES: [&str; 4] = ["new", "active", "inactive", "disabled"];

/// One model of the matrix: what decides about it.
#[derive(Clone, Copy)]
struct Model {
    status: &'static str,
    flags: [bool; 3],
    listed: bool,
}

/// What an override says, and whether it is in force.
#[derive(Clone, Copy)]
struct Override {
    allowed: bool,
    by_provider: bool,
    in_force: bool,
}

/// The rule, said once more and otherwise than in SQL.
fn may(model: Model, tier: Option<usize>, overrides: &[Override]) -> bool {
    let counting: Vec<bool> = overrides.iter().filter(|o| o.in_force).map(|o| o.allowed).collect();
    let by_tier = tier.is_some_and(|tier| (0..=tier).any(|flag| model.flags[flag]));
    let decided = match (counting.contains(&false), counting.contains(&true)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => by_tier,
    };
    model.status == "active" && model.listed && decided
}

/// Every combination of status, flags and presence, on recorded models of two providers.
fn models(client: &mut Client, cluster: &Cluster) -> BTreeMap<String, Model> {
    let query =
        "SELECT model_id FROM model_access WHERE provider IN ('openai', 'google') ORDER BY model_id LIMIT 64";
    let ids: Vec<String> = client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(ids.len(), 64);
    let mut models = BTreeMap::new();
    for (number, id) in ids.into_iter().enumerate() {
        let flags = [number & 1 > 0, number & 2 > 0, number & 4 > 0];
        models.insert(id, Model { status: STATUSES[number / 8 % 4], flags, listed: number < 32 });
    }
    let gone: Vec<&str> =
        models.iter().filter(|(_, model)| !model.listed).map(|(id, _)| id.as_str()).collect();
    let without: String = gone.iter().map(|id| format!("without={}&", id.replace(':', "%3A"))).collect();
    cluster.fetching(&without).batch_execute("SELECT model_access_sync(max_removals => 32)").unwrap();
    for (id, model) in &models {
        // an admin may also decide on a model that is not listed
        let sql = "UPDATE model_access SET status = $2, is_free = $3, is_pro = $4, is_enterprise = $5 WHERE model_id = $1";
        let [is_free, is_pro, is_enterprise] = model.flags;
        client.execute(sql, &[id, &model.status, &is_free, &is_pro, &is_enterprise]).unwrap();
    }
    models
}

/// Every combination of tier and overrides: user id, tier, overrides (each for all models).
fn users() -> Vec<(i64, Option<usize>, Vec<Override>)> {
    let of = |allowed, by_provider, in_force| Override { allowed, by_provider, in_force };
    let sets = [
        vec![],
        vec![of(true, false, true)],
        vec![of(false, false, true)],
        vec![of(true, true, true)],
        vec![of(false, true, true)],
        vec![of(true, false, true), of(false, true, true)],
        vec![of(false, false, true), of(true, true, true)],
        vec![of(true, false, false)],
        vec![of(false, true, false)],
        vec![of(true, false, true), of(false, false, false)],
    ];
    let tiers = [Some(0), Some(1), Some(2), None];
    let pairs = tiers.iter().flat_map(|tier| sets.iter().map(|set| (*tier, set.clone())));
    pairs.zip(1..).map(|((tier, set), number)| (number, tier, set)).collect()
}

fn arrange(client: &mut Client, users: &[(i64, Option<usize>, Vec<Override>)]) {
    client.batch_execute("CREATE TABLE profiles (id bigint PRIMARY KEY, subscription_tier text)").unwrap();
    client.batch_execute("SELECT model_access_bind_profiles('profiles')").unwrap();
    for (user, tier, overrides) in users {
        // half of those without a tier have a name that is none
        let name = tier.map(|tier| TIERS[tier]).or((user % 2 == 0).then_some("gold"));
        client.execute("INSERT INTO profiles VALUES ($1, $2)", &[user, &name]).unwrap();
        for (number, o) in overrides.iter().enumerate() {
            let (columns, from) = match o.by_provider {
                true => ("provider", "SELECT DISTINCT provider"),
                false => ("model_id", "SELECT model_id"),
            };
            let time = match (o.in_force, number % 2) {
                (true, _) => "now() - interval '1 day', now() + interval '1 day'",
                (false, 0) => "now() - interval '2 days', now() - interval '1 day'",
                (false, _) => "now() + interval '1 day', NULL",
            };
            client
                .batch_execute(&format!(
                    "INSERT INTO model_access_override (user_id, {columns}, allowed, starts_at, expires_at)
                     SELECT '{user}', x.name, {}, {time} FROM ({from} FROM model_access) AS x(name)",
                    o.allowed
                ))
                .unwrap();
        }
    }
}

fn ids(client: &mut Client, sql: &str) -> BTreeSet<String> {
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn every_way_to_ask_gives_the_answer_of_the_table() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    let models = models(&mut client, &cluster);
    let users = users();
    arrange(&mut client, &users);

    for (tier, name) in TIERS.iter().enumerate() {
        let expected: BTreeSet<String> =
            models.iter().filter(|(_, m)| may(**m, Some(tier), &[])).map(|(id, _)| id.clone()).collect();
        assert!(expected.len() > 3);
        for sql in [
            "SELECT model_id FROM models_for_tier('TIER')",
            "SELECT model_id FROM model_access WHERE model_allowed('TIER', model_id)",
            "SELECT m.model_id FROM model_access AS m, model_access_explain('TIER', m.model_id) AS e WHERE e.allowed",
        ] {
            assert_eq!(ids(&mut client, &sql.replace("TIER", name)), expected, "{sql}, {name}");
        }
    }

    client
        .batch_execute(
            "CREATE ROLE web; SELECT model_access_grant('web', 'user');
             CREATE TABLE messages (u bigint, m text);
             CREATE TRIGGER enforce BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm')",
        )
        .unwrap();
    let enforced = "DO $$ DECLARE id text; BEGIN
        FOR id IN SELECT model_id FROM model_access LOOP
            BEGIN INSERT INTO messages VALUES (USER, id); EXCEPTION WHEN insufficient_privilege THEN NULL; END;
        END LOOP; END $$";
    for (user, tier, overrides) in users.iter().chain([&(99, None, vec![])]) {
        let expected: BTreeSet<String> =
            models.iter().filter(|(_, m)| may(**m, *tier, overrides)).map(|(id, _)| id.clone()).collect();
        let number = user.to_string();
        client.batch_execute(&enforced.replace("USER", &number)).unwrap();
        for sql in [
            "SELECT model_id FROM models_for_user('USER')",
            "SELECT model_id FROM model_access WHERE model_allowed_for_user('USER', model_id)",
            "SELECT m.model_id FROM model_access AS m, model_access_explain_for_user('USER', m.model_id) AS e WHERE e.allowed",
            "SELECT m FROM messages WHERE u = USER",
        ] {
            assert_eq!(ids(&mut client, &sql.replace("USER", &number)), expected, "{sql}, user {user}");
        }
        client
            .batch_execute(&format!("SET request.jwt.claims = '{{\"sub\": \"{user}\"}}'; SET ROLE web"))
            .unwrap();
        assert_eq!(ids(&mut client, "SELECT model_id FROM models_for_me()"), expected, "user {user}");
        client.batch_execute("RESET ROLE").unwrap();
    }
}

#[test]
fn a_dump_carries_the_binding_and_the_overrides_and_dropping_the_extension_leaves_nothing() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    for statement in [
        "CREATE ROLE app_owner",
        // after model_access in every order that a dump may choose, and before
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
        "SELECT string_agg(pg_get_functiondef(oid) || proowner::regrole || proacl::text, '|' ORDER BY proname)
         FROM pg_proc WHERE proname LIKE 'model\\_access\\_profile%'",
        "SELECT detail FROM model_access_health() WHERE \"check\" = 'profiles'",
    ] {
        let [before, after] =
            [&mut client, &mut restored].map(|client| client.query_one(sql, &[]).unwrap().get::<_, String>(0));
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
fn listeners_hear_of_whatever_changes_an_answer() {
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
    let news = [
        ("SELECT model_access_bind_profiles('profiles')", 1),
        ("INSERT INTO profiles SELECT n, 'free' FROM generate_series(1, 100) AS n", 0),
        ("UPDATE profiles SET seen = 1", 0),
        ("UPDATE profiles SET subscription_tier = subscription_tier, seen = 2", 0),
        ("UPDATE profiles SET subscription_tier = 'pro'", 1),
        ("UPDATE profiles SET id = 'x' WHERE id = '1'", 1),
        ("DELETE FROM profiles WHERE id IN ('2', '3')", 1),
        ("INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('4', 'openai', true)", 1),
        ("UPDATE model_access_override SET allowed = false", 1),
        ("DELETE FROM model_access_override", 1),
        ("UPDATE model_access_override SET allowed = true WHERE false", 0),
        ("TRUNCATE model_access_override", 1),
        ("SELECT model_access_bind_profiles('profiles')", 1),
        ("TRUNCATE profiles", 1),
        ("SELECT model_access_unbind_profiles()", 1),
        ("SELECT model_access_unbind_profiles()", 0),
    ];
    for (statement, expected) in news {
        client.batch_execute(statement).unwrap();
        assert_eq!(heard(&mut listener).len(), expected, "{statement}");
    }
}

#[test]
fn without_the_library_the_owner_binds_what_it_may_act_for() {
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE other; CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             INSERT INTO profiles VALUES ('alice', 'pro'); ALTER TABLE profiles OWNER TO other;
             SET SESSION AUTHORIZATION keeper",
        )
        .unwrap();
    let bind = "SELECT model_access_bind_profiles('profiles')";
    assert_eq!(client.batch_execute(bind).unwrap_err().code().unwrap().code(), "42501");
    let known = "SELECT known FROM model_access_user('alice')";
    assert!(!client.query_one(known, &[]).unwrap().get::<_, bool>(0));
    client
        .batch_execute(
            "RESET SESSION AUTHORIZATION; GRANT other TO keeper; GRANT CREATE ON SCHEMA public TO other;
             SET SESSION AUTHORIZATION keeper",
        )
        .unwrap();
    client.batch_execute(bind).unwrap();
    assert!(client.query_one(known, &[]).unwrap().get::<_, bool>(0));
}

#[test]
fn a_key_that_several_spellings_equal_is_refused() {
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
fn the_owner_of_the_profiles_gains_no_rights_from_those_who_ask() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE app_owner; CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             ALTER TABLE profiles OWNER TO app_owner; GRANT CREATE ON SCHEMA public TO app_owner;
             SELECT model_access_bind_profiles('profiles')",
        )
        .unwrap();
    // as seen by a snapshot from before, the generated functions are as they were
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_proc").unwrap();
    cluster
        .connect()
        .batch_execute(
            "SET SESSION AUTHORIZATION app_owner;
             CREATE OR REPLACE FUNCTION model_access_profile(user_id text) RETURNS TABLE (user_key text, tier text)
             LANGUAGE plpgsql SECURITY INVOKER AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
             CREATE OR REPLACE FUNCTION model_access_profile_tiers(OUT tier text, OUT users bigint) RETURNS SETOF record
             LANGUAGE plpgsql SECURITY INVOKER AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$",
        )
        .unwrap();
    for call in [
        "SELECT models_for_user('alice')",
        "SELECT model_allowed_for_user('alice', 'openai/gpt-5')",
        "SELECT model_access_user('alice')",
        "SET LOCAL request.jwt.claims = '{\"sub\": \"alice\"}'; SELECT models_for_me()",
        "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('alice', 'openai', true)",
    ] {
        let error = client.batch_execute(&format!("SAVEPOINT s; {call}")).unwrap_err();
        assert_eq!(error.as_db_error().unwrap().message(), "ran as pg_checkpoint", "{call}");
        client.batch_execute("ROLLBACK TO s").unwrap();
    }
    let health = client.query("SELECT detail FROM model_access_health()", &[]).unwrap();
    assert!(health.iter().any(|row| row.get::<_, &str>(0).contains("ran as pg_checkpoint")));
    client.batch_execute("ROLLBACK").unwrap();

    // what it leaves for later, when others' rights are back: a trigger for the commit, a parameter
    cluster
        .connect()
        .batch_execute(
            "CREATE SCHEMA app AUTHORIZATION app_owner; GRANT USAGE ON SCHEMA app TO PUBLIC; SET SESSION AUTHORIZATION app_owner;
             CREATE TABLE app.queue (n integer); GRANT INSERT ON app.queue TO PUBLIC;
             CREATE FUNCTION app.later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE app_owner SUPERUSER; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER later AFTER INSERT ON app.queue DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION app.later();
             CREATE OR REPLACE FUNCTION model_access_profile(user_id text) RETURNS TABLE (user_key text, tier text)
             LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                 INSERT INTO app.queue VALUES (1);
                 PERFORM set_config('search_path', 'app', false);
                 RETURN QUERY VALUES ('alice', 'pro');
             END $$",
        )
        .unwrap();
    let mut client = cluster.connect();
    let tier = client.query_one("SELECT tier FROM model_access_user('alice')", &[]).unwrap();
    assert_eq!(tier.get::<_, &str>(0), "pro");
    let after = "SELECT rolsuper, current_setting('search_path') FROM pg_catalog.pg_roles WHERE rolname = 'app_owner'";
    let after = client.query_one(after, &[]).unwrap();
    assert_eq!((after.get::<_, bool>(0), after.get::<_, &str>(1)), (false, "\"$user\", public"));
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
fn binding_again_takes_the_answer_from_nobody_and_waits_its_turn() {
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
