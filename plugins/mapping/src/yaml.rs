//! YAML as a tree in which every node knows its line and column.
//!
//! Owns reading the text; knows nothing of mappings. The tree is untyped on purpose: a typed read stops at the
//! first error, and an author wants all of them. Numbers keep their digits, so that `2.10` is not `2.1`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{NonFiniteFloatPolicy, Spanned};

use crate::findings::Findings;

/// A place in a file; line and column count from 1, and 0 means the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl From<serde_saphyr::Location> for Mark {
    fn from(location: serde_saphyr::Location) -> Self {
        let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: clamp(location.line()), column: clamp(location.column()) }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) mark: Mark,
}

impl<T> At<T> {
    pub(crate) fn map<U>(&self, make: impl FnOnce(&T) -> U) -> At<U> {
        At { value: make(&self.value), mark: self.mark }
    }
}

/// One YAML value. Anchors and merges are resolved; a node then bears the place where it was defined.
#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    Null,
    Boolean(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(At<String>, Node)>),
}

pub(crate) type Node = At<Yaml>;

impl fmt::Display for Yaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Boolean(value) => write!(f, "`{value}`"),
            Self::Number(digits) => write!(f, "the number {digits}"),
            Self::Text(text) => write!(f, "`{text}`"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

/// Reads a file; a syntax error is the only finding then, because nothing after it can be trusted.
pub(crate) fn read(text: &str, findings: &mut Findings) -> Option<Node> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Some(node(raw, text)),
        Err(error) => {
            let mark = error.location().map(Mark::from).unwrap_or_default();
            let (mark, message, hint) = explain(text, mark, &error.to_string());
            findings.error(mark, message, hint);
            None
        }
    }
}

/// A syntax error in the words of somebody who writes paths: most often one was left without quotes.
fn explain(text: &str, mark: Mark, message: &str) -> (Mark, String, Option<String>) {
    let line = text.lines().nth((mark.line as usize).saturating_sub(1)).unwrap_or_default();
    if let Some((column, path)) = unquoted_path(line, mark.column as usize) {
        let quote = if path.contains('"') { '\'' } else { '"' };
        let mark = Mark { column: u32::try_from(column).unwrap_or(u32::MAX), ..mark };
        let found = format!(
            "found `{path}` without quotes, which YAML reads as something else; expected a quoted path or condition"
        );
        return (mark, found, Some(format!("quote it: {quote}{path}{quote}")));
    }
    let place = format!(" at line {}, column {}", mark.line, mark.column);
    let message = message.split(&place).next().unwrap_or_default();
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
    (mark, format!("not valid YAML: {message}"), None)
}

/// The path or condition that begins nearest before `column`, with its own column (both from 1).
fn unquoted_path(line: &str, column: usize) -> Option<(usize, &str)> {
    let starts = |(at, c): &(usize, char)| {
        let before = line[..*at].chars().next_back();
        let after = line[at + c.len_utf8()..].chars().next();
        let opens = match c {
            '@' | '$' | '^' | '*' => after.is_some_and(|c| "[.@ ".contains(c)),
            '.' => after.is_some_and(|c| c.is_alphabetic() || "_['*.".contains(c)),
            '!' => after == Some('@'),
            _ => false,
        };
        opens && before.is_none_or(|c| " [{,:(".contains(c))
    };
    let (number, (at, _)) =
        line.char_indices().enumerate().filter(|(_, start)| starts(start)).take_while(|(n, _)| *n < column).last()?;
    // A quoted path is no suspect, wherever the error is.
    if line[..at].matches(['"', '\'']).count() % 2 == 1 {
        return None;
    }
    let mut depth = 0;
    let rest = &line[at..];
    let end = rest.char_indices().find(|(i, c)| {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            _ => (),
        }
        depth < 0 || depth == 0 && (*c == ',' || rest[*i..].starts_with(" #"))
    });
    let path = rest[..end.map_or(rest.len(), |(i, _)| i)].trim_end();
    path.contains(['@', '[', '*', '?']).then_some((number + 1, path))
}

/// The tree as the YAML library hands it out, before numbers are looked up in the text.
enum Raw {
    Null,
    Boolean(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Object(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let written = |location: serde_saphyr::Location| {
        let span = location.span();
        let range = span.byte_offset().zip(span.byte_len()).map(|(start, len)| start as usize..(start + len) as usize);
        range.and_then(|range| text.get(range)).unwrap_or_default().trim().to_owned()
    };
    let value = match raw.value {
        Raw::Null => Yaml::Null,
        Raw::Boolean(value) => Yaml::Boolean(value),
        Raw::Number => Yaml::Number(written(raw.defined)),
        Raw::Text(text) => Yaml::Text(text),
        Raw::List(items) => Yaml::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Object(entries) => {
            let entry = |(key, value): (Spanned<Raw>, Spanned<Raw>)| {
                let mark = key.defined.into();
                let name = match key.value {
                    Raw::Text(name) => name,
                    // A key is its text, whatever type YAML would give it: `lookup: { 1: a, true: b }`.
                    _ => written(key.defined),
                };
                (At { value: name, mark }, node(value, text))
            };
            Yaml::Object(entries.into_iter().map(entry).collect())
        }
    };
    At { value, mark: raw.defined.into() }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Boolean(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Raw::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let mut findings = Findings::default();
        assert!(read(text, &mut findings).is_none(), "{text}");
        let errors = findings.finish().expect_err("reading failed");
        let [error] = &errors[..] else { panic!("one error, found {errors:?}") };
        format!("{}:{} {} / {}", error.line, error.column, error.message, error.hint.as_deref().unwrap_or("-"))
    }

    #[test]
    fn an_unquoted_path_is_told_to_be_quoted() {
        let say = |place: &str, path: &str| {
            format!(
                "{place} found `{path}` without quotes, which YAML reads as something else; expected a quoted path or condition / quote it: \"{path}\""
            )
        };
        assert_eq!(error("a:\n  external_id: @.ref_id\n"), say("2:16", "@.ref_id"));
        assert_eq!(error("a: { path: $.items[*].x }\n"), say("1:12", "$.items[*].x"));
        assert_eq!(error("a: [$.a[*].b]\n"), say("1:5", "$.a[*].b"));
        assert_eq!(error("a: [.b, .a[?@.b == true].c, .d]\n"), say("1:9", ".a[?@.b == true].c"));
        assert_eq!(error("when: !@.name\n"), say("1:7", "!@.name"));
    }

    #[test]
    fn other_syntax_errors_say_what_the_parser_says() {
        assert_eq!(error("a: 1\na: 2\n"), "2:1 not valid YAML: duplicate mapping key: a / -");
        assert_eq!(error("a: *base\n"), "1:4 not valid YAML: alias references unknown anchor / -");
    }

    #[test]
    fn numbers_and_keys_keep_their_digits() {
        let mut findings = Findings::default();
        let Some(At { value: Yaml::Object(entries), .. }) =
            read("version: 2.10\n1: ~\nb: &x 7\nc: *x\n", &mut findings)
        else {
            panic!("an object")
        };
        assert!(matches!(&entries[0].1.value, Yaml::Number(digits) if digits == "2.10"));
        assert_eq!(entries[1].0.value, "1");
        assert!(matches!(&entries[3].1.value, Yaml::Number(digits) if digits == "7"));
        assert_eq!(entries[3].1.mark, Mark { line: 3, column: 4 + 3 });
    }
}
