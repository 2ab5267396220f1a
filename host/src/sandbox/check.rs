//! What a guest answered, checked and made into plain types.
//!
//! Nothing is believed: every count, index, offset, length and character is looked at before it is used, in one
//! pass over whole buffers where that is possible. The buffers themselves become Arrow columns without another
//! copy. A breach names the rule; whose record it is, bisecting finds out.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::bindings::types;
use super::text::{clean, clean_owned, cut};
use crate::entity::{
    Answer, Column, DataType, Descriptor, OnError, Operation, Operations, Output, Refusal, RowRefusal, Rows, Verdict,
};

/// A rule of the contract that an answer broke.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// The rule, with what was found and what was expected.
    Rule(String),
    /// More rows than the budget.
    Rows {
        /// The budget.
        most: u64,
    },
}

macro_rules! breach {
    ($($text:tt)*) => { return Err(Breach::Rule(format!($($text)*))) };
}

/// What a descriptor says of the shape of answers.
#[derive(Debug)]
pub(super) struct Shape {
    outputs: Vec<OutputShape>,
    paths: usize,
}

#[derive(Debug)]
struct OutputShape {
    name: String,
    on_error: OnError,
    /// Name and type of the fields, then of the key columns of the references.
    columns: Vec<(String, DataType)>,
}

impl Shape {
    pub(super) fn new(descriptor: &Descriptor) -> Self {
        let outputs = descriptor.outputs.iter().enumerate().map(|(i, output)| OutputShape {
            name: format!("output {i} (`{}`)", output.entity),
            on_error: output.on_error,
            columns: columns(output),
        });
        Self { outputs: outputs.collect(), paths: descriptor.paths.len() }
    }

    /// Checks the answer to a call of `records` records, which may have `rows_most` rows. `base` is added to the
    /// record indexes.
    pub(super) fn check(
        &self,
        answer: types::SilverBatch,
        records: usize,
        base: usize,
        rows_most: u64,
    ) -> Result<Answer, Breach> {
        if answer.verdicts.len() != records {
            breach!("found {} verdicts, expected one for each of {records} records", answer.verdicts.len());
        }
        if answer.path_hits.len() != self.paths {
            breach!("found {} path hits, expected {}", answer.path_hits.len(), self.paths);
        }
        let rows = answer.rows.iter().map(|rows| rows.record_index.len()).sum::<usize>() + answer.row_refusals.len();
        if rows as u64 > rows_most {
            return Err(Breach::Rows { most: rows_most });
        }
        let verdicts = answer.verdicts.into_iter().map(verdict).collect::<Result<Vec<_>, _>>()?;
        let mut slots: Vec<Option<Rows>> = self.outputs.iter().map(|_| None).collect();
        for rows in answer.rows {
            let Some((shape, slot)) = self.outputs.get(rows.output as usize).zip(slots.get_mut(rows.output as usize))
            else {
                breach!("found rows of output {}, expected one of {}", rows.output, self.outputs.len());
            };
            if slot.is_some() {
                breach!("found rows of {} twice, expected each output once", shape.name);
            }
            *slot = Some(shape.check(rows, &verdicts, base)?);
        }
        let row_refusals = answer.row_refusals.into_iter().map(|refused| self.row_refusal(refused, &verdicts, base));
        let row_refusals = row_refusals.collect::<Result<_, _>>()?;
        let rows = slots.into_iter().flatten().filter(|rows| !rows.record.is_empty()).collect();
        Ok(Answer { verdicts, rows, row_refusals, path_hits: answer.path_hits })
    }

    fn row_refusal(&self, refused: types::RowRefusal, verdicts: &[Verdict], base: usize) -> Result<RowRefusal, Breach> {
        let Some(shape) = self.outputs.get(refused.output as usize) else {
            breach!("found a refused row of output {}, expected one of {}", refused.output, self.outputs.len());
        };
        if shape.on_error != OnError::Row {
            breach!("found a refused row of {}, expected the record refused: its on-error is record", shape.name);
        }
        if verdicts.get(refused.record_index as usize) != Some(&Verdict::Transformed) {
            breach!("found a refused row of record {}, expected a record that is transformed", refused.record_index);
        }
        Ok(RowRefusal {
            record: refused.record_index + base as u32,
            output: refused.output as usize,
            refusal: refusal(refused.refusal)?,
        })
    }
}

