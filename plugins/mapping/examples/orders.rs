//! Times what a mapping costs a record natively, in the host's calls: the one of the tenant `acme`, or PREPARED, which
//! is what the component made of another and of no property.
//!
//! usage: cargo run --profile guest -p silversmith-plugin-mapping --example orders -- ORDERS.ndjson [PREPARED]

use std::time::{Duration, Instant};
use std::{env, fs};

use silversmith_plugin_mapping::Mappings;
use silversmith_sdk::plugin::{
    BronzeBatch, BytesColumn, ConfigFile, Configuration, ContractColumn, DataType, DecimalType, EntityContract,
    Instance, Verdict,
};

const CONTRACTS: [(&str, &str); 4] = [
    ("customer", "*external_id email full_name phone segment country changed_at:timestamp"),
    ("product", "*external_id title category brand price:decimal changed_at:timestamp"),
    ("order", "*external_id ordered_at:timestamp channel currency status total:decimal"),
    ("order_line", "*order_id *line_no:int64 ordered_at:timestamp qty:int64 unit_price:decimal"),
];
const SETTINGS: &str = r#"{"schema_version": {"path": "$.meta.v", "default": "2.1"},
    "mappings": {"1.4": "mappings/orders-1.4.yaml", "2.1": "mappings/orders-2.1.yaml"}}"#;

/// Payload bytes in a call, as the host cuts them.
const CALL_BYTES: usize = 256 << 10;

/// Of each call the best of so many rounds counts: what else the machine does only ever adds.
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let text = fs::read(arguments.next().ok_or("usage: orders ORDERS.ndjson [PREPARED]")?)?;
    let calls = calls(&text);
    let n_records: usize = calls.iter().map(|call| call.offsets.len() - 1).sum();
    let prepared = match arguments.next() {
        Some(prepared) => fs::read(prepared)?,
        None => Instance::<Mappings>::describe(&configuration()?).map_err(|errors| format!("{errors:?}"))?.prepared,
    };
    let mut best = vec![Duration::MAX; calls.len()];
    let (mut n_rows, mut n_transformed) = (0, 0);
    for _ in 0..ROUNDS {
        (n_rows, n_transformed) = (0, 0);
        for (call, best) in calls.iter().zip(&mut best) {
            let start = Instant::now();
            let mut instance = Instance::<Mappings>::configure(&prepared)?;
            let answer = instance.transform(call)?;
            *best = start.elapsed().min(*best);
            n_rows += answer.rows.iter().map(|rows| rows.record_index.len()).sum::<usize>();
            n_transformed += answer.verdicts.iter().filter(|verdict| **verdict == Verdict::Transformed).count();
        }
    }
    let nanoseconds = best.iter().sum::<Duration>().as_nanos() / n_records as u128;
    println!("native {nanoseconds} ({n_transformed} of {n_records} transformed, {n_rows} rows)");
    Ok(())
}

fn calls(text: &[u8]) -> Vec<BronzeBatch> {
    let empty = || BronzeBatch { offsets: vec![0], payload: Vec::new(), tombstones: None, properties: vec![] };
    let mut calls = vec![empty()];
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if calls.last().is_some_and(|call| call.payload.len() + line.len() > CALL_BYTES) {
            calls.push(empty());
        }
        let call = calls.last_mut().expect("there is a call: the first is made before the loop");
        call.payload.extend_from_slice(line);
        call.offsets.push(call.payload.len() as u32);
    }
    for call in &mut calls {
        // The one property that the mapping asks for, the declared schema version, is absent.
        let n_records = call.offsets.len() - 1;
        let validity = Some(vec![0; n_records.div_ceil(8)]);
        call.properties.push(BytesColumn { offsets: vec![0; n_records + 1], data: Vec::new(), validity });
    }
    calls
}

fn configuration() -> std::io::Result<Configuration> {
    let folder = concat!(env!("SILVERSMITH_ROOT"), "/tenants/acme/");
    let file =
        |path: &str| Ok(ConfigFile { path: path.to_owned(), text: fs::read_to_string(format!("{folder}{path}"))? });
    let files: std::io::Result<_> =
        ["mappings/orders-1.4.yaml", "mappings/orders-2.1.yaml"].map(file).into_iter().collect();
    let entities = CONTRACTS.map(|(name, columns)| EntityContract {
        name: name.to_owned(),
        columns: columns.split(' ').map(column).collect(),
    });
    Ok(Configuration {
        source: "orders".to_owned(),
        settings: SETTINGS.to_owned(),
        files: files?,
        entities: entities.to_vec(),
    })
}

fn column(text: &str) -> ContractColumn {
    let (name, data_type) = text.split_once(':').unwrap_or((text, "text"));
    let data_type = match data_type {
        "int64" => DataType::Int64,
        "timestamp" => DataType::Timestamp,
        "decimal" => DataType::Decimal(DecimalType { precision: 18, scale: 2 }),
        _ => DataType::Text,
    };
    let key = name.starts_with('*');
    ContractColumn { name: name.trim_start_matches('*').to_owned(), data_type, required: key, key }
}
