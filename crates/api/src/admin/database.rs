//! One transaction for each request: as the role of the person, with statements that are static texts.

use super::fault::Fault;
use super::identity::Who;
use crate::database::Settings;
use crate::metrics::Metrics;
use crate::pool::{Connection, Pool, is_lost};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{ToSql, Type};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The pool, and the schema of the extension.
pub struct Database {
    pool: Pool,
    schema: String,
    timeout: Duration,
    /// The name of the schema without quotes.
    pub schema_name: String,
}

/// A transaction. Unless it ends with [`Transaction::commit`] or [`Transaction::rollback`], its connection is closed.
pub struct Transaction {
    connection: Option<Connection>,
    schema: String,
    deadline: Instant,
    /// Whether the role may change decisions.
    pub may_decide: bool,
    /// Whether the database can fetch the catalogue itself.
    pub has_library: bool,
}

/// Quotes a name for SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Database {
    /// A pool that connects at the first request.
    pub fn new(settings: &watch::Receiver<Settings>, metrics: &Metrics) -> Result<Self, String> {
        let pool = Pool::new(settings, metrics)?;
        let settings = settings.borrow();
        Ok(Self {
            pool,
            schema: quoted(&settings.schema),
            timeout: settings.timeout,
            schema_name: settings.schema.clone(),
        })
    }

    /// Begins a transaction as the role of somebody. The history names the person.
    pub async fn begin(&self, writes: bool, who: &Who) -> Result<Transaction, Fault> {
        // with this path, no name in a statement can be that of an object that another role made
        let mut begin = format!(
            "BEGIN ISOLATION LEVEL {}; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL timezone = 'UTC';
             SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off",
            if writes { "READ COMMITTED" } else { "REPEATABLE READ READ ONLY" },
            self.timeout.as_millis()
        );
        if let Some(role) = &who.role {
            begin = format!("{begin}; SET LOCAL ROLE {}", quoted(role));
        }
        let deadline = Instant::now() + self.timeout;
        let mut is_second = false;
        let connection = loop {
            let connection = timeout_at(Instant::now() + CONNECT, self.pool.get()).await;
            let connection = connection
                .map_err(|_| Fault::gone("no connection in time"))?
                .map_err(|error| Fault::gone(&error))?;
            let begun = timeout_at(deadline, connection.batch_execute(&begin)).await;
            let error = match begun {
                Ok(Ok(())) => break connection,
                // an idle connection can end before the statement reaches the server
                Ok(Err(error)) if is_lost(&error, &connection) && !is_second => None,
                Ok(Err(error)) => Some(error.into()),
                Err(_) => Some(Fault::gone("no answer in time")),
            };
            is_second = true;
            connection.close();
            error.map_or(Ok(()), Err)?;
        };
        let (connection, schema) = (Some(connection), self.schema.clone());
        let mut transaction =
            Transaction { connection, schema, deadline, may_decide: false, has_library: false };
        let session = "SELECT json_build_array(
            coalesce(has_column_privilege(to_regclass($2 || '.model_access')::oid, 'status', 'UPDATE'), false),
            to_regprocedure($2 || '.model_access_sync(integer)') IS NOT NULL,
            set_config('model_access.on_behalf_of', coalesce($1, ''), true))::text";
        let answer = transaction.json(session, &[who.person.as_deref(), Some(&self.schema)]).await?;
        let (may_decide, has_library, _): (bool, bool, String) = answer;
        (transaction.may_decide, transaction.has_library) = (may_decide, has_library);
        Ok(transaction)
    }
}

impl Transaction {
    /// The answer of a statement that returns one text, which is JSON. `{s}` stands for the schema of the extension. All
    /// parameters are texts.
    pub async fn json<T: DeserializeOwned>(
        &self,
        sql: &'static str,
        parameters: &[Option<&str>],
    ) -> Result<T, Fault> {
        let connection = self.connection.as_ref().ok_or_else(|| Fault::gone("the transaction has ended"))?;
        let sql = sql.replace("{s}", &self.schema);
        let typed: Vec<_> =
            parameters.iter().map(|parameter| (parameter as &(dyn ToSql + Sync), Type::TEXT)).collect();
        let row = timeout_at(self.deadline, connection.query_typed_one(&sql, &typed)).await;
        let row = row.map_err(|_| Fault::gone("no answer in time"))??;
        let text: Option<&str> = row.try_get(0)?;
        serde_json::from_str(text.unwrap_or("null")).map_err(|error| Fault {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!("the answer of the database cannot be read: {error}"),
            ..Fault::default()
        })
    }

    /// Ends the transaction, and keeps what it wrote.
    pub async fn commit(self) -> Result<(), Fault> {
        self.end("COMMIT").await
    }

    /// Ends the transaction, and keeps nothing.
    pub async fn rollback(self) -> Result<(), Fault> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &str) -> Result<(), Fault> {
        let connection = self.connection.take().ok_or_else(|| Fault::gone("the transaction has ended"))?;
        let ended = timeout_at(self.deadline, connection.batch_execute(statement)).await;
        let ended = ended.map_err(|_| Fault::gone("no answer in time")).and_then(|ended| Ok(ended?));
        if ended.is_err() {
            connection.close();
        }
        ended
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // a connection must not return to the pool inside a transaction
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }
}
