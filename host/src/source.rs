//! Where records come from.
//!
//! A [`Source`] cuts batches and keeps no memory of its own: what it needs to go on lies in the transactions and the
//! evidence of its Bronze commits, which the pipeline hands back. It never decides what is new by a clock, a group
//! offset or a file name, and it refuses to go on where going on would skip records.

pub mod files;
pub mod kafka;

use std::collections::BTreeMap;

use crate::position::Span;
use crate::record::Batch;

/// The bounds at which a source cuts a batch; whichever comes first. One record always fits.
#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    /// Records in a batch, at most.
    pub records_max: usize,
    /// Payload bytes in a batch, at most, unless one record alone has more.
    pub bytes_max: usize,
}

/// What Bronze says of a source: where it stands and what proves it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The last offset committed under each transaction identifier.
    pub transactions: BTreeMap<String, i64>,
    /// The evidence of every commit so far, oldest first, or a summary that [`Source::summary`] made of a prefix
    /// of them followed by the rest.
    pub evidence: Vec<serde_json::Value>,
}

/// Reading from a source failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Going on would lose, repeat or invent records: the source halts until an operator acts.
    #[error("source `{source_name}` is halted: {message}")]
    Halted {
        /// The source.
        source_name: String,
        /// What was found, what was expected, and the next step.
        message: String,
    },
    /// The input could not be read now; nothing is lost, and trying again is safe.
    #[error("failed to read {what} of source `{source_name}`")]
    Io {
        /// The source.
        source_name: String,
        /// The file or partition.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SourceError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Halted { .. } => false,
            Self::Io { .. } => true,
        }
    }
}

/// What a source has when it is asked.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one is made for each batch, and moved once")]
pub enum Next {
    /// Records.
    Batch(Batch),
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    Ended,
}

/// What a source says of which host runs the Silver of its tenant. Of all sources of a tenant the stake with the least `of`
/// decides; who holds it runs Silver, and the others land in Bronze.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stake {
    /// What is held by one host at a time: the first topic's name.
    pub of: String,
    /// Whether this host holds it, as far as it knows.
    pub held: bool,
}

/// An ordered, replayable supply of records.
///
/// Calls block and run on a worker thread, one at a time. A batch that was handed out is landed, or found to be
/// landed by others, before the next call of [`Source::next`]. Records of one partition come with strictly increasing
/// offsets, each exactly once after the progress handed to [`Source::resume`] and [`Source::place`].
pub trait Source: Send {
    /// Takes up where Bronze ends. Called once, before all else.
    fn resume(&mut self, progress: &Progress) -> Result<(), SourceError>;

    /// The next batch, or why there is none.
    fn next(&mut self, bounds: BatchBounds) -> Result<Next, SourceError>;

    /// Takes up where Bronze ends now, by transaction identifier: where it waits to be placed, and after a batch that
    /// others had landed, in whole or in part. What was read ahead from elsewhere is dropped.
    fn place(&mut self, transactions: &BTreeMap<String, i64>) -> Result<(), SourceError>;

    /// Whether partitions were given to this host, so that it waits to be placed and has nothing before; the rest of its
    /// group waits with it.
    fn is_unplaced(&self) -> bool;

    /// What it says of which host runs Silver; none where all that it reads is this host's.
    fn stake(&self) -> Option<Stake>;

    /// Hears that the records of `spans` are in every table.
    fn acknowledge(&mut self, spans: &[Span]);

    /// Evidence that stands for all evidence so far, to be kept when the log that holds it is cleaned up.
    fn summary(&self) -> serde_json::Value;

    /// What is known of the input's size in bytes and how much of it was read, for progress bars.
    fn measure(&self) -> Option<(u64, u64)>;
}
