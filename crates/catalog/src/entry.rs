//! One entry of a catalogue, read into the columns that the sync owns.

use crate::price::{self, Prices};
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// Longest model id, in bytes: it is a primary key. The longest on record has 61.
pub const MAX_ID_BYTES: usize = 256;
/// Longest name, in bytes. The longest on record has 58 characters.
pub const MAX_NAME_BYTES: usize = 1024;
/// Largest entry, in bytes of JSON. The largest on record has some 8 kB.
pub const MAX_ENTRY_BYTES: usize = 64 * 1024;
/// Most values within an entry. The most on record is some 150.
pub const MAX_VALUES: usize = 5_000;
/// Deepest nesting within an entry. The deepest on record is 4.
pub const MAX_DEPTH: usize = 32;
/// Longest JSON number, in characters; and the largest power of ten: jsonb holds numbers as numeric.
const MAX_NUMBER_CHARS: usize = 64;
const MAX_NUMBER_EXPONENT: u32 = 300;
/// Keys that change daily and say nothing about the model; neither kept nor compared.
const VOLATILE: [&str; 1] = ["benchmarks"];
/// Part of every fingerprint. Raise it when [`Columns`] are derived in another way, so that the next
/// sync refreshes every row.
const READING: &str = "2";

/// A usable entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// The upstream `id`, exact.
    pub model_id: String,
    /// Everything else.
    #[serde(flatten)]
    pub columns: Columns,
}

/// The upstream columns of `model_access`, named as there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // the SQL COMMENTs say what each column means
pub struct Columns {
    pub canonical_slug: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub provider: Option<String>,
    /// `None` in a change that leaves the price as it was last read.
    #[serde(flatten)]
    pub price: Option<Price>,
    pub context_length: Option<i32>,
    pub max_completion_tokens: Option<i32>,
    pub input_modalities: Option<Vec<String>>,
    pub output_modalities: Option<Vec<String>>,
    pub supported_parameters: Option<Vec<String>>,
    pub expires_on: Option<Date>,
    pub alias_of: Option<String>,
    pub upstream: Value,
    pub fingerprint: String,
}

/// The columns of `model_access` that say what a model costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // the SQL COMMENTs say what each column means
pub struct Price {
    pub pricing: Option<Value>,
    pub prompt_usd_per_million: Option<String>,
    pub completion_usd_per_million: Option<String>,
    pub is_free_of_charge: bool,
    pub highest_prices: Option<Prices>,
    pub highest_usd_per_million: Option<String>,
    pub charges_per_use: Option<bool>,
}

impl Price {
    fn of(pricing: Option<&Value>) -> Self {
        let pricing = pricing.filter(|pricing| pricing.is_object());
        let usd_per_million = |key: &str| pricing?.get(key).and_then(price::parse).as_ref().map(price::per_million);
        let highest = pricing.and_then(Prices::read);
        Self {
            prompt_usd_per_million: usd_per_million("prompt"),
            completion_usd_per_million: usd_per_million("completion"),
            is_free_of_charge: highest.as_ref().is_some_and(Prices::are_free),
            highest_usd_per_million: highest.as_ref().and_then(Prices::per_million_tokens),
            charges_per_use: highest.as_ref().map(Prices::charge_per_use),
            highest_prices: highest,
            pricing: pricing.cloned(),
        }
    }
}

