//! Bronze: what it gives back, who adds what, and what a summary stands for.

use super::*;
use crate::position::Span;
use crate::record::{BatchBuilder, Received};

fn batch(first: i64, n: i64, evidence: serde_json::Value) -> crate::record::Batch {
    let mut builder = BatchBuilder::new("orders");
    for offset in first..first + n {
        let payload = format!("{{\"order\":{offset}}}");
        let headers: &[(&str, Option<&[u8]>)] = &[("v", Some(b"1")), ("trace", None), ("v", Some(b""))];
        builder.push(&Received {
            payload: (offset % 3 != 1).then_some(payload.as_bytes()),
            topic: (offset % 2 == 0).then_some("t"),
            partition: (offset % 4 != 0).then_some(3),
            offset,
            file: (offset % 5 == 0).then_some("a.ndjson"),
            line: (offset % 5 == 0).then_some(offset + 1),
            key: (offset % 2 == 1).then_some(b"k\0\xff"),
            headers: if offset % 2 == 0 { headers } else { &[] },
            event_time: (offset % 3 == 0).then_some(1_700_000_000_000_000 + offset),
            schema_version: (offset % 7 == 0).then_some("2.1"),
        });
    }
    let spans = if n > 0 { vec![Span { app_id: "orders".to_owned(), first, last: first + n - 1 }] } else { vec![] };
    builder.finish(spans, evidence)
}

async fn land(bronze: &mut Bronze, batch: &crate::record::Batch) -> Result<i64, CommitError> {
    let (landing, now) = (bronze.landing(), 1_700_000_000_000_000);
    let file = landing.put(landing.encode(batch, now).expect("a file"), now).await.expect("a durable file");
    let mut commit = bronze.stage(batch, Some(file), serde_json::Map::new());
    bronze.append(&mut commit).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bronze_gives_back_what_was_received() {
    for Home { lake, folder: _folder } in homes() {
        let mut bronze = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
        let named = json!({ "plugin": "sha256:1" }).as_object().expect("an object").clone();
        let mut activation = bronze.stage_activation(named);
        assert_eq!(bronze.append(&mut activation).await.expect("a version"), 1);
        let batches = [batch(0, 40, json!({ "files": { "a.ndjson": [1, 2.50] } })), batch(40, 9_000, json!(null))];
        for batch in &batches {
            land(&mut bronze, batch).await.expect("a version");
        }
        let mut gap = bronze.stage(&batch(0, 0, json!("gap")), None, serde_json::Map::new());
        bronze.append(&mut gap).await.expect("a version");

        let bronze = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
        assert_eq!(bronze.progress().into_iter().collect::<Vec<_>>(), [("orders".to_owned(), 9_039)]);
        let steps = bronze.steps(0).await.expect("all steps");
        let [Step::Activation(activation), Step::Batch(first), Step::Batch(second), Step::Batch(empty)] = &steps[..]
        else {
            panic!("{steps:?}")
        };
        assert_eq!((activation.version, &activation.info["plugin"]), (1, &json!("sha256:1")));
        assert_eq!((first.version, first.records, second.version, empty.records), (2, 40, 3, 0));
        for (landed, batch) in [first, second].into_iter().zip(&batches) {
            let read = bronze.read(landed).await.expect("the batch");
            assert_eq!((&read.source, &read.spans, &read.evidence), (&batch.source, &batch.spans, &batch.evidence));
            assert_eq!(read.records, batch.records);
        }
        assert_eq!(bronze.read(empty).await.expect("a batch").len(), 0);
        assert_eq!(bronze.steps(3).await.expect("the last step").len(), 1);
        let archive = bronze.archive().await.expect("the batches by their files");
        assert_eq!(
            archive.iter().map(|landed| (landed.version, landed.records)).collect::<Vec<_>>(),
            [(2, 40), (3, 9_000)]
        );
        assert_eq!(bronze.read(&archive[1]).await.expect("the batch").records, batches[1].records);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_a_bronze_table_and_no_record_is_added_twice() {
    let lake = in_memory();
    let mut one = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
    let mut two = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
    let mut other = batch(0, 5, json!(null));
    other.spans[0].app_id = "orders/1".to_owned();
    assert_eq!(land(&mut one, &batch(0, 5, json!(null))).await.expect("a version"), 1);
    // The version is lost, the batch is not: nobody else has moved its partition.
    assert_eq!(land(&mut two, &other).await.expect("a version"), 2);
    // A zombie adds what the other host has added.
    let error = land(&mut one, &other).await.expect_err("it is there");
    assert!(matches!(error, CommitError::Overtaken { committed: 4, first: 0, .. }), "{error}");
    assert!(error.is_certainly_uncommitted() && !error.is_retryable());
    assert_eq!((one.version(), one.table().transaction("orders/1")), (2, Some(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_stands_for_the_entries_below_it() {
    for Home { lake, folder: _folder } in homes() {
        let mut bronze = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
        for first in [0, 5, 10] {
            land(&mut bronze, &batch(first, 5, json!(first))).await.expect("a version");
        }
        assert!(!bronze.is_summary_due());
        let info = json!({ "plugin": "sha256:1" }).as_object().expect("an object").clone();
        let mut summary = bronze.stage_summary(json!("all so far"), info);
        // Another host takes the version that the summary was meant for: it would not stand for that batch.
        let mut other = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
        land(&mut other, &batch(15, 5, json!(15))).await.expect("a version");
        let error = bronze.append(&mut summary).await.expect_err("it is out of date");
        assert!(matches!(error, CommitError::Conflict { version: 4, .. }), "{error}");
        let mut summary = bronze.stage_summary(json!("all so far"), summary.info);
        assert_eq!(bronze.append(&mut summary).await.expect("a version"), 5);
        land(&mut bronze, &batch(20, 5, json!(20))).await.expect("a version");
        tokio::time::sleep(Duration::from_millis(5)).await;

        // While version 3 is not in every table, nothing above it goes.
        let policy = Policy { checkpoint_every: 1, keep: Duration::ZERO, ..Policy::default() };
        bronze.maintain(2, policy).await.expect("a checkpoint");
        assert_eq!(bronze.steps(2).await.expect("what is above").len(), 4);
        land(&mut bronze, &batch(25, 5, json!(25))).await.expect("a version");
        bronze.maintain(6, policy).await.expect("a checkpoint");
        land(&mut bronze, &batch(30, 5, json!(30))).await.expect("a version");
        bronze.maintain(7, policy).await.expect("a cleanup");

        let bronze = Bronze::open(&lake, "acme", "orders").await.expect("Bronze");
        assert_eq!(bronze.progress().into_iter().collect::<Vec<_>>(), [("orders".to_owned(), 34)]);
        let history = bronze.history().await.expect("all that is known");
        let [Step::Summary(summary), Step::Batch(first), Step::Batch(_), Step::Batch(last)] = &history[..] else {
            panic!("{history:?}")
        };
        assert_eq!(
            (summary.version, &summary.evidence, &summary.info["plugin"]),
            (5, &json!("all so far"), &json!("sha256:1"))
        );
        assert_eq!((first.version, last.version), (6, 8));
        assert_eq!(bronze.archive().await.expect("the batches by their files").len(), 7);
    }
}
