//! Where an index keeps its entries: in memory up to a bound, on disk beyond it.
//!
//! A store is a cache of a Silver table at a version; the table is the truth. So nothing here is synchronised to the disk:
//! a batch of changes and the mark that says what it leads to are written as one, a crash loses whole batches from the end,
//! and the owner compares [`Store::mark`] with the table and reads what is missing, or everything, again.
//!
//! Keys are the first 16 bytes of a SHA-256 key: two keys of one tenant meet with a chance of one in 2^64 at five
//! thousand million keys, which the 40 % of memory saved is worth; to make two meet on purpose takes 2^64 hashes and hurts
//! only the tenant who does it.

use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};

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
    /// Bytes of entries in memory beyond which the store moves to disk.
    pub memory_bytes_max: usize,
    /// The folder it moves to; deleted and written anew by the move.
    pub folder: PathBuf,
    /// Bytes of blocks that the store on disk caches, and bytes of writes that it gathers.
    pub cache_bytes_max: u64,
}

/// Entries by key, and the mark of the state that they are in.
#[derive(Debug)]
pub struct Store<V> {
    bounds: StoreBounds,
    mark: Option<Vec<u8>>,
    place: Place<V>,
}

enum Place<V> {
    Memory { entries: ByKey<V>, bytes: usize },
    Disk { database: Database, entries: Keyspace },
}

impl<V> Debug for Place<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory { entries, bytes } => write!(f, "Memory({} entries, {bytes} bytes)", entries.len()),
            Self::Disk { .. } => f.write_str("Disk"),
        }
    }
}

/// Where the mark lies on disk; no key is as short.
const MARK: &[u8] = b"mark";

/// What an entry costs in memory beyond its own bytes: its key, its place in the table, its allocation.
const OVERHEAD: usize = 56;

impl<V: AsRef<[u8]>> Store<V> {
    /// A store without entries, in memory.
    pub fn new(bounds: StoreBounds) -> Self {
        Self { bounds, mark: None, place: Place::Memory { entries: ByKey::default(), bytes: 0 } }
    }

    /// What an earlier store left on disk, if it did; else an empty store in memory.
    pub fn open(bounds: StoreBounds) -> Result<Self, StoreError> {
        if !bounds.folder.exists() {
            return Ok(Self::new(bounds));
        }
        let (database, entries) = open(&bounds)?;
        let mark = entries.get(MARK).map_err(|source| disk(&bounds.folder, source))?.map(|mark| mark.to_vec());
        Ok(Self { bounds, mark, place: Place::Disk { database, entries } })
    }

    /// What the owner wrote with the last changes; none before the first [`Self::apply`].
    pub fn mark(&self) -> Option<&[u8]> {
        self.mark.as_deref()
    }

    /// Whether the entries lie on disk.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.place, Place::Disk { .. })
    }

    /// Hands the entry of `key` to `f`.
    pub fn with<R>(&self, key: &Short, f: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, StoreError> {
        match &self.place {
            Place::Memory { entries, .. } => Ok(f(entries.get(key).map(AsRef::as_ref))),
            Place::Disk { entries, .. } => {
                let found = entries.get(key).map_err(|source| disk(&self.bounds.folder, source))?;
                Ok(f(found.as_deref()))
            }
        }
    }

    /// Puts `changes` and `mark` in place, as one.
    pub fn apply(&mut self, mark: Vec<u8>, changes: ByKey<V>) -> Result<(), StoreError> {
        match &mut self.place {
            Place::Memory { entries, bytes } => {
                for (key, value) in changes {
                    *bytes += OVERHEAD + value.as_ref().len();
                    if let Some(before) = entries.insert(key, value) {
                        *bytes -= OVERHEAD + before.as_ref().len();
                    }
                }
                let over = *bytes > self.bounds.memory_bytes_max;
                self.mark = Some(mark);
                if over { self.spill() } else { Ok(()) }
            }
            Place::Disk { database, entries } => {
                let write = || {
                    let mut batch = database.batch();
                    changes.iter().for_each(|(key, value)| batch.insert(entries, key.as_slice(), value.as_ref()));
                    batch.insert(entries, MARK, mark.as_slice());
                    batch.commit()
                };
                write().map_err(|source| disk(&self.bounds.folder, source))?;
                self.mark = Some(mark);
                Ok(())
            }
        }
    }

    /// Removes the entries for which `keep` says no.
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        match &mut self.place {
            Place::Memory { entries, bytes } => {
                entries.retain(|_, value| {
                    let stays = keep(value.as_ref());
                    if !stays {
                        *bytes -= OVERHEAD + value.as_ref().len();
                    }
                    stays
                });
                entries.shrink_to_fit();
                Ok(())
            }
            Place::Disk { entries, .. } => {
                let sweep = || {
                    for entry in entries.iter() {
                        let (key, value) = entry.into_inner()?;
                        if key.len() == size_of::<Short>() && !keep(&value) {
                            entries.remove(key)?;
                        }
                    }
                    Ok(())
                };
                sweep().map_err(|source| disk(&self.bounds.folder, source))
            }
        }
    }

    /// Moves everything to disk. Until the mark is there, which comes last, the folder holds no usable store.
    fn spill(&mut self) -> Result<(), StoreError> {
        let Place::Memory { entries: in_memory, .. } = &mut self.place else { return Ok(()) };
        let folder = self.bounds.folder.clone();
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|source| disk(&folder, source.into()))?;
        }
        let (database, entries) = open(&self.bounds)?;
        let write = || {
            for (key, value) in in_memory.iter() {
                entries.insert(key.as_slice(), value.as_ref())?;
            }
            if let Some(mark) = &self.mark {
                entries.insert(MARK, mark.as_slice())?;
            }
            Ok(())
        };
        write().map_err(|source| disk(&folder, source))?;
        self.place = Place::Disk { database, entries };
        Ok(())
    }
}

fn open(bounds: &StoreBounds) -> Result<(Database, Keyspace), StoreError> {
    let open = || {
        let database = Database::builder(&bounds.folder).cache_size(bounds.cache_bytes_max).worker_threads(1).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(bounds.cache_bytes_max);
        let entries = database.keyspace("entries", options)?;
        Ok((database, entries))
    };
    open().map_err(|source| disk(&bounds.folder, source))
}

fn disk(folder: &Path, source: fjall::Error) -> StoreError {
    StoreError::Disk { path: folder.to_owned(), source }
}
