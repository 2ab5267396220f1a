//! Strings of a record that the scanner has accepted: their extent and their escapes.

use std::borrow::Cow;
use std::str::{self, Utf8Error};

/// The text of a record. Nearly every record is ASCII, which is told by the block.
#[allow(unsafe_code, reason = "the standard library's check of ASCII takes four times as long in WebAssembly")]
pub(crate) fn utf8(record: &[u8]) -> Result<&str, Utf8Error> {
    let is_ascii = |words: &[[u8; 8]]| {
        let all = words.iter().fold(0, |all, word| all | u64::from_le_bytes(*word));
        all & (u64::MAX / 0xFF * 0x80) == 0
    };
    let (blocks, rest) = record.as_chunks::<64>();
    if blocks.iter().all(|block| is_ascii(block.as_chunks().0)) && rest.is_ascii() {
        // SAFETY: every byte was looked at and is ASCII, which is UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(record) });
    }
    str::from_utf8(record)
}

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
    fn a_record_is_text_wherever_its_other_bytes_stand() {
        for len in [0, 1, 63, 64, 65, 130] {
            let plain = vec![b'a'; len];
            assert_eq!(utf8(&plain).map(str::len), Ok(len));
            for at in 0..len {
                let mut bytes = plain.clone();
                bytes[at] = 0xFF;
                assert_eq!(utf8(&bytes).map_err(|error| error.valid_up_to()), Err(at));
                bytes.splice(at..=at, "é".bytes());
                assert_eq!(utf8(&bytes), str::from_utf8(&bytes));
            }
        }
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted(r#"{"a\"b\\": 1}"#, 1), r#"a\"b\\"#);
        assert_eq!(quoted(r#""""#, 0), "");
    }
}
