//! Decisions as a file: `model-access decisions export`, `diff` and `apply`, for a repository and its CI.

use crate::database::{Database, Error};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The largest document that the database accepts, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Write decisions to a file, compare a file with a database, and apply it
///
/// Connects like psql, as push does. Rights viewer allow export and diff, rights admin also apply; only the owner applies
/// settings that differ.
#[derive(Args)]
pub struct Decisions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Export(Export),
    /// Print what apply would change, and write nothing
    #[command(after_help = "Exit codes: 0 no difference; 1 differences; 2 error.")]
    Diff(Document),
    /// Write what differs in one transaction, and print it
    #[command(
        after_help = "Exit codes: 0 applied, or no difference; 1 failed, and nothing was written; 2 usage;\n\
                            3 applied, but some lines were left out."
    )]
    Apply(Document),
}

/// Write the decisions and rules as text, one line for each model or rule
#[derive(Args)]
#[command(after_help = "Exit codes: 0 written; 1 failed; 2 usage.")]
struct Export {
    #[command(flatten)]
    place: Place,
    /// Write the overrides of users too
    #[arg(long)]
    overrides: bool,
    /// Write the settings too
    #[arg(long)]
    settings: bool,
    /// Write to this file once the whole text is there; by default to standard output
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct Document {
    /// A file that export wrote; - is standard input
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Place {
    /// Database name, URL (postgresql://…) or conninfo; the PG* variables supply the rest
    #[arg(default_value = "")]
    database: String,
    /// The schema of the tables; required without the library, if the role does not own them
    #[arg(long)]
    schema: Option<String>,
}

/// Runs the subcommand, prints its output, and gives the exit code.
pub fn run(decisions: &Decisions) -> ExitCode {
    let (result, failed) = match &decisions.command {
        Command::Export(export) => (write(export).map(|()| 0), 1),
        Command::Diff(document) => {
            (import(document, true).map(|differences| u8::from(!differences.is_empty())), 2)
        }
        Command::Apply(document) => {
            let code = |rows: Vec<Value>| if rows.iter().any(|row| row["action"] == "skip") { 3 } else { 0 };
            (import(document, false).map(code), 1)
        }
    };
    ExitCode::from(result.unwrap_or_else(|message| {
        // writing fails if nobody reads stderr
        drop(writeln!(io::stderr(), "model-access: {message}"));
        failed
    }))
}

fn write(export: &Export) -> Result<(), String> {
    let database = connect(&export.place)?;
    let arguments = [export.overrides, export.settings].map(|flag| flag.to_string());
    let text = database
        .call(
            "model_access_export_decisions($1::boolean, $2::boolean)",
            &[Some(&arguments[0]), Some(&arguments[1])],
        )
        .map_err(|error| error.to_string())?;
    let text = text.unwrap_or_default() + "\n";
    match &export.file {
        None => io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string()),
        Some(file) => {
            std::fs::write(file, text).map_err(|error| format!("could not write {}: {error}", file.display()))
        }
    }
}

/// Compares or applies the document, prints what differs, and returns it.
fn import(document: &Document, dry_run: bool) -> Result<Vec<Value>, String> {
    let text = |error: Error| error.to_string();
    // read before anything is locked, because standard input may be slow
    let lines = read(&document.file)?;
    let database = connect(&document.place)?;
    let rows = database
        .call_rows(
            "model_access_import_decisions($1::text, $2::boolean)",
            &[Some(&lines), Some(&dry_run.to_string())],
        )
        .map_err(text)?;
    database.run("COMMIT").map_err(text)?;
    let rows: Vec<Value> =
        serde_json::from_str(&rows.unwrap_or_default()).map_err(|error| error.to_string())?;
    let mut out = io::stdout().lock();
    // it is committed, so an error from here on does not change the exit code
    for row in &rows {
        drop(writeln!(out, "{}", describe(row)));
    }
    let skipped = rows.iter().filter(|row| row["action"] == "skip").count();
    let left_out = if skipped > 0 { format!(", left out: {skipped}") } else { String::new() };
    let word = if dry_run { "differences" } else { "applied" };
    drop(writeln!(out, "{word}: {}{left_out}", rows.len() - skipped));
    Ok(rows)
}

fn connect(place: &Place) -> Result<Database, String> {
    Database::connect(&place.database, place.schema.as_deref()).map_err(|error| error.to_string())
}

/// Reads a document. libpq would end it at a NUL, and the rest would be left out.
fn read(file: &Path) -> Result<String, String> {
    let mut document = String::new();
    let read = match file.as_os_str() == "-" {
        true => io::stdin().take(MAX_BYTES + 1).read_to_string(&mut document),
        false => File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut document)),
    };
    read.map_err(|error| format!("could not read {}: {error}", file.display()))?;
    match document.contains('\0') {
        true => Err(format!("could not read {}: it has a NUL character", file.display())),
        false => Ok(document),
    }
}

/// One line: `+` is added, `-` removed, `~` changed, and `!` left out.
fn describe(row: &Value) -> String {
    let word = |key: &str| row[key].as_str().unwrap_or_default();
    let (old, new) = (&row["old"], &row["new"]);
    let (mark, values) = match word("action") {
        "add" => ("+", format!("{new}")),
        "remove" => ("-", format!("{old}")),
        "skip" => ("!", format!("{new} left out")),
        _ => ("~", format!("{old} -> {new}")),
    };
    let kind = if word("kind") == "model" { "" } else { word("kind") };
    let names = [mark, kind, word("id"), word("field")];
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let names = names.join(" ");
    let why = if word("why").is_empty() { String::new() } else { format!(" ({})", word("why")) };
    // names and texts must not control the terminal
    format!("{names}: {values}{why}")
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::describe;
    use serde_json::json;

    #[test]
    fn a_line_says_what_changes_and_controls_no_terminal() {
        let row = |action: &str, field: Option<&str>| {
            json!({"kind": "model", "id": "a/b\u{1b}[2J", "field": field, "action": action,
                   "old": "new", "new": "act\u{9b}ive", "why": "not listed here now"})
        };
        let id = "a/b\\u{1b}[2J";
        for (action, field, expected) in [
            (
                "change",
                Some("status"),
                format!("~ {id} status: \"new\" -> \"act\\u{{9b}}ive\" (not listed here now)"),
            ),
            ("skip", None, format!("! {id}: \"act\\u{{9b}}ive\" left out (not listed here now)")),
        ] {
            assert_eq!(describe(&row(action, field)), expected);
        }
        let rule = json!({"kind": "rule", "id": "20", "field": null, "action": "add", "old": null,
                          "new": {"rule": 20}, "why": null});
        assert_eq!(describe(&rule), "+ rule 20: {\"rule\":20}");
        let setting = json!({"kind": "setting", "id": "price_alert", "field": null, "action": "change",
                             "old": "3", "new": "2", "why": "the default"});
        assert_eq!(describe(&setting), "~ setting price_alert: \"3\" -> \"2\" (the default)");
    }
}
