//! Finds the entries of a document, and the members of each entry, without reading their values.

use memchr::memchr2;

/// A member of an object: its key without the quotes, and its value, both as they are written.
pub type Member<'a> = (&'a str, &'a str);

/// Goes through a text that is probably JSON. `None` means that the text is not, or not in the usual form. What a value
/// contains is not checked.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner behind the bracket that opens the list of a document: `{"data": [entry, …], …}`, or only the list.
    pub fn at_list(text: &'a str) -> Option<Self> {
        let mut scanner = Self { text, at: 0 };
        if scanner.takes(b'[') {
            return Some(scanner);
        }
        scanner.take(b'{')?;
        loop {
            let is_data = scanner.key()? == "data";
            if is_data && scanner.takes(b'[') {
                return Some(scanner);
            }
            scanner.value()?;
            scanner.take(b',')?;
        }
    }

    /// Where the scanner is, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next value, and its members if it is an object. If it has more than `max` members, it is not in the usual form.
    pub fn entry(&mut self, members: &mut Vec<Member<'a>>, max: usize) -> Option<&'a str> {
        members.clear();
        self.skip_space();
        let start = self.at;
        if !self.takes(b'{') {
            return self.value();
        }
        let mut has_more = !self.takes(b'}');
        while has_more {
            if members.len() == max {
                return None;
            }
            members.push((self.key()?, self.value()?));
            has_more = self.takes(b',');
            if !has_more {
                self.take(b'}')?;
            }
        }
        self.text.get(start..self.at)
    }

    /// Whether the next byte that is not white space is this one. If so, the scanner is behind it.
    pub fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    fn key(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        self.skip_string()?;
        let key = self.text.get(start..self.at - 1);
        self.take(b':')?;
        key
    }

    fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        let (start, mut open) = (self.at, 0_usize);
        loop {
            let byte = self.peek()?;
            match byte {
                b'"' => {
                    self.at += 1;
                    self.skip_string()?;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    open += 1;
                }
                // ends the object or list around the value
                b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' if open == 0 => break,
                b'}' | b']' => {
                    self.at += 1;
                    open -= 1;
                }
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if open == 0 {
                break;
            }
        }
        self.text.get(start..self.at).filter(|value| !value.is_empty())
    }

    /// Skips the rest of a string.
    fn skip_string(&mut self) -> Option<()> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let found = memchr2(b'"', b'\\', rest)?;
            self.at += found + 1;
            if rest.get(found) == Some(&b'"') {
                return Some(());
            }
            // the character that is escaped
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries<'a> = Vec<(&'a str, Vec<Member<'a>>)>;

    fn entries(text: &str) -> Option<Entries<'_>> {
        let mut scanner = Scanner::at_list(text)?;
        let (mut entries, mut members) = (Vec::new(), Vec::new());
        loop {
            let entry = scanner.entry(&mut members, 3)?;
            entries.push((entry, members.clone()));
            if !scanner.takes(b',') {
                return scanner.takes(b']').then_some(entries);
            }
        }
    }

    #[test]
    fn entries_and_members_are_found_as_they_are_written() {
        let list = r#"[ {"a" : [1, "]"] ,"b":{"c":"\"}"}}, 7 ,"x,",{ },{"a":-1.5e3
            , "ü\\" :null}]"#;
        let expected = vec![
            (r#"{"a" : [1, "]"] ,"b":{"c":"\"}"}}"#, vec![("a", r#"[1, "]"]"#), ("b", r#"{"c":"\"}"}"#)]),
            ("7", vec![]),
            (r#""x,""#, vec![]),
            ("{ }", vec![]),
            ("{\"a\":-1.5e3\n            , \"ü\\\\\" :null}", vec![("a", "-1.5e3"), (r"ü\\", "null")]),
        ];
        assert_eq!(entries(list), Some(expected.clone()));
        let document = format!(r#"{{"x":{{"data":[1]}} , "data": {list},"y":1}}"#);
        assert_eq!(entries(&document), Some(expected));
    }

    #[test]
    fn a_text_of_another_form_is_not_split() {
        for text in [
            "",
            "7",
            "[",
            "[]",
            "[1",
            "[1 2]",
            "[1,]",
            "[{]",
            "[{a:1}]",
            "[{\"a\"}]",
            "[{\"a\":}]",
            "[{\"a\":1,}]",
            "[{\"a\":1 2}]",
            "[{\"a\":\"x}]",
            "[{\"a\":[1}",
            r#"[{"a":1,"b":2,"c":3,"d":4}]"#,
            r#"{"data":7}"#,
            r#"{"error":[]}"#,
            r#"{"data":{},"data":"#,
        ] {
            assert_eq!(entries(text), None, "{text}");
        }
    }
}
