//! `model-access install`, `upgrade`, `version` and `uninstall`, and the script for psql: without the library, as a role that
//! is not a superuser.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::Client;
use std::process::{Command, Output, Stdio};
use tests::{Cluster, push_program, repository, sql};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A server with the role `keeper`, and nothing installed.
fn start() -> Cluster {
    let cluster = Cluster::start();
    cluster
        .connect()
        .batch_execute(
            "DROP EXTENSION model_access; CREATE ROLE keeper LOGIN; GRANT CREATE ON SCHEMA public TO keeper",
        )
        .unwrap();
    cluster
}

fn keeper(cluster: &Cluster) -> Client {
    let mut client = cluster.connect();
    client.batch_execute("SET SESSION AUTHORIZATION keeper").unwrap();
    client
}

fn command(cluster: &Cluster, role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(push_program());
    command.args(arguments).env("PGHOST", cluster.socket()).env("PGUSER", role).env("PGDATABASE", "postgres");
    command
}

fn runs(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = command(cluster, "keeper", arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn fails(cluster: &Cluster, role: &str, arguments: &[&str], message: &str) {
    let output = command(cluster, role, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

/// Runs the script of `make sql` with psql.
fn psql(cluster: &Cluster, role: &str) -> Output {
    let script = Command::new("bash")
        .arg(repository().join("scripts/sql"))
        .arg("script")
        .stdout(Stdio::piped())
        .spawn();
    Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-U", role, "-h"])
        .arg(cluster.socket())
        .stdin(script.unwrap().stdout.unwrap())
        .output()
        .unwrap()
}

fn version(client: &mut Client) -> String {
    client.query_one("SELECT model_access_version()", &[]).unwrap().get(0)
}

/// Installs the first release.
fn install_first(client: &mut Client) -> String {
    let first = sql(&["steps"]).split(' ').next().unwrap().to_owned();
    client.batch_execute(&format!("BEGIN; {}; COMMIT", sql(&["install", &first]))).unwrap();
    first
}

#[test]
fn install_upgrade_and_version_say_what_is_there() {
    let cluster = start();
    assert_eq!(runs(&cluster, &["version"]), format!("program: {VERSION}\ndatabase: not installed\n"));
    fails(
        &cluster,
        "keeper",
        &["upgrade"],
        "model_access is not installed in the database\nHINT:  model-access install installs it.",
    );
    fails(&cluster, "keeper", &["install", "--schema", "nowhere"], "schema \"nowhere\" does not exist");
    fails(&cluster, "keeper", &["install", "--schema", "no\"quotes"], "must not contain");

    let mut client = keeper(&cluster);
    let first = install_first(&mut client);
    assert_eq!(
        runs(&cluster, &["version"]),
        format!("program: {VERSION}\ndatabase: {first} in schema public (without the library)\n")
    );
    fails(&cluster, "keeper", &["install"], "HINT:  Run: model-access upgrade");
    // the program also serves the older install
    let pushed = command(&cluster, "keeper", &["push", "--url", &cluster.upstream.url("")]).output().unwrap();
    assert!(text(&pushed.stdout).starts_with("applied"), "{}", text(&pushed.stderr));
    // only the owner may change the install, and no role, not even a superuser, runs code of another owner
    cluster
        .connect()
        .batch_execute(
            "CREATE ROLE stranger; CREATE SCHEMA stranger AUTHORIZATION stranger; SET SESSION AUTHORIZATION stranger;
             CREATE TABLE stranger.model_access_sync_log (); CREATE TABLE stranger.model_access ();
             CREATE FUNCTION stranger.model_access_version() RETURNS text LANGUAGE plpgsql
                 AS $$ BEGIN RAISE 'code of a stranger'; END $$",
        )
        .unwrap();
    fails(&cluster, "postgres", &["upgrade", "--schema", "stranger"], "HINT:  Connect as role stranger");
    fails(&cluster, "postgres", &["upgrade", "--schema", "public"], "HINT:  Connect as role keeper");
    for (schema, command) in [("stranger", "decisions export"), ("stranger", "push"), ("public", "push")] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--schema", schema]);
        fails(&cluster, "postgres", &arguments, "no model_access of which this role is the owner");
    }
    assert!(
        text(&command(&cluster, "postgres", &["version"]).output().unwrap().stdout)
            .contains("of another role")
    );
    assert_eq!(version(&mut client), first);

    client.batch_execute("RESET SESSION AUTHORIZATION; CREATE ROLE deputy LOGIN IN ROLE keeper").unwrap();
    let deputy = ["upgrade", "--schema", "public"];
    fails(&cluster, "deputy", &deputy, "HINT:  Connect as role keeper, or run SET ROLE first.");
    assert!(
        text(&command(&cluster, "deputy", &["version"]).output().unwrap().stdout).contains("of another role")
    );
    let acting =
        command(&cluster, "deputy", &["install"]).env("PGOPTIONS", "-c role=keeper").output().unwrap();
    assert!(text(&acting.stderr).contains("HINT:  Run: model-access upgrade"), "{}", text(&acting.stderr));

    // a run or a session with a lock does not leave half an upgrade
    let mut other = keeper(&cluster);
    other.batch_execute("BEGIN; SELECT _model_access_begin(NULL)").unwrap();
    fails(&cluster, "keeper", &["upgrade"], "could not lock");
    assert_eq!(version(&mut client), first);
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(
        runs(&cluster, &["upgrade"]),
        format!("model_access in schema public was upgraded from {first} to {VERSION}\n")
    );
    assert_eq!(version(&mut keeper(&cluster)), VERSION);
    assert!(runs(&cluster, &["upgrade"]).contains("nothing to upgrade"));
    assert_eq!(
        runs(&cluster, &["install"]),
        format!("model_access {VERSION} is installed in schema public\n")
    );
    assert_eq!(client.query("SELECT FROM model_access_sync_log", &[]).unwrap().len(), 1);
}

#[test]
fn the_script_for_psql_upgrades_an_older_install() {
    let cluster = start();
    let mut client = keeper(&cluster);
    let first = install_first(&mut client);
    client.batch_execute("INSERT INTO model_access_setting VALUES ('return_window', '3 days')").unwrap();
    let output = psql(&cluster, "postgres");
    assert!(text(&output.stderr).contains("must be owner of model_access"), "{}", text(&output.stderr));
    assert_eq!(version(&mut client), first);
    let output = psql(&cluster, "keeper");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("model_access was upgraded from {first} to {VERSION}\n"));
    assert_eq!(version(&mut keeper(&cluster)), VERSION);
    let output = psql(&cluster, "keeper");
    assert!(
        output.status.success() && text(&output.stderr).contains("is already installed"),
        "{}",
        text(&output.stderr)
    );
    let settings = client.query("SELECT FROM model_access_setting", &[]).unwrap();
    assert_eq!(settings.len(), 1);

    // an install that is older than the first release
    client.batch_execute("DROP FUNCTION model_access_version()").unwrap();
    for stderr in
        [psql(&cluster, "keeper").stderr, command(&cluster, "keeper", &["upgrade"]).output().unwrap().stderr]
    {
        assert!(
            text(&stderr).contains("is older than the first release and cannot be upgraded"),
            "{}",
            text(&stderr)
        );
    }
}

#[test]
fn the_extension_is_left_to_postgresql() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client.batch_execute("CREATE ROLE keeper LOGIN").unwrap();
    assert!(
        runs(&cluster, &["version"])
            .ends_with(&format!("database: {VERSION} in schema public (the extension)\n"))
    );
    for arguments in [&["install"][..], &["upgrade"]] {
        fails(&cluster, "postgres", arguments, "ALTER EXTENSION model_access UPDATE");
    }
    fails(&cluster, "postgres", &["uninstall", "--yes"], "DROP EXTENSION model_access");
    let output = psql(&cluster, "postgres");
    assert!(text(&output.stderr).contains("ALTER EXTENSION model_access UPDATE"), "{}", text(&output.stderr));
}

#[test]
fn hosted_servers_limit_statements_and_name_schemas() {
    let cluster = start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE SCHEMA \"Model Access\" AUTHORIZATION keeper; ALTER ROLE keeper SET statement_timeout = '300ms';
             ALTER ROLE keeper SET search_path = 'Model Access'; ALTER ROLE keeper SET default_transaction_isolation = serializable;
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT ALL ON TABLES TO PUBLIC",
        )
        .unwrap();
    let schema = ["--schema", "Model Access"];
    runs(&cluster, &[&["install"], &schema[..]].concat());
    runs(&cluster, &["install"]);
    fails(&cluster, "keeper", &["upgrade"], "choose one with --schema");
    assert_eq!(runs(&cluster, &["version"]).lines().count(), 3);
    let open = "SELECT count(*) FROM public._model_access_held UNION ALL SELECT count(*) FROM \"Model Access\"._model_access_held";
    for row in client.query(open, &[]).unwrap() {
        assert_eq!(row.get::<_, i64>(0), 0);
    }
    assert!(runs(&cluster, &[&["uninstall", "--yes"], &schema[..]].concat()).ends_with("Removed.\n"));
    assert_eq!(runs(&cluster, &["version"]).lines().count(), 2);
}

