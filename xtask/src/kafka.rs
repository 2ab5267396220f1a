//! Kafka brokers on loopback: Apache Kafka itself, in KRaft mode, for tests and for trying things out.
//!
//! Owns fetching the jars, and starting, killing and stopping brokers by their process id. A [`Cluster`] takes free
//! ports and ends with the process that started it, however that ends: each broker has a watcher that reads a pipe
//! which only that process holds open. The brokers of [`start`] outlive it, until [`stop`].

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::shell::{Failure, cache, output, program, remove, run, succeeds};

/// Says which Kafka.
const POM: &str = include_str!("../../tests/kafka/pom.xml");
/// A broker answers after 3 s on an idle machine; many builds may run beside it.
const START_MAX: Duration = Duration::from_secs(120);
const HEAP: &str = "-Xmx512m";

/// The jars of Kafka, on this machine.
#[derive(Clone, Debug)]
pub struct Jars(PathBuf);

impl Jars {
    fn folder() -> PathBuf {
        cache().join("kafka")
    }

    /// The jars that `tests/kafka/pom.xml` names, if they were fetched.
    pub fn find() -> Option<Self> {
        // Written last of all: a download that was cut short, or of another pin, is made again.
        let fetched = fs::read_to_string(Self::folder().join("fetched.xml")).is_ok_and(|fetched| fetched == POM);
        fetched.then(|| Self(Self::folder().join("libs")))
    }

    /// The same, fetched where they are not there.
    pub fn fetch() -> Result<Self, Failure> {
        if let Some(jars) = Self::find() {
            return Ok(jars);
        }
        let (folder, pom) = (Self::folder(), Self::folder().join("pom.xml"));
        let libs = folder.join("libs");
        remove(&libs)?;
        fs::create_dir_all(&libs).map_err(Failure::io(format!("failed to make {}", libs.display())))?;
        write(&pom, POM)?;
        let mut maven = program("mvn", ["--quiet", "--batch-mode", "dependency:copy-dependencies", "-f"]);
        run(maven.arg(&pom).arg(format!("-DoutputDirectory={}", libs.display())))?;
        write(&folder.join("fetched.xml"), POM)?;
        Ok(Self(libs))
    }

    /// Java on one of Kafka's tools, which are done before what a server gains by would pay.
    fn tool(&self, class: &str) -> Command {
        self.java(&["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"], class)
    }

    /// Java on one of Kafka's programs.
    fn java(&self, options: &[&str], class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(options).args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
        java.arg(format!("{}/*", self.0.display())).arg(class);
        java
    }
}

/// One broker, which is a controller too.
#[derive(Debug)]
struct Broker {
    folder: PathBuf,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    broker: Child,
    /// Ends the broker and removes the cluster's folder as soon as nobody holds the other end of its input.
    watcher: Child,
}

/// A second way into a broker, on loopback.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What is spoken there: `PLAINTEXT`, `SASL_SSL` or another of Kafka's.
    pub protocol: &'static str,
    /// Where the broker waits for clients.
    pub port: u16,
    /// Where it sends them, if there is something in between.
    pub advertised: u16,
    /// The broker's settings of this way alone, by name.
    pub settings: Vec<(String, String)>,
}

impl Listener {
    /// The broker's settings, one a line; `port` and `controller` are those that it has anyhow.
    fn settings(&self, port: u16, controller: u16) -> String {
        let Self { protocol, port: second, advertised, .. } = self;
        let mut text = format!(
            "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECOND://127.0.0.1:{second}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECOND://127.0.0.1:{advertised}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:{protocol}\n"
        );
        for (name, value) in &self.settings {
            text += &format!("listener.name.second.{name}={value}\n");
        }
        text
    }
}

/// Brokers of a test's own.
#[derive(Debug)]
pub struct Cluster {
    jars: Jars,
    folder: PathBuf,
    brokers: Vec<Broker>,
}

impl Cluster {
    /// `brokers` brokers on free ports, which answer; `folder` is emptied, and removed at the end.
    pub fn start(jars: &Jars, folder: &Path, brokers: u16) -> Result<Self, Failure> {
        Self::launch_all(jars, folder, brokers, None)
    }

    /// The same, of one broker that has a second way in.
    pub fn start_with(jars: &Jars, folder: &Path, second: &Listener) -> Result<Self, Failure> {
        Self::launch_all(jars, folder, 1, Some(second))
    }

