//! Records as received: the unit that Bronze stores and a plugin reads.
//!
//! A [`Batch`] holds its records in Arrow columns, in the very schema of the Bronze table less what is known
//! only at the commit. So a batch fresh from a source and one read again from Bronze are the same value, and
//! the payloads lie in one buffer that goes to the sandbox as it is. [`BatchBuilder`] is the only way to make
//! one: it computes each checksum, so no source can forget it.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use sha2::{Digest, Sha256};

use crate::entity::utc_microseconds;
use crate::position::{Position, Span};

/// The most bytes that the payloads of one batch may have: Arrow offsets are 32 bits wide.
pub const BATCH_BYTES_MAX: usize = 1 << 30;

/// The columns of a batch, which are the first columns of a Bronze table.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let header =
        Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Binary, true)]);
    Arc::new(Schema::new(vec![
        Field::new("source_system", DataType::Utf8, true),
        Field::new("source_topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("file", DataType::Utf8, true),
        Field::new("line", DataType::Int64, true),
        Field::new("key", DataType::Binary, true),
        Field::new_list("headers", Field::new("element", DataType::Struct(header), true), true),
        Field::new("raw_payload", DataType::Binary, true),
        Field::new("checksum", DataType::Binary, true),
        Field::new("event_timestamp", utc_microseconds(), true),
        Field::new("schema_version", DataType::Utf8, true),
    ]))
});

/// One record on its way into a [`BatchBuilder`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Received<'a> {
    /// The payload byte for byte; none is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// The topic it came from.
    pub topic: Option<&'a str>,
    /// Its partition; none in a files source.
    pub partition: Option<i32>,
    /// Its offset, or its running number in a files source.
    pub offset: i64,
    /// The file it was read from, relative to the source.
    pub file: Option<&'a str>,
    /// Its line in the file, from 1.
    pub line: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its headers in order; names may repeat.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// The broker's event time, microseconds since the epoch.
    pub event_time: Option<i64>,
    /// The schema version that a header or the source declares.
    pub schema_version: Option<&'a str>,
}

/// The records of one Bronze commit of one source, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The source's name.
    pub source: String,
    /// How far each partition moves.
    pub spans: Vec<Span>,
    /// What the source needs to go on after this batch and to prove what it read, for the commit's information.
    pub evidence: serde_json::Value,
    /// The records, in [`SCHEMA`].
    pub records: RecordBatch,
    positions: StringArray,
}

impl Batch {
    /// A batch of `records`, which follow [`SCHEMA`], have their offsets, and have checksums of 32 bytes.
    pub fn new(source: String, spans: Vec<Span>, evidence: serde_json::Value, records: RecordBatch) -> Self {
        let mut batch = Self { source, spans, evidence, records, positions: StringArray::new_null(0) };
        // Every digest and every row names the position: its text is made once.
        let mut positions = StringBuilder::with_capacity(batch.len(), batch.len() * (batch.source.len() + 12));
        for index in 0..batch.len() {
            write!(positions, "{}", batch.position(index)).expect("writing to a builder does not fail");
            positions.append_value("");
        }
        batch.positions = positions.finish();
        batch
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.num_rows()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payloads; null is a tombstone.
    pub fn payloads(&self) -> &BinaryArray {
        self.records.column(8).as_binary()
    }

    /// The keys.
    pub fn keys(&self) -> &BinaryArray {
        self.records.column(6).as_binary()
    }

    /// SHA-256 of the payload of record `index`; of nothing for a tombstone.
    pub fn checksum(&self, index: usize) -> [u8; 32] {
        let checksums: &BinaryArray = self.records.column(9).as_binary();
        checksums.value(index).try_into().expect("a checksum has 32 bytes: BatchBuilder and Bronze's reader see to it")
    }

    /// The position of record `index`.
    pub fn position(&self, index: usize) -> Position<'_> {
        let partitions = self.records.column(2).as_primitive::<Int32Type>();
        Position {
            source: &self.source,
            topic: self.topic(index),
            partition: partitions.is_valid(index).then(|| partitions.value(index)),
            offset: self.records.column(3).as_primitive::<Int64Type>().value(index),
        }
    }

    /// The text of the position of record `index`, as in the column `_position`.
    pub fn position_text(&self, index: usize) -> &str {
        self.positions.value(index)
    }

    /// The topic of record `index`.
    pub fn topic(&self, index: usize) -> Option<&str> {
        self.text(1, index)
    }

    /// The file of record `index`.
    pub fn file(&self, index: usize) -> Option<&str> {
        self.text(4, index)
    }

    /// The line of record `index` in its file.
    pub fn line(&self, index: usize) -> Option<i64> {
        let lines = self.records.column(5).as_primitive::<Int64Type>();
        lines.is_valid(index).then(|| lines.value(index))
    }

    /// The declared schema version of record `index`.
    pub fn schema_version(&self, index: usize) -> Option<&str> {
        self.text(11, index)
    }

    /// The event time of record `index`, microseconds since the epoch.
    pub fn event_time(&self, index: usize) -> Option<i64> {
        let times = self.records.column(10).as_primitive::<TimestampMicrosecondType>();
        times.is_valid(index).then(|| times.value(index))
    }

