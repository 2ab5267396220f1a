//! The canonical encoding of values, and the keys and row hashes made from it: a public format.
//!
//! An auditor recomputes `_key` and `_row_hash` from the tables with these rules alone. All integers are little endian.
//!
//! ```text
//! cell      = "n"                        null
//!           | "t" bytes                  text, UTF-8
//!           | "j" bytes                  json, the text as stored
//!           | "x" bytes                  binary
//!           | "i" 8 bytes                int64
//!           | "f" 8 bytes                float64, IEEE 754 binary64; -0.0 is written as 0.0
//!           | "d" scale:1 unscaled:16    decimal, two's complement
//!           | "b" 0 or 1                 boolean
//!           | "D" 4 bytes                date, days since 1970-01-01
//!           | "T" 8 bytes                timestamp, microseconds since the epoch
//!           | "k" 32 bytes               reference: the `_key` of the row referred to
//! bytes     = length:4 the bytes
//! _key      = SHA-256("key/1" tenant:bytes entity:bytes cell…)             the cells of the business key, in its order
//! _row_hash = SHA-256("row/1" operation (name:bytes cell)…)                columns in byte order of their names
//! operation = "u" upsert | "p" patch | "s" stub | "d" delete
//! ```
//!
//! In a row hash the sequence column is left out. An upsert or stub leaves out its nulls (it asserts every other column
//! to be null), so that a column added to a contract changes no hash; a patch names exactly the columns it asserts, nulls
//! among them; a delete names the key alone. A version of a dimension is hashed as an upsert of its state.
//! No two different rows have the same encoding: every part is framed, tagged with its type, and in one order.

use std::hash::BuildHasher;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use hashbrown::DefaultHashBuilder;
use sha2::{Digest, Sha256};

