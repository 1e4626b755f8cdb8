//! Sessions. They use libpq, which reads the PG* variables.

use crate::install;
use libpq::{Format, Status};
use std::fmt;

/// A session.
pub struct Connection(libpq::Connection);

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
    /// DETAIL and HINT, each in a line; empty without them.
    pub more: String,
}

impl Error {
    /// An error that does not come from the server.
    pub fn other(message: String) -> Self {
        Self { code: String::new(), message, more: String::new() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.message.trim(), self.more)
    }
}

impl Connection {
    /// Connects. `database` is empty, a name, a URL, or conninfo (`key=value`).
    pub fn open(database: &str) -> Result<Self, Error> {
        let is_name = !database.is_empty() && !database.contains("://") && !database.contains('=');
        let conninfo = match is_name {
            true => format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'")),
            false => database.to_owned(),
        };
        libpq::Connection::new(&conninfo).map(Self).map_err(|error| Error::other(error.to_string()))
    }

    /// Begins a transaction in which names refer to pg_catalog only, text is UTF-8, and the server does not end the session
    /// while the catalogue is fetched. A pooler may give the next transaction another session, so nothing is set for longer.
    pub fn begin(&self) -> Result<(), Error> {
        self.run(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = pg_catalog, pg_temp; \
             SET LOCAL client_encoding = 'UTF8'; SET LOCAL lock_timeout = '5s'; \
             SET LOCAL idle_in_transaction_session_timeout = 0",
        )
    }

    /// Runs a command.
    pub fn run(&self, command: &str) -> Result<(), Error> {
        let result = self.0.exec(command);
        match result.status() {
            Status::CommandOk | Status::TuplesOk => Ok(()),
            _ => Err(error(&result)),
        }
    }

    /// Runs a query, and returns the first value of its result.
    pub fn text(&self, query: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        // libpq expects parameters in text format to end with NUL
        let texts: Vec<Option<String>> =
            arguments.iter().map(|text| text.map(|text| format!("{text}\0"))).collect();
        let values: Vec<Option<&[u8]>> =
            texts.iter().map(|text| text.as_deref().map(str::as_bytes)).collect();
        let result = self.0.exec_params(query, &[], &values, &[], Format::Text);
        match result.status() {
            Status::TuplesOk if result.ntuples() == 0 => Ok(None),
            Status::TuplesOk => {
                Ok(result.value(0, 0).map(|value| String::from_utf8_lossy(value).into_owned()))
            }
            _ => Err(error(&result)),
        }
    }
}

impl Database {
    /// Connects and begins a transaction. Without `schema` this finds the only install whose owner the role is. A superuser
    /// must not run code of another owner, whatever `schema` names.
    pub fn connect(database: &str, schema: Option<&str>) -> Result<Self, Error> {
        let mut database = Self { connection: Connection::open(database)?, schema: String::new() };
        database.begin()?;
        let found = database.connection.text(
            "SELECT json_agg(quote_ident(n.nspname))::text FROM pg_class AS c \
             JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS r ON r.rolname = current_user \
             WHERE c.relname = 'model_access_sync_log' AND c.relkind = 'r' AND ($1::text IS NULL OR n.nspname = $1) AND CASE \
                 WHEN EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid \
                              WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e' \
                              AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'model_access') THEN true \
                 WHEN r.rolsuper THEN c.relowner = r.oid \
                 ELSE $1 IS NOT NULL OR pg_has_role(c.relowner, 'USAGE') END",
            &[schema],
        )?;
        let mut found: Vec<String> =
            serde_json::from_str(&found.unwrap_or_else(|| "[]".into())).unwrap_or_default();
        database.schema = match (found.pop(), found.is_empty()) {
            (Some(schema), true) => schema,
            (Some(_), false) => {
                return Err(Error::other(
                    "model_access is installed in more than one schema; choose one with --schema".into(),
                ));
            }
            (None, _) => {
                return Err(Error::other(format!(
                    "no model_access of which this role is the owner in {}",
                    schema.map_or("the database".to_owned(), |schema| format!("schema \"{schema}\""))
                )));
            }
        };
        let version = database.call("model_access_version()", &[])?.unwrap_or_default();
        install::check_version(&version).map_err(Error::other)?;
        Ok(database)
    }

    /// Begins a transaction; `connect` has begun the first.
    pub fn begin(&self) -> Result<(), Error> {
        self.connection.begin()
    }

    /// Runs a command.
    pub fn run(&self, command: &str) -> Result<(), Error> {
        self.connection.run(command)
    }

    /// Calls a function of model_access, such as `_model_access_state()`, and returns its result as text.
    pub fn call(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.connection.text(&format!("SELECT ({}.{function})::text", self.schema), arguments)
    }

    /// Calls a function of model_access that returns a row, and returns the row as JSON.
    pub fn call_row(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.connection.text(
            &format!("SELECT pg_catalog.to_json(r)::text FROM {}.{function} AS r", self.schema),
            arguments,
        )
    }

    /// Calls a function of model_access that returns rows, and returns them as a JSON array.
    pub fn call_rows(&self, function: &str, arguments: &[Option<&str>]) -> Result<Option<String>, Error> {
        self.connection.text(
            &format!(
                "SELECT coalesce(pg_catalog.json_agg(r), '[]')::text FROM {}.{function} AS r",
                self.schema
            ),
            arguments,
        )
    }
}

fn error(result: &libpq::Result) -> Error {
    use libpq::result::ErrorField;
    let field = |field| result.error_field(field).ok().flatten().map(str::to_owned);
    let message = field(ErrorField::MessagePrimary).or_else(|| result.error_message().ok().flatten());
    let line = |name: &str, code| field(code).map(|text| format!("\n{name}:  {text}")).unwrap_or_default();
    Error {
        code: field(ErrorField::Sqlstate).unwrap_or_default(),
        message: message.unwrap_or_else(|| "connection lost".into()),
        more: line("DETAIL", ErrorField::MessageDetail) + &line("HINT", ErrorField::MessageHint),
    }
}
