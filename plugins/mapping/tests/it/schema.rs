//! The published JSON Schema says what the parser takes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::errors;

/// The property names of an object schema.
fn properties(schema: &Value) -> Vec<String> {
    schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys().cloned()).collect()
}

/// The names that the parser offers in place of one that it does not know.
fn offered(field: &str) -> BTreeSet<String> {
    let body = format!("entities:\n  - entity: item\n    fields:\n      id: {field}\n");
    let found = errors(&body, "item: id text key");
    let list = found.lines().next().and_then(|line| line.split("expected ").nth(1)).expect("a list of names");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schema_knows_the_keys_of_a_value() {
    let schema = silversmith_plugin_mapping::schema();
    let value = &schema["$defs"]["FullValue"];
    let sources = value["oneOf"].as_array().expect("one source of several");
    let resolve = |source: &Value| match source["$ref"].as_str() {
        Some(name) => properties(schema.pointer(name.trim_start_matches('#')).expect("a definition")),
        None => properties(source),
    };
    let mut known: BTreeSet<_> = properties(value).into_iter().chain(sources.iter().flat_map(resolve)).collect();
    // These two are offered beside their source alone.
    assert!(known.remove("separator") && known.remove("start"));
    assert_eq!(known, offered("{ path: .a, unknown: 1 }"));
    assert_eq!(value["unevaluatedProperties"], false);
}

#[test]
fn the_schema_knows_the_normalisers() {
    let schema = silversmith_plugin_mapping::schema();
    let choices = |name: &str| schema["$defs"][name]["oneOf"].as_array().expect("choices").clone();
    let plain = choices("PlainStep").into_iter().map(|choice| choice["const"].as_str().expect("a name").to_owned());
    let with: Vec<_> = choices("StepWith").iter().flat_map(properties).collect();
    assert_eq!(plain.chain(with).collect::<BTreeSet<_>>(), offered("{ path: .a, normalize: [unknown] }"));
}

#[test]
fn optional_keys_are_left_out_rather_than_null() {
    let schema = silversmith_plugin_mapping::schema();
    assert_eq!(schema["properties"]["source"]["type"], serde_json::json!(["string"]));
    assert_eq!(schema["$defs"]["Block"]["required"], serde_json::json!(["entity"]));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_published_file_is_the_schema() {
    let path = concat!(env!("SILVERSMITH_ROOT"), "/mapping.schema.json");
    let current = format!("{:#}\n", silversmith_plugin_mapping::schema());
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        published == current,
        "write it anew: silversmith schema mapping > mapping.schema.json; expected\n{current}"
    );
}
