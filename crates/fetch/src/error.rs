//! Why a fetch failed.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The longest text from outside that a message quotes, in bytes.
const MAX_QUOTED: usize = 200;

/// What kind of error it is. A caller chooses its error code and its hint by the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`check_url`](crate::check_url) rejects the URL.
    InvalidUrl,
    /// [`check_proxy`](crate::check_proxy) rejects the proxy.
    InvalidProxy,
    /// The host name cannot be resolved.
    UnknownHost,
    /// The host, or the proxy, cannot be connected to.
    NoConnection,
    /// The TLS handshake failed, or the certificate is not valid for the host.
    Tls,
    /// The system has no CA certificates to verify the server's with.
    NoCaCertificates,
    /// The deadline passed.
    Timeout,
    /// The connection ended before the response was complete.
    Incomplete,
    /// The HTTP status is not 200.
    Status,
    /// The body has a content encoding that was not requested.
    Encoding,
    /// The body is larger than the maximum.
    TooLarge,
    /// There is no memory for the body.
    OutOfMemory,
}

/// Why there is no complete response with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of error it is.
    pub kind: Kind,
    /// The HTTP status, if there was a response.
    pub http_status: Option<u16>,
    /// What happened, in lower case and without a full stop.
    pub message: String,
    /// More about it, in sentences.
    pub detail: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// How long the server asks to wait before the next request.
    pub retry_after: Option<Duration>,
    /// The shortest pause before another attempt; `None` if another attempt cannot help.
    pub(crate) retry: Option<Duration>,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            http_status: None,
            message,
            detail: None,
            location: None,
            retry_after: None,
            retry: None,
        }
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(crate) fn retry_after_at_least(self, pause: Duration) -> Self {
        Self { retry: Some(pause), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ". {detail}"))
    }
}

impl StdError for Error {}

/// The causes of an error, outermost first, without the URL.
pub(crate) fn error_chain(error: &reqwest::Error) -> String {
    let mut chain = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // hyper wraps an error without adding to it
        if chain.last() != Some(&text) && !text.starts_with("client error") {
            chain.push(text);
        }
        cause = error.source();
    }
    if chain.is_empty() {
        chain.push(error.to_string());
    }
    excerpt(&chain.join(": "))
}

/// The beginning of a text from outside on one line, with blanks for control characters: messages go to logs and terminals.
pub(crate) fn excerpt(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim_matches(|c: char| c.is_whitespace() || c.is_control()).chars() {
        if out.len() + c.len_utf8() > MAX_QUOTED {
            out.push_str("...");
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" a\nb\u{1b}[0m\0 "), "a b [0m");
        assert_eq!(excerpt(&"é".repeat(101)), format!("{}...", "é".repeat(100)));
    }
}
