//! The contract of a lake, on a local disk and in memory, and what it does when a store fails.

use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::entity::utc_microseconds;

mod bronze;
mod faults;

use faults::{Fault, Faults, Watched};

/// A lake and what keeps its folder alive.
struct Home {
    lake: Lake,
    folder: Option<tempfile::TempDir>,
}

/// The same contract holds on a local disk and in an object store.
fn homes() -> [Home; 2] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::open(&folder.path().join("lake")).expect("a lake");
    [Home { lake, folder: Some(folder) }, Home { lake: in_memory(), folder: None }]
}

fn in_memory() -> Lake {
    over(Arc::new(InMemory::new()))
}

fn over(objects: Arc<dyn ObjectStore>) -> Lake {
    Lake::over(objects, Url::parse("memory:///lake/").expect("a URL"), Arc::new(RealWorld))
}

fn spec(columns: &[(&str, DataType)]) -> TableSpec {
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    TableSpec { append_only: false, statistics: vec!["n".to_owned()], ..TableSpec::append_only(schema) }
}

fn numbers() -> TableSpec {
    spec(&[("n", DataType::Int64)])
}

fn rows(n: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(n.into_iter().collect::<Int64Array>());
    RecordBatch::try_from_iter_with_nullable([("n", column, true)]).expect("one column")
}

async fn add(table: &mut Table, n: impl IntoIterator<Item = i64>) -> Result<i64, CommitError> {
    let mut commit = table.begin("WRITE");
    commit.adds.push(table.writer().write(rows(n), &[]).await.expect("a file"));
    table.commit(&commit).await
}

