//! Which facts are kept: one row a key, for ever.
//!
//! A known key with the same row hash is a duplicate, with another one a conflict; else the fact is kept. The index reaches
//! back as far as the contract's horizon of event time; a fact from before its floor is looked up in the table by its event
//! date, which the pipeline does between [`FactIndex::older`] and [`FactIndex::decide`]. So the horizon bounds the index,
//! not the guarantee. The floor follows the highest plausible event date, never a clock: moving it changes no decision.
//!
//! What this cannot see: a conflicting fact that moves its own event date across the floor is taken for a new one, because
//! the table is asked for the date that the later fact states.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::canonical::Hash;
use super::contract::{Contract, History};
use super::outcome::{Code, RowOutcome};
use super::rows::EntityRows;
use super::store::{ByKey, Short, Store, StoreBounds, StoreError, short};

/// An entry: the first half of the row hash, and the event date in days.
type Fact = [u8; 20];

/// The date of a fact whose contract has no event time: it is never forgotten.
const UNDATED: i32 = i32::MAX;

/// The keys and row hashes of the facts of one entity, back to the horizon.
#[derive(Debug)]
pub struct FactIndex {
    store: Store<Fact>,
    mark: Mark,
    horizon_days: u32,
}

/// What the index says of itself on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// The version of the table that the entries are those of.
    version: Option<u64>,
    /// The highest plausible event date so far.
    date_max: Option<i32>,
}

/// What is to be done with the facts of a batch.
#[derive(Clone, Debug)]
pub struct FactDecisions {
    /// One a row.
    pub outcomes: Vec<RowOutcome>,
    /// What the index takes over after the commit.
    pub delta: FactDelta,
}

/// Facts that are new to the index.
#[derive(Clone, Debug)]
pub struct FactDelta {
    entries: ByKey<Fact>,
    date_max: Option<i32>,
}

/// Facts that the table holds from before the floor of the index.
#[derive(Clone, Debug, Default)]
pub struct OlderFacts(ByKey<Short>);

impl OlderFacts {
    /// Adds a fact as the table has it.
    pub fn insert(&mut self, key: &Hash, row_hash: &Hash) {
        self.0.insert(short(key), short(row_hash));
    }
}

impl FactIndex {
    /// An index without facts. `contract` has `history: append`.
    pub fn new(contract: &Contract, bounds: StoreBounds) -> Self {
        Self { store: Store::new(bounds), mark: Mark::default(), horizon_days: horizon_days(contract) }
    }

    /// What an earlier index left on disk, else an index without facts.
    pub fn open(contract: &Contract, bounds: StoreBounds) -> Result<Self, StoreError> {
        let store = Store::open(bounds.clone())?;
        match store.mark().and_then(|mark| serde_json::from_slice(mark).ok()) {
            Some(mark) => Ok(Self { store, mark, horizon_days: horizon_days(contract) }),
            None => Ok(Self::new(contract, bounds)),
        }
    }

    /// The version of the table that the index is that of; none while it holds nothing.
    pub fn version(&self) -> Option<u64> {
        self.mark.version
    }

    /// The highest plausible event date so far, in days since the epoch. Commits record it, for [`Self::load`].
    pub fn date_max(&self) -> Option<i32> {
        self.mark.date_max
    }

    /// The first event date that the index reaches back to; none as long as it reaches back to all.
    pub fn floor(&self) -> Option<i32> {
        floor(self.mark.date_max, self.horizon_days)
    }

    /// Whether entries lie on disk.
    pub fn is_on_disk(&self) -> bool {
        self.store.is_on_disk()
    }

    /// Brings what lies on disk up to the version of the index.
    pub fn persist(&mut self) -> Result<(), StoreError> {
        self.store.persist()
    }

    /// The event dates for which the table must be asked before `rows` can be decided.
    pub fn older(&self, rows: &EntityRows) -> BTreeSet<i32> {
        let Some(floor) = self.floor() else { return BTreeSet::new() };
        rows.event_date.iter().flatten().copied().filter(|date| *date < floor).collect()
    }

