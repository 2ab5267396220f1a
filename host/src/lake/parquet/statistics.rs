//! What the log says of a file's rows: their number, and the range of a few columns.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, max, max_boolean, max_string, min, min_boolean, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use serde_json::{Map, Value};

use crate::lake::Statistics;

/// Longer text is not given as a bound: a shortened greatest value would be too small.
const TEXT_BYTES_MAX: usize = 128;

/// The statistics of `rows` as JSON, with the range of `columns` where their type has one.
pub(super) fn of(rows: &RecordBatch, columns: &[String]) -> Result<String, ArrowError> {
    let (mut min_values, mut max_values, mut null_count) = (Map::new(), Map::new(), Map::new());
    for name in columns {
        let Some(column) = rows.column_by_name(name) else { continue };
        null_count.insert(name.clone(), column.null_count().into());
        if let Some((least, greatest)) = range(column)? {
            min_values.insert(name.clone(), least);
            max_values.insert(name.clone(), greatest);
        }
    }
    let statistics = Statistics { num_records: rows.num_rows() as u64, min_values, max_values, null_count };
    Ok(serde_json::to_string(&statistics).expect("statistics are plain data with text keys"))
}

/// The least and the greatest value; none where all are null or the type has no order worth telling.
fn range(column: &ArrayRef) -> Result<Option<(Value, Value)>, ArrowError> {
    macro_rules! primitive {
        ($t:ty) => {{
            let values = column.as_primitive::<$t>();
            min(values).zip(max(values))
        }};
    }
    let json = |range: Option<(i64, i64)>| range.map(|(least, greatest)| (least.into(), greatest.into()));
    Ok(match column.data_type() {
        DataType::Int32 => json(primitive!(Int32Type).map(|(least, greatest)| (least.into(), greatest.into()))),
        DataType::Int64 => json(primitive!(Int64Type)),
        DataType::Float64 => primitive!(Float64Type).map(|(least, greatest)| (least.into(), greatest.into())),
        DataType::Boolean => {
            let values = column.as_boolean();
            min_boolean(values).zip(max_boolean(values)).map(|(least, greatest)| (least.into(), greatest.into()))
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            let range = min_string(values).zip(max_string(values));
            range
                .filter(|(least, greatest)| least.len().max(greatest.len()) <= TEXT_BYTES_MAX)
                .map(|(least, greatest)| (least.into(), greatest.into()))
        }
        DataType::Date32 => match primitive!(Date32Type) {
            Some((least, greatest)) => text::<Date32Type>(column.data_type(), least, greatest)?,
            None => None,
        },
        DataType::Timestamp(..) => match primitive!(TimestampMicrosecondType) {
            // Delta's text has milliseconds: the bounds are rounded outwards.
            Some((least, greatest)) => {
                let (least, greatest) =
                    (least.div_euclid(1000) * 1000, (greatest.saturating_add(999)).div_euclid(1000) * 1000);
                text::<TimestampMicrosecondType>(column.data_type(), least, greatest)?
            }
            None => None,
        },
        DataType::Decimal128(..) => match primitive!(Decimal128Type) {
            Some((least, greatest)) => match text::<Decimal128Type>(column.data_type(), least, greatest)? {
                Some((Value::String(least), Value::String(greatest))) => number(&least).zip(number(&greatest)),
                _ => None,
            },
            None => None,
        },
        _ => None,
    })
}

/// A decimal's digits as a JSON number.
fn number(digits: &str) -> Option<Value> {
    serde_json::from_str(digits).ok()
}

/// The two values as Delta writes them.
fn text<T: arrow::datatypes::ArrowPrimitiveType>(
    data_type: &DataType,
    least: T::Native,
    greatest: T::Native,
) -> Result<Option<(Value, Value)>, ArrowError> {
    let values =
        arrow::array::PrimitiveArray::<T>::from_iter_values([least, greatest]).with_data_type(data_type.clone());
    let text = cast(&values, &DataType::Utf8)?;
    let text = text.as_string::<i32>();
    Ok(Some((text.value(0).into(), text.value(1).into())))
}
