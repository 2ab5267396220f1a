//! Kept rows in the form of their table, and back.
//!
//! `_asserted` names the columns that a patch asserts, joined by commas, in the order of the table; it is null for every
//! other operation, which asserts all or nothing. So the log can be read without this code, and columns added later
//! change nothing that is written.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::canonical::Hash;
use super::contract::Table;
use super::outcome::RowOutcome;
use super::plan::EntityPlan;
use super::rows::{EntityRows, integers};
use crate::entity::{Operation, Operations};
use crate::record::Batch;

/// Where the rows of one batch come from.
#[derive(Clone, Copy, Debug)]
pub struct Lineage<'a> {
    /// The batch that the rows' records are in.
    pub batch: &'a Batch,
    /// The manifest that accounts for it.
    pub manifest_id: &'a str,
    /// When the batch came into Bronze, microseconds since the epoch.
    pub ingested: i64,
    /// Whether each record is late; null where it has no event time.
    pub late: &'a BooleanArray,
}

/// The rows of a dimension that go into `<entity>_changes`, in its schema and in the order of arrival.
pub fn changes(plan: &EntityPlan, rows: &EntityRows, outcomes: &[RowOutcome], lineage: Lineage<'_>) -> RecordBatch {
    let kept = Kept::new(outcomes);
    let asserted = kept.rows().map(|row| {
        (rows.operations.get(row) == Operation::Patch).then(|| {
            let columns =
                plan.contract.state_columns(plan.links.len()).into_iter().filter(|column| rows.asserts(row, *column));
            columns.map(|column| plan.column_name(column)).collect::<Vec<_>>().join(",")
        })
    });
    let valid_from = kept.rows().map(|row| rows.valid_from[row].unwrap_or(lineage.ingested));
    let own: Vec<ArrayRef> = vec![
        Arc::new(kept.rows().map(|row| Some(rows.operations.get(row).as_str())).collect::<StringArray>()),
        Arc::new(asserted.collect::<StringArray>()),
        Arc::new(kept.arrivals.iter().copied().collect::<Int64Array>()),
        Arc::new(TimestampMicrosecondArray::from_iter_values(valid_from).with_timezone("UTC")),
    ];
    kept.table(plan, Table::Changes, rows, own, lineage)
}

/// The rows of a fact that go into `<entity>`, in its schema.
pub fn facts(plan: &EntityPlan, rows: &EntityRows, outcomes: &[RowOutcome], lineage: Lineage<'_>) -> RecordBatch {
    let kept = Kept::new(outcomes);
    let records: UInt32Array = kept.rows().map(|row| rows.record[row]).collect();
    let late = take(lineage.late, &records, None).expect("every record has a place among its batch's");
    kept.table(plan, Table::Facts, rows, vec![late], lineage)
}

struct Kept {
    indices: UInt32Array,
    arrivals: Vec<i64>,
}

impl Kept {
    fn new(outcomes: &[RowOutcome]) -> Self {
        let kept = outcomes.iter().enumerate().filter_map(|(row, outcome)| match outcome {
            RowOutcome::Kept { arrival } => Some((row as u32, *arrival)),
            RowOutcome::Duplicate | RowOutcome::Refused(_) => None,
        });
        let (indices, arrivals): (Vec<u32>, Vec<i64>) = kept.unzip();
        Self { indices: indices.into(), arrivals }
    }

    fn rows(&self) -> impl ExactSizeIterator<Item = usize> {
        self.indices.values().iter().map(|row| *row as usize)
    }

