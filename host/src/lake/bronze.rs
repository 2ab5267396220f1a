//! Bronze of one source: every record received, byte for byte, and the activations among them.
//!
//! Owns Bronze's schema, its commits and reading batches back. A batch is one commit with one file and one
//! transaction a span; an activation is a commit without files, and so is a summary, which says all that is needed of
//! the versions before it, so that their entries may be removed. The log tells what each version is, so it is the
//! order of everything that follows. Several hosts append to one Bronze table: a lost version is tried again at the
//! next, unless one of the commit's own spans was moved in between.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::log::{DataFile, Entry};
use super::parquet::{Encoded, Packing, Writer};
use super::{Commit, CommitError, Lake, LakeError, Policy, Table, TableSpec};
use crate::entity::utc_microseconds;
use crate::mutant::{Safeguard, without};
use crate::position::Span;
use crate::record::{self, Batch};

const PARTITION: &str = "ingestion_date";
/// The key of a commit's information that says what a Bronze version is.
const KEY: &str = "bronze";
/// The tag of a file that says which version added it, for when that entry is gone.
const TAG: &str = "bronze_version";

/// The transaction whose version is that of the newest summary. No source can have the name: it has a capital letter.
const SUMMARY: &str = "SUMMARY";
/// Versions from one summary to the next: what a host reads when it starts, at most, and most of a day at one batch a minute.
const SUMMARY_EVERY: i64 = 1000;

/// The columns of a Bronze table: a batch's, then what is known at the commit only.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = record::SCHEMA.fields().to_vec();
    fields.extend([
        Arc::new(Field::new("ingestion_timestamp", utc_microseconds(), true)),
        Arc::new(Field::new(PARTITION, DataType::Date32, true)),
        Arc::new(Field::new("pipeline_version", DataType::Utf8, true)),
    ]);
    Arc::new(Schema::new(fields))
});

/// What a Bronze version is, as its commit's information says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Said {
    Batch { spans: Vec<(String, i64, i64)>, records: u64, evidence: Value },
    Activation,
    Summary { evidence: Value },
}

/// The Bronze table of one source.
#[derive(Debug)]
pub struct Bronze {
    source: String,
    table: Table,
}

/// A batch that lies in Bronze.
#[derive(Clone, Debug)]
pub struct Landed {
    /// The version that holds it.
    pub version: i64,
    /// Milliseconds since the epoch, as the committing host said.
    pub timestamp: i64,
    /// How far each partition moved; empty where only the files are left of the entry.
    pub spans: Vec<Span>,
    /// How many records it has.
    pub records: u64,
    /// What the source stated; null where only the files are left of the entry.
    pub evidence: Value,
    /// The commit's information.
    pub info: Map<String, Value>,
    files: Vec<DataFile>,
}

/// A change of what tenants' records are worked on with, for the versions above.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The version that it is.
    pub version: i64,
    /// The commit's information.
    pub info: Map<String, Value>,
}

/// What stands for all versions below it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The version that it is.
    pub version: i64,
    /// What the source says of all batches so far.
    pub evidence: Value,
    /// The commit's information.
    pub info: Map<String, Value>,
}

/// One Bronze version that means something.
#[derive(Clone, Debug)]
pub enum Step {
    /// Records.
    Batch(Landed),
    /// New digests from here on.
    Activation(Activation),
    /// What was known at this version.
    Summary(Summary),
}

/// Writes the files of batches; usable on other threads while Bronze commits.
#[derive(Clone, Debug)]
pub struct Landing(Writer);

impl Landing {
    /// The bytes of the file of `batch`, received at `now` (microseconds since the epoch). Blocks; no input or output.
    pub fn encode(&self, batch: &Batch, now: i64) -> Result<Encoded, LakeError> {
        let n = batch.len();
        let version = std::iter::repeat_n(Some(env!("CARGO_PKG_VERSION")), n).collect::<StringArray>();
        let mut columns: Vec<ArrayRef> = batch.records.columns().to_vec();
        columns.push(Arc::new(TimestampMicrosecondArray::from_value(now, n).with_timezone("UTC")));
        columns.push(Arc::new(version));
        let rows = RecordBatch::try_new(self.0.schema().clone(), columns);
        self.0.encode(&rows.expect("a batch follows record::SCHEMA, and two columns of its length follow"))
    }

    /// Puts the file, under the date of `now`.
    pub async fn put(&self, encoded: Encoded, now: i64) -> Result<DataFile, LakeError> {
        let date = jiff::Timestamp::from_microsecond(now).unwrap_or_default().strftime("%Y-%m-%d").to_string();
        self.0.put(encoded, &[(PARTITION, Some(&date))]).await
    }
}

