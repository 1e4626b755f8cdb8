//! Who asks: the user that the bearer token of a request names.

mod claims;

use crate::code::Code;
use crate::keys::{Key, Keys, NoKey};
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
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Header {
    fn read(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }

    /// Whether the token is an access token, as far as its header says (RFC 8725, section 3.11; RFC 9068).
    fn is_for_access(&self) -> bool {
        self.typ.as_deref().is_none_or(|typ| {
            let typ = typ.to_ascii_lowercase();
            matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
        })
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
    if !header.is_for_access() {
        return Err(Code::TokenTypeInvalid);
    }
    // jsonwebtoken knows no algorithm `none`, in any spelling
    let algorithm = header.alg.parse().map_err(|_| Code::TokenAlgorithmUnsupported)?;
    let keys = keys.find(algorithm, header.kid.as_deref()).await.map_err(|none| match none {
        NoKey::Algorithm => Code::TokenAlgorithmUnsupported,
        NoKey::Unknown => Code::TokenKeyUnknown,
        NoKey::NotLoaded => Code::KeysNotLoaded,
    })?;
    let claims = verify(token, &keys)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Claims::read(claims.get())?.user(policy, now)
}

/// The claims of a token that one of the keys verifies.
fn verify(token: &str, keys: &[Key]) -> Result<Box<RawValue>, Code> {
    for key in keys {
        // the algorithm of the key applies, not the one of the header; Claims checks the claims
        match decode(token, &key.key, &key.validation) {
            Ok(token) => return Ok(token.claims),
            Err(error) => match error.kind() {
                ErrorKind::InvalidSignature => {}
                ErrorKind::InvalidAlgorithm => return Err(Code::TokenAlgorithmUnsupported),
                ErrorKind::Json(_) => return Err(Code::TokenClaimsInvalid),
                _ => return Err(Code::TokenMalformed),
            },
        }
    }
    Err(Code::TokenSignatureInvalid)
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
