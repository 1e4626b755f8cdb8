//! The keys that verify tokens. A key has one algorithm: HS256 for a shared secret, RS256, ES256 or EdDSA for a public
//! key of a JWKS. The header of a token only chooses among these keys.

mod jwks;
mod key;

use crate::metrics::Metrics;
use jsonwebtoken::{Algorithm, DecodingKey};
use jwks::Jwks;
pub use key::Key;
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

/// The keys of which one may verify a token: every shared secret, or one public key.
type Candidates = Arc<[Key]>;

/// The keys of the service.
pub struct Keys {
    secrets: RwLock<Candidates>,
    jwks: Option<KeySet>,
}

/// The keys of a JWKS that is loaded again and again.
struct KeySet {
    source: Source,
    /// Empty until a JWKS with a usable key is loaded, and then never again.
    keys: RwLock<Vec<Candidates>>,
    /// Locked during a load.
    last_load: Mutex<LastLoad>,
    pause: Duration,
    metrics: Arc<Metrics>,
}

/// The last load of a JWKS.
#[derive(Default)]
struct LastLoad {
    /// When it ended, successful or not.
    ended: Option<Instant>,
    /// Which keys were skipped and why.
    skipped: Option<String>,
}

impl Keys {
    /// Keys from shared secrets, from a JWKS that is loaded at most once in `pause`, or from both.
    #[must_use]
    pub fn new(secrets: &[Vec<u8>], jwks: Option<Source>, pause: Duration, metrics: &Arc<Metrics>) -> Self {
        let jwks = jwks.map(|source| KeySet {
            source,
            keys: RwLock::default(),
            last_load: Mutex::default(),
            pause,
            metrics: Arc::clone(metrics),
        });
        Self { secrets: RwLock::new(candidates(secrets)), jwks }
    }

    /// Replaces the shared secrets, and loads the JWKS, if there is one, however long ago the last load was.
    ///
    /// # Errors
    /// Fails with the reason, which is logged too, if the load fails. The present keys of the JWKS stay in use.
    pub async fn reload(&self, secrets: &[Vec<u8>]) -> Result<(), String> {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = candidates(secrets);
        let Some(jwks) = &self.jwks else { return Ok(()) };
        jwks.last_load.lock().await.ended = None;
        jwks.refresh().await
    }

    fn secrets(&self) -> Candidates {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the JWKS, if there is one, was loaded with a usable key.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.jwks.as_ref().is_none_or(|jwks| !jwks.keys().is_empty())
    }

    /// The keys of which one may verify a token with this header. Loads the JWKS again if it does not contain the `kid`.
    ///
    /// # Errors
    /// Fails if no key matches.
    pub async fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Arc<[Key]>, NoKey> {
        let jwks = match algorithm {
            Algorithm::HS256 if self.secrets().is_empty() => return Err(NoKey::Algorithm),
            Algorithm::HS256 => return Ok(self.secrets()),
            Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA => {
                self.jwks.as_ref().ok_or(NoKey::Algorithm)?
            }
            _ => return Err(NoKey::Algorithm),
        };
        match jwks.find(algorithm, kid) {
            Err(NoKey::Unknown) if kid.is_some() => {
                drop(jwks.refresh().await);
                jwks.find(algorithm, kid)
            }
            found => found,
        }
    }

    /// Loads the JWKS, if there is one, unless the last load ended less than `pause` ago.
    ///
    /// # Errors
    /// Fails with the reason, which is logged too, if the load fails. The present keys stay in use.
    pub async fn refresh(&self) -> Result<(), String> {
        match &self.jwks {
            Some(jwks) => jwks.refresh().await,
            None => Ok(()),
        }
    }

    /// Loads the JWKS again and again; never ends.
    pub async fn refresh_forever(&self, every: Duration) {
        let Some(jwks) = &self.jwks else { return std::future::pending().await };
        loop {
            tokio::time::sleep(if self.is_ready() { every } else { jwks.pause }).await;
            drop(jwks.refresh().await);
        }
    }
}

