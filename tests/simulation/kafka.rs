//! Topics and consumer groups: what was produced, which host holds what, and who was given up.
//!
//! Harsher than Kafka's own protocol: partitions are given to others at once, whatever those who held them have in hand,
//! and a host may go on for a while with what is no longer its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::clock::Clock;
use super::dice::Dice;
use super::options::Options;
use super::trace::Trace;

/// How long a host that is not heard of keeps its partitions.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// A record of a partition's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) offset: i64,
    /// When it came, since the beginning.
    pub(super) at: Duration,
    pub(super) key: Vec<u8>,
    pub(super) payload: Option<Vec<u8>>,
}

/// The records of one partition, in order. Offsets between two hold none.
pub(super) type Log = Vec<Produced>;

/// The brokers. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Kafka {
    cluster: Arc<Mutex<Cluster>>,
    clock: Clock,
    dice: Dice,
    trace: Trace,
}

#[derive(Debug, Default)]
struct Cluster {
    /// By source; each has one topic and one group.
    topics: BTreeMap<String, Topic>,
}

#[derive(Debug)]
struct Topic {
    logs: Arc<Vec<Log>>,
    members: BTreeSet<u64>,
    /// Who holds each partition.
    holders: Vec<Option<u64>>,
}

impl Kafka {
    /// Brokers with these logs, by source.
    pub(super) fn new(logs: BTreeMap<String, Vec<Log>>, clock: &Clock, dice: &Dice, trace: &Trace) -> Self {
        let topic =
            |logs: Vec<Log>| Topic { members: BTreeSet::new(), holders: vec![None; logs.len()], logs: Arc::new(logs) };
        let topics = logs.into_iter().map(|(source, logs)| (source, topic(logs))).collect();
        let cluster = Arc::new(Mutex::new(Cluster { topics }));
        Self { cluster, clock: clock.clone(), dice: dice.clone(), trace: trace.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().expect("nobody panics while holding the brokers")
    }

    /// The logs of every source, which never change.
    pub(super) fn logs(&self) -> BTreeMap<String, Arc<Vec<Log>>> {
        self.lock().topics.iter().map(|(source, topic)| (source.clone(), Arc::clone(&topic.logs))).collect()
    }

    /// Has `member` in the group of `source`, and gives the logs and the partitions that it holds.
    pub(super) fn poll(&self, source: &str, member: u64) -> (Arc<Vec<Log>>, BTreeSet<usize>) {
        let mut cluster = self.lock();
        let topic = cluster.topics.get_mut(source).expect("every source of the tenant has a topic");
        if topic.members.insert(member) {
            self.rebalance(source, topic);
        }
        let held = (0..topic.holders.len()).filter(|partition| topic.holders[*partition] == Some(member));
        (Arc::clone(&topic.logs), held.collect())
    }

    /// `member` is no longer of the group of `source`.
    pub(super) fn leave(&self, source: &str, member: u64) {
        let mut cluster = self.lock();
        let topic = cluster.topics.get_mut(source).expect("every source of the tenant has a topic");
        if topic.members.remove(&member) {
            self.rebalance(source, topic);
        }
    }

    /// Gives `member` up in every group if nothing is heard of it for the session's timeout: until `heard`.
    pub(super) fn expect_silence(&self, member: u64, heard: Duration) {
        let kafka = self.clone();
        tokio::spawn(async move {
            kafka.clock.sleep(SESSION_TIMEOUT).await;
            if kafka.clock.now() < heard {
                let sources: Vec<String> = kafka.lock().topics.keys().cloned().collect();
                sources.iter().for_each(|source| kafka.leave(source, member));
            }
        });
    }

    /// Rebalances the groups that nobody joined or left, now and then, until `end`.
    pub(super) async fn unrest(&self, options: &Options, end: Duration) {
        let every = options.rebalance_every.as_millis() as u64;
        loop {
            self.clock.sleep(self.dice.time(every / 2..every * 2)).await;
            if self.clock.now() >= end {
                return;
            }
            for (source, topic) in &mut self.lock().topics {
                self.rebalance(source, topic);
            }
        }
    }

    /// Gives every partition to somebody, as chance has it.
    fn rebalance(&self, source: &str, topic: &mut Topic) {
        let members: Vec<u64> = topic.members.iter().copied().collect();
        for holder in &mut topic.holders {
            *holder = (!members.is_empty()).then(|| members[self.dice.between(0..members.len() as u64) as usize]);
        }
        self.trace.note(source, format_args!("is held by {:?}", topic.holders));
        self.trace.count("rebalances");
    }
}

/// The logs of one topic that hold `payloads` in this order of time, with gaps.
pub(super) fn produce(payloads: Vec<Vec<u8>>, options: &Options, dice: &Dice) -> Vec<Log> {
    let mut logs: Vec<Log> = vec![vec![]; options.partitions as usize];
    let pause = options.span.as_micros() as u64 / (payloads.len() as u64 + 1);
    let mut at = Duration::ZERO;
    for (number, payload) in payloads.into_iter().enumerate() {
        at += Duration::from_micros(dice.between(0..2 * pause));
        let log = &mut logs[dice.between(0..options.partitions) as usize];
        let next = log.last().map_or(0, |last| last.offset + 1);
        let gap = if dice.happens(options.gaps) { dice.between(1..4) as i64 } else { 0 };
        // A tombstone now and then.
        let payload = (!dice.happens(20)).then_some(payload);
        log.push(Produced { offset: next + gap, at, key: number.to_string().into_bytes(), payload });
    }
    logs
}
