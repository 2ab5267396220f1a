//! The one table by which a value becomes a cell of the contract's type.
//!
//! | column       | boolean | number            | text                   | timestamp | date    | object, array |
//! |--------------|---------|-------------------|------------------------|-----------|---------|---------------|
//! | `text`       | its word| its digits        | as it is               | RFC 3339  | ISO 8601| refused       |
//! | `int64`      | refused | if integral (1)   | of a number (1, 2)     | refused   | refused | refused       |
//! | `float64`    | refused | nearest (3)       | of a number (2, 3)     | refused   | refused | refused       |
//! | `decimal`    | refused | if exact (4)      | of a number (2, 4)     | refused   | refused | refused       |
//! | `boolean`    | itself  | refused           | `true`, `false`        | refused   | refused | refused       |
//! | `date`       | refused | refused           | `YYYY-MM-DD`           | refused   | itself  | refused       |
//! | `timestamp`  | refused | refused           | RFC 3339 with offset   | itself    | refused | refused       |
//! | `binary`     | refused | refused           | its UTF-8              | refused   | refused | refused       |
//! | `json`       | JSON    | its digits        | a JSON string          | a string  | a string| as it is      |
//!
//! Null is null in every column. (1) `1`, `1.0` and `10e-1` are one number in JSON, so all are the integer 1; `1.5` is
//! `precision_loss`, what 64 bits cannot hold is `overflow`. (2) JSON's grammar, with leading zeros and a plus sign
//! allowed; spaces, separators and currency signs need the step `decimal`. (3) Rounded to the nearest as IEEE 754 has
//! it; an infinite result is `overflow`. (4) Trailing zeros may be added or dropped; any other digit beyond the scale
//! is `precision_loss`, too many before the point is `overflow`. Numbers never become times silently: seconds and
//! milliseconds look alike, so a mapping says which (`timestamp: [epoch_ms]`).

use std::borrow::Cow;

use super::number::{NumberError, decimal_from_digits, is_number};
use super::time::{parse_date, parse_rfc3339};
use super::{StepError, text_of};
use crate::columns::Cell;
use crate::plugin::{DataType, DecimalType};
use crate::value::Value;

/// The cell that `value` is in a column of `data_type`, by the table above.
///
/// Errors have the step `coerce`.
pub fn coerce(value: Value<'_>, data_type: DataType) -> Result<Cell<'_>, StepError> {
    if value == Value::Null {
        return Ok(Cell::Null);
    }
    match data_type {
        DataType::Text => match text_of(value) {
            Ok(text) => Ok(Cell::Text(text)),
            Err(value) => Err(wrong_type(data_type, "a scalar", &value)),
        },
        DataType::Int64 => {
            let unscaled = decimal(&value, data_type, DecimalType { precision: 19, scale: 0 })?;
            let integer = i64::try_from(unscaled);
            integer.map(Cell::Int64).map_err(|_| number_error(NumberError::Overflow, data_type, &value))
        }
        DataType::Decimal(digits) => decimal(&value, data_type, digits).map(Cell::Decimal),
        DataType::Float64 => {
            let text = number_text(&value, data_type)?;
            if !is_number(text) {
                return Err(number_error(NumberError::NotANumber, data_type, &value));
            }
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Cell::Float64(number)),
                _ => Err(number_error(NumberError::Overflow, data_type, &value)),
            }
        }
        DataType::Boolean => match &value {
            Value::Boolean(boolean) => Ok(Cell::Boolean(*boolean)),
            Value::Text(text) if text == "true" => Ok(Cell::Boolean(true)),
            Value::Text(text) if text == "false" => Ok(Cell::Boolean(false)),
            _ => Err(wrong_type(data_type, "true or false; for other forms use the step `boolean`", &value)),
        },
        DataType::Date => match &value {
            Value::Date(days) => Ok(Cell::Date(*days)),
            Value::Text(text) => parse_date(text).map(Cell::Date).ok_or_else(|| {
                error("bad_date", "found text, expected `YYYY-MM-DD`; for other forms use the step `date`", &value)
            }),
            _ => Err(wrong_type(data_type, "text `YYYY-MM-DD`; for other forms use the step `date`", &value)),
        },
        DataType::Timestamp => match &value {
            Value::Timestamp(micros) => Ok(Cell::Timestamp(*micros)),
            Value::Text(text) => match parse_rfc3339(text) {
                Some((micros, true)) => Ok(Cell::Timestamp(micros)),
                _ => Err(error(
                    "bad_timestamp",
                    "found text, expected RFC 3339 with an offset; for other forms use the step `timestamp`",
                    &value,
                )),
            },
            _ => Err(wrong_type(data_type, "text in RFC 3339; for other forms use the step `timestamp`", &value)),
        },
        DataType::Binary => match value {
            Value::Text(Cow::Borrowed(text)) => Ok(Cell::Binary(Cow::Borrowed(text.as_bytes()))),
            Value::Text(Cow::Owned(text)) => Ok(Cell::Binary(Cow::Owned(text.into_bytes()))),
            value => Err(wrong_type(data_type, "text", &value)),
        },
        DataType::Json => Ok(Cell::Text(json(value))),
    }
}

/// The JSON text of a value that is not null.
fn json(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Json(text) | Value::Number(text) => text,
        Value::Boolean(true) => "true".into(),
        Value::Boolean(false) => "false".into(),
        value => match text_of(value) {
            Ok(text) => serde_json::Value::from(text).to_string().into(),
            Err(_) => "null".into(),
        },
    }
}

