//! Parses a document into a catalogue: the usable entries, and the entries that cannot be used.

use crate::entry::{self, Model, ReadOptions};
use crate::problem::{Problem, code, excerpt};
use crate::scan::Scanner;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The maximum number of entries in a document. The largest recorded catalogue has 457.
pub const MAX_ENTRIES: usize = 10_000;
/// The maximum number of JSON values in the entries that are read. 10,000 entries of the recorded kind have about 540,000.
pub const MAX_VALUES: usize = 1_000_000;
/// The maximum size of the entries that are read, with their columns, in bytes. 10,000 entries of the recorded kind have
/// about 25 MB.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The largest value outside the list that is parsed, in bytes.
const MAX_BESIDE: usize = 1024;
/// The longest text from the document that a message quotes, in bytes.
const MAX_QUOTED: usize = 200;

/// A parsed document.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The usable entries that were read, in the order of the document. Each id occurs once, here or in `as_stored`.
    pub models: Vec<Model>,
    /// The ids of the entries that were not read, because they have not changed since they were stored.
    pub as_stored: HashSet<String>,
    /// The entries that cannot be used.
    pub unusable: Vec<Unusable>,
    /// How many entries the document has, usable or not.
    pub arrived: usize,
    /// How many entries the upstream says that there are.
    pub total_count: Option<u64>,
    /// Where the upstream says that the next page is.
    pub next: Option<String>,
}

impl Catalogue {
    /// The number of usable entries.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.models.len() + self.as_stored.len()
    }

    /// Adds what a document says beside its list.
    fn with_beside<Data>(mut self, envelope: &Envelope<Data>) -> Self {
        self.total_count = value(envelope.total_count).as_ref().and_then(entry::whole_number);
        self.next = next(envelope.links)
            .or_else(|| has_more(&value(envelope.has_more)?).then(|| "the next page (has_more)".into()));
        self
    }
}

/// An entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// Its id, if it has a usable one.
    pub id: Option<String>,
    /// Why it cannot be used.
    pub reason: String,
}

/// Parses a document: `{"data": [entry, …], …}`, or only the list. A byte order mark at its start is skipped.
///
/// An entry that cannot be used does not affect the others. `poll` is called between entries; a backend processes
/// its interrupts there.
///
/// # Errors
/// Fails if the document is not a list with at least one usable entry.
pub fn parse(document: &[u8], options: &ReadOptions, poll: &dyn Fn()) -> Result<Catalogue, Problem> {
    let text = text(document)?;
    let catalogue = match read_what_differs(text, options, poll) {
        Some(catalogue) => catalogue,
        None => read_all(text, options, poll)?,
    };
    if catalogue.listed() == 0 { Err(no_models(&catalogue)) } else { Ok(catalogue) }
}

/// Reads the entries that differ from the stored ones. `None` if the document is not in the usual form, is no valid JSON,
/// or exceeds a limit: then [`read_all`] says what is wrong with it.
fn read_what_differs(text: &str, options: &ReadOptions, poll: &dyn Fn()) -> Option<Catalogue> {
    let mut scanner = Scanner::at_list(text)?;
    let start = scanner.at();
    let max_members = options.limits.max_values.saturating_add(options.ignored_keys.len());
    let (mut entries, mut members) = (Reader::new(options), Vec::new());
    let mut has_more = !scanner.takes(b']');
    while has_more {
        poll();
        if entries.catalogue.arrived == MAX_ENTRIES {
            return None;
        }
        let entry = scanner.entry(&mut members, max_members)?;
        match entry::stored_id(entry.len(), &mut members, options) {
            Some(model_id) => entries.add_stored(model_id),
            None => entries.add(serde_json::from_str(entry).ok()?).ok()?,
        }
        has_more = scanner.takes(b',');
        if !has_more && !scanner.takes(b']') {
            return None;
        }
    }
    // the document without its entries; what else it has is checked here
    let beside = [text.get(..start)?, text.get(scanner.at() - 1..)?].concat();
    let envelope = envelope::<Entries>(&beside).ok()?;
    Some(entries.catalogue.with_beside(&envelope))
}

