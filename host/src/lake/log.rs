//! The Delta log of one table: its entries, its checkpoints, and what both say about data files.
//!
//! Owns the lines of the log as plain types and reading them, from JSON and from Parquet alike; it decides
//! nothing about commits. A checkpoint is turned into the same JSON lines as an entry, so that one parser reads
//! both. An entry of ours states how many actions it holds: one cut at the end of a line is noticed too.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LakeError, Place};
use crate::mutant::{Safeguard, without};

/// The folder of a table that holds its log.
pub(super) const FOLDER: &str = "_delta_log";
/// How many entries are asked for at once.
const READ_AHEAD: usize = 8;

/// One data file of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFile {
    /// Relative to the table, URL-encoded.
    pub path: String,
    /// The value of each partition column as text.
    #[serde(default)]
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Bytes.
    pub size: i64,
    /// Milliseconds since the epoch.
    pub modification_time: i64,
    /// Whether the rows are new, not only moved.
    pub data_change: bool,
    /// [`Statistics`] as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    /// Free text of the writer, kept in checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, Option<String>>>,
}

/// What is known of a file's rows without reading it. Dates and times are text in ISO 8601; times are rounded
/// outwards to milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Statistics {
    /// Rows.
    pub num_records: u64,
    /// The least value of a column.
    pub min_values: Map<String, Value>,
    /// The greatest value of a column.
    pub max_values: Map<String, Value>,
    /// Nulls in a column.
    pub null_count: Map<String, Value>,
}

impl DataFile {
    /// What the log says of the file's rows; none where it says nothing.
    pub fn statistics(&self) -> Option<Statistics> {
        serde_json::from_str(self.stats.as_deref()?).ok()
    }

    /// The tag `name`.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.as_ref()?.get(name)?.as_deref()
    }
}

/// One entry of the log: all that one commit did.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The version that it made.
    pub version: i64,
    /// Milliseconds since the epoch, as its writer said; 0 if it did not.
    pub timestamp: i64,
    /// The identifier of our commit; none in an entry of another engine.
    pub commit_id: Option<String>,
    /// The commit's information, our own keys included.
    pub info: Map<String, Value>,
    /// The application transactions.
    pub transactions: Vec<(String, i64)>,
    /// Files added.
    pub adds: Vec<DataFile>,
    /// The paths of files removed.
    pub removes: Vec<String>,
    pub(super) metadata: Option<Metadata>,
    pub(super) protocol: Option<Protocol>,
}

/// Delta's `metaData` action.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) format: Value,
    pub(super) schema_string: String,
    pub(super) partition_columns: Vec<String>,
    #[serde(default)]
    pub(super) configuration: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_time: Option<i64>,
}

/// Delta's `protocol` action; features exist from reader version 3 and writer version 7 only, which are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
    pub(super) min_reader_version: i32,
    pub(super) min_writer_version: i32,
}

/// Delta's `txn` action. Never with `lastUpdated`: with it, a retention setting would make progress vanish.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    pub(super) app_id: String,
    pub(super) version: i64,
}

/// Delta's `remove` action.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remove {
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deletion_timestamp: Option<i64>,
    pub(super) data_change: bool,
    #[serde(default)]
    pub(super) extended_file_metadata: Option<bool>,
    #[serde(default)]
    pub(super) partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    pub(super) size: Option<i64>,
}

/// One line: exactly one of the actions, or one that does not matter here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commit_info: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meta_data: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) txn: Option<Transaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) add: Option<DataFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remove: Option<Remove>,
}

impl Entry {
    /// Reads an entry from its bytes; the error says what is wrong with them.
    fn parse(version: i64, bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() && !without(Safeguard::WholeEntry) {
            return Err("a file of 0 bytes".to_owned());
        }
        let mut entry = Self { version, ..Self::default() };
        let mut actions = 0;
        for (i, line) in bytes.lines().enumerate() {
            let line = line.map_err(|error| format!("line {}: {error}", i + 1))?;
            if line.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&line).map_err(|error| format!("line {}: {error}", i + 1))?;
            actions += 1;
            entry.take(line)?;
        }
        if let Some(stated) = entry.info.get("actions").and_then(Value::as_u64).filter(|_| entry.commit_id.is_some())
            && stated != actions
        {
            return Err(format!("{actions} of {stated} lines"));
        }
        Ok(entry)
    }

    /// Adds what `line` says; the error names a path that leads out of the table.
    pub(super) fn take(&mut self, line: Line) -> Result<(), String> {
        if let Some(info) = line.commit_info {
            self.timestamp = info.get("timestamp").and_then(Value::as_i64).unwrap_or_default();
            self.commit_id = info.get("commitId").and_then(Value::as_str).map(str::to_owned);
            self.info = info;
        }
        self.protocol = line.protocol.or(self.protocol.take());
        self.metadata = line.meta_data.or(self.metadata.take());
        self.transactions.extend(line.txn.map(|txn| (txn.app_id, txn.version)));
        if let Some(add) = line.add {
            inside(&add.path)?;
            self.adds.push(add);
        }
        self.removes.extend(line.remove.map(|remove| remove.path));
        Ok(())
    }
}