impl Bronze {
    /// Opens the Bronze table of `source`, or makes it.
    pub async fn open(lake: &Lake, tenant: &str, source: &str) -> Result<Self, LakeError> {
        let spec = TableSpec {
            partition_by: vec![PARTITION.to_owned()],
            statistics: ["offset", "event_timestamp"].map(str::to_owned).to_vec(),
            ..TableSpec::append_only(SCHEMA.clone())
                .pack(Packing::Random, &["checksum"])
                .pack(Packing::Bulk, &["raw_payload"])
                .pack(Packing::Running, &["offset", "line", "event_timestamp"])
        };
        let table = lake.table(&format!("{tenant}/bronze/{source}"), &spec).await?;
        Ok(Self { source: source.to_owned(), table })
    }

    /// The table itself: its version, its transactions, its upkeep.
    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// The newest version known here.
    pub fn version(&self) -> i64 {
        self.table.version()
    }

    /// The last offset committed under each transaction identifier.
    pub fn progress(&self) -> BTreeMap<String, i64> {
        let transactions = self.table.transactions().iter().filter(|(app_id, _)| *app_id != SUMMARY);
        transactions.map(|(app_id, version)| (app_id.clone(), *version)).collect()
    }

    /// Whether so much came since the newest summary that another one is due.
    pub fn is_summary_due(&self) -> bool {
        self.version() - self.table.transaction(SUMMARY).unwrap_or(-1) > SUMMARY_EVERY
    }

    /// What writes the files of batches.
    pub fn landing(&self) -> Landing {
        Landing(self.table.writer())
    }

    /// The commit that adds `batch`, whose file is `file`: none if it has no records. `info` adds keys to the
    /// commit's information.
    pub fn stage(&self, batch: &Batch, file: Option<DataFile>, info: Map<String, Value>) -> Commit {
        let said = Said::Batch {
            spans: batch.spans.iter().map(|span| (span.app_id.clone(), span.first, span.last)).collect(),
            records: batch.len() as u64,
            evidence: batch.evidence.clone(),
        };
        let mut commit = self.table.begin("WRITE");
        commit.transactions = batch.spans.iter().map(|span| (span.app_id.clone(), span.last)).collect();
        commit.adds.extend(file);
        commit.info = info;
        say(&mut commit, &said);
        commit
    }

    /// The commit that activates what `info` names.
    pub fn stage_activation(&self, info: Map<String, Value>) -> Commit {
        let mut commit = self.table.begin("ACTIVATE");
        commit.info = info;
        say(&mut commit, &Said::Activation);
        commit
    }

    /// The commit that summarises all versions below it: `evidence` is what the source says of all batches in them.
    pub fn stage_summary(&self, evidence: Value, info: Map<String, Value>) -> Commit {
        let mut commit = self.table.begin("SUMMARISE");
        commit.info = info;
        say(&mut commit, &Said::Summary { evidence });
        commit
    }

    /// Writes a checkpoint where one is due, and removes old entries below the newest summary and up to `settled`, the
    /// last batch that every table has. `policy` says the rest.
    pub async fn maintain(&mut self, settled: i64, policy: Policy) -> Result<(), LakeError> {
        let summary = self.table.transaction(SUMMARY).unwrap_or(0);
        self.table.maintain(Policy { keep_above: settled.min(summary - 1), ..policy }).await
    }

    /// Commits what was staged at the next free version and returns that.
    ///
    /// Loses a version to others as often as need be, but for a summary, whose [`CommitError::Conflict`] says that it is to
    /// be staged anew. [`CommitError::Overtaken`] says that a span of the batch is in
    /// Bronze already. After [`CommitError::Unknown`] the same commit may be appended again.
    pub async fn append(&mut self, commit: &mut Commit) -> Result<i64, CommitError> {
        let table = self.table.name().to_owned();
        let is_summary = matches!(said(&commit.info), Some(Said::Summary { .. }));
        loop {
            self.guard(commit)?;
            let next = self.table.version() + 1;
            for file in &mut commit.adds {
                file.tags.get_or_insert_default().insert(TAG.to_owned(), Some(next.to_string()));
            }
            if is_summary {
                commit.transactions = vec![(SUMMARY.to_owned(), next)];
            }
            match self.table.commit(commit).await {
                Err(CommitError::Conflict { version, theirs, .. }) => {
                    let news = self.table.refresh().await.map_err(|source| CommitError::Unknown {
                        table: table.clone(),
                        version,
                        source,
                    })?;
                    if let Some(ours) = news.iter().find(|entry| entry.commit_id.as_deref() == Some(commit.id())) {
                        return Ok(ours.version);
                    }
                    // It would not stand for what came in between.
                    if is_summary {
                        return Err(CommitError::Conflict { table, version, theirs });
                    }
                }
                done => return done,
            }
        }
    }

