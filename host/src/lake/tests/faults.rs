//! A store and a disk that fail on command, and count what is asked of them.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::*;

/// What becomes of a put of a log entry that returns an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Nothing.
    BeforeEffect,
    /// The entry is there all the same.
    AfterSuccess,
    /// The entry appears when [`Faults::land_late`] is called.
    Late,
}

/// An in-memory store whose next puts of log entries fail as told.
#[derive(Debug)]
pub(super) struct Faults {
    inner: InMemory,
    next: Mutex<VecDeque<Fault>>,
    late: Mutex<Vec<(Path, PutPayload)>>,
    pub(super) requests: AtomicUsize,
}

impl Faults {
    pub(super) fn new(inner: InMemory) -> Arc<Self> {
        Arc::new(Self { inner, next: Mutex::default(), late: Mutex::default(), requests: AtomicUsize::new(0) })
    }

    pub(super) fn next_entry(&self, faults: &[Fault]) {
        self.next.lock().expect("no panic before").extend(faults);
    }

    pub(super) async fn land_late(&self) {
        let late = std::mem::take(&mut *self.late.lock().expect("no panic before"));
        for (path, payload) in late {
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.inner.put_opts(&path, payload, create).await.expect("nobody took the version");
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that fails on command")
    }
}

#[async_trait]
impl ObjectStore for Faults {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = location
            .as_ref()
            .ends_with(".json")
            .then(|| self.next.lock().expect("no panic before").pop_front())
            .flatten();
        match fault {
            None => return self.inner.put_opts(location, payload, opts).await,
            Some(Fault::BeforeEffect) => {}
            Some(Fault::AfterSuccess) => _ = self.inner.put_opts(location, payload, opts).await?,
            Some(Fault::Late) => self.late.lock().expect("no panic before").push((location.clone(), payload)),
        }
        Err(Error::Generic { store: "faults", source: "the answer was lost".into() })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// The real disk, its steps noted; from a given step on, every one fails.
#[derive(Debug)]
pub(super) struct Watched {
    steps: Mutex<Vec<(&'static str, PathBuf)>>,
    left: AtomicI64,
}

impl Default for Watched {
    fn default() -> Self {
        Self { steps: Mutex::default(), left: AtomicI64::new(i64::MAX) }
    }
}

impl Watched {
    /// The steps since the last call.
    pub(super) fn take(&self) -> Vec<(&'static str, PathBuf)> {
        std::mem::take(&mut self.steps.lock().expect("no panic before"))
    }

    /// Lets this many more steps through; all if none.
    pub(super) fn fail_from(&self, step: Option<i64>) {
        self.left.store(step.unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    fn step(&self, kind: &'static str, path: &FilePath) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.steps.lock().expect("no panic before").push((kind, path.to_owned()));
        Ok(())
    }
}

impl Disk for Watched {
    fn create(&self, path: &FilePath) -> io::Result<File> {
        self.step("create", path)?;
        RealDisk.create(path)
    }

    fn write(&self, file: &File, path: &FilePath, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step("write", path)?;
        RealDisk.write(file, path, offset, bytes)
    }

    fn sync(&self, file: &File, path: &FilePath) -> io::Result<()> {
        self.step("sync", path)?;
        RealDisk.sync(file, path)
    }

    fn link(&self, staged: &FilePath, to: &FilePath) -> io::Result<()> {
        self.step("link", to)?;
        RealDisk.link(staged, to)
    }

    fn rename(&self, staged: &FilePath, to: &FilePath) -> io::Result<()> {
        self.step("rename", to)?;
        RealDisk.rename(staged, to)
    }

    fn remove(&self, path: &FilePath) -> io::Result<()> {
        self.step("remove", path)?;
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &FilePath) -> io::Result<()> {
        self.step("sync_folder", folder)?;
        RealDisk.sync_folder(folder)
    }
}
