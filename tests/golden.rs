//! What the command line says, held against what it said before, and how each call ends.
//!
//! `INSTA_UPDATE=always` writes the texts again; a person then reads the difference.

use crate::first_tenant::shop;
use crate::support::{Workshop, call, copy, root};

/// One call after the other: the command, how it ended, and what it said, without what differs from run to run.
fn transcript(workshop: &Workshop, calls: &[(&str, i32)]) -> String {
    let mut said = String::new();
    for (arguments, code) in calls {
        let done = call(&mut workshop.silversmith(arguments));
        assert_eq!(done.code, *code, "`silversmith {arguments}`: {done:?}");
        said += &format!("$ silversmith {arguments}\n{}{}[{code}]\n\n", done.stdout, done.stderr);
    }
    let folder = workshop.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    // On some machines the folder of temporary files is a link.
    let real = workshop.path("").canonicalize().expect("the workshop is there").display().to_string();
    said.replace(&real, "<folder>").replace(folder, "<folder>")
}

/// acme with the samples of the repository, taken to Silver.
fn acme() -> Workshop {
    let workshop = Workshop::new(&["acme"]);
    copy(&root().join("tenants/acme/samples"), &workshop.path("tenants/acme/samples"));
    workshop.run("");
    workshop
}

#[test]
fn a_tenant_that_works_is_shown() {
    let calls = [
        ("try acme --rows 2", 1),
        ("status --lake lake", 0),
        ("show acme customer C0000006 --lake lake", 0),
        ("quarantine list --lake lake", 0),
        ("validate tenants", 0),
    ];
    insta::assert_snapshot!(transcript(&acme(), &calls));
}

#[test]
fn a_call_that_cannot_be_meant_ends_with_two_and_names_what_there_is() {
    let calls = [
        ("run tenants --lake lake --tenant nobody", 2),
        ("run tenants --lake lake --input acme/nothing=x", 2),
        ("try nobody", 2),
        ("show nobody --lake lake", 2),
        ("show acme nothing --lake lake", 2),
        ("status nobody --lake lake", 2),
        ("quarantine list nobody --lake lake", 2),
        ("status --lake nowhere", 2),
        ("run tenants", 2),
    ];
    insta::assert_snapshot!(transcript(&acme(), &calls));
}

#[test]
fn a_wrong_tenant_folder_is_told_with_its_place_and_the_next_step() {
    const TENANT: &str = "my-tenants/shop/tenant.yaml";
    const MAPPING: &str = "my-tenants/shop/mappings/sales.yaml";
    let cases = [
        ("missing required field", MAPPING, "      external_id: .no\n", ""),
        ("wrong type", MAPPING, "mapping: 1", "mapping: one"),
        ("unknown normaliser", MAPPING, "normalize: [currency]", "normalize: [curency]"),
        ("unknown key", MAPPING, "    each: $.buyer", "    eahc: $.buyer"),
        ("unquoted path", MAPPING, "    each: $.buyer", "    each: $.buyer\n    when: @.id"),
        (
            "schema version read as a number",
            TENANT,
            "    mapping: mappings/sales.yaml",
            "    schema_version: 1.0\n    mappings: { \"1.0\": mappings/sales.yaml }",
        ),
        ("unknown reference target", MAPPING, "      customer: { external_id", "      custmer: { external_id"),
        ("missing file", TENANT, "mappings/sales.yaml", "mappings/sale.yaml"),
    ];
    let mut said = String::new();
    for (name, file, from, to) in cases {
        let workshop = shop();
        workshop.edit(file, |text| text.replacen(from, to, 1));
        said += &format!("# {name}\n{}", transcript(&workshop, &[("validate my-tenants", 1)]));
    }
    let workshop = shop();
    workshop
        .edit(MAPPING, |text| text.replacen("    each: $.buyer", "    each: $.buyer\n    when: \"@.id != null\"", 1));
    said += &format!("# a comparison with null\n{}", transcript(&workshop, &[("validate my-tenants", 0)]));
    insta::assert_snapshot!(said);
}

#[test]
fn a_bad_tenant_stops_no_other() {
    let workshop = shop();
    workshop.write("my-tenants/broken/tenant.yaml", "tenant: broken\nsources: {}\n");
    let done = call(&mut workshop.silversmith("run my-tenants --lake lake"));
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("broken") && done.stdout.contains("shop"), "{done:?}");
    assert_eq!(crate::tables::rows(&workshop.lake(), "shop/silver/order").len(), 2);
}

#[test]
fn trying_shows_what_a_mapping_misses() {
    let workshop = shop();
    workshop.edit("my-tenants/shop/mappings/sales.yaml", |text| {
        let text = text.replace("email: { path: .mail,", "phone: .telephone\n      email: { path: .mail,");
        let text = text.replace(
            "      full_name:",
            "      segment: { path: .level, normalize: [{ lookup: { G: premium } }] }\n      full_name:",
        );
        text.replace("status: { case", "channel: \".items[*].sku\"\n      status: { case")
            .replace("    each: $.buyer", "    each: $.buyer\n    when: \"@.id\"")
            .replace("  - entity: order\n    each: $\n", "  - entity: order\n    each: $\n    when: \"@.no\"\n")
    });
    let records = [
        r#"{"no":"S-1","at":"2026-03-01T10:00:00Z","buyer":{"id":"c1","level":"X"},"cur":"EUR","total_minor":1,"items":[]}"#,
        r#"{"no":"S-2","at":"2026-03-01T10:00:00Z","cur":"EUR","total_minor":1,"items":[{"n":1,"sku":"a","qty":1,"each_minor":1},{"n":2,"sku":"b","qty":1,"each_minor":1}]}"#,
        r#"{"at":"2026-03-01T10:00:00Z"}"#,
    ];
    workshop.write("my-tenants/shop/samples/sales.ndjson", records.join("\n"));
    insta::assert_snapshot!(transcript(&workshop, &[("try shop --tenants my-tenants", 1)]));
}
