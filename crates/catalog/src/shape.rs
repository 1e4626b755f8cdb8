//! How many values a JSON text has, and how deeply they are nested.

/// How large the value of a valid JSON text is, found without building it.
pub struct Shape {
    /// The number of values at any depth.
    pub values: usize,
    /// How deeply they are nested; 1 = the value contains no other.
    pub depth: usize,
}

impl Shape {
    /// The shape of a valid JSON text.
    #[must_use]
    pub fn of(json: &str) -> Self {
        let mut shape = Self { values: 0, depth: 0 };
        let (mut open, mut begins) = (0_usize, true);
        let mut bytes = json.bytes();
        while let Some(byte) = bytes.next() {
            let is_value = match byte {
                b']' | b'}' => {
                    open = open.saturating_sub(1);
                    begins = false;
                    continue;
                }
                b',' => {
                    begins = true;
                    continue;
                }
                b':' | b' ' | b'\t' | b'\n' | b'\r' => continue,
                _ => std::mem::take(&mut begins),
            };
            // the key of a member stands for its value
            shape.values += usize::from(is_value);
            shape.depth = shape.depth.max(open + 1);
            match byte {
                b'"' => skip_string(&mut bytes),
                b'[' | b'{' => {
                    open += 1;
                    begins = true;
                }
                _ => {}
            }
        }
        shape
    }
}

/// Skips the rest of a JSON string.
fn skip_string(bytes: &mut std::str::Bytes) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_shape_of_a_value_is_that_of_the_parsed_value() {
        fn parsed(value: &Value) -> (usize, usize) {
            let inner: Vec<&Value> = match value {
                Value::Array(list) => list.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            };
            inner
                .into_iter()
                .map(parsed)
                .fold((1, 1), |(values, depth), (more, inner)| (values + more, depth.max(inner + 1)))
        }
        for json in [
            "0",
            "\"\"",
            "[]",
            "{}",
            "[[]]",
            "[ ]",
            "{ }",
            "[1,2]",
            "[[],[]]",
            "[{},{}]",
            r#"{"a":[1,"]"],"b":{"c":{}}}"#,
            r#"["\"","\\",",[{",{"\"":[]}]"#,
            "[\n[ ] ,\t[null , -1.5e3] ]",
            r#"{"a":{"b":[[[true]]]}}"#,
        ] {
            let shape = Shape::of(json);
            assert_eq!((shape.values, shape.depth), parsed(&serde_json::from_str(json).unwrap()), "{json}");
        }
    }
}
