//! From a topic to Silver while records come: how long they take, what rate is kept up, and how soon a host is back.
//!
//! Broker, producer and host share the machine's cores, as nothing in production does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::kafka::Cluster;
use xtask::setup;

use crate::demo::live::{Host, tenants};
use crate::shell::{Failure, cargo, program, run, target};
use crate::{lake, plugins};

const TOPIC: &str = "acme.orders";
/// What many tenants read.
const SHARED: &str = "many.orders";
const PARTITIONS: u16 = 4;
/// The rate that is promised, and those beyond at which the lag is looked at, in records a second.
const RATE: u64 = 20_000;
const BEYOND: [u64; 4] = [25_000, 30_000, 35_000, 40_000];
/// Tenants of the host that is started again.
const TENANTS: usize = 100;
/// Anything that must happen has happened by then.
const SOON: Duration = Duration::from_secs(180);

/// Prints the rows; `orders` is the file of orders.
pub(super) fn measure(orders: &Path) -> Result<(), Failure> {
    let (jars, plugins, binary) = (setup::kafka()?, plugins::build()?, lake::binary()?);
    run(&mut cargo(["build", "--release", "--workspace", "--example", "kafka_latency"]))?;
    let cluster = Cluster::start(&jars, &target().join("bench-kafka"), 1)?;
    cluster.create_topic(TOPIC, PARTITIONS, &[])?;
    cluster.create_topic(SHARED, 1, &[])?;
    let mut bench = Bench { lake: lake::fresh("bench-kafka-lake")?, cluster, plugins, binary };
    let tenants = tenants(&bench.cluster.bootstrap(), TOPIC)?;

    let mut first = bench.host(&tenants, "first")?;
    // Compiled and joined before anything is measured.
    bench.produce(orders, 1000, 2)?;
    for (rate, seconds) in [(RATE, 60)].into_iter().chain(BEYOND.map(|rate| (rate, 20))) {
        bench.produce(orders, rate, seconds)?;
    }
    bench.take_over(&tenants, orders, &mut first)?;
    bench.lake = lake::fresh("bench-kafka-many")?;
    bench.many(&tenants)
}

/// What is measured with.
struct Bench {
    lake: PathBuf,
    cluster: Cluster,
    plugins: PathBuf,
    binary: PathBuf,
}

impl Bench {
    /// A host of this name that follows the topics of `tenants`.
    fn host(&self, tenants: &Path, name: &str) -> Result<Host, Failure> {
        let mut command = program(&self.binary, ["run", "--follow", "0.1"]);
        command.arg(tenants).arg("--lake").arg(&self.lake).env("SILVERSMITH_PLUGINS", &self.plugins);
        command.env("SILVERSMITH_HOST", name).stdout(Stdio::null());
        Host::start(&mut command)
    }

    /// Produces at a rate, and prints what it took until all was visible.
    fn produce(&self, orders: &Path, rate: u64, seconds: u64) -> Result<(), Failure> {
        let mut example = program(target().join("release/examples/kafka_latency"), [&self.cluster.bootstrap(), TOPIC]);
        run(example.arg(orders).arg(&self.lake).arg(rate.to_string()).arg(seconds.to_string()))
    }

    /// Kills `first`, and prints what records take that are produced from then on: those of its partitions wait until another
    /// host has taken them over, and Silver with them.
    fn take_over(&self, tenants: &Path, orders: &Path, first: &mut Host) -> Result<(), Failure> {
        let mut second = self.host(tenants, "second")?;
        // Until both hold partitions.
        sleep(Duration::from_secs(10));
        first.kill()?;
        println!("one of two hosts was killed, whose session ends after 6 s:");
        self.produce(orders, 1000, 5)?;
        second.stop()
    }

    /// Kills a host of many tenants, copies of the one in `tenants`, and prints how soon it commits again.
    fn many(&self, tenants: &Path) -> Result<(), Failure> {
        let folder = lake::fresh("bench-kafka-tenants")?;
        let failed = || Failure::io("failed to write the tenants");
        fs::create_dir_all(&folder).map_err(failed())?;
        run(program("cp", ["-r"]).arg(tenants.join("canonical")).arg(&folder))?;
        let names: Vec<String> = (0..TENANTS).map(|i| format!("acme-{i:03}")).collect();
        for name in &names {
            run(program("cp", ["-r"]).arg(tenants.join("acme")).arg(folder.join(name)))?;
            let file = folder.join(name).join("tenant.yaml");
            let text = fs::read_to_string(&file).map_err(failed())?.replace(TOPIC, SHARED);
            fs::write(&file, text.replace("tenant: acme\n", &format!("tenant: {name}\n"))).map_err(failed())?;
        }
        let logs: Vec<PathBuf> =
            names.iter().map(|name| self.lake.join(name).join("bronze/orders/_delta_log")).collect();
        let feed = || {
            let mut kcat = self.cluster.kcat();
            run(kcat.args(["-P", "-t", SHARED, "-l"]).arg(folder.join("acme-000/tenant.yaml")))
        };
        let mut host = self.host(&folder, "many")?;
        feed()?;
        until("every tenant lands", Instant::now(), || logs.iter().all(|log| entries(log) > 2))?;
        host.kill()?;
        feed()?;
        let before: Vec<usize> = logs.iter().map(|log| entries(log)).collect();
        let mut host = self.host(&folder, "many")?;
        let since = Instant::now();
        let more = || logs.iter().zip(&before).filter(|(log, before)| entries(log) > **before).count();
        let first = until("a tenant commits again", since, || more() > 0)?;
        let all = until("all tenants commit again", since, || more() == TENANTS)?;
        println!(
            "{TENANTS} tenants: the first commits {:.1} s after the host was started again, all {:.1} s",
            first.as_secs_f64(),
            all.as_secs_f64()
        );
        host.stop()
    }
}

/// Entries of a table's log.
fn entries(log: &Path) -> usize {
    let names = fs::read_dir(log).into_iter().flatten().flatten().map(|entry| entry.path());
    names.filter(|name| name.extension().is_some_and(|extension| extension == "json")).count()
}

/// How long after `since` it `happened`.
fn until(what: &str, since: Instant, mut happened: impl FnMut() -> bool) -> Result<Duration, Failure> {
    while !happened() {
        if since.elapsed() > SOON {
            return Err(Failure(format!("{what}: not within {SOON:?}")));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(since.elapsed())
}
