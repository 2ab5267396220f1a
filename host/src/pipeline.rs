//! One tenant's way from source to manifest, and many tenants side by side. The only module that orders effects.
//!
//! For each batch, in this order: the Bronze commit; then the commits of the Silver tables, in any order among
//! themselves; then quarantine; then the manifest. Each of these carries the Bronze version it has consumed, so
//! a crash between any two leaves tables that only have to catch up, and [`tenant`] does that before it reads
//! on. While one batch is settled in Silver the next is landed in Bronze; the plugin runs while Bronze is being
//! written, and nothing of Silver is committed before the Bronze commit it rests on.
//!
//! A tenant that fails stops alone: its error is part of the report, and the others never learn of it.

mod accounts;
mod active;
mod failed;
mod fold;
mod index;
mod keys;
mod land;
mod line;
mod recovery;
mod settle;
mod silver;
mod tenant;
pub mod trial;
pub mod workers;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::conform::store::StoreError;
use crate::digest::DigestKey;
use crate::entity::Diagnostic;
use crate::lake::{Bronze, CommitError, Lake, LakeError};
use crate::registry::configured::ConfiguredError;
use crate::registry::plugin::FindError;
use crate::registry::tenant::{SourceSettings, Tenant};
use crate::sandbox::{DescribeError, Engine, HostFault, PluginLoadError};
use crate::source::files::Reading;
use crate::source::kafka::{self, Standing};
use crate::source::{Source, SourceError};
pub use keys::{KeyError, Keys};
pub use silver::KEY_PROPERTY;
pub use workers::Workers;

/// What all tenants of a host share.
#[derive(Clone, Debug)]
pub struct Host {
    /// The lake, whose clock is the host's.
    pub lake: Lake,
    /// Where records come from.
    pub inputs: Arc<dyn Inputs>,
    /// What computes.
    pub machine: Machine,
    /// The key of the proof's digests.
    pub digest_key: DigestKey,
    /// The host's secrets.
    pub keys: Keys,
    /// The folder of the dedup indexes.
    pub index_folder: PathBuf,
    /// Set once the host is to stop after the batch in hand.
    pub stop: Stop,
    /// How to run.
    pub settings: Settings,
}

/// Opens the sources of tenants.
pub trait Inputs: fmt::Debug + Send + Sync {
    /// The source that `settings` of `tenant` state, at its beginning.
    fn open(&self, tenant: &str, settings: &SourceSettings, reading: Reading) -> Box<dyn Source>;
}

/// The files and topics that tenants state.
#[derive(Debug)]
pub struct Stated;

impl Inputs for Stated {
    fn open(&self, _: &str, settings: &SourceSettings, reading: Reading) -> Box<dyn Source> {
        settings.open(reading)
    }
}

/// What computes, with or without a lake.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Compiles and runs plugins.
    pub engine: Engine,
    /// The cores.
    pub workers: Workers,
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Records in a batch, at most, whatever the sources state.
    pub records_max: Option<usize>,
    /// The pause between two folds of a dimension; a fold that takes over a tenth of it makes it longer.
    pub fold_every: Duration,
    /// Go on when the input has ended, and look for more.
    pub follow: Option<Duration>,
}

