//! Change data capture: envelopes that say what became of which row.

use silversmith_sdk::plugin::Operation;
use silversmith_sdk::testing::Answer;

use crate::support::{data, rows, run, verdict};

const PRODUCT: &str = "product: id int64 key; name text; description text; weight decimal(10,3); changed_at timestamp";

/// Canal: several rows in `data[*]`; a DDL record has none and is skipped with its reason.
const CANAL: &str = r#"
skip:
  - { when: "@.isDdl == true", reason: ddl }
entities:
  - entity: product
    each: "$.data[*]"
    delete: "$.type == 'DELETE'"
    fields: { id: .id, name: .name, description: .description, weight: .weight, changed_at: { path: $.es, normalize: [{ timestamp: epoch_ms }] } }
"#;

/// Maxwell: one row in `data`, time in seconds.
const MAXWELL: &str = r#"
entities:
  - entity: product
    each: $.data
    delete: "$.type == 'delete'"
    fields: { id: .id, name: .name, description: .description, weight: .weight, changed_at: { path: $.ts, normalize: [{ timestamp: epoch_s }] } }
"#;

/// Debezium: the deleted row is in `before`.
const DEBEZIUM: &str = r#"
entities:
  - entity: product
    each: $.before
    when: "$.op == 'd'"
    delete: true
    fields: &fields { id: .id, name: .name, weight: .weight }
  - entity: product
    each: $.after
    when: "$.op != 'd'"
    fields: *fields
"#;

fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(data("cdc-flink/flink-formats/flink-json/src/test/resources").join(path));
    text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

fn counts(answer: &Answer) -> (usize, usize) {
    let deletes = answer.rows.iter().filter(|row| row.operation == Operation::Delete).count();
    (answer.rows.len() - deletes, deletes)
}

#[test]
fn canal_rows_and_deletes() {
    let lines = lines("canal-data.txt");
    if lines.is_empty() {
        eprintln!("no Canal records under SILVERSMITH_DATA: nothing to map");
        return;
    }
    let payloads: Vec<_> = lines.iter().map(String::as_str).collect();
    let answer = run(CANAL, PRODUCT, &payloads);
    assert_eq!(counts(&answer), (17, 3));
    let filtered: Vec<_> = (0..payloads.len()).filter(|record| verdict(&answer, *record) == "filtered ddl").collect();
    assert_eq!(filtered, [9]);
    assert_eq!(
        rows(&answer)[9],
        "Upsert product {'changed_at':'2020-05-13T12:39:06Z','description':'18oz carpenter hammer','id':106,'name':'hammer','weight':'1.000'}"
    );
}

#[test]
fn maxwell_rows_and_deletes() {
    let lines = lines("maxwell-data.txt");
    if lines.is_empty() {
        eprintln!("no Maxwell records under SILVERSMITH_DATA: nothing to map");
        return;
    }
    let payloads: Vec<_> = lines.iter().map(String::as_str).collect();
    let answer = run(MAXWELL, PRODUCT, &payloads);
    assert_eq!(counts(&answer), (17, 3));
    assert!((0..payloads.len()).all(|record| verdict(&answer, record) == "transformed"));
}

#[test]
fn debezium_deletes_what_was_before() {
    let payloads = [
        r#"{"op": "c", "before": null, "after": {"id": 1, "name": "a", "weight": 1.5}}"#,
        r#"{"op": "d", "before": {"id": 1, "name": "a", "weight": 1.5}, "after": null}"#,
    ];
    let answer = run(DEBEZIUM, PRODUCT, &payloads);
    assert_eq!(
        rows(&answer),
        ["Delete product {'id':1,'name':'a','weight':'1.500'}", "Upsert product {'id':1,'name':'a','weight':'1.500'}"]
    );
}
