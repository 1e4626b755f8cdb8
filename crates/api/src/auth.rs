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
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde::de::IgnoredAny;
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
    fn read(text: &str) -> Option<Self> {
        let header = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        // serde_json does not check the encoding of members that it skips
        serde_json::from_str(std::str::from_utf8(&header).ok()?).ok()
    }

    /// The algorithm; `none`, in any spelling, is not one.
    fn algorithm(&self) -> Option<Algorithm> {
        // the name that RFC 9864 gives to EdDSA with this curve
        if self.alg == "Ed25519" { Some(Algorithm::EdDSA) } else { self.alg.parse().ok() }
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
    verified(bearer(headers)?, keys, policy).await.map(|(user, _)| user)
}

/// The user of a token, and all its claims as JSON.
///
/// # Errors
/// Fails unless the token is valid.
pub async fn verified(token: &str, keys: &Keys, policy: &Policy) -> Result<(String, String), Code> {
    let (message, signature) = token.rsplit_once('.').ok_or(Code::TokenMalformed)?;
    let (header, payload) = message.split_once('.').ok_or(Code::TokenMalformed)?;
    let header = Header::read(header).ok_or(Code::TokenMalformed)?;
    if header.crit.is_some() {
        return Err(Code::TokenHeaderUnsupported);
    }
    if !header.is_for_access() {
        return Err(Code::TokenTypeInvalid);
    }
    let algorithm = header.algorithm().ok_or(Code::TokenAlgorithmUnsupported)?;
    let keys = keys.find(algorithm, header.kid.as_deref()).await.map_err(|none| match none {
        NoKey::Algorithm => Code::TokenAlgorithmUnsupported,
        NoKey::Unknown => Code::TokenKeyUnknown,
        NoKey::NotLoaded => Code::KeysNotLoaded,
    })?;
    verify(message, signature, &keys)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| Code::TokenMalformed)?;
    let payload = std::str::from_utf8(&payload).map_err(|_| Code::TokenClaimsInvalid)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Ok((Claims::read(payload)?.user(policy, now)?, payload.to_owned()))
}

/// Whether one of the keys verifies the signature, with the algorithm of the key, not the one of the header.
fn verify(message: &str, signature: &str, keys: &[Key]) -> Result<(), Code> {
    for key in keys {
        match crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => return Err(Code::TokenMalformed),
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
