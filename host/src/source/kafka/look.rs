//! Looking at topics from outside the group: where each partition stands, and what an operator may declare.
//!
//! Joins no group and reads no record. It judges by the same rule as the source, so what it says is what a run meets.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};

use super::native::{self, DescribeError};
use super::settings::Settings;
use super::state::{Because, Evidence, Gap};
use super::verdict::{Identity, Known, Log, judge};
use crate::position::Span;
use crate::record::{Batch, BatchBuilder};
use crate::source::SourceError;

/// How long one question to the brokers may take.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Where a partition stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The offset that is read next; none where a run would halt.
    pub next: Option<i64>,
    /// The first offset that the log still has, and the next that it will give.
    pub log: (i64, i64),
    /// Why a run would halt.
    pub halt: Option<String>,
    declared: Option<(Span, Gap)>,
}

/// Where the partitions of `source` stand, of which Bronze says `transactions`. Blocks.
pub fn look(
    source: &str,
    settings: &Settings,
    transactions: &BTreeMap<String, i64>,
) -> Result<Vec<Standing>, SourceError> {
    let halted = |message: String| SourceError::Halted { source_name: source.to_owned(), message };
    let unanswered = |what: String| SourceError::Io {
        source_name: source.to_owned(),
        what: "the brokers".to_owned(),
        source: io::Error::new(io::ErrorKind::TimedOut, what),
    };
    let config = settings.client("look").map_err(halted)?;
    let consumer: BaseConsumer<DefaultConsumerContext> =
        config.create().map_err(|error| halted(format!("the client cannot be made: {error}")))?;
    let cluster = consumer.client().fetch_cluster_id(CALL_MAX);
    let cluster = cluster.ok_or_else(|| unanswered("no broker told the cluster's id".to_owned()))?;
    let ids = native::topic_ids(consumer.client(), &settings.topics, CALL_MAX).map_err(|error| match error {
        DescribeError::NoSuchTopic(topic) => {
            halted(format!("topic `{topic}` is not there, expected a topic of the cluster"))
        }
        DescribeError::Unanswered(what) => unanswered(what),
    })?;
    let mut standings = vec![];
    for topic in &settings.topics {
        let metadata = consumer.fetch_metadata(Some(topic), CALL_MAX).map_err(|error| unanswered(error.to_string()))?;
        let mut partitions: Vec<i32> =
            metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
        partitions.sort_unstable();
        for partition in partitions {
            let log = consumer.fetch_watermarks(topic, partition, CALL_MAX);
            let (start, end) = log.map_err(|error| unanswered(error.to_string()))?;
            let log = Log { start, end };
            let mut identity = Identity { cluster: &cluster, topic, topic_id: &ids[topic], era: 0, partition };
            let verdict = judge(Known::of(&mut identity, transactions), log);
            let declared = verdict.declared(identity, log).map(|(identity, given_up)| {
                let (first, last) = given_up.into_inner();
                let span = Span { app_id: identity.to_string(), first, last };
                (span, Gap { topic: topic.clone(), partition, first, last, because: Because::Acknowledged })
            });
            let (next, halt) = match verdict.position(&identity) {
                Ok(next) => (Some(next), None),
                Err(halt) => (None, Some(halt)),
            };
            standings.push(Standing { topic: topic.clone(), partition, next, log: (start, end), halt, declared });
        }
    }
    Ok(standings)
}

impl Standing {
    /// The batch without records by which Bronze goes on in spite of what halts `standings`; none if nothing does.
    pub fn acknowledge(source: &str, standings: &[Self]) -> Option<Batch> {
        let declared = standings.iter().filter_map(|standing| standing.declared.clone());
        let (spans, gaps): (Vec<Span>, Vec<Gap>) = declared.unzip();
        let evidence = Evidence { gaps };
        let evidence = serde_json::to_value(evidence).expect("plain data with text keys");
        (!spans.is_empty()).then(|| BatchBuilder::new(source).finish(spans, evidence))
    }
}
