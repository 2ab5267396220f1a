//! Folding `<entity>_changes` into `<entity>`: when it is due, and which buckets it rewrites.
//!
//! One commit replaces the files of the buckets that changed and says, in its transaction, up to which version of
//! the changes it has folded. The fold itself is `conform`'s, and always starts from the changes: an unfolded late
//! patch may change any later version of its key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use futures::TryStreamExt;
use futures::future::try_join_all;

use super::silver::{Entity, Silver};
use super::{Host, PipelineError};
use crate::conform::fold::{bucket, bucket_bits, fold};
use crate::conform::plan::EntityPlan;
use crate::lake::{CommitError, DataFile, Filter, LakeError, Scan, Table};

/// The transaction under which `<entity>` says how far it has folded.
const APP_ID: &str = "fold";
const BUCKET: &str = "_bucket";

/// The folded table of a dimension, and when it was last brought up.
#[derive(Debug)]
pub(super) struct Versions {
    pub(super) table: Table,
    /// By the world's clock, in microseconds since the epoch.
    folded_at: i64,
    took: Duration,
}

impl Versions {
    pub(super) fn new(host: &Host, table: Table) -> Self {
        Self { table, folded_at: host.lake.world().now(), took: Duration::ZERO }
    }

    /// A fold that takes long waits longer, so that folding never takes over a tenth of the time. A clock that was set back
    /// makes it due.
    fn is_due(&self, host: &Host) -> bool {
        let pause = host.settings.fold_every.max(self.took * 10);
        since(host, self.folded_at).is_none_or(|elapsed| elapsed >= pause)
    }
}

/// Folds every dimension whose cadence is due.
pub(super) async fn due(host: &Arc<Host>, silver: &mut Silver) -> Result<(), PipelineError> {
    for entity in silver.entities.values_mut() {
        if entity.versions.as_ref().is_some_and(|versions| versions.is_due(host)) {
            one(host, entity).await?;
        }
    }
    Ok(())
}

/// Folds every dimension.
pub(super) async fn all(host: &Arc<Host>, silver: &mut Silver) -> Result<(), PipelineError> {
    let folds: Vec<_> = silver.entities.values_mut().map(|entity| one(host, entity)).collect();
    try_join_all(folds).await.map(drop)
}

async fn one(host: &Arc<Host>, entity: &mut Entity) -> Result<(), PipelineError> {
    while attempt(host, entity).await? == Fold::Lost {}
    Ok(())
}

/// What became of a fold.
#[derive(PartialEq, Eq)]
enum Fold {
    /// The dimension holds all changes known here.
    Done,
    /// Another host folded meanwhile; what it left is to be folded upon that.
    Lost,
}

async fn attempt(host: &Arc<Host>, entity: &mut Entity) -> Result<Fold, PipelineError> {
    let Some(versions) = &mut entity.versions else { return Ok(Fold::Done) };
    let started = host.lake.world().now();
    let failed = |source: LakeError| PipelineError::lake("fold a dimension", source);
    let to = entity.rows.version();
    let folded = versions.table.transaction(APP_ID).unwrap_or(-1);
    if folded >= to {
        return Ok(Fold::Done);
    }
    let files = entity.rows.files().await.map_err(failed)?;
    // Where the log no longer says what came since, everything did.
    let news = match entity.rows.entries(folded + 1, to).await {
        Ok(entries) => entries.into_iter().flat_map(|entry| entry.adds).collect(),
        Err(_) => files.clone(),
    };
    let current = versions.table.files().await.map_err(failed)?;
    let bits_now = current.iter().filter_map(label).map(|label| label.len() as u8 - 1).max().unwrap_or(0);
    let bits = bucket_bits(files.iter().map(|file| file.size as u64).sum(), bits_now);
    let changed = match (news.is_empty(), bits == bits_now) {
        (true, _) => BTreeSet::new(),
        (false, true) => labels(&entity.rows, &news, bits).await.map_err(failed)?,
        (false, false) => labels(&entity.rows, &files, bits).await.map_err(failed)?,
    };
    if changed.is_empty() {
        versions.folded_at = host.lake.world().now();
        return Ok(Fold::Done);
    }
    let rows = by_bucket(&entity.rows, &files, &changed, bits).await.map_err(failed)?;
    let mut folds = Vec::new();
    for (label, changes) in rows {
        folds.push(bucket_file(host, &entity.plan, &versions.table, label, changes));
    }
    let mut commit = versions.table.begin("STREAMING UPDATE");
    commit.adds = try_join_all(folds).await.map_err(failed)?;
    commit.removes = current
        .into_iter()
        .filter(|file| bits != bits_now || label(file).is_none_or(|label| changed.contains(label)))
        .collect();
    commit.transactions = vec![(APP_ID.to_owned(), to)];
    match versions.table.commit(&commit).await {
        Ok(_) => {
            versions.folded_at = host.lake.world().now();
            versions.took = since(host, started).unwrap_or_default();
            Ok(Fold::Done)
        }
        Err(CommitError::Conflict { .. }) => versions.table.refresh().await.map(|_| Fold::Lost).map_err(failed),
        Err(error) => Err(error.into()),
    }
}

