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
    let mut run: Run = serde_json::from_str(&begun.unwrap_or_default()).map_err(|error| error.to_string())?;
    if !run.contains_key("outcome") {
        match document(push, &mut run)? {
            Ok(document) => plan(&database, &document, push.max_removals, &mut run).map_err(text)?,
            Err(problem) => fail(&mut run, json!(problem)),
        }
    }
    if push.dry_run {
        print_plan(&run).map_err(|error| error.to_string())?;
        database.run("ROLLBACK").map_err(text)?;
        return Ok(word(&run, "outcome").to_owned());
    }
    let run = Value::Object(run).to_string();
    database.call("_model_access_warn($1)", &[Some(&run)]).map_err(text)?;
    let row = database.call_row("model_access_apply($1)", &[Some(&run)]).map_err(text)?;
    database.run("COMMIT").map_err(text)?;
    database.call("_model_access_prune()", &[]).map_err(text)?;
    let row: Run = serde_json::from_str(&row.unwrap_or_default()).map_err(|error| error.to_string())?;
    print_summary(&row).map_err(|error| error.to_string())?;
    Ok(word(&row, "outcome").to_owned())
}

/// The document, from a file or the upstream; what the upstream did wrong belongs into the run row.
fn document(push: &Push, run: &mut Run) -> Result<Result<Vec<u8>, Problem>, String> {
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
fn plan(database: &Database, document: &[u8], max_removals: Option<u32>, run: &mut Run) -> Result<(), Error> {
    database.run("SAVEPOINT plan")?;
    match try_plan(database, document, max_removals) {
        Ok(plan) => run.extend(plan),
        Err(error) if ["55P03", "40P01"].contains(&error.code.as_str()) => {
            database.run("ROLLBACK TO SAVEPOINT plan")?;
            fail(
                run,
                json!({
                    "code": error.code,
                    "message": format!("could not lock model_access: {}", error.message.trim()),
                    "hint": "Another session holds a lock on it, see pg_locks; the next run tries again.",
                }),
            );
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn try_plan(database: &Database, document: &[u8], max_removals: Option<u32>) -> Result<Run, Error> {
    let planned = || {
        let state = database.call("_model_access_state()", &[])?.unwrap_or_default();
        let plan = from_json(document, &state, max_removals).and_then(serde_json::to_value);
        match plan {
            Ok(Value::Object(plan)) => Ok(plan),
            Ok(_) => Ok(Run::new()),
            Err(error) => {
                Err(Error { code: String::new(), message: format!("the state cannot be read: {error}") })
            }
        }
    };
    let plan = planned()?;
    if items(&plan, "insert").is_empty() && items(&plan, "update").is_empty() {
        return Ok(plan);
    }
    database.call("_model_access_lock()", &[])?;
    planned()
}

fn fail(run: &mut Run, problem: Value) {
    run.insert("outcome".into(), json!("failed"));
    run.insert("problem".into(), problem);
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
