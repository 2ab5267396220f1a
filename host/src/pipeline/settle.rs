//! A landed batch's way to Silver, quarantine and manifest.
//!
//! The order is the promise: every Silver table, then quarantine, then the manifest. A table that has the batch
//! already, because an earlier run got so far, gives its account from its log and is not touched again.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use serde_json::json;

use super::index::Dimensions;
use super::land::Pending;
use super::silver::{Entity, Silver};
use super::{Host, PipelineError, Tally, accounts};
use crate::conform::outcome::Conformed;
use crate::conform::written::Lineage;
use crate::lake::quarantine::{self, Circumstances};
use crate::lake::{Commit, CommitError, Table};
use crate::manifest::account::{self, BatchRef, EntityAccount, RecordAccount};
use crate::manifest::{self, Layer, Manifest, QualityChecks, Status};
use crate::mutant::{Safeguard, without};

/// Takes `pending` to every table that does not have it yet, and adds what became of it to `tally`.
pub(super) async fn settle(
    host: &Arc<Host>,
    silver: &mut Silver,
    mut pending: Pending,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    silver.prepare(host, &pending.active).await?;
    let conformed = (&mut pending.conforming).await.map_err(|panic| PipelineError::Fault(panic.to_string()))?;
    let (pending, conformed) = (Arc::new(pending), Arc::new(conformed));
    let work = Work { host, batch: pending.of(silver.tenant()), pending: &pending, conformed: &conformed };

    // Dimensions first: a fact's references are then looked up in a Silver that holds what the batch itself brought.
    let mut entities = Vec::new();
    for dimensions in [true, false] {
        let indexes = Arc::new(silver.dimensions());
        let mut jobs = Vec::new();
        for (name, entity) in &mut silver.entities {
            let place = pending.active.plan.entities().iter().position(|plan| plan.contract.entity == *name);
            if let Some(place) = place.filter(|_| entity.is_dimension() == dimensions) {
                jobs.push(work.entity(entity, place, Arc::clone(&indexes)));
            }
        }
        entities.extend(try_join_all(jobs).await?);
    }
    let records = work.quarantine(&mut silver.quarantine, &entities).await?;
    work.manifest(silver, &entities, &records).await?;
    silver.maintain().await?;
    accounts::add(tally, &pending.batch, &entities, &records);
    Ok(())
}

/// One batch on its way.
struct Work<'a> {
    host: &'a Arc<Host>,
    batch: BatchRef,
    pending: &'a Arc<Pending>,
    conformed: &'a Arc<Conformed>,
}

