//! The same input gives the same tables, however it is cut, by however many workers, and however often it is run.

use xtask::generate::{self, Plan, Plot, TENANTS};

use crate::support::Workshop;
use crate::tables::{assert_same, contents};

const INPUT: &str = "--input acme/orders=input/acme --input globex/sales=input/globex";

/// acme and globex with so many records each.
fn commerce(records: u64) -> Workshop {
    let workshop = Workshop::new(&TENANTS);
    for tenant in TENANTS {
        let plan = Plan { records, seed: 7, plot: Plot::Lively, answer: false };
        generate::write(tenant, plan, &workshop.path("input")).expect("the workshop is ours");
    }
    workshop
}

/// Runs each way into a lake of its own and holds the tables against those of the first.
fn assert_all_alike(workshop: &Workshop, ways: &[&str]) {
    let mut first = None;
    for way in ways {
        workshop.drain();
        workshop.run(&format!("{INPUT} {way}"));
        let found = TENANTS.map(|tenant| contents(&workshop.lake(), tenant));
        let expected = first.get_or_insert_with(|| found.clone());
        for (found, expected) in found.iter().zip(expected.iter()) {
            assert_same(found, expected, &format!("{way} instead of {}", ways[0]));
        }
    }
}

#[test]
fn any_batch_size_and_any_number_of_workers_give_the_same_tables() {
    let ways = [
        "--batch-records 50000 --workers 2",
        "--batch-records 50000 --workers 1",
        "--batch-records 100 --workers 3",
        "--batch-records 7 --workers 2 --fold-every 0.2",
    ];
    assert_all_alike(&commerce(400), &ways);
}

#[test]
fn a_record_a_batch_gives_the_same_tables() {
    assert_all_alike(&commerce(40), &["--batch-records 50000", "--batch-records 1"]);
}

#[test]
fn running_twice_changes_nothing() {
    let workshop = commerce(300);
    let settings = format!("{INPUT} --batch-records 100");
    workshop.run(&settings);
    let before = TENANTS.map(|tenant| contents(&workshop.lake(), tenant));
    for report in workshop.run(&settings) {
        assert_eq!(report["records"], 0, "{report}");
    }
    for (tenant, before) in TENANTS.iter().zip(&before) {
        assert_same(&contents(&workshop.lake(), tenant), before, "run twice");
    }
}

#[test]
fn a_run_cut_in_two_by_its_input_gives_the_same_tables() {
    let workshop = commerce(300);
    workshop.run(&format!("{INPUT} --batch-records 90"));
    let whole = contents(&workshop.lake(), "acme");
    workshop.drain();
    let file = "input/acme/orders-0001.ndjson";
    let all = std::fs::read_to_string(workshop.path(file)).expect("acme has two files");
    let (first, _) = all.split_at(all.match_indices('\n').nth(40).expect("a file has 150 lines").0 + 1);
    workshop.write(file, first);
    workshop.run("--tenant acme --input acme/orders=input/acme --batch-records 35");
    workshop.write(file, &all);
    workshop.run("--tenant acme --input acme/orders=input/acme --batch-records 35");
    assert_same(&contents(&workshop.lake(), "acme"), &whole, "the second file grew between two runs");
}