/// Reads all entries of a document, whatever its form.
fn read_all(text: &str, options: &ReadOptions, poll: &dyn Fn()) -> Result<Catalogue, Problem> {
    let Ok(mut envelope) = envelope::<Entries>(text) else { return Err(no_envelope(text)) };
    let Some(list) = envelope.data.take() else { return Err(no_data(envelope.error)) };
    let mut entries = Reader::new(options);
    for raw in list.0 {
        poll();
        entries.add(raw)?;
    }
    Ok(entries.catalogue.with_beside(&envelope))
}

/// The text of the document without its byte order mark.
fn text(document: &[u8]) -> Result<&str, Problem> {
    let encoding = match document {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => "UTF-16",
        _ => {
            let text = std::str::from_utf8(document).map_err(|error| {
                let at = error.valid_up_to();
                Problem::new(code::NOT_JSON, format!("the document is not valid UTF-8 after byte {at}"))
            })?;
            return Ok(text.trim_start_matches('\u{feff}'));
        }
    };
    Err(Problem::new(code::NOT_JSON, format!("the document is {encoding}, not UTF-8"))
        .detail(format!("Its first bytes are {encoding}, but JSON must be encoded in UTF-8."))
        .hint("Convert the document to UTF-8, or check any proxy in between."))
}

/// The top level of a document. All parts but the data are slices, and are parsed only when they are needed.
#[derive(DeriveDeserialize)]
#[serde(bound(deserialize = "Data: Deserialize<'de>"))]
struct Envelope<'a, Data> {
    data: Option<Data>,
    #[serde(borrow)]
    total_count: Option<&'a RawValue>,
    #[serde(borrow)]
    links: Option<&'a RawValue>,
    #[serde(borrow)]
    has_more: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn envelope<'a, Data: Deserialize<'a>>(text: &'a str) -> serde_json::Result<Envelope<'a, Data>> {
    if !text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let data = Some(serde_json::from_str(text)?);
    Ok(Envelope { data, total_count: None, links: None, has_more: None, error: None })
}

/// The entries as slices of the document, at most [`MAX_ENTRIES`].
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
                        return Err(A::Error::custom("too many entries"));
                    }
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(Bounded).map(Entries)
    }
}

/// Collects the entries of a document.
struct Reader<'a> {
    options: &'a ReadOptions,
    catalogue: Catalogue,
    /// The ids of the entries that were read.
    read: HashSet<String>,
    values: usize,
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn new(options: &'a ReadOptions) -> Self {
        Self { options, catalogue: Catalogue::default(), read: HashSet::new(), values: 0, bytes: 0 }
    }

    /// Adds an entry that has not changed since it was stored.
    fn add_stored(&mut self, model_id: String) {
        self.catalogue.arrived += 1;
        if self.is_new(&model_id) {
            self.catalogue.as_stored.insert(model_id);
        }
    }

    /// Reads an entry.
    fn add(&mut self, raw: &RawValue) -> Result<(), Problem> {
        self.catalogue.arrived += 1;
        match entry::read(raw, self.options) {
            Ok(model) => {
                if self.is_new(&model.model_id) {
                    self.read.insert(model.model_id.clone());
                    self.values += model.values;
                    if self.values > MAX_VALUES {
                        return Err(too_many("JSON values", MAX_VALUES));
                    }
                    self.bytes += model.columns.bytes();
                    if self.bytes > MAX_BYTES {
                        return Err(too_many("bytes of models", MAX_BYTES));
                    }
                    self.catalogue.models.push(model);
                }
            }
            Err(reason) => {
                let reason = excerpt(&reason, MAX_QUOTED);
                self.catalogue.unusable.push(Unusable { id: entry::read_id(raw), reason });
            }
        }
        Ok(())
    }

    /// Whether no earlier entry has this id. If one has, this entry cannot be used.
    fn is_new(&mut self, model_id: &str) -> bool {
        let is_known = self.catalogue.as_stored.contains(model_id) || self.read.contains(model_id);
        if is_known {
            self.catalogue.unusable.push(Unusable {
                id: Some(model_id.to_owned()),
                reason: "the id is listed more than once; the first entry is used".into(),
            });
        }
        !is_known
    }
}

/// A small value; `None` if it is too large.
fn value(raw: Option<&RawValue>) -> Option<Value> {
    let raw = raw.filter(|raw| raw.get().len() <= MAX_BESIDE)?;
    serde_json::from_str(raw.get()).ok()
}

