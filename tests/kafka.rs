//! Kafka: what the host makes of topics of a real broker, produced by a program that is not ours.
//!
//! Bronze is held against what `kcat` reads from the broker, row by row. Silver is held against the tables that the
//! same records give through files, in the order in which Bronze holds them.

mod hosts;
mod losses;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use silversmith::lake::{Bronze, Lake, Step};
use silversmith::record::Batch;
use xtask::generate::{self, Plan, Plot};
use xtask::kafka::{Cluster, Jars};
use xtask::shell::Failure;

use crate::support::{Workshop, call, files, random, trials};
use crate::tables::{Row, assert_same, contents, rows, text, wait};

/// How long anything that must happen may take, on a machine that does much else.
const SOON: Duration = Duration::from_secs(120);
const PARTITIONS: u16 = 3;

/// The broker of this run of tests, started by whoever needs it first. It ends with the process.
fn cluster() -> &'static Cluster {
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
        let jars = Jars::find().expect("found no Kafka: run `cargo xtask setup`");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{}", std::process::id()));
        done(Cluster::start(&jars, &folder, 1))
    });
    &CLUSTER
}

fn done<T>(outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{}", failure.0))
}

/// Runs to the end on `input`, and gives what was printed.
fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = running.stdin.take().expect("it was asked for");
    // From a thread of its own: a program that prints while it reads would wait for us to read.
    let fed = std::thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(input));
        running.wait_with_output().expect("it is our child")
    });
    assert!(fed.status.success(), "{command:?}: {}", String::from_utf8_lossy(&fed.stderr));
    fed.stdout
}

/// Waits until `happened`.
#[track_caller]
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < SOON, "{what}: not within {SOON:?}");
        sleep(Duration::from_millis(50));
    }
}

/// A host that reads acme's orders from a topic of its own.
struct Acme {
    workshop: Workshop,
    topic: String,
}

impl Acme {
    /// `name` is the test's.
    fn new(name: &str) -> Self {
        Self::with(name, PARTITIONS, &[])
    }

    /// With so many partitions, and settings of the topic.
    fn with(name: &str, partitions: u16, settings: &[&str]) -> Self {
        Self::on(cluster(), name, partitions, settings)
    }

    /// With brokers of its own.
    fn on(cluster: &Cluster, name: &str, partitions: u16, settings: &[&str]) -> Self {
        let topic = format!("acme.{name}");
        done(cluster.create_topic(&topic, partitions, settings));
        let workshop = Workshop::new(&["acme"]);
        let kafka = format!("kafka: {{ brokers: \"{}\", topics: {topic}, group: {name} }}", cluster.bootstrap());
        workshop.edit("tenants/acme/tenant.yaml", |text| text.replace("files: samples/*.ndjson", &kafka));
        Self { workshop, topic }
    }

