//! The manifest of a batch that a tenant stopped at.
//!
//! Whoever watches the manifests sees where and why, without a look at the host. The row states no progress: the next run
//! settles the batch like any other, and its row `COMPLETE` of the same id comes later in the table.

use std::collections::BTreeMap;

use serde_json::json;
use tracing::warn;

use super::line::Line;
use super::silver::Silver;
use super::{Host, PipelineError, chain, settle};
use crate::lake::Step;
use crate::manifest::account::{self, BronzeAccount};
use crate::manifest::{self, Layer, Manifest, QualityChecks, Status};

/// Marks the first batch of each line that is in Bronze and not in every table, because of `error`. What cannot be
/// written is only logged: the error itself is on its way to the operator.
pub(super) async fn record(host: &Host, lines: &mut [Line], silver: &mut Silver, error: &PipelineError) {
    for line in lines {
        if let Err(failed) = one(host, line, silver, error).await {
            warn!(source = line.name, error = chain(&failed), "failed to write the manifest of a failure");
        }
    }
}

async fn one(host: &Host, line: &mut Line, silver: &mut Silver, error: &PipelineError) -> Result<(), PipelineError> {
    let settled = silver.manifests.transaction(&line.name).unwrap_or(-1);
    let steps = line.bronze.steps(settled).await;
    let steps = steps.map_err(|source| PipelineError::lake("read the Bronze log", source))?;
    let batch = steps.into_iter().find_map(|step| match step {
        Step::Batch(landed) => Some(landed),
        Step::Activation(_) | Step::Summary(_) => None,
    });
    let Some(batch) = batch else { return Ok(()) };
    let now = host.lake.world().now();
    let account: Option<BronzeAccount> = account::from_info(&batch.info);
    let digests = line.activations.at(batch.version);
    let (tenant, source) = (silver.tenant().to_owned(), line.name.clone());
    let id = |layer| manifest::id(&tenant, &source, batch.version, layer);
    let manifest = Manifest {
        manifest_id: id(Layer::Silver),
        batch_id: format!("{source}@{}", batch.version),
        record_count: batch.records,
        start_time: account.map_or(now, |account| account.ingestion_time),
        end_time: now,
        status: Status::Failed,
        quality_checks: QualityChecks::default(),
        layer: Layer::Silver,
        lineage: vec![id(Layer::Bronze)],
        plugin_digest: digests.map(|digests| digests.plugin.to_string()).unwrap_or_default(),
        configuration_digest: digests.map(|digests| digests.configuration.to_string()).unwrap_or_default(),
        delta_versions: BTreeMap::from([(format!("bronze/{source}"), batch.version)]),
        accounts: json!({ "error": chain(error) }),
        tenant: tenant.clone(),
        source: source.clone(),
    };
    let failed = |source| PipelineError::lake("write manifests", source);
    let file = silver.manifests.writer().write(manifest::to_records(&[manifest]), &[]).await.map_err(failed)?;
    let mut commit = silver.manifests.begin("STREAMING UPDATE");
    commit.adds.push(file);
    settle::append(&mut silver.manifests, &commit).await
}
