//! Dimensions and facts: what is kept and what history comes of it, against the model.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::support::*;
use crate::conform::dimension::DimensionIndex;
use crate::conform::fact::{FactIndex, OlderFacts};
use crate::conform::fold::{bucket, bucket_bits, fold};
use crate::conform::model::{self, COLUMNS, ModelRow};
use crate::conform::outcome::{Code, RowOutcome};
use crate::conform::plan::Plan;
use crate::conform::rows::EntityRows;
use crate::conform::written::{Lineage, changes, facts, read_changes, read_hashes};
use crate::entity::{DataType, OnError, Operation, Operations, Rows};

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        50 => Just(Operation::Upsert),
        35 => Just(Operation::Patch),
        15 => Just(Operation::Delete),
        8 => Just(Operation::Stub),
    ]
}

fn row() -> impl Strategy<Value = ModelRow> {
    let value = || prop_oneof![1 => Just(None), 6 => (0i64..2).prop_map(Some)];
    (operation(), 1i64..20, prop::collection::vec((value(), any::<bool>()), 3)).prop_map(
        |(operation, sequence, cells)| {
            let cells = COLUMNS.into_iter().zip(cells);
            let values: BTreeMap<_, _> = match operation {
                Operation::Upsert | Operation::Stub => cells.map(|(name, (value, _))| (name, value)).collect(),
                Operation::Patch => {
                    cells.filter(|(_, (_, present))| *present).map(|(name, (value, _))| (name, value)).collect()
                }
                Operation::Delete => BTreeMap::new(),
            };
            ModelRow { operation, sequence, values }
        },
    )
}

fn rows() -> impl Strategy<Value = Vec<ModelRow>> {
    prop::collection::vec(row(), 1..14)
}

/// An index, the log that its commits made, and the plan.
struct Table {
    plan: Plan,
    index: DimensionIndex,
    log: Vec<RecordBatch>,
    by_arrival: bool,
    _folder: tempfile::TempDir,
}

impl Table {
    fn new(by_arrival: bool, keep: &str, memory_bytes_max: usize) -> Self {
        let plan = model_plan(by_arrival, keep);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let index = DimensionIndex::new(&plan.entities()[0], bounds(folder.path(), memory_bytes_max));
        Self { plan, index, log: vec![], by_arrival, _folder: folder }
    }

    /// Takes `given` as one batch; says of each row whether it was kept.
    fn take(&mut self, given: &[ModelRow]) -> Vec<bool> {
        let batch = batch(given.len());
        let conformed = self.plan.conform(&batch, &[model_answer(given, self.by_arrival)]);
        assert!(conformed.refused.is_empty());
        let entity = &self.plan.entities()[0];
        let decisions = self.index.decide(entity, &conformed.entities[0]).expect("the store works");
        let late = BooleanArray::new_null(batch.len());
        let lineage = Lineage { batch: &batch, manifest_id: "m", ingested: 7, late: &late };
        self.log.push(changes(entity, &conformed.entities[0], &decisions.outcomes, lineage));
        self.index.apply(decisions.delta, self.log.len() as u64).expect("the store works");
        decisions.outcomes.iter().map(|outcome| matches!(outcome, RowOutcome::Kept { .. })).collect()
    }

    fn log(&self) -> RecordBatch {
        concat_batches(&self.log[0].schema(), &self.log).expect("one schema")
    }

    fn versions(&self) -> RecordBatch {
        fold(&self.plan.entities()[0], &self.log(), "b")
    }
}

/// Versions as the model has them; a column that nothing asserts is null in the table.
fn shown(versions: &RecordBatch) -> Vec<(i64, Vec<Option<i64>>, bool)> {
    let sequence = versions.column_by_name("s").expect("the contract's column").as_primitive::<Int64Type>();
    let deleted = versions.column_by_name("_is_deleted").expect("the fold's column").as_boolean();
    let cell = |name: &str, row: usize| {
        let values = versions.column_by_name(name).expect("the contract's column").as_primitive::<Int64Type>();
        values.is_valid(row).then(|| values.value(row))
    };
    let version = |row| (sequence.value(row), COLUMNS.iter().map(|name| cell(name, row)).collect(), deleted.value(row));
    (0..versions.num_rows()).map(version).collect()
}

