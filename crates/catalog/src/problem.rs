//! Why a run could not do what it was asked, in the words that a DBA will read.

use serde::Serialize;

/// SQLSTATEs of the run log's `error_code`; each stands for one kind of trouble.
pub mod code {
    /// The upstream could not be reached: name, route, port or proxy.
    pub const UNREACHABLE: &str = "08001";
    /// TLS could not be established: certificate, host name, CA store.
    pub const TLS: &str = "08004";
    /// The connection ended, or the deadline passed, before the answer was complete.
    pub const INCOMPLETE: &str = "08006";
    /// The upstream answered with an HTTP status other than 200.
    pub const HTTP_STATUS: &str = "58000";
    /// A limit of this extension was exceeded.
    pub const TOO_LARGE: &str = "54000";
    /// The answer is not JSON.
    pub const NOT_JSON: &str = "22032";
    /// The answer is JSON, but not a model catalogue.
    pub const NOT_A_CATALOGUE: &str = "22000";
    /// The catalogue holds no usable entry.
    pub const NO_MODELS: &str = "02000";
    /// Removals were withheld.
    pub const WITHHELD: &str = "01000";
    /// A setting has a value that cannot be used.
    pub const BAD_SETTING: &str = "22023";
}

/// A problem as PostgreSQL reports one: SQLSTATE, lower-case message, detail sentence, hint action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// SQLSTATE, one of [`code`].
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// More about it, as a sentence.
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

/// At most `max` bytes of `text` on one line, cut at a character, control characters shown as blanks.
/// What an upstream sends ends up in logs and terminals.
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
