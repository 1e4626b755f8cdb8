//! Installs, upgrades and removes model_access in a PostgreSQL without the library, each in one transaction.

use crate::arguments::{Install, Uninstall, Upgrade};
use crate::database::{Connection, Error};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// The version of the program, and of the SQL that it contains.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One install in the database.
struct Installed {
    /// Its schema, not quoted.
    schema: String,
    /// Its version; `None` if it is older than the first release, or the role does not own it.
    version: Option<String>,
    is_extension: bool,
}

impl Installed {
    fn label(&self) -> String {
        let version = self
            .version
            .as_deref()
            .unwrap_or("of another role, which alone reads its version, or older than 0.2.0,");
        let kind = if self.is_extension { "the extension" } else { "without the library" };
        format!("{version} in schema {} ({kind})", self.schema)
    }
}

/// Fails if the install has a later version than this program.
pub fn check_version(version: &str) -> Result<(), String> {
    match numbers(version) > numbers(VERSION) {
        true => Err(format!(
            "model_access in the database has version {version}, and this program {VERSION}\n\
             DETAIL:  Nothing was changed.\nHINT:  Use the program of that version, or of a later one."
        )),
        false => Ok(()),
    }
}

/// The words of a version as numbers: `0.10.0` is above `0.9.0`.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.split(' ').next().unwrap_or_default();
    version.split('.').filter_map(|number| number.parse().ok()).collect()
}

/// Installs, and prints what it did.
pub fn install(options: &Install) -> Result<(), String> {
    let schema = options.schema.as_deref().unwrap_or("public");
    let connection = begin(&options.database)?;
    let here = find(&connection, Some(schema))?.pop();
    let version = here.as_ref().and_then(|here| here.version.as_deref());
    check(&connection, schema, here.as_ref())?;
    match here {
        None => connection.script(INSTALL, schema)?,
        Some(_) if version == Some(VERSION) => {}
        Some(here) => {
            return Err(format!(
                "model_access is already installed: {}\nDETAIL:  Nothing was changed.\nHINT:  Run: model-access upgrade",
                here.label()
            ));
        }
    }
    commit(&connection, &format!("model_access {VERSION} is installed in schema {schema}"))
}

/// Upgrades to the version of the program, and prints what it did.
pub fn upgrade(options: &Upgrade) -> Result<(), String> {
    let connection = begin(&options.database)?;
    let here = only(&connection, options.schema.as_deref())?;
    check(&connection, &here.schema, Some(&here))?;
    let schema = &here.schema;
    let before = here.version.unwrap_or_default();
    let mut version = before.as_str();
    while let Some((_, to, script)) = STEPS.iter().find(|(from, ..)| *from == version) {
        connection.script(script, schema)?;
        version = to;
    }
    let done = match version == before {
        true => {
            format!("model_access {VERSION} is installed in schema {schema}, and there is nothing to upgrade")
        }
        false => format!("model_access in schema {schema} was upgraded from {before} to {version}"),
    };
    commit(&connection, &done)
}

/// Fails if what is in the schema is not an install that this program can use.
fn check(connection: &Connection, schema: &str, here: Option<&Installed>) -> Result<(), String> {
    check_version(here.and_then(|here| here.version.as_deref()).unwrap_or_default())?;
    connection.script(CHECK, schema)
}

/// The install in the schema, or the only one in the database.
fn only(connection: &Connection, schema: Option<&str>) -> Result<Installed, String> {
    let mut found = find(connection, schema)?;
    // if the role owns an install, those of other owners do not count
    if found.iter().any(|here| here.version.is_some()) {
        found.retain(|here| here.version.is_some());
    }
    match (found.pop(), found.is_empty()) {
        (Some(here), true) => Ok(here),
        (Some(_), false) => {
            Err("model_access is installed in more than one schema; choose one with --schema".to_owned())
        }
        (None, _) => {
            let place = schema.map_or("the database".to_owned(), |schema| format!("schema {schema}"));
            Err(format!("model_access is not installed in {place}\nHINT:  model-access install installs it."))
        }
    }
}

fn commit(connection: &Connection, done: &str) -> Result<(), String> {
    connection.run("COMMIT").map_err(|error| error.to_string())?;
    drop(writeln!(io::stdout(), "{done}"));
    Ok(())
}

/// Prints the version of the program and of each install in the database.
pub fn version(database: &str) -> Result<(), String> {
    let connection = begin(database)?;
    let found = find(&connection, None)?;
    let mut out = io::stdout().lock();
    drop(writeln!(out, "program: {VERSION}"));
    if found.is_empty() {
        drop(writeln!(out, "database: not installed"));
    }
    for installed in found {
        drop(writeln!(out, "database: {}", installed.label()));
    }
    Ok(())
}