/// A wish to stop, seen by every tenant between two batches.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks every tenant to finish the batch in hand and stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether anybody asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Why a tenant stopped. What it had committed stands; running it again takes up there.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The lake could not be read or written.
    #[error("failed to {action}")]
    Lake {
        /// What was being done.
        action: String,
        /// Why it failed.
        #[source]
        source: LakeError,
    },
    /// A commit was lost or its outcome is unknown.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The plugin cannot be run at all.
    #[error(transparent)]
    PluginLoad(#[from] PluginLoadError),
    /// The plugin failed on its configuration.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// The sandbox itself failed.
    #[error(transparent)]
    Sandbox(#[from] HostFault),
    /// The tenant's configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfiguredError),
    /// The plugin is not there.
    #[error(transparent)]
    Plugin(#[from] FindError),
    /// A key could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An index could not be kept.
    #[error(transparent)]
    Index(#[from] StoreError),
    /// A bug of this program.
    #[error("internal error: {0}; please report it")]
    Fault(String),
    /// Tables contradict each other: nothing is read or written until an operator looks.
    #[error("{0}")]
    Corrupt(String),
}

impl PipelineError {
    fn lake(action: impl Into<String>, source: LakeError) -> Self {
        Self::Lake { action: action.into(), source }
    }
}

/// What became of one source's records in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records received.
    pub records: u64,
    /// Records that gave rows.
    pub transformed: u64,
    /// Records without rows, on purpose, by reason.
    pub filtered: BTreeMap<String, u64>,
    /// Records quarantined, by code.
    pub quarantined: BTreeMap<String, u64>,
    /// Per entity: rows emitted, kept, duplicate and refused.
    pub entities: BTreeMap<String, EntityTally>,
    /// Batches committed.
    pub batches: u64,
}

/// What became of the rows of one entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntityTally {
    /// Rows that reached the decision.
    pub emitted: u64,
    /// Rows written.
    pub kept: u64,
    /// Rows that said nothing new.
    pub duplicate: u64,
    /// Rows refused for a conflict.
    pub refused: u64,
}

/// How one tenant's run ended.
#[derive(Debug)]
pub struct TenantReport {
    /// The tenant.
    pub tenant: String,
    /// What became of its records.
    pub tally: Tally,
    /// Why it stopped before its input ended; none when all is well.
    pub error: Option<PipelineError>,
}

/// Follows a run from outside.
pub trait Observer: Send + Sync {
    /// A batch of `tenant` is in every table; `tally` is what the run did so far, `progress` the source's
    /// (bytes in all, bytes read).
    fn settled(&self, tenant: &str, tally: &Tally, progress: Option<(u64, u64)>);
}

/// Runs `tenants` side by side until their input ends, or until a stop is requested. Reports come in the
/// order of `tenants`.
pub async fn run(host: &Arc<Host>, tenants: Vec<Arc<Tenant>>, observer: &Arc<dyn Observer>) -> Vec<TenantReport> {
    let running = tenants.into_iter().map(|tenant| {
        let name = tenant.name.clone();
        let task = tokio::spawn(tenant::run(Arc::clone(host), tenant, Arc::clone(observer)));
        async move {
            match task.await {
                Ok((tally, error)) => TenantReport { tenant: name, tally, error },
                Err(panic) => TenantReport {
                    tenant: name,
                    tally: Tally::default(),
                    error: Some(PipelineError::Fault(panic.to_string())),
                },
            }
        }
    });
    futures::future::join_all(running).await
}

/// What `validate` finds in a tenant that can run.
#[derive(Debug)]
pub struct Checked {
    /// The plugin, with the version it says of itself.
    pub plugin: String,
    /// The entities it fills.
    pub entities: Vec<String>,
    /// Findings that do not prevent activation, rendered with their places.
    pub warnings: Vec<String>,
    /// The configuration in force, every default written out.
    pub effective: serde_json::Value,
}

/// Checks one source of a tenant by the code that runs it: the component loads, accepts its configuration, and
/// fits the contracts.
pub async fn check(machine: &Machine, tenant: &Tenant, source: &SourceSettings) -> Result<Checked, PipelineError> {
    let active = active::alone(machine, tenant, source).await?;
    let (descriptor, configured) = (active.plugin.descriptor(), tenant.configured(source));
    let findings: Vec<Diagnostic> = descriptor.warnings.iter().chain(&active.plan.warnings).cloned().collect();
    let mut effective = serde_json::to_value(&configured).expect("a configuration is text and numbers under text keys");
    let treatments = serde_json::to_value(active.plan.treatments_in_force()).expect("treatments have text keys only");
    effective["treatments"] = treatments;
    Ok(Checked {
        plugin: format!("{}@{}", descriptor.name, descriptor.version),
        entities: active.plan.entities().iter().map(|entity| entity.contract.entity.clone()).collect(),
        warnings: findings.iter().map(|finding| configured.render(std::slice::from_ref(finding))).collect(),
        effective,
    })
}

/// Where the partitions of a Kafka source stand.
pub async fn standings(
    lake: &Lake,
    tenant: &str,
    source: &str,
    settings: &kafka::Settings,
) -> Result<Vec<Standing>, PipelineError> {
    let path = format!("{tenant}/bronze/{source}");
    let bronze = lake.find(&path).await.map_err(|error| PipelineError::lake("open Bronze", error))?;
    let known = bronze.iter().flat_map(|table| table.transactions()).map(|(app_id, last)| (app_id.clone(), *last));
    let (known, source, settings) = (known.collect(), source.to_owned(), settings.clone());
    let looked = tokio::task::spawn_blocking(move || kafka::look(&source, &settings, &known)).await;
    Ok(looked.map_err(|panic| PipelineError::Fault(panic.to_string()))??)
}

/// Has Bronze go on in spite of what halts `standings`; the version that says so, if anything does.
pub async fn acknowledge_gap(
    host: &Host,
    tenant: &str,
    source: &str,
    standings: &[Standing],
) -> Result<Option<i64>, PipelineError> {
    let Some(batch) = Standing::acknowledge(source, standings) else { return Ok(None) };
    let bronze = Bronze::open(&host.lake, tenant, source).await;
    let mut bronze = bronze.map_err(|error| PipelineError::lake("open Bronze", error))?;
    land::only(host, &mut bronze, batch).await.map(Some)
}

/// An error and its causes in one line, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Transparent errors repeat their cause.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
