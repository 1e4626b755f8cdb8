//! Upgrades from each release, with the extension and without the library: nothing is lost, and what is there afterwards is
//! what a fresh install has.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::Client;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tests::{Cluster, daily_catalogues, days, push_program, repository, sql};

/// Every object of an install, one text for each part of it that an upgrade could get wrong. The search path must be empty,
/// so that every name has its schema.
const EVERYTHING: &str = "
    WITH relation AS (
        SELECT c.*, format('%s %s', c.relkind, c.oid::regclass) AS name
        FROM public._model_access_member AS m JOIN pg_class AS c ON c.oid = m.id AND m.class = 'pg_class'::regclass),
    routine AS (
        SELECT p.*, p.oid::regprocedure::text AS name
        FROM public._model_access_member AS m JOIN pg_proc AS p ON p.oid = m.id AND m.class = 'pg_proc'::regclass),
    acl AS (
        SELECT name, 'privileges' AS kind, coalesce(relacl,
                acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))::text[] AS items FROM relation
        UNION ALL SELECT name, 'privileges', coalesce(proacl, acldefault('f', proowner))::text[] FROM routine
        UNION ALL SELECT r.name || '.' || a.attname, 'privileges', a.attacl::text[]
            FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL
        UNION ALL SELECT r.name || i.objsubid, 'initial privileges', i.initprivs::text[]
            FROM (SELECT 'pg_class'::regclass AS class, oid, name FROM relation
                  UNION ALL SELECT 'pg_proc'::regclass, oid, name FROM routine) AS r
            JOIN pg_init_privs AS i ON i.objoid = r.oid AND i.classoid = r.class)
    SELECT concat_ws(': ', t.name, t.kind, t.text) FROM (
        SELECT name, 'definition' AS kind, pg_get_functiondef(oid) AS text FROM routine
        UNION ALL SELECT name, 'owner', proowner::regrole::text FROM routine
        UNION ALL SELECT name, 'comment', obj_description(oid, 'pg_proc') FROM routine
        UNION ALL SELECT name, 'definition', pg_get_viewdef(oid) FROM relation WHERE relkind = 'v'
        UNION ALL SELECT name, 'owner', relowner::regrole::text FROM relation
        UNION ALL SELECT name, 'comment', obj_description(oid, 'pg_class') FROM relation
        UNION ALL SELECT name, 'options', concat_ws(' ', reloptions, relpersistence, relrowsecurity, relreplident) FROM relation
        UNION ALL SELECT r.name, 'column ' || a.attnum, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                a.attstorage, a.attcompression, a.attidentity, a.attgenerated, a.attcollation::regcollation,
                pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum))
            FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0
            LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
        UNION ALL SELECT r.name, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
            FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
        UNION ALL SELECT r.name, 'index', pg_get_indexdef(i.indexrelid) FROM relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
        UNION ALL SELECT r.name, 'trigger ' || t.tgname,
                concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
            FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid
            WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.oid = t.tgconstraint AND k.contype = 'f')
        UNION ALL SELECT r.name, 'rule ' || u.rulename, pg_get_ruledef(u.oid)
            FROM relation AS r JOIN pg_rewrite AS u ON u.ev_class = r.oid WHERE r.relkind <> 'v'
        UNION ALL SELECT r.name, 'sequence', concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmax,
                s.seqmin, s.seqcache, s.seqcycle, pg_get_serial_sequence('public.model_access_history', 'history_id'))
            FROM relation AS r JOIN pg_sequence AS s ON s.seqrelid = r.oid
        UNION ALL SELECT name, kind, array_to_string(ARRAY(SELECT i FROM unnest(items) AS i ORDER BY i), ' ') FROM acl
        UNION ALL SELECT r.name, 'dumped', e.extcondition[array_position(e.extconfig, r.oid)]
            FROM relation AS r JOIN pg_extension AS e ON r.oid = ANY (e.extconfig)
        UNION ALL SELECT 'extension', 'version', public.model_access_version()) AS t(name, kind, text)
    ORDER BY 1";

