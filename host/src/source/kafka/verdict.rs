//! What is to become of a partition, given what Bronze says of it and where its log stands.
//!
//! Pure: decides, and neither asks nor acts. Going on is the exception that has to be earned: whatever could mean
//! that records are gone, or are others than those that Bronze holds, is a reason to halt, because a consumer that
//! resets itself loses data without a word.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::mutant::{Safeguard, without};

/// A partition of a topic, for ever: a topic that was deleted and made again has another id.
///
/// Its text is the Delta transaction identifier under which Bronze stores the last offset:
/// `<cluster>/<topic>#<topic id>/<partition>`, and `…#<topic id>~<era>/<partition>` once its log was cut off, because
/// its offsets then come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    pub(super) cluster: &'a str,
    pub(super) topic: &'a str,
    pub(super) topic_id: &'a str,
    /// How often the log was cut off and somebody said so.
    pub(super) era: u32,
    pub(super) partition: i32,
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, topic, topic_id, era, partition } = self;
        match era {
            0 => write!(f, "{cluster}/{topic}#{topic_id}/{partition}"),
            era => write!(f, "{cluster}/{topic}#{topic_id}~{era}/{partition}"),
        }
    }
}

impl<'a> Identity<'a> {
    /// The partition that a transaction identifier names, if it names one.
    pub(super) fn parse(app_id: &'a str) -> Option<Self> {
        let (rest, partition) = app_id.rsplit_once('/')?;
        let (rest, topic_id) = rest.rsplit_once('#')?;
        let (topic_id, era) = match topic_id.split_once('~') {
            Some((topic_id, era)) => (topic_id, era.parse().ok()?),
            None => (topic_id, 0),
        };
        // Neither names nor ids of topics hold a slash.
        let (cluster, topic) = rest.rsplit_once('/')?;
        Some(Self { cluster, topic, topic_id, era, partition: partition.parse().ok()? })
    }
}

/// What Bronze says of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it was never read.
    Nothing,
    /// Everything before this offset is in Bronze.
    Before(i64),
    /// Bronze holds records of a partition of this name, but of another topic id or another cluster.
    Another {
        /// What Bronze names it.
        app_id: String,
        /// The last offset of it in Bronze.
        last: i64,
    },
}

impl Known {
    /// What the transactions of a Bronze table say of `identity`, which is brought to its newest era.
    pub(super) fn of(identity: &mut Identity<'_>, transactions: &BTreeMap<String, i64>) -> Self {
        let of_name = |other: &Identity<'_>| other.topic == identity.topic && other.partition == identity.partition;
        let named = transactions.iter().filter_map(|(app_id, last)| Some((Identity::parse(app_id)?, app_id, *last)));
        let named: Vec<_> = named.filter(|(other, ..)| of_name(other)).collect();
        let same =
            named.iter().filter(|(other, ..)| other.topic_id == identity.topic_id && other.cluster == identity.cluster);
        if let Some((newest, _, last)) = same.max_by_key(|(other, ..)| other.era) {
            identity.era = newest.era;
            return Self::Before(last + 1);
        }
        match named.first() {
            Some((_, app_id, last)) => Self::Another { app_id: (*app_id).clone(), last: *last },
            None => Self::Nothing,
        }
    }
}

/// Where the log of a partition stands: the first offset that it still has, and the next that it will give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Whether a partition may be read, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Reading goes on at this offset.
    ReadFrom(i64),
    /// The log lost records before they were read: `first..=last`.
    Lost { first: i64, last: i64 },
    /// The log ends at `end`, before what Bronze holds.
    CutOff { next: i64, end: i64 },
    /// The topic is not the one that Bronze holds records of.
    Another { app_id: String, last: i64 },
}