impl Work<'_> {
    /// Whether a table has consumed the batch.
    fn is_in(&self, table: &Table) -> bool {
        table.transaction(&self.batch.source).is_some_and(|version| version >= self.batch.bronze_version)
    }

    fn stage(&self, table: &Table, account: &impl serde::Serialize) -> Commit {
        let mut commit = table.begin("STREAMING UPDATE");
        commit.transactions = vec![(self.batch.source.clone(), self.batch.bronze_version)];
        commit.info = account::to_info(account);
        commit
    }

    /// Decides and commits the rows of one entity.
    async fn entity(
        &self,
        entity: &mut Entity,
        place: usize,
        dimensions: Arc<Dimensions>,
    ) -> Result<EntityAccount, PipelineError> {
        loop {
            if self.is_in(&entity.rows) {
                return self.account(&entity.rows).await;
            }
            let older = entity.older_facts(&self.conformed.entities[place]).await?;
            let (pending, conformed, batch) =
                (Arc::clone(self.pending), Arc::clone(self.conformed), self.batch.clone());
            let (index, plan, writer) = (entity.index.clone(), entity.plan.clone(), entity.rows.writer());
            let (key, dimensions) = (self.host.digest_key.clone(), Arc::clone(&dimensions));
            let decided = self.host.machine.workers.run(move || {
                let rows = &conformed.entities[place];
                let (outcomes, delta) = index.decide(&plan, rows, &older)?;
                let mut account =
                    accounts::of_rows(&key, batch, &plan.contract.entity, &pending.batch, rows, &outcomes);
                account.dangling = dimensions.dangling(&plan, rows, &outcomes)?;
                let lineage = Lineage {
                    batch: &pending.batch,
                    manifest_id: &account.batch.manifest_id,
                    ingested: pending.ingestion_time,
                    late: &pending.late,
                };
                let encoded = (account.kept.count > 0)
                    .then(|| writer.encode(&index.written(&plan, rows, &outcomes, lineage)))
                    .transpose()
                    .map_err(|source| PipelineError::lake("encode Silver rows", source))?;
                Ok::<_, PipelineError>((account, delta, encoded))
            });
            let (account, delta, encoded) = decided.await?;
            let mut commit = self.stage(&entity.rows, &account);
            if let Some(encoded) = encoded {
                let file = entity.rows.writer().put(encoded, &[]).await;
                commit.adds.push(file.map_err(|source| PipelineError::lake("write Silver rows", source))?);
            }
            let mut delta = Some(delta);
            if without(Safeguard::IndexAfterCommit) {
                delta.take().map_or(Ok(()), |delta| entity.index.apply(delta, entity.rows.version() + 1))?;
            }
            match entity.rows.commit(&commit).await {
                Ok(version) => {
                    // On a core of its own: other work of the tenant is waiting for this thread.
                    let index = entity.index.clone();
                    let apply = move || delta.map_or(Ok(()), |delta| index.apply(delta, version));
                    self.host.machine.workers.run(apply).await?;
                    return Ok(account);
                }
                // Somebody else wrote: what they kept counts before us, so the batch is decided again.
                Err(CommitError::Conflict { .. }) => entity.follow().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The account that `table` gave of the batch when it consumed it.
    async fn account<T: serde::de::DeserializeOwned>(&self, table: &Table) -> Result<T, PipelineError> {
        const WINDOW: i64 = 64;
        let mut to = table.version();
        while to >= 0 {
            let from = (to - WINDOW + 1).max(0);
            let entries =
                table.entries(from, to).await.map_err(|source| PipelineError::lake("read a table's log", source))?;
            let wanted = (self.batch.source.clone(), self.batch.bronze_version);
            if let Some(entry) = entries.iter().rev().find(|entry| entry.transactions.contains(&wanted)) {
                return account::from_info(&entry.info).ok_or_else(|| {
                    PipelineError::Corrupt(format!(
                        "version {} of `{}` carries no account of its batch",
                        entry.version,
                        table.name()
                    ))
                });
            }
            to = from - 1;
        }
        Err(PipelineError::Corrupt(format!(
            "`{}` is past Bronze version {} of source `{}` but no entry of its log says how",
            table.name(),
            self.batch.bronze_version,
            self.batch.source
        )))
    }

    /// Commits what was refused, and accounts for every record.
    async fn quarantine(&self, table: &mut Table, entities: &[EntityAccount]) -> Result<RecordAccount, PipelineError> {
        if self.is_in(table) {
            return self.account(table).await;
        }
        let (pending, conformed, batch) = (Arc::clone(self.pending), Arc::clone(self.conformed), self.batch.clone());
        let conflicts: Vec<(String, Vec<(u32, u32)>)> =
            entities.iter().map(|account| (account.entity.clone(), account.conflicts.clone())).collect();
        let (key, writer) = (self.host.digest_key.clone(), table.writer());
        let made = self.host.machine.workers.run(move || {
            let account = accounts::of_records(&key, batch, &pending.batch, &conformed);
            let refused = accounts::refused(&pending, &conformed, &conflicts);
            let of = Circumstances {
                bronze_version: pending.bronze_version,
                plugin_digest: pending.active.digests.plugin.to_string(),
                configuration_digest: pending.active.digests.configuration.to_string(),
                manifest_id: account.batch.manifest_id.clone(),
                ingestion_time: pending.ingestion_time,
            };
            let encoded = (!refused.is_empty())
                .then(|| writer.encode(&quarantine::to_records(&pending.batch, &refused, &of)))
                .transpose();
            encoded.map(|encoded| (account, encoded))
        });
        let (account, encoded) = made.await.map_err(|source| PipelineError::lake("encode quarantine", source))?;
        let mut commit = self.stage(table, &account);
        if let Some(encoded) = encoded {
            let file = table.writer().put(encoded, &[]).await;
            commit.adds.push(file.map_err(|source| PipelineError::lake("write quarantine", source))?);
        }
        append(table, &commit).await?;
        Ok(account)
    }

    /// Commits the batch's two manifests: of Bronze, and of Silver that follows from it.
    async fn manifest(
        &self,
        silver: &mut Silver,
        entities: &[EntityAccount],
        records: &RecordAccount,
    ) -> Result<(), PipelineError> {
        if self.is_in(&silver.manifests) {
            return Ok(());
        }
        let BatchRef { source, bronze_version, manifest_id } = &self.batch;
        let mut received = json!({ "bronze": self.pending.account });
        // What is missing between the records of a batch, and why that is no loss.
        if let Some(gaps) = self.pending.batch.evidence["gaps"].as_array().filter(|gaps| !gaps.is_empty()) {
            received["gaps"] = json!(gaps);
        }
        let bronze = Manifest {
            manifest_id: manifest::id(silver.tenant(), source, *bronze_version, Layer::Bronze),
            tenant: silver.tenant().to_owned(),
            source: source.clone(),
            batch_id: format!("{source}@{bronze_version}"),
            record_count: self.pending.batch.len() as u64,
            start_time: self.pending.account.start_time,
            end_time: self.pending.ingestion_time,
            status: Status::Complete,
            quality_checks: QualityChecks { schema_valid: true, null_check_pass: true, ..QualityChecks::default() },
            layer: Layer::Bronze,
            lineage: vec![],
            plugin_digest: self.pending.active.digests.plugin.to_string(),
            configuration_digest: self.pending.active.digests.configuration.to_string(),
            delta_versions: BTreeMap::from([(format!("bronze/{source}"), *bronze_version)]),
            accounts: received,
        };
        let mut versions: BTreeMap<String, i64> = entities
            .iter()
            .filter_map(|account| silver.entities.get(&account.entity))
            .map(|entity| (short_name(&entity.rows), entity.rows.version()))
            .collect();
        versions.insert("quarantine".to_owned(), silver.quarantine.version());
        let of_silver = Manifest {
            manifest_id: manifest_id.clone(),
            start_time: self.pending.ingestion_time,
            end_time: self.host.lake.world().now(),
            quality_checks: accounts::quality(entities, records),
            layer: Layer::Silver,
            lineage: vec![bronze.manifest_id.clone()],
            delta_versions: versions,
            accounts: json!({ "records": records, "entities": entities }),
            ..bronze.clone()
        };
        let rows = manifest::to_records(&[bronze, of_silver]);
        let file = silver
            .manifests
            .writer()
            .write(rows, &[])
            .await
            .map_err(|source| PipelineError::lake("write manifests", source))?;
        let mut commit = self.stage(&silver.manifests, &self.batch);
        // Where the source stands in event time is progress as well: the next batch is judged by it, on whatever host.
        commit.transactions.extend(self.pending.watermark.latest().map(|latest| (latest_of(source), latest)));
        commit.adds.push(file);
        append(&mut silver.manifests, &commit).await
    }
}

/// Commits to a table that all sources of the tenant append to and nobody decides against; nothing is done where the table
/// has consumed what the commit's transactions name.
pub(super) async fn append(table: &mut Table, commit: &Commit) -> Result<(), PipelineError> {
    loop {
        match table.commit(commit).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict { .. }) => {
                table.refresh().await.map_err(|source| PipelineError::lake("read a table's log", source))?;
                let consumed = |(app_id, to): &(String, i64)| table.transaction(app_id).is_some_and(|at| at >= *to);
                if !commit.transactions.is_empty() && commit.transactions.iter().all(consumed) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The transaction of the manifests that holds the latest event time of `source`, microseconds since the epoch. No source
/// can have the name.
pub(super) fn latest_of(source: &str) -> String {
    format!("{source}/LATEST")
}

/// `silver/order` of `acme/silver/order`.
fn short_name(table: &Table) -> String {
    table.name().split_once('/').map_or(table.name(), |(_, name)| name).to_owned()
}
