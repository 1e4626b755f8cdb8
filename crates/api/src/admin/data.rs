//! What a statement returned, as templates read it. A template that asks for what is not there fails, so that a test finds it.

use serde_json::Value;
use std::fmt::{Display, Error, Formatter, Result};

/// A value of JSON; None is one that does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a>(pub Option<&'a Value>);

impl<'a> Data<'a> {
    /// A member of an object.
    pub fn at(self, key: &str) -> Self {
        Self(self.0.and_then(|value| value.get(key)))
    }

    /// The elements of an array.
    pub fn list(self) -> impl Iterator<Item = Self> + Clone {
        self.0
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(|value| Self(Some(value)))
    }

    /// Whether it is there, and is not false, zero or empty.
    pub fn is_set(self) -> bool {
        self.0.is_some_and(|value| match value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(values) => !values.is_empty(),
            Value::Object(members) => !members.is_empty(),
        })
    }

    /// Whether it is an array.
    pub fn is_list(self) -> bool {
        self.0.is_some_and(Value::is_array)
    }

    /// Whether it is this text.
    pub fn is(self, text: &str) -> bool {
        self.0.is_some_and(|value| value == text)
    }
}

impl<'a> From<&'a Value> for Data<'a> {
    fn from(value: &'a Value) -> Self {
        Self(Some(value))
    }
}

impl Display for Data<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self.0.ok_or(Error)? {
            Value::Null => Ok(()),
            Value::String(text) => formatter.write_str(text),
            other => other.fmt(formatter),
        }
    }
}
