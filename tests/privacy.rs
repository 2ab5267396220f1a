//! No classified value in the clear outside Bronze and the bytes that quarantine keeps.
//!
//! The tenant has every class in use. Its values are recognisable, and they are also in records that are refused in every
//! way that shows a value. What is public is found by the same search, or the search would prove nothing.

use std::fs;
use std::path::Path;

use crate::support::{Workshop, call, files};
use crate::tables::{Row, record, rows, text, wait};

const PEOPLE: &str = r#"
apiVersion: v3.1.0
kind: DataContract
id: privacy.person
version: 1.0.0
status: active
schema:
  - name: person
    logicalType: object
    properties:
      - { name: id, logicalType: string, physicalType: text, required: true, primaryKey: true, primaryKeyPosition: 1 }
      - { name: nickname, logicalType: string, physicalType: text, classification: public }
      - { name: team, logicalType: string, physicalType: text, classification: internal }
      - { name: grade, logicalType: string, physicalType: text, classification: confidential }
      - { name: mail, logicalType: string, physicalType: text, required: true, classification: personal, logicalTypeOptions: { maxLength: 20 } }
      - { name: card, logicalType: string, physicalType: text, classification: restricted, logicalTypeOptions: { pattern: "^[A-Z]+-[a-z]+-[0-9]+$" } }
      - { name: diagnosis, logicalType: string, physicalType: text, classification: sensitive }
      - { name: born, logicalType: date, physicalType: date, classification: personal }
      - { name: income, logicalType: number, physicalType: "decimal(18,2)", classification: restricted }
      - { name: seen_at, logicalType: timestamp, physicalType: timestamp, classification: sensitive }
      - { name: changed_at, logicalType: timestamp, physicalType: timestamp, required: true }
    customProperties:
      - { property: history, value: scd2 }
      - { property: sequence, value: changed_at }
"#;

const VISITS: &str = r#"
apiVersion: v3.1.0
kind: DataContract
id: privacy.visit
version: 1.0.0
status: active
schema:
  - name: visit
    logicalType: object
    properties:
      - { name: id, logicalType: string, physicalType: text, required: true, primaryKey: true, primaryKeyPosition: 1 }
      - { name: reason, logicalType: string, physicalType: text, classification: personal }
    customProperties:
      - { property: history, value: append }
"#;

