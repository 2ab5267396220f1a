//! Objects of a lake that are no table's: what the registry keeps under its digests.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode};

use super::{Lake, LakeError};

impl Lake {
    /// Stores an object under a name that says what is in it: one that is there already is the same, and stays.
    /// Durable when it returns.
    pub async fn put_object(&self, path: &str, bytes: Vec<u8>) -> Result<(), LakeError> {
        let object = self.object(path)?;
        match self.objects.put_opts(&object, bytes.into(), PutMode::Create.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(source) => Err(LakeError::Io { what: path.to_owned(), source: source.into() }),
        }
    }

    /// Reads an object.
    pub async fn get_object(&self, path: &str) -> Result<Bytes, LakeError> {
        let failed = |source: object_store::Error| LakeError::Io { what: path.to_owned(), source: source.into() };
        self.objects.get(&self.object(path)?).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    fn object(&self, path: &str) -> Result<Path, LakeError> {
        Ok(self.place(path)?.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_object_is_stored_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path()).unwrap();
        for _ in 0..2 {
            lake.put_object("acme/registry/objects/ab", b"component".to_vec()).await.unwrap();
        }
        assert_eq!(lake.get_object("acme/registry/objects/ab").await.unwrap(), b"component".as_slice());
        let missing = lake.get_object("acme/registry/objects/cd").await.unwrap_err();
        assert!(missing.to_string().contains("acme/registry/objects/cd"), "{missing}");
    }
}
