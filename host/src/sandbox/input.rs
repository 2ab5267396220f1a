//! The records of one call, in the layout that a guest reads.
//!
//! The payload goes in as the batch holds it, as one slice; only the offsets are counted anew, and the
//! properties that the plugin asked for are written out as text or bytes.

use std::io::Write as _;
use std::ops::Range;

use arrow::array::Array;

use super::bindings::types::{BronzeBatch, BytesColumnParam};
use crate::entity::Property;
use crate::record::Batch;

/// What is copied for one call; the payload stays in its batch.
pub(super) struct Input<'a> {
    payload: &'a [u8],
    offsets: Vec<u32>,
    tombstones: Option<Vec<u8>>,
    properties: Vec<Values>,
}

impl<'a> Input<'a> {
    /// The records `range` of `batch`, not empty, with `properties` of each.
    pub(super) fn new(batch: &'a Batch, range: Range<usize>, properties: &[Property]) -> Self {
        let payloads = batch.payloads();
        let ends = &payloads.value_offsets()[range.start..=range.end];
        let (start, end) = (ends[0] as usize, ends[range.len()] as usize);
        let tombstones = payloads.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| {
            let mut bits = vec![0; range.len().div_ceil(8)];
            for (i, record) in range.clone().enumerate() {
                bits[i / 8] |= u8::from(nulls.is_null(record)) << (i % 8);
            }
            bits
        });
        Self {
            payload: &payloads.value_data()[start..end],
            offsets: ends.iter().map(|&end| end as u32 - start as u32).collect(),
            tombstones,
            properties: properties.iter().map(|property| Values::of(property, batch, range.clone())).collect(),
        }
    }

    /// Hands the records to `call`, borrowed.
    pub(super) fn with<T>(&self, call: impl FnOnce(BronzeBatch<'_>) -> T) -> T {
        let properties: Vec<_> = self.properties.iter().map(Values::param).collect();
        call(BronzeBatch {
            offsets: &self.offsets,
            payload: self.payload,
            tombstones: self.tombstones.as_deref(),
            properties: &properties,
        })
    }
}

/// One property of the records of a call.
struct Values {
    offsets: Vec<u32>,
    data: Vec<u8>,
    validity: Vec<u8>,
}

impl Values {
    fn of(property: &Property, batch: &Batch, range: Range<usize>) -> Self {
        let mut values = Self {
            offsets: Vec::with_capacity(range.len() + 1),
            data: Vec::new(),
            validity: vec![0; range.len().div_ceil(8)],
        };
        values.offsets.push(0);
        for (i, record) in range.enumerate() {
            let there = values.write(property, batch, record);
            values.validity[i / 8] |= u8::from(there.is_some()) << (i % 8);
            values.offsets.push(values.data.len() as u32);
        }
        values
    }

    /// Appends the property of one record; none where it has none.
    fn write(&mut self, property: &Property, batch: &Batch, record: usize) -> Option<()> {
        let data = &mut self.data;
        match property {
            Property::Key => data.extend_from_slice(batch.keys().is_valid(record).then(|| batch.keys().value(record))?),
            Property::Checksum => {
                for byte in batch.checksum(record) {
                    write!(data, "{byte:02x}").expect(INFALLIBLE);
                }
            }
            Property::Position => data.extend_from_slice(batch.position_text(record).as_bytes()),
            Property::Topic => data.extend_from_slice(batch.topic(record).unwrap_or(&batch.source).as_bytes()),
            Property::File => data.extend_from_slice(batch.file(record)?.as_bytes()),
            Property::EventTime => {
                let time = jiff::Timestamp::from_microsecond(batch.event_time(record)?).ok()?;
                write!(data, "{time:.6}").expect(INFALLIBLE);
            }
            Property::SchemaVersion => data.extend_from_slice(batch.schema_version(record)?.as_bytes()),
            Property::Header(name) => data.extend_from_slice(&batch.header(record, name)?),
        }
        Some(())
    }

    fn param(&self) -> BytesColumnParam<'_> {
        BytesColumnParam { offsets: &self.offsets, data: &self.data, validity: Some(&self.validity) }
    }
}

const INFALLIBLE: &str = "writing to a vector does not fail";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Received};

    fn batch() -> Batch {
        let mut builder = BatchBuilder::new("orders");
        let headers: &[(&str, Option<&[u8]>)] = &[("v", Some(b"1")), ("v", Some(b"2"))];
        builder.push(&Received { payload: Some(b"first"), offset: 4, ..Received::default() });
        builder.push(&Received {
            payload: Some(b"ab"),
            offset: 5,
            topic: Some("topic"),
            partition: Some(1),
            key: Some(b"\xff"),
            headers,
            file: Some("a.ndjson"),
            event_time: Some(1_500_000),
            schema_version: Some("2.1"),
            ..Received::default()
        });
        builder.push(&Received { payload: None, offset: 6, ..Received::default() });
        builder.push(&Received { payload: Some(b"c"), offset: 7, ..Received::default() });
        builder.finish(vec![], serde_json::Value::Null)
    }

    #[test]
    fn offsets_count_from_the_first_record_of_the_call() {
        let batch = batch();
        Input::new(&batch, 1..4, &[]).with(|input| {
            assert_eq!((input.payload, input.offsets), (&b"abc"[..], &[0, 2, 2, 3][..]));
            assert_eq!(input.tombstones, Some(&[0b010][..]));
        });
    }

    #[test]
    fn properties_have_their_documented_text() {
        let check = |property: Property, expected: &[u8], validity: u8| {
            let batch = batch();
            Input::new(&batch, 1..3, std::slice::from_ref(&property)).with(|input| {
                let column = &input.properties[0];
                assert_eq!((column.data, column.validity), (expected, Some(&[validity][..])), "{property:?}");
                assert_eq!(column.offsets.len(), 3);
            });
        };
        check(Property::Key, b"\xff", 0b01);
        check(Property::Position, b"orders/topic/1/5orders#6", 0b11);
        check(Property::Topic, b"topicorders", 0b11);
        check(Property::File, b"a.ndjson", 0b01);
        check(Property::EventTime, b"1970-01-01T00:00:01.500000Z", 0b01);
        check(Property::SchemaVersion, b"2.1", 0b01);
        check(Property::Header("v".into()), b"2", 0b01);
        check(Property::Header("w".into()), b"", 0b00);
        let checksums = b"fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603\
                          e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check(Property::Checksum, checksums, 0b11);
    }
}
