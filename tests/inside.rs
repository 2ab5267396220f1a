//! What tests share that run the host in their own process.

use std::path::Path;
use std::sync::LazyLock;

use silversmith::pipeline::{Observer, Tally};
use silversmith::registry::canonical;
use silversmith::registry::tenant::{Tenant, load_tenant};
use silversmith::sandbox::{COMPILE_COMMAND, Engine, EngineSettings, Patience};

use crate::support::{Workshop, plugins};

/// The sandbox of this process, of which there is to be one. Components are compiled once for all tests.
pub(crate) fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let settings = EngineSettings {
            cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("components"),
            instances: 4,
            compiler: vec![env!("CARGO_BIN_EXE_silversmith").into(), COMPILE_COMMAND.into()],
            patience: Patience::default(),
        };
        Engine::new(settings).expect("the machine can run a sandbox")
    });
    ENGINE.clone()
}

/// Nobody looks on.
pub(crate) struct Unwatched;

impl Observer for Unwatched {
    fn settled(&self, _: &str, _: &Tally, _: Option<(u64, u64)>) {}
}

/// A tenant of the workshop, as the host loads it.
pub(crate) fn tenant(workshop: &Workshop, name: &str) -> Tenant {
    // What is beside the tenants is found whatever the environment says.
    std::os::unix::fs::symlink(plugins(), workshop.path("plugins")).expect("the workshop is ours");
    let tenants = workshop.path("tenants");
    let contracts = canonical::contracts(&tenants).expect("the contracts are in the repository");
    load_tenant(&tenants.join(name), &contracts).unwrap_or_else(|findings| panic!("{findings}"))
}
