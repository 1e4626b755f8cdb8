//! The keys that verify tokens. A key has one algorithm: HS256 for the shared secret, RS256 or ES256 for a public key
//! of a JWKS. The header of a token only chooses among these keys.

mod jwks;
mod key;

use crate::metrics::Metrics;
use jsonwebtoken::{Algorithm, DecodingKey};
use key::Key;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Shortest secret for HS256, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET: usize = 32;
/// Largest JWKS, in bytes.
const MAX_JWKS: usize = 256 * 1024;
/// Longest time for a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The User-Agent header of a fetch.
const USER_AGENT: &str = concat!("model_access/", env!("CARGO_PKG_VERSION"));

/// Where a JWKS comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that is read again at each refresh.
    File(PathBuf),
    /// An https URL, or an http URL on this machine.
    Url(String),
}

/// Why no key verifies a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// No key of the service uses the algorithm.
    Algorithm,
    /// No key of the JWKS matches.
    Unknown,
    /// The JWKS is not loaded yet.
    NotLoaded,
}

/// The keys of the service.
pub struct Keys {
    secret: Option<Arc<Key>>,
    jwks: Option<KeySet>,
}

/// The keys of a JWKS that is loaded again and again.
struct KeySet {
    source: Source,
    keys: RwLock<Option<Vec<Arc<Key>>>>,
    /// When the last load ended, successful or not. Locked during a load.
    last_load: Mutex<Option<Instant>>,
    pause: Duration,
    metrics: Arc<Metrics>,
}

impl Keys {
    /// Keys from a secret, from a JWKS that is loaded at most once in `pause`, or from both.
    #[must_use]
    pub fn new(secret: Option<&[u8]>, jwks: Option<Source>, pause: Duration, metrics: &Arc<Metrics>) -> Self {
        let key = |secret| Arc::new(Key::new(None, Algorithm::HS256, DecodingKey::from_secret(secret)));
        let jwks = jwks.map(|source| KeySet {
            source,
            keys: RwLock::default(),
            last_load: Mutex::default(),
            pause,
            metrics: Arc::clone(metrics),
        });
        Self { secret: secret.map(key), jwks }
    }

    /// Whether the JWKS is loaded, if there is one.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.jwks.as_ref().is_none_or(|jwks| jwks.keys().is_some())
    }

    /// The key for the header of a token. Loads the JWKS again if it does not contain the `kid`.
    ///
    /// # Errors
    /// Fails if no key matches.
    pub async fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Arc<Key>, NoKey> {
        let jwks = match algorithm {
            Algorithm::HS256 => return self.secret.clone().ok_or(NoKey::Algorithm),
            Algorithm::RS256 | Algorithm::ES256 => self.jwks.as_ref().ok_or(NoKey::Algorithm)?,
            _ => return Err(NoKey::Algorithm),
        };
        match jwks.find(algorithm, kid) {
            Err(NoKey::Unknown) if kid.is_some() => {
                jwks.refresh().await;
                jwks.find(algorithm, kid)
            }
            found => found,
        }
    }

    /// Loads the JWKS, if there is one, unless the last load ended less than `pause` ago.
    pub async fn refresh(&self) {
        if let Some(jwks) = &self.jwks {
            jwks.refresh().await;
        }
    }

    /// Loads the JWKS again and again; never ends.
    pub async fn refresh_forever(&self, every: Duration) {
        let Some(jwks) = &self.jwks else { return std::future::pending().await };
        loop {
            tokio::time::sleep(if self.is_ready() { every } else { jwks.pause }).await;
            jwks.refresh().await;
        }
    }
}

impl KeySet {
    fn keys(&self) -> RwLockReadGuard<'_, Option<Vec<Arc<Key>>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Arc<Key>, NoKey> {
        let keys = self.keys();
        let keys = keys.as_ref().ok_or(NoKey::NotLoaded)?;
        let mut matching = keys
            .iter()
            .filter(|key| key.algorithm == algorithm && (kid.is_none() || kid == key.kid.as_deref()));
        match (matching.next(), matching.next()) {
            (Some(key), None) => Ok(Arc::clone(key)),
            // also if several keys match: by the same name, or because the token names none
            _ => Err(NoKey::Unknown),
        }
    }

    async fn refresh(&self) {
        let mut last_load = self.last_load.lock().await;
        if last_load.is_some_and(|then| then.elapsed() < self.pause) {
            return;
        }
        let loaded = match self.source.load().await {
            Ok(document) => jwks::parse(&document),
            Err(error) => Err(error),
        };
        *last_load = Some(Instant::now());
        self.metrics.jwks_loaded(loaded.as_ref().ok().map(Vec::len));
        match loaded {
            Ok(keys) => {
                let keys = keys.into_iter().map(Arc::new).collect();
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys);
            }
            // the present keys stay in use
            Err(error) => tracing::warn!(error, "could not load the JWKS"),
        }
    }
}

impl Source {
    async fn load(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => {
                let mut document = Vec::new();
                std::fs::File::open(path)
                    .and_then(|file| file.take(MAX_JWKS as u64 + 1).read_to_end(&mut document))
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                if document.len() > MAX_JWKS {
                    return Err(format!("{}: larger than {MAX_JWKS} bytes", path.display()));
                }
                Ok(document)
            }
            Self::Url(url) => {
                let request = fetch::Request {
                    url: url.clone(),
                    user_agent: USER_AGENT,
                    timeout: FETCH_TIMEOUT,
                    max_body: MAX_JWKS,
                    proxy: String::new(),
                };
                fetch::get(&request).await.map_err(|error| error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = r#""kty":"RSA","n":"AQAB","e":"AQAB""#;

    #[tokio::test]
    async fn the_algorithm_chooses_among_the_keys_that_are_for_it() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let file = std::env::temp_dir().join(format!("model_access.jwks.{}", std::process::id()));
        std::fs::write(
            &file,
            format!(r#"{{"keys":[{{{RSA},"kid":"a"}},{{{RSA},"kid":"b"}},{{{RSA},"kid":"b"}}]}}"#),
        )
        .unwrap();
        let keys = Keys::new(None, Some(Source::File(file.clone())), Duration::from_secs(60), &metrics);
        assert_eq!(keys.find(Algorithm::RS256, None).await.err(), Some(NoKey::NotLoaded));
        assert_eq!(keys.find(Algorithm::HS256, None).await.err(), Some(NoKey::Algorithm));
        keys.refresh().await;
        assert!(keys.find(Algorithm::RS256, Some("a")).await.is_ok());
        for (algorithm, kid, why) in [
            (Algorithm::RS256, Some("b"), NoKey::Unknown),
            (Algorithm::RS256, Some("c"), NoKey::Unknown),
            (Algorithm::RS256, None, NoKey::Unknown),
            (Algorithm::ES256, Some("a"), NoKey::Unknown),
            (Algorithm::RS512, Some("a"), NoKey::Algorithm),
            (Algorithm::PS256, Some("a"), NoKey::Algorithm),
            (Algorithm::HS256, Some("a"), NoKey::Algorithm),
        ] {
            assert_eq!(keys.find(algorithm, kid).await.err(), Some(why), "{algorithm:?} {kid:?}");
        }
        std::fs::remove_file(file).unwrap();
    }
}
