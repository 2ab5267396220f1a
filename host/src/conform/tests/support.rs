//! Small contracts, plans, batches and answers for the tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::buffer::BooleanBuffer;

use crate::conform::contract::Contracts;
use crate::conform::model::{COLUMNS, ModelRow};
use crate::conform::pii::{Pii, TokenKey};
use crate::conform::plan::Plan;
use crate::conform::store::StoreBounds;
use crate::entity::{
    Answer, Column, DataType, Descriptor, Field, OnError, Operation, Operations, Output, Reference, Rows, Verdict,
};
use crate::record::{Batch, BatchBuilder, Received};

/// A contract file with one entity per (name, properties, customProperties).
pub(super) fn odcs(entities: &[(&str, &str, &str)]) -> String {
    let mut text =
        "apiVersion: v3.1.0\nkind: DataContract\nid: test\nversion: 1.0.0\nstatus: active\nschema:\n".to_owned();
    for (name, properties, custom) in entities {
        text += &format!("  - name: {name}\n    properties:\n");
        properties.lines().for_each(|line| text += &format!("      - {{ {line} }}\n"));
        text += &format!("    customProperties: [ {custom} ]\n");
    }
    text
}

pub(super) fn contracts(entities: &[(&str, &str, &str)]) -> Contracts {
    let mut contracts = Contracts::new();
    contracts.add("test.odcs.yaml", &odcs(entities)).unwrap_or_else(|findings| panic!("{findings:#?}"));
    contracts
}

pub(super) fn field(name: &str, data_type: DataType) -> Field {
    Field { name: name.to_owned(), data_type, source: Some(format!("$.{name}")) }
}

pub(super) fn output(entity: &str, on_error: OnError, fields: Vec<Field>, references: Vec<Reference>) -> Output {
    Output { entity: entity.to_owned(), on_error, fields, references }
}

pub(super) fn descriptor(outputs: Vec<Output>) -> Descriptor {
    Descriptor {
        name: "test".to_owned(),
        version: "1".to_owned(),
        outputs,
        properties: vec![],
        paths: vec![],
        prepared: vec![],
        warnings: vec![],
    }
}

pub(super) fn pii() -> Pii {
    Pii::new(BTreeMap::new(), Some(TokenKey::new(1, b"0123456789abcdef")))
}

pub(super) fn batch(records: usize) -> Batch {
    let mut builder = BatchBuilder::new("test");
    for offset in 0..records as i64 {
        builder.push(&Received {
            payload: Some(b"{}"),
            offset,
            event_time: Some(1_000_000 * offset),
            ..Received::default()
        });
    }
    builder.finish(vec![], serde_json::Value::Null)
}

pub(super) fn bounds(folder: &std::path::Path, memory_bytes_max: usize) -> StoreBounds {
    StoreBounds { memory_bytes_max, folder: folder.join("index"), cache_bytes_max: 1 << 20 }
}

pub(super) fn text(values: &[Option<&str>]) -> Column {
    Column { values: Arc::new(values.iter().copied().collect::<StringArray>()), presence: None }
}

pub(super) fn int64(values: impl IntoIterator<Item = Option<i64>>) -> Column {
    Column { values: Arc::new(values.into_iter().collect::<Int64Array>()) as ArrayRef, presence: None }
}

/// An answer in which every record is transformed.
pub(super) fn transformed(records: usize, rows: Vec<Rows>) -> Answer {
    Answer { verdicts: vec![Verdict::Transformed; records], rows, ..Answer::default() }
}

/// The plan of the model's entity: key `k`, sequence `s` unless `by_arrival`, and the model's columns.
pub(super) fn model_plan(by_arrival: bool, keep: &str) -> Plan {
    let properties = "name: k, physicalType: text, primaryKey: true\nname: s, physicalType: int64\nname: a, physicalType: int64\n\
                      name: b, physicalType: int64\nname: c, physicalType: int64";
    let (properties, sequence) = if by_arrival {
        (properties.replace("name: s, physicalType: int64\n", ""), "")
    } else {
        (properties.to_owned(), ", { property: sequence, value: s }")
    };
    let custom = format!("{{ property: history, value: scd2 }}, {{ property: keep, value: {keep} }}{sequence}");
    let contracts = contracts(&[("thing", &properties, &custom)]);
    let mut fields = vec![field("k", DataType::Text)];
    if !by_arrival {
        fields.push(field("s", DataType::Int64));
    }
    fields.extend(COLUMNS.iter().map(|name| field(name, DataType::Int64)));
    let descriptor = descriptor(vec![output("thing", OnError::Record, fields, vec![])]);
    Plan::new("tenant", &contracts, pii(), &descriptor, &[]).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// One record a row, all of key `k`. What a patch does not carry holds a value that must not count.
pub(super) fn model_answer(rows: &[ModelRow], by_arrival: bool) -> Answer {
    let mut columns = vec![text(&vec![Some("k"); rows.len()])];
    if !by_arrival {
        columns.push(int64(rows.iter().map(|row| Some(row.sequence))));
    }
    for name in COLUMNS {
        let values = int64(rows.iter().map(|row| match row.values.get(name) {
            Some(value) => *value,
            None if row.operation == Operation::Patch || row.operation == Operation::Delete => Some(99),
            None => None,
        }));
        let presence: BooleanBuffer = rows.iter().map(|row| row.values.contains_key(name)).collect();
        columns.push(Column { presence: Some(presence), ..values });
    }
    let operations = Operations::Each(rows.iter().map(|row| row.operation).collect());
    let record = (0..rows.len() as u32).collect();
    transformed(rows.len(), vec![Rows { output: 0, record, operations, columns }])
}
