//! Who holds what in a consumer group, and how far each partition is in the tables.
//!
//! The brokers are asked, by Kafka's own tool or by the client of the tests: a host says nothing of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use silversmith::lake::Lake;

use super::{Acme, cluster, piped};
use crate::support::until;
use crate::tables::wait;

const CALL_MAX: Duration = Duration::from_secs(10);

/// A topic and the number of a partition.
pub(super) type Place = (String, i32);

/// Looks at brokers from outside any group.
pub(super) struct Watch(BaseConsumer);

impl Watch {
    pub(super) fn new(brokers: &str) -> Self {
        let client = ClientConfig::new().set("bootstrap.servers", brokers).create();
        Self(client.expect("the settings are right"))
    }

    /// The host that holds each partition, as the members of `group` were told; nothing while they are being told.
    pub(super) fn holders(&self, group: &str) -> BTreeMap<Place, String> {
        let mut holders = BTreeMap::new();
        let Ok(groups) = self.0.client().fetch_group_list(Some(group), CALL_MAX) else { return holders };
        for group in groups.groups().iter().filter(|group| group.state() == "Stable") {
            for member in group.members() {
                let host = member.client_id().trim_start_matches("silversmith-");
                let held = member.assignment().and_then(assigned).unwrap_or_default();
                holders.extend(held.into_iter().map(|place| (place, host.to_owned())));
            }
        }
        holders
    }

    /// Waits until each of `hosts`, and nobody else, holds partitions of `topic`, all of them together; who holds which.
    pub(super) fn settled<'h>(
        &self,
        group: &str,
        topic: &str,
        hosts: impl IntoIterator<Item = &'h str>,
    ) -> BTreeMap<Place, String> {
        let hosts: BTreeSet<&str> = hosts.into_iter().collect();
        let partitions = self.ends(topic).len();
        let mut holders = BTreeMap::new();
        until(&format!("{hosts:?} share {topic}"), || {
            holders = self.holders(group);
            let found: BTreeSet<&str> = holders.values().map(String::as_str).collect();
            found == hosts && holders.len() == partitions
        });
        holders
    }

    /// Where the log of each partition of `topic` ends.
    pub(super) fn ends(&self, topic: &str) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        until("the brokers say where logs end", || {
            let Ok(metadata) = self.0.fetch_metadata(Some(topic), CALL_MAX) else { return false };
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let end = |number| self.0.fetch_watermarks(topic, number, CALL_MAX).ok().map(|(_, end)| (number, end));
            let found: Option<BTreeMap<i32, i64>> = partitions.map(|partition| end(partition.id())).collect();
            ends = found.unwrap_or_default();
            !ends.is_empty()
        });
        ends
    }

    /// Whether every partition of every topic is led, and on so many brokers in full.
    pub(super) fn is_replicated(&self, brokers: usize) -> bool {
        let Ok(metadata) = self.0.fetch_metadata(None, CALL_MAX) else { return false };
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        metadata.brokers().len() == brokers
            && partitions.all(|partition| partition.leader() >= 0 && partition.isr().len() == brokers)
    }
}

/// What a member was assigned, by the protocol of consumers: a version, then each topic with its partitions.
fn assigned(mut bytes: &[u8]) -> Option<Vec<Place>> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*taken)
    }
    let number = |bytes: &mut &[u8]| take(bytes).map(i32::from_be_bytes);
    let mut places = vec![];
    take::<2>(&mut bytes)?;
    for _ in 0..number(&mut bytes)? {
        let length = usize::from(take(&mut bytes).map(u16::from_be_bytes)?);
        let (topic, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        for _ in 0..number(&mut bytes)? {
            places.push((String::from_utf8_lossy(topic).into_owned(), number(&mut bytes)?));
        }
    }
    Some(places)
}

impl Acme {
    pub(super) fn watch(&self) -> Watch {
        Watch::new(&self.brokers)
    }

    /// The next offset by partition, as Kafka's own tool says of the group.
    pub(super) fn told(&self) -> BTreeMap<i32, i64> {
        let mut tool = cluster().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
        let said = piped(tool.args(["--describe", "--offsets", "--group", &self.group]), b"");
        let said = String::from_utf8_lossy(&said).into_owned();
        let of_topic = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_topic = of_topic.filter(|cells| cells.get(1) == Some(&self.topic.as_str()));
        of_topic.filter_map(|cells| Some((cells.get(2)?.parse().ok()?, cells.get(3)?.parse().ok()?))).collect()
    }

    /// The same, as the Bronze of a source says; nothing where there is none yet.
    pub(super) fn progress(&self, source: &str) -> BTreeMap<i32, i64> {
        let bronze = wait(async {
            let lake = Lake::open(&self.workshop.lake()).ok()?;
            lake.find(&format!("acme/bronze/{source}")).await.expect("Bronze can be opened")
        });
        let partition = |app_id: &str| app_id.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
        let transactions = bronze.iter().flat_map(|table| table.transactions());
        transactions.filter_map(|(app_id, last)| Some((partition(app_id)?, last + 1))).collect()
    }

    /// Whether the Bronze of a source reaches `ends`.
    pub(super) fn reaches(&self, source: &str, ends: &BTreeMap<i32, i64>) -> bool {
        let progress = self.progress(source);
        ends.iter().all(|(partition, end)| progress.get(partition).copied().unwrap_or(0) >= *end)
    }
}
