//! The tables of a tenant that all its sources feed, with the indexes that decide what goes into them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::active::Active;
use super::fold::Versions;
use super::index::{Dimensions, Index};
use super::{Host, PipelineError};
use crate::conform::contract::{self, History};
use crate::conform::fact::OlderFacts;
use crate::conform::plan::EntityPlan;
use crate::conform::rows::EntityRows;
use crate::conform::store::StoreBounds;
use crate::entity::DataType;
use crate::lake::{Packing, Policy, Table, TableSpec, quarantine};
use crate::manifest;

/// The property of a Silver table that names its business key columns, joined by commas.
pub const KEY_PROPERTY: &str = "silversmith.key";

/// Columns of 32 random bytes in every Silver table.
const HASHES: &[&str] = &["_key", "_row_hash", "_checksum"];

/// Bytes of index entries that one entity keeps in memory; beyond, they move to disk.
const INDEX_BYTES_MAX: usize = 16 << 20;
/// Bytes that an index on disk caches.
const INDEX_CACHE_BYTES: u64 = 8 << 20;

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

impl Silver {
    pub(super) async fn open(host: &Host, tenant: &str) -> Result<Self, PipelineError> {
        let failed = |source| PipelineError::lake("open quarantine and manifests", source);
        // Manifests first: another host may be settling still, and what they say is in every table that is opened afterwards.
        let spec = TableSpec::append_only(manifest::SCHEMA.clone());
        let manifests = host.lake.table(&format!("{tenant}/manifests"), &spec).await.map_err(failed)?;
        let spec = TableSpec::append_only(quarantine::SCHEMA.clone())
            .pack(Packing::Random, &["_checksum"])
            .pack(Packing::Bulk, &["raw_payload"]);
        let quarantine = host.lake.table(&format!("{tenant}/quarantine"), &spec).await.map_err(failed)?;
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

    /// What the tables that `active` fills, and quarantine, have consumed of `source`.
    pub(super) fn consumed(&self, active: &Active, source: &str) -> Vec<(String, Option<i64>)> {
        let filled = active.plan.entities().iter().filter_map(|plan| self.entities.get(&plan.contract.entity));
        let tables = filled.map(|entity| &entity.rows).chain([&self.quarantine]);
        tables.map(|table| (table.name().to_owned(), table.transaction(source))).collect()
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
            Some(Versions::new(host, table))
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

/// Whether two plans of an entity make the same tables and decisions.
fn same(a: &EntityPlan, b: &EntityPlan) -> bool {
    let table = contract::Table::Facts;
    a.links == b.links
        && a.contract.key == b.contract.key
        && a.contract.history == b.contract.history
        && a.contract.silver_schema(table, &a.links) == b.contract.silver_schema(table, &b.links)
}
