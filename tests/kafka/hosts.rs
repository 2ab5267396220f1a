//! Several hosts of one tenant: all of them land, one of them settles, and another takes over from it.

use std::time::{Duration, Instant, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Acme, RUN, cluster};
use crate::support::{call, orders, until};
use crate::tables::{rows, text};

/// What a host says when it begins to settle.
const SETTLES: &str = "settles from here on";

#[test]
fn one_host_settles_for_all_and_another_takes_over_from_it() {
    let acme = Acme::with("hosts", 4, &[]);
    let orders = orders(900, 31);
    acme.produce(&orders[..300]);
    let mut hosts = vec![];
    for name in ["first", "second"] {
        hosts.push((name, acme.follow_as(name, "--batch-records 20")));
    }
    let says = |name: &str, what: &str| acme.log_of(name).matches(what).count();
    until("both hold partitions", || hosts.iter().all(|(name, _)| says(name, "given partitions") > 0));
    acme.produce(&orders[300..600]);
    until("all is in Silver", || acme.has(600));
    until("one of them settles", || hosts.iter().any(|(name, _)| says(name, SETTLES) > 0));
    // Joining, a host may have held the deciding partition for a moment: who says so last holds it now.
    let leaves = |name: &str| says(name, "leaves settling to another host") > 0;
    let settles = hosts.iter().position(|(name, _)| says(name, SETTLES) > 0 && !leaves(name));
    let (_, mut settler) = hosts.remove(settles.expect("one of them still does"));
    let (other, running) = hosts.remove(0);
    let before = says(other, SETTLES);
    assert!(before == 0 || leaves(other), "both settle");
    settler.signal("-KILL");
    let died = Instant::now();
    acme.produce(&orders[600..]);
    until("the other takes over", || says(other, SETTLES) > before);
    let took = died.elapsed();
    until("all is in Silver again", || acme.has(900));
    println!("taken over after {:.1} s, all in Silver after {:.1} s", took.as_secs_f64(), died.elapsed().as_secs_f64());
    assert!(took < Duration::from_secs(11), "later than the session timeout and 5 s: {took:?}");
    settler.ended();
    drop(running);
    // Folds what the hosts had no time to.
    acme.workshop.run("");
    acme.assert_whole("two hosts, of which one died");
}

#[test]
fn late_records_are_marked_wherever_batches_are_cut() {
    for (name, batches) in [("late-one", "--batch-records 1"), ("late-all", "")] {
        let acme = Acme::with(name, 1, &[]);
        acme.state("allowed_lateness: 10s");
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster().bootstrap())
            .create()
            .expect("the settings are right");
        // 9 s behind the latest is in time, 11 s behind is late, also behind another late one. An hour ago: what is too old
        // the broker does not keep.
        let hour = UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_millis() as i64 - 3_600_000;
        let seconds = [1000, 991, 1020, 1009, 1011, 1008, 1021];
        let generated = orders(400, 32);
        let orders: Vec<&String> = generated.iter().filter(|order| order.starts_with("{\"kind\":\"order\"")).collect();
        let produce = |order: &str, second: i64| {
            let record = BaseRecord::<str, str>::to(&acme.topic).payload(order).timestamp(hour + second * 1000);
            producer.send(record).expect("the queue has room");
            producer.flush(Duration::from_secs(30)).expect("the broker answers");
        };
        orders.iter().zip(seconds).for_each(|(order, second)| produce(order, second));
        acme.workshop.run(batches);
        // A run of its own goes on where the last one stood in event time.
        produce(orders[7], 1005);
        acme.workshop.run(batches);
        let mut late: Vec<(i64, String)> = rows(&acme.workshop.lake(), "acme/silver/order")
            .iter()
            .map(|row| {
                let offset = text(row, "_position").rsplit('/').next().and_then(|offset| offset.parse().ok());
                (offset.expect("a position ends with the offset"), text(row, "_is_late").to_owned())
            })
            .collect();
        late.sort();
        let found: Vec<(i64, bool)> = late.into_iter().map(|(offset, late)| (offset, late == "true")).collect();
        let expected = [false, false, false, true, false, true, false, true];
        for (offset, late) in &found {
            assert_eq!(*late, expected[*offset as usize], "{name}: record {offset} of {found:?}");
        }
        assert!(found.iter().any(|(_, late)| *late) && found.len() > 4, "{name}: {found:?}");
    }
}

#[test]
fn a_source_that_halts_leaves_the_others_alone_and_goes_on_once_that_is_declared() {
    let acme = Acme::with("beside", 1, &[]);
    with_returns(&acme);
    let orders = orders(200, 33);
    acme.produce(&orders[..50]);
    acme.workshop.write("tenants/acme/input/1.ndjson", orders[100..150].join("\n") + "\n");
    acme.workshop.run("");
    acme.produce(&orders[50..100]);
    acme.delete_before(70);
    let mut host = acme.follow("--batch-records 20");
    let lost = "lost the offsets 50 to 69";
    until("the source halts and says so at once", || acme.log().contains(lost));
    acme.workshop.write("tenants/acme/input/2.ndjson", orders[150..].join("\n") + "\n");
    let bronze = |source: &str| rows(&acme.workshop.lake(), &format!("acme/bronze/{source}")).len();
    until("the other source goes on", || bronze("returns") == 100);
    assert_eq!(bronze("orders"), 50);
    acme.says("source acknowledge-gap acme orders");
    until("the source goes on in the same process", || bronze("orders") == 80);
    assert_eq!(acme.log().matches(lost).count(), 1, "{}", acme.log());
    acme.stop(RUN, &mut host);
}

#[test]
fn a_topic_that_is_not_there_leaves_the_others_alone() {
    let acme = Acme::with("nowhere", 1, &[]);
    with_returns(&acme);
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| text.replace("topics: acme.nowhere", "topics: a.nowhere"));
    acme.workshop.write("tenants/acme/input/1.ndjson", orders(100, 34).join("\n") + "\n");
    let done = call(&mut acme.workshop.silversmith("run tenants --lake lake"));
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("topic `a.nowhere` is not there"), "{done:?}");
    assert_eq!(rows(&acme.workshop.lake(), "acme/bronze/returns").len(), 100);
    assert!(rows(&acme.workshop.lake(), "acme/silver/order").len() > 50, "what is in files is in Silver");
}

/// Gives acme a second source, which reads files.
fn with_returns(acme: &Acme) {
    let more = "  returns:\n    files: input/*.ndjson\n    schema_version: { path: $.meta.v, default: \"2.1\" }\n    \
                mappings: { \"1.4\": mappings/returns-1.4.yaml, \"2.1\": mappings/returns-2.1.yaml }\n";
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| text.replace("pii:", &format!("{more}pii:")));
    acme.workshop.map_alike("returns");
}
