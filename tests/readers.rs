//! Other programs read the lake: deltalake, Polars and DuckDB see the same in every table.

use std::path::PathBuf;
use std::process::Command;

use xtask::generate::{self, Plan, Plot, TENANTS};

use crate::support::{Workshop, copy, root};

/// The Python that has the readers.
pub(crate) fn python() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/silversmith"));
    let cache =
        std::env::var_os("SILVERSMITH_CACHE").map(|folder| root().join(folder)).or_else(home).unwrap_or_default();
    let environments =
        std::fs::read_dir(cache.join("python")).into_iter().flatten().flatten().map(|entry| entry.path());
    let whole = environments.filter(|folder| folder.join("ready").exists());
    let newest = whole.max_by_key(|folder| folder.join("ready").metadata().and_then(|ready| ready.modified()).ok());
    let found = newest
        .unwrap_or_else(|| panic!("found no Python with the readers in {}: run `cargo xtask setup`", cache.display()));
    found.join("bin/python3")
}

#[test]
fn deltalake_polars_and_duckdb_see_the_same_tables() {
    let workshop = Workshop::new(&["acme", "globex", "github", "clinic"]);
    for tenant in TENANTS {
        let plan = Plan { records: 500, seed: 3, plot: Plot::Lively, answer: false };
        generate::write(tenant, plan, &workshop.path("input")).expect("the workshop is ours");
    }
    for tenant in ["github", "clinic"] {
        copy(&root().join("tenants").join(tenant).join("samples"), &workshop.path("input").join(tenant));
    }
    // Enough commits for a checkpoint.
    workshop.run(
        "--input acme/orders=input/acme --input globex/sales=input/globex --input github/deliveries=input/github \
         --input clinic/bundles=input/clinic --batch-records 20",
    );
    let mut script = Command::new(python());
    let done =
        script.arg(root().join("tests/readers/read_tables.py")).arg(workshop.lake()).output().expect("Python runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&done.stdout).expect("the script prints JSON");
    for table in [
        "acme/bronze/orders",
        "acme/silver/customer",
        "acme/silver/order",
        "globex/silver/product",
        "globex/quarantine",
        "acme/manifests",
        "github/silver/account",
        "clinic/silver/encounter",
    ] {
        assert!(seen["tables"][table]["rows"].as_u64() > Some(0), "{table}: {seen}");
        assert!(seen["tables"][table]["reader"].as_u64() == Some(1), "{table}: {seen}");
    }
}
