//! Working on some records without a lake: what `try` shows.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray};

use super::{Machine, PipelineError, active, land};
use crate::conform::outcome::Conformed;
use crate::conform::plan::Plan;
use crate::record::Batch;
use crate::registry::tenant::{SourceSettings, Tenant};
use crate::source::files::Reading;
use crate::source::{BatchBounds, Next, Progress};

/// What would come of some records.
pub struct Trial {
    /// The records.
    pub batch: Arc<Batch>,
    /// The entities, and how rows come to them.
    pub plan: Plan,
    /// What became of records and rows before any decision.
    pub conformed: Conformed,
    /// The plugin's JSONPaths, and how many nodes each selected.
    pub paths: Vec<(String, u64)>,
}

impl Trial {
    /// References to keys of entities that the plugin fills but that no row here has, by link (`order.customer`).
    pub fn dangling(&self) -> BTreeMap<String, u64> {
        let entities = self.plan.entities().iter().zip(&self.conformed.entities);
        let keys: BTreeMap<&str, HashSet<&[u8]>> = entities
            .clone()
            .map(|(plan, rows)| (plan.contract.entity.as_str(), rows.keys.iter().map(|key| key.as_slice()).collect()))
            .collect();
        let mut counts = BTreeMap::new();
        for (plan, rows) in entities {
            for (link, values) in plan.links.iter().zip(&rows.columns[plan.contract.columns.len()..]) {
                let Some(known) = keys.get(link.entity.as_str()) else { continue };
                let values = values.as_binary::<i32>();
                let missing = (0..values.len())
                    .filter(|row| values.is_valid(*row) && !known.contains(values.value(*row)))
                    .count();
                if missing > 0 {
                    counts.insert(format!("{}.{}", plan.contract.entity, link.name), missing as u64);
                }
            }
        }
        counts
    }
}

/// Takes the first records of `source` through the real component and the contracts.
pub async fn trial(
    machine: &Machine,
    tenant: &Tenant,
    source: &SourceSettings,
    records_max: usize,
) -> Result<Trial, PipelineError> {
    let active = active::alone(machine, tenant, source).await?;
    let mut records = source.open(Reading::Once);
    records.resume(&Progress::default())?;
    let bounds = BatchBounds { records_max, bytes_max: crate::record::BATCH_BYTES_MAX };
    let batch = match records.next(bounds)? {
        Next::Batch(batch) => batch,
        Next::Nothing | Next::Ended => {
            crate::record::BatchBuilder::new(&source.name).finish(vec![], serde_json::Value::Null)
        }
    };
    let batch = Arc::new(batch);
    let answers = land::transform(machine, &active, &batch).await?;
    let conformed = active.plan.conform(&batch, &answers);
    let mut paths: Vec<(String, u64)> = active.plugin.descriptor().paths.iter().map(|path| (path.clone(), 0)).collect();
    for answer in &answers {
        paths.iter_mut().zip(&answer.path_hits).for_each(|((_, hits), more)| *hits += more);
    }
    Ok(Trial { batch, plan: active.plan.clone(), conformed, paths })
}
