//! Offsets without records: gaps of the log pass and are recorded, and losses halt until somebody decides.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Acme, cluster, done, piped};
use crate::support::{call, orders, until};
use crate::tables::{rows, text};

impl Acme {
    /// A run that halts; what it says.
    fn halts(&self) -> String {
        let done = call(&mut self.workshop.silversmith("run tenants --lake lake"));
        assert_eq!(done.code, 1, "{done:?}");
        done.stderr
    }

    /// A call on the lake that ends well; what it says.
    pub(super) fn says(&self, arguments: &str) -> String {
        let done = call(&mut self.workshop.silversmith(&format!("{arguments} --lake lake")));
        assert_eq!(done.code, 0, "`silversmith {arguments}`: {done:?}");
        done.stdout
    }

    /// Has the broker delete the records of partition 0 before `offset`, as its retention would.
    pub(super) fn delete_before(&self, offset: i64) {
        let topic = &self.topic;
        let json = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":{offset}}}],"version":1}}"#);
        self.workshop.write("delete.json", json);
        let mut tool = cluster().tool("org.apache.kafka.tools.DeleteRecordsCommand");
        piped(tool.arg("--offset-json-file").arg(self.workshop.path("delete.json")), b"");
    }

    /// The gaps that manifests of Bronze tell of: first and last offset, and why.
    fn gaps(&self) -> Vec<(i64, i64, String)> {
        let mut gaps = vec![];
        for manifest in rows(&self.workshop.lake(), "acme/manifests") {
            let accounts: serde_json::Value =
                serde_json::from_str(text(&manifest, "accounts")).expect("accounts are JSON");
            for gap in accounts["gaps"].as_array().into_iter().flatten() {
                let offset = |name: &str| gap[name].as_i64().expect("an offset is a number");
                gaps.push((offset("first"), offset("last"), gap["because"].as_str().unwrap_or_default().to_owned()));
            }
        }
        gaps.sort();
        gaps
    }
}

#[test]
fn aborted_transactions_and_markers_pass_and_are_recorded() {
    let acme = Acme::with("transactions", 1, &[]);
    let orders = orders(120, 21);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster().bootstrap())
        .set("transactional.id", "silversmith-test")
        .create()
        .expect("the settings are right");
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).expect("the broker takes transactions");
    // Aborted in the middle, and at the end, where nothing follows the markers.
    for (of, commit) in
        [(&orders[..40], true), (&orders[40..80], false), (&orders[80..100], true), (&orders[100..], false)]
    {
        producer.begin_transaction().expect("transactions were initialised");
        for order in of {
            producer.send(BaseRecord::<str, str>::to(&acme.topic).payload(order)).expect("the queue has room");
        }
        producer.flush(wait).expect("the broker answers");
        let ended = if commit { producer.commit_transaction(wait) } else { producer.abort_transaction(wait) };
        ended.expect("the broker answers");
    }
    assert_eq!(acme.workshop.run("--batch-records 25")[0]["records"], 60);
    let expected = [(40, 81, "compacted-or-control".to_owned())];
    assert_eq!(acme.gaps(), expected, "the marker of the first, all of the second and its marker");
    // What the end of the log held is a gap before what comes next.
    acme.produce(&orders[..5]);
    assert_eq!(acme.workshop.run("")[0]["records"], 5);
    assert_eq!(acme.gaps()[1..], [(102, 123, "compacted-or-control".to_owned())]);
    acme.assert_silver("transactions");
    let bronze = rows(&acme.workshop.lake(), "acme/bronze/orders");
    let mut offsets: Vec<i64> = bronze.iter().filter_map(|row| text(row, "offset").parse().ok()).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..40).chain(82..102).chain(124..129).collect::<Vec<i64>>());
}

#[test]
fn what_compaction_removed_passes_and_is_recorded() {
    let settings =
        ["cleanup.policy=compact", "segment.ms=200", "min.cleanable.dirty.ratio=0.01", "delete.retention.ms=100"];
    let acme = Acme::with("compacted", 1, &settings);
    let orders = orders(200, 22);
    // 17 keys: a record of each stays, and those of the segment that is written to.
    acme.produce(&orders[..150]);
    let mut produced = 150;
    until("compaction removes records", || {
        // Cleaning begins behind the segment that is written to, which ends with the next record.
        acme.produce(&orders[..1]);
        produced += 1;
        acme.served(&acme.topic).len() < 100
    });
    acme.workshop.run("--batch-records 10");
    acme.assert_whole("a compacted topic");
    let gaps = acme.gaps();
    assert!(gaps.iter().all(|(.., because)| because == "compacted-or-control"), "{gaps:?}");
    let missing: i64 = gaps.iter().map(|(first, last, _)| last - first + 1).sum();
    let there = rows(&acme.workshop.lake(), "acme/bronze/orders").len() as i64;
    assert_eq!(missing + there, produced, "every offset is a record or in a gap: {gaps:?}");
}

#[test]
fn a_topic_made_again_halts_until_somebody_decides() {
    let acme = Acme::with("again", 1, &[]);
    let orders = orders(120, 23);
    acme.produce(&orders[..50]);
    acme.workshop.run("");
    done(cluster().delete_topic(&acme.topic));
    until("the topic is made again", || cluster().create_topic(&acme.topic, 1, &[]).is_ok());
    // More than before: without the topic's id, the first fifty would be taken for read.
    acme.produce(&orders[50..]);
    for _ in 0..2 {
        let said = acme.halts();
        assert!(said.contains("it was deleted and made again, or the brokers are others"), "{said}");
    }
    assert_eq!(rows(&acme.workshop.lake(), "acme/bronze/orders").len(), 50);
    let lag = call(&mut acme.workshop.silversmith("lag acme --lake lake"));
    assert!(lag.code == 1 && lag.stdout.contains("deleted and made again"), "{lag:?}");
    acme.says("source acknowledge-gap acme orders");
    assert_eq!(acme.workshop.run("")[0]["records"], 70);
    assert_eq!(rows(&acme.workshop.lake(), "acme/bronze/orders").len(), 120);
    acme.assert_silver("a topic made again");
    let lag = acme.says("lag acme");
    assert!(lag.contains("readable"), "{lag}");
}

#[test]
fn records_that_retention_removed_unread_halt_until_somebody_decides() {
    let acme = Acme::with("retention", 1, &[]);
    let orders = orders(150, 24);
    acme.produce(&orders[..50]);
    acme.workshop.run("");
    acme.produce(&orders[50..]);
    assert!(acme.says("lag acme --format json").contains("\"lag\": 100"));
    acme.delete_before(80);
    let said = acme.halts();
    assert!(said.contains("partition 0 of topic `acme.retention` lost the offsets 50 to 79"), "{said}");
    acme.says("source acknowledge-gap acme orders");
    assert_eq!(acme.workshop.run("")[0]["records"], 70);
    assert_eq!(acme.gaps(), [(50, 79, "acknowledged".to_owned())]);
    acme.assert_silver("records that retention removed");
    let said = acme.says("source acknowledge-gap acme orders");
    assert!(said.contains("source `orders` has no gap"), "{said}");
}