/// What is read from the links, and from an error response, as slices.
#[derive(DeriveDeserialize, Default)]
struct Members<'a> {
    #[serde(borrow)]
    next: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn of(object: &'a RawValue) -> Self {
        // a list would be read as the members in their order
        let is_object = object.get().starts_with('{');
        serde_json::from_str(object.get()).ok().filter(|_| is_object).unwrap_or_default()
    }
}

/// Where the next page is. `None`: there is no next page, which upstream may also write as an empty string or `false`.
fn next(links: Option<&RawValue>) -> Option<String> {
    let next = Members::of(links?).next?.get();
    match serde_json::from_str::<Cow<str>>(next) {
        _ if matches!(next, "null" | "false") => None,
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(excerpt(&text, MAX_QUOTED)),
        Err(_) => Some(excerpt(next, MAX_QUOTED)),
    }
}

fn has_more(value: &Value) -> bool {
    match value {
        Value::Bool(more) => *more,
        Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// The problem of a text that is not an object or a list with at most [`MAX_ENTRIES`] entries.
fn no_envelope(text: &str) -> Problem {
    if text.trim_start().is_empty() {
        return Problem::new(code::NOT_JSON, "the document is empty");
    }
    match envelope::<&RawValue>(text) {
        Ok(envelope) => not_a_list(envelope.data.map_or("null", RawValue::get)),
        Err(error) if error.is_data() => {
            Problem::new(code::NOT_A_CATALOGUE, "the document is not a model catalogue")
                .detail(format!("The JSON parser reported: {}.", excerpt(&error.to_string(), MAX_QUOTED)))
        }
        Err(error) => not_json(text, &error),
    }
}

fn not_json(text: &str, error: &serde_json::Error) -> Problem {
    let html = text.trim_start().starts_with('<');
    let what = if html { "the document is a web page, not JSON" } else { "the document is not valid JSON" };
    let error = excerpt(&error.to_string(), MAX_QUOTED);
    let detail =
        format!("The JSON parser reported: {error}. The document begins: {}", excerpt(text, MAX_QUOTED));
    Problem::new(code::NOT_JSON, what).detail(detail)
}

fn not_a_list(data: &str) -> Problem {
    let what = match data.as_bytes().first() {
        Some(b'[') => {
            return too_many("entries", MAX_ENTRIES);
        }
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    };
    Problem::new(code::NOT_A_CATALOGUE, format!("\"data\" is {what}, not a list of models"))
}

fn too_many(what: &str, max: usize) -> Problem {
    Problem::new(code::TOO_LARGE, format!("the document has more than {max} {what}")).hint(
        "No row was changed. Check what model_access.url or the document contains: no known catalogue is that large.",
    )
}

/// The problem of an object without a list. It may be an error response, of which two forms are known.
fn no_data(error: Option<&RawValue>) -> Problem {
    let Some(error) = error.filter(|error| error.get() != "null") else {
        return Problem::new(code::NOT_A_CATALOGUE, "the document has no \"data\" list");
    };
    let text = |raw: &RawValue| {
        serde_json::from_str::<Cow<str>>(raw.get()).ok().map(|text| excerpt(&text, MAX_QUOTED))
    };
    let members = Members::of(error);
    let message = members.message.and_then(text).or_else(|| text(error));
    let name = members.name.and_then(text);
    let name = name.or_else(|| members.code.map(|code| excerpt(code.get(), MAX_QUOTED)));
    let mut text = message.unwrap_or_else(|| "(no message)".into());
    if let Some(name) = name {
        text = format!("{text} ({name})");
    }
    Problem::new(code::NOT_A_CATALOGUE, format!("the document is an error response: {text}"))
}

fn no_models(catalogue: &Catalogue) -> Problem {
    match catalogue.unusable.first() {
        None => Problem::new(code::NO_MODELS, "the document lists no models"),
        Some(first) => {
            let message = format!("none of the {} entries in the document can be used", catalogue.arrived);
            let id = first.id.as_deref().unwrap_or("without a usable id");
            Problem::new(code::NO_MODELS, message).detail(format!(
                "The first entry ({}) is unusable: {}.",
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
        super::parse(document, &ReadOptions::default(), &|| ())
    }

    fn refused(document: &str) -> String {
        let problem = parse(document.as_bytes()).unwrap_err();
        format!("{} {}", problem.code, problem.message)
    }

    #[test]
    fn a_document_that_is_not_a_catalogue_is_refused() {
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
                "22000 the document is an error response: No auth (401)",
            ),
            (
                r#"{"success":false,"error":{"name":"ZodError","message":"[\n1]"}}"#,
                "22000 the document is an error response: [ 1] (ZodError)",
            ),
        ] {
            assert_eq!(refused(document), expected, "{document}");
        }
        assert_eq!(refused("\u{feff}"), "22032 the document is empty");
        assert_eq!(refused("\u{feff}<html>"), "22032 the document is a web page, not JSON");
        let invalid = parse(b"{\"data\":\"\xff\"}").unwrap_err();
        assert_eq!(invalid.message, "the document is not valid UTF-8 after byte 9");
    }

    #[test]
    fn the_size_of_a_document_is_limited() {
        let many = format!("[{}0]", "0,".repeat(MAX_ENTRIES));
        assert!(refused(&many).starts_with("54000 the document has more than 10000 entries"));
        let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(
            refused(&format!("{open}{close}")),
            "02000 none of the 1 entries in the document can be used"
        );
        let beside = format!(r#"{{"x":{open}{close},"data":[{{"id":"a/b","name":"x"}}]}}"#);
        assert_eq!(parse(beside.as_bytes()).unwrap().models.len(), 1);
    }

    #[test]
    fn an_unusable_entry_does_not_affect_others() {
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

    #[test]
    fn a_byte_order_mark_is_skipped() {
        for document in [r#"[{"id":"a/b","name":"x"}]"#, "\n{\"data\":[{\"id\":\"a/b\",\"name\":\"x\"}]}"] {
            for mark in ["\u{feff}", "\u{feff}\u{feff}"] {
                let catalogue = parse(format!("{mark}{document}").as_bytes()).unwrap();
                assert_eq!(catalogue.models[0].model_id, "a/b");
            }
        }
    }

    #[test]
    fn the_error_names_another_encoding() {
        let json = "{\"data\":[]}";
        let mark_and_json = format!("\u{feff}{json}");
        for text in [json, &mark_and_json] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for document in [little, big] {
                let problem = parse(&document).unwrap_err();
                assert_eq!((problem.code, &*problem.message), ("22032", "the document is UTF-16, not UTF-8"));
                assert!(problem.hint.is_some());
            }
            let little: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
            let big: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
            for document in [little, big] {
                assert_eq!(parse(&document).unwrap_err().message, "the document is UTF-32, not UTF-8");
            }
        }
    }

    #[test]
    fn the_envelope_is_parsed_in_every_usual_form() {
        let read = |beside: &str| {
            let catalogue = parse(format!(r#"{{"data":[{{"id":"a/b","name":"x"}}],{beside}}}"#).as_bytes());
            catalogue.map(|catalogue| (catalogue.total_count, catalogue.next)).unwrap()
        };
        for (count, expected) in [
            ("421", Some(421)),
            ("421.0", Some(421)),
            ("\"421\"", Some(421)),
            ("\" 421 \"", Some(421)),
            ("4.21e2", Some(421)),
            ("\"many\"", None),
            ("421.5", None),
            ("-1", None),
            ("1e999999999", None),
            ("null", None),
            ("[421]", None),
        ] {
            assert_eq!(read(&format!("\"total_count\":{count}")).0, expected, "{count}");
        }
        let more = Some("the next page (has_more)");
        for (beside, expected) in [
            (r#""links":{"next":"/more"}"#, Some("/more")),
            (r#""links":{"next":7}"#, Some("7")),
            (r#""links":{"next":true}"#, Some("true")),
            (r#""links":{"next":""}"#, None),
            (r#""links":{"next":" "}"#, None),
            (r#""links":{"next":false}"#, None),
            (r#""links":{"next":null}"#, None),
            (r#""links":{}"#, None),
            (r#""links":[]"#, None),
            (r#""links":null"#, None),
            (r#""has_more":true"#, more),
            (r#""has_more":"true""#, more),
            (r#""has_more":true,"links":{"next":""}"#, more),
            (r#""has_more":true,"links":{"next":"/more"}"#, Some("/more")),
            (r#""has_more":false,"links":{"next":"/more"}"#, Some("/more")),
            (r#""has_more":false"#, None),
            (r#""has_more":"false""#, None),
            (r#""has_more":null"#, None),
        ] {
            assert_eq!(read(beside).1.as_deref(), expected, "{beside}");
        }
    }
}
