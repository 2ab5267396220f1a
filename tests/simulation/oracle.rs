//! What must hold when everything is over, whatever happened before.
//!
//! Bronze is held against what was produced, the logs and manifests against themselves, and Silver against a lake that took
//! the same Bronze without trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Map, Value};
use silversmith::digest::Sum;
use silversmith::lake::{Bronze, Entry, Lake, Step};
use silversmith::record::Batch;
use silversmith::registry::activation::{Activations, Digests, ObjectDigest};

use super::clock::SimulatedWorld;
use super::dice::Dice;
use super::kafka::{Log, Produced};
use super::replay::replay;
use super::source::{app_id, topic};
use super::stage::{Stage, url};
use crate::tables::{Row, assert_same_rows, comparable, read, text};

/// A batch that Bronze holds.
pub(super) struct Received {
    pub(super) version: i64,
    /// Of the mappings in force at its version.
    pub(super) generation: u64,
    pub(super) batch: Batch,
}

/// The batches that a table took, by source and Bronze version, in its order.
type Order = Vec<(String, i64)>;

/// Fails unless all holds.
pub(super) async fn check(stage: &Stage<'_>) {
    let world = SimulatedWorld::new(&stage.shared.clock, 0, Dice::new(0));
    let lake = Lake::over(stage.shared.objects.clone(), url(), Arc::new(world));
    let mut received = vec![];
    for (source, logs) in stage.kafka.logs() {
        received.extend(bronze(stage, &lake, &source, &logs).await);
    }
    let mut logs = BTreeMap::new();
    for table in lake.tables("acme").await.expect("the lake can be listed") {
        let entries = log(stage, &lake, &table).await;
        logs.insert(table, entries);
    }
    manifests(&lake, &received).await;
    silver(stage, &lake, &received, &logs).await;
}

/// Bronze of `source` holds what was produced: every record once, in order, and every gap accounted for.
async fn bronze(stage: &Stage<'_>, lake: &Lake, source: &str, logs: &[Log]) -> Vec<Received> {
    let bronze = Bronze::open(lake, "acme", source).await.expect("Bronze can be opened");
    let (mut activations, mut received) = (Activations::default(), vec![]);
    let mut next: BTreeMap<String, i64> = BTreeMap::new();
    let mut found: Vec<Log> = vec![vec![]; logs.len()];
    for step in bronze.steps(-1).await.expect("the log is whole") {
        let landed = match step {
            Step::Activation(activation) => {
                let digests = Digests::from_info(&activation.info).expect("an activation names digests");
                activations.push(activation.version, digests);
                continue;
            }
            Step::Batch(landed) => landed,
            Step::Summary(summary) => panic!("a summary at version {}", summary.version),
        };
        let digests = activations.at(landed.version).expect("an activation precedes every batch");
        let batch = bronze.read(&landed).await.expect("the batch is whole");
        let mut missing = BTreeSet::new();
        for span in &landed.spans {
            let from = next.insert(span.app_id.clone(), span.last + 1).unwrap_or(0);
            assert_eq!(from, span.first, "{} does not go on where it ended at {}", span.app_id, landed.version);
            missing.extend((span.first..=span.last).map(|offset| (span.app_id.clone(), offset)));
        }
        for index in 0..batch.len() {
            let position = batch.position(index);
            let partition = position.partition.expect("it comes from a partition") as usize;
            assert_eq!(position.topic, Some(topic(source).as_str()));
            let inside = missing.remove(&(app_id(source, partition), position.offset));
            assert!(inside, "{} is outside of its batch's spans, or twice", batch.position_text(index));
            let (payloads, at) = (batch.payloads(), batch.event_time(index).expect("a record has a time"));
            found[partition].push(Produced {
                offset: position.offset,
                at: Duration::from_micros(at as u64),
                key: batch.keys().value(index).to_vec(),
                payload: payloads.is_valid(index).then(|| payloads.value(index).to_vec()),
            });
        }
        for gap in landed.evidence["gaps"].as_array().expect("gaps are a list") {
            let number = |name: &str| gap[name].as_i64().expect("gaps are made of numbers");
            for offset in number("first")..=number("last") {
                assert!(missing.remove(&(app_id(source, number("partition") as usize), offset)), "{gap} is no gap");
            }
        }
        assert!(missing.is_empty(), "version {} accounts for none of {missing:?}", landed.version);
        let generation = generation(stage, source, digests);
        received.push(Received { version: landed.version, generation, batch });
    }
    for (partition, (found, produced)) in found.iter().zip(logs).enumerate() {
        let other = found.iter().zip(produced).find(|(found, produced)| found != produced);
        assert_eq!(other, None, "partition {partition} of {source} differs");
        assert_eq!(found.len(), produced.len(), "records of partition {partition} of {source}");
    }
    received
}

