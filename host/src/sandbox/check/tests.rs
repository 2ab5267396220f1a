//! What a guest may lie about in an answer, one lie a test.

use arrow::array::AsArray;
use arrow::datatypes::{Decimal128Type, Float64Type};

use super::*;
use crate::entity::{Field, Reference};

const TYPES: [DataType; 9] = [
    DataType::Text,
    DataType::Int64,
    DataType::Float64,
    DataType::Decimal { precision: 5, scale: 2 },
    DataType::Boolean,
    DataType::Date,
    DataType::Timestamp,
    DataType::Binary,
    DataType::Json,
];

/// Two outputs: the first with a column of each type and on-error `row`, the second with a reference.
fn shape() -> Shape {
    let field = |data_type: DataType| Field { name: data_type.to_string(), data_type, source: None };
    let key = Field { name: "external_id".to_owned(), data_type: DataType::Text, source: None };
    let output = |on_error, fields, references| Output { entity: "thing".to_owned(), on_error, fields, references };
    let reference = Reference { name: "owner".to_owned(), entity: "owner".to_owned(), key: vec![key.clone()] };
    Shape::new(&Descriptor {
        name: "plugin".to_owned(),
        version: "1".to_owned(),
        outputs: vec![
            output(OnError::Row, TYPES.map(field).to_vec(), vec![]),
            output(OnError::Record, vec![key], vec![reference]),
        ],
        properties: vec![],
        paths: vec!["$.a".to_owned()],
        prepared: vec![],
        warnings: vec![],
    })
}

fn bytes(values: &[&str]) -> types::Values {
    let mut column = types::BytesColumnResult { offsets: vec![0], data: vec![], validity: None };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    types::Values::Bytes(column)
}

fn column(values: types::Values) -> types::Column {
    types::Column { values, validity: None, presence: None }
}

