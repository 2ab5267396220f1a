//! Strings of a record that the scanner has accepted: their extent and their escapes.

use std::borrow::Cow;

/// What stands between the quotes of the string that opens at `at`; the scanner has accepted it.
pub(crate) fn quoted(record: &str, at: usize) -> &str {
    let rest = record.get(at + 1..).unwrap_or_default();
    let mut end = 0;
    loop {
        match memchr::memchr2(b'"', b'\\', &rest.as_bytes()[end..]) {
            Some(hit) if rest.as_bytes()[end + hit] == b'\\' => end = (end + hit + 2).min(rest.len()),
            Some(hit) => return &rest[..end + hit],
            None => return rest,
        }
    }
}

/// The characters of a string that the scanner has accepted, its quotes taken off.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut characters = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        characters.push_str(plain);
        let (character, length) = match escape.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => match unit(escape, 1) {
                high @ 0xD800..0xDC00 => (scalar(0x10000 + ((high - 0xD800) << 10) + (unit(escape, 7) - 0xDC00)), 11),
                unit => (scalar(unit), 5),
            },
            Some(byte) => (char::from(*byte), 1),
            None => break,
        };
        characters.push(character);
        rest = &escape[length..];
    }
    characters.push_str(rest);
    Cow::Owned(characters)
}

fn unit(escape: &str, at: usize) -> u32 {
    u32::from_str_radix(&escape[at..at + 4], 16).expect("four hexadecimal digits: the scanner has accepted them")
}

fn scalar(code: u32) -> char {
    char::from_u32(code).expect("no lone surrogate: the scanner has refused them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_becomes_its_character() {
        assert_eq!(unescape(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(unescape(r"a\u00e9b\uD83D\uDE00\u0000"), "aéb😀\0");
        assert!(matches!(unescape("plain ☺"), Cow::Borrowed("plain ☺")));
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted(r#"{"a\"b\\": 1}"#, 1), r#"a\"b\\"#);
        assert_eq!(quoted(r#""""#, 0), "");
    }
}
