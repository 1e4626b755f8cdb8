//! Retiring `profiles.allowed_models`, restoring and dropping it: a failure at every command, every mix of objects that
//! use the column, other sessions, a dump in between, and the rights with which everything runs.

#![allow(clippy::unwrap_used)] // a test ends there

use postgres::Client;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::{Cluster, Random, copy_database, repository, wait_until};

const ACCEPTING: &str = "accept => ARRAY(SELECT object FROM model_access_retire_allowed_models('public.profiles') WHERE action = 'manual')";

/// Runs files of `tests/pg_regress` in psql, because they use psql commands.
fn psql(cluster: &Cluster, database: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"])
        .arg(cluster.socket())
        .args(arguments)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "psql failed on {input}");
}

fn legacy_app(cluster: &Cluster, database: &str) {
    let file = repository().join("tests/pg_regress/legacy_app.sql");
    psql(cluster, database, &[], &std::fs::read_to_string(file).unwrap());
}

/// Remembers everything that must not change, for `changed`; runs the file without its psql commands.
fn remember(client: &mut Client) {
    let file = repository().join("tests/pg_regress/catalogue.sql");
    let text = std::fs::read_to_string(file).unwrap();
    let sql: Vec<&str> = text.lines().filter(|line| !line.starts_with('\\')).collect();
    client.batch_execute(&sql.join("\n")).unwrap();
}

fn changed(client: &mut Client) -> Vec<String> {
    let rows = client
        .query("SELECT concat_ws(' ', what, object, detail) FROM pg_temp.changed ORDER BY 1", &[])
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn code(result: Result<(), postgres::Error>) -> (String, String) {
    let error = result.unwrap_err();
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned())
}

fn retire(client: &mut Client, arguments: &str) -> Result<(), postgres::Error> {
    client.batch_execute(&format!(
        "SELECT model_access_retire_allowed_models('public.profiles', {arguments}, dry_run => false)"
    ))
}

fn restore(client: &mut Client) -> Result<(), postgres::Error> {
    client.batch_execute("SELECT model_access_restore_allowed_models('public.profiles', dry_run => false)")
}

fn drop_retired(client: &mut Client) -> Result<(), postgres::Error> {
    client.batch_execute(
        "SELECT model_access_drop_retired_column('public.profiles', ARRAY(
             SELECT object FROM model_access_drop_retired_column('public.profiles') WHERE action = 'manual'), dry_run => false)",
    )
}

#[test]
fn a_failure_at_any_command_leaves_everything_as_it_was() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE FUNCTION fail_at() RETURNS event_trigger LANGUAGE plpgsql AS $$
             DECLARE n integer := coalesce(nullif(current_setting('test.n', true), ''), '0')::integer + 1;
             BEGIN
                 PERFORM set_config('test.n', n::text, true);
                 IF n = current_setting('test.fail_at')::integer THEN RAISE EXCEPTION 'command %', n; END IF;
             END $$;
             SET test.fail_at = 0;
             CREATE EVENT TRIGGER fail_at ON ddl_command_start EXECUTE FUNCTION fail_at()",
        )
        .unwrap();
    remember(&mut client);
    let mut commands = [0, 0];
    for (step, count) in commands.iter_mut().enumerate() {
        loop {
            *count += 1;
            client.batch_execute(&format!("SET test.fail_at = {count}")).unwrap();
            let done = if step == 0 { retire(&mut client, ACCEPTING) } else { restore(&mut client) };
            if done.is_ok() {
                break;
            }
            assert_eq!(code(done), ("P0001".to_owned(), format!("command {count}")));
            assert_eq!(changed(&mut client), [""; 0], "step {step}, command {count}");
        }
        client.batch_execute("SET test.fail_at = 0").unwrap();
        if step == 0 {
            client.batch_execute("SELECT pg_temp.remember()").unwrap();
        }
    }
    assert!(commands.iter().all(|count| *count > 3), "{commands:?}");
}

