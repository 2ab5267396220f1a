//! One Delta table: its shape, its newest version, its progress.
//!
//! Owns opening, creating and evolving a table and following its log. It holds no list of files: what a commit
//! needs is the version, the schema and the transactions, and these are kept up from the table's own commits and
//! from [`Table::refresh`]. So a commit costs the same whatever the number of files.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;

use super::commit::{self, Commit, CommitError};
use super::log::{DataFile, Entry, Metadata, Protocol, State};
use super::parquet::{Packing, Reader, Writer};
use super::{LakeError, Place, schema};

/// How often a table is looked at again when others commit while it is evolved.
const EVOLVE_TRIES: usize = 16;

/// What a table is to be.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// Its columns; partition columns included.
    pub schema: SchemaRef,
    /// The columns whose values files share instead of holding them.
    pub partition_by: Vec<String>,
    /// Whether files are never removed.
    pub append_only: bool,
    /// Columns that are not packed as [`Packing::Dictionary`].
    pub packing: Vec<(String, Packing)>,
    /// Columns whose least and greatest values the log keeps for each file.
    pub statistics: Vec<String>,
    /// Own properties that a new table gets, for whoever reads it.
    pub properties: Vec<(String, String)>,
}

impl TableSpec {
    /// An append-only table without partitions.
    pub fn append_only(schema: SchemaRef) -> Self {
        Self {
            schema,
            partition_by: vec![],
            append_only: true,
            packing: vec![],
            statistics: vec![],
            properties: vec![],
        }
    }

    /// The same, packing `columns` so.
    #[must_use]
    pub fn pack(mut self, packing: Packing, columns: &[&str]) -> Self {
        self.packing.extend(columns.iter().map(|&column| (column.to_owned(), packing)));
        self
    }
}

/// A handle on one table. It is the table's one committer here; other processes may commit too, and are noticed.
#[derive(Debug)]
pub struct Table {
    place: Place,
    version: i64,
    pub(super) checkpoint: Option<i64>,
    metadata: Metadata,
    protocol: Protocol,
    schema: SchemaRef,
    transactions: HashMap<String, i64>,
    packing: Vec<(String, Packing)>,
    statistics: Vec<String>,
}

impl Table {
    /// Opens the table at `place`; none if there is none.
    pub(super) async fn open(place: Place) -> Result<Option<Self>, LakeError> {
        let Some(State { version, checkpoint, metadata, protocol, transactions }) = place.state().await? else {
            return Ok(None);
        };
        // Another process may have died between naming an entry and making the name durable.
        place.settle().await?;
        let schema = schema::check(&place, &metadata, &protocol)?;
        let (packing, statistics) = (vec![], vec![]);
        Ok(Some(Self { place, version, checkpoint, metadata, protocol, schema, transactions, packing, statistics }))
    }

    /// Opens the table, creates it, or gives it the columns it lacks.
    pub(super) async fn open_or_create(place: Place, spec: &TableSpec) -> Result<Self, LakeError> {
        let failed = |source| LakeError::Evolve { table: place.name.clone(), source: Box::new(source) };
        let mut opened = Self::open(place.clone()).await?;
        if opened.is_none() {
            let mut commit = Commit::new(place.lake.world.unique().to_string(), "CREATE TABLE");
            commit.protocol = Some(schema::PROTOCOL);
            commit.metadata = Some(schema::create(&place, spec)?);
            commit::create(&place, &commit).await.map_err(failed)?;
            opened = Self::open(place.clone()).await?;
        }
        let Some(mut table) = opened else {
            return Err(LakeError::Gap { table: place.name.clone(), version: 0, earliest: -1 });
        };
        table.packing.clone_from(&spec.packing);
        table.statistics.clone_from(&spec.statistics);
        let mut tries = EVOLVE_TRIES;
        while let Some(metadata) = schema::evolve(&place, &table.metadata, spec)? {
            let mut commit = table.begin("ADD COLUMNS");
            commit.metadata = Some(metadata);
            match table.commit(&commit).await {
                Ok(_) => break,
                Err(CommitError::Conflict { .. }) if tries > 0 => _ = table.refresh().await?,
                Err(error) => return Err(failed(error)),
            }
            tries -= 1;
        }
        Ok(table)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The table's path under the lake.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Where the table lies, for other engines.
    pub fn url(&self) -> &url::Url {
        &self.place.url
    }

    /// The newest version known here.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The value of a property of the table.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.metadata.configuration.get(name).map(String::as_str)
    }

