//! The production pipeline under a seeded simulation of everything around it: store, brokers, clock, and other hosts.
//!
//! Real are the pipeline, the sandbox with the stock plugin, the indexes, the Parquet and the log entries. A seed decides
//! which host does its next step when, which requests fail and how, who crashes or sleeps, and who holds which partition. It
//! decides the same each time, so that what fails once fails again: `cargo xtask simulate --seed N`.

mod clock;
mod dice;
mod kafka;
mod life;
mod options;
mod oracle;
mod props;
mod replay;
mod source;
mod stage;
mod store;
mod trace;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use self::clock::Clock;
use self::options::{Focus, Options};
use self::props::{Props, THREADS};
use self::stage::Outcome;
use self::trace::{Counts, Trace};
use crate::support::trials;

/// One seed. A failure tells what it stands for, what happened last, and how to see it again.
fn simulate(seed: u64, focus: Focus, props: &Props) -> Result<Outcome, String> {
    let options = Arc::new(Options::of(seed, focus));
    let clock = Clock::default();
    let trace = Trace::new(&clock);
    let run = AssertUnwindSafe(|| stage::simulate(&options, &clock, &trace, props));
    catch_unwind(run).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        format!(
            "seed {seed} failed: {}\nthe last of what happened:\n{}{options:#?}\nrun it alone: cargo xtask simulate --seed {seed} --focus {}",
            said.unwrap_or("a panic without words"),
            trace.last(),
            focus.name(),
        )
    })
}

/// Simulates `seeds`, side by side, and gives what happened in all of them; fails with the first that fails.
fn simulate_all(seeds: Range<u64>, focus: Focus) -> Counts {
    let (props, begun) = (Props::new(), Instant::now());
    let (next, failure, counts) = (Mutex::new(seeds.clone()), Mutex::new(None), Mutex::new(Counts::new()));
    const HELD: &str = "nobody panics while holding it";
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while failure.lock().expect(HELD).is_none() {
                    let Some(seed) = next.lock().expect(HELD).next() else { return };
                    match simulate(seed, focus, &props) {
                        Ok(outcome) => {
                            let mut counts = counts.lock().expect(HELD);
                            outcome.counts.iter().for_each(|(name, more)| *counts.entry(name).or_default() += more);
                        }
                        Err(text) => _ = failure.lock().expect(HELD).get_or_insert(text),
                    }
                }
            });
        }
    });
    if let Some(text) = failure.into_inner().expect(HELD) {
        panic!("{text}");
    }
    let counts = counts.into_inner().expect(HELD);
    println!("seeds {seeds:?} of {focus:?} in {:.1} s: {counts:?}", begun.elapsed().as_secs_f64());
    counts
}

/// The seeds that a person asked for: `SILVERSMITH_SEEDS=<first>..<end>`.
fn stated() -> Option<Range<u64>> {
    let stated = std::env::var("SILVERSMITH_SEEDS").ok()?;
    let range = stated.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    Some(range.unwrap_or_else(|| panic!("found SILVERSMITH_SEEDS={stated}, expected two numbers such as 0..100")))
}

#[test]
fn no_seed_loses_or_repeats_anything() {
    simulate_all(stated().unwrap_or(trials(2_000)), Focus::Everything);
}

#[test]
fn rows_are_by_the_mapping_in_force_whoever_crashed_around_its_activation() {
    simulate_all(stated().unwrap_or(trials(200)), Focus::Activations);
}

#[test]
fn commits_whose_success_is_an_error_or_comes_late_count_once() {
    let counts = simulate_all(stated().unwrap_or(trials(100)), Focus::Commits);
    if stated().is_none() {
        let kinds = ["commits whose success was an error", "late commits landed after their host"];
        let [errors, late] = kinds.map(|kind| counts.get(kind).copied().unwrap_or(0));
        assert!(errors + late >= trials(500).end && late > 0, "{counts:?}");
    }
}

#[test]
fn the_same_seed_takes_the_same_course() {
    let props = Props::new();
    for (seed, focus) in [(1, Focus::Everything), (2, Focus::Everything), (3, Focus::Activations), (4, Focus::Commits)]
    {
        let [first, second] = [0, 1].map(|_| simulate(seed, focus, &props).unwrap_or_else(|text| panic!("{text}")));
        assert_eq!(first, second, "seed {seed} of {focus:?}");
    }
}
