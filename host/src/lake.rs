//! The Delta tables of every tenant, on any object store. Only this module names deltalake and object_store.
//!
//! A [`Lake`] opens tables; a [`Table`] knows its newest version, commits to exactly the next one and tails the
//! log; a [`Writer`] and a [`Reader`] turn rows into files and back. Nothing here knows what a row means: the
//! schemas of Silver, quarantine and manifests are their owners', Bronze's alone is here. Commits do not go
//! through deltalake, whose cost grows with the number of files in a table; it writes the checkpoints and
//! translates schemas.

mod bronze;
mod commit;
mod log;
mod maintain;
mod objects;
mod parquet;
pub mod quarantine;
mod schema;
mod store;
mod table;

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;
use uuid::Uuid;

pub use self::bronze::{Activation, Bronze, Landed, Landing, Step, Summary};
pub use self::commit::{Commit, CommitError};
pub use self::log::{DataFile, Entry, Statistics};
pub use self::maintain::Policy;
pub use self::parquet::{Encoded, Filter, Keep, Packing, Reader, Scan, Writer};
pub(crate) use self::store::Folders;
pub use self::store::{Disk, LocalStore, RealDisk};
pub use self::table::{Table, TableSpec};

/// What a lake takes from the world besides its objects; a simulation brings its own.
pub trait World: std::fmt::Debug + Send + Sync + 'static {
    /// Microseconds since the epoch.
    fn now(&self) -> i64;
    /// A name that nobody else has.
    fn unique(&self) -> Uuid;
    /// Waits for so long.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock and its random numbers.
#[derive(Debug)]
pub struct RealWorld;

