//! Secrets of the host: the key of digests, and the keys of tokens of tenants that bring none.
//!
//! Each is a file of 32 bytes that only the host's user may read, made from the system's random numbers when it is
//! first needed. Whoever holds the folder can recompute digests and tokens; keep it with the auditors, not with the
//! consumers of the lake.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::lake::{Disk, Folders, RealDisk};

/// A folder of keys.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

/// A key could not be read or made.
#[derive(Debug, thiserror::Error)]
#[error("failed to use the key `{}`{}", path.display(), found.map_or(String::new(), |found| format!(": found {found} bytes, expected at least 16")))]
pub struct KeyError {
    path: PathBuf,
    found: Option<usize>,
    #[source]
    source: Option<io::Error>,
}

impl Keys {
    /// The keys in `folder`, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self::on_disk(folder, Arc::new(RealDisk))
    }

    /// As [`Self::new`], over a disk of the caller's.
    pub fn on_disk(folder: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { folder, disk }
    }

    /// The host's own key `name`, made if it is not there. It is on the disk when this returns: what is made with a key is
    /// worth nothing without it.
    pub fn own(&self, name: &str) -> Result<[u8; 32], KeyError> {
        let path = self.folder.join(format!("{name}.key"));
        let bytes = self.read_or_make(&path);
        let bytes = bytes.map_err(|source| KeyError { path: path.clone(), found: None, source: Some(source) })?;
        let found = Some(bytes.len());
        bytes.try_into().map_err(|_| KeyError { path, found, source: None })
    }

    /// The key that a tenant keeps in `file`.
    pub fn of_tenant(&self, file: &Path) -> Result<Vec<u8>, KeyError> {
        let failed = |found, source| KeyError { path: file.to_owned(), found, source };
        let bytes = fs::read(file).map_err(|error| failed(None, Some(error)))?;
        if bytes.len() < 16 { Err(failed(Some(bytes.len()), None)) } else { Ok(bytes) }
    }

    fn read_or_make(&self, path: &Path) -> io::Result<Vec<u8>> {
        let is_new = !self.folder.exists();
        Folders::new(&self.folder, Arc::clone(&self.disk))?;
        if is_new {
            fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        }
        let there = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make(path)?;
                fs::read(path)?
            }
            read => read?,
        };
        // Also where it was there: whoever made it may have died before the sync.
        self.disk.sync_folder(&self.folder)?;
        Ok(there)
    }

    /// Makes the file of a key, unless somebody else does meanwhile.
    fn make(&self, path: &Path) -> io::Result<()> {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        // Whole before it has its name: hosts that start together agree on one. Their process ids may be the same.
        let staged = path.with_extension(format!("{}.new", Uuid::new_v4()));
        let file = self.disk.create(&staged)?;
        let write = || {
            // Syncing bytes need not take the mode along.
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.sync_all()?;
            self.disk.write(&file, &staged, 0, &key)?;
            self.disk.sync(&file, &staged)?;
            self.disk.link(&staged, path)
        };
        let written = write();
        drop(self.disk.remove(&staged));
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(folder.path().join("keys"));
        let key = keys.own("digest").unwrap();
        assert_eq!((keys.own("digest").unwrap(), key == keys.own("other").unwrap()), (key, false));
        let mode = fs::metadata(folder.path().join("keys/digest.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_short_key_of_a_tenant_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pii.key");
        fs::write(&file, "secret").unwrap();
        let error = Keys::new(folder.path().to_owned()).of_tenant(&file).unwrap_err().to_string();
        assert!(error.contains("found 6 bytes, expected at least 16"), "{error}");
    }
}
