//! Several schema versions in one source: a record's own is declared, detected or the default.

use silversmith_plugin_mapping::Mappings;
use silversmith_sdk::plugin::{ConfigFile, Configuration, Property};
use silversmith_sdk::testing::{Harness, Record};

use crate::support::{contracts, harness, rendered, rows, verdict};

fn configuration(settings: &str) -> Configuration {
    let file = |version: &str, path: &str| ConfigFile {
        path: format!("m/{version}.yaml"),
        text: format!(
            "mapping: 1\nschema_version: \"{version}\"\nentities: [{{ entity: item, fields: {{ id: {path} }} }}]\n"
        ),
    };
    Configuration {
        source: "orders".to_owned(),
        settings: settings.to_owned(),
        files: vec![file("1", "$.old"), file("2", "$.new")],
        entities: contracts("item: id text key"),
    }
}

const BOTH: &str =
    r#"{"schema_version": {"path": "$.meta.v", "default": "1"}, "mappings": {"1": "m/1.yaml", "2": "m/2.yaml"}}"#;

#[test]
fn each_record_is_read_by_its_own_version() {
    let harness = harness(&configuration(BOTH));
    assert_eq!(harness.descriptor().properties, [Property::SchemaVersion]);
    let records = [
        Record::new(r#"{"meta": {"v": "2"}, "new": "a"}"#),
        Record::new(r#"{"meta": {"v": 1}, "old": "b"}"#),
        Record::new(r#"{"old": "c"}"#),
        Record::new(r#"{"meta": {"v": null}, "old": "d"}"#),
        Record::new(r#"{"meta": {"v": "1"}, "new": "e", "old": "x"}"#).with(Property::SchemaVersion, "2"),
        Record::new(r#"{"meta": {"v": "3"}}"#),
        Record::new(r#"{"meta": {"v": {}}}"#),
        Record::new("{}").with(Property::SchemaVersion, "0"),
    ];
    let answer = harness.run(&records).expect("answered");
    let ids: Vec<_> = answer.rows.iter().map(|row| (row.record, row.cells["id"].as_str().expect("text"))).collect();
    assert_eq!(ids, [(1, "b"), (2, "c"), (3, "d"), (0, "a"), (4, "e")]);
    let verdicts: Vec<_> = (5..8).map(|record| verdict(&answer, record)).collect();
    assert_eq!(
        verdicts,
        [
            "refused unknown_schema_version - - 3 -",
            "refused unknown_schema_version - $.meta.v - -",
            "refused unknown_schema_version - - 0 -"
        ]
    );
}

#[test]
fn a_verdict_does_not_depend_on_the_record_before() {
    // `new` twice refuses under version 2 and passes under version 1, whatever version came before.
    let harness = harness(&configuration(BOTH));
    let twice =
        |version: &str| Record::new(format!(r#"{{"meta": {{"v": "{version}"}}, "new": 1, "new": 2, "old": "a"}}"#));
    for before in ["1", "2"] {
        let first = Record::new(format!(r#"{{"meta": {{"v": "{before}"}}, "new": "x", "old": "x"}}"#));
        let answer = harness.run(&[first.clone(), twice("1"), first, twice("2")]).expect("answered");
        assert_eq!(verdict(&answer, 1), "transformed", "after {before}");
        assert_eq!(verdict(&answer, 3), "refused duplicate_key - - - -", "after {before}");
    }
}

#[test]
fn a_record_without_a_version_is_refused_where_there_is_no_default() {
    let settings = BOTH.replace(r#", "default": "1""#, "");
    let answer = harness(&configuration(&settings)).run_payloads(&[r#"{"old": "a"}"#]).expect("answered");
    assert_eq!(verdict(&answer, 0), "refused unknown_schema_version - - - -");
}

#[test]
fn two_versions_may_share_a_file_that_names_none() {
    let mut configuration =
        configuration(r#"{"schema_version": "1", "mappings": {"1": "m/1.yaml", "1.1": "m/1.yaml"}}"#);
    configuration.files[0].text = configuration.files[0].text.replace("schema_version: \"1\"\n", "");
    let records = [Record::new(r#"{"old": "a"}"#), Record::new(r#"{"old": "b"}"#).with(Property::SchemaVersion, "1.1")];
    let answer = harness(&configuration).run(&records).expect("answered");
    assert_eq!(rows(&answer), ["Upsert item {'id':'a'}", "Upsert item {'id':'b'}"]);
}

fn errors(settings: &str) -> String {
    rendered(&Harness::<Mappings>::new(&configuration(settings)).expect_err("errors"))
}

#[test]
fn settings_that_are_wrong_say_so() {
    for (settings, expected) in [
        ("[]", ":0:0: found settings that are no JSON object, expected `mapping` or `mappings`"),
        (
            "{}",
            ":0:0: found neither a path in `mapping` nor paths by schema version in `mappings`, expected one of them",
        ),
        (
            r#"{"mapping": "m/3.yaml"}"#,
            ":0:0: found no file `m/3.yaml`, expected `m/1.yaml` or `m/2.yaml`\n  hint: did you mean `m/1.yaml`?",
        ),
        (
            r#"{"schema_version": {"path": "$.v", "default": 2.10}, "mappings": {"2": "m/2.yaml"}}"#,
            ":0:0: found the number 2.10 as `schema_version.default`, expected text\n  hint: quote it: \"2.10\"",
        ),
        (
            r#"{"schema_version": {"pth": "$.v", "default": "2"}, "mappings": {"2": "m/2.yaml"}}"#,
            ":0:0: found unknown key `pth` in `schema_version`, expected `path` or `default`\n  hint: did you mean `path`?",
        ),
        (
            r#"{"schema_version": "2.0", "mappings": {"2": "m/2.yaml"}}"#,
            ":0:0: found the default schema version `2.0`, expected one with a mapping: `2`",
        ),
        (
            r#"{"mappings": {"1": "m/2.yaml"}}"#,
            "m/2.yaml:2:17: found schema version `2`, expected `1`, for which the source names this file",
        ),
    ] {
        assert_eq!(errors(settings), expected, "{settings}");
    }
}
