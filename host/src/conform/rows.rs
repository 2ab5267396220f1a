//! The rows of one entity in one batch, conformed: columns as they will be stored, keys and row hashes.
//!
//! Rows come as pieces (one per answer and output) and are put together column by column, in the order of record and row:
//! a piece whose rows all count is taken as it is, without a copy. Treatment of PII comes before any hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, interleave, nullif};
use arrow::datatypes::{Date32Type, Int64Type, TimestampMicrosecondType};

use super::canonical::{Cells, Hash, KeyHasher, Part, RowHasher};
use super::check::is_present;
use super::contract::{Contract, History, Link};
use super::plan::{EntityPlan, OutputPlan, Plan, ReferencePlan};
use crate::entity::{Column, DataType, Operation, Operations, Rows};
use crate::record::Batch;

/// How far a fact's event time may be ahead of the broker's time of its record and still move the horizon: a day.
pub const EVENT_TIME_SKEW_MICROS: i64 = DAY_MICROS;

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Rows of one entity, in the order in which they are decided.
#[derive(Clone, Debug)]
pub struct EntityRows {
    /// The record of the batch that each row came from; never decreases.
    pub record: Vec<u32>,
    /// The number of each row in its record.
    pub row: Vec<u32>,
    /// What each row does.
    pub operations: Operations,
    /// The columns of the contract, then `<link>_key` of every link. Cells that a row does not assert are null.
    pub columns: Vec<ArrayRef>,
    /// For each column, where a patch asserts it; none means everywhere.
    pub presence: Vec<Option<BooleanBuffer>>,
    /// `_key` of each row.
    pub keys: Vec<Hash>,
    /// `_row_hash` of each row.
    pub hashes: Vec<Hash>,
    /// What orders the rows of a key, in the unit of its column; none where arrival alone does, and for facts.
    pub sequence: Option<Vec<i64>>,
    /// When each row of a dimension begins to hold, microseconds since the epoch: the sequence where it is a time, else
    /// the record's event time, else none (the ingestion time then counts).
    pub valid_from: Vec<Option<i64>>,
    /// When each fact happened, in days since the epoch; none for dimensions and for facts without event time.
    pub event_date: Option<Vec<i32>>,
    /// The highest event date that is plausible: no later than the broker's time of its record and the allowed skew.
    pub event_date_max: Option<i32>,
}

/// The rows of one output in one answer, and which of them count.
pub(super) struct Piece<'a> {
    pub(super) rows: &'a Rows,
    /// The first record of the answer, in the batch.
    pub(super) first: u32,
    /// The number of each row in its record.
    pub(super) numbers: Vec<u32>,
    /// Rows refused alone, ascending.
    pub(super) dead: Vec<usize>,
}

