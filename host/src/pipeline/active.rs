//! A plugin under a configuration, ready to work: what an activation names.
//!
//! Compiles, asks the plugin what will come of its configuration, and holds that against the contracts. Nothing here is
//! written; [`Line`](super::line::Line) activates.

use std::sync::Arc;

use super::{Machine, PipelineError};
use crate::conform::plan::Plan;
use crate::entity::Descriptor;
use crate::registry::activation::{Digests, ObjectDigest};
use crate::registry::plugin::Configured;
use crate::registry::tenant::{SourceSettings, Tenant};
use crate::sandbox::{Component, DescribeError, Plugin};

/// A plugin under a configuration, ready to work.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) digests: Digests,
    pub(super) plan: Plan,
    pub(super) plugin: Plugin,
    /// Microseconds that an event time may lie behind the latest.
    pub(super) allowed_lateness: i64,
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

pub(super) async fn describe(
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

pub(super) fn activate(
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
    let (plugin, allowed_lateness) =
        (component.plugin(descriptor, configured.limits), configured.allowed_lateness.unwrap_or(0));
    Ok(Active { digests, plan, plugin, allowed_lateness })
}
