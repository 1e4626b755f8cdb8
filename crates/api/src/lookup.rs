//! What a user may use: from the cache, or from the database in one statement.

use crate::answer::Answer;
use crate::cache::Cache;
use crate::database::Database;
use crate::list::List;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::openai;
use crate::problem::Problem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The database with the cache before it.
pub struct Lookup {
    database: Database,
    cache: Mutex<Cache>,
    /// The longest that a list is kept: what bounds a change that nothing announces.
    ttl: Duration,
    metrics: Arc<Metrics>,
}

impl Lookup {
    /// Nothing is cached until [`crate::listener::listen`] listens.
    #[must_use]
    pub fn new(database: Database, cache: Cache, ttl: Duration, metrics: &Arc<Metrics>) -> Self {
        Self { database, cache: Mutex::new(cache), ttl, metrics: Arc::clone(metrics) }
    }

    /// The cache, for as long as the guard lives.
    pub fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The list of a user.
    ///
    /// # Errors
    /// 403 for a user that the profiles do not know, 503 where the database does not answer.
    pub async fn list(&self, user: &str) -> Result<Arc<List>, Problem> {
        if let Some(list) = self.cached(user) {
            return Ok(list);
        }
        let ticket = self.cache().ticket();
        // before the question is sent: the database counts from later on
        let asked = Instant::now();
        let answer = self.database.list(user).await?;
        if !answer.known {
            return Err(unknown_user());
        }
        let valid_for =
            answer.valid_for.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        let until = asked + self.ttl.min(valid_for.unwrap_or(Duration::MAX));
        Ok(self.cache().put(user, List::new(answer.document), until, ticket))
    }

    /// One model of a user.
    ///
    /// # Errors
    /// 403 with the reason where others may use it, 404 where nobody may, and as for a list.
    pub async fn model(&self, user: &str, id: &str) -> Result<Answer, Problem> {
        if let Some(list) = self.cached(user)
            && let Some(answer) = list.model(id)?
        {
            return Ok(answer);
        }
        // no list has it, and text in PostgreSQL cannot
        if id.contains('\0') {
            return Err(no_such_model());
        }
        let answer = self.database.model(user, id).await?;
        match (answer.known, answer.row, answer.is_listed) {
            (false, ..) => Err(unknown_user()),
            (true, Some(row), _) => openai::answer(&Model::read(&row)?),
            (true, None, true) => {
                let reason = answer.reason.unwrap_or_default();
                Err(Problem::forbidden(format!("The model is not allowed: {reason}.")))
            }
            (true, None, false) => Err(no_such_model()),
        }
    }

    fn cached(&self, user: &str) -> Option<Arc<List>> {
        let list = self.cache().get(user, Instant::now());
        self.metrics.looked_up(list.is_some());
        list
    }
}

fn unknown_user() -> Problem {
    Problem::forbidden("The subject of the token is no user here.")
}

fn no_such_model() -> Problem {
    Problem::not_found("There is no such model.")
}