impl EntityRows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether row `row` says anything in the state column `column`.
    pub fn asserts(&self, row: usize, column: usize) -> bool {
        match self.operations.get(row) {
            Operation::Upsert => true,
            Operation::Patch => self.presence[column].as_ref().is_none_or(|presence| presence.value(row)),
            Operation::Stub | Operation::Delete => false,
        }
    }

    /// Puts together the rows of entity `entity` from those pieces that are its own and whose record is alive.
    pub(super) fn gather(
        plan: &Plan,
        entity: usize,
        pieces: &[Piece<'_>],
        batch: &Batch,
        alive: impl Fn(u32) -> bool,
        keys: &mut KeyHashers,
    ) -> Self {
        let own: Vec<&Piece<'_>> =
            pieces.iter().filter(|piece| plan.outputs[piece.rows.output].entity == entity).collect();
        let picks = Picks::new(&own, alive);
        let target = &plan.entities[entity];
        let operations = picks.operations(&own);
        let mut columns = Vec::new();
        let mut presence = Vec::new();
        for (index, column) in target.contract.columns.iter().enumerate() {
            let given = |piece: &Piece<'_>| {
                let output: &OutputPlan = &plan.outputs[piece.rows.output];
                output.fields[index].map(|field| piece.rows.columns[field].clone())
            };
            let (values, present) = picks.column(&own, &operations, column.data_type.arrow(), given);
            columns.push(plan.pii.apply(&plan.tenant, target.treatments[index], &values));
            presence.push(present);
        }
        for link in 0..target.links.len() {
            let given = |piece: &Piece<'_>| {
                let reference = plan.outputs[piece.rows.output].references[link].as_ref()?;
                Some(plan.reference_keys(reference, piece.rows, keys.of(&reference.target)))
            };
            let (values, present) = picks.column(&own, &operations, arrow::datatypes::DataType::Binary, given);
            columns.push(values);
            presence.push(present);
        }
        let record = picks.list.iter().map(|pick| pick.record).collect();
        let row = picks.list.iter().map(|pick| pick.number).collect();
        let mut rows = Self {
            record,
            row,
            operations,
            columns,
            presence,
            keys: vec![],
            hashes: vec![],
            sequence: None,
            valid_from: vec![],
            event_date: None,
            event_date_max: None,
        };
        rows.blank_unasserted(target);
        rows.hash(target, picks.list.len(), keys.of(&target.contract));
        rows.time(&target.contract, batch);
        rows
    }

    /// Makes null what no row asserts: nothing of it may reach a table.
    fn blank_unasserted(&mut self, plan: &EntityPlan) {
        if matches!(self.operations, Operations::All(Operation::Upsert | Operation::Stub)) {
            return;
        }
        for column in plan.contract.state_columns(plan.links.len()) {
            let values = &self.columns[column];
            let blank = |row| self.operations.get(row) != Operation::Stub && !self.asserts(row, column);
            let blank: BooleanArray = (0..values.len()).map(|row| Some(blank(row) && values.is_valid(row))).collect();
            if blank.true_count() > 0 {
                self.columns[column] = nullif(values, &blank).expect("both have one value a row: built so above");
            }
        }
    }

    fn hash(&mut self, plan: &EntityPlan, rows: usize, key_hasher: &mut KeyHasher) {
        let key = key_cells(&plan.contract, &self.columns);
        self.keys = (0..rows).map(|row| key_hasher.hash(&key, row)).collect();
        let mut row_hasher = row_hasher(&plan.contract, &plan.links, &self.columns);
        if recurs(&plan.contract) {
            row_hasher = row_hasher.recurring(rows);
        }
        self.hashes = (0..rows)
            .map(|row| row_hasher.hash(row, self.operations.get(row), |column| self.asserts(row, column)))
            .collect();
    }

    fn time(&mut self, contract: &Contract, batch: &Batch) {
        match contract.history {
            History::Versions { sequence, .. } => {
                let record_time = |record: &u32| batch.event_time(*record as usize);
                self.sequence =
                    sequence.map(|column| integers(contract.columns[column].data_type, &self.columns[column]));
                self.valid_from = match (sequence.map(|column| contract.columns[column].data_type), &self.sequence) {
                    (Some(DataType::Timestamp), Some(times)) => times.iter().map(|time| Some(*time)).collect(),
                    (Some(DataType::Date), Some(days)) => days.iter().map(|day| Some(day * DAY_MICROS)).collect(),
                    _ => self.record.iter().map(record_time).collect(),
                };
            }
            History::Append { event_time: None, .. } => {}
            History::Append { event_time: Some(column), .. } => {
                let data_type = contract.columns[column].data_type;
                let days = integers(data_type, &self.columns[column]);
                let days = days
                    .into_iter()
                    .map(|time| if data_type == DataType::Date { time } else { time.div_euclid(DAY_MICROS) } as i32);
                let days: Vec<i32> = days.collect();
                let plausible = |(day, record): (&i32, &u32)| match batch.event_time(*record as usize) {
                    Some(time) => {
                        (*day).min((time.saturating_add(EVENT_TIME_SKEW_MICROS)).div_euclid(DAY_MICROS) as i32)
                    }
                    None => *day,
                };
                self.event_date_max = days.iter().zip(&self.record).map(plausible).max();
                self.event_date = Some(days);
            }
        }
    }
}