#[test]
fn uninstall_says_what_it_takes() {
    let cluster = start();
    runs(&cluster, &["install"]);
    runs(&cluster, &["push", "--url", &cluster.upstream.url("")]);
    let mut client = keeper(&cluster);
    client
        .batch_execute(
            "UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-4';
             CREATE TABLE users (id integer PRIMARY KEY, plan text);
             SELECT model_access_bind_profiles('users', tier_column => 'plan')",
        )
        .unwrap();
    let empty = runs(&cluster, &["uninstall"]);
    for line in
        ["421 models, 1 of them with a decision", "1 changes in the history", "the binding to public.users"]
    {
        assert!(empty.contains(line), "{line}: {empty}");
    }
    assert!(!empty.contains("of the application") && empty.ends_with("add --yes.\n"), "{empty}");
    client
        .batch_execute(
            "CREATE TABLE used (id integer, model_id text REFERENCES model_access, m model_access_visible);
             CREATE TRIGGER enforce AFTER INSERT ON used FOR EACH ROW EXECUTE FUNCTION model_access_enforce('id', 'model_id');
             CREATE VIEW mine AS SELECT model_id FROM model_access;
             CREATE VIEW theirs AS SELECT * FROM mine;
             CREATE VIEW untouched AS SELECT id FROM used;
             CREATE FUNCTION of_mine(m model_access) RETURNS integer LANGUAGE sql RETURN 1",
        )
        .unwrap();
    let told = runs(&cluster, &["uninstall"]);
    let dependents: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("  of the application, by --cascade: ")).collect();
    assert_eq!(
        dependents,
        [
            "column m of table public.used",
            "constraint used_model_id_fkey on table public.used",
            "function public.of_mine(public.model_access)",
            "trigger enforce on table public.used",
            "view public.mine",
            "view public.theirs"
        ]
    );
    fails(&cluster, "keeper", &["uninstall", "--yes"], "6 objects of the application depend on model_access");
    fails(&cluster, "postgres", &["uninstall", "--yes", "--cascade"], "must be owner of model_access");
    // the file is new, and it is written before anything is removed
    let file = std::env::temp_dir().join(format!("model_access.kept.{}", std::process::id()));
    std::fs::write(&file, "mine").unwrap();
    let keep = ["uninstall", "--yes", "--cascade", "--keep-decisions", file.to_str().unwrap()];
    fails(&cluster, "keeper", &keep, "Nothing was removed.");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    std::fs::remove_file(&file).unwrap();
    let mut other = keeper(&cluster);
    other.batch_execute("BEGIN; SELECT FROM model_access").unwrap();
    fails(&cluster, "keeper", &["uninstall", "--yes", "--cascade"], "could not lock model_access");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(version(&mut client), VERSION);

    let kept: String =
        client.query_one("SELECT model_access_export_decisions(true, true)", &[]).unwrap().get(0);
    assert!(runs(&cluster, &keep).ends_with("Removed.\n"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept + "\n");
    std::fs::remove_file(&file).unwrap();
    let left = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1";
    let left: Vec<String> = client.query(left, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(left, ["untouched", "used", "users"]);
    runs(&cluster, &["install"]);
}
