//! The database side of a push: one transaction over libpq, which reads the PG* variables by itself.

use libpq::{Connection, Format, Status};
use std::fmt;

/// A session with the schema of the tables.
pub struct Database {
    connection: Connection,
    schema: String,
}

/// What PostgreSQL, or the way to it, had to say.
#[derive(Debug)]
pub struct Error {
    /// SQLSTATE; empty where there was no server.
    pub code: String,
    /// The message, as libpq formats it.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.message.trim())
    }
}

impl Database {
    /// Connects; `conninfo` may be empty, a URL, or `key=value` words. `schema` is found by the
    /// search_path unless it is given.
    pub fn connect(conninfo: &str, schema: Option<&str>) -> Result<Self, Error> {
        let other = |message: String| Error { code: String::new(), message };
        let connection = Connection::new(conninfo).map_err(|error| other(error.to_string()))?;
        let mut database = Self { connection, schema: String::new() };
        let found = database.text(
            "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relname = 'model_access_sync_log' AND c.relkind = 'r' \
               AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $1 END",
            &[schema],
        )?;
        database.schema = found.ok_or_else(|| {
            other(format!(
                "there is no model_access in {}; install it, or name its schema with --schema",
                schema.map_or("the search_path".to_owned(), |schema| format!("schema {schema}"))
            ))
        })?;
        Ok(database)
    }

    /// Runs a command.
    pub fn run(&self, command: &str) -> Result<(), Error> {
        let result = self.connection.exec(command);
        match result.status() {
            Status::CommandOk | Status::TuplesOk => Ok(()),
            _ => Err(error(&result)),
        }
    }

    /// Calls a function of the extension, such as `_model_access_state()`, and gives its result as text.
    pub fn call(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.text(&format!("SELECT ({}.{function})::text", self.schema), arguments)
    }

    /// The same for a function that returns a row, as JSON.
    pub fn call_row(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.text(
            &format!("SELECT pg_catalog.to_json(r)::text FROM {}.{function} AS r", self.schema),
            arguments,
        )
    }

    fn text(&self, query: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        // libpq wants text to end with a NUL
        let texts: Vec<Option<String>> =
            arguments.iter().map(|text| text.map(|text| format!("{text}\0"))).collect();
        let values: Vec<Option<&[u8]>> =
            texts.iter().map(|text| text.as_deref().map(str::as_bytes)).collect();
        let result = self.connection.exec_params(query, &[], &values, &[], Format::Text);
        match result.status() {
            Status::TuplesOk if result.ntuples() == 0 => Ok(None),
            Status::TuplesOk => {
                Ok(result.value(0, 0).map(|value| String::from_utf8_lossy(value).into_owned()))
            }
            _ => Err(error(&result)),
        }
    }
}

fn error(result: &libpq::Result) -> Error {
    let code = result.error_field(libpq::result::ErrorField::Sqlstate).ok().flatten().unwrap_or_default();
    let message = result.error_message().ok().flatten().unwrap_or_else(|| "the connection was lost".into());
    Error { code: code.to_owned(), message }
}