/// Objects that may use the column, one each.
const FEATURES: [&str; 29] = [
    "ALTER TABLE profiles ALTER allowed_models SET DEFAULT '{d}'",
    "UPDATE profiles SET allowed_models = '{}' WHERE allowed_models IS NULL; ALTER TABLE profiles ALTER allowed_models SET NOT NULL",
    "ALTER TABLE profiles ALTER allowed_models SET STORAGE MAIN, ALTER allowed_models SET STATISTICS 7",
    "COMMENT ON COLUMN profiles.allowed_models IS 'it''s'",
    "GRANT SELECT (allowed_models) ON profiles TO web WITH GRANT OPTION; SET ROLE web; GRANT SELECT (allowed_models) ON profiles TO analyst; RESET ROLE",
    "CREATE INDEX gin ON profiles USING gin (allowed_models); COMMENT ON INDEX gin IS 'gin'",
    "CREATE INDEX two ON profiles (tier, allowed_models) INCLUDE (note); ALTER TABLE profiles CLUSTER ON two",
    "CREATE UNIQUE INDEX part ON profiles (id, (allowed_models[1])) WHERE cardinality(allowed_models) > 1",
    "ALTER TABLE profiles ADD CHECK (cardinality(allowed_models) < 9)",
    "ALTER TABLE profiles ADD CONSTRAINT \"No T\" CHECK (tier <> 'x' OR allowed_models IS NULL) NOT VALID",
    "ALTER TABLE profiles ADD EXCLUDE USING gist (id WITH =, (cardinality(allowed_models)) WITH =)",
    "ALTER TABLE profiles ADD g integer GENERATED ALWAYS AS (cardinality(allowed_models)) STORED; CREATE INDEX g ON profiles (g)",
    "CREATE STATISTICS st (dependencies) ON tier, allowed_models FROM profiles; COMMENT ON STATISTICS st IS 'st'",
    "CREATE POLICY p ON profiles FOR INSERT WITH CHECK (allowed_models = '{}'); ALTER TABLE profiles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE RULE r AS ON INSERT TO profiles WHERE NEW.allowed_models = '{r}' DO ALSO NOTHING; ALTER TABLE profiles ENABLE ALWAYS RULE r",
    "CREATE TRIGGER a_touch BEFORE UPDATE OF allowed_models ON profiles FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE profiles DISABLE TRIGGER a_touch",
    "CREATE TRIGGER b_touch BEFORE UPDATE ON profiles FOR EACH ROW WHEN (OLD.allowed_models IS DISTINCT FROM NEW.allowed_models) EXECUTE FUNCTION touch(); ALTER TABLE profiles ENABLE REPLICA TRIGGER b_touch",
    "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.allowed_models := ARRAY[NEW.tier]; RETURN NEW; END $$;
     CREATE TRIGGER fill BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION fill(); COMMENT ON TRIGGER fill ON profiles IS 'fill'",
    "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON profiles DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch()",
    "CREATE VIEW v1 WITH (security_barrier) AS SELECT allowed_models, id, note FROM profiles; GRANT SELECT (allowed_models, id) ON v1 TO web; COMMENT ON VIEW v1 IS 'v1';
     CREATE RULE v1_rule AS ON INSERT TO v1 DO INSTEAD INSERT INTO profiles (id) VALUES (NEW.id); ALTER VIEW v1 ALTER note SET DEFAULT 'v1'",
    "CREATE VIEW v2 AS SELECT id, allowed_models AS \"The Models\", tier FROM profiles; CREATE VIEW v3 AS SELECT DISTINCT id FROM v2; CREATE FUNCTION of_v2() RETURNS SETOF v2 LANGUAGE sql AS 'SELECT * FROM public.v2'",
    "CREATE VIEW v4 AS SELECT id FROM profiles WHERE allowed_models <> '{}' ORDER BY allowed_models; ALTER VIEW v4 OWNER TO web; GRANT SELECT ON profiles TO web; CREATE VIEW v5 AS TABLE v4",
    "CREATE MATERIALIZED VIEW m1 AS SELECT id, allowed_models FROM profiles; CREATE UNIQUE INDEX m1_idx ON m1 (id); ALTER TABLE m1 SET (fillfactor = 70)",
    "CREATE MATERIALIZED VIEW m2 AS SELECT allowed_models, id FROM profiles WITH NO DATA; CREATE INDEX m2_idx ON m2 USING gin (allowed_models); ALTER TABLE m2 ALTER id SET STATISTICS 3",
    "CREATE RULE u AS ON UPDATE TO profiles WHERE OLD.tier = 'free' DO INSTEAD NOTHING; ALTER TABLE profiles ENABLE REPLICA RULE u",
    "CREATE RULE also AS ON UPDATE TO profiles DO ALSO INSERT INTO profiles (id) VALUES (99)",
    "CREATE VIEW v6 AS SELECT id, allowed_models FROM profiles; CREATE RULE v6_rule AS ON INSERT TO v6 DO INSTEAD INSERT INTO profiles (id, allowed_models) VALUES (NEW.id, NEW.allowed_models)",
    "CREATE CONSTRAINT TRIGGER told AFTER UPDATE OF allowed_models ON profiles DEFERRABLE FOR EACH ROW WHEN (NEW.allowed_models IS NULL) EXECUTE FUNCTION touch()",
    "ALTER TABLE profiles ADD g2 integer GENERATED ALWAYS AS (cardinality(allowed_models)) STORED;
     CREATE VIEW v7 AS SELECT id, allowed_models, g2, float8 '1.0000000000000002' AS f, interval '1 day 2 hours' AS i, '\\x01'::bytea AS b FROM profiles; CREATE VIEW v8 AS SELECT id, f FROM v7",
];

