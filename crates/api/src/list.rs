//! What one user may use: the document of the database, and the two forms in which it is served.

use crate::conditional::Answer;
use crate::filter::Filter;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::OnceLock;

/// The models of one user.
#[derive(Debug)]
pub struct List {
    plain: Answer,
    openai: OnceLock<Answer>,
}

/// Which API a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/api/models`: the columns of `model_access_visible`.
    Plain,
    /// `/v1/models`: what clients of OpenAI and OpenRouter read.
    OpenAi,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// A row of `model_access_visible`.
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

/// A model as `/v1/models` shows it: OpenAI's four keys, then OpenRouter's names for the rest.
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
            // OpenAI's clients require the key; when upstream made a model is not among what callers see
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

impl List {
    /// A list from the document `{"data":[…]}`.
    #[must_use]
    pub fn new(document: String) -> Self {
        Self { plain: Answer::new(document), openai: OnceLock::new() }
    }

    /// SHA-256 of the document.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.plain.digest()
    }

    /// The memory that it may take, in bytes: the document, and as much again for its other form.
    #[must_use]
    pub fn size(&self) -> usize {
        2 * self.plain.text().len()
    }

    /// The whole list, or the part of it that a filter leaves.
    ///
    /// # Errors
    /// The document is not what the database should give.
    pub fn answer(&self, form: Form, filter: &Filter) -> Result<Answer, Problem> {
        if filter.is_empty() {
            return match (form, self.openai.get()) {
                (Form::Plain, _) => Ok(self.plain.clone()),
                (Form::OpenAi, Some(answer)) => Ok(answer.clone()),
                (Form::OpenAi, None) => {
                    let answer = self.write(form, filter)?;
                    Ok(self.openai.get_or_init(|| answer).clone())
                }
            };
        }
        self.write(form, filter)
    }

    /// One model of the list as `/v1/models/{id}` shows it; `None` where it is not in the list.
    ///
    /// # Errors
    /// The document is not what the database should give.
    pub fn model(&self, id: &str) -> Result<Option<Answer>, Problem> {
        for row in self.rows()? {
            let model = parse(row.get())?;
            if model.model_id == id {
                return Ok(Some(Answer::new(openai(&model)?)));
            }
        }
        Ok(None)
    }

    fn rows(&self) -> Result<Vec<&RawValue>, Problem> {
        let document: Document<'_> =
            serde_json::from_str(self.plain.text()).map_err(|error| unreadable(&error))?;
        Ok(document.data)
    }

    fn write(&self, form: Form, filter: &Filter) -> Result<Answer, Problem> {
        let mut body = String::from(match form {
            Form::Plain => r#"{"data":["#,
            Form::OpenAi => r#"{"object":"list","data":["#,
        });
        let mut separator = "";
        for row in self.rows()? {
            let model = parse(row.get())?;
            if filter.takes(&model) {
                body += separator;
                match form {
                    Form::Plain => body += row.get(),
                    Form::OpenAi => body += &openai(&model)?,
                }
                separator = ",";
            }
        }
        body += "]}";
        Ok(Answer::new(body))
    }
}

/// One row of the database as `/v1/models/{id}` shows it.
///
/// # Errors
/// The row is not what the database should give.
pub fn single(row: &str) -> Result<Answer, Problem> {
    Ok(Answer::new(openai(&parse(row)?)?))
}

fn parse(row: &str) -> Result<Model<'_>, Problem> {
    serde_json::from_str(row).map_err(|error| unreadable(&error))
}

fn openai(model: &Model<'_>) -> Result<String, Problem> {
    serde_json::to_string(&OpenAiModel::from(model)).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Problem {
    tracing::error!(%error, "a list of the database cannot be read");
    Problem::unavailable("The list of models cannot be read.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = concat!(
        r#"{"model_id":"a/b","name":"B \"b\"","description":null,"provider":"a","context_length":8192,"#,
        r#""max_completion_tokens":null,"input_modalities":["text"],"output_modalities":["text"],"#,
        r#""supported_parameters":["tools"],"pricing":{"prompt":"0.00000100000000000000015"},"#,
        r#""prompt_usd_per_million":1.00000000000000015,"completion_usd_per_million":2,"expires_on":null,"appended":1}"#
    );

    #[test]
    fn a_filter_keeps_rows_byte_for_byte() {
        let list = List::new(format!(r#"{{"data":[{ROW},{}]}}"#, ROW.replace("a/b", "a/c")));
        let filter = Filter::parse(Some("q=A%2FB")).unwrap();
        assert_eq!(list.answer(Form::Plain, &filter).unwrap().text(), format!(r#"{{"data":[{ROW}]}}"#));
        let none = Filter::parse(Some("q=nothing")).unwrap();
        assert_eq!(list.answer(Form::Plain, &none).unwrap().text(), r#"{"data":[]}"#);
    }

    #[test]
    fn the_other_form_has_the_keys_of_openai() {
        let list = List::new(format!(r#"{{"data":[{ROW}]}}"#));
        let answer = list.answer(Form::OpenAi, &Filter::default()).unwrap();
        assert!(
            answer.text().starts_with(
                r#"{"object":"list","data":[{"id":"a/b","object":"model","created":0,"owned_by":"a","name":"B \"b\"""#
            ),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains(r#""pricing":{"prompt":"0.00000100000000000000015"}"#));
        let model = list.model("a/b").unwrap().unwrap();
        assert!(answer.text().contains(model.text()));
        assert!(list.model("a/c").unwrap().is_none());
    }
}
