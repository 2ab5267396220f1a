//! Normalisers: pure steps from value to value, and the one table by which a value becomes a cell.
//!
//! Steps know no paths, no contracts and no records. A mapping holds them as [`Step`]s; a plugin written by hand
//! calls the function or the settings' `apply`, and then links only what it uses. Null passes through every step
//! unchanged, so that `default` can follow. What a step changes it allocates, what it leaves alone stays borrowed
//! from the record. Whatever fails names the step; the value that failed travels apart from the message, because
//! it may be personal.

mod code;
mod coerce;
mod combine;
mod number;
mod text;
mod time;

use serde::{Deserialize, Serialize};

pub use code::{CurrencyCode, country, currency, scale_by_currency};
pub use coerce::coerce;
pub use combine::{Constant, coalesce, index, join, or_default, text_of};
pub use number::{DecimalText, NumberError, decimal_from_digits, decimal_to_digits, scale, shifted, short_number};
pub use text::{BooleanWords, Lookup, Miss, Pattern, collapse_spaces, empty_to_null, lowercase, nfc, trim, uppercase};
pub use time::{
    DateForm, DateForms, TimeForm, TimeForms, instant, parse_date, parse_rfc3339, write_date, write_rfc3339,
};

use crate::value::Value;

/// One normaliser with its settings. Serialises with postcard, for `Descriptor::prepared`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Text without white space (Unicode) at both ends.
    Trim,
    /// Text in lower case (Unicode, without a locale).
    Lowercase,
    /// Text in upper case (Unicode, without a locale).
    Uppercase,
    /// Text in Unicode normalisation form C.
    Nfc,
    /// Text with each run of white space made one space, none at the ends.
    CollapseSpaces,
    /// The empty text becomes null. Put it after `Trim` to catch blanks.
    EmptyToNull,
    /// Text, a number's digits or a boolean to the value listed for it.
    Lookup(Lookup),
    /// Text to a number, with its digits as they are.
    Decimal(DecimalText),
    /// A number of minor units to major units: `166780` at 2 is `1667.80`.
    Scale(u8),
    /// Text or a number to an instant.
    Timestamp(TimeForms),
    /// Text or an instant to a day.
    Date(DateForms),
    /// Words or the numbers 1 and 0 to true and false.
    Boolean(BooleanWords),
    /// A country's ISO 3166 alpha-2, alpha-3 or numeric code, or English short name, to alpha-2.
    Country,
    /// A currency's ISO 4217 alphabetic or numeric code to the alphabetic code.
    Currency,
    /// Text to the first group of a regular expression, or to the whole match where it has no group.
    Extract(Pattern),
}

/// A step could not be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// A word for a refusal: `wrong_type`, `lookup_miss`, `no_match`, `bad_number`, `bad_timestamp`, `bad_date`,
    /// `bad_boolean`, `bad_country`, `bad_currency`, `overflow` or `precision_loss`.
    pub code: &'static str,
    /// The step's name as mappings write it; `coerce` for the last one, which nobody writes.
    pub step: &'static str,
    /// What was expected, and what kind of thing was found; never the value.
    pub message: String,
    /// The value that was found, as text.
    pub value: String,
}

impl Step {
    /// The name as mappings write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Trim => "trim",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
            Self::Nfc => "nfc",
            Self::CollapseSpaces => "collapse_spaces",
            Self::EmptyToNull => "empty_to_null",
            Self::Lookup(_) => "lookup",
            Self::Decimal(_) => "decimal",
            Self::Scale(_) => "scale",
            Self::Timestamp(_) => "timestamp",
            Self::Date(_) => "date",
            Self::Boolean(_) => "boolean",
            Self::Country => "country",
            Self::Currency => "currency",
            Self::Extract(_) => "extract",
        }
    }

    /// Applies the step. Null stays null.
    pub fn apply<'a>(&'a self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        if value == Value::Null {
            return Ok(value);
        }
        match self {
            Self::Trim => trim(value),
            Self::Lowercase => lowercase(value),
            Self::Uppercase => uppercase(value),
            Self::Nfc => nfc(value),
            Self::CollapseSpaces => collapse_spaces(value),
            Self::EmptyToNull => Ok(empty_to_null(value)),
            Self::Lookup(lookup) => lookup.apply(value),
            Self::Decimal(decimal) => decimal.apply(value),
            Self::Scale(exponent) => scale(value, u32::from(*exponent)),
            Self::Timestamp(forms) => forms.apply(value),
            Self::Date(forms) => forms.apply(value),
            Self::Boolean(words) => words.apply(value),
            Self::Country => country(value),
            Self::Currency => currency(value),
            Self::Extract(pattern) => pattern.apply(value),
        }
    }
}

impl StepError {
    pub(crate) fn new(step: &'static str, code: &'static str, message: impl Into<String>, value: &Value<'_>) -> Self {
        let value = match value {
            Value::Null => "null".to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::Number(text) | Value::Text(text) | Value::Json(text) => text.to_string(),
            Value::Timestamp(micros) => write_rfc3339(*micros),
            Value::Date(days) => write_date(*days),
        };
        Self { code, step, message: message.into(), value }
    }

    pub(crate) fn wrong_type(step: &'static str, expected: &str, value: &Value<'_>) -> Self {
        Self::new(step, "wrong_type", format!("found {}, expected {expected}", kind(value)), value)
    }
}

/// What a value is, in words for a message.
pub(crate) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Text(_) => "text",
        Value::Json(text) if text.trim_start().starts_with('[') => "an array",
        Value::Json(_) => "an object",
        Value::Timestamp(_) => "a timestamp",
        Value::Date(_) => "a date",
    }
}
