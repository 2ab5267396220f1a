//! What a lake must hold of topics, whatever happened meanwhile.
//!
//! Bronze is held against what `kcat` reads from the broker, row by row. Each table of Silver is held against the table
//! that the same records give through files, in the order in which that table took them: which of two sources came
//! first is for each table to say, but every batch of Bronze is in it, and once.

use std::collections::BTreeMap;
use std::path::Path;

use silversmith::lake::{Bronze, Lake, Step};
use silversmith::record::Batch;

use super::{Acme, piped};
use crate::support::Workshop;
use crate::tables::{Row, assert_same_rows, contents, rows, text, wait};

/// A batch of Bronze: its source and its version there.
type Id = (String, i64);

impl Acme {
    /// Every message of `topic` as `kcat` reads it: partition, offset, key, payload.
    pub(super) fn served(&self, topic: &str) -> Vec<[String; 4]> {
        let mut kcat = self.kcat();
        kcat.args(["-C", "-t", topic, "-e", "-q", "-o", "beginning", "-f", "%p\t%o\t%k\t%s\n"]);
        let read = String::from_utf8(piped(&mut kcat, b"")).expect("orders are UTF-8");
        let cells = |line: &str| {
            let mut cells = line.splitn(4, '\t').map(str::to_owned);
            std::array::from_fn(|_| cells.next().unwrap_or_default())
        };
        let mut messages: Vec<[String; 4]> = read.lines().map(cells).collect();
        messages.sort();
        messages
    }

    /// Holds Bronze against the broker, and Silver against the same records through files.
    pub(super) fn assert_whole(&self, what: &str) {
        self.assert_bronze("orders", &self.topic, what);
        self.assert_silver(what);
    }

    /// Holds the Bronze of a source against its topic.
    pub(super) fn assert_bronze(&self, source: &str, topic: &str, what: &str) {
        let cells = |row: &Row| {
            let number = |column| text(row, column).to_owned();
            [number("partition"), number("offset"), unhex(text(row, "key")), unhex(text(row, "raw_payload"))]
        };
        let bronze = rows(&self.workshop.lake(), &format!("acme/bronze/{source}"));
        let mut found: Vec<[String; 4]> = bronze.iter().map(cells).collect();
        found.sort();
        let served = self.served(topic);
        let other = found.iter().zip(&served).find(|(found, served)| found != served);
        assert_eq!(other, None, "{what}: Bronze differs from the topic {topic}");
        assert_eq!(found.len(), served.len(), "{what}: records of {topic} in Bronze");
    }

    /// Holds Silver and quarantine against the same records through files.
    pub(super) fn assert_silver(&self, what: &str) {
        let lake = self.workshop.lake();
        let (found, bronze) = (without_origin(contents(&lake, "acme")), batches(&lake));
        let mut expected: BTreeMap<Vec<Id>, BTreeMap<String, Vec<Row>>> = BTreeMap::new();
        for (table, rows) in &found {
            // The versions of a dimension are made of its changes.
            let changes = format!("{table}_changes");
            let mut taken = taken(&lake, if found.contains_key(&changes) { &changes } else { table });
            taken.retain(|(source, _)| bronze.keys().any(|(known, _)| known == source));
            let mut once = taken.clone();
            once.sort();
            assert!(once.iter().eq(bronze.keys()), "{what}: {table} took {taken:?} of {:?}", bronze.keys());
            let expected = expected.entry(taken).or_insert_with_key(|taken| through_files(taken, &bronze));
            assert!(found.keys().eq(expected.keys()), "{what}: {:?} and {:?}", found.keys(), expected.keys());
            assert_same_rows(rows, &expected[table], &format!("{what}: {table}"));
        }
    }
}

/// All batches of Bronze.
fn batches(lake: &Path) -> BTreeMap<Id, Batch> {
    wait(async {
        let lake = Lake::open(lake).expect("the lake is there");
        let mut batches = BTreeMap::new();
        for table in lake.tables("acme").await.expect("the lake can be listed") {
            let Some(source) = table.strip_prefix("bronze/") else { continue };
            let bronze = Bronze::open(&lake, "acme", source).await.expect("Bronze can be opened");
            for step in bronze.steps(-1).await.expect("the log is whole") {
                if let Step::Batch(landed) = step {
                    let batch = bronze.read(&landed).await.expect("the batch is whole");
                    batches.insert((source.to_owned(), landed.version), batch);
                }
            }
        }
        batches
    })
}

/// The batches that a table took, in its order, and whatever else it counts.
fn taken(lake: &Path, table: &str) -> Vec<Id> {
    let entries = wait(async {
        let lake = Lake::open(lake).expect("the lake is there");
        let table = lake.find(&format!("acme/{table}")).await.expect("the table can be opened");
        let table = table.expect("it was listed");
        table.entries(0, table.version()).await.expect("the log is whole")
    });
    entries.into_iter().flat_map(|entry| entry.transactions).collect()
}

/// Silver and quarantine of a lake that is given `order` of `bronze` as one file.
fn through_files(order: &[Id], bronze: &BTreeMap<Id, Batch>) -> BTreeMap<String, Vec<Row>> {
    let reference = Workshop::new(&["acme"]);
    let mut lines = vec![];
    for batch in order.iter().map(|id| &bronze[id]) {
        for record in 0..batch.len() {
            lines.extend_from_slice(batch.payloads().value(record));
            lines.push(b'\n');
        }
    }
    reference.write("input/orders.ndjson", lines);
    reference.run("--input acme/orders=input --batch-records 500");
    without_origin(contents(&reference.lake(), "acme"))
}

/// Silver and quarantine, without what says where records came from, and when.
fn without_origin(mut tables: BTreeMap<String, Vec<Row>>) -> BTreeMap<String, Vec<Row>> {
    const ORIGIN: [&str; 12] = [
        "_is_late",
        "_position",
        "configuration_digest",
        "event_timestamp",
        "file",
        "headers",
        "key",
        "line",
        "offset",
        "partition",
        "source_system",
        "source_topic",
    ];
    tables.retain(|table, _| !table.starts_with("bronze/"));
    for rows in tables.values_mut() {
        rows.iter_mut().for_each(|row| row.retain(|column, _| !ORIGIN.contains(&column.as_str())));
        rows.sort();
    }
    tables
}

fn unhex(text: &str) -> String {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).unwrap_or_default();
    String::from_utf8_lossy(&text.as_bytes().chunks(2).map(byte).collect::<Vec<_>>()).into_owned()
}
