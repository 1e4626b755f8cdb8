//! Parses one entry of a catalogue into the columns that the sync owns.

use crate::price::{self, Prices};
use crate::scan::Member;
use crate::shape::Shape;
use bigdecimal::{BigDecimal, ToPrimitive};
use jiff::civil::Date;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// The longest model id, in bytes; it is a primary key. The longest recorded one has 61.
pub const MAX_ID_BYTES: usize = 256;
/// The longest name, in bytes. The longest recorded one has 58 characters.
pub const MAX_NAME_BYTES: usize = 1024;
/// The default maximum size of an entry, in bytes of JSON. The largest recorded one has about 8 kB.
pub const MAX_ENTRY_BYTES: usize = 64 * 1024;
/// The default maximum number of JSON values in an entry. The recorded maximum is about 150.
pub const MAX_VALUES: usize = 5_000;
/// The maximum nesting depth of an entry. The recorded maximum is 4.
pub const MAX_DEPTH: usize = 32;
/// The longest `modality`, in bytes. The longest recorded one has about 30.
const MAX_MODALITY_BYTES: usize = 256;
/// The longest JSON number, in characters. jsonb stores numbers as numeric, so a huge one would fill the memory.
const MAX_NUMBER_CHARS: usize = 64;
/// The largest power of ten in a JSON number, positive or negative.
const MAX_NUMBER_EXPONENT: u32 = 300;
/// A part of every fingerprint and entry hash. Increase it when [`Columns`] are derived from an entry in another way:
/// then the next sync refreshes every row.
const FINGERPRINT_VERSION: &str = "2";

/// How entries are parsed.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Top-level keys that are neither stored, nor compared, nor counted. Upstream fills them with measurements.
    pub ignored_keys: Vec<String>,
    /// The limits of an entry.
    pub limits: Limits,
    /// The entry hashes of the stored rows by id. An entry that has the hash of its row is not read.
    pub stored: HashMap<String, String>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { ignored_keys: vec!["benchmarks".into()], limits: Limits::default(), stored: HashMap::new() }
    }
}

/// The limits of an entry without its ignored keys.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum size, in bytes of JSON.
    pub max_bytes: usize,
    /// The maximum number of JSON values, at any depth.
    pub max_values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: MAX_ENTRY_BYTES, max_values: MAX_VALUES }
    }
}

/// A usable entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// The upstream `id`, unchanged.
    pub model_id: String,
    /// Its other columns.
    #[serde(flatten)]
    pub columns: Columns,
    /// The number of JSON values in the entry.
    #[serde(skip)]
    pub values: usize,
}

/// The upstream columns of the table `model_access`; the fields have the names of the columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // the SQL COMMENTs say what each column means
pub struct Columns {
    pub canonical_slug: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub provider: Option<String>,
    /// `None` in a change that keeps the stored price.
    #[serde(flatten)]
    pub price: Option<Price>,
    pub context_length: Option<i32>,
    pub max_completion_tokens: Option<i32>,
    pub input_modalities: Option<Vec<String>>,
    pub output_modalities: Option<Vec<String>>,
    pub supported_parameters: Option<Vec<String>>,
    pub expires_on: Option<Date>,
    pub alias_of: Option<String>,
    pub upstream: Option<Json>,
    pub fingerprint: String,
    pub entry_hash: String,
}

impl Columns {
    /// The size of the columns that can be large, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let price = self.price.as_ref();
        let json = [self.upstream.as_ref(), price.and_then(|price| price.highest_prices.as_ref())];
        let texts = [&self.canonical_slug, &self.description, &self.provider, &self.alias_of];
        let lists = [&self.input_modalities, &self.output_modalities, &self.supported_parameters];
        let json = json.into_iter().flatten().map(|json| json.text().len());
        let texts = texts.into_iter().flatten().map(String::len);
        let lists = lists.into_iter().flatten().flatten().map(|item| item.len() + size_of::<String>());
        json.chain(texts).chain(lists).sum()
    }
}

/// The price columns of the table `model_access`; the fields have the names of the columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // the SQL COMMENTs say what each column means
pub struct Price {
    pub pricing: Option<Json>,
    pub prompt_usd_per_million: Option<String>,
    pub completion_usd_per_million: Option<String>,
    pub is_free_of_charge: bool,
    pub highest_prices: Option<Json>,
    pub highest_usd_per_million: Option<String>,
    pub charges_per_use: Option<bool>,
}