    /// Decides `rows`, in their order, each against the index, the kept rows before it, and `older`: all facts of the dates
    /// that [`Self::older`] named.
    pub fn decide(&self, rows: &EntityRows, older: &OlderFacts) -> Result<FactDecisions, StoreError> {
        // Most facts are new.
        let mut entries: ByKey<Fact> = ByKey::with_capacity_and_hasher(rows.len(), Default::default());
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in 0..rows.len() {
            let (key, hash) = (short(&rows.keys[row]), short(&rows.hashes[row]));
            let known = match entries.get(&key).map(hash_of).or_else(|| older.0.get(&key).copied()) {
                Some(known) => Some(known),
                None => self.store.with(&key, |fact| fact.map(hash_of))?,
            };
            outcomes.push(match known {
                Some(known) if known == hash => RowOutcome::Duplicate,
                Some(_) => RowOutcome::Refused(Code::Conflict),
                None => {
                    let date = rows.event_date.as_ref().map_or(UNDATED, |dates| dates[row]);
                    entries.insert(key, fact(&hash, date));
                    RowOutcome::Kept { arrival: 0 }
                }
            });
        }
        Ok(FactDecisions { outcomes, delta: FactDelta { entries, date_max: rows.event_date_max } })
    }

    /// Takes over what was decided, and forgets what lies before the horizon; `version` is that of the commit which holds
    /// the kept rows.
    pub fn apply(&mut self, delta: FactDelta, version: u64) -> Result<(), StoreError> {
        let floor_before = self.floor();
        self.mark.version = Some(version);
        self.mark.date_max = self.mark.date_max.max(delta.date_max);
        let mut entries = delta.entries;
        let floor = self.floor();
        entries.retain(|_, fact| floor.is_none_or(|floor| date_of(fact) >= floor));
        self.store.apply(serde_json::to_vec(&self.mark).expect("a mark is plain data"), entries)?;
        match floor {
            Some(floor) if floor_before.is_some_and(|before| before < floor) => {
                self.store.retain(|fact| date_of(fact) >= floor)
            }
            _ => Ok(()),
        }
    }

    /// Adds facts read from the table as (key, row hash, event date): a foreign commit, or all from the floor on in any
    /// number of calls. `date_max` is what the last commit recorded, else the highest date in the table.
    pub fn load<'a>(
        &mut self,
        facts: impl IntoIterator<Item = (&'a Hash, &'a Hash, Option<i32>)>,
        date_max: Option<i32>,
        version: u64,
    ) -> Result<(), StoreError> {
        let entries =
            facts.into_iter().map(|(key, hash, date)| (short(key), fact(&short(hash), date.unwrap_or(UNDATED))));
        self.apply(FactDelta { entries: entries.collect(), date_max }, version)
    }
}

fn horizon_days(contract: &Contract) -> u32 {
    match contract.history {
        History::Append { horizon_days, .. } => horizon_days,
        History::Versions { .. } => {
            unreachable!("a fact index is made for history append only: its caller asks the contract")
        }
    }
}

fn floor(date_max: Option<i32>, horizon_days: u32) -> Option<i32> {
    date_max.map(|date| date.saturating_sub_unsigned(horizon_days))
}

fn fact(hash: &Short, date: i32) -> Fact {
    let mut fact = [0; 20];
    fact[..16].copy_from_slice(hash);
    fact[16..].copy_from_slice(&date.to_le_bytes());
    fact
}

fn hash_of(fact: impl AsRef<[u8]>) -> Short {
    *fact.as_ref().first_chunk().expect("an entry has 20 bytes: `fact` makes it so")
}

fn date_of(fact: impl AsRef<[u8]>) -> i32 {
    i32::from_le_bytes(*fact.as_ref().last_chunk().expect("an entry has 20 bytes: `fact` makes it so"))
}
