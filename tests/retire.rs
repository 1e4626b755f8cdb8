//! Leaving `profiles.allowed_models` and coming back: a failure at every command, every mix of what may hang on the
//! column, other sessions, a dump in between, and whose rights it all runs with.

#![allow(clippy::unwrap_used)] // a test ends there

use postgres::Client;
use std::process::{Command, Stdio};
use tests::{Cluster, Random, copy_database, repository, wait_until};

const ACCEPTING: &str = "accept => ARRAY(SELECT object FROM model_access_retire_allowed_models('public.profiles') WHERE action = 'needs you')";

/// Runs files of `tests/pg_regress` in psql, whose commands they use.
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

/// Everything that must not change, and how to ask what did; without psql's own commands.
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
    client.batch_execute("SELECT model_access_restore_allowed_models('public.profiles')")
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
    assert!(commands.iter().all(|count| *count > 30), "{commands:?}");
}

/// What may hang on the column, each by itself.
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
fn any_mix_of_what_hangs_on_the_column_comes_back() {
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
        // some do not go with partitions
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
        // texts are as they are, however a session likes to see them
        client
            .batch_execute("SET extra_float_digits = 0; SET intervalstyle = iso_8601; SET bytea_output = escape; SET array_nulls = off; SET datestyle = german")
            .unwrap();
        client
            .batch_execute("INSERT INTO profiles (id) VALUES (7)")
            .and_then(|()| client.batch_execute("DELETE FROM profiles WHERE id = 7"))
            .unwrap_or_else(|error| panic!("the application afterwards: {features:#?}: {error:?}"));
        restore(&mut client).unwrap_or_else(|error| panic!("{features:#?}: {error:?}"));
        client.batch_execute("RESET ALL").unwrap();
        assert_eq!(changed(&mut client), [""; 0], "{features:#?}");
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

    // one that is out of date does nothing
    by_script.batch_execute("GRANT SELECT ON reports.users_by_tier TO regress_web").unwrap();
    let outdated = by_script.batch_execute(&format!("BEGIN; {script} COMMIT"));
    assert_eq!(code(outdated).0, "55000");
    by_script.batch_execute("ROLLBACK; SELECT allowed_models FROM public.profiles").unwrap();

    // what still needs somebody stops it
    let query =
        "SELECT string_agg(ddl, '' ORDER BY step) FROM model_access_retire_allowed_models('public.profiles')";
    let script: String = by_script.query_one(query, &[]).unwrap().get(0);
    let (state, message) = code(by_script.batch_execute(&script));
    assert_eq!(state, "55000");
    assert!(message.ends_with("needs you"), "{message}");
}

#[test]
fn it_waits_for_a_lock_as_long_as_the_session_says() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let (mut client, mut other) = (cluster.connect(), cluster.connect());
    remember(&mut client);
    let mut reader = other.transaction().unwrap();
    reader.batch_execute("SELECT FROM public.profiles").unwrap();
    client.batch_execute("SET lock_timeout = '100ms'").unwrap();
    let (code_seen, message) = code(retire(&mut client, ACCEPTING));
    assert_eq!(code_seen, "55P03");
    assert!(message.contains("another session has a lock that public.profiles needs"), "{message}");
    reader.rollback().unwrap();
    assert_eq!(changed(&mut client), [""; 0]);
    retire(&mut client, ACCEPTING).unwrap();
    // a view of its own locks, and so does restoring
    let mut reader = other.transaction().unwrap();
    reader.batch_execute("SELECT FROM public.api_user_summary").unwrap();
    assert_eq!(code(restore(&mut client)).0, "55P03");
    reader.rollback().unwrap();
    restore(&mut client).unwrap();
    assert_eq!(changed(&mut client), [""; 0]);
    // without a limit of its own it takes one
    let script = "SELECT string_agg(ddl, '') FROM model_access_retire_allowed_models('public.profiles')";
    let limit = "SET LOCAL lock_timeout = '5s'";
    assert!(!client.query_one(script, &[]).unwrap().get::<_, &str>(0).contains(limit));
    client.batch_execute("RESET lock_timeout").unwrap();
    assert!(client.query_one(script, &[]).unwrap().get::<_, &str>(0).contains(limit));
}

#[test]
fn readers_of_a_view_wait_and_are_not_cut_off() {
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
    let waiting = |n: u32| format!("(SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) = {n}");
    wait_until(&mut observer, &waiting(1));
    let viewing = std::thread::spawn(move || viewer.batch_execute("SELECT FROM public.api_user_summary"));
    wait_until(&mut observer, &waiting(2));
    reader.commit().unwrap();
    retiring.join().unwrap().unwrap();
    viewing.join().unwrap().unwrap();
}

