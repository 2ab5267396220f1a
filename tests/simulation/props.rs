//! What all simulations share: hosts, and the tenants in their two generations of mappings.

use std::sync::Arc;

use silversmith::digest::DigestKey;
use silversmith::lake::Lake;
use silversmith::pipeline::{Host, Inputs, Keys, Machine, Settings, Stop, Workers};
use silversmith::registry::tenant::Tenant;

use crate::inside;
use crate::killed::change_mapping;
use crate::support::Workshop;

/// The names of sources, of which a tenant has the first or both.
const SOURCES: [&str; 2] = ["orders", "returns"];

/// How many seeds are simulated side by side.
pub(super) const THREADS: u32 = 2;

/// What simulations share.
pub(super) struct Props {
    /// By the number of sources less one, then by generation.
    tenants: Vec<Vec<(Arc<Tenant>, Workshop)>>,
}

impl Props {
    pub(super) fn new() -> Self {
        let tenant = |sources: usize, generation: u64| {
            let workshop = acme(&SOURCES[..=sources], generation);
            (Arc::new(inside::tenant(&workshop, "acme")), workshop)
        };
        let generations = |sources| (0..2).map(|generation| tenant(sources, generation)).collect();
        Self { tenants: (0..SOURCES.len()).map(generations).collect() }
    }

    /// The tenant with so many sources, under the mappings of `generation`.
    pub(super) fn tenant(&self, sources: u64, generation: u64) -> &Arc<Tenant> {
        &self.tenants[sources as usize - 1][generation as usize].0
    }

    /// A host, which computes in the thread that runs it.
    pub(super) fn host(&self, lake: Lake, inputs: Arc<dyn Inputs>, stop: Stop, settings: Settings) -> Arc<Host> {
        let (_, workshop) = &self.tenants[0][0];
        Arc::new(Host {
            lake,
            inputs,
            machine: Machine { engine: inside::engine(), workers: Workers::in_place() },
            digest_key: DigestKey::new([7; 32]),
            keys: Keys::new(workshop.path("keys")),
            // No index here grows so large that it moves there.
            index_folder: workshop.path("index"),
            stop,
            settings,
        })
    }
}

/// Acme with these sources, each a topic.
fn acme(sources: &[&str], generation: u64) -> Workshop {
    let workshop = Workshop::new(&["acme"]);
    workshop.write("keys/acme-tokens.key", [7; 32]);
    if generation > 0 {
        change_mapping(&workshop);
    }
    let mut text = "tenant: acme\npii: { personal: keep, restricted: keep, confidential: keep }\nsources:\n".to_owned();
    for source in sources {
        text += &format!("  {source}:\n    kafka: {{ brokers: \"nobody:1\", topics: acme.{source}, group: acme }}\n");
        text += "    schema_version: { path: $.meta.v, default: \"2.1\" }\n    mappings:\n";
        workshop.map_alike(source);
        for version in ["1.4", "2.1"] {
            text += &format!("      \"{version}\": mappings/{source}-{version}.yaml\n");
        }
    }
    workshop.write("tenants/acme/tenant.yaml", text);
    workshop
}
