//! Kafka: the brokers that tests share, and what the host makes of their topics.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use xtask::kafka::{Cluster, Jars};

/// The broker of this run of tests, started by whoever needs it first. It ends with the process.
fn cluster() -> &'static Cluster {
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
        let jars = Jars::find().expect("found no Kafka: run `cargo xtask setup`");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{}", std::process::id()));
        Cluster::start(&jars, &folder, 1).unwrap_or_else(|failure| panic!("{}", failure.0))
    });
    &CLUSTER
}

/// Runs to the end on `input`, and gives what was printed.
fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    running.stdin.take().expect("it was asked for").write_all(input).expect("it reads its input to the end");
    let done = running.wait_with_output().expect("it is our child");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn a_broker_of_our_own_gives_back_what_was_produced() {
    let cluster = cluster();
    cluster.create_topic("echo", 1, &[]).unwrap_or_else(|failure| panic!("{}", failure.0));
    piped(cluster.kcat().args(["-P", "-t", "echo", "-K:"]), b"a:1\nb:2\n");
    let read = piped(cluster.kcat().args(["-C", "-t", "echo", "-e", "-q", "-f", "%p %o %k %s\n"]), b"");
    assert_eq!(String::from_utf8_lossy(&read), "0 0 a 1\n0 1 b 2\n");
}