    fn table(
        &self,
        plan: &EntityPlan,
        table: Table,
        rows: &EntityRows,
        own: Vec<ArrayRef>,
        lineage: Lineage<'_>,
    ) -> RecordBatch {
        let Lineage { batch, manifest_id, .. } = lineage;
        let n = self.indices.len();
        let mut columns: Vec<ArrayRef> = rows
            .columns
            .iter()
            .map(|values| take(values, &self.indices, None).expect("the indices are those of rows"))
            .collect();
        columns.push(hashes(self.rows().map(|row| rows.keys[row])));
        columns.push(hashes(self.rows().map(|row| rows.hashes[row])));
        columns.extend(own);
        columns.push(Arc::new(self.rows().map(|row| rows.row[row] as i32).collect::<Int32Array>()));
        let positions = self.rows().map(|row| batch.position_text(rows.record[row] as usize));
        columns.push(Arc::new(StringArray::from_iter_values(positions)));
        columns.push(hashes(self.rows().map(|row| batch.checksum(rows.record[row] as usize))));
        columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(manifest_id, n))));
        columns.push(Arc::new(BooleanArray::from(vec![true; n])));
        columns.push(Arc::new(StringArray::new_null(n)));
        RecordBatch::try_new(plan.contract.silver_schema(table, &plan.links), columns)
            .expect("the columns follow the contract's schema")
    }
}

pub(super) fn hashes(hashes: impl ExactSizeIterator<Item = Hash>) -> ArrayRef {
    let mut values = BinaryBuilder::with_capacity(hashes.len(), hashes.len() * 32);
    hashes.for_each(|hash| values.append_value(hash));
    Arc::new(values.finish())
}

/// Rows of `<entity>_changes` as they were when they were decided, and their arrivals. A column that the file does not have,
/// because it is older than the column, is null. The record of each row is its index: the batch it came from is not known.
pub fn read_changes(plan: &EntityPlan, changes: &RecordBatch) -> (EntityRows, Vec<i64>) {
    let n = changes.num_rows();
    let columns = read_columns(plan, changes);
    let operations: Vec<Operation> =
        text(changes, "_operation").iter().map(|name| operation(name.unwrap_or_default())).collect();
    let asserted = text(changes, "_asserted");
    let state = plan.contract.state_columns(plan.links.len());
    let mut presence: Vec<Option<BooleanBuffer>> = vec![None; columns.len()];
    if operations.contains(&Operation::Patch) {
        for column in state {
            let name = plan.column_name(column);
            let present =
                |row| asserted.is_null(row) || asserted.value(row).split(',').any(|asserted| asserted == name);
            presence[column] = Some((0..n).map(present).collect());
        }
    }
    let sequence =
        plan.contract.sequence().map(|column| integers(plan.contract.columns[column].data_type, &columns[column]));
    let valid_from = named(changes, "_valid_from").as_primitive::<TimestampMicrosecondType>().iter().collect();
    let rows = EntityRows {
        record: (0..n as u32).collect(),
        row: vec![0; n],
        operations: Operations::Each(operations),
        columns,
        presence,
        keys: read_hashes(changes, "_key"),
        hashes: read_hashes(changes, "_row_hash"),
        sequence,
        valid_from,
        event_date: None,
        event_date_max: None,
    };
    (rows, named(changes, "_arrival").as_primitive::<Int64Type>().values().to_vec())
}

fn read_columns(plan: &EntityPlan, table: &RecordBatch) -> Vec<ArrayRef> {
    let schema = plan.contract.silver_schema(Table::Changes, &plan.links);
    let columns = schema.fields().iter().take(plan.contract.columns.len() + plan.links.len());
    columns
        .map(|field| match table.column_by_name(field.name()) {
            Some(values) => values.clone(),
            None => new_null_array(field.data_type(), table.num_rows()),
        })
        .collect()
}

/// The hashes in a column of a Silver table.
pub fn read_hashes(table: &RecordBatch, name: &str) -> Vec<Hash> {
    let values: &BinaryArray = named(table, name).as_binary();
    values
        .iter()
        .map(|hash| hash.and_then(|hash| hash.try_into().ok()).expect("a hash has 32 bytes: `hashes` wrote it"))
        .collect()
}

pub(super) fn named<'a>(table: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    table.column_by_name(name).unwrap_or_else(|| panic!("the table has `{name}`: every Silver schema begins with it"))
}

fn text<'a>(table: &'a RecordBatch, name: &str) -> &'a StringArray {
    named(table, name).as_string()
}

fn operation(name: &str) -> Operation {
    [Operation::Upsert, Operation::Patch, Operation::Stub, Operation::Delete]
        .into_iter()
        .find(|operation| operation.as_str() == name)
        .unwrap_or_else(|| panic!("`{name}` is an operation: `changes` wrote it"))
}
