//! One partition that this host holds: what was received of it and may leave, and where the client is to fetch.
//!
//! A record leaves only below [`Partition::proven`], to which the polling thread lifts it once the brokers have said, after
//! the record was received, that its topic still is the same one and that gaps before it are gaps of the log.

use std::collections::VecDeque;

use super::buffer::{Buffer, Flow, Incoming};
use super::verdict::{Admission, Guard};

/// One partition that this host holds.
#[derive(Debug)]
pub(super) struct Partition {
    /// Its identity, as text.
    pub(super) app_id: String,
    pub(super) guard: Guard,
    pub(super) buffer: Buffer,
    pub(super) flow: Flow,
    /// Records before this offset may leave.
    pub(super) proven: i64,
    /// Gaps before the records held or received, oldest first.
    pub(super) gaps: VecDeque<(i64, i64)>,
    /// The client is to fetch from where the guard stands.
    pub(super) seek: bool,
    /// The first offset of this host's time.
    began: i64,
    /// The first offset that was not handed out.
    pub(super) from: i64,
    /// The brokers lacked what was asked for, of this partition or of another.
    doubted: bool,
    /// Where it ended when it was placed.
    end: i64,
    idle: Idle,
}

/// What tells that a partition has nothing more to give though it ends later: control records give none.
#[derive(Debug, Default)]
struct Idle {
    received: u64,
    /// The round of polls at which `received` was first seen.
    since: u64,
    /// Counts without a change.
    quiet: u32,
    /// The client dropped what it had fetched, so that the end it tells of may be of before.
    disturbed: bool,
    exhausted: bool,
}

/// Counts without a change after which nothing more is expected of a partition that was disturbed.
const QUIET: u32 = 25;

impl Partition {
    /// Read from `next` on; its log ends at `end` now.
    pub(super) fn new(app_id: String, next: i64, end: i64) -> Self {
        Self {
            app_id,
            guard: Guard::at(next),
            buffer: Buffer::default(),
            flow: Flow::Open,
            proven: next,
            gaps: VecDeque::new(),
            seek: false,
            began: next,
            from: next,
            doubted: false,
            end,
            idle: Idle::default(),
        }
    }

    /// Goes on behind `last`, the last offset in Bronze, and drops what it holds if that is somewhere else.
    pub(super) fn go_on_behind(&mut self, last: Option<i64>) {
        let (began, flow) = (self.began, self.flow);
        let next = last.map_or(began, |last| last + 1);
        if next != self.from {
            *self = Self { began, flow, seek: true, ..Self::new(std::mem::take(&mut self.app_id), next, self.end) };
        }
    }

    /// Has the brokers asked whether its log still holds what comes next.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// From where on its log must hold what it held, if that is to be asked.
    pub(super) fn questioned_from(&self) -> Option<i64> {
        let gap = self.gaps.iter().map(|(first, _)| *first).find(|first| *first >= self.proven);
        gap.or_else(|| self.doubted.then(|| self.guard.next()))
    }

    /// Whether anything of it is to be asked.
    pub(super) fn is_open(&self) -> bool {
        self.doubted || self.proven < self.guard.next()
    }

    /// What came before `next` may leave; what the brokers lacked is asked for again.
    pub(super) fn prove(&mut self, next: i64) {
        self.proven = self.proven.max(next);
        self.seek |= std::mem::take(&mut self.doubted);
    }

    /// Takes in a record, if its turn has come.
    pub(super) fn receive(&mut self, record: &Incoming<'_>) {
        // What comes before the client was told where to fetch is of before.
        if self.seek {
            return;
        }
        match self.guard.admit(record.offset) {
            Admission::Stale => return,
            Admission::Again(_) => {
                self.seek = true;
                return;
            }
            Admission::After(first) => self.gaps.push_back((first, record.offset - 1)),
            Admission::Next => {}
        }
        self.buffer.push(record);
    }

    /// Takes in what the client counts: messages `received` of this partition so far, and the end that it last came
    /// to. `round` counts the times that nothing was left to poll.
    ///
    /// If no message came between two counts with such a round in between, all that came was taken in.
    pub(super) fn count(&mut self, received: u64, end: i64, round: u64) {
        if received != self.idle.received {
            self.idle = Idle { received, since: round, ..Idle::default() };
        } else if self.flow == Flow::Open && round > self.idle.since && end >= self.guard.next() {
            self.idle.quiet += 1;
            self.idle.exhausted = !self.idle.disturbed || self.idle.quiet >= QUIET;
        }
    }

    /// Has the client stop or go on; either way it drops what it had fetched ahead.
    pub(super) fn set_flow(&mut self, flow: Flow) {
        self.flow = flow;
        self.disturb();
    }

    /// Hears that the client was told to fetch from where the guard stands.
    pub(super) fn sought(&mut self) {
        self.seek = false;
        self.disturb();
    }

    fn disturb(&mut self) {
        self.idle = Idle { received: self.idle.received, since: self.idle.since, disturbed: true, ..Idle::default() };
    }

    /// Whether all that it had when it was placed was handed out.
    pub(super) fn is_done(&self) -> bool {
        self.buffer.is_empty() && (self.from >= self.end || self.idle.exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Received};

    #[test]
    fn a_partition_is_done_when_its_end_is_handed_out_or_nothing_more_comes() {
        let mut held = Partition::new("c/a#id/0".to_owned(), 0, 100);
        for offset in 0..2 {
            held.receive(&Incoming { offset, payload: Some(b"{}"), ..Incoming::default() });
        }
        held.count(2, 2, 1);
        held.count(2, 2, 1);
        assert!(!held.idle.exhausted, "something may be left to poll");
        held.count(2, 2, 2);
        assert!(held.idle.exhausted && !held.is_done(), "it still holds records");
        held.set_flow(Flow::Stopped);
        held.set_flow(Flow::Open);
        held.count(2, 2, 3);
        assert!(!held.idle.exhausted, "the client may fetch again what it dropped");
        (0..QUIET).for_each(|round| held.count(2, 2, 4 + u64::from(round)));
        let mut batch = BatchBuilder::new("orders");
        while held.buffer.move_first(&mut batch, &Received::default()).is_some() {}
        assert!(held.is_done());
    }
}
