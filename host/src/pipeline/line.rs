//! One source of a tenant: where its records come from, its Bronze, and what works on its records.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tracing::error;

use super::active::{Active, activate, describe};
use super::land::{self, Pending};
use super::recovery::{self, Consumed};
use super::settle::latest_of;
use super::silver::Silver;
use super::{Host, PipelineError};
use crate::conform::watermark::Watermark;
use crate::entity::Descriptor;
use crate::lake::{Activation, Bronze, CommitError, Landed, Policy, Step};
use crate::mutant::{Safeguard, without};
use crate::position::Span;
use crate::registry::activation::{Activations, Digests};
use crate::registry::configured::ConfiguredError;
use crate::registry::plugin::Configured;
use crate::registry::tenant::{SourceSettings, Tenant};
use crate::source::files::Reading;
use crate::source::{BatchBounds, Progress, Source, SourceError, Stake};

/// One source of a tenant: where its records come from, and what works on them.
pub(super) struct Line {
    pub(super) name: String,
    settings: SourceSettings,
    source: Option<Box<dyn Source>>,
    /// Why its source reads no more, until somebody says in Bronze that it may.
    pub(super) halted: Option<SourceError>,
    pub(super) bronze: Bronze,
    pub(super) activations: Activations,
    /// The Bronze version up to which `activations` are known.
    known: i64,
    pub(super) bounds: BatchBounds,
    /// The Bronze version up to which every batch was handed on to be settled, or is due.
    pub(super) seen: i64,
    /// What is in Bronze and to be settled before anything newer: what hosts before this one, or beside it, landed.
    due: VecDeque<Due>,
    /// When a batch was last landed while others were due, microseconds since the epoch.
    landed_beside: i64,
    /// Where the source stands behind the batch that was handed on last.
    pub(super) watermark: Watermark,
    tenant: String,
    /// What tokens are made with.
    key: Vec<u8>,
    wanted: Arc<Active>,
    /// What is stored in the lake's registry at the activation.
    objects: [Vec<u8>; 2],
    earlier: HashMap<Digests, Arc<Active>>,
    peers: Vec<Descriptor>,
}

/// Bronze versions that may be due before anything else is landed.
const DUE_MAX: usize = 4;
/// How often a batch is landed while more is due.
const BESIDE_EVERY_MICROS: u64 = 1_000_000;

/// A Bronze version that waits to be settled.
struct Due {
    step: Step,
    /// What was made of it when this host landed it.
    worked: Option<Pending>,
}

/// What Bronze says of all its versions.
struct History {
    activations: Activations,
    evidence: Vec<Value>,
}

impl History {
    async fn read(bronze: &Bronze, source: &str) -> Result<Self, PipelineError> {
        let (mut activations, mut evidence) = (Activations::default(), vec![]);
        for step in bronze.history().await.map_err(|source| PipelineError::lake("read the Bronze log", source))? {
            match step {
                Step::Summary(summary) => {
                    evidence = vec![summary.evidence];
                    activations = Activations::from_info(&summary.info).ok_or_else(|| {
                        PipelineError::Corrupt(format!(
                            "the summary at Bronze version {} of source `{source}` names no activations",
                            summary.version
                        ))
                    })?;
                }
                Step::Batch(landed) => evidence.push(landed.evidence),
                Step::Activation(activation) => {
                    if let Some(digests) = Digests::from_info(&activation.info) {
                        activations.push(activation.version, digests);
                    }
                }
            }
        }
        Ok(Self { activations, evidence })
    }
}

