//! Which rows of a dimension are kept: DESIGN's rule, decided against the kept rows of each key.
//!
//! A row is a duplicate if the kept rows of its key already say, at its sequence, all that it asserts, or hold the same row
//! at the same sequence. [`DimensionIndex::decide`] changes nothing: rows earlier in the same batch count through an
//! overlay, and [`DimensionIndex::apply`] takes the overlay over once the commit is certain. The index holds nothing that
//! the log does not say, so one that is [loaded](DimensionIndex::load) from the log decides the same.
//!
//! The usual row, an upsert of what is known, costs one look-up and a binary search; columns are hashed only for rows that
//! are kept and where a patch lies before a row.

mod entry;

use hashbrown::hash_map::Entry as Slot;
use serde::{Deserialize, Serialize};

use self::entry::{Candidate, Entry, Layout};
use super::canonical::{Cells, Hash};
use super::contract::{History, Keep};
use super::outcome::RowOutcome;
use super::plan::EntityPlan;
use super::rows::{EntityRows, cells};
use super::store::{ByKey, Short, Store, StoreBounds, StoreError, short};

/// The kept rows of every key of one dimension, compact.
#[derive(Debug)]
pub struct DimensionIndex {
    store: Store<Vec<u8>>,
    mark: Mark,
    layout: Layout,
    keep: Keep,
    by_arrival: bool,
}

/// What the index says of itself on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// The version of `<entity>_changes` that the entries are those of.
    version: Option<u64>,
    /// The number that the next kept row gets.
    next_arrival: i64,
    /// The names of the state columns, in the order of the entries: another list is another index.
    columns: Vec<String>,
}

/// What is to be done with the rows of a batch.
#[derive(Clone, Debug)]
pub struct Decisions {
    /// One a row.
    pub outcomes: Vec<RowOutcome>,
    /// What the index takes over after the commit.
    pub delta: Delta,
}

/// Entries that change, and the arrival that follows.
#[derive(Clone, Debug)]
pub struct Delta {
    entries: ByKey<Vec<u8>>,
    next_arrival: i64,
}

impl DimensionIndex {
    /// An index without rows. `plan` is of an entity with `history: scd2`.
    pub fn new(plan: &EntityPlan, bounds: StoreBounds) -> Self {
        Self::over(plan, Store::new(bounds))
    }

    /// What an earlier index of the same columns left on disk, else an index without rows.
    pub fn open(plan: &EntityPlan, bounds: StoreBounds) -> Result<Self, StoreError> {
        let mut index = Self::over(plan, Store::open(bounds.clone())?);
        let mark = index.store.mark().and_then(|mark| serde_json::from_slice::<Mark>(mark).ok());
        match mark.filter(|mark| mark.columns == index.mark.columns) {
            Some(mark) => {
                index.mark = mark;
                Ok(index)
            }
            None => Ok(Self::new(plan, bounds)),
        }
    }

    fn over(plan: &EntityPlan, store: Store<Vec<u8>>) -> Self {
        let History::Versions { sequence, keep } = plan.contract.history else {
            unreachable!("a dimension index is made for history scd2 only: its caller asks the contract")
        };
        let columns: Vec<String> =
            plan.contract.state_columns(plan.links.len()).into_iter().map(|column| plan.column_name(column)).collect();
        let layout = Layout::new(columns.len());
        Self {
            store,
            mark: Mark { version: None, next_arrival: 0, columns },
            layout,
            keep,
            by_arrival: sequence.is_none(),
        }
    }

    /// The version of `<entity>_changes` that the index is that of; none while it holds nothing.
    pub fn version(&self) -> Option<u64> {
        self.mark.version
    }

    /// The number that the next kept row gets.
    pub fn next_arrival(&self) -> i64 {
        self.mark.next_arrival
    }

    /// Whether entries lie on disk.
    pub fn is_on_disk(&self) -> bool {
        self.store.is_on_disk()
    }

    /// Brings what lies on disk up to the version of the index.
    pub fn persist(&mut self) -> Result<(), StoreError> {
        self.store.persist()
    }

    /// Whether the index holds the keys of its dimension: one that keeps every row decides nothing and holds none.
    pub fn knows_keys(&self) -> bool {
        self.keep == Keep::Changes
    }

    /// Whether the dimension has rows of `key`.
    pub fn holds(&self, key: &Hash) -> Result<bool, StoreError> {
        self.store.with(&short(key), |entry| entry.is_some())
    }

