//! The command `token`: signs a token, so that the service can be tried out without an issuer.

use super::secret;
use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the token says.
#[derive(Args)]
pub struct Token {
    /// The user: the claim sub
    pub user: String,
    /// File with the HS256 secret; without it, the secret is in MODEL_ACCESS_API_HS256_SECRET
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Option<PathBuf>,
    /// The claim aud
    #[arg(long, value_name = "NAME")]
    pub audience: Option<String>,
    /// The claim iss
    #[arg(long, value_name = "NAME")]
    pub issuer: Option<String>,
    /// Seconds until the token expires
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    pub lifetime: u32,
}

impl Token {
    /// Signs the token.
    ///
    /// # Errors
    /// Fails without a usable secret.
    pub fn sign(&self) -> Result<String, String> {
        let secrets = secret::read(self.hs256_secret_file.as_slice())?;
        let secret = secrets.first().ok_or("no secret to sign with; use --hs256-secret-file")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expiry = now + Duration::from_secs(self.lifetime.into());
        let mut claims = Map::from_iter([
            ("sub".to_owned(), json!(self.user)),
            ("iat".to_owned(), json!(now.as_secs())),
            ("exp".to_owned(), json!(expiry.as_secs())),
        ]);
        for (name, value) in [("aud", &self.audience), ("iss", &self.issuer)] {
            claims.extend(value.as_ref().map(|value| (name.to_owned(), Value::from(value.as_str()))));
        }
        encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
            .map_err(|error| error.to_string())
    }
}
