//! An answer as rows of named cells, after the checks that the host makes too.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use crate::normalise::{decimal_to_digits, write_date, write_rfc3339};
use crate::plugin::{
    BytesColumn, Column, DataType, DecimalType, Descriptor, Field, Operation, Operations, Output, RowRefusal, Rows,
    SilverBatch, Values, Verdict,
};

/// What a plugin said of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// One a record.
    pub verdicts: Vec<Verdict>,
    /// Of all outputs, in their order, each in the order of the records.
    pub rows: Vec<AnsweredRow>,
    /// Rows refused alone.
    pub row_refusals: Vec<RowRefusal>,
    /// Nodes selected by each path of the descriptor.
    pub path_hits: Vec<u64>,
}

/// One row, readable.
#[derive(Clone, Debug, PartialEq)]
pub struct AnsweredRow {
    /// The output's entity.
    pub entity: String,
    /// The output in the descriptor.
    pub output: usize,
    /// The record that it came from.
    pub record: usize,
    /// What it does.
    pub operation: Operation,
    /// Cells by column, those of a reference as `<name>.<column>`; what a patch does not assert is left out.
    ///
    /// Integers, finite floats and booleans are JSON's own; text and JSON are text; decimals are digits, timestamps
    /// RFC 3339, dates ISO 8601 and binary hexadecimal, all as text.
    pub cells: BTreeMap<String, Json>,
}

impl Answer {
    /// The rows of `entity`, from every output that fills it.
    pub fn rows_of(&self, entity: &str) -> impl Iterator<Item = &AnsweredRow> {
        self.rows.iter().filter(move |row| row.entity == entity)
    }

    pub(super) fn read(descriptor: &Descriptor, records: usize, answer: SilverBatch) -> Self {
        assert_eq!(answer.verdicts.len(), records, "a plugin gives one verdict a record");
        assert_eq!(answer.path_hits.len(), descriptor.paths.len(), "a plugin counts each path of its descriptor");
        let mut rows = Vec::new();
        let mut last = None;
        for of_output in &answer.rows {
            assert!(last < Some(of_output.output), "each output comes once, in the order of the descriptor");
            last = Some(of_output.output);
            let output = &descriptor.outputs[of_output.output as usize];
            read_rows(output, of_output, &answer.verdicts, &mut rows);
        }
        for refusal in &answer.row_refusals {
            let verdict = &answer.verdicts[refusal.record_index as usize];
            assert_eq!(*verdict, Verdict::Transformed, "only a record that is transformed has rows refused alone");
        }
        Self { verdicts: answer.verdicts, rows, row_refusals: answer.row_refusals, path_hits: answer.path_hits }
    }
}

fn read_rows(output: &Output, rows: &Rows, verdicts: &[Verdict], into: &mut Vec<AnsweredRow>) {
    let names: Vec<String> = names(output).collect();
    let fields: Vec<&Field> = output.columns().collect();
    let count = rows.record_index.len();
    assert_eq!(rows.columns.len(), fields.len(), "`{}` has one column a field", output.entity);
    assert!(rows.record_index.is_sorted(), "rows come in the order of their records");
    let columns: Vec<Vec<Option<Json>>> =
        fields.iter().zip(&rows.columns).map(|(field, column)| read_column(field, column, count)).collect();
    for (index, record) in rows.record_index.iter().enumerate() {
        let verdict = &verdicts[*record as usize];
        assert_eq!(*verdict, Verdict::Transformed, "only a record that is transformed has rows");
        let operation = match &rows.operations {
            Operations::All(operation) => *operation,
            Operations::Each(operations) => operations[index],
        };
        let cells = names.iter().zip(&columns);
        into.push(AnsweredRow {
            entity: output.entity.clone(),
            output: rows.output as usize,
            record: *record as usize,
            operation,
            cells: cells.filter_map(|(name, column)| Some((name.clone(), column[index].clone()?))).collect(),
        });
    }
}

fn names(output: &Output) -> impl Iterator<Item = String> {
    let fields = output.fields.iter().map(|field| field.name.clone());
    fields.chain(
        output
            .references
            .iter()
            .flat_map(|reference| reference.key.iter().map(|field| format!("{}.{}", reference.name, field.name))),
    )
}

/// One cell a row, or none where a patch does not assert it.
fn read_column(field: &Field, column: &Column, count: usize) -> Vec<Option<Json>> {
    let bit = |bits: &[u8], row: usize| bits[row / 8] >> (row % 8) & 1 == 1;
    for bits in [&column.validity, &column.presence].into_iter().flatten() {
        assert_eq!(bits.len(), count.div_ceil(8), "a bitmap of `{}` has one bit a row", field.name);
    }
    let cell = |row: usize| {
        if column.presence.as_ref().is_some_and(|bits| !bit(bits, row)) {
            return None;
        }
        if column.validity.as_ref().is_some_and(|bits| !bit(bits, row)) {
            return Some(Json::Null);
        }
        Some(match (&column.values, field.data_type) {
            (Values::Boolean(bits), DataType::Boolean) => bit(bits, row).into(),
            (Values::Int64(values), DataType::Int64) => values[row].into(),
            (Values::Int64(values), DataType::Timestamp) => write_rfc3339(values[row]).into(),
            (Values::Int32(values), DataType::Date) => write_date(values[row]).into(),
            (Values::Float64(values), DataType::Float64) => values[row].into(),
            (Values::Decimal(bytes), DataType::Decimal(DecimalType { scale, .. })) => {
                let bytes = bytes[row * 16..row * 16 + 16].try_into().expect("16 bytes were cut");
                decimal_to_digits(i128::from_le_bytes(bytes), scale).into()
            }
            (Values::Bytes(bytes), DataType::Binary) => {
                cut(bytes, row).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
            }
            (Values::Bytes(bytes), DataType::Text | DataType::Json) => {
                std::str::from_utf8(cut(bytes, row)).expect("text is UTF-8").into()
            }
            (_, data_type) => panic!("`{}` is {data_type}, its column is of another type", field.name),
        })
    };
    (0..count).map(cell).collect()
}

fn cut(column: &BytesColumn, row: usize) -> &[u8] {
    &column.data[column.offsets[row] as usize..column.offsets[row + 1] as usize]
}

/// One line a verdict that is not `transformed`, a row, a refused row.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (record, verdict) in self.verdicts.iter().enumerate() {
            match verdict {
                Verdict::Transformed => {}
                Verdict::Filtered(reason) => writeln!(f, "{record}: filtered, {reason}")?,
                Verdict::Refused(refusal) => writeln!(f, "{record}: refused, {}: {}", refusal.code, refusal.message)?,
            }
        }
        for row in &self.rows {
            let cells = serde_json::to_string(&row.cells).map_err(|_| fmt::Error)?;
            writeln!(f, "{}: {} {} {cells}", row.record, row.operation, row.entity)?;
        }
        for RowRefusal { record_index, refusal, .. } in &self.row_refusals {
            writeln!(f, "{record_index}: row refused, {}: {}", refusal.code, refusal.message)?;
        }
        Ok(())
    }
}
