//! Paths and conditions of the language as the JSONPath of RFC 9535.
//!
//! Owns what `$`, `.` and `^` mean and the one trap of conditions that is worth a warning. It does not know where
//! values go; the grammar itself is the kit's.

mod guard;

use silversmith_sdk::extract::Base;
use silversmith_sdk::path::{Condition, Path, PathError};

use crate::findings::Findings;
use crate::syntax::{ConditionText, PathText};
use crate::yaml::At;

/// Where a path starts, and the path from there.
pub(crate) fn parse_path(text: &At<PathText>, findings: &mut Findings) -> Option<(Base, Path)> {
    let written = text.value.0.as_str();
    let (base, path, shift) = standard(written);
    match Path::parse(&path) {
        Ok(path) => {
            guard::warn(text.mark, written, findings);
            Some((base, path))
        }
        Err(error) => {
            let offset = error.offset.saturating_sub(shift);
            refuse(text, written, "a JSONPath", offset, &error, findings);
            None
        }
    }
}

/// A condition: what stands behind the `?` of a filter.
pub(crate) fn parse_condition(text: &At<ConditionText>, findings: &mut Findings) -> Option<Condition> {
    let written = text.value.0.as_str();
    match Condition::parse(written) {
        Ok(condition) => {
            guard::warn(text.mark, written, findings);
            Some(condition)
        }
        Err(error) => {
            refuse(text, written, "a condition of RFC 9535", error.offset, &error, findings);
            None
        }
    }
}

fn refuse<T>(text: &At<T>, written: &str, expected: &str, offset: usize, error: &PathError, findings: &mut Findings) {
    let message = format!("found `{written}`, expected {expected}: at offset {offset}, {error}");
    findings.error(text.mark, message, None);
}

/// The base, the path in RFC 9535 with `$` for that base, and how many bytes it is longer than what was written.
fn standard(written: &str) -> (Base, String, usize) {
    if let Some(rest) = written.strip_prefix('^') {
        return (Base::Enclosing, format!("${rest}"), 0);
    }
    match written.strip_prefix('.') {
        None => (Base::Record, written.to_owned(), 0),
        Some("") => (Base::Node, "$".to_owned(), 0),
        Some(rest) if rest.starts_with('[') => (Base::Node, format!("${rest}"), 0),
        Some(_) => (Base::Node, format!("${written}"), 1),
    }
}

/// What follows the `$` of a path.
pub(crate) fn tail(written: &PathText) -> &str {
    let written = written.0.as_str();
    match written.strip_prefix(['$', '^']) {
        Some(rest) => rest,
        None if written == "." => "",
        None if written.starts_with(".[") => &written[1..],
        None => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_become_standard_ones() {
        let path = |written| {
            let (base, path, _) = standard(written);
            (base, path)
        };
        assert_eq!(path("$.a"), (Base::Record, "$.a".to_owned()));
        assert_eq!(path("."), (Base::Node, "$".to_owned()));
        assert_eq!(path(".a[0]"), (Base::Node, "$.a[0]".to_owned()));
        assert_eq!(path(".[0]"), (Base::Node, "$[0]".to_owned()));
        assert_eq!(path("..a"), (Base::Node, "$..a".to_owned()));
        assert_eq!(path("^.id"), (Base::Enclosing, "$.id".to_owned()));
        assert_eq!(path("^"), (Base::Enclosing, "$".to_owned()));
    }
}
