//! The text of an error together with its causes.

use std::error::Error;

/// The error and all its causes, separated by colons. PostgreSQL's own message is the last cause of a database error.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn causes_follow_the_error_and_none_is_repeated() {
        let inner = io::Error::other("inner");
        let outer = io::Error::other(format!("outer: {inner}"));
        assert_eq!(error_chain(&outer), "outer: inner");
        let parsed = "x".parse::<u16>().unwrap_err();
        assert_eq!(error_chain(&io::Error::other(parsed)), "invalid digit found in string");
    }
}
