//! What became of records and rows, and why one was refused.
//!
//! The reasons that the host itself gives are the closed list [`Code`]; a plugin's own codes stand beside them.

use serde::{Deserialize, Serialize};

use super::rows::EntityRows;
use crate::entity::Refusal;

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// It has rows, or rows that were refused alone.
    Transformed,
    /// Valid, and deliberately without rows, for this reason.
    Filtered(String),
    /// Set aside as a whole; none of its rows counts.
    Quarantined(Refusal),
}

/// A row that was refused while its record goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The record in the batch.
    pub record: u32,
    /// The row in the record, counted over the outputs in the order of the descriptor; rows that the plugin refused itself
    /// come after all others.
    pub row: u32,
    /// Why. Holds no value that the tenant's treatment of PII would keep out of Silver.
    pub refusal: Refusal,
}

/// What is to be decided of a batch: everything between the plugin's answer and the tables.
#[derive(Clone, Debug)]
pub struct Conformed {
    /// One a record, in order.
    pub records: Vec<RecordOutcome>,
    /// The rows of each entity that the plugin may fill, in the order of the plan.
    pub entities: Vec<EntityRows>,
    /// Rows refused alone, by record and row.
    pub refused: Vec<RefusedRow>,
}

/// What became of one row of [`EntityRows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// It goes into the table, under this running number of it (dimensions) or 0 (facts).
    Kept {
        /// The row's place in the order of arrival.
        arrival: i64,
    },
    /// The table says it already.
    Duplicate,
    /// It contradicts the table.
    Refused(Code),
}

/// The reasons for which the host refuses, as they stand in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A key column or required column has no value.
    Required,
    /// The value is not one of those allowed.
    NotAllowed,
    /// The text is shorter or longer than allowed.
    Length,
    /// The text does not match.
    Pattern,
    /// The number or time is outside its bounds.
    Range,
    /// The row has no value in the column that orders the rows of its key.
    NoSequence,
    /// The record was said to be transformed and has no row.
    NoRows,
    /// A fact takes upserts only.
    FactOperation,
    /// A fact with this key says something else.
    Conflict,
}

impl Code {
    /// The word in quarantine and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NotAllowed => "not_allowed",
            Self::Length => "length",
            Self::Pattern => "pattern",
            Self::Range => "range",
            Self::NoSequence => "no_sequence",
            Self::NoRows => "no_rows",
            Self::FactOperation => "fact_operation",
            Self::Conflict => "conflict",
        }
    }

    /// A refusal for this reason that concerns one entity.
    pub fn refusal(self, entity: &str, message: impl Into<String>) -> Refusal {
        Refusal { entity: Some(entity.to_owned()), ..Refusal::of_record(self.as_str(), message) }
    }
}
