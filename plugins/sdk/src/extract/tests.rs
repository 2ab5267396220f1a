//! What an extraction promises, on small records; the folder beside holds the suites and the properties.

mod compliance;
mod properties;
mod torture;

use std::path::PathBuf;

use super::*;
use crate::{
    path::{Condition, Path},
    value::Value,
};

/// A folder of the recorded data.
fn data(folder: &str) -> PathBuf {
    let default = concat!(env!("SILVERSMITH_ROOT"), "/../shared/data");
    let root = std::env::var_os("SILVERSMITH_DATA").unwrap_or_else(|| default.into());
    let folder = PathBuf::from(root).join(folder);
    assert!(folder.is_dir(), "{} is missing: set SILVERSMITH_DATA to the recorded data", folder.display());
    folder
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What `text` selects in `record`, each node as its JSON text.
fn select<'r>(record: &'r str, text: &str) -> Result<Vec<&'r str>, JsonError> {
    let mut builder = Plan::builder();
    let select = builder.select(builder.record(), Base::Record, path(text));
    let plan = builder.build();
    let mut extraction = Extraction::new(&plan);
    let tree = extraction.read(record.as_bytes())?;
    Ok(tree.select(select, tree.record()).map(|node| tree.raw(node)).collect())
}

#[track_caller]
fn check(record: &str, text: &str, expected: &[&str]) {
    assert_eq!(select(record, text).expect(record), expected, "{text} on {record}");
}

#[track_caller]
fn refused(record: &str, text: &str, offset: usize, message: &str) {
    let error = select(record, text).expect_err(record);
    assert_eq!(
        (error.offset, error.to_string()),
        (offset, format!("{message} at byte {offset}")),
        "{text} on {record}"
    );
}

