//! Whole tenants, and the golden text of every mistake.

use super::check::is_tenant_name;
use super::*;

const MAPPING: &str = "mapping: 1\n";

/// A tenants folder with the tenant `acme`, its mapping files and the given `tenant.yaml`.
fn folder(yaml: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let acme = root.path().join("acme");
    fs::create_dir_all(acme.join("mappings")).unwrap();
    fs::write(acme.join("mappings/orders-2.1.yaml"), MAPPING).unwrap();
    fs::write(acme.join("mappings/orders-1.4.yaml"), MAPPING).unwrap();
    fs::write(acme.join(FILE), yaml).unwrap();
    root
}

fn load(yaml: &str) -> Result<Tenant, Diagnostics> {
    load_tenant(&folder(yaml).path().join("acme"), &[])
}

#[track_caller]
fn golden(yaml: &str, expected: &str) {
    let found = load(yaml).expect_err("the tenant has a mistake").to_string();
    assert_eq!(found.trim(), expected.trim(), "found:\n{found}\n");
}

/// A tenant whose only source has `lines`.
fn source(lines: &str) -> String {
    format!(
        "tenant: acme\nsources:\n  orders:\n{}",
        lines.lines().map(|line| format!("    {}\n", line.trim())).collect::<String>()
    )
}

