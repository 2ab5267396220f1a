//! Hosts that are killed under load, at random moments.
//!
//! `cargo xtask chaos --kills N` runs this with as many kills as wanted.

use std::thread::sleep;
use std::time::Duration;

use super::Acme;
use crate::killed::{LOG, entries};
use crate::support::{orders, random, seed, trials, until};

/// Kills of one lake before it is finished and held against its topic.
const KILLS_A_LAKE: u64 = 30;
/// More than is landed, so that every host that starts finds records.
const ORDERS_A_SECOND: usize = 100;

/// How many hosts to kill: `SILVERSMITH_KILLS`, or as many trials as are run.
fn kills() -> u64 {
    match std::env::var("SILVERSMITH_KILLS") {
        Ok(kills) => kills.parse().unwrap_or_else(|error| panic!("SILVERSMITH_KILLS is `{kills}`: {error}")),
        Err(_) => trials(300).end,
    }
}

#[test]
fn a_host_that_is_killed_loses_nothing_and_repeats_nothing() {
    let mut seed = seed();
    let kills = kills();
    let mut cut = 0;
    for first in (0..kills).step_by(KILLS_A_LAKE as usize) {
        let kills = KILLS_A_LAKE.min(kills - first);
        cut += kill_and_finish(&format!("killed-{first}"), kills, &mut seed);
    }
    println!("{cut} of {kills} hosts were cut short");
    assert!(cut > 0, "no host was cut short");
}

/// Kills so many hosts of one lake, one after the other, and lets another finish; how many were cut short.
fn kill_and_finish(name: &str, kills: u64, seed: &mut u64) -> u64 {
    let acme = Acme::new(name);
    let load = acme.load(&acme.topic, orders(10_000, *seed), ORDERS_A_SECOND);
    let mut cut = 0;
    for kill in 0..kills {
        let before = commits(&acme);
        let mut host = acme.follow("--batch-records 10 --fold-every 0.1");
        if random(seed).is_multiple_of(4) {
            // While it starts, catches up or joins its group.
            sleep(Duration::from_millis(random(seed) % 1000));
        } else {
            let more = 1 + random(seed) % 8;
            until("it lands batches", || commits(&acme) >= before + more || !host.is_running());
            sleep(Duration::from_millis(random(seed) % 100));
        }
        assert!(host.is_running(), "it ended by itself: {}", acme.log());
        // Every third is asked twice to stop, which is no better.
        if kill % 3 == 2 {
            host.signal("-TERM");
            host.signal("-TERM");
        } else {
            host.signal("-KILL");
        }
        cut += u64::from(host.ended() != Some(0));
    }
    let produced = load.stop();
    let report = acme.workshop.run("");
    println!("{name}: {} of {produced} records were left for the last run", report[0]["records"]);
    acme.assert_whole(name);
    cut
}

/// How many commits the log of Bronze holds.
fn commits(acme: &Acme) -> u64 {
    entries(&acme.workshop.path(LOG))
}
