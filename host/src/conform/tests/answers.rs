//! Contracts, descriptors and answers: what is refused, what is numbered how, and that nothing personal shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use proptest::prelude::*;

use super::support::*;
use crate::conform::canonical::{Cells, KeyHasher};
use crate::conform::contract::{Contracts, History, Keep, Link, Table};
use crate::conform::outcome::{Conformed, RecordOutcome};
use crate::conform::pii::{MASK, Pii, Treatment};
use crate::conform::plan::Plan;
use crate::entity::{
    Answer, DataType, Descriptor, Diagnostic, OnError, Operation, Operations, Reference, Refusal, RowRefusal, Rows,
    Verdict,
};

const CUSTOMER: (&str, &str, &str) = (
    "customer",
    "name: external_id, physicalType: text, primaryKey: true, classification: personal\n\
     name: email, physicalType: text, classification: personal, logicalTypeOptions: { maxLength: 12 }\n\
     name: segment, physicalType: text, quality: [{ metric: invalidValues, arguments: { validValues: [a, b] }, mustBe: 0 }]\n\
     name: rank, physicalType: int64, required: true, logicalTypeOptions: { minimum: 1, maximum: 9 }\n\
     name: changed_at, physicalType: int64",
    "{ property: history, value: scd2 }, { property: sequence, value: changed_at }",
);
const ORDER: (&str, &str, &str) =
    ("order", "name: id, physicalType: text, primaryKey: true", "{ property: history, value: append }");

fn shop(on_error: OnError) -> Descriptor {
    let customer = ["external_id", "email", "segment"].map(|name| field(name, DataType::Text)).to_vec();
    let numbers = ["rank", "changed_at"].map(|name| field(name, DataType::Int64));
    let link =
        Reference { name: "buyer".into(), entity: "customer".into(), key: vec![field("external_id", DataType::Text)] };
    descriptor(vec![
        output("customer", on_error, customer.into_iter().chain(numbers).collect(), vec![]),
        output("order", OnError::Record, vec![field("id", DataType::Text)], vec![link]),
        output(
            "customer",
            on_error,
            vec![field("external_id", DataType::Text), field("changed_at", DataType::Int64)],
            vec![],
        ),
    ])
}

fn plan(on_error: OnError) -> Plan {
    Plan::new("tenant", &contracts(&[CUSTOMER, ORDER]), pii(), &shop(on_error), &[])
        .unwrap_or_else(|findings| panic!("{findings:#?}"))
}

#[derive(Clone, Copy)]
struct Customer {
    record: u32,
    id: Option<&'static str>,
    email: Option<&'static str>,
    segment: Option<&'static str>,
    rank: Option<i64>,
    changed_at: Option<i64>,
}

const GOOD: Customer = Customer {
    record: 0,
    id: Some("c1"),
    email: Some("a@b.c"),
    segment: Some("a"),
    rank: Some(1),
    changed_at: Some(5),
};

fn customers(rows: &[Customer]) -> Rows {
    let texts = |pick: fn(&Customer) -> Option<&'static str>| text(&rows.iter().map(pick).collect::<Vec<_>>());
    let columns = vec![
        texts(|row| row.id),
        texts(|row| row.email),
        texts(|row| row.segment),
        int64(rows.iter().map(|row| row.rank)),
        int64(rows.iter().map(|row| row.changed_at)),
    ];
    Rows {
        output: 0,
        record: rows.iter().map(|row| row.record).collect(),
        operations: Operations::All(Operation::Upsert),
        columns,
    }
}

fn orders(rows: &[(u32, &str, Option<&str>)]) -> Rows {
    let columns = vec![
        text(&rows.iter().map(|row| Some(row.1)).collect::<Vec<_>>()),
        text(&rows.iter().map(|row| row.2).collect::<Vec<_>>()),
    ];
    Rows {
        output: 1,
        record: rows.iter().map(|row| row.0).collect(),
        operations: Operations::All(Operation::Upsert),
        columns,
    }
}

