//! Kafka: what the host makes of topics of a real broker, produced by a program that is not ours.
//!
//! Owns the broker of the tests, a tenant that reads a topic of its own, and hosts that run until they are told to end.
//! What tables must hold is [`whole`]'s; who is in a group and what is produced meanwhile, [`group`]'s and [`load`]'s.

mod brokers;
mod connections;
mod frames;
mod group;
mod hosts;
mod kills;
mod load;
mod losses;
mod proxy;
mod restarts;
mod secrets;
mod storms;
mod whole;
mod zombies;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use xtask::kafka::{Cluster, Jars, Listener};
use xtask::shell::Failure;

use crate::support::{Running, Workshop, orders, until};
use crate::tables::{rows, text};

const PARTITIONS: u16 = 3;
/// The name of a host that has none, where its log is kept.
const RUN: &str = "run";

/// The broker of this run of tests, and a second way in that leads by the socket beside it.
static SHARED: LazyLock<(Cluster, Listener, TcpListener)> = LazyLock::new(|| {
    let free = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = |socket: &TcpListener| socket.local_addr().expect("it is bound").port();
    let entrance = free();
    // Given back when all are known.
    let second = free();
    let listener =
        Listener { protocol: "PLAINTEXT", port: port(&second), advertised: port(&entrance), settings: vec![] };
    drop(second);
    (done(Cluster::start_with(&jars(), &folder("shared"), &listener)), listener, entrance)
});

/// The broker of this run of tests, started by whoever needs it first. It ends with the process.
fn cluster() -> &'static Cluster {
    &SHARED.0
}

/// A socket that clients of the second way are sent to, and the port on which the broker waits for them.
fn detour() -> (TcpListener, u16) {
    (SHARED.2.try_clone().expect("a socket can be had twice"), SHARED.1.port)
}

fn jars() -> Jars {
    Jars::find().expect("found no Kafka: run `cargo xtask setup`")
}

/// A folder for brokers of this run of tests.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{name}-{}", std::process::id()))
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

/// A tenant that reads acme's orders from a topic of its own.
struct Acme {
    workshop: Workshop,
    /// Where its brokers are.
    brokers: String,
    topic: String,
    group: String,
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
        let acme = Self::at(cluster.bootstrap(), name);
        done(cluster.create_topic(&acme.topic, partitions, settings));
        acme
    }

    /// With brokers that have its topic.
    fn at(brokers: String, name: &str) -> Self {
        let topic = format!("acme.{name}");
        let workshop = Workshop::new(&["acme"]);
        let listed = brokers.replace(',', "\", \"");
        let kafka = format!("kafka: {{ brokers: [\"{listed}\"], topics: {topic}, group: {name} }}");
        workshop.edit("tenants/acme/tenant.yaml", |text| text.replace("files: samples/*.ndjson", &kafka));
        Self { workshop, brokers, topic, group: name.to_owned() }
    }

    /// States more of its source, inside `kafka`.
    fn state(&self, more: &str) {
        self.workshop
            .edit("tenants/acme/tenant.yaml", |text| text.replace("kafka: { ", &format!("kafka: {{ {more}, ")));
    }

    /// `kcat` on its brokers.
    fn kcat(&self) -> Command {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.brokers]);
        kcat
    }

    /// Has `kcat` produce each of `orders` as a message, with a key and two headers.
    fn produce(&self, orders: &[String]) {
        let lines: String = orders.iter().enumerate().map(|(place, order)| load::line(17, place, order)).collect();
        piped(&mut self.producer(&self.topic), lines.as_bytes());
    }

    /// A run that goes on until it is told to stop.
    fn follow(&self, more: &str) -> Running {
        self.start(self.run(more), RUN)
    }

    /// The same, as the host of this name in its group.
    fn follow_as(&self, host: &str, more: &str) -> Running {
        let mut run = self.run(more);
        run.env("SILVERSMITH_HOST", host);
        self.start(run, host)
    }

    fn run(&self, more: &str) -> Command {
        self.workshop.silversmith(&format!("run tenants --lake lake --follow 0.05 {more}"))
    }

    fn start(&self, mut run: Command, log: &str) -> Running {
        let log = self.workshop.path(format!("{log}.log"));
        let log = fs::File::options().create(true).append(true).open(log).expect("the workshop is ours");
        let run = run.env("SILVERSMITH_LOG", "info").stdout(Stdio::null()).stderr(log);
        Running(run.spawn().expect("the binary was built"))
    }

    /// What runs that were started by [`Self::follow`] said.
    fn log(&self) -> String {
        self.log_of(RUN)
    }

    /// What runs of a host said.
    fn log_of(&self, host: &str) -> String {
        fs::read_to_string(self.workshop.path(format!("{host}.log"))).unwrap_or_default()
    }

    /// Up to where each source is in Bronze, `bronze_version`, or in every table of Silver, `silver_version`.
    fn versions(&self, which: &str) -> BTreeMap<String, i64> {
        let version = |of: Value| Some((of["source"].as_str()?.to_owned(), of[which].as_i64()?));
        self.workshop.status("acme").into_iter().filter_map(version).collect()
    }

    /// Whether so many records are in Bronze, and all of them in Silver.
    fn has(&self, records: usize) -> bool {
        self.workshop.has("acme", records)
    }

    /// Asks a host to stop, which was started under this name, and fails unless it ends well.
    fn stop(&self, host: &str, running: &mut Running) {
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0), "{}", self.log_of(host));
    }

    /// Waits until all that its topic holds is in Silver; how much that is.
    fn caught_up(&self) -> usize {
        let records = self.served(&self.topic).len();
        until("all records are in Silver", || self.has(records));
        records
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
    let orders = orders(600, 11);
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
    let orders = orders(900, 12);
    acme.produce(&orders[..300]);
    let mut host = acme.follow("--batch-records 40 --fold-every 0.2");
    until("the first records are in Silver", || acme.has(300));
    acme.produce(&orders[300..600]);
    until("more are in Silver", || acme.has(600));
    acme.produce(&orders[600..]);
    acme.stop(RUN, &mut host);
    let (told, landed) = (acme.told(), acme.progress("orders"));
    assert_eq!(told, landed, "the group was told what is in the tables\n{}", acme.log());
    acme.workshop.run("");
    acme.assert_whole("followed, stopped and finished");
}