    /// The columns, partition columns included.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The version last committed under `app_id`.
    pub fn transaction(&self, app_id: &str) -> Option<i64> {
        self.transactions.get(app_id).copied()
    }

    /// Every application transaction.
    pub fn transactions(&self) -> &HashMap<String, i64> {
        &self.transactions
    }

    /// An empty commit; `operation` is what other engines show in the table's history.
    pub fn begin(&self, operation: &'static str) -> Commit {
        Commit::new(self.place.lake.world.unique().to_string(), operation)
    }

    /// What makes files for this table. It stays usable while the table commits.
    pub fn writer(&self) -> Writer {
        Writer::new(
            self.place.clone(),
            self.schema.clone(),
            &self.metadata.partition_columns,
            &self.packing,
            &self.statistics,
        )
    }

    /// What reads files of this table. It stays usable while the table commits.
    pub fn reader(&self) -> Reader {
        Reader::new(self.place.clone(), self.schema.clone())
    }

    /// The files at the version known here, by path. Reads the log, from the newest checkpoint on.
    pub async fn files(&self) -> Result<Vec<DataFile>, LakeError> {
        let mut files: Vec<DataFile> = self.place.files(self.version).await?.into_values().collect();
        // A checkpoint leaves out the keys whose value is null.
        for file in &mut files {
            for name in &self.metadata.partition_columns {
                file.partition_values.entry(name.clone()).or_default();
            }
        }
        Ok(files)
    }

    /// The entries `from..=to` of the log, in order, for as long as log cleanup keeps them.
    pub async fn entries(&self, from: i64, to: i64) -> Result<Vec<Entry>, LakeError> {
        self.place.entries(from, to).await
    }

    /// Follows the log to its end and returns what was new.
    ///
    /// An error leaves the table as it was. A log that was cleaned up past this version is a [`LakeError::Gap`].
    pub async fn refresh(&mut self) -> Result<Vec<Entry>, LakeError> {
        let mut news = vec![];
        while let Some(entry) = self.place.entry(self.version + 1 + news.len() as i64).await? {
            news.push(entry);
        }
        if news.is_empty() {
            if !self.place.has_entry(self.version).await? {
                let listing = self.place.listing().await?;
                if listing.newest() != Some(self.version) {
                    let earliest = listing.entries.keys().next().copied().unwrap_or(-1);
                    return Err(LakeError::Gap { table: self.name().to_owned(), version: self.version + 1, earliest });
                }
            }
            return Ok(news);
        }
        self.place.settle().await?;
        let metadata = news.iter().rev().find_map(|entry| entry.metadata.as_ref()).unwrap_or(&self.metadata).clone();
        let protocol = news.iter().rev().find_map(|entry| entry.protocol.as_ref()).unwrap_or(&self.protocol).clone();
        self.schema = schema::check(&self.place, &metadata, &protocol)?;
        (self.metadata, self.protocol) = (metadata, protocol);
        for entry in &news {
            self.version = entry.version;
            self.transactions.extend(entry.transactions.iter().cloned());
        }
        Ok(news)
    }

    /// Takes over what an own commit did.
    pub(super) fn adopt_own(&mut self, version: i64, commit: &Commit) {
        self.version = version;
        self.transactions.extend(commit.transactions.iter().cloned());
        if let Some(metadata) = &commit.metadata {
            self.schema =
                schema::check(&self.place, metadata, &self.protocol).expect("evolve() made it from Arrow types");
            self.metadata.clone_from(metadata);
        }
    }

    /// Refuses a commit that would break what the table promises.
    pub(super) fn admits(&self, commit: &Commit) -> Result<(), CommitError> {
        let refused = |found, expected| Err(CommitError::Refused { table: self.name().to_owned(), found, expected });
        if !commit.removes.is_empty() && schema::append_only(&self.metadata) {
            return refused(
                format!("{} files to remove", commit.removes.len()),
                "an append-only table is only added to",
            );
        }
        let partitions = &self.metadata.partition_columns;
        let complete = |file: &DataFile| {
            file.partition_values.len() == partitions.len()
                && partitions.iter().all(|name| file.partition_values.contains_key(name))
        };
        match commit.adds.iter().find(|file| !complete(file)) {
            Some(file) => refused(
                format!("file `{}` with partition values {:?}", file.path, file.partition_values),
                "one value for each partition column",
            ),
            None => Ok(()),
        }
    }
}