/// Makes the keys of all entities that the rows of one batch have or refer to: a reference has the key that its target's
/// row in the same record has.
pub(super) struct KeyHashers {
    tenant: String,
    records: usize,
    of: BTreeMap<String, KeyHasher>,
}

impl KeyHashers {
    pub(super) fn new(tenant: &str, records: usize) -> Self {
        Self { tenant: tenant.to_owned(), records, of: BTreeMap::new() }
    }

    fn of(&mut self, contract: &Contract) -> &mut KeyHasher {
        self.of.entry(contract.entity.clone()).or_insert_with(|| {
            let hasher = KeyHasher::new(&self.tenant, &contract.entity);
            if recurs(contract) { hasher.recurring(self.records) } else { hasher }
        })
    }
}

/// Whether the same row comes again and again: copies of a dimension's rows are embedded in facts, which come once.
fn recurs(contract: &Contract) -> bool {
    matches!(contract.history, History::Versions { .. })
}

/// The cells of the business key, in its order.
pub(super) fn key_cells<'a>(contract: &Contract, columns: &'a [ArrayRef]) -> Vec<Cells<'a>> {
    contract.key.iter().map(|column| Cells::new(contract.columns[*column].data_type, &columns[*column])).collect()
}

/// The cells of column `column`: of the contract or, after them, of a link.
pub(super) fn cells<'a>(contract: &Contract, columns: &'a [ArrayRef], column: usize) -> Cells<'a> {
    match contract.columns.get(column) {
        Some(of_contract) => Cells::new(of_contract.data_type, &columns[column]),
        None => Cells::key(&columns[column]),
    }
}

/// The row hasher over the columns of a table: of the contract and then of the links.
pub(super) fn row_hasher<'a>(contract: &Contract, links: &[Link], columns: &'a [ArrayRef]) -> RowHasher<'a> {
    let sequence = contract.sequence();
    let of_contract = contract.columns.iter().map(|column| column.name.clone());
    let of_links = links.iter().map(|link| format!("{}_key", link.name));
    let all = of_contract.chain(of_links).enumerate().filter(|(index, _)| Some(*index) != sequence);
    RowHasher::new(all.map(|(index, name)| {
        let part = if contract.key.contains(&index) { Part::Key } else { Part::State };
        (name, index, part, cells(contract, columns, index))
    }))
}

/// The values of a column without nulls that orders rows.
pub(super) fn integers(data_type: DataType, values: &ArrayRef) -> Vec<i64> {
    match data_type {
        DataType::Timestamp => values.as_primitive::<TimestampMicrosecondType>().values().to_vec(),
        DataType::Int64 => values.as_primitive::<Int64Type>().values().to_vec(),
        DataType::Date => values.as_primitive::<Date32Type>().values().iter().map(|day| i64::from(*day)).collect(),
        other => unreachable!("a sequence of type {other}: the contract admits timestamp, date and int64"),
    }
}

impl Plan {
    /// The keys of the rows referred to; null where any part of the key is.
    fn reference_keys(&self, reference: &ReferencePlan, rows: &Rows, hasher: &mut KeyHasher) -> Column {
        let target = &reference.target;
        let given: Vec<&Column> = reference.key.iter().map(|(column, _)| &rows.columns[*column]).collect();
        let stored: Vec<ArrayRef> = reference
            .key
            .iter()
            .zip(&given)
            .map(|((_, treatment), column)| self.pii.apply(&self.tenant, *treatment, &column.values))
            .collect();
        let cells: Vec<Cells<'_>> = target
            .key
            .iter()
            .zip(&stored)
            .map(|(column, values)| Cells::new(target.columns[*column].data_type, values))
            .collect();
        let mut keys = BinaryBuilder::with_capacity(rows.record.len(), rows.record.len() * 32);
        for row in 0..rows.record.len() {
            let whole = cells.iter().all(|cells| !cells.is_null(row));
            keys.append_option(whole.then(|| hasher.hash(&cells, row)));
        }
        let presence = given.iter().any(|column| column.presence.is_some());
        let presence = presence
            .then(|| (0..rows.record.len()).map(|row| given.iter().any(|column| is_present(column, row))).collect());
        let keys: BinaryArray = keys.finish();
        Column { values: Arc::new(keys), presence }
    }
}