    fn launch_all(jars: &Jars, folder: &Path, brokers: u16, second: Option<&Listener>) -> Result<Self, Failure> {
        let free = || TcpListener::bind("127.0.0.1:0").map_err(Failure::io("failed to find a free port"));
        // All at once: a port that was given back could be given again.
        let sockets = (0..2 * brokers).map(|_| free()).collect::<Result<Vec<_>, _>>()?;
        let port = |socket: &TcpListener| socket.local_addr().map(|address| address.port());
        let ports = sockets.iter().map(port).collect::<io::Result<Vec<u16>>>();
        let ports = ports.map_err(Failure::io("failed to find a free port"))?;
        drop(sockets);
        let ports: Vec<(u16, u16)> = ports.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let folders = prepare(jars, folder, &ports, second)?;
        let broker = |(folder, (port, _)): (PathBuf, &(u16, u16))| Broker { folder, port: *port, running: None };
        let brokers = folders.into_iter().zip(&ports).map(broker).collect();
        let mut cluster = Self { jars: jars.clone(), folder: folder.to_owned(), brokers };
        for broker in 0..cluster.brokers.len() {
            cluster.launch(broker)?;
        }
        answering(&cluster.bootstrap(), &cluster.brokers[0].folder)?;
        Ok(cluster)
    }

    /// Where clients connect to.
    pub fn bootstrap(&self) -> String {
        bootstrap(self.brokers.iter().map(|broker| broker.port))
    }

    /// Ends a broker, counted from 0, as a crash would.
    pub fn kill(&mut self, broker: usize) {
        self.brokers[broker].running = None;
    }

    /// Starts a broker again, on what it had on disk, and waits until the cluster answers.
    pub fn restart(&mut self, broker: usize) -> Result<(), Failure> {
        self.kill(broker);
        self.launch(broker)?;
        answering(&bootstrap([self.brokers[broker].port]), &self.brokers[broker].folder)
    }

    /// Makes a topic by Kafka's own tool. `settings` are `name=value`.
    pub fn create_topic(&self, topic: &str, partitions: u16, settings: &[&str]) -> Result<(), Failure> {
        let replicas = self.brokers.len().to_string();
        let create = ["--create", "--topic", topic, "--replication-factor", &replicas];
        let mut arguments: Vec<String> = create.map(str::to_owned).to_vec();
        arguments.extend(["--partitions".to_owned(), partitions.to_string()]);
        arguments.extend(settings.iter().flat_map(|setting| ["--config".to_owned(), (*setting).to_owned()]));
        self.topics(&arguments)
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, topic: &str) -> Result<(), Failure> {
        self.topics(&["--delete".to_owned(), "--topic".to_owned(), topic.to_owned()])
    }

    fn topics(&self, arguments: &[String]) -> Result<(), Failure> {
        output(self.tool("org.apache.kafka.tools.TopicCommand").args(arguments)).map(drop)
    }

    /// Kafka's own tool of this class on this cluster.
    pub fn tool(&self, class: &str) -> Command {
        let mut tool = self.jars.tool(class);
        tool.args(["--bootstrap-server", &self.bootstrap()]);
        tool
    }