#[test]
fn any_mix_of_dependents_is_restored() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE web; CREATE ROLE analyst; GRANT ALL ON SCHEMA public TO web; CREATE EXTENSION IF NOT EXISTS btree_gist;
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$",
        )
        .unwrap();
    let mut random = Random(7);
    for round in 0..40 {
        let table = match round % 3 {
            0 => "CREATE TABLE profiles (id integer PRIMARY KEY, allowed_models text[], tier text, note text, touched timestamptz)",
            1 => {
                "CREATE TABLE profiles (id integer PRIMARY KEY, tier text, note text, touched timestamptz, allowed_models varchar(20)[]) PARTITION BY RANGE (id);
                 CREATE TABLE low PARTITION OF profiles FOR VALUES FROM (0) TO (3) PARTITION BY RANGE (id);
                 CREATE TABLE lower PARTITION OF low FOR VALUES FROM (0) TO (2); CREATE TABLE low_rest PARTITION OF low DEFAULT;
                 CREATE TABLE high (note text, touched timestamptz, tier text, allowed_models varchar(20)[], id integer NOT NULL); ALTER TABLE profiles ATTACH PARTITION high DEFAULT"
            }
            _ => {
                "CREATE TABLE profiles (id integer PRIMARY KEY, allowed_models text[], tier text, note text, touched timestamptz);
                 CREATE TABLE kid (more text) INHERITS (profiles); INSERT INTO kid VALUES (11, '{k}', 't', 'n', NULL, 'm'), (12, NULL, NULL, NULL, NULL, NULL)"
            }
        };
        // some of them are not possible with partitions
        let features: Vec<&str> = FEATURES
            .into_iter()
            .filter(|feature| {
                random.below(3) > 0
                    && !(round % 3 == 1 && (feature.contains("EXCLUDE") || feature.contains("CLUSTER")))
            })
            .collect();
        client
            .batch_execute(&format!(
                "SET client_min_messages = error; DROP TABLE IF EXISTS profiles CASCADE; DROP FUNCTION IF EXISTS fill, of_v2 CASCADE; RESET client_min_messages;
                 {table};
                 INSERT INTO profiles (id, allowed_models, tier) VALUES (0, '{{a,b}}', 'free'), (1, NULL, 'pro'), (2, '{{}}', NULL), (3, '{{NULL,\"\"}}', 'x')"
            ))
            .unwrap();
        for feature in &features {
            client.batch_execute(feature).unwrap_or_else(|error| panic!("{feature}: {error:?}"));
        }
        client.batch_execute("DISCARD TEMP").unwrap();
        remember(&mut client);
        client
            .batch_execute("SELECT model_access_retire_allowed_models('profiles', accept => '{anything}')")
            .unwrap();
        assert_eq!(changed(&mut client), [""; 0], "a dry run: {features:#?}");
        retire(&mut client, ACCEPTING).unwrap_or_else(|error| panic!("{features:#?}: {error:?}"));
        // what a restore writes does not depend on the output settings of the session
        client
            .batch_execute("SET extra_float_digits = 0; SET intervalstyle = iso_8601; SET bytea_output = escape; SET array_nulls = off; SET datestyle = german")
            .unwrap();
        // if nothing filled a NOT NULL list before, nothing fills it now
        if let Err(error) = client.batch_execute("INSERT INTO profiles (id) VALUES (7)") {
            assert_eq!(
                error.code().unwrap().code(),
                "23502",
                "the application afterwards: {features:#?}: {error:?}"
            );
            assert!(features.iter().any(|feature| feature.contains("SET NOT NULL")));
            assert!(
                !features
                    .iter()
                    .any(|feature| feature.contains("SET DEFAULT '{d}'") || feature.contains("fill()"))
            );
        }
        client.batch_execute("DELETE FROM profiles WHERE id = 7").unwrap();
        restore(&mut client).unwrap_or_else(|error| panic!("{features:#?}: {error:?}"));
        client.batch_execute("RESET ALL").unwrap();
        assert_eq!(changed(&mut client), [""; 0], "{features:#?}");
    }
}

