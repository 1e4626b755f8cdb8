//! The SQL of README and docs runs as printed, block by block, in a server as the text assumes it; the reference is what
//! an installed database says; links, paths and commands of the pages lead somewhere.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::{Client, SimpleQueryMessage};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tests::page::{self, every_block, every_page, text};
use tests::{Cluster, repository};
use yaml_rust2::{Yaml, YamlLoader};

/// The statements of each ```sql block, and the results that a transcript prints below them.
struct Block {
    line: usize,
    statements: Vec<(String, Vec<String>)>,
}

fn blocks(file: &str) -> Vec<Block> {
    let blocks = every_block(file).into_iter().filter(|block| block.language == "sql");
    let statements = |block: page::Block| {
        let body: Vec<&str> = block.text.lines().collect();
        let is_transcript = body.iter().any(|line| line.starts_with("=# "));
        let statements = if is_transcript { transcript(&body) } else { script(&body) };
        Block { line: block.line, statements }
    };
    blocks.map(statements).collect()
}

/// `=# ` begins a statement, `-# ` continues it, and everything else is the output of psql.
fn transcript(body: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut statements: Vec<(String, Vec<String>)> = Vec::new();
    for line in body {
        if let Some(statement) = line.strip_prefix("=# ") {
            statements.push((statement.to_owned(), Vec::new()));
        } else if let Some((statement, answer)) = statements.last_mut() {
            match line.strip_prefix("-# ") {
                Some(rest) => *statement += &format!("\n{rest}"),
                // a line of a table, except the one below its header; or a command tag
                None if !line.is_empty() && !line.contains("---") => answer.push(line.trim().to_owned()),
                None => {}
            }
        }
    }
    statements
}

fn script(body: &[&str]) -> Vec<(String, Vec<String>)> {
    let without_comments: Vec<&str> =
        body.iter().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let text = without_comments.join("\n");
    text.split(';').map(str::trim).filter(|s| !s.is_empty()).map(|s| (s.to_owned(), Vec::new())).collect()
}

/// Runs every block in order, and compares the results with the transcript, if there is one. `skip` names statements
/// that this server cannot run. `before` is a word and the SQL to run before each statement that contains the word.
fn run(client: &mut Client, file: &str, skip: &[&str], before: (&str, &str)) {
    let blocks = blocks(file);
    assert!(blocks.len() > 1, "{file} has blocks");
    for block in blocks {
        for (statement, printed) in block.statements {
            if skip.iter().any(|words| statement.contains(words)) {
                continue;
            }
            if !before.0.is_empty() && statement.contains(before.0) {
                client.batch_execute(before.1).unwrap();
            }
            let statement = statement.replace("$1", "'pro'").replace("$2", "'openai/gpt-5'");
            let answer = client.simple_query(&statement);
            let answer = answer.unwrap_or_else(|error| panic!("{file}:{}: {statement}: {error}", block.line));
            if !printed.is_empty() {
                assert_eq!(answered(&answer), cells(&printed), "{file}:{}: {statement}", block.line);
            }
        }
    }
}

/// What psql would print: the cells of the rows, or how many rows an UPDATE wrote.
fn answered(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                rows.push(
                    (0..row.len()).map(|column| any_day(row.get(column).unwrap_or_default())).collect(),
                );
            }
            SimpleQueryMessage::CommandComplete(count) if rows.is_empty() => {
                rows.push(vec![format!("UPDATE {count}")])
            }
            _ => {}
        }
    }
    rows
}

/// The cells of a printed table without its header; every date is replaced by the same word.
fn cells(printed: &[String]) -> Vec<Vec<String>> {
    let is_tag = printed.len() == 1;
    let rows = printed.iter().skip(usize::from(!is_tag));
    rows.map(|row| row.split('|').map(any_day).collect()).collect()
}

/// A cell in which every date is replaced by the same word.
fn any_day(cell: &str) -> String {
    let is_date = |word: &str| word.len() == 10 && word.chars().all(|c| c.is_ascii_digit() || c == '-');
    let words: Vec<&str> =
        cell.split_whitespace().map(|word| if is_date(word) { "DAY" } else { word }).collect();
    words.join(" ")
}

