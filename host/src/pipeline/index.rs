//! The dedup index of one table, and bringing it up to the table.
//!
//! The deciding is `conform`'s; this is what feeds it: rows read from the table where the index lies behind, and facts
//! from before the horizon where a batch holds such.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use futures::TryStreamExt;

use super::PipelineError;
use crate::conform::contract::{Contract, History};
use crate::conform::dimension::{self, DimensionIndex};
use crate::conform::fact::{FactDelta, FactIndex, OlderFacts};
use crate::conform::outcome::RowOutcome;
use crate::conform::plan::EntityPlan;
use crate::conform::rows::{DAY_MICROS, EntityRows};
use crate::conform::store::{StoreBounds, StoreError};
use crate::conform::written::{self, Lineage, read_changes, read_hashes};
use crate::entity::DataType;
use crate::lake::{DataFile, Filter, Scan, Table};

/// The version of an index that is being loaded: that of no table, so that an index whose loading was cut short is
/// loaded again.
const LOADING: u64 = u64::MAX;

/// The index of a dimension or a fact. Clones share it.
#[derive(Clone, Debug)]
pub(super) enum Index {
    Dimension(Arc<RwLock<DimensionIndex>>),
    Fact(Arc<RwLock<FactIndex>>),
}

/// What the index takes over once the rows are committed.
pub(super) enum Delta {
    Dimension(dimension::Delta),
    Fact(FactDelta),
}

/// The indexes of a tenant's dimensions, by entity: what references are looked up in.
pub(super) struct Dimensions(pub(super) BTreeMap<String, Arc<RwLock<DimensionIndex>>>);

const POISON: &str = "nobody panics while holding an index";

impl Index {
    /// What an earlier run left on disk, else an empty index.
    pub(super) fn open(plan: &EntityPlan, bounds: StoreBounds) -> Result<Self, StoreError> {
        Ok(match plan.contract.history {
            History::Versions { .. } => Self::Dimension(Arc::new(RwLock::new(DimensionIndex::open(plan, bounds)?))),
            History::Append { .. } => Self::Fact(Arc::new(RwLock::new(FactIndex::open(&plan.contract, bounds)?))),
        })
    }

    fn empty(plan: &EntityPlan, bounds: StoreBounds) -> Self {
        match plan.contract.history {
            History::Versions { .. } => Self::Dimension(Arc::new(RwLock::new(DimensionIndex::new(plan, bounds)))),
            History::Append { .. } => Self::Fact(Arc::new(RwLock::new(FactIndex::new(&plan.contract, bounds)))),
        }
    }

    fn version(&self) -> Option<u64> {
        match self {
            Self::Dimension(index) => index.read().expect(POISON).version(),
            Self::Fact(index) => index.read().expect(POISON).version(),
        }
    }

    /// Decides the rows of a batch; changes nothing.
    pub(super) fn decide(
        &self,
        plan: &EntityPlan,
        rows: &EntityRows,
        older: &OlderFacts,
    ) -> Result<(Vec<RowOutcome>, Delta), StoreError> {
        Ok(match self {
            Self::Dimension(index) => {
                let decisions = index.read().expect(POISON).decide(plan, rows)?;
                (decisions.outcomes, Delta::Dimension(decisions.delta))
            }
            Self::Fact(index) => {
                let decisions = index.read().expect(POISON).decide(rows, older)?;
                (decisions.outcomes, Delta::Fact(decisions.delta))
            }
        })
    }

    /// The kept rows in the form of their table.
    pub(super) fn written(
        &self,
        plan: &EntityPlan,
        rows: &EntityRows,
        outcomes: &[RowOutcome],
        of: Lineage<'_>,
    ) -> RecordBatch {
        match self {
            Self::Dimension(_) => written::changes(plan, rows, outcomes, of),
            Self::Fact(_) => written::facts(plan, rows, outcomes, of),
        }
    }