/// Opens every source of `tenant` where its Bronze ends.
pub(super) async fn open(host: &Arc<Host>, tenant: &Tenant) -> Result<Vec<Line>, PipelineError> {
    let key = match &tenant.pii.key {
        Some((file, _)) => host.keys.of_tenant(file)?,
        None => host.keys.own(&format!("{}-tokens", tenant.name))?.to_vec(),
    };
    let mut described = Vec::new();
    for source in &tenant.sources {
        let (configured, wasm) = (tenant.configured(source), tenant.component(source)?.bytes);
        let (component, descriptor) = describe(&host.machine, &configured, &wasm).await?;
        described.push((source, configured, wasm, component, descriptor));
    }
    let descriptors: Vec<Descriptor> = described.iter().map(|(.., descriptor)| descriptor.clone()).collect();
    let mut lines = Vec::new();
    for (place, (source, configured, wasm, component, descriptor)) in described.into_iter().enumerate() {
        let mut peers = descriptors.clone();
        peers.remove(place);
        let wanted = activate(&tenant.name, &configured, &key, &wasm, &component, descriptor, &peers)?;
        let bronze = Bronze::open(&host.lake, &tenant.name, &source.name);
        let bronze = bronze.await.map_err(|source| PipelineError::lake("open Bronze", source))?;
        let History { activations, evidence } = History::read(&bronze, &source.name).await?;
        let version = bronze.version();
        let mut line = Line {
            name: source.name.clone(),
            settings: source.clone(),
            source: None,
            halted: None,
            bronze,
            activations,
            known: version,
            seen: version,
            due: VecDeque::new(),
            landed_beside: 0,
            watermark: Watermark::default(),
            bounds: BatchBounds {
                records_max: host.settings.records_max.unwrap_or(source.batch.records_max),
                ..source.batch
            },
            tenant: tenant.name.clone(),
            key: key.clone(),
            wanted: Arc::new(wanted),
            objects: [wasm, configured.canonical().into_bytes()],
            earlier: HashMap::new(),
            peers,
        };
        line.start(host, evidence)?;
        lines.push(line);
    }
    Ok(lines)
}

impl Line {
    /// Has the source begin where Bronze ends.
    fn start(&mut self, host: &Host, evidence: Vec<Value>) -> Result<(), PipelineError> {
        let reading = if host.settings.follow.is_some() { Reading::Following } else { Reading::Once };
        let mut source = host.inputs.open(&self.tenant, &self.settings, reading);
        let resumed = source.resume(&Progress { transactions: self.bronze.progress(), evidence });
        self.source = Some(source);
        match resumed {
            Err(halted @ SourceError::Halted { .. }) => {
                self.halt(halted);
                Ok(())
            }
            resumed => Ok(resumed?),
        }
    }

    /// Stops reading because of `error`; the tenant's other sources go on.
    pub(super) fn halt(&mut self, error: SourceError) {
        error!(tenant = self.tenant, "{error}; what else the tenant reads goes on");
        self.halted = Some(error);
    }

    /// Looks for what others committed to Bronze: whether there is anything.
    ///
    /// A halted source begins again once somebody has declared in Bronze what is given up.
    pub(super) async fn look(&mut self, host: &Host) -> Result<bool, PipelineError> {
        let news = self.bronze.refresh().await.map_err(|source| PipelineError::lake("follow Bronze", source))?;
        let declared = |step: &Step| matches!(step, Step::Batch(landed) if landed.records == 0);
        if self.halted.is_some() && news.iter().any(declared) {
            let source = self.source.take();
            host.machine.workers.aside(move || drop(source)).await;
            let History { evidence, .. } = History::read(&self.bronze, &self.name).await?;
            self.halted = None;
            self.start(host, evidence)?;
        }
        Ok(!news.is_empty())
    }

    /// Begins to settle where `silver` stands: what lies in Bronze behind that is due.
    pub(super) async fn take_up(&mut self, host: &Host, silver: &mut Silver) -> Result<(), PipelineError> {
        self.look(host).await?;
        if self.known != self.bronze.version() {
            self.activations = History::read(&self.bronze, &self.name).await?.activations;
            self.known = self.bronze.version();
        }
        let manifests = silver.manifests.transaction(&self.name);
        // Those that the last batch in the manifests has fed: other digests may have fed others.
        let fed = match manifests.and_then(|version| self.activations.at(version)) {
            Some(digests) => {
                let active = self.active(host, digests).await?;
                silver.prepare(host, &active).await?;
                silver.consumed(&active, &self.name)
            }
            None => vec![],
        };
        // Bronze last: another host may be settling still, and no table is ahead of what Bronze is afterwards.
        self.look(host).await?;
        let fed: Vec<(&str, Option<i64>)> = fed.iter().map(|(table, at)| (table.as_str(), *at)).collect();
        let consumed = Consumed { bronze: self.bronze.version(), tables: &fed, manifests };
        let settled = match recovery::settled(consumed) {
            Err(_) if without(Safeguard::Contradiction) => manifests.unwrap_or(-1),
            settled => settled.map_err(|found| PipelineError::Corrupt(format!("source `{}`: {found}", self.name)))?,
        };
        if let Some(digests) = self.activations.current() {
            self.wanted = self.active(host, digests).await?;
        }
        // Opened even if no record comes: a host that died may have left changes that no dimension has.
        silver.prepare(host, &self.wanted).await?;
        self.watermark = Watermark::behind(silver.manifests.transaction(&latest_of(&self.name)));
        self.due.clear();
        self.seen = if without(Safeguard::CatchUp) { self.bronze.version() } else { settled };
        self.follow().await
    }

