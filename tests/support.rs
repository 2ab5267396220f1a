//! What the end-to-end tests share: the repository, the real data, the binary, and folders of tenants to run it on.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use xtask::generate::{self, Plan, Plot};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("SILVERSMITH_ROOT"))
}

/// The folder of real records. A test that needs it fails where it is missing.
pub(crate) fn data() -> PathBuf {
    let folder = std::env::var_os("SILVERSMITH_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    assert!(folder.is_dir(), "no real data at {}: set SILVERSMITH_DATA to its folder", folder.display());
    folder.canonicalize().expect("a folder that is there has a path")
}

/// The trials to run, of so many: a tenth, all of them under `SILVERSMITH_TRIALS=all`.
pub(crate) fn trials(all: u64) -> Range<u64> {
    0..if std::env::var_os("SILVERSMITH_TRIALS").is_some_and(|trials| trials == "all") { all } else { all / 10 }
}

/// A seed that is another in every run; it is printed.
pub(crate) fn seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    let seed = since.as_nanos() as u64;
    println!("seed {seed}");
    seed
}

/// A number that anybody can make again from the seed (splitmix64).
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What a call of the binary gave.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The folder of components.
pub(crate) fn plugins() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_silversmith"));
    let built = binary.ancestors().nth(2).expect("cargo builds into a folder of a profile").join("plugins");
    let plugins = std::env::var_os("SILVERSMITH_PLUGINS").map_or(built, PathBuf::from);
    let there = ["mapping.wasm", "github.wasm"].iter().all(|name| plugins.join(name).is_file());
    assert!(there, "found no plugins in {}: run `cargo xtask plugins`", plugins.display());
    plugins
}

/// The binary, not yet started, in a folder of the test's own. It keeps to itself: no lake and no log level of the caller's.
pub(crate) fn silversmith(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silversmith"));
    command.current_dir(folder).stdin(Stdio::null()).env("SILVERSMITH_PLUGINS", plugins());
    command.env_remove("SILVERSMITH_LAKE").env_remove("SILVERSMITH_LOG");
    command
}

/// Runs to the end.
pub(crate) fn call(command: &mut Command) -> Call {
    let done = command.output().expect("the binary was built with the tests");
    let text = |bytes| String::from_utf8(bytes).expect("the binary prints UTF-8");
    let code = done.status.code().unwrap_or_else(|| panic!("{command:?} was ended by {}", done.status));
    Call { code, stdout: text(done.stdout), stderr: text(done.stderr) }
}

/// A folder with tenants, their input and a lake, which is gone after the test.
pub(crate) struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// With the canonical contracts and these tenants of the repository, whose classified values are kept, so that they can
    /// be told apart. Their samples stay behind.
    pub(crate) fn new(tenants: &[&str]) -> Self {
        let workshop = Self { folder: TempDir::new().expect("there is room for temporary files") };
        copy(&root().join("tenants/canonical"), &workshop.path("tenants/canonical"));
        for tenant in tenants {
            copy(&root().join("tenants").join(tenant), &workshop.path("tenants").join(tenant));
            remove(&workshop.path("tenants").join(tenant).join("samples"));
            let treatments = "pii: { personal: keep, restricted: keep, confidential: keep }\n";
            workshop.edit(&format!("tenants/{tenant}/tenant.yaml"), |text| text + treatments);
        }
        workshop
    }

    /// A path in it.
    pub(crate) fn path(&self, inner: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Its lake.
    pub(crate) fn lake(&self) -> PathBuf {
        self.path("lake")
    }

    /// Writes a file.
    pub(crate) fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the workshop is ours");
        fs::write(path, contents).expect("the workshop is ours");
    }

    /// Replaces the text of a file.
    pub(crate) fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let before = fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let after = change(before.clone());
        assert_ne!(before, after, "the change of {file} changes nothing");
        self.write(file, after);
    }

    /// The binary in this folder, not yet started.
    pub(crate) fn silversmith(&self, arguments: &str) -> Command {
        let mut command = silversmith(self.folder.path());
        command.args(arguments.split_whitespace());
        command
    }

    /// Runs all tenants into the lake to the end, with more arguments, and gives what `run` reports, by tenant.
    pub(crate) fn run(&self, more: &str) -> Vec<Value> {
        let done = call(&mut self.silversmith(&format!("run tenants --lake lake --format json {more}")));
        assert_eq!(done.code, 0, "{done:?}");
        serde_json::from_str(&done.stdout).expect("--format json prints one JSON value")
    }

    /// What `status` says of each source of a tenant; nothing where it cannot be told.
    pub(crate) fn status(&self, tenant: &str) -> Vec<Value> {
        let done = call(&mut self.silversmith(&format!("status {tenant} --lake lake --format json")));
        serde_json::from_str(&done.stdout).unwrap_or_default()
    }

    /// Whether a tenant has so many records in Bronze, and all of them in Silver.
    pub(crate) fn has(&self, tenant: &str, records: usize) -> bool {
        let status = self.status(tenant);
        let landed = status.iter().filter_map(|source| source["records"].as_u64()).sum::<u64>();
        landed == records as u64 && status.iter().all(|source| source["state"] == "current")
    }

    /// Gives acme the mappings of its orders for a source of another name as well.
    pub(crate) fn map_alike(&self, source: &str) {
        for version in ["1.4", "2.1"] {
            let mapping = self.path(format!("tenants/acme/mappings/orders-{version}.yaml"));
            let mapping = fs::read_to_string(mapping).expect("acme has mappings");
            let alike = mapping.replace("source: orders", &format!("source: {source}"));
            self.write(&format!("tenants/acme/mappings/{source}-{version}.yaml"), alike);
        }
    }

    /// Takes the lake away.
    pub(crate) fn drain(&self) {
        remove(&self.lake());
    }
}

/// A host that runs; killed when a test ends early.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "kill {name}");
    }

    /// Waits until it has ended, and gives its exit code; none if a signal ended it.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        until("the host ends", || !self.is_running());
        self.0.try_wait().expect("it is our child").and_then(|status| status.code())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// How long anything that must happen may take, on a machine that does much else.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Waits until `happened`.
#[track_caller]
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < SOON, "{what}: not within {SOON:?}");
        sleep(Duration::from_millis(50));
    }
}

/// Orders of acme as the generator writes them, one a line.
pub(crate) fn orders(records: u64, seed: u64) -> Vec<String> {
    let folder = TempDir::new().expect("there is room for temporary files");
    let plan = Plan { records, seed, plot: Plot::Lively, answer: false };
    generate::write("acme", plan, folder.path()).expect("the folder is ours");
    let text = |file| fs::read_to_string(file).expect("acme's files are plain");
    let text: String = files(&folder.path().join("acme")).into_iter().map(text).collect();
    text.lines().map(str::to_owned).collect()
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", folder.display()),
        _ => {}
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the workshop is ours");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a listed folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the workshop is ours");
        }
    }
}

/// Every file below a folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a listed folder can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What a script of the repository prints, which must be JSON.
pub(crate) fn oracle(script: &str, arguments: &[&str]) -> Value {
    let mut python = Command::new("python3");
    let done = python.arg(root().join(script)).args(arguments).output().expect("python3 runs: run `cargo xtask setup`");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("the script prints JSON")
}
