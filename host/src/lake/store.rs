//! Where objects lie, and the promise that what was written survives a power loss.
//!
//! Owns the object store of a lake and, for a local folder, every step of a write: stage, sync, link or rename,
//! sync the folder. It does not know Delta. A file gets its name only after its bytes were synced, so no crash
//! leaves a torn object behind; object_store 0.13 syncs nothing, which is why its local writes are replaced here
//! and only its reads are used.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path as FilePath, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::mutant::{Safeguard, without};

/// The steps that every local write is made of: each is a point where a disk may fail or a machine may stop.
///
/// The methods do the real thing; a test replaces those it wants to watch or to break.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes one folder; one that is there already is fine.
    fn create_folder(&self, folder: &FilePath) -> io::Result<()> {
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    /// Makes a file that must not exist yet.
    fn create(&self, path: &FilePath) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    /// Writes all of `bytes` at `offset`.
    fn write(&self, file: &File, _path: &FilePath, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Returns when the file's bytes and length are on the disk.
    fn sync(&self, file: &File, _path: &FilePath) -> io::Result<()> {
        file.sync_data()
    }

    /// Gives `staged` the name `to` as well, unless that is taken.
    fn link(&self, staged: &FilePath, to: &FilePath) -> io::Result<()> {
        std::fs::hard_link(staged, to)
    }

    /// Moves `staged` to `to`, replacing what was there.
    fn rename(&self, staged: &FilePath, to: &FilePath) -> io::Result<()> {
        std::fs::rename(staged, to)
    }

    /// Removes a staged file.
    fn remove(&self, path: &FilePath) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    /// Returns when the names in the folder are on the disk.
    fn sync_folder(&self, folder: &FilePath) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The machine's own disk.
#[derive(Debug)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// An object store on the local file system whose every write is durable when it returns.
#[derive(Clone, Debug)]
pub struct LocalStore {
    reads: Arc<LocalFileSystem>,
    folders: Arc<Folders>,
}

/// Folders, and which of them are known to be on the disk themselves.
#[derive(Debug)]
pub(crate) struct Folders {
    disk: Arc<dyn Disk>,
    durable: Mutex<HashSet<PathBuf>>,
}

impl LocalStore {
    /// A store whose root is the root of the file system, for a lake in `folder`, which is made if missing.
    pub fn new(folder: &FilePath, disk: Arc<dyn Disk>) -> io::Result<Self> {
        Ok(Self { reads: Arc::new(LocalFileSystem::new()), folders: Arc::new(Folders::new(folder, disk)?) })
    }

    /// Makes the names under `prefix` durable, those that another process made included.
    pub async fn settle(&self, prefix: &Path) -> Result<()> {
        let (folders, folder) = (self.folders.clone(), self.reads.path_to_filesystem(prefix)?);
        blocking(move || folders.disk.sync_folder(&folder)).await
    }
}

impl Folders {
    /// With `folder`, made if missing, and durable however it came to be.
    pub(crate) fn new(folder: &FilePath, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let folder = std::path::absolute(folder)?;
        let there = folder.ancestors().skip(1).find(|above| above.exists());
        if let Some(parent) = there.and_then(FilePath::parent) {
            // A host may have made this one and died before the sync. What lies further above is the machine's own, and so
            // is what only others may look into.
            match disk.sync_folder(parent) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                done => done?,
            }
        }
        let folders = Self { disk, durable: Mutex::new(there.map(FilePath::to_owned).into_iter().collect()) };
        folders.ensure(&folder)?;
        Ok(folders)
    }

    /// Makes `folder` and all above it, each named durably in its parent.
    fn ensure(&self, folder: &FilePath) -> io::Result<()> {
        let known = self.lock().contains(folder);
        let Some(parent) = folder.parent().filter(|_| !known) else { return Ok(()) };
        self.ensure(parent)?;
        self.disk.create_folder(folder)?;
        // Also where it was there: whoever made it may have died before the sync.
        self.disk.sync_folder(parent)?;
        self.lock().insert(folder.to_owned());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().expect("no panic happens while the set is held: only lookups and inserts do")
    }

    fn stage(&self, to: &FilePath) -> io::Result<Staged> {
        static RUNNING: AtomicU64 = AtomicU64::new(0);
        let parent = to.parent().expect("an object has a name under the root: Path has at least one segment");
        self.ensure(parent)?;
        // `LocalFileSystem` does not list names that end in `#` and digits. After a crash another process may find
        // leftovers of a process with its own identifier, hence the search for a free name.
        loop {
            let running = RUNNING.fetch_add(1, Ordering::Relaxed);
            let mut path = to.as_os_str().to_owned();
            path.push(format!("#{}{running:06}", process::id()));
            let path = PathBuf::from(path);
            match self.disk.create(&path) {
                Ok(file) => return Ok(Staged { file, path, to: to.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A file being written, not visible as an object yet.
#[derive(Debug)]
struct Staged {
    file: File,
    path: PathBuf,
    to: PathBuf,
}

impl Staged {
    /// Gives the file its name, in the one order that survives a crash after every step.
    fn publish(&self, disk: &dyn Disk, mode: &PutMode) -> io::Result<()> {
        if !without(Safeguard::FileSync) {
            disk.sync(&self.file, &self.path)?;
        }
        let named = match mode {
            PutMode::Create => disk.link(&self.path, &self.to),
            PutMode::Overwrite | PutMode::Update(_) => disk.rename(&self.path, &self.to),
        };
        match &named {
            // The object exists: a leftover staging name takes a folder entry, nothing else.
            Ok(()) if *mode == PutMode::Create => drop(disk.remove(&self.path)),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return named,
            _ => {}
        }
        // Of a name that was taken, too: who made it may have died before this, and who is told of it builds on it.
        if !without(Safeguard::FolderSync) {
            disk.sync_folder(self.to.parent().expect("an object lies in a folder: stage() made it"))?;
        }
        named
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|source| Error::JoinError { source })?;
    done.map_err(|source| Error::Generic { store: "local disk", source: Box::new(source) })
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("durable local disk")
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (folders, to) = (self.folders.clone(), self.reads.path_to_filesystem(location)?);
        let taken = to.display().to_string();
        let put = blocking(move || {
            let staged = folders.stage(&to)?;
            let disk = folders.disk.as_ref();
            let mut offset = 0;
            let written = payload.iter().try_for_each(|part| {
                disk.write(&staged.file, &staged.path, offset, part)?;
                offset += part.len() as u64;
                Ok(())
            });
            let published = written.and_then(|()| staged.publish(disk, &opts.mode));
            if published.is_err() {
                // After a rename there is nothing left to remove, and a full disk may refuse: the error is told either way.
                drop(disk.remove(&staged.path));
            }
            match published {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Err(error)),
                done => done.map(Ok),
            }
        });
        match put.await? {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(source) => Err(Error::AlreadyExists { path: taken, source: Box::new(source) }),
        }
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let (folders, to) = (self.folders.clone(), self.reads.path_to_filesystem(location)?);
        let disk = folders.disk.clone();
        let staged = blocking(move || folders.stage(&to)).await?;
        Ok(Box::new(Upload { disk, staged: Arc::new(staged), offset: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.reads.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.reads.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        // Nothing in a lake is copied; a copy that is not synced would break the promise of this module.
        Err(Error::NotImplemented { operation: format!("copying `{from}`"), implementer: self.to_string() })
    }
}

/// A file written in parts; it appears when complete.
#[derive(Debug)]
struct Upload {
    disk: Arc<dyn Disk>,
    staged: Arc<Staged>,
    offset: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (disk, staged, mut offset) = (self.disk.clone(), self.staged.clone(), self.offset);
        self.offset += payload.content_length() as u64;
        blocking(move || {
            payload.iter().try_for_each(|part| {
                disk.write(&staged.file, &staged.path, offset, part)?;
                offset += part.len() as u64;
                Ok(())
            })
        })
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (disk, staged) = (self.disk.clone(), self.staged.clone());
        blocking(move || staged.publish(disk.as_ref(), &PutMode::Overwrite)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let (disk, staged) = (self.disk.clone(), self.staged.clone());
        blocking(move || disk.remove(&staged.path)).await
    }
}