/// A value as JSON text, which takes a fraction of the memory of the parsed value.
#[derive(Debug, Clone, Serialize)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON text. Objects have sorted keys.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    fn of(value: &impl Serialize) -> Option<Self> {
        serde_json::value::to_raw_value(value).ok().map(Self)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Price {
    fn of(pricing: Option<&Value>) -> Self {
        let pricing = pricing.filter(|pricing| pricing.is_object());
        let usd_per_million =
            |key: &str| pricing?.get(key).and_then(price::parse).as_ref().map(price::per_million);
        let highest = pricing.and_then(Prices::read);
        Self {
            prompt_usd_per_million: usd_per_million("prompt"),
            completion_usd_per_million: usd_per_million("completion"),
            is_free_of_charge: highest.as_ref().is_some_and(Prices::all_zero),
            highest_usd_per_million: highest.as_ref().and_then(Prices::per_million_tokens),
            charges_per_use: highest.as_ref().map(Prices::any_per_use),
            highest_prices: highest.as_ref().and_then(Json::of),
            pricing: pricing.and_then(Json::of),
        }
    }

    /// The highest price of each component; `None` if the price cannot be read.
    #[must_use]
    pub fn highest(&self) -> Option<Prices> {
        serde_json::from_str(self.highest_prices.as_ref()?.text()).ok()
    }
}

/// The id of an entry that has not changed since it was stored, found without reading its values. `None` if it must be read.
///
/// If the hash is equal, the keys and values are equal too. So they are valid JSON within the limits that do not change, and
/// reading would give what is stored. If the hash differs, the entry is read, and the fingerprint decides whether it has
/// changed. `length` is the length of the entry, in bytes.
#[must_use]
pub fn stored_id(length: usize, members: &mut Vec<Member>, options: &ReadOptions) -> Option<String> {
    // a key with an escape stands for another one; a control character is not valid in a key
    let is_plain = |key: &str| key.bytes().all(|byte| byte >= b' ' && byte != b'\\');
    members.sort_unstable_by_key(|(key, _)| *key);
    let is_usual = |pair: &[Member]| matches!(pair, [(key, _), (next, _)] if key != next && is_plain(key));
    if !members.windows(2).all(is_usual) || !members.last().is_some_and(|(key, _)| is_plain(key)) {
        return None;
    }
    let (mut bytes, mut is_valid) = (length, true);
    members.retain(|(key, value)| {
        let is_ignored = options.ignored_keys.iter().any(|ignored| ignored == key);
        if is_ignored {
            bytes -= value.len();
            // the hash does not cover ignored keys, so it does not show that they are valid JSON
            is_valid &= serde_json::from_str::<IgnoredAny>(value).is_ok();
        }
        !is_ignored
    });
    if !is_valid {
        return None;
    }
    // the limits may have changed since it was stored; an entry has at most one value for each two bytes
    if bytes > options.limits.max_bytes || bytes / 2 >= options.limits.max_values {
        return None;
    }
    let (_, id) = members.iter().find(|(key, _)| *key == "id")?;
    let id: String = serde_json::from_str(id).ok()?;
    (*options.stored.get(&id)? == hash(bytes, members.iter().copied())).then_some(id)
}

/// Parses one entry.
///
/// # Errors
/// Why the entry cannot be used.
pub fn read(raw: &RawValue, options: &ReadOptions) -> Result<Model, String> {
    Slices::of(raw.get(), options)?.read()
}

