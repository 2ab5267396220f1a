//! What an author is told: every error of a mapping at once, each with its place, and the next step.

use crate::support::{errors, warnings};

const ITEM: &str = "
item: id text key; name text required; price decimal(10,2); at timestamp; on boolean
line: item text key; no int64 key
";

/// The one error of a mapping whose only block has these fields besides a sound key and name.
fn field(field: &str) -> String {
    errors(
        &format!("entities:\n  - entity: item\n    fields:\n      id: .id\n      name: .name\n      {field}\n"),
        ITEM,
    )
}

#[test]
fn a_required_column_that_nothing_fills() {
    assert_eq!(
        errors("entities:\n  - entity: item\n    fields: { at: .at }\n", ITEM),
        "3:13: found no field for the key column `id` of `item`, expected one\n\
         3:13: found no field for the required column `name` of `item`, expected one\n  \
         hint: or say `partial: true` if other blocks fill it"
    );
    // Patches, stubs and deletes need the key alone.
    for operation in ["partial", "stub", "delete"] {
        warnings(&format!("entities:\n  - {{ entity: item, {operation}: true, fields: {{ id: .id }} }}\n"), ITEM);
    }
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_eq!(
        field("price: { const: cheap }"),
        "7:7: found a value that never becomes decimal(10,2), the type of `price` of `item`: found text, expected that of a number; with separators use the step `decimal`"
    );
    assert_eq!(
        field("price: { path: .at, normalize: [timestamp] }"),
        "7:7: found a value that never becomes decimal(10,2), the type of `price` of `item`: found a timestamp for decimal(10,2), expected a number"
    );
    assert_eq!(
        field("on: { path: .on, normalize: [{ lookup: { a: true, b: x } }] }"),
        "7:7: found a value that never becomes boolean, the type of `on` of `item`: found text for boolean, expected true or false; for other forms use the step `boolean`"
    );
    assert_eq!(
        field("at: { path: .at, default: never }"),
        "7:7: found a value that never becomes timestamp, the type of `at` of `item`: found text, expected RFC 3339 with an offset; for other forms use the step `timestamp`"
    );
}

#[test]
fn an_unknown_normaliser() {
    assert_eq!(
        field("price: { path: .price, normalize: [trim, decimals] }"),
        "7:48: found unknown normaliser `decimals`, expected `trim`, `lowercase`, `uppercase`, `nfc`, `collapse_spaces`, `empty_to_null`, `decimal`, `timestamp`, `date`, `boolean`, `country`, `currency`, `lookup`, `scale` or `extract`\n  hint: did you mean `decimal`?"
    );
    assert_eq!(
        field("price: { path: .price, normalize: [lookup] }"),
        "7:42: found `lookup` without settings, expected `{ lookup: … }`"
    );
    assert_eq!(
        field("price: { path: .price, normalize: [{ extract: \"(\" }] }"),
        "7:53: found `(`, expected a regular expression: unclosed group"
    );
    assert_eq!(
        field("at: { path: .at, normalize: [{ timestamp: [rfc3399] }] }"),
        "7:50: found `rfc3399` as a form of time, expected `rfc3339`, `iso`, `epoch_s`, `epoch_ms`, `epoch_us` or `epoch_ns`\n  hint: did you mean `rfc3339`?"
    );
}

#[test]
fn an_unknown_key() {
    assert_eq!(
        field("price: { path: .price, normalise: [trim] }"),
        "7:30: found unknown key `normalise` in a value, expected `path`, `first`, `join`, `case`, `const`, `index`, `key`, `count`, `record`, `normalize` or `default`\n  hint: did you mean `normalize`?"
    );
    assert_eq!(
        errors("entitys: []\nentities: [{ entity: line, each: $.a, fields: { item: .a, no: { index: . } } }]\n", ITEM),
        "2:1: found unknown key `entitys` in a mapping, expected `mapping`, `source`, `schema_version`, `skip`, `tombstone` or `entities`\n  hint: did you mean `entities`?"
    );
    assert_eq!(
        field("prize: .price"),
        "7:7: found unknown field `prize` of `item`, expected `id`, `name`, `price`, `at` or `on`\n  hint: did you mean `price`?"
    );
}

#[test]
fn an_unquoted_path() {
    let quoted = |place: &str, path: &str| {
        format!(
            "{place}: found `{path}` without quotes, which YAML reads as something else; expected a quoted path or condition\n  hint: quote it: \"{path}\""
        )
    };
    assert_eq!(field("price: @.price"), quoted("7:14", "@.price"));
    assert_eq!(field("price: { path: $.items[*].price }"), quoted("7:22", "$.items[*].price"));
    assert_eq!(field("price: { first: [.a, .b[?@.c == 1].d] }"), quoted("7:28", ".b[?@.c == 1].d"));
    assert_eq!(errors("entities:\n  - entity: item\n    when: !@.gone\n", ITEM), quoted("4:11", "!@.gone"));
}

#[test]
fn a_schema_version_read_as_a_number() {
    assert_eq!(
        errors(
            "schema_version: 2.10\nentities: [{ entity: line, each: $.a, fields: { item: .a, no: { index: . } } }]\n",
            ITEM
        ),
        "2:17: found the number 2.10 as schema version, expected text\n  hint: quote it: \"2.10\""
    );
}

