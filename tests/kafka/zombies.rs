//! Hosts that stand still until another has taken over, and then go on as if nothing had happened.
//!
//! The tenant has two sources that bring the same orders, each in an order of its own, so that what one of them committed
//! decides over what the other may: a host that wakes up with an index of before would keep rows twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use silversmith::lake::Lake;

use super::{Acme, cluster, done};
use crate::support::{SOON, files, orders, random, seed, trials, until};
use crate::tables::wait;

const HOSTS: [&str; 2] = ["alpha", "beta"];
const SOURCES: [&str; 2] = ["orders", "mirror"];
/// Hosts fall asleep while they write one of them.
const TABLES: [&str; 5] =
    ["bronze/orders", "bronze/mirror", "silver/customer_changes", "silver/order_line", "manifests"];

/// acme with a second source that reads a topic of its own through mappings of its own.
fn mirrored(name: &str) -> Acme {
    let acme = Acme::with(name, 4, &[]);
    acme.state("session_timeout_ms: 1500");
    done(cluster().create_topic(&format!("acme.{name}.mirror"), 4, &[]));
    acme.workshop.map_alike("mirror");
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| {
        let (begin, rest) = text.split_once("  orders:\n").expect("acme has the source");
        let (orders, end) = rest.split_once("pii:").expect("the workshop states treatments");
        let mirror = orders
            .replace(
                &format!("topics: acme.{name}, group: {name}"),
                &format!("topics: acme.{name}.mirror, group: {name}.mirror"),
            )
            .replace("mappings/orders-", "mappings/mirror-");
        format!("{begin}  orders:\n{orders}  mirror:\n{mirror}pii:{end}")
    });
    acme
}

/// Of `orders`, those that do not contradict one before: which of two contradicting orders is kept is for their order to
/// say, and the two sources differ in it.
fn consistent(orders: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let number = |order: &String| {
        let order: serde_json::Value = serde_json::from_str(order).unwrap_or_default();
        ["order_id", "id"].iter().find_map(|name| order[name].as_str().map(str::to_owned))
    };
    orders.into_iter().filter(|order| number(order).is_none_or(|number| seen.insert(number))).collect()
}

#[test]
fn a_host_that_wakes_up_after_another_took_over_repeats_nothing() {
    let mut seed = seed();
    let acme = mirrored("zombies");
    let topics = [acme.topic.clone(), format!("{}.mirror", acme.topic)];
    let groups = [acme.group.clone(), format!("{}.mirror", acme.group)];
    // More than are produced: orders that come again change nothing, and no host could be caught writing.
    let orders = consistent(orders(100_000, seed));
    let reversed: Vec<String> = orders.chunks(50).flat_map(|orders| orders.iter().rev().cloned()).collect();
    let loads = [acme.load(&topics[0], orders, 30), acme.load(&topics[1], reversed, 30)];
    let watch = acme.watch();
    let follow = |name| (name, acme.follow_as(name, "--batch-records 20 --fold-every 0.3"));
    let mut hosts: BTreeMap<&str, _> = HOSTS.into_iter().map(follow).collect();
    let mut asleep = BTreeMap::new();
    for trial in trials(30) {
        let holders = groups.iter().zip(&topics).map(|(group, topic)| watch.settled(group, topic, HOSTS));
        let holders: Vec<_> = holders.collect();
        // Whoever holds the first partition of the first topic has the most to commit; the other is tried as well.
        let first = &holders[0][&(topics[0].clone(), 0)];
        let zombie = HOSTS.into_iter().find(|name| (name == first) == (trial % 3 != 2)).expect("there are two hosts");
        await_file(&acme, TABLES[(random(&mut seed) % TABLES.len() as u64) as usize]);
        hosts[zombie].signal("-STOP");
        *asleep.entry(zombie).or_insert(0) += 1;
        // More than there was when it fell asleep, in Bronze and, of each source, in Silver.
        let behind: Vec<_> = topics.iter().map(|topic| watch.ends(topic)).collect();
        for (source, ends) in SOURCES.iter().zip(&behind) {
            until("another lands what the zombie held", || acme.reaches(source, ends));
        }
        let landed = acme.versions("bronze_version");
        until("another takes it to Silver", || {
            let settled = acme.versions("silver_version");
            landed.iter().all(|(source, version)| settled.get(source) >= Some(version))
        });
        hosts[zombie].signal("-CONT");
        sleep(Duration::from_millis(random(&mut seed) % 500));
        for (name, host) in &mut hosts {
            assert!(host.is_running(), "trial {trial}: {name} ended by itself: {}", acme.log_of(name));
        }
    }
    let produced: usize = loads.into_iter().map(super::load::Load::stop).sum();
    until("all records are in Silver", || acme.has(produced));
    for (name, mut host) in hosts {
        acme.stop(name, &mut host);
    }
    println!("{produced} records; {asleep:?} were put to sleep; commits that lost: {:?}", lost(&acme));
    for (source, topic) in SOURCES.iter().zip(&topics) {
        acme.assert_bronze(source, topic, "zombies");
    }
    acme.assert_silver("zombies");
}

/// Returns when a file was written to a table, which its commit does not name yet.
fn await_file(acme: &Acme, table: &str) {
    let folder = acme.workshop.path(format!("lake/acme/{table}"));
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // Bronze keeps its files in a folder for each day.
    let written = || {
        let of_table = entries(&folder).filter(|path| !path.ends_with("_delta_log"));
        of_table.map(|path| entries(&path).count().max(1)).sum::<usize>()
    };
    let (before, since) = (written(), Instant::now());
    while written() == before {
        assert!(since.elapsed() < SOON, "nothing is written to {table} within {SOON:?}");
        sleep(Duration::from_millis(1));
    }
}

/// How many files no commit names, by table: those of commits that lost.
fn lost(acme: &Acme) -> BTreeMap<String, usize> {
    let lake = Lake::open(&acme.workshop.lake()).expect("the lake is there");
    let tables = wait(lake.tables("acme")).expect("the lake can be listed");
    let lost = tables.into_iter().map(|name| {
        let entries = wait(async {
            let table = lake.find(&format!("acme/{name}")).await.expect("the table can be opened");
            let table = table.expect("it was listed");
            table.entries(0, table.version()).await.expect("the log is whole")
        });
        let added = entries.into_iter().flat_map(|entry| entry.adds);
        let named: BTreeSet<_> =
            added.filter_map(|file| Some(PathBuf::from(file.path).file_name()?.to_owned())).collect();
        let written = files(&acme.workshop.path(format!("lake/acme/{name}"))).into_iter();
        let parquet = written.filter(|file| file.extension().is_some_and(|kind| kind == "parquet"));
        let lost = parquet.filter(|file| !file.iter().any(|part| part == "_delta_log"));
        (name, lost.filter(|file| !file.file_name().is_some_and(|name| named.contains(name))).count())
    });
    lost.filter(|(_, lost)| *lost > 0).collect()
}
