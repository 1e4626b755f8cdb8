//! The commands of README and docs run as printed. Only what must differ is replaced: a host, a port, a URL, a path. What
//! the text promises is compared with what happens. SQL is in documents.rs, and the service in api/document.rs.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tests::page::{Folder, blocks, cron_command, every_block, every_page, shell, systemd_value, text};
use tests::{Cluster, repository};
use yaml_rust2::YamlLoader;

/// A database, and a folder for files.
struct Stage {
    cluster: Cluster,
    folder: Folder,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts the exit code, and what standard output begins with.
    fn assert(&self, code: i32, begins: &str) {
        assert!(self.code == code && self.out.starts_with(begins), "not {code}, {begins}: {self:?}");
    }
}

impl Stage {
    /// Databases whose owner `keeper` is no superuser, and databases with the extension.
    fn set(databases: &[&str], extended: &[&str]) -> Self {
        let cluster = Cluster::start();
        let mut client = cluster.connect();
        client.batch_execute("CREATE ROLE keeper LOGIN").unwrap();
        for database in databases {
            client.batch_execute(&format!("CREATE DATABASE {database} OWNER keeper")).unwrap();
        }
        for database in extended {
            client.batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
            cluster.connect_to(database).batch_execute("CREATE EXTENSION model_access").unwrap();
        }
        Self { cluster, folder: Folder::new() }
    }

    /// These commands in the folder, as this role.
    fn command(&self, commands: &str, role: &str, database: &str) -> Command {
        let mut command = shell(commands, self.folder.path());
        command.env("PGHOST", self.cluster.socket()).env("PGUSER", role).env("PGDATABASE", database);
        command.env("MODEL_ACCESS_URL", self.cluster.upstream.url(""));
        command
    }

    fn run(&self, commands: &str, role: &str, database: &str) -> Run {
        Run::of(&mut self.command(commands, role, database))
    }

    /// A value of the database, as text.
    fn value(&self, database: &str, expression: &str) -> String {
        let query = format!("SELECT coalesce(({expression})::text, 'NULL')");
        self.cluster.connect_to(database).query_one(&query, &[]).unwrap().get(0)
    }

    fn execute(&self, database: &str, statements: &str) {
        self.cluster.connect_to(database).batch_execute(statements).unwrap();
    }
}

/// The lines without the one that builds a program, which `make build` has built.
fn without_cargo(block: &str) -> Vec<&str> {
    let (built, rest): (Vec<&str>, Vec<&str>) =
        block.lines().partition(|line| line.starts_with("cargo install --path crates/push "));
    assert_eq!(built.len(), 1, "{block}");
    rest
}

/// What a comment offers instead of its command, such as `make sql SCHEMA=catalogue`.
fn instead(line: &str) -> &str {
    line.split_once("# or, ").unwrap().1.split_once(": ").unwrap().1
}

const LAST_OUTCOME: &str = "SELECT outcome FROM model_access_sync_log ORDER BY run_id DESC LIMIT 1";