/// The time since `then`; none where the clock was set back meanwhile.
fn since(host: &Host, then: i64) -> Option<Duration> {
    u64::try_from(host.lake.world().now() - then).ok().map(Duration::from_micros)
}

/// Folds the changes of one bucket into its file.
async fn bucket_file(
    host: &Host,
    plan: &EntityPlan,
    table: &Table,
    label: String,
    changes: RecordBatch,
) -> Result<DataFile, LakeError> {
    let (plan, writer, name) = (plan.clone(), table.writer(), label.clone());
    let encoded = host.machine.workers.run(move || {
        let folded = fold(&plan, &changes, &name);
        let without = folded.schema().index_of(BUCKET).expect("the contract's schema has the bucket");
        let columns: Vec<usize> = (0..folded.num_columns()).filter(|column| *column != without).collect();
        let folded = folded.project(&columns).expect("the indices are those of its columns");
        writer.encode(&folded)
    });
    table.writer().put(encoded.await?, &[(BUCKET, Some(&label))]).await
}

fn label(file: &DataFile) -> Option<&str> {
    file.partition_values.get(BUCKET)?.as_deref()
}

/// The buckets that the keys in `files` fall in.
async fn labels(table: &Table, files: &[DataFile], bits: u8) -> Result<BTreeSet<String>, LakeError> {
    let mut labels = BTreeSet::new();
    for file in files {
        let mut batches = table.reader().scan(file, Scan::columns(&["_key"]));
        while let Some(rows) = batches.try_next().await? {
            for label in row_labels(&rows, bits) {
                if !labels.contains(&label) {
                    labels.insert(label);
                }
            }
        }
    }
    Ok(labels)
}

fn row_labels(rows: &RecordBatch, bits: u8) -> impl Iterator<Item = String> {
    let keys = rows.column_by_name("_key").expect("every Silver table has keys").as_binary::<i32>();
    (0..rows.num_rows())
        .map(move |row| bucket(keys.value(row).try_into().expect("a key has 32 bytes: conform hashed it"), bits))
}

/// The kept rows of the buckets `wanted`, apart.
async fn by_bucket(
    table: &Table,
    files: &[DataFile],
    wanted: &BTreeSet<String>,
    bits: u8,
) -> Result<BTreeMap<String, RecordBatch>, LakeError> {
    let mut parts: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
    let wanted = Arc::new(wanted.clone());
    for file in files {
        let (wanted, columns) = (Arc::clone(&wanted), vec!["_key".to_owned()]);
        let keep = move |rows: &RecordBatch| {
            Ok(row_labels(rows, bits).map(|label| Some(wanted.contains(&label))).collect::<BooleanArray>())
        };
        let scan = Scan { columns: None, filter: Some(Filter { columns, keep: Arc::new(keep) }) };
        let mut batches = table.reader().scan(file, scan);
        while let Some(rows) = batches.try_next().await? {
            let mut places: BTreeMap<String, Vec<u32>> = BTreeMap::new();
            for (row, label) in row_labels(&rows, bits).enumerate() {
                places.entry(label).or_default().push(row as u32);
            }
            for (label, places) in places {
                let rows = take_record_batch(&rows, &UInt32Array::from(places)).expect("the places are rows of it");
                parts.entry(label).or_default().push(rows);
            }
        }
    }
    let whole = |parts: Vec<RecordBatch>| {
        concat_batches(&parts[0].schema(), &parts).expect("parts of one table have its schema")
    };
    Ok(parts.into_iter().map(|(label, parts)| (label, whole(parts))).collect())
}