fn expected(versions: Vec<(i64, model::State)>) -> Vec<(i64, Vec<Option<i64>>, bool)> {
    let version = |(from, state): (i64, model::State)| {
        let cells = COLUMNS.iter().map(|name| state.get(name).copied().flatten()).collect();
        (from, cells, state["_deleted"] == Some(1))
    };
    versions.into_iter().map(version).collect()
}

fn kept_of(rows: &[ModelRow], kept: &[bool]) -> Vec<ModelRow> {
    rows.iter().zip(kept).filter(|(_, kept)| **kept).map(|(row, _)| row.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn decisions_and_versions_are_the_models_however_batches_are_cut(rows in rows(), cut: prop::sample::Index, on_disk in prop::bool::weighted(0.05)) {
        let mut table = Table::new(false, "changes", if on_disk { 0 } else { usize::MAX });
        let at = cut.index(rows.len() + 1);
        let mut decided = table.take(&rows[..at]);
        decided.extend(table.take(&rows[at..]));
        prop_assert_eq!(&decided, &model::kept(&rows));
        prop_assert_eq!(shown(&table.versions()), expected(model::fold(&kept_of(&rows, &decided))));
        prop_assert_eq!(table.index.is_on_disk(), on_disk);
    }

    #[test]
    fn in_order_arrival_gives_the_exact_history(mut rows in rows()) {
        rows.sort_by_key(|row| row.sequence);
        rows.dedup_by_key(|row| row.sequence);
        let mut table = Table::new(false, "changes", usize::MAX);
        table.take(&rows);
        prop_assert_eq!(shown(&table.versions()), expected(model::fold(&rows)));
    }

    #[test]
    fn an_index_loaded_from_the_log_decides_the_same(rows in rows(), later in rows(), backwards: bool) {
        let mut table = Table::new(false, "changes", usize::MAX);
        table.take(&rows);
        let entity = table.plan.entities()[0].clone();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut loaded = DimensionIndex::new(&entity, bounds(folder.path(), usize::MAX));
        let log = table.log();
        let mut order: Vec<u32> = (0..log.num_rows() as u32).collect();
        if backwards {
            order.reverse();
        }
        let log = arrow::compute::take_record_batch(&log, &arrow::array::UInt32Array::from(order)).expect("indices of the log");
        let (read, arrivals) = read_changes(&entity, &log);
        loaded.load(&entity, &read, &arrivals, 1).expect("the store works");
        prop_assert_eq!(loaded.next_arrival(), table.index.next_arrival());
        std::mem::swap(&mut table.index, &mut loaded);
        let by_loaded = table.take(&later);
        std::mem::swap(&mut table.index, &mut loaded);
        prop_assert_eq!(by_loaded, table.take(&later));
        // And the log decides itself again: all of it is kept, in the same order.
        let again = Table::new(false, "changes", usize::MAX);
        let decided = again.index.decide(&entity, &read_changes(&entity, &table.log[0]).0).expect("the store works");
        let kept = |outcome: &RowOutcome| matches!(outcome, RowOutcome::Kept { .. });
        prop_assert!(decided.outcomes.iter().all(kept), "a kept row is not kept again: {:?}", decided.outcomes);
    }

    #[test]
    fn redelivery_adds_only_what_was_dropped(rows in rows()) {
        let mut table = Table::new(false, "changes", usize::MAX);
        let first = table.take(&rows);
        let again = table.take(&rows);
        for ((row, first), again) in rows.iter().zip(first).zip(again) {
            prop_assert!(!(first && again), "kept twice: {row:?}");
        }
    }

    #[test]
    fn what_orders_by_arrival_is_the_model_over_arrivals(mut rows in rows()) {
        let mut table = Table::new(true, "changes", usize::MAX);
        let decided = table.take(&rows);
        for (arrival, row) in rows.iter_mut().enumerate() {
            row.sequence = arrival as i64;
        }
        prop_assert_eq!(&decided, &model::kept(&rows));
        prop_assert_eq!(table.versions().num_rows(), model::fold(&kept_of(&rows, &decided)).len());
    }

    #[test]
    fn keep_all_gives_the_exact_history_in_every_order(mut rows in rows(), seed: u64) {
        rows.sort_by_key(|row| row.sequence);
        rows.dedup_by_key(|row| row.sequence);
        let exact = expected(model::fold(&rows));
        rows.sort_by_key(|row| blake3::hash(&[row.sequence.to_le_bytes(), seed.to_le_bytes()].concat()).to_hex());
        let mut table = Table::new(false, "all", usize::MAX);
        prop_assert!(table.take(&rows).into_iter().all(|kept| kept));
        prop_assert_eq!(shown(&table.versions()), exact);
    }

    #[test]
    fn the_last_version_alone_is_current_and_open(rows in rows()) {
        let mut table = Table::new(false, "changes", usize::MAX);
        table.take(&rows);
        let versions = table.versions();
        for hash in read_hashes(&versions, "_key") {
            prop_assert_eq!(hash, read_hashes(&table.log(), "_key")[0]);
        }
        let current = versions.column_by_name("_is_current").expect("the fold's column").as_boolean();
        prop_assert_eq!(current.true_count(), 1);
        prop_assert!(current.value(versions.num_rows() - 1));
        prop_assert_eq!(versions.column_by_name("_valid_to").expect("the fold's column").null_count(), 1);
    }
}

#[test]
fn an_index_on_disk_is_found_again_and_only_for_the_same_columns() {
    let plan = model_plan(false, "changes");
    let entity = &plan.entities()[0];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let upsert = ModelRow { operation: Operation::Upsert, sequence: 1, values: BTreeMap::from([("a", Some(1))]) };
    let decide = |index: &DimensionIndex, rows: &EntityRows| index.decide(entity, rows).expect("the store works");
    let rows = plan.conform(&batch(1), &[model_answer(&[upsert], false)]).entities.remove(0);
    let mut index = DimensionIndex::new(entity, bounds(folder.path(), 0));
    index.apply(decide(&index, &rows).delta, 4).expect("the store works");
    drop(index);
    let index = DimensionIndex::open(entity, bounds(folder.path(), 0)).expect("the store opens");
    assert_eq!((index.version(), index.next_arrival()), (Some(4), 1));
    assert_eq!(decide(&index, &rows).outcomes, [RowOutcome::Duplicate]);
    drop(index);
    let other = model_plan(true, "changes");
    let mut fewer = other.entities()[0].clone();
    fewer.links.push(crate::conform::contract::Link { name: "more".into(), entity: "thing".into() });
    assert_eq!(DimensionIndex::open(&fewer, bounds(folder.path(), 0)).expect("the store opens").version(), None);
}

#[test]
fn buckets_are_prefixes_that_only_lengthen() {
    let mut key = [0; 32];
    key[0] = 0b1010_0000;
    assert_eq!((bucket(&key, 0), bucket(&key, 3), bucket(&key, 9)), ("b".into(), "b101".into(), "b101000000".into()));
    assert_eq!((bucket_bits(0, 0), bucket_bits(17 << 20, 0), bucket_bits(1 << 30, 0), bucket_bits(0, 3)), (0, 1, 6, 3));
}

fn fact_plan() -> Plan {
    let properties =
        "name: id, physicalType: text, primaryKey: true\nname: at, physicalType: date\nname: n, physicalType: int64";
    let custom = "{ property: history, value: append }, { property: eventTime, value: at }, { property: dedupHorizon, value: 2d }";
    let contracts = contracts(&[("sale", properties, custom)]);
    let fields = vec![field("id", DataType::Text), field("at", DataType::Date), field("n", DataType::Int64)];
    let descriptor = descriptor(vec![output("sale", OnError::Row, fields, vec![])]);
    Plan::new("tenant", &contracts, pii(), &descriptor, &[]).expect("the descriptor fits the contract")
}

fn sales(plan: &Plan, sales: &[(&str, i32, i64)]) -> EntityRows {
    let days: arrow::array::Date32Array = sales.iter().map(|(_, day, _)| Some(*day)).collect();
    let columns = vec![
        text(&sales.iter().map(|(id, ..)| Some(*id)).collect::<Vec<_>>()),
        crate::entity::Column { values: std::sync::Arc::new(days), presence: None },
        int64(sales.iter().map(|(.., n)| Some(*n))),
    ];
    let rows = Rows {
        output: 0,
        record: (0..sales.len() as u32).collect(),
        operations: Operations::All(Operation::Upsert),
        columns,
    };
    // Files have no broker time, so that the event dates themselves move the horizon.
    let mut builder = crate::record::BatchBuilder::new("test");
    (0..sales.len() as i64).for_each(|offset| builder.push(&crate::record::Received { offset, ..Default::default() }));
    plan.conform(&builder.finish(vec![], serde_json::Value::Null), &[transformed(sales.len(), vec![rows])])
        .entities
        .remove(0)
}

#[test]
fn a_fact_is_kept_once_and_contradicted_never() {
    let plan = fact_plan();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for memory_bytes_max in [usize::MAX, 0] {
        let mut index = FactIndex::new(&plan.entities()[0].contract, bounds(folder.path(), memory_bytes_max));
        let first = sales(&plan, &[("x", 10, 1), ("x", 10, 1), ("x", 10, 2), ("y", 10, 1)]);
        let decided = index.decide(&first, &OlderFacts::default()).expect("the store works");
        let (kept, conflict) = (RowOutcome::Kept { arrival: 0 }, RowOutcome::Refused(Code::Conflict));
        assert_eq!(decided.outcomes, [kept, RowOutcome::Duplicate, conflict, kept]);
        index.apply(decided.delta, 1).expect("the store works");
        let later = sales(&plan, &[("y", 10, 1), ("y", 11, 1), ("z", 14, 1)]);
        let decided = index.decide(&later, &OlderFacts::default()).expect("the store works");
        assert_eq!(decided.outcomes, [RowOutcome::Duplicate, conflict, kept]);
        index.apply(decided.delta, 2).expect("the store works");
        // Day 14 puts the floor at 12: x and y are forgotten and must be looked up.
        assert_eq!((index.floor(), index.version()), (Some(12), Some(2)));
        let again = sales(&plan, &[("x", 10, 1), ("y", 10, 7), ("v", 9, 1), ("z", 14, 1)]);
        assert_eq!(index.older(&again).into_iter().collect::<Vec<_>>(), [9, 10]);
        let mut older = OlderFacts::default();
        [0, 3].into_iter().for_each(|row| older.insert(&first.keys[row], &first.hashes[row]));
        let decided = index.decide(&again, &older).expect("the store works");
        assert_eq!(decided.outcomes, [RowOutcome::Duplicate, conflict, kept, RowOutcome::Duplicate]);
        let forgotten = index.decide(&again, &OlderFacts::default()).expect("the store works");
        assert_eq!(forgotten.outcomes[0], kept);
        assert_eq!(index.is_on_disk(), memory_bytes_max == 0);
        let late = BooleanArray::from(vec![false, false, true, false]);
        let lineage = Lineage { batch: &batch(4), manifest_id: "m", ingested: 0, late: &late };
        let written = facts(&plan.entities()[0], &again, &decided.outcomes, lineage);
        assert_eq!(written.num_rows(), 1);
        assert!(written.column_by_name("_is_late").expect("facts say it").as_boolean().value(0), "the third was kept");
    }
}
