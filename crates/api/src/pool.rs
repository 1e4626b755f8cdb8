//! The pool of connections to PostgreSQL. While some work, a further one that fails is no error: whoever wants one waits.

use crate::database::Settings;
use crate::error_chain::error_chain;
use crate::metrics::Metrics;
use deadpool::managed::{self, RecycleError, RecycleResult};
use prometheus::IntGauge;
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

/// Time without a new attempt after a connection failed, while others work.
const PAUSE: Duration = Duration::from_secs(1);

type Inner = managed::Pool<Connector>;
type Object = managed::Object<Connector>;

/// The pool.
pub struct Pool {
    inner: Inner,
    returns: Arc<Returns>,
}

/// A connection to PostgreSQL. Dropped, it closes at once, also if the server is silent.
pub struct Client {
    inner: tokio_postgres::Client,
    /// The task that speaks with the server. Alone, it would wait for the answers that are missing.
    task: AbortHandle,
}

/// A connection of the pool. It returns to the pool when this is dropped.
pub struct Connection {
    object: Option<Object>,
    returns: Arc<Returns>,
}

/// What wakes those who wait for a connection.
#[derive(Default)]
struct Returns {
    /// Tells one of them that a connection returned, or all that the last attempt to open one failed.
    returned: Notify,
    /// Attempts to open a connection.
    attempts: AtomicUsize,
    /// Whether the next one is closed.
    close_next: AtomicBool,
}

/// An attempt to open a connection, until it ends or nobody wants it any more.
struct Attempt<'a>(&'a Returns);

/// Opens connections, and counts them.
struct Connector {
    settings: watch::Receiver<Settings>,
    returns: Arc<Returns>,
    /// Connections that are open. One that the server ended counts until somebody wants it.
    open: IntGauge,
    /// When the last attempt failed, and why. None after one that succeeded.
    failure: Mutex<Option<(Instant, String)>>,
    /// Whether it was logged.
    is_logged: AtomicBool,
}

impl Pool {
    /// A pool that connects at the first request, as the settings say at that time.
    ///
    /// # Errors
    /// Never fails with settings that the command line accepts.
    pub fn new(settings: &watch::Receiver<Settings>, metrics: &Metrics) -> Result<Self, String> {
        let connections = settings.borrow().connections;
        let returns = Arc::default();
        let connector = Connector {
            settings: settings.clone(),
            returns: Arc::clone(&returns),
            open: metrics.database_connections().clone(),
            failure: Mutex::default(),
            is_logged: AtomicBool::new(false),
        };
        let inner =
            Inner::builder(connector).max_size(connections).build().map_err(|error| error.to_string())?;
        Ok(Self { inner, returns })
    }

    /// A connection: one that is idle, a new one, or the next that returns.
    ///
    /// # Errors
    /// Fails if no connection can be opened and none is open. The caller limits the time.
    pub async fn get(&self) -> Result<Connection, String> {
        loop {
            let mut returned = pin!(self.returns.returned.notified());
            returned.as_mut().enable();
            let error = match self.inner.get().await {
                Ok(object) => {
                    return Ok(Connection { object: Some(object), returns: Arc::clone(&self.returns) });
                }
                Err(managed::PoolError::Backend(error)) => error,
                Err(_) => return Err("the pool is closed".into()),
            };
            if self.inner.manager().has_hope() {
                // after the pause, the others may be lost, or another attempt may succeed
                drop(timeout(PAUSE, returned).await);
            }
            if !self.inner.manager().has_hope() {
                return Err(error);
            }
        }
    }

    /// Closes one of several connections, to make room on the server for one outside the pool. False if the pool has too
    /// few.
    pub fn make_room(&self) -> bool {
        let connector = self.inner.manager();
        if connector.open.get() < 2 {
            return false;
        }
        connector.failed("the connection that listens needs its place");
        let mut closed = false;
        self.inner.retain(|_, _| std::mem::replace(&mut closed, true));
        if !closed {
            self.returns.close_next.store(true, Ordering::Relaxed);
        }
        true
    }
}

impl Connection {
    /// Whether it was idle in the pool, and so may have ended without notice.
    #[must_use]
    pub fn was_idle(&self) -> bool {
        self.object.as_ref().is_some_and(|object| Object::metrics(object).recycle_count > 0)
    }

    /// Closes the connection, so that it does not return to the pool.
    pub fn close(mut self) {
        drop(self.object.take().map(Object::take));
    }
}

impl Deref for Connection {
    type Target = tokio_postgres::Client;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &tokio_postgres::Client {
        &self.object.as_ref().expect("only close() and drop() take it").inner
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let object = self.object.take();
        if self.returns.close_next.swap(false, Ordering::Relaxed) {
            drop(object.map(Object::take));
        } else {
            drop(object);
        }
        self.returns.returned.notify_one();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.0.attempts.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.returned.notify_waiters();
        }
    }
}

impl Connector {
    /// Whether a connection is open, or may soon be.
    fn has_hope(&self) -> bool {
        self.open.get() > 0 || self.returns.attempts.load(Ordering::Relaxed) > 0
    }

    fn failed(&self, error: &str) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open.get() > 0 && !self.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "no further connection to the database; those that are open are used");
        }
        *failure = Some((Instant::now(), error.to_owned()));
    }

    async fn connect(&self) -> Result<Client, String> {
        let settings = self.settings.borrow().clone();
        // while others work, half of the time is left to wait for one of them
        let limit = if self.open.get() > 0 { settings.timeout / 2 } else { settings.timeout };
        let connect = async {
            let (inner, connection) = settings.config.connect(settings.tls.clone()).await?;
            let task = tokio::spawn(async { drop(connection.await) }).abort_handle();
            Ok::<_, tokio_postgres::Error>(Client { inner, task })
        };
        match timeout(limit, connect).await {
            Ok(connected) => connected.map_err(|error| error_chain(&error)),
            Err(_) => Err("no connection in time".into()),
        }
    }
}

impl managed::Manager for Connector {
    type Type = Client;
    type Error = String;

    async fn create(&self) -> Result<Client, String> {
        let last = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((then, error)) = &last
            && self.open.get() > 0
            && then.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        self.returns.attempts.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt(&self.returns);
        let client = self.connect().await.inspect_err(|error| self.failed(error))?;
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.is_logged.store(false, Ordering::Relaxed);
        self.open.inc();
        drop(attempt);
        Ok(client)
    }

    async fn recycle(&self, client: &mut Client, _: &managed::Metrics) -> RecycleResult<String> {
        if client.inner.is_closed() { Err(RecycleError::message("the server ended it")) } else { Ok(()) }
    }

    fn detach(&self, _: &mut Client) {
        self.open.dec();
    }
}

/// Whether the server refuses a connection because there are too many.
#[must_use]
pub fn is_refused_for_number(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// Whether the server ended the connection while or before it got the statement.
#[must_use]
pub fn is_lost(error: &tokio_postgres::Error, connection: &Connection) -> bool {
    let ended = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::IDLE_SESSION_TIMEOUT];
    error.is_closed() || connection.is_closed() || error.code().is_some_and(|code| ended.contains(&code))
}
