//! Who asks: the one admin of this machine, whom a code let in, or the person of a token that a proxy sends.

use super::fields::Fields;
use crate::auth::{MAX_TOKEN, Policy, verified};
use crate::keys::Keys;
use aws_lc_rs::{hmac, rand};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Wrong codes after which the code is void.
const MAX_TRIES: u8 = 5;
/// Letters and digits that cannot be taken for others.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Who asks.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// The person, if a token names one.
    pub person: Option<String>,
    /// The role to take.
    pub role: Option<String>,
    /// What a form of this person must contain.
    pub csrf: String,
}

/// Why somebody is not let in.
pub enum Refusal {
    /// The code must be typed first.
    Login,
    /// The token is missing, or is not accepted.
    Token(StatusCode, String),
}

/// The two ways.
pub enum Identity {
    /// One admin on this machine.
    Local(Box<Local>),
    /// People with tokens.
    Tokens(Box<People>),
}

/// One admin on this machine.
pub struct Local {
    key: FormKey,
    cookie: String,
    /// Where the page is, to print it with a code.
    url: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The code that lets in, and how often a wrong one was typed.
    code: Option<(String, u8)>,
    session: Option<(String, Instant)>,
}

/// People whose tokens a proxy sends.
pub struct People {
    /// What must be in the tokens.
    pub policy: Policy,
    /// The keys that verify them.
    pub keys: Keys,
    /// The header that contains the token.
    pub header: HeaderName,
    /// The claim that chooses the role.
    pub claim: String,
    /// The claim that names the person.
    pub person: String,
    /// Values of the claim with their roles: for people who decide, and for people who only look.
    pub roles: [(String, String); 2],
    /// The key of the tokens in forms.
    pub key: FormKey,
}

/// The key of the tokens in forms.
pub struct FormKey(hmac::Key);

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| "no random numbers")?;
    Ok(bytes)
}

impl FormKey {
    /// A new key.
    ///
    /// # Errors
    /// Fails if the system has no random numbers.
    pub fn new() -> Result<Self, String> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?)))
    }

    fn tag(&self, text: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, text.as_bytes()))
    }
}

/// Whether two texts are equal. How long it takes says nothing about where they differ.
fn equal(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

impl Local {
    /// Prints a code.
    pub fn new(url: &str, port: u16) -> Result<Self, String> {
        // browsers send the cookies of a machine to each of its ports
        let cookie = format!("model_access_admin_{port}");
        let local = Self { key: FormKey::new()?, cookie, url: url.into(), state: Mutex::default() };
        local.print_code()?;
        Ok(local)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a code would be accepted.
    pub fn has_code(&self) -> bool {
        self.state().code.is_some()
    }

    /// Prints a new code, unless there is one.
    pub fn print_code(&self) -> Result<(), String> {
        let mut state = self.state();
        if state.code.is_none() {
            let letters =
                random::<12>()?.map(|byte| ALPHABET.get(usize::from(byte) % 32).copied().unwrap_or(b'2'));
            let code: String = letters.into_iter().map(char::from).collect();
            let (one, rest) = code.split_at(4);
            let (two, three) = rest.split_at(4);
            // standard output may be closed
            drop(writeln!(
                std::io::stdout(),
                "{} is open to whoever types this code: {one}-{two}-{three}",
                self.url
            ));
            state.code = Some((code, 0));
        }
        Ok(())
    }

    /// The cookie of a new session, if the code is right. The code is void then.
    pub fn login(&self, typed: &str) -> Option<String> {
        let typed: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut state = self.state();
        let (code, wrong) = state.code.as_mut()?;
        if !equal(&typed.to_ascii_uppercase(), code) {
            *wrong += 1;
            if *wrong == MAX_TRIES {
                state.code = None;
            }
            return None;
        }
        let session = BASE64_URL_SAFE_NO_PAD.encode(random::<32>().ok()?);
        state.code = None;
        state.session = Some((session.clone(), Instant::now() + SESSION));
        let age = SESSION.as_secs();
        Some(format!("{}={session}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict", self.cookie))
    }

    /// Ends the session.
    pub fn logout(&self) {
        self.state().session = None;
    }

    fn who(&self, headers: &HeaderMap) -> Result<Who, Refusal> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let sent = pairs.find(|(name, _)| *name == self.cookie).map(|(_, value)| value);
        let state = self.state();
        let (known, until) = state.session.as_ref().ok_or(Refusal::Login)?;
        let is_valid = Instant::now() < *until && sent.is_some_and(|sent| equal(sent, known));
        is_valid.then(|| Who { csrf: self.key.tag(known), ..Who::default() }).ok_or(Refusal::Login)
    }
}

impl People {
    async fn who(&self, headers: &HeaderMap) -> Result<Who, Refusal> {
        let refuse = |why: &str| Refusal::Token(StatusCode::UNAUTHORIZED, why.into());
        let mut values = headers.get_all(&self.header).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        let value = value.ok_or_else(|| refuse("The request has no token."))?;
        if values.next().is_some() || value.len() > MAX_TOKEN {
            return Err(refuse("The request has more than one token, or one that is too long."));
        }
        let is_bearer = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        let token = if is_bearer { value.get(7..).unwrap_or_default().trim_start() } else { value };
        let verified = verified(token, &self.keys, &self.policy).await;
        let (subject, claims) = verified.map_err(|code| refuse(code.detail()))?;
        let claims: Value = serde_json::from_str(&claims).unwrap_or_default();
        let find = |name: &str| if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) };
        let forbid = |why: String| Refusal::Token(StatusCode::FORBIDDEN, why);
        let person = match find(&self.person).and_then(Value::as_str) {
            _ if self.person == "sub" => subject,
            Some(person) if (1..=255).contains(&person.len()) && !person.contains('\0') => person.into(),
            _ => return Err(forbid(format!("The token has no claim {} that names a person.", self.person))),
        };
        let has = |value: &str| match find(&self.claim) {
            Some(Value::String(text)) => text == value,
            Some(Value::Array(texts)) => texts.iter().any(|text| text == value),
            _ => false,
        };
        let Some((_, role)) = self.roles.iter().find(|(value, _)| has(value)) else {
            return Err(forbid(format!("The token makes {person} neither an admin nor a viewer.")));
        };
        Ok(Who { csrf: self.key.tag(&person), person: Some(person), role: Some(role.clone()) })
    }
}

impl Identity {
    /// Who sent a request.
    pub async fn who(&self, headers: &HeaderMap) -> Result<Who, Refusal> {
        match self {
            Self::Local(local) => local.who(headers),
            Self::Tokens(people) => people.who(headers).await,
        }
    }

    /// Whether the request names this machine as its host, if it must. So a web page of a stranger cannot reach the program
    /// through a host name that resolves to this machine.
    pub fn is_host(&self, headers: &HeaderMap) -> bool {
        matches!(self, Self::Tokens(_))
            || host(headers).is_some_and(|host| matches!(host.host(), "127.0.0.1" | "localhost" | "[::1]"))
    }
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

/// Whether a browser says that the form is from a page of another origin. Browsers send at least one of these headers with
/// every form; other clients send none.
pub fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site != "same-origin",
        (None, Some(origin)) => {
            let origin = origin.split_once("://").map(|(_, authority)| authority);
            origin.is_none() || origin != host(headers).as_ref().map(Authority::as_str)
        }
        (None, None) => false,
    }
}

/// Whether a form contains the token of its person.
pub fn has_token(who: &Who, form: &Fields) -> bool {
    !who.csrf.is_empty() && equal(form.text("csrf"), &who.csrf)
}