    /// Activates what the tenant's folder says, if that is not in force already.
    ///
    /// The objects are stored before the commit that names them.
    pub(super) async fn activate(&mut self, host: &Host) -> Result<(), PipelineError> {
        if self.activations.current() == Some(self.wanted.digests) {
            return Ok(());
        }
        let Digests { plugin, configuration } = self.wanted.digests;
        for (digest, bytes) in [plugin, configuration].into_iter().zip(&self.objects) {
            let stored = host.lake.put_object(&format!("{}/{}", self.tenant, digest.path()), bytes.clone()).await;
            stored.map_err(|source| PipelineError::lake("store an object of the registry", source))?;
        }
        let mut commit = self.bronze.stage_activation(self.wanted.digests.to_info());
        self.bronze.append(&mut commit).await?;
        Ok(())
    }

    /// What is in Bronze behind what was seen becomes due, in order.
    pub(super) async fn follow(&mut self) -> Result<(), PipelineError> {
        let news = self.bronze.steps(self.seen).await;
        let news = news.map_err(|source| PipelineError::lake("read the Bronze log", source))?;
        self.due.extend(news.into_iter().map(|step| Due { step, worked: None }));
        self.seen = self.bronze.version();
        Ok(())
    }

    /// The same, where `pending` is among it: the work on it is done, if its digests still are in force when its turn comes.
    pub(super) async fn follow_with(&mut self, pending: Pending) -> Result<(), PipelineError> {
        self.follow().await?;
        let is_it =
            |due: &&mut Due| matches!(&due.step, Step::Batch(landed) if landed.version == pending.bronze_version);
        if let Some(due) = self.due.iter_mut().find(is_it) {
            due.worked = Some(pending);
        }
        Ok(())
    }

    /// The next batch that is due, ready to be settled.
    pub(super) async fn next_due(&mut self, host: &Host) -> Result<Option<Pending>, PipelineError> {
        while let Some(Due { step, worked }) = self.due.pop_front() {
            match step {
                Step::Batch(landed) => {
                    let pending = self.work(host, landed, worked).await?;
                    self.watermark = pending.watermark;
                    return Ok(Some(pending));
                }
                Step::Activation(activation) => self.adopt(host, &activation).await?,
                Step::Summary(_) => {}
            }
        }
        Ok(None)
    }

    /// What is made of a batch in Bronze under the digests in force there.
    async fn work(&mut self, host: &Host, landed: Landed, worked: Option<Pending>) -> Result<Pending, PipelineError> {
        let newest = self.activations.current().filter(|_| without(Safeguard::DigestsInForce));
        let digests = newest.or_else(|| self.activations.at(landed.version)).ok_or_else(|| {
            PipelineError::Corrupt(format!(
                "Bronze version {} of source `{}` has no activation below it",
                landed.version, self.name
            ))
        })?;
        if let Some(worked) = worked.filter(|worked| worked.active.digests == digests) {
            return Ok(worked.behind(self.watermark));
        }
        let batch = self.bronze.read(&landed).await;
        let batch = batch.map_err(|source| PipelineError::lake("read Bronze again", source))?;
        let active = self.active(host, digests).await?;
        land::again(host, active, self.watermark, landed, batch).await
    }

    /// Whether so much is due that a batch is to be landed first: Bronze does not wait for Silver. A little is settled sooner
    /// than the plugin's work on what is landed is done twice.
    pub(super) fn lands_beside(&mut self, now: i64) -> bool {
        let lands = self.due.len() > DUE_MAX && now.abs_diff(self.landed_beside) >= BESIDE_EVERY_MICROS;
        if lands {
            self.landed_beside = now;
        }
        lands
    }

    /// Leaves what is due to another host.
    pub(super) fn leave(&mut self) {
        self.due.clear();
    }

