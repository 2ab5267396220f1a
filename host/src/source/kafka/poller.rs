//! The thread that talks to the brokers: it polls, places partitions, proves what it received, and keeps the group told.
//!
//! It goes on while batches are landed and settled, so that the group hears of this host whatever a commit takes. It
//! holds the state's lock only between calls to the client, never during one: callbacks come within them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, Statistics, TopicPartitionList};
use tracing::{debug, info, warn};

use super::buffer::{Flow, Incoming};
use super::native::{self, DescribeError};
use super::state::{Course, Lead, Shared};
use super::verdict::Identity;
use crate::source::SourceError;
use crate::source::files::Reading;

/// How long a call to the brokers may take before it is tried again.
pub(super) const CALL_MAX: Duration = Duration::from_secs(5);
/// The pause before a call is tried again.
pub(super) const AGAIN: Duration = Duration::from_millis(500);
/// How long a run that ends with its input waits for brokers that do not answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often what was received is proven: what a record waits, at most, and what a busy partition costs the brokers.
const PROVE_EVERY: Duration = Duration::from_millis(100);
/// How often in a row a host joins again that was fenced: a member that hears no answer to its joining, and joins once
/// more, fences itself; two hosts of one name fence each other for ever.
const FENCED_MAX: u32 = 3;
/// How many messages are taken in before the thread looks at anything else.
const ROUND: usize = 1000;

/// What the thread works with.
#[derive(Clone)]
pub(super) struct Poller {
    pub(super) source: String,
    pub(super) topics: Vec<String>,
    /// This host's name in its group.
    pub(super) host: String,
    pub(super) reading: Reading,
    /// Bytes that may be held.
    pub(super) budget: usize,
    pub(super) shared: Arc<Shared>,
}

/// Why brokers could not be asked, or answered what cannot be gone on with.
pub(super) enum Trouble {
    Later(String),
    Halt(String),
}

impl From<DescribeError> for Trouble {
    fn from(error: DescribeError) -> Self {
        match error {
            DescribeError::Unanswered(what) => Self::Later(what),
            DescribeError::NoSuchTopic(topic) => Self::Halt(format!(
                "topic `{topic}` is not there, expected a topic of the cluster: make it, or correct `topics`"
            )),
        }
    }
}

impl Poller {
    /// Polls until the source is closed or cannot stay in its group.
    pub(super) fn run(self, config: &ClientConfig) {
        let session = config.get("session.timeout.ms").and_then(|session| session.parse().ok());
        let in_a_row = 2 * Duration::from_millis(session.unwrap_or_default());
        let (mut fenced, mut last) = (0, Instant::now());
        loop {
            let ended = self.clone().serve(config);
            let mut state = self.shared.lock();
            if let Err(error) = ended {
                state.stop(Course::Leaving, error);
                state.lead = Lead::Unknown;
            }
            let was = state.course;
            if !matches!(was, Course::Fenced | Course::Renewing) {
                state.course = Course::Leaving;
                return;
            }
            // Nothing is held until the next client is given partitions.
            state.partitions.clear();
            (state.course, state.lead, state.placed) = (Course::Reading, Lead::Another, false);
            (state.given_up, state.epoch) = (false, state.epoch + 1);
            if was == Course::Renewing {
                continue;
            }
            fenced = if last.elapsed() > in_a_row { 1 } else { fenced + 1 };
            last = Instant::now();
            if fenced > FENCED_MAX {
                let error = self.halted(format!(
                    "another process joined the group as host `{}`, expected one of that name: \
                     give each host a name of its own in SILVERSMITH_HOST",
                    self.host
                ));
                return state.stop(Course::Leaving, error);
            }
            warn!(source = self.source, host = self.host, "the group has another member of this name; joining again");
        }
    }

