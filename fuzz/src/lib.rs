//! What several targets check.

use serde_json::{Map, Number, Value};

/// The longest number, and the largest power of ten, that a plan may have. Both are far below the limits of `numeric`.
const MAX_DIGITS: usize = 1000;
const MAX_EXPONENT: u32 = 1000;

/// Checks that PostgreSQL can store a text as `jsonb`: no character U+0000, and no number outside of `numeric`.
///
/// # Panics
/// If it cannot.
pub fn assert_jsonb(text: &str) {
    let value = serde_json::from_str(text).expect("JSON");
    assert!(is_jsonb(&value), "not jsonb: {text}");
}

/// Whether PostgreSQL can store a value as `jsonb`.
#[must_use]
pub fn is_jsonb(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => is_numeric(number),
        Value::String(text) => !text.contains('\0'),
        Value::Array(list) => list.iter().all(is_jsonb),
        Value::Object(map) => is_object(map),
    }
}

fn is_object(map: &Map<String, Value>) -> bool {
    map.iter().all(|(key, value)| !key.contains('\0') && is_jsonb(value))
}

fn is_numeric(number: &Number) -> bool {
    let text = number.as_str();
    let exponent = text.split_once(['e', 'E']).map_or("0", |(_, exponent)| exponent);
    let exponent = exponent.trim_start_matches(['+', '-']).parse::<u32>();
    text.len() <= MAX_DIGITS && exponent.is_ok_and(|exponent| exponent <= MAX_EXPONENT)
}