/// Decides on a partition of which Bronze says `known` and whose log stands at `log`.
///
/// | Bronze says | the log | verdict |
/// |---|---|---|
/// | nothing | any | read from its start |
/// | all before n | start ≤ n ≤ end | read from n |
/// | all before n | n < start | lost: n to start - 1 |
/// | all before n | end < n | cut off |
/// | records under another topic id or cluster | any | another |
pub(super) fn judge(known: Known, log: Log) -> Verdict {
    match known {
        Known::Nothing => Verdict::ReadFrom(log.start),
        Known::Before(next) if log.end < next && !without(Safeguard::CutOff) => Verdict::CutOff { next, end: log.end },
        Known::Before(next) if next < log.start && without(Safeguard::LostOffsets) => Verdict::ReadFrom(log.start),
        Known::Before(next) if next < log.start => Verdict::Lost { first: next, last: log.start - 1 },
        Known::Before(next) => Verdict::ReadFrom(next),
        Known::Another { .. } if without(Safeguard::TopicIdentity) => Verdict::ReadFrom(log.start),
        Known::Another { app_id, last } => Verdict::Another { app_id, last },
    }
}

impl Verdict {
    /// What an operator who goes on in spite of it declares: the identity to go on under, and the offsets that are
    /// given up; none if nothing is.
    pub(super) fn declared<'a>(&self, identity: Identity<'a>, log: Log) -> Option<(Identity<'a>, RangeInclusive<i64>)> {
        match *self {
            Self::ReadFrom(_) => None,
            Self::Lost { first, last } => Some((identity, first..=last)),
            // What is read from here on stands at offsets that Bronze has seen already.
            Self::CutOff { end, .. } => Some((Identity { era: identity.era + 1, ..identity }, 0..=end - 1)),
            Self::Another { .. } => Some((identity, 0..=log.start - 1)),
        }
    }

    /// Where to read from, or why not, for people.
    pub(super) fn position(self, identity: &Identity<'_>) -> Result<i64, String> {
        let of = format!("partition {} of topic `{}`", identity.partition, identity.topic);
        Err(match self {
            Self::ReadFrom(offset) => return Ok(offset),
            Self::Lost { first, last } => format!(
                "{of} lost the offsets {first} to {last} before they were read, expected its log to begin at {first} or before: \
                 its retention is shorter than the time that this source stood still; {ACKNOWLEDGE}"
            ),
            Self::CutOff { next, end } => format!(
                "{of} ends at offset {end}, and Bronze holds it up to {}, expected an end behind that: its log was cut off, or restored; {}",
                next - 1,
                ACKNOWLEDGE
            ),
            Self::Another { app_id, last } => format!(
                "{of} is `{identity}`, and Bronze holds offsets up to {last} of `{app_id}`, expected the same topic: \
                 it was deleted and made again, or the brokers are others; {ACKNOWLEDGE}"
            ),
        })
    }
}

/// The next step after a loss.
const ACKNOWLEDGE: &str =
    "records that are kept elsewhere can be given to a files source; then run `silversmith source acknowledge-gap`";

/// What to do with a record that the client delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is the next one.
    Next,
    /// It is the next one, and the log has no records at the offsets from this one on.
    After(i64),
    /// It was delivered before, or left over from before a seek.
    Stale,
    /// Offsets are missing right behind a seek, which the client may have carried out too late: seek to this offset again.
    Again(i64),
}

/// Admits the records of one partition in strictly increasing order, whatever the client delivers.
///
/// The client fetches in order, so offsets that are missing between two records hold none. Right behind a seek
/// that is not so: what is left over of the time before it may come first. Such a jump counts only if the same
/// record comes first again after another seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guard {
    next: i64,
    behind: Behind,
}

/// What came before the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// The record before it.
    Record,
    /// A seek.
    Seek,
    /// A second seek, after this offset came first behind the one before.
    SeekAfter(i64),
}

impl Guard {
    /// Behind a seek to `next`.
    pub(super) fn at(next: i64) -> Self {
        Self { next, behind: Behind::Seek }
    }

