//! One model, as a row of the database.

use crate::code::Code;
use crate::problem::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A row of the view `model_access_visible`.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)] // the columns of the view
pub struct Model<'a> {
    #[serde(borrow)]
    pub model_id: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub description: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub provider: Option<Cow<'a, str>>,
    pub context_length: Option<i64>,
    pub max_completion_tokens: Option<i64>,
    pub input_modalities: Option<Vec<String>>,
    pub output_modalities: Option<Vec<String>>,
    pub supported_parameters: Option<Vec<String>>,
    #[serde(borrow)]
    pub pricing: Option<&'a RawValue>,
    pub prompt_usd_per_million: Option<f64>,
    pub completion_usd_per_million: Option<f64>,
    pub expires_on: Option<String>,
}

impl<'a> Model<'a> {
    /// Reads a row of the view, as JSON.
    ///
    /// # Errors
    /// 503 if the row does not have the columns and types of the view.
    pub fn read(row: &'a str) -> Result<Self, Problem> {
        serde_json::from_str(row).map_err(|error| unreadable(&error))
    }
}

/// Logs that a list of the database cannot be read, and returns the problem for the client.
pub fn unreadable(error: &serde_json::Error) -> Problem {
    tracing::error!(%error, "could not read a list of the database");
    Code::ListUnreadable.into()
}
