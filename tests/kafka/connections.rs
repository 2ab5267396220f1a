//! Requests that fail: connections that end in the middle of an answer, and answers that come late or never.
//!
//! The broker is a real one behind a [`proxy`](super::proxy). The brokers that Kafka's client library brings for its own
//! tests cannot serve a host: they name no controller, so its question for the id of a topic finds nobody to ask.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::proxy::{Proxy, Way};
use super::{Acme, RUN, detour};
use crate::support::{orders, random, seed, trials, until};

#[test]
fn a_host_reads_on_whatever_becomes_of_its_connections() {
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
    for _ in trials(100) {
        let mut some = |milliseconds| Duration::from_millis(random(&mut seed) % milliseconds);
        let (late, lasts) = (Duration::from_millis(20) + some(300), some(2500));
        let way = [Way::Closed, Way::Silent, Way::Torn, Way::Late(late)][some(4).as_millis() as usize];
        proxy.set(way);
        sleep(lasts);
        proxy.set(Way::Open);
        let mended = Instant::now();
        reads_on(&format!("{way:?} for {lasts:?}"));
        if mended.elapsed() > slowest.0 {
            slowest = (mended.elapsed(), way);
        }
    }
    println!("the slowest read on {:.1?} after its connections were mended: {:?}", slowest.0, slowest.1);
    load.stop();
    acme.caught_up();
    acme.stop(RUN, &mut host);
    acme.assert_whole("connections failed");
}
