//! The list of one user: the document of the database, and the two forms in which it is served.

use crate::answer::Answer;
use crate::filter::Filter;
use crate::model::{Model, unreadable};
use crate::openai;
use crate::problem::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::OnceLock;

/// The models of one user.
#[derive(Debug)]
pub struct List {
    plain: Answer,
    openai: OnceLock<Answer>,
}

/// The form of a list, by the API of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/api/models`: the columns of `model_access_visible`.
    Plain,
    /// `/v1/models`: for clients of OpenAI and OpenRouter.
    OpenAi,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
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

    /// The most memory that the list takes, in bytes: the document, and as much again for its other form.
    #[must_use]
    pub fn size(&self) -> usize {
        2 * self.plain.text().len()
    }

    /// The list, or the part of it that matches a filter.
    ///
    /// # Errors
    /// 503 if the document of the database cannot be read.
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

    /// One model of the list as the answer of `/v1/models/{id}`; `None` if the list does not contain it.
    ///
    /// # Errors
    /// 503 if the document of the database cannot be read.
    pub fn model(&self, id: &str) -> Result<Option<Answer>, Problem> {
        for row in self.rows()? {
            let model = Model::read(row.get())?;
            if model.model_id == id {
                return Ok(Some(openai::answer(&model)?));
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
            let model = Model::read(row.get())?;
            if filter.matches(&model) {
                body += separator;
                match form {
                    Form::Plain => body += row.get(),
                    Form::OpenAi => body += &openai::json(&model)?,
                }
                separator = ",";
            }
        }
        body += "]}";
        Ok(Answer::new(body))
    }
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