/// The object that a relative, URL-encoded path names; the error says how it leads out of the table.
pub(super) fn inside(path: &str) -> Result<Path, String> {
    let absolute = path.starts_with('/') || path.split('/').next().is_some_and(|first| first.contains(':'));
    match Path::from_url_path(path) {
        Ok(inner) if !absolute && inner.parts().next().is_some() => Ok(inner),
        _ => Err(format!("the file path `{}`, which leads out of the table", path.escape_debug())),
    }
}

/// What the log's folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The versions that have an entry, with its size and its last modification in milliseconds.
    pub(super) entries: BTreeMap<i64, (u64, i64)>,
    /// The objects of each whole checkpoint, and the last modification of one of them.
    pub(super) checkpoints: BTreeMap<i64, (Vec<Path>, i64)>,
}

impl Listing {
    /// The newest version.
    pub(super) fn newest(&self) -> Option<i64> {
        self.entries.keys().next_back().max(self.checkpoints.keys().next_back()).copied()
    }

    /// The newest checkpoint at or below `version`.
    pub(super) fn checkpoint(&self, version: i64) -> Option<(i64, &[Path])> {
        let (checkpoint, (parts, _)) = self.checkpoints.range(..=version).next_back()?;
        Some((*checkpoint, parts))
    }
}

/// The object name of the entry that makes `version`.
pub(super) fn entry_name(version: i64) -> String {
    format!("{version:020}.json")
}

impl Place {
    fn log(&self, name: &str) -> Path {
        self.folder.clone().join(FOLDER).join(name.to_owned())
    }

    /// Lists the log. One folder listing, whatever the number of data files.
    pub(super) async fn listing(&self) -> Result<Listing, LakeError> {
        let mut listing = Listing::default();
        let mut parts: BTreeMap<(i64, usize), Vec<Path>> = BTreeMap::new();
        for object in self.list_log().await? {
            let Some(name) = object.location.filename() else { continue };
            let mut words = name.split('.');
            let Some(version) = words.next().filter(|digits| digits.len() == 20).and_then(|digits| digits.parse().ok())
            else {
                continue;
            };
            let modified = object.last_modified.timestamp_millis();
            match words.collect::<Vec<_>>()[..] {
                ["json"] => _ = listing.entries.insert(version, (object.size, modified)),
                ["checkpoint", "parquet"] => _ = listing.checkpoints.insert(version, (vec![object.location], modified)),
                ["checkpoint", _, of, "parquet"] => {
                    let Ok(of) = of.parse() else { continue };
                    let found = parts.entry((version, of)).or_default();
                    found.push(object.location);
                    if found.len() == of {
                        listing.checkpoints.entry(version).or_insert((std::mem::take(found), modified));
                    }
                }
                _ => {}
            }
        }
        Ok(listing)
    }

    /// The entry that made `version`; none if there is none.
    pub(super) async fn entry(&self, version: i64) -> Result<Option<Entry>, LakeError> {
        let name = entry_name(version);
        let read = async { self.lake.objects.get(&self.log(&name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => match Entry::parse(version, &bytes) {
                Ok(entry) => Ok(Some(entry)),
                Err(found) => Err(LakeError::Damaged { table: self.name.clone(), version, found }),
            },
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.io(&name, source)),
        }
    }

    /// The entries `from..=to`, in order.
    pub(super) async fn entries(&self, from: i64, to: i64) -> Result<Vec<Entry>, LakeError> {
        let reads = futures::stream::iter(from..=to).map(|version| async move {
            match self.entry(version).await? {
                Some(entry) => Ok(entry),
                None => {
                    let earliest = self.listing().await?.entries.keys().next().copied().unwrap_or(-1);
                    Err(LakeError::Gap { table: self.name.clone(), version, earliest })
                }
            }
        });
        reads.buffered(READ_AHEAD).try_collect().await
    }

    /// Makes the entry of `version` if nobody has. On an error nothing is known about it.
    pub(super) async fn put_entry(&self, version: i64, bytes: Bytes) -> Result<(), StoreError> {
        let mode = if without(Safeguard::CompareAndSwap) { PutMode::Overwrite } else { PutMode::Create };
        let options = PutOptions { mode, ..PutOptions::default() };
        self.lake.objects.put_opts(&self.log(&entry_name(version)), bytes.into(), options).await.map(drop)
    }

    /// Whether the entry of `version` is still there.
    pub(super) async fn has_entry(&self, version: i64) -> Result<bool, LakeError> {
        match self.lake.objects.head(&self.log(&entry_name(version))).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(source) => Err(self.io(&entry_name(version), source)),
        }
    }

