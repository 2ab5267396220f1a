//! The saving: master data that records embed again and again is stored once for each time it changed.
//!
//! Fifty thousand records also in CI: of fewer, a hundred customers are more than a hundredth.

use xtask::generate::{self, Plan, Plot};

use crate::support::{Workshop, files};
use crate::tables::rows;

#[test]
fn customers_take_a_hundredth_of_the_rows_of_their_copies() {
    let workshop = Workshop::new(&["acme"]);
    let plan = Plan { records: 50_000, seed: 3, plot: Plot::Saving, answer: false };
    let (written, _) = generate::write("acme", plan, &workshop.path("input")).expect("the workshop is ours");
    let reports = workshop.run("--input acme/orders=input/acme");
    let customers = &reports[0]["entities"]["customer"];
    assert_eq!(customers["emitted"], 50_000, "every record embeds a customer");
    let changes = rows(&workshop.lake(), "acme/silver/customer_changes").len();
    assert_eq!(changes, 150, "100 customers and 50 changes");
    assert!(changes * 100 <= 50_000, "{changes} rows");

    let stored: u64 = ["customer_changes", "customer", "product_changes", "product"]
        .iter()
        .flat_map(|table| files(&workshop.lake().join("acme/silver").join(table)))
        .filter(|file| file.extension().is_some_and(|extension| extension == "parquet"))
        .map(|file| file.metadata().expect("the lake is ours").len())
        .sum();
    println!(
        "copies of customers and products: {} bytes before, {stored} after; 50000 rows before, {changes} after",
        written.copies
    );
    assert!(stored * 20 < written.copies, "{stored} bytes of {}", written.copies);
}
