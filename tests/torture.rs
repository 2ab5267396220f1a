//! The JSON test suite, one document a file: what is no JSON ends in quarantine, what is JSON does not, and Bronze has all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::{Workshop, data, files};
use crate::tables::{hex, rows, text};

/// Every document that is JSON gives one row, whatever it holds.
const MAPPING: &str = r#"
mapping: 1
source: documents
entities:
  - entity: document
    each: $
    fields:
      position: { record: position }
"#;

const CONTRACT: &str = "
apiVersion: v3.1.0
kind: DataContract
id: torture.document
version: 1.0.0
status: active
schema:
  - name: document
    logicalType: object
    properties:
      - { name: position, logicalType: string, physicalType: text, required: true, primaryKey: true, primaryKeyPosition: 1 }
    customProperties:
      - { property: history, value: append }
";

const TENANT: &str = "
tenant: torture
sources:
  documents:
    documents: samples/*.json
    mapping: mappings/document.yaml
";

#[test]
fn what_is_no_json_is_quarantined_and_what_is_json_is_accepted() {
    let folder = data().join("json-torture-nst/test_parsing");
    let workshop = Workshop::new(&[]);
    workshop.write("tenants/torture/tenant.yaml", TENANT);
    workshop.write("tenants/torture/mappings/document.yaml", MAPPING);
    workshop.write("tenants/torture/contracts/document.odcs.yaml", CONTRACT);
    let reports = workshop.run(&format!("--input torture/documents={}", folder.display()));

    let documents: BTreeMap<String, String> = files(&folder)
        .into_iter()
        .map(|file| {
            let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, hex(&fs::read(&file).expect("the data is readable")))
        })
        .collect();
    let table = |name: &str| rows(&workshop.lake(), &format!("torture/{name}"));
    let bronze = table("bronze/documents");
    assert_eq!(bronze.len(), documents.len(), "one Bronze row a document");
    for row in &bronze {
        assert_eq!(text(row, "raw_payload"), documents[text(row, "file")], "{}", text(row, "file"));
    }

    let quarantine = table("quarantine");
    let refused: BTreeSet<&str> = quarantine.iter().map(|row| text(row, "file")).collect();
    let of = |kind: &'static str| documents.keys().map(String::as_str).filter(move |name| name.starts_with(kind));
    let accepted: Vec<&str> = of("n_").filter(|name| !refused.contains(name)).collect();
    assert!(accepted.is_empty(), "accepted, and no JSON: {accepted:?}");
    let quarantined: Vec<&str> = of("y_").filter(|name| refused.contains(name)).collect();
    assert!(quarantined.is_empty(), "quarantined, and JSON: {quarantined:?}");
    assert!(of("n_").count() > 100 && of("y_").count() > 50, "the suite is not whole");
    assert!(refused.contains("n_structure_no_data.json"), "the empty document is quarantined");
    assert_eq!(reports[0]["transformed"], documents.len() - refused.len(), "the others give rows");
    assert_eq!(table("silver/document").len(), documents.len() - refused.len());
}
