//! A machine that loses power after any step: whatever is left of what was not synced, nothing is lost that the host had
//! said is safe, nothing is there that no record says, and a run to the end gives the tables of an undisturbed one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silversmith::lake::Disk;

use super::ruins::{Found, Ruins};
use super::trace::{Step, Traced};
use super::{LAKE, Shop, Tables, check_contains, check_registry, keeps_rows, keys, lake, quiet};
use crate::support::{random, seed, trials};
use crate::tables::wait;

/// Commits of a table when its first checkpoint is due.
const CHECKPOINT: i64 = 100;

/// Losses of power in one run. More than there are, as long as a host leaves little uncertain.
const LOSSES: u64 = 10_000;

/// A run, step by step, on the disk that it began with.
struct Run {
    before: Ruins,
    /// What the host had said is safe before.
    safe: Arc<Tables>,
    steps: Vec<Step>,
    /// The keys at its end.
    keys: BTreeMap<PathBuf, Vec<u8>>,
}

impl Run {
    /// To the end, on the lake below `home`, which is `before` in a machine that has power.
    fn trace(shop: &Shop, home: &Path, before: Ruins, safe: Arc<Tables>) -> Self {
        let disk = Traced::new(home);
        let ended = shop.run_watched(home, &(disk.clone() as Arc<dyn Disk>), disk.clone());
        ended.expect("the disk is whole");
        disk.settle();
        Self { before, safe, steps: disk.take(), keys: keys(home) }
    }

    fn of_an_empty_lake(shop: &Shop) -> Self {
        Self::trace(shop, shop.empty().path(), Ruins::default(), Arc::default())
    }

    /// The disk after so many steps, and what the host has said is safe.
    fn after(&self, steps: usize) -> (Ruins, Arc<Tables>) {
        let (mut ruins, mut safe) = (self.before.clone(), Arc::clone(&self.safe));
        for step in &self.steps[..steps] {
            take(&mut ruins, &mut safe, step);
        }
        (ruins, safe)
    }

    /// Follows the run and hands on what is found after each step: every state where there are few, else some; about
    /// `wanted` in all, which leaves out steps where these are more.
    fn interrupt(
        &self,
        wanted: u64,
        seed: &mut u64,
        mut hand_on: impl FnMut(Found, &Arc<Tables>) -> Result<(), String>,
    ) -> Result<Cases, String> {
        let (mut ruins, mut safe) = self.after(0);
        let mut states: Vec<Option<u64>> = vec![];
        for step in &self.steps {
            take(&mut ruins, &mut safe, step);
            states.push(ruins.states());
        }
        let total = |most: u64| states.iter().map(|states| states.unwrap_or(most).min(most)).sum::<u64>();
        let most = (1..).find(|&most| total(most) >= wanted || total(most) == total(2 * most));
        let most = most.expect("every state is told at some bound");

        let every = (total(1) / wanted).max(1);
        let first = random(seed) % every;

        (ruins, safe) = self.after(0);
        let mut cases = Cases { tried: 0, of: states.iter().copied().sum() };
        for (place, (step, states)) in self.steps.iter().zip(states).enumerate() {
            take(&mut ruins, &mut safe, step);
            if place as u64 % every != first {
                continue;
            }
            let few = states.filter(|states| *states <= most);
            for case in 0..few.unwrap_or(most) {
                let (mut left, chance) = (case, random(seed));
                let mut drawn = chance;
                let found = ruins.found(|bound| match few {
                    Some(_) => {
                        let chosen = left % bound;
                        left /= bound;
                        chosen
                    }
                    None => random(&mut drawn) % bound,
                });
                cases.tried += 1;
                let told = |error| format!("after step {place}, {step:?}, case {case} by {chance}: {error}");
                hand_on(found, &safe).map_err(told)?;
            }
        }
        Ok(cases)
    }
}

fn take(ruins: &mut Ruins, safe: &mut Arc<Tables>, step: &Step) {
    ruins.take(step);
    if let Step::Settled(tables) = step {
        safe.clone_from(tables);
    }
}

/// Loses power after each step of `run` and starts the host again.
fn lose_power(shop: &Shop, run: &Run, wanted: u64, seed: &mut u64) -> Result<Tried, String> {
    let (mut looked_at, mut started) = (HashSet::new(), HashSet::new());
    let cases = run.interrupt(wanted, seed, |found, safe| {
        let id = found.id();
        if !looked_at.insert((id, Arc::as_ptr(safe))) {
            return Ok(());
        }
        let home = shop.empty();
        found.write(home.path());
        check_found(shop, home.path(), safe, &run.keys)?;
        if started.insert(id) {
            shop.run(home.path(), &quiet()).map_err(|error| format!("the host refuses what it finds: {error}"))?;
            shop.check_whole(home.path())?;
        }
        Ok(())
    })?;
    Ok(Tried { cases, states: started.len() })
}

/// States of the disk, counted at each step anew.
struct Cases {
    tried: u64,
    /// All there are; none if nobody can count them.
    of: Option<u64>,
}

/// How much was tried.
struct Tried {
    cases: Cases,
    /// The states that a host could tell apart.
    states: usize,
}

/// Fails unless the lake below `home` has all that was safe and nothing that no record says, before any host looks at it.
fn check_found(shop: &Shop, home: &Path, safe: &Tables, made: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
    let found = shop.read(home)?;
    for (table, safe) in safe.iter().filter(|(table, _)| keeps_rows(table)) {
        let found = found.get(table).ok_or_else(|| format!("{table} is lost"))?;
        check_contains(found, safe).map_err(|row| format!("{table} has lost {row:?}"))?;
    }
    shop.check_nothing_invented(&found)?;
    // A key that rows were made with, and an object that Bronze names, cannot be had again.
    if !found.is_empty() && keys(home) != *made {
        return Err(format!("of the keys {:?} are left {:?}", made.keys(), keys(home).keys()));
    }
    check_registry(home)
}