/// The top-level values of an entry as slices of the document, without the ignored keys, which may contain anything.
struct Slices<'a> {
    parts: BTreeMap<Key<'a>, &'a RawValue>,
    /// The number of JSON values in the parts.
    values: usize,
    /// SHA-256 of the sorted keys and the bytes of their values.
    hash: String,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl Borrow<str> for Key<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> Slices<'a> {
    /// The slices of an entry that is within the limits.
    fn of(text: &'a str, options: &ReadOptions) -> Result<Self, String> {
        if !text.starts_with('{') {
            return Err("the entry is not a JSON object".into());
        }
        let Limits { max_bytes, max_values } = options.limits;
        let too_many = || format!("the entry has more than {max_values} values (max_entry_values)");
        let max_keys = max_values.saturating_add(options.ignored_keys.len());
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let mut parts =
            BoundedParts(max_keys).deserialize(&mut deserializer).map_err(|error| error.to_string())?;
        if parts.len() > max_keys {
            return Err(too_many());
        }
        let ignored = options.ignored_keys.iter().filter_map(|key| parts.remove(key.as_str()));
        let ignored: usize = ignored.map(|raw| raw.get().len()).sum();
        let bytes = text.len() - ignored;
        if bytes > max_bytes {
            return Err(format!("the entry has {bytes} bytes, more than {max_bytes} (max_entry)"));
        }
        let mut values = 0;
        for raw in parts.values() {
            let shape = Shape::of(raw.get());
            if shape.depth > MAX_DEPTH {
                return Err(format!("the entry is nested deeper than {MAX_DEPTH}"));
            }
            values += shape.values;
            if values > max_values {
                return Err(too_many());
            }
        }
        let hash = hash(bytes, parts.iter().map(|(key, raw)| (&*key.0, raw.get())));
        Ok(Self { parts, values, hash })
    }

    fn read(self) -> Result<Model, String> {
        let read = |(key, raw): (Key, &RawValue)| match serde_json::from_str(raw.get()) {
            Ok(value) => Ok((key.0.into_owned(), value)),
            Err(error) => Err(format!("{}: {error}", key.0)),
        };
        let upstream: Map<String, Value> = self.parts.into_iter().map(read).collect::<Result<_, _>>()?;
        check_keys(&upstream)?;
        upstream.values().try_for_each(check)?;

        let model_id = parse_id(upstream.get("id"))?;
        let Some(Value::String(name)) = upstream.get("name") else {
            return Err("name is not a string".into());
        };
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("name has {} bytes, more than {MAX_NAME_BYTES}", name.len()));
        }
        let columns = columns(&model_id, name.clone(), &upstream, self.hash);
        Ok(Model { model_id, columns, values: self.values })
    }
}

/// SHA-256 of sorted keys and the bytes of their values, which are those of an entry of this length.
fn hash<'a>(length: usize, members: impl Iterator<Item = Member<'a>>) -> String {
    let mut input = Vec::with_capacity(2 * length);
    input.extend(FINGERPRINT_VERSION.as_bytes());
    for text in members.flat_map(|(key, value)| [key, value]) {
        // the lengths show where each text ends, so different entries give different input
        input.extend((text.len() as u64).to_le_bytes());
        input.extend(text.as_bytes());
    }
    hex(&Sha256::digest(&input))
}

/// Reads the parts of an entry, and stops when there are more than this many.
struct BoundedParts(usize);

impl<'de> DeserializeSeed<'de> for BoundedParts {
    type Value = BTreeMap<Key<'de>, &'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BoundedParts {
    type Value = BTreeMap<Key<'de>, &'de RawValue>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an entry")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = BTreeMap::new();
        while let Some((key, raw)) = map.next_entry()? {
            // once it is full, the rest is only scanned
            if parts.len() <= self.0 {
                parts.insert(key, raw);
            }
        }
        Ok(parts)
    }
}

/// The id of an entry that cannot be used for another reason; `None` if the id cannot be used either.
#[must_use]
pub fn read_id(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Identity<'a> {
        // a slice of the entry: its other values may be nested too deeply or be invalid
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let identity: Identity = serde_json::from_str(raw.get()).ok()?;
    // only a string is parsed, because another value could be large
    let id: String = serde_json::from_str(identity.id.get()).ok()?;
    parse_id(Some(&Value::String(id))).ok()
}

fn parse_id(value: Option<&Value>) -> Result<String, String> {
    match value {
        None => Err("id is missing".into()),
        Some(Value::String(id)) if id.is_empty() => Err("id is empty".into()),
        Some(Value::String(id)) if id.len() > MAX_ID_BYTES => {
            Err(format!("id has {} bytes, more than {MAX_ID_BYTES}", id.len()))
        }
        Some(Value::String(id)) if id.chars().any(char::is_control) => {
            Err("id contains a control character".into())
        }
        Some(Value::String(id)) => Ok(id.clone()),
        Some(_) => Err("id is not a string".into()),
    }
}

/// Rejects values that jsonb cannot store.
fn check(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains('\0') => Err("a string contains a NUL character".into()),
        Value::Number(number) => check_number(number),
        Value::Array(list) => list.iter().try_for_each(check),
        Value::Object(map) => {
            check_keys(map)?;
            map.values().try_for_each(check)
        }
        _ => Ok(()),
    }
}

