//! Upkeep of one table's log: checkpoints, and removing entries that nobody needs.
//!
//! Owns when each is due. A failure here leaves the table whole and is tried again at the next call; because a
//! checkpoint is due by the log's own state, not by a count kept in memory, a restart does not forget one.

use std::time::Duration;

use deltalake::DeltaTableBuilder;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::log::{FOLDER, entry_name};
use super::{LakeError, Table};

/// When upkeep is due.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Commits between two checkpoints. Fewer make opening faster; each costs time in the number of files.
    pub checkpoint_every: i64,
    /// How long entries are kept at least. No host may sleep longer than this and then commit.
    pub keep: Duration,
    /// Entries above this version are kept: whoever reads the log has got so far.
    pub keep_above: i64,
}

impl Default for Policy {
    /// A checkpoint every 100 commits, entries kept for 30 days, none removed until somebody says how far.
    fn default() -> Self {
        Self { checkpoint_every: 100, keep: Duration::from_secs(30 * 24 * 3600), keep_above: -1 }
    }
}

impl Table {
    /// Writes a checkpoint where one is due, then removes old entries below it. Call it after commits, and on start.
    pub async fn maintain(&mut self, policy: Policy) -> Result<(), LakeError> {
        if self.version() - self.checkpoint.unwrap_or(-1) < policy.checkpoint_every {
            return Ok(());
        }
        self.write_checkpoint().await?;
        self.remove_entries(policy).await
    }

    async fn write_checkpoint(&mut self) -> Result<(), LakeError> {
        let version = self.version();
        let failed =
            |source| LakeError::Checkpoint { table: self.name().to_owned(), version, source: Box::new(source) };
        let (place, url) = (self.place(), self.url().clone());
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(failed)?;
        let builder = builder.with_storage_backend(place.lake.objects.clone(), url).with_version(version as u64);
        let table = builder.load().await.map_err(failed)?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(failed)?;
        self.checkpoint = Some(version);
        Ok(())
    }

    /// Removes entries and checkpoints below the newest checkpoint that nobody needs to look behind.
    async fn remove_entries(&self, policy: Policy) -> Result<(), LakeError> {
        let place = self.place();
        let listing = place.listing().await?;
        let before = place.lake.world.now() / 1000 - i64::try_from(policy.keep.as_millis()).unwrap_or(i64::MAX);
        let Some((base, _)) = listing.checkpoint(policy.keep_above.saturating_add(1)) else { return Ok(()) };
        let log = place.folder.clone().join(FOLDER);
        let entries = listing.entries.range(..base).filter(|(_, (_, modified))| *modified < before);
        let entries = entries.map(|(&version, _)| log.clone().join(entry_name(version)));
        let checkpoints = listing.checkpoints.range(..base).filter(|(_, (_, modified))| *modified < before);
        let old: Vec<Path> = entries.chain(checkpoints.flat_map(|(_, (parts, _))| parts.clone())).collect();
        let removals = futures::stream::iter(old.into_iter().map(Ok)).boxed();
        let removed: Vec<_> = place
            .lake
            .objects
            .delete_stream(removals)
            .try_collect()
            .await
            .map_err(|source| place.io(FOLDER, source))?;
        tracing::debug!(table = place.name, removed = removed.len(), "removed old log entries");
        Ok(())
    }
}
