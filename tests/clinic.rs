//! Real FHIR bundles, one document a file: as many things in Silver as an independent count finds, and the same histories.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::support::{Workshop, data, oracle};
use crate::tables::{Row, assert_says, key, rows, text};

#[test]
fn bundles_of_a_clinic_become_what_an_independent_count_finds() {
    let folder = data().join("fhir-synthea-hiv/synthea-hiv").display().to_string();
    let workshop = Workshop::new(&["clinic"]);
    let reports = workshop.run(&format!("--input clinic/bundles={folder}"));
    let expected = oracle("tests/oracles/clinic.py", &[&folder]);
    let table = |name: &str| rows(&workshop.lake(), &format!("clinic/silver/{name}"));
    let object = |name: &str| expected[name].as_object().unwrap_or_else(|| panic!("the count has no {name}"));

    assert_eq!(reports[0]["records"], expected["documents"]);
    // A resource on its own is no bundle: it gives no rows.
    assert_eq!(reports[0]["quarantined"], json!({ "no_rows": expected["not_bundles"] }));
    assert_eq!((&expected["patients"], &expected["encounters"]), (&json!(9), &json!(491)));

    for (entity, id, many) in [
        ("patient", "external_id", "patients"),
        ("practitioner", "npi", "practitioners"),
        ("facility", "external_id", "facilities"),
    ] {
        let mut versions: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in table(entity) {
            versions.entry(text(&row, id).to_owned()).or_default().push(row);
        }
        assert_eq!(Value::from(versions.len()), expected[many], "distinct keys of {entity}");
        let meant = object(&format!("{entity}_histories"));
        assert!(!meant.is_empty(), "the count has no history of {entity}");
        for (id, meant) in meant {
            let found = versions.get_mut(id).unwrap_or_else(|| panic!("there is no {entity} {id}"));
            found.sort_by_key(|row| (text(row, "_valid_from").parse::<i64>().ok(), text(row, "_is_current") == "true"));
            let meant = meant.as_array().expect("a history is a list");
            assert_eq!(found.len(), meant.len(), "versions of {entity} {id}");
            for (row, meant) in found.iter().zip(meant) {
                assert_says(row, meant.as_object().expect("a version has values"), &format!("{entity} {id}"));
            }
        }
    }

    let found = table("encounter");
    assert_eq!(Value::from(found.len()), expected["encounters"]);
    let found: BTreeMap<&str, &Row> = found.iter().map(|row| (text(row, "external_id"), row)).collect();
    for (id, meant) in object("encounter_rows") {
        let row = found.get(id.as_str()).unwrap_or_else(|| panic!("there is no encounter {id}"));
        assert_says(row, &with_keys(meant.as_object().expect("a row has values")), &format!("encounter {id}"));
    }
    let practitioners = table("practitioner");
    let known: BTreeSet<&str> = practitioners.iter().map(|row| text(row, "_key")).collect();
    let dangling = |row: &&&Row| row["practitioner_key"].as_deref().is_none_or(|key| !known.contains(key));
    assert_eq!(Value::from(found.values().filter(dangling).count()), expected["encounters_without_practitioner"]);
}

/// A row whose references are keys, as in Silver.
fn with_keys(row: &Map<String, Value>) -> Map<String, Value> {
    let reference = |(name, value): (&String, &Value)| match (name.as_str(), value.as_str()) {
        ("patient" | "practitioner" | "facility", target) => {
            (format!("{name}_key"), target.map(|target| key("clinic", name, target)).into())
        }
        _ => (name.clone(), value.clone()),
    };
    row.iter().map(reference).collect()
}