    /// Whether the source waits to be told where Bronze ends.
    pub(super) fn is_unplaced(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is_unplaced())
    }

    /// Whether this host holds what decides who settles; none where the source has no say.
    pub(super) fn stake(&self) -> Option<Stake> {
        self.source.as_ref()?.stake()
    }

    /// Takes over an activation in Bronze: what comes above it is worked on under its digests.
    async fn adopt(&mut self, host: &Host, activation: &Activation) -> Result<(), PipelineError> {
        let Some(digests) = Digests::from_info(&activation.info) else { return Ok(()) };
        if self.activations.newest().is_none_or(|newest| newest < activation.version) {
            self.activations.push(activation.version, digests);
        }
        if self.activations.current() == Some(digests) {
            self.wanted = self.active(host, digests).await?;
        }
        Ok(())
    }

    /// What works on the next batch.
    pub(super) fn current(&self) -> Arc<Active> {
        Arc::clone(&self.wanted)
    }

    /// What was in force under `digests`, from the lake's registry where it is not what the folder says now.
    pub(super) async fn active(&mut self, host: &Host, digests: Digests) -> Result<Arc<Active>, PipelineError> {
        if digests == self.wanted.digests {
            return Ok(Arc::clone(&self.wanted));
        }
        if let Some(active) = self.earlier.get(&digests) {
            return Ok(Arc::clone(active));
        }
        let [wasm, configured] =
            [digests.plugin, digests.configuration].map(|digest| format!("{}/{}", self.tenant, digest.path()));
        let failed = |source| PipelineError::lake("read an object of the registry", source);
        let wasm = host.lake.get_object(&wasm).await.map_err(failed)?;
        let configured = host.lake.get_object(&configured).await.map_err(failed)?;
        let text = String::from_utf8_lossy(&configured);
        let configured = Configured::from_canonical(&text).map_err(ConfiguredError::Foreign)?;
        let (component, descriptor) = describe(&host.machine, &configured, &wasm).await?;
        let active =
            Arc::new(activate(&self.tenant, &configured, &self.key, &wasm, &component, descriptor, &self.peers)?);
        self.earlier.insert(digests, Arc::clone(&active));
        Ok(active)
    }

    /// Has the source do something on a worker thread.
    pub(super) async fn ask<T: Send + 'static>(
        &mut self,
        host: &Host,
        ask: impl FnOnce(&mut dyn Source) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, PipelineError> {
        let mut source = self.source.take().expect("the source is put back below, whatever happens");
        let (source, answer) = host
            .machine
            .workers
            .run(move || {
                let answer = ask(source.as_mut());
                (source, answer)
            })
            .await;
        self.source = Some(source);
        Ok(answer?)
    }

    /// Tells the source where Bronze ends.
    pub(super) async fn place(&mut self, host: &Host) -> Result<(), PipelineError> {
        let transactions = self.bronze.progress();
        self.ask(host, move |source| source.place(&transactions)).await
    }

    /// Tells the source what is in every table.
    pub(super) fn acknowledge(&mut self, spans: &[Span]) {
        if let Some(source) = &mut self.source {
            source.acknowledge(spans);
        }
    }

    /// Writes a checkpoint of Bronze where one is due, and a summary, below which entries of its log may be removed.
    /// `settled` is the last version that every table has. Whatever the source handed out is in Bronze.
    pub(super) async fn maintain(&mut self, settled: i64) -> Result<(), PipelineError> {
        // What others committed and was not looked at yet would be missing in a summary.
        let summary = self
            .source
            .as_ref()
            .filter(|_| self.bronze.is_summary_due() && self.due.is_empty() && self.seen == self.bronze.version());
        if let Some(source) = summary {
            let mut commit = self.bronze.stage_summary(source.summary(), self.activations.to_info());
            match self.bronze.append(&mut commit).await {
                Ok(version) => self.seen = version,
                // It is due again after the next batch.
                Err(CommitError::Conflict { .. }) => self.follow().await?,
                Err(error) => return Err(error.into()),
            }
        }
        let upkeep = self.bronze.maintain(settled, Policy::default()).await;
        upkeep.map_err(|source| PipelineError::lake("write a checkpoint of Bronze", source))
    }

    /// Bytes of input known, and read.
    pub(super) fn measure(&self) -> Option<(u64, u64)> {
        self.source.as_ref()?.measure()
    }
}
