//! What a machine needs before anything here builds or runs.
//!
//! Installs what it can and says clearly what it cannot. Checks first and costs next to nothing where all is there.

use std::fs;
use std::path::PathBuf;

use crate::kafka::Jars;
use crate::shell::{Failure, cache, output, program, run, succeeds};

/// The target of plugins.
pub const GUEST: &str = "wasm32-unknown-unknown";

/// A Debian package, and a command that succeeds where it is not needed any more.
type Package = (&'static str, &'static [&'static str]);

/// What builds need, and the readers' Python.
const PACKAGES: [Package; 6] = [
    ("gcc", &["cc", "--version"]),
    ("make", &["make", "--version"]),
    // Of Kafka's client, which is built from its sources: a part of it in C++, and TLS and SASL by OpenSSL.
    ("g++", &["c++", "--version"]),
    ("pkg-config", &["pkg-config", "--version"]),
    ("libssl-dev", &["pkg-config", "--exists", "openssl"]),
    ("python3-venv", &["python3", "-c", "import venv, ensurepip"]),
];

/// What a broker needs, and the producer and reader of tests.
const KAFKA_PACKAGES: [Package; 3] =
    [("default-jre-headless", &["java", "-version"]), ("maven", &["mvn", "--version"]), ("kcat", &["kcat", "-V"])];

/// The readers that tests open Silver with, pinned: another version is another test.
const READERS: [&str; 4] = ["deltalake==1.6.6", "polars==2.1.0", "duckdb==2.0.0", "pyarrow==26.0.1"];

/// Everything.
pub fn all() -> Result<(), Failure> {
    packages()?;
    wasm_target()?;
    kafka()?;
    python().map(|_| ())
}

/// Apache Kafka, with what runs it.
pub fn kafka() -> Result<Jars, Failure> {
    install(&KAFKA_PACKAGES)?;
    Jars::fetch()
}

/// The wasm target of the toolchain in use.
pub fn wasm_target() -> Result<(), Failure> {
    let libraries = output(&mut program("rustc", ["--print", "target-libdir", "--target", GUEST]))?;
    if fs::read_dir(libraries.trim()).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    if !succeeds(&mut program("rustup", ["--version"])) {
        return Err(Failure(format!(
            "found no `rustup`, expected it or the target {GUEST}: install the target with the toolchain's own means, \
             or get rustup from https://rustup.rs"
        )));
    }
    run(&mut program("rustup", ["target", "add", GUEST]))
}

/// The Debian packages that builds need.
pub fn packages() -> Result<(), Failure> {
    install(&PACKAGES)
}

/// Those of `packages` that are missing.
fn install(packages: &[Package]) -> Result<(), Failure> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, test)| !succeeds(&mut program(test[0], &test[1..])))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let advice = |_| {
        let wanted = missing.join(" ");
        Failure(format!("found {wanted} missing, and cannot install it here: run `apt-get install {wanted}` as root"))
    };
    let root = output(&mut program("id", ["-u"]))?.trim() == "0";
    let apt = |arguments: &[&str]| {
        let mut command = if root { program("apt-get", arguments) } else { program("sudo", ["-n", "apt-get"]) };
        if !root {
            command.args(arguments);
        }
        run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = [&["install", "-qy", "--no-install-recommends"], missing.as_slice()].concat();
    apt(&["update", "-q"]).and_then(|()| apt(&install)).map_err(advice)
}

/// A Python that has the readers, in an environment of its own.
pub fn python() -> Result<PathBuf, Failure> {
    // Named after what is in it: a new pin is a new environment.
    let name = READERS.map(|pin| pin.replace("==", "-")).join("_");
    let folder = cache().join("python").join(name);
    let python = folder.join("bin/python3");
    // pip writes it last of all, so an environment that was cut short is made again.
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(python);
    }
    fs::create_dir_all(&folder).map_err(Failure::io(format!("failed to make {}", folder.display())))?;
    run(program("python3", ["-m", "venv", "--clear"]).arg(&folder))?;
    run(program(&python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(READERS))?;
    fs::write(&ready, "").map_err(Failure::io(format!("failed to write {}", ready.display())))?;
    Ok(python)
}