/// The generation whose configuration has these digests.
fn generation(stage: &Stage<'_>, source: &str, digests: Digests) -> u64 {
    let of = |generation: &u64| {
        let tenant = stage.props.tenant(stage.shared.options.sources, *generation);
        let settings = tenant.sources.iter().find(|settings| settings.name == source).expect("a source of the tenant");
        ObjectDigest::of(tenant.configured(settings).canonical().as_bytes()) == digests.configuration
    };
    (0..2).find(of).expect("Bronze names one of two configurations")
}

/// The log of a table: no entry is missing, every line is one action, and no file is added or removed twice.
async fn log(stage: &Stage<'_>, lake: &Lake, table: &str) -> Vec<Entry> {
    let opened = lake.find(&format!("acme/{table}")).await.expect("the table can be opened").expect("it was listed");
    let entries = opened.entries(0, opened.version()).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    let (mut added, mut removed) = (BTreeMap::new(), BTreeSet::new());
    let object = |inner: &str| Path::from_url_path(format!("lake/acme/{table}/{inner}")).expect("a path");
    for entry in &entries {
        let name = format!("_delta_log/{:020}.json", entry.version);
        let bytes = stage.shared.objects.get(&object(&name)).await.expect("it was read before").bytes().await;
        for line in bytes.expect("it was read before").split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let action: Map<String, Value> = serde_json::from_slice(line).expect("a line is JSON");
            assert_eq!(action.len(), 1, "{table}, version {}: {action:?}", entry.version);
        }
        for add in &entry.adds {
            let file = stage.shared.objects.head(&object(&add.path)).await;
            let size = file.unwrap_or_else(|error| panic!("{table}, version {}: {error}", entry.version)).size;
            assert_eq!(size as i64, add.size, "{} of {table}", add.path);
            let before = added.insert(add.path.clone(), entry.version);
            assert_eq!(before, None, "{} of {table} is added again at {}", add.path, entry.version);
        }
        for path in &entry.removes {
            assert!(added.contains_key(path), "{path} of {table} was not there at {}", entry.version);
            assert!(removed.insert(path.clone()), "{path} of {table} is removed again at {}", entry.version);
        }
    }
    entries
}

/// Every batch has one complete manifest of each layer, whose accounts add up, and to what the tables hold.
async fn manifests(lake: &Lake, received: &[Received]) {
    let mut manifests: BTreeMap<(String, String), Row> = BTreeMap::new();
    for row in rows(lake, "acme/manifests").await {
        if text(&row, "status") == "COMPLETE" {
            let name = (text(&row, "batch_id").to_owned(), text(&row, "layer").to_owned());
            let before = manifests.insert(name, row);
            assert_eq!(before, None, "a second manifest of one batch is complete");
        }
    }
    assert_eq!(manifests.len(), 2 * received.len(), "complete manifests");
    let accounts = |row: &Row| -> Value { serde_json::from_str(text(row, "accounts")).expect("accounts are JSON") };
    let sum = |value: &Value| -> Sum { serde_json::from_value(value.clone()).expect("a digest") };
    let mut kept: BTreeMap<String, u64> = BTreeMap::new();
    let mut quarantined = 0;
    for Received { version, batch, .. } in received {
        let name = format!("{}@{version}", batch.source);
        let [bronze, silver] = ["BRONZE", "SILVER"].map(|layer| {
            let row = manifests.get(&(name.clone(), layer.to_owned()));
            let row = row.unwrap_or_else(|| panic!("{name} has no complete manifest of {layer}"));
            assert_eq!(text(row, "record_count"), batch.len().to_string(), "{name}");
            accounts(row)
        });
        let of = |outcome: &str| sum(&silver["records"][outcome]);
        let records = of("transformed") + of("filtered") + of("quarantined");
        assert_eq!(records, sum(&bronze["bronze"]["records"]), "records of {name}");
        assert_eq!(records.count, batch.len() as u64, "records of {name}");
        quarantined += of("quarantined").count;
        for account in silver["entities"].as_array().expect("entities are a list") {
            let of = |outcome: &str| sum(&account[outcome]);
            assert_eq!(of("emitted"), of("kept") + of("duplicate") + of("refused"), "rows of {name}: {account}");
            let entity = account["entity"].as_str().expect("an entity has a name").to_owned();
            *kept.entry(entity).or_default() += of("kept").count;
        }
    }
    for (entity, kept) in kept {
        let changes = lake.find(&format!("acme/silver/{entity}_changes")).await.expect("it can be looked for");
        let suffix = if changes.is_some() { "_changes" } else { "" };
        let rows = rows(lake, &format!("acme/silver/{entity}{suffix}")).await;
        assert_eq!(rows.len() as u64, kept, "rows of {entity}, and those that manifests say were kept");
    }
    let refused = rows(lake, "acme/quarantine").await;
    let refused = refused.iter().filter(|row| text(row, "scope") == "record").count();
    assert_eq!(refused as u64, quarantined, "records in quarantine, and those that manifests say are there");
}