#[test]
fn the_blocks_of_readme_run_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "DROP EXTENSION model_access; CREATE ROLE app; CREATE ROLE ops;
             CREATE TABLE model_access_old (model_id varchar(100), status text, is_free boolean, is_pro boolean, is_enterprise boolean);
             INSERT INTO model_access_old VALUES ('openai/gpt-5', 'disabled', false, true, false)",
        )
        .unwrap();
    // the first transcript has made decisions; the section "Your first morning" needs a table without any
    let morning =
        ("INSERT INTO model_access_rule", "UPDATE model_access SET status = 'new', is_free = false");
    run(&mut client, "README.md", &[], morning);
    let imported =
        client.query_one("SELECT status FROM model_access WHERE model_id = 'openai/gpt-5'", &[]).unwrap();
    assert_eq!(imported.get::<_, &str>(0), "disabled");
}

#[test]
fn the_blocks_of_operations_run_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client.batch_execute("DROP EXTENSION model_access; CREATE ROLE keeper").unwrap();
    let skip: &[&str] =
        if client.batch_execute("CREATE EXTENSION pg_cron").is_ok() { &[] } else { &["schedule"] };
    run(&mut client, "docs/operations.md", skip, ("", ""));
    // the statement in the column undo looks like the one that is printed
    let [printed] = page::blocks("docs/operations.md", "text");
    let undo =
        "SELECT undo FROM model_access_changes WHERE undo LIKE '%generate_series%' AND NOT undone LIMIT 1";
    let undo: String = client.query_one(undo, &[]).unwrap().get(0);
    assert_eq!(without_numbers(&undo), without_numbers(printed.trim_end()));
    client.batch_execute(&undo).unwrap();
}

/// A statement in which every number is 0.
fn without_numbers(statement: &str) -> String {
    let (mut text, mut in_number) = (String::new(), false);
    for c in statement.chars() {
        if !(c.is_ascii_digit() && in_number) {
            text.push(if c.is_ascii_digit() { '0' } else { c });
        }
        in_number = c.is_ascii_digit();
    }
    text
}

/// What a DBA meets in a table of operations.md: every reason for a review, setting, outcome of a run and check of health.
#[test]
fn operations_explains_every_word_that_a_view_shows() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    let operations = text("docs/operations.md");
    let query = "SELECT unnest(_model_access_reasons()) UNION ALL SELECT name FROM model_access_settings
        UNION ALL SELECT \"check\" FROM model_access_health()";
    for row in client.query(query, &[]).unwrap() {
        let word: &str = row.get(0);
        assert!(operations.contains(&format!("`{word}`")), "docs/operations.md does not explain `{word}`");
    }
}

#[test]
fn the_blocks_of_security_run_as_printed() {
    let cluster = Cluster::start();
    run(&mut cluster.connect(), "docs/security.md", &[], ("", ""));
}

/// A role that owns its database and nothing more, and a role like the administrators of managed services, whose default
/// privileges give everything to the roles of a web API.
#[test]
fn the_blocks_of_hosted_run_as_printed_without_a_superuser() {
    let cluster = Cluster::start();
    cluster
        .connect()
        .batch_execute(
            "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS;
             CREATE ROLE plain LOGIN; CREATE ROLE boss LOGIN CREATEROLE CREATEDB BYPASSRLS",
        )
        .unwrap();
    for (role, schema) in [("plain", "catalogue"), ("boss", "public")] {
        cluster.connect().batch_execute(&format!("CREATE DATABASE {role} OWNER {role}")).unwrap();
        let mut client = cluster.connect_to(role);
        let web = "TO anon, authenticated, service_role";
        let default = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA public GRANT ALL ON");
        client
            .batch_execute(&format!(
                "GRANT USAGE ON SCHEMA public {web}; {default} TABLES {web}; {default} SEQUENCES {web}; {default} FUNCTIONS {web}"
            ))
            .unwrap();
        let folder = page::Folder::new();
        let url = format!("postgresql://{role}@/{role}?host={}", cluster.socket().display());
        let runs = |commands: &str| {
            let mut command = page::shell(commands, folder.path());
            command.env("DATABASE_URL", &url).env("MODEL_ACCESS_URL", cluster.upstream.url(""));
            let ran = command.output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            assert!(ran.status.success(), "{role}: {out}{err}");
            out.into_owned()
        };
        let [install] = page::blocks("docs/hosted.md", "sh");
        let installed = runs(&install.replacen("SCHEMA=catalogue", &format!("SCHEMA={schema}"), 1));
        assert!(installed.contains("\napplied: listed 421, added 421"), "{installed}");

        client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}")).unwrap();
        run(&mut client, "docs/hosted.md", &[], ("", ""));
        client.batch_execute("RESET SESSION AUTHORIZATION").unwrap();
        // every night; cron sets the variable, whose value is that of the service
        let [crontab] = page::blocks("docs/hosted.md", "crontab");
        let (variables, command) = page::cron_command(&crontab);
        assert_eq!(variables, ["DATABASE_URL"]);
        assert!(
            runs(&format!("sh <<'CRON'\n{command}\nCRON")).starts_with("unchanged: listed 421"),
            "{role}"
        );
        let held = "SELECT coalesce(string_agg(format('%s: %s', r, o), ', ' ORDER BY 1), '')
            FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS r, LATERAL (
                SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relname ~ '^_?model' AND c.relkind IN ('r', 'v')
                    AND has_table_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE p.proname ~ '^_?model'
                    AND has_function_privilege(r, p.oid, 'EXECUTE')) AS h (o)";
        let held = client.query_one(held, &[]).unwrap();
        let held = held.get::<_, String>(0).replace("catalogue.", "");
        assert_eq!(held, "authenticated: models_for_me()", "{role}");
        let claims = r#"SET request.jwt.claims = '{"sub": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}'"#;
        client.batch_execute(&format!("{claims}; SET ROLE authenticated")).unwrap();
        let models: i64 = client.query_one("SELECT count(*) FROM models_for_me()", &[]).unwrap().get(0);
        assert_eq!(models, 18, "{role}");
        client.batch_execute("SET ROLE anon").unwrap();
        let refused = client.batch_execute(&format!("SELECT {schema}.models_for_me()")).unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{role}");
    }
}

