//! The answer to a batch, built record by record, and cell by cell within a row.
//!
//! An [`AnswerBuilder`] owns the rows of every output until [`AnswerBuilder::finish`] hands them to the contract. It
//! does not convert: a cell has its column's type already ([`normalise::coerce`](crate::normalise::coerce) sees to
//! that). The record in work is the one without a verdict yet, so that no row can name a wrong one; what is refused
//! takes its rows back out, and the buffers are never copied or allocated per row.
//!
//! ```
//! # use silversmith_sdk::{columns::AnswerBuilder, plugin::{DataType, Operation, Shape}};
//! # let shape = Shape { outputs: vec![vec![DataType::Int64, DataType::Text]], paths: 0 };
//! let mut answer = AnswerBuilder::new(&shape);
//! let mut row = answer.row(0);
//! row.push_i64(7);
//! row.push_null();
//! row.finish(Operation::Upsert);
//! answer.transformed();
//! assert_eq!(answer.finish().rows[0].record_index, [0]);
//! ```

mod column;

use std::borrow::Cow;

use column::ColumnBuilder;

use crate::plugin::{Operation, Operations, Refusal, RowRefusal, Rows, Shape, SilverBatch, Verdict};
use crate::value::Run;

/// One value of a column's own type.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// For `boolean`.
    Boolean(bool),
    /// For `int64`.
    Int64(i64),
    /// For `float64`: finite.
    Float64(f64),
    /// For `decimal`: the unscaled value at the column's scale.
    Decimal(i128),
    /// For `date`: days since 1970-01-01.
    Date(i32),
    /// For `timestamp`: microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// For `text` and `json`.
    Text(Cow<'a, str>),
    /// For `binary`.
    Binary(Cow<'a, [u8]>),
}

/// Gathers rows and verdicts of one batch.
#[derive(Debug)]
pub struct AnswerBuilder {
    outputs: Vec<OutputBuilder>,
    verdicts: Vec<Verdict>,
    row_refusals: Vec<RowRefusal>,
    path_hits: Vec<u64>,
    /// The output of each row of the record in work, in order, so that rows can be taken back one by one.
    journal: Vec<u32>,
    /// How many of the row refusals belong to records that have their verdict.
    settled_refusals: usize,
}

/// A place in the record in work to which [`AnswerBuilder::rollback`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    record: u32,
    rows: usize,
    row_refusals: usize,
}

#[derive(Debug)]
struct OutputBuilder {
    record_index: Vec<u32>,
    operations: Vec<Operation>,
    columns: Vec<ColumnBuilder>,
}

impl AnswerBuilder {
    /// An empty answer for a descriptor of this shape.
    pub fn new(shape: &Shape) -> Self {
        let output = |columns: &Vec<_>| OutputBuilder {
            record_index: Vec::new(),
            operations: Vec::new(),
            columns: columns.iter().map(|data_type| ColumnBuilder::new(*data_type)).collect(),
        };
        Self {
            outputs: shape.outputs.iter().map(output).collect(),
            verdicts: Vec::new(),
            row_refusals: Vec::new(),
            path_hits: vec![0; shape.paths],
            journal: Vec::new(),
            settled_refusals: 0,
        }
    }

    /// The index of the record in work, which is how many records have their verdict.
    pub fn record(&self) -> u32 {
        self.verdicts.len() as u32
    }

    /// How many rows the record in work has.
    pub fn rows_of_record(&self) -> usize {
        self.journal.len()
    }

    /// How many rows were refused alone in the record in work.
    pub fn row_refusals_of_record(&self) -> usize {
        self.row_refusals.len() - self.settled_refusals
    }

    /// Opens a row of output `output`. Dropped without [`Row::finish`], it leaves nothing behind.
    pub fn row(&mut self, output: usize) -> Row<'_> {
        let (number, record) = (output as u32, self.record());
        Row { output: &mut self.outputs[output], journal: &mut self.journal, number, record, column: 0 }
    }

    /// Refuses one row of the record in work alone. For outputs with `on-error: row`.
    pub fn refuse_row(&mut self, output: usize, refusal: Refusal) {
        self.row_refusals.push(RowRefusal { record_index: self.record(), output: output as u32, refusal });
    }

    /// Counts `nodes` more nodes for path `path` of the descriptor. Never taken back: the nodes were there.
    pub fn hit(&mut self, path: usize, nodes: u64) {
        self.path_hits[path] += nodes;
    }

    /// The present place, to come back to.
    pub fn mark(&self) -> Mark {
        Mark { record: self.record(), rows: self.journal.len(), row_refusals: self.row_refusals.len() }
    }

    /// Takes back every row and row refusal since `mark`, in all outputs.
    ///
    /// # Panics
    /// If the record that was in work at `mark` has its verdict by now.
    pub fn rollback(&mut self, mark: Mark) {
        assert_eq!(mark.record, self.record(), "a mark is of the record in work: a verdict is final");
        for output in self.journal.drain(mark.rows..) {
            self.outputs[output as usize].pop();
        }
        self.row_refusals.truncate(mark.row_refusals);
    }

    /// The record in work is done; its rows stand.
    pub fn transformed(&mut self) {
        self.settle(Verdict::Transformed);
    }

    /// The record in work is valid and has deliberately no rows; those it has are taken back.
    pub fn filtered(&mut self, reason: impl Into<String>) {
        self.rollback(self.start_of_record());
        self.settle(Verdict::Filtered(reason.into()));
    }

    /// The record in work is refused; its rows and row refusals are taken back.
    pub fn refused(&mut self, refusal: Refusal) {
        self.rollback(self.start_of_record());
        self.settle(Verdict::Refused(refusal));
    }

    /// The answer, without outputs that have no rows.
    ///
    /// # Panics
    /// If the record in work has rows but no verdict.
    pub fn finish(self) -> SilverBatch {
        assert!(self.journal.is_empty(), "every record with rows has a verdict: found rows after the last one");
        let rows = self.outputs.into_iter().enumerate();
        SilverBatch {
            verdicts: self.verdicts,
            rows: rows.filter_map(|(index, output)| output.finish(index as u32)).collect(),
            row_refusals: self.row_refusals,
            path_hits: self.path_hits,
        }
    }

    fn start_of_record(&self) -> Mark {
        Mark { record: self.record(), rows: 0, row_refusals: self.settled_refusals }
    }

    fn settle(&mut self, verdict: Verdict) {
        self.journal.clear();
        self.settled_refusals = self.row_refusals.len();
        self.verdicts.push(verdict);
    }
}

