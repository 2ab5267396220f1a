//! Compiled components, kept so that a restart compiles nothing.
//!
//! Compiled code is native code: whoever can write here can run it. So the folder belongs to the host's user
//! alone (mode 0700, checked at start), nothing else is ever loaded, and a checksum of key and content tells a
//! torn or foreign file from one of ours. The key is the component's digest and that of the engine's settings.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const CHECKSUM: usize = blake3::OUT_LEN;

/// The folder of compiled components of one engine.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// The compatibility of compiled code: version, settings, processor.
    engine: u64,
    /// Numbers the files being written.
    next: AtomicU64,
}

/// The folder is not fit to hold compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It could not be made or read.
    #[error("failed to use `{}` as the cache of compiled plugins", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may write to it.
    #[error("found mode {mode:04o} on `{}`, expected 0700: run `chmod 700` on it, or name another folder", folder.display())]
    Shared {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("found `{}` owned by user {owner}, expected {user}, who runs this: name another folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
}

impl Cache {
    /// The cache in `folder`, made where it is missing.
    pub(super) fn open(folder: &Path, engine: u64) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let cache = Self { folder: folder.to_owned(), engine, next: AtomicU64::new(0) };
        let metadata = fs::metadata(folder).map_err(io)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(CacheError::Shared { folder: folder.to_owned(), mode });
        }
        // A file of ours tells who we are without a call that the standard library lacks.
        let probe = cache.temporary();
        let user = File::create_new(&probe).and_then(|file| file.metadata()).map_err(io)?.uid();
        fs::remove_file(&probe).map_err(io)?;
        if metadata.uid() != user {
            return Err(CacheError::Foreign { folder: folder.to_owned(), owner: metadata.uid(), user });
        }
        Ok(cache)
    }

    /// A path in the folder that nobody else uses.
    pub(super) fn temporary(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!(".{}-{:p}-{number}.tmp", std::process::id(), self))
    }

    /// The compiled form of the component with `digest`, where it is there and whole.
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(digest)).ok()?;
        let (checksum, code) = bytes.split_at_checked(CHECKSUM)?;
        if self.checksum(digest, code).as_slice() != checksum {
            return None;
        }
        bytes.drain(..CHECKSUM);
        Some(bytes)
    }

    /// Keeps `code` as the compiled form of the component with `digest`.
    pub(super) fn put(&self, digest: &[u8; 32], code: &[u8]) -> io::Result<()> {
        let temporary = self.temporary();
        let written = File::create_new(&temporary).and_then(|mut file| {
            file.write_all(self.checksum(digest, code).as_slice())?;
            file.write_all(code)?;
            fs::rename(&temporary, self.path(digest))
        });
        if written.is_err() {
            // The file may not even be there: what matters is the first error.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        let digest = blake3::Hash::from_bytes(*digest);
        self.folder.join(format!("{}-{:016x}.compiled", digest.to_hex(), self.engine))
    }

    fn checksum(&self, digest: &[u8; 32], code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(digest).update(&self.engine.to_le_bytes()).update(code);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_put_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("a/b"), 7).unwrap();
        cache.put(&[1; 32], b"code").unwrap();
        assert_eq!(cache.get(&[1; 32]).as_deref(), Some(&b"code"[..]));
        assert_eq!(cache.get(&[2; 32]), None);
        let other = Cache::open(&folder.path().join("a/b"), 8).unwrap();
        assert_eq!(other.get(&[1; 32]), None, "another engine has other code");
        // Renamed to another digest, torn, or changed: as good as missing.
        fs::copy(cache.path(&[1; 32]), cache.path(&[2; 32])).unwrap();
        assert_eq!(cache.get(&[2; 32]), None);
        let whole = fs::read(cache.path(&[1; 32])).unwrap();
        for end in 0..whole.len() {
            fs::write(cache.path(&[1; 32]), &whole[..end]).unwrap();
            assert_eq!(cache.get(&[1; 32]), None);
        }
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let error = Cache::open(folder.path(), 7).unwrap_err().to_string();
        assert!(error.starts_with("found mode 0750 on `"), "{error}");
    }
}
