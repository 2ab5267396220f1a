//! The demo's Kafka variant: a broker, a producer that is not ours, and Silver growing while records come.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::generate::{self, Plan, Plot};
use xtask::kafka::Cluster;
use xtask::setup;
use xtask::shell::{self, Failure, output, program, remove, root, target};

use crate::{lake, plugins};

const TOPIC: &str = "acme.orders";
/// In so many parts records are produced, this far apart.
const PARTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// The last records are in Silver within this time, on a machine that does much else.
const SOON: Duration = Duration::from_secs(120);

/// The host, which is asked to stop when the demo ends, however it does.
pub(crate) struct Host(Child);

impl Host {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        command.spawn().map(Self).map_err(Failure::io("failed to start the host"))
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        let killed = self.0.kill().and_then(|()| self.0.wait());
        killed.map(drop).map_err(Failure::io("failed to kill the host"))
    }

    /// Asks it to stop, and waits for that.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        shell::run(&mut program("kill", ["-TERM", &self.0.id().to_string()]))?;
        let status = self.0.wait().map_err(Failure::io("failed to wait for the host"))?;
        if status.success() { Ok(()) } else { Err(Failure(format!("the host ended with {status}"))) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It has ended already where this fails.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Takes `records` orders of acme through a broker to a new lake beside the one of the other demo.
pub(super) fn run(lake: &Path, records: u64) -> Result<(), Failure> {
    let (jars, plugins, binary) = (setup::kafka()?, plugins::build()?, lake::binary()?);
    println!("starting a broker");
    let cluster = Cluster::start(&jars, &target().join("demo-kafka"), 1)?;
    cluster.create_topic(TOPIC, 4, &[])?;
    // The broker is new each time, and a lake knows its topics by their ids.
    let lake = lake.with_file_name(format!("{}-kafka", lake.file_name().unwrap_or_default().to_string_lossy()));
    remove(&lake)?;
    let tenants = tenants(&cluster.bootstrap(), TOPIC)?;
    let plan = Plan { records, seed: 1, plot: Plot::Lively, answer: false };
    let input = target().join("demo-kafka-input");
    generate::write("acme", plan, &input).map_err(Failure::io("failed to write the demo's records"))?;
    let lines = lines(&input.join("acme"))?;

    let mut command = program(&binary, ["run", "--follow", "0.2", "--fold-every", "2"]);
    command.arg(&tenants).arg("--lake").arg(&lake).env("SILVERSMITH_PLUGINS", &plugins).stdout(Stdio::null());
    let mut host = Host::start(&mut command)?;
    let begun = Instant::now();
    let mut produced = 0;
    for part in lines.chunks(lines.len().div_ceil(PARTS).max(1)) {
        produce(&cluster, part)?;
        produced += part.len();
        sleep(PAUSE);
        show(begun, produced, &counts(&binary, &lake));
    }
    while counts(&binary, &lake)[0] < produced as u64 || !is_current(&binary, &lake) {
        if begun.elapsed() > SOON + PAUSE * PARTS as u32 {
            return Err(Failure(format!("not all of {produced} records were in Silver within {SOON:?}")));
        }
        sleep(PAUSE);
    }
    show(begun, produced, &counts(&binary, &lake));
    println!();
    run_lag(&binary, &tenants, &lake)?;
    host.stop()?;
    println!("\nThe host was asked to stop and ended well. Its tables lie in {}/acme/silver.", lake.display());
    Ok(())
}

/// acme and the contracts, with `topic` for its input.
pub(crate) fn tenants(bootstrap: &str, topic: &str) -> Result<std::path::PathBuf, Failure> {
    let folder = target().join("demo-kafka-tenants");
    remove(&folder)?;
    fs::create_dir_all(&folder).map_err(Failure::io(format!("failed to make {}", folder.display())))?;
    for name in ["canonical", "acme"] {
        shell::run(program("cp", ["-r"]).arg(root().join("tenants").join(name)).arg(&folder))?;
    }
    let file = folder.join("acme/tenant.yaml");
    let text = fs::read_to_string(&file).map_err(Failure::io(format!("failed to read {}", file.display())))?;
    let kafka = format!("kafka: {{ brokers: \"{bootstrap}\", topics: {topic} }}");
    fs::write(&file, text.replace("files: samples/*.ndjson", &kafka))
        .map_err(Failure::io(format!("failed to write {}", file.display())))?;
    Ok(folder)
}

fn lines(folder: &Path) -> Result<Vec<String>, Failure> {
    let failed = || format!("failed to read {}", folder.display());
    let mut files: Vec<_> =
        fs::read_dir(folder).map_err(Failure::io(failed()))?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut lines = vec![];
    for file in files {
        let text = fs::read_to_string(file).map_err(Failure::io(failed()))?;
        lines.extend(text.lines().map(str::to_owned));
    }
    Ok(lines)
}

fn produce(cluster: &Cluster, lines: &[String]) -> Result<(), Failure> {
    let mut kcat: Command = cluster.kcat();
    let mut running =
        kcat.args(["-P", "-t", TOPIC]).stdin(Stdio::piped()).spawn().map_err(Failure::io("failed to start `kcat`"))?;
    let mut pipe = running.stdin.take().expect("it was asked for");
    let written = pipe.write_all((lines.join("\n") + "\n").as_bytes());
    drop(pipe);
    let status = running.wait().map_err(Failure::io("failed to wait for `kcat`"))?;
    written.map_err(Failure::io("failed to produce"))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`kcat` ended with {status}"))) }
}

/// Rows of Bronze, customers' changes and orders; zeros while there are no tables.
fn counts(binary: &Path, lake: &Path) -> [u64; 3] {
    let tables = json(binary, &["show", "acme"], lake);
    ["bronze/orders", "silver/customer_changes", "silver/order"].map(|name| {
        let of = |table: &&Value| table["table"] == name;
        tables.as_array().into_iter().flatten().find(of).and_then(|table| table["rows"].as_u64()).unwrap_or(0)
    })
}

/// Whether Silver has all that Bronze has.
fn is_current(binary: &Path, lake: &Path) -> bool {
    json(binary, &["status", "acme"], lake)[0]["state"] == "current"
}

fn json(binary: &Path, arguments: &[&str], lake: &Path) -> Value {
    let said = output(program(binary, arguments).args(["--format", "json", "--lake"]).arg(lake));
    said.ok().and_then(|said| serde_json::from_str(&said).ok()).unwrap_or_default()
}

fn show(begun: Instant, produced: usize, [bronze, changes, orders]: &[u64; 3]) {
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seconds:6.1} s: {produced:>7} produced, {bronze:>7} in Bronze, {changes:>6} changes of customers, {orders:>7} orders in Silver"
    );
}

fn run_lag(binary: &Path, tenants: &Path, lake: &Path) -> Result<(), Failure> {
    shell::run(program(binary, ["lag", "acme", "--tenants"]).arg(tenants).arg("--lake").arg(lake))
}
