//! Where everything stands when a tenant starts: its plugins, its sources, its tables and their indexes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::fold::Versions;
use super::index::{Dimensions, Index};
use super::{Host, Machine, PipelineError};
use crate::conform::contract::{self, History};
use crate::conform::fact::OlderFacts;
use crate::conform::plan::{EntityPlan, Plan};
use crate::conform::rows::EntityRows;
use crate::conform::store::StoreBounds;
use crate::entity::{DataType, Descriptor};
use crate::lake::{Activation, Bronze, CommitError, Packing, Policy, Step, Table, TableSpec, quarantine};
use crate::manifest;
use crate::position::Span;
use crate::registry::activation::{Activations, Digests, ObjectDigest};
use crate::registry::configured::ConfiguredError;
use crate::registry::plugin::Configured;
use crate::registry::tenant::{SourceSettings, Tenant};
use crate::sandbox::{Component, DescribeError, Plugin};
use crate::source::files::Reading;
use crate::source::{BatchBounds, Progress, Source, SourceError};

/// Bytes of index entries that one entity keeps in memory; beyond, they move to disk.
const INDEX_BYTES_MAX: usize = 16 << 20;
/// Bytes that an index on disk caches.
const INDEX_CACHE_BYTES: u64 = 8 << 20;

/// A plugin under a configuration, ready to work.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) digests: Digests,
    pub(super) plan: Plan,
    pub(super) plugin: Plugin,
}

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

/// The tables of a tenant that all its sources feed.
pub(super) struct Silver {
    tenant: String,
    pub(super) entities: BTreeMap<String, Entity>,
    pub(super) quarantine: Table,
    pub(super) manifests: Table,
}

/// The tables of one entity.
pub(super) struct Entity {
    pub(super) plan: EntityPlan,
    /// `<entity>_changes` of a dimension, `<entity>` of a fact.
    pub(super) rows: Table,
    pub(super) index: Index,
    /// `<entity>` of a dimension.
    pub(super) versions: Option<Versions>,
    bounds: StoreBounds,
}

/// Opens all that `tenant` needs; makes the tables that are not there.
pub(super) async fn open(host: &Arc<Host>, tenant: &Tenant) -> Result<(Vec<Line>, Silver), PipelineError> {
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
        let mut records = source.open(reading);
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
    Ok((lines, Silver::open(host, &tenant.name).await?))
}

/// The key of tokens where nothing is stored: they are only shown, and equal no stored ones.
const NO_KEY: &[u8] = b"silversmith try";

/// The plugin of one source as its folder says, without regard to the tenant's other sources.
pub(super) async fn alone(
    machine: &Machine,
    tenant: &Tenant,
    source: &SourceSettings,
) -> Result<Arc<Active>, PipelineError> {
    let (configured, wasm) = (tenant.configured(source), tenant.component(source)?.bytes);
    let (component, descriptor) = describe(machine, &configured, &wasm).await?;
    activate(&tenant.name, &configured, NO_KEY, &wasm, &component, descriptor, &[]).map(Arc::new)
}

async fn describe(
    machine: &Machine,
    configured: &Configured,
    wasm: &[u8],
) -> Result<(Component, Descriptor), PipelineError> {
    let (engine, limits, wasm) = (machine.engine.clone(), configured.limits, wasm.to_vec());
    let configuration = configured.configuration()?;
    let described = machine.workers.run(move || {
        let component = engine.load(&wasm, &limits)?;
        let descriptor = component.describe(&configuration, &limits)?;
        Ok::<_, PipelineError>((component, descriptor))
    });
    match described.await {
        Err(PipelineError::Describe(DescribeError::Diagnostics(findings))) => Err(configured.wrong(&findings).into()),
        described => described,
    }
}

