//! The bearer of a request. An input of one line is the value of the header Authorization: nobody can sign without the
//! secret, so it is never accepted. An input of two lines is the header and the claims of a token that is signed with
//! the secret: it is accepted only if a second reading of the claims agrees with every rule.

#![no_main]

use api::auth::{Policy, user};
use api::keys::Keys;
use api::metrics::Metrics;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::{Builder, Runtime};

const SECRET: &[u8] = b"a secret that only this fuzz target knows";
const AUDIENCE: &str = "app";
const ISSUER: &str = "https://id.example";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().unwrap());
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    Keys::new(&[SECRET.to_vec()], None, Duration::from_secs(60), &Arc::new(Metrics::new().unwrap()))
});
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    audiences: vec![AUDIENCE.into()],
    issuers: vec![ISSUER.into()],
    ..Policy::default()
});

fuzz_target!(|input: &[u8]| {
    match input.iter().position(|byte| *byte == b'\n') {
        None => assert!(accepted(input).is_none(), "accepted without the secret"),
        Some(end) => {
            let (header, claims) = (&input[..end], &input[end + 1..]);
            let message = format!("{}.{}", base64(header), base64(claims));
            let key = EncodingKey::from_secret(SECRET);
            let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
            if let Some(user) = accepted(format!("Bearer {message}.{signature}").as_bytes()) {
                assert!(is_valid(header, claims, &user), "accepted: {}", String::from_utf8_lossy(input));
            }
        }
    }
});

fn accepted(authorization: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(authorization).ok()?);
    RUNTIME.block_on(user(&headers, &KEYS, &POLICY)).ok()
}

fn is_valid(header: &[u8], claims: &[u8], user: &str) -> bool {
    let object = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).unwrap();
    let (header, claims) = (object(header), object(claims));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let number = |name: &str| claims.get(name).filter(|value| !value.is_null()).map(|n| n.as_f64().unwrap());
    let audience = match &claims["aud"] {
        Value::Array(names) => names.iter().any(|name| name == AUDIENCE),
        name => name == AUDIENCE,
    };
    header["alg"] == "HS256"
        && header.get("crit").is_none_or(Value::is_null)
        && number("exp").unwrap() > now - 1.0
        && number("nbf").is_none_or(|nbf| nbf <= now)
        && audience
        && claims["iss"] == ISSUER
        && claims["sub"] == user
        && !user.is_empty()
        && !user.contains('\0')
}

/// Base64 as in a JWT: with the alphabet for URLs, and without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digits = (0..=chunk.len()).map(|digit| bits >> (18 - 6 * digit) & 63);
        text.extend(digits.map(|digit| char::from(ALPHABET[digit as usize])));
    }
    text
}