fn stubs(rows: &[(u32, &str)]) -> Rows {
    let columns =
        vec![text(&rows.iter().map(|row| Some(row.1)).collect::<Vec<_>>()), int64(rows.iter().map(|_| Some(1)))];
    Rows {
        output: 2,
        record: rows.iter().map(|row| row.0).collect(),
        operations: Operations::All(Operation::Stub),
        columns,
    }
}

fn code(outcome: &RecordOutcome) -> &str {
    match outcome {
        RecordOutcome::Transformed => "transformed",
        RecordOutcome::Filtered(_) => "filtered",
        RecordOutcome::Quarantined(refusal) => &refusal.code,
    }
}

/// (record, row, code) of every row refused alone.
fn refused(conformed: &Conformed) -> Vec<(u32, u32, &str)> {
    conformed.refused.iter().map(|row| (row.record, row.row, row.refusal.code.as_str())).collect()
}

#[test]
fn rows_are_numbered_over_outputs_and_merged_by_record() {
    let answer = transformed(
        2,
        vec![
            customers(&[GOOD, Customer { record: 1, ..GOOD }]),
            orders(&[(0, "o1", Some("c1")), (1, "o2", None)]),
            stubs(&[(0, "c9"), (1, "c8")]),
        ],
    );
    let conformed = plan(OnError::Record).conform(&batch(2), &[answer]);
    let [customers, orders] = &conformed.entities[..] else { panic!("two entities: {conformed:?}") };
    assert_eq!((&customers.record[..], &customers.row[..]), (&[0, 0, 1, 1][..], &[0, 2, 0, 2][..]));
    assert_eq!((&orders.record[..], &orders.row[..]), (&[0, 1][..], &[1, 1][..]));
    let operations: Vec<_> = (0..4).map(|row| customers.operations.get(row)).collect();
    assert_eq!(operations, [Operation::Upsert, Operation::Stub, Operation::Upsert, Operation::Stub]);
    // The reference is the key of the customer, after its treatment, and null where there is none.
    let buyer = orders.columns[1].as_binary::<i32>();
    assert_eq!(buyer.value(0), customers.keys[0]);
    assert!(buyer.is_null(1));
}

#[test]
fn each_breach_has_its_code() {
    let breaches = [
        (Customer { id: None, ..GOOD }, "required"),
        (Customer { rank: None, ..GOOD }, "required"),
        (Customer { changed_at: None, ..GOOD }, "no_sequence"),
        (Customer { segment: Some("z"), ..GOOD }, "not_allowed"),
        (Customer { email: Some("very.long@secret.example"), ..GOOD }, "length"),
        (Customer { rank: Some(10), ..GOOD }, "range"),
        (Customer { rank: Some(0), ..GOOD }, "range"),
    ];
    let rows: Vec<_> = std::iter::once(GOOD).chain(breaches.map(|(row, _)| row)).collect();
    let of_row = plan(OnError::Row).conform(&batch(1), &[transformed(1, vec![customers(&rows)])]);
    let expected: Vec<_> = breaches.iter().enumerate().map(|(row, (_, code))| (0, row as u32 + 1, *code)).collect();
    assert_eq!((refused(&of_row), code(&of_row.records[0])), (expected, "transformed"));
    assert_eq!(of_row.entities[0].row, [0]);
    for (row, expected) in breaches {
        let rows = [GOOD, Customer { record: 1, ..row }];
        let answer = transformed(2, vec![customers(&rows), orders(&[(0, "o1", None), (1, "o2", None)])]);
        let of_record = plan(OnError::Record).conform(&batch(2), &[answer]);
        assert_eq!((code(&of_record.records[0]), code(&of_record.records[1])), ("transformed", expected));
        assert_eq!((&of_record.entities[0].record[..], &of_record.entities[1].record[..]), (&[0][..], &[0][..]));
        assert!(of_record.refused.is_empty());
    }
}

