//! How long records take from a producer to Silver, at a steady rate:
//! `kafka_latency BROKERS TOPIC ORDERS LAKE RATE SECONDS`, beside a host that reads the topic as source `orders` of `acme`.
//!
//! Each record carries the time at which it was handed to the client. It is visible once every Silver table has its batch,
//! which the file system says of their log entries. Producer, broker and host share the machine.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use silversmith::lake::{Bronze, Lake, Step, Table};

const SOURCE: &str = "orders";
const TABLES: [&str; 4] = ["silver/order", "silver/order_line", "silver/customer_changes", "silver/product_changes"];
/// How long the last record may take to be visible.
const SOON: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, orders, lake, rate, seconds] = arguments.as_slice() else {
        return Err("expected BROKERS TOPIC ORDERS LAKE RATE SECONDS".into());
    };
    let (rate, seconds): (u64, u64) = (rate.parse()?, seconds.parse()?);
    let lake = Lake::open(Path::new(lake))?;
    let before = received(&lake).await?;
    let orders = fs::read(orders)?;
    let behind = produce(brokers, topic, &orders, rate, seconds)?;
    settled(&lake, before + rate * seconds).await?;
    let mut times = latencies(&lake, before).await?;
    // In the order of their production: whether the last wait longer than the first tells whether the lag grows.
    times.sort_unstable();
    let third = times.len() / 3;
    let (first, last) = (p99(&times[..third]), p99(&times[times.len() - third..]));
    let mut all: Vec<i64> = times.into_iter().map(|(_, latency)| latency).collect();
    all.sort_unstable();
    println!(
        "{rate} records/s for {seconds} s: p50 {:.2} s, p99 {:.2} s, most {:.2} s; p99 of the first third {first:.2} s, of the last \
         {last:.2} s; the producer was {:.2} s behind its rate at the end",
        all[all.len() / 2] as f64 / 1e3,
        all[all.len() * 99 / 100] as f64 / 1e3,
        all[all.len() - 1] as f64 / 1e3,
        behind.as_secs_f64(),
    );
    Ok(())
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64)
}

/// Hands `rate` orders a second to the client; how far behind that it was in the end.
fn produce(brokers: &str, topic: &str, orders: &[u8], rate: u64, seconds: u64) -> Result<Duration, Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let mut lines = orders.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).cycle();
    let begun = Instant::now();
    let mut sent = 0;
    while sent < rate * seconds {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due.min(rate * seconds) {
            let order = lines.next().ok_or("found no orders")?;
            let record = BaseRecord::<[u8], [u8]>::to(topic).payload(order).timestamp(now());
            match producer.send(record) {
                Ok(()) => sent += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        producer.poll(Duration::from_millis(2));
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(begun.elapsed().saturating_sub(Duration::from_secs(seconds)))
}

/// Records in Bronze.
async fn received(lake: &Lake) -> Result<u64, Box<dyn Error>> {
    Ok(batches(lake).await?.iter().map(|(_, records)| records).sum())
}

/// Version and records of each batch in Bronze.
async fn batches(lake: &Lake) -> Result<Vec<(i64, u64)>, Box<dyn Error>> {
    let bronze = Bronze::open(lake, "acme", SOURCE).await?;
    let mut batches = vec![];
    for step in bronze.steps(-1).await? {
        if let Step::Batch(landed) = step {
            batches.push((landed.version, landed.records));
        }
    }
    Ok(batches)
}

/// Waits until so many records are in every table.
async fn settled(lake: &Lake, records: u64) -> Result<(), Box<dyn Error>> {
    let since = Instant::now();
    while since.elapsed() < SOON {
        let batches = batches(lake).await?;
        let manifests = lake.find("acme/manifests").await?;
        let settled = manifests.and_then(|table| table.transaction(SOURCE)).unwrap_or(-1);
        let last = batches.last().map_or(-1, |(version, _)| *version);
        if batches.iter().map(|(_, records)| records).sum::<u64>() >= records && settled >= last {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(format!("not all records were in Silver within {SOON:?}").into())
}

/// When each record behind the first `before` was produced, and how long it took, in milliseconds.
async fn latencies(lake: &Lake, before: u64) -> Result<Vec<(i64, i64)>, Box<dyn Error>> {
    let mut visible: HashMap<i64, i64> = HashMap::new();
    for name in TABLES {
        let table = lake.find(&format!("acme/{name}")).await?.ok_or("found no table of Silver")?;
        for (version, at) in published(&table).await? {
            let latest = visible.entry(version).or_insert(at);
            *latest = at.max(*latest);
        }
    }
    let bronze = Bronze::open(lake, "acme", SOURCE).await?;
    let (mut times, mut passed) = (vec![], 0);
    for step in bronze.steps(-1).await? {
        let Step::Batch(landed) = step else { continue };
        passed += landed.records;
        if passed <= before {
            continue;
        }
        let at = visible.get(&landed.version).ok_or("a batch is in no table of Silver")?;
        let batch = bronze.read(&landed).await?;
        times.extend((0..batch.len()).filter_map(|record| {
            let produced = batch.event_time(record)? / 1000;
            Some((produced, at - produced))
        }));
    }
    Ok(times)
}

/// The Bronze version that each entry of a table's log consumed, and when the entry got its name, in milliseconds.
async fn published(table: &Table) -> Result<Vec<(i64, i64)>, Box<dyn Error>> {
    let folder = table.url().to_file_path().map_err(|()| "expected a lake in a folder")?.join("_delta_log");
    let mut all = vec![];
    for entry in table.entries(0, table.version()).await? {
        let consumed = entry.transactions.iter().find(|(app_id, _)| app_id == SOURCE);
        if let Some((_, version)) = consumed {
            let file = fs::metadata(folder.join(format!("{:020}.json", entry.version)))?;
            all.push((*version, file.ctime() * 1000 + file.ctime_nsec() / 1_000_000));
        }
    }
    Ok(all)
}

/// Seconds within which 99 of 100 were visible.
fn p99(times: &[(i64, i64)]) -> f64 {
    let mut latencies: Vec<i64> = times.iter().map(|(_, latency)| *latency).collect();
    latencies.sort_unstable();
    latencies.get(latencies.len() * 99 / 100).map_or(0.0, |latency| *latency as f64 / 1e3)
}
