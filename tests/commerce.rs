//! acme and globex, generated: Silver is what the generator meant.
//!
//! Keys whose rows came in the order of their sequence are held against the generator's expected answer. For the others the
//! rule of DESIGN decides what is kept, and the generator's model of that rule says what that makes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use xtask::generate::{self, Answer, Plan, Plot, TENANTS, Values, Version, model};

use crate::support::{Workshop, trials};
use crate::tables::{Row, key, record, rows, text};

/// What a contract keeps of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// Rows that say something new.
    New,
    /// Every row.
    All,
}

#[test]
fn silver_is_what_the_generator_meant() {
    for seed in trials(50) {
        compare(seed, Keep::New);
    }
}

#[test]
fn where_every_row_is_kept_every_key_has_the_meant_history() {
    for seed in trials(50) {
        compare(seed, Keep::All);
    }
}

fn compare(seed: u64, keep: Keep) {
    println!("seed {seed}, keep {keep:?}");
    let workshop = Workshop::new(&TENANTS);
    if keep == Keep::All {
        for entity in ["customer", "product"] {
            workshop.edit(&format!("tenants/canonical/{entity}.odcs.yaml"), |text| {
                text + "      - { property: keep, value: all }\n"
            });
        }
    }
    let plan = Plan { records: 600, seed, plot: Plot::Lively, answer: true };
    let answers = TENANTS.map(|tenant| {
        let (_, answer) = generate::write(tenant, plan, &workshop.path("input")).expect("the workshop is ours");
        answer.expect("the plan asks for it")
    });
    let reports = workshop.run("--input acme/orders=input/acme --input globex/sales=input/globex --batch-records 100");
    for (answer, report) in answers.iter().zip(&reports) {
        assert_eq!(report["tenant"], answer.tenant);
        let tenant = Silver { workshop: &workshop, answer, report, what: format!("seed {seed}, {}", answer.tenant) };
        tenant.records_have_their_outcomes();
        tenant.dimensions_have_their_histories(keep);
        tenant.facts_have_their_rows();
    }
}

/// What became of one tenant, and what should have.
struct Silver<'t> {
    workshop: &'t Workshop,
    answer: &'t Answer,
    report: &'t Value,
    what: String,
}

