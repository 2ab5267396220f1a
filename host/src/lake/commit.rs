//! One commit: its bytes, and whether it happened.
//!
//! Owns the compare-and-swap on the next version and finding out what became of it. One object is put, whatever
//! the number of files in the table. A put that failed may have happened, or may still happen; only the entry at
//! that version tells, and it names the commit that made it. Trying again puts the same bytes at the same version,
//! so at most one of all tries counts.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::log::{DataFile, Entry, Line, Metadata, Protocol, Remove, Transaction};
use super::table::Table;
use super::{LakeError, Place};
use crate::mutant::{Safeguard, without};

/// How often a put is tried before its outcome is given up as unknown.
const TRIES: u32 = 4;
/// The wait before the second try; it doubles with each.
const WAIT: Duration = Duration::from_millis(20);

/// What one version is to change. Made by [`Table::begin`]; the same value may be committed again after an error.
#[derive(Clone, Debug)]
pub struct Commit {
    id: String,
    operation: &'static str,
    /// Files to add, written before.
    pub adds: Vec<DataFile>,
    /// Active files to remove.
    pub removes: Vec<DataFile>,
    /// Application transactions to set.
    pub transactions: Vec<(String, i64)>,
    /// Own keys for the commit's information, beside Delta's.
    pub info: Map<String, Value>,
    pub(super) metadata: Option<Metadata>,
    pub(super) protocol: Option<Protocol>,
}

impl Commit {
    /// An empty commit. `operation` is what other engines show in the table's history.
    pub(super) fn new(id: String, operation: &'static str) -> Self {
        Self {
            id,
            operation,
            adds: vec![],
            removes: vec![],
            transactions: vec![],
            info: Map::new(),
            metadata: None,
            protocol: None,
        }
    }

    /// The identifier that [`Entry::commit_id`] repeats.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The bytes of the entry, written at `now` (milliseconds since the epoch).
    fn bytes(&self, now: i64) -> Bytes {
        let line = Line::default;
        let mut lines = vec![];
        lines.extend(self.protocol.clone().map(|protocol| Line { protocol: Some(protocol), ..line() }));
        lines.extend(self.metadata.clone().map(|metadata| Line { meta_data: Some(metadata), ..line() }));
        lines.extend(self.transactions.iter().map(|(app_id, version)| Line {
            txn: Some(Transaction { app_id: app_id.clone(), version: *version }),
            ..line()
        }));
        lines.extend(self.removes.iter().map(|file| Line {
            remove: Some(Remove {
                path: file.path.clone(),
                deletion_timestamp: Some(now),
                data_change: true,
                extended_file_metadata: Some(true),
                partition_values: Some(file.partition_values.clone()),
                size: Some(file.size),
            }),
            ..line()
        }));
        lines.extend(self.adds.iter().map(|file| Line { add: Some(file.clone()), ..line() }));

        let mut info = self.info.clone();
        let own = [
            ("timestamp", json!(now)),
            ("operation", json!(self.operation)),
            ("operationParameters", json!({})),
            ("engineInfo", json!(concat!("silversmith/", env!("CARGO_PKG_VERSION")))),
            ("isBlindAppend", json!(self.removes.is_empty())),
            ("commitId", json!(self.id)),
            ("actions", json!(lines.len() + 1)),
        ];
        info.extend(own.map(|(key, value)| (key.to_owned(), value)));
        lines.insert(0, Line { commit_info: Some(info), ..line() });

        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line).expect("lines are plain data with text keys");
            bytes.push(b'\n');
        }
        bytes.into()
    }
}