/// Reads one entry, or says why it cannot be used.
pub fn read(raw: &RawValue) -> Result<Model, String> {
    let text = raw.get();
    if text.len() > MAX_ENTRY_BYTES {
        return Err(format!("the entry has {} bytes, more than {MAX_ENTRY_BYTES}", text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(mut upstream) = value else { return Err("the entry is not a JSON object".into()) };
    VOLATILE.iter().for_each(|key| drop(upstream.remove(*key)));
    check_keys(&upstream)?;
    let mut values = 0;
    upstream.values().try_for_each(|value| check(value, 1, &mut values))?;

    let model_id = id(upstream.get("id"))?;
    let Some(Value::String(name)) = upstream.get("name") else { return Err("name is not a string".into()) };
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("name has {} bytes, more than {MAX_NAME_BYTES}", name.len()));
    }
    let columns = columns(&model_id, name.clone(), upstream);
    Ok(Model { model_id, columns })
}

/// The id of an entry that cannot be used for another reason, if it has a usable one.
#[must_use]
pub fn read_id(raw: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Identity<'a> {
        // a slice of the entry: no other value is read, however deep or broken it is
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let identity: Identity = serde_json::from_str(raw.get()).ok()?;
    id(serde_json::from_str(identity.id.get()).ok().as_ref()).ok()
}

fn id(value: Option<&Value>) -> Result<String, String> {
    match value {
        None => Err("id is missing".into()),
        Some(Value::String(id)) if id.is_empty() => Err("id is empty".into()),
        Some(Value::String(id)) if id.len() > MAX_ID_BYTES => {
            Err(format!("id has {} bytes, more than {MAX_ID_BYTES}", id.len()))
        }
        Some(Value::String(id)) if id.chars().any(char::is_control) => {
            Err("id holds a control character".into())
        }
        Some(Value::String(id)) => Ok(id.clone()),
        Some(_) => Err("id is not a string".into()),
    }
}

/// Refuses what jsonb cannot hold, wherever it stands in the entry, and what no model needs.
fn check(value: &Value, depth: usize, values: &mut usize) -> Result<(), String> {
    *values += 1;
    if *values > MAX_VALUES {
        return Err(format!("the entry holds more than {MAX_VALUES} values"));
    }
    if depth > MAX_DEPTH {
        return Err(format!("the entry is nested deeper than {MAX_DEPTH}"));
    }
    match value {
        Value::String(text) if text.contains('\0') => Err("a string holds a NUL character".into()),
        Value::Number(number) => check_number(number),
        Value::Array(list) => list.iter().try_for_each(|value| check(value, depth + 1, values)),
        Value::Object(map) => {
            check_keys(map)?;
            map.values().try_for_each(|value| check(value, depth + 1, values))
        }
        _ => Ok(()),
    }
}

fn check_keys(map: &Map<String, Value>) -> Result<(), String> {
    match map.keys().any(|key| key.contains('\0')) {
        true => Err("a key holds a NUL character".into()),
        false => Ok(()),
    }
}

fn check_number(number: &Number) -> Result<(), String> {
    let text = number.as_str();
    let exponent = text.split_once(['e', 'E']).map(|(_, e)| e.trim_start_matches(['+', '-']).parse::<u32>());
    match exponent {
        Some(Err(_)) => Err("a number is out of range".into()),
        Some(Ok(exponent)) if exponent > MAX_NUMBER_EXPONENT => Err("a number is out of range".into()),
        _ if text.len() > MAX_NUMBER_CHARS => Err("a number is too long".into()),
        _ => Ok(()),
    }
}

fn columns(model_id: &str, name: String, upstream: Map<String, Value>) -> Columns {
    let text = |key: &str| upstream.get(key).and_then(Value::as_str).map(str::to_owned);
    let architecture = upstream.get("architecture");
    let top_provider = upstream.get("top_provider");
    Columns {
        canonical_slug: text("canonical_slug"),
        name,
        description: text("description"),
        provider: provider(model_id),
        price: Some(Price::of(upstream.get("pricing"))),
        context_length: integer(upstream.get("context_length")),
        max_completion_tokens: integer(top_provider.and_then(|top| top.get("max_completion_tokens"))),
        input_modalities: modalities(architecture, "input_modalities", Side::Input),
        output_modalities: modalities(architecture, "output_modalities", Side::Output),
        supported_parameters: strings(upstream.get("supported_parameters")),
        expires_on: text("expiration_date")
            .and_then(|date| date.parse().ok())
            // years before 1 are written in a way that PostgreSQL does not read
            .filter(|date: &Date| date.year() > 0),
        alias_of: upstream.get("alias_target").and_then(|target| target.get("slug")).and_then(Value::as_str).map(str::to_owned),
        fingerprint: fingerprint(&upstream),
        upstream: Value::Object(upstream),
    }
}

/// The author part of the id, without the `~` of an alias; `None` where the id names no author.
fn provider(model_id: &str) -> Option<String> {
    let (author, _) = model_id.split_once('/')?;
    let author = author.strip_prefix('~').unwrap_or(author);
    (!author.is_empty()).then(|| author.to_owned())
}

fn integer(value: Option<&Value>) -> Option<i32> {
    value?.as_i64().and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0)
}

fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    value?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

/// A list of modalities; before 2025 it stood only in `modality`, as in `text+image->text`.
fn modalities(architecture: Option<&Value>, key: &str, side: Side) -> Option<Vec<String>> {
    let architecture = architecture?;
    if let Some(list) = strings(architecture.get(key)) {
        return Some(list);
    }
    let (input, output) = architecture.get("modality")?.as_str()?.split_once("->")?;
    let list = match side {
        Side::Input => input,
        Side::Output => output,
    };
    Some(list.split('+').map(str::to_owned).collect())
}