#[test]
fn the_install_without_the_library_runs_as_printed() {
    let [package, from_source, install, script, push, _nagios] = blocks("docs/operations.md", "sh");
    // scripts/test-packages installs this file; the build for use takes minutes
    assert_eq!(package, "apt-get install ./postgresql-15-model-access_*.deb\n");
    assert_eq!(from_source, "make install PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config\n");
    let stage = Stage::set(&["app", "elsewhere", "scripted", "scripted_elsewhere"], &[]);
    for database in ["elsewhere", "scripted_elsewhere"] {
        stage.execute(database, "CREATE SCHEMA catalogue AUTHORIZATION keeper");
    }

    let lines = without_cargo(&install);
    let first = stage.run(&lines.join("\n"), "keeper", "app");
    first.assert(0, "model_access ");
    assert!(first.out.contains("applied: listed 421, added 421"), "{first:?}");
    let option = instead(lines[0]);
    let changed =
        lines.join("\n").replacen("model-access install", &format!("model-access install {option}"), 1);
    let first = stage.run(&changed, "keeper", "elsewhere");
    assert!(first.code == 0 && first.out.contains("in schema catalogue\napplied: "), "{first:?}");

    // the script is written below the repository
    let line = script.lines().next().unwrap();
    let scripts = [
        ("scripted_elsewhere", "catalogue.", script.replacen(line, instead(line), 1)),
        ("scripted", "public.", script.clone()),
    ];
    for (database, schema, commands) in scripts {
        // a second time, it says that this version is installed
        for words in ["", "is already installed"] {
            let run = Run::of(stage.command(&commands, "keeper", database).current_dir(repository()));
            run.assert(0, "target/sql/model_access.sql\n");
            assert!(run.err.contains(words), "{run:?}");
        }
        let version = format!("SELECT {schema}model_access_version()");
        assert_eq!(stage.value(database, &version), env!("CARGO_PKG_VERSION"));
    }

    // the three forms of push, on a list from which a hundred models are missing in the end
    let list = repository().join("tests/catalogues/eras/2026-08-22.json.gz");
    let list = Command::new("zcat").arg(list).output().unwrap().stdout;
    std::fs::write(stage.folder.path().join("models.json"), list).unwrap();
    let lines: Vec<&str> = push.lines().collect();
    let [dry_run, file, removals] = lines[..] else { panic!("{push}") };
    let dry = stage.run(dry_run, "keeper", "scripted");
    assert!(dry.code == 0 && dry.out.lines().filter(|line| line.starts_with("+ ")).count() == 421, "{dry:?}");
    assert_eq!(stage.value("scripted", "SELECT count(*) FROM model_access"), "0");
    stage.run(file, "keeper", "scripted").assert(0, "applied: listed 421, added 421");
    let input = file.replacen("models.json", "- < models.json", 1);
    stage.run(&input, "keeper", "scripted").assert(0, "unchanged: listed 421");
    stage.execute("scripted", "UPDATE model_access SET status = 'active', is_pro = true");
    let shorter = |commands: &str| {
        let mut command = stage.command(commands, "keeper", "scripted");
        Run::of(command.env("MODEL_ACCESS_URL", stage.cluster.upstream.url("take=321")))
    };
    shorter("model-access push").assert(3, "held: listed 321");
    shorter(removals).assert(0, "applied: listed 321");
    let inactive = "SELECT count(*) FROM model_access WHERE status = 'inactive'";
    assert_eq!(stage.value("scripted", inactive), "100");
}

#[test]
fn the_schedules_run_as_printed() {
    let stage = Stage::set(&[], &["app"]);
    let [crontab] = blocks("docs/operations.md", "crontab");
    let (variables, command) = cron_command(&crontab);
    assert_eq!(variables, Vec::<&str>::new());
    let as_cron = |command: &str| {
        let mut sh = stage.command("sh -c \"$1\"", "postgres", "postgres");
        Run::of(sh.arg(command))
    };
    as_cron(command).assert(0, "CALL\n");
    assert_eq!(stage.value("app", LAST_OUTCOME), "applied");

    let [timer, service] = blocks("docs/operations.md", "ini");
    let user = systemd_value(&service, "User");
    // systemd takes a text between apostrophes as a shell does
    let start = systemd_value(&service, "ExecStart");
    assert!(!start.contains(['%', '$', '\\', '"']), "{start}");
    stage.run(start, user, "postgres").assert(0, "CALL\n");
    assert_eq!(stage.value("app", LAST_OUTCOME), "unchanged");
    // a run that fails is a job that fails
    stage.execute("app", "ALTER DATABASE app SET model_access.url = 'http://127.0.0.1:1/'");
    let fails = |run: Run| assert!(run.code != 0 && run.err.contains("ERROR: "), "{run:?}");
    fails(as_cron(command));
    fails(stage.run(start, user, "postgres"));
    assert_eq!(stage.value("app", LAST_OUTCOME), "failed");

    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("not checked: systemd is not installed");
        return;
    }
    let page = text("docs/operations.md");
    for (name, unit) in [("model-access.timer", &timer), ("model-access.service", &service)] {
        assert!(page.contains(name));
        std::fs::write(stage.folder.path().join(name), unit).unwrap();
    }
    let verify = "systemd-analyze verify --man=no ./model-access.timer ./model-access.service 2>&1";
    stage.run(verify, "postgres", "app").assert(0, "");
    let verified = stage.run(verify, "postgres", "app").out;
    assert!(!verified.contains("Unknown key") && !verified.contains("Failed to parse"), "{verified}");
}

