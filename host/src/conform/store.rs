//! Where an index keeps its entries: the recent ones in memory, the others on disk.
//!
//! Entries gather in memory up to a bound and then move to disk as one sorted run, together with the mark that says what
//! state they lead to: most keys are new, and a run costs a fraction of what as many single writes cost. A store is a cache
//! of a Silver table at a version; the table is the truth. So what is in memory is lost with the process, and the owner
//! compares [`Store::mark`] with the table and reads what is missing, or everything, again.
//!
//! Keys are the first 16 bytes of a SHA-256 key: two keys of one tenant meet with a chance of one in 2^64 at five
//! thousand million keys, which the 40 % of memory saved is worth; to make two meet on purpose takes 2^64 hashes and hurts
//! only the tenant who does it.

use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastbloom::BloomFilter;
use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use hashbrown::HashMap;

use super::canonical::Hash;

/// The part of a key under which an index files its entry.
pub type Short = [u8; 16];

/// The first half of a hash.
pub fn short(hash: &Hash) -> Short {
    hash[..16].try_into().expect("a hash has 32 bytes")
}

/// Entries by key, with a hasher that takes the key as it is: it is a hash.
pub type ByKey<V> = HashMap<Short, V, BuildHasherDefault<Prefix>>;

/// Takes the first eight bytes of a key that is already uniform.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefix(u64);

impl Hasher for Prefix {
    // Called for the length of the array first, which says nothing: the last call counts.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Keeping an index failed; the table it caches is untouched.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder on disk could not be read or written.
    #[error("failed to use the index in `{}`; it is a cache and may be deleted", path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: fjall::Error,
    },
}

/// The bounds of a store.
#[derive(Clone, Debug)]
pub struct StoreBounds {
    /// Bytes of entries in memory beyond which they move to disk.
    pub memory_bytes_max: usize,
    /// The folder they move to; the first move deletes what is there.
    pub folder: PathBuf,
    /// Bytes of blocks on disk that are cached.
    pub cache_bytes_max: u64,
}

/// Entries by key, and the mark of the state that they are in.
pub struct Store<V> {
    bounds: StoreBounds,
    mark: Option<Vec<u8>>,
    recent: ByKey<V>,
    recent_bytes: usize,
    disk: Option<Disk>,
}

/// The sorted runs of earlier entries.
struct Disk {
    entries: Keyspace,
    /// Which keys may be there: most that are asked for are new, and are told so without a look at the runs.
    filter: BloomFilter,
    /// The mark of the newest run.
    mark: Option<Vec<u8>>,
    // Its threads merge runs, until it is dropped.
    _database: Database,
}

impl<V> Debug for Store<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let on_disk = if self.disk.is_some() { " and more on disk" } else { "" };
        write!(f, "Store({} entries, {} bytes{on_disk})", self.recent.len(), self.recent_bytes)
    }
}

/// Where the mark lies on disk: before every key, which has more bytes.
const MARK: &[u8] = &[0];

/// The bits of a filter, and how many of them stand for a key: at eight million keys one new key in seven is looked for in
/// vain, at two million one in five hundred.
const FILTER_BITS: usize = 1 << 25;
const FILTER_HASHES: u32 = 4;

/// Runs that are merged at a time. The filter makes their number matter little, and each merge writes all of them again.
const MERGED_RUNS: u8 = 16;

/// What an entry costs in memory beyond its own bytes: its key, its place in the table, its allocation.
const OVERHEAD: usize = 56;

impl<V: AsRef<[u8]>> Store<V> {
    /// A store without entries, in memory.
    pub fn new(bounds: StoreBounds) -> Self {
        Self { bounds, mark: None, recent: ByKey::default(), recent_bytes: 0, disk: None }
    }

    /// What an earlier store left on disk, if it did; else an empty store in memory.
    pub fn open(bounds: StoreBounds) -> Result<Self, StoreError> {
        if !bounds.folder.exists() {
            return Ok(Self::new(bounds));
        }
        let disk = Disk::open(&bounds).map_err(|source| failed(&bounds.folder, source))?;
        Ok(Self { mark: disk.mark.clone(), disk: Some(disk), ..Self::new(bounds) })
    }

    /// What the owner wrote with the last changes; none before the first [`Self::apply`].
    pub fn mark(&self) -> Option<&[u8]> {
        self.mark.as_deref()
    }

