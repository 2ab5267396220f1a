//! One source of a tenant: where its records come from, its Bronze, and what works on its records.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::active::{Active, activate, describe};
use super::{Host, PipelineError};
use crate::entity::Descriptor;
use crate::lake::{Activation, Bronze, CommitError, Policy, Step};
use crate::position::Span;
use crate::registry::activation::{Activations, Digests};
use crate::registry::configured::ConfiguredError;
use crate::registry::plugin::Configured;
use crate::registry::tenant::Tenant;
use crate::source::files::Reading;
use crate::source::{BatchBounds, Progress, Source, SourceError};

/// One source of a tenant: where its records come from, and what works on them.
pub(super) struct Line {
    pub(super) name: String,
    source: Option<Box<dyn Source>>,
    pub(super) bronze: Bronze,
    pub(super) activations: Activations,
    pub(super) bounds: BatchBounds,
    /// The Bronze version up to which every batch was handed on to be settled, or waits in the backlog.
    pub(super) seen: i64,
    /// Batches in Bronze that are to be settled before any other: what hosts before this one, or beside it, landed.
    pub(super) backlog: VecDeque<Step>,
    tenant: String,
    /// What tokens are made with.
    key: Vec<u8>,
    wanted: Arc<Active>,
    /// What is stored in the lake's registry at the activation.
    objects: [Vec<u8>; 2],
    earlier: HashMap<Digests, Arc<Active>>,
    peers: Vec<Descriptor>,
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
    let reading = if host.settings.follow.is_some() { Reading::Following } else { Reading::Once };
    let mut lines = Vec::new();
    for (place, (source, configured, wasm, component, descriptor)) in described.into_iter().enumerate() {
        let mut peers = descriptors.clone();
        peers.remove(place);
        let wanted = activate(&tenant.name, &configured, &key, &wasm, &component, descriptor, &peers)?;
        let bronze = Bronze::open(&host.lake, &tenant.name, &source.name);
        let bronze = bronze.await.map_err(|source| PipelineError::lake("open Bronze", source))?;
        let mut progress = Progress { transactions: bronze.progress(), evidence: vec![] };
        let mut activations = Activations::default();
        for step in bronze.history().await.map_err(|source| PipelineError::lake("read the Bronze log", source))? {
            match step {
                Step::Summary(summary) => {
                    progress.evidence = vec![summary.evidence];
                    activations = Activations::from_info(&summary.info).ok_or_else(|| {
                        PipelineError::Corrupt(format!(
                            "the summary at Bronze version {} of source `{}` names no activations",
                            summary.version, source.name
                        ))
                    })?;
                }
                Step::Batch(landed) => progress.evidence.push(landed.evidence),
                Step::Activation(activation) => {
                    if let Some(digests) = Digests::from_info(&activation.info) {
                        activations.push(activation.version, digests);
                    }
                }
            }
        }
        let mut records = host.inputs.open(&tenant.name, source, reading);
        records.resume(&progress)?;
        let seen = bronze.version();
        lines.push(Line {
            name: source.name.clone(),
            source: Some(records),
            bronze,
            activations,
            seen,
            backlog: VecDeque::new(),
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
        });
    }
    Ok(lines)
}

impl Line {
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
        // Among what is new there, in its place.
        self.follow().await
    }

    /// Queues what is in Bronze behind what was seen, in order.
    pub(super) async fn follow(&mut self) -> Result<(), PipelineError> {
        let news = self.bronze.steps(self.seen).await;
        self.backlog.extend(news.map_err(|source| PipelineError::lake("read the Bronze log", source))?);
        self.seen = self.bronze.version();
        Ok(())
    }

    /// Takes over an activation in Bronze: what comes above it is worked on under its digests.
    pub(super) async fn adopt(&mut self, host: &Host, activation: &Activation) -> Result<(), PipelineError> {
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
            .filter(|_| self.bronze.is_summary_due() && self.backlog.is_empty() && self.seen == self.bronze.version());
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