/// A commit did not go through, or not known to have.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else made this version; [`Table::refresh`] brings the table up to it.
    #[error("table `{table}` moved to version {version} before this commit")]
    Conflict {
        /// The table.
        table: String,
        /// The version.
        version: i64,
        /// What was committed instead.
        theirs: Box<Entry>,
    },
    /// The put failed and the version is not there: it may still come. Committing the same value again is safe.
    #[error("the outcome of committing version {version} of table `{table}` is unknown")]
    Unknown {
        /// The table.
        table: String,
        /// The version.
        version: i64,
        /// The last failure.
        #[source]
        source: LakeError,
    },
    /// A transaction has passed the commit: its records are in the table already, by somebody else or by an earlier try.
    #[error("transaction `{app_id}` of table `{table}` stands at {committed}, expected one before {first}")]
    Overtaken {
        /// The table.
        table: String,
        /// The transaction.
        app_id: String,
        /// Where it stands.
        committed: i64,
        /// The first that the commit would add.
        first: i64,
    },
    /// The commit may not be made on this table at all.
    #[error("table `{table}` takes no such commit: found {found}, expected {expected}")]
    Refused {
        /// The table.
        table: String,
        /// What the commit holds.
        found: String,
        /// What the table takes.
        expected: &'static str,
    },
}

impl CommitError {
    /// Whether nothing of the commit is in the table, or ever will be at that version.
    pub fn is_certainly_uncommitted(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Overtaken { .. } | Self::Refused { .. } => true,
            Self::Unknown { .. } => false,
        }
    }

    /// Whether committing the same value again may succeed: at once, or after a look at what came between.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Unknown { source, .. } => source.is_retryable(),
            Self::Overtaken { .. } | Self::Refused { .. } => false,
        }
    }
}

/// What is known of a version after a try to make it.
enum Outcome {
    Ours,
    Theirs(Box<Entry>),
    Unknown(LakeError),
}

impl Table {
    /// Makes version [`Self::version`]` + 1` of `commit`, or says who did.
    ///
    /// Errors leave the table as it was. Only on [`CommitError::Unknown`] is it open whether the commit counts: the
    /// same value must then be committed again, or the table opened again and its transactions read.
    pub async fn commit(&mut self, commit: &Commit) -> Result<i64, CommitError> {
        self.admits(commit)?;
        let version = self.version() + 1;
        match attempt(self.place(), version, commit).await {
            Outcome::Ours => {
                self.adopt_own(version, commit);
                Ok(version)
            }
            Outcome::Theirs(theirs) => Err(CommitError::Conflict { table: self.name().to_owned(), version, theirs }),
            Outcome::Unknown(source) => Err(CommitError::Unknown { table: self.name().to_owned(), version, source }),
        }
    }
}

/// Puts `commit` as `version` of the table at `place` until its outcome is known or the tries are used up.
async fn attempt(place: &Place, version: i64, commit: &Commit) -> Outcome {
    let bytes = commit.bytes(place.lake.world.now() / 1000);
    let mut wait = WAIT;
    let mut tried = 0;
    loop {
        let Err(failure) = place.put_entry(version, bytes.clone()).await else { return Outcome::Ours };
        tried += 1;
        let failure = place.io(&super::log::entry_name(version), failure);
        match place.entry(version).await {
            Ok(Some(entry))
                if entry.commit_id.as_deref() == Some(commit.id()) && !without(Safeguard::CommitIdentity) =>
            {
                // It is there, but the failure may have been that of making it durable.
                return match place.settle().await {
                    Ok(()) => Outcome::Ours,
                    Err(error) => Outcome::Unknown(error),
                };
            }
            Ok(Some(entry)) => return Outcome::Theirs(Box::new(entry)),
            Ok(None) if tried < TRIES => {
                tracing::warn!(table = place.name, version, tried, error = %failure, "commit failed; trying again");
                place.lake.world.sleep(wait).await;
                wait *= 2;
            }
            Ok(None) => return Outcome::Unknown(failure),
            Err(error) => return Outcome::Unknown(error),
        }
    }
}

/// Makes version 0; whoever is first wins, and the others open what is there.
pub(super) async fn create(place: &Place, commit: &Commit) -> Result<(), CommitError> {
    match attempt(place, 0, commit).await {
        Outcome::Ours | Outcome::Theirs(_) => Ok(()),
        Outcome::Unknown(source) => Err(CommitError::Unknown { table: place.name.clone(), version: 0, source }),
    }
}
