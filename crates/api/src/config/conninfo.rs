//! The text that describes a connection, as libpq reads it: keyword=value, a URL, or a section of a service file.

use percent_encoding::percent_decode_str;

/// Keywords with their values, in the order of the text.
pub type Pairs = Vec<(String, String)>;

/// Reads a database name, a URL or keyword=value. Of a repeated keyword, the last value applies.
///
/// # Errors
/// Fails if the text is malformed. No message repeats a part of it, which may be a password.
pub fn parse(text: &str) -> Result<Pairs, String> {
    if let Some(rest) = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        url(rest)
    } else if text.contains('=') {
        keywords(text)
    } else if text.contains("://") {
        Err("a URL begins with postgresql://".into())
    } else if text.is_empty() {
        Ok(Pairs::new())
    } else {
        Ok(vec![("dbname".into(), text.into())])
    }
}

/// keyword=value keyword='a value with \' and \\'
fn keywords(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (keyword, after) = rest.split_at(end);
        let after =
            after.trim_start().strip_prefix('=').ok_or("a keyword is not followed by =")?.trim_start();
        let (quoted, after) = after.strip_prefix('\'').map_or((false, after), |after| (true, after));
        let (mut value, mut letters, mut is_open) = (String::new(), after.chars(), quoted);
        loop {
            let before = letters.as_str();
            match letters.next() {
                Some('\'') if quoted => {
                    is_open = false;
                    break;
                }
                Some(letter) if !quoted && letter.is_whitespace() => {
                    letters = before.chars();
                    break;
                }
                Some('\\') => value.extend(letters.next()),
                Some(letter) => value.push(letter),
                None => break,
            }
        }
        if is_open {
            return Err("a quoted value does not end".into());
        }
        pairs.push((keyword.into(), value));
        rest = letters.as_str().trim_start();
    }
    Ok(pairs)
}

/// `[user[:password]@][host][:port][,…][/dbname][?keyword=value[&…]]`
fn url(rest: &str) -> Result<Pairs, String> {
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(String::from)
            .map_err(|_| "the URL contains a text that is not UTF-8".to_owned())
    };
    let mut pairs = Pairs::new();
    let mut add = |keyword: &str, value: &str| {
        if !value.is_empty() {
            pairs.push((keyword.into(), decoded(value)?));
        }
        Ok::<_, String>(())
    };
    let is_user =
        rest.find(['@', '/']).filter(|end| rest.get(*end..).is_some_and(|end| end.starts_with('@')));
    let (user, rest) = is_user.map_or(("", rest), |_| rest.split_once('@').unwrap_or_default());
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    add("user", user)?;
    add("password", password)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(host) => host.split_once(']').ok_or("an address in the URL does not end with ]")?,
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        names.push(name);
        ports.push(port.strip_prefix(':').unwrap_or(port));
    }
    add("host", &names.join(","))?;
    if ports.iter().any(|port| !port.is_empty()) {
        add("port", &ports.join(","))?;
    }
    add("dbname", name)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) = pair.split_once('=').ok_or("a parameter of the URL has no =")?;
        match (keyword, value) {
            // as in JDBC
            ("ssl", "true") => pairs.push(("sslmode".into(), "require".into())),
            _ => pairs.push((decoded(keyword)?, decoded(value)?)),
        }
    }
    Ok(pairs)
}

/// The section of a service in a service file, if the file has it. Of a repeated keyword, the first value applies.
///
/// # Errors
/// Fails if a line of the section is malformed.
pub fn service(text: &str, name: &str) -> Result<Option<Pairs>, String> {
    let mut section = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if section.is_some() {
                break;
            }
            section = (header.strip_suffix(']') == Some(name)).then(Pairs::new);
        } else if let Some(pairs) = &mut section {
            let (keyword, value) = line.split_once('=').ok_or(format!("line {number} has no ="))?;
            if keyword == "service" || keyword == "servicefile" {
                return Err(format!("line {number}: a service cannot refer to another"));
            }
            pairs.push((keyword.into(), value.into()));
        }
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(keyword, value)| ((*keyword).into(), (*value).into())).collect()
    }

    #[test]
    fn names_urls_and_keywords_are_read_as_libpq_reads_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("some name", &[("dbname", "some name")]),
            ("host=h", &[("host", "h")]),
            (
                " host = h  password='a b\\'\\\\c' user=u\\ v port=",
                &[("host", "h"), ("password", "a b'\\c"), ("user", "u v"), ("port", "")],
            ),
            ("password=postgresql://?sslmode=disable", &[("password", "postgresql://?sslmode=disable")]),
            ("postgresql://", &[]),
            ("postgres:///d", &[("dbname", "d")]),
            ("postgresql://localhost:5433", &[("host", "localhost"), ("port", "5433")]),
            (
                "postgresql://u:a?b%40c@h/d?sslmode=require&application_name=x%20y",
                &[
                    ("user", "u"),
                    ("password", "a?b@c"),
                    ("host", "h"),
                    ("dbname", "d"),
                    ("sslmode", "require"),
                    ("application_name", "x y"),
                ],
            ),
            (
                "postgresql://a:1,[2001:db8::1]:2,c/d",
                &[("host", "a,2001:db8::1,c"), ("port", "1,2,"), ("dbname", "d")],
            ),
            (
                "postgresql://%2Fvar%2Frun/d?ssl=true",
                &[("host", "/var/run"), ("dbname", "d"), ("sslmode", "require")],
            ),
            ("postgresql:///d?host=/tmp&user=u@x", &[("dbname", "d"), ("host", "/tmp"), ("user", "u@x")]),
        ] {
            assert_eq!(read(text), pairs(expected), "{text}");
        }
        for text in
            ["mysql://h", "host=h x", "password='secret", "postgresql://[::1", "postgresql://h?secret"]
        {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_service_is_a_section_of_its_file() {
        let text = "# services\n\n[one]\nhost=a\n  port=1 \nport=2\n[two]\nrubbish\n[three]\nservice=one\n";
        assert_eq!(service(text, "one"), Ok(Some(pairs(&[("host", "a"), ("port", "1"), ("port", "2")]))));
        assert_eq!(service(text, "two"), Err("line 8 has no =".into()));
        assert_eq!(service(text, "three"), Err("line 10: a service cannot refer to another".into()));
        assert_eq!(service(text, "four"), Ok(None));
    }
}
