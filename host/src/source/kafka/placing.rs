//! Taking partitions that the group gives to this host: where each is read from.
//!
//! The group gives within a call to poll, and waits for the answer. Where Bronze ends only the pipeline knows, which comes
//! by between two batches; the brokers say what the logs still hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::native;
use super::partition::Partition;
use super::poller::{AGAIN, CALL_MAX, PATIENCE, Poller, Trouble, no_answer};
use super::state::{Course, Lead, Placement, State};
use super::verdict::{Identity, Known, Log, judge};
use crate::source::files::Reading;

impl Poller {
    /// Finds where to read the partitions that this host was given, and has the client fetch from there.
    pub(super) fn place(&self, consumer: &BaseConsumer<Self>, given: &TopicPartitionList) {
        let given: Vec<(String, i32)> =
            given.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect();
        info!(source = self.source, partitions = given.len(), "given partitions");
        if let Some(placed) = self.placed(consumer, &given) {
            let offsets: Vec<i64> = placed.iter().map(|(.., held)| held.guard.next()).collect();
            {
                let mut state = self.shared.lock();
                for (topic, number, held) in placed {
                    state.partitions.entry(topic).or_default().insert(number, held);
                }
                (state.placed, state.epoch) = (true, state.epoch + 1);
            }
            self.take(consumer, &given, offsets.into_iter().map(Offset::Offset));
        } else {
            self.take(consumer, &given, given.iter().map(|_| Offset::End));
        }
        let mut state = self.shared.lock();
        let decides = given.iter().any(|(topic, number)| *number == 0 && self.topics.first() == Some(topic));
        if decides && state.course != Course::Leaving {
            state.lead = Lead::Ours;
        }
    }

    /// Takes `given` from the group, each to be fetched from its offset in `offsets`.
    fn take(&self, consumer: &BaseConsumer<Self>, given: &[(String, i32)], offsets: impl Iterator<Item = Offset>) {
        let mut list = TopicPartitionList::new();
        let listed = given
            .iter()
            .zip(offsets)
            .try_for_each(|((topic, number), offset)| list.add_partition_offset(topic, *number, offset));
        // Assigned with their offsets in one call: nothing can be fetched before a seek.
        let course = self.shared.lock().course;
        let taken = listed.and_then(|()| consumer.incremental_assign(&list)).and_then(|()| match course {
            Course::Reading => consumer.resume(&list),
            Course::Halted | Course::Fenced | Course::Renewing | Course::Leaving => consumer.pause(&list),
        });
        if let Err(error) = taken {
            self.leave(format!("partitions cannot be read: {error}"));
        }
    }

    /// Where to read `given`, once the pipeline has said where Bronze ends; none where nothing is read any more.
    fn placed(&self, consumer: &BaseConsumer<Self>, given: &[(String, i32)]) -> Option<Vec<(String, i32, Partition)>> {
        self.shared.lock().placement = Placement::Wanted;
        // The pipeline comes by between two batches, or closes the source.
        const LONG: Duration = Duration::from_secs(3600);
        let answered =
            |state: &State| state.course != Course::Reading || matches!(state.placement, Placement::Given(_));
        while !self.shared.wait(LONG, answered) {}
        let transactions = match std::mem::take(&mut self.shared.lock().placement) {
            Placement::Given(transactions) => transactions,
            Placement::Settled | Placement::Wanted => BTreeMap::new(),
        };
        let since = Instant::now();
        while self.shared.lock().course == Course::Reading {
            match self.look(consumer, given, &transactions) {
                Ok(placed) => return Some(placed),
                Err(Trouble::Halt(message)) => self.halt(message),
                Err(Trouble::Later(what)) if self.reading == Reading::Once && since.elapsed() > PATIENCE => {
                    self.shared.lock().stop(Course::Leaving, no_answer(&self.source, what));
                }
                Err(Trouble::Later(what)) => {
                    warn!(source = self.source, what, "the brokers do not answer; trying again");
                    self.shared.wait(AGAIN, |state| state.course != Course::Reading);
                }
            }
        }
        None
    }

    /// Where to read each of `given`, of which Bronze says `transactions`.
    fn look(
        &self,
        consumer: &BaseConsumer<Self>,
        given: &[(String, i32)],
        transactions: &BTreeMap<String, i64>,
    ) -> Result<Vec<(String, i32, Partition)>, Trouble> {
        let cluster = consumer.client().fetch_cluster_id(CALL_MAX);
        let cluster = cluster.ok_or_else(|| Trouble::Later("no broker told the cluster's id".to_owned()))?;
        let ids = native::topic_ids(consumer.client(), &self.topics, CALL_MAX)?;
        let mut placed = vec![];
        for (topic, number) in given {
            let mut identity = Identity { cluster: &cluster, topic, topic_id: &ids[topic], era: 0, partition: *number };
            let log = log(consumer, topic, *number)?;
            let verdict = judge(Known::of(&mut identity, transactions), log);
            let next = verdict.position(&identity).map_err(Trouble::Halt)?;
            placed.push((topic.clone(), *number, Partition::new(identity.to_string(), next, log.end)));
        }
        Ok(placed)
    }
}

/// Where the log of a partition stands now.
pub(super) fn log(consumer: &BaseConsumer<Poller>, topic: &str, partition: i32) -> Result<Log, Trouble> {
    let (start, end) = consumer
        .fetch_watermarks(topic, partition, CALL_MAX)
        .map_err(|error| Trouble::Later(format!("partition {partition} of topic `{topic}`: {error}")))?;
    Ok(Log { start, end })
}