impl Silver<'_> {
    fn table(&self, name: &str) -> Vec<Row> {
        rows(&self.workshop.lake(), &format!("{}/{name}", self.answer.tenant))
    }

    fn records_have_their_outcomes(&self) {
        let (records, what) = (&self.answer.records, &self.what);
        assert_eq!(self.report["records"], records.received, "{what}");
        assert_eq!(self.report["transformed"], records.transformed, "{what}");
        let filtered = self.report["filtered"].as_object().expect("counts by reason");
        assert_eq!(filtered.values().filter_map(Value::as_u64).sum::<u64>(), records.filtered, "{what}");
        assert_eq!(self.table(&format!("bronze/{}", self.answer.source)).len() as u64, records.received, "{what}");

        let refused = self.table("quarantine");
        let of = |scope: &'static str| refused.iter().filter(move |row| text(row, "scope") == scope);
        let found: BTreeSet<_> = of("record").map(|row| (record(row), text(row, "code"), text(row, "line"))).collect();
        let lines: Vec<_> = self.answer.quarantined.iter().map(|finding| finding.line.to_string()).collect();
        let meant = self.answer.quarantined.iter().zip(&lines);
        let meant: BTreeSet<_> = meant.map(|(finding, line)| (finding.record, finding.reason, line.as_str())).collect();
        assert_eq!(found, meant, "quarantined records, {what}");

        let mut found: Vec<_> = of("row").map(|row| (record(row), text(row, "entity"), text(row, "code"))).collect();
        let conflicts = self.answer.facts.values().flat_map(|fact| &fact.conflicts);
        let meant = self.answer.refused_rows.iter().chain(conflicts);
        let mut meant: Vec<_> = meant.map(|row| (row.record, row.entity, row.code)).collect();
        found.sort_unstable();
        meant.sort_unstable();
        assert_eq!(found, meant, "refused rows, {what}");
    }

    fn dimensions_have_their_histories(&self, keep: Keep) {
        for (entity, dimension) in &self.answer.dimensions {
            let (versions, changes) =
                (self.table(&format!("silver/{entity}")), self.table(&format!("silver/{entity}_changes")));
            let mut all_kept = 0;
            for (name, key) in &dimension.keys {
                let what = format!("{entity} {name}, {}", self.what);
                let modelled = model::kept(&key.rows);
                let (kept, history) = match keep {
                    Keep::All => (key.rows.len(), key.history.clone()),
                    Keep::New if key.in_order => {
                        (key.kept.expect("known where in order") as usize, key.history.clone())
                    }
                    Keep::New => (modelled.len(), model::fold(&modelled)),
                };
                let of_key = |row: &&Row| text(row, "external_id") == name;
                assert_eq!(changes.iter().filter(of_key).count(), kept, "rows kept of {what}");
                all_kept += kept as u64;
                let mut found: Vec<&Row> = versions.iter().filter(of_key).collect();
                found.sort_by_key(|row| text(row, "_valid_from").parse::<i64>().expect("a time is a number here"));
                assert_history(&found, &history, &what);
            }
            let counts = &self.report["entities"][entity];
            let refused = self.answer.refused_rows.iter().filter(|row| row.entity == *entity).count();
            assert_eq!(counts["kept"], all_kept, "{entity}, {}", self.what);
            assert_eq!(counts["duplicate"], dimension.emitted - all_kept, "{entity}, {}, {refused} refused", self.what);
            assert_eq!(changes.len() as u64, all_kept, "{entity}, {}", self.what);
        }
    }

    fn facts_have_their_rows(&self) {
        for (entity, fact) in &self.answer.facts {
            let found = self.table(&format!("silver/{entity}"));
            let counts = &self.report["entities"][entity];
            assert_eq!(counts["kept"], fact.kept, "{entity}, {}", self.what);
            assert_eq!(counts["duplicate"], fact.duplicate, "{entity}, {}", self.what);
            let name = |row: &Row| match *entity {
                "order" => text(row, "external_id").to_owned(),
                _ => format!("{}/{}", text(row, "order_id"), text(row, "line_no")),
            };
            let found: BTreeMap<String, &Row> = found.iter().map(|row| (name(row), row)).collect();
            assert!(found.keys().eq(fact.rows.keys()), "keys of {entity}, {}", self.what);
            for (row, meant) in found.values().zip(fact.rows.values()) {
                for (column, value) in meant {
                    let (column, value) = match (*column, value) {
                        ("customer" | "product", Some(target)) => {
                            (format!("{column}_key"), Some(key(self.answer.tenant, column, target)))
                        }
                        _ => ((*column).to_owned(), value.clone()),
                    };
                    assert_eq!(row[&column], value, "{column} of {row:?}, {}", self.what);
                }
            }
        }
    }
}

/// The versions of one key, oldest first, and their places in time.
fn assert_history(found: &[&Row], meant: &[Version], what: &str) {
    let said = |row: &&Row| (text(row, "_valid_from").parse().ok(), Some(text(row, "_is_deleted") == "true"));
    let places: Vec<_> = found.iter().map(said).collect();
    let meant_places: Vec<_> = meant.iter().map(|version| (Some(version.valid_from), Some(version.deleted))).collect();
    assert_eq!(places, meant_places, "versions of {what}");
    for (place, (row, version)) in found.iter().zip(meant).enumerate() {
        let next = meant.get(place + 1).map(|next| next.valid_from.to_string());
        assert_eq!(row["_valid_to"], next, "{what}");
        assert_eq!(text(row, "_is_current") == "true", next.is_none(), "{what}");
        assert_values(row, &version.values, what);
    }
}

/// What a version says; what nobody asserted is null.
fn assert_values(row: &Row, meant: &Values, what: &str) {
    let stated =
        row.keys().filter(|name| !name.starts_with('_') && !["external_id", "changed_at"].contains(&name.as_str()));
    for column in stated {
        assert_eq!(row[column], meant.get(column.as_str()).cloned().flatten(), "{column} of {what}: {row:?}");
    }
}
