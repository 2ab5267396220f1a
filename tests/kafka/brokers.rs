//! Brokers that die and come back, and partitions that other brokers lead.

use std::fs;
use std::time::Instant;

use serde_json::json;
use xtask::kafka::Cluster;

use super::{Acme, PARTITIONS, RUN, done, folder, jars, piped};
use crate::support::{orders, random, seed, trials, until};

#[test]
fn a_broker_that_dies_and_comes_back_is_read_on() {
    let mut cluster = done(Cluster::start(&jars(), &folder("dies"), 1));
    let acme = Acme::on(&cluster, "dies", PARTITIONS, &[]);
    let orders = orders(400, 13);
    acme.produce(&orders[..200]);
    let mut host = acme.follow("--batch-records 50");
    until("the first records are in Silver", || acme.has(200));
    cluster.kill(0);
    until("the host notices", || acme.log().contains("trying again"));
    done(cluster.restart(0));
    acme.produce(&orders[200..]);
    until("the others are in Silver", || acme.has(400));
    // Asked to stop while no broker answers, it ends all the same.
    cluster.kill(0);
    acme.stop(RUN, &mut host);
    done(cluster.restart(0));
    acme.assert_whole("the broker died twice");
}

#[test]
fn a_host_reads_on_while_brokers_die_and_leaders_move() {
    let mut seed = seed();
    let mut cluster = done(Cluster::start(&jars(), &folder("quorum"), 3));
    let acme = Acme::on(&cluster, "quorum", 6, &["min.insync.replicas=2"]);
    let load = acme.load(&acme.topic, orders(10_000, seed), 50);
    let watch = acme.watch();
    let mut host = acme.follow("--batch-records 50 --fold-every 0.5");
    for trial in trials(30) {
        until("every partition is on three brokers", || watch.is_replicated(3));
        let begun = Instant::now();
        let broker = (random(&mut seed) % 3) as usize;
        let what = if trial % 3 < 2 {
            cluster.kill(broker);
            format!("broker {broker} died")
        } else {
            move_leaders(&cluster, &acme, trial as usize / 3 + 1);
            "leaders moved".to_owned()
        };
        // What is produced after it is landed before anything is mended.
        let mut ends = watch.ends(&acme.topic);
        ends.values_mut().for_each(|end| *end += 1);
        until(&format!("{what}, and the host reads on"), || acme.reaches("orders", &ends) || !host.is_running());
        assert!(host.is_running(), "it ended by itself: {}", acme.log());
        println!("{what}; every partition was read on after {:.1?}", begun.elapsed());
        if trial % 3 < 2 {
            done(cluster.restart(broker));
        }
    }
    load.stop();
    until("every partition is on three brokers", || watch.is_replicated(3));
    acme.caught_up();
    acme.stop(RUN, &mut host);
    acme.assert_whole("brokers died and leaders moved");
}

/// Has Kafka's own tools make another broker the leader of each partition, and of the group.
fn move_leaders(cluster: &Cluster, acme: &Acme, rotation: usize) {
    let replicas =
        |partition: usize| (0..3).map(|replica| (partition + rotation + replica) % 3 + 1).collect::<Vec<_>>();
    let partitions =
        [(acme.topic.as_str(), 6), ("__consumer_offsets", 4)].into_iter().flat_map(|(topic, partitions)| {
            (0..partitions)
                .map(move |partition| json!({"topic": topic, "partition": partition, "replicas": replicas(partition)}))
        });
    let plan = json!({"version": 1, "partitions": partitions.collect::<Vec<_>>()});
    let file = acme.workshop.path("plan.json");
    fs::write(&file, plan.to_string()).expect("the workshop is ours");
    let mut tool = cluster.tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand");
    piped(tool.arg("--reassignment-json-file").arg(&file).arg("--execute"), b"");
    until("the first replicas lead", || {
        let mut tool = cluster.tool("org.apache.kafka.tools.LeaderElectionCommand");
        tool.args(["--election-type", "preferred", "--all-topic-partitions"])
            .output()
            .is_ok_and(|done| done.status.success())
    });
}
