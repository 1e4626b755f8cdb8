//! Refusals: an RFC 9457 body, with the error of OpenAI in it, and the headers that belong to the status.

use crate::code::Code;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::borrow::Cow;

/// Seconds after which a client may try again when the reason may pass.
const RETRY_SECONDS: u16 = 5;
const REALM: &str = r#"Bearer realm="model_access""#;

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    /// The parameter of the query that is wrong.
    parameter: Option<String>,
}

impl Problem {
    /// A problem whose detail says more than the sentence of its code.
    #[must_use]
    pub fn new(code: Code, detail: String) -> Self {
        Self { code, detail: detail.into(), parameter: None }
    }

    /// The same problem, about a parameter of the query.
    #[must_use]
    pub fn about(self, parameter: &str) -> Self {
        Self { parameter: Some(parameter.into()), ..self }
    }

    /// Why the request is refused.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The value of `WWW-Authenticate` (RFC 6750): a request without a token gets no error code.
    fn challenge(&self) -> Option<String> {
        (self.code.status() == StatusCode::UNAUTHORIZED).then(|| match self.code {
            Code::TokenMissing => REALM.to_owned(),
            _ => format!(r#"{REALM}, error="invalid_token", error_description="{}""#, self.detail),
        })
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: code.detail().into(), parameter: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": self.code.name(),
            "detail": self.detail,
            // what clients of OpenAI show
            "error": {
                "message": self.detail,
                "type": if status.is_client_error() { "invalid_request_error" } else { "server_error" },
                "code": self.code.name(),
                "param": self.parameter,
            },
        });
        let mut response = (status, body.to_string()).into_response();
        // for the log
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        if let Some(challenge) = self.challenge().and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        response
    }
}