    /// Takes over what was decided, after its commit made `version` of the table.
    pub(super) fn apply(&self, delta: Delta, version: i64) -> Result<(), StoreError> {
        match (self, delta) {
            (Self::Dimension(index), Delta::Dimension(delta)) => {
                index.write().expect(POISON).apply(delta, version as u64)
            }
            (Self::Fact(index), Delta::Fact(delta)) => index.write().expect(POISON).apply(delta, version as u64),
            _ => unreachable!("a delta comes from the index it goes to: settle decides and applies in one function"),
        }
    }

    /// Brings the index up to `table`: from where it stands if the log still says what came since, else from nothing.
    pub(super) async fn follow(
        &mut self,
        plan: &EntityPlan,
        table: &Table,
        bounds: StoreBounds,
    ) -> Result<(), PipelineError> {
        let to = table.version();
        let news = match self.version().and_then(|version| i64::try_from(version).ok()) {
            Some(version) if version == to => return Ok(()),
            Some(version) if version < to => table.entries(version + 1, to).await.ok(),
            _ => None,
        };
        let files: Vec<DataFile> = match news {
            Some(entries) => entries.into_iter().flat_map(|entry| entry.adds).collect(),
            None => {
                *self = Self::empty(plan, bounds);
                table.files().await.map_err(|source| PipelineError::lake("list a table's files", source))?
            }
        };
        for file in &files {
            let mut batches = table.reader().scan(file, self.columns(plan));
            while let Some(rows) =
                batches.try_next().await.map_err(|source| PipelineError::lake("read kept rows", source))?
            {
                self.load(plan, &rows, LOADING)?;
            }
        }
        let nothing = RecordBatch::new_empty(table.schema().clone());
        self.load(plan, &nothing, to as u64)?;
        Ok(self.persist()?)
    }

    /// Leaves on disk, where entries lie there, all that the index knows.
    pub(super) fn persist(&self) -> Result<(), StoreError> {
        match self {
            Self::Dimension(index) => index.write().expect(POISON).persist(),
            Self::Fact(index) => index.write().expect(POISON).persist(),
        }
    }

    /// The columns that loading needs: all of a dimension, the hashes and the time of a fact.
    fn columns(&self, plan: &EntityPlan) -> Scan {
        match self {
            Self::Dimension(_) => Scan::default(),
            Self::Fact(_) => Scan::columns(&fact_columns(&plan.contract)),
        }
    }

    fn load(&self, plan: &EntityPlan, rows: &RecordBatch, version: u64) -> Result<(), PipelineError> {
        match self {
            Self::Dimension(index) => {
                let (rows, arrivals) = read_changes(plan, rows);
                index.write().expect(POISON).load(plan, &rows, &arrivals, version)?;
            }
            Self::Fact(index) => {
                let (keys, hashes, dates) =
                    (read_hashes(rows, "_key"), read_hashes(rows, "_row_hash"), dates(&plan.contract, rows));
                let latest = dates.iter().flatten().copied().max();
                let facts = keys.iter().zip(&hashes).zip(dates).map(|((key, hash), date)| (key, hash, date));
                index.write().expect(POISON).load(facts, latest, version)?;
            }
        }
        Ok(())
    }

    /// The facts of the table that `rows` must be compared with and that lie before the floor of the index.
    pub(super) async fn older(
        &self,
        plan: &EntityPlan,
        table: &Table,
        rows: &EntityRows,
    ) -> Result<OlderFacts, PipelineError> {
        let mut older = OlderFacts::default();
        let Self::Fact(index) = self else { return Ok(older) };
        let wanted = index.read().expect(POISON).older(rows);
        let (Some(first), Some(last), Some(column)) = (wanted.first(), wanted.last(), plan.contract.event_time())
        else {
            return Ok(older);
        };
        let (first, last) = (day(*first), day(*last));
        let name = &plan.contract.columns[column].name;
        let failed = |source| PipelineError::lake("look up old facts", source);
        for file in table.files().await.map_err(failed)? {
            if !may_hold(&file, name, &first, &last) {
                continue;
            }
            let scan = Scan { filter: Some(on_dates(plan.contract.clone(), wanted.clone())), ..self.columns(plan) };
            let mut batches = table.reader().scan(&file, scan);
            while let Some(rows) = batches.try_next().await.map_err(failed)? {
                let (keys, hashes) = (read_hashes(&rows, "_key"), read_hashes(&rows, "_row_hash"));
                keys.iter().zip(&hashes).for_each(|(key, hash)| older.insert(key, hash));
            }
        }
        Ok(older)
    }
}

