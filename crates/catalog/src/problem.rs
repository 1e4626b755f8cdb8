//! Why a run failed or withheld removals, as the run log and the WARNING report it.

use serde::Serialize;

/// The SQLSTATEs of the run log's `error_code`, one for each condition.
pub mod code {
    /// The upstream cannot be reached: host name, network, port or proxy.
    pub const UNREACHABLE: &str = "08001";
    /// TLS cannot be established: certificate, host name or CA certificates.
    pub const TLS: &str = "08004";
    /// The connection ended, or the deadline passed, before the response was complete.
    pub const INCOMPLETE: &str = "08006";
    /// The HTTP status of the response is not 200.
    pub const HTTP_STATUS: &str = "58000";
    /// The document exceeds a limit.
    pub const TOO_LARGE: &str = "54000";
    /// The process gets no more memory (`out_of_memory`).
    pub const OUT_OF_MEMORY: &str = "53200";
    /// The document is not JSON.
    pub const NOT_JSON: &str = "22032";
    /// The document is JSON, but not a model catalogue.
    pub const NOT_A_CATALOGUE: &str = "22000";
    /// The catalogue has no usable entry.
    pub const NO_MODELS: &str = "02000";
    /// Removals were withheld.
    pub const WITHHELD: &str = "01000";
    /// A setting has an invalid value.
    pub const BAD_SETTING: &str = "22023";
}

/// A problem in the form of a PostgreSQL error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// SQLSTATE, one of [`code`].
    pub code: &'static str,
    /// What happened, in lower case and without a full stop.
    pub message: String,
    /// More about it, in sentences.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without detail or hint.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None }
    }

    /// The same with a detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The beginning of a text on one line, at most `max` bytes, with blanks for control characters. Messages quote texts
/// from outside, and go to logs and terminals.
#[must_use]
pub fn excerpt(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.trim_matches(|c: char| c.is_whitespace() || c.is_control()).chars() {
        if out.len() + c.len_utf8() > max {
            out.push_str("...");
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" a\nb\u{1b}[0m\0 ", 80), "a b [0m");
        assert_eq!(excerpt("ééé", 4), "éé...");
    }
}