#[test]
fn any_mix_of_dependents_can_be_dropped() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE web; CREATE ROLE analyst; GRANT ALL ON SCHEMA public TO web; CREATE EXTENSION IF NOT EXISTS btree_gist;
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$",
        )
        .unwrap();
    let mut random = Random(11);
    for _ in 0..20 {
        let features: Vec<&str> = FEATURES.into_iter().filter(|_| random.below(3) > 0).collect();
        client
            .batch_execute(
                "SET client_min_messages = error; DROP TABLE IF EXISTS profiles, profiles_allowed_models CASCADE; DROP FUNCTION IF EXISTS fill, of_v2 CASCADE;
                 CREATE TABLE profiles (id integer PRIMARY KEY, allowed_models text[], tier text, note text, touched timestamptz);
                 INSERT INTO profiles (id, allowed_models, tier) VALUES (0, '{a,b}', 'free'), (1, NULL, 'pro'), (2, '{}', NULL), (3, '{NULL,\"\"}', 'x')",
            )
            .unwrap();
        for feature in &features {
            client.batch_execute(feature).unwrap_or_else(|error| panic!("{feature}: {error:?}"));
        }
        let lists = "SELECT string_agg(coalesce(allowed_models::text, 'none'), ' ' ORDER BY id) FROM ";
        let before: String = client.query_one(&format!("{lists} profiles"), &[]).unwrap().get(0);
        retire(&mut client, ACCEPTING).unwrap();
        if let Err(error) = drop_retired(&mut client) {
            // an object that uses a dropped object must be changed by its owner first; nothing has changed
            assert_eq!(error.code().unwrap().code(), "2BP01", "{features:#?}: {error:?}");
            client.batch_execute("SELECT allowed_models_retired FROM profiles; DROP VIEW v8, v7").unwrap();
            drop_retired(&mut client).unwrap_or_else(|error| panic!("{features:#?}: {error:?}"));
        }
        let kept: String = client.query_one(&format!("{lists} profiles_allowed_models"), &[]).unwrap().get(0);
        assert_eq!(kept, before, "{features:#?}");
        let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'profiles'::regclass AND attname LIKE '%models%'";
        assert_eq!(client.query_one(columns, &[]).unwrap().get::<_, i64>(0), 0);
        // the views that only listed the column still exist, with their options, and still work
        if features.iter().any(|feature| feature.contains("VIEW v1 ")) {
            let view = "SELECT reloptions::text, (SELECT bool_and(allowed_models = '{}') FROM v1) FROM pg_class WHERE relname = 'v1'";
            let row = client.query_one(view, &[]).unwrap();
            assert_eq!((row.get(0), row.get(1)), ("{security_barrier=true}", true));
        }
        client.batch_execute("UPDATE profiles SET tier = 'pro'; DELETE FROM profiles").unwrap();
    }
}

