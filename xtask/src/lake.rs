//! Starting the host on a lake of a task's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{Failure, cargo, program, remove, root, run, target};

/// An empty folder of this name beside the build, for a lake that may be thrown away.
pub(crate) fn fresh(name: &str) -> Result<PathBuf, Failure> {
    let folder = target().join(name);
    remove(&folder)?;
    Ok(folder)
}

/// Builds the host and gives the path of its binary. With the whole workspace, as tests do: a smaller choice of
/// packages has other features of the same dependencies, and builds them once more.
pub(crate) fn binary() -> Result<PathBuf, Failure> {
    run(&mut cargo(["build", "--release", "--workspace"]))?;
    Ok(target().join("release/silversmith"))
}

/// The host on all tenants of the repository, not yet started: `run`, until the input ends.
pub(crate) fn host(plugins: &Path, lake: &Path) -> Result<Command, Failure> {
    let mut command = program(binary()?, ["run"]);
    command.arg(root().join("tenants")).arg("--lake").arg(lake).env("SILVERSMITH_PLUGINS", plugins);
    Ok(command)
}

/// The bytes of the Parquet files below a folder.
pub(crate) fn parquet_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            bytes += parquet_bytes(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") && !below_log(&path) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Checkpoints are Parquet too, and no data.
fn below_log(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "_delta_log")
}