const TENANT: &str = "
tenant: privacy
entities: [person, visit]
sources:
  people:
    files: samples/*.ndjson
    schema_version: { path: $.v, default: \"1\" }
    mappings: { \"1\": mappings/people.yaml }
pii: { public: keep, internal: keep, confidential: tokenise, personal: tokenise, restricted: mask, sensitive: drop }
";

const MAPPING: &str = r#"
mapping: 1
source: people
schema_version: "1"
entities:
  - entity: person
    each: $
    fields:
      id: .id
      nickname: .nick
      team: .team
      grade: { path: .grade, normalize: [{ lookup: { high: HIGH, low: LOW } }] }
      mail: { path: ".mail", normalize: [trim] }
      card: { path: .card }
      diagnosis: { path: .diagnosis, normalize: [{ extract: "^([A-Z]+-.*)$" }] }
      born: .born
      income: { path: .income, normalize: [decimal] }
      seen_at: { path: .seen, normalize: [{ timestamp: [rfc3339] }] }
      changed_at: { path: .at, normalize: [{ timestamp: [rfc3339] }] }
  - entity: visit
    each: $.visit
    fields: { id: .id, reason: ".reasons[*]" }
"#;

/// The code of a refusal, and the member of a record that is whole whose replacement leads to it.
const REFUSED: [(&str, &str, &str); 11] = [
    ("bad_date", r#""born":"1990-01-01""#, r#""born":"SECRET-born-1""#),
    ("bad_number", r#""income":"1.5""#, r#""income":"SECRET-income-1""#),
    ("bad_timestamp", r#""seen":"2026-01-01T00:00:00Z""#, r#""seen":"SECRET-seen-1""#),
    ("lookup_miss", r#""grade":"high""#, r#""grade":"SECRET-grade-2""#),
    ("length", r#""mail":"SECRET-mail-1""#, r#""mail":"SECRET-mail-that-is-too-long""#),
    ("pattern", r#""card":"SECRET-card-1""#, r#""card":"SECRET-card-of-no-pattern""#),
    ("no_match", r#""diagnosis":"SECRET-diagnosis-1""#, r#""diagnosis":"no SECRET-diagnosis-2""#),
    ("duplicate_key", r#""mail":"SECRET-mail-1""#, r#""mail":"SECRET-mail-1","mail":"SECRET-mail-2""#),
    ("wrong_type", r#""mail":"SECRET-mail-1""#, r#""mail":{"SECRET-key-1":"SECRET-mail-3"}"#),
    ("unknown_schema_version", r#""v":"1""#, r#""v":"SECRET-version-1""#),
    ("several_matches", r#""reasons":["SECRET-reason-1"]"#, r#""reasons":["SECRET-reason-2","SECRET-reason-3"]"#),
];

const WHOLE: &str = r#"{"v":"1","id":"p0","at":"2026-01-01T00:00:00Z","nick":"OPEN-nick","team":"OPEN-team","grade":"high","mail":"SECRET-mail-1","card":"SECRET-card-1","diagnosis":"SECRET-diagnosis-1","born":"1990-01-01","income":"1.5","seen":"2026-01-01T00:00:00Z","visit":{"id":"v0","reasons":["SECRET-reason-1"]}}"#;

#[test]
fn nothing_classified_is_in_the_clear_outside_bronze_and_the_bytes_in_quarantine() {
    let workshop = Workshop::new(&[]);
    workshop.write("tenants/privacy/tenant.yaml", TENANT);
    workshop.write("tenants/privacy/mappings/people.yaml", MAPPING);
    workshop.write("tenants/privacy/contracts/person.odcs.yaml", PEOPLE);
    workshop.write("tenants/privacy/contracts/visit.odcs.yaml", VISITS);
    let mut records = vec![WHOLE.to_owned(), WHOLE.replace("SECRET-mail-1", "SECRET-mail-4").replace("v0", "v1")];
    for (number, (code, member, other)) in REFUSED.iter().enumerate() {
        let record =
            WHOLE.replace(member, other).replace("p0", &format!("q{number}")).replace("v0", &format!("w{number}"));
        assert!(record.contains(other), "{code}: the record has no {member}");
        records.push(record);
    }
    records.push(WHOLE[..WHOLE.len() - 9].to_owned());
    records.push(WHOLE.replace("SECRET-reason-1", "SECRET-reason-4"));
    records.push(WHOLE.replace(r#""mail":"SECRET-mail-1","#, ""));
    workshop.write("tenants/privacy/samples/people.ndjson", records.join("\n"));

    let mut said = vec![];
    let calls = [
        ("run tenants --lake lake --batch-records 4", 0),
        ("try privacy", 1),
        ("try privacy --format json --rows 100", 1),
        ("status --lake lake", 0),
        ("show privacy person --lake lake", 0),
        ("show privacy person p0 --lake lake --format json", 0),
        ("quarantine list --lake lake", 0),
        ("manifests list privacy --lake lake --format json", 0),
    ];
    for (arguments, code) in calls {
        let done = call(workshop.silversmith(arguments).env("SILVERSMITH_LOG", "trace"));
        assert_eq!(done.code, code, "{arguments}: {done:?}");
        said.push((arguments, done.stdout + &done.stderr));
    }
    for (arguments, said) in &said {
        assert_hidden(said.as_bytes(), &format!("what `{arguments}` prints"));
    }

    let table = |name: &str| rows(&workshop.lake(), &format!("privacy/{name}"));
    let quarantine = table("quarantine");
    let mut refused: Vec<_> = quarantine.iter().map(|row| (record(row), text(row, "code"))).collect();
    refused.sort_unstable();
    let meant = REFUSED.iter().map(|(code, ..)| *code).chain(["invalid_json", "conflict", "required"]);
    assert_eq!(refused, (2..).zip(meant).collect::<Vec<_>>(), "each record is refused for what it was made for");

    let lake = silversmith::lake::Lake::open(&workshop.lake()).expect("the lake is there");
    let mut open = 0;
    for name in wait(lake.tables("privacy")).expect("the lake can be listed") {
        if name.starts_with("bronze/") {
            continue;
        }
        for row in table(&name) {
            let shown: Row = row.into_iter().filter(|(column, _)| column != "raw_payload").collect();
            let cells = format!("{shown:?}");
            assert_hidden(cells.as_bytes(), &name);
            open += usize::from(cells.contains("OPEN-nick"));
        }
    }
    assert!(open >= 3, "the search finds what is public in {open} rows only");

    for file in files(&workshop.lake()) {
        let inner = file.strip_prefix(workshop.lake()).expect("it was found below").to_owned();
        let bytes_allowed = |folder: &str| inner.starts_with(Path::new("privacy").join(folder));
        let data = file.extension().is_some_and(|extension| extension == "parquet");
        if !(data && (bytes_allowed("bronze") || bytes_allowed("quarantine"))) {
            assert_hidden(&fs::read(&file).expect("the lake is ours"), &inner.display().to_string());
        }
    }
}

/// Fails where `bytes` hold a value that is to be hidden, in any case.
fn assert_hidden(bytes: &[u8], what: &str) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    if let Some(at) = text.find("secret-") {
        let shown: String = text[at..].chars().take(80).collect();
        panic!("{what} holds a classified value: {shown}");
    }
}
