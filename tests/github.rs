//! Real webhook deliveries: all of them in Bronze, and as many things in Silver as an independent count finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::support::{Workshop, data, files, oracle};
use crate::tables::{Row, assert_says, hex, rows, text};

/// A repository that occurs in many deliveries.
const REPOSITORY: &str = "186853002";

#[test]
fn deliveries_of_github_become_what_an_independent_count_finds() {
    let folder = data().join("github-events");
    let workshop = Workshop::new(&["github"]);
    // The folder holds a licence too, and a folder as input is all its files.
    let reports = workshop.run(&format!("--input github/deliveries={}/*.ndjson", folder.display()));
    let expected = oracle("tests/oracles/github.py", &[&folder.display().to_string(), REPOSITORY]);
    let table = |name: &str| rows(&workshop.lake(), &format!("github/{name}"));

    assert_eq!(reports[0]["records"], expected["records"]);
    let mut lines = BTreeMap::new();
    for file in files(&folder).iter().filter(|file| file.extension().is_some_and(|extension| extension == "ndjson")) {
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        for (line, bytes) in fs::read(file).expect("the data is readable").split(|byte| *byte == b'\n').enumerate() {
            if !bytes.is_empty() {
                lines.insert((name.clone(), (line + 1).to_string()), hex(bytes));
            }
        }
    }
    let bronze = table("bronze/deliveries").into_iter();
    let bronze: BTreeMap<_, _> = bronze
        .map(|row| {
            ((text(&row, "file").to_owned(), text(&row, "line").to_owned()), text(&row, "raw_payload").to_owned())
        })
        .collect();
    assert!(bronze == lines, "Bronze has {} records, the files {}", bronze.len(), lines.len());
    // One delivery was recorded with two members `organization`, and nobody can say which is meant.
    assert_eq!(reports[0]["quarantined"], serde_json::json!({ "duplicate_key": 1 }), "{}", reports[0]);

    for entity in ["account", "organization", "repository"] {
        let versions = table(&format!("silver/{entity}"));
        let keys: BTreeSet<&str> = versions.iter().map(|row| text(row, "id")).collect();
        assert_eq!(Value::from(keys.len()), expected[entity], "distinct keys of {entity}");
    }

    let history = &expected["history"];
    let of_repository = |row: &Row| text(row, "id") == REPOSITORY;
    let changes = table("silver/repository_changes").into_iter().filter(of_repository).count();
    assert_eq!(Value::from(changes), history["kept"]);
    let mut versions: Vec<Row> = table("silver/repository").into_iter().filter(of_repository).collect();
    versions.sort_by_key(|row| text(row, "_valid_from").parse::<i64>().expect("a time is a number here"));
    let meant = history["versions"].as_array().expect("the count has versions");
    assert_eq!(versions.len(), meant.len(), "versions of repository {REPOSITORY}");
    assert!(meant.len() > 1, "the repository has one version only");
    for (row, version) in versions.iter().zip(meant) {
        assert_eq!(text(row, "_valid_from"), version["valid_from"].to_string());
        assert_eq!(text(row, "_is_deleted"), version["deleted"].to_string());
        assert_says(row, version["values"].as_object().expect("a version has values"), REPOSITORY);
    }
}
