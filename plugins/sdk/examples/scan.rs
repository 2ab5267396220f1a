//! Times the extraction of some twenty fields from each order of `orders.py`, against `serde_json::Value` and one
//! `jsonpath-rust` query a field.
//!
//! usage: cargo run --release -p silversmith-sdk --example scan -- ORDERS.ndjson

use std::{env, fs, hint::black_box, time::Instant};

use jsonpath_rust::{parser::parse_json_path, query::js_path_process};
use serde::de::IgnoredAny;
use silversmith_sdk::{
    extract::{Base, Extraction, Plan},
    path::Path,
    value::Value,
};

const ORDER: [&str; 14] = [
    "$.order_id",
    "$.ts",
    "$.channel",
    "$.currency",
    "$.status",
    "$.payment.kind",
    "$.shipping.method",
    "$.cust.ref_id",
    "$.cust.name.first",
    "$.cust.name.last",
    "$.cust.contact.email",
    "$.cust.contact.phone",
    "$.cust.seg",
    "$.cust.address.country",
];
const ITEMS: &str = "$.items[*]";
const ITEM: [&str; 6] = ["$.line", "$.qty", "$.price_cents", "$.product.sku", "$.product.title", "$.product.category"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = env::args().nth(1).ok_or("usage: scan ORDERS.ndjson")?;
    let text = fs::read(file)?;
    let records: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();

    let mut builder = Plan::builder();
    let record = builder.record();
    let paths = |texts: &[&str]| texts.iter().map(|text| Path::parse(text)).collect::<Result<Vec<_>, _>>();
    let order: Vec<_> = paths(&ORDER)?.into_iter().map(|path| builder.select(record, Base::Node, path)).collect();
    let items = builder.scope(record, vec![(Base::Node, Path::parse(ITEMS)?)]);
    let item: Vec<_> = paths(&ITEM)?.into_iter().map(|path| builder.select(items, Base::Node, path)).collect();
    let plan = builder.build();
    let mut extraction = Extraction::new(&plan);

    time("pass alone", &records, |record| {
        extraction.read(record).expect("an order is JSON");
        0
    });
    let mut extraction = Extraction::new(&plan);
    time("pass and values", &records, |record| {
        let tree = extraction.read(record).expect("an order is JSON");
        let length = |value: Value<'_>| match value {
            Value::Text(text) | Value::Number(text) | Value::Json(text) => text.len(),
            Value::Null | Value::Boolean(_) | Value::Timestamp(_) | Value::Date(_) => 0,
        };
        let place = tree.record();
        let of_order = order.iter().filter_map(|select| tree.select(*select, place).first());
        let mut sum = of_order.map(|node| length(tree.value(node))).sum::<usize>();
        for place in tree.places(items, place) {
            let of_item = item.iter().filter_map(|select| tree.select(*select, place).first());
            sum += of_item.map(|node| length(tree.value(node))).sum::<usize>();
        }
        sum
    });

    time("UTF-8 check alone", &records, |record| std::str::from_utf8(record).expect("an order is text").len());
    time("serde_json, nothing kept", &records, |record| {
        serde_json::from_slice::<IgnoredAny>(record).map(|_| 0).expect("an order is JSON")
    });

    let of_items = ITEM.map(|text| text.replacen('$', ITEMS, 1));
    let queries = ORDER.iter().copied().chain(of_items.iter().map(String::as_str));
    let queries = queries.map(parse_json_path).collect::<Result<Vec<_>, _>>()?;
    time("Value and jsonpath-rust", &records, |record| {
        let value: serde_json::Value = serde_json::from_slice(record).expect("an order is JSON");
        let found = queries.iter().map(|query| js_path_process(query, &value).expect("the query can run"));
        found.flatten().map(|found| found.val().as_str().map_or(1, str::len)).sum()
    });
    Ok(())
}

/// Prints the time of the best of some rounds.
fn time(name: &str, records: &[&[u8]], mut read: impl FnMut(&[u8]) -> usize) {
    let mut sum = 0;
    let rounds = (0..7).map(|_| {
        let start = Instant::now();
        sum = records.iter().map(|record| read(black_box(record))).sum();
        start.elapsed()
    });
    let best = rounds.min().expect("there are rounds");
    let bytes: usize = records.iter().map(|record| record.len()).sum();
    println!(
        "{name:>26} {:6} ns a record of {} bytes, {:.2} GB/s (sum {sum})",
        best.as_nanos() / records.len() as u128,
        bytes / records.len(),
        bytes as f64 / best.as_nanos() as f64,
    );
}
