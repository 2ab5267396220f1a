//! What a commit to a Delta table takes as the table grows: `cargo run --release --workspace --example commit_latency`.
//!
//! The host's committer, which synchronises every entry to the disk, at 100 and at 10,000 files; and deltalake's
//! `CommitBuilder`, which does not, at 100 and at 500, because each of its commits looks at every file of the table. Files
//! are only named: what they hold plays no part in a commit.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use deltalake::DeltaTable;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add};
use deltalake::protocol::{DeltaOperation, SaveMode};
use silversmith::lake::{DataFile, Lake, Table, TableSpec};

/// Commits of which the middle one is reported.
const COMMITS: usize = 101;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("commit-latency-{}", std::process::id()));
    let measured = measure(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    let (host, deltalake) = measured?;
    for (name, [(few, at_few), (many, at_many)]) in [("host", host), ("CommitBuilder", deltalake)] {
        println!(
            "{name:<14} {:>7.2} ms at {few:>5} files, {:>7.2} ms at {many:>6}: {:.2} ×",
            at_few.as_secs_f64() * 1e3,
            at_many.as_secs_f64() * 1e3,
            at_many.as_secs_f64() / at_few.as_secs_f64(),
        );
    }
    Ok(())
}

/// The middle of some commits at two numbers of files.
type Growth = [(usize, Duration); 2];

async fn measure(folder: &Path) -> Result<(Growth, Growth), Box<dyn Error>> {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let spec = TableSpec::append_only(Arc::clone(&schema));
    let lake = Lake::open(folder)?;
    let mut table = lake.table("bench/host", &spec).await?;
    let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(0..100)) as ArrayRef])?;
    let file = table.writer().write(rows, &[]).await?;
    let host = [
        (100, of_host(&mut table, &file, 100).await?),
        (10_000, of_host(&mut table, &file, 10_000 - 100 - COMMITS).await?),
    ];
    let table = lake.table("bench/deltalake", &spec).await?;
    let mut table = DeltaTable::try_from_url(table.url().clone()).await?;
    let deltalake = [
        (100, of_deltalake(&mut table, &file, 100).await?),
        (500, of_deltalake(&mut table, &file, 500 - 100 - COMMITS).await?),
    ];
    Ok((host, deltalake))
}

/// Adds `before` files a hundred a commit, then measures commits of one.
async fn of_host(table: &mut Table, file: &DataFile, before: usize) -> Result<Duration, Box<dyn Error>> {
    let named = |number| DataFile { path: format!("part-{number}.parquet"), ..file.clone() };
    for first in (0..before).step_by(100) {
        let mut commit = table.begin("STREAMING UPDATE");
        commit.adds = (first..before.min(first + 100)).map(|number| named(before * 1000 + number)).collect();
        table.commit(&commit).await?;
    }
    let mut times = Vec::new();
    for number in 0..COMMITS {
        let mut commit = table.begin("STREAMING UPDATE");
        commit.adds = vec![named(number)];
        let started = Instant::now();
        table.commit(&commit).await?;
        times.push(started.elapsed());
    }
    Ok(middle(times))
}

/// The same, each file in a commit of its own, as its documentation shows it; without checkpoints.
async fn of_deltalake(table: &mut DeltaTable, file: &DataFile, before: usize) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::new();
    for number in 0..before + COMMITS {
        let add = Add {
            path: format!("part-{before}-{number}.parquet"),
            size: file.size,
            modification_time: file.modification_time,
            data_change: true,
            stats: file.stats.clone(),
            ..Add::default()
        };
        let started = Instant::now();
        let properties =
            CommitProperties::default().with_create_checkpoint(false).with_cleanup_expired_logs(Some(false));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let committed = CommitBuilder::from(properties)
            .with_actions(vec![Action::Add(add)])
            .build(Some(table.snapshot()?), table.log_store(), operation)
            .await?;
        table.state = Some(committed.snapshot());
        if number >= before {
            times.push(started.elapsed());
        }
    }
    Ok(middle(times))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