fn print(Tried { cases: Cases { tried, of }, states }: &Tried, run: &Run) {
    let of = of.map_or_else(|| "more".to_owned(), |of| of.to_string());
    println!("{} steps, {tried} losses of power of {of} that differ, {states} states for a host", run.steps.len());
}

#[test]
fn a_loss_of_power_after_any_step_loses_nothing() {
    let (shop, mut seed) = (Shop::new(), seed());
    let run = Run::of_an_empty_lake(&shop);
    let tried = lose_power(&shop, &run, LOSSES, &mut seed).unwrap_or_else(|error| panic!("{error}"));
    print(&tried, &run);
}

#[test]
fn a_loss_of_power_after_a_death_at_any_step_loses_nothing() {
    let (shop, mut seed) = (Shop::new(), seed());
    let first = Run::of_an_empty_lake(&shop);
    let steps = first.steps.len() as u64;
    let every = steps.div_ceil(trials(steps).end);
    let (mut cases, mut states) = (0, 0);
    for place in (random(&mut seed) % every..steps).step_by(every as usize) {
        let (ruins, safe) = first.after(place as usize);
        let home = shop.empty();
        // Either the host dies and another one goes on, on what nobody has synced, or power is lost once before.
        let before = if random(&mut seed).is_multiple_of(2) {
            ruins.alive().write(home.path());
            ruins
        } else {
            ruins.found(|bound| random(&mut seed) % bound).write(home.path());
            Ruins::of(home.path())
        };
        let run = Run::trace(&shop, home.path(), before, safe);
        // What a run fails to make certain stays so to its end: a few losses will meet it.
        let tried = lose_power(&shop, &run, trials(30).end, &mut seed);
        let tried = tried.unwrap_or_else(|error| panic!("died after step {place}, then {error}"));
        cases += tried.cases.tried;
        states += tried.states;
    }
    println!("every {every}th of {steps} steps, then {cases} losses of power, {states} states");
}

#[test]
fn a_loss_of_power_while_checkpoints_are_written_loses_nothing() {
    let (shop, mut seed) = (Shop::new(), seed());
    let home = shop.empty();
    let later = shop.workshop.path("input/acme/orders-0001.ndjson");
    let away = shop.workshop.path("later.ndjson");
    std::fs::rename(&later, &away).expect("acme has two files");
    shop.run(home.path(), &quiet()).expect("nothing is wrong with the disk");
    std::fs::rename(&away, &later).expect("the workshop is ours");
    wait(pad(home.path()));
    let safe = Arc::new(shop.read(home.path()).expect("the lake is whole"));
    let run = Run::trace(&shop, home.path(), Ruins::of(home.path()), safe);
    let renamed = run.steps.iter().filter_map(|step| if let Step::Rename { to, .. } = step { Some(to) } else { None });
    let checkpoints: BTreeSet<&PathBuf> =
        renamed.filter(|to| to.to_string_lossy().ends_with(".checkpoint.parquet")).collect();
    assert!(checkpoints.len() > 5, "{checkpoints:?}");
    let tried = lose_power(&shop, &run, LOSSES, &mut seed).unwrap_or_else(|error| panic!("{error}"));
    print(&tried, &run);
}

/// Brings every table close to its first checkpoint, with commits that say nothing.
async fn pad(home: &Path) {
    let lake = lake(home, &quiet()).expect("the lake is whole");
    for table in lake.tables("acme").await.expect("the lake can be listed") {
        let opened = lake.find(&format!("acme/{table}")).await.expect("the table is whole");
        let mut table = opened.expect("it was listed");
        while table.version() < CHECKPOINT - 2 {
            table.commit(&table.begin("WRITE")).await.expect("nobody else commits");
        }
    }
}

#[test]
fn a_disk_that_forgets_is_found_out() {
    let (shop, mut seed) = (Shop::new(), seed());
    let run = Run::of_an_empty_lake(&shop);
    let is_log = |path: &Path| path.components().any(|part| part.as_os_str() == "_delta_log");
    // What stands for each sync that a host might leave out.
    type Forgets<'f> = &'f dyn Fn(&Step) -> bool;
    let forgets: [(&str, Forgets); 6] = [
        ("the bytes of data", &|step| matches!(step, Step::Sync(path) if path.to_string_lossy().contains(".parquet#"))),
        ("the bytes of commits", &|step| matches!(step, Step::Sync(path) if is_log(path))),
        ("the names of data", &|step| matches!(step, Step::SyncFolder(path) if path.ends_with("silver/order"))),
        ("the names of commits", &|step| matches!(step, Step::SyncFolder(path) if is_log(path))),
        ("the names of folders", &|step| matches!(step, Step::SyncFolder(path) if path.ends_with(LAKE))),
        ("the names of keys", &|step| matches!(step, Step::SyncFolder(path) if path.ends_with("_host/keys"))),
    ];
    for (what, forgets) in forgets {
        let steps: Vec<Step> = run.steps.iter().filter(|step| !forgets(step)).cloned().collect();
        assert!(steps.len() < run.steps.len(), "no step is about {what}");
        let forgetful = Run { steps, before: Ruins::default(), safe: Arc::default(), keys: run.keys.clone() };
        let found = lose_power(&shop, &forgetful, run.steps.len() as u64, &mut seed).err();
        println!("{what}: {}", found.unwrap_or_else(|| panic!("nobody misses {what}")));
    }
}
