//! A disk that is full, breaks or writes short at any one step: the host says so, the tables stay whole, and the next run
//! on a healthy disk takes up where that one stopped.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use silversmith::lake::{Disk, RealDisk};

use super::{Quiet, Shop, quiet};
use crate::support::{random, seed, trials};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Full,
    Broken,
    /// Half of the bytes are written before the disk is full.
    Short,
}

impl Fault {
    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Fault::Full | Fault::Short => 28,
            Fault::Broken => 5,
        })
    }
}

/// How long.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Extent {
    Once,
    FromThenOn,
}

/// A fault at a step.
#[derive(Clone, Copy, Debug)]
struct Case {
    step: u64,
    fault: Fault,
    extent: Extent,
}

/// The machine's disk without its syncs; its steps are counted and fail as told.
#[derive(Debug)]
struct Failing {
    case: Option<Case>,
    steps: AtomicU64,
    /// The steps that were writes.
    writes: Mutex<Vec<u64>>,
    failed: AtomicU64,
}

impl Failing {
    fn new(case: Option<Case>) -> Arc<Self> {
        Arc::new(Self { case, steps: AtomicU64::new(0), writes: Mutex::default(), failed: AtomicU64::new(0) })
    }

    /// Counts a step; the error that it is to fail with, if it is.
    fn fault(&self) -> Option<Fault> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        let due = |case: &Case| step == case.step || (step > case.step && case.extent == Extent::FromThenOn);
        self.case.filter(due).map(|case| {
            self.failed.fetch_add(1, Ordering::Relaxed);
            case.fault
        })
    }

    fn step(&self) -> io::Result<()> {
        self.fault().map_or(Ok(()), |fault| Err(fault.error()))
    }
}

impl Disk for Failing {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.create_folder(folder)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        RealDisk.create(path)
    }

    fn write(&self, file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writes.lock().expect("no panic before").push(self.steps.load(Ordering::Relaxed));
        match self.fault() {
            Some(Fault::Short) => {
                RealDisk.write(file, path, offset, &bytes[..bytes.len() / 2])?;
                Err(Fault::Short.error())
            }
            Some(fault) => Err(fault.error()),
            None => RealDisk.write(file, path, offset, bytes),
        }
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step()?;
        Quiet.sync(file, path)
    }

    fn link(&self, staged: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.link(staged, to)
    }

    fn rename(&self, staged: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.rename(staged, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        Quiet.sync_folder(folder)
    }
}

/// What a case came to.
#[derive(Debug, PartialEq)]
enum End {
    /// The run ended with an error.
    Stopped,
    /// The host helped itself.
    Overcome,
    /// The run had fewer steps.
    Missed,
}

/// Runs into the fault and then on a healthy disk; what is wrong with that, if anything is.
fn attempt(shop: &Shop, case: Case) -> Result<End, String> {
    let home = shop.empty();
    let disk = Failing::new(Some(case));
    let ended = shop.run(home.path(), &(disk.clone() as Arc<dyn Disk>));
    let failed = disk.failed.load(Ordering::Relaxed);
    let end = match &ended {
        Ok(()) => {
            shop.check_whole(home.path())?;
            if failed > 0 { End::Overcome } else { End::Missed }
        }
        Err(error) => {
            let place = ["acme/", "_host/keys", "data/lake"].iter().any(|place| error.contains(place));
            if failed == 0 || !place || !error.contains(&case.fault.error().to_string()) {
                return Err(format!("the error does not say what failed: {error}"));
            }
            shop.check_nothing_invented(&shop.read(home.path())?)?;
            End::Stopped
        }
    };
    shop.run(home.path(), &quiet()).map_err(|error| format!("there is space again: {error}"))?;
    shop.check_whole(home.path())?;
    Ok(end)
}

#[test]
fn a_disk_that_fails_at_any_step_is_told_of_and_costs_nothing() {
    let shop = Shop::new();
    let (home, healthy) = (shop.empty(), Failing::new(None));
    shop.run(home.path(), &(healthy.clone() as Arc<dyn Disk>)).expect("nothing is wrong with the disk");
    let steps = healthy.steps.load(Ordering::Relaxed);
    let writes = std::mem::take(&mut *healthy.writes.lock().expect("no panic before"));

    let mut cases = vec![];
    for extent in [Extent::Once, Extent::FromThenOn] {
        for fault in [Fault::Full, Fault::Broken] {
            cases.extend((0..steps).map(|step| Case { step, fault, extent }));
        }
        cases.extend(writes.iter().map(|&step| Case { step, fault: Fault::Short, extent }));
    }
    // Every tenth, from another one each time.
    let mut seed = seed();
    let all = cases.len() as u64;
    let every = all.div_ceil(trials(all).end.max(1));
    let mut ends = [0; 3];
    for case in cases.into_iter().skip((random(&mut seed) % every) as usize).step_by(every as usize) {
        let end = attempt(&shop, case).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert!(end != End::Overcome || case.extent == Extent::Once, "{case:?} was overcome");
        ends[end as usize] += 1;
    }
    println!(
        "{steps} steps, {} of them writes; every {every}th of {all} cases: {} stopped, {} overcome, {} missed",
        writes.len(),
        ends[0],
        ends[1],
        ends[2]
    );
    assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
}
