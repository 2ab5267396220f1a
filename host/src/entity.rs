//! What a plugin says: its descriptor, and the rows and verdicts of a batch, in plain checked types.
//!
//! The shapes mirror `wit/extractor.wit`, which documents them. `sandbox` makes them from what a guest
//! returned and vouches for every index, offset and length in them; nothing here is trusted for meaning,
//! that is the work of `conform`.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{self as arrow_types, TimeUnit};
use serde::{Deserialize, Serialize};

/// The type of a column, as its contract states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// UTF-8 text.
    Text,
    /// Signed 64-bit integer.
    Int64,
    /// IEEE 754 binary64, finite.
    Float64,
    /// Fixed point: at most 38 digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// True or false.
    Boolean,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// Bytes.
    Binary,
    /// UTF-8 text of one JSON value.
    Json,
}

impl DataType {
    /// The Arrow type that every buffer and table of this type has.
    pub fn arrow(self) -> arrow_types::DataType {
        match self {
            Self::Text | Self::Json => arrow_types::DataType::Utf8,
            Self::Int64 => arrow_types::DataType::Int64,
            Self::Float64 => arrow_types::DataType::Float64,
            Self::Decimal { precision, scale } => arrow_types::DataType::Decimal128(precision, scale as i8),
            Self::Boolean => arrow_types::DataType::Boolean,
            Self::Date => arrow_types::DataType::Date32,
            Self::Timestamp => utc_microseconds(),
            Self::Binary => arrow_types::DataType::Binary,
        }
    }
}

/// The one timestamp type of the lake: microseconds, UTC.
pub fn utc_microseconds() -> arrow_types::DataType {
    arrow_types::DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Binary => f.write_str("binary"),
            Self::Json => f.write_str("json"),
        }
    }
}

/// What a row does to its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Asserts every column; an absent one is null.
    Upsert,
    /// Asserts the columns that are present.
    Patch,
    /// Only makes the key exist.
    Stub,
    /// The key has ended.
    Delete,
}

impl Operation {
    /// The word for it in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Patch => "patch",
            Self::Stub => "stub",
            Self::Delete => "delete",
        }
    }
}

/// The operations of the rows of one output.
#[derive(Clone, Debug, PartialEq)]
pub enum Operations {
    /// The same for all.
    All(Operation),
    /// One a row.
    Each(Vec<Operation>),
}

impl Operations {
    /// The operation of row `row`.
    pub fn get(&self, row: usize) -> Operation {
        match self {
            Self::All(operation) => *operation,
            Self::Each(operations) => operations[row],
        }
    }
}

/// A column that the plugin fills.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The contract's column, or, under a reference, a business key column of the target.
    pub name: String,
    /// Must equal the contract's type.
    pub data_type: DataType,
    /// The JSONPath that the value comes from, for lineage.
    pub source: Option<String>,
}

/// A link to another entity, which becomes the column `<name>_key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The name of the link.
    pub name: String,
    /// The entity linked to.
    pub entity: String,
    /// The target's business key columns.
    pub key: Vec<Field>,
}

/// How far a refused row reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The record is refused, with all its rows.
    Record,
    /// Only the row is refused.
    Row,
}

/// Rows of one shape for one entity; several outputs may fill one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The entity filled.
    pub entity: String,
    /// How far a refused row of this output reaches.
    pub on_error: OnError,
    /// The columns filled.
    pub fields: Vec<Field>,
    /// The links filled.
    pub references: Vec<Reference>,
}

/// A property of a record that a plugin asked for; all come as text or bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// The record's key.
    Key,
    /// SHA-256 of the payload in lower-case hexadecimal.
    Checksum,
    /// The position as text.
    Position,
    /// The topic, or the source's name.
    Topic,
    /// The file read.
    File,
    /// The event time in RFC 3339.
    EventTime,
    /// The schema version that a header or the source declares.
    SchemaVersion,
    /// The last header of this name.
    Header(String),
}

/// A finding in a configuration. Lines and columns count from 1; 0 means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file as the tenant names it, or empty for the settings.
    pub file: String,
    /// Line from 1, or 0.
    pub line: u32,
    /// Column from 1, or 0.
    pub column: u32,
    /// What was found and what was expected.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

/// What a plugin says of itself under a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// What it fills.
    pub outputs: Vec<Output>,
    /// The record properties it wants, in order.
    pub properties: Vec<Property>,
    /// The JSONPaths counted in [`Answer::path_hits`].
    pub paths: Vec<String>,
    /// What `configure` gets.
    #[serde(skip)]
    pub prepared: Vec<u8>,
    /// Findings that do not prevent activation.
    pub warnings: Vec<Diagnostic>,
}

/// One column of one output.
#[derive(Clone, Debug)]
pub struct Column {
    /// Values and nulls, of the Arrow type of the field.
    pub values: ArrayRef,
    /// Set where a patch asserts the column; none means everywhere.
    pub presence: Option<BooleanBuffer>,
}

/// The rows of one output, ordered by record.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The index of the output in the descriptor.
    pub output: usize,
    /// The record that each row came from; never decreases.
    pub record: Vec<u32>,
    /// What each row does.
    pub operations: Operations,
    /// The output's fields, then the key columns of its references in order.
    pub columns: Vec<Column>,
}

/// Why a record or a row is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A short word, `^[a-z][a-z0-9_]{0,63}$`.
    pub code: String,
    /// What was found and what was expected.
    pub message: String,
    /// The entity it concerns.
    pub entity: Option<String>,
    /// The field it concerns.
    pub field: Option<String>,
    /// The JSONPath followed.
    pub path: Option<String>,
    /// The offending value; masked where the contract classifies the field.
    pub value: Option<String>,
    /// The step that failed.
    pub step: Option<String>,
}

impl Refusal {
    /// A refusal that concerns the record as a whole.
    pub fn of_record(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            entity: None,
            field: None,
            path: None,
            value: None,
            step: None,
        }
    }
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its rows are in the answer.
    Transformed,
    /// Valid, and deliberately without rows.
    Filtered(String),
    /// Not usable.
    Refused(Refusal),
}

/// A row that was refused alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRefusal {
    /// The record it came from.
    pub record: u32,
    /// The output it was for.
    pub output: usize,
    /// Why.
    pub refusal: Refusal,
}

/// The plugin's answer to a batch: record indexes count within the batch it was asked about.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// One a record, in order.
    pub verdicts: Vec<Verdict>,
    /// Each output at most once, in the order of the descriptor.
    pub rows: Vec<Rows>,
    /// Rows refused alone.
    pub row_refusals: Vec<RowRefusal>,
    /// Nodes selected by each path of the descriptor.
    pub path_hits: Vec<u64>,
}
