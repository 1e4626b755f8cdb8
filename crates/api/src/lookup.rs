//! The models of a user: from the cache, or from the database with one statement.

use crate::answer::Answer;
use crate::cache::{Cache, Found, Loaded};
use crate::code::Code;
use crate::database::Database;
use crate::list::{Form, List};
use crate::metrics::Metrics;
use crate::problem::Problem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The database, and the cache in front of it.
pub struct Lookup {
    database: Database,
    cache: Arc<Cache>,
    /// Longest time that a list stays in the cache, because some changes send no notification.
    ttl: Duration,
    metrics: Arc<Metrics>,
}

impl Lookup {
    /// A lookup that caches nothing until [`crate::listener::listen`] listens.
    #[must_use]
    pub fn new(database: Database, cache: Cache, ttl: Duration, metrics: &Arc<Metrics>) -> Self {
        Self { database, cache: Arc::new(cache), ttl, metrics: Arc::clone(metrics) }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The list of a user. All who ask for the same user at once wait for one statement, if the cache is on.
    ///
    /// # Errors
    /// 403 if the profiles do not contain the user, 503 if the database does not answer.
    pub async fn list(&self, form: Form, user: &str) -> Result<Arc<List>, Problem> {
        let found = self.cache.get_or_request(&key(form, user), Instant::now());
        self.metrics.looked_up(matches!(found, Found::List(_)));
        let loaded = match found {
            Found::List(list) => return Ok(list),
            Found::Off => self.load(form, user).await?,
            Found::Nothing(ticket) => {
                let load = || async { Ok(ticket.keep(self.load(form, user).await?)) };
                ticket.request.get_or_init(load).await.clone()?
            }
        };
        Ok(loaded.list)
    }

    /// One model of a user.
    ///
    /// # Errors
    /// 403 with the reason if only others may use the model, 404 if nobody may, and the errors of [`Self::list`].
    pub async fn model(&self, user: &str, id: &str) -> Result<Answer, Problem> {
        let list = self.cache.get(&key(Form::OpenAi, user), Instant::now());
        self.metrics.looked_up(list.is_some());
        if let Some(list) = list
            && let Some(answer) = list.model(id)?
        {
            return Ok(answer);
        }
        // a text in PostgreSQL cannot contain NUL
        if id.contains('\0') {
            return Err(Code::ModelNotFound.into());
        }
        let answer = self.database.model(user, id).await?;
        match (answer.known, answer.entry, answer.is_listed) {
            (false, ..) => Err(Code::UserUnknown.into()),
            (true, Some(entry), _) => Ok(Answer::new(entry)),
            (true, None, true) => {
                let reason = answer.reason.unwrap_or_default();
                Err(Problem::new(Code::ModelNotAllowed, format!("The model is not allowed: {reason}.")))
            }
            (true, None, false) => Err(Code::ModelNotFound.into()),
        }
    }

    async fn load(&self, form: Form, user: &str) -> Result<Loaded, Problem> {
        // before the request is sent: the database computes valid_for later than this
        let requested = Instant::now();
        let answer = self.database.list(form, user).await?;
        if !answer.known {
            return Err(Code::UserUnknown.into());
        }
        let valid_for =
            answer.valid_for.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        let until = requested + self.ttl.min(valid_for.unwrap_or(Duration::MAX));
        let bucket = answer.bucket.and_then(|bucket| usize::try_from(bucket).ok());
        Ok(Loaded { list: Arc::new(List::new(answer.document)), until, bucket })
    }
}

/// The key of a user's list in the cache: each form of the list has its own.
fn key(form: Form, user: &str) -> String {
    let form = match form {
        Form::Plain => "plain",
        Form::OpenAi => "openai",
    };
    format!("{form}:{user}")
}