    /// Orders as the generator writes them, one a line.
    fn orders(&self, records: u64, seed: u64) -> Vec<String> {
        let plan = Plan { records, seed, plot: Plot::Lively, answer: false };
        let folder = self.workshop.path("generated");
        generate::write("acme", plan, &folder).expect("the workshop is ours");
        let text = |file| fs::read_to_string(file).expect("acme's files are plain");
        files(&folder.join("acme"))
            .into_iter()
            .map(text)
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// Has `kcat` produce each of `orders` as a message, with a key and two headers.
    fn produce(&self, orders: &[String]) {
        self.produce_to(cluster(), orders);
    }

    fn produce_to(&self, cluster: &Cluster, orders: &[String]) {
        let lines: String = orders.iter().enumerate().map(|(i, order)| format!("k{}\t{order}\n", i % 17)).collect();
        let mut kcat = cluster.kcat();
        kcat.args(["-P", "-t", &self.topic, "-K", "\t", "-H", "origin=kcat", "-H", "empty="]);
        piped(&mut kcat, lines.as_bytes());
    }

    /// Every message of the topic as `kcat` reads it: partition, offset, key, payload.
    fn served(&self, cluster: &Cluster) -> Vec<[String; 4]> {
        let mut kcat = cluster.kcat();
        kcat.args(["-C", "-t", &self.topic, "-e", "-q", "-o", "beginning", "-f", "%p\t%o\t%k\t%s\n"]);
        let read = String::from_utf8(piped(&mut kcat, b"")).expect("orders are UTF-8");
        let cells = |line: &str| {
            let mut cells = line.splitn(4, '\t').map(str::to_owned);
            std::array::from_fn(|_| cells.next().unwrap_or_default())
        };
        let mut messages: Vec<[String; 4]> = read.lines().map(cells).collect();
        messages.sort();
        messages
    }

    /// A run that goes on until it is told to stop.
    fn follow(&self, more: &str) -> Running {
        let mut command = self.workshop.silversmith(&format!("run tenants --lake lake --follow 0.05 {more}"));
        let log = fs::File::create(self.workshop.path("log")).expect("the workshop is ours");
        let log = command.env("SILVERSMITH_LOG", "info").stdout(Stdio::null()).stderr(log);
        Running(log.spawn().expect("the binary was built"))
    }

    /// What a run that was started by [`Self::follow`] said.
    fn log(&self) -> String {
        fs::read_to_string(self.workshop.path("log")).unwrap_or_default()
    }

    /// Whether so many records are in Bronze, and all of them in Silver.
    fn has(&self, records: usize) -> bool {
        let done = call(&mut self.workshop.silversmith("status acme --lake lake --format json"));
        let status: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        status[0]["records"] == records && status[0]["state"] == "current"
    }

    /// Holds Bronze against the broker, and Silver against the same records through files.
    fn assert_whole(&self, what: &str) {
        self.assert_whole_on(cluster(), what);
    }

    fn assert_whole_on(&self, cluster: &Cluster, what: &str) {
        let mut found: Vec<[String; 4]> = rows(&self.workshop.lake(), "acme/bronze/orders")
            .iter()
            .map(|row| {
                [
                    text(row, "partition").to_owned(),
                    text(row, "offset").to_owned(),
                    unhex(text(row, "key")),
                    unhex(text(row, "raw_payload")),
                ]
            })
            .collect();
        found.sort();
        let served = self.served(cluster);
        let other = found.iter().zip(&served).find(|(found, served)| found != served);
        assert_eq!(other, None, "{what}: Bronze differs from the topic");
        assert_eq!(found.len(), served.len(), "{what}: records in Bronze");

        self.assert_silver(what);
    }

    /// Holds Silver against the same records through files, in the order of Bronze.
    fn assert_silver(&self, what: &str) {
        let reference = Workshop::new(&["acme"]);
        let mut lines = vec![];
        for batch in in_order(&self.workshop.lake()) {
            for record in 0..batch.len() {
                lines.extend_from_slice(batch.payloads().value(record));
                lines.push(b'\n');
            }
        }
        reference.write("input/orders.ndjson", lines);
        reference.run("--input acme/orders=input --batch-records 500");
        let silver = |workshop: &Workshop| without_origin(contents(&workshop.lake(), "acme"));
        assert_same(&silver(&self.workshop), &silver(&reference), what);
    }
}

/// The batches of Bronze, in its order.
fn in_order(lake: &Path) -> Vec<Batch> {
    wait(async {
        let lake = Lake::open(lake).expect("the lake is there");
        let bronze = Bronze::open(&lake, "acme", "orders").await.expect("Bronze can be opened");
        let mut batches = vec![];
        for step in bronze.steps(-1).await.expect("the log is whole") {
            if let Step::Batch(landed) = step {
                batches.push(bronze.read(&landed).await.expect("the batch is whole"));
            }
        }
        batches
    })
}

/// Silver and quarantine, without what says where records came from, and when.
fn without_origin(mut tables: BTreeMap<String, Vec<Row>>) -> BTreeMap<String, Vec<Row>> {
    tables.retain(|table, _| !table.starts_with("bronze/"));
    for rows in tables.values_mut() {
        for row in rows.iter_mut() {
            let origin = [
                "_position",
                "_is_late",
                "source_topic",
                "partition",
                "offset",
                "file",
                "line",
                "key",
                "headers",
                "event_timestamp",
            ];
            row.retain(|column, _| !origin.contains(&column.as_str()));
        }
        rows.sort();
    }
    tables
}

fn unhex(text: &str) -> String {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).unwrap_or_default();
    String::from_utf8_lossy(&text.as_bytes().chunks(2).map(byte).collect::<Vec<_>>()).into_owned()
}

/// A host that runs; killed when a test ends early.
struct Running(Child);