#[test]
fn five_lines_are_a_whole_tenant() {
    let tenant = load(
        r#"
tenant: acme
sources:
  orders:
    files: samples/*.ndjson
    schema_version: { path: $.meta.v, default: "2.1" }
    mappings: { "2.1": mappings/orders-2.1.yaml, "1.4": mappings/orders-1.4.yaml }
"#,
    )
    .unwrap();
    let [orders] = tenant.sources.as_slice() else { panic!("one source") };
    assert_eq!((tenant.name.as_str(), orders.name.as_str()), ("acme", "orders"));
    assert!(matches!(&orders.input, Input::Files { shape: Shape::Lines, files, .. } if files.len() == 1));
    assert_eq!(orders.plugin, PluginName::mapping());
    assert_eq!(
        orders.settings,
        serde_json::json!({
            "schema_version": { "path": "$.meta.v", "default": "2.1" },
            "mappings": { "2.1": "mappings/orders-2.1.yaml", "1.4": "mappings/orders-1.4.yaml" },
        })
    );
    let paths: Vec<_> = orders.mappings.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    assert_eq!(paths, [("mappings/orders-1.4.yaml", MAPPING), ("mappings/orders-2.1.yaml", MAPPING)]);
    assert_eq!((orders.batch.records_max, orders.batch.bytes_max, &orders.schema_version), (50_000, 32 << 20, &None));
    assert!(tenant.entities.is_none() && tenant.contracts.is_empty() && tenant.limits == Limits::default());
}

#[test]
fn everything_may_be_stated() {
    let root = folder(
        r#"
tenant: acme
contracts: own/*.yaml
entities: [customer, order]
sources:
  bundles:
    documents: [bundles/*.json, "more/{a,b}.json"]
    schema_version: "4"
    plugin: fhir@1.2.0-rc.1
    config: { strict: true, depth: 3 }
    batch: { records: 10, bytes: 4 MiB }
  orders:
    files: samples
    mapping: mappings/orders-2.1.yaml
limits: { memory_bytes: 1048576 }
pii:
  personal: tokenise
  secret: drop
  key: { file: pii.key, version: 3 }
"#,
    );
    let acme = root.path().join("acme");
    fs::create_dir(acme.join("own")).unwrap();
    fs::write(acme.join("own/device.yaml"), "x").unwrap();
    fs::write(acme.join("pii.key"), "k").unwrap();
    let tenant = load_tenant(&acme, &[]).unwrap();
    let [bundles, orders] = tenant.sources.as_slice() else { panic!("two sources") };
    assert!(matches!(&bundles.input, Input::Files { shape: Shape::Documents, files, .. } if files.len() == 2));
    assert_eq!(bundles.schema_version.as_deref(), Some("4"));
    assert_eq!((bundles.batch.records_max, bundles.batch.bytes_max), (10, 4 << 20));
    assert_eq!(bundles.plugin.to_string(), "fhir@1.2.0-rc.1");
    assert_eq!(bundles.settings, serde_json::json!({ "strict": true, "depth": 3 }));
    assert_eq!(orders.settings, serde_json::json!({ "mapping": "mappings/orders-2.1.yaml" }));
    assert_eq!(tenant.contracts, [ConfigFile { path: "own/device.yaml".into(), text: "x".into() }]);
    assert_eq!(
        tenant.entities.unwrap().iter().map(|entity| entity.value.as_str()).collect::<Vec<_>>(),
        ["customer", "order"]
    );
    assert_eq!(tenant.pii.treatments["secret"], Treatment::Drop);
    assert_eq!(tenant.pii.key.unwrap().1, 3);
}

#[test]
fn one_bad_tenant_does_not_stop_the_others() {
    let root = folder("tenant: acme\nsources: {}\n");
    for name in ["globex", "canonical"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    fs::write(root.path().join("globex").join(FILE), "tenant: globex\nsources: { a: { files: a, plugin: x@1 } }\n")
        .unwrap();
    let loaded = load_tenants(root.path(), &[]).unwrap();
    let names: Vec<_> = loaded
        .iter()
        .map(|tenant| tenant.as_ref().map(|tenant| tenant.name.as_str()).map_err(|error| error.tenant.as_str()))
        .collect();
    assert_eq!(names, [Err("acme"), Ok("globex")]);
    assert!(load_tenants(&root.path().join("nowhere"), &[]).is_err());
}

#[test]
fn tenant_names_are_path_and_table_names() {
    for (name, good) in
        [("acme", true), ("a-1", true), ("ab", false), ("-ab", false), ("ab-", false), ("Acme", false), ("a_b", false)]
    {
        assert_eq!(is_tenant_name(name), good, "{name}");
    }
    assert!(is_tenant_name(&"a".repeat(63)) && !is_tenant_name(&"a".repeat(64)));
}

#[test]
fn the_schema_states_every_key() {
    let schema = schema();
    let text = schema.to_string();
    for key in [
        "tenant",
        "contracts",
        "entities",
        "sources",
        "limits",
        "pii",
        "files",
        "documents",
        "kafka",
        "session_timeout_ms",
        "allowed_lateness",
        "key_password",
        "mechanism",
        "mappings",
        "plugin",
        "config",
        "batch",
    ] {
        assert!(text.contains(&format!("\"{key}\":")), "{key} is missing in {text}");
    }
    assert_eq!(schema["required"], serde_json::json!(["tenant", "sources"]));
    assert_eq!(schema["additionalProperties"], serde_json::json!(false));
}

#[test]
fn a_schema_version_read_as_a_number() {
    golden(
        &source("files: a\nschema_version: 2.10\nmapping: mappings/orders-2.1.yaml"),
        r#"
acme/tenant.yaml:5:21: found the number 2.10, expected a version as text, or `path` and `default`
  |
5 |     schema_version: 2.10
  |                     ^^^^
  = quote it: "2.10"
"#,
    );
    golden(
        &source(
            "files: a\nschema_version: { path: $.v, default: 2.10 }\nmappings: { \"2.1\": mappings/orders-2.1.yaml }",
        ),
        r#"
acme/tenant.yaml:5:43: found 2.10, which YAML reads as a number or a boolean, expected text
  |
5 |     schema_version: { path: $.v, default: 2.10 }
  |                                           ^^^^
  = quote it: "2.10"
"#,
    );
    golden(
        &source("files: a\nmappings: { 2.10: mappings/orders-2.1.yaml }"),
        r#"
acme/tenant.yaml:5:17: found 2.10, which YAML reads as a number or a boolean, expected text
  |
5 |     mappings: { 2.10: mappings/orders-2.1.yaml }
  |                 ^^^^
  = quote it: "2.10"
"#,
    );
}

#[test]
fn an_unknown_key() {
    golden(
        &source("files: a\nmapings: { \"2.1\": mappings/orders-2.1.yaml }"),
        r#"
acme/tenant.yaml:5:5: found the unknown key `mapings`, expected `files`, `documents`, `kafka`, `schema_version`, `mapping`, `mappings`, `plugin`, `config` or `batch`
  |
5 |     mapings: { "2.1": mappings/orders-2.1.yaml }
  |     ^^^^^^^
  = did you mean `mappings`?
"#,
    );
    golden(
        "tenant: acme\nsource:\n  orders: {}\n",
        r#"
acme/tenant.yaml:2:1: found the unknown key `source`, expected `tenant`, `contracts`, `entities`, `sources`, `limits` or `pii`
  |
2 | source:
  | ^^^^^^
  = did you mean `sources`?
"#,
    );
    golden(
        &source("files: a\nschema_version: { pth: $.v }\nmappings: { \"2.1\": mappings/orders-2.1.yaml }"),
        r#"
acme/tenant.yaml:5:23: found the unknown key `pth`, expected `path` or `default`
  |
5 |     schema_version: { pth: $.v }
  |                       ^^^
  = did you mean `path`?
"#,
    );
    golden(
        "tenant: acme\nsources: {a: {files: a, plugin: x@1}}\npii: { personal: tokenize }\n",
        r#"
acme/tenant.yaml:3:18: found `tokenize`, expected `keep`, `mask`, `drop` or `tokenise`
  |
3 | pii: { personal: tokenize }
  |                  ^^^^^^^^
  = did you mean `tokenise`?
"#,
    );
}

#[test]
fn a_missing_file() {
    golden(
        &source("files: a\nmapping: mappings/order-2.1.yaml"),
        r#"
acme/tenant.yaml:5:14: found no file `mappings/order-2.1.yaml` in the tenant's folder
  |
5 |     mapping: mappings/order-2.1.yaml
  |              ^^^^^^^^^^^^^^^^^^^^^^^
  = did you mean `mappings/orders-2.1.yaml`?
"#,
    );
    golden(
        "tenant: acme\ncontracts: own.yaml\nsources: {a: {files: a, plugin: x@1}}\npii: { key: { file: k, version: 1 } }\n",
        r#"
acme/tenant.yaml:2:12: found no file at `own.yaml`, expected the contracts of the tenant's own entities
  |
2 | contracts: own.yaml
  |            ^^^^^^^^
  = leave `contracts` out if it has none

acme/tenant.yaml:4:21: found no file `k`, expected the key of tokens
  |
4 | pii: { key: { file: k, version: 1 } }
  |                     ^
"#,
    );
}

#[test]
fn a_bad_tenant_name() {
    golden(
        "tenant: Acme_1\nsources: {a: {files: a, plugin: x@1}}\n",
        r#"
acme/tenant.yaml:1:9: found the tenant name `Acme_1`, expected 3 to 63 lower-case letters, digits and hyphens, with a letter or digit first and last
  |
1 | tenant: Acme_1
  |         ^^^^^^
"#,
    );
    golden(
        "tenant: acne\nsources: {a: {files: a, plugin: x@1}}\n",
        r#"
acme/tenant.yaml:1:9: found the tenant name `acne`, expected `acme`, the name of its folder
  |
1 | tenant: acne
  |         ^^^^
  = rename one of them
"#,
    );
    golden(
        "sources: {a: {files: a, plugin: x@1}}\n",
        r#"
acme/tenant.yaml:1:1: the key `tenant` is missing
  |
1 | sources: {a: {files: a, plugin: x@1}}
  | ^^^^^^^
"#,
    );
}

#[test]
fn an_unquoted_path() {
    golden(
        &source("files: a\nschema_version: { path: $.items[*].v }\nmapping: mappings/orders-2.1.yaml"),
        r#"
acme/tenant.yaml:5:36: while parsing a flow mapping, did not find expected ',' or '}'
  |
5 |     schema_version: { path: $.items[*].v }
  |                                    ^^
  = quote it: "$.items[*].v"
"#,
    );
    golden(
        &source("files: a\nschema_version: { path: @.v }\nmapping: mappings/orders-2.1.yaml"),
        r#"
acme/tenant.yaml:5:29: unexpected character: `@'
  |
5 |     schema_version: { path: @.v }
  |                             ^^^
  = quote it: "@.v"
"#,
    );
}

#[test]
fn a_source_twice() {
    golden(
        "tenant: acme\nsources:\n  a: { files: a, plugin: x@1 }\n  a: { files: b, plugin: x@1 }\n",
        r#"
acme/tenant.yaml:4:3: the key `a` occurs twice, expected each key once
  |
4 |   a: { files: b, plugin: x@1 }
  |   ^
"#,
    );
}

#[test]
fn a_path_that_escapes() {
    golden(
        &source("files: ../globex/*.ndjson\nmapping: ../globex/mapping.yaml"),
        r#"
acme/tenant.yaml:4:12: path `../globex/*.ndjson` leaves the folder that it is relative to, expected a path below it
  |
4 |     files: ../globex/*.ndjson
  |            ^^^^^^^^^^^^^^^^^^

acme/tenant.yaml:5:14: path `../globex/mapping.yaml` leaves the folder that it is relative to, expected a path below it
  |
5 |     mapping: ../globex/mapping.yaml
  |              ^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn neither_or_both() {
    golden(
        &source("batch: { records: 1 }"),
        r#"
acme/tenant.yaml:4:5: source `orders` says nothing of its input, expected `files`, `documents` or `kafka`
  |
4 |     batch: { records: 1 }
  |     ^^^^^
  = add `files: samples/*.ndjson`
"#,
    );
    golden(
        &source("files: a"),
        r#"
acme/tenant.yaml:4:5: source `orders` says nothing of what reads it, expected `mapping`, `mappings` or `plugin`
  |
4 |     files: a
  |     ^^^^^
  = add `mapping: mappings/<file>.yaml`
"#,
    );
    golden(
        &source("files: a\ndocuments: b\nmapping: mappings/orders-2.1.yaml"),
        r#"
acme/tenant.yaml:5:16: source `orders` has several of `files`, `documents` or `kafka`, expected one of them
  |
5 |     documents: b
  |                ^
"#,
    );
    golden(
        &source("files: a\nplugin: x@1\nmapping: mappings/orders-2.1.yaml"),
        r#"
acme/tenant.yaml:4:5: source `orders` has several of `mapping`, `mappings` or `plugin`, expected one of them
  |
4 |     files: a
  |     ^^^^^
"#,
    );
    golden(
        &source("files: a\nkafka: { brokers: \"a:1\", topics: t }\nmapping: mappings/orders-2.1.yaml"),
        r#"
acme/tenant.yaml:5:12: source `orders` has several of `files`, `documents` or `kafka`, expected one of them
  |
5 |     kafka: { brokers: "a:1", topics: t }
  |            ^
"#,
    );
}

/// The Kafka source of a tenant whose folder holds `secrets/password` and certificates.
fn kafka(lines: &str) -> Result<kafka::Settings, Diagnostics> {
    let yaml = format!("{}    mapping: mappings/orders-2.1.yaml\n", source(&format!("kafka:\n{}", indented(lines))));
    let root = folder(&yaml.replace("\u{1}", "  "));
    let acme = root.path().join("acme");
    fs::create_dir(acme.join("secrets")).unwrap();
    for name in ["password", "ca.pem", "host.pem", "host.key"] {
        fs::write(acme.join("secrets").join(name), "hunter2").unwrap();
    }
    let tenant = load_tenant(&acme, &[])?;
    let Input::Kafka(settings) = tenant.sources[0].input.clone() else { panic!("a Kafka source") };
    Ok(settings)
}

/// Lines one level deeper; `source` trims what it is given.
fn indented(lines: &str) -> String {
    lines.trim().lines().map(|line| format!("\u{1}{}\n", line.trim())).collect()
}

#[track_caller]
fn golden_kafka(lines: &str, expected: &str) {
    let found = kafka(lines).expect_err("the source has a mistake").to_string();
    assert_eq!(found.trim(), expected.trim(), "found:\n{found}\n");
}

#[test]
fn two_lines_are_a_whole_kafka_source() {
    let settings = kafka("brokers: localhost:9092\ntopics: orders").unwrap();
    assert_eq!(
        (settings.brokers.as_slice(), settings.topics.as_slice()),
        (&["localhost:9092".to_owned()][..], &["orders".to_owned()][..])
    );
    assert_eq!((settings.group.as_str(), settings.session_timeout.as_millis()), ("silversmith-acme-orders", 6000));
    assert!(settings.allowed_lateness.is_zero() && settings.tls.is_none() && settings.sasl.is_none());
}

#[test]
fn everything_of_a_kafka_source_may_be_stated_and_no_secret_is_shown() {
    let settings = kafka(
        r#"
        brokers: ["a:9092", "b:9092"]
        topics: [z, a]
        group: mine
        session_timeout_ms: 10000
        allowed_lateness: 10min
        tls: { ca: secrets/ca.pem, certificate: secrets/host.pem, key: secrets/host.key, key_password: { env: HOST_KEY } }
        sasl: { mechanism: SCRAM-SHA-512, username: u, password: { file: secrets/password } }
        client: { fetch.min.bytes: 10, socket.keepalive.enable: true, client.rack: "r" }
        "#,
    )
    .unwrap();
    assert_eq!((settings.topics.as_slice(), settings.group.as_str()), (&["a".to_owned(), "z".to_owned()][..], "mine"));
    assert_eq!((settings.session_timeout.as_secs(), settings.allowed_lateness.as_secs()), (10, 600));
    assert_eq!(settings.client["fetch.min.bytes"], "10");
    let shown = format!("{settings:?}");
    assert!(shown.contains("secrets/password") && shown.contains("HOST_KEY") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_wrong_kafka_source() {
    golden_kafka(
        "brokers: localhost\ntopics: [a, a, \"b c\"]\nsession_timeout_ms: 10\nallowed_lateness: soon",
        r#"
acme/tenant.yaml:5:16: found `localhost`, expected a broker as `host:port`
  |
5 |       brokers: localhost
  |                ^^^^^^^^^

acme/tenant.yaml:6:15: found `b c`, expected a topic: letters, digits, `.`, `_` and `-`
  |
6 |       topics: [a, a, "b c"]
  |               ^^

acme/tenant.yaml:6:15: found the topic `a` twice, expected each topic once
  |
6 |       topics: [a, a, "b c"]
  |               ^^

acme/tenant.yaml:7:27: found a session timeout of 10 ms, expected 100 to 300000
  |
7 |       session_timeout_ms: 10
  |                           ^^

acme/tenant.yaml:8:25: found `soon`, expected a number of `ms`, `s`, `min`, `h` or `d`, such as `10min`
  |
8 |       allowed_lateness: soon
  |                         ^^^^
"#,
    );
    golden_kafka(
        "brokers: a:1\ntopics: t\nsasl: { mechanism: PLAIN, username: u, password: { env: P } }",
        r#"
acme/tenant.yaml:7:13: found `sasl` without `tls`, expected both: a login in clear could be read on its way
  |
7 |       sasl: { mechanism: PLAIN, username: u, password: { env: P } }
  |             ^
  = add `tls: {}`
"#,
    );
    golden_kafka(
        "brokers: a:1\ntopics: t\ntls: { ca: secrets/ca.pm, key: secrets/host.key }\nsasl: { mechanism: PLAIN, username: u, password: hunter2 }",
        r#"
acme/tenant.yaml:8:56: found a secret in the open, expected where it is: `{ file: … }` or `{ env: … }`
"#,
    );
    golden_kafka(
        "brokers: a:1\ntopics: t\ntls: { ca: secrets/ca.pm, key: secrets/host.key }\nsasl: { mechanism: PLAIN, username: u, password: {} }",
        r#"
acme/tenant.yaml:7:18: found no file `secrets/ca.pm`, expected a PEM file
  |
7 |       tls: { ca: secrets/ca.pm, key: secrets/host.key }
  |                  ^^^^^^^^^^^^^

acme/tenant.yaml:7:38: found one of `certificate` and `key` in `tls`, expected both or none
  |
7 |       tls: { ca: secrets/ca.pm, key: secrets/host.key }
  |                                      ^^^^^^^^^^^^^^^^

acme/tenant.yaml:8:56: found no place of a secret, or two, expected `file` or `env`
  |
8 |       sasl: { mechanism: PLAIN, username: u, password: {} }
  |                                                        ^
"#,
    );
    golden_kafka(
        "brokers: a:1\ntopics: t\nclient: { auto.offset.reset: latest, fetch.mim.bytes: 1, fetch.max.bytes: much }",
        r#"
acme/tenant.yaml:7:36: found the setting `auto.offset.reset` of the client, expected one of how it fetches, waits or connects: what is read and whom it trusts is not adjustable
  |
7 |       client: { auto.offset.reset: latest, fetch.mim.bytes: 1, fetch.max.bytes: much }
  |                                    ^^^^^^

acme/tenant.yaml:7:61: found the setting `fetch.mim.bytes` of the client, expected one of how it fetches, waits or connects: what is read and whom it trusts is not adjustable
  |
7 |       client: { auto.offset.reset: latest, fetch.mim.bytes: 1, fetch.max.bytes: much }
  |                                                             ^
  = did you mean `fetch.min.bytes`?

acme/tenant.yaml:7:81: found `much` for `fetch.max.bytes`, which the client refuses: Invalid value for configuration property "fetch.max.bytes"
  |
7 |       client: { auto.offset.reset: latest, fetch.mim.bytes: 1, fetch.max.bytes: much }
  |                                                                                 ^^^^
"#,
    );
}

#[test]
fn other_mistakes() {
    golden(
        &source("files: a\nplugin: github"),
        r#"
acme/tenant.yaml:5:13: found the plugin `github`, expected `<name>@<version>`, such as `github@0.1.0`
  |
5 |     plugin: github
  |             ^^^^^^
"#,
    );
    golden(
        &source("files: a\nplugin: x@1\nbatch: { bytes: 32MB }"),
        r#"
acme/tenant.yaml:6:21: found `32MB` bytes for a batch, expected 1 B to 1 GiB, such as `32MiB`
  |
6 |     batch: { bytes: 32MB }
  |                     ^^^^
"#,
    );
    golden(
        &source("files: a\nschema_version: \"2.2\"\nmappings: { \"2.1\": mappings/orders-2.1.yaml }"),
        r#"
acme/tenant.yaml:5:21: found the default schema version `2.2`, expected one with a mapping: `2.1`
  |
5 |     schema_version: "2.2"
  |                     ^^^^^
  = did you mean `2.1`?
"#,
    );
    golden(
        "",
        r#"
acme/tenant.yaml:1:1: found the end of the file, expected keys and values
"#,
    );
}