    /// The same with one client, until that is fenced.
    fn serve(self, config: &ClientConfig) -> Result<(), SourceError> {
        let (shared, budget, reading) = (Arc::clone(&self.shared), self.budget, self.reading);
        let (source, topics) = (self.source.clone(), self.topics.clone());
        let halted = |message: String| SourceError::Halted { source_name: source.clone(), message };
        let consumer: BaseConsumer<Self> =
            config.create_with_context(self).map_err(|error| halted(format!("the client cannot be made: {error}")))?;
        // The group would wait for a topic that is not there.
        if let Err(Trouble::Halt(message)) =
            native::topic_ids(consumer.client(), &topics, CALL_MAX).map_err(Trouble::from)
        {
            return Err(halted(message));
        }
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let subscribed = consumer.subscribe(&topics);
        subscribed.map_err(|error| halted(format!("the topics cannot be subscribed to: {error}")))?;
        let (begun, mut proven, mut paused) = (Instant::now(), Instant::now(), false);
        loop {
            let (course, placed) = {
                let state = shared.lock();
                (state.course, state.placed)
            };
            let poller = consumer.context();
            match course {
                Course::Reading if reading == Reading::Once && !placed && begun.elapsed() > PATIENCE => {
                    return Err(no_answer(&source, "no partition was given to this host".to_owned()));
                }
                Course::Reading => {
                    poller.poll(&consumer);
                    poller.seek(&consumer);
                    if proven.elapsed() >= PROVE_EVERY {
                        poller.prove(&consumer);
                        proven = Instant::now();
                    }
                    steer(&consumer, &shared, budget);
                    acknowledge(&consumer, &shared);
                }
                Course::Halted => {
                    if !paused && let Err(error) = consumer.assignment().and_then(|held| consumer.pause(&held)) {
                        debug!(source, %error, "a halted source fetches on");
                    }
                    paused = true;
                    poller.poll(&consumer);
                }
                Course::Fenced | Course::Renewing | Course::Leaving => break,
            }
        }
        acknowledge(&consumer, &shared);
        Ok(())
    }

    fn halted(&self, message: String) -> SourceError {
        SourceError::Halted { source_name: self.source.clone(), message }
    }

    /// Reads no more until an operator has acted.
    pub(super) fn halt(&self, message: String) {
        self.shared.lock().stop(Course::Halted, self.halted(message));
    }

    /// Leaves the group, which this host can be of no use to. Who settles is for the tenant's other sources to say.
    pub(super) fn leave(&self, message: String) {
        let mut state = self.shared.lock();
        state.stop(Course::Leaving, self.halted(message));
        state.lead = Lead::Unknown;
    }

    /// Takes in what has come.
    fn poll(&self, consumer: &BaseConsumer<Self>) {
        let mut wait = PROVE_EVERY;
        for _ in 0..ROUND {
            match consumer.poll(wait) {
                Some(Ok(message)) => self.receive(&message),
                Some(Err(error)) => self.judge(consumer, &error),
                None => {
                    self.shared.lock().round += 1;
                    return;
                }
            }
            wait = Duration::ZERO;
        }
    }

    fn receive(&self, message: &BorrowedMessage<'_>) {
        let mut headers = vec![];
        native::headers(message, |name, value| headers.push((name, value)));
        let record = Incoming {
            offset: message.offset(),
            time: message.timestamp().to_millis().map(|time| time.saturating_mul(1000)),
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
        };
        // Not held any more: whoever holds it now reads it.
        if let Some(partition) = self.shared.lock().partition(message.topic(), message.partition()) {
            partition.receive(&record);
        }
    }

    /// What an error of the client means.
    fn judge(&self, consumer: &BaseConsumer<Self>, error: &KafkaError) {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        match code {
            Some(
                Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::UnknownTopicOrPartition | Code::UnknownTopic,
            ) => {
                // Which partition it is, and what became of it, is asked anew for each: see `prove`.
                warn!(source = self.source, %error, "the brokers lack what was asked for");
                {
                    let mut state = self.shared.lock();
                    state.all().for_each(|(.., partition)| partition.doubt());
                    state.given_up |= code == Some(Code::AutoOffsetReset);
                }
                let ids = native::topic_ids(consumer.client(), &self.topics, CALL_MAX);
                if let Err(Trouble::Halt(message)) = ids.map_err(Trouble::from) {
                    self.leave(message);
                }
            }
            Some(Code::LogTruncation) => self.halt(
                "the log of a partition was cut off below what was read, expected it to keep what it gave; \
                 compare the topic with Bronze, then run `silversmith source acknowledge-gap`"
                    .to_owned(),
            ),
            Some(Code::FencedInstanceId | Code::Fenced) => {
                let mut state = self.shared.lock();
                if state.course == Course::Reading {
                    state.course = Course::Fenced;
                }
                state.lead = Lead::Another;
            }
            Some(
                Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::InvalidSessionTimeout,
            ) => self.leave(format!(
                "the brokers refuse this host: {error}; correct the source's settings, or the rights of its user"
            )),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                self.leave(format!("the client cannot go on: {error}"));
            }
            _ => warn!(source = self.source, %error, "the brokers cannot be read now; trying again"),
        }
    }

    /// Has the client fetch from where the guards stand, where that is not where it fetches.
    fn seek(&self, consumer: &BaseConsumer<Self>) {
        let wanted: Vec<(String, i32, i64)> = {
            let mut state = self.shared.lock();
            let wanted = state.all().filter(|(.., held)| held.seek);
            wanted.map(|(topic, number, held)| (topic.to_owned(), number, held.guard.next())).collect()
        };
        for (topic, number, next) in wanted {
            let sought = consumer.seek(&topic, number, Offset::Offset(next), CALL_MAX);
            let mut state = self.shared.lock();
            // What was asked for meanwhile is done in the next round.
            match (sought, state.partition(&topic, number).filter(|held| held.guard.next() == next)) {
                (Ok(()), Some(held)) => held.sought(),
                (Err(error), _) => warn!(source = self.source, topic, number, %error, "seek failed; trying again"),
                (Ok(()), None) => {}
            }
        }
    }
}