/// A file of sql/upgrade as CONTRIBUTING.md shows it, without the generated statements in its middle.
#[test]
fn the_upgrade_of_contributing_runs_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute("INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true), (200, '%', true)")
        .unwrap();
    let [upgrade] = page::blocks("CONTRIBUTING.md", "sql");
    assert!(upgrade.starts_with("-- covers: TABLE @extschema@.model_access_rule\n"), "{upgrade}");
    assert!(upgrade.contains("\n-- generated\n"), "{upgrade}");
    client.batch_execute(&upgrade.replace("@extschema@", "public")).unwrap();
    let new = "SELECT string_agg(position || ': ' || is_new, ', ' ORDER BY position) FROM model_access_rule";
    assert_eq!(client.query_one(new, &[]).unwrap().get::<_, &str>(0), "10: false, 200: true");
}

#[test]
fn the_blocks_of_decisions_run_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    tests::sync(&mut client).unwrap();
    run(&mut client, "docs/decisions.md", &[], ("", ""));
    let imported =
        "SELECT string_agg(status, ' ' ORDER BY status) FROM model_access WHERE reviewed_at IS NOT NULL";
    assert_eq!(client.query_one(imported, &[]).unwrap().get::<_, &str>(0), "active disabled");
}

#[test]
fn the_blocks_of_admin_run_as_printed() {
    let cluster = Cluster::start();
    run(&mut cluster.connect(), "docs/admin.md", &[], ("", ""));
}

#[test]
fn the_blocks_of_users_run_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    tests::sync(&mut client).unwrap();
    run(&mut client, "docs/users.md", &[], ("", ""));
    client.batch_execute("UPDATE model_access SET status = 'active'").unwrap();
    let refused = client
        .batch_execute("INSERT INTO messages (user_id, model_id) VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'openai/gpt-5')")
        .unwrap_err();
    // the error as the document prints it
    let error = refused.as_db_error().unwrap();
    let [printed] = page::blocks("docs/users.md", "text");
    let (detail, hint) = (error.detail().unwrap(), error.hint().unwrap());
    assert_eq!(format!("ERROR:  {}\nDETAIL:  {detail}\nHINT:  {hint}\n", error.message()), printed);
}