/// The rows of each table, as hashes.
const ROWS: &str = "SELECT format('SELECT %L || count(*) || '' '' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM %s AS t',
        c.oid::regclass || ': ', c.oid::regclass)
    FROM _model_access_member AS m JOIN pg_class AS c ON c.oid = m.id AND c.relkind = 'r' AND m.class = 'pg_class'::regclass
    WHERE c.relname <> '_model_access_installed' UNION ALL SELECT 'SELECT string_agg(m::text, '' '' ORDER BY m)
        FROM unnest(''{free,pro,enterprise}''::text[]) AS t, models_for_tier(t) AS m'
    UNION ALL SELECT 'SELECT string_agg(m::text, '' '' ORDER BY m) FROM models_for_user(''1'') AS m'
    UNION ALL SELECT 'SELECT string_agg(m::text, '' '' ORDER BY m) FROM model_access_review AS m' ORDER BY 1";

/// Decisions, and everything else that an upgrade must keep.
const DECISIONS: &str = "
    UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
    UPDATE model_access SET status = 'active', is_pro = true WHERE provider IN ('openai', 'anthropic');
    UPDATE model_access SET status = 'disabled', note = 'legal says no' WHERE provider = 'deepseek';
    SELECT model_access_confirm('openai/gpt-4');
    SELECT model_access_set('return_window', '3 days');
    INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true);
    INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('1', 'openai/gpt-4', false);
    CREATE TABLE users (id integer PRIMARY KEY, plan text NOT NULL);
    INSERT INTO users VALUES (1, 'pro'), (2, 'free');
    SELECT model_access_bind_profiles('users', tier_column => 'plan');
    CREATE TABLE used (id integer REFERENCES users, model_id text REFERENCES model_access);
    CREATE TRIGGER enforce AFTER INSERT ON used FOR EACH ROW EXECUTE FUNCTION model_access_enforce('id', 'model_id');
    INSERT INTO used VALUES (1, 'openai/gpt-4o');";
/// Rights, and a privilege that the DBA gave by hand.
const RIGHTS: &str = "
    SELECT model_access_grant(role::regrole, substr(role, 5)) FROM unnest('{has_user,has_reader,has_viewer,has_admin}'::text[]) AS role;
    GRANT SELECT ON model_access_history TO has_reader;
    GRANT EXECUTE ON FUNCTION model_access_health() TO has_user";
const ROLES: &str =
    "CREATE ROLE has_user; CREATE ROLE has_reader; CREATE ROLE has_viewer; CREATE ROLE has_admin";

fn releases() -> Vec<String> {
    let steps = sql(&["steps"]);
    steps.lines().map(|step| step.split(' ').next().unwrap().to_owned()).collect()
}

