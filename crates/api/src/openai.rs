//! One model, in the form for clients of OpenAI and OpenRouter.

use crate::answer::Answer;
use crate::model::{Model, unreadable};
use crate::problem::Problem;
use serde::Serialize;
use serde_json::value::RawValue;

/// A model in `/v1/models`: the four keys of OpenAI, then the other columns under OpenRouter's names.
#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
    name: Option<&'a str>,
    description: Option<&'a str>,
    context_length: Option<i64>,
    architecture: Architecture<'a>,
    pricing: Option<&'a RawValue>,
    top_provider: TopProvider,
    supported_parameters: Option<&'a [String]>,
    expiration_date: Option<&'a str>,
}

#[derive(Serialize)]
struct Architecture<'a> {
    input_modalities: Option<&'a [String]>,
    output_modalities: Option<&'a [String]>,
}

#[derive(Serialize)]
struct TopProvider {
    context_length: Option<i64>,
    max_completion_tokens: Option<i64>,
}

impl<'a> From<&'a Model<'a>> for OpenAiModel<'a> {
    fn from(model: &'a Model<'a>) -> Self {
        Self {
            id: &model.model_id,
            object: "model",
            // clients of OpenAI require the key, and the view has no such column
            created: 0,
            owned_by: model.provider.as_deref().unwrap_or_default(),
            name: model.name.as_deref(),
            description: model.description.as_deref(),
            context_length: model.context_length,
            architecture: Architecture {
                input_modalities: model.input_modalities.as_deref(),
                output_modalities: model.output_modalities.as_deref(),
            },
            pricing: model.pricing,
            top_provider: TopProvider {
                context_length: model.context_length,
                max_completion_tokens: model.max_completion_tokens,
            },
            supported_parameters: model.supported_parameters.as_deref(),
            expiration_date: model.expires_on.as_deref(),
        }
    }
}

/// A model as JSON.
///
/// # Errors
/// 503 if the model cannot be written as JSON.
pub fn json(model: &Model<'_>) -> Result<String, Problem> {
    serde_json::to_string(&OpenAiModel::from(model)).map_err(|error| unreadable(&error))
}

/// A model as the answer of `/v1/models/{id}`.
///
/// # Errors
/// 503 if the model cannot be written as JSON.
pub fn answer(model: &Model<'_>) -> Result<Answer, Problem> {
    Ok(Answer::new(json(model)?))
}
