//! What operators find: logs that are cleaned up where something newer stands for them, and manifests of failures.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use xtask::generate::{self, Plan, Plot};

use crate::support::{Workshop, call, copy, files};
use crate::tables::{assert_same, contents, rows, text};

/// Removes the log entries of a table below its newest checkpoint at or below `highest`, as upkeep does after 30 days;
/// how many.
fn clean(log: &Path, highest: u64) -> usize {
    let version = |path: &Path| path.file_name()?.to_str()?.split('.').next()?.parse::<u64>().ok();
    let all = files(log);
    let ends_with = |path: &Path, end: &str| path.to_str().is_some_and(|path| path.ends_with(end));
    let checkpoints = all.iter().filter(|path| ends_with(path, ".checkpoint.parquet")).filter_map(|path| version(path));
    let base = checkpoints.filter(|version| *version <= highest).max().expect("a checkpoint was due");
    let old = all.iter().filter(|path| ends_with(path, ".json") && version(path).is_some_and(|version| version < base));
    old.map(|path| fs::remove_file(path).expect("the lake is ours")).count()
}

#[test]
fn a_log_cleaned_up_below_its_summary_loses_nothing() {
    let workshop = Workshop::new(&["acme"]);
    let plan = Plan { records: 2_060, seed: 11, plot: Plot::Lively, answer: false };
    generate::write("acme", plan, &workshop.path("input")).expect("the workshop is ours");
    let run = |settings: &str| workshop.run(&format!("--tenant acme --input acme/orders=input/acme {settings}"));
    run("");
    let whole = contents(&workshop.lake(), "acme");
    workshop.drain();

    let (second, away) = (workshop.path("input/acme/orders-0001.ndjson"), workshop.path("later.ndjson"));
    fs::rename(&second, &away).expect("acme has two files");
    run("--batch-records 1");
    let acme = workshop.lake().join("acme");
    let bronze = acme.join("bronze/orders/_delta_log");
    let summary = files(&bronze).into_iter().find(|path| {
        path.extension().is_some_and(|extension| extension == "json")
            && fs::read_to_string(path).is_ok_and(|entry| entry.contains("\"SUMMARISE\""))
    });
    let summary = summary.expect("one is due after a thousand versions");
    let version =
        summary.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("an entry is named by its version");
    assert!(clean(&bronze, version) > 900, "{}", summary.display());
    for table in ["silver/order", "silver/order_line", "silver/customer_changes", "quarantine", "manifests"] {
        assert!(clean(&acme.join(table).join("_delta_log"), u64::MAX) > 900, "{table}");
    }

    fs::rename(&away, &second).expect("the workshop is ours");
    assert_eq!(run("--batch-records 300")[0]["records"], 1_030);
    assert_same(&contents(&workshop.lake(), "acme"), &whole, "logs cleaned up between two runs");
    assert_eq!(run("")[0]["records"], 0);
}

#[test]
fn a_batch_that_a_tenant_stopped_at_is_failed_until_it_is_complete() {
    let workshop = Workshop::new(&["acme"]);
    let plan = Plan { records: 60, seed: 5, plot: Plot::Lively, answer: false };
    generate::write("acme", plan, &workshop.path("input")).expect("the workshop is ours");
    let input = "--tenant acme --input acme/orders=input/acme";
    workshop.run(input);
    let whole = contents(&workshop.lake(), "acme");
    let statuses = || {
        let rows = rows(&workshop.lake(), "acme/manifests");
        let silver = rows.iter().filter(|row| text(row, "layer") == "SILVER");
        silver.map(|row| text(row, "status").to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(statuses(), BTreeSet::from(["COMPLETE".to_owned()]));

    // A crash just before the manifest; then the mapping changes, and what was in force at the batch is lost.
    let acme = workshop.lake().join("acme");
    let newest = files(&acme.join("manifests/_delta_log")).pop().expect("a table has a log");
    fs::remove_file(newest).expect("the lake is ours");
    let (registry, away) = (acme.join("registry"), workshop.path("away"));
    fs::rename(&registry, &away).expect("the lake is ours");
    workshop.edit("tenants/acme/mappings/orders-2.1.yaml", |text| format!("# later\n{text}"));
    let stopped = call(&mut workshop.silversmith(&format!("run tenants --lake lake {input}")));
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert_eq!(statuses(), BTreeSet::from(["FAILED".to_owned()]));
    let manifests = rows(&workshop.lake(), "acme/manifests");
    assert!(text(&manifests[0], "accounts").contains("read an object of the registry"), "{manifests:?}");

    // What the changed mapping put there stays.
    copy(&away, &registry);
    workshop.run(input);
    assert_eq!(statuses(), ["COMPLETE", "FAILED"].map(str::to_owned).into());
    assert_same(&contents(&workshop.lake(), "acme"), &whole, "stopped at a batch and gone on");
}