/// The brokers did not answer in time.
pub(super) fn no_answer(source: &str, what: String) -> SourceError {
    let (source_name, source) = (source.to_owned(), io::Error::new(io::ErrorKind::TimedOut, what));
    SourceError::Io { source_name, what: "the brokers".to_owned(), source }
}

/// Stops fetching where a partition holds its share of the budget, and goes on where it has room.
fn steer(consumer: &BaseConsumer<Poller>, shared: &Shared, budget: usize) {
    let (mut stop, mut open) = (TopicPartitionList::new(), TopicPartitionList::new());
    {
        let mut state = shared.lock();
        let share = budget / state.all().count().max(1);
        for (topic, number, held) in state.all() {
            let flow = held.flow.steer(held.buffer.size(), share);
            if flow != held.flow {
                let list = if flow == Flow::Stopped { &mut stop } else { &mut open };
                list.add_partition(topic, number);
                held.set_flow(flow);
            }
        }
    }
    let stopped = if stop.count() > 0 { consumer.pause(&stop) } else { Ok(()) };
    let opened = if open.count() > 0 { consumer.resume(&open) } else { Ok(()) };
    if let Err(error) = stopped.and(opened) {
        warn!(%error, "partitions cannot be stopped or opened");
    }
}

/// Tells the group what is in the tables, for those who watch its lag.
fn acknowledge(consumer: &BaseConsumer<Poller>, shared: &Shared) {
    let mut list = TopicPartitionList::new();
    {
        let mut state = shared.lock();
        for (app_id, last) in std::mem::take(&mut state.acknowledged) {
            let Some(Identity { topic, partition, .. }) = Identity::parse(&app_id) else { continue };
            if state.partition(topic, partition).is_some_and(|held| held.app_id == app_id)
                && let Err(error) = list.add_partition_offset(topic, partition, Offset::Offset(last + 1))
            {
                debug!(%error, app_id, "no offset to tell the group");
            }
        }
    }
    if list.count() > 0
        && let Err(error) = consumer.commit(&list, CommitMode::Async)
    {
        debug!(%error, "the group was not told what is in the tables");
    }
}

impl ClientContext for Poller {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                debug!(source = self.source, facility, "{message}");
            }
            _ => info!(source = self.source, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // What matters of it is polled as well.
        debug!(source = self.source, %error, reason, "the client has trouble");
    }

    fn stats(&self, statistics: Statistics) {
        let mut state = self.shared.lock();
        let round = state.round;
        for (topic, topic_counts) in &statistics.topics {
            for (number, counts) in &topic_counts.partitions {
                if let Some(held) = state.partition(topic, *number) {
                    held.count(counts.rxmsgs, counts.eof_offset, round);
                }
            }
        }
    }
}

impl ConsumerContext for Poller {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            return self.place(consumer, partitions);
        }
        info!(source = self.source, partitions = partitions.count(), "gave partitions back");
        {
            let mut state = self.shared.lock();
            for gone in partitions.elements() {
                if gone.partition() == 0 && self.topics.first().is_some_and(|first| first == gone.topic()) {
                    state.lead = Lead::Another;
                }
                if let Some(of_topic) = state.partitions.get_mut(gone.topic()) {
                    of_topic.remove(&gone.partition());
                }
            }
            state.epoch += 1;
        }
        if let Err(error) = consumer.incremental_unassign(partitions) {
            debug!(source = self.source, %error, "partitions were gone already");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            debug!(source = self.source, %error, "the group was not told what is in the tables");
        }
    }
}
