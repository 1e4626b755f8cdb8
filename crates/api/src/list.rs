//! The list of one user in one form: the document of the database, and parts of it.

use crate::answer::Answer;
use crate::filter::{Filter, Page};
use crate::model::{Model, unreadable};
use crate::problem::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

/// Where clients of OpenAI find their list.
pub const PATH: &str = "/v1/models";

/// The models of one user.
#[derive(Debug)]
pub struct List(Answer);

/// The form of a list, by the API of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/api/models`: `{"data":[…]}`, with the rows of `model_access_visible`.
    Plain,
    /// `/v1/models`, for clients of OpenAI and OpenRouter: `{"object":"list","data":[…],"total_count":…,"links":…}`, with
    /// the entries of the upstream.
    OpenAi,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// The identity of an entry.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl List {
    /// A list from the document of the database.
    #[must_use]
    pub fn new(document: String) -> Self {
        Self(Answer::new(document))
    }

    /// SHA-256 of the document.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }

    /// The most memory that the list takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// The whole list.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.0.clone()
    }

    /// The part of a plain list that matches a filter.
    ///
    /// # Errors
    /// 503 if the document of the database cannot be read.
    pub fn filtered(&self, filter: &Filter) -> Result<Answer, Problem> {
        let mut rows = Vec::new();
        for row in self.rows()? {
            if filter.matches(&Model::read(row.get())?) {
                rows.push(row.get());
            }
        }
        Ok(Answer::new(format!(r#"{{"data":[{}]}}"#, rows.join(","))))
    }

    /// The ids of the models of a plain list that match a filter.
    ///
    /// # Errors
    /// 503 if the document of the database cannot be read.
    pub fn ids(&self, filter: &Filter) -> Result<HashSet<Cow<'_, str>>, Problem> {
        let models = self.rows()?.into_iter().map(|row| Model::read(row.get()));
        let matching = models.filter(|model| model.as_ref().map_or(true, |model| filter.matches(model)));
        matching.map(|model| model.map(|model| model.model_id)).collect()
    }

    /// The part of a list for clients of OpenAI that has these ids, or all of it; and of that one page, or all pages.
    ///
    /// # Errors
    /// 503 if the document of the database cannot be read.
    pub fn only(&self, ids: Option<&HashSet<Cow<'_, str>>>, page: Option<&Page>) -> Result<Answer, Problem> {
        let mut entries = Vec::new();
        for entry in self.rows()? {
            let id = id(entry)?;
            if ids.is_none_or(|ids| ids.contains(&id)) {
                entries.push(entry.get());
            }
        }
        let total = entries.len();
        let is_whole = ids.is_none() && page.is_none_or(|page| page.offset == 0 && total <= page.limit);
        if is_whole {
            // clients send limit=1000; this answer is compressed already
            return Ok(self.answer());
        }
        let next = page.and_then(|page| page.next(PATH, total));
        if let Some(page) = page {
            entries = entries.into_iter().skip(page.offset).take(page.limit).collect();
        }
        Ok(Answer::new(format!(
            r#"{{"object":"list","data":[{}],"total_count":{total},"links":{{"next":{}}}}}"#,
            entries.join(","),
            serde_json::Value::from(next)
        )))
    }

    /// One entry of a list for clients of OpenAI; `None` if the list does not contain it.
    ///
    /// # Errors
    /// 503 if the document of the database cannot be read.
    pub fn model(&self, wanted: &str) -> Result<Option<Answer>, Problem> {
        for entry in self.rows()? {
            if id(entry)? == wanted {
                return Ok(Some(Answer::new(entry.get().to_owned())));
            }
        }
        Ok(None)
    }

    fn rows(&self) -> Result<Vec<&RawValue>, Problem> {
        let document: Document<'_> =
            serde_json::from_str(self.0.text()).map_err(|error| unreadable(&error))?;
        Ok(document.data)
    }
}

fn id(entry: &RawValue) -> Result<Cow<'_, str>, Problem> {
    let entry: Entry<'_> = serde_json::from_str(entry.get()).map_err(|error| unreadable(&error))?;
    Ok(entry.id)
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
        let filter = |query| Filter::parse(Form::Plain, Some(query)).unwrap();
        assert_eq!(list.filtered(&filter("q=A%2FB")).unwrap().text(), format!(r#"{{"data":[{ROW}]}}"#));
        assert_eq!(list.filtered(&filter("q=nothing")).unwrap().text(), r#"{"data":[]}"#);
        assert_eq!(list.ids(&filter("q=A%2FC")).unwrap(), HashSet::from(["a/c".into()]));
    }

    #[test]
    fn entries_are_chosen_by_id_byte_for_byte() {
        let entry = |id| format!(r#"{{"id": "{id}", "pricing": {{"prompt": "0.00000100000000000000015"}}}}"#);
        let data = [entry("a/b"), entry("a/c")].join(",");
        let list = List::new(format!(
            r#"{{"object":"list","data":[{data}],"total_count":2,"links":{{"next":null}}}}"#
        ));
        let only = list.only(Some(&HashSet::from(["a/c".into(), "a/d".into()])), None).unwrap();
        let expected = format!(
            r#"{{"object":"list","data":[{}],"total_count":1,"links":{{"next":null}}}}"#,
            entry("a/c")
        );
        assert_eq!(only.text(), expected);
        let page = |query| {
            let filter = Filter::parse(Form::OpenAi, Some(query)).unwrap();
            list.only(None, filter.page.as_ref()).unwrap().text().to_owned()
        };
        assert_eq!(page("limit=2"), list.answer().text());
        let expected = r#"],"total_count":2,"links":{"next":"/v1/models?offset=1&limit=1"}}"#;
        assert_eq!(page("limit=1"), format!(r#"{{"object":"list","data":[{}{expected}"#, entry("a/b")));
        let end = r#"{"object":"list","data":[],"total_count":2,"links":{"next":null}}"#;
        assert_eq!(page("offset=2"), end);
        assert_eq!(list.model("a/b").unwrap().unwrap().text(), entry("a/b"));
        assert!(list.model("a/d").unwrap().is_none());
    }
}
