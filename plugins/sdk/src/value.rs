//! A value on its way from a record to a column.
//!
//! Borrowed from the record wherever possible: a number keeps its digits as text and is never a float before
//! a column asks for one.

use std::borrow::Cow;

/// One value, as read from a record or made by a normaliser.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// JSON null. An absent member is no value at all.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number in the digits of the record, in JSON's grammar.
    Number(Cow<'a, str>),
    /// Text, unescaped.
    Text(Cow<'a, str>),
    /// An object or an array, as the JSON text of the record.
    Json(Cow<'a, str>),
    /// Microseconds since 1970-01-01T00:00:00Z; only a normaliser makes one.
    Timestamp(i64),
    /// Days since 1970-01-01; only a normaliser makes one.
    Date(i32),
}