    /// `kcat` on this cluster.
    pub fn kcat(&self) -> Command {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.bootstrap()]);
        kcat
    }

    fn launch(&mut self, broker: usize) -> Result<(), Failure> {
        let of = &mut self.brokers[broker];
        let broker = spawn(&self.jars, &of.folder)?;
        // Whoever ends the broker on purpose ends its watcher first, so the id is the broker's for as long as it watches.
        let mut watcher = Command::new("sh");
        watcher.args(["-c", "cat > /dev/null; kill -9 \"$1\"; rm -rf \"$2\"", "sh"]);
        watcher.arg(broker.id().to_string()).arg(&self.folder).stdin(Stdio::piped()).stderr(Stdio::null());
        // Signals that a terminal sends to all must not end it before the broker.
        let watcher = std::os::unix::process::CommandExt::process_group(&mut watcher, 0).spawn();
        of.running = Some(Running { broker, watcher: watcher.map_err(Failure::io("failed to start `sh`"))? });
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in [&mut self.watcher, &mut self.broker] {
            // It has ended already where this fails.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.brokers.clear();
        // What is left costs room only.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Starts `brokers` brokers that go on after this process, at `port` and the ports behind it; where they are.
pub fn start(jars: &Jars, folder: &Path, brokers: u16, port: u16) -> Result<String, Failure> {
    if let Some((pid, _)) = started(folder).first() {
        return Err(Failure(format!("found brokers running (process {pid}): stop them by `cargo xtask kafka stop`")));
    }
    let ports: Vec<(u16, u16)> = (0..brokers).map(|i| (port + 2 * i, port + 2 * i + 1)).collect();
    for port in ports.iter().flat_map(|(port, controller)| [port, controller]) {
        let in_use = |cause| Failure(format!("found port {port} in use ({cause}): choose others by `--port`"));
        TcpListener::bind(("127.0.0.1", *port)).map_err(in_use)?;
    }
    let folders = prepare(jars, folder, &ports, None)?;
    for folder in &folders {
        write(&folder.join("pid"), &spawn(jars, folder)?.id().to_string())?;
    }
    let bootstrap = bootstrap(ports.iter().map(|(port, _)| *port));
    answering(&bootstrap, &folders[0])?;
    Ok(bootstrap)
}

/// Stops what [`start`] started in `folder`, and removes it.
pub fn stop(folder: &Path) -> Result<(), Failure> {
    for (pid, broker) in started(folder) {
        run(program("kill", ["-9", &pid]).current_dir("/"))?;
        let since = Instant::now();
        while is_broker(&pid, &broker) {
            if since.elapsed() > START_MAX {
                return Err(Failure(format!("process {pid} was killed and still runs")));
            }
            sleep(Duration::from_millis(10));
        }
    }
    remove(folder)
}

/// The brokers that [`start`] started in `folder` and that run: process ids and folders.
fn started(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let with_pid = entries.filter_map(|broker| Some((fs::read_to_string(broker.join("pid")).ok()?, broker)));
    with_pid.filter(|(pid, broker)| is_broker(pid, broker)).collect()
}

/// Whether the process `pid` is the broker of `folder`: ids are used again.
fn is_broker(pid: &str, folder: &Path) -> bool {
    let said = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    said.split('\0').any(|argument| Path::new(argument) == settings(folder))
}

fn settings(folder: &Path) -> PathBuf {
    folder.join("server.properties")
}

/// An empty folder for each broker of one cluster, formatted. `ports` are those of broker and controller.
fn prepare(
    jars: &Jars,
    folder: &Path,
    ports: &[(u16, u16)],
    second: Option<&Listener>,
) -> Result<Vec<PathBuf>, Failure> {
    remove(folder)?;
    let id = output(jars.tool("kafka.tools.StorageTool").arg("random-uuid"))?;
    let voters: Vec<String> =
        ports.iter().enumerate().map(|(i, (_, controller))| format!("{}@127.0.0.1:{controller}", i + 1)).collect();
    let mut folders = vec![];
    for (i, (port, controller)) in ports.iter().enumerate() {
        let folder = folder.join(format!("broker-{}", i + 1));
        fs::create_dir_all(&folder).map_err(Failure::io(format!("failed to make {}", folder.display())))?;
        let replicas = ports.len();
        // Times are short, so that tests need not wait for what takes minutes in production.
        let text = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             controller.quorum.voters={voters}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             log.dirs={data}\n\
             num.partitions=4\n\
             default.replication.factor={replicas}\n\
             offsets.topic.replication.factor={replicas}\n\
             offsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=500\n\
             broker.heartbeat.interval.ms=500\n\
             broker.session.timeout.ms=3000\n\
             log.retention.check.interval.ms=500\n\
             log.initial.task.delay.ms=500\n\
             log.segment.delete.delay.ms=500\n\
             log.cleaner.backoff.ms=500\n\
             {more}",
            id = i + 1,
            // Of two settings of one name, the latter counts.
            more = second.map(|second| second.settings(*port, *controller)).unwrap_or_default(),
            voters = voters.join(","),
            data = folder.join("data").display(),
        );
        write(&settings(&folder), &text)?;
        let mut format = jars.tool("kafka.tools.StorageTool");
        output(format.args(["format", "-t", id.trim(), "-c"]).arg(settings(&folder)))?;
        folders.push(folder);
    }
    Ok(folders)
}

/// A broker on a prepared folder, in a process group of its own.
fn spawn(jars: &Jars, folder: &Path) -> Result<Child, Failure> {
    let log = || fs::OpenOptions::new().create(true).append(true).open(folder.join("broker.log"));
    let log = || log().map_err(Failure::io(format!("failed to write to {}", folder.display())));
    let mut java = jars.java(&[HEAP], "kafka.Kafka");
    java.arg(settings(folder)).stdin(Stdio::null()).stdout(log()?).stderr(log()?);
    std::os::unix::process::CommandExt::process_group(&mut java, 0);
    java.spawn().map_err(Failure::io("failed to start `java`"))
}

/// Waits until the brokers at `bootstrap` answer.
fn answering(bootstrap: &str, folder: &Path) -> Result<(), Failure> {
    let since = Instant::now();
    while !succeeds(Command::new("kcat").args(["-b", bootstrap, "-L", "-m", "2"])) {
        if since.elapsed() > START_MAX {
            let log = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(20).collect();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            return Err(Failure(format!("the brokers at {bootstrap} do not answer; the end of their log:\n{end}")));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn bootstrap(ports: impl IntoIterator<Item = u16>) -> String {
    ports.into_iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(Failure::io(format!("failed to write {}", file.display())))
}