/// SHA-256 over the entry with its keys sorted: list order, key order and white space do not count.
fn fingerprint(upstream: &Map<String, Value>) -> String {
    // serde_json keeps a Map sorted by key unless a crate turns on its feature preserve_order;
    // a test here fails if one does.
    let mut hash = Sha256::new_with_prefix(READING);
    for (key, value) in upstream {
        hash.update(key);
        hash.update([0]);
        hash.update(value.to_string());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> Result<Model, String> {
        read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_fingerprint_does_not_see_key_order_or_benchmarks() {
        let one = entry(r#"{"id":"a/b","name":"x","pricing":{"prompt":"0","image":"1"},"benchmarks":1}"#);
        let two =
            entry(r#"{"pricing":{"image":"1", "prompt":"0"},"benchmarks":{"rank":2},"name":"x","id":"a/b"}"#);
        assert_eq!(one, two);
        let three = entry(r#"{"id":"a/b","name":"x","pricing":{"prompt":"0","image":"1.0"}}"#);
        assert_ne!(one.unwrap().columns.fingerprint, three.unwrap().columns.fingerprint);
    }

    #[test]
    fn the_provider_is_who_made_the_model() {
        assert_eq!(provider("openai/gpt-5:batch").as_deref(), Some("openai"));
        assert_eq!(provider("~anthropic/claude-opus-latest").as_deref(), Some("anthropic"));
        assert_eq!(provider("auto"), None);
        assert_eq!(provider("~/x"), None);
    }

    #[test]
    fn what_is_out_of_range_is_unknown() {
        let model = entry(
            r#"{"id":"a/b","name":"x","context_length":2147483648,"expiration_date":"2026-02-30",
                "top_provider":{"max_completion_tokens":-5},"supported_parameters":["a",1],"pricing":"cheap"}"#,
        );
        let columns = model.unwrap().columns;
        assert_eq!((columns.context_length, columns.max_completion_tokens), (None, None));
        assert_eq!((columns.expires_on, columns.supported_parameters), (None, None));
        assert_eq!(columns.price, Some(Price::of(None)));
        assert_eq!(columns.upstream["context_length"].to_string(), "2147483648");
    }

    #[test]
    fn unusable_entries_say_why_and_still_have_an_id() {
        let deep = format!(r#"{{"id":"a/b","name":"x","x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        let deeper = format!(r#"{{"id":"a/b","name":"x","x":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
        let wide = format!(r#"{{"id":"a/b","name":"x","x":[{}0]}}"#, "0,".repeat(MAX_VALUES));
        let long = format!(r#"{{"id":"a/b","name":"{}"}}"#, "x".repeat(1025));
        let large = format!(r#"{{"id":"a/b","name":"x","x":"{}"}}"#, "x".repeat(MAX_ENTRY_BYTES));
        for (json, reason) in [
            (r#"{"id":"a/b","name":"x\u0000"}"#, "a string holds a NUL character"),
            (r#"{"id":"a/b","name":"x","k":{"\u0000":1}}"#, "a key holds a NUL character"),
            (r#"{"id":"a/b","name":"\ud800"}"#, "unexpected end of hex escape at line 1 column 27"),
            (r#"{"id":"a/b","name":null}"#, "name is not a string"),
            (r#"{"id":"a/b"}"#, "name is not a string"),
            (r#"{"id":"a/b","name":"x","n":1e301}"#, "a number is out of range"),
            (r#"{"id":"a/b","name":"x","n":1e-99999999999}"#, "a number is out of range"),
            (&deep, "the entry is nested deeper than 32"),
            (&deeper, "recursion limit exceeded at line 1 column 154"),
            (&long, "name has 1025 bytes, more than 1024"),
            (&wide, "the entry holds more than 5000 values"),
            (&large, "the entry has 65566 bytes, more than 65536"),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(read(raw), Err(reason.to_owned()));
            assert_eq!(read_id(raw).as_deref(), Some("a/b"));
        }
    }

    #[test]
    fn an_id_is_a_short_string_without_control_characters() {
        let long = format!(r#"{{"id":"{}","name":"x"}}"#, "x".repeat(257));
        for (json, reason) in [
            (r#"{"name":"x"}"#, "id is missing"),
            (r#"{"id":7,"name":"x"}"#, "id is not a string"),
            (r#"{"id":"","name":"x"}"#, "id is empty"),
            (r#"{"id":"a\u000ab","name":"x"}"#, "id holds a control character"),
            (r#"{"id":"a\u0000b","name":"x"}"#, "a string holds a NUL character"),
            (&long, "id has 257 bytes, more than 256"),
            ("[]", "the entry is not a JSON object"),
            ("null", "the entry is not a JSON object"),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(read(raw), Err(reason.to_owned()));
            assert_eq!(read_id(raw), None);
        }
        let quoted = entry(r#"{"id":"a'b\"c/\\$tag$é😀","name":"'; DROP TABLE"}"#).unwrap();
        assert_eq!(quoted.model_id, "a'b\"c/\\$tag$é😀");
    }
}