    /// Decides `rows`, in their order, each against the index and the kept rows before it.
    pub fn decide(&self, plan: &EntityPlan, rows: &EntityRows) -> Result<Decisions, StoreError> {
        let mut next_arrival = self.mark.next_arrival;
        let mut entries: ByKey<Vec<u8>> = ByKey::default();
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut view = View::new(plan, rows, self.by_arrival);
        for row in 0..rows.len() {
            if self.keep == Keep::Changes {
                let candidate = view.candidate(row, next_arrival);
                let key = short(&rows.keys[row]);
                let mut says = |bytes: Option<&[u8]>| {
                    bytes.is_some_and(|bytes| {
                        Entry::new(self.layout, bytes)
                            .says(&candidate, self.by_arrival, &mut |column| view.asserted(row, column))
                    })
                };
                let known = match entries.get(&key) {
                    Some(bytes) => says(Some(bytes)),
                    None => self.store.with(&key, says)?,
                };
                if known {
                    outcomes.push(RowOutcome::Duplicate);
                    continue;
                }
                let bytes = self.touched(&mut entries, key)?;
                self.layout.insert(bytes, &candidate, |column| view.asserted(row, column));
            }
            outcomes.push(RowOutcome::Kept { arrival: next_arrival });
            next_arrival += 1;
        }
        Ok(Decisions { outcomes, delta: Delta { entries, next_arrival } })
    }

    /// The entry of `key` in the overlay, copied there from the store when it is first changed.
    fn touched<'a>(&self, overlay: &'a mut ByKey<Vec<u8>>, key: Short) -> Result<&'a mut Vec<u8>, StoreError> {
        Ok(match overlay.entry(key) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(self.store.with(&key, |bytes| bytes.unwrap_or_default().to_vec())?),
        })
    }

    /// Takes over what was decided; `version` is that of the commit which holds the kept rows.
    pub fn apply(&mut self, delta: Delta, version: u64) -> Result<(), StoreError> {
        self.mark.next_arrival = delta.next_arrival;
        self.mark.version = Some(version);
        let mark = serde_json::to_vec(&self.mark).expect("a mark is plain data");
        self.store.apply(mark, delta.entries)
    }

    /// Adds rows read from `<entity>_changes` with their arrivals: a foreign commit, or the whole log in any order and in
    /// any number of calls, the last of them with the version it was read at.
    pub fn load(
        &mut self,
        plan: &EntityPlan,
        rows: &EntityRows,
        arrivals: &[i64],
        version: u64,
    ) -> Result<(), StoreError> {
        let mut entries: ByKey<Vec<u8>> = ByKey::default();
        let mut next_arrival = self.mark.next_arrival;
        let mut view = View::new(plan, rows, self.by_arrival);
        for (row, arrival) in arrivals.iter().enumerate() {
            next_arrival = next_arrival.max(arrival + 1);
            if self.keep == Keep::All {
                continue;
            }
            let candidate = view.candidate(row, *arrival);
            let key = short(&rows.keys[row]);
            let bytes = self.touched(&mut entries, key)?;
            self.layout.insert(bytes, &candidate, |column| view.asserted(row, column));
        }
        self.apply(Delta { entries, next_arrival }, version)
    }
}

/// The rows of a batch as the index looks at them.
struct View<'a> {
    rows: &'a EntityRows,
    /// The state columns: their index in the rows, their cells.
    columns: Vec<(usize, Cells<'a>)>,
    by_arrival: bool,
    buffer: Vec<u8>,
}

impl<'a> View<'a> {
    fn new(plan: &EntityPlan, rows: &'a EntityRows, by_arrival: bool) -> Self {
        let columns = plan.contract.state_columns(plan.links.len());
        let columns =
            columns.into_iter().map(|column| (column, cells(&plan.contract, &rows.columns, column))).collect();
        Self { rows, columns, by_arrival, buffer: Vec::new() }
    }

    fn candidate(&self, row: usize, arrival: i64) -> Candidate {
        let sequence = match &self.rows.sequence {
            Some(sequence) if !self.by_arrival => sequence[row],
            _ => arrival,
        };
        Candidate { sequence, arrival, operation: self.rows.operations.get(row), hash: short(&self.rows.hashes[row]) }
    }

    /// The hash of state column `column` (counted over the state columns) where `row` asserts it.
    fn asserted(&mut self, row: usize, column: usize) -> Option<[u8; 16]> {
        let (index, cells) = &self.columns[column];
        if !self.rows.asserts(row, *index) {
            return None;
        }
        self.buffer.clear();
        cells.encode(row, &mut self.buffer);
        let hash = blake3::hash(&self.buffer);
        hash.as_bytes().first_chunk().copied()
    }
}
