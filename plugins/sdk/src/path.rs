//! JSONPath (RFC 9535) as a plan can use it: queries and conditions, parsed and checked.
//!
//! The grammar is `jsonpath-rust`'s; what it leaves open (the types of functions) is checked here. Nothing here
//! reads a record: [`extract`](crate::extract) does. Names are kept as numbers in a table of their path, so that a
//! plan can join the tables and compare numbers instead of text.

mod parse;
mod query;

pub(crate) use query::{
    Extent, Label, Literal, Logical, Operand, Operator, Origin, Pattern, Query, Segment, Selector, Step,
};

/// A parsed JSONPath. It starts at `$`; what `$` stands for is said where the path is used.
#[derive(Clone, Debug)]
pub struct Path {
    text: String,
    pub(crate) names: Vec<String>,
    pub(crate) query: Query,
}

impl Path {
    /// Parses `text`, which starts with `$`.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let (query, names) = parse::query(text)?;
        Ok(Path { text: text.to_owned(), names, query })
    }

    /// True where the path selects at most one node: names and indexes alone.
    pub fn is_singular(&self) -> bool {
        self.query.is_singular()
    }

    /// The path as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A parsed logical expression, what stands behind the `?` of a filter: `@` is the node, `$` the record.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    pub(crate) names: Vec<String>,
    pub(crate) logical: Logical,
}

impl Condition {
    /// Parses `text`, for example `@.state == 'erased'`.
    pub fn parse(text: &str) -> Result<Condition, PathError> {
        let (logical, names) = parse::condition(text)?;
        Ok(Condition { text: text.to_owned(), names, logical })
    }

    /// The condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The paths that the condition compares with `!= null`: true in RFC 9535 also where the path is absent.
    pub fn unequal_to_null(&self) -> bool {
        self.logical.is_unequal_to_null()
    }
}

/// A text that is no JSONPath, or a condition that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What was found and what was expected.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, offset: usize, words: &str) {
        let error = Path::parse(text).expect_err(text);
        assert!(error.message.contains(words), "{text}: {error}");
        assert_eq!(error.offset, offset, "{text}: {error}");
    }

    #[test]
    fn a_singular_path_selects_at_most_one_node() {
        for (text, singular) in [
            ("$", true),
            ("$.a['b'][0]", true),
            ("$.a[-1]", true),
            ("$.a[*]", false),
            ("$..a", false),
            ("$['a','b']", false),
            ("$[0:1]", false),
            ("$[?@.a]", false),
        ] {
            assert_eq!(Path::parse(text).expect(text).is_singular(), singular, "{text}");
        }
    }

    #[test]
    fn an_error_names_the_place_and_what_was_found() {
        refused("$.a b", 4, "found `b`");
        refused("$[?@.a  b == 1]", 8, "found `b`");
        refused("$[?@. a == 1]", 6, "white space");
        refused("a.b", 0, "found `a`");
        refused("$.a[", 4, "found the end");
        refused("$[?length(@.a)]", 0, "`length(…)`");
        refused("$[?match(@.a, 'b') == true]", 0, "match");
        refused("$[?length(@.*) == 1]", 0, "`length`");
        refused("$[?in(@.a, $.b)]", 0, "`in`");
    }

    #[test]
    fn a_condition_is_one_expression() {
        assert!(Condition::parse("@.a == 1 && !@.b").is_ok());
        assert!(Condition::parse("$.kind == 'heartbeat'").is_ok());
        for text in ["@.a], [?@.b", "@.a].b[?@.c", "", "@.a ==", "@.a = 1"] {
            let error = Condition::parse(text).expect_err(text);
            assert!(error.offset <= text.len(), "{text}: {error:?}");
        }
    }

    #[test]
    fn unequal_to_null_is_found_where_it_stands() {
        for (text, found) in [
            ("@.a != null", true),
            ("@.b == 1 && (@.a != null || @.c)", true),
            ("null != @.a", true),
            ("@.a == null", false),
            ("@.a != 'null'", false),
        ] {
            assert_eq!(Condition::parse(text).expect(text).unequal_to_null(), found, "{text}");
        }
    }
}
