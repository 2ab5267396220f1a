//! A table that was restored or replaced apart from the others: nothing is skipped, the tenant halts and says which.

use std::fs;

use crate::support::{Workshop, call, copy, orders};
use crate::tables::contents;

#[test]
fn a_table_that_was_restored_alone_halts_its_tenant() {
    let workshop = Workshop::new(&["acme"]);
    let lines = orders(200, 5);
    let (first, rest) = lines.split_at(lines.len() / 2);
    workshop.write("half/1.ndjson", first.join("\n") + "\n");
    workshop.run("--input acme/orders=half");
    for table in ["silver/customer_changes", "silver/order", "quarantine", "bronze/orders"] {
        copy(&workshop.path(format!("lake/acme/{table}")), &workshop.path(format!("backup/{table}")));
    }
    workshop.write("half/2.ndjson", rest.join("\n") + "\n");
    workshop.run("--input acme/orders=half");
    let whole = contents(&workshop.lake(), "acme");
    for table in ["silver/customer_changes", "silver/order", "quarantine", "bronze/orders"] {
        let (place, aside) = (workshop.path(format!("lake/acme/{table}")), workshop.path("aside"));
        fs::rename(&place, &aside).expect("the table is there");
        copy(&workshop.path(format!("backup/{table}")), &place);
        let done = call(&mut workshop.silversmith("run tenants --lake lake --input acme/orders=half"));
        assert_eq!(done.code, 1, "{table}: {done:?}");
        assert!(done.stderr.contains("was restored or replaced"), "{table}: {done:?}");
        assert!(done.stderr.contains("restore the tenant's whole folder"), "{table}: {done:?}");
        fs::remove_dir_all(&place).expect("it was copied there");
        fs::rename(&aside, &place).expect("it lay there");
    }
    workshop.run("--input acme/orders=half");
    assert!(contents(&workshop.lake(), "acme") == whole, "halting changed a table");
}