#[test]
fn the_blocks_of_leaving_allowed_models_run_as_printed() {
    let cluster = Cluster::start();
    let app = text("tests/pg_regress/legacy_app.sql");
    let app: Vec<&str> = app.lines().filter(|line| !line.starts_with('\\')).collect();
    // a session of its own: it leaves temporary tables
    cluster.connect().batch_execute(&app.join("\n")).unwrap();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "DROP EXTENSION model_access;
             CREATE TABLE model_access (id uuid, model_id varchar(100), status text, is_free boolean, is_pro boolean, is_enterprise boolean);
             INSERT INTO model_access VALUES (NULL, 'openai/gpt-5-nano', 'active', true, false, false), (NULL, 'openai/gpt-3', 'active', true, false, false),
                 (NULL, 'openai/gpt-4o', 'disabled', false, true, false), (NULL, 'openai/gpt-5', 'active', false, false, true);
             DROP FUNCTION reports.user_allowed_models; DROP FUNCTION normalise_allowed_models CASCADE;
             ALTER TABLE profiles DISABLE TRIGGER USER;
             UPDATE profiles SET allowed_models = CASE
                 WHEN email ~ '^(free|pro)' THEN '{openai/gpt-5-nano,openai/gpt-5}'::text[]
                 WHEN email ~ '^odd' THEN '{openai/gpt-5-nano,openai/gpt-3,NULL}' ELSE allowed_models END;
             ALTER TABLE profiles ENABLE TRIGGER USER",
        )
        .unwrap();
    // the page has restored the column in between
    let again = (
        "model_access_drop_retired_column",
        "SELECT model_access_retire_allowed_models('public.profiles', dry_run => false, accept => (
             SELECT coalesce(array_agg(object), '{}') FROM model_access_retire_allowed_models('public.profiles') WHERE action = 'manual'))",
    );
    run(&mut client, "docs/leaving-allowed-models.md", &[], again);
    let kept = "SELECT count(*) FILTER (WHERE k.allowed_models = '{openai/gpt-5-nano,openai/gpt-5}'), count(*), max(relowner::regrole::text)
        FROM profiles_allowed_models AS k, pg_class WHERE oid = 'profiles_allowed_models'::regclass";
    let kept = client.query_one(kept, &[]).unwrap();
    assert_eq!((kept.get(0), kept.get(1), kept.get(2)), (2_i64, 5_i64, "regress_app"));
    let state = "SELECT string_agg(model_id || ' ' || status, ', ' ORDER BY model_id) FROM model_access WHERE status <> 'new'";
    let imported: String = client.query_one(state, &[]).unwrap().get(0);
    assert_eq!(imported, "openai/gpt-4o disabled, openai/gpt-5 active, openai/gpt-5-nano active");
}

#[test]
fn the_reference_is_what_a_database_says() {
    let check = Command::new(repository().join("scripts/reference")).arg("--check").output().unwrap();
    let report = [check.stdout, check.stderr].concat();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&report));
}

/// The documents of a YAML file.
fn yaml(file: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(file)).unwrap()
}

/// The values of a label in an expression: a and b in `check=~"a|b"`.
fn labels(expression: &str, label: &str) -> Vec<String> {
    let values = expression.split(label).skip(1).filter_map(|rest| rest.split('"').nth(1));
    values.flat_map(|value| value.split('|')).map(str::to_owned).collect()
}

