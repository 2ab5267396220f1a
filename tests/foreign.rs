//! Commits that are nobody's we know: whatever another program puts into a table's log, the host decides again and goes on.

use std::process::Stdio;

use silversmith::lake::Lake;

use crate::support::{Running, Workshop, orders, until};
use crate::tables::{assert_same, contents, wait};

const RUN: &str = "--input acme/orders=input --batch-records 50";

#[test]
fn a_foreign_commit_on_any_table_has_a_batch_decided_again() {
    let workshop = Workshop::new(&["acme"]);
    let lines = orders(300, 8);
    let parts: Vec<&[String]> = lines.chunks(lines.len() / 3).collect();
    let feed = |number: usize| workshop.write(&format!("input/{number}.ndjson"), parts[number].join("\n") + "\n");
    let settled = |records| until("all records are in Silver", || workshop.has("acme", records));

    feed(0);
    let mut command = workshop.silversmith(&format!("run tenants --lake lake --follow 0.05 --fold-every 0.1 {RUN}"));
    let mut host = Running(command.stdout(Stdio::null()).spawn().expect("the binary was built"));
    let mut records = parts[0].len();
    settled(records);
    for (number, part) in parts.iter().enumerate().skip(1) {
        disturb(&workshop, number as i64);
        feed(number);
        records += part.len();
        settled(records);
    }
    host.signal("-TERM");
    assert_eq!(host.ended(), Some(0));

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
