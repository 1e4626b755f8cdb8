//! One document, as it came, read into a catalogue: what is listed, and what could not be read.

use crate::entry::{self, Model};
use crate::problem::{Problem, code, excerpt};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// Most entries of one document. The largest list on record has 457.
pub const MAX_ENTRIES: usize = 10_000;
/// Longest text of an upstream that is repeated in a message, in bytes.
const MAX_QUOTED: usize = 200;

/// A document that is a catalogue.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The usable entries, in the order of the document, each id once.
    pub models: Vec<Model>,
    /// The entries that could not be used.
    pub unusable: Vec<Unusable>,
    /// How many entries arrived, usable or not.
    pub arrived: usize,
    /// How many entries there are, if the upstream said.
    pub total_count: Option<u64>,
    /// Where the upstream says the rest is.
    pub next: Option<String>,
}

/// An entry that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// Its id, if that much could be read.
    pub id: Option<String>,
    /// Why it could not be used.
    pub reason: String,
}

/// Reads a document: `{"data": [entry, …], …}`, or only the list.
///
/// An entry that cannot be used costs no other entry. `poll` is called between entries, so that a backend
/// can serve its interrupts there.
///
/// # Errors
/// Anything that is not a list of entries with at least one usable, in words for the run log.
pub fn parse(document: &[u8], poll: &dyn Fn()) -> Result<Catalogue, Problem> {
    let text = std::str::from_utf8(document).map_err(|error| {
        Problem::new(
            code::NOT_JSON,
            format!("the document is not valid UTF-8 after byte {}", error.valid_up_to()),
        )
    })?;
    let envelope = envelope(text)?;
    let Some(data) = envelope.data else { return Err(no_data(&envelope)) };
    let entries: Entries = serde_json::from_str(data.get()).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => not_a_list(data.get(), &error),
        _ => not_json(text, &error),
    })?;
    let mut catalogue = catalogue(&entries.0, poll);
    catalogue.total_count = envelope.total_count.and_then(|raw| serde_json::from_str(raw.get()).ok());
    catalogue.next = envelope.links.and_then(next);
    if catalogue.models.is_empty() { Err(no_models(&catalogue)) } else { Ok(catalogue) }
}

/// The top level of a document. Each part is a slice of it, read later or not at all.
#[derive(DeriveDeserialize, Default)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    total_count: Option<&'a RawValue>,
    #[serde(borrow)]
    links: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn envelope(text: &str) -> Result<Envelope<'_>, Problem> {
    let parsed = match text.trim_start().as_bytes().first() {
        None => return Err(Problem::new(code::NOT_JSON, "the document is empty")),
        Some(b'[') => {
            serde_json::from_str(text).map(|data| Envelope { data: Some(data), ..Envelope::default() })
        }
        Some(_) => serde_json::from_str(text),
    };
    parsed.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Problem::new(code::NOT_A_CATALOGUE, "the document is not a model catalogue")
                .detail(format!("Reading it ended with: {}.", excerpt(&error.to_string(), MAX_QUOTED)))
        }
        _ => not_json(text, &error),
    })
}

/// The entries as slices of the document, no more than [`MAX_ENTRIES`].
struct Entries<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Vec<&'de RawValue>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of models")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    if entries.len() == MAX_ENTRIES {
                        return Err(A::Error::custom(format!("it has more than {MAX_ENTRIES} entries")));
                    }
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(Bounded).map(Entries)
    }
}

fn catalogue(entries: &[&RawValue], poll: &dyn Fn()) -> Catalogue {
    let mut catalogue = Catalogue { arrived: entries.len(), ..Catalogue::default() };
    let mut seen = HashSet::new();
    for raw in entries {
        poll();
        match entry::read(raw) {
            Ok(model) if seen.insert(model.model_id.clone()) => catalogue.models.push(model),
            Ok(model) => catalogue.unusable.push(Unusable {
                id: Some(model.model_id),
                reason: "the id is listed twice; the first entry counts".into(),
            }),
            Err(reason) => {
                let reason = excerpt(&reason, MAX_QUOTED);
                catalogue.unusable.push(Unusable { id: entry::read_id(raw), reason });
            }
        }
    }
    catalogue
}

fn next(links: &RawValue) -> Option<String> {
    let links: Value = serde_json::from_str(links.get()).ok()?;
    match links.get("next")? {
        Value::Null => None,
        Value::String(next) => Some(excerpt(next, MAX_QUOTED)),
        other => Some(excerpt(&other.to_string(), MAX_QUOTED)),
    }
}

fn not_json(text: &str, error: &serde_json::Error) -> Problem {
    let html = text.trim_start().starts_with('<');
    let what = if html { "the document is a web page, not JSON" } else { "the document is not valid JSON" };
    let error = excerpt(&error.to_string(), MAX_QUOTED);
    let detail = format!("Reading it ended with: {error}. It begins: {}", excerpt(text, MAX_QUOTED));
    Problem::new(code::NOT_JSON, what).detail(detail)
}

