//! A batch's way to Bronze, with all work on it meanwhile that needs no table of Silver.

use std::sync::Arc;

use futures::future::try_join;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::task::JoinHandle;

use super::active::Active;
use super::{Host, Machine, PipelineError};
use crate::conform::outcome::Conformed;
use crate::entity::Answer;
use crate::lake::{Bronze, Landed};
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
}

impl Pending {
    /// What every commit of the batch names it by.
    pub(super) fn of(&self, tenant: &str) -> BatchRef {
        let source = self.batch.source.clone();
        let manifest_id = manifest::id(tenant, &source, self.bronze_version, Layer::Silver);
        BatchRef { source, bronze_version: self.bronze_version, manifest_id }
    }
}

/// Commits `batch` to Bronze, and transforms it under `active` while its file is being written.
pub(super) async fn land(
    host: &Host,
    bronze: &mut Bronze,
    active: Arc<Active>,
    batch: Batch,
) -> Result<Pending, PipelineError> {
    let batch = Arc::new(batch);
    let start_time = host.lake.world().now();
    let ingestion_time = start_time;
    let landing = bronze.landing();
    let write = async {
        let (records, key, encoder) = (Arc::clone(&batch), host.digest_key.clone(), landing.clone());
        let encode = move || (encoder.encode(&records, ingestion_time), digest(&key, &records));
        let (encoded, digest) = host.machine.workers.run(encode).await;
        let encoded = encoded.map_err(|source| PipelineError::lake("encode a Bronze file", source))?;
        let file = landing.put(encoded, ingestion_time).await;
        Ok::<_, PipelineError>((file.map_err(|source| PipelineError::lake("write a Bronze file", source))?, digest))
    };
    let ((file, records), answers) = try_join(write, answer(&host.machine, &active, &batch)).await?;
    let account = BronzeAccount { records, start_time, ingestion_time };
    let mut commit = bronze.stage(&batch, Some(file), account::to_info(&account));
    let bronze_version = bronze.append(&mut commit).await.map_err(PipelineError::Commit)?;
    let (answers, conforming) = answers;
    Ok(Pending { batch, bronze_version, ingestion_time, account, answers, conforming, active })
}

/// Commits `batch`, which has no records, to Bronze; the next run settles it like any other.
pub(super) async fn declare(host: &Host, bronze: &mut Bronze, batch: &Batch) -> Result<i64, PipelineError> {
    let now = host.lake.world().now();
    let account = BronzeAccount { records: digest(&host.digest_key, batch), start_time: now, ingestion_time: now };
    let mut commit = bronze.stage(batch, None, account::to_info(&account));
    bronze.append(&mut commit).await.map_err(PipelineError::Commit)
}

/// A batch that lies in Bronze already, transformed again under the digests in force there.
pub(super) async fn again(
    host: &Host,
    active: Arc<Active>,
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
    let (answers, conforming) = answer(&host.machine, &active, &batch).await?;
    Ok(Pending {
        batch,
        bronze_version: landed.version,
        ingestion_time: account.ingestion_time,
        account,
        answers,
        conforming,
        active,
    })
}

/// What the plugin says of `batch`, and what the contracts make of that, which goes on meanwhile: while the batch before
/// waits for disks, and the one behind is being read.
async fn answer(
    machine: &Machine,
    active: &Arc<Active>,
    batch: &Arc<Batch>,
) -> Result<(Arc<Vec<Answer>>, JoinHandle<Conformed>), PipelineError> {
    let answers = Arc::new(transform(machine, active, batch).await?);
    let (active, batch, of, workers) = (active.clone(), batch.clone(), answers.clone(), machine.workers.clone());
    let conforming = async move { workers.run(move || active.plan.conform(&batch, &of)).await };
    Ok((answers, tokio::spawn(conforming)))
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
