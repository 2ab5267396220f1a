//! From the log of kept rows of a dimension to the versions of each key.
//!
//! A version is a stretch of the sequence in which nothing changes; of equal sequences the last arrival counts. The fold of
//! a key looks at all its rows, because a late patch may change later versions, so it is done by bucket: all keys whose hash
//! begins alike, in one file. Cells are not copied one by one: for each version and column the fold finds the row that last
//! asserted it, and Arrow takes the cells from there.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;

use super::canonical::{Cells, Hash};
use super::contract::Table;
use super::plan::EntityPlan;
use super::rows::{cells, row_hasher};
use super::written::{hashes, named, read_changes};
use crate::entity::Operation;

/// The size that a bucket's file should stay near, in bytes.
pub const BUCKET_BYTES: u64 = 16 << 20;

/// The most bits of a key that name a bucket.
pub const BUCKET_BITS_MAX: u8 = 16;

/// The bucket of a key: `b` and its first `bits` bits.
pub fn bucket(key: &Hash, bits: u8) -> String {
    let bit = |at: u8| if key[usize::from(at / 8)] >> (7 - at % 8) & 1 == 1 { '1' } else { '0' };
    std::iter::once('b').chain((0..bits).map(bit)).collect()
}

/// How many bits the buckets of a table of `bytes` should have: never fewer than now, so that a table does not go back and
/// forth between two layouts.
pub fn bucket_bits(bytes: u64, bits_now: u8) -> u8 {
    let buckets = bytes.div_ceil(BUCKET_BYTES).max(1);
    let bits = buckets.next_power_of_two().trailing_zeros() as u8;
    bits.min(BUCKET_BITS_MAX).max(bits_now)
}

/// Folds all kept rows of the keys of one bucket into their versions, in the schema of [`Table::Versions`], by key and time.
///
/// `changes` has the schema of [`Table::Changes`], in any order.
pub fn fold(plan: &EntityPlan, changes: &RecordBatch, bucket: &str) -> RecordBatch {
    let (rows, arrivals) = read_changes(plan, changes);
    let sequences = rows.sequence.as_ref().unwrap_or(&arrivals);
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_unstable_by_key(|row| {
        let row = *row as usize;
        (&rows.keys[row], sequences[row], arrivals[row])
    });
    let valid_from = named(changes, "_valid_from").as_primitive::<TimestampMicrosecondType>().values();
    let state = plan.contract.state_columns(plan.links.len());
    let mut versions =
        Versions::new(state.iter().map(|column| cells(&plan.contract, &rows.columns, *column)).collect());
    for key in order.chunk_by(|a, b| rows.keys[*a as usize] == rows.keys[*b as usize]) {
        // A stub counts only while the key has nothing else.
        let mut real: Vec<u32> =
            key.iter().copied().filter(|row| rows.operations.get(*row as usize) != Operation::Stub).collect();
        if real.is_empty() {
            real.push(key[0]);
        }
        versions.begin_key();
        for moment in real.chunk_by(|a, b| sequences[*a as usize] == sequences[*b as usize]) {
            for row in moment {
                let operation = rows.operations.get(*row as usize);
                let asserts = |at: usize| operation == Operation::Stub || rows.asserts(*row as usize, state[at]);
                versions.assert(*row, operation == Operation::Delete, asserts);
            }
            let head = *moment.last().expect("chunk_by gives no empty chunk");
            versions.settle(head, valid_from[head as usize]);
        }
        versions.end_key();
    }
    versions.table(plan, changes, &rows.columns, &state, bucket)
}

/// Versions as they are found: for each, the rows that its cells come from.
struct Versions<'a> {
    cells: Vec<Cells<'a>>,
    /// The row that last asserted each state column of the key at hand, and whether it ended the key.
    now: Vec<Option<u32>>,
    deleted_now: bool,
    /// The same for the key's last version.
    last: Vec<Option<u32>>,
    first_of_key: usize,
    /// For each version: the row that began it, the source of each column, the time, the state.
    heads: Vec<u32>,
    sources: Vec<Vec<Option<u32>>>,
    valid_from: Vec<i64>,
    valid_to: Vec<Option<i64>>,
    deleted: Vec<bool>,
}

