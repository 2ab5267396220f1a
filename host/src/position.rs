//! Where a record stands in its source.
//!
//! A position orders the records of one source partition and names each for ever. It is text in the lake
//! (`_position`) and what a plugin may ask for, so its form is part of the public contract:
//! `orders/acme.orders/3/1234` is offset 1234 of partition 3 of topic `acme.orders` in source `orders`;
//! `orders#1234` is the record that a files source read as its 1234th, counted from 0.

use std::fmt;

/// The position of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The topic; none in a files source.
    pub topic: Option<&'a str>,
    /// The partition of the topic; none in a files source.
    pub partition: Option<i32>,
    /// The offset in the partition, or the running number in a files source, from 0.
    pub offset: i64,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.topic, self.partition) {
            (Some(topic), Some(partition)) => write!(f, "{}/{topic}/{partition}/{}", self.source, self.offset),
            _ => write!(f, "{}#{}", self.source, self.offset),
        }
    }
}

/// The progress of one source partition in one batch: the records `first..=last` are in it, or declared gaps.
///
/// `app_id` is the Delta transaction identifier under which a Bronze commit stores `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// `<source>` for files; for Kafka it names cluster, topic, topic id and partition.
    pub app_id: String,
    /// The first offset of the batch.
    pub first: i64,
    /// The last offset of the batch.
    pub last: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_have_their_documented_text() {
        let kafka = Position { source: "orders", topic: Some("acme.orders"), partition: Some(3), offset: 1234 };
        let file = Position { source: "orders", topic: None, partition: None, offset: 1234 };
        assert_eq!(kafka.to_string(), "orders/acme.orders/3/1234");
        assert_eq!(file.to_string(), "orders#1234");
    }
}
