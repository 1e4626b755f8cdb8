//! The keys that tokens are checked with. A key knows its one algorithm: HS256 for the shared secret, RS256 or
//! ES256 for a public key of a JWKS. What the header of a token names only chooses among these.

use crate::metrics::Metrics;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Shortest secret, in bytes: what HS256 needs (RFC 7518, section 3.2).
pub const MIN_SECRET: usize = 32;
/// Largest JWKS, in bytes.
const MAX_JWKS: usize = 256 * 1024;
/// Most keys of a JWKS that are kept.
const MAX_KEYS: usize = 100;
/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The User-Agent header of a fetch.
const USER_AGENT: &str = concat!("model_access/", env!("CARGO_PKG_VERSION"));

/// A key and the algorithm that it is for.
pub struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    /// The key itself.
    pub key: DecodingKey,
    /// That a token is signed by it, with its one algorithm; the claims are not looked at.
    pub signed: Validation,
}

/// Where a JWKS comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, read again at each refresh.
    File(PathBuf),
    /// An https URL, or http on this machine.
    Url(String),
}

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// Nothing here uses the algorithm.
    Algorithm,
    /// The JWKS holds no such key.
    Unknown,
    /// The JWKS has not been loaded yet.
    NotLoaded,
}

/// All keys of the service.
pub struct Keys {
    secret: Option<Arc<Key>>,
    jwks: Option<Jwks>,
}

struct Jwks {
    source: Source,
    keys: RwLock<Option<Vec<Arc<Key>>>>,
    /// When it was last asked for, whatever came of it; held while it is being asked for.
    asked: Mutex<Option<Instant>>,
    pause: Duration,
    metrics: Arc<Metrics>,
}

impl Key {
    fn new(kid: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut signed = Validation::new(algorithm);
        signed.required_spec_claims.clear();
        signed.validate_exp = false;
        signed.validate_aud = false;
        Self { kid, algorithm, key, signed }
    }
}

impl Keys {
    /// Keys from a secret, a JWKS that is asked at most once in `pause`, or both.
    #[must_use]
    pub fn new(secret: Option<&[u8]>, jwks: Option<Source>, pause: Duration, metrics: &Arc<Metrics>) -> Self {
        let key = |secret| Arc::new(Key::new(None, Algorithm::HS256, DecodingKey::from_secret(secret)));
        let jwks = jwks.map(|source| Jwks {
            source,
            keys: RwLock::default(),
            asked: Mutex::default(),
            pause,
            metrics: Arc::clone(metrics),
        });
        Self { secret: secret.map(key), jwks }
    }

    /// Whether there is everything that a token may need.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.jwks.as_ref().is_none_or(|jwks| jwks.keys().is_some())
    }

    /// The key for the header of a token. An unknown `kid` has the JWKS asked again.
    ///
    /// # Errors
    /// There is none.
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

    /// Loads the JWKS, if there is one, unless that was tried just now.
    pub async fn refresh(&self) {
        if let Some(jwks) = &self.jwks {
            jwks.refresh().await;
        }
    }

    /// Keeps the JWKS fresh, for ever.
    pub async fn keep_fresh(&self, every: Duration) {
        let Some(jwks) = &self.jwks else { return std::future::pending().await };
        loop {
            tokio::time::sleep(if self.is_ready() { every } else { jwks.pause }).await;
            jwks.refresh().await;
        }
    }
}

impl Jwks {
    fn keys(&self) -> RwLockReadGuard<'_, Option<Vec<Arc<Key>>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Arc<Key>, NoKey> {
        let keys = self.keys();
        let keys = keys.as_ref().ok_or(NoKey::NotLoaded)?;
        let mut fitting = keys
            .iter()
            .filter(|key| key.algorithm == algorithm && (kid.is_none() || kid == key.kid.as_deref()));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(Arc::clone(key)),
            // two of the same name, or a token that does not say which
            _ => Err(NoKey::Unknown),
        }
    }

    async fn refresh(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|then| then.elapsed() < self.pause) {
            return;
        }
        let loaded = match self.source.load().await {
            Ok(document) => parse(&document),
            Err(error) => Err(error),
        };
        *asked = Some(Instant::now());
        self.metrics.jwks_loaded(loaded.as_ref().ok().map(Vec::len));
        match loaded {
            Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys),
            // the keys that are there go on being used
            Err(error) => tracing::warn!(error, "the JWKS could not be loaded"),
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

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a JWKS that check RS256 or ES256; others are passed over.
fn parse(document: &[u8]) -> Result<Vec<Arc<Key>>, String> {
    let document: Document =
        serde_json::from_slice(document).map_err(|error| format!("it is no JWKS: {error}"))?;
    let keys =
        document.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?).map(Arc::new));
    Ok(keys.take(MAX_KEYS).collect())
}

fn usable(jwk: Jwk) -> Option<Key> {
    let (algorithm, name, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?)),
        ("EC", Some("P-256")) => {
            (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(&jwk.x?, &jwk.y?))
        }
        _ => return None,
    };
    let is_for_signatures = jwk.alg.is_none_or(|alg| alg == name)
        && jwk.purpose.is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    is_for_signatures.then_some(Key::new(jwk.kid, algorithm, key.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = r#""kty":"RSA","n":"AQAB","e":"AQAB""#;

    fn count(keys: &str) -> usize {
        parse(format!(r#"{{"keys":[{keys}],"other":1}}"#).as_bytes()).unwrap().len()
    }

    #[test]
    fn only_public_keys_for_signatures_are_kept() {
        assert_eq!(
            count(&format!(
                r#"{{{RSA}}},{{{RSA},"alg":"RS256","use":"sig","key_ops":["verify"],"new":[1]}}"#
            )),
            2
        );
        for other in [
            r#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","alg":"HS256"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AQAB","y":"AQAB"}"#,
            r#"{"kty":"RSA","n":"AQAB"}"#,
            &format!(r#"{{{RSA},"use":"enc"}}"#),
            &format!(r#"{{{RSA},"alg":"PS256"}}"#),
            &format!(r#"{{{RSA},"alg":"HS256"}}"#),
            &format!(r#"{{{RSA},"key_ops":["sign"]}}"#),
            r#"{"kty":1}"#,
            "null",
        ] {
            assert_eq!(count(other), 0, "{other}");
        }
        assert_eq!(count(""), 0);
    }

    #[test]
    fn what_is_no_jwks_is_an_error() {
        for document in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#] {
            assert!(parse(document.as_bytes()).is_err(), "{document}");
        }
    }

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
