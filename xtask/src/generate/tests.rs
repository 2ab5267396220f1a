//! The generator keeps its promises: reproducible, complete, and its answer agrees with DESIGN's rule.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::meaning::Operation;
use super::*;

const LIVELY: Plan = Plan { records: 400, seed: 0, plot: Plot::Lively, answer: true };

fn told(schema: &dyn Schema, plan: Plan) -> (Vec<(String, Vec<u8>)>, Written, Answer) {
    let mut files = vec![];
    let (written, answer) = tell(schema, plan, |name, bytes| {
        files.push((name.to_owned(), bytes.to_vec()));
        Ok(())
    })
    .expect("memory takes every file");
    (files, written, answer.expect("the plan asks for it"))
}

fn plain(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = vec![];
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("what was compressed is readable");
    } else {
        plain.extend_from_slice(bytes);
    }
    plain
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for schema in [&Acme as &dyn Schema, &Globex] {
        let (one, _, answer) = told(schema, LIVELY);
        let (two, _, again) = told(schema, LIVELY);
        assert_eq!(one, two);
        let json = |answer| serde_json::to_string(answer).expect("an answer has a JSON form");
        assert_eq!(json(&answer), json(&again));
        let (other, ..) = told(schema, Plan { seed: 1, ..LIVELY });
        assert_ne!(one, other);
    }
}

#[test]
fn the_rule_gives_the_meant_history_of_keys_in_order_and_keeping_all_gives_every_history() {
    let (mut in_order, mut out_of_order) = (0, 0);
    for seed in 0..60 {
        for schema in [&Acme as &dyn Schema, &Globex] {
            let (_, _, answer) = told(schema, Plan { seed, ..LIVELY });
            for (entity, dimension) in &answer.dimensions {
                for (name, key) in &dimension.keys {
                    let all: Vec<_> = key.rows.iter().collect();
                    let what = format!("{} {entity} {name} of seed {seed}", answer.tenant);
                    assert_eq!(model::fold(&all), key.history, "every row kept: {what}");
                    if !key.in_order {
                        out_of_order += 1;
                        continue;
                    }
                    in_order += 1;
                    let log = model::kept(&key.rows);
                    assert_eq!(Some(log.len() as u64), key.kept, "rows kept: {what}");
                    assert_eq!(model::fold(&log), key.history, "{what}");
                }
            }
        }
    }
    assert!(in_order > 3000 && out_of_order > 300, "{in_order} keys in order, {out_of_order} not");
}

#[test]
fn a_few_hundred_records_show_everything_that_can_happen() {
    for schema in [&Acme as &dyn Schema, &Globex] {
        let (files, _, answer) = told(schema, Plan { records: 2000, ..LIVELY });
        let lines: u64 =
            files.iter().map(|(name, bytes)| plain(name, bytes).iter().filter(|b| **b == b'\n').count() as u64).sum();
        let records = &answer.records;
        assert_eq!((lines, records.received), (2000, 2000));
        assert_eq!(records.received, records.transformed + records.filtered + records.quarantined);
        let codes: BTreeSet<_> = answer.quarantined.iter().map(|finding| finding.reason).collect();
        assert_eq!(codes, schema.flaws().iter().map(|flaw| flaw.code()).collect());
        assert_eq!(answer.refused_rows.is_empty(), !schema.refuses_rows());
        let order = &answer.facts["order"];
        assert!(order.duplicate > 0 && !order.conflicts.is_empty() && !answer.facts["order_line"].conflicts.is_empty());
        let keys = &answer.dimensions["customer"].keys;
        let rows = || keys.values().flat_map(|key| &key.rows);
        for operation in [Operation::Upsert, Operation::Patch, Operation::Stub, Operation::Delete] {
            assert!(rows().any(|row| row.operation == operation), "{operation:?}");
        }
        let returns =
            keys.values().any(|key| key.history.windows(3).any(|v| v[0].values == v[2].values && !v[1].deleted));
        assert!(returns, "no customer returns to an earlier state");
        let equal = keys.values().any(|key| {
            let full = || key.rows.iter().filter(|row| row.operation == Operation::Upsert);
            full().zip(full().skip(1)).any(|(one, two)| one.sequence == two.sequence && one.values != two.values)
        });
        assert!(equal, "no two states have equal sequences");
        assert!(
            keys.values().any(|key| key.rows.len() == 1 && key.rows[0].operation == Operation::Stub),
            "no stub stays one"
        );
    }
}

#[test]
fn an_order_has_the_size_that_measurements_assume() {
    let (_, written, answer) = told(&Acme, Plan { records: 2000, ..LIVELY });
    let mean = written.bytes / answer.records.received;
    assert!((900..1300).contains(&mean), "{mean} bytes");
}

#[test]
fn the_saving_has_a_hundred_customers_and_fifty_changes() {
    for schema in [&Acme as &dyn Schema, &Globex] {
        let plan = Plan { records: 50_000, seed: 3, plot: Plot::Saving, answer: true };
        let (_, written, answer) = told(schema, plan);
        let customer = &answer.dimensions["customer"];
        assert_eq!((customer.emitted, customer.keys.len()), (50_000, 100));
        assert_eq!(customer.keys.values().map(|key| key.kept.expect("nothing is late")).sum::<u64>(), 150);
        assert!(written.copies * 2 > written.bytes, "{written:?}");
    }
}

#[test]
fn the_samples_in_the_repository_are_those_of_the_generator() {
    // Where the tests run, not where they were compiled: checkouts may share a target folder.
    let tenants = Path::new("../tenants");
    samples(|path, bytes| {
        let found = fs::read(tenants.join(path))?;
        assert!(plain(path, &found) == plain(path, bytes), "{path} differs: run `cargo xtask generate --samples`");
        Ok(())
    })
    .expect("every sample is there: run `cargo xtask generate --samples`");
}