#[test]
fn references_that_do_not_fit() {
    let reference = |reference: &str| {
        errors(
            &format!(
                "entities:\n  - entity: item\n    fields: {{ id: .id, name: .name }}\n    references:\n      {reference}\n"
            ),
            ITEM,
        )
    };
    assert_eq!(
        reference("lines: { item: .id, no: .no }"),
        "6:7: found unknown entity `lines`, expected `item` or `line`\n  hint: did you mean `line`?"
    );
    assert_eq!(
        reference("parent: { entity: itme, key: { id: .id } }"),
        "6:25: found unknown entity `itme`, expected `item` or `line`\n  hint: did you mean `item`?"
    );
    assert_eq!(
        reference("line: { item: .id }"),
        "6:7: found `item` in the reference `line`, expected exactly the key of `line`: `item`, `no`"
    );
    assert_eq!(
        reference("item: { id: .id, name: .name }"),
        "6:7: found `id`, `name` in the reference `item`, expected exactly the key of `item`: `id`"
    );
}

#[test]
fn an_unknown_entity_hides_nothing_inside_it() {
    assert_eq!(
        errors(
            "entities:\n  - entity: itm\n    fields: { id: .id }\n    entities:\n      - { entity: lin, fields: {} }\n",
            ITEM
        ),
        "3:13: found unknown entity `itm`, expected `item` or `line`\n  hint: did you mean `item`?\n\
         6:19: found unknown entity `lin`, expected `item` or `line`\n  hint: did you mean `line`?"
    );
}

#[test]
fn paths_and_conditions_that_are_none() {
    assert_eq!(
        field("price: price"),
        "7:14: found `price` as a path, expected one that starts with `$`, `.` or `^`\n  hint: write `.price` for a member of the node, `{ const: price }` for a fixed text"
    );
    assert_eq!(
        field("price: \"@.price\""),
        "7:14: found `@.price` as a path, expected one that starts with `$`, `.` or `^`\n  hint: write `.price` for the node"
    );
    assert_eq!(
        field("price: ^.price"),
        "7:14: found `^.price` where no node encloses, expected a path that starts with `$` or `.`\n  hint: write `$.price` for the record"
    );
    // The grammar's own words, with the offset in what was written.
    assert_eq!(
        field("price: \".a[\""),
        "7:14: found `.a[`, expected a JSONPath: at offset 3, found the end, expected a selector, such as `'name'`, `0`, `*` or `?@.name`"
    );
    assert_eq!(
        field("price: $.a[?@.b = 1]"),
        "7:14: found `$.a[?@.b = 1]`, expected a JSONPath: at offset 9, found `=`, expected `.name` or `[…]`, a comparison, such as `==`, a name"
    );
    assert_eq!(
        field("price: { case: [{ when: \"@.a = 1\", then: .a }] }"),
        "7:31: found `@.a = 1`, expected a condition of RFC 9535: at offset 4, found `=`, expected `.name` or `[…]`, a comparison, such as `==`, a name"
    );
}

#[test]
fn a_value_has_exactly_one_source() {
    assert_eq!(
        field("price: { normalize: [trim] }"),
        "7:14: found a value without a source, expected exactly one of `path`, `first`, `join`, `case`, `const`, `index`, `key`, `count` or `record`"
    );
    assert_eq!(
        field("price: { path: .a, const: 1 }"),
        "7:14: found a value with 2 sources (`path`, `const`), expected exactly one\n  hint: `first` takes the first of several paths that has a value"
    );
    assert_eq!(
        field("price: { record: offset }"),
        "7:24: found `offset` as a property of the record, expected `checksum`, `position`, `key`, `topic`, `file`, `event_time` or `schema_version`"
    );
}

#[test]
fn a_tombstone_has_no_payload() {
    let found = errors(
        "tombstone: [{ entity: line, each: $.a, fields: { item: { record: key }, no: .no } }]\nentities: [{ entity: line, fields: { item: .a, no: .b } }]\n",
        ITEM,
    );
    assert_eq!(
        found,
        "2:23: found more than `entity` and `fields` in a block for tombstones, which deletes one key\n\
         2:35: found a path in a block for tombstones, which have no payload; expected `record` or `const`\n\
         2:77: found a path in a block for tombstones, which have no payload; expected `record` or `const`"
    );
}

#[test]
fn all_errors_come_at_once_and_in_order() {
    let found = errors(
        "source: order\nschema_version: 2\nskip: [{ when: \"@.a ==\", reason: 7 }]\nentities:\n  - entity: item\n    on_error: rows\n    fields: { id: id, name: { path: .n, normalize: [upper] }, nam: .n }\n",
        ITEM,
    );
    let places: Vec<_> = found
        .lines()
        .filter(|line| !line.starts_with("  hint"))
        .map(|line| line.split(": found").next().expect("a place"))
        .collect();
    assert_eq!(places, ["2:9", "3:17", "4:34", "7:15", "8:19", "8:53", "8:63"]);
}

#[test]
fn a_comparison_with_null_that_an_absent_path_passes() {
    let body = |when: &str| {
        format!(
            "entities:\n  - entity: line\n    each: \"$.lines[*]\"\n    when: \"{when}\"\n    fields: {{ item: .id, no: .no }}\n"
        )
    };
    assert_eq!(
        warnings(&body("@.id != null"), ITEM),
        "5:11: found `@.id != null`, which is true where `@.id` is absent\n  hint: write `@.id && @.id != null` if it has to be there"
    );
    assert_eq!(warnings(&body("@.id && @.id != null"), ITEM), "");
}
