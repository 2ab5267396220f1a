//! Which records are late: those whose event time lies too far behind the latest that came before them.
//!
//! The watermark of a source follows the order of its Bronze, record by record, so where batches are cut and which host took
//! them changes nothing. It only moves forward. A record without an event time is neither late nor in time.

use arrow::array::BooleanArray;

use crate::record::Batch;

/// Where a source stands in event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The latest event time so far, microseconds since the epoch.
    latest: Option<i64>,
}

impl Watermark {
    /// Behind records of which the latest is of `latest`, microseconds since the epoch.
    pub fn behind(latest: Option<i64>) -> Self {
        Self { latest }
    }

    /// The latest event time so far, microseconds since the epoch.
    pub fn latest(self) -> Option<i64> {
        self.latest
    }

    /// Moves over the records of `batch`, and says of each whether it is late: more than `allowed` microseconds behind the
    /// latest before it.
    pub fn pass(&mut self, batch: &Batch, allowed: i64) -> BooleanArray {
        self.over((0..batch.len()).map(|record| batch.event_time(record)), allowed)
    }

    fn over(&mut self, times: impl Iterator<Item = Option<i64>>, allowed: i64) -> BooleanArray {
        let mut judge = |time: i64| {
            let late = self.latest.is_some_and(|latest| time < latest.saturating_sub(allowed));
            self.latest = self.latest.max(Some(time));
            late
        };
        times.map(|time| time.map(&mut judge)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_late_behind_the_latest_before_it_and_what_is_allowed() {
        let mut watermark = Watermark::default();
        let late = watermark.over([Some(10), Some(7), None, Some(6), Some(10), Some(20), Some(16)].into_iter(), 3);
        let expected = [Some(false), Some(false), None, Some(true), Some(false), Some(false), Some(true)];
        assert_eq!(late.iter().collect::<Vec<_>>(), expected);
        assert_eq!(watermark.latest(), Some(20));
    }

    proptest! {
        #[test]
        fn it_is_the_same_wherever_batches_are_cut(
            times in prop::collection::vec(prop::option::of(-50i64..50), 0..60),
            cut in 0usize..60,
            allowed in 0i64..20,
        ) {
            let mut whole = Watermark::default();
            let expected: Vec<_> = whole.over(times.iter().copied(), allowed).iter().collect();
            let (before, after) = times.split_at(cut.min(times.len()));
            let mut parts = Watermark::default();
            let mut found: Vec<_> = parts.over(before.iter().copied(), allowed).iter().collect();
            let mut parts = Watermark::behind(parts.latest());
            found.extend(parts.over(after.iter().copied(), allowed).iter());
            prop_assert_eq!((found, parts), (expected, whole));
        }
    }
}
