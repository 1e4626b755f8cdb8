//! The claims of a token: which are required, and when they are valid.

use crate::code::Code;
use serde::Deserialize;
use serde_json::Value;

/// Longest claim `sub`, in bytes.
const MAX_SUBJECT: usize = 255;

/// What the claims of a token must say.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The audiences of which a token must name one. If there are none, a token must not name an audience.
    pub audiences: Vec<String>,
    /// The issuers of which a token must name one. If there are none, every issuer is accepted.
    pub issuers: Vec<String>,
    /// Seconds by which the clocks of issuer and service may differ.
    pub leeway: u32,
    /// Whether a token may say that it only proves who signed in.
    pub id_tokens: bool,
}

/// Values of [`Claims::typ`] and similar claims that no access token has, in lower case.
const FOR_SOMETHING_ELSE: [&str; 4] = ["id", "refresh", "offline", "logout"];

/// The claims that are checked.
#[derive(Debug, Deserialize)]
pub struct Claims {
    /// What the token is for, in the claim that Keycloak uses; [`token_type`](Self::token_type) and
    /// [`type`](Self::kind) are those of common libraries.
    typ: Option<Value>,
    token_type: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
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

impl Claims {
    /// Reads the payload of a token.
    ///
    /// # Errors
    /// Fails if a required claim is missing, or if a claim has the wrong type.
    pub fn read(payload: &str) -> Result<Self, Code> {
        // serde would also accept a list of the values in their order
        let is_object = payload.starts_with('{');
        is_object.then(|| serde_json::from_str(payload).ok()).flatten().ok_or(Code::TokenClaimsInvalid)
    }