fn columns(output: &Output) -> Vec<(String, DataType)> {
    let fields = output.fields.iter().map(|field| (field.name.clone(), field.data_type));
    let keys = output.references.iter().flat_map(|reference| {
        reference.key.iter().map(|field| (format!("{}.{}", reference.name, field.name), field.data_type))
    });
    fields.chain(keys).collect()
}

impl OutputShape {
    fn check(&self, rows: types::Rows, verdicts: &[Verdict], base: usize) -> Result<Rows, Breach> {
        let n = rows.record_index.len();
        let mut record = rows.record_index;
        let mut last = None;
        for index in &mut record {
            if let Some(last) = last.filter(|last| *last > *index) {
                breach!("found record {index} after record {last} in {}, expected them in order", self.name);
            }
            // The verdict is looked at once for each record that has rows.
            if last != Some(*index) && verdicts.get(*index as usize) != Some(&Verdict::Transformed) {
                breach!("found a row of record {index} in {}, expected a record that is transformed", self.name);
            }
            last = Some(*index);
            *index += base as u32;
        }
        let operations = match rows.operations {
            types::Operations::All(all) => Operations::All(operation(all)),
            types::Operations::Each(each) if each.len() == n => {
                Operations::Each(each.into_iter().map(operation).collect())
            }
            types::Operations::Each(each) => {
                breach!("found {} operations in {}, expected one for each of {n} rows", each.len(), self.name)
            }
        };
        if rows.columns.len() != self.columns.len() {
            breach!("found {} columns in {}, expected {}", rows.columns.len(), self.name, self.columns.len());
        }
        let columns = rows.columns.into_iter().zip(&self.columns).map(|(found, (name, data_type))| {
            column(found, *data_type, n)
                .map_err(|rule| Breach::Rule(format!("column `{name}` of {}: {rule}", self.name)))
        });
        Ok(Rows { output: rows.output as usize, record, operations, columns: columns.collect::<Result<_, _>>()? })
    }
}

fn operation(operation: types::Operation) -> Operation {
    match operation {
        types::Operation::Upsert => Operation::Upsert,
        types::Operation::Patch => Operation::Patch,
        types::Operation::Stub => Operation::Stub,
        types::Operation::Delete => Operation::Delete,
    }
}

fn verdict(verdict: types::Verdict) -> Result<Verdict, Breach> {
    Ok(match verdict {
        types::Verdict::Transformed => Verdict::Transformed,
        types::Verdict::Filtered(reason) => Verdict::Filtered(clean(&reason)),
        types::Verdict::Refused(refused) => Verdict::Refused(refusal(refused)?),
    })
}

/// The offending value stays as it is, cut: the contract may say that nobody may read it.
fn refusal(refusal: types::Refusal) -> Result<Refusal, Breach> {
    if !is_code(&refusal.code) {
        breach!("found refusal code `{}`, expected a match of ^[a-z][a-z0-9_]{{0,63}}$", clean(&refusal.code));
    }
    Ok(Refusal {
        code: refusal.code,
        message: clean(&refusal.message),
        entity: refusal.entity.map(clean_owned),
        field: refusal.field.map(clean_owned),
        path: refusal.path.map(clean_owned),
        value: refusal.value.map(|value| cut(&value).to_owned()),
        step: refusal.step.map(clean_owned),
    })
}

fn is_code(code: &str) -> bool {
    code.len() <= 64
        && code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Checks one column of `n` rows; an error is the rule that it breaks.
fn column(column: types::Column, data_type: DataType, n: usize) -> Result<Column, String> {
    let nulls = column.validity.map(|bits| bitmap(bits, n, "validity")).transpose()?.map(NullBuffer::new);
    let presence = column.presence.map(|bits| bitmap(bits, n, "presence")).transpose()?;
    Ok(Column { values: values(column.values, data_type, n, nulls)?, presence })
}

fn bitmap(bits: Vec<u8>, n: usize, what: &str) -> Result<BooleanBuffer, String> {
    count(bits.len(), n.div_ceil(8), what)?;
    Ok(BooleanBuffer::new(Buffer::from_vec(bits), 0, n))
}

fn count(found: usize, expected: usize, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("found {found} {what} values, expected {expected}")) }
}

