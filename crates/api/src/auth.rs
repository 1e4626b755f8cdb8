//! Who asks: the bearer token of a request, checked down to its claims.

use crate::keys::{Keys, NoKey};
use crate::problem::Problem;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::decode;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Longest claim `sub`, in bytes.
const MAX_SUBJECT: usize = 255;

/// What a token must say beside being signed.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// A token must be for one of these; if there are none, it must not name an audience.
    pub audiences: Vec<String>,
    /// A token must be from one of these; if there are none, from whoever has the key.
    pub issuers: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway: u32,
}

/// Why a request is not a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no `Authorization` header.
    Missing,
    /// There is one, and it does not hold; the words say why.
    Invalid(&'static str),
    /// The keys to check it with have not been loaded yet.
    NotReady,
}

impl Refusal {
    /// The label of the metric.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no token",
            Self::Invalid(why) => why,
            Self::NotReady => "no keys yet",
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => Self::no_token(),
            Refusal::Invalid(why) => Self::bad_token(why),
            Refusal::NotReady => Self::unavailable("The keys that check tokens are not loaded yet."),
        }
    }
}

/// What the header of a token says to choose a key by.
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

/// The registered claims that count here.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    sub: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The user of a request.
///
/// # Errors
/// Anything but one good bearer token.
pub async fn user(headers: &HeaderMap, keys: &Keys, policy: &Policy) -> Result<String, Refusal> {
    let token = bearer(headers)?;
    let header = Header::read(token).ok_or(MALFORMED)?;
    if header.crit.is_some() {
        return Err(Refusal::Invalid("its header demands what is not understood"));
    }
    // `none` is no algorithm, in whatever spelling
    let algorithm = header.alg.parse().map_err(|_| ALGORITHM)?;
    let key = keys.find(algorithm, header.kid.as_deref()).await.map_err(|none| match none {
        NoKey::Algorithm => ALGORITHM,
        NoKey::Unknown => Refusal::Invalid("no key fits it"),
        NoKey::NotLoaded => Refusal::NotReady,
    })?;
    // by the key's algorithm, whatever the header says; the claims are checked below, by their JSON types
    let token =
        decode::<Box<RawValue>>(token, &key.key, &key.signed).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Refusal::Invalid("its signature is wrong"),
            ErrorKind::InvalidAlgorithm => ALGORITHM,
            ErrorKind::Json(_) => INCOMPLETE,
            _ => MALFORMED,
        })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let claims = token.claims.get();
    // an object: serde would also take a list of the values in their order
    let claims = claims.starts_with('{').then(|| serde_json::from_str::<Claims>(claims).ok()).flatten();
    claims.ok_or(INCOMPLETE)?.check(policy, now)
}

const INCOMPLETE: Refusal = Refusal::Invalid("its claims are incomplete");
const MALFORMED: Refusal = Refusal::Invalid("it is malformed");
const ALGORITHM: Refusal = Refusal::Invalid("its algorithm is not accepted");

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Invalid("there are several"));
    }
    let value = value.to_str().map_err(|_| MALFORMED)?;
    let (scheme, token) = value.split_once(' ').ok_or(MALFORMED)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Invalid("the scheme is not Bearer"));
    }
    let token = token.trim_start_matches(' ');
    match token.len() {
        0 => Err(MALFORMED),
        length if length > MAX_TOKEN => Err(Refusal::Invalid("it is too long")),
        _ => Ok(token),
    }
}

