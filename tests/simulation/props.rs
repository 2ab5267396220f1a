//! What all simulations share: the sandbox, the tenants in their two generations of mappings, and generated orders.

use std::fs;
use std::sync::{Arc, LazyLock};

use silversmith::digest::DigestKey;
use silversmith::lake::Lake;
use silversmith::pipeline::{Host, Inputs, Keys, Machine, Settings, Stop, Workers};
use silversmith::registry::canonical;
use silversmith::registry::tenant::{Tenant, load_tenant};
use silversmith::sandbox::{COMPILE_COMMAND, Engine, EngineSettings, Patience};
use tempfile::TempDir;
use xtask::generate::{self, Plan, Plot};

use crate::killed::change_mapping;
use crate::support::{Workshop, files, plugins};

/// The names of sources, of which a tenant has the first or both.
const SOURCES: [&str; 2] = ["orders", "returns"];

/// How many seeds are simulated side by side.
pub(super) const THREADS: u32 = 2;

/// The sandbox of this process.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let settings = EngineSettings {
        cache: concat!(env!("CARGO_TARGET_TMPDIR"), "/components").into(),
        instances: THREADS,
        compiler: vec![env!("CARGO_BIN_EXE_silversmith").into(), COMPILE_COMMAND.into()],
        patience: Patience::default(),
    };
    Engine::new(settings).expect("the machine can run a sandbox")
});

/// What simulations share.
pub(super) struct Props {
    /// By the number of sources less one, then by generation.
    tenants: Vec<Vec<(Arc<Tenant>, Workshop)>>,
}

impl Props {
    pub(super) fn new() -> Self {
        let tenant = |sources: usize, generation: u64| {
            let workshop = acme(&SOURCES[..=sources], generation);
            let canonical = canonical::contracts(&workshop.path("tenants")).expect("the contracts are there");
            let tenant = load_tenant(&workshop.path("tenants/acme"), &canonical);
            (Arc::new(tenant.unwrap_or_else(|findings| panic!("{findings}"))), workshop)
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
            machine: Machine { engine: ENGINE.clone(), workers: Workers::in_place() },
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
    std::os::unix::fs::symlink(plugins(), workshop.path("plugins")).expect("the workshop is ours");
    workshop.write("keys/acme-tokens.key", [7; 32]);
    if generation > 0 {
        change_mapping(&workshop);
    }
    let mut text = "tenant: acme\npii: { personal: keep, restricted: keep, confidential: keep }\nsources:\n".to_owned();
    for source in sources {
        text += &format!("  {source}:\n    kafka: {{ brokers: \"nobody:1\", topics: acme.{source}, group: acme }}\n");
        text += "    schema_version: { path: $.meta.v, default: \"2.1\" }\n    mappings:\n";
        for version in ["1.4", "2.1"] {
            let mapping = workshop.path(format!("tenants/acme/mappings/orders-{version}.yaml"));
            let mapping = fs::read_to_string(mapping).expect("acme has mappings");
            let own = mapping.replace("source: orders", &format!("source: {source}"));
            workshop.write(&format!("tenants/acme/mappings/{source}-{version}.yaml"), own);
            text += &format!("      \"{version}\": mappings/{source}-{version}.yaml\n");
        }
    }
    workshop.write("tenants/acme/tenant.yaml", text);
    workshop
}

/// Orders as the generator writes them.
pub(super) fn orders(records: u64, seed: u64) -> Vec<Vec<u8>> {
    let folder = TempDir::new().expect("there is room for temporary files");
    let plan = Plan { records, seed, plot: Plot::Lively, answer: false };
    generate::write("acme", plan, folder.path()).expect("the folder is ours");
    let mut orders = vec![];
    for file in files(&folder.path().join("acme")) {
        let text = fs::read(file).expect("it was written");
        orders.extend(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }
    orders
}
