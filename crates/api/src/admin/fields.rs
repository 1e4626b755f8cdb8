//! The fields of a query or a form, in their order. A name may occur several times.

use form_urlencoded::{Serializer, parse};

/// Names with their values.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub fn parse(text: &[u8]) -> Self {
        Self(parse(text).into_owned().collect())
    }

    /// The value of a field, without white space around it. None if it is empty or missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// The same as text: empty if it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether a field has this value, such as a box that is ticked.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|known| known == value)
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The values of a field as a JSON array, for a parameter of a statement.
    pub fn json(&self, name: &str) -> String {
        serde_json::Value::from_iter(self.all(name)).to_string()
    }

    /// The fields of these names that are not empty, as a query.
    pub fn query(&self, names: &[&str]) -> String {
        let known =
            self.0.iter().filter(|(name, value)| names.contains(&name.as_str()) && !value.trim().is_empty());
        Serializer::new(String::new()).extend_pairs(known).finish()
    }
}
