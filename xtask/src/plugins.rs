//! Plugins, from their crates to components.
//!
//! A crate below `plugins/` whose library is a `cdylib` is a plugin. Its bytes name no folder of the machine that
//! built them, so that the same sources have the same digest wherever they are built. The yardstick of the benchmark
//! is built in the same way, but lies elsewhere, so that no host finds it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wit_component::ComponentEncoder;

use crate::shell::{Failure, cargo, changed, output, root, run, target};
use xtask::setup::{self, GUEST};

/// The profile of guests: one unit, and no checks that cost an instruction in every call.
pub(crate) const PROFILE: &str = "guest";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// A plugin: its crate, the file that cargo makes of it, and its own name.
struct Plugin {
    package: String,
    library: String,
    name: String,
}

/// Where the components are.
pub(crate) fn folder() -> PathBuf {
    target().join("plugins")
}

/// Builds every plugin whose sources changed, and gives the folder that holds `<name>.wasm` of each.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    components(&below("plugins")?, folder())
}

/// Builds the plugins below another folder of the repository into `folder`.
pub(crate) fn build_others(sources: &str, folder: PathBuf) -> Result<PathBuf, Failure> {
    components(&below(sources)?, folder)
}

fn components(plugins: &[Plugin], folder: PathBuf) -> Result<PathBuf, Failure> {
    setup::wasm_target()?;
    let mut command = cargo(["build", "--profile", PROFILE, "--target", GUEST]);
    for plugin in plugins {
        command.args(["--package", &plugin.package]);
    }
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.map_err(Failure::io("failed to find cargo's folder: set CARGO_HOME"))?;
    // Vectors halve the time of the scan; inlining more, or doing without bulk memory, changed nothing. Names and lines
    // help nobody who cannot attach a debugger to a sandbox.
    let flags = format!(
        "-C target-feature=+simd128 -C strip=symbols --remap-path-prefix={home}=/cargo --remap-path-prefix={}=/silversmith",
        root().display()
    );
    run(command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags))?;
    fs::create_dir_all(&folder).map_err(Failure::io(format!("failed to make {}", folder.display())))?;
    for plugin in plugins {
        let module = target().join(GUEST).join(PROFILE).join(format!("{}.wasm", plugin.library));
        componentize(&plugin.name, &module, &folder.join(format!("{}.wasm", plugin.name)))?;
    }
    Ok(folder)
}

/// The plugins among the crates below `folder`.
fn below(folder: &str) -> Result<Vec<Plugin>, Failure> {
    let text = output(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Metadata =
        serde_json::from_str(&text).map_err(Failure::io("failed to read what `cargo metadata` says"))?;
    let plugin = |package: Package| {
        let library =
            package.targets.into_iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))?;
        let below = package.manifest_path.starts_with(root().join(folder));
        below.then(|| Plugin {
            name: package.name.trim_start_matches("silversmith-plugin-").to_owned(),
            library: library.name.replace('-', "_"),
            package: package.name,
        })
    };
    Ok(metadata.packages.into_iter().filter_map(plugin).collect())
}

fn componentize(name: &str, module: &Path, component: &Path) -> Result<(), Failure> {
    let doing = |what: &str| format!("failed to {what} plugin `{name}`");
    let age = |file| changed(file).map_err(Failure::io(doing("look at")));
    if age(component)? >= age(module)? {
        return Ok(());
    }
    let bytes = fs::read(module).map_err(Failure::io(doing("read the module of")))?;
    let encode = || ComponentEncoder::default().module(&bytes)?.validate(true).encode();
    // The chain of causes names the import or export that is wrong.
    let bytes = encode().map_err(|cause| Failure(format!("{}: {cause:#}", doing("make a component of"))))?;
    fs::write(component, &bytes).map_err(Failure::io(doing("write")))?;
    println!("plugin {name}: {} bytes in {}", bytes.len(), component.display());
    Ok(())
}