#[test]
fn what_others_write_before_it_has_the_lock_is_kept() {
    let cluster = Cluster::start();
    legacy_app(&cluster, "postgres");
    let (mut client, mut other) = (cluster.connect(), cluster.connect());
    let change =
        "UPDATE public.profiles SET allowed_models = '{last/minute}' WHERE email = 'pro@example.org'";
    let list = "SELECT allowed_models::text FROM public.profiles WHERE email = 'pro@example.org'";

    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM public.profiles").unwrap();
    assert_eq!(code(retire(&mut client, ACCEPTING)).0, "25001");
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
    let rows = "SELECT string_agg(p::text, '|' ORDER BY id) FROM (SELECT id, email, allowed_models FROM public.profiles) AS p";
    let before: String = client.query_one(rows, &[]).unwrap().get(0);
    retire(&mut client, ACCEPTING).unwrap();
    client.batch_execute("CREATE DATABASE copy TEMPLATE template0").unwrap();
    copy_database(&cluster, "postgres", "copy");
    let mut copy = cluster.connect_to("copy");
    restore(&mut copy).unwrap();
    assert_eq!(copy.query_one(rows, &[]).unwrap().get::<_, String>(0), before);
    // numbers go on where they were
    retire(&mut copy, ACCEPTING).unwrap();
    let numbers = "SELECT string_agg(retired_id::text, ',' ORDER BY retired_id) FROM model_access_retired";
    assert_eq!(copy.query_one(numbers, &[]).unwrap().get::<_, &str>(0), "1,2");
    restore(&mut copy).unwrap();
    // with the column back, a dump has nothing left to do with it
    client.batch_execute("CREATE DATABASE copy_of_copy TEMPLATE template0").unwrap();
    copy_database(&cluster, "copy", "copy_of_copy");
}

#[test]
fn a_hundred_thousand_users() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE profiles (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), updated_at timestamptz DEFAULT now(), allowed_models jsonb DEFAULT '[]');
             CREATE INDEX ON profiles USING gin (allowed_models);
             INSERT INTO profiles (allowed_models)
             SELECT CASE i % 10 WHEN 0 THEN NULL WHEN 1 THEN '[]' WHEN 2 THEN 'null' ELSE jsonb_build_array('a/m' || i % 50, 'b/m' || i % 70, i) END
             FROM generate_series(1, 100000) AS i;
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
             CREATE TRIGGER touch BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION touch()",
        )
        .unwrap();
    let sum = "SELECT md5(string_agg(concat_ws('|', id, updated_at, coalesce(allowed_models::text, 'none')), ',' ORDER BY id)) FROM profiles";
    let before: String = client.query_one(sum, &[]).unwrap().get(0);
    let start = std::time::Instant::now();
    retire(&mut client, "'allowed_models'").unwrap();
    let retired = start.elapsed();
    restore(&mut client).unwrap();
    println!("100 000 users: retired in {retired:?}, restored in {:?}", start.elapsed() - retired);
    assert_eq!(client.query_one(sum, &[]).unwrap().get::<_, String>(0), before);
}

#[test]
fn what_the_owner_of_the_table_wrote_runs_as_that_owner() {
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
    // plpgsql_check plans the queries of a function that is made again, which folds what claims to be immutable
    client
        .batch_execute("DO $$ BEGIN CREATE EXTENSION plpgsql_check; EXCEPTION WHEN OTHERS THEN NULL; END $$")
        .unwrap();
    client.batch_execute("DELETE FROM seen").unwrap();
    retire(&mut client, ACCEPTING).unwrap();
    client.batch_execute("SET ROLE app; INSERT INTO profiles VALUES (3); RESET ROLE").unwrap();
    restore(&mut client).unwrap();
    let seen = "SELECT string_agg(DISTINCT by::text, ',') FROM seen";
    assert_eq!(client.query_one(seen, &[]).unwrap().get::<_, &str>(0), "app");
    let rows = "SELECT string_agg(allowed_models::text, ' ' ORDER BY id) FROM profiles";
    assert_eq!(client.query_one(rows, &[]).unwrap().get::<_, &str>(0), "{a} {l}");
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
    for call in ["retire_allowed_models('theirs')", "restore_allowed_models('theirs')"] {
        let error = client.batch_execute(&format!("SELECT model_access_{call}")).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            (error.code().code(), error.message()),
            ("42501", "must be owner of table public.theirs"),
            "{call}"
        );
        assert!(error.hint().is_some());
    }
    // row security that is forced on the owner hides no row from the archive, and none from what comes back
    for force in ["", "ALTER TABLE profiles FORCE ROW LEVEL SECURITY"] {
        client.batch_execute(&format!("DISCARD TEMP; {force}")).unwrap();
        remember(&mut client);
        retire(&mut client, "'allowed_models'").unwrap();
        let kept = "SELECT count(*) FROM model_access_retired_value JOIN model_access_retired USING (retired_id) WHERE restored_at IS NULL";
        assert_eq!(client.query_one(kept, &[]).unwrap().get::<_, i64>(0), 2);
        restore(&mut client).unwrap();
        assert_eq!(changed(&mut client), [""; 0]);
        let value =
            "SELECT value FROM model_access_retired_value WHERE key = '1' ORDER BY retired_id DESC LIMIT 1";
        assert_eq!(client.query_one(value, &[]).unwrap().get::<_, &str>(0), "{a}");
    }
    client.batch_execute("ALTER TABLE profiles NO FORCE ROW LEVEL SECURITY").unwrap();
    let rows = "SELECT string_agg(coalesce(allowed_models::text, 'none'), ' ' ORDER BY id) FROM profiles";
    assert_eq!(client.query_one(rows, &[]).unwrap().get::<_, &str>(0), "{a} none");
}