fn candidates(secrets: &[Vec<u8>]) -> Candidates {
    let key = |secret: &Vec<u8>| Key {
        kid: None,
        algorithm: Algorithm::HS256,
        key: DecodingKey::from_secret(secret),
    };
    secrets.iter().map(key).collect()
}

impl KeySet {
    fn keys(&self) -> RwLockReadGuard<'_, Vec<Candidates>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Candidates, NoKey> {
        let keys = self.keys();
        if keys.is_empty() {
            return Err(NoKey::NotLoaded);
        }
        let mut of_algorithm = keys.iter().filter(|keys| keys.iter().any(|key| key.algorithm == algorithm));
        // no two keys of an algorithm have the same kid
        let mut named = of_algorithm.clone().filter(|keys| keys.iter().any(|key| key.kid.as_deref() == kid));
        if let Some(key) = named.next() {
            return Ok(Arc::clone(key));
        }
        match (kid, of_algorithm.next(), of_algorithm.next()) {
            // the token names no key, and only one key is possible
            (None, Some(key), None) => Ok(Arc::clone(key)),
            _ => Err(NoKey::Unknown),
        }
    }

    async fn refresh(&self) -> Result<(), String> {
        let mut last_load = self.last_load.lock().await;
        if last_load.ended.is_some_and(|then| then.elapsed() < self.pause) {
            return Ok(());
        }
        let loaded = match self.source.load().await {
            Ok(document) => Jwks::parse(&document),
            Err(error) => Err(error),
        };
        last_load.ended = Some(Instant::now());
        let loaded = loaded.and_then(|jwks| {
            let skipped = jwks.skipped();
            if jwks.keys.is_empty() {
                let skipped = skipped.unwrap_or_else(|| "it contains no key".into());
                return Err(format!("no key of the JWKS can verify a token: {skipped}"));
            }
            if skipped != last_load.skipped {
                tracing::info!(
                    skipped = skipped.as_deref().unwrap_or("none"),
                    "keys of the JWKS are skipped"
                );
            }
            last_load.skipped = skipped;
            Ok(jwks.keys)
        });
        self.metrics.jwks_loaded(loaded.as_ref().ok().map(Vec::len));
        let keys = loaded.inspect_err(|error| tracing::warn!(error, "could not load the JWKS"))?;
        let keys = keys.into_iter().map(|key| Arc::from([key])).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
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

    #[tokio::test]
    async fn the_algorithm_chooses_among_the_keys_that_are_for_it() {
        const RSA: &str = super::jwks::tests::RSA;
        let other = RSA.replace("\"nbfK", "\"nbf8");
        let metrics = Arc::new(Metrics::new().unwrap());
        let file = std::env::temp_dir().join(format!("model_access.jwks.{}", std::process::id()));
        std::fs::write(
            &file,
            format!(
                r#"{{"keys":[{{{RSA},"kid":"a"}},{{{RSA},"kid":"b"}},{{{other},"kid":"b"}},{{{RSA},"kid":"d"}}]}}"#
            ),
        )
        .unwrap();
        let keys = Keys::new(&[], Some(Source::File(file.clone())), Duration::ZERO, &metrics);
        assert_eq!(keys.find(Algorithm::RS256, None).await.err(), Some(NoKey::NotLoaded));
        assert_eq!(keys.find(Algorithm::HS256, None).await.err(), Some(NoKey::Algorithm));
        keys.refresh().await.unwrap();
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
        // of several keys, a token without kid means the one without kid
        std::fs::write(&file, format!(r#"{{"keys":[{{{RSA},"kid":"a"}},{{{other}}}]}}"#)).unwrap();
        keys.refresh().await.unwrap();
        let found = keys.find(Algorithm::RS256, None).await.ok().unwrap();
        assert_eq!(found.first().unwrap().kid, None);
        std::fs::remove_file(file).unwrap();
    }
}