    /// Whether entries lie on disk.
    pub fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Hands the entry of `key` to `f`.
    pub fn with<R>(&self, key: &Short, f: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, StoreError> {
        match (self.recent.get(key), &self.disk) {
            (None, Some(disk)) if disk.filter.contains_hash(prefix(key)) => {
                let found = disk.entries.get(key).map_err(|source| failed(&self.bounds.folder, source))?;
                Ok(f(found.as_deref()))
            }
            (recent, _) => Ok(f(recent.map(AsRef::as_ref))),
        }
    }

    /// Puts `changes` and `mark` in place, as one.
    pub fn apply(&mut self, mark: Vec<u8>, changes: ByKey<V>) -> Result<(), StoreError> {
        for (key, value) in changes {
            self.recent_bytes += OVERHEAD + value.as_ref().len();
            if let Some(before) = self.recent.insert(key, value) {
                self.recent_bytes -= OVERHEAD + before.as_ref().len();
            }
        }
        self.mark = Some(mark);
        if self.recent_bytes > self.bounds.memory_bytes_max { self.spill() } else { Ok(()) }
    }

    /// Removes the entries for which `keep` says no.
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        self.recent.retain(|_, value| {
            let stays = keep(value.as_ref());
            if !stays {
                self.recent_bytes -= OVERHEAD + value.as_ref().len();
            }
            stays
        });
        match &self.disk {
            Some(disk) => disk.retain(keep).map_err(|source| failed(&self.bounds.folder, source)),
            None => Ok(()),
        }
    }

    /// Writes what is in memory to disk, if the store lies there: the next owner then reads nothing again.
    pub fn persist(&mut self) -> Result<(), StoreError> {
        match &self.disk {
            Some(disk) if disk.mark != self.mark => self.spill(),
            _ => Ok(()),
        }
    }

    /// Moves what is in memory to disk, with its mark.
    fn spill(&mut self) -> Result<(), StoreError> {
        let folder = &self.bounds.folder;
        let mut disk = match self.disk.take() {
            Some(disk) => disk,
            None => Disk::create(&self.bounds).map_err(|source| failed(folder, source))?,
        };
        let mark = self.mark.as_deref().expect("entries come with a mark, on disk and in memory");
        let mut run: Vec<(Short, V)> = self.recent.drain().collect();
        run.sort_unstable_by_key(|(key, _)| *key);
        self.recent_bytes = 0;
        disk.add(mark, &run).map_err(|source| failed(folder, source))?;
        self.disk = Some(disk);
        Ok(())
    }
}

impl Disk {
    fn create(bounds: &StoreBounds) -> Result<Self, fjall::Error> {
        if bounds.folder.exists() {
            std::fs::remove_dir_all(&bounds.folder)?;
        }
        Self::open(bounds)
    }

    fn open(bounds: &StoreBounds) -> Result<Self, fjall::Error> {
        let database = Database::builder(&bounds.folder).cache_size(bounds.cache_bytes_max).worker_threads(1).open()?;
        let merging = Arc::new(Leveled::default().with_l0_threshold(MERGED_RUNS));
        let options = || KeyspaceCreateOptions::default().compaction_strategy(merging);
        let entries = database.keyspace("entries", options)?;
        let mut filter = BloomFilter::with_num_bits(FILTER_BITS).hashes(FILTER_HASHES);
        for entry in entries.iter() {
            if let Some(key) = entry.key()?.first_chunk() {
                filter.insert_hash(prefix(key));
            }
        }
        let mark = entries.get(MARK)?.map(|mark| mark.to_vec());
        Ok(Self { entries, filter, mark, _database: database })
    }

    /// Adds `run`, which is sorted, and `mark`, as one.
    fn add<V: AsRef<[u8]>>(&mut self, mark: &[u8], run: &[(Short, V)]) -> Result<(), fjall::Error> {
        let mut ingestion = self.entries.start_ingestion()?;
        ingestion.write(MARK, mark)?;
        for (key, value) in run {
            ingestion.write(key.as_slice(), value.as_ref())?;
            self.filter.insert_hash(prefix(key));
        }
        ingestion.finish()?;
        self.mark = Some(mark.to_vec());
        Ok(())
    }

    fn retain(&self, keep: impl Fn(&[u8]) -> bool) -> Result<(), fjall::Error> {
        let mut ingestion = self.entries.start_ingestion()?;
        for entry in self.entries.iter() {
            let (key, value) = entry.into_inner()?;
            if &*key != MARK && !keep(&value) {
                ingestion.write_tombstone(key)?;
            }
        }
        ingestion.finish()
    }
}

/// The half of a key that the filter takes: a hash already.
fn prefix(key: &Short) -> u64 {
    u64::from_le_bytes(*key.last_chunk().expect("a key has 16 bytes"))
}

fn failed(folder: &Path, source: fjall::Error) -> StoreError {
    StoreError::Disk { path: folder.to_owned(), source }
}