#[test]
fn the_script_of_the_dry_run_does_what_applying_does() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    // two copies of one dump
    for name in ["applied", "by_script"] {
        cluster.connect().batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).unwrap();
        copy_database(&cluster, "postgres", name);
    }
    let (mut applied, mut by_script) = (cluster.connect_to("applied"), cluster.connect_to("by_script"));
    let query = format!(
        "SELECT string_agg(ddl, '' ORDER BY step) FROM model_access_retire_allowed_models('public.profiles', {ACCEPTING})"
    );
    let script: String = applied.query_one(&query, &[]).unwrap().get(0);
    retire(&mut applied, ACCEPTING).unwrap();
    psql(&cluster, "by_script", &["-1"], &script);
    let catalogue = |client: &mut Client| -> Vec<String> {
        remember(client);
        let rows = client.query("SELECT remembered::text FROM remembered ORDER BY 1", &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(catalogue(&mut applied), catalogue(&mut by_script));
    restore(&mut by_script).unwrap();

    // a script that is out of date does nothing
    by_script.batch_execute("CREATE OR REPLACE FUNCTION public.touch() RETURNS text LANGUAGE sql AS 'SELECT NULL::text AS allowed_models FROM public.profiles'").unwrap();
    let outdated = by_script.batch_execute(&format!("BEGIN; {script} COMMIT"));
    assert_eq!(code(outdated).0, "55000");
    by_script.batch_execute("ROLLBACK; SELECT allowed_models FROM public.profiles").unwrap();

    // an object that is `manual` stops the script
    let query =
        "SELECT string_agg(ddl, '' ORDER BY step) FROM model_access_retire_allowed_models('public.profiles')";
    let script: String = by_script.query_one(query, &[]).unwrap().get(0);
    let (state, message) = code(by_script.batch_execute(&script));
    assert_eq!(state, "55000");
    assert!(message.ends_with("must be reviewed first"), "{message}");
}

#[test]
fn it_waits_for_a_lock_until_lock_timeout() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let (mut client, mut other) = (cluster.connect(), cluster.connect());
    remember(&mut client);
    let mut reader = other.transaction().unwrap();
    reader.batch_execute("SELECT FROM public.profiles").unwrap();
    client.batch_execute("SET lock_timeout = '100ms'").unwrap();
    let (code_seen, message) = code(retire(&mut client, ACCEPTING));
    assert_eq!(code_seen, "55P03");
    assert!(message.contains("could not lock public.profiles within 100ms"), "{message}");
    reader.rollback().unwrap();
    assert_eq!(changed(&mut client), [""; 0]);
    retire(&mut client, ACCEPTING).unwrap();
    // a session that reads a view of the table holds a lock too; a restore waits in the same way
    let mut reader = other.transaction().unwrap();
    reader.batch_execute("SELECT FROM public.api_user_summary").unwrap();
    assert_eq!(code(restore(&mut client)).0, "55P03");
    reader.rollback().unwrap();
    restore(&mut client).unwrap();
    assert_eq!(changed(&mut client), [""; 0]);
}

#[test]
fn readers_of_a_view_wait_and_do_not_fail() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let (mut client, mut other, mut viewer) = (cluster.connect(), cluster.connect(), cluster.connect());
    let mut observer = cluster.connect();
    let mut reader = other.transaction().unwrap();
    reader.batch_execute("SELECT FROM public.profiles").unwrap();
    let retiring = std::thread::spawn(move || {
        client.batch_execute("SET lock_timeout = '60s'").unwrap();
        retire(&mut client, ACCEPTING)
    });
    wait_until(&mut observer, "EXISTS (SELECT FROM pg_locks WHERE NOT granted)");
    let retired = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&retired);
    let viewing = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            viewer.batch_execute("SELECT FROM public.api_user_summary").unwrap();
        }
    });
    wait_until(&mut observer, "(SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) = 2");
    reader.commit().unwrap();
    retiring.join().unwrap().unwrap();
    retired.store(true, Ordering::Relaxed);
    viewing.join().unwrap();
}

#[test]
fn writes_of_others_before_the_lock_are_kept() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let (mut client, mut other) = (cluster.connect(), cluster.connect());
    let change =
        "UPDATE public.profiles SET allowed_models = '{last/minute}' WHERE email = 'pro@example.org'";
    let list = "SELECT allowed_models::text FROM public.profiles WHERE email = 'pro@example.org'";

    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM public.profiles").unwrap();
    assert_eq!(code(retire(&mut client, ACCEPTING)).0, "0A000");
    client.batch_execute("ROLLBACK").unwrap();

    let mut writer = other.transaction().unwrap();
    writer.batch_execute(change).unwrap();
    let retiring = std::thread::spawn(move || {
        client.batch_execute("SET lock_timeout = '60s'").unwrap();
        retire(&mut client, ACCEPTING).map(|()| client)
    });
    wait_until(
        &mut cluster.connect(),
        "EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted)",
    );
    writer.commit().unwrap();
    let mut client = retiring.join().unwrap().unwrap();
    restore(&mut client).unwrap();
    assert_eq!(client.query_one(list, &[]).unwrap().get::<_, &str>(0), "{last/minute}");
}