fn decimal(value: &Value<'_>, data_type: DataType, digits: DecimalType) -> Result<i128, StepError> {
    let text = number_text(value, data_type)?;
    decimal_from_digits(text, digits.precision, digits.scale).map_err(|cause| number_error(cause, data_type, value))
}

fn number_text<'a>(value: &'a Value<'_>, data_type: DataType) -> Result<&'a str, StepError> {
    match value {
        Value::Number(text) | Value::Text(text) => Ok(text),
        _ => Err(wrong_type(data_type, "a number", value)),
    }
}

fn number_error(cause: NumberError, data_type: DataType, value: &Value<'_>) -> StepError {
    match cause {
        NumberError::NotANumber => {
            error("bad_number", "found text, expected that of a number; with separators use the step `decimal`", value)
        }
        NumberError::Overflow => {
            error("overflow", format!("found a number beyond {data_type}, expected one that fits"), value)
        }
        NumberError::PrecisionLoss => {
            error("precision_loss", format!("found more digits after the point than {data_type} holds"), value)
        }
    }
}

fn wrong_type(data_type: DataType, expected: &str, value: &Value<'_>) -> StepError {
    error("wrong_type", format!("found {} for {data_type}, expected {expected}", super::kind(value)), value)
}

fn error(code: &'static str, message: impl Into<String>, value: &Value<'_>) -> StepError {
    StepError::new("coerce", code, message, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: DataType = DataType::Decimal(DecimalType { precision: 6, scale: 2 });

    fn number(digits: &str) -> Value<'_> {
        Value::Number(digits.into())
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    #[track_caller]
    fn check<'a>(value: Value<'a>, data_type: DataType, expected: Result<Cell<'a>, &str>) {
        let found = coerce(value, data_type);
        assert_eq!(found.as_ref().map_err(|error| error.code), expected.as_ref().map_err(|code| *code));
        assert!(found.err().is_none_or(|error| error.step == "coerce"));
    }

    #[test]
    fn numbers_keep_their_digits() {
        check(text("1667.80"), MONEY, Ok(Cell::Decimal(166780)));
        check(number("1667.8"), MONEY, Ok(Cell::Decimal(166780)));
        check(number("1667.800"), MONEY, Ok(Cell::Decimal(166780)));
        check(number("1667.805"), MONEY, Err("precision_loss"));
        check(number("10000"), MONEY, Err("overflow"));
        check(text("1,667.80"), MONEY, Err("bad_number"));
        check(number("0.30000000000000004"), DataType::Text, Ok(Cell::Text("0.30000000000000004".into())));
        check(number("9007199254740993"), DataType::Int64, Ok(Cell::Int64(9007199254740993)));
    }

    #[test]
    fn integral_numbers_are_integers_however_they_are_written() {
        check(number("1.0"), DataType::Int64, Ok(Cell::Int64(1)));
        check(number("10e-1"), DataType::Int64, Ok(Cell::Int64(1)));
        check(text("007"), DataType::Int64, Ok(Cell::Int64(7)));
        check(number("-0"), DataType::Int64, Ok(Cell::Int64(0)));
        check(number("1.5"), DataType::Int64, Err("precision_loss"));
        check(number("-9223372036854775808"), DataType::Int64, Ok(Cell::Int64(i64::MIN)));
        check(number("9223372036854775808"), DataType::Int64, Err("overflow"));
        check(Value::Boolean(true), DataType::Int64, Err("wrong_type"));
    }

    #[test]
    fn floats_are_finite() {
        check(number("0.1"), DataType::Float64, Ok(Cell::Float64(0.1)));
        check(number("1e400"), DataType::Float64, Err("overflow"));
        check(text("inf"), DataType::Float64, Err("bad_number"));
        check(text("NaN"), DataType::Float64, Err("bad_number"));
    }

    #[test]
    fn times_are_stated() {
        check(text("1970-01-01T01:00:00.5+01:00"), DataType::Timestamp, Ok(Cell::Timestamp(500_000)));
        check(text("1970-01-01T00:00:00"), DataType::Timestamp, Err("bad_timestamp"));
        check(number("1588000000"), DataType::Timestamp, Err("wrong_type"));
        check(Value::Timestamp(1), DataType::Timestamp, Ok(Cell::Timestamp(1)));
        check(Value::Timestamp(1), DataType::Date, Err("wrong_type"));
        check(text("1970-01-02"), DataType::Date, Ok(Cell::Date(1)));
        check(text("1970-02-30"), DataType::Date, Err("bad_date"));
        check(Value::Timestamp(0), DataType::Text, Ok(Cell::Text("1970-01-01T00:00:00Z".into())));
    }

    #[test]
    fn json_takes_everything_and_the_rest_takes_no_objects() {
        let object = || Value::Json(r#"{"a": 1.0}"#.into());
        check(object(), DataType::Json, Ok(Cell::Text(r#"{"a": 1.0}"#.into())));
        check(text("a\"b"), DataType::Json, Ok(Cell::Text(r#""a\"b""#.into())));
        check(number("1.0"), DataType::Json, Ok(Cell::Text("1.0".into())));
        check(Value::Date(0), DataType::Json, Ok(Cell::Text("\"1970-01-01\"".into())));
        for data_type in [DataType::Text, DataType::Int64, MONEY, DataType::Boolean, DataType::Date, DataType::Binary] {
            check(object(), data_type, Err("wrong_type"));
            check(Value::Null, data_type, Ok(Cell::Null));
        }
        check(text("é"), DataType::Binary, Ok(Cell::Binary("é".as_bytes().into())));
        check(text("yes"), DataType::Boolean, Err("wrong_type"));
    }
}
