//! Kafka topics as a source: the partitions that this host holds in its consumer group.
//!
//! Owns what a batch of them is and where they are taken up. Where a partition goes on is what Bronze's transactions
//! say, never the group's offset, which is told afterwards for those who watch lag. A thread of its own polls
//! ([`poller`]), so that the group hears of this host while batches are landed; the two share the partitions
//! ([`state`]).
//!
//! | found | outcome |
//! |---|---|
//! | a partition that Bronze does not know | read from the start of its log |
//! | a record delivered again, or of a partition that is not held | left out |
//! | offsets without records inside the log | a gap `compacted-or-control`, in the evidence of the batch |
//! | a log that begins behind the next offset, or ends before it | halts |
//! | another topic under the same name, or another cluster | halts |
//! | a tombstone | a record without payload |
//! | more than the budget | the partition waits until half of its share is free |
//! | a group that knows another member of this host's name | joins again; halts if that goes on |
//! | brokers that do not answer | tries again; a run that ends with its input gives up after a minute |
//!
//! A source that halts stays in its group and reads nothing: what it holds is not given to a host that would halt as well,
//! and the tenant's other sources go on being settled by whoever holds partition 0 of the first topic.

mod buffer;
mod look;
mod native;
mod partition;
mod placing;
mod poller;
mod proving;
mod settings;
mod state;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use self::look::{Standing, look};
use self::poller::Poller;
pub use self::settings::{Mechanism, Sasl, Secret, Settings, Tls, TlsIdentity, adjustable, check};
use self::state::{Course, Evidence, Lead, Placement, Shared};
use super::files::Reading;
use super::{BatchBounds, Next, Progress, Source, SourceError, Stake};
use crate::position::Span;

/// How often the client says what it received, where a run ends with its input.
const STATISTICS_MS: &str = "200";
/// How long the end of a source waits for the client to tell its group what is in the tables.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// A Kafka source.
#[derive(Debug)]
pub struct Kafka {
    name: String,
    settings: Settings,
    reading: Reading,
    schema_version: Option<String>,
    /// Bytes of records held in memory.
    budget: usize,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// What is in every table since before this run; told the group once it is joined.
    settled: Vec<(String, i64)>,
}

impl Kafka {
    /// The source `name`, of which no more than `budget` bytes of records and one record a partition are held.
    ///
    /// [`Reading::Once`] ends where the partitions ended when this host was given them. `schema_version` is what the
    /// source declares for all its records.
    pub fn new(
        name: &str,
        settings: Settings,
        reading: Reading,
        schema_version: Option<String>,
        budget: usize,
    ) -> Self {
        Self {
            name: name.to_owned(),
            settings,
            reading,
            schema_version,
            budget,
            shared: Arc::default(),
            thread: None,
            settled: vec![],
        }
    }

    fn halted(&self, message: String) -> SourceError {
        SourceError::Halted { source_name: self.name.clone(), message }
    }
}

/// The name of this host in consumer groups: `SILVERSMITH_HOST`, or the machine's.
pub fn host_name() -> String {
    let machine = || fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    std::env::var("SILVERSMITH_HOST").ok().or_else(|| machine().ok()).unwrap_or_else(|| "silversmith".to_owned())
}

impl Source for Kafka {
    fn resume(&mut self, progress: &Progress) -> Result<(), SourceError> {
        for evidence in &progress.evidence {
            serde_json::from_value::<Evidence>(evidence.clone()).map_err(|error| {
                self.halted(format!("an account in Bronze cannot be read ({error}), expected one of a Kafka source; give this source another name, or use the version that wrote it"))
            })?;
        }
        self.settled = progress.transactions.iter().map(|(app_id, last)| (app_id.clone(), *last)).collect();
        let host = host_name();
        let mut config = self.settings.client(&host).map_err(|message| self.halted(message))?;
        if self.reading == Reading::Once {
            config.set("statistics.interval.ms", STATISTICS_MS);
        }
        let poller = Poller {
            source: self.name.clone(),
            topics: self.settings.topics.clone(),
            host,
            reading: self.reading,
            budget: self.budget,
            shared: Arc::clone(&self.shared),
        };
        let thread = thread::Builder::new().name(format!("kafka {}", self.name));
        let started = thread.spawn(move || poller.run(&config)).map_err(|source| SourceError::Io {
            source_name: self.name.clone(),
            what: "a thread".to_owned(),
            source,
        })?;
        self.thread = Some(started);
        Ok(())
    }

    fn next(&mut self, bounds: BatchBounds) -> Result<Next, SourceError> {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        let mut state = self.shared.lock();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if ended {
            drop(state);
            return Err(self.halted("its polling thread has ended, expected it to run; please report it".to_owned()));
        }
        if state.placement == Placement::Wanted {
            return Ok(Next::Nothing);
        }
        if let Some(batch) = state.take(&self.name, self.schema_version.as_deref(), bounds) {
            return Ok(Next::Batch(batch));
        }
        let done = self.reading == Reading::Once && state.is_done();
        Ok(if done { Next::Ended } else { Next::Nothing })
    }

    fn place(&mut self, transactions: &BTreeMap<String, i64>) -> Result<(), SourceError> {
        let mut state = self.shared.lock();
        for (.., held) in state.all() {
            held.go_on_behind(transactions.get(&held.app_id).copied());
        }
        state.epoch += 1;
        if state.placement == Placement::Wanted {
            state.placement = Placement::Given(transactions.clone());
        }
        state.acknowledged.append(&mut self.settled);
        drop(state);
        self.shared.notify();
        Ok(())
    }

    fn is_unplaced(&self) -> bool {
        self.shared.lock().placement == Placement::Wanted
    }

    fn stake(&self) -> Option<Stake> {
        let of = self.settings.topics.first()?.clone();
        match self.shared.lock().lead {
            Lead::Unknown => None,
            lead => Some(Stake { of, held: lead == Lead::Ours }),
        }
    }

    fn acknowledge(&mut self, spans: &[Span]) {
        self.shared.lock().acknowledged.extend(spans.iter().map(|span| (span.app_id.clone(), span.last)));
    }

    fn summary(&self) -> serde_json::Value {
        serde_json::to_value(Evidence::default()).expect("plain data with text keys")
    }

    fn measure(&self) -> Option<(u64, u64)> {
        None
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.lock().course = Course::Leaving;
        self.shared.notify();
        let Some(thread) = self.thread.take() else { return };
        let since = Instant::now();
        while !thread.is_finished() {
            if since.elapsed() > CLOSE_MAX {
                // The tables are whole: what the client waits for is of use to nobody.
                tracing::warn!(source = self.name, "the brokers do not answer; the group was left without a word");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if thread.join().is_err() {
            tracing::error!(source = self.name, "the polling thread panicked");
        }
    }
}
