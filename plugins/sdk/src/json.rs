//! A strict JSON scanner: what a conforming parser (RFC 8259) refuses, it refuses, also where it only skips.
//!
//! It knows bytes and grammar, not paths; [`extract`](crate::extract) steers it and records what paths follow.
//! UTF-8 is checked once, over the whole record, before the scan: outside of strings every byte that is not
//! ASCII breaks the grammar anyway, and the standard library's check is quicker than one woven into the scan.

mod number;
mod run;
mod scan;
mod text;

pub(crate) use number::compare;
pub(crate) use scan::{Fault, Refused, Scanner};
pub(crate) use text::{quoted, unescape, utf8};

/// Containers may nest this deep. Deeper records are refused, so that no record can exhaust the stack.
pub const DEPTH_MAX: usize = 512;

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonError {
    /// Where, in bytes from the start of the record.
    pub offset: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

impl JsonError {
    /// A short word for the refusal: `duplicate_key`, or `invalid_json`.
    pub fn code(&self) -> &'static str {
        match self.kind {
            JsonErrorKind::DuplicateKey { .. } => "duplicate_key",
            _ => "invalid_json",
        }
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// A name that a path follows stands twice in one object.
    #[error("the name `{key}` stands twice in its object, expected it once because a path follows it")]
    DuplicateKey {
        /// The name, without escapes.
        key: String,
    },
    /// The record is empty, or ends within a value.
    #[error("the record ends, expected the rest of a JSON value")]
    UnexpectedEnd,
    /// A byte that the grammar does not allow here.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// The byte, as text where it is printable.
        found: String,
        /// What the grammar allows.
        expected: &'static str,
    },
    /// A `\u` escape names half of a surrogate pair.
    #[error("found half of a surrogate pair, expected both halves or none")]
    LoneSurrogate,
    /// Containers nest deeper than [`DEPTH_MAX`].
    #[error("containers nest deeper than {DEPTH_MAX}, expected no more")]
    TooDeep,
    /// The bytes are not UTF-8.
    #[error("found bytes that are not UTF-8, expected UTF-8")]
    NotUtf8,
    /// Records end before 4 GiB, because places in them are 32 bits wide.
    #[error("the record is longer than {} bytes", u32::MAX)]
    TooLong,
}
