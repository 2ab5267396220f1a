//! Columns as they are built, and as they lie in buffers.

use proptest::prelude::*;

use super::*;
use crate::plugin::{Column, DataType, DecimalType, Values};

const TYPES: [DataType; 9] = [
    DataType::Text,
    DataType::Int64,
    DataType::Float64,
    DataType::Decimal(DecimalType { precision: 38, scale: 4 }),
    DataType::Boolean,
    DataType::Date,
    DataType::Timestamp,
    DataType::Binary,
    DataType::Json,
];

fn shape(outputs: usize) -> Shape {
    Shape { outputs: vec![TYPES.to_vec(); outputs], paths: 2 }
}

/// One row of every type; `None` is absent.
fn push(answer: &mut AnswerBuilder, output: usize, value: Option<&Cell<'_>>, operation: Operation) {
    let mut row = answer.row(output);
    for data_type in TYPES {
        match value {
            None => row.push_absent(),
            Some(Cell::Int64(n)) => row.push_cell(&cell(*n, data_type)),
            Some(_) => row.push_null(),
        }
    }
    row.finish(operation);
}

fn cell(n: i64, data_type: DataType) -> Cell<'static> {
    match data_type {
        DataType::Text | DataType::Json => Cell::Text("x".repeat(n as usize % 7).into()),
        DataType::Binary => Cell::Binary(vec![n as u8; n as usize % 5].into()),
        DataType::Int64 => Cell::Int64(n),
        DataType::Timestamp => Cell::Timestamp(n),
        DataType::Date => Cell::Date(n as i32),
        DataType::Float64 => Cell::Float64(n as f64),
        DataType::Decimal(_) => Cell::Decimal(n.into()),
        DataType::Boolean => Cell::Boolean(n % 2 == 1),
    }
}

#[test]
fn a_cell_again_is_the_cell_above() {
    for above in [Some(Cell::Int64(5)), Some(Cell::Null), None] {
        let (mut again, mut given) = (AnswerBuilder::new(&shape(1)), AnswerBuilder::new(&shape(1)));
        for answer in [&mut again, &mut given] {
            push(answer, 0, Some(&Cell::Int64(3)), Operation::Patch);
            push(answer, 0, above.as_ref(), Operation::Patch);
        }
        let mut row = again.row(0);
        TYPES.iter().for_each(|_| row.push_again());
        row.finish(Operation::Patch);
        push(&mut given, 0, above.as_ref(), Operation::Patch);
        again.transformed();
        given.transformed();
        assert_eq!(again.finish(), given.finish());
    }
}

fn refusal() -> Refusal {
    Refusal::of_record("bad", "found nothing, expected something")
}

fn len(column: &Column, rows: usize) -> usize {
    match &column.values {
        Values::Boolean(bits) if bits.len() == rows.div_ceil(8) => rows,
        Values::Boolean(_) => usize::MAX,
        Values::Int64(values) => values.len(),
        Values::Int32(values) => values.len(),
        Values::Float64(values) => values.len(),
        Values::Decimal(bytes) => bytes.len() / 16,
        Values::Bytes(bytes) => bytes.offsets.len() - 1,
    }
}

#[test]
fn full_columns_have_no_bitmaps_and_equal_operations_are_said_once() {
    let mut answer = AnswerBuilder::new(&shape(2));
    for n in 0..9 {
        push(&mut answer, 1, Some(&Cell::Int64(n)), Operation::Upsert);
        answer.transformed();
    }
    let answer = answer.finish();
    let [rows] = answer.rows.as_slice() else { panic!("an output without rows is left out") };
    assert_eq!((rows.output, &rows.operations), (1, &Operations::All(Operation::Upsert)));
    assert!(rows.columns.iter().all(|column| column.validity.is_none() && column.presence.is_none()));
    assert_eq!(rows.columns[4].values, Values::Boolean(vec![0b1010_1010, 0]));
}

#[test]
fn bitmaps_say_what_is_missing_and_what_is_not_asserted() {
    let mut answer = AnswerBuilder::new(&shape(1));
    push(&mut answer, 0, Some(&Cell::Int64(1)), Operation::Upsert);
    push(&mut answer, 0, Some(&Cell::Null), Operation::Upsert);
    push(&mut answer, 0, None, Operation::Patch);
    push(&mut answer, 0, Some(&Cell::Int64(1)), Operation::Patch);
    answer.transformed();
    let answer = answer.finish();
    let each = vec![Operation::Upsert, Operation::Upsert, Operation::Patch, Operation::Patch];
    assert_eq!(answer.rows[0].operations, Operations::Each(each));
    for column in &answer.rows[0].columns {
        assert_eq!(
            (column.validity.as_deref(), column.presence.as_deref()),
            (Some(&[0b1001][..]), Some(&[0b1011][..]))
        );
    }
}

