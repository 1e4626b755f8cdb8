//! Who asks: the user that the bearer token of a request names.

mod claims;

use crate::code::Code;
use crate::keys::{Keys, NoKey};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use claims::Claims;
pub use claims::Policy;
use jsonwebtoken::decode;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// The part of a token's header that chooses the key.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Header {
    fn read(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }
}

/// The user of a request.
///
/// # Errors
/// Fails unless the request has exactly one bearer token and that token is valid.
pub async fn user(headers: &HeaderMap, keys: &Keys, policy: &Policy) -> Result<String, Code> {
    let token = bearer(headers)?;
    let header = Header::read(token).ok_or(Code::TokenMalformed)?;
    if header.crit.is_some() {
        return Err(Code::TokenHeaderUnsupported);
    }
    // jsonwebtoken knows no algorithm `none`, in any spelling
    let algorithm = header.alg.parse().map_err(|_| Code::TokenAlgorithmUnsupported)?;
    let key = keys.find(algorithm, header.kid.as_deref()).await.map_err(|none| match none {
        NoKey::Algorithm => Code::TokenAlgorithmUnsupported,
        NoKey::Unknown => Code::TokenKeyUnknown,
        NoKey::NotLoaded => Code::KeysNotLoaded,
    })?;
    // the algorithm of the key applies, not the one of the header; the claims are checked below
    let token =
        decode::<Box<RawValue>>(token, &key.key, &key.validation).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Code::TokenSignatureInvalid,
            ErrorKind::InvalidAlgorithm => Code::TokenAlgorithmUnsupported,
            ErrorKind::Json(_) => Code::TokenClaimsInvalid,
            _ => Code::TokenMalformed,
        })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Claims::read(token.claims.get())?.user(policy, now)
}

/// The token of the only `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Code> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Code::TokenMissing)?;
    if values.next().is_some() {
        return Err(Code::TokenRepeated);
    }
    let value = value.to_str().map_err(|_| Code::TokenMalformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(Code::TokenMalformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Code::TokenSchemeUnsupported);
    }
    let token = token.trim_start_matches(' ');
    match token.len() {
        0 => Err(Code::TokenMalformed),
        length if length > MAX_TOKEN => Err(Code::TokenTooLong),
        _ => Ok(token),
    }
}
