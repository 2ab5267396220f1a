//! How many rows a second the pure part of the host decides on one core: `cargo run --release --example conform_rate`.
//!
//! One million customer rows of seven columns, three of them tokenised, about a given number of keys: conformed (checked,
//! tokenised, keyed, hashed), then decided against the index. Most rows are duplicates, as embedded master data is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
use silversmith::conform::contract::Contracts;
use silversmith::conform::dimension::DimensionIndex;
use silversmith::conform::pii::{Pii, TokenKey, Treatment};
use silversmith::conform::plan::Plan;
use silversmith::conform::store::StoreBounds;
use silversmith::entity::{Answer, Column, Descriptor, Field, OnError, Operation, Operations, Output, Rows, Verdict};
use silversmith::record::{Batch, BatchBuilder, Received};

const BATCHES: usize = 100;
const ROWS: usize = 10_000;

fn main() {
    let mut contracts = Contracts::new();
    contracts
        .add("customer", include_str!("../../tenants/canonical/customer.odcs.yaml"))
        .expect("a canonical contract is read");
    let contract = contracts.get("customer").expect("there is a customer").clone();
    let field = |column: &silversmith::conform::contract::ContractColumn| Field {
        name: column.name.clone(),
        data_type: column.data_type,
        source: None,
    };
    let descriptor = Descriptor {
        name: "bench".into(),
        version: "1".into(),
        outputs: vec![Output {
            entity: "customer".into(),
            on_error: OnError::Record,
            fields: contract.columns.iter().map(field).collect(),
            references: vec![],
        }],
        properties: vec![],
        paths: vec![],
        prepared: vec![],
        warnings: vec![],
    };
    for (name, treatment) in [("kept", Treatment::Keep), ("tokenised", Treatment::Tokenise)] {
        let pii = Pii::new(BTreeMap::from([("personal".into(), treatment)]), Some(TokenKey::new(1, b"key")));
        let plan = Plan::new("acme", &contracts, pii, &descriptor, &[]).expect("the descriptor fits");
        for keys in [1_000, 1_000_000] {
            run(name, keys, &plan);
        }
    }
}

fn run(name: &str, keys: usize, plan: &Plan) {
    let folder = std::env::temp_dir().join(format!("conform-rate-{}", std::process::id()));
    let bounds = StoreBounds { memory_bytes_max: 1 << 30, folder, cache_bytes_max: 32 << 20 };
    let entity = &plan.entities()[0];
    let mut index = DimensionIndex::new(entity, bounds);
    let (mut conforming, mut deciding, mut kept) = (Duration::ZERO, Duration::ZERO, 0);
    for number in 0..BATCHES {
        let (batch, answer) = (batch(), answer(number, keys));
        let start = cpu_time();
        let conformed = plan.conform(&batch, &[answer]);
        conforming += cpu_time() - start;
        let start = cpu_time();
        let before = index.next_arrival();
        let decisions = index.decide(entity, &conformed.entities[0]).expect("the index is in memory");
        index.apply(decisions.delta, number as u64).expect("the index is in memory");
        deciding += cpu_time() - start;
        kept += index.next_arrival() - before;
    }
    let per_row = |time: Duration| time.as_nanos() as usize / (BATCHES * ROWS);
    println!(
        "personal {name}, {keys} keys: conform {} ns, decide {} ns a row, {kept} kept",
        per_row(conforming),
        per_row(deciding)
    );
}

/// What this thread has had of a core: on a busy machine the wall clock measures the others. Linux only.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says what a thread used");
    Duration::from_nanos(
        text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("the first field is nanoseconds"),
    )
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::new("bench");
    (0..ROWS as i64).for_each(|offset| builder.push(&Received { payload: Some(b"{}"), offset, ..Received::default() }));
    builder.finish(vec![], serde_json::Value::Null)
}

fn answer(number: usize, keys: usize) -> Answer {
    // A multiplicative step visits keys evenly and without order.
    let ids: Vec<usize> = (0..ROWS).map(|row| (number * ROWS + row).wrapping_mul(2_654_435_761) % keys).collect();
    let text =
        |f: &dyn Fn(usize) -> String| Arc::new(ids.iter().map(|id| Some(f(*id))).collect::<StringArray>()) as ArrayRef;
    let time = ids.iter().map(|_| Some(1_700_000_000_000_000 + number as i64)).collect::<TimestampMicrosecondArray>();
    let columns = [
        text(&|id| format!("C{id:09}")),
        text(&|id| format!("customer{id}@example.org")),
        text(&|id| format!("Customer Number {id}")),
        text(&|id| format!("+49 30 {id:08}")),
        text(&|_| "premium".to_owned()),
        text(&|_| "DE".to_owned()),
        Arc::new(time.with_timezone("UTC")) as ArrayRef,
    ];
    let columns = columns.map(|values| Column { values, presence: None }).to_vec();
    let rows =
        Rows { output: 0, record: (0..ROWS as u32).collect(), operations: Operations::All(Operation::Upsert), columns };
    Answer { verdicts: vec![Verdict::Transformed; ROWS], rows: vec![rows], ..Answer::default() }
}
