//! Records that were received and not handed out, of one partition.
//!
//! They lie in one run of bytes, so that a record costs no allocation unless it has headers. How much that is, and
//! when a partition has to wait, is decided here too: it stops above its share of the budget and goes on below half
//! of it, because the client drops what it had fetched ahead each time that it stops.

use std::collections::VecDeque;

use crate::record::{BatchBuilder, Received};

/// What a held record costs beside its bytes.
const RECORD_BYTES: usize = size_of::<Held>();

/// One record, as the client gives it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Incoming<'a> {
    pub(super) offset: i64,
    /// Microseconds since the epoch.
    pub(super) time: Option<i64>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    pub(super) headers: &'a [(String, Option<&'a [u8]>)],
}

#[derive(Debug)]
struct Held {
    offset: i64,
    time: Option<i64>,
    /// Where its key begins; the payload, then names and values of headers in turn follow it.
    start: usize,
    key: Option<u32>,
    payload: Option<u32>,
    headers: Box<[(u32, Option<u32>)]>,
}

/// The records of one partition, in order.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    records: VecDeque<Held>,
}

impl Buffer {
    /// Adds a record behind the others.
    pub(super) fn push(&mut self, record: &Incoming<'_>) {
        let mut add = |part: &[u8]| {
            self.bytes.extend_from_slice(part);
            u32::try_from(part.len()).expect("the client takes no message over 1 GB")
        };
        let start = self.records.back().map_or(0, Held::end);
        let (key, payload) = (record.key.map(&mut add), record.payload.map(&mut add));
        let headers = record.headers.iter().map(|(name, value)| (add(name.as_bytes()), value.map(&mut add))).collect();
        self.records.push_back(Held { offset: record.offset, time: record.time, start, key, payload, headers });
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        let taken = self.records.front().map_or(self.bytes.len(), |first| first.start);
        self.bytes.len() - taken + self.records.len() * RECORD_BYTES
    }

    /// Whether there is no record.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The offset of the first record and the bytes of its payload.
    pub(super) fn first(&self) -> Option<(i64, usize)> {
        self.records.front().map(|first| (first.offset, first.payload.unwrap_or(0) as usize))
    }

    /// Moves the first record to `batch`, as one of `origin`; its offset.
    pub(super) fn move_first(&mut self, batch: &mut BatchBuilder, origin: &Received<'_>) -> Option<i64> {
        let first = self.records.pop_front()?;
        let mut at = first.start;
        let mut part = |length: Option<u32>| {
            let length = length? as usize;
            at += length;
            Some(&self.bytes[at - length..at])
        };
        let (key, payload) = (part(first.key), part(first.payload));
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            first.headers.iter().map(|(name, value)| (part(Some(*name)).unwrap_or_default(), part(*value))).collect();
        let name = |bytes| std::str::from_utf8(bytes).expect("a name was pushed as text");
        let headers: Vec<(&str, Option<&[u8]>)> =
            headers.into_iter().map(|(bytes, value)| (name(bytes), value)).collect();
        batch.push(&Received {
            payload,
            offset: first.offset,
            key,
            headers: &headers,
            event_time: first.time,
            ..*origin
        });
        self.reclaim();
        Some(first.offset)
    }

    /// Frees the bytes of records that are gone, as soon as they are the most.
    fn reclaim(&mut self) {
        let Some(first) = self.records.front().map(|first| first.start) else {
            self.bytes.clear();
            return;
        };
        if first > self.bytes.len() / 2 {
            self.bytes.drain(..first);
            self.records.iter_mut().for_each(|record| record.start -= first);
        }
    }
}

impl Held {
    fn end(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name + value.unwrap_or(0)).sum::<u32>();
        self.start + (self.key.unwrap_or(0) + self.payload.unwrap_or(0) + headers) as usize
    }
}

/// Whether the client fetches a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It does.
    Open,
    /// Not until there is room again.
    Stopped,
}

