//! Hosts that join and leave one group, one after the other and at once, while more is produced than they land.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use super::Acme;
use crate::support::{Running, orders, random, seed, trials};

const HOSTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
/// Rebalances of one lake before it is finished and held against its topic.
const REBALANCES_A_LAKE: u64 = 25;
/// More than is landed in batches of ten, so that buffers are full.
const ORDERS_A_SECOND: usize = 200;

#[test]
fn hosts_that_come_and_go_with_full_buffers_lose_nothing_and_repeat_nothing() {
    let mut seed = seed();
    let all = trials(100).end;
    for first in (0..all).step_by(REBALANCES_A_LAKE as usize) {
        storm(&format!("storm-{first}"), REBALANCES_A_LAKE.min(all - first), &mut seed);
    }
}

fn storm(name: &str, rebalances: u64, seed: &mut u64) {
    let acme = Acme::with(name, 6, &[]);
    acme.state("session_timeout_ms: 1500");
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| {
        text.replace("    schema_version:", "    batch: { records: 10, bytes: 64KiB }\n    schema_version:")
    });
    let load = acme.load(&acme.topic, orders(10_000, *seed), ORDERS_A_SECOND);
    let watch = acme.watch();
    let mut hosts: BTreeMap<&str, Running> = BTreeMap::new();
    let (mut joined, mut left, mut killed) = (0, 0, 0);
    for _ in 0..rebalances {
        // Two at once as often as one.
        let (first, events) = (random(seed) as usize % HOSTS.len(), 1 + random(seed) as usize % 2);
        for event in 0..events {
            let name = HOSTS[(first + event) % HOSTS.len()];
            match hosts.remove(name) {
                None => {
                    joined += 1;
                    hosts.insert(name, acme.follow_as(name, "--fold-every 0.5"));
                }
                Some(mut host) if random(seed).is_multiple_of(3) => {
                    killed += 1;
                    host.signal("-KILL");
                    host.ended();
                }
                Some(mut host) => {
                    left += 1;
                    acme.stop(name, &mut host);
                }
            }
        }
        if hosts.is_empty() {
            joined += 1;
            hosts.insert(HOSTS[0], acme.follow_as(HOSTS[0], "--fold-every 0.5"));
        }
        watch.settled(&acme.group, &acme.topic, hosts.keys().copied());
        sleep(Duration::from_millis(random(seed) % 300));
        for (name, host) in &mut hosts {
            assert!(host.is_running(), "{name} ended by itself: {}", acme.log_of(name));
        }
    }
    let produced = load.stop();
    for (name, mut host) in hosts {
        acme.stop(name, &mut host);
    }
    // What is left comes at once.
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| text.replace("records: 10, bytes: 64KiB", "bytes: 32MiB"));
    let report = acme.workshop.run("");
    println!(
        "{name}: {joined} hosts joined, {left} left, {killed} were killed; {} of {produced} records were left for the last run",
        report[0]["records"]
    );
    acme.assert_whole(name);
}