fn texts(client: &mut Client, query: &str) -> Vec<String> {
    client
        .query(query, &[])
        .unwrap_or_else(|error| panic!("{query}: {error:?}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

fn everything(client: &mut Client) -> Vec<String> {
    client.batch_execute("SET search_path = ''").unwrap();
    let all = texts(client, EVERYTHING);
    client.batch_execute("RESET search_path").unwrap();
    all
}

fn rows(client: &mut Client) -> Vec<String> {
    let queries = texts(client, ROWS);
    queries
        .iter()
        .flat_map(|query| client.query(query, &[]).unwrap())
        .map(|row| row.try_get(0).unwrap_or_default())
        .collect()
}

/// The lines in which two lists differ.
fn assert_same(what: &str, upgraded: &[String], fresh: &[String]) {
    assert!(fresh.len() > 5, "{what}: {}", fresh.len());
    let only = |a: &[String], b: &[String]| -> String {
        a.iter().filter(|line| !b.contains(line)).take(5).cloned().collect::<Vec<_>>().join("\n")
    };
    let order = upgraded.iter().zip(fresh).find(|(a, b)| a != b);
    assert!(
        upgraded == fresh,
        "{what}: upgraded has\n{}\nfresh has\n{}\nfirst in another order: {order:?}",
        only(upgraded, fresh),
        only(fresh, upgraded)
    );
}

/// The statements of a dump without rows.
fn dump(cluster: &Cluster, database: &str) -> Vec<String> {
    let mut command = Command::new(tests::server_program("pg_dump"));
    let output =
        command.args(["-s", "-U", "postgres", "-h"]).arg(cluster.socket()).arg(database).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<_> =
        text.lines().filter(|line| !line.contains("restrict ")).map(str::to_owned).collect();
    // the roles of one object stand in the order in which they got the privilege
    lines.chunk_by_mut(|a, b| [a, b].iter().all(|line| line.starts_with("GRANT "))).for_each(<[_]>::sort);
    lines
}

/// Runs `model-access` as the role that owns the install.
fn program(cluster: &Cluster, database: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(push_program());
    command
        .args(arguments)
        .env("PGHOST", cluster.socket())
        .env("PGUSER", "keeper")
        .env("PGDATABASE", database);
    command.stdin(Stdio::null()).output().unwrap()
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One of the two installs.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Extension,
    Script,
}

impl Kind {
    fn connect(self, cluster: &Cluster, database: &str) -> Client {
        let mut client = cluster.connect_to(database);
        if self == Self::Script {
            client.batch_execute("SET SESSION AUTHORIZATION keeper").unwrap();
        }
        client
    }

    fn create(self, cluster: &Cluster, database: &str, release: Option<&str>) {
        cluster.connect().batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
        cluster.connect_to(database).batch_execute("GRANT ALL ON SCHEMA public TO keeper").unwrap();
        match (self, release) {
            (Self::Extension, Some(release)) => {
                let create = format!("CREATE EXTENSION model_access VERSION '{release}'");
                self.connect(cluster, database).batch_execute(&create).unwrap();
            }
            (Self::Extension, None) => {
                self.connect(cluster, database).batch_execute("CREATE EXTENSION model_access").unwrap();
            }
            (Self::Script, Some(release)) => {
                let script = format!("BEGIN; {}; COMMIT", sql(&["install", release]));
                self.connect(cluster, database).batch_execute(&script).unwrap();
            }
            (Self::Script, None) => succeeds(&program(cluster, database, &["install"])),
        }
    }

    fn upgrade(self, cluster: &Cluster, database: &str) {
        match self {
            Self::Extension => {
                self.connect(cluster, database).batch_execute("ALTER EXTENSION model_access UPDATE").unwrap();
            }
            Self::Script => succeeds(&program(cluster, database, &["upgrade"])),
        }
    }

    fn load(self, cluster: &Cluster, database: &str, file: &Path) -> String {
        match self {
            Self::Extension => {
                let document = std::fs::read_to_string(file).unwrap();
                let load = "SELECT outcome FROM model_access_load($1)";
                self.connect(cluster, database).query_one(load, &[&document]).unwrap().get(0)
            }
            Self::Script => {
                let output = program(cluster, database, &["push", "--file", file.to_str().unwrap()]);
                String::from_utf8_lossy(&output.stdout).split(':').next().unwrap_or_default().to_owned()
            }
        }
    }
}

/// Installs each release, fills it with this many days, upgrades it, and compares it with itself and with a fresh install.
fn upgrades(kind: Kind, count: usize) {
    let cluster = Cluster::start_with(&["max_locks_per_transaction=256"]);
    let mut admin = cluster.connect();
    admin.batch_execute("DROP EXTENSION model_access; CREATE ROLE keeper LOGIN").unwrap();
    admin.batch_execute(ROLES).unwrap();
    let folder = daily_catalogues();
    let recorded = days(&folder);
    kind.create(&cluster, "fresh", None);
    let mut fresh = kind.connect(&cluster, "fresh");
    let fresh_before = everything(&mut fresh);
    for release in releases() {
        let database = format!("from_{}", release.replace('.', "_"));
        kind.create(&cluster, &database, Some(&release));
        let mut client = kind.connect(&cluster, &database);
        let mut last = Path::new("").to_owned();
        for day in 0..count {
            // forward and back, so that no day is far from the day before
            let name = recorded.iter().chain(recorded.iter().rev()).cycle().nth(day).unwrap();
            last = folder.join(format!("{name}.json"));
            assert!(
                ["applied", "unchanged", "held"].contains(&kind.load(&cluster, &database, &last).as_str())
            );
            if day == 0 {
                client.batch_execute(DECISIONS).unwrap();
            } else {
                client
                    .batch_execute(&format!(
                        "UPDATE model_access SET note = 'day {day}' WHERE model_id = 'openai/gpt-4'"
                    ))
                    .unwrap();
            }
        }
        client.batch_execute(RIGHTS).unwrap();
        let before = rows(&mut client);
        kind.upgrade(&cluster, &database);
        // another session, so that nothing of the old functions is cached
        let mut client = kind.connect(&cluster, &database);
        assert_same("rows", &rows(&mut client), &before);
        // what was granted by hand is named, and nothing is lacking
        let health = "SELECT detail FROM model_access_health() WHERE \"check\" IN ('profiles', 'schema') AND NOT ok
            OR \"check\" = 'privileges' AND detail !~ '^has_reader holds SELECT .*health\\(\\)(; keeper may [a-z ]*)?$'";
        assert_eq!(texts(&mut client, health), [""; 0]);
        assert_eq!(kind.load(&cluster, &database, &last), "unchanged");
        assert!(client.batch_execute("INSERT INTO used VALUES (2, 'openai/gpt-4')").is_err());
        // what was granted is in a dump, and so after a restore
        fresh = kind.connect(&cluster, "fresh");
        fresh.batch_execute(RIGHTS).unwrap();
        assert_same("objects", &everything(&mut client), &everything(&mut fresh));
        client.batch_execute("DROP TABLE used, users; SELECT model_access_unbind_profiles()").unwrap();
        assert_same("dump", &dump(&cluster, &database), &dump(&cluster, "fresh"));
    }
    assert!(fresh_before.len() > 1000, "{}", fresh_before.len());
}

#[test]
fn an_upgraded_extension_is_what_a_fresh_one_is() {
    upgrades(Kind::Extension, 4);
}

#[test]
fn an_upgraded_install_without_the_library_is_what_a_fresh_one_is() {
    upgrades(Kind::Script, 4);
}

#[test]
#[ignore = "takes minutes; make test-all runs it"]
fn a_thousand_days_are_upgraded() {
    upgrades(Kind::Extension, 1000);
    upgrades(Kind::Script, 1000);
}

#[test]
fn an_upgrade_waits_for_no_run_and_fails_without_a_trace() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let release = releases().pop().unwrap();
    client
        .batch_execute(&format!(
            "DROP EXTENSION model_access; CREATE EXTENSION model_access VERSION '{release}'"
        ))
        .unwrap();
    let before = everything(&mut client);
    let mut run = cluster.connect();
    run.batch_execute("BEGIN; SELECT _model_access_begin(NULL)").unwrap();
    let error =
        client.batch_execute("SET lock_timeout = '100ms'; ALTER EXTENSION model_access UPDATE").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "55P03");
    assert!(
        error.hint().unwrap().contains("holds a lock on public._model_access_run_lock"),
        "{:?}",
        error.hint()
    );
    assert_same("objects", &everything(&mut client), &before);
    run.batch_execute("ROLLBACK").unwrap();
    client.batch_execute("ALTER EXTENSION model_access UPDATE").unwrap();

    // 0.1.0 was never released
    client
        .batch_execute("UPDATE pg_extension SET extversion = '0.1.0' WHERE extname = 'model_access'")
        .unwrap();
    let error = client.batch_execute("ALTER EXTENSION model_access UPDATE").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "model_access 0.1.0 cannot be upgraded");
}