#[test]
fn a_dump_carries_what_was_retired() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let mut client = cluster.connect();
    remember(&mut client);
    retire(&mut client, ACCEPTING).unwrap();
    client.batch_execute("CREATE DATABASE copy TEMPLATE template0").unwrap();
    copy_database(&cluster, "postgres", "copy");
    let mut copy = cluster.connect_to("copy");
    restore(&mut copy).unwrap();
    restore(&mut client).unwrap();
    assert_eq!(changed(&mut client), [""; 0]);
    let triggers = "SELECT string_agg(tgname || tgenabled::text, ',' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'public.profiles'::regclass";
    let states =
        [&mut client, &mut copy].map(|client| client.query_one(triggers, &[]).unwrap().get::<_, String>(0));
    assert_eq!(states[0], states[1]);
    // retired again, and dropped in the copy
    retire(&mut copy, ACCEPTING).unwrap();
    drop_retired(&mut copy).unwrap();
    client.batch_execute("CREATE DATABASE copy_of_copy TEMPLATE template0").unwrap();
    copy_database(&cluster, "copy", "copy_of_copy");
}

#[test]
fn no_session_ends_in_a_deadlock() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE profiles (id integer PRIMARY KEY, allowed_models text[]) PARTITION BY RANGE (id);
             CREATE TABLE low PARTITION OF profiles FOR VALUES FROM (0) TO (9); CREATE VIEW listed AS SELECT id, allowed_models FROM profiles;
             INSERT INTO profiles VALUES (1, '{a}')",
        )
        .unwrap();
    // a session that reads a partition, or the table, and then the other, or a view, waits only for an instant
    let readers: Vec<_> = (0..4)
        .map(|n| {
            let mut session = cluster.connect();
            std::thread::spawn(move || {
                let (first, second) = [("low", "profiles"), ("profiles", "listed"), ("listed", "low"), ("low", "listed")][n];
                session.batch_execute("PREPARE one AS SELECT count(*) FROM listed").unwrap();
                for _ in 0..150 {
                    session.batch_execute(&format!("BEGIN; SELECT count(*) FROM {first}; SELECT count(*) FROM {second}; EXECUTE one; COMMIT")).unwrap();
                }
            })
        })
        .collect();
    client.batch_execute("SET lock_timeout = '20s'").unwrap();
    for _ in 0..10 {
        retire(&mut client, "'allowed_models'").unwrap();
        restore(&mut client).unwrap();
    }
    retire(&mut client, "'allowed_models'").unwrap();
    drop_retired(&mut client).unwrap();
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn code_of_the_table_owner_runs_as_that_owner() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE app; CREATE ROLE child_app; GRANT CREATE ON SCHEMA public TO app, child_app;
             CREATE TABLE seen (by name); GRANT INSERT, SELECT ON seen TO PUBLIC;
             CREATE FUNCTION note() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN true; END $$;
             CREATE FUNCTION list() RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN PERFORM public.note(); RETURN '{l}'; END $$;
             CREATE FUNCTION pure(a text[]) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.note(); RETURN cardinality(a); END $$;
             CREATE DOMAIN models AS text[] CHECK (note());
             CREATE TABLE profiles (id integer PRIMARY KEY, allowed_models models DEFAULT list());
             ALTER TABLE profiles ADD CHECK (pure(allowed_models) < 9), ADD n integer GENERATED ALWAYS AS (pure(allowed_models)) STORED;
             CREATE INDEX pure ON profiles (pure(allowed_models));
             CREATE MATERIALIZED VIEW lists AS SELECT id, allowed_models, list() AS list FROM profiles;
             CREATE FUNCTION of_lists() RETURNS SETOF lists LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT l.* FROM public.lists AS l WHERE public.pure('{a}') = 1; END $$;
             ALTER FUNCTION of_lists() OWNER TO app; ALTER MATERIALIZED VIEW lists OWNER TO app;
             ALTER DOMAIN models OWNER TO app; ALTER TABLE profiles OWNER TO app;
             SET ROLE app; INSERT INTO profiles (id, allowed_models) VALUES (1, '{a}'), (2, NULL); RESET ROLE",
        )
        .unwrap();
    client
        .batch_execute("DO $$ BEGIN CREATE EXTENSION plpgsql_check; EXCEPTION WHEN OTHERS THEN NULL; END $$")
        .unwrap();
    client
        .batch_execute(
            "CREATE FUNCTION rise() RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN PERFORM note(); RESET ROLE;
                 IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE app SUPERUSER; END IF; RETURN '{}'; END $$;
             CREATE FUNCTION folded(text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.note(); RETURN 1; END $$;
             CREATE VIEW listed AS SELECT id, allowed_models FROM profiles; CREATE STATISTICS st ON (folded('s')), id FROM profiles;
             CREATE INDEX folded ON profiles ((folded('x'))); CREATE INDEX part ON profiles (id) WHERE folded('p') = 1;
             ALTER TABLE profiles ALTER allowed_models SET DEFAULT rise(); ALTER VIEW listed OWNER TO app; DELETE FROM seen",
        )
        .unwrap();
    for dry_run in ["true", "false"] {
        client
            .batch_execute(&format!(
                "SELECT model_access_retire_allowed_models('profiles', {ACCEPTING}, dry_run => {dry_run})"
            ))
            .unwrap();
    }
    client.batch_execute("SET ROLE app; INSERT INTO profiles VALUES (3, '{c}'); RESET ROLE").unwrap();
    client.batch_execute("SELECT model_access_restore_allowed_models('profiles')").unwrap();
    restore(&mut client).unwrap();
    let rows = "SELECT string_agg(allowed_models::text, ' ' ORDER BY id) FROM profiles";
    client.batch_execute("SET ROLE app").unwrap();
    assert_eq!(client.query_one(rows, &[]).unwrap().get::<_, &str>(0), "{a} {c}");
    client.batch_execute("RESET ROLE").unwrap();
    client
        .batch_execute("SELECT * FROM model_access_import_allowed_models('profiles', tier_column => 'tier')")
        .unwrap_err();
    retire(&mut client, ACCEPTING).unwrap();
    // of_lists() uses the materialized view that would be dropped
    assert_eq!(drop_retired(&mut client).unwrap_err().code().unwrap().code(), "2BP01");
    client.batch_execute("DROP FUNCTION of_lists()").unwrap();
    drop_retired(&mut client).unwrap();
    let seen = "SELECT string_agg(DISTINCT by::text, ','), (SELECT rolsuper FROM pg_roles WHERE rolname = 'app') FROM seen";
    let row = client.query_one(seen, &[]).unwrap();
    assert_eq!((row.get::<_, Option<&str>>(0), row.get(1)), (Some("app"), false));
    client.batch_execute("SET ROLE app").unwrap();
    let kept = client
        .query_one(
            "SELECT string_agg(allowed_models::text, ' ' ORDER BY id) FROM profiles_allowed_models",
            &[],
        )
        .unwrap();
    assert_eq!(kept.get::<_, &str>(0), "{a} {c}");
}

