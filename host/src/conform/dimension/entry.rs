//! The kept rows of one key as one byte string, and what they say at a sequence.
//!
//! Rows lie by (sequence, arrival), each of one width, so that a sequence is found by bisection in the bytes themselves:
//!
//! ```text
//! sequence:8  arrival:8  operation:1  row hash:16  asserted: one bit a column  the hash of each column: 16 each
//! ```
//!
//! Row hashes and column hashes are cut to 16 bytes: 2^64 tries make two meet, at a cost to nobody but who tried. Stubs say
//! nothing but that the key exists: any other row makes them as if they had never been.

use super::super::store::Short;
use crate::entity::Operation;

/// The form of an entry for a number of state columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    columns: usize,
}

const ARRIVAL: usize = 8;
const OPERATION: usize = 16;
const HASH: usize = 17;
const ASSERTED: usize = 33;

/// A row that is to be decided or inserted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) sequence: i64,
    pub(super) arrival: i64,
    pub(super) operation: Operation,
    pub(super) hash: Short,
}

impl Layout {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns }
    }

    fn width(self) -> usize {
        ASSERTED + self.columns.div_ceil(8) + 16 * self.columns
    }

    /// Puts a kept row in its place; `asserted` gives the hash of each column that it asserts.
    pub(super) fn insert(self, bytes: &mut Vec<u8>, row: &Candidate, mut asserted: impl FnMut(usize) -> Option<Short>) {
        let entry = Entry::new(self, bytes);
        let place = entry.after(|at| (entry.sequence(at), entry.arrival(at)) < (row.sequence, row.arrival));
        let (place, width) = (place * self.width(), self.width());
        // Exactly so much: most keys have one row, and entries are the memory of the index.
        bytes.reserve_exact(width);
        bytes.splice(place..place, std::iter::repeat_n(0, width));
        let bytes = &mut bytes[place..place + width];
        bytes[..ARRIVAL].copy_from_slice(&row.sequence.to_le_bytes());
        bytes[ARRIVAL..OPERATION].copy_from_slice(&row.arrival.to_le_bytes());
        bytes[OPERATION] = row.operation as u8;
        bytes[HASH..ASSERTED].copy_from_slice(&row.hash);
        let hashes = ASSERTED + self.columns.div_ceil(8);
        for column in 0..self.columns {
            if let Some(hash) = asserted(column) {
                bytes[ASSERTED + column / 8] |= 1 << (column % 8);
                bytes[hashes + 16 * column..][..16].copy_from_slice(&hash);
            }
        }
    }
}

/// The kept rows of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    layout: Layout,
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(super) fn new(layout: Layout, bytes: &'a [u8]) -> Self {
        Self { layout, bytes }
    }

    /// Whether these rows already say, at its sequence, all that `row` asserts, or hold the same row there. `by_arrival`:
    /// nothing orders rows but their arrival, so no two have the same sequence. `asserted` is asked only when the rows'
    /// own hashes do not decide.
    pub(super) fn says(
        &self,
        row: &Candidate,
        by_arrival: bool,
        asserted: &mut dyn FnMut(usize) -> Option<Short>,
    ) -> bool {
        if row.operation == Operation::Stub {
            return self.len() > 0;
        }
        let end = self.after(|at| self.sequence(at) <= row.sequence);
        let before = (0..end).rev().filter(|at| self.operation(*at) != STUB);
        let Some(last) = before.clone().next() else { return false };
        let operation = row.operation as u8;
        if operation == UPSERT && self.operation(last) == UPSERT && *self.hash(last) == row.hash {
            return true;
        }
        let same = |at: usize| self.operation(at) == operation && *self.hash(at) == row.hash;
        if !by_arrival && before.clone().take_while(|at| self.sequence(*at) == row.sequence).any(same) {
            return true;
        }
        match row.operation {
            Operation::Delete => self.operation(last) == DELETE,
            _ if self.operation(last) == DELETE => false,
            // Two upserts say the same exactly if their hashes do.
            Operation::Upsert if self.operation(last) == UPSERT => false,
            _ => (0..self.layout.columns).all(|column| match asserted(column) {
                None => true,
                Some(hash) => before
                    .clone()
                    .find(|at| self.asserts(*at, column))
                    .is_some_and(|at| *self.column(at, column) == hash),
            }),
        }
    }

    fn len(&self) -> usize {
        self.bytes.len() / self.layout.width()
    }

    /// The first row for which `before` no longer holds.
    fn after(&self, before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn row(&self, at: usize) -> &'a [u8] {
        &self.bytes[at * self.layout.width()..][..self.layout.width()]
    }

    fn part<const N: usize>(&self, at: usize, offset: usize) -> &'a [u8; N] {
        self.row(at)[offset..].first_chunk().expect("a row is as wide as its layout says: insert writes whole rows")
    }

    fn sequence(&self, at: usize) -> i64 {
        i64::from_le_bytes(*self.part(at, 0))
    }

    fn arrival(&self, at: usize) -> i64 {
        i64::from_le_bytes(*self.part(at, ARRIVAL))
    }

    fn operation(&self, at: usize) -> u8 {
        self.row(at)[OPERATION]
    }

    fn hash(&self, at: usize) -> &'a Short {
        self.part(at, HASH)
    }

    fn asserts(&self, at: usize, column: usize) -> bool {
        self.row(at)[ASSERTED + column / 8] >> (column % 8) & 1 == 1
    }

    fn column(&self, at: usize, column: usize) -> &'a Short {
        self.part(at, ASSERTED + self.layout.columns.div_ceil(8) + 16 * column)
    }
}

const UPSERT: u8 = Operation::Upsert as u8;
const STUB: u8 = Operation::Stub as u8;
const DELETE: u8 = Operation::Delete as u8;
