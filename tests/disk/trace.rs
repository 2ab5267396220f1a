//! Every step that a host asks of its disk, noted in the order in which they took effect.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use silversmith::lake::{Disk, RealDisk};
use silversmith::pipeline::{Observer, Tally};

use super::{Tables, tables};
use crate::tables::wait;

/// One step. Paths are relative to the home of the lake.
#[derive(Clone, Debug)]
pub(super) enum Step {
    CreateFolder(PathBuf),
    Create(PathBuf),
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    Sync(PathBuf),
    Link {
        staged: PathBuf,
        to: PathBuf,
    },
    Rename {
        staged: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
    SyncFolder(PathBuf),
    /// Not the disk's: the host says that all these rows are safe.
    Settled(Arc<Tables>),
}

/// The machine's disk below `home`, one step at a time and without its syncs.
#[derive(Debug)]
pub(super) struct Traced {
    home: PathBuf,
    steps: Mutex<Vec<Step>>,
}

impl Traced {
    pub(super) fn new(home: &Path) -> Arc<Self> {
        Arc::new(Self { home: home.to_owned(), steps: Mutex::default() })
    }

    /// The steps since the last call.
    pub(super) fn take(&self) -> Vec<Step> {
        std::mem::take(&mut self.steps.lock().expect("no panic before"))
    }

    /// Notes what is in the tables now: the host has just said that it is safe.
    pub(super) fn settle(&self) {
        let home = &self.home;
        // The caller may run in the host's runtime.
        let read = std::thread::scope(|scope| scope.spawn(|| wait(tables(home))).join());
        let tables = read.expect("no panic").expect("the disk is whole");
        self.steps.lock().expect("no panic before").push(Step::Settled(Arc::new(tables)));
    }

    fn inner(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.home).map_or_else(|_| PathBuf::from(".."), Path::to_owned)
    }

    fn step<T>(&self, step: Step, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut steps = self.steps.lock().expect("no panic before");
        let done = act()?;
        steps.push(step);
        Ok(done)
    }
}

impl Disk for Traced {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(Step::CreateFolder(self.inner(folder)), || RealDisk.create_folder(folder))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.step(Step::Create(self.inner(path)), || RealDisk.create(path))
    }

    fn write(&self, file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let step = Step::Write { path: self.inner(path), offset, bytes: bytes.to_owned() };
        self.step(step, || RealDisk.write(file, path, offset, bytes))
    }

    fn sync(&self, _: &File, path: &Path) -> io::Result<()> {
        self.step(Step::Sync(self.inner(path)), || Ok(()))
    }

    fn link(&self, staged: &Path, to: &Path) -> io::Result<()> {
        let step = Step::Link { staged: self.inner(staged), to: self.inner(to) };
        self.step(step, || RealDisk.link(staged, to))
    }

    fn rename(&self, staged: &Path, to: &Path) -> io::Result<()> {
        let step = Step::Rename { staged: self.inner(staged), to: self.inner(to) };
        self.step(step, || RealDisk.rename(staged, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(Step::Remove(self.inner(path)), || RealDisk.remove(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(Step::SyncFolder(self.inner(folder)), || Ok(()))
    }
}

impl Observer for Traced {
    fn settled(&self, _: &str, _: &Tally, _: Option<(u64, u64)>) {
        self.settle();
    }
}