/// A copy of the SQL, in which a test may change anything.
struct Sources(std::path::PathBuf);

impl Sources {
    fn copy() -> Self {
        let folder = repository().join("target").join(format!("upgrade.{}", std::process::id()));
        std::fs::create_dir_all(folder.join("scripts")).unwrap();
        let copy = Command::new("bash")
            .args([
                "-c",
                "cp -r \"$0/sql\" \"$0/Cargo.toml\" \"$1\" && cp \"$0\"/scripts/sql* \"$1/scripts\"",
            ])
            .args([repository(), &folder])
            .status();
        assert!(copy.unwrap().success());
        Self(folder)
    }

    fn change(&self, file: &str, old: &str, new: &str) {
        let path = self.0.join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text.contains(old), "{file} has {old}");
        let text = if old.is_empty() { text + new } else { text.replacen(old, new, 1) };
        std::fs::write(path, text).unwrap();
    }

    fn sql(&self, arguments: &[&str]) -> Output {
        Command::new("bash").arg(self.0.join("scripts/sql")).args(arguments).output().unwrap()
    }

    fn script(&self, arguments: &[&str]) -> String {
        let output = self.sql(arguments);
        succeeds(&output);
        String::from_utf8_lossy(&output.stdout).replace("@extschema@", "\"public\"")
    }

    fn complains(&self, arguments: &[&str], about: &str) {
        let output = self.sql(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(about), "{message}");
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn an_upgrade_script_is_made_from_the_difference() {
    let sources = Sources::copy();
    let version = env!("CARGO_PKG_VERSION");
    sources.script(&["freeze", version]);
    assert!(sources.sql(&["verify"]).status.success());
    // a released version has one SQL
    sources.change(
        "sql/admin/rule.sql",
        "",
        "\nCREATE FUNCTION @extschema@.one_more() RETURNS integer LANGUAGE sql RETURN 1;\n",
    );
    sources.complains(&["verify"], "raise the version");
    sources.change("Cargo.toml", &format!("version = \"{version}\""), "version = \"9.9.9\"");
    assert!(sources.sql(&["verify"]).status.success());
    // each kind of change
    sources.change("sql/admin/rule.sql", "    note ", "    added integer NOT NULL DEFAULT 1,\n    note ");
    sources.complains(&["upgrade", "script", version], "covers: TABLE @extschema@.model_access_rule");
    sources.change("sql/admin/rule.sql", "    added integer NOT NULL DEFAULT 1,\n", "");
    sources.change("sql/core/sync_log.sql", "\n);", ",\n    another integer NOT NULL DEFAULT 1\n);");
    sources.change(
        "sql/core/sync_log.sql",
        "",
        "COMMENT ON COLUMN @extschema@.model_access_sync_log.another IS 'It''s new; really.';\n",
    );
    sources.change(
        "sql/access/tiers.sql",
        "CREATE FUNCTION @extschema@._model_access_tiers()",
        "CREATE FUNCTION @extschema@._model_access_levels()",
    );
    sources.change(
        "sql/access/tiers.sql",
        "COMMENT ON FUNCTION @extschema@._model_access_tiers()",
        "COMMENT ON FUNCTION @extschema@._model_access_levels()",
    );
    sources.complains(&["upgrade", "script", version], "covers: FUNCTION @extschema@._model_access_tiers()");
    sources.change(
        "sql/access/tiers.sql",
        "CREATE FUNCTION @extschema@._model_access_levels()",
        "CREATE FUNCTION @extschema@._model_access_tiers()",
    );
    sources.change(
        "sql/access/tiers.sql",
        "COMMENT ON FUNCTION @extschema@._model_access_levels()",
        "COMMENT ON FUNCTION @extschema@._model_access_tiers()",
    );
    sources.change(
        "sql/admin/changes.sql",
        "",
        "
        CREATE VIEW @extschema@.model_access_more AS SELECT 1 AS one;
        COMMENT ON VIEW @extschema@.model_access_more IS 'More.';
        CREATE TABLE @extschema@.model_access_extra (id integer);
        CREATE TRIGGER model_access_owner BEFORE INSERT ON @extschema@.model_access_extra
            FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();\n",
    );
    sources.change("sql/admin/health.sql", "'no sync has succeeded yet'", "'no sync has succeeded so far'");
    sources.change(
        "sql/admin/health.sql",
        "Internal. Gives the check tiers",
        "Internal. Gives one check, tiers,",
    );
    sources.change("sql/admin/grant.sql", "        ('reader', 'TABLE',    'model_access_visible'", "        ('reader', 'TABLE',    'model_access_more', 'SELECT', NULL),\n        ('reader', 'TABLE',    'model_access_visible'");
    std::fs::write(
        sources.0.join(format!("sql/upgrade/{version}--9.9.9.sql")),
        "-- covers: TABLE @extschema@.model_access_sync_log
         ALTER TABLE @extschema@.model_access_sync_log ADD COLUMN another integer NOT NULL DEFAULT 1;\n-- generated\n
         INSERT INTO @extschema@.model_access_extra VALUES (1);\n".replace("\n         ", "\n"),
    )
    .unwrap();

    let by_hand = format!("sql/upgrade/{version}--9.9.9.sql");
    sources.change(&by_hand, "", "-- covers: TABLE misspelt\n");
    sources.complains(&["verify"], "nothing to cover: TABLE misspelt");
    sources.change(&by_hand, "-- covers: TABLE misspelt\n", "");

    let cluster = Cluster::start_without_library();
    let mut admin = cluster.connect();
    admin.batch_execute("CREATE DATABASE newer").unwrap();
    let mut newer = cluster.connect_to("newer");
    newer.batch_execute("GRANT ALL ON SCHEMA public TO keeper; CREATE ROLE web").unwrap();
    newer.batch_execute("SET SESSION AUTHORIZATION keeper").unwrap();
    newer.batch_execute(&format!("BEGIN; {}; COMMIT", sources.script(&["install"]))).unwrap();
    let mut older = cluster.connect();
    older.batch_execute("GRANT ALL ON SCHEMA public TO keeper; SET SESSION AUTHORIZATION keeper").unwrap();
    older.batch_execute("SELECT model_access_grant('web', 'reader')").unwrap();
    // a hosted PostgreSQL grants every new object to its web roles
    older
        .batch_execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO pg_monitor")
        .unwrap();
    older
        .batch_execute(&format!("BEGIN; {}; COMMIT", sources.script(&["upgrade", "script", version])))
        .unwrap();
    newer.batch_execute("SELECT model_access_grant('web', 'reader')").unwrap();
    assert_same("objects", &everything(&mut older), &everything(&mut newer));
    let privileges = "SELECT detail FROM model_access_health() WHERE \"check\" = 'privileges' AND NOT ok";
    assert_eq!(texts(&mut older, privileges), [""; 0]);

    // a program that is older than the database says so
    for command in ["install", "upgrade", "push"] {
        let output = program(&cluster, "newer", &[command]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && message.contains("has version 9.9.9, and this program"),
            "{command}: {message}"
        );
    }
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "keeper", "-d", "newer", "-f", "-", "-h"])
        .arg(cluster.socket())
        .stdin(Stdio::from(script_file()))
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("has version 9.9.9, which version"),
        "{output:?}"
    );

    // what is released does not change
    sources.change(&format!("sql/frozen/{version}.sql"), "", "-- edited\n");
    sources.complains(&["verify"], "sql/frozen was edited");
}

/// The script for psql.
fn script_file() -> std::process::ChildStdout {
    let script = Command::new("bash")
        .arg(repository().join("scripts/sql"))
        .arg("script")
        .stdout(Stdio::piped())
        .spawn();
    script.unwrap().stdout.unwrap()
}