    /// Hands the lines of a checkpoint to `take`, reading only the given actions.
    pub(super) async fn checkpoint(
        &self,
        parts: &[Path],
        actions: &[&str],
        mut take: impl FnMut(Line),
    ) -> Result<(), LakeError> {
        let failed = |source| LakeError::Parquet { table: self.name.clone(), doing: "read", source };
        for part in parts {
            let read = async { self.lake.objects.get(part).await?.bytes().await };
            let bytes = read.await.map_err(|source| self.io(part.filename().unwrap_or_default(), source))?;
            let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(failed)?;
            let fields = builder.schema().fields().iter().enumerate();
            let wanted: Vec<usize> =
                fields.filter(|(_, field)| actions.contains(&field.name().as_str())).map(|(i, _)| i).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
            for batch in builder.with_projection(mask).build().map_err(failed)? {
                for line in lines(&batch.map_err(|source| failed(source.into()))?).map_err(failed)? {
                    take(line);
                }
            }
        }
        Ok(())
    }
}

/// The rows of a checkpoint as lines of the log.
fn lines(batch: &RecordBatch) -> Result<Vec<Line>, ::parquet::errors::ParquetError> {
    let mut json = arrow::json::LineDelimitedWriter::new(Vec::new());
    json.write(batch)?;
    json.finish()?;
    let lines = json.into_inner();
    let parsed = serde_json::Deserializer::from_slice(&lines).into_iter::<Line>().collect::<Result<_, _>>();
    parsed.map_err(|error| ::parquet::errors::ParquetError::External(Box::new(error)))
}

/// Progress and shape of a table at a version, without its files.
#[derive(Debug)]
pub(super) struct State {
    pub(super) version: i64,
    /// The newest checkpoint at or below.
    pub(super) checkpoint: Option<i64>,
    pub(super) metadata: Metadata,
    pub(super) protocol: Protocol,
    pub(super) transactions: HashMap<String, i64>,
}

impl Place {
    /// Reads the newest state; none if there is no table.
    pub(super) async fn state(&self) -> Result<Option<State>, LakeError> {
        let listing = self.listing().await?;
        let Some(version) = listing.newest() else { return Ok(None) };
        let mut whole = Entry::default();
        let base = listing.checkpoint(version);
        if let Some((_, parts)) = base {
            self.checkpoint(parts, &["txn", "metaData", "protocol"], |line| {
                whole.take(line).expect("only a data file can be refused, and none was asked for");
            })
            .await?;
        }
        let checkpoint = base.map(|(checkpoint, _)| checkpoint);
        let mut transactions: HashMap<String, i64> = whole.transactions.drain(..).collect();
        for entry in self.entries(checkpoint.map_or(0, |checkpoint| checkpoint + 1), version).await? {
            transactions.extend(entry.transactions);
            whole.metadata = entry.metadata.or(whole.metadata);
            whole.protocol = entry.protocol.or(whole.protocol);
        }
        let (Some(metadata), Some(protocol)) = (whole.metadata, whole.protocol) else {
            let found = "no metadata or no protocol up to here".to_owned();
            return Err(LakeError::Damaged { table: self.name.clone(), version, found });
        };
        Ok(Some(State { version, checkpoint, metadata, protocol, transactions }))
    }

    /// The files of the table at `version`, by path.
    pub(super) async fn files(&self, version: i64) -> Result<BTreeMap<String, DataFile>, LakeError> {
        let listing = self.listing().await?;
        let (mut files, mut refused) = (BTreeMap::new(), None);
        let base = listing.checkpoint(version);
        if let Some((_, parts)) = base {
            self.checkpoint(parts, &["add"], |line| {
                if let Some(add) = line.add {
                    refused = inside(&add.path).err().or(refused.take());
                    files.insert(add.path.clone(), add);
                }
            })
            .await?;
        }
        if let Some(found) = refused {
            return Err(LakeError::Damaged { table: self.name.clone(), version, found });
        }
        for entry in self.entries(base.map_or(0, |(checkpoint, _)| checkpoint + 1), version).await? {
            for path in entry.removes {
                files.remove(&path);
            }
            files.extend(entry.adds.into_iter().map(|add| (add.path.clone(), add)));
        }
        Ok(files)
    }
}