    /// The last header of record `index` that is named `name`.
    pub fn header(&self, index: usize, name: &str) -> Option<Vec<u8>> {
        let lists = self.records.column(7).as_list::<i32>();
        if lists.is_null(index) {
            return None;
        }
        let headers = lists.value(index);
        let headers = headers.as_struct();
        let (names, values) = (headers.column(0).as_string::<i32>(), headers.column(1).as_binary::<i32>());
        (0..headers.len())
            .rev()
            .find(|&i| names.value(i) == name && values.is_valid(i))
            .map(|i| values.value(i).to_vec())
    }

    fn text(&self, column: usize, index: usize) -> Option<&str> {
        let values = self.records.column(column).as_string::<i32>();
        values.is_valid(index).then(|| values.value(index))
    }
}

/// Gathers records into a [`Batch`].
#[derive(Debug)]
pub struct BatchBuilder {
    source: String,
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    file: StringBuilder,
    line: Int64Builder,
    key: BinaryBuilder,
    headers: ListBuilder<StructBuilder>,
    payload: BinaryBuilder,
    checksum: BinaryBuilder,
    event_time: TimestampMicrosecondBuilder,
    schema_version: StringBuilder,
    payload_bytes: usize,
}

impl BatchBuilder {
    /// An empty builder for records of `source`.
    pub fn new(source: &str) -> Self {
        Self::with_capacity(source, 0)
    }

    /// The same with room for payloads of `payload_bytes` bytes in all: growing to them copies each byte twice.
    pub fn with_capacity(source: &str, payload_bytes: usize) -> Self {
        let DataType::List(element) = SCHEMA.field(7).data_type().clone() else {
            unreachable!("headers are a list: SCHEMA says so")
        };
        let DataType::Struct(fields) = element.data_type().clone() else {
            unreachable!("a header is a struct: SCHEMA says so")
        };
        Self {
            source: source.to_owned(),
            topic: StringBuilder::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            file: StringBuilder::new(),
            line: Int64Builder::new(),
            key: BinaryBuilder::new(),
            headers: ListBuilder::new(StructBuilder::from_fields(fields, 0)).with_field(element),
            payload: BinaryBuilder::with_capacity(0, payload_bytes),
            checksum: BinaryBuilder::new(),
            event_time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            schema_version: StringBuilder::new(),
            payload_bytes: 0,
        }
    }

    /// Appends one record. The caller keeps [`Self::payload_bytes`] under [`BATCH_BYTES_MAX`].
    pub fn push(&mut self, record: &Received<'_>) {
        self.topic.append_option(record.topic);
        self.partition.append_option(record.partition);
        self.offset.append_value(record.offset);
        self.file.append_option(record.file);
        self.line.append_option(record.line);
        self.key.append_option(record.key);
        let headers = self.headers.values();
        for (name, value) in record.headers {
            headers.field_builder::<StringBuilder>(0).expect("a name is text: SCHEMA says so").append_value(name);
            headers.field_builder::<BinaryBuilder>(1).expect("a value is binary: SCHEMA says so").append_option(*value);
            headers.append(true);
        }
        self.headers.append(!record.headers.is_empty());
        self.payload.append_option(record.payload);
        let payload = record.payload.unwrap_or_default();
        self.checksum.append_value(Sha256::digest(payload));
        self.event_time.append_option(record.event_time);
        self.schema_version.append_option(record.schema_version);
        self.payload_bytes += payload.len();
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.offset.values_slice().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all payloads so far.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// The batch, under the progress and evidence that the source states.
    pub fn finish(mut self, spans: Vec<Span>, evidence: serde_json::Value) -> Batch {
        let n = self.len();
        let system = std::iter::repeat_n(Some(self.source.as_str()), n).collect::<StringArray>();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(system),
            Arc::new(self.topic.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.file.finish()),
            Arc::new(self.line.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.headers.finish()),
            Arc::new(self.payload.finish()),
            Arc::new(self.checksum.finish()),
            Arc::new(self.event_time.finish()),
            Arc::new(self.schema_version.finish()),
        ];
        let records =
            RecordBatch::try_new(SCHEMA.clone(), columns).expect("the builders follow SCHEMA, one value a record each");
        Batch::new(self.source, spans, evidence, records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_received() {
        let mut builder = BatchBuilder::new("orders");
        let headers: &[(&str, Option<&[u8]>)] = &[("v", Some(b"1")), ("v", Some(b"2"))];
        builder.push(&Received {
            payload: Some(b"{}"),
            topic: Some("t"),
            partition: Some(1),
            offset: 7,
            headers,
            event_time: Some(5),
            schema_version: Some("2.1"),
            ..Received::default()
        });
        builder.push(&Received { offset: 8, file: Some("a.ndjson"), line: Some(3), ..Received::default() });
        assert_eq!((builder.len(), builder.payload_bytes()), (2, 2));
        let batch = builder.finish(vec![], serde_json::Value::Null);
        assert_eq!(batch.payloads().value(0), b"{}");
        assert!(batch.payloads().is_null(1));
        assert_eq!(batch.checksum(0)[..], Sha256::digest(b"{}")[..]);
        assert_eq!(batch.checksum(1)[..], Sha256::digest(b"")[..]);
        assert_eq!(batch.position_text(0), "orders/t/1/7");
        assert_eq!(batch.position_text(1), "orders#8");
        assert_eq!((batch.file(1), batch.line(1), batch.schema_version(0)), (Some("a.ndjson"), Some(3), Some("2.1")));
        assert_eq!(batch.header(0, "v"), Some(b"2".to_vec()));
        assert_eq!((batch.header(1, "v"), batch.event_time(0), batch.event_time(1)), (None, Some(5), None));
    }
}