/// Says what would be removed, and removes it if the options say so.
pub fn uninstall(options: &Uninstall) -> Result<(), String> {
    let connection = begin(&options.database)?;
    let here = only(&connection, options.schema.as_deref())?;
    let schema = &here.schema;
    if here.is_extension {
        return Err("the database has the extension, which DROP EXTENSION model_access removes".to_owned());
    }
    let text = |error: Error| error.to_string();
    // no decision can be made after the list is printed or the file is written
    connection.script(include_str!("uninstall_lock.sql"), schema)?;
    let taken =
        connection.text(&in_schema(include_str!("uninstall_list.sql"), schema)?, &[]).map_err(text)?;
    let taken: Value = serde_json::from_str(&taken.unwrap_or_default()).map_err(|error| error.to_string())?;
    let lines = |key: &str| -> Vec<String> {
        let list = taken.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let dependents = lines("dependents");
    let mut out = io::stdout().lock();
    drop(writeln!(out, "model_access {}", here.label()));
    for line in lines("contents") {
        drop(writeln!(out, "  {line}"));
    }
    for line in &dependents {
        drop(writeln!(out, "  of the application, by --cascade: {line}"));
    }
    if !options.yes {
        drop(writeln!(out, "Nothing was removed. To remove all this, add --yes."));
        return Ok(());
    }
    if !dependents.is_empty() && !options.cascade {
        return Err(format!(
            "{} objects of the application depend on model_access\nDETAIL:  Nothing was removed.\n\
             HINT:  Drop them, or add --cascade.",
            dependents.len()
        ));
    }
    if let Some(file) = &options.keep_decisions {
        keep_decisions(&connection, schema, file)?;
    }
    connection.script(include_str!("uninstall.sql"), schema)?;
    connection.run("COMMIT").map_err(text)?;
    drop(writeln!(out, "Removed."));
    Ok(())
}

/// Writes the decisions to a new file.
fn keep_decisions(connection: &Connection, schema: &str, file: &Path) -> Result<(), String> {
    let document = in_schema(include_str!("uninstall_keep.sql"), schema)?;
    let document = connection.text(&document, &[]).map_err(|error| match error.code.as_str() {
        "42883" => "this version cannot export decisions\nDETAIL:  Nothing was removed.\n\
                    HINT:  Run model-access upgrade first."
            .to_owned(),
        _ => error.to_string(),
    })?;
    let written = File::create_new(file).and_then(|mut written| {
        writeln!(written, "{}", document.unwrap_or_default())?;
        written.sync_all()
    });
    written.map_err(|error| {
        format!("could not write {}: {error}\nDETAIL:  Nothing was removed.", file.display())
    })
}

/// Connects and begins the transaction. Every setting is local to it, so that a pooler may give each transaction another
/// session.
fn begin(database: &str) -> Result<Connection, String> {
    let connection = Connection::open(database).map_err(|error| error.to_string())?;
    connection.begin().map_err(|error| error.to_string())?;
    // hosted PostgreSQL limits the time of a statement, and each script is one
    connection
        .run("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
        .map_err(|error| error.to_string())?;
    Ok(connection)
}

/// The installs in the database, or in one schema. A version is asked for only where the install is the role's own: it is
/// code of its owner.
fn find(connection: &Connection, schema: Option<&str>) -> Result<Vec<Installed>, String> {
    let found = connection.text(include_str!("find.sql"), &[schema]).map_err(|error| error.to_string())?;
    let found: Vec<Value> =
        serde_json::from_str(&found.unwrap_or_default()).map_err(|error| error.to_string())?;
    found
        .iter()
        .map(|row| {
            let word = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
            let schema = word("schema").unwrap_or_default();
            let version = match word("call") {
                Some(call) => {
                    connection.text(&format!("SELECT {call}"), &[]).map_err(|error| error.to_string())?
                }
                None => word("version"),
            };
            Ok(Installed { schema, version, is_extension: row["is_extension"] == true })
        })
        .collect()
}

/// A script with the name of the schema, which stands there in quoted names and in literals.
fn in_schema(script: &str, schema: &str) -> Result<String, String> {
    match schema.contains(['"', '\'', '\\', '$']) {
        true => Err("the name of the schema must not contain any of \" ' \\ $".to_owned()),
        false => Ok(script.replace("@extschema@", &format!("\"{schema}\""))),
    }
}

impl Connection {
    fn script(&self, script: &str, schema: &str) -> Result<(), String> {
        self.run(&in_schema(script, schema)?).map_err(|error| error.to_string())
    }
}
