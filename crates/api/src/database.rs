//! PostgreSQL: the pool of connections, and the two statements that answer requests.

use crate::code::Code;
use crate::error_chain::error_chain;
use crate::list::Form;
use crate::metrics::Metrics;
use crate::pool::{Pool, is_lost, is_refused_for_number};
use crate::problem::Problem;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Pause between two warnings of the same text.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

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
///
/// Nothing here depends on the session of a connection, so that a pooler may give each transaction another one: statements
/// have no name, a setting ends with its transaction, and every name and operator is qualified, so that none can be an
/// object of another role. Requests to cancel are not sent: PgBouncer 1.18 ends itself if their sender does not wait.
pub struct Database {
    pool: Pool,
    /// Begins a transaction in which a statement ends when nobody waits for it any more.
    begin: String,
    plain: String,
    openai: String,
    model: String,
    timeout: Duration,
    metrics: Arc<Metrics>,
    warnings: Warnings,
    /// Whether the last statement could look up users.
    bound: AtomicBool,
}

/// The warnings of the last minute. A broken database would otherwise log a line for each request.
#[derive(Debug, Default)]
struct Warnings(Mutex<HashMap<String, Instant>>);

/// The answer of the database about a user.
#[derive(Debug, Clone, PartialEq)]
pub struct UserList {
    /// Whether the bound profiles contain the user.
    pub known: bool,
    /// The bucket by which notifications name the user.
    pub bucket: Option<i32>,
    /// Seconds until an override starts or ends, by the database's clock.
    pub valid_for: Option<f64>,
    /// The list, in the form that was asked for.
    pub document: String,
}

