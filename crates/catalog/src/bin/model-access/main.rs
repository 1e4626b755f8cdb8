//! Runs the sync from outside the server, for a PostgreSQL where the library cannot be installed.

mod arguments;
mod database;

use arguments::{Arguments, Command, Push};
use catalog::fetch::{self, Failure};
use catalog::plan::from_json;
use catalog::problem::Problem;
use clap::Parser;
use database::{Database, Error};
use serde_json::{Map, Value, json};
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// The run row in the making: what `model_access_apply` is given.
type Run = Map<String, Value>;

fn main() -> ExitCode {
    let Command::Push(push) = Arguments::parse().command;
    let outcome = run(&push).unwrap_or_else(|message| {
        // the reader may be gone
        drop(writeln!(io::stderr(), "model-access: {message}"));
        "failed".to_owned()
    });
    ExitCode::from(match outcome.as_str() {
        "applied" | "unchanged" => 0,
        "held" => 3,
        "skipped" => 4,
        _ => 1,
    })
}

fn run(push: &Push) -> Result<String, String> {
    let text = |error: Error| error.to_string();
    let database = Database::connect(&push.database, push.schema.as_deref()).map_err(text)?;
    database
        .run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '5s'")
        .map_err(text)?;
    let max_removals = push.max_removals.map(|max| max.to_string());
    let begun = database.call("_model_access_begin($1)", &[max_removals.as_deref()]).map_err(text)?;
    let mut run = parsed(begun)?;
    let mut document = None;
    if !run.contains_key("outcome") {
        match fetched(push, &mut run)? {
            Ok(body) => document = Some(body),
            Err(problem) => {
                run.insert("outcome".into(), json!("failed"));
                run.insert("problem".into(), json!(problem));
            }
        }
    }
    database.run("SAVEPOINT run").map_err(text)?;
    let row = match write(&database, document.as_deref(), push, &mut run) {
        Ok(row) => row,
        Err(error) if ["55P03", "40P01"].contains(&error.code.as_str()) => {
            database.run("ROLLBACK TO SAVEPOINT run").map_err(text)?;
            let locked = database
                .call("_model_access_locked($1, $2)", &[Some(&error.code), Some(error.message.trim())])
                .map_err(text)?;
            run.extend(parsed(locked)?);
            write(&database, None, push, &mut run).map_err(text)?
        }
        Err(error) => return Err(text(error)),
    };
    let Some(row) = row else {
        print_plan(&run).map_err(|error| error.to_string())?;
        return Ok(word(&run, "outcome").to_owned());
    };
    database.call("_model_access_warn($1)", &[Some(&Value::Object(run).to_string())]).map_err(text)?;
    database.run("COMMIT").map_err(text)?;
    database.call("_model_access_prune()", &[]).map_err(text)?;
    let row = parsed(Some(row))?;
    print_summary(&row).map_err(|error| error.to_string())?;
    Ok(word(&row, "outcome").to_owned())
}

fn parsed(json: Option<String>) -> Result<Run, String> {
    serde_json::from_str(&json.unwrap_or_default()).map_err(|error| error.to_string())
}

/// Plans, if there is a document, and applies; gives the run row, or nothing for a dry run.
fn write(
    database: &Database,
    document: Option<&[u8]>,
    push: &Push,
    run: &mut Run,
) -> Result<Option<String>, Error> {
    if let Some(document) = document {
        run.extend(plan(database, document, push.max_removals)?);
    }
    if push.dry_run {
        return Ok(None);
    }
    database.call_row("model_access_apply($1)", &[Some(&Value::Object(run.clone()).to_string())])
}

/// The document, from a file or the upstream; what the upstream did wrong belongs into the run row.
fn fetched(push: &Push, run: &mut Run) -> Result<Result<Vec<u8>, Problem>, String> {
    if let Some(file) = &push.file {
        let mut document = Vec::new();
        let read = match file.as_os_str() == "-" {
            true => io::stdin().read_to_end(&mut document),
            false => std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut document)),
        };
        return read
            .map(|_| Ok(document))
            .map_err(|error| format!("cannot read {}: {error}", file.display()));
    }
    let config = push.fetch_config();
    run.insert("url".into(), json!(config.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let fetched = runtime.map_err(|error| error.to_string())?.block_on(fetch::fetch(&config));
    let (status, document) = match fetched {
        Ok(body) => (Some(200), Ok(body)),
        Err(Failure { http_status, problem, .. }) => (http_status, Err(problem)),
    };
    run.insert("http_status".into(), json!(status));
    Ok(document)
}

/// As `_model_access_plan_now` does it inside the server: where the plan writes, it is made under the lock.
fn plan(database: &Database, document: &[u8], max_removals: Option<u32>) -> Result<Run, Error> {
    let planned = || {
        let state = database.call("_model_access_state()", &[])?.unwrap_or_default();
        let plan = from_json(document, &state, max_removals, &|| ()).and_then(|plan| {
            let json = serde_json::to_value(plan)?;
            serde_json::from_value(json)
        });
        plan.map_err(|error| Error {
            code: String::new(),
            message: format!("the rows that are there cannot be read: {error}"),
        })
    };
    let plan: Run = planned()?;
    if items(&plan, "insert").is_empty() && items(&plan, "update").is_empty() {
        return Ok(plan);
    }
    database.call("_model_access_lock()", &[])?;
    planned()
}

fn items<'a>(run: &'a Run, key: &str) -> &'a [Value] {
    run.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(run: &'a Run, key: &str) -> &'a str {
    run.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What would be written, a line a row: `+` added, `~` changed, with the columns that would change.
fn print_plan(run: &Run) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for model in items(run, "insert") {
        writeln!(out, "+ {}", model["model_id"].as_str().unwrap_or_default())?;
    }
    for change in items(run, "update") {
        let columns = change.as_object().into_iter().flatten();
        let columns: Vec<String> = columns
            .filter(|(key, value)| *key != "model_id" && !value.is_object() && *key != "fingerprint")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        writeln!(out, "~ {} {}", change["model_id"].as_str().unwrap_or_default(), columns.join(" "))?;
    }
    drop(out);
    if let Some(message) = run.get("problem").and_then(|problem| problem["message"].as_str()) {
        writeln!(io::stderr(), "WARNING:  model_access sync {}: {message}", word(run, "outcome"))?;
    }
    print_summary(run)
}

fn print_summary(run: &Run) -> io::Result<()> {
    let count = |key: &str| run.get(key).and_then(Value::as_i64).unwrap_or_default();
    let counts: Vec<String> =
        ["listed", "added", "changed", "missing", "returned", "free_revoked", "withheld"]
            .iter()
            .map(|key| format!("{key} {}", count(key)))
            .collect();
    writeln!(io::stdout(), "{}: {}", word(run, "outcome"), counts.join(", "))
}