#[test]
fn a_record_that_only_claims_to_be_transformed_is_quarantined() {
    let refusal = Refusal::of_record("lookup_miss", "found no entry");
    let row_refusals = vec![RowRefusal { record: 1, output: 0, refusal: refusal.clone() }];
    let verdicts = vec![
        Verdict::Transformed,
        Verdict::Transformed,
        Verdict::Filtered("heartbeat".into()),
        Verdict::Refused(refusal),
    ];
    let conformed = plan(OnError::Row).conform(&batch(4), &[Answer { verdicts, row_refusals, ..Answer::default() }]);
    let codes: Vec<_> = conformed.records.iter().map(code).collect();
    assert_eq!(codes, ["no_rows", "transformed", "filtered", "lookup_miss"]);
    assert_eq!(refused(&conformed), [(1, 0, "lookup_miss")]);
}

#[test]
fn no_refusal_and_no_row_shows_a_personal_value() {
    let secret = "ann@secret.example";
    let plugin = |entity: Option<&str>, field: Option<&str>| Refusal {
        entity: entity.map(str::to_owned),
        field: field.map(str::to_owned),
        value: Some(secret.to_owned()),
        step: Some(format!("lookup {secret}")),
        ..Refusal::of_record("lookup_miss", format!("found `{secret}`, expected an entry"))
    };
    let verdicts = vec![
        Verdict::Refused(plugin(Some("customer"), Some("email"))),
        Verdict::Refused(plugin(None, None)),
        Verdict::Refused(plugin(Some("order"), Some("buyer"))),
        Verdict::Transformed,
    ];
    let rows = vec![customers(&[
        Customer { record: 3, email: Some(secret), ..GOOD },
        Customer { record: 3, email: Some("ann@b.c"), id: Some(secret), ..GOOD },
    ])];
    let row_refusals = vec![RowRefusal { record: 3, output: 0, refusal: plugin(Some("customer"), Some("nobody")) }];
    let conformed =
        plan(OnError::Row).conform(&batch(4), &[Answer { verdicts, rows, row_refusals, ..Answer::default() }]);
    assert_eq!(refused(&conformed), [(3, 0, "length"), (3, 2, "lookup_miss")]);
    let shown = format!("{conformed:?}");
    assert!(!shown.contains("secret") && !shown.contains("ann@") && shown.contains(MASK), "{shown}");
    let tokens = conformed.entities[0].columns[0].as_string::<i32>();
    assert!(tokens.value(0).starts_with("tok_v1_") && tokens.value(0).len() == 39, "{tokens:?}");
    // A value that Silver shows is shown.
    let verdicts = vec![Verdict::Refused(plugin(Some("customer"), Some("segment")))];
    let conformed = plan(OnError::Row).conform(&batch(1), &[Answer { verdicts, ..Answer::default() }]);
    assert!(format!("{conformed:?}").contains(secret));
}

