//! The program `model-access` installs, upgrades and syncs a PostgreSQL without the library.

mod arguments;
mod database;
mod decisions;
mod install;
mod problem;

use arguments::{Arguments, Command, Push};
use catalog::plan::from_json;
use catalog::problem::Problem;
use clap::{CommandFactory, Parser};
use database::{Database, Error};
use serde_json::{Map, Value, json};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// The row of the run so far; it becomes the argument of `model_access_apply`.
type Run = Map<String, Value>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Push(push) => run(&push),
        Command::Install(options) => install::install(&options).map(|()| "applied".to_owned()),
        Command::Upgrade(options) => install::upgrade(&options).map(|()| "applied".to_owned()),
        Command::Version(options) => install::version(&options.database).map(|()| "applied".to_owned()),
        Command::Uninstall(options) => install::uninstall(&options).map(|()| "applied".to_owned()),
        Command::Decisions(options) => return decisions::run(&options),
        Command::Man { directory } => clap_mangen::generate_to(Arguments::command(), &directory)
            .map(|()| "applied".to_owned())
            .map_err(|error| format!("{}: {error}", directory.display())),
    };
    let outcome = outcome.unwrap_or_else(|message| {
        // writing fails if nobody reads stderr
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
    // read before anything is locked, because standard input may be slow
    let document_file = push.file.as_deref().map(|file| read(file, push.max_body())).transpose()?;
    let database = Database::connect(&push.database, push.schema.as_deref()).map_err(text)?;
    let max_removals = push.max_removals.map(|max| max.to_string());
    let begun =
        database.call("_model_access_begin($1::integer)", &[max_removals.as_deref()]).map_err(text)?;
    let mut run = parse(begun)?;
    let mut document = None;
    if !run.contains_key("outcome") {
        match document_file.map_or_else(|| fetch_document(push, &mut run), |document| Ok(Ok(document)))? {
            Ok(body) => document = Some(body),
            Err(problem) => {
                run.insert("outcome".into(), json!("failed"));
                run.insert("problem".into(), json!(problem));
            }
        }
    }
    if push.dry_run {
        if let Some(document) = document {
            run.extend(plan_on_state(&database, &document, push).map_err(text)?);
        }
        database
            .call("_model_access_warn($1::jsonb)", &[Some(&Value::Object(run.clone()).to_string())])
            .map_err(text)?;
        drop(print_plan(&run));
        return Ok(word(&run, "outcome").to_owned());
    }
    database.run("SAVEPOINT run").map_err(text)?;
    let row = match write(&database, document.as_deref(), push, &mut run) {
        Err(error) if ["55P03", "40P01"].contains(&error.code.as_str()) => {
            database.run("ROLLBACK TO SAVEPOINT run").map_err(text)?;
            let locked = database
                .call("_model_access_locked($1::text, $2::text)", &[Some(&error.code), Some(&error.message)])
                .map_err(text)?;
            run.extend(parse(locked)?);
            write(&database, None, push, &mut run)
        }
        row => row,
    };
    let row = parse(row.map_err(text)?)?;
    run.insert("changed_key".into(), row.get("changed_key").cloned().unwrap_or_default());
    database.call("_model_access_warn($1::jsonb)", &[Some(&Value::Object(run).to_string())]).map_err(text)?;
    database.run("COMMIT").map_err(text)?;
    // the run is committed, so an error from here on does not change its outcome
    let pruned = database
        .begin()
        .and_then(|()| database.call("_model_access_prune()", &[]))
        .and_then(|_| database.run("COMMIT"));
    if let Err(error) = pruned {
        drop(writeln!(io::stderr(), "model-access: could not delete old rows of the run log: {error}"));
    }
    drop(print_summary(&row));
    Ok(word(&row, "outcome").to_owned())
}

fn parse(json: Option<String>) -> Result<Run, String> {
    serde_json::from_str(&json.unwrap_or_default()).map_err(|error| error.to_string())
}

/// Plans if there is a document, applies the plan, and returns the row of the run.
fn write(
    database: &Database,
    document: Option<&[u8]>,
    push: &Push,
    run: &mut Run,
) -> Result<Option<String>, Error> {
    if let Some(document) = document {
        let mut plan = plan_on_state(database, document, push)?;
        if !items(&plan, "insert").is_empty() || !items(&plan, "update").is_empty() {
            database.call("_model_access_lock()", &[])?;
            let rows_version = database.call("_model_access_rows_version()", &[])?;
            if plan.get("rows_version").and_then(Value::as_str) != rows_version.as_deref() {
                // rows changed before the lock was granted
                plan = plan_on_state(database, document, push)?;
            }
        }
        run.extend(plan);
    }
    database.call_row("model_access_apply($1::jsonb)", &[Some(&Value::Object(run.clone()).to_string())])
}

fn plan_on_state(database: &Database, document: &[u8], push: &Push) -> Result<Run, Error> {
    let state = database.call("_model_access_state()", &[])?.unwrap_or_default();
    let plan = from_json(document, &state, push.max_removals, push.limits(), &|| ()).and_then(|plan| {
        let json = serde_json::to_value(plan)?;
        serde_json::from_value(json)
    });
    plan.map_err(|error| Error::other(format!("could not read the state of the tables: {error}")))
}

/// Reads a document from a file, or from standard input if the file is `-`.
fn read(file: &Path, max: usize) -> Result<Vec<u8>, String> {
    let mut document = Vec::new();
    let limit = max as u64 + 1;
    let read = match file.as_os_str() == "-" {
        true => io::stdin().take(limit).read_to_end(&mut document),
        false => std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut document)),
    };
    read.map_err(|error| format!("could not read {}: {error}", file.display()))?;
    match document.len() > max {
        true => Err(format!("{} is larger than --max-body", file.display())),
        false => Ok(document),
    }
}

/// Fetches the document. A problem of the fetch is a part of the row of the run, so it is no error here.
fn fetch_document(push: &Push, run: &mut Run) -> Result<Result<Vec<u8>, Problem>, String> {
    let request = push.fetch_request();
    run.insert("url".into(), json!(request.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(|error| error.to_string())?.block_on(fetch::get(&request));
    let (status, document) = match result {
        Ok(body) => (Some(200), Ok(body)),
        Err(error) => (error.http_status, Err(problem::of_fetch(error))),
    };
    run.insert("http_status".into(), json!(status));
    Ok(document)
}

fn items<'a>(run: &'a Run, key: &str) -> &'a [Value] {
    run.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(run: &'a Run, key: &str) -> &'a str {
    run.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Prints one line for each row that would be written: `+` is a new row, `~` a changed one with its new values.
fn print_plan(run: &Run) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for model in items(run, "insert") {
        writeln!(out, "+ {}", model["model_id"].as_str().unwrap_or_default())?;
    }
    for change in items(run, "update") {
        let columns = change.as_object().into_iter().flatten();
        let columns: Vec<String> = columns
            .filter(|(key, value)| {
                !["model_id", "fingerprint", "entry_hash"].contains(&key.as_str()) && !value.is_object()
            })
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        writeln!(out, "~ {} {}", change["model_id"].as_str().unwrap_or_default(), columns.join(" "))?;
    }
    drop(out);
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