#[test]
fn paths_select_values_as_they_stand_in_the_record() {
    let record = r#" {"a": {"b": 1.10, "b2": [10, {"c": "x"}, []]}, "d": null} "#;
    check(record, "$.a.b", &["1.10"]);
    check(record, "$.a.b2[*]", &["10", r#"{"c": "x"}"#, "[]"]);
    check(record, "$.a.b2[1].c", &[r#""x""#]);
    check(record, "$.a.b2[-1]", &["[]"]);
    check(record, "$.a.b2[2,0]", &["[]", "10"]);
    check(record, "$.a.b2[::-1]", &["[]", r#"{"c": "x"}"#, "10"]);
    check(record, "$..c", &[r#""x""#]);
    check(record, "$.d", &["null"]);
    check(record, "$.d.e", &[]);
    check(record, "$.a[0]", &[]);
    check(record, "$['a']['b','b2'][0]", &["10"]);
    check(record, "$", &[record.trim()]);
}

#[test]
fn a_step_may_stand_on_several_paths() {
    let mut builder = Plan::builder();
    let texts = ["$.a.x", "$.*.y", "$.*[0]", "$.a", "$..y", "$.b[?@.y == 2].x"];
    let selects = texts.map(|text| builder.select(builder.record(), Base::Record, path(text)));
    let plan = builder.build();
    let record = br#"{"a": {"x": 1, "y": 2}, "b": [{"x": 3, "y": 2}, {"x": 4, "y": 5}]}"#;
    let mut extraction = Extraction::new(&plan);
    let tree = extraction.read(record).expect("the record is JSON");
    let found = selects.map(|select| tree.select(select, tree.record()).map(|node| tree.raw(node)).collect::<Vec<_>>());
    let expected: [&[&str]; 6] =
        [&["1"], &["2"], &[r#"{"x": 3, "y": 2}"#], &[r#"{"x": 1, "y": 2}"#], &["2", "2", "5"], &["3"]];
    assert_eq!(found, expected);
}

#[test]
fn a_followed_name_stands_once_in_its_object() {
    let message = "the name `a` stands twice in its object, expected it once because a path follows it";
    refused(r#"{"a": 1, "a": 2}"#, "$.a", 9, message);
    refused(r#"{"a": 1, "\u0061": 2}"#, "$.a", 9, message);
    refused(r#"{"b": {"a": 1, "a": 2}}"#, "$.b.a", 15, message);
    refused(r#"{"a": {"a": 1}, "b": 2, "a": 3}"#, "$.a.a", 24, message);
    refused(r#"[{"a": {"a": 1}, "\u0061": 3}]"#, "$..x", 17, message);
    refused(r#"{"c": 1, "a": 1, "b": 0, "a": 2}"#, "$.*", 25, message);
    refused(r#"{"c": 1, "a": 1, "b": 0, "a": 2}"#, "$[?@.b]", 25, message);
    refused(r#"{"x": [{"a": 1, "a": 1}]}"#, "$.x[?@.a == 1].b", 16, message);
    // Nobody asks here.
    check(r#"{"a": 1, "a": 2, "b": 3}"#, "$.b", &["3"]);
    check(r#"{"b": {"a": 1, "a": 2}}"#, "$.b", &[r#"{"a": 1, "a": 2}"#]);
    check(r#"{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}"#, "$.c[*].a", &["3", "4"]);
    check(r#"{"c": [{"a": 1}, {"a": 2}]}"#, "$..a", &["1", "2"]);
}

#[test]
fn the_memory_of_one_record_is_not_that_of_the_next() {
    let mut builder = Plan::builder();
    let select = builder.select(builder.record(), Base::Record, path("$.a"));
    let plan = builder.build();
    let mut extraction = Extraction::new(&plan);
    for _ in 0..3 {
        let tree = extraction.read(br#"{"a": 1}"#).expect("the name stands once");
        assert_eq!(tree.select(select, tree.record()).count(), 1);
        assert!(extraction.read(br#"{"a": 1, "a""#).is_err());
    }
}

#[test]
fn nesting_has_a_limit_and_the_stack_none_to_fear() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    let deep = |n: usize| "{\"a\":".repeat(n) + "1" + &"}".repeat(n);
    for text in ["$", "$.b", "$..b", "$[*][*]", "$[0].a"] {
        assert!(select(&nested(crate::json::DEPTH_MAX), text).is_ok(), "{text}");
        assert!(select(&deep(crate::json::DEPTH_MAX), text).is_ok(), "{text}");
        for record in [nested(513), deep(513), "[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            let error = select(&record, text).expect_err(text);
            assert_eq!(error.kind, JsonErrorKind::TooDeep, "{text}");
        }
    }
    assert!(select(&format!("{{\"x\": {}, \"b\": 1}}", nested(511)), "$.b").is_ok());
    assert!(select(&format!("{{\"x\": {}, \"b\": 1}}", nested(512)), "$.b").is_err());
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    for text in ["$", "$.a", "$..*"] {
        refused("", text, 0, "the record ends, expected the rest of a JSON value");
        refused(r#"{"a": "#, text, 6, "the record ends, expected the rest of a JSON value");
        refused(r#"{"a": 1} x"#, text, 9, "found `x`, expected the end of the record: a record is one JSON value");
        refused("\u{feff}{}", text, 0, "found U+FEFF, expected a JSON value");
        refused(r#"{"a": 01}"#, text, 7, "found `1`, expected `,` or `}`");
        refused(r#"{"a": 1.}"#, text, 8, "found `}`, expected a digit");
        refused(r#"{"a": tru}"#, text, 9, "found `}`, expected `true`, `false` or `null`");
        refused(r#"{"a" 1}"#, text, 5, "found `1`, expected `:`");
        refused(r#"{"a": 1,}"#, text, 8, "found `}`, expected a name in double quotes");
        refused(r#"[1 2]"#, text, 3, "found `2`, expected `,` or `]`");
        refused(r#"["\x"]"#, text, 3, r#"found `x`, expected one of `"\/bfnrtu` behind `\`"#);
        refused(r#"["\u12g4"]"#, text, 6, "found `g`, expected four hexadecimal digits");
        refused(r#"["a\uD800b"]"#, text, 3, "found half of a surrogate pair, expected both halves or none");
        refused(r#"["\uDC00"]"#, text, 2, "found half of a surrogate pair, expected both halves or none");
        let control = "found U+0009, expected a character of a string; control characters are written as escapes";
        refused("[\"a\tb\"]", text, 3, control);
    }
    let plan = Plan::builder().build();
    let error = Extraction::new(&plan).read(b"[\"\xff\"]").expect_err("not UTF-8");
    assert_eq!(error, JsonError { offset: 2, kind: JsonErrorKind::NotUtf8 });
}

#[test]
fn values_lose_their_quotes_and_escapes_and_nothing_else() {
    let record =
        r#"{"t": "a\n\u00e9", "p": "plain", "n": -1.50E+3, "b": false, "z": null, "o": { "k": [1] }, "q\"": 1}"#;
    let mut builder = Plan::builder();
    let each = builder.select(builder.record(), Base::Record, path("$.*"));
    let plan = builder.build();
    let mut extraction = Extraction::new(&plan);
    let tree = extraction.read(record.as_bytes()).expect("the record is JSON");
    let nodes: Vec<NodeId> = tree.select(each, tree.record()).collect();
    let values: Vec<Value<'_>> = nodes.iter().map(|node| tree.value(*node)).collect();
    let expected = [
        Value::Text("a\né".into()),
        Value::Text("plain".into()),
        Value::Number("-1.50E+3".into()),
        Value::Boolean(false),
        Value::Null,
        Value::Json(r#"{ "k": [1] }"#.into()),
        Value::Number("1".into()),
    ];
    assert_eq!(values, expected);
    let keys: Vec<_> = nodes.iter().map(|node| tree.key(*node).expect("a member has a name")).collect();
    assert_eq!(keys, ["t", "p", "n", "b", "z", "o", "q\""]);
    assert_eq!(tree.index(nodes[0]), None);
    assert_eq!((tree.key(tree.record().node), tree.index(tree.record().node)), (None, None));
}

#[test]
fn scopes_nest_and_see_their_enclosing_node() {
    let mut builder = Plan::builder();
    let orders = builder.scope(builder.record(), vec![(Base::Record, path("$.orders[*]"))]);
    let lines = builder.scope(orders, vec![(Base::Node, path("$.lines[?@.qty > 0]"))]);
    let tags = builder.scope(lines, vec![(Base::Node, path("$.tags[*]")), (Base::Enclosing, path("$.tags[*]"))]);
    let order_id = builder.select(lines, Base::Enclosing, path("$.id"));
    let sku = builder.select(lines, Base::Node, path("$.sku"));
    let kind = builder.select(lines, Base::Record, path("$.kind"));
    let gift = builder.condition(lines, Condition::parse("@.gift && $.kind == 'order'").expect("a condition"));
    let plan = builder.build();
    let bytes = postcard::to_allocvec(&plan).expect("a plan can be written");
    let plan: Plan = postcard::from_bytes(&bytes).expect("a plan can be read");

    let record = br#"{"orders": [{"id": 1, "tags": ["o"], "lines": [{"sku": "a", "qty": 1, "tags": ["x", "y"]}, {"sku": "b", "qty": 0}]},
        {"id": 2, "lines": [{"sku": "c", "qty": 2.5, "gift": null}]}], "kind": "order"}"#;
    let mut extraction = Extraction::new(&plan);
    let tree = extraction.read(record).expect("the record is JSON");
    let raw = |select, place| tree.select(select, place).first().map(|node| tree.raw(node)).expect("it is there");
    let mut rows = Vec::new();
    for order in tree.places(orders, tree.record()) {
        for line in tree.places(lines, order) {
            let tags: Vec<&str> = tree.places(tags, line).map(|place| tree.raw(place.node)).collect();
            let index = tree.index(line.node).expect("a line is an element");
            rows.push(format!(
                "{} {} {} {} {index} {}",
                raw(order_id, line),
                raw(sku, line),
                raw(kind, line),
                tree.test(gift, line),
                tags.join("+"),
            ));
        }
    }
    assert_eq!(rows, [r#"1 "a" "order" false 0 "x"+"y"+"o""#, r#"2 "c" "order" true 0 "#]);
}

#[test]
fn a_union_counts_a_node_once_and_keeps_the_order_of_its_paths() {
    let mut builder = Plan::builder();
    let record = builder.record();
    let union = ["$.b", "$.list[*]", "$.a", "$.list[0]", "$['a','b']"].map(|text| (Base::Record, path(text)));
    let union = builder.scope(record, union.into());
    let plan = builder.build();
    let mut extraction = Extraction::new(&plan);
    let tree = extraction.read(br#"{"a": 1, "b": 2, "list": [3, 4]}"#).expect("the record is JSON");
    let found: Vec<&str> = tree.places(union, tree.record()).map(|place| tree.raw(place.node)).collect();
    assert_eq!(found, ["2", "3", "4", "1"]);
}

#[test]
fn numbers_compare_by_value_and_not_as_floats() {
    let record = r#"[{"a": 9007199254740993, "b": 9007199254740992}, {"a": 1e-20, "b": 0}, {"a": 1.0, "b": 1}]"#;
    check(record, "$[?@.a == @.b].b", &["1"]);
    check(record, "$[?@.a > @.b].b", &["9007199254740992", "0"]);
    check(record, "$[?@.a == 1].b", &["1"]);
    check(record, "$[?@.b == 0].a", &["1e-20"]);
    check(
        r#"[{"a": [1, {"x": 2, "y": 3}], "b": [1.0, {"y": 3, "x": 2e0}]}, {"a": [1], "b": [1, 2]}]"#,
        "$[?@.a == @.b].b[0]",
        &["1.0"],
    );
}