use crate::entity::{DataType, Operation};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// A column, downcast once.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// Of type text.
    Text(&'a StringArray),
    /// Of type json.
    Json(&'a StringArray),
    /// Of type binary.
    Binary(&'a BinaryArray),
    /// Of type int64.
    Int64(&'a Int64Array),
    /// Of type float64.
    Float64(&'a Float64Array),
    /// Of type decimal, with the scale.
    Decimal(&'a Decimal128Array, u8),
    /// Of type boolean.
    Boolean(&'a BooleanArray),
    /// Of type date.
    Date(&'a Date32Array),
    /// Of type timestamp.
    Timestamp(&'a TimestampMicrosecondArray),
    /// A reference key.
    Key(&'a BinaryArray),
}

impl<'a> Cells<'a> {
    /// The cells of a contract's column. The array has the Arrow type of `data_type`.
    pub fn new(data_type: DataType, array: &'a ArrayRef) -> Self {
        match data_type {
            DataType::Text => Self::Text(array.as_string()),
            DataType::Json => Self::Json(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            DataType::Decimal { scale, .. } => Self::Decimal(array.as_primitive::<Decimal128Type>(), scale),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Date => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Timestamp => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
        }
    }

    /// The cells of a reference column.
    pub fn key(array: &'a ArrayRef) -> Self {
        Self::Key(array.as_binary())
    }

    /// Whether row `row` has no value.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) | Self::Json(array) => array.is_null(row),
            Self::Binary(array) | Self::Key(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::Float64(array) => array.is_null(row),
            Self::Decimal(array, _) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
        }
    }

    /// Appends the encoding of row `row`.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.push(b'n');
            return;
        }
        match self {
            Self::Text(array) => tagged(b't', array.value(row).as_bytes(), out),
            Self::Json(array) => tagged(b'j', array.value(row).as_bytes(), out),
            Self::Binary(array) => tagged(b'x', array.value(row), out),
            Self::Int64(array) => fixed(b'i', array.value(row).to_le_bytes(), out),
            // Adding 0.0 turns -0.0 into 0.0 and leaves every other value.
            Self::Float64(array) => fixed(b'f', (array.value(row) + 0.0).to_le_bytes(), out),
            Self::Decimal(array, scale) => {
                fixed(b'd', [*scale], out);
                out.extend_from_slice(&array.value(row).to_le_bytes());
            }
            Self::Boolean(array) => fixed(b'b', [u8::from(array.value(row))], out),
            Self::Date(array) => fixed(b'D', array.value(row).to_le_bytes(), out),
            Self::Timestamp(array) => fixed(b'T', array.value(row).to_le_bytes(), out),
            Self::Key(array) => {
                out.push(b'k');
                out.extend_from_slice(array.value(row));
            }
        }
    }

    /// Whether two rows have the same value, or both none.
    pub fn same(&self, a: usize, b: usize) -> bool {
        match (self.is_null(a), self.is_null(b)) {
            (false, false) => match self {
                Self::Text(array) | Self::Json(array) => array.value(a) == array.value(b),
                Self::Binary(array) | Self::Key(array) => array.value(a) == array.value(b),
                Self::Int64(array) => array.value(a) == array.value(b),
                Self::Float64(array) => (array.value(a) + 0.0).to_bits() == (array.value(b) + 0.0).to_bits(),
                Self::Decimal(array, _) => array.value(a) == array.value(b),
                Self::Boolean(array) => array.value(a) == array.value(b),
                Self::Date(array) => array.value(a) == array.value(b),
                Self::Timestamp(array) => array.value(a) == array.value(b),
            },
            (a, b) => a == b,
        }
    }

    /// The value of row `row` as a person reads it, for diagnostics.
    pub fn show(&self, row: usize) -> String {
        match self {
            _ if self.is_null(row) => "null".to_owned(),
            Self::Text(array) | Self::Json(array) => array.value(row).to_owned(),
            Self::Binary(array) | Self::Key(array) => hex(array.value(row)),
            Self::Int64(array) => array.value(row).to_string(),
            Self::Float64(array) => array.value(row).to_string(),
            Self::Decimal(array, _) => array.value_as_string(row),
            Self::Boolean(array) => array.value(row).to_string(),
            Self::Date(array) => {
                array.value_as_date(row).map_or_else(|| array.value(row).to_string(), |date| date.to_string())
            }
            Self::Timestamp(array) => jiff::Timestamp::from_microsecond(array.value(row))
                .map_or_else(|_| array.value(row).to_string(), |time| time.to_string()),
        }
    }
}

/// `bytes` in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    hex_onto(bytes, &mut text);
    text
}

/// Appends `bytes` in lower-case hexadecimal.
pub(super) fn hex_onto(bytes: &[u8], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn framed(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    framed(bytes, out);
}

fn fixed<const N: usize>(tag: u8, bytes: [u8; N], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&bytes);
}

/// SHA-256 that remembers texts, for what is said again and again: embedded copies, and references to them. Looking a
/// text up costs half of hashing it; for what hardly recurs the memory has no slots.
#[derive(Debug, Default)]
struct Memory {
    /// A text has one slot, by its hash; the last one to come stays.
    slots: Vec<(Vec<u8>, Hash)>,
    hasher: DefaultHashBuilder,
}

impl Memory {
    /// The most slots: what they hold fits the second-level cache.
    const SLOTS_MAX: usize = 8192;

    /// A memory for `texts` texts.
    fn of(texts: usize) -> Self {
        let slots = texts.next_power_of_two().min(Self::SLOTS_MAX);
        Self { slots: vec![(vec![], [0; 32]); slots], ..Self::default() }
    }

    /// The hash of `text`, which is not empty.
    fn hash(&mut self, text: &[u8]) -> Hash {
        if self.slots.is_empty() {
            return Sha256::digest(text).into();
        }
        let place = self.hasher.hash_one(text) as usize % self.slots.len();
        let (known, hash) = &mut self.slots[place];
        if known != text {
            known.clear();
            known.extend_from_slice(text);
            *hash = Sha256::digest(text).into();
        }
        *hash
    }
}

/// Makes the keys of one entity of one tenant.
#[derive(Debug)]
pub struct KeyHasher {
    buffer: Vec<u8>,
    prefix: usize,
    memory: Memory,
}

impl KeyHasher {
    /// For rows of `entity` of `tenant`.
    pub fn new(tenant: &str, entity: &str) -> Self {
        let mut buffer = b"key/1".to_vec();
        framed(tenant.as_bytes(), &mut buffer);
        framed(entity.as_bytes(), &mut buffer);
        Self { prefix: buffer.len(), buffer, memory: Memory::default() }
    }

    /// The same for about `rows` rows whose keys recur.
    #[must_use]
    pub fn recurring(self, rows: usize) -> Self {
        Self { memory: Memory::of(rows), ..self }
    }

    /// The key of row `row`; `cells` are those of the business key, in its order.
    pub fn hash(&mut self, cells: &[Cells<'_>], row: usize) -> Hash {
        self.buffer.truncate(self.prefix);
        cells.iter().for_each(|cells| cells.encode(row, &mut self.buffer));
        self.memory.hash(&self.buffer)
    }
}

/// What part a column has in a row hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It identifies the row, whatever the operation.
    Key,
    /// It says something of it.
    State,
}

/// Makes the row hashes of the rows of one set of columns.
#[derive(Debug)]
pub struct RowHasher<'a> {
    /// In byte order of the names: the framed name, the column's index, its part, its cells.
    columns: Vec<(Vec<u8>, usize, Part, Cells<'a>)>,
    buffer: Vec<u8>,
    memory: Memory,
}

impl<'a> RowHasher<'a> {
    /// Over (name, index, part, cells) of every column but the sequence; the index is what [`Self::hash`] asks about.
    pub fn new(columns: impl IntoIterator<Item = (String, usize, Part, Cells<'a>)>) -> Self {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let frame = |name: &str| {
            let mut framed_name = Vec::with_capacity(name.len() + 4);
            framed(name.as_bytes(), &mut framed_name);
            framed_name
        };
        let columns =
            columns.into_iter().map(|(name, index, part, cells)| (frame(&name), index, part, cells)).collect();
        Self { columns, buffer: Vec::new(), memory: Memory::default() }
    }

    /// The same for about `rows` rows that recur.
    #[must_use]
    pub fn recurring(self, rows: usize) -> Self {
        Self { memory: Memory::of(rows), ..self }
    }

    /// The hash of row `row`; `asserts` says of a state column whether a patch asserts it.
    pub fn hash(&mut self, row: usize, operation: Operation, asserts: impl Fn(usize) -> bool) -> Hash {
        self.buffer.clear();
        self.buffer.extend_from_slice(match operation {
            Operation::Upsert => b"row/1u",
            Operation::Patch => b"row/1p",
            Operation::Stub => b"row/1s",
            Operation::Delete => b"row/1d",
        });
        for (name, index, part, cells) in &self.columns {
            let named = match (part, operation) {
                (Part::Key, _) => true,
                (Part::State, Operation::Upsert | Operation::Stub) => !cells.is_null(row),
                (Part::State, Operation::Patch) => asserts(*index),
                (Part::State, Operation::Delete) => false,
            };
            if named {
                self.buffer.extend_from_slice(name);
                cells.encode(row, &mut self.buffer);
            }
        }
        self.memory.hash(&self.buffer)
    }
}
