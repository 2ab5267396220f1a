//! What the polling thread and the source share: the partitions held, and what is known of each.
//!
//! Owns how a batch is cut of what may leave; talks to nobody.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::partition::Partition;
use crate::position::Span;
use crate::record::{BATCH_BYTES_MAX, Batch, BatchBuilder, Received};
use crate::source::{BatchBounds, SourceError};

/// Offsets at which the log of a partition has no records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) because: Because,
}

/// Why offsets hold no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Because {
    /// Compaction removed them, a transaction was aborted, or they are its markers.
    CompactedOrControl,
    /// They were lost, or belong to a log that is gone, and an operator chose to go on.
    Acknowledged,
}

/// What a Bronze commit says of its batch beside its spans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    /// The gaps inside the spans.
    pub(super) gaps: Vec<Gap>,
}

/// Whether the source knows where Bronze ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Placement {
    /// No partitions were given to this host yet, or all of them are placed.
    #[default]
    Settled,
    /// Partitions were given to this host, and wait.
    Wanted,
    /// Where Bronze ends, by transaction identifier.
    Given(BTreeMap<String, i64>),
}

/// What the polling thread does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Course {
    /// Reads.
    #[default]
    Reading,
    /// Stays in its group and reads nothing: the source is halted.
    Halted,
    /// Makes another client: the group took this one for another process of the host's name.
    Fenced,
    /// Makes another client: this one fetches a partition no more, and the brokers have what it lacks.
    Renewing,
    /// Ends, or has ended.
    Leaving,
}

/// Who has partition 0 of the first topic, read or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lead {
    /// Another host, or nobody yet.
    #[default]
    Another,
    /// This host.
    Ours,
    /// This host is in no group that could tell.
    Unknown,
}

/// All that is shared.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) course: Course,
    pub(super) placement: Placement,
    /// By topic and number.
    pub(super) partitions: BTreeMap<String, BTreeMap<i32, Partition>>,
    /// Counts the changes of what is held or where it is read.
    pub(super) epoch: u64,
    /// Whether partitions were ever placed.
    pub(super) placed: bool,
    /// Who has what decides who runs the tenant's Silver.
    pub(super) lead: Lead,
    /// What is in the tables and not yet told the group.
    pub(super) acknowledged: Vec<(String, i64)>,
    /// The client was told that an offset is not there, and fetches its partition no more: not even where it is told to seek.
    pub(super) given_up: bool,
    /// Why it does not read any more, until somebody asks.
    pub(super) failed: Option<SourceError>,
    /// Counts the times that nothing was left to poll.
    pub(super) round: u64,
    turn: usize,
}

/// The state, and a bell for those who wait for it to change.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }

    /// Tells those who wait that the state has changed.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until the state is as `wanted`, at most `time`; whether it is.
    pub(super) fn wait(&self, time: Duration, wanted: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !wanted(state));
        !waited.expect("nobody panics while holding the state").1.timed_out()
    }
}

impl State {
    /// Reads no more because of `error`.
    pub(super) fn stop(&mut self, course: Course, error: SourceError) {
        if self.course == Course::Reading {
            (self.course, self.failed) = (course, Some(error));
            self.partitions.clear();
        }
    }

    pub(super) fn partition(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(topic)?.get_mut(&partition)
    }

