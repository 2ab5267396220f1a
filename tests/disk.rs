//! The host on disks that fail and on machines that lose power.
//!
//! The production pipeline runs in this process, over a disk of the test's own. Owns running it and reading what it left;
//! `failing` breaks one step after another, `power` takes away what was not synced. No disk here syncs anything: what
//! would survive is told by `ruins`, from the order of the steps.

mod failing;
mod power;
mod ruins;
mod trace;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use silversmith::digest::DigestKey;
use silversmith::lake::{Disk, Lake, LakeError, RealWorld};
use silversmith::pipeline::{
    self, Host, Keys, Machine, Observer, PipelineError, Settings, Stated, Stop, Workers, chain,
};
use silversmith::registry::activation::{Digests, ObjectDigest};
use silversmith::registry::tenant::Tenant;
use tempfile::TempDir;
use xtask::generate::{self, Plan, Plot};

use crate::inside::{self, Unwatched};
use crate::support::Workshop;
use crate::tables::{Row, comparable, read, text, wait};

/// Every table of acme as it is, manifests included, by its path below the tenant.
type Tables = BTreeMap<String, Vec<Row>>;

/// Records of a run, and of a batch of it.
const RECORDS: u64 = 60;
const BATCH: usize = 20;

/// acme's orders, what runs them, and what they must become.
struct Shop {
    workshop: Workshop,
    tenant: Arc<Tenant>,
    whole: Tables,
}

impl Shop {
    fn new() -> Self {
        let workshop = Workshop::new(&["acme"]);
        let plan = Plan { records: RECORDS, seed: 3, plot: Plot::Lively, answer: false };
        generate::write("acme", plan, &workshop.path("input")).expect("the workshop is ours");
        let mut tenant = inside::tenant(&workshop, "acme");
        tenant.sources[0].read_from(&workshop.path("input/acme")).expect("the input was written");
        let mut shop = Self { workshop, tenant: Arc::new(tenant), whole: Tables::new() };
        let lake = shop.empty();
        shop.run(lake.path(), &quiet()).expect("nothing is wrong with the disk");
        shop.whole = shop.read(lake.path()).expect("the lake is whole");
        assert_eq!(shop.whole["bronze/orders"].len() as u64, RECORDS);
        shop
    }

    /// A place for a lake: in memory where the machine has files there, for nothing is synced anyway, and thousands of small
    /// files come and go.
    fn empty(&self) -> TempDir {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { self.workshop.path("") };
        TempDir::new_in(place).expect("there is room for temporary files")
    }

    /// Runs acme to the end of its input, in the lake below `home`.
    fn run(&self, home: &Path, disk: &Arc<dyn Disk>) -> Result<(), String> {
        self.run_watched(home, disk, Arc::new(Unwatched))
    }

    /// The same, watched. An error is told with its causes.
    fn run_watched(&self, home: &Path, disk: &Arc<dyn Disk>, observer: Arc<dyn Observer>) -> Result<(), String> {
        let indexes = self.empty();
        let ended = wait(async {
            let lake = lake(home, disk)?;
            let keys = Keys::on_disk(home.join(LAKE).join("_host/keys"), Arc::clone(disk));
            let host = Host {
                lake,
                inputs: Arc::new(Stated),
                machine: Machine { engine: inside::engine(), workers: Workers::new(2) },
                digest_key: DigestKey::new(keys.own("digest")?),
                keys,
                index_folder: indexes.path().to_owned(),
                stop: Stop::default(),
                settings: Settings { records_max: Some(BATCH), fold_every: Duration::ZERO, follow: None },
            };
            let mut reports = pipeline::run(&Arc::new(host), vec![Arc::clone(&self.tenant)], &observer).await;
            match reports.remove(0).error {
                Some(PipelineError::Fault(fault)) => panic!("the host is wrong: {fault}"),
                Some(error) => Err(Box::<dyn Error>::from(error)),
                None => Ok(()),
            }
        });
        ended.map_err(|error| chain(error.as_ref()))
    }

    /// Every table there is.
    fn read(&self, home: &Path) -> Result<Tables, String> {
        wait(tables(home)).map_err(|error| chain(&error))
    }