impl<'a> Versions<'a> {
    fn new(cells: Vec<Cells<'a>>) -> Self {
        let columns = cells.len();
        Self {
            cells,
            now: vec![None; columns],
            deleted_now: false,
            last: vec![None; columns],
            first_of_key: 0,
            heads: vec![],
            sources: vec![vec![]; columns],
            valid_from: vec![],
            valid_to: vec![],
            deleted: vec![],
        }
    }

    fn begin_key(&mut self) {
        self.now.fill(None);
        self.first_of_key = self.heads.len();
    }

    fn assert(&mut self, row: u32, deletes: bool, asserts: impl Fn(usize) -> bool) {
        self.deleted_now = deletes;
        for (column, source) in self.now.iter_mut().enumerate() {
            if asserts(column) {
                *source = Some(row);
            }
        }
    }

    /// Begins a version at `head` if anything differs from the last one; a column never asserted differs from a null.
    fn settle(&mut self, head: u32, valid_from: i64) {
        let same = |((now, last), cells): ((&Option<u32>, &Option<u32>), &Cells<'_>)| match (now, last) {
            (Some(now), Some(last)) => now == last || cells.same(*now as usize, *last as usize),
            (now, last) => now == last,
        };
        let begins = self.heads.len() == self.first_of_key;
        let unchanged = || {
            self.deleted.last() == Some(&self.deleted_now) && self.now.iter().zip(&self.last).zip(&self.cells).all(same)
        };
        if !begins && unchanged() {
            return;
        }
        let valid_from =
            if begins { valid_from } else { valid_from.max(*self.valid_from.last().expect("the key has a version")) };
        if !begins {
            self.valid_to.push(Some(valid_from));
        }
        self.heads.push(head);
        self.valid_from.push(valid_from);
        self.deleted.push(self.deleted_now);
        self.sources.iter_mut().zip(&self.now).for_each(|(sources, now)| sources.push(*now));
        self.last.copy_from_slice(&self.now);
    }

    fn end_key(&mut self) {
        self.valid_to.push(None);
    }

    fn table(
        self,
        plan: &EntityPlan,
        changes: &RecordBatch,
        columns: &[ArrayRef],
        state: &[usize],
        bucket: &str,
    ) -> RecordBatch {
        let heads = UInt32Array::from(self.heads);
        let at_head = |values: &ArrayRef| take(values, &heads, None).expect("heads are rows of the changes");
        let mut sources = self.sources.into_iter();
        let mut out: Vec<ArrayRef> = Vec::new();
        for (index, values) in columns.iter().enumerate() {
            out.push(if state.contains(&index) {
                let sources = UInt32Array::from(sources.next().expect("there is a source list for each state column"));
                take(values, &sources, None).expect("sources are rows of the changes")
            } else {
                at_head(values)
            });
        }
        let n = arrow::array::Array::len(&heads);
        let mut hasher = row_hasher(&plan.contract, &plan.links, &out);
        let row_hashes = hashes((0..n).map(|row| hasher.hash(row, Operation::Upsert, |_| true)));
        out.push(at_head(named(changes, "_key")));
        out.push(row_hashes);
        out.push(Arc::new(TimestampMicrosecondArray::from(self.valid_from).with_timezone("UTC")));
        let current = self.valid_to.iter().map(|to| Some(to.is_none())).collect::<BooleanArray>();
        out.push(Arc::new(TimestampMicrosecondArray::from(self.valid_to).with_timezone("UTC")));
        out.push(Arc::new(current));
        out.push(Arc::new(BooleanArray::from(self.deleted)));
        for name in ["_position", "_checksum", "_manifest_id", "_dq_passed", "_dq_failure_reason"] {
            out.push(at_head(named(changes, name)));
        }
        out.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(bucket, n))));
        RecordBatch::try_new(plan.contract.silver_schema(Table::Versions, &plan.links), out)
            .expect("the columns follow the contract's schema")
    }
}