impl Claims {
    /// The user, if the token is for here and now.
    fn check(self, policy: &Policy, now: f64) -> Result<String, Refusal> {
        let leeway = f64::from(policy.leeway);
        let has = |wanted: &[String], name: &String| wanted.contains(name);
        let is_for_here = match &self.aud {
            None => policy.audiences.is_empty(),
            Some(Audience::One(name)) => has(&policy.audiences, name),
            Some(Audience::Many(names)) => names.iter().any(|name| has(&policy.audiences, name)),
        };
        if now >= self.exp + leeway {
            Err(Refusal::Invalid("it has expired"))
        } else if self.nbf.is_some_and(|nbf| now < nbf - leeway) {
            Err(Refusal::Invalid("it does not count yet"))
        } else if !is_for_here {
            Err(Refusal::Invalid("it is for another audience"))
        } else if !policy.issuers.is_empty() && !self.iss.is_some_and(|iss| has(&policy.issuers, &iss)) {
            Err(Refusal::Invalid("it is from another issuer"))
        } else if self.sub.is_empty() || self.sub.len() > MAX_SUBJECT || self.sub.contains('\0') {
            Err(Refusal::Invalid("its subject is no user"))
        } else {
            Ok(self.sub)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(claims: &str, policy: &Policy) -> Result<String, String> {
        let claims: Claims = serde_json::from_str(claims).map_err(|error| error.to_string())?;
        claims.check(policy, 1000.0).map_err(|refusal| refusal.reason().to_owned())
    }

    fn policy(audiences: &[&str], issuers: &[&str], leeway: u32) -> Policy {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Policy { audiences: owned(audiences), issuers: owned(issuers), leeway }
    }

    #[test]
    fn claims_that_hold_name_the_user() {
        let here = policy(&["app", "web"], &["https://id.example"], 0);
        for claims in [
            r#"{"exp":1001,"sub":"u","aud":"app","iss":"https://id.example"}"#,
            r#"{"exp":1000.5,"sub":"u","aud":["x","web"],"iss":"https://id.example","nbf":1000}"#,
            r#"{"exp":1e12,"sub":"u","aud":"app","iss":"https://id.example","nbf":null,"role":"admin","iat":"x"}"#,
        ] {
            assert_eq!(check(claims, &here).as_deref(), Ok("u"), "{claims}");
        }
        assert_eq!(check(r#"{"exp":1001,"sub":"u","iss":"anyone"}"#, &Policy::default()).as_deref(), Ok("u"));
        assert_eq!(check(r#"{"exp":995,"nbf":1004,"sub":"u"}"#, &policy(&[], &[], 10)).as_deref(), Ok("u"));
    }

    #[test]
    fn claims_that_do_not_hold_name_nobody() {
        let here = policy(&["app"], &["https://id.example"], 0);
        let rest = r#""aud":"app","iss":"https://id.example""#;
        for claims in [
            format!(r#"{{"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":null,"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":"2000","sub":"u",{rest}}}"#),
            format!(r#"{{"exp":1e999,"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":1000,"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":-2000,"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":2000,"exp":3000,"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":2000,"nbf":1001,"sub":"u",{rest}}}"#),
            format!(r#"{{"exp":2000,"nbf":"0","sub":"u",{rest}}}"#),
            format!(r#"{{"exp":2000,{rest}}}"#),
            format!(r#"{{"exp":2000,"sub":"",{rest}}}"#),
            format!(r#"{{"exp":2000,"sub":7,{rest}}}"#),
            format!(r#"{{"exp":2000,"sub":null,{rest}}}"#),
            format!(r#"{{"exp":2000,"sub":["u"],{rest}}}"#),
            format!(r#"{{"exp":2000,"sub":"a\u0000b",{rest}}}"#),
            format!(r#"{{"exp":2000,"sub":"{}",{rest}}}"#, "u".repeat(256)),
            r#"{"exp":2000,"sub":"u","aud":"app"}"#.into(),
            r#"{"exp":2000,"sub":"u","aud":"app","iss":"https://id.example/"}"#.into(),
            r#"{"exp":2000,"sub":"u","iss":"https://id.example"}"#.into(),
            r#"{"exp":2000,"sub":"u","iss":"https://id.example","aud":"App"}"#.into(),
            r#"{"exp":2000,"sub":"u","iss":"https://id.example","aud":[]}"#.into(),
            r#"{"exp":2000,"sub":"u","iss":"https://id.example","aud":{"app":1}}"#.into(),
        ] {
            assert!(check(&claims, &here).is_err(), "{claims}");
        }
        // whoever names no audience is not the one that a token names
        assert!(check(r#"{"exp":2000,"sub":"u","aud":"app"}"#, &Policy::default()).is_err());
    }
}