/// Which rows of which pieces count, in order.
struct Picks {
    list: Vec<Pick>,
    /// Whether the list is every row of every piece, piece after piece.
    whole: bool,
}

struct Pick {
    record: u32,
    number: u32,
    piece: u32,
    row: u32,
}

impl Picks {
    fn new(pieces: &[&Piece<'_>], alive: impl Fn(u32) -> bool) -> Self {
        let total: usize = pieces.iter().map(|piece| piece.rows.record.len()).sum();
        let mut list = Vec::with_capacity(total);
        for (index, piece) in pieces.iter().enumerate() {
            let mut dead = piece.dead.iter().peekable();
            for (row, record) in piece.rows.record.iter().enumerate() {
                let record = piece.first + record;
                if dead.next_if(|dead| **dead == row).is_some() || !alive(record) {
                    continue;
                }
                list.push(Pick { record, number: piece.numbers[row], piece: index as u32, row: row as u32 });
            }
        }
        let in_order = list.is_sorted_by_key(|pick| (pick.record, pick.number));
        if !in_order {
            list.sort_unstable_by_key(|pick| (pick.record, pick.number));
        }
        Self { whole: in_order && list.len() == total, list }
    }

    fn operations(&self, pieces: &[&Piece<'_>]) -> Operations {
        let mut kinds = pieces.iter().map(|piece| &piece.rows.operations);
        match kinds.next() {
            None => Operations::All(Operation::Upsert),
            Some(first @ Operations::All(_)) if kinds.all(|kind| kind == first) => first.clone(),
            _ => Operations::Each(
                self.list
                    .iter()
                    .map(|pick| pieces[pick.piece as usize].rows.operations.get(pick.row as usize))
                    .collect(),
            ),
        }
    }

    /// One column of the rows, and where patches assert it. A piece that does not fill it gives nulls that no patch asserts.
    fn column(
        &self,
        pieces: &[&Piece<'_>],
        operations: &Operations,
        arrow_type: arrow::datatypes::DataType,
        mut given: impl FnMut(&Piece<'_>) -> Option<Column>,
    ) -> (ArrayRef, Option<BooleanBuffer>) {
        let given: Vec<Option<Column>> = pieces.iter().map(|piece| given(piece)).collect();
        let arrays: Vec<ArrayRef> = given
            .iter()
            .zip(pieces)
            .map(|(column, piece)| match column {
                Some(column) => column.values.clone(),
                None => new_null_array(&arrow_type, piece.rows.record.len()),
            })
            .collect();
        let slices: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        let values = match (arrays.as_slice(), self.whole) {
            ([], _) => new_null_array(&arrow_type, 0),
            ([one], true) => one.clone(),
            (_, true) => {
                concat(&slices).expect("pieces of one column have one type: the plan and the sandbox check it")
            }
            (_, false) => {
                let indices: Vec<(usize, usize)> =
                    self.list.iter().map(|pick| (pick.piece as usize, pick.row as usize)).collect();
                interleave(&slices, &indices)
                    .expect("pieces of one column have one type: the plan and the sandbox check it")
            }
        };
        let patches = match operations {
            Operations::All(operation) => *operation == Operation::Patch,
            Operations::Each(operations) => operations.contains(&Operation::Patch),
        };
        let everywhere = given.iter().all(|column| column.as_ref().is_some_and(|column| column.presence.is_none()));
        let presence = (patches && !everywhere).then(|| {
            let present = |pick: &Pick| {
                given[pick.piece as usize].as_ref().is_some_and(|column| is_present(column, pick.row as usize))
            };
            self.list.iter().map(present).collect()
        });
        (values, presence)
    }
}