#[test]
fn a_viewer_can_run_what_the_dashboard_and_the_exporter_ask() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    tests::sync(&mut client).unwrap();
    client
        .batch_execute(
            "CREATE ROLE monitor; SELECT model_access_grant('monitor', 'viewer');
             CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             SELECT model_access_bind_profiles('profiles');
             UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'",
        )
        .unwrap();
    let checks = client.query("SELECT \"check\" FROM model_access_health()", &[]).unwrap();
    client.batch_execute("SET ROLE monitor").unwrap();

    let dashboard: Value = serde_json::from_str(&text("contrib/grafana/model_access.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.map(|panel| panel["targets"][0]["rawSql"].as_str().unwrap());
    let variable = dashboard["templating"]["list"][1]["query"].as_str().unwrap();
    for query in queries.chain([variable]) {
        // as Grafana replaces them
        let mut asked = query.replace("${model:sqlstring}", "'openai/gpt-4o'");
        while let Some((before, rest)) = asked.split_once("$__timeFilter(") {
            let (column, after) = rest.split_once(')').unwrap();
            asked = format!("{before}{column} BETWEEN now() - interval '30 days' AND now(){after}");
        }
        let rows = client.query(&asked, &[]).unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        // no check has to fail
        assert!(!rows.is_empty() || asked.contains("NOT ok"), "{asked}");
    }

    let mut metrics = Vec::new();
    for metric in yaml("contrib/prometheus/model_access.collector.yml")[0]["metrics"].as_vec().unwrap() {
        metrics.push(metric["metric_name"].as_str().unwrap().to_owned());
        let row = client.query(metric["query"].as_str().unwrap(), &[]).unwrap().remove(0);
        let columns: Vec<&str> = row.columns().iter().map(|column| column.name()).collect();
        let named = [&metric["key_labels"], &metric["values"]];
        let named: Vec<&str> =
            named.iter().flat_map(|list| list.as_vec().unwrap()).filter_map(Yaml::as_str).collect();
        assert_eq!(columns, named, "{metric:?}");
    }

    // each check has an alert, and each alert has a metric and checks that exist
    let mut alerted = Vec::new();
    for rule in yaml("contrib/prometheus/model_access.rules.yml")[0]["groups"][0]["rules"].as_vec().unwrap() {
        let expression = rule["expr"].as_str().unwrap();
        let metric = expression
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .find(|word| word.starts_with("model_access_"));
        assert!(metrics.iter().any(|known| Some(known.as_str()) == metric), "{expression}");
        alerted.extend(labels(expression, "check"));
        for key in ["summary", "description"] {
            assert!(rule["annotations"][key].as_str().is_some_and(|text| text.ends_with('.')), "{rule:?}");
        }
    }
    let mut checks: Vec<&str> = checks.iter().map(|row| row.get(0)).collect();
    checks.sort_unstable();
    alerted.sort_unstable();
    assert_eq!(alerted, checks);
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_between_pages_leads_to_a_file_and_a_heading() {
    for page in every_page() {
        for link in text(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            assert!(repository().join(&target).exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let is_it =
                    |line: &str| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading;
                assert!(text(&target).lines().any(is_it), "{}: no heading for {link}", page.display());
            }
        }
    }
}

/// What stands between backticks, and each word of a block of commands.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language.to_owned()) };
        } else if let Some(language) = &block {
            if language == "sh" {
                names.extend(line.split_whitespace().map(str::to_owned));
            }
        } else {
            names.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_file_that_a_page_for_contributors_names_exists() {
    let tops = ["bench", "contrib", "crates", "demo", "docs", "examples", "scripts", "sql", "src", "tests"];
    for page in ["README.md", "CONTRIBUTING.md", "docs/README.md", "docs/architecture.md"].map(Path::new) {
        for name in named(&text(page)) {
            let path = name.split_whitespace().next().unwrap_or_default();
            let is_pattern = path.contains(['*', '<', '{', '…']) || path.contains("NAME");
            if !is_pattern && path.split_once('/').is_some_and(|(top, _)| tops.contains(&top)) {
                assert!(repository().join(path).exists(), "{}: {path}", page.display());
            }
        }
    }
}

#[test]
fn every_make_target_and_test_that_a_page_names_exists() {
    let makefile = text("Makefile");
    for page in every_page() {
        for line in text(&page).lines().filter(|line| line.starts_with("make ")) {
            let target = line.split_whitespace().nth(1).unwrap();
            let rule = format!("{target}:");
            assert!(makefile.lines().any(|line| line.starts_with(&rule)), "{}: {line}", page.display());
            for name in line.split_whitespace().filter_map(|word| word.strip_prefix("TEST=")) {
                let of_a_crate = |krate: &str| format!("crates/{krate}/tests/{name}.rs");
                let files = match target {
                    "test-sql" | "accept" => vec![format!("tests/pg_regress/sql/{name}.sql")],
                    _ => vec![format!("tests/{name}.rs"), of_a_crate("catalog"), of_a_crate("fetch")],
                };
                let exists = files.iter().any(|file| repository().join(file).exists());
                assert!(exists, "{}: {line}", page.display());
            }
        }
    }
}

/// What README promises has a test that a plain `make test` runs.
#[test]
fn every_promise_of_readme_names_a_test_that_exists() {
    let readme = text("README.md");
    let (_, table) = readme.split_once("\n| promise | test |\n| --- | --- |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let mut promises = 0;
    for row in rows {
        let links: Vec<&str> = row.split("[`").skip(1).collect();
        assert!(!links.is_empty(), "no test: {row}");
        for link in links {
            let (name, rest) = link.split_once("`](").unwrap();
            let file = text(rest.split_once(')').unwrap().0);
            let lines: Vec<&str> = file.lines().map(str::trim_start).collect();
            let definition = format!("fn {name}(");
            let at = lines.iter().position(|line| line.starts_with(&definition));
            let at = at.unwrap_or_else(|| panic!("{row}: no test {name}"));
            let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with(['#', '/']));
            let attributes: Vec<_> = attributes.collect();
            assert!(attributes.contains(&&"#[test]"), "{row}: {name} is no test");
            assert!(!attributes.iter().any(|line| line.starts_with("#[ignore")), "{row}: {name} is ignored");
        }
        promises += 1;
    }
    assert!(promises > 5, "{promises} promises");
}
