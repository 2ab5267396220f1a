//! Connections that end in the middle of an answer, answers that come late or never, and requests that brokers refuse.
//!
//! The broker is a real one behind a [`proxy`](super::proxy). The brokers that Kafka's client library brings for its own
//! tests cannot serve a host: they name no controller, so its question for the id of a topic finds nobody to ask.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::frames::Refusal;
use super::frames::Request::{Fetch, FindCoordinator, Heartbeat, JoinGroup, ListOffsets, OffsetCommit, SyncGroup};
use super::proxy::{Proxy, Way};
use super::{Acme, RUN, detour};
use crate::support::{orders, random, seed, trials, until};

/// Errors that pass, as the protocol numbers them, together where only the first has the client ask for the others.
const REFUSALS: &[&[Refusal]] = &[
    // Offset out of range, unknown topic, leader not available, not the leader, replica not available, storage error,
    // fenced leader epoch, unknown leader epoch, offset not available, unknown topic id, and an error of no name.
    &[Refusal(Fetch, 1)],
    &[Refusal(Fetch, 3)],
    &[Refusal(Fetch, 5)],
    &[Refusal(Fetch, 6)],
    &[Refusal(Fetch, 9)],
    &[Refusal(Fetch, 56)],
    &[Refusal(Fetch, 74)],
    &[Refusal(Fetch, 75)],
    &[Refusal(Fetch, 78)],
    &[Refusal(Fetch, 100)],
    &[Refusal(Fetch, -1)],
    // The coordinator loads, is not available, is another; the generation is over; no such member; the group rebalances.
    &[Refusal(OffsetCommit, 14)],
    &[Refusal(OffsetCommit, 15)],
    &[Refusal(OffsetCommit, 16)],
    &[Refusal(OffsetCommit, 22)],
    &[Refusal(OffsetCommit, 25)],
    &[Refusal(OffsetCommit, 27)],
    &[Refusal(Heartbeat, 15)],
    &[Refusal(Heartbeat, 16)],
    &[Refusal(Heartbeat, 22)],
    &[Refusal(Heartbeat, 25)],
    &[Refusal(Heartbeat, 27)],
    &[Refusal(Heartbeat, 16), Refusal(FindCoordinator, 15)],
    &[Refusal(Heartbeat, 27), Refusal(JoinGroup, 14)],
    &[Refusal(Heartbeat, 27), Refusal(JoinGroup, 15)],
    &[Refusal(Heartbeat, 27), Refusal(JoinGroup, 16)],
    &[Refusal(Heartbeat, 27), Refusal(JoinGroup, 25)],
    &[Refusal(Heartbeat, 27), Refusal(SyncGroup, 16)],
    &[Refusal(Heartbeat, 27), Refusal(SyncGroup, 22)],
    &[Refusal(Heartbeat, 27), Refusal(SyncGroup, 25)],
    &[Refusal(Heartbeat, 27), Refusal(SyncGroup, 27)],
    // Where logs start and end is asked for when partitions are given out anew.
    &[Refusal(Heartbeat, 25), Refusal(ListOffsets, 5)],
    &[Refusal(Heartbeat, 25), Refusal(ListOffsets, 6)],
    &[Refusal(Heartbeat, 25), Refusal(ListOffsets, 56)],
    &[Refusal(Heartbeat, 25), Refusal(ListOffsets, 78)],
];

#[test]
fn a_host_reads_on_whatever_becomes_of_its_connections_and_requests() {
    let mut seed = seed();
    let (entrance, port) = detour();
    let by_way_of = entrance.local_addr().expect("it is bound").to_string();
    let proxy = Proxy::new(entrance, port);
    let acme = Acme::with("connections", 4, &[]);
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| text.replace(&acme.brokers, &by_way_of));
    acme.state("session_timeout_ms: 1500");
    let load = acme.load(&acme.topic, orders(10_000, seed), 60);
    let watch = acme.watch();
    let mut host = acme.follow("--batch-records 20 --fold-every 0.5");
    // All that there is now and one more record of each partition.
    let mut reads_on = |what: &str| {
        let ends = watch.ends(&acme.topic).into_iter().map(|(partition, end)| (partition, end + 1)).collect();
        until(&format!("{what}, and the host reads on"), || acme.reaches("orders", &ends) || !host.is_running());
        assert!(host.is_running(), "{what}: it ended by itself: {}", acme.log());
    };
    reads_on("started");
    let mut slowest = (Duration::ZERO, Way::Open);
    let first = random(&mut seed) as usize;
    for trial in trials(100) {
        let mut some = |milliseconds| Duration::from_millis(random(&mut seed) % milliseconds);
        let (late, lasts) = (Duration::from_millis(20) + some(300), some(2500));
        let way = match (trial % 2, some(4).as_millis()) {
            (0, _) => Way::Refusing(REFUSALS[(first.wrapping_add(trial as usize / 2)) % REFUSALS.len()]),
            (_, 0) => Way::Closed,
            (_, 1) => Way::Silent,
            (_, 2) => Way::Torn,
            _ => Way::Late(late),
        };
        proxy.set(way);
        until(&format!("somebody meets with {way:?}"), || proxy.is_met());
        sleep(lasts);
        proxy.set(Way::Open);
        let mended = Instant::now();
        reads_on(&format!("{way:?} for {lasts:?}"));
        if mended.elapsed() > slowest.0 {
            slowest = (mended.elapsed(), way);
        }
    }
    println!("the slowest read on {:.1?} after all was mended: {:?}", slowest.0, slowest.1);
    load.stop();
    acme.caught_up();
    acme.stop(RUN, &mut host);
    acme.assert_whole("connections and requests failed");
}