#[test]
fn the_line_for_nagios_exits_as_printed() {
    let [_, _, _, _, _, nagios] = blocks("docs/operations.md", "sh");
    let stage = Stage::set(&[], &["app"]);
    stage.execute("app", "CREATE ROLE monitor LOGIN; SELECT model_access_grant('monitor', 'viewer')");
    // nothing has been synced
    stage.run(&nagios, "postgres", "postgres").assert(2, "last_success|");
    stage.execute("app", "SELECT model_access_sync()");
    let well = stage.run(&nagios, "postgres", "postgres");
    assert_eq!((well.code, well.out.as_str(), well.err.as_str()), (0, "", ""));
    // health does not answer
    stage.execute("app", "SELECT model_access_revoke('monitor')");
    stage.run(&nagios, "postgres", "postgres").assert(2, "");
    let down = Run::of(stage.command(&nagios, "postgres", "app").env("PGHOST", stage.folder.path()));
    down.assert(2, "");
}

#[test]
fn decisions_travel_as_printed() {
    let [repository, by_psql, again] = blocks("docs/decisions.md", "sh");
    let stage = Stage::set(&[], &["staging", "production"]);
    for database in ["staging", "production"] {
        stage.execute(database, "SELECT model_access_sync()");
    }
    stage.execute(
        "staging",
        "UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai';
         INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true)",
    );
    let decided = "SELECT count(*) FROM model_access WHERE status <> 'new'";
    let (staged, changes) = (stage.value("staging", decided), "SELECT count(*) FROM model_access_changes");

    let run = |commands: &str| stage.run(commands, "postgres", "postgres");
    run("git init -q && echo 'the decisions of yesterday' > decisions.jsonl && git add .").assert(0, "");
    let lines: Vec<&str> = repository.lines().collect();
    let [export, show, diff, apply] = lines[..] else { panic!("{repository}") };
    run(export).assert(0, "");
    run(show).assert(0, "diff --git a/decisions.jsonl b/decisions.jsonl");
    let differing = run(diff);
    assert!(differing.code == 1 && differing.out.contains("\ndifferences: "), "{differing:?}");
    assert_eq!(
        (stage.value("production", decided), stage.value("production", changes)),
        ("0".into(), "0".into())
    );
    let applied = run(apply);
    assert!(applied.code == 0 && applied.out.contains("\napplied: "), "{applied:?}");
    assert_eq!(
        (stage.value("production", decided), stage.value("production", changes)),
        (staged.clone(), "1".into())
    );
    run(diff).assert(0, "differences: 0\n");

    // psql writes the same bytes
    let written = || std::fs::read_to_string(stage.folder.path().join("decisions.jsonl")).unwrap();
    let exported = written();
    run("rm decisions.jsonl").assert(0, "");
    run(&by_psql).assert(0, "");
    assert_eq!(written(), exported);

    // in CI, after a further decision; a step runs with bash -e
    stage.execute("staging", "UPDATE model_access SET status = 'disabled' WHERE provider = 'deepseek'");
    run(&by_psql).assert(0, "");
    let [steps] = blocks("docs/decisions.md", "yaml");
    let steps = YamlLoader::load_from_str(&steps).unwrap();
    let steps: Vec<&str> =
        steps[0].as_vec().unwrap().iter().map(|step| step["run"].as_str().unwrap()).collect();
    let [compare, apply] = steps[..] else { panic!("{steps:?}") };
    let ci = |commands: &str, production: &str| {
        Run::of(stage.command(commands, "postgres", "postgres").env("PRODUCTION", production))
    };
    let compared = ci(compare, "production");
    assert!(compared.code == 0 && compared.out.contains("deepseek/"), "{compared:?}");
    assert_eq!(stage.value("production", decided), staged);
    assert_ne!(ci(compare, "no_such_database").code, 0);
    assert_eq!(ci(apply, "production").code, 0);
    ci(compare, "production").assert(0, "differences: 0\n");

    // a new install
    stage.execute(
        "production",
        "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('anna', 'qwen', true);
         SELECT model_access_set('price_alert', '3')",
    );
    let kept = "SELECT model_access_export_decisions(true, true)";
    let before = stage.value("production", kept);
    let renewed = stage.run(&again, "postgres", "production");
    assert!(renewed.code == 0 && renewed.out.contains("CREATE EXTENSION\n"), "{renewed:?}");
    assert_eq!(stage.value("production", kept), before);
    assert_eq!(stage.value("production", changes), "1");
}