    /// Fails unless the lake is that of a run that nothing happened to.
    fn check_whole(&self, home: &Path) -> Result<(), String> {
        let found = self.read(home)?;
        for (table, rows) in &self.whole {
            let found = found.get(table).ok_or_else(|| format!("there is no table {table}"))?;
            if table == "manifests" {
                let mut batches: Vec<(&str, u64)> = complete(found);
                let records: u64 = batches.iter().map(|(_, records)| records).sum();
                batches.dedup_by_key(|(id, _)| *id);
                let counted: u64 = batches.iter().map(|(_, records)| records).sum();
                if (records, counted) != (RECORDS, RECORDS) {
                    return Err(format!("the manifests account for {records} records, {counted} without repetitions"));
                }
            } else if comparable(found.clone()) != comparable(rows.clone()) {
                return Err(format!("{table} holds {} rows, expected {}, or others", found.len(), rows.len()));
            }
        }
        Ok(())
    }

    /// Fails if `found` holds a row that a run to the end does not give.
    fn check_nothing_invented(&self, found: &Tables) -> Result<(), String> {
        for (table, rows) in found.iter().filter(|(table, _)| keeps_rows(table) && *table != "manifests") {
            let (found, whole) = (comparable(rows.clone()), comparable(self.whole[table].clone()));
            check_contains(&whole, &found).map_err(|row| format!("{table} holds what no record says: {row:?}"))?;
        }
        Ok(())
    }
}

/// Where the lake lies below its home, whose own folders no host makes.
const LAKE: &str = "data/lake";

fn lake(home: &Path, disk: &Arc<dyn Disk>) -> Result<Lake, LakeError> {
    Lake::on_disk(&home.join(LAKE), Arc::clone(disk), Arc::new(RealWorld))
}

async fn tables(home: &Path) -> Result<Tables, LakeError> {
    let lake = lake(home, &quiet())?;
    let mut found = Tables::new();
    for table in lake.tables("acme").await? {
        if let Some(mut rows) = read(&lake, &format!("acme/{table}")).await? {
            rows.sort();
            found.insert(table, rows);
        }
    }
    Ok(found)
}

/// Fails if Bronze names a plugin or a configuration that the lake does not hold.
fn check_registry(home: &Path) -> Result<(), String> {
    let entries = wait(async {
        match lake(home, &quiet())?.find("acme/bronze/orders").await? {
            Some(bronze) => bronze.entries(0, bronze.version()).await,
            None => Ok(vec![]),
        }
    });
    for Digests { plugin, configuration } in
        entries.map_err(|error| chain(&error))?.iter().filter_map(|entry| Digests::from_info(&entry.info))
    {
        for digest in [plugin, configuration] {
            let path = home.join(LAKE).join("acme").join(digest.path());
            let found = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if ObjectDigest::of(&found) != digest {
                return Err(format!("{} is not what its name says", path.display()));
            }
        }
    }
    Ok(())
}

/// The batches of Bronze that are accounted for, and their records, in order.
fn complete(manifests: &[Row]) -> Vec<(&str, u64)> {
    let done = manifests.iter().filter(|row| text(row, "layer") == "BRONZE" && text(row, "status") == "COMPLETE");
    let mut batches: Vec<(&str, u64)> = done
        .map(|row| (text(row, "manifest_id"), text(row, "record_count").parse().expect("a count is a number")))
        .collect();
    batches.sort_unstable();
    batches
}

/// Whether rows of a table stay as they are: all but those of a folded dimension.
fn keeps_rows(table: &str) -> bool {
    !["silver/customer", "silver/product"].contains(&table)
}

/// The first row of `part` that `whole` has not, or not as often; both are sorted.
fn check_contains<'p>(whole: &[Row], part: &'p [Row]) -> Result<(), &'p Row> {
    let mut whole = whole.iter();
    part.iter().try_for_each(|row| whole.find(|other| *other >= row).filter(|other| *other == row).map(drop).ok_or(row))
}

/// The machine's disk, without its syncs.
#[derive(Debug)]
struct Quiet;

impl Disk for Quiet {
    fn sync(&self, _: &File, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn quiet() -> Arc<dyn Disk> {
    Arc::new(Quiet)
}

/// The own keys of a host, by their paths.
fn keys(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = home.join(LAKE).join("_host/keys");
    let files = if folder.is_dir() { crate::support::files(&folder) } else { vec![] };
    let keys = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "key"));
    keys.map(|key| {
        let name = key.strip_prefix(home).expect("it lies below").to_owned();
        (name, fs::read(&key).expect("a listed file can be read"))
    })
    .collect()
}