fn activate(
    tenant: &str,
    configured: &Configured,
    key: &[u8],
    wasm: &[u8],
    component: &Component,
    descriptor: Descriptor,
    peers: &[Descriptor],
) -> Result<Active, PipelineError> {
    let peers: Vec<&Descriptor> = peers.iter().collect();
    let plan = Plan::new(tenant, &configured.contracts()?, configured.pii(key), &descriptor, &peers)
        .map_err(|findings| configured.wrong(&findings))?;
    let digests =
        Digests { plugin: ObjectDigest::of(wasm), configuration: ObjectDigest::of(configured.canonical().as_bytes()) };
    Ok(Active { digests, plan, plugin: component.plugin(descriptor, configured.limits) })
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

impl Silver {
    async fn open(host: &Host, tenant: &str) -> Result<Self, PipelineError> {
        let spec = TableSpec::append_only(quarantine::SCHEMA.clone())
            .pack(Packing::Random, &["_checksum"])
            .pack(Packing::Bulk, &["raw_payload"]);
        let failed = |source| PipelineError::lake("open quarantine and manifests", source);
        let quarantine = host.lake.table(&format!("{tenant}/quarantine"), &spec).await.map_err(failed)?;
        let spec = TableSpec::append_only(manifest::SCHEMA.clone());
        let manifests = host.lake.table(&format!("{tenant}/manifests"), &spec).await.map_err(failed)?;
        Ok(Self { tenant: tenant.to_owned(), entities: BTreeMap::new(), quarantine, manifests })
    }

    /// The tenant's name.
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Opens the tables that `active` fills and brings their indexes up to them; those that are open already stay.
    pub(super) async fn prepare(&mut self, host: &Host, active: &Active) -> Result<(), PipelineError> {
        for plan in active.plan.entities() {
            let name = &plan.contract.entity;
            if self.entities.get(name).is_some_and(|entity| same(&entity.plan, plan)) {
                continue;
            }
            let entity = Entity::open(host, &self.tenant, plan.clone()).await?;
            self.entities.insert(name.clone(), entity);
        }
        Ok(())
    }

    /// The indexes that references are looked up in.
    pub(super) fn dimensions(&self) -> Dimensions {
        let dimensions = self.entities.iter().filter_map(|(name, entity)| match &entity.index {
            Index::Dimension(index) => Some((name.clone(), Arc::clone(index))),
            Index::Fact(_) => None,
        });
        Dimensions(dimensions.collect())
    }

    /// Leaves the indexes that lie on disk as the tables are.
    pub(super) fn persist(&self) -> Result<(), PipelineError> {
        self.entities.values().try_for_each(|entity| entity.index.persist()).map_err(PipelineError::from)
    }

    /// Checkpoints where they are due. What a batch's commits said is in its manifest, so their entries may go with time.
    pub(super) async fn maintain(&mut self) -> Result<(), PipelineError> {
        let mut tables = vec![&mut self.quarantine, &mut self.manifests];
        for entity in self.entities.values_mut() {
            tables.push(&mut entity.rows);
            tables.extend(entity.versions.as_mut().map(|versions| &mut versions.table));
        }
        for table in tables {
            let policy = Policy { keep_above: table.version(), ..Policy::default() };
            table.maintain(policy).await.map_err(|source| PipelineError::lake("write a checkpoint", source))?;
        }
        Ok(())
    }
}

/// Whether two plans of an entity make the same tables and decisions.
fn same(a: &EntityPlan, b: &EntityPlan) -> bool {
    let table = contract::Table::Facts;
    a.links == b.links
        && a.contract.key == b.contract.key
        && a.contract.history == b.contract.history
        && a.contract.silver_schema(table, &a.links) == b.contract.silver_schema(table, &b.links)
}

impl Entity {
    async fn open(host: &Host, tenant: &str, plan: EntityPlan) -> Result<Self, PipelineError> {
        let name = plan.contract.entity.clone();
        let failed = |source| PipelineError::lake(format!("open the tables of `{name}`"), source);
        let dimension = matches!(plan.contract.history, History::Versions { .. });
        let kind = if dimension { contract::Table::Changes } else { contract::Table::Facts };
        let time = plan.contract.event_time().map(|column| plan.contract.columns[column].name.clone());
        let key: Vec<&str> =
            plan.contract.key.iter().map(|column| plan.contract.columns[*column].name.as_str()).collect();
        let properties = vec![(KEY_PROPERTY.to_owned(), key.join(","))];
        // A fact comes once, so the texts of its key are nearly as many as its rows.
        let text = |column: &&usize| !dimension && plan.contract.columns[**column].data_type == DataType::Text;
        let texts = plan.contract.key.iter().filter(text).map(|column| plan.contract.columns[*column].name.as_str());
        let alike: Vec<&str> = texts.chain(["_position"]).collect();
        let spec = TableSpec {
            statistics: time.into_iter().collect(),
            properties: properties.clone(),
            ..TableSpec::append_only(plan.contract.silver_schema(kind, &plan.links))
                .pack(Packing::Random, HASHES)
                .pack(Packing::Alike, &alike)
        };
        let path = format!("{tenant}/silver/{name}{}", if dimension { "_changes" } else { "" });
        let rows = host.lake.table(&path, &spec).await.map_err(failed)?;
        let versions = if dimension {
            let spec = TableSpec {
                append_only: false,
                properties: properties.clone(),
                partition_by: vec!["_bucket".to_owned()],
                ..TableSpec::append_only(plan.contract.silver_schema(contract::Table::Versions, &plan.links))
                    .pack(Packing::Random, HASHES)
            };
            let table = host.lake.table(&format!("{tenant}/silver/{name}"), &spec).await.map_err(failed)?;
            Some(Versions::new(table))
        } else {
            None
        };
        let folder: PathBuf = [host.index_folder.as_path(), tenant.as_ref(), name.as_ref()].iter().collect();
        let bounds = StoreBounds { memory_bytes_max: INDEX_BYTES_MAX, folder, cache_bytes_max: INDEX_CACHE_BYTES };
        let mut index = Index::open(&plan, bounds.clone())?;
        index.follow(&plan, &rows, bounds.clone()).await?;
        Ok(Self { plan, rows, index, versions, bounds })
    }

    pub(super) fn is_dimension(&self) -> bool {
        self.versions.is_some()
    }

    /// Brings table and index up to what somebody else committed.
    pub(super) async fn follow(&mut self) -> Result<(), PipelineError> {
        self.rows.refresh().await.map_err(|source| PipelineError::lake("follow a table", source))?;
        self.index.follow(&self.plan, &self.rows, self.bounds.clone()).await
    }

    /// The facts of the table from before the floor of the index that `rows` must be compared with.
    pub(super) async fn older_facts(&self, rows: &EntityRows) -> Result<OlderFacts, PipelineError> {
        self.index.older(&self.plan, &self.rows, rows).await
    }
}

/// The property of a Silver table that names its business key columns, joined by commas.
pub const KEY_PROPERTY: &str = "silversmith.key";

/// Columns of 32 random bytes in every Silver table.
const HASHES: &[&str] = &["_key", "_row_hash", "_checksum"];
