//! What a guest says, made fit to be stored and shown: cut, and harmless on a terminal.

use super::limits::TEXT_BYTES_MAX;

/// `text` without its end beyond [`TEXT_BYTES_MAX`].
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// `text` cut, with control and direction characters escaped: nothing in it moves a cursor or forges a line.
pub(super) fn clean(text: &str) -> String {
    let text = cut(text);
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        let moves = c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if moves {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// `text` cleaned, as [`Option::map`] likes it.
pub(super) fn clean_owned(text: String) -> String {
    clean(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(cut(&"é".repeat(600)).len(), TEXT_BYTES_MAX);
        assert_eq!(cut(&format!("a{}", "é".repeat(600))).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn text_cannot_move_a_cursor() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc\u{202e}d é"), "a\\u{1b}[31mb\\r\\nc\\u{202e}d é");
    }
}
