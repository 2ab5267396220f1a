//! Making one value out of several, or out of none: the sources of a field that are not paths.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::StepError;
use super::time::{write_date, write_rfc3339};
use crate::value::Value;

/// A scalar that a mapping states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Constant {
    /// Null.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number in JSON's grammar.
    Number(String),
    /// Text.
    Text(String),
}

impl Constant {
    /// The value, borrowed.
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Number(digits) => Value::Number(Cow::Borrowed(digits)),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
        }
    }
}

/// `value`, or `default` where it is null.
pub fn or_default<'a>(value: Value<'a>, default: &'a Constant) -> Value<'a> {
    match value {
        Value::Null => default.value(),
        value => value,
    }
}

/// The first value that is not null, else null.
pub fn coalesce<'a>(values: impl IntoIterator<Item = Value<'a>>) -> Value<'a> {
    values.into_iter().find(|value| *value != Value::Null).unwrap_or(Value::Null)
}

/// The texts of the values that are not null, with `separator` between them; null where there is none.
///
/// Objects and arrays are refused.
pub fn join<'a>(values: impl IntoIterator<Item = Value<'a>>, separator: &str) -> Result<Value<'a>, StepError> {
    let mut joined: Option<Cow<'a, str>> = None;
    for value in values {
        if value == Value::Null {
            continue;
        }
        let text = text_of(value).map_err(|value| StepError::wrong_type("join", "a scalar", &value))?;
        match &mut joined {
            None => joined = Some(text),
            Some(joined) => {
                if let Cow::Borrowed(first) = *joined {
                    let mut room = String::with_capacity(2 * (first.len() + separator.len() + text.len()));
                    room.push_str(first);
                    *joined = Cow::Owned(room);
                }
                let joined = joined.to_mut();
                joined.push_str(separator);
                joined.push_str(&text);
            }
        }
    }
    Ok(joined.map_or(Value::Null, Value::Text))
}

/// The position of a node among its siblings, counted from `start`.
pub fn index(position: usize, start: i64) -> Value<'static> {
    Value::Number(Cow::Owned((position as i64).saturating_add(start).to_string()))
}

/// A scalar as text: a number in its digits, a timestamp in RFC 3339. Gives null, objects and arrays back.
pub fn text_of(value: Value<'_>) -> Result<Cow<'_, str>, Value<'_>> {
    match value {
        Value::Text(text) | Value::Number(text) => Ok(text),
        Value::Boolean(value) => Ok(Cow::Borrowed(if value { "true" } else { "false" })),
        Value::Timestamp(micros) => Ok(Cow::Owned(write_rfc3339(micros))),
        Value::Date(days) => Ok(Cow::Owned(write_date(days))),
        Value::Null | Value::Json(_) => Err(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    #[test]
    fn join_leaves_nulls_out() {
        let join = |values: Vec<Value<'static>>| join(values, " ").expect("scalars join");
        assert_eq!(join(vec![text("Ada"), Value::Null, text("Lovelace")]), text("Ada Lovelace"));
        assert_eq!(join(vec![Value::Number("1.50".into()), Value::Boolean(true)]), text("1.50 true"));
        assert_eq!(join(vec![Value::Null]), Value::Null);
        assert_eq!(super::join([Value::Json("[]".into())], "").expect_err("an array is no scalar").code, "wrong_type");
    }

    #[test]
    fn defaults_replace_null_only() {
        let default = Constant::Text("standard".into());
        assert_eq!(or_default(Value::Null, &default), text("standard"));
        assert_eq!(or_default(text(""), &default), text(""));
        assert_eq!(coalesce([Value::Null, text("a"), text("b")]), text("a"));
        assert_eq!(coalesce([Value::Null]), Value::Null);
        assert_eq!(index(2, 1), Value::Number("3".into()));
    }
}
