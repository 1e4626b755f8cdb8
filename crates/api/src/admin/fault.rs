//! What went wrong with a request, as a page that says what to do and keeps what was typed.

use super::page::{Frame, Visit, html};
use crate::error_chain::error_chain;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

/// What went wrong.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// The status of the answer.
    pub status: StatusCode,
    /// What happened, in a sentence or as PostgreSQL words it.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// SQLSTATE.
    pub code: Option<String>,
    /// Whether the page offers to send the form again.
    pub may_retry: bool,
}

#[derive(Template)]
#[template(path = "fault.html")]
struct Page<'a> {
    frame: Frame,
    fault: &'a Fault,
    visit: &'a Visit,
}

impl Fault {
    /// A refusal by the page itself, with what to do.
    pub fn new(status: StatusCode, message: &str, hint: &str) -> Self {
        Self { status, message: message.into(), hint: Some(hint.into()), ..Self::default() }
    }

    /// The database cannot be reached, or did not answer in time.
    pub fn gone(error: &str) -> Self {
        tracing::warn!(error, "the database does not answer");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "The database does not answer.".into(),
            detail: Some("Nothing was changed, unless the connection ended while PostgreSQL was saving. What you typed is kept in this page.".into()),
            hint: Some("Send the form again when the database answers. A page shows only what was saved.".into()),
            code: None,
            may_retry: true,
        }
    }

    /// The page.
    pub fn page(&self, visit: &Visit) -> Response {
        html(self.status, &Page { frame: visit.bare_frame("Not done"), fault: self, visit })
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(known) = error.as_db_error() else { return Self::gone(&error_chain(&error)) };
        let code = known.code().code();
        let status = match code {
            "57014" | "55P03" | "40001" | "40P01" => StatusCode::CONFLICT,
            "42501" => StatusCode::FORBIDDEN,
            "P0002" => StatusCode::NOT_FOUND,
            "25006" => StatusCode::CONFLICT,
            _ => match code.get(..2) {
                Some("08" | "53" | "57") => return Self::gone(&error_chain(&error)),
                Some("22" | "23") => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        Self {
            status,
            message: known.message().to_owned(),
            detail: known.detail().map(str::to_owned),
            hint: known.hint().map(str::to_owned),
            code: Some(code.to_owned()),
            may_retry: status == StatusCode::CONFLICT,
        }
    }
}