    /// Every partition with its topic and number.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (&str, i32, &mut Partition)> {
        let topics = self.partitions.iter_mut();
        topics
            .flat_map(|(topic, partitions)| partitions.iter_mut().map(|(number, held)| (topic.as_str(), *number, held)))
    }

    /// Whether all that there was when partitions were placed was handed out.
    pub(super) fn is_done(&mut self) -> bool {
        self.placed && self.placement == Placement::Settled && self.all().all(|(.., held)| held.is_done())
    }

    /// The next batch of `source`, if any record may leave.
    pub(super) fn take(&mut self, source: &str, schema_version: Option<&str>, bounds: BatchBounds) -> Option<Batch> {
        let bytes_max = bounds.bytes_max.min(BATCH_BYTES_MAX);
        let turn = self.turn;
        let mut held: Vec<_> = self.all().collect();
        if held.is_empty() {
            return None;
        }
        // Whoever filled the last batch comes last in this one.
        let first = turn % held.len();
        held.rotate_left(first);
        let room = held.iter().map(|(.., held)| held.buffer.size()).sum::<usize>().min(bytes_max);
        let mut batch = BatchBuilder::with_capacity(source, room);
        let (mut spans, mut gaps, mut full) = (vec![], vec![], None);
        for (place, (topic, partition, held)) in held.into_iter().enumerate() {
            let origin =
                Received { topic: Some(topic), partition: Some(partition), schema_version, ..Received::default() };
            let from = held.from;
            while let Some((offset, bytes)) = held.buffer.first().filter(|(offset, _)| *offset < held.proven) {
                let fits = batch.len() < bounds.records_max && batch.payload_bytes() + bytes <= bytes_max;
                if !fits && !batch.is_empty() {
                    full = Some(place);
                    break;
                }
                held.buffer.move_first(&mut batch, &origin);
                held.from = offset + 1;
            }
            if held.from > from {
                spans.push(Span { app_id: held.app_id.clone(), first: from, last: held.from - 1 });
            }
            while let Some((first, last)) = held.gaps.pop_front_if(|(first, _)| *first < held.from) {
                let because = Because::CompactedOrControl;
                gaps.push(Gap { topic: topic.to_owned(), partition, first, last, because });
            }
            if full.is_some() {
                break;
            }
        }
        self.turn = first + full.map_or(0, |place| place + 1);
        if batch.is_empty() {
            return None;
        }
        Some(batch.finish(spans, serde_json::to_value(Evidence { gaps }).expect("plain data with text keys")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Incoming;
    use super::*;

    const BOUNDS: BatchBounds = BatchBounds { records_max: 4, bytes_max: 1000 };

    fn state(partitions: &[(&str, i32)]) -> State {
        let mut state = State { placed: true, ..State::default() };
        for (topic, number) in partitions {
            let held = Partition::new(format!("c/{topic}#id/{number}"), 0, 100);
            state.partitions.entry((*topic).to_owned()).or_default().insert(*number, held);
        }
        state
    }

    fn receive(state: &mut State, topic: &str, number: i32, offsets: impl IntoIterator<Item = i64>) {
        let held = state.partition(topic, number).expect("it is held");
        for offset in offsets {
            held.receive(&Incoming { offset, time: Some(offset * 10), payload: Some(b"{}"), ..Incoming::default() });
        }
        held.prove(held.guard.next());
    }

    type Taken = (Vec<(String, i64, i64)>, Evidence);

    fn take(state: &mut State) -> Option<Taken> {
        let batch = state.take("orders", None, BOUNDS)?;
        let spans = batch.spans.iter().map(|span| (span.app_id.clone(), span.first, span.last)).collect();
        Some((spans, serde_json::from_value(batch.evidence).expect("it was made of one")))
    }

    #[test]
    fn only_what_is_proven_leaves() {
        let mut state = state(&[("a", 0)]);
        receive(&mut state, "a", 0, 0..2);
        let held = state.partition("a", 0).expect("it is held");
        held.receive(&Incoming { offset: 2, payload: Some(b"{}"), ..Incoming::default() });
        assert!(held.is_open());
        let (spans, _) = take(&mut state).expect("two records may leave");
        assert_eq!(spans, [("c/a#id/0".to_owned(), 0, 1)]);
        assert_eq!(take(&mut state), None);
        state.partition("a", 0).expect("it is held").prove(3);
        assert_eq!(take(&mut state).expect("the third may leave").0, [("c/a#id/0".to_owned(), 2, 2)]);
    }

    #[test]
    fn spans_abut_and_hold_the_gaps() {
        let mut state = state(&[("a", 0)]);
        receive(&mut state, "a", 0, [0, 3, 4, 9, 10]);
        let gap =
            |first, last| Gap { topic: "a".into(), partition: 0, first, last, because: Because::CompactedOrControl };
        let (spans, evidence) = take(&mut state).expect("there are records");
        assert_eq!((spans[0].1, spans[0].2, evidence.gaps), (0, 9, vec![gap(1, 2), gap(5, 8)]));
        let (spans, evidence) = take(&mut state).expect("one is left");
        assert_eq!((spans[0].1, spans[0].2, evidence.gaps), (10, 10, vec![]));
    }

    #[test]
    fn a_gap_behind_a_seek_is_believed_when_it_comes_twice() {
        let mut state = state(&[("a", 0)]);
        receive(&mut state, "a", 0, 22..27);
        let held = state.partition("a", 0).expect("it is held");
        assert!(held.buffer.is_empty() && held.seek, "the client is to fetch again, and what it fetched is dropped");
        held.sought();
        receive(&mut state, "a", 0, 22..27);
        let (spans, evidence) = take(&mut state).expect("there are records");
        assert_eq!((spans[0].1, spans[0].2), (0, 25));
        assert_eq!((evidence.gaps[0].first, evidence.gaps[0].last), (0, 21));
    }

    #[test]
    fn no_partition_starves() {
        let mut state = state(&[("a", 0), ("a", 1), ("b", 0)]);
        for (topic, number) in [("a", 0), ("a", 1), ("b", 0)] {
            receive(&mut state, topic, number, 0..40);
        }
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            seen.extend(take(&mut state).expect("there are records").0.into_iter().map(|(app_id, ..)| app_id));
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn going_on_elsewhere_drops_what_was_read_ahead_and_nothing_else() {
        let mut state = state(&[("a", 0)]);
        receive(&mut state, "a", 0, 0..6);
        take(&mut state).expect("four leave");
        let held = state.partition("a", 0).expect("it is held");
        held.go_on_behind(Some(3));
        assert!(!held.buffer.is_empty() && !held.seek, "Bronze ends where the last batch did");
        held.go_on_behind(Some(1));
        assert!(held.buffer.is_empty() && held.seek && held.guard.next() == 2);
        held.go_on_behind(None);
        assert_eq!(held.guard.next(), 0, "nothing of it was landed");
    }
}