#[test]
fn every_treatment_does_what_its_table_says() {
    let values: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some("x"), None]));
    let apply = |tenant, treatment| {
        pii()
            .apply(tenant, treatment, &values)
            .as_string::<i32>()
            .iter()
            .map(|v| v.map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(apply("t", Treatment::Keep), [Some("x".to_owned()), None]);
    assert_eq!(apply("t", Treatment::Mask), [Some(MASK.to_owned()), None]);
    assert_eq!(apply("t", Treatment::Drop), [None, None]);
    assert_eq!(apply("t", Treatment::Tokenise), apply("t", Treatment::Tokenise));
    assert_ne!(apply("t", Treatment::Tokenise), apply("u", Treatment::Tokenise));
    let refused = |treatments: &[(&str, Treatment)], key: bool| {
        let own: BTreeMap<_, _> =
            treatments.iter().map(|(class, treatment)| ((*class).to_owned(), *treatment)).collect();
        let pii =
            if key { Pii::new(own, Some(crate::conform::pii::TokenKey::new(1, b"k"))) } else { Pii::new(own, None) };
        messages(Plan::new("tenant", &contracts(&[CUSTOMER, ORDER]), pii, &shop(OnError::Row), &[]).map(|_| ()))
    };
    assert!(refused(&[("personal", Treatment::Drop)], true)[0].contains("part of the key"));
    assert!(refused(&[], false)[0].contains("there is no token key"));
    assert!(refused(&[("personal", Treatment::Keep)], false).is_empty());
}

fn messages(result: Result<(), Vec<Diagnostic>>) -> Vec<String> {
    result.err().into_iter().flatten().map(|finding| finding.message).collect()
}

#[test]
fn a_descriptor_that_does_not_fit_is_refused_with_the_name_that_was_meant() {
    let check = |outputs| Plan::new("tenant", &contracts(&[CUSTOMER, ORDER]), pii(), &descriptor(outputs), &[]);
    let id = || field("id", DataType::Text);
    let link = |entity: &str, key: &str| Reference {
        name: "buyer".into(),
        entity: entity.into(),
        key: vec![field(key, DataType::Text)],
    };
    let cases = [
        (
            output("custmer", OnError::Row, vec![], vec![]),
            "found output for entity `custmer`, expected one with a contract",
            Some("did you mean `customer`?"),
        ),
        (
            output("order", OnError::Row, vec![id(), field("idd", DataType::Text)], vec![]),
            "entity `order` has no column `idd`",
            Some("did you mean `id`?"),
        ),
        (
            output("order", OnError::Row, vec![field("id", DataType::Int64)], vec![]),
            "entity `order`: column `id` is given as int64, expected text",
            None,
        ),
        (
            output("order", OnError::Row, vec![], vec![]),
            "an output for entity `order` lacks the key column `id`",
            Some("fill `id`"),
        ),
        (
            output("order", OnError::Row, vec![id()], vec![link("customr", "x")]),
            "entity `order`: reference `buyer` has the unknown target `customr`",
            Some("did you mean `customer`?"),
        ),
        (
            output("order", OnError::Row, vec![id()], vec![link("customer", "email")]),
            "entity `order`: reference `buyer` gives email, expected the key of `customer`: external_id",
            None,
        ),
        (
            output("customer", OnError::Row, vec![field("external_id", DataType::Text)], vec![]),
            "an output for entity `customer` lacks `changed_at`, which orders its rows",
            Some("fill `changed_at`"),
        ),
    ];
    for (output, message, hint) in cases {
        let findings = check(vec![output]).err().unwrap_or_else(|| panic!("expected: {message}"));
        assert_eq!((findings[0].message.as_str(), findings[0].hint.as_deref()), (message, hint));
    }
    assert_eq!(plan(OnError::Row).warnings.len(), 1, "the stub output lacks `rank`");
}

#[test]
fn contract_errors_show_place_and_hint() {
    let parse = |text: &str| crate::conform::contract::parse("x.odcs.yaml", text).expect_err("the contract is wrong");
    let whole = odcs(&[CUSTOMER]);
    let cases = [
        (
            "physicalType: int64, required: true",
            "physicalTyp: int64, required: true",
            12,
            "found the unknown key `physicalTyp`",
            "did you mean `physicalType`?",
        ),
        (
            "property: sequence",
            "property: sequense",
            14,
            "found custom property `sequense`",
            "did you mean `sequence`?",
        ),
        ("value: changed_at", "value: changd_at", 14, "found sequence `changd_at`", "did you mean `changed_at`?"),
        (
            "physicalType: int64, required",
            "physicalType: int46, required",
            12,
            "found physicalType `int46`",
            "did you mean `int64`?",
        ),
        ("primaryKey: true", "primaryKey: false", 7, "entity `customer` has no business key", "add `primaryKey: true`"),
        (
            "{ property: history, value: scd2 }, ",
            "",
            7,
            "entity `customer` does not say its history",
            "add customProperties",
        ),
        (
            "value: changed_at",
            "value: email",
            14,
            "found sequence `email` of type text, expected timestamp or date or int64",
            "",
        ),
        ("minimum: 1", "minimum: one", 12, "found bound `one`, expected a value of type int64", ""),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", 1, "found apiVersion `v2.2.2`, expected `v3.1.0`", ""),
    ];
    for (from, to, line, message, hint) in cases {
        assert!(whole.contains(from), "{from}");
        let finding = parse(&whole.replace(from, to)).remove(0);
        assert!(finding.message.starts_with(message), "{finding:?}");
        assert!(finding.hint.as_deref().unwrap_or_default().starts_with(hint), "{finding:?}");
        assert_eq!(finding.line, line, "{finding:?}");
    }
}

#[test]
fn the_canonical_contracts_are_read() {
    let folder = std::path::Path::new(env!("SILVERSMITH_ROOT")).join("tenants/canonical");
    let mut contracts = Contracts::new();
    for file in std::fs::read_dir(folder).expect("the folder is in the repository") {
        let path = file.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("a contract is text");
        contracts.add(&path.display().to_string(), &text).unwrap_or_else(|findings| panic!("{findings:#?}"));
    }
    let customer = contracts.get("customer").expect("there is a customer");
    assert_eq!(customer.history, History::Versions { sequence: Some(6), keep: Keep::Changes });
    let line = contracts.get("order_line").expect("there is an order line");
    assert_eq!((&line.key[..], line.links.len()), (&[0, 1][..], 2));
    assert_eq!(line.links[1], Link { name: "product".into(), entity: "product".into() });
    let order = contracts.get("order").expect("there is an order");
    let schema = order.silver_schema(Table::Facts, &order.links);
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).skip(5).take(5).collect();
    assert_eq!(names, ["total", "customer_key", "_key", "_row_hash", "_is_late"]);
}