    /// Refuses to add what is there.
    fn guard(&self, commit: &Commit) -> Result<(), CommitError> {
        let Some(Said::Batch { spans, .. }) = said(&commit.info).filter(|_| !without(Safeguard::OwnSpans)) else {
            return Ok(());
        };
        for (app_id, first, _) in spans {
            if let Some(committed) = self.table.transaction(&app_id).filter(|committed| *committed >= first) {
                return Err(CommitError::Overtaken { table: self.table.name().to_owned(), app_id, committed, first });
            }
        }
        Ok(())
    }

    /// All that is known of the versions so far: the newest summary, and what came since.
    pub async fn history(&self) -> Result<Vec<Step>, LakeError> {
        self.steps(self.table.transaction(SUMMARY).map_or(-1, |version| version - 1)).await
    }

    /// The batches, activations and summaries in versions `after + 1 ..= `[`Self::version`], in order. Other versions, such as
    /// the table's creation, mean nothing and are left out.
    pub async fn steps(&self, after: i64) -> Result<Vec<Step>, LakeError> {
        let entries = self.table.entries(after + 1, self.table.version()).await?;
        Ok(entries.into_iter().filter_map(step).collect())
    }

    /// Follows what other hosts committed, and returns that in order.
    pub async fn refresh(&mut self) -> Result<Vec<Step>, LakeError> {
        Ok(self.table.refresh().await?.into_iter().filter_map(step).collect())
    }

    /// Every batch that Bronze holds, in order, as far as the files tell: also those whose entries are gone.
    pub async fn archive(&self) -> Result<Vec<Landed>, LakeError> {
        let mut batches: BTreeMap<i64, Landed> = BTreeMap::new();
        for file in self.table.files().await? {
            let Some(version) = file.tag(TAG).and_then(|version| version.parse().ok()) else { continue };
            let landed = batches.entry(version).or_insert_with(|| Landed {
                version,
                timestamp: file.modification_time,
                spans: vec![],
                records: 0,
                evidence: Value::Null,
                info: Map::new(),
                files: vec![],
            });
            landed.records += file.statistics().map_or(0, |statistics| statistics.num_records);
            landed.files.push(file);
        }
        Ok(batches.into_values().collect())
    }

    /// Reads a batch again: the same records in the same order as were committed.
    pub async fn read(&self, landed: &Landed) -> Result<Batch, LakeError> {
        let names: Vec<&str> = record::SCHEMA.fields().iter().map(|field| field.name().as_str()).collect();
        let reader = self.table.reader();
        let mut parts = vec![];
        for file in &landed.files {
            parts.extend(reader.read(file, Some(&names)).await?);
        }
        let damaged =
            |found| LakeError::Damaged { table: self.table.name().to_owned(), version: landed.version, found };
        let read = parts.first().map_or_else(|| record::SCHEMA.clone(), |part| part.schema());
        let whole = concat_batches(&read, &parts).map_err(|error| damaged(error.to_string()))?;
        let columns =
            whole.columns().iter().zip(record::SCHEMA.fields()).map(|(column, field)| cast(column, field.data_type()));
        let columns = columns.collect::<Result<_, _>>().map_err(|error| damaged(error.to_string()))?;
        let records =
            RecordBatch::try_new(record::SCHEMA.clone(), columns).map_err(|error| damaged(error.to_string()))?;
        let checksums = records.column(9).as_binary::<i32>();
        if records.num_rows() as u64 != landed.records {
            return Err(damaged(format!("{} records where its commit states {}", records.num_rows(), landed.records)));
        }
        if checksums.iter().any(|checksum| checksum.is_none_or(|bytes| bytes.len() != 32))
            || records.column(3).null_count() > 0
        {
            return Err(damaged("a record without its checksum or offset".to_owned()));
        }
        Ok(Batch::new(self.source.clone(), landed.spans.clone(), landed.evidence.clone(), records))
    }
}

fn say(commit: &mut Commit, said: &Said) {
    commit.info.insert(KEY.to_owned(), serde_json::to_value(said).expect("plain data with text keys"));
}

fn said(info: &Map<String, Value>) -> Option<Said> {
    serde_json::from_value(info.get(KEY)?.clone()).ok()
}

fn step(entry: Entry) -> Option<Step> {
    Some(match said(&entry.info)? {
        Said::Batch { spans, records, evidence } => Step::Batch(Landed {
            version: entry.version,
            timestamp: entry.timestamp,
            spans: spans.into_iter().map(|(app_id, first, last)| Span { app_id, first, last }).collect(),
            records,
            evidence,
            info: entry.info,
            files: entry.adds,
        }),
        Said::Activation => Step::Activation(Activation { version: entry.version, info: entry.info }),
        Said::Summary { evidence } => Step::Summary(Summary { version: entry.version, evidence, info: entry.info }),
    })
}
