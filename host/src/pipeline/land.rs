//! A batch's way to Bronze, with all work on it meanwhile that needs no table of Silver.

use std::sync::Arc;

use arrow::array::BooleanArray;
use futures::future::try_join;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::task::JoinHandle;

use super::active::Active;
use super::{Host, Machine, PipelineError};
use crate::conform::outcome::Conformed;
use crate::conform::watermark::Watermark;
use crate::entity::Answer;
use crate::lake::{Bronze, DataFile, Landed, Landing};
use crate::manifest::account::{self, BatchRef, BronzeAccount};
use crate::manifest::{self, Layer};
use crate::record::Batch;

/// A batch that is in Bronze, and what the plugin in force there says of it.
pub(super) struct Pending {
    pub(super) batch: Arc<Batch>,
    pub(super) bronze_version: i64,
    /// When Bronze received it, microseconds since the epoch, as stored in its rows.
    pub(super) ingestion_time: i64,
    /// What Bronze says of it.
    pub(super) account: BronzeAccount,
    /// One for each piece of the batch, in order.
    pub(super) answers: Arc<Vec<Answer>>,
    /// What the contracts make of them, while it is being made.
    pub(super) conforming: JoinHandle<Conformed>,
    pub(super) active: Arc<Active>,
    /// Whether each record is late.
    pub(super) late: BooleanArray,
    /// Where its source stands behind it.
    pub(super) watermark: Watermark,
}

impl Pending {
    /// What every commit of the batch names it by.
    pub(super) fn of(&self, tenant: &str) -> BatchRef {
        let source = self.batch.source.clone();
        let manifest_id = manifest::id(tenant, &source, self.bronze_version, Layer::Silver);
        BatchRef { source, bronze_version: self.bronze_version, manifest_id }
    }

    /// Tells which of its records are late, where the source stood at `watermark` before it.
    pub(super) fn behind(mut self, mut watermark: Watermark) -> Self {
        self.late = watermark.pass(&self.batch, self.active.allowed_lateness);
        self.watermark = watermark;
        self
    }
}

/// Commits `batch` to Bronze, and transforms it under `active` while its file is being written.
pub(super) async fn land(
    host: &Host,
    bronze: &mut Bronze,
    active: Arc<Active>,
    watermark: Watermark,
    batch: Batch,
) -> Result<Pending, PipelineError> {
    let batch = Arc::new(batch);
    let ((file, account), worked) =
        try_join(write(host, bronze.landing(), &batch), Worked::of(host, active, &batch)).await?;
    let mut commit = bronze.stage(&batch, file, account::to_info(&account));
    let bronze_version = bronze.append(&mut commit).await?;
    Ok(worked.pending(batch, bronze_version, account).behind(watermark))
}

/// Commits `batch` to Bronze and leaves it there to whoever settles; the version it got.
pub(super) async fn only(host: &Host, bronze: &mut Bronze, batch: Batch) -> Result<i64, PipelineError> {
    let batch = Arc::new(batch);
    let (file, account) = write(host, bronze.landing(), &batch).await?;
    let mut commit = bronze.stage(&batch, file, account::to_info(&account));
    Ok(bronze.append(&mut commit).await?)
}

/// A batch that lies in Bronze already, transformed again under the digests in force there.
pub(super) async fn again(
    host: &Host,
    active: Arc<Active>,
    watermark: Watermark,
    landed: Landed,
    batch: Batch,
) -> Result<Pending, PipelineError> {
    let account: BronzeAccount = account::from_info(&landed.info).ok_or_else(|| {
        PipelineError::Corrupt(format!(
            "Bronze version {} of source `{}` carries no account",
            landed.version, batch.source
        ))
    })?;
    let batch = Arc::new(batch);
    let worked = Worked::of(host, active, &batch).await?;
    Ok(worked.pending(batch, landed.version, account).behind(watermark))
}

/// Writes the file of `batch`, unless that has no records, and accounts for it.
async fn write(
    host: &Host,
    landing: Landing,
    batch: &Arc<Batch>,
) -> Result<(Option<DataFile>, BronzeAccount), PipelineError> {
    let now = host.lake.world().now();
    let (of, key, encoder) = (Arc::clone(batch), host.digest_key.clone(), landing.clone());
    let encode = move || {
        let encoded = (!of.is_empty()).then(|| encoder.encode(&of, now));
        (encoded.transpose(), digest(&key, &of))
    };
    let (encoded, records) = host.machine.workers.run(encode).await;
    let file = match encoded.map_err(|source| PipelineError::lake("encode a Bronze file", source))? {
        Some(encoded) => {
            let put = landing.put(encoded, now).await;
            Some(put.map_err(|source| PipelineError::lake("write a Bronze file", source))?)
        }
        None => None,
    };
    Ok((file, BronzeAccount { records, start_time: now, ingestion_time: now }))
}

/// The work on a batch that needs no table.
struct Worked {
    answers: Arc<Vec<Answer>>,
    conforming: JoinHandle<Conformed>,
    active: Arc<Active>,
}

impl Worked {
    /// What the plugin says of `batch`, and what the contracts make of that, which goes on meanwhile: while the batch
    /// before waits for disks, and the one behind is being read.
    async fn of(host: &Host, active: Arc<Active>, batch: &Arc<Batch>) -> Result<Self, PipelineError> {
        let answers = Arc::new(transform(&host.machine, &active, batch).await?);
        let (plan, batch, of, workers) =
            (Arc::clone(&active), batch.clone(), answers.clone(), host.machine.workers.clone());
        let conforming = async move { workers.run(move || plan.plan.conform(&batch, &of)).await };
        Ok(Self { answers, conforming: tokio::spawn(conforming), active })
    }

    fn pending(self, batch: Arc<Batch>, bronze_version: i64, account: BronzeAccount) -> Pending {
        let Self { answers, conforming, active } = self;
        Pending {
            late: BooleanArray::new_null(batch.len()),
            watermark: Watermark::default(),
            batch,
            bronze_version,
            ingestion_time: account.ingestion_time,
            account,
            answers,
            conforming,
            active,
        }
    }
}

/// What the plugin says of `batch`, call by call on all cores. Where the calls are cut changes nothing.
///
/// No more calls wait in the queue than keep the cores busy: the batch before is settled in between, and its waits for
/// the disk are filled.
pub(super) async fn transform(
    machine: &Machine,
    active: &Arc<Active>,
    batch: &Arc<Batch>,
) -> Result<Vec<Answer>, PipelineError> {
    let calls = active.plugin.cut(batch).into_iter().map(|range| {
        let (active, batch) = (Arc::clone(active), Arc::clone(batch));
        async move {
            machine.workers.run(move || active.plugin.transform(&batch, range)).await.map(|(answer, _report)| answer)
        }
    });
    Ok(stream::iter(calls).buffered(machine.workers.count() + 1).try_collect().await?)
}

/// The digest over (position, checksum) of every record.
fn digest(key: &crate::digest::DigestKey, batch: &Batch) -> crate::digest::Sum {
    (0..batch.len()).map(|i| key.element(&[batch.position_text(i).as_bytes(), &batch.checksum(i)])).sum()
}
