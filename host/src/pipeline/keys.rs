//! Secrets of the host: the key of digests, and the keys of tokens of tenants that bring none.
//!
//! Each is a file of 32 bytes that only the host's user may read, made from the system's random numbers when it is
//! first needed. Whoever holds the folder can recompute digests and tokens; keep it with the auditors, not with the
//! consumers of the lake.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of keys.
#[derive(Clone, Debug)]
pub struct Keys(PathBuf);

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
        Self(folder)
    }

    /// The host's own key `name`, made if it is not there.
    pub fn own(&self, name: &str) -> Result<[u8; 32], KeyError> {
        let path = self.0.join(format!("{name}.key"));
        let failed = |source| KeyError { path: path.clone(), found: None, source: Some(source) };
        match fs::read(&path) {
            Ok(bytes) => bytes.as_slice().try_into().map_err(|_| KeyError {
                path: path.clone(),
                found: Some(bytes.len()),
                source: None,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(&path).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    /// The key that a tenant keeps in `file`.
    pub fn of_tenant(&self, file: &Path) -> Result<Vec<u8>, KeyError> {
        let failed = |found, source| KeyError { path: file.to_owned(), found, source };
        let bytes = fs::read(file).map_err(|error| failed(None, Some(error)))?;
        if bytes.len() < 16 { Err(failed(Some(bytes.len()), None)) } else { Ok(bytes) }
    }

    fn make(&self, path: &Path) -> io::Result<[u8; 32]> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let mut key = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        // Whole before it has its name: two hosts that start together agree on one.
        let staged = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        file.write_all(&key)?;
        file.sync_all()?;
        let linked = fs::hard_link(&staged, path);
        fs::remove_file(&staged)?;
        fs::File::open(&self.0)?.sync_all()?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::File::open(path)?.read_exact(&mut key)?;
                Ok(key)
            }
            done => done.map(|()| key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