impl OutputBuilder {
    fn pop(&mut self) {
        self.record_index.pop();
        self.operations.pop();
        self.cut();
    }

    /// Cuts every column to the rows that are finished.
    fn cut(&mut self) {
        let rows = self.record_index.len();
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }

    fn finish(self, output: u32) -> Option<Rows> {
        let first = *self.operations.first()?;
        let uniform = self.operations.iter().all(|operation| *operation == first);
        Some(Rows {
            output,
            record_index: self.record_index,
            operations: if uniform { Operations::All(first) } else { Operations::Each(self.operations) },
            columns: self.columns.into_iter().map(ColumnBuilder::finish).collect(),
        })
    }
}

/// A row in the making: one push for each column, in order, then [`Row::finish`].
///
/// A push panics where the column has another type or there is no column left: the descriptor, which the same
/// plugin wrote, says otherwise.
#[derive(Debug)]
pub struct Row<'a> {
    output: &'a mut OutputBuilder,
    journal: &'a mut Vec<u32>,
    /// Of the output.
    number: u32,
    record: u32,
    column: usize,
}

impl Row<'_> {
    /// No value.
    pub fn push_null(&mut self) {
        self.next().push_missing(true);
    }

    /// No value, and for a patch: no assertion about this column.
    pub fn push_absent(&mut self) {
        self.next().push_missing(false);
    }

    /// A `text` or `json` value.
    pub fn push_text(&mut self, value: &str) {
        self.next().push_bytes(value.as_bytes());
    }

    /// A `text` value as it stands in the record, each byte of it changed by `change`, which keeps it UTF-8.
    #[inline]
    pub fn push_run(&mut self, value: Run<'_>, change: impl Fn(u8) -> u8) {
        self.next().push_run(value, change);
    }

    /// The value that the row above has in this column.
    ///
    /// # Panics
    /// If there is no row above.
    pub fn push_again(&mut self) {
        self.next().push_again();
    }

    /// A `binary` value.
    pub fn push_bytes(&mut self, value: &[u8]) {
        self.next().push_bytes(value);
    }

    /// An `int64` value.
    pub fn push_i64(&mut self, value: i64) {
        self.next().push_i64(value);
    }

    /// A `timestamp` value: microseconds since 1970-01-01T00:00:00Z.
    pub fn push_timestamp(&mut self, value: i64) {
        self.next().push_i64(value);
    }

    /// A `date` value: days since 1970-01-01.
    pub fn push_date(&mut self, value: i32) {
        self.next().push_i32(value);
    }

    /// A `float64` value; the host refuses what is not finite.
    pub fn push_f64(&mut self, value: f64) {
        self.next().push_f64(value);
    }

    /// A `boolean` value.
    pub fn push_bool(&mut self, value: bool) {
        self.next().push_bool(value);
    }

    /// A `decimal` value, unscaled.
    pub fn push_decimal(&mut self, value: i128) {
        self.next().push_decimal(value);
    }

    /// Any value.
    pub fn push_cell(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Null => self.push_null(),
            Cell::Boolean(value) => self.push_bool(*value),
            Cell::Int64(value) => self.push_i64(*value),
            Cell::Float64(value) => self.push_f64(*value),
            Cell::Decimal(value) => self.push_decimal(*value),
            Cell::Date(value) => self.push_date(*value),
            Cell::Timestamp(value) => self.push_timestamp(*value),
            Cell::Text(value) => self.push_text(value),
            Cell::Binary(value) => self.push_bytes(value),
        }
    }

    /// Keeps the row.
    ///
    /// # Panics
    /// If a column has no cell yet.
    pub fn finish(mut self, operation: Operation) {
        assert_eq!(self.column, self.output.columns.len(), "a row has one cell for each column of its output");
        self.output.record_index.push(self.record);
        self.output.operations.push(operation);
        self.journal.push(self.number);
        self.column = 0;
    }

    #[inline]
    fn next(&mut self) -> &mut ColumnBuilder {
        self.column += 1;
        let column = self.output.columns.get_mut(self.column - 1);
        column.expect("a row has one cell for each column of its output: found more")
    }
}

/// Leaves nothing of an unfinished row.
impl Drop for Row<'_> {
    fn drop(&mut self) {
        if self.column > 0 {
            self.output.cut();
        }
    }
}

#[cfg(test)]
mod tests;
