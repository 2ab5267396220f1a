//! Hosts that end and come back, and how long that takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Acme;
use super::group::Watch;
use super::load::Load;
use crate::support::{Running, orders, until};

const HOSTS: [&str; 2] = ["alpha", "beta"];
const FLAGS: &str = "--batch-records 50 --fold-every 0.5";
/// What `kafka:` states when it states nothing.
const SESSION: Duration = Duration::from_secs(6);

/// Two hosts that share the four partitions of one topic, under load.
fn both(name: &str, seed: u64) -> (Acme, Watch, Load, BTreeMap<&'static str, Running>) {
    let acme = Acme::with(name, 4, &[]);
    let load = acme.load(&acme.topic, orders(10_000, seed), 100);
    let watch = acme.watch();
    let hosts = HOSTS.into_iter().map(|name| (name, acme.follow_as(name, FLAGS))).collect();
    watch.settled(&acme.group, &acme.topic, HOSTS);
    (acme, watch, load, hosts)
}

/// The ends of those partitions that `host` holds.
fn ends_of(acme: &Acme, watch: &Watch, host: &str) -> BTreeMap<i32, i64> {
    let holders = watch.settled(&acme.group, &acme.topic, HOSTS);
    let mut ends = watch.ends(&acme.topic);
    ends.retain(|number, _| holders[&(acme.topic.clone(), *number)] == host);
    ends
}

/// Ends all hosts, finishes what they left and holds the lake against the topic.
fn finish(acme: &Acme, hosts: BTreeMap<&str, Running>, what: &str) {
    acme.caught_up();
    for (name, mut host) in hosts {
        acme.stop(name, &mut host);
    }
    acme.assert_whole(what);
}

#[test]
fn hosts_restarted_one_after_the_other_under_load_lose_nothing() {
    let (acme, watch, load, mut hosts) = both("rolling", 31);
    for name in HOSTS.repeat(2) {
        let host = hosts.get_mut(name).expect("both run");
        let asked = Instant::now();
        acme.stop(name, host);
        let (ended, ends) = (asked.elapsed(), ends_of(&acme, &watch, name));
        let started = Instant::now();
        *host = acme.follow_as(name, FLAGS);
        until("it lands again", || acme.reaches("orders", &ends.iter().map(|(of, end)| (*of, end + 1)).collect()));
        println!(
            "{name} ended {ended:.1?} after it was asked to, and landed {:.1?} after its start",
            started.elapsed()
        );
    }
    load.stop();
    finish(&acme, hosts, "restarted one after the other");
}

#[test]
fn another_host_takes_over_within_five_seconds_of_the_session_timeout() {
    let (acme, watch, load, mut hosts) = both("takeover", 32);
    let held = ends_of(&acme, &watch, "alpha");
    until("alpha lands", || acme.reaches("orders", &held));
    let mut alpha = hosts.remove("alpha").expect("both run");
    alpha.signal("-KILL");
    let killed = Instant::now();
    alpha.ended();
    // What alpha had not landed; records keep coming.
    let behind: BTreeMap<i32, i64> =
        watch.ends(&acme.topic).into_iter().filter(|(of, _)| held.contains_key(of)).collect();
    until("beta lands what alpha held", || acme.reaches("orders", &behind));
    let taken_over = killed.elapsed();
    let landed = acme.versions("bronze_version");
    until("beta takes it to Silver", || acme.versions("silver_version").get("orders") >= landed.get("orders"));
    let settled = killed.elapsed();
    let started = Instant::now();
    hosts.insert("alpha", acme.follow_as("alpha", FLAGS));
    let held = ends_of(&acme, &watch, "alpha");
    until("alpha lands again", || acme.reaches("orders", &held));
    println!(
        "taken over {taken_over:.1?} after the kill, in Silver after {settled:.1?}; {:.1?} after its start alpha lands again",
        started.elapsed()
    );
    load.stop();
    finish(&acme, hosts, "taken over");
    let bound = SESSION + Duration::from_secs(5);
    assert!(taken_over <= bound, "taken over after {taken_over:?}, expected within {bound:?}");
}

#[test]
fn of_two_hosts_of_one_name_one_halts_and_the_other_goes_on() {
    let acme = Acme::with("namesakes", 4, &[]);
    acme.state("session_timeout_ms: 1500");
    let load = acme.load(&acme.topic, orders(2_000, 33), 50);
    let first = acme.follow_as("alpha", FLAGS);
    acme.watch().settled(&acme.group, &acme.topic, ["alpha"]);
    let hosts = [first, acme.follow_as("alpha", FLAGS)];
    let halt = "give each host a name of its own in SILVERSMITH_HOST";
    until("one of them halts", || acme.log_of("alpha").contains(halt));
    load.stop();
    acme.caught_up();
    hosts.iter().for_each(|host| host.signal("-TERM"));
    let mut ends = hosts.map(|mut host| host.ended());
    ends.sort();
    assert_eq!(ends, [Some(0), Some(1)], "{}", acme.log_of("alpha"));
    acme.assert_whole("two hosts of one name");
}