fn not_a_list(data: &str, error: &serde_json::Error) -> Problem {
    let what = match data.as_bytes().first() {
        Some(b'[') => return Problem::new(code::TOO_LARGE, format!("the document is refused: {error}")),
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    };
    Problem::new(code::NOT_A_CATALOGUE, format!("\"data\" is {what}, not a list of models"))
}

/// An object without a list: perhaps an error body, in either of the two shapes on record.
fn no_data(envelope: &Envelope) -> Problem {
    let error: Option<Value> = envelope.error.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let Some(error) = error.filter(|error| !error.is_null()) else {
        return Problem::new(code::NOT_A_CATALOGUE, "the document has no \"data\" list");
    };
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(|text| excerpt(text, MAX_QUOTED));
    let message = text("message").or_else(|| error.as_str().map(|text| excerpt(text, MAX_QUOTED)));
    let name = text("name").or_else(|| error.get("code").map(|code| excerpt(&code.to_string(), MAX_QUOTED)));
    let mut said = message.unwrap_or_else(|| "(no message)".into());
    if let Some(name) = name {
        said = format!("{said} ({name})");
    }
    Problem::new(code::NOT_A_CATALOGUE, format!("the document is an error of the upstream: {said}"))
}

fn no_models(catalogue: &Catalogue) -> Problem {
    match catalogue.unusable.first() {
        None => Problem::new(code::NO_MODELS, "the document lists no models"),
        Some(first) => {
            let message = format!("none of the {} entries in the document can be used", catalogue.arrived);
            let id = first.id.as_deref().unwrap_or("without a usable id");
            Problem::new(code::NO_MODELS, message).detail(format!(
                "The first one ({}): {}.",
                excerpt(id, MAX_QUOTED),
                first.reason
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &[u8]) -> Result<Catalogue, Problem> {
        super::parse(document, &|| ())
    }

    fn refused(document: &str) -> String {
        let problem = parse(document.as_bytes()).unwrap_err();
        format!("{} {}", problem.code, problem.message)
    }

    #[test]
    fn what_is_no_catalogue_is_refused_in_plain_words() {
        for (document, expected) in [
            ("", "22032 the document is empty"),
            (" \n", "22032 the document is empty"),
            ("<html>", "22032 the document is a web page, not JSON"),
            ("{\"data\":[{\"id\"", "22032 the document is not valid JSON"),
            ("{\"data\":[]} x", "22032 the document is not valid JSON"),
            ("[1,", "22032 the document is not valid JSON"),
            ("7", "22000 the document is not a model catalogue"),
            ("{\"data\":[],\"data\":[]}", "22000 the document is not a model catalogue"),
            ("{}", "22000 the document has no \"data\" list"),
            ("{\"data\":null}", "22000 the document has no \"data\" list"),
            ("{\"data\":\"x\"}", "22000 \"data\" is a string, not a list of models"),
            ("{\"data\":{}}", "22000 \"data\" is an object, not a list of models"),
            ("{\"data\":7}", "22000 \"data\" is a number, not a list of models"),
            ("{\"data\":[]}", "02000 the document lists no models"),
            ("[]", "02000 the document lists no models"),
            ("[1,{}]", "02000 none of the 2 entries in the document can be used"),
            (
                r#"{"error":{"message":"No auth","code":401},"user_id":null}"#,
                "22000 the document is an error of the upstream: No auth (401)",
            ),
            (
                r#"{"success":false,"error":{"name":"ZodError","message":"[\n1]"}}"#,
                "22000 the document is an error of the upstream: [ 1] (ZodError)",
            ),
        ] {
            assert_eq!(refused(document), expected, "{document}");
        }
        let invalid = parse(b"{\"data\":\"\xff\"}").unwrap_err();
        assert_eq!(invalid.message, "the document is not valid UTF-8 after byte 9");
    }

    #[test]
    fn a_document_is_bounded() {
        let many = format!("[{}0]", "0,".repeat(MAX_ENTRIES));
        assert!(refused(&many).starts_with("54000 the document is refused: it has more than 10000 entries"));
        let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(
            refused(&format!("{open}{close}")),
            "02000 none of the 1 entries in the document can be used"
        );
        let beside = format!(r#"{{"x":{open}{close},"data":[{{"id":"a/b","name":"x"}}]}}"#);
        assert_eq!(parse(beside.as_bytes()).unwrap().models.len(), 1);
    }

    #[test]
    fn a_bad_entry_costs_no_other() {
        let document = r#"{"data":[{"id":"a/b","name":"x"},{"id":"a/b","name":"y"},{"id":"c/d"},null],
                           "total_count":4,"links":{"next":"/api/v1/models?offset=500"}}"#;
        let catalogue = parse(document.as_bytes()).unwrap();
        assert_eq!(catalogue.models.len(), 1);
        assert_eq!(catalogue.models[0].columns.name, "x");
        let ids: Vec<_> = catalogue.unusable.iter().map(|entry| entry.id.as_deref()).collect();
        assert_eq!(ids, [Some("a/b"), Some("c/d"), None]);
        assert_eq!((catalogue.arrived, catalogue.total_count), (4, Some(4)));
        assert_eq!(catalogue.next.as_deref(), Some("/api/v1/models?offset=500"));
    }
}