#[test]
fn a_key_is_what_its_format_says() {
    use sha2::{Digest, Sha256};
    let values: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["c1"]));
    let key = KeyHasher::new("acme", "customer").hash(&[Cells::new(DataType::Text, &values)], 0);
    let bytes =
        [b"key/1".as_slice(), &[4, 0, 0, 0], b"acme", &[8, 0, 0, 0], b"customer", b"t", &[2, 0, 0, 0], b"c1"].concat();
    assert_eq!(key[..], Sha256::digest(bytes)[..]);
}

proptest! {
    #[test]
    fn no_two_lists_of_cells_have_one_encoding(a: Vec<Option<String>>, b: Vec<Option<String>>, binary: bool) {
        let encode = |values: &[Option<String>], binary: bool| {
            let values: arrow::array::ArrayRef = match binary {
                true => Arc::new(values.iter().map(|v| v.as_deref().map(str::as_bytes)).collect::<arrow::array::BinaryArray>()),
                false => Arc::new(values.iter().map(Option::as_deref).collect::<arrow::array::StringArray>()),
            };
            let cells = Cells::new(if binary { DataType::Binary } else { DataType::Text }, &values);
            let mut out = Vec::new();
            (0..values.len()).for_each(|row| cells.encode(row, &mut out));
            out
        };
        prop_assert_eq!(encode(&a, false) == encode(&b, false), a == b);
        let valued = a.iter().any(Option::is_some);
        prop_assert_eq!(encode(&a, false) == encode(&a, binary), !binary || !valued);
    }

    #[test]
    fn cutting_a_batch_into_answers_changes_nothing(picks in prop::collection::vec((0u32..6, 0usize..4), 1..20), cut in 0u32..7) {
        let kinds = [GOOD, Customer { segment: Some("z"), ..GOOD }, Customer { id: Some("c2"), rank: None, ..GOOD }, Customer { changed_at: Some(9), ..GOOD }];
        let mut rows: Vec<Customer> = picks.iter().map(|(record, kind)| Customer { record: *record, ..kinds[*kind] }).collect();
        rows.sort_by_key(|row| row.record);
        let part = |from: u32, to: u32| {
            let own = rows.iter().filter(|row| (from..to).contains(&row.record)).map(|row| Customer { record: row.record - from, ..*row });
            let stubbed: Vec<_> = (0..to - from).map(|record| (record, "c7")).collect();
            transformed((to - from) as usize, vec![customers(&own.collect::<Vec<_>>()), stubs(&stubbed)])
        };
        for on_error in [OnError::Record, OnError::Row] {
            let whole = plan(on_error).conform(&batch(6), &[part(0, 6)]);
            let cut = cut.min(6);
            let parts = plan(on_error).conform(&batch(6), &[part(0, cut), part(cut, 6)]);
            prop_assert_eq!(format!("{:?}", whole), format!("{:?}", parts));
        }
    }
}