/// Silver and quarantine are those of hosts without trouble that took the batches in the same order.
async fn silver(stage: &Stage<'_>, lake: &Lake, received: &[Received], logs: &BTreeMap<String, Vec<Entry>>) {
    let by_name: BTreeMap<(String, i64), &Received> =
        received.iter().map(|received| ((received.batch.source.clone(), received.version), received)).collect();
    let all: Order = by_name.keys().cloned().collect();
    let mut references: BTreeMap<Order, BTreeMap<String, Vec<Row>>> = BTreeMap::new();
    let mut orders: BTreeMap<&str, Order> = BTreeMap::new();
    for (table, entries) in logs {
        let Some(name) = table.strip_prefix("silver/") else { continue };
        let order: Order = entries.iter().flat_map(|entry| entry.transactions.clone()).collect();
        if order.iter().all(|(app_id, _)| app_id == "fold") {
            continue;
        }
        let mut sorted = order.clone();
        sorted.sort();
        assert_eq!(sorted, all, "{table} took other batches than Bronze has");
        if !references.contains_key(&order) {
            let given: Vec<&Received> = order.iter().map(|name| by_name[name]).collect();
            let reference = replay(stage, &given).await;
            references.insert(order.clone(), contents(&reference).await);
        }
        orders.insert(name, order);
    }
    let found = contents(lake).await;
    for (table, found) in &found {
        let Some(name) = table.strip_prefix("silver/") else { continue };
        let order = orders.get(name).or_else(|| orders.get(format!("{name}_changes").as_str()));
        let order = order.unwrap_or_else(|| panic!("{table} took nothing"));
        assert_same_rows(found, &references[order][table], table);
    }
    refusals(&found["quarantine"], &orders, &references);
    for row in &found["silver/order"] {
        let of = |received: &&Received| {
            (0..received.batch.len()).any(|i| received.batch.position_text(i) == text(row, "_position"))
        };
        let generation = received.iter().find(of).expect("a row comes from a record").generation;
        assert_eq!(text(row, "channel") == "changed", generation == 1, "{row:?}");
    }
}

/// Quarantine holds what each table, in its own order, refused.
fn refusals(found: &[Row], orders: &BTreeMap<&str, Order>, references: &BTreeMap<Order, BTreeMap<String, Vec<Row>>>) {
    let of_dedup = |row: &Row| text(row, "stage") == "dedup";
    let mut expected: Vec<Row> = vec![];
    if let Some(reference) = references.values().next() {
        expected.extend(reference["quarantine"].iter().filter(|row| !of_dedup(row)).cloned());
    }
    for (entity, order) in orders {
        let refused = references[order]["quarantine"].iter().filter(|row| of_dedup(row));
        expected.extend(refused.filter(|row| text(row, "entity") == entity.trim_end_matches("_changes")).cloned());
    }
    // The bytes of a record lie beside the first of its refusals, which depends on the orders of several tables.
    let mut found = found.to_vec();
    for rows in [&mut found, &mut expected] {
        rows.iter_mut().for_each(|row| _ = row.remove("raw_payload"));
        rows.sort();
    }
    assert_same_rows(&found, &expected, "quarantine");
}

/// All rows of a table that must be there.
async fn rows(lake: &Lake, table: &str) -> Vec<Row> {
    let found = read(lake, table).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    found.unwrap_or_else(|| panic!("the lake has no table {table}"))
}

/// Every table of Silver and quarantine, without what differs whatever was done right, each in one order.
async fn contents(lake: &Lake) -> BTreeMap<String, Vec<Row>> {
    let mut contents = BTreeMap::new();
    for table in lake.tables("acme").await.expect("the lake can be listed") {
        if table.starts_with("silver/") || table == "quarantine" {
            contents.insert(table.clone(), comparable(rows(lake, &format!("acme/{table}")).await));
        }
    }
    contents
}
