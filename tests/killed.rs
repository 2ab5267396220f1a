//! A host that is killed at any moment loses nothing and invents nothing: finished, it gives the tables of one that was not.
//!
//! The moments are random, so that every run looks elsewhere; the seed is printed, though the machine's pace matters too.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use silversmith::lake::Lake;
use silversmith::registry::activation::{Activations, Digests};
use xtask::generate::{self, Plan, Plot};

use crate::support::{Workshop, copy, files, random, seed, trials};
use crate::tables::{assert_same, contents, record, rows, text, wait};

/// Kills of one lake before it is finished.
const KILLS_A_LAKE: u64 = 4;
const RUN: &str = "--input acme/orders=input/acme --batch-records 50 --fold-every 0.1";
pub(crate) const LOG: &str = "lake/acme/bronze/orders/_delta_log";

fn acme(records: u64, seed: u64) -> Workshop {
    let workshop = Workshop::new(&["acme"]);
    let plan = Plan { records, seed, plot: Plot::Lively, answer: false };
    generate::write("acme", plan, &workshop.path("input")).expect("the workshop is ours");
    workshop
}

/// Starts a run and kills it as soon as `now` says so; whether it was still running.
fn kill(workshop: &Workshop, mut now: impl FnMut() -> bool) -> bool {
    let mut command = workshop.silversmith(&format!("run tenants --lake lake {RUN}"));
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary was built");
    while !now() {
        if running.try_wait().expect("it is our child").is_some() {
            return false;
        }
        sleep(Duration::from_millis(1));
    }
    running.kill().expect("it is our child");
    running.wait().expect("it is our child").code().is_none()
}

#[test]
fn killed_at_random_moments_and_finished_gives_the_same_tables() {
    let mut seed = seed();
    let workshop = acme(1000, seed);
    let begun = Instant::now();
    workshop.run(RUN);
    let takes = begun.elapsed();
    let whole = contents(&workshop.lake(), "acme");
    let mut killed = 0;
    for lake in 0..trials(200).end / KILLS_A_LAKE {
        workshop.drain();
        for _ in 0..KILLS_A_LAKE {
            let moment = takes.mul_f64((random(&mut seed) % 1000) as f64 / 1000.0);
            let begun = Instant::now();
            killed += u64::from(kill(&workshop, || begun.elapsed() >= moment));
        }
        workshop.run(RUN);
        assert_same(&contents(&workshop.lake(), "acme"), &whole, &format!("lake {lake}"));
    }
    println!("{killed} of {} runs were killed before their end, which takes {takes:?}", trials(200).end);
    assert!(killed > 0, "no run was killed before its end");
}

#[test]
fn a_mapping_changed_between_two_kills_holds_from_its_activation_on() {
    let mut seed = seed();
    for trial in trials(40) {
        let workshop = acme(1000, trial);
        let more = |more: u64| {
            let (log, before) = (workshop.path(LOG), entries(&workshop.path(LOG)));
            move || entries(&log) >= before + more
        };
        assert!(kill(&workshop, more(3 + random(&mut seed) % 6)), "the first run ended before it was killed");
        change_mapping(&workshop);
        kill(&workshop, more(2 + random(&mut seed) % 6));
        workshop.run(RUN);
        let boundary = second_mapping_from(&workshop.lake());
        for row in rows(&workshop.lake(), "acme/silver/order") {
            assert_eq!(text(&row, "channel") == "changed", record(&row) >= boundary, "from {boundary} on: {row:?}");
        }

        // The reference is not killed: it is given the records before the change, then the others under the new mapping.
        let reference = acme(1000, trial);
        keep_first(&reference, boundary);
        reference.run(RUN);
        change_mapping(&reference);
        copy(&workshop.path("input"), &reference.path("input"));
        reference.run(RUN);
        let (found, expected) = (contents(&workshop.lake(), "acme"), contents(&reference.lake(), "acme"));
        assert_same(&found, &expected, &format!("trial {trial}, changed at record {boundary}"));
    }
}

#[test]
fn changes_that_a_dead_host_left_are_folded_though_no_record_comes() {
    let workshop = acme(300, 1);
    workshop.run(RUN);
    let whole = contents(&workshop.lake(), "acme");
    fs::remove_dir_all(workshop.path("lake/acme/silver/customer")).expect("acme has customers");
    assert_eq!(workshop.run(RUN)[0]["records"], 0);
    assert_same(&contents(&workshop.lake(), "acme"), &whole, "folded again");
}

/// How many commits a log holds so far.
pub(crate) fn entries(log: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(log) else { return 0 };
    let commit = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "json");
    entries.flatten().filter(commit).count() as u64
}

/// Every order's channel is another from now on, and every mail address is in capital letters.
pub(crate) fn change_mapping(workshop: &Workshop) {
    for (version, channel) in [("1.4", "channel: .source"), ("2.1", "channel: .channel")] {
        workshop.edit(&format!("tenants/acme/mappings/orders-{version}.yaml"), |text| {
            let changed = text.replace(channel, "channel: { const: changed }").replace("lowercase", "uppercase");
            assert!(changed.contains("const: changed") && changed.contains("uppercase"), "{changed}");
            changed
        });
    }
}

/// The first record under the second of two configurations, by the Bronze log.
fn second_mapping_from(lake: &Path) -> u64 {
    let entries = wait(async {
        let lake = Lake::open(lake).expect("the lake is there");
        let bronze = lake.find("acme/bronze/orders").await.expect("Bronze can be opened").expect("Bronze is there");
        bronze.entries(0, bronze.version()).await.expect("the log is whole")
    });
    let mut activations = Activations::default();
    let mut first: Option<(Digests, u64)> = None;
    let mut second: Option<(Digests, u64)> = None;
    for entry in &entries {
        if let Some(digests) = Digests::from_info(&entry.info) {
            activations.push(entry.version, digests);
        }
        let Some(begin) = entry.info.get("bronze").and_then(|bronze| bronze["spans"][0][1].as_u64()) else { continue };
        let digests = activations.at(entry.version).expect("an activation precedes every batch");
        match (first, second) {
            (None, _) => first = Some((digests, begin)),
            (Some((known, _)), None) if known != digests => second = Some((digests, begin)),
            (Some(_), None) => {}
            (_, Some((known, _))) => assert_eq!(known, digests, "a third configuration"),
        }
    }
    second.expect("some records came after the change").1
}

/// Leaves the first records of the input, counted through its files in the order of their names.
fn keep_first(workshop: &Workshop, records: u64) {
    let mut left = records as usize;
    for file in files(&workshop.path("input/acme")) {
        let text = fs::read_to_string(&file).expect("acme's files are plain");
        let kept: String = text.split_inclusive('\n').take(left).collect();
        left -= kept.lines().count();
        if kept.is_empty() { fs::remove_file(&file) } else { fs::write(&file, kept) }.expect("the workshop is ours");
    }
}