fn decimals(values: [i128; 2]) -> types::Values {
    types::Values::Decimal(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// An answer to three records: two rows of the first, none of the second, which is filtered, the third refused.
fn answer() -> types::SilverBatch {
    let refusal = types::Refusal {
        code: "no_key".to_owned(),
        message: "found null".to_owned(),
        entity: Some("thing".to_owned()),
        field: None,
        path: None,
        value: Some("\u{1b}".to_owned()),
        step: None,
    };
    let columns = [
        bytes(&["é", ""]),
        types::Values::Int64(vec![1, 2]),
        types::Values::Float64(vec![1.5, -0.0]),
        decimals([99_999, -99_999]),
        types::Values::Boolean(vec![0b10]),
        types::Values::Int32(vec![1, 2]),
        types::Values::Int64(vec![3, 4]),
        bytes(&["\u{7f}", "x"]),
        bytes(&["{\"a\": [1.0e2, \"\\ud800\"]}", " null "]),
    ];
    types::SilverBatch {
        verdicts: vec![
            types::Verdict::Transformed,
            types::Verdict::Filtered("heart\nbeat".to_owned()),
            types::Verdict::Refused(refusal.clone()),
        ],
        rows: vec![
            types::Rows {
                output: 1,
                record_index: vec![0],
                operations: types::Operations::All(types::Operation::Stub),
                columns: vec![column(bytes(&["a"])), column(bytes(&["b"]))],
            },
            types::Rows {
                output: 0,
                record_index: vec![0, 0],
                operations: types::Operations::Each(vec![types::Operation::Upsert, types::Operation::Patch]),
                columns: columns.map(column).to_vec(),
            },
        ],
        row_refusals: vec![types::RowRefusal { record_index: 0, output: 0, refusal }],
        path_hits: vec![7],
    }
}

#[track_caller]
fn breach(change: impl FnOnce(&mut types::SilverBatch), expected: &str) {
    let mut changed = answer();
    change(&mut changed);
    match shape().check(changed, 3, 0, 100) {
        Err(Breach::Rule(rule)) => assert!(rule.contains(expected), "{rule}"),
        other => panic!("found {other:?}, expected a breach of `{expected}`"),
    }
}

/// Replaces a column of the first output by its index in `TYPES`.
#[track_caller]
fn bad_column(index: usize, values: types::Values, expected: &str) {
    breach(|answer| answer.rows[1].columns[index].values = values, expected);
}

#[test]
fn a_conforming_answer_becomes_plain_types() {
    let answer = shape().check(answer(), 3, 40, 4).unwrap();
    assert_eq!(answer.verdicts[1], Verdict::Filtered("heart\\nbeat".to_owned()));
    let Verdict::Refused(refusal) = &answer.verdicts[2] else { panic!("the third record is refused") };
    assert_eq!((&*refusal.code, refusal.value.as_deref()), ("no_key", Some("\u{1b}")));
    let [first, second] = &answer.rows[..] else { panic!("both outputs have rows, in order") };
    assert_eq!((first.output, second.output), (0, 1));
    assert_eq!((&first.record[..], &second.record[..], answer.row_refusals[0].record), (&[40, 40][..], &[40][..], 40));
    assert_eq!(first.operations.get(1), Operation::Patch);
    for (column, data_type) in first.columns.iter().zip(TYPES) {
        assert_eq!(column.values.data_type(), &data_type.arrow());
    }
    assert_eq!(first.columns[0].values.as_string::<i32>().value(0), "é");
    assert_eq!(first.columns[3].values.as_primitive::<Decimal128Type>().value(1), -99_999);
    assert!(first.columns[4].values.as_boolean().value(1));
    assert_eq!(answer.path_hits, [7]);
}

#[test]
fn counts_and_indexes_must_agree() {
    breach(|a| a.verdicts.truncate(2), "found 2 verdicts, expected one for each of 3 records");
    breach(|a| a.verdicts.push(types::Verdict::Transformed), "found 4 verdicts");
    breach(|a| a.path_hits.clear(), "found 0 path hits, expected 1");
    breach(|a| a.rows[1].record_index[1] = 3, "row of record 3");
    breach(|a| a.rows[1].record_index[1] = u32::MAX, "row of record 4294967295");
    breach(|a| a.rows[1].record_index = vec![1, 0], "expected a record that is transformed");
    breach(|a| a.rows[1].record_index = vec![0, 2], "row of record 2");
    breach(
        |a| {
            a.verdicts[2] = types::Verdict::Transformed;
            a.rows[1].record_index = vec![2, 0];
        },
        "record 0 after record 2",
    );
    breach(|a| a.rows[0].output = 2, "rows of output 2, expected one of 2");
    breach(|a| a.rows[1].output = 1, "twice");
    breach(|a| a.rows[1].operations = types::Operations::Each(vec![]), "found 0 operations");
    breach(|a| a.rows[1].columns.truncate(8), "found 8 columns");
    breach(|a| a.rows[0].columns.truncate(1), "found 1 columns in output 1 (`thing`), expected 2");
    breach(|a| a.row_refusals[0].record_index = 1, "refused row of record 1");
    breach(|a| a.row_refusals[0].output = 9, "refused row of output 9");
    breach(|a| a.row_refusals[0].output = 1, "its on-error is record");
}

#[test]
fn columns_must_have_their_type_and_length() {
    bad_column(
        0,
        types::Values::Int64(vec![1, 2]),
        "column `text` of output 0 (`thing`): found int64 values, expected text",
    );
    bad_column(5, types::Values::Int64(vec![1, 2]), "found int64 values, expected date");
    bad_column(6, types::Values::Int32(vec![1, 2]), "found int32 values, expected timestamp");
    bad_column(3, bytes(&["1", "2"]), "expected decimal(5,2)");
    bad_column(1, types::Values::Int64(vec![1]), "found 1 int64 values, expected 2");
    bad_column(2, types::Values::Float64(vec![1.0; 3]), "found 3 float64 values");
    bad_column(3, types::Values::Decimal(vec![0; 31]), "found 31 decimal byte values, expected 32");
    bad_column(4, types::Values::Boolean(vec![]), "found 0 boolean byte values, expected 1");
    bad_column(5, types::Values::Int32(vec![]), "found 0 int32 values");
    bad_column(0, bytes(&["a"]), "found 2 offset values, expected 3");
    breach(|a| a.rows[1].columns[0].validity = Some(vec![0, 0]), "found 2 validity values, expected 1");
    breach(|a| a.rows[1].columns[0].presence = Some(vec![]), "found 0 presence values, expected 1");
}

#[test]
fn values_must_be_of_their_type() {
    let raw = |offsets: &[u32], data: &[u8]| {
        types::Values::Bytes(types::BytesColumnResult {
            offsets: offsets.to_vec(),
            data: data.to_vec(),
            validity: None,
        })
    };
    bad_column(0, raw(&[0, 2, 1], b"ab"), "found offset 1 after 2");
    bad_column(0, raw(&[0, 1, 3], b"ab"), "found offset 3, expected at most 2");
    bad_column(7, raw(&[0, 1, u32::MAX], b"ab"), "found offset 4294967295");
    bad_column(0, raw(&[0, 1, 2], b"a\xff"), "column `text`");
    bad_column(0, raw(&[0, 1, 2], "é".as_bytes()), "column `text`");
    bad_column(8, raw(&[0, 1, 2], "é".as_bytes()), "column `json`");
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        bad_column(2, types::Values::Float64(vec![0.0, float]), "in row 1, expected a finite number");
    }
    for decimal in [100_000, -100_000, i128::MAX, i128::MIN] {
        bad_column(3, decimals([0, decimal]), "expected at most 5 digits");
    }
    for json in ["", "{", "[1,]", "{\"a\":1}x", "'a'", "01", "NaN", "\"\u{1}\"", "\"\\x\"", "nul"] {
        bad_column(8, bytes(&["1", json]), "found no JSON value in row 1");
    }
}

#[test]
fn deep_json_needs_no_stack() {
    let mut answer = answer();
    answer.rows[1].columns[8].values = bytes(&[&("[".repeat(1_000_000) + &"]".repeat(1_000_000)), "1"]);
    assert!(shape().check(answer, 3, 0, 100).is_ok());
}

#[test]
fn values_that_are_not_there_are_not_looked_at() {
    let mut answer = answer();
    let columns = &mut answer.rows[1].columns;
    columns[2].values = types::Values::Float64(vec![1.0, f64::NAN]);
    columns[3].values = decimals([1, i128::MAX]);
    columns[8].values = bytes(&["1", "{"]);
    for column in columns {
        column.validity = Some(vec![0b01]);
    }
    let checked = shape().check(answer, 3, 0, 100).unwrap();
    assert!(checked.rows[0].columns.iter().all(|column| column.values.null_count() == 1));
    assert_eq!(checked.rows[0].columns[2].values.as_primitive::<Float64Type>().value(0), 1.0);
}

#[test]
fn refusals_are_bounded_and_have_a_code() {
    for code in ["", "1a", "A", "a-b", "é", &"a".repeat(65)] {
        breach(|a| a.row_refusals[0].refusal.code = code.to_owned(), "found refusal code");
    }
    let mut answer = answer();
    let refusal = &mut answer.row_refusals[0].refusal;
    refusal.code = "a".repeat(64);
    refusal.message = "m".repeat(1 << 20);
    refusal.value = Some("v".repeat(1 << 20));
    let checked = shape().check(answer, 3, 0, 100).unwrap();
    let refusal = &checked.row_refusals[0].refusal;
    assert_eq!((refusal.message.len(), refusal.value.as_ref().map(String::len)), (1024, Some(1024)));
}

#[test]
fn rows_and_refused_rows_count_against_the_budget() {
    assert!(shape().check(answer(), 3, 0, 4).is_ok());
    assert_eq!(shape().check(answer(), 3, 0, 3).unwrap_err(), Breach::Rows { most: 3 });
}

#[test]
fn outputs_without_rows_leave_no_trace() {
    let mut answer = answer();
    answer.rows.truncate(1);
    answer.rows[0].record_index.clear();
    for column in &mut answer.rows[0].columns {
        column.values = bytes(&[]);
    }
    assert!(shape().check(answer, 3, 0, 100).unwrap().rows.is_empty());
}
