//! What a column's value comes to for the values that most records have.
//!
//! Owns the few forms that need no intermediate value: from the bytes of one node straight into the column. A form is
//! only ever a shorter way to what source, steps and coercion give. What it does not take - null, an absent or escaped
//! text, anything that is refused - goes the general way, so no rule and no message stands twice.

use serde::{Deserialize, Serialize};
use silversmith_sdk::normalise::{Step, TimeForm};
use silversmith_sdk::plugin::DataType;

use crate::prepared::{Action, Path, Reach, Source, Value};

/// A column that is made of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usual {
    pub(crate) path: Path,
    pub(crate) form: Form,
}

/// How a node's bytes become the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    /// A text, or a number's digits, as they stand.
    Verbatim,
    /// An ASCII text without spaces at its ends, in a case.
    Ascii(Case),
    /// A currency's code, as it stands.
    Currency,
    /// A whole number.
    Integer,
    /// A number, at the scale of its column.
    Decimal { minor: Option<Minor>, precision: u8, scale: u8 },
    /// A whole number of ticks of so many microseconds.
    Instant { micros: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Case {
    AsItIs,
    Lower,
    Upper,
}

/// How many digits of a whole number of minor units follow the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Minor {
    Digits(u8),
    /// As many as the currency at this path has.
    OfCurrency(Path),
}

impl Usual {
    /// Whether all rows of a block under one parent have the same cell.
    pub(crate) fn is_common(&self) -> bool {
        self.path.reach == Reach::Outside
            && !matches!(self.form, Form::Decimal { minor: Some(Minor::OfCurrency(_)), .. })
    }

    /// The usual form of `value` in a column of `data_type`, where it has one.
    pub(crate) fn of(value: &Value, data_type: DataType) -> Option<Self> {
        let Source::Path(path) = value.source else { return None };
        if path.reach == Reach::Many {
            return None;
        }
        let form = match (data_type, &value.steps[..]) {
            (DataType::Text, []) => Form::Verbatim,
            (DataType::Text, [Action::Step(Step::Currency)]) => Form::Currency,
            (DataType::Text, steps) => Form::Ascii(case(steps)?),
            (DataType::Int64, []) => Form::Integer,
            (DataType::Timestamp, [Action::Step(Step::Timestamp(forms))]) => match forms.forms[..] {
                [TimeForm::EpochS] => Form::Instant { micros: 1_000_000 },
                [TimeForm::EpochMs] => Form::Instant { micros: 1_000 },
                [TimeForm::EpochUs] => Form::Instant { micros: 1 },
                _ => return None,
            },
            (DataType::Decimal(digits), steps) => {
                let minor = match steps {
                    [] => None,
                    [Action::Step(Step::Scale(digits))] => Some(Minor::Digits(*digits)),
                    [Action::ScaleBy(currency)] => Some(Minor::OfCurrency(plain(currency)?)),
                    _ => return None,
                };
                Form::Decimal { minor, precision: digits.precision, scale: digits.scale }
            }
            _ => return None,
        };
        Some(Self { path, form })
    }
}

/// The case of a text that steps leave, where they do nothing else to an ASCII text without spaces at its ends.
fn case(steps: &[Action]) -> Option<Case> {
    steps.iter().try_fold(Case::AsItIs, |case, step| match step {
        Action::Step(Step::Trim | Step::Nfc | Step::EmptyToNull) => Some(case),
        Action::Step(Step::Lowercase) => Some(Case::Lower),
        Action::Step(Step::Uppercase) => Some(Case::Upper),
        _ => None,
    })
}

/// The path of a value that is nothing but a path to one node.
fn plain(value: &Value) -> Option<Path> {
    match value {
        Value { source: Source::Path(path), steps, .. } if steps.is_empty() && path.reach != Reach::Many => Some(*path),
        _ => None,
    }
}
