//! The clinic tenant: FHIR bundles by the mapping file that is published, under the contracts that are published.

use std::collections::BTreeSet;

use serde_json::Value;
use silversmith_plugin_mapping::Mappings;
use silversmith_sdk::plugin::{ConfigFile, Configuration, ContractColumn, EntityContract, Operation};
use silversmith_sdk::testing::{Answer, Harness};

use crate::support::{data, data_type_of, harness, rows, verdict};

const TENANTS: &str = concat!(env!("SILVERSMITH_ROOT"), "/tenants");

fn clinic() -> Harness<Mappings> {
    let text = |path: &str| std::fs::read_to_string(format!("{TENANTS}/{path}")).expect(path);
    let mapping = text("clinic/mappings/bundle.yaml");
    harness(&Configuration {
        source: "bundles".to_owned(),
        settings: r#"{"schema_version": "4.0", "mappings": {"4.0": "mappings/bundle.yaml"}}"#.to_owned(),
        files: vec![ConfigFile { path: "mappings/bundle.yaml".to_owned(), text: mapping }],
        entities: ["patient", "practitioner", "facility", "encounter"]
            .map(|name| contract(&text(&format!("canonical/{name}.odcs.yaml"))))
            .to_vec(),
    })
}

/// What a plugin is told of a contract: its columns without those that references fill.
fn contract(text: &str) -> EntityContract {
    let contract: Value = serde_saphyr::from_str(text).expect("a contract is YAML");
    let schema = &contract["schema"][0];
    let properties = schema["properties"].as_array().expect("a list");
    let columns = properties.iter().filter(|property| property.get("relationships").is_none());
    let is = |property: &Value, name: &str| property[name] == true;
    EntityContract {
        name: schema["name"].as_str().expect("text").to_owned(),
        columns: columns
            .map(|property| ContractColumn {
                name: property["name"].as_str().expect("text").to_owned(),
                data_type: data_type_of(property["physicalType"].as_str().expect("text")),
                required: is(property, "required"),
                key: is(property, "primaryKey"),
            })
            .collect(),
    }
}

/// The dev bundles, in the order of their names, or nothing where the data is not at hand.
fn bundles() -> Vec<Vec<u8>> {
    let root = data("fhir-synthea-hiv/synthea-hiv");
    let mut paths = Vec::new();
    for folder in ["sample_data_small", "uploader/test_files"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        paths.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()));
    }
    paths.sort();
    let files = paths.iter().map(|path| std::fs::read(path).expect("a file"));
    files.filter(|text| serde_json::from_slice::<Value>(text).expect("JSON")["resourceType"] == "Bundle").collect()
}

fn keys<'a>(answer: &'a Answer, entity: &'a str, column: &'a str) -> BTreeSet<&'a str> {
    answer.rows_of(entity).filter_map(|row| row.cells.get(column)?.as_str()).collect()
}

#[test]
fn a_bundle_becomes_its_entities() {
    let bundle = r#"{"resourceType": "Bundle", "entry": [
        {"resource": {"resourceType": "Patient", "id": "p-1", "birthDate": "1949-12-24", "gender": "female",
            "name": [{"use": "official", "family": "Jacobi", "given": ["Ada", "Eve"]}, {"use": "maiden", "family": "Kihn"}],
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-43-1333"}], "address": [{"country": "USA", "line": ["1 Way"]}]}},
        {"resource": {"resourceType": "Encounter", "id": "e-1", "status": "finished", "period": {"start": "1977-07-27T20:25:12+00:00"},
            "subject": {"reference": "urn:uuid:p-1"},
            "participant": [{"individual": {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999"}}],
            "serviceProvider": {"reference": "Organization?identifier=https://github.com/synthetichealth/synthea|f-1"}}},
        {"resource": {"resourceType": "Encounter", "id": "e-2", "status": "planned", "period": {"start": "1977"}}},
        {"resource": {"resourceType": "Claim", "id": "c-1"}}]}"#;
    let answer = clinic().run_payloads(&[bundle]).expect("answered");
    assert_eq!(verdict(&answer, 0), "transformed");
    let expected = [
        "Upsert patient {'birth_date':'1949-12-24','city':null,'country':'US','deceased_at':null,'external_id':'p-1','family_name':'Jacobi','given_names':'Ada Eve','language':null,'maiden_name':'Kihn','marital_status':null,'medical_record_number':null,'phone':null,'postal_code':null,'sex':'female','social_security_number':'999-43-1333','state':null,'street':'1 Way'}",
        "Upsert encounter {'class':null,'ended_at':null,'external_id':'e-1','facility.external_id':'f-1','patient.external_id':'p-1','practitioner.npi':'9999','started_at':'1977-07-27T20:25:12Z','status':'finished','type_code':null,'type_text':null}",
    ];
    assert_eq!(rows(&answer), expected);
    let refused = &answer.row_refusals[0].refusal;
    assert_eq!((refused.code.as_str(), refused.field.as_deref()), ("bad_timestamp", Some("started_at")));
}

#[test]
fn the_dev_bundles_give_what_an_independent_count_gives() {
    let bundles = bundles();
    if bundles.is_empty() {
        eprintln!("no FHIR bundles under SILVERSMITH_DATA: nothing to count");
        return;
    }
    let answer = clinic().run_payloads(&bundles).expect("answered");
    assert_eq!(answer.row_refusals, []);
    for record in 0..bundles.len() {
        assert_eq!(verdict(&answer, record), "transformed");
    }
    let (patients, encounters) = (keys(&answer, "patient", "external_id"), keys(&answer, "encounter", "external_id"));
    assert_eq!((patients.len(), encounters.len()), (9, 491));
    let practitioners = keys(&answer, "practitioner", "npi");
    let facilities = keys(&answer, "facility", "external_id");
    assert_eq!((practitioners.len(), facilities.len()), (1191, 1191));
    // Every location is a patch of a facility that an organisation made.
    let patches = answer.rows_of("facility").filter(|row| row.operation == Operation::Patch);
    assert_eq!(patches.count(), 1191);
    // References meet their targets, but for the bundle whose practitioners no bundle defines.
    let met = |column: &str, targets: &BTreeSet<&str>| {
        answer
            .rows_of("encounter")
            .filter(|row| row.cells[column].as_str().is_some_and(|key| targets.contains(key)))
            .count()
    };
    assert_eq!(met("patient.external_id", &patients), 491);
    assert_eq!(met("practitioner.npi", &practitioners), 430);
    assert_eq!(met("facility.external_id", &facilities), 430);
    let maiden = answer.rows_of("patient").filter(|row| !row.cells["maiden_name"].is_null());
    assert_eq!(maiden.count(), 2);
}