/// The answer of the database about a user and a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserModel {
    /// Whether the bound profiles contain the user.
    pub known: bool,
    /// The entry of the model, in the form for clients of OpenAI, if the user may use it.
    pub entry: Option<String>,
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
        let (plain, openai) = (list_statement(&schema, Form::Plain), list_statement(&schema, Form::OpenAi));
        let model = model_statement(&schema);
        Ok(Self {
            pool,
            begin: format!("BEGIN; SET LOCAL statement_timeout = {}", settings.timeout.as_millis()),
            plain,
            openai,
            model,
            timeout: settings.timeout,
            metrics: Arc::clone(metrics),
            warnings: Warnings::default(),
            bound: AtomicBool::new(true),
        })
    }

    /// The list of a user.
    ///
    /// # Errors
    /// 503 if the database does not answer in time or reports an error, or if it cannot look up users.
    pub async fn list(&self, form: Form, user: &str) -> Result<UserList, Problem> {
        let (name, statement) = match form {
            Form::Plain => ("list", &self.plain),
            Form::OpenAi => ("entries", &self.openai),
        };
        let row = self.query(name, statement, &[&user]).await?;
        let read = || {
            Ok(UserList {
                known: row.try_get(2)?,
                bucket: row.try_get(3)?,
                valid_for: row.try_get(4)?,
                document: row.try_get(5)?,
            })
        };
        read().map_err(|error: tokio_postgres::Error| self.unavailable(&error_chain(&error)))
    }

    /// Whether a user may use a model, and why.
    ///
    /// # Errors
    /// The same as for a list.
    pub async fn model(&self, user: &str, id: &str) -> Result<UserModel, Problem> {
        let row = self.query("model", &self.model, &[&user, &id]).await?;
        let read = || {
            let (reason, known) = (row.try_get(1)?, row.try_get(2)?);
            Ok(UserModel { known, reason, entry: row.try_get(3)?, is_listed: row.try_get(4)? })
        };
        read().map_err(|error: tokio_postgres::Error| self.unavailable(&error_chain(&error)))
    }

    /// Checks that the statements can run now.
    ///
    /// # Errors
    /// 503 if they cannot.
    pub async fn ping(&self) -> Result<(), Problem> {
        // no user has an empty id; this statement needs every right that requests need
        self.query("ping", &self.model, &[&"", &""]).await.map(|_| ())
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// Fails if the database does not answer in time, or reports an error.
    pub async fn notify(&self, channel: &str, payload: &str) -> Result<(), String> {
        let deadline = Instant::now() + self.timeout;
        self.query_until(deadline, "SELECT pg_catalog.pg_notify($1, $2)", &[&channel, &payload])
            .await
            .map(drop)
    }

    /// The row that a statement returns, whose first two columns say whether users can be looked up, and why not.
    async fn query(
        &self,
        name: &str,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Problem> {
        let deadline = Instant::now() + self.timeout;
        let answer = self.query_until(deadline, statement, parameters).await;
        self.metrics.queried(name, answer.is_ok());
        let row = answer.map_err(|error| self.unavailable(&error))?;
        let bound = row.try_get(0).map_err(|error| self.unavailable(&error_chain(&error)))?;
        if self.bound.swap(bound, Ordering::Relaxed) != bound && bound {
            tracing::info!("users can be looked up again");
        }
        if bound {
            return Ok(row);
        }
        let reason = row.try_get::<_, Option<&str>>(1).ok().flatten().unwrap_or_default();
        self.warnings.warn("users cannot be looked up", reason);
        Err(Code::ProfilesUnavailable.into())
    }

    /// The only row of a statement. All its parameters are texts.
    async fn query_until(
        &self,
        deadline: Instant,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, String> {
        let typed: Vec<_> = parameters.iter().map(|parameter| (*parameter, Type::TEXT)).collect();
        let mut is_new_lost = false;
        loop {
            let client = match timeout_at(deadline, self.pool.get()).await {
                Ok(client) => client?,
                Err(_) => return Err("no connection in time".into()),
            };
            // the three are sent together, so they cost one round trip
            let answer = timeout_at(deadline, async {
                let (begun, row, ended) = tokio::join!(
                    biased;
                    client.batch_execute(&self.begin),
                    client.query_typed_one(statement, &typed),
                    client.batch_execute("COMMIT"),
                );
                begun.and(row).and_then(|row| ended.map(|()| row))
            });
            match answer.await {
                Ok(Ok(row)) => return Ok(row),
                // The statement only reads, so it may be sent again. The server may have ended all idle
                // connections, so each of them may be lost. But one new connection may be lost only once, because the
                // statement itself may have ended it.
                Ok(Err(error)) if is_lost(&error, &client) && (client.was_idle() || !is_new_lost) => {
                    is_new_lost |= !client.was_idle();
                    client.close();
                }
                Ok(Err(error)) => return Err(error_chain(&error)),
                Err(_) => {
                    // close the connection, so that no other request waits for the same statement
                    client.close();
                    return Err("no answer in time".into());
                }
            }
        }
    }

    /// Closes a connection of the pool, if the server refused the connection that listens because there are too many. False
    /// if it was refused for another reason, or if the pool has too few.
    pub fn make_room(&self, error: &(dyn std::error::Error + 'static)) -> bool {
        error.downcast_ref().is_some_and(is_refused_for_number) && self.pool.make_room()
    }

    fn unavailable(&self, error: &str) -> Problem {
        self.warnings.warn("the database does not answer", error);
        Code::DatabaseUnavailable.into()
    }
}

impl Warnings {
    fn warn(&self, message: &str, error: &str) {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|_, logged| now - *logged < BETWEEN_WARNINGS);
        let key = format!("{message}: {error}");
        if !last.contains_key(&key) && last.len() < 100 {
            last.insert(key, now);
            drop(last);
            tracing::warn!(error, "{message}");
        }
    }
}

fn list_statement(schema: &str, form: Form) -> String {
    let document = match form {
        Form::Plain => format!(
            r#"pg_catalog.concat('{{"data":[', pg_catalog.string_agg(
            pg_catalog.row_to_json(m)::pg_catalog.text, ',' ORDER BY m.model_id COLLATE pg_catalog."C"), ']}}')
        FROM {schema}.models_for_user($1::pg_catalog.text) AS m"#
        ),
        Form::OpenAi => format!(
            r#"pg_catalog.concat('{{"object":"list","data":[', pg_catalog.string_agg(
            {ENTRY}, ',' ORDER BY m.model_id COLLATE pg_catalog."C"),
            '],"total_count":', pg_catalog.count(*), ',"links":{{"next":null}}}}')
        FROM {schema}.model_access_entries_for_user($1::pg_catalog.text) AS m"#
        ),
    };
    format!(
        r#"SELECT u.bound, CASE WHEN NOT u.bound THEN (
        SELECT x.reason FROM {schema}.model_access_explain_for_user($1::pg_catalog.text, ''::pg_catalog.text) AS x) END,
    u.known, u.bucket,
    pg_catalog.date_part('epoch', u.valid_until OPERATOR(pg_catalog.-) pg_catalog.statement_timestamp()),
    (SELECT {document} WHERE u.known)
FROM {schema}.model_access_user($1::pg_catalog.text) AS u"#
    )
}

fn model_statement(schema: &str) -> String {
    format!(
        r"SELECT u.bound, x.reason, u.known,
    (SELECT {ENTRY} FROM {schema}.model_access_entries_for_user($1::pg_catalog.text, $2::pg_catalog.text) AS m WHERE x.allowed),
    EXISTS (SELECT FROM {schema}.model_access_visible AS v WHERE v.model_id OPERATOR(pg_catalog.=) $2::pg_catalog.text)
FROM {schema}.model_access_user($1::pg_catalog.text) AS u
CROSS JOIN {schema}.model_access_explain_for_user($1::pg_catalog.text, $2::pg_catalog.text) AS x"
    )
}

/// An entry of the upstream as text, with the keys that clients of OpenAI require.
const ENTRY: &str = "(m.entry OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('object', 'model',
                'owned_by', COALESCE(m.provider, ''), 'created',
                COALESCE(m.entry OPERATOR(pg_catalog.->) 'created', '0'::pg_catalog.jsonb)))::pg_catalog.text";
