//! Running other programs, and where this repository keeps what it makes.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Why a task failed: what was found, what was expected and the next step.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// For `map_err` on input and output: says what was being done.
    pub fn io<E: Display>(doing: impl Display) -> impl FnOnce(E) -> Self {
        move |cause| Self(format!("{doing}: {cause}"))
    }
}

/// The folder of the workspace.
///
/// Asked of cargo when a task starts, never when it is compiled: cargo does not build a task again for a checkout in
/// another place that shares its target folder.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let member = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let workspace = member.as_deref().and_then(Path::parent);
        workspace.map_or_else(|| PathBuf::from("."), Path::to_owned)
    });
    &ROOT
}

/// Where cargo builds, which outlives a clean checkout: `CARGO_TARGET_DIR`, or cargo's own default.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Where downloads are kept between checkouts: `SILVERSMITH_CACHE`, or `~/.cache/silversmith`.
pub fn cache() -> PathBuf {
    match std::env::var_os("SILVERSMITH_CACHE") {
        Some(folder) => root().join(folder),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache/silversmith"),
    }
}

/// The data that tests on real records read: `SILVERSMITH_DATA`, or `../shared/data` where that is there.
pub fn data() -> Option<PathBuf> {
    let folder = match std::env::var_os("SILVERSMITH_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("../shared/data"),
    };
    folder.is_dir().then_some(folder)
}

/// A program in the workspace's folder.
pub fn program(name: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs us.
pub fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments);
    // Set by the cargo that runs us, for this package alone. Build scripts look at them: with ours in their
    // environment half of the dependencies would be built again, and once more without.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs to the end, with output to ours; anything but success is a failure that shows the command.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("`{}` ended with {status}", shown(command)))),
        Err(cause) => Err(Failure(format!("failed to start `{}`: {cause}", shown(command)))),
    }
}

/// Runs to the end and gives what was printed.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let done = command.output().map_err(Failure::io(format!("failed to start `{}`", shown(command))))?;
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        return Err(Failure(format!("`{}` ended with {}: {}", shown(command), done.status, errors.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Whether the program runs at all and ends well.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|done| done.status.success())
}

/// Removes a folder with all that is in it, if it is there.
pub fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure(format!("failed to empty {}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

/// When the file was changed; none where it is missing.
pub fn changed(file: &Path) -> io::Result<Option<std::time::SystemTime>> {
    match file.metadata() {
        Ok(metadata) => metadata.modified().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn shown(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