impl Flow {
    /// What it should be for a partition that holds `bytes`, of which `share` are its part of the budget.
    pub(super) fn steer(self, bytes: usize, share: usize) -> Self {
        match self {
            Self::Open if bytes >= share => Self::Stopped,
            Self::Stopped if bytes <= share / 2 => Self::Open,
            as_it_is => as_it_is,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> Received<'static> {
        Received { topic: Some("t"), partition: Some(2), schema_version: Some("1"), ..Received::default() }
    }

    #[test]
    fn a_record_comes_out_as_it_went_in() {
        let mut buffer = Buffer::default();
        let headers = [("v".to_owned(), Some(&b"1"[..])), ("none".to_owned(), None), (String::new(), Some(&b""[..]))];
        buffer.push(&Incoming { offset: 4, time: Some(9), key: Some(b"k"), payload: Some(b"{}"), headers: &headers });
        buffer.push(&Incoming { offset: 6, key: Some(b""), ..Incoming::default() });
        let mut batch = BatchBuilder::new("s");
        assert_eq!(buffer.first(), Some((4, 2)));
        assert_eq!(buffer.move_first(&mut batch, &origin()), Some(4));
        assert_eq!(buffer.move_first(&mut batch, &origin()), Some(6));
        assert_eq!(buffer.move_first(&mut batch, &origin()), None);
        let batch = batch.finish(vec![], serde_json::Value::Null);
        assert_eq!((batch.payloads().value(0), batch.keys().value(0)), (&b"{}"[..], &b"k"[..]));
        assert_eq!((batch.header(0, "v"), batch.header(0, "none")), (Some(b"1".to_vec()), None));
        assert_eq!((batch.event_time(0), batch.topic(0), batch.schema_version(1)), (Some(9), Some("t"), Some("1")));
        use arrow::array::Array;
        assert!(batch.payloads().is_null(1) && batch.keys().is_valid(1), "a tombstone with an empty key");
    }

    proptest! {
        #[test]
        fn what_is_pushed_comes_out_in_order_and_its_bytes_are_given_back(
            steps in prop::collection::vec((any::<bool>(), 0usize..200), 1..200),
        ) {
            let (mut buffer, mut batch) = (Buffer::default(), BatchBuilder::new("s"));
            let (mut pushed, mut moved) = (0_i64, 0_i64);
            for (push, length) in steps {
                if push {
                    let payload = vec![pushed as u8; length];
                    buffer.push(&Incoming { offset: pushed, payload: Some(&payload), ..Incoming::default() });
                    pushed += 1;
                } else if let Some(offset) = buffer.move_first(&mut batch, &origin()) {
                    prop_assert_eq!(offset, moved);
                    moved += 1;
                }
                prop_assert_eq!(buffer.records.len() as i64, pushed - moved);
                prop_assert!(buffer.bytes.len() <= 2 * (buffer.size() - buffer.records.len() * RECORD_BYTES) + 200);
            }
            while buffer.move_first(&mut batch, &origin()).is_some() {}
            prop_assert_eq!(buffer.size(), 0);
            let batch = batch.finish(vec![], serde_json::Value::Null);
            for record in 0..batch.len() {
                prop_assert!(batch.payloads().value(record).iter().all(|byte| *byte == record as u8));
            }
        }

        /// Whatever comes and goes, a partition holds no more than its share and one record.
        #[test]
        fn a_partition_stays_within_its_share(steps in prop::collection::vec((1usize..50, 0usize..120), 1..200)) {
            let (mut flow, mut held, share) = (Flow::Open, 0_usize, 100);
            for (comes, goes) in steps {
                if flow == Flow::Open {
                    held += comes;
                }
                prop_assert!(held < share + 50);
                flow = flow.steer(held, share);
                prop_assert!(held < share || flow == Flow::Stopped);
                held = held.saturating_sub(goes);
                flow = flow.steer(held, share);
                prop_assert!(held > share / 2 || flow == Flow::Open);
            }
        }
    }
}