#[test]
fn a_row_that_is_not_finished_leaves_nothing() {
    let mut answer = AnswerBuilder::new(&shape(1));
    let mut row = answer.row(0);
    row.push_text("gone");
    row.push_null();
    drop(row);
    push(&mut answer, 0, Some(&Cell::Int64(3)), Operation::Upsert);
    answer.transformed();
    let answer = answer.finish();
    let Values::Bytes(text) = &answer.rows[0].columns[0].values else { panic!("text is bytes") };
    assert_eq!((text.offsets.as_slice(), text.data.as_slice()), (&[0, 3][..], &b"xxx"[..]));
}

#[test]
fn what_is_refused_takes_its_rows_in_all_outputs() {
    let mut answer = AnswerBuilder::new(&shape(2));
    push(&mut answer, 0, Some(&Cell::Int64(1)), Operation::Upsert);
    answer.refuse_row(1, refusal());
    answer.transformed();
    push(&mut answer, 0, Some(&Cell::Int64(2)), Operation::Upsert);
    push(&mut answer, 1, Some(&Cell::Int64(2)), Operation::Upsert);
    answer.refuse_row(1, refusal());
    assert_eq!((answer.record(), answer.rows_of_record(), answer.row_refusals_of_record()), (1, 2, 1));
    answer.refused(refusal());
    push(&mut answer, 0, Some(&Cell::Int64(3)), Operation::Upsert);
    answer.filtered("heartbeat");
    answer.hit(1, 3);
    let answer = answer.finish();
    assert_eq!(answer.rows.len(), 1);
    assert_eq!(answer.rows[0].record_index, [0]);
    assert_eq!(answer.row_refusals.len(), 1);
    assert_eq!(answer.path_hits, [0, 3]);
    let expected = [Verdict::Transformed, Verdict::Refused(refusal()), Verdict::Filtered("heartbeat".into())];
    assert_eq!(answer.verdicts, expected);
}

#[test]
#[should_panic(expected = "a verdict is final")]
fn a_mark_ends_with_its_record() {
    let mut answer = AnswerBuilder::new(&shape(1));
    let mark = answer.mark();
    answer.transformed();
    answer.rollback(mark);
}

#[test]
#[should_panic(expected = "found a cell of int64 for a column of text")]
fn a_cell_of_another_type_is_a_mistake() {
    AnswerBuilder::new(&shape(1)).row(0).push_i64(1);
}

#[test]
#[should_panic(expected = "one cell for each column")]
fn a_row_that_is_too_short_is_a_mistake() {
    AnswerBuilder::new(&shape(1)).row(0).finish(Operation::Upsert);
}

#[derive(Clone, Debug)]
enum Act {
    Row(usize, Option<Option<i64>>),
    Mark,
    Rollback,
    Settle(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0usize..2, any::<Option<Option<u16>>>())
            .prop_map(|(output, n)| Act::Row(output, n.map(|n| n.map(i64::from)))),
        2 => Just(Act::Mark),
        2 => Just(Act::Rollback),
        1 => any::<bool>().prop_map(Act::Settle),
    ];
    prop::collection::vec(act, 0..60)
}

proptest! {
    /// Taking back is as if the rows had never been pushed.
    #[test]
    fn what_is_taken_back_was_never_there(acts in acts()) {
        let mut found = AnswerBuilder::new(&shape(2));
        let (mut marks, mut pending) = (Vec::new(), Vec::new());
        let mut expected = AnswerBuilder::new(&shape(2));
        for act in acts.into_iter().chain([Act::Settle(true)]) {
            match act {
                Act::Row(output, n) => {
                    let value = n.map(|n| n.map_or(Cell::Null, Cell::Int64));
                    let operation = if n.is_none() { Operation::Patch } else { Operation::Upsert };
                    push(&mut found, output, value.as_ref(), operation);
                    pending.push((output, value, operation));
                }
                Act::Mark => marks.push((found.mark(), pending.len())),
                Act::Rollback => if let Some((mark, rows)) = marks.pop() {
                    found.rollback(mark);
                    pending.truncate(rows);
                },
                Act::Settle(true) => {
                    for (output, value, operation) in pending.drain(..) {
                        push(&mut expected, output, value.as_ref(), operation);
                    }
                    found.transformed();
                    expected.transformed();
                    marks.clear();
                }
                Act::Settle(false) => {
                    pending.clear();
                    found.refused(refusal());
                    expected.refused(refusal());
                    marks.clear();
                }
            }
        }
        let found = found.finish();
        for rows in &found.rows {
            let count = rows.record_index.len();
            prop_assert!(rows.columns.iter().all(|column| len(column, count) == count));
        }
        prop_assert_eq!(found, expected.finish());
    }
}
