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

/// Bytes in a block of a [`Run`].
const BLOCK: usize = 32;

/// A short stretch of a record, with what stands behind it: a block is copied at once, whatever part of it counts.
#[derive(Clone, Copy, Debug)]
pub struct Run<'r> {
    rest: &'r [u8],
    len: usize,
}

impl<'r> Run<'r> {
    /// The bytes `start..end` of a record.
    #[inline(always)]
    pub fn new(record: &'r [u8], start: usize, end: usize) -> Self {
        let (rest, len) = (&record[start..], end - start);
        assert!(len <= rest.len(), "a run ends within its record");
        Self { rest, len }
    }

    /// The bytes themselves.
    #[inline(always)]
    pub fn bytes(&self) -> &'r [u8] {
        &self.rest[..self.len]
    }

    /// Whether every byte is ASCII. A short run may be told no because of what stands behind it.
    #[inline(always)]
    pub fn is_surely_ascii(&self) -> bool {
        match self.block() {
            Some(block) => block.iter().fold(0, |all, byte| all | byte) < 0x80,
            None => self.bytes().is_ascii(),
        }
    }

    /// Appends the bytes, each changed by `change`.
    #[inline(always)]
    pub(crate) fn append_to(&self, data: &mut Vec<u8>, change: impl Fn(u8) -> u8) {
        match self.block() {
            Some(block) => {
                let (mut block, end) = (*block, data.len() + self.len);
                block.iter_mut().for_each(|byte| *byte = change(*byte));
                data.extend_from_slice(&block);
                data.truncate(end);
            }
            None => data.extend(self.bytes().iter().map(|byte| change(*byte))),
        }
    }

    /// The block that starts with the bytes, if they and what stands behind them fill just one.
    #[inline(always)]
    fn block(&self) -> Option<&'r [u8; BLOCK]> {
        self.rest.first_chunk().filter(|_| self.len <= BLOCK)
    }
}
