//! One growing column in Arrow layout.
//!
//! The two bitmaps come into being with the first row that needs them, so that a full column costs nothing for them.

use crate::plugin::{BytesColumn, Column, DataType, Values};
use crate::value::Run;

/// The values of one column so far, and which of them are there.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    data_type: DataType,
    rows: usize,
    data: Data,
    validity: Option<Bitmap>,
    presence: Option<Bitmap>,
}

#[derive(Debug)]
enum Data {
    Boolean(Bitmap),
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    Float64(Vec<f64>),
    Decimal(Vec<u8>),
    Bytes { offsets: Vec<u32>, data: Vec<u8> },
}

impl ColumnBuilder {
    pub(super) fn new(data_type: DataType) -> Self {
        let data = match data_type {
            DataType::Boolean => Data::Boolean(Bitmap::default()),
            DataType::Int64 | DataType::Timestamp => Data::Int64(Vec::new()),
            DataType::Date => Data::Int32(Vec::new()),
            DataType::Float64 => Data::Float64(Vec::new()),
            DataType::Decimal(_) => Data::Decimal(Vec::new()),
            DataType::Text | DataType::Binary | DataType::Json => Data::Bytes { offsets: vec![0], data: Vec::new() },
        };
        Self { data_type, rows: 0, data, validity: None, presence: None }
    }

    /// A row without a value; `present` says whether a patch asserts that.
    pub(super) fn push_missing(&mut self, present: bool) {
        match &mut self.data {
            Data::Boolean(bits) => bits.push(false),
            Data::Int64(values) => values.push(0),
            Data::Int32(values) => values.push(0),
            Data::Float64(values) => values.push(0.0),
            Data::Decimal(values) => values.extend([0; 16]),
            Data::Bytes { offsets, data } => offsets.push(data.len() as u32),
        }
        let rows = self.rows;
        self.validity.get_or_insert_with(|| Bitmap::ones(rows)).push(false);
        if !present {
            self.presence.get_or_insert_with(|| Bitmap::ones(rows)).push(false);
        } else if let Some(presence) = &mut self.presence {
            presence.push(true);
        }
        self.rows += 1;
    }

    pub(super) fn push_bytes(&mut self, value: &[u8]) {
        let Data::Bytes { offsets, data } = &mut self.data else { self.refuse("bytes") };
        data.extend_from_slice(value);
        offsets.push(u32::try_from(data.len()).expect("a column's bytes fit the memory of an instance: under 4 GiB"));
        self.push_valid();
    }

    #[inline]
    pub(super) fn push_run(&mut self, value: Run<'_>, change: impl Fn(u8) -> u8) {
        let Data::Bytes { offsets, data } = &mut self.data else { self.refuse("bytes") };
        value.append_to(data, change);
        offsets.push(u32::try_from(data.len()).expect("a column's bytes fit the memory of an instance: under 4 GiB"));
        self.push_valid();
    }

    /// The value of the last row once more, or its absence.
    pub(super) fn push_again(&mut self) {
        let last = self.rows.checked_sub(1).expect("there is a row above: only then is its value asked for again");
        match &mut self.data {
            Data::Boolean(bits) => bits.push(bits.get(last)),
            Data::Int64(values) => values.push(values[last]),
            Data::Int32(values) => values.push(values[last]),
            Data::Float64(values) => values.push(values[last]),
            Data::Decimal(values) => values.extend_from_within(last * 16..),
            Data::Bytes { offsets, data } => {
                data.extend_from_within(offsets[last] as usize..);
                offsets.push(data.len() as u32);
            }
        }
        for bitmap in [&mut self.validity, &mut self.presence].into_iter().flatten() {
            bitmap.push(bitmap.get(last));
        }
        self.rows += 1;
    }

    pub(super) fn push_i64(&mut self, value: i64) {
        let Data::Int64(values) = &mut self.data else { self.refuse("int64") };
        values.push(value);
        self.push_valid();
    }

    pub(super) fn push_i32(&mut self, value: i32) {
        let Data::Int32(values) = &mut self.data else { self.refuse("date") };
        values.push(value);
        self.push_valid();
    }

    pub(super) fn push_f64(&mut self, value: f64) {
        let Data::Float64(values) = &mut self.data else { self.refuse("float64") };
        values.push(value);
        self.push_valid();
    }

    pub(super) fn push_bool(&mut self, value: bool) {
        let Data::Boolean(bits) = &mut self.data else { self.refuse("boolean") };
        bits.push(value);
        self.push_valid();
    }

    pub(super) fn push_decimal(&mut self, value: i128) {
        let Data::Decimal(values) = &mut self.data else { self.refuse("decimal") };
        values.extend_from_slice(&value.to_le_bytes());
        self.push_valid();
    }

    #[inline]
    fn push_valid(&mut self) {
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        if let Some(presence) = &mut self.presence {
            presence.push(true);
        }
        self.rows += 1;
    }

    fn refuse(&self, given: &str) -> ! {
        panic!("found a cell of {given} for a column of {}: the descriptor states the column's type", self.data_type)
    }

    /// Forgets every row from `rows` on.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.rows <= rows {
            return;
        }
        match &mut self.data {
            Data::Boolean(bits) => bits.truncate(rows),
            Data::Int64(values) => values.truncate(rows),
            Data::Int32(values) => values.truncate(rows),
            Data::Float64(values) => values.truncate(rows),
            Data::Decimal(values) => values.truncate(rows * 16),
            Data::Bytes { offsets, data } => {
                offsets.truncate(rows + 1);
                data.truncate(offsets[rows] as usize);
            }
        }
        for bitmap in [&mut self.validity, &mut self.presence].into_iter().flatten() {
            bitmap.truncate(rows);
        }
        self.rows = rows;
    }

    pub(super) fn finish(self) -> Column {
        let values = match self.data {
            Data::Boolean(bits) => Values::Boolean(bits.bytes),
            Data::Int64(values) => Values::Int64(values),
            Data::Int32(values) => Values::Int32(values),
            Data::Float64(values) => Values::Float64(values),
            Data::Decimal(values) => Values::Decimal(values),
            Data::Bytes { offsets, data } => Values::Bytes(BytesColumn { offsets, data, validity: None }),
        };
        // Rows that were taken back may have left a bitmap that says nothing.
        let telling = |bitmap: Option<Bitmap>| bitmap.filter(|bits| !bits.all()).map(|bits| bits.bytes);
        Column { values, validity: telling(self.validity), presence: telling(self.presence) }
    }
}

/// Bits in Arrow's order: bit 0 of byte 0 first, unused bits zero.
#[derive(Debug, Default)]
struct Bitmap {
    bytes: Vec<u8>,
    len: usize,
}

impl Bitmap {
    fn ones(len: usize) -> Self {
        let mut bitmap = Self { bytes: vec![0xff; len.div_ceil(8)], len };
        bitmap.truncate(len);
        bitmap
    }

    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if bit {
            self.bytes[self.len / 8] |= 1 << (self.len % 8);
        }
        self.len += 1;
    }

    fn get(&self, at: usize) -> bool {
        self.bytes[at / 8] >> (at % 8) & 1 == 1
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len.div_ceil(8));
        if let Some(last) = self.bytes.last_mut().filter(|_| !len.is_multiple_of(8)) {
            *last &= (1 << (len % 8)) - 1;
        }
        self.len = len;
    }

    fn all(&self) -> bool {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum::<usize>() == self.len
    }
}