impl World for RealWorld {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn unique(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

/// All tables of all tenants, under one folder or prefix. Clones share it.
#[derive(Clone, Debug)]
pub struct Lake {
    objects: Arc<dyn ObjectStore>,
    local: Option<LocalStore>,
    url: Url,
    world: Arc<dyn World>,
}

impl Lake {
    /// The lake in a local folder, which is made if missing. Every write is on the disk when it returns.
    pub fn open(folder: &FilePath) -> Result<Self, LakeError> {
        Self::on_disk(folder, Arc::new(RealDisk), Arc::new(RealWorld))
    }

    /// As [`Self::open`], over a disk and a world of the caller's.
    pub fn on_disk(folder: &FilePath, disk: Arc<dyn Disk>, world: Arc<dyn World>) -> Result<Self, LakeError> {
        let failed =
            |source: std::io::Error| LakeError::Io { what: folder.display().to_string(), source: source.into() };
        let folder = std::path::absolute(folder).map_err(failed)?;
        let local = LocalStore::new(&folder, disk).map_err(failed)?;
        let url = Url::from_directory_path(&folder).expect("an absolute folder has a URL");
        Ok(Self { objects: Arc::new(local.clone()), local: Some(local), url, world })
    }

    /// The lake at `url` in an object store whose root is that URL's root; `put` with `PutMode::Create` must be
    /// atomic in it, and durable when it returns.
    pub fn over(objects: Arc<dyn ObjectStore>, url: Url, world: Arc<dyn World>) -> Self {
        Self { objects, local: None, url, world }
    }

    /// Where the lake lies, for people and other engines.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The clock and the names that this lake uses.
    pub fn world(&self) -> &Arc<dyn World> {
        &self.world
    }

    /// The table at `path`, such as `acme/silver/order`: made if missing, and given the columns of `spec` that it
    /// lacks. Whatever else differs is an error.
    pub async fn table(&self, path: &str, spec: &TableSpec) -> Result<Table, LakeError> {
        Table::open_or_create(self.place(path)?, spec).await
    }

    /// The table at `path` as it is, for readers; none if there is none.
    pub async fn find(&self, path: &str) -> Result<Option<Table>, LakeError> {
        Table::open(self.place(path)?).await
    }

    /// The names of the tenants that have a folder, in order. A name that no tenant can have is not one's: what the
    /// host keeps for itself begins with `_`.
    pub async fn tenants(&self) -> Result<Vec<String>, LakeError> {
        let mut names = self.folders("").await?;
        names.retain(|name| !name.starts_with('_'));
        Ok(names)
    }

    /// The tables of a tenant by their paths below it, such as `silver/order`, in order.
    pub async fn tables(&self, tenant: &str) -> Result<Vec<String>, LakeError> {
        let (mut tables, mut open) = (vec![], vec![tenant.to_owned()]);
        while let Some(path) = open.pop() {
            let inner = self.folders(&path).await?;
            if inner.iter().any(|name| name == log::FOLDER) {
                tables.extend(path.strip_prefix(tenant).map(|inner| inner.trim_start_matches('/').to_owned()));
            } else {
                open.extend(inner.iter().map(|name| format!("{path}/{name}")));
            }
        }
        tables.sort();
        Ok(tables)
    }

    async fn folders(&self, path: &str) -> Result<Vec<String>, LakeError> {
        let place = self.place(path)?;
        let listed = self.objects.list_with_delimiter(Some(&place.folder)).await;
        let found = listed.map_err(|source| place.io("", source))?.common_prefixes;
        Ok(found.iter().filter_map(|prefix| prefix.filename().map(str::to_owned)).collect())
    }

    fn place(&self, path: &str) -> Result<Place, LakeError> {
        let refused =
            |source: object_store::path::Error| LakeError::Io { what: path.to_owned(), source: source.into() };
        let inner = Path::parse(path).map_err(refused)?;
        let root = Path::from_url_path(self.url.path()).map_err(refused)?;
        let folder = root.parts().chain(inner.parts()).collect();
        let mut url = self.url.clone();
        url.path_segments_mut()
            .expect("a lake's URL has a path")
            .pop_if_empty()
            .extend(inner.parts().map(|part| part.as_ref().to_owned()));
        Ok(Place { lake: self.clone(), name: path.to_owned(), folder, url })
    }
}

/// Where one table lies.
#[derive(Clone, Debug)]
struct Place {
    lake: Lake,
    /// Under the lake, for errors.
    name: String,
    folder: Path,
    url: Url,
}

impl Place {
    fn io(&self, object: &str, source: object_store::Error) -> LakeError {
        let what = if object.is_empty() { self.name.clone() } else { format!("{}/{object}", self.name) };
        LakeError::Io { what, source: source.into() }
    }

    /// Makes the newest names of the log durable, whoever made them: what is read may then be built on.
    async fn settle(&self) -> Result<(), LakeError> {
        match &self.lake.local {
            Some(local) => local
                .settle(&self.folder.clone().join(log::FOLDER))
                .await
                .map_err(|source| self.io(log::FOLDER, source)),
            None => Ok(()),
        }
    }

    /// Every object under the log's folder.
    async fn list_log(&self) -> Result<Vec<object_store::ObjectMeta>, LakeError> {
        let prefix = self.folder.clone().join(log::FOLDER);
        let listed = self.lake.objects.list(Some(&prefix)).try_collect().await;
        listed.map_err(|source| self.io(log::FOLDER, source))
    }
}

/// A table could not be opened, read or maintained.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The store did not do what it was asked; nothing was decided by that.
    #[error("failed to reach `{what}` of the lake")]
    Io {
        /// The table, or an object of it.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An entry of the log is not whole. It is never read as data.
    #[error(
        "entry {version} of table `{table}` is damaged: found {found}, expected a whole Delta commit; \
         restore the file from a backup, or remove it if no later entry exists and its source can be read again"
    )]
    Damaged {
        /// The table.
        table: String,
        /// The version of the entry.
        version: i64,
        /// What was found.
        found: String,
    },
    /// The log lacks an entry that should be there.
    #[error(
        "table `{table}` has no entry {version}: its log begins at {earliest}; open the table again, or rebuild what reads it"
    )]
    Gap {
        /// The table.
        table: String,
        /// The version looked for.
        version: i64,
        /// The earliest entry there is; -1 if none.
        earliest: i64,
    },
    /// The table uses something that not every reader knows, or that would lose progress.
    #[error(
        "table `{table}` has {found}, expected {expected}; somebody altered it: copy it into a plain table or restore it"
    )]
    Unsupported {
        /// The table.
        table: String,
        /// What it has.
        found: String,
        /// What Silversmith works with.
        expected: &'static str,
    },
    /// A column, or the partitioning, differs from what is asked for.
    #[error(
        "table `{table}`: found {what} {found}, expected {expected}; only new nullable columns can be added to a table"
    )]
    Incompatible {
        /// The table.
        table: String,
        /// The column, or what else differs.
        what: String,
        /// What is there.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// A data file could not be encoded or decoded.
    #[error("failed to {doing} a file of table `{table}`")]
    Parquet {
        /// The table.
        table: String,
        /// `write` or `read`.
        doing: &'static str,
        /// Why.
        #[source]
        source: ::parquet::errors::ParquetError,
    },
    /// deltalake could not write a checkpoint. The table is whole without it.
    #[error("failed to write a checkpoint of table `{table}` at version {version}")]
    Checkpoint {
        /// The table.
        table: String,
        /// The version.
        version: i64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A commit that the table itself needed did not get through.
    #[error("failed to create or evolve table `{table}`")]
    Evolve {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: Box<CommitError>,
    },
}

impl LakeError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Checkpoint { .. } => true,
            Self::Damaged { .. }
            | Self::Gap { .. }
            | Self::Unsupported { .. }
            | Self::Incompatible { .. }
            | Self::Parquet { .. } => false,
            Self::Evolve { source, .. } => source.is_retryable(),
        }
    }
}

#[cfg(test)]
mod tests;
