//! The database session of a push. It uses libpq, which reads the PG* variables.

use libpq::{Connection, Format, Status};
use std::fmt;

/// A session, and the schema of the tables.
pub struct Database {
    connection: Connection,
    schema: String,
}

/// An error of PostgreSQL or of the connection.
#[derive(Debug)]
pub struct Error {
    /// The SQLSTATE; empty if the error does not come from the server.
    pub code: String,
    /// The message.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.message.trim())
    }
}

impl Database {
    /// Connects. `database` is empty, a name, a URL, or conninfo (`key=value`). Without `schema` this finds the only
    /// install whose owner the role is.
    pub fn connect(database: &str, schema: Option<&str>) -> Result<Self, Error> {
        let other = |message: String| Error { code: String::new(), message };
        let is_name = !database.is_empty() && !database.contains("://") && !database.contains('=');
        let conninfo = match is_name {
            true => format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'")),
            false => database.to_owned(),
        };
        let connection = Connection::new(&conninfo).map_err(|error| other(error.to_string()))?;
        let mut database = Self { connection, schema: String::new() };
        // first of all, so that names refer to pg_catalog only, text is UTF-8, and the server does not end the session
        // while the catalogue is fetched
        database.run(
            "SET search_path = pg_catalog, pg_temp; SET client_encoding = 'UTF8'; SET lock_timeout = '5s'; \
             SET idle_in_transaction_session_timeout = 0",
        )?;
        let found = database.text(
            "SELECT json_agg(quote_ident(n.nspname))::text FROM pg_class AS c \
             JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS r ON r.rolname = current_user \
             WHERE c.relname = 'model_access_sync_log' AND c.relkind = 'r' AND CASE \
                 WHEN $1::text IS NOT NULL THEN n.nspname = $1 \
                 WHEN EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid \
                              WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e' \
                              AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'model_access') THEN true \
                 ELSE c.relowner = r.oid OR (pg_has_role(c.relowner, 'USAGE') AND NOT r.rolsuper) END",
            &[schema],
        )?;
        let mut found: Vec<String> =
            serde_json::from_str(&found.unwrap_or_else(|| "[]".into())).unwrap_or_default();
        database.schema = match (found.pop(), found.is_empty()) {
            (Some(schema), true) => schema,
            (Some(_), false) => {
                return Err(other(
                    "model_access is installed in more than one schema; choose one with --schema".into(),
                ));
            }
            (None, _) => {
                return Err(other(format!(
                    "no model_access of which this role is the owner in {}",
                    schema.map_or("the database".to_owned(), |schema| format!("schema \"{schema}\""))
                )));
            }
        };
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

    /// Calls a function of model_access, such as `_model_access_state()`, and returns its result as text.
    pub fn call(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.text(&format!("SELECT ({}.{function})::text", self.schema), arguments)
    }

    /// Calls a function of model_access that returns a row, and returns the row as JSON.
    pub fn call_row(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.text(
            &format!("SELECT pg_catalog.to_json(r)::text FROM {}.{function} AS r", self.schema),
            arguments,
        )
    }

    /// Calls a function of model_access that returns rows, and returns them as a JSON array.
    pub fn call_rows(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.text(
            &format!(
                "SELECT coalesce(pg_catalog.json_agg(r), '[]')::text FROM {}.{function} AS r",
                self.schema
            ),
            arguments,
        )
    }

    fn text(&self, query: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        // libpq expects parameters in text format to end with NUL
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
    let field =
        result.error_field(libpq::result::ErrorField::MessagePrimary).ok().flatten().map(str::to_owned);
    let message = field.or_else(|| result.error_message().ok().flatten());
    let message = message.unwrap_or_else(|| "connection lost".into());
    Error { code: code.to_owned(), message }
}