async fn content(table: &Table) -> Vec<i64> {
    let reader = table.reader();
    let mut found = vec![];
    for file in table.files().await.expect("files") {
        for rows in reader.read(&file, Some(&["n"])).await.expect("rows") {
            found.extend(rows.column(0).as_primitive::<Int64Type>().values());
        }
    }
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_what_was_committed_to_it() {
    for Home { lake, folder: _folder } in homes() {
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        assert_eq!((table.version(), table.transaction("a")), (0, None));
        let mut commit = table.begin("WRITE");
        commit.adds.push(table.writer().write(rows([1, 2]), &[]).await.expect("a file"));
        commit.adds.push(table.writer().write(rows([3]), &[]).await.expect("a file"));
        commit.transactions = vec![("a".to_owned(), 7), ("b".to_owned(), 8)];
        commit.info.insert("evidence".to_owned(), json!({ "files": ["x"], "big": 12345678901234567890u64 }));
        assert_eq!(table.commit(&commit).await.expect("a version"), 1);

        let again = lake.table("acme/silver/order", &numbers()).await.expect("the table");
        assert_eq!((again.version(), again.transaction("a"), again.transaction("b")), (1, Some(7), Some(8)));
        assert_eq!(content(&again).await, [1, 2, 3]);
        let entry = again.entries(1, 1).await.expect("the entry").remove(0);
        assert_eq!(entry.commit_id.as_deref(), Some(commit.id()));
        assert_eq!(entry.info["evidence"], json!({ "files": ["x"], "big": 12345678901234567890u64 }));
        assert_eq!(entry.adds[0].statistics().expect("statistics").max_values["n"], json!(2));

        let mut replace = table.begin("FOLD");
        replace.removes =
            table.files().await.expect("files").into_iter().filter(|file| file.path == commit.adds[0].path).collect();
        replace.adds.push(table.writer().write(rows([9]), &[]).await.expect("a file"));
        table.commit(&replace).await.expect("a version");
        assert_eq!(content(&table).await, [3, 9]);
        assert_eq!(lake.tenants().await.expect("tenants"), ["acme"]);
        assert_eq!(lake.tables("acme").await.expect("tables"), ["silver/order"]);
        assert!(lake.find("acme/silver/none").await.expect("a look").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_types_and_partitions_come_back() {
    let columns = [
        ("n", DataType::Int64),
        ("text", DataType::Utf8),
        ("hash", DataType::Binary),
        ("at", utc_microseconds()),
        ("money", DataType::Decimal128(38, 9)),
        ("day", DataType::Date32),
        ("bucket", DataType::Utf8),
    ];
    for Home { lake, folder: _folder } in homes() {
        let mut spec = spec(&columns)
            .pack(Packing::Random, &["hash"])
            .pack(Packing::Bulk, &["text"])
            .pack(Packing::Running, &["n", "at"]);
        spec.partition_by = vec!["day".to_owned(), "bucket".to_owned()];
        spec.statistics = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut table = lake.table("acme/silver/all", &spec).await.expect("a table");
        let written = RecordBatch::try_new(
            table.writer().schema().clone(),
            vec![
                Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
                Arc::new(StringArray::from(vec![Some("é"), Some(""), None])),
                Arc::new(BinaryArray::from_opt_vec(vec![Some(&[7; 32][..]), None, Some(&[])])),
                Arc::new(
                    TimestampMicrosecondArray::from(vec![Some(-1), Some(1_700_000_000_000_001), None])
                        .with_timezone("UTC"),
                ),
                Arc::new(
                    Decimal128Array::from(vec![Some(-1), None, Some(10i128.pow(37))])
                        .with_precision_and_scale(38, 9)
                        .expect("38 digits"),
                ),
            ],
        );
        let written = written.expect("the columns of the table");
        let mut commit = table.begin("WRITE");
        for bucket in [Some("0/é %"), None] {
            let partition = [("day", Some("2026-11-21")), ("bucket", bucket)];
            commit.adds.push(table.writer().write(written.clone(), &partition).await.expect("a file"));
        }
        let statistics = commit.adds[0].statistics().expect("statistics");
        assert_eq!(statistics.min_values["at"], json!("1969-12-31T23:59:59.999Z"));
        assert_eq!(statistics.max_values["at"], json!("2023-11-14T22:13:20.001Z"));
        assert_eq!((&statistics.null_count["hash"], statistics.min_values.get("hash")), (&json!(1), None));
        table.commit(&commit).await.expect("a version");
        table.maintain(Policy { checkpoint_every: 1, ..Policy::default() }).await.expect("a checkpoint");

        let table = lake.table("acme/silver/all", &spec).await.expect("the table");
        let mut files = table.files().await.expect("files");
        files.sort_by(|a, b| a.partition_values.cmp(&b.partition_values));
        for (file, bucket) in files.iter().zip([None, Some("0/é %")]) {
            let read = table.reader().read(file, None).await.expect("rows").remove(0);
            assert_eq!(read.schema(), *table.schema());
            assert_eq!(read.columns()[..5], written.columns()[..]);
            assert_eq!(read.column(5).as_ref(), &Date32Array::from(vec![20_778; 3]));
            assert_eq!(read.column(6).as_ref(), &StringArray::from(vec![bucket; 3]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_decides_before_other_columns_are_read() {
    let lake = in_memory();
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    add(&mut table, 0..50_000).await.expect("a version");
    let file = table.files().await.expect("files").remove(0);
    let keep = |rows: &RecordBatch| {
        Ok(rows.column(0).as_primitive::<Int64Type>().iter().map(|n| n.map(|n| n % 10_000 == 7)).collect())
    };
    let scan = Scan { filter: Some(Filter { columns: vec!["n".to_owned()], keep: Arc::new(keep) }), ..Scan::default() };
    let found: Vec<RecordBatch> = table.reader().scan(&file, scan).try_collect().await.expect("rows");
    let found = concat_batches(table.schema(), &found).expect("one schema");
    assert_eq!(found.column(0).as_primitive::<Int64Type>().values()[..], [7, 10_007, 20_007, 30_007, 40_007]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_grows_columns_and_refuses_other_changes() {
    for Home { lake, folder: _folder } in homes() {
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        add(&mut table, [1]).await.expect("a version");
        let wider = spec(&[("text", DataType::Utf8), ("n", DataType::Int64)]);
        let wide = lake.table("acme/silver/order", &wider).await.expect("the table with one column more");
        assert_eq!((wide.version(), wide.schema().fields().len()), (2, 2));
        assert_eq!(content(&wide).await, [1]);
        let old = wide.reader().read(&wide.files().await.expect("files")[0], Some(&["text"])).await.expect("rows");
        assert_eq!(old[0].column(0).null_count(), 1);
        // An older configuration still works on the wider table, and an open handle learns of the column.
        assert_eq!(lake.table("acme/silver/order", &numbers()).await.expect("the table").version(), 2);
        table.refresh().await.expect("one entry");
        assert_eq!(table.schema(), wide.schema());

        let mut partitioned = numbers();
        partitioned.partition_by = vec!["n".to_owned()];
        let refused = [
            (spec(&[("n", DataType::Utf8)]), "column `n` as (Int64, true)"),
            (partitioned, "partition columns []"),
            (TableSpec::append_only(numbers().schema), "delta.appendOnly false"),
        ];
        for (spec, found) in refused {
            let error = lake.table("acme/silver/order", &spec).await.expect_err("another shape").to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hosts_make_one_table_together() {
    for Home { lake, folder: _folder } in homes() {
        let open = |i: usize| {
            let lake = lake.clone();
            async move {
                lake.table("acme/silver/order", &spec(&[("n", DataType::Int64), (&format!("c{i}"), DataType::Utf8)]))
                    .await
            }
        };
        let tables = futures::future::join_all((0..6).map(|i| tokio::spawn(open(i)))).await;
        let newest = tables.into_iter().map(|table| table.expect("no panic").expect("a table").version()).max();
        assert_eq!(newest, Some(5));
        assert_eq!(
            lake.find("acme/silver/order").await.expect("a look").expect("the table").schema().fields().len(),
            7
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_handles_one_wins_a_version() {
    for Home { lake, folder: _folder } in homes() {
        let mut winner = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        let mut loser = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        add(&mut winner, [1]).await.expect("a version");
        let error = add(&mut loser, [2]).await.expect_err("the version is taken");
        assert!(error.is_certainly_uncommitted() && error.is_retryable());
        let CommitError::Conflict { version: 1, theirs, .. } = error else { panic!("{error}") };
        assert_eq!(theirs.adds.len(), 1);
        assert_eq!(loser.refresh().await.expect("the entry").len(), 1);
        assert!(loser.refresh().await.expect("nothing").is_empty());
        assert_eq!(add(&mut loser, [2]).await.expect("a version"), 2);
        assert_eq!(content(&loser).await, [1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_arrives_as_an_error_is_recognised() {
    let faults = Faults::new(InMemory::new());
    let lake = over(faults.clone());
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    faults.next_entry(&[Fault::AfterSuccess]);
    assert_eq!(add(&mut table, [1]).await.expect("ours after all"), 1);
    faults.next_entry(&[Fault::BeforeEffect, Fault::BeforeEffect]);
    assert_eq!(add(&mut table, [2]).await.expect("the third try"), 2);
    assert_eq!(content(&table).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_lands_late_counts_once() {
    let faults = Faults::new(InMemory::new());
    let lake = over(faults.clone());
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    faults.next_entry(&[Fault::Late, Fault::BeforeEffect, Fault::BeforeEffect, Fault::BeforeEffect]);
    let mut commit = table.begin("WRITE");
    commit.adds.push(table.writer().write(rows([1]), &[]).await.expect("a file"));
    let error = table.commit(&commit).await.expect_err("nobody knows yet");
    assert!(!error.is_certainly_uncommitted() && error.is_retryable(), "{error}");
    assert_eq!(table.version(), 0);
    faults.land_late().await;
    assert_eq!(table.commit(&commit).await.expect("it is ours"), 1);
    assert_eq!(content(&table).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_store_does_not_give_may_be_read_later() {
    let lake = in_memory();
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    add(&mut table, [1]).await.expect("a version");
    let file = table.files().await.expect("files").pop().expect("one file");
    lake.objects.delete(&table.place().folder.clone().join(file.path.as_str())).await.expect("it is there");
    let error = table.reader().read(&file, None).await.expect_err("it is gone");
    assert!(matches!(error, LakeError::Io { .. }) && error.is_retryable(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_newest_entry_is_never_read_as_data() {
    for Home { lake, folder: _folder } in homes() {
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        add(&mut table, [1]).await.expect("a version");
        let object = table.place().folder.clone().join(log::FOLDER).join(log::entry_name(1));
        let whole = lake.objects.get(&object).await.expect("the entry").bytes().await.expect("its bytes");
        let end_of_line = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        for (cut, found) in [(0, "0 bytes"), (whole.len() / 2, "line 2"), (end_of_line, "1 of 2 lines")] {
            lake.objects.put(&object, whole.slice(..cut).into()).await.expect("a cut entry");
            let opened = lake.table("acme/silver/order", &numbers()).await.expect_err("a damaged log");
            assert!(
                matches!(&opened, LakeError::Damaged { version: 1, .. }) && opened.to_string().contains(found),
                "{opened}"
            );
            assert!(!opened.is_retryable());
        }
        let escaping = String::from_utf8_lossy(&whole).replace("\"part-", "\"../part-");
        lake.objects.put(&object, escaping.into()).await.expect("a bent entry");
        let error = lake.table("acme/silver/order", &numbers()).await.expect_err("a path that leads out").to_string();
        assert!(error.contains("leads out of the table"), "{error}");
    }
}

#[test]
fn only_paths_inside_a_table_are_followed() {
    for path in ["/etc/passwd", "../x", "a/../../x", "file:///x", "s3://other/x", "a//b", "%2e%2e/x", "", "a/%2E%2E/x"]
    {
        assert!(log::inside(path).is_err(), "{path}");
    }
    assert_eq!(
        log::inside("day=2026-11-21/part%20a.parquet").expect("inside").as_ref(),
        "day=2026-11-21/part a.parquet"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_would_lose_progress_is_refused() {
    for (from, to, found) in [
        (
            "\"configuration\":{",
            "\"configuration\":{\"delta.setTransactionRetentionDuration\":\"interval 1 day\",",
            "delta.setTransactionRetentionDuration",
        ),
        (
            "\"configuration\":{",
            "\"configuration\":{\"delta.columnMapping.mode\":\"name\",",
            "delta.columnMapping.mode",
        ),
        ("\"minReaderVersion\":1", "\"minReaderVersion\":3", "protocol 3/2"),
        ("\\\"long\\\"", "\\\"timestamp_ntz\\\"", "local time"),
    ] {
        let lake = in_memory();
        let mut spec = numbers();
        spec.append_only = true;
        let table = lake.table("acme/silver/order", &spec).await.expect("a table");
        let object = table.place().folder.clone().join(log::FOLDER).join(log::entry_name(0));
        let entry = lake.objects.get(&object).await.expect("the entry").bytes().await.expect("its bytes");
        let entry = String::from_utf8_lossy(&entry).replace(from, to);
        lake.objects.put(&object, entry.into()).await.expect("an altered entry");
        let error = lake.find("acme/silver/order").await.expect_err("an altered table").to_string();
        assert!(error.contains(found), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_only_table_keeps_its_files() {
    let lake = in_memory();
    let mut table = lake.table("acme/bronze/x", &TableSpec::append_only(numbers().schema)).await.expect("a table");
    add(&mut table, [1]).await.expect("a version");
    let mut commit = table.begin("DELETE");
    commit.removes = table.files().await.expect("files");
    assert!(matches!(table.commit(&commit).await, Err(CommitError::Refused { .. })));
    assert_eq!(table.version(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_survives_checkpoint_cleanup_and_reopening() {
    for Home { lake, folder: _folder } in homes() {
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        for n in 1..=12 {
            let mut commit = table.begin("WRITE");
            commit.adds.push(table.writer().write(rows([n]), &[]).await.expect("a file"));
            commit.transactions.push((format!("app{}", n % 3), n));
            table.commit(&commit).await.expect("a version");
        }
        let mut removal = table.begin("DELETE");
        removal.removes = table
            .files()
            .await
            .expect("files")
            .into_iter()
            .filter(|file| file.statistics().is_some_and(|s| s.max_values["n"] == json!(5)))
            .collect();
        table.commit(&removal).await.expect("a version");
        // Overdue for another process, too: what is due is told by the log.
        let mut table = lake.find("acme/silver/order").await.expect("a look").expect("the table");
        let policy = Policy { checkpoint_every: 10, keep: Duration::ZERO, keep_above: 3 };
        table.maintain(policy).await.expect("a checkpoint");
        assert_eq!((table.checkpoint, table.entries(0, 13).await.expect("all entries").len()), (Some(13), 14));
        tokio::time::sleep(Duration::from_millis(5)).await;
        add(&mut table, [100]).await.expect("a version");
        table.maintain(Policy { checkpoint_every: 1, keep_above: 12, ..policy }).await.expect("a cleanup");
        let gap = table.entries(12, 14).await.expect_err("entries below the first checkpoint are gone");
        assert!(matches!(gap, LakeError::Gap { version: 12, earliest: 13, .. }), "{gap}");

        let table = lake.table("acme/silver/order", &numbers()).await.expect("the table");
        assert_eq!((table.version(), table.checkpoint), (14, Some(14)));
        assert_eq!([0, 1, 2].map(|i| table.transaction(&format!("app{i}"))), [Some(12), Some(10), Some(11)]);
        assert_eq!(content(&table).await, [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 100]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_left_behind_by_cleanup_says_so() {
    let lake = in_memory();
    let mut sleeper = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    for n in 1..4 {
        add(&mut table, [n]).await.expect("a version");
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    table.maintain(Policy { checkpoint_every: 1, keep: Duration::ZERO, keep_above: 9 }).await.expect("a cleanup");
    let gap = sleeper.refresh().await.expect_err("its next entry is gone");
    assert!(matches!(gap, LakeError::Gap { version: 1, earliest: 3, .. }), "{gap}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_commit_is_synced_before_it_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = Arc::new(Watched::default());
    let lake = Lake::on_disk(&folder.path().join("lake"), disk.clone(), Arc::new(RealWorld)).expect("a lake");
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    disk.take();
    add(&mut table, [1]).await.expect("a version");
    let steps = disk.take();
    let kinds: Vec<&str> = steps.iter().map(|(kind, _)| *kind).collect();
    let file = ["create", "write", "sync", "rename", "sync_folder"];
    let entry = ["create", "write", "sync", "link", "remove", "sync_folder"];
    assert_eq!(kinds, [&file[..], &entry[..]].concat());
    assert!(steps[4].1.ends_with("order") && steps[10].1.ends_with("_delta_log"), "{steps:?}");
    // A checkpoint, too, is whole before it has a name; and the folders of a new table are named durably.
    table.maintain(Policy { checkpoint_every: 1, ..Policy::default() }).await.expect("a checkpoint");
    let steps = disk.take();
    let count = |wanted: &str| steps.iter().filter(|(kind, _)| *kind == wanted).count();
    assert_eq!((count("create"), count("sync"), count("sync_folder")), (2, 2, 2), "{steps:?}");
    lake.table("globex/silver/order", &numbers()).await.expect("a table");
    let synced: Vec<PathBuf> =
        disk.take().into_iter().filter(|(kind, _)| *kind == "sync_folder").map(|(_, path)| path).collect();
    for above in
        ["lake", "lake/globex", "lake/globex/silver", "lake/globex/silver/order", "lake/globex/silver/order/_delta_log"]
    {
        assert!(synced.contains(&folder.path().join(above)), "{above} in {synced:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_synced_before_anybody_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = Arc::new(Watched::default());
    let lake = Lake::on_disk(&folder.path().join("lake"), disk.clone(), Arc::new(RealWorld)).expect("a lake");
    lake.put_object("acme/registry/ab", b"component".to_vec()).await.expect("an object");
    disk.take();
    lake.put_object("acme/registry/ab", b"component".to_vec()).await.expect("it is there");
    let kinds: Vec<&str> = disk.take().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["create", "write", "sync", "link", "sync_folder", "remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_at_any_step_leaves_a_whole_table() {
    for step in 0..11 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = Arc::new(Watched::default());
        let lake = Lake::on_disk(&folder.path().join("lake"), disk.clone(), Arc::new(RealWorld)).expect("a lake");
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        disk.fail_from(Some(step));
        let mut commit = table.begin("WRITE");
        if let Ok(file) = table.writer().write(rows([1]), &[]).await {
            commit.adds.push(file);
            // Only a step that nothing hangs on may fail unnoticed.
            let committed = table.commit(&commit).await;
            assert!(committed.is_err(), "step {step}");
        } else {
            assert!(step < 5, "step {step}");
        }
        disk.fail_from(None);
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a whole table");
        let before = content(&table).await;
        assert!(before.is_empty() || (before == [1] && step >= 9), "step {step}: {before:?}");
        if before.is_empty() {
            add(&mut table, [1]).await.expect("there is space again");
        }
        assert_eq!(content(&table).await, [1], "step {step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_fails_at_any_step_leaves_a_whole_table() {
    let policy = Policy { checkpoint_every: 1, ..Policy::default() };
    for step in 0.. {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = Arc::new(Watched::default());
        let lake = Lake::on_disk(&folder.path().join("lake"), disk.clone(), Arc::new(RealWorld)).expect("a lake");
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
        add(&mut table, [1]).await.expect("a version");
        disk.fail_from(Some(step));
        let written = table.maintain(policy).await;
        disk.fail_from(None);
        let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a whole table");
        assert_eq!(content(&table).await, [1], "step {step}");
        table.maintain(policy).await.expect("there is space again");
        assert_eq!((table.checkpoint, content(&table).await), (Some(1), vec![1]), "step {step}");
        if written.is_ok() {
            assert_eq!(step, 10, "two files of five steps each");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_puts_one_object_whatever_the_number_of_files() {
    let faults = Faults::new(InMemory::new());
    let lake = over(faults.clone());
    let mut table = lake.table("acme/silver/order", &numbers()).await.expect("a table");
    let file = table.writer().write(rows([1]), &[]).await.expect("a file");
    for files in [100, 2_000] {
        let mut commit = table.begin("WRITE");
        commit.adds = (0..files).map(|i| DataFile { path: format!("{files}-{i}.parquet"), ..file.clone() }).collect();
        table.commit(&commit).await.expect("a version");
        faults.requests.store(0, Ordering::Relaxed);
        add(&mut table, [2]).await.expect("a version");
        assert_eq!(faults.requests.load(Ordering::Relaxed), 2, "one for the file, one for the entry");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn rows_survive_a_file(texts: Vec<Option<String>>, width in 0usize..40) {
        let n = texts.len();
        let hashes = BinaryArray::from_iter((0..n).map(|i| (i % 5 != 0).then(|| vec![i as u8; width])));
        let written = RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new((0..n as i64).map(|i| (i % 3 != 0).then_some(i * i)).collect::<Int64Array>()) as ArrayRef, true),
            ("text", Arc::new(texts.into_iter().collect::<StringArray>()), true),
            ("hash", Arc::new(hashes), true),
        ]).expect("three columns");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let read = runtime.block_on(async {
            let spec = spec(&[("n", DataType::Int64), ("text", DataType::Utf8), ("hash", DataType::Binary)])
                .pack(Packing::Random, &["hash"]).pack(Packing::Running, &["n"]).pack(Packing::Alike, &["text"]);
            let table = in_memory().table("acme/silver/p", &spec).await.expect("a table");
            let file = table.writer().write(written.clone(), &[]).await.expect("a file");
            assert_eq!(file.statistics().expect("statistics").num_records, n as u64);
            concat_batches(table.schema(), &table.reader().read(&file, None).await.expect("rows")).expect("one schema")
        });
        prop_assert_eq!(read.columns(), written.columns());
    }
}
