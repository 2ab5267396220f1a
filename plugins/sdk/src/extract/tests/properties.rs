//! Properties, against `serde_json` (what is JSON) and `jsonpath-rust` (what a path selects).

use jsonpath_rust::JsonPath;
use proptest::{collection::vec, prelude::*, sample::select as one_of};
use serde_json::Value;

use super::{super::*, path, select};

/// JSON with few names, so that paths meet something.
fn json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3i64).prop_map(Value::from),
        one_of(&["", "a", "b", "é\n\"", "1"]).prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(one_of(&["a", "b", "c", "d e"]).prop_map(String::from), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn plain_segment() -> impl Strategy<Value = String> {
    one_of(&[".a", ".b", ".c", "['d e']", "[0]", "[1]", "[2]", "[*]", ".*"]).prop_map(String::from)
}

fn segment() -> impl Strategy<Value = String> {
    let other = one_of(&[
        "[-1]",
        "[-2]",
        "[1:]",
        "[:-1]",
        "[::-1]",
        "[2:0:-1]",
        "[::2]",
        "['a','b']",
        "[0,'a',-1]",
        "[?@.a]",
        "[?!@.b]",
        "[?@.a == 1]",
        "[?@ > 0]",
        "[?@.a >= @.b]",
        "[?@.a != 'a' && @.b]",
        "[?@[0] || @.c <= 2]",
        "[?@.a == $.a]",
        "[?@[?@.a == 1]]",
        "[?length(@) > 1]",
        "[?count(@.*) == 2]",
        "[?match(@.a, '[a-c]')]",
        "..a",
        "..[0]",
        "..*",
    ]);
    prop_oneof![plain_segment(), other.prop_map(String::from)]
}

fn joined(segments: &[String]) -> String {
    format!("${}", segments.concat())
}

/// What the library selects, as JSON texts.
fn by_library(document: &Value, text: &str) -> Vec<String> {
    let found = document.query(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    found.into_iter().map(Value::to_string).collect()
}

/// Texts that are nearly JSON: some JSON, with a few bytes changed.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    const BYTES: &[u8] = b"{}[]\",:\\/bfnrtu0123456789eE+-.DdCc8 \t\n\r\x00\x1f\x7f\x80\xc3\xa9\xed\xa0\xff'";
    let change = (any::<prop::sample::Index>(), 0..4u8, one_of(BYTES));
    let more = one_of(&["1.5e-7", "-0", r#""\ud83d\ude00""#, r#""\u00e9\\""#, "true", "1E+400", "[[],{}]"]);
    (json(), more, vec(change, 0..4), any::<bool>()).prop_map(|(json, more, changes, pretty)| {
        let json = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        let mut text = format!("[{},{more}]", json.expect("a value can be written")).into_bytes();
        for (place, how, byte) in changes {
            if text.is_empty() {
                break;
            }
            let place = place.index(text.len());
            match how {
                0 => text[place] = byte,
                1 => text.insert(place, byte),
                2 => drop(text.remove(place)),
                _ => text.truncate(place),
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_serde_json_refuses_is_refused_and_nothing_else(record in nearly_json()) {
        let valid = serde_json::from_slice::<Value>(&record).is_ok();
        for text in [None, Some("$[0].a.b"), Some("$[*][*]"), Some("$..a")] {
            let mut builder = Plan::builder();
            if let Some(text) = text {
                builder.select(builder.record(), Base::Record, path(text));
            }
            let plan = builder.build();
            match Extraction::new(&plan).read(&record) {
                // A change can make two names one.
                Err(JsonError { kind: JsonErrorKind::DuplicateKey { .. }, .. }) if valid => prop_assert!(text.is_some()),
                read => prop_assert_eq!(read.is_ok(), valid, "{:?}: {:?}", text, read.err()),
            }
        }
    }

    #[test]
    fn plain_paths_select_what_the_library_selects(document in json(), segments in vec(plain_segment(), 0..5)) {
        let text = joined(&segments);
        let record = document.to_string();
        prop_assert_eq!(select(&record, &text).expect("it is JSON"), by_library(&document, &text), "{}", text);
    }

    #[test]
    fn any_path_selects_what_the_library_selects(document in json(), segments in vec(segment(), 0..4)) {
        let text = joined(&segments);
        let record = document.to_string();
        let mut found: Vec<String> =
            select(&record, &text).expect("it is JSON").into_iter().map(String::from).collect();
        let mut expected = by_library(&document, &text);
        // RFC 9535 leaves the order open where `..` meets several selectors.
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected, "{}", text);
    }

    #[test]
    fn a_plan_of_many_paths_selects_what_each_selects_alone(
        document in json(),
        paths in vec((vec(segment(), 0..3), vec(segment(), 0..3)), 1..6),
    ) {
        let record = document.to_string();
        let mut builder = Plan::builder();
        let selects: Vec<_> = paths
            .iter()
            .map(|(before, behind)| {
                let scope = builder.scope(builder.record(), vec![(Base::Record, path(&joined(before)))]);
                let rest = builder.select(scope, Base::Node, path(&joined(behind)));
                let all: Vec<String> = before.iter().chain(behind).cloned().collect();
                let all = joined(&all);
                (scope, rest, builder.select(builder.record(), Base::Record, path(&all)), all)
            })
            .collect();
        let plan = builder.build();
        let mut extraction = Extraction::new(&plan);
        let tree = extraction.read(record.as_bytes()).expect("it is JSON");
        for (scope, rest, whole, text) in selects {
            let alone = select(&record, &text).expect("it is JSON");
            let whole: Vec<&str> = tree.select(whole, tree.record()).map(|node| tree.raw(node)).collect();
            prop_assert_eq!(&whole, &alone, "{}", text);
            // A scope counts a node once, a path as often as it selects it.
            if !text.contains(',') && !text.contains("..") {
                let places = tree.places(scope, tree.record());
                let parts: Vec<&str> = places.flat_map(|place| tree.select(rest, place)).map(|node| tree.raw(node)).collect();
                prop_assert_eq!(&parts, &alone, "{}", text);
            }
        }
    }
}
