//! Findings in configuration files, shown with the line that they concern.
//!
//! Makes a [`Diagnostic`] of what the YAML parser says, and text of a diagnostic. Knows no tenant, mapping or
//! contract: whoever reads a configuration file uses it.

use std::fmt::Write;

use serde_saphyr::{Error, Location};

use crate::entity::Diagnostic;

/// How a visitor begins its message where it found a number and wants text; [`of_yaml`] adds how it is written.
pub const A_NUMBER: &str = "found a number";

/// How a message begins that concerns a secret written where everybody reads it; [`render`] does not repeat its line.
pub const IN_THE_OPEN: &str = "found a secret in the open";

/// The known name that is nearest to `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(name.len().max(candidate.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint that names what is nearest to `name`.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// `a`, `b` or `c`.
pub fn alternatives<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// A finding at `location` of `file`.
pub fn at(file: &str, location: Location, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Diagnostic {
        file: file.to_owned(),
        line: number(location.line()),
        column: number(location.column()),
        message: message.into(),
        hint,
    }
}

/// What the parser says of `text`, the content of `file`, in our words.
pub fn of_yaml(file: &str, text: &str, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let line = text.lines().nth((location.line() as usize).saturating_sub(1)).unwrap_or_default();
    let (message, hint) = match error {
        Error::SerdeUnknownField { field, expected, .. } => (
            format!("found the unknown key `{field}`, expected {}", alternatives(expected.iter().copied())),
            did_you_mean(field, expected.iter().copied()),
        ),
        Error::SerdeUnknownVariant { variant, expected, .. } => (
            format!("found `{variant}`, expected {}", alternatives(expected.iter().copied())),
            did_you_mean(variant, expected.iter().copied()),
        ),
        Error::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing"), None),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map_or(String::new(), |key| format!(" `{key}`"));
            (format!("the key{key} occurs twice, expected each key once"), None)
        }
        Error::QuotingRequired { value, .. } => (
            format!("found {value}, which YAML reads as a number or a boolean, expected text"),
            Some(format!("quote it: \"{value}\"")),
        ),
        Error::Eof { .. } => ("found the end of the file, expected keys and values".to_owned(), None),
        Error::NullIntoString { .. } => ("found nothing, expected text".to_owned(), None),
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("found {unexpected}, expected {expected}"), None)
        }
        Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("found {unexpected}, expected {expected}"), None)
        }
        // Only the line tells how a number is written: 2.10 is 2.1 to the parser.
        Error::Message { msg, .. } if msg.starts_with(A_NUMBER) => {
            let rest = || line.chars().skip((location.column() as usize).saturating_sub(1));
            let number: String = rest().take(spot(rest())).collect();
            (msg.replacen(A_NUMBER, &format!("found the number {number}"), 1), Some(format!("quote it: \"{number}\"")))
        }
        Error::Message { msg, .. } => (msg.clone(), None),
        other => (first_line(&other.to_string()), unquoted_path(line).map(|path| format!("quote it: \"{path}\""))),
    };
    at(file, location, message, hint)
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    // The parser repeats its place, which a diagnostic states itself.
    let line = line.rfind(" at line ").map_or(line, |end| &line[..end]);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// A JSONPath in `line` that YAML takes for its own syntax because nobody quoted it.
fn unquoted_path(line: &str) -> Option<&str> {
    let mut words = line.split([' ', '{', ',']).map(|word| word.trim_end_matches(['}', ':']));
    words.find_map(|word| {
        // A list opens with the bracket that a path cannot begin with.
        let word = word.trim_start_matches('[');
        let word = if word.matches(']').count() > word.matches('[').count() { word.strip_suffix(']')? } else { word };
        (word.len() > 1 && word.starts_with(['$', '@', '.', '^']) && word.contains(['[', '*', '@', '?', ':']))
            .then_some(word)
    })
}

/// `diagnostic` as text: its place and message, the line of `text` with the spot marked, the hint.
///
/// ```text
/// acme/tenant.yaml:5:5: found the unknown key `mapping_`, expected `mapping` or `mappings`
///   |
/// 5 |     mapping_: orders.yaml
///   |     ^^^^^^^^
///   = did you mean `mapping`?
/// ```
pub fn render(diagnostic: &Diagnostic, text: Option<&str>) -> String {
    let Diagnostic { file, line, column, message, hint } = diagnostic;
    let mut out = match (file.as_str(), line) {
        ("", _) => message.clone(),
        (_, 0) => format!("{file}: {message}"),
        _ => format!("{file}:{line}:{column}: {message}"),
    };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let shown = text.filter(|_| !message.starts_with(IN_THE_OPEN));
    if let Some(source) = shown.and_then(|text| text.lines().nth((*line as usize).checked_sub(1)?)) {
        let start = (*column as usize).saturating_sub(1);
        let before: String = source.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marks = "^".repeat(spot(source.chars().skip(start)));
        write!(out, "\n{margin} |\n{number} | {source}\n{margin} | {before}{marks}")
            .expect("writing to a text cannot fail");
    }
    if let Some(hint) = hint {
        write!(out, "\n{margin} = {hint}").expect("writing to a text cannot fail");
    }
    out
}

/// How many characters of a line belong to the scalar that begins it; at least 1.
fn spot(mut rest: impl Iterator<Item = char>) -> usize {
    let length = match rest.next() {
        Some(quote @ ('"' | '\'')) => 2 + rest.take_while(|c| *c != quote).count(),
        Some(_) => 1 + rest.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | '}' | ']' | ':')).count(),
        None => 1,
    };
    length.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        let known = ["mapping", "mappings", "plugin", "batch"];
        assert_eq!(nearest("mapings", known), Some("mappings"));
        assert_eq!(nearest("Plugin", known), Some("plugin"));
        assert_eq!(nearest("schema", known), None);
        assert_eq!(alternatives(known), "`mapping`, `mappings`, `plugin` or `batch`");
    }

    #[test]
    fn unquoted_paths_are_found_in_their_line() {
        for (line, path) in [
            ("each: [$.orders[*].cust, $.referrer]", Some("$.orders[*].cust")),
            ("{ path: $.items[*].x }", Some("$.items[*].x")),
            ("  external_id: @.ref_id", Some("@.ref_id")),
            ("  name: \"x\" y", None),
        ] {
            assert_eq!(unquoted_path(line), path, "{line}");
        }
    }

    #[test]
    fn a_diagnostic_shows_its_line() {
        let text = "a: 1\nbc: \"x y\" # z\n";
        let place =
            |line, column| Diagnostic { file: "f".into(), line, column, message: "m".into(), hint: Some("h".into()) };
        assert_eq!(render(&place(2, 5), Some(text)), "f:2:5: m\n  |\n2 | bc: \"x y\" # z\n  |     ^^^^^\n  = h");
        assert_eq!(render(&place(2, 1), Some(text)), "f:2:1: m\n  |\n2 | bc: \"x y\" # z\n  | ^^\n  = h");
        assert_eq!(render(&place(9, 1), Some(text)), "f:9:1: m\n  = h");
        assert_eq!(render(&place(0, 0), None), "f: m\n  = h");
    }
}
