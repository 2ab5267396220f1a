//! Putting a host together from the command line's folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::CliError;
use crate::digest::DigestKey;
use crate::lake::Lake;
use crate::pipeline::{Host, Keys, Machine, Settings, Stated, Stop, Workers};
use crate::registry::canonical;
use crate::registry::tenant::{self, Diagnostics, Tenant};
use crate::sandbox::{self, Engine, EngineSettings};
use crate::source::kafka;

/// Where the host keeps what belongs to no tenant; no tenant can have this name.
const HOST_FOLDER: &str = "_host";

/// Compiles a plugin, if this process was started by a host to do that.
pub(super) fn serve_as_compiler() -> Option<ExitCode> {
    let command = std::env::args_os().nth(1)?;
    (command == sandbox::COMPILE_COMMAND).then(sandbox::compile_child)
}

/// The folder for what can be made again at any time.
fn cache_folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir);
    base.join("silversmith")
}

/// The sandbox and the cores.
pub(super) fn machine(workers: Option<usize>) -> Result<Machine, CliError> {
    let cores = workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let settings = EngineSettings::new(cache_folder().join("components"), cores as u32);
    let settings = settings.map_err(|error| CliError::caused("failed to find this program's own file", error))?;
    let engine = Engine::new(settings).map_err(|error| CliError::caused("failed to start the sandbox", error))?;
    Ok(Machine { engine, workers: Workers::new(cores) })
}

/// A host on the lake at `folder`, which is made if it is not there.
pub(super) async fn open(folder: &Path, workers: Option<usize>, settings: Settings) -> Result<Host, CliError> {
    let failed = |error| CliError::caused(format!("failed to open the lake at `{}`", folder.display()), error);
    let lake = Lake::open(folder).map_err(failed)?;
    let own = folder.join(HOST_FOLDER);
    let keys = Keys::new(own.join("keys"));
    // Hosts share a lake, and none may wait for the index of another that stands still.
    let name = kafka::host_name();
    if !name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')) || name.starts_with('.') {
        return Err(CliError::Usage(format!(
            "found the host name `{name}`, expected letters, digits, `.`, `-` and `_`: name this host in SILVERSMITH_HOST"
        )));
    }
    let digest_key =
        keys.own("digest").map_err(|error| CliError::caused("failed to read the key of digests", error))?;
    Ok(Host {
        lake,
        inputs: std::sync::Arc::new(Stated),
        machine: machine(workers)?,
        digest_key: DigestKey::new(digest_key),
        keys,
        index_folder: own.join("index").join(name),
        stop: Stop::default(),
        settings,
    })
}

/// The tenants in `folder`, or those of them that `only` names.
pub(super) fn load_tenants(folder: &Path, only: &[String]) -> Result<Vec<Result<Tenant, Diagnostics>>, CliError> {
    let canonical = canonical::contracts(folder).map_err(CliError::Failed)?;
    let unreadable =
        |error| CliError::caused(format!("failed to read the folder of tenants `{}`", folder.display()), error);
    let mut tenants = tenant::load_tenants(folder, &canonical).map_err(unreadable)?;
    let name = |tenant: &Result<Tenant, Diagnostics>| match tenant {
        Ok(tenant) => tenant.name.clone(),
        Err(findings) => findings.tenant.clone(),
    };
    let known: Vec<String> = tenants.iter().map(name).collect();
    if known.is_empty() {
        return Err(CliError::Usage(format!(
            "found no tenant in `{}`, expected folders that hold a tenant.yaml",
            folder.display()
        )));
    }
    if let Some(missing) = only.iter().find(|wanted| !known.contains(wanted)) {
        return Err(CliError::Usage(format!(
            "found no tenant `{missing}` in `{}`, expected one of {}",
            folder.display(),
            known.join(", ")
        )));
    }
    tenants.retain(|tenant| only.is_empty() || only.contains(&name(tenant)));
    Ok(tenants)
}