impl Running {
    /// Sends it a signal.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "kill {name}");
    }

    /// Waits until it has ended, and gives its exit code; none if a signal ended it.
    fn ended(&mut self) -> Option<i32> {
        until("the host ends", || self.0.try_wait().expect("it is our child").is_some());
        self.0.try_wait().expect("it is our child").and_then(|status| status.code())
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_broker_of_our_own_gives_back_what_was_produced() {
    done(cluster().create_topic("echo", 1, &[]));
    piped(cluster().kcat().args(["-P", "-t", "echo", "-K:"]), b"a:1\nb:2\n");
    let read = piped(cluster().kcat().args(["-C", "-t", "echo", "-e", "-q", "-f", "%p %o %k %s\n"]), b"");
    assert_eq!(String::from_utf8_lossy(&read), "0 0 a 1\n0 1 b 2\n");
}

#[test]
fn a_topic_gives_the_tables_that_files_give() {
    let acme = Acme::new("once");
    let orders = acme.orders(600, 11);
    acme.produce(&orders[..400]);
    assert_eq!(acme.workshop.run("--batch-records 70")[0]["records"], 400);
    assert_eq!(acme.workshop.run("")[0]["records"], 0, "nothing is new");
    acme.produce(&orders[400..]);
    assert_eq!(acme.workshop.run("")[0]["records"], 200);
    acme.assert_whole("read in three runs");
    let bronze = rows(&acme.workshop.lake(), "acme/bronze/orders");
    for row in &bronze {
        assert_eq!(text(row, "source_topic"), acme.topic);
        assert_eq!(text(row, "headers"), "[{key: origin, value: 6b636174}, {key: empty, value: }]");
        assert!(text(row, "event_timestamp").parse::<i64>().is_ok_and(|time| time > 1_700_000_000_000_000));
    }
    let position = text(&rows(&acme.workshop.lake(), "acme/silver/order")[0], "_position").to_owned();
    assert!(position.starts_with(&format!("orders/{}/", acme.topic)), "{position}");
}

#[test]
fn a_host_that_follows_ends_well_when_it_is_asked_to() {
    let acme = Acme::new("followed");
    let orders = acme.orders(900, 12);
    acme.produce(&orders[..300]);
    let mut host = acme.follow("--batch-records 40 --fold-every 0.2");
    until("the first records are in Silver", || acme.has(300));
    acme.produce(&orders[300..600]);
    until("more are in Silver", || acme.has(600));
    acme.produce(&orders[600..]);
    host.signal("-TERM");
    assert_eq!(host.ended(), Some(0), "{}", acme.log());
    let told = group(&acme.topic, "followed");
    let landed = progress(&acme.workshop.lake());
    assert_eq!(told, landed, "the group was told what is in the tables\n{}", acme.log());
    acme.workshop.run("");
    acme.assert_whole("followed, stopped and finished");
}

/// The next offset by partition, as Kafka's own tool says of a group.
fn group(topic: &str, group: &str) -> BTreeMap<String, i64> {
    let mut tool = cluster().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
    let said = piped(tool.args(["--describe", "--offsets", "--group", group]), b"");
    let said = String::from_utf8_lossy(&said).into_owned();
    let of_topic = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_topic = of_topic.filter(|cells| cells.get(1) == Some(&topic));
    of_topic.filter_map(|cells| Some((cells.get(2)?.to_string(), cells.get(3)?.parse().ok()?))).collect()
}

/// The same, as Bronze says.
fn progress(lake: &Path) -> BTreeMap<String, i64> {
    let bronze = wait(async {
        let lake = Lake::open(lake).expect("the lake is there");
        Bronze::open(&lake, "acme", "orders").await.expect("Bronze can be opened")
    });
    let partition = |app_id: String| app_id.rsplit_once('/').expect("it names a partition").1.to_owned();
    bronze.progress().into_iter().map(|(app_id, last)| (partition(app_id), last + 1)).collect()
}

/// How many commits the log of Bronze holds.
fn commits(workshop: &Workshop) -> u64 {
    let entries = fs::read_dir(workshop.path("lake/acme/bronze/orders/_delta_log")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count() as u64
}

#[test]
fn a_host_that_is_killed_loses_nothing_and_repeats_nothing() {
    let mut seed = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_nanos() as u64;
    println!("seed {seed}");
    let acme = Acme::new("killed");
    let kills = trials(30).end;
    // More in each run than is landed before its kill.
    let orders = acme.orders(500 + 340 * kills, seed);
    let (now, later) = orders.split_at(500);
    acme.produce(now);
    let mut killed = 0;
    for (kill, more) in later.chunks(later.len() / kills as usize).enumerate() {
        let before = commits(&acme.workshop);
        let mut host = acme.follow("--batch-records 20 --fold-every 0.1");
        acme.produce(more);
        // Somewhere between the commits of its first batches; the first kill may come while it joins its group.
        let first = if kill == 0 { 0 } else { 2 + random(&mut seed) % 8 };
        until("it lands batches", || commits(&acme.workshop) >= before + first || !host.is_running());
        sleep(Duration::from_millis(random(&mut seed) % 200));
        assert!(host.is_running(), "it ended by itself: {}", acme.log());
        // Every third is asked twice to stop, which is no better.
        if kill % 3 == 2 {
            host.signal("-TERM");
            host.signal("-TERM");
        } else {
            host.signal("-KILL");
        }
        killed += u64::from(host.ended() != Some(0));
    }
    let report = acme.workshop.run("");
    println!(
        "{killed} of {kills} were cut short; {} of {} records were left for the last run",
        report[0]["records"],
        orders.len()
    );
    assert!(killed > 0, "no run was cut short");
    acme.assert_whole("killed and finished");
}

#[test]
fn a_broker_that_dies_and_comes_back_is_read_on() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-dies-{}", std::process::id()));
    let mut cluster = done(Cluster::start(&Jars::find().expect("found no Kafka: run `cargo xtask setup`"), &folder, 1));
    let acme = Acme::on(&cluster, "dies", PARTITIONS, &[]);
    let orders = acme.orders(400, 13);
    acme.produce_to(&cluster, &orders[..200]);
    let mut host = acme.follow("--batch-records 50");
    until("the first records are in Silver", || acme.has(200));
    cluster.kill(0);
    until("the host notices", || acme.log().contains("trying again"));
    done(cluster.restart(0));
    acme.produce_to(&cluster, &orders[200..]);
    until("the others are in Silver", || acme.has(400));
    // Asked to stop while no broker answers, it ends all the same.
    cluster.kill(0);
    host.signal("-TERM");
    assert_eq!(host.ended(), Some(0), "{}", acme.log());
    done(cluster.restart(0));
    acme.assert_whole_on(&cluster, "the broker died twice");
}