fn check_keys(map: &Map<String, Value>) -> Result<(), String> {
    match map.keys().any(|key| key.contains('\0')) {
        true => Err("a key contains a NUL character".into()),
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

fn columns(model_id: &str, name: String, upstream: &Map<String, Value>, entry_hash: String) -> Columns {
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
        expires_on: upstream.get("expiration_date").and_then(Value::as_str).and_then(parse_date),
        alias_of: upstream
            .get("alias_target")
            .and_then(|target| target.get("slug"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        fingerprint: fingerprint(upstream),
        upstream: Json::of(upstream),
        entry_hash,
    }
}

/// The part of the id before `/`, without the `~` of an alias; `None` if there is no such part.
fn provider(model_id: &str) -> Option<String> {
    let (author, _) = model_id.split_once('/')?;
    let author = author.strip_prefix('~').unwrap_or(author);
    (!author.is_empty()).then(|| author.to_owned())
}

fn integer(value: Option<&Value>) -> Option<i32> {
    i32::try_from(whole_number(value?)?).ok()
}

/// A whole number that is not negative, in any notation: `131072`, `131072.0`, `1.31072e5`, `"131072"`.
pub(crate) fn whole_number(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => serde_json::from_str(text.trim()).ok()?,
        _ => return None,
    };
    // a large exponent could make a number that fills the memory
    check_number(&number).ok()?;
    let number: BigDecimal = number.as_str().parse().ok()?;
    number.is_integer().then(|| number.to_u64()).flatten()
}

/// The date of a text that is a date or a time. The date of a time is used as written, without regard to its zone.
fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim();
    // jiff does not accept a Z in a civil date
    let date: Date = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse().ok()?;
    // jiff writes years before 1 in a form that PostgreSQL does not accept
    (date.year() > 0).then_some(date)
}

/// The strings of a list without its nulls; `None` if the list contains anything else.
fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    let items = value?.as_array()?.iter().filter(|item| !item.is_null());
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

/// The input or output modalities. Catalogues before 2025 have only `modality`, such as `text+image->text`.
fn modalities(architecture: Option<&Value>, key: &str, side: Side) -> Option<Vec<String>> {
    let architecture = architecture?;
    if let Some(list) = strings(architecture.get(key)) {
        return Some(list);
    }
    let modality = architecture.get("modality")?.as_str().filter(|text| text.len() <= MAX_MODALITY_BYTES)?;
    let (input, output) = modality.split_once("->")?;
    let list = match side {
        Side::Input => input,
        Side::Output => output,
    };
    Some(list.split('+').map(str::to_owned).collect())
}

/// SHA-256 of the entry with sorted keys: key order and white space do not change it.
fn fingerprint(upstream: &Map<String, Value>) -> String {
    // serde_json sorts a Map by key unless some crate enables its feature preserve_order; then a test here fails
    let mut hash = Sha256::new_with_prefix(FINGERPRINT_VERSION);
    for (key, value) in upstream {
        hash.update(key);
        hash.update([0]);
        hash.update(value.to_string());
        hash.update([0]);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> Result<Model, String> {
        read(serde_json::from_str(json).unwrap(), &ReadOptions::default())
    }

    fn upstream(model: &Model) -> Value {
        serde_json::from_str(model.columns.upstream.as_ref().unwrap().text()).unwrap()
    }

    #[test]
    fn key_order_and_ignored_keys_do_not_change_the_fingerprint() {
        let one =
            entry(r#"{"id":"a/b","name":"x","pricing":{"prompt":"0","image":"1"},"benchmarks":1}"#).unwrap();
        let mut two =
            entry(r#"{"pricing":{"image":"1", "prompt":"0"},"benchmarks":{"rank":2},"name":"x","id":"a/b"}"#)
                .unwrap();
        // only the bytes differ
        let hash = std::mem::replace(&mut two.columns.entry_hash, one.columns.entry_hash.clone());
        assert_ne!(one.columns.entry_hash, hash);
        assert_eq!(one, two);
        let three = entry(r#"{"id":"a/b","name":"x","pricing":{"prompt":"0","image":"1.0"}}"#);
        assert_ne!(one.columns.fingerprint, three.unwrap().columns.fingerprint);
    }

    fn ignoring(json: &str, keys: &[&str]) -> Result<Model, String> {
        let ignored_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let limits = Limits { max_bytes: 100, max_values: 5 };
        read(
            serde_json::from_str(json).unwrap(),
            &ReadOptions { ignored_keys, limits, ..ReadOptions::default() },
        )
    }

    #[test]
    fn ignored_keys_are_neither_stored_nor_compared_nor_counted() {
        let json = r#"{"id":"a/b","name":"x","endpoints":[{"uptime":99.5}],"benchmarks":{"endpoints":1}}"#;
        let plain = ignoring(r#"{"id":"a/b","name":"x"}"#, &[]).unwrap();
        assert_eq!(ignoring(json, &["benchmarks", "endpoints", "no_such_key"]), Ok(plain.clone()));
        // a key that is no longer ignored is stored and changes the fingerprint
        let kept = ignoring(json, &["endpoints"]).unwrap();
        assert_eq!(upstream(&kept)["benchmarks"]["endpoints"], Value::from(1));
        assert_ne!(kept.columns.fingerprint, plain.columns.fingerprint);
        // an ignored key may contain more than the limits allow, and values that jsonb cannot store
        for large in
            [format!("[{}0]", "0,".repeat(100)), "[".repeat(200) + &"]".repeat(200), r#""\u0000""#.into()]
        {
            let json = format!(r#"{{"id":"a/b","name":"x","endpoints":{large}}}"#);
            assert_eq!(ignoring(&json, &["endpoints"]).unwrap(), plain);
            assert!(ignoring(&json, &[]).is_err(), "{json}");
        }
    }

    #[test]
    fn the_limits_of_an_entry_are_settings() {
        let of = |list: &str| ignoring(&format!(r#"{{"id":"a/b","name":"x","list":{list}}}"#), &[]).err();
        assert_eq!(of("[1,2]"), None);
        assert_eq!(of("[1,2,3]").unwrap(), "the entry has more than 5 values (max_entry_values)");
        let long = format!("\"{}\"", "x".repeat(67));
        assert_eq!(of(&long), None);
        let longer = format!("\"{}\"", "x".repeat(68));
        assert_eq!(of(&longer).unwrap(), "the entry has 101 bytes, more than 100 (max_entry)");
    }

    #[test]
    fn the_provider_is_the_author_of_the_model() {
        assert_eq!(provider("openai/gpt-5:batch").as_deref(), Some("openai"));
        assert_eq!(provider("~anthropic/claude-opus-latest").as_deref(), Some("anthropic"));
        assert_eq!(provider("auto"), None);
        assert_eq!(provider("~/x"), None);
    }

    #[test]
    fn a_value_out_of_range_is_unknown() {
        let model = entry(
            r#"{"id":"a/b","name":"x","context_length":2147483648,"expiration_date":"2026-02-30",
                "top_provider":{"max_completion_tokens":-5},"supported_parameters":["a",1],"pricing":"cheap"}"#,
        );
        let columns = model.unwrap().columns;
        assert_eq!((columns.context_length, columns.max_completion_tokens), (None, None));
        assert_eq!((columns.expires_on, columns.supported_parameters), (None, None));
        assert_eq!(columns.price, Some(Price::of(None)));
        assert!(columns.upstream.unwrap().text().contains(r#""context_length":2147483648,"#));
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_float() {
        for (json, expected) in [
            ("131072", Some(131_072)),
            ("131072.0", Some(131_072)),
            ("131072.000", Some(131_072)),
            ("1.31072e5", Some(131_072)),
            ("1.31072E+5", Some(131_072)),
            ("1310720e-1", Some(131_072)),
            ("\"131072\"", Some(131_072)),
            ("\" 131072.0 \"", Some(131_072)),
            ("0.0", Some(0)),
            ("-0.0", Some(0)),
            ("2147483647.0", Some(i32::MAX)),
            ("2147483648.0", None),
            ("1e300", None),
            ("131072.5", None),
            ("1e-300", None),
            ("-1.0", None),
            ("\"many\"", None),
            ("\"\"", None),
            ("null", None),
            ("true", None),
            ("[131072]", None),
        ] {
            let json = format!(
                r#"{{"id":"a/b","name":"x","context_length":{json},"top_provider":{{"max_completion_tokens":{json}}}}}"#
            );
            let columns = entry(&json).unwrap().columns;
            assert_eq!(
                (columns.context_length, columns.max_completion_tokens),
                (expected, expected),
                "{json}"
            );
        }
        assert_eq!(whole_number(&Value::from("1e999999999")), None);
    }

    #[test]
    fn the_date_of_a_time_is_used_as_written() {
        for text in [
            "2026-12-06",
            "2026-12-06T00:00:00Z",
            "2026-12-06T00:00:00z",
            "2026-12-06T00:00:00.000Z",
            "2026-12-06T00:00:00.123456789Z",
            "2026-12-06T00:00Z",
            "2026-12-06 00:00:00Z",
            "2026-12-06T00:00:00",
            "2026-12-06 00:00:00",
            "2026-12-06T00:00:00+00:00",
            "2026-12-06T00:00:00+14:00",
            "2026-12-06T23:59:59-08:00",
            "2026-12-06T23:59:59.999+0530",
            "20261206",
            "20261206T000000Z",
            " 2026-12-06 ",
        ] {
            assert_eq!(parse_date(text), Some(Date::constant(2026, 12, 6)), "{text}");
        }
        for text in
            ["", "Z", "soon", "2026-02-30", "2026-02-30T00:00:00Z", "2026-12-06T25:00:00Z", "06.12.2026"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert_eq!(parse_date("0000-12-06T00:00:00Z"), None);
        for value in ["1796515200", "{\"date\":\"2026-12-06\"}", "null"] {
            let json = format!(r#"{{"id":"a/b","name":"x","expiration_date":{value}}}"#);
            assert_eq!(entry(&json).unwrap().columns.expires_on, None, "{value}");
        }
    }

    #[test]
    fn a_null_in_a_list_is_left_out() {
        let columns = entry(
            r#"{"id":"a/b","name":"x","supported_parameters":["tools",null,"seed"],
                "architecture":{"input_modalities":[null,"text"],"output_modalities":[null]}}"#,
        )
        .unwrap()
        .columns;
        assert_eq!(columns.supported_parameters.unwrap(), ["tools", "seed"]);
        assert_eq!(columns.input_modalities.unwrap(), ["text"]);
        assert_eq!(columns.output_modalities, Some(vec![]));
        assert!(columns.upstream.unwrap().text().contains(r#""supported_parameters":["tools",null,"seed"]"#));
    }

    #[test]
    fn unusable_entries_say_why_and_still_have_an_id() {
        let deep = format!(r#"{{"id":"a/b","name":"x","x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        let deeper = format!(r#"{{"id":"a/b","name":"x","x":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
        let wide = format!(r#"{{"id":"a/b","name":"x","x":[{}0]}}"#, "0,".repeat(MAX_VALUES));
        let long = format!(r#"{{"id":"a/b","name":"{}"}}"#, "x".repeat(1025));
        let large = format!(r#"{{"id":"a/b","name":"x","x":"{}"}}"#, "x".repeat(MAX_ENTRY_BYTES));
        for (json, reason) in [
            (r#"{"id":"a/b","name":"x\u0000"}"#, "a string contains a NUL character"),
            (r#"{"id":"a/b","name":"x","k":{"\u0000":1}}"#, "a key contains a NUL character"),
            (r#"{"id":"a/b","name":"\ud800"}"#, "name: unexpected end of hex escape at line 1 column 8"),
            (r#"{"id":"a/b","name":null}"#, "name is not a string"),
            (r#"{"id":"a/b"}"#, "name is not a string"),
            (r#"{"id":"a/b","name":"x","n":1e301}"#, "a number is out of range"),
            (r#"{"id":"a/b","name":"x","n":1e-99999999999}"#, "a number is out of range"),
            (&deep, "the entry is nested deeper than 32"),
            (&deeper, "the entry is nested deeper than 32"),
            (&long, "name has 1025 bytes, more than 1024"),
            (&wide, "the entry has more than 5000 values (max_entry_values)"),
            (&large, "the entry has 65566 bytes, more than 65536 (max_entry)"),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(read(raw, &ReadOptions::default()), Err(reason.to_owned()));
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
            (r#"{"id":"a\u000ab","name":"x"}"#, "id contains a control character"),
            (r#"{"id":"a\u0000b","name":"x"}"#, "a string contains a NUL character"),
            (&long, "id has 257 bytes, more than 256"),
            ("[]", "the entry is not a JSON object"),
            ("null", "the entry is not a JSON object"),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(read(raw, &ReadOptions::default()), Err(reason.to_owned()));
            assert_eq!(read_id(raw), None);
        }
        let quoted = entry(r#"{"id":"a'b\"c/\\$tag$é😀","name":"'; DROP TABLE"}"#).unwrap();
        assert_eq!(quoted.model_id, "a'b\"c/\\$tag$é😀");
    }
}