#[test]
fn without_the_library_one_role_may_own_both() {
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE theirs (id integer PRIMARY KEY, allowed_models text[]); GRANT ALL ON theirs TO keeper;
             SET SESSION AUTHORIZATION keeper;
             CREATE TABLE profiles (id integer PRIMARY KEY, email text, allowed_models text[] DEFAULT '{d}', CHECK (cardinality(allowed_models) < 9));
             INSERT INTO profiles VALUES (1, 'a', '{a}'), (2, 'b', NULL);
             CREATE INDEX ON profiles USING gin (allowed_models);
             CREATE VIEW listed AS SELECT id, allowed_models FROM profiles; GRANT SELECT ON listed TO PUBLIC;
             ALTER TABLE profiles ENABLE ROW LEVEL SECURITY",
        )
        .unwrap();
    let error = client.batch_execute("SELECT model_access_retire_allowed_models('theirs')").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code().code(), error.message()), ("42501", "must be owner of table public.theirs"));
    assert!(error.hint().is_some());
    for force in ["", "ALTER TABLE profiles FORCE ROW LEVEL SECURITY"] {
        client.batch_execute(&format!("DISCARD TEMP; {force}")).unwrap();
        remember(&mut client);
        retire(&mut client, "'allowed_models'").unwrap();
        restore(&mut client).unwrap();
        assert_eq!(changed(&mut client), [""; 0]);
    }
    client.batch_execute("ALTER TABLE profiles NO FORCE ROW LEVEL SECURITY").unwrap();
    retire(&mut client, "'allowed_models'").unwrap();
    drop_retired(&mut client).unwrap();
    let rows = "SELECT string_agg(coalesce(allowed_models::text, 'none'), ' ' ORDER BY id) FROM profiles_allowed_models";
    assert_eq!(client.query_one(rows, &[]).unwrap().get::<_, &str>(0), "{a} none");
}
