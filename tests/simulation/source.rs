//! The partitions of one topic that one host holds, as a source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use silversmith::pipeline::Inputs;
use silversmith::position::Span;
use silversmith::record::{BatchBuilder, Received};
use silversmith::registry::tenant::SourceSettings;
use silversmith::source::files::Reading;
use silversmith::source::{BatchBounds, Next, Progress, Source, SourceError, Stake};

use super::dice::Dice;
use super::kafka::{Kafka, Log};
use super::life::Life;
use super::options::Options;
use super::trace::Trace;

/// The topic of a source.
pub(super) fn topic(source: &str) -> String {
    format!("acme.{source}")
}

/// What Bronze calls a partition.
pub(super) fn app_id(source: &str, partition: usize) -> String {
    format!("simulated/{}#id/{partition}", topic(source))
}

/// Opens the simulated topics of one life of a host.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    pub(super) kafka: Kafka,
    pub(super) life: Arc<Life>,
    pub(super) dice: Dice,
    pub(super) trace: Trace,
    pub(super) options: Arc<Options>,
}

impl Inputs for Topics {
    fn open(&self, _: &str, settings: &SourceSettings, reading: Reading) -> Box<dyn Source> {
        let (logs, held) = (Arc::default(), BTreeMap::new());
        Box::new(Partitions { of: self.clone(), name: settings.name.clone(), reading, logs, held, given: None })
    }
}

struct Partitions {
    of: Topics,
    name: String,
    reading: Reading,
    logs: Arc<Vec<Log>>,
    /// The partitions held, as far as this host knows, and the first offset of each that was not handed out.
    held: BTreeMap<usize, i64>,
    /// What this host is to hold, once it knows where Bronze ends.
    given: Option<BTreeSet<usize>>,
}

impl Partitions {
    /// Takes in what the group says; whether partitions came that are to be placed.
    fn hear(&mut self) -> bool {
        let Topics { kafka, life, dice, options, .. } = &self.of;
        let (logs, held) = kafka.poll(&self.name, life.number);
        self.logs = logs;
        if held.iter().eq(self.held.keys()) || (!self.held.is_empty() && dice.happens(options.deaf)) {
            return false;
        }
        self.held.retain(|partition, _| held.contains(partition));
        self.given = (held.len() > self.held.len()).then_some(held);
        self.given.is_some()
    }

    /// Some of the records that are there, of some of the partitions.
    fn cut(&mut self, bounds: BatchBounds) -> Option<Next> {
        let Topics { life, dice, trace, .. } = &self.of;
        let now = life.now();
        let most = dice.between(1..bounds.records_max as u64 + 1) as usize;
        let mut turns: Vec<usize> = self.held.keys().copied().collect();
        dice.shuffle(&mut turns);
        let mut batch = BatchBuilder::new(&self.name);
        let (mut spans, mut gaps, topic) = (vec![], vec![], topic(&self.name));
        for partition in turns {
            let from = self.held[&partition];
            let mut next = from;
            let there = self.logs[partition].iter().filter(|record| record.offset >= from && record.at <= now);
            for record in there.take(most - batch.len()) {
                if record.offset > next {
                    let (first, last) = (next, record.offset - 1);
                    gaps.push(json!({ "topic": topic, "partition": partition, "first": first, "last": last, "because": "compacted-or-control" }));
                }
                batch.push(&Received {
                    payload: record.payload.as_deref(),
                    topic: Some(&topic),
                    partition: Some(partition as i32),
                    offset: record.offset,
                    key: Some(&record.key),
                    event_time: Some(record.at.as_micros() as i64),
                    ..Received::default()
                });
                next = record.offset + 1;
            }
            if next > from {
                self.held.insert(partition, next);
                spans.push(Span { app_id: app_id(&self.name, partition), first: from, last: next - 1 });
            }
        }
        if batch.is_empty() {
            return None;
        }
        let what = spans.iter().map(|span| format!("{} {}..={}", span.app_id, span.first, span.last));
        trace.note(&life.name, format_args!("is handed {}", what.collect::<Vec<_>>().join(", ")));
        Some(Next::Batch(batch.finish(spans, json!({ "gaps": gaps }))))
    }

    /// Whether all that there ever was has been handed out.
    fn is_done(&self) -> bool {
        let rest = |partition: &usize| match (self.held.get(partition), self.logs[*partition].last()) {
            (Some(from), Some(last)) => last.offset >= *from,
            (Some(_), None) => false,
            (None, _) => true,
        };
        !(0..self.logs.len()).any(|partition| rest(&partition))
    }
}

impl Source for Partitions {
    fn resume(&mut self, _: &Progress) -> Result<(), SourceError> {
        self.logs = self.of.kafka.poll(&self.name, self.of.life.number).0;
        Ok(())
    }

    fn next(&mut self, bounds: BatchBounds) -> Result<Next, SourceError> {
        if self.of.life.is_dead() {
            let message = "the host is dead, expected nobody to ask".to_owned();
            return Err(SourceError::Halted { source_name: self.name.clone(), message });
        }
        if self.of.life.is_frozen() {
            return Ok(Next::Nothing);
        }
        if self.hear() {
            return Ok(Next::Nothing);
        }
        let batch = if self.of.dice.happens(100) { None } else { self.cut(bounds) };
        let done = self.reading == Reading::Once && self.is_done();
        Ok(batch.unwrap_or(if done { Next::Ended } else { Next::Nothing }))
    }

    fn place(&mut self, transactions: &BTreeMap<String, i64>) -> Result<(), SourceError> {
        for partition in self.given.take().unwrap_or_default() {
            self.held.entry(partition).or_default();
        }
        for (partition, from) in &mut self.held {
            *from = transactions.get(&app_id(&self.name, *partition)).map_or(0, |last| last + 1);
        }
        let Topics { trace, life, .. } = &self.of;
        trace.note(&life.name, format_args!("goes on in {} at {:?}", self.name, self.held));
        Ok(())
    }

    fn is_unplaced(&self) -> bool {
        self.given.is_some()
    }

    fn stake(&self) -> Option<Stake> {
        Some(Stake { of: topic(&self.name), held: self.held.contains_key(&0) })
    }

    fn acknowledge(&mut self, spans: &[Span]) {
        self.of.trace.note(&self.of.life.name, format_args!("acknowledges {spans:?}"));
    }

    fn summary(&self) -> serde_json::Value {
        json!({ "gaps": [] })
    }

    fn measure(&self) -> Option<(u64, u64)> {
        None
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        if !self.of.life.is_dead() {
            self.of.kafka.leave(&self.name, self.of.life.number);
        }
    }
}