    /// The offset that comes next.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Judges the record at `offset`, and is behind it if it is admitted.
    pub(super) fn admit(&mut self, offset: i64) -> Admission {
        let expected = self.next;
        if offset < expected && !without(Safeguard::Order) {
            return Admission::Stale;
        }
        let doubtful = match self.behind {
            Behind::Record => false,
            Behind::Seek => offset > expected,
            Behind::SeekAfter(first) => offset > expected && offset != first,
        };
        if doubtful {
            self.behind = Behind::SeekAfter(offset);
            return Admission::Again(expected);
        }
        *self = Self { next: offset + 1, behind: Behind::Record };
        if offset == expected { Admission::Next } else { Admission::After(expected) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDENTITY: Identity<'_> = Identity { cluster: "c/1", topic: "a.b", topic_id: "x-_Y", era: 0, partition: 3 };

    #[test]
    fn an_identity_is_its_text() {
        let text = IDENTITY.to_string();
        assert_eq!(text, "c/1/a.b#x-_Y/3");
        assert_eq!(Identity::parse(&text), Some(IDENTITY));
        let second = Identity { era: 1, ..IDENTITY };
        assert_eq!(second.to_string(), "c/1/a.b#x-_Y~1/3");
        assert_eq!(Identity::parse(&second.to_string()), Some(second));
        assert_eq!([Identity::parse("orders"), Identity::parse("a/b#c/x")], [None, None]);
    }

    #[test]
    fn bronze_knows_a_topic_by_its_id() {
        let known = |transactions: &[(&str, i64)]| {
            let mut identity = IDENTITY;
            let transactions = transactions.iter().map(|(app_id, last)| ((*app_id).to_owned(), *last)).collect();
            (Known::of(&mut identity, &transactions), identity.era)
        };
        let of = |app_id: &str| known(&[(app_id, 7)]).0;
        let another = |app_id: &str| Known::Another { app_id: app_id.to_owned(), last: 7 };
        assert_eq!(of("c/1/a.b#x-_Y/3"), Known::Before(8));
        assert_eq!(of("c/1/a.b#other/3"), another("c/1/a.b#other/3"));
        assert_eq!(of("c/2/a.b#x-_Y/3"), another("c/2/a.b#x-_Y/3"));
        assert_eq!(
            [of("c/1/a.b#other/2"), of("c/1/b#x-_Y/3"), of("orders")],
            [Known::Nothing, Known::Nothing, Known::Nothing]
        );
        assert_eq!(known(&[("c/1/a.b#old/3", 7), ("c/1/a.b#x-_Y/3", 1)]), (Known::Before(2), 0), "acknowledged");
        assert_eq!(known(&[("c/1/a.b#x-_Y/3", 7), ("c/1/a.b#x-_Y~1/3", 4)]), (Known::Before(5), 1), "acknowledged");
    }

    #[test]
    fn a_partition_is_read_only_where_nothing_is_missing() {
        let log = |start, end| Log { start, end };
        let cases = [
            (Known::Nothing, log(5, 9), Verdict::ReadFrom(5)),
            (Known::Before(0), log(0, 0), Verdict::ReadFrom(0)),
            (Known::Before(5), log(5, 9), Verdict::ReadFrom(5)),
            (Known::Before(9), log(5, 9), Verdict::ReadFrom(9)),
            (Known::Before(9), log(9, 9), Verdict::ReadFrom(9)),
            (Known::Before(4), log(5, 9), Verdict::Lost { first: 4, last: 4 }),
            (Known::Before(10), log(5, 9), Verdict::CutOff { next: 10, end: 9 }),
            (Known::Before(10), log(0, 0), Verdict::CutOff { next: 10, end: 0 }),
        ];
        for (known, log, expected) in cases {
            assert_eq!(judge(known.clone(), log), expected, "{known:?}, {log:?}");
        }
        let another = Known::Another { app_id: "x".into(), last: 3 };
        assert_eq!(judge(another, log(0, 9)), Verdict::Another { app_id: "x".into(), last: 3 });
    }

    #[test]
    fn what_is_declared_lets_reading_go_on() {
        let log = Log { start: 6, end: 9 };
        let another = Known::Another { app_id: "c/1/a.b#old/3".into(), last: 3 };
        for (known, expected) in [
            (Known::Before(4), ("c/1/a.b#x-_Y/3", 4..=5, 6)),
            (Known::Before(12), ("c/1/a.b#x-_Y~1/3", 0..=8, 9)),
            (another, ("c/1/a.b#x-_Y/3", 0..=5, 6)),
        ] {
            let (identity, given_up) = judge(known, log).declared(IDENTITY, log).unwrap();
            assert_eq!((identity.to_string().as_str(), given_up.clone()), (expected.0, expected.1));
            let mut identity = IDENTITY;
            let transactions =
                BTreeMap::from([("c/1/a.b#x-_Y/3".to_owned(), 11), (expected.0.to_owned(), *given_up.end())]);
            let verdict = judge(Known::of(&mut identity, &transactions), log);
            assert_eq!((verdict, identity.to_string().as_str()), (Verdict::ReadFrom(expected.2), expected.0));
        }
        assert_eq!(judge(Known::Before(7), log).declared(IDENTITY, log), None);
    }

    #[test]
    fn a_halt_names_what_is_missing_and_the_next_step() {
        let lost = judge(Known::Before(4), Log { start: 6, end: 9 }).position(&IDENTITY).unwrap_err();
        assert!(lost.starts_with("partition 3 of topic `a.b` lost the offsets 4 to 5"), "{lost}");
        assert!(lost.ends_with("run `silversmith source acknowledge-gap`"), "{lost}");
    }

    #[test]
    fn offsets_that_are_missing_between_two_records_hold_none() {
        let mut guard = Guard::at(0);
        let admitted = [0, 1, 1, 0, 4, 3, 5].map(|offset| guard.admit(offset));
        use Admission::{After, Next, Stale};
        assert_eq!(admitted, [Next, Next, Stale, Stale, After(2), Stale, Next]);
        assert_eq!(guard.next(), 6);
    }

    #[test]
    fn a_jump_behind_a_seek_counts_when_it_comes_twice() {
        use Admission::{After, Again, Next, Stale};
        let mut left_over = Guard::at(10);
        assert_eq!([40, 41, 10, 11].map(|offset| left_over.admit(offset)), [Again(10), Again(10), Next, Next]);
        let mut compacted = Guard::at(10);
        assert_eq!([12, 12, 13].map(|offset| compacted.admit(offset)), [Again(10), After(10), Next]);
        let mut behind = Guard::at(10);
        assert_eq!([9, 10].map(|offset| behind.admit(offset)), [Stale, Next]);
    }

    proptest! {
        /// A log with holes, delivered with repetitions and with left-overs of a later place before each seek takes
        /// effect: what is admitted is the log, once, in order, and each hole is declared exactly.
        #[test]
        fn what_is_admitted_is_the_log(
            holes in prop::collection::vec(any::<bool>(), 1..60),
            from in 0usize..60,
            left_over in 0usize..5,
            repeats in prop::collection::vec(0usize..4, 60),
        ) {
            let log: Vec<i64> = holes.iter().enumerate().filter(|(_, hole)| !**hole).map(|(offset, _)| offset as i64).collect();
            let from = from.min(holes.len()) as i64;
            let mut guard = Guard::at(from);
            let (mut admitted, mut declared) = (vec![], vec![]);
            let mut queue: std::collections::VecDeque<i64> = (0..left_over).map(|i| 1000 + i as i64).collect();
            let rest = |from: i64| log.iter().copied().filter(move |offset| *offset >= from);
            queue.extend(rest(from));
            let mut repeats = repeats.into_iter().cycle();
            let mut seeks = 0;
            while let Some(offset) = queue.pop_front() {
                match guard.admit(offset) {
                    Admission::Next => admitted.push(offset),
                    Admission::After(first) => {
                        declared.extend(first..offset);
                        admitted.push(offset);
                    }
                    Admission::Stale => {}
                    Admission::Again(next) => {
                        // What is left over drains; then the log comes from the place sought.
                        prop_assert_eq!(next, from);
                        queue.retain(|offset| *offset >= 1000);
                        queue.extend(rest(next));
                        seeks += 1;
                    }
                }
                for _ in 0..repeats.next().unwrap_or(0) {
                    if let Some(last) = admitted.last() {
                        prop_assert_eq!(guard.admit(*last), Admission::Stale);
                    }
                }
            }
            prop_assert!(seeks <= left_over + 1);
            let meant: Vec<i64> = rest(from).collect();
            prop_assert_eq!(&admitted, &meant);
            let last = meant.last().copied().unwrap_or(from);
            let holes: Vec<i64> = (from..last).filter(|offset| !log.contains(offset)).collect();
            prop_assert_eq!(declared, holes);
        }
    }
}
