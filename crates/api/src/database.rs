//! PostgreSQL: the pool of connections, and the two statements that answer requests.

use crate::code::Code;
use crate::error_chain::error_chain;
use crate::list::Form;
use crate::metrics::Metrics;
use crate::problem::Problem;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use std::sync::Arc;
use std::time::Duration;
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
    plain: String,
    openai: String,
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
    pub fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Self, String> {
        let manager = Manager::from_config(
            settings.config.clone(),
            settings.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        // No name can resolve to an object of another role. A statement ends when nobody waits for it any more.
        let session = format!(
            "SET search_path = pg_catalog, pg_temp; SET statement_timeout = {}",
            settings.timeout.as_millis()
        );
        let hook = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let session = session.clone();
            Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .runtime(Runtime::Tokio1)
            .post_create(hook)
            .build()
            .map_err(|error| error.to_string())?;
        let schema = format!("\"{}\"", settings.schema.replace('"', "\"\""));
        let (plain, openai) = (list_statement(&schema, Form::Plain), list_statement(&schema, Form::OpenAi));
        let model = model_statement(&schema);
        Ok(Self { pool, plain, openai, model, timeout: settings.timeout, metrics: Arc::clone(metrics) })
    }

    /// The list of a user.
    ///
    /// # Errors
    /// 503 if the database does not answer in time, or reports an error.
    pub async fn list(&self, form: Form, user: &str) -> Result<UserList, Problem> {
        let (name, statement) = match form {
            Form::Plain => ("list", &self.plain),
            Form::OpenAi => ("entries", &self.openai),
        };
        let row = self.query(name, statement, &[&user]).await?;
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
            Ok(UserModel { known, reason, entry: row.try_get(2)?, is_listed: row.try_get(3)? })
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
        let client = match timeout_at(deadline, self.pool.get()).await {
            Ok(client) => client.map_err(|error| unavailable(&error_chain(&error)))?,
            Err(_) => return Err(unavailable("no connection in time")),
        };
        let answer = timeout_at(deadline, async {
            client.query_one(&client.prepare_cached(statement).await?, parameters).await
        });
        match answer.await {
            Ok(answer) => answer.map_err(|error| unavailable(&error_chain(&error))),
            Err(_) => {
                // close the connection, so that no other request waits for the same statement
                drop(Object::take(client));
                Err(unavailable("no answer in time"))
            }
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
        r#"SELECT u.known, extract(epoch FROM u.valid_until - statement_timestamp())::float8,
    (SELECT {document} WHERE u.known)
FROM {schema}.model_access_user($1::text) AS u"#
    )
}

fn model_statement(schema: &str) -> String {
    format!(
        r"SELECT u.known, x.reason,
    (SELECT {ENTRY} FROM {schema}.model_access_entries_for_user($1::pg_catalog.text, $2::pg_catalog.text) AS m WHERE x.allowed),
    EXISTS (SELECT FROM {schema}.model_access_visible AS v WHERE v.model_id = $2::text)
FROM {schema}.model_access_user($1::text) AS u
CROSS JOIN {schema}.model_access_explain_for_user($1::text, $2::text) AS x"
    )
}

/// An entry of the upstream as text, with the keys that clients of OpenAI require.
const ENTRY: &str = "(m.entry OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('object', 'model',
                'owned_by', COALESCE(m.provider, ''), 'created',
                COALESCE(m.entry OPERATOR(pg_catalog.->) 'created', '0'::pg_catalog.jsonb)))::pg_catalog.text";

fn unavailable(error: &str) -> Problem {
    tracing::warn!(error, "the database does not answer");
    Code::DatabaseUnavailable.into()
}
