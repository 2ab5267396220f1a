//! The trap of `!= null`: it is true where the path is absent, because RFC 9535 compares nothing with null.
//!
//! A scan of the text and not of a syntax tree: the condition is known to be sound by now, and only three kinds of
//! token matter here (paths, `!= null`, and whether a path stands alone as a test for its existence).

use crate::findings::Findings;
use crate::yaml::Mark;

/// Warns of each path that is compared with `!= null` and nowhere in the same condition tested for existence.
pub(super) fn warn(mark: Mark, written: &str, findings: &mut Findings) {
    if !written.contains("null") {
        return;
    }
    let tokens = tokens(written);
    let is_comparison =
        |token: Option<&&str>| token.is_some_and(|token| token.starts_with(['=', '!', '<', '>']) && *token != "!");
    let guarded = |path: &str| {
        (0..tokens.len()).any(|i| {
            let before = i.checked_sub(1).and_then(|i| tokens.get(i));
            tokens[i] == path && before != Some(&"!") && !is_comparison(before) && !is_comparison(tokens.get(i + 1))
        })
    };
    for triple in tokens.windows(3) {
        let path = match triple {
            [path, "!=", "null"] | ["null", "!=", path] if path.starts_with(['@', '$']) && path.len() > 1 => *path,
            _ => continue,
        };
        if !guarded(path) {
            let message = format!("found `{path} != null`, which is true where `{path}` is absent");
            findings.warn(mark, message, Some(format!("write `{path} && {path} != null` if it has to be there")));
        }
    }
}

/// Paths from `@` or `$`, operators, and everything else in pieces. What a filter inside a path says follows the
/// path as tokens of its own.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut inner = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '@' | '$' => path_length(rest, &mut inner),
            '\'' | '"' => literal_length(rest),
            '!' | '=' | '<' | '>' => 1 + usize::from(rest[1..].starts_with('=')),
            '&' | '|' => rest.chars().take_while(|c| *c == first).count(),
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        if !first.is_whitespace() {
            tokens.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    for filter in inner {
        // A bracket apart, so that nothing on one side of it is taken for an operand on the other.
        tokens.push("[");
        tokens.extend(self::tokens(filter));
    }
    tokens
}

/// The bytes of the path that `text` starts with; the filters in it are added to `inner`.
fn path_length<'t>(text: &'t str, inner: &mut Vec<&'t str>) -> usize {
    let mut at = 1;
    while let Some(next) = text[at..].chars().next() {
        at += match next {
            '.' | '_' | '*' => 1,
            c if c.is_alphanumeric() => c.len_utf8(),
            '[' => {
                let length = bracket_length(&text[at..]);
                let body = &text[at + 1..at + length - 1];
                if body.contains('?') {
                    inner.push(body);
                }
                length
            }
            _ => break,
        };
    }
    at
}

/// The bytes from an opening bracket to the one that closes it, or to the end.
fn bracket_length(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(next) = text[at..].chars().next() {
        match next {
            '[' => depth += 1,
            ']' => depth -= 1,
            '\'' | '"' => {
                at += literal_length(&text[at..]);
                continue;
            }
            _ => (),
        }
        at += next.len_utf8();
        if depth == 0 {
            break;
        }
    }
    at
}

/// The bytes of the string that `text` starts with.
fn literal_length(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => (),
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(condition: &str) -> Vec<String> {
        let mut findings = Findings::default();
        warn(Mark::default(), condition, &mut findings);
        findings.finish().expect("warnings only").into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn an_absent_path_is_not_null_but_passes() {
        assert_eq!(warnings("@.x != null"), ["found `@.x != null`, which is true where `@.x` is absent"]);
        assert_eq!(warnings("@.a && null != @['b c'].d").len(), 1);
        assert_eq!(warnings("$.phones[?@.no != null].no").len(), 1);
        assert_eq!(warnings("!@.x && @.x != null").len(), 1);
        assert_eq!(warnings("@.y == @.x && @.x != null").len(), 1);
    }

    #[test]
    fn a_guarded_path_passes_in_silence() {
        for fine in ["@.x && @.x != null", "@.x!=null&&@.x", "@.x == null", "@ != null", "@.x != 'null'", "@.null != 1"]
        {
            assert_eq!(warnings(fine), [""; 0], "{fine}");
        }
    }
}
