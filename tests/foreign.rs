//! Commits that are nobody's we know: whatever another program puts into a table's log, the host decides again and goes on.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use silversmith::lake::Lake;
use xtask::generate::{self, Plan, Plot};

use crate::support::{Workshop, call, files};
use crate::tables::{assert_same, contents, wait};

/// How long anything that must happen may take, on a machine that does much else.
const SOON: Duration = Duration::from_secs(120);
const RUN: &str = "--input acme/orders=input --batch-records 50";

/// A host that follows its input; killed when a test ends early.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_foreign_commit_on_any_table_has_a_batch_decided_again() {
    let workshop = Workshop::new(&["acme"]);
    let plan = Plan { records: 300, seed: 8, plot: Plot::Lively, answer: false };
    generate::write("acme", plan, &workshop.path("generated")).expect("the workshop is ours");
    let read = |file| fs::read_to_string(file).expect("acme's files are plain");
    let text: String = files(&workshop.path("generated/acme")).into_iter().map(read).collect();
    let lines: Vec<&str> = text.lines().collect();
    let parts: Vec<String> = lines.chunks(lines.len() / 3).map(|part| part.join("\n") + "\n").collect();

    workshop.write("input/0.ndjson", &parts[0]);
    let mut command = workshop.silversmith(&format!("run tenants --lake lake --follow 0.05 --fold-every 0.1 {RUN}"));
    let mut host = Host(command.stdout(Stdio::null()).spawn().expect("the binary was built"));
    let mut records = parts[0].lines().count();
    has(&workshop, records);
    for (number, part) in parts.iter().enumerate().skip(1) {
        disturb(&workshop, number as i64);
        workshop.write(&format!("input/{number}.ndjson"), part);
        records += part.lines().count();
        has(&workshop, records);
    }
    let asked = std::process::Command::new("kill").args(["-TERM", &host.0.id().to_string()]).status();
    assert!(asked.is_ok_and(|asked| asked.success()));
    assert_eq!(host.0.wait().expect("it is our child").code(), Some(0));

    let found = contents(&workshop.lake(), "acme");
    workshop.drain();
    workshop.run(RUN);
    assert_same(&found, &contents(&workshop.lake(), "acme"), "beside a program that commits too");
}

/// Commits to every table of acme, as a program would that keeps its own progress there.
fn disturb(workshop: &Workshop, version: i64) {
    wait(async {
        let lake = Lake::open(&workshop.lake()).expect("the lake is there");
        for name in lake.tables("acme").await.expect("the lake can be listed") {
            let table = lake.find(&format!("acme/{name}")).await.expect("the table can be opened");
            let mut table = table.unwrap_or_else(|| panic!("the lake has no table {name}"));
            let mut commit = table.begin("OTHER");
            commit.transactions = vec![("other".to_owned(), version)];
            // The host may fold in between.
            while table.commit(&commit).await.is_err() {
                table.refresh().await.expect("the log can be read");
            }
        }
    });
}

/// Waits until so many records are in every table.
fn has(workshop: &Workshop, records: usize) {
    let since = Instant::now();
    loop {
        let done = call(&mut workshop.silversmith("status acme --lake lake --format json"));
        let status: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        if status[0]["records"] == records && status[0]["state"] == "current" {
            return;
        }
        assert!(since.elapsed() < SOON, "{records} records are not in Silver within {SOON:?}: {status}");
        sleep(Duration::from_millis(20));
    }
}