#[test]
fn the_dry_run_of_a_retire_is_a_script_as_printed() {
    let [script] = blocks("docs/leaving-allowed-models.md", "sh");
    let stage = Stage::set(&[], &[]);
    let app = format!(
        "psql -X -q -v ON_ERROR_STOP=1 -f {}/tests/pg_regress/legacy_app.sql",
        repository().display()
    );
    stage.run(&app, "postgres", "postgres").assert(0, "");
    // what is not accepted is changed before
    let manual = "SELECT array_agg(object) FROM model_access_retire_allowed_models('public.profiles') WHERE action = 'manual'";
    let accepted = stage.value("postgres", manual).replace('"', "\\\"");
    assert!(script.contains("'{…}'"), "{script}");
    let script = script.replace("{…}", &accepted);
    let run = stage.run(&script, "postgres", "postgres");
    assert!(run.code == 0 && run.out.contains("ALTER TABLE\n"), "{run:?}");
    let columns = "SELECT string_agg(attname, ' ') FROM pg_attribute
        WHERE attrelid = 'public.profiles'::regclass AND attname LIKE 'allowed_models%'";
    assert_eq!(stage.value("postgres", columns), "allowed_models_retired");
    // the same script in another copy stops, and changes nothing: there, the column has its old name
    let again = stage.run("psql -X -1 -v ON_ERROR_STOP=1 -f retire.sql", "postgres", "postgres");
    assert_eq!(again.code, 3, "{again:?}");
    assert_eq!(stage.value("postgres", "SELECT count(*) FROM model_access_retired"), "1");
}

/// Which test runs the blocks of a page, by their language. Each runs all of them, or names those that it leaves out.
const RUN: [(&str, &[&str], &str); 16] = [
    ("README.md", &["sql"], "tests/documents.rs"),
    ("CONTRIBUTING.md", &["sql"], "tests/documents.rs"),
    ("docs/admin.md", &["sql"], "tests/documents.rs"),
    ("docs/admin.md", &["sh", "text", "toml"], "tests/api/document.rs"),
    ("docs/api.md", &["json", "nginx", "sh", "sql", "text"], "tests/api/document.rs"),
    ("docs/api.md", &["ini"], "tests/api/crowds.rs"),
    ("docs/decisions.md", &["sh", "yaml"], "tests/commands.rs"),
    ("docs/decisions.md", &["sql"], "tests/documents.rs"),
    ("docs/hosted.md", &["crontab", "sh", "sql"], "tests/documents.rs"),
    ("docs/leaving-allowed-models.md", &["sh"], "tests/commands.rs"),
    ("docs/leaving-allowed-models.md", &["sql"], "tests/documents.rs"),
    ("docs/operations.md", &["crontab", "ini", "sh"], "tests/commands.rs"),
    ("docs/operations.md", &["sql", "text"], "tests/documents.rs"),
    ("docs/security.md", &["sql"], "tests/documents.rs"),
    ("docs/users.md", &["sql", "text"], "tests/documents.rs"),
    ("examples/README.md", &["sh", "sql"], "tests/examples.rs"),
];
/// The blocks that nothing runs, and why.
const NOT_RUN: [(&str, &str, &str); 4] = [
    ("README.md", "sh", "make demo and make test are a part of .ci/run, and documents.rs checks targets"),
    (
        "CONTRIBUTING.md",
        "sh",
        "they build and test for minutes; documents.rs checks targets and names of tests",
    ),
    ("docs/architecture.md", "mermaid", "a picture"),
    ("docs/reference.md", "", "declarations, which documents.rs compares with those of a database"),
];

#[test]
fn every_block_of_every_page_runs_or_is_known_not_to() {
    let mut known: BTreeMap<(String, String), &str> = BTreeMap::new();
    for (page, languages, file) in RUN {
        assert!(text(file).contains(&format!("\"{page}\"")), "{file} does not read {page}");
        known.extend(languages.iter().map(|language| ((page.to_owned(), (*language).to_owned()), file)));
    }
    let left_out =
        NOT_RUN.iter().map(|(page, language, why)| (((*page).to_owned(), (*language).to_owned()), *why));
    known.extend(left_out);

    let mut found = BTreeSet::new();
    for page in every_page() {
        let page = page.to_str().unwrap().to_owned();
        for block in every_block(&page) {
            let kind = (page.clone(), block.language);
            assert!(
                known.contains_key(&kind),
                "no test runs the block of {page}:{} ({})",
                block.line,
                kind.1
            );
            if NOT_RUN
                .iter()
                .any(|(page, language, _)| *page == kind.0 && *language == kind.1 && kind.1 == "sh")
            {
                let is_known = |line: &str| line.starts_with("make ") || line.starts_with("git diff ");
                assert!(block.text.lines().all(is_known), "no test runs {page}:{}", block.line);
            }
            found.insert(kind);
        }
    }
    let known: BTreeSet<_> = known.into_keys().collect();
    assert_eq!(
        known.difference(&found).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "no such block"
    );
}
