//! PostgreSQL: the pool of connections, and the two statements that answer requests.

use crate::code::Code;
use crate::error_chain::error_chain;
use crate::metrics::Metrics;
use crate::pool::{Pool, is_lost, is_refused_for_number};
use crate::problem::Problem;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How to connect to the database, and how long to wait for an answer.
#[derive(Clone)]
pub struct Settings {
    /// Host, user and the other parameters of the connection.
    pub config: Config,
    /// TLS for the connection.
    pub tls: MakeRustlsConnect,
    /// The schema of the extension.
    pub schema: String,
    /// Most connections.
    pub connections: usize,
    /// Longest time to get a connection and an answer.
    pub timeout: Duration,
}

/// The pool and the statements.
pub struct Database {
    pool: Pool,
    list: String,
    model: String,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

/// The answer of the database about a user.
#[derive(Debug, Clone, PartialEq)]
pub struct UserList {
    /// Whether the bound profiles contain the user.
    pub known: bool,
    /// Seconds until an override starts or ends, by the database's clock.
    pub valid_for: Option<f64>,
    /// `{"data":[…]}`, with one row of `model_access_visible` per model.
    pub document: String,
}

/// The answer of the database about a user and a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserModel {
    /// Whether the bound profiles contain the user.
    pub known: bool,
    /// The row of the model, if the user may use it.
    pub row: Option<String>,
    /// Whether the model is in some tier.
    pub is_listed: bool,
    /// Why the user may or may not use the model, as a text for people.
    pub reason: Option<String>,
}

impl Database {
    /// A pool that connects at the first request.
    ///
    /// # Errors
    /// Never fails with settings that the command line accepts.
    pub fn new(settings: &watch::Receiver<Settings>, metrics: &Arc<Metrics>) -> Result<Self, String> {
        let pool = Pool::new(settings, metrics)?;
        let settings = settings.borrow();
        let schema = format!("\"{}\"", settings.schema.replace('"', "\"\""));
        let (list, model) = (list_statement(&schema), model_statement(&schema));
        Ok(Self { pool, list, model, timeout: settings.timeout, metrics: Arc::clone(metrics) })
    }

    /// The list of a user.
    ///
    /// # Errors
    /// 503 if the database does not answer in time, or reports an error.
    pub async fn list(&self, user: &str) -> Result<UserList, Problem> {
        let row = self.query("list", &self.list, &[&user]).await?;
        let read =
            || Ok(UserList { known: row.try_get(0)?, valid_for: row.try_get(1)?, document: row.try_get(2)? });
        read().map_err(|error: tokio_postgres::Error| unavailable(&error_chain(&error)))
    }

    /// Whether a user may use a model, and why.
    ///
    /// # Errors
    /// 503 if the database does not answer in time, or reports an error.
    pub async fn model(&self, user: &str, id: &str) -> Result<UserModel, Problem> {
        let row = self.query("model", &self.model, &[&user, &id]).await?;
        let read = || {
            let (known, reason) = (row.try_get(0)?, row.try_get(1)?);
            Ok(UserModel { known, reason, row: row.try_get(2)?, is_listed: row.try_get(3)? })
        };
        read().map_err(|error: tokio_postgres::Error| unavailable(&error_chain(&error)))
    }

    /// Checks that the statements can run now.
    ///
    /// # Errors
    /// 503 if they cannot.
    pub async fn ping(&self) -> Result<(), Problem> {
        // no user has an empty id; this statement needs every right that requests need
        self.query("ping", &self.model, &[&"", &""]).await.map(|_| ())
    }

    async fn query(
        &self,
        name: &str,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Problem> {
        let deadline = Instant::now() + self.timeout;
        let answer = self.query_until(deadline, statement, parameters).await;
        self.metrics.queried(name, answer.is_ok());
        answer
    }

    async fn query_until(
        &self,
        deadline: Instant,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Problem> {
        let mut is_second = false;
        loop {
            let client = match timeout_at(deadline, self.pool.get()).await {
                Ok(client) => client.map_err(|error| unavailable(&error))?,
                Err(_) => return Err(unavailable("no connection in time")),
            };
            let answer = timeout_at(deadline, async {
                client.query_one(&client.prepare_cached(statement).await?, parameters).await
            });
            match answer.await {
                Ok(Ok(row)) => return Ok(row),
                // an idle connection can end before the statement reaches the server; the statement only reads
                Ok(Err(error)) if is_lost(&error, &client) && !is_second => {
                    is_second = true;
                    drop(client.take());
                }
                Ok(Err(error)) => return Err(unavailable(&error_chain(&error))),
                Err(_) => {
                    // close the connection, so that no other request waits for the same statement
                    drop(client.take());
                    return Err(unavailable("no answer in time"));
                }
            }
        }
    }

    /// Closes a connection, if the server refused one that is needed more because there are too many. False if it was
    /// refused for another reason, or if no connection is to spare.
    pub fn make_room(&self, error: &(dyn std::error::Error + 'static)) -> bool {
        error.downcast_ref().is_some_and(is_refused_for_number) && self.pool.make_room()
    }
}

fn list_statement(schema: &str) -> String {
    format!(
        r#"SELECT u.known, extract(epoch FROM u.valid_until - statement_timestamp())::float8,
    concat('{{"data":[', (
        SELECT string_agg(row_to_json(m)::text, ',' ORDER BY m.model_id COLLATE "C")
        FROM {schema}.models_for_user($1::text) AS m WHERE u.known), ']}}')
FROM {schema}.model_access_user($1::text) AS u"#
    )
}

fn model_statement(schema: &str) -> String {
    format!(
        r"SELECT u.known, x.reason,
    (SELECT row_to_json(m)::text FROM {schema}.models_for_user($1::text) AS m WHERE x.allowed AND m.model_id = $2::text),
    EXISTS (SELECT FROM {schema}.model_access_visible AS v WHERE v.model_id = $2::text)
FROM {schema}.model_access_user($1::text) AS u
CROSS JOIN {schema}.model_access_explain_for_user($1::text, $2::text) AS x"
    )
}

fn unavailable(error: &str) -> Problem {
    tracing::warn!(error, "the database does not answer");
    Code::DatabaseUnavailable.into()
}