    /// The user, if the claims are valid at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Fails with the code of the first claim that is not valid.
    pub fn user(self, policy: &Policy, now: f64) -> Result<String, Code> {
        let leeway = f64::from(policy.leeway);
        let is_audience = match &self.aud {
            None => policy.audiences.is_empty(),
            Some(Audience::One(name)) => policy.audiences.contains(name),
            Some(Audience::Many(names)) => names.iter().any(|name| policy.audiences.contains(name)),
        };
        let is_issuer =
            policy.issuers.is_empty() || self.iss.is_some_and(|iss| policy.issuers.contains(&iss));
        let is_for_something_else = [&self.typ, &self.token_type, &self.kind]
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_ascii_lowercase)
            .any(|value| {
                FOR_SOMETHING_ELSE.contains(&value.as_str()) && !(policy.id_tokens && value == "id")
            });
        if is_for_something_else {
            Err(Code::TokenTypeInvalid)
        } else if now >= self.exp + leeway {
            Err(Code::TokenExpired)
        } else if self.nbf.is_some_and(|nbf| now < nbf - leeway) {
            Err(Code::TokenNotYetValid)
        } else if !is_audience {
            Err(Code::TokenAudienceInvalid)
        } else if !is_issuer {
            Err(Code::TokenIssuerInvalid)
        } else if self.sub.is_empty() || self.sub.len() > MAX_SUBJECT || self.sub.contains('\0') {
            Err(Code::TokenSubjectInvalid)
        } else {
            Ok(self.sub)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(claims: &str, policy: &Policy) -> Result<String, Code> {
        Claims::read(claims)?.user(policy, 1000.0)
    }

    fn policy(audiences: &[&str], issuers: &[&str], leeway: u32) -> Policy {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Policy { audiences: owned(audiences), issuers: owned(issuers), leeway, id_tokens: false }
    }

    #[test]
    fn valid_claims_name_the_user() {
        let here = policy(&["app", "web"], &["https://id.example"], 0);
        for claims in [
            r#"{"exp":1001,"sub":"u","aud":"app","iss":"https://id.example"}"#,
            r#"{"exp":1000.5,"sub":"u","aud":["x","web"],"iss":"https://id.example","nbf":1000,"typ":"Bearer"}"#,
            r#"{"exp":1e12,"sub":"u","aud":"app","iss":"https://id.example","nbf":null,"role":"admin","iat":"x","type":7}"#,
        ] {
            assert_eq!(user(claims, &here).as_deref(), Ok("u"), "{claims}");
        }
        assert_eq!(user(r#"{"exp":1001,"sub":"u","iss":"anyone"}"#, &Policy::default()).as_deref(), Ok("u"));
        assert_eq!(user(r#"{"exp":995,"nbf":1004,"sub":"u"}"#, &policy(&[], &[], 10)).as_deref(), Ok("u"));
    }

    #[test]
    fn a_token_that_only_proves_who_signed_in_is_accepted_where_the_policy_says_so() {
        let here = Policy { id_tokens: true, ..policy(&["app"], &[], 0) };
        let claims = |typ: &str| format!(r#"{{"exp":2000,"typ":"{typ}","sub":"u","aud":"app"}}"#);
        assert_eq!(user(&claims("ID"), &here).as_deref(), Ok("u"));
        assert_eq!(user(&claims("Refresh"), &here), Err(Code::TokenTypeInvalid));
    }

    #[test]
    fn invalid_claims_are_refused_with_their_code() {
        use Code::{
            TokenAudienceInvalid as AUD, TokenClaimsInvalid as CLAIMS, TokenExpired as EXP,
            TokenIssuerInvalid as ISS, TokenNotYetValid as NBF, TokenSubjectInvalid as SUB,
            TokenTypeInvalid as TYP,
        };
        let here = policy(&["app"], &["https://id.example"], 0);
        let rest = r#""aud":"app","iss":"https://id.example""#;
        for (claims, code) in [
            (r#"[1e12,null,"https://id.example","app","u"]"#.into(), CLAIMS),
            (format!(r#"{{"sub":"u",{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":null,"sub":"u",{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":"2000","sub":"u",{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":1e999,"sub":"u",{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":1000,"sub":"u",{rest}}}"#), EXP),
            (format!(r#"{{"exp":-2000,"sub":"u",{rest}}}"#), EXP),
            (format!(r#"{{"exp":2000,"exp":3000,"sub":"u",{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":2000,"nbf":1001,"sub":"u",{rest}}}"#), NBF),
            (format!(r#"{{"exp":2000,"nbf":"0","sub":"u",{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":2000,{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":2000,"sub":"",{rest}}}"#), SUB),
            (format!(r#"{{"exp":2000,"sub":7,{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":2000,"sub":null,{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":2000,"sub":["u"],{rest}}}"#), CLAIMS),
            (format!(r#"{{"exp":2000,"sub":"a\u0000b",{rest}}}"#), SUB),
            (format!(r#"{{"exp":2000,"sub":"{}",{rest}}}"#, "u".repeat(256)), SUB),
            (format!(r#"{{"exp":2000,"typ":"ID","sub":"u",{rest}}}"#), TYP),
            (format!(r#"{{"exp":2000,"typ":"Refresh","sub":"u",{rest}}}"#), TYP),
            (format!(r#"{{"exp":2000,"token_type":"refresh","sub":"u",{rest}}}"#), TYP),
            (format!(r#"{{"exp":2000,"type":"refresh","sub":"u",{rest}}}"#), TYP),
            (r#"{"exp":2000,"sub":"u","aud":"app"}"#.into(), ISS),
            (r#"{"exp":2000,"sub":"u","aud":"app","iss":"https://id.example/"}"#.into(), ISS),
            (r#"{"exp":2000,"sub":"u","iss":"https://id.example"}"#.into(), AUD),
            (r#"{"exp":2000,"sub":"u","iss":"https://id.example","aud":"App"}"#.into(), AUD),
            (r#"{"exp":2000,"sub":"u","iss":"https://id.example","aud":[]}"#.into(), AUD),
            (r#"{"exp":2000,"sub":"u","iss":"https://id.example","aud":{"app":1}}"#.into(), CLAIMS),
        ] {
            assert_eq!(user(&claims, &here), Err(code), "{claims}");
        }
        // a service without audiences refuses a token that names one
        assert_eq!(user(r#"{"exp":2000,"sub":"u","aud":"app"}"#, &Policy::default()), Err(AUD));
    }
}