fn values(values: types::Values, data_type: DataType, n: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef, String> {
    use types::Values::{Boolean, Bytes, Decimal, Float64, Int32, Int64};
    Ok(match (data_type, values) {
        (DataType::Boolean, Boolean(bits)) => Arc::new(BooleanArray::new(bitmap(bits, n, "boolean byte")?, nulls)),
        (DataType::Int64, Int64(values)) => {
            count(values.len(), n, "int64")?;
            Arc::new(Int64Array::new(values.into(), nulls))
        }
        (DataType::Timestamp, Int64(values)) => {
            count(values.len(), n, "int64")?;
            Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
        }
        (DataType::Date, Int32(values)) => {
            count(values.len(), n, "int32")?;
            Arc::new(Date32Array::new(values.into(), nulls))
        }
        (DataType::Float64, Float64(values)) => {
            count(values.len(), n, "float64")?;
            let array = Float64Array::new(values.into(), nulls);
            if let Some(row) = (0..n).find(|&row| !array.value(row).is_finite() && array.is_valid(row)) {
                return Err(format!("found {} in row {row}, expected a finite number", array.value(row)));
            }
            Arc::new(array)
        }
        (DataType::Decimal { precision, scale }, Decimal(bytes)) => {
            count(bytes.len(), n * 16, "decimal byte")?;
            let most = 10_i128.pow(u32::from(precision));
            let numbers: Vec<i128> = bytes
                .chunks_exact(16)
                .map(|bytes| i128::from_le_bytes(bytes.try_into().expect("chunks_exact(16) gives 16 bytes")))
                .collect();
            let fits = |value: i128| -most < value && value < most;
            let is_valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            if let Some(row) = (0..n).find(|&row| !fits(numbers[row]) && is_valid(row)) {
                return Err(format!("found {} in row {row}, expected at most {precision} digits", numbers[row]));
            }
            let array = Decimal128Array::new(numbers.into(), nulls).with_precision_and_scale(precision, scale as i8);
            Arc::new(array.map_err(|error| error.to_string())?)
        }
        (DataType::Binary, Bytes(bytes)) => {
            let (offsets, data) = offsets(bytes, n)?;
            Arc::new(BinaryArray::try_new(offsets, data, nulls).map_err(|error| error.to_string())?)
        }
        (DataType::Text, Bytes(bytes)) => Arc::new(text(bytes, n, nulls)?),
        (DataType::Json, Bytes(bytes)) => {
            let array = text(bytes, n, nulls)?;
            for (row, value) in array.iter().enumerate() {
                // `IgnoredAny` follows the grammar without recursion or copies.
                if let Some(Err(error)) = value.map(serde_json::from_str::<serde::de::IgnoredAny>) {
                    return Err(format!("found no JSON value in row {row}: {error}"));
                }
            }
            Arc::new(array)
        }
        (_, other) => return Err(format!("found {} values, expected {data_type}", kind(&other))),
    })
}

fn kind(values: &types::Values) -> &'static str {
    match values {
        types::Values::Boolean(_) => "boolean",
        types::Values::Int64(_) => "int64",
        types::Values::Int32(_) => "int32",
        types::Values::Float64(_) => "float64",
        types::Values::Decimal(_) => "decimal",
        types::Values::Bytes(_) => "bytes",
    }
}

/// Text in which every value is UTF-8: one look at all the data, then at the first byte of each value.
fn text(bytes: types::BytesColumnResult, n: usize, nulls: Option<NullBuffer>) -> Result<StringArray, String> {
    let (offsets, data) = offsets(bytes, n)?;
    StringArray::try_new(offsets, data, nulls).map_err(|error| clean(&error.to_string()))
}

/// Offsets that only rise and stay inside the data.
fn offsets(bytes: types::BytesColumnResult, n: usize) -> Result<(OffsetBuffer<i32>, Buffer), String> {
    count(bytes.offsets.len(), n + 1, "offset")?;
    if let Some(pair) = bytes.offsets.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(format!("found offset {} after {}, expected them to rise", pair[1], pair[0]));
    }
    let (last, length) = (bytes.offsets[n], bytes.data.len());
    if last as usize > length {
        return Err(format!("found offset {last}, expected at most {length}, the bytes that there are"));
    }
    if last > i32::MAX as u32 {
        return Err(format!("found offset {last}, expected at most {}", i32::MAX));
    }
    // The same four bytes mean the same number in both types, checked above.
    let offsets = ScalarBuffer::<i32>::from(Buffer::from_vec(bytes.offsets));
    Ok((OffsetBuffer::new(offsets), Buffer::from_vec(bytes.data)))
}

#[cfg(test)]
mod tests;
