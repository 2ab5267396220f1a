//! Times plugins in the sandbox, call by call as the host makes them, on one core with fuel on.
//!
//! usage: guest ORDERS.ndjson OUT MAPPING.yaml ENTITIES PLUGIN.wasm…
//!
//! ENTITIES are contracts in short, `customer *external_id email; order *external_id total:decimal`. All plugins get
//! the same records and configuration. Each prints `<plugin> <ns a record> <fuel a record>`; that all of them give the
//! same rows is checked. `OUT/<plugin>.prepared` is what the plugin made of the configuration, for a native run.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use silversmith::entity::{Answer, Column, DataType, Rows, Verdict};
use silversmith::record::{Batch, BatchBuilder, Received};
use silversmith::sandbox::{
    COMPILE_COMMAND, Configuration, ContractColumn, Engine, EngineSettings, EntityContract, Limits, Plugin,
    compile_child,
};

/// As in the host's own program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Of each call the best of so many rounds counts: what else the machine does only ever adds.
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == COMPILE_COMMAND) {
        return compile_child();
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [orders, out, mapping, entities, plugins @ ..] = arguments else {
        return Err("usage: guest ORDERS.ndjson OUT MAPPING.yaml ENTITIES PLUGIN.wasm…".into());
    };
    let batch = batch(&fs::read(orders)?);
    let configuration = Configuration {
        source: "orders".to_owned(),
        settings: r#"{"mapping": "mapping.yaml"}"#.to_owned(),
        files: vec![("mapping.yaml".to_owned(), fs::read_to_string(mapping)?)],
        entities: entities.split(';').map(contract).collect(),
    };
    let engine = Engine::new(EngineSettings::new(Path::new(out).join("components"), 1)?)?;
    let mut expected: Option<Vec<Answer>> = None;
    for file in plugins {
        let component = engine.load(&fs::read(file)?, &Limits::default())?;
        let descriptor =
            component.describe(&configuration, &Limits::default()).map_err(|error| format!("{error:?}"))?;
        let name = descriptor.name.clone();
        fs::write(Path::new(out).join(format!("{name}.prepared")), &descriptor.prepared)?;
        let plugin = component.plugin(descriptor, Limits::default());

        let first = round(&plugin, &batch)?;
        let mut best = first.took;
        for _ in 1..ROUNDS {
            for (best, took) in best.iter_mut().zip(round(&plugin, &batch)?.took) {
                *best = took.min(*best);
            }
        }
        let nanoseconds = best.iter().sum::<Duration>().as_nanos();
        println!("{name} {} {}", nanoseconds / batch.len() as u128, first.fuel / batch.len() as u64);
        let answers = first.answers;
        match &expected {
            None => expected = Some(answers),
            Some(expected) if same_rows(expected, &answers) => (),
            Some(_) => return Err(format!("found other rows from `{name}` than from the first plugin").into()),
        }
    }
    Ok(())
}

/// Every record once.
struct Round {
    /// Of each call.
    took: Vec<Duration>,
    fuel: u64,
    answers: Vec<Answer>,
}

fn round(plugin: &Plugin, batch: &Batch) -> Result<Round, Box<dyn Error>> {
    let mut round = Round { took: vec![], fuel: 0, answers: vec![] };
    for range in plugin.cut(batch) {
        let start = Instant::now();
        let (answer, report) = plugin.transform(batch, range)?;
        round.took.push(start.elapsed());
        round.fuel += report.fuel;
        round.answers.push(answer);
    }
    match round.answers.iter().flat_map(|answer| &answer.verdicts).find(|verdict| **verdict != Verdict::Transformed) {
        None => Ok(round),
        Some(other) => Err(format!("found the verdict {other:?}, expected every record transformed").into()),
    }
}

/// Whether the answers to each call have the same rows, value by value.
fn same_rows(left: &[Answer], right: &[Answer]) -> bool {
    let same_column =
        |(left, right): (&Column, &Column)| *left.values == *right.values && left.presence == right.presence;
    let same = |(left, right): (&Rows, &Rows)| {
        (left.output, &left.record, &left.operations) == (right.output, &right.record, &right.operations)
            && left.columns.len() == right.columns.len()
            && left.columns.iter().zip(&right.columns).all(same_column)
    };
    left.iter()
        .zip(right)
        .all(|(left, right)| left.rows.len() == right.rows.len() && left.rows.iter().zip(&right.rows).all(same))
}

fn batch(text: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new("orders");
    for (offset, line) in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        builder.push(&Received { payload: Some(line), offset: offset as i64, ..Received::default() });
    }
    builder.finish(vec![], serde_json::Value::Null)
}

fn contract(text: &str) -> EntityContract {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default().to_owned();
    EntityContract { name, columns: words.map(column).collect() }
}

fn column(text: &str) -> ContractColumn {
    let (name, data_type) = text.split_once(':').unwrap_or((text, "text"));
    let data_type = match data_type {
        "int64" => DataType::Int64,
        "timestamp" => DataType::Timestamp,
        "decimal" => DataType::Decimal { precision: 18, scale: 2 },
        _ => DataType::Text,
    };
    let key = name.starts_with('*');
    ContractColumn { name: name.trim_start_matches('*').to_owned(), data_type, required: key, key }
}
