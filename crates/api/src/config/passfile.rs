//! The password file of libpq: hostname:port:database:username:password, a line each.

/// The password of the first line that matches these four fields. `*` in a line matches everything.
pub fn password(text: &str, fields: [&str; 4]) -> Option<String> {
    let found = text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for field in fields {
            let (pattern, after) = next(rest)?;
            if pattern != *field && rest.strip_suffix(after)? != "*:" {
                return None;
            }
            rest = after;
        }
        Some(next(&format!("{rest}:"))?.0)
    });
    found.filter(|password| !password.is_empty())
}

/// The next field, in which a backslash stands before a colon or another backslash, and what is behind its colon.
fn next(text: &str) -> Option<(String, &str)> {
    let (mut field, mut letters) = (String::new(), text.chars());
    loop {
        match letters.next()? {
            ':' => return Some((field, letters.as_str())),
            '\\' => field.push(letters.next()?),
            letter => field.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_applies() {
        let text = "# localhost:5432:d:u:comment\nrubbish\nlocalhost:5432:d:v:of v\n\
                    localhost:*:d:u:a\\:b\\\\c\nlocalhost:5432:d:u:later\n\\*:1:*:*:star\n::1:1:d:u:wrong\n\
                    \\:\\:1:*:*:*:of an address\n*:*:*:w:w:w\nempty:*:*:*:\n*:7:*:*:last\n";
        for (fields, expected) in [
            (["localhost", "5432", "d", "v"], Some("of v")),
            (["localhost", "5432", "d", "u"], Some("a:b\\c")),
            (["other", "5432", "d", "u"], None),
            (["other", "1", "d", "u"], None),
            (["*", "1", "d", "u"], Some("star")),
            (["::1", "1", "d", "u"], Some("of an address")),
            (["any", "1", "d", "w"], Some("w")),
            (["empty", "7", "d", "u"], None),
            (["more", "7", "d", "u"], Some("last")),
        ] {
            assert_eq!(password(text, fields).as_deref(), expected, "{fields:?}");
        }
    }
}