impl Dimensions {
    /// How many kept rows refer to a key that its dimension does not hold, by link. References to facts, to entities
    /// that the tenant does not fill, and to dimensions that keep every row (whose index holds no keys) are not counted.
    pub(super) fn dangling(
        &self,
        plan: &EntityPlan,
        rows: &EntityRows,
        outcomes: &[RowOutcome],
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        for (link, keys) in plan.links.iter().zip(&rows.columns[plan.contract.columns.len()..]) {
            let Some(target) = self.0.get(&link.entity) else { continue };
            let (target, keys) = (target.read().expect(POISON), keys.as_binary::<i32>());
            if !target.knows_keys() {
                continue;
            }
            let mut count = 0;
            for (row, outcome) in outcomes.iter().enumerate() {
                if !matches!(outcome, RowOutcome::Kept { .. }) || keys.is_null(row) {
                    continue;
                }
                let key = keys.value(row).try_into().expect("a reference has 32 bytes: conform hashed it");
                count += u64::from(!target.holds(key)?);
            }
            counts.insert(link.name.clone(), count);
        }
        Ok(counts)
    }
}

fn fact_columns(contract: &Contract) -> Vec<&str> {
    let time = contract.event_time().map(|column| contract.columns[column].name.as_str());
    ["_key", "_row_hash"].into_iter().chain(time).collect()
}

/// The event date of each fact, in days since the epoch.
fn dates(contract: &Contract, rows: &RecordBatch) -> Vec<Option<i32>> {
    let Some(column) = contract.event_time() else { return vec![None; rows.num_rows()] };
    let Some(values) = rows.column_by_name(&contract.columns[column].name) else { return vec![None; rows.num_rows()] };
    match contract.columns[column].data_type {
        DataType::Date => values.as_primitive::<Date32Type>().iter().collect(),
        _ => values
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .map(|time| time.map(|time| time.div_euclid(DAY_MICROS) as i32))
            .collect(),
    }
}

fn on_dates(contract: Arc<Contract>, wanted: BTreeSet<i32>) -> Filter {
    let columns = contract.event_time().map(|column| contract.columns[column].name.clone());
    let keep = move |rows: &RecordBatch| {
        Ok(dates(&contract, rows)
            .into_iter()
            .map(|date| date.map(|date| wanted.contains(&date)))
            .collect::<BooleanArray>())
    };
    Filter { columns: columns.into_iter().collect(), keep: Arc::new(keep) }
}

/// A day as statistics write it.
fn day(days: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.checked_add(jiff::Span::new().days(days)).map_or_else(|_| String::new(), |date| date.to_string())
}

/// Whether `file` may hold facts of the days `first..=last`, as its statistics say; where they say nothing, it may.
fn may_hold(file: &DataFile, column: &str, first: &str, last: &str) -> bool {
    let Some(statistics) = file.statistics() else { return true };
    let bound = |values: &serde_json::Map<String, serde_json::Value>| {
        values.get(column).and_then(|value| value.as_str()?.get(..10).map(str::to_owned))
    };
    match (bound(&statistics.min_values), bound(&statistics.max_values)) {
        (Some(min), Some(max)) => min.as_str() <= last && first <= max.as_str(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn a_day_is_written_as_statistics_write_it() {
        assert_eq!([day(0), day(19_723), day(-1)], ["1970-01-01", "2024-01-01", "1969-12-31"]);
    }
}
