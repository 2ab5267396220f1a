//! How far each file was read, and what proves it later.
//!
//! A [`Consumed`] is the account of one file: it travels in the evidence of Bronze commits and is all that a
//! resume needs. It opens nothing and judges nothing; `reader` does. The digest of what was consumed is a chain
//! over blocks of fixed size and not one running hash, so that its state is 32 bytes: a reader that trusts the
//! file's facts takes up in the middle of a large file after reading one block.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The bytes of one link of the chain: what a resume reads again at most, and enough for BLAKE3 to run wide.
pub(super) const BLOCK_BYTES: u64 = 1 << 20;

/// Younger files may change again without a change of their times, which have the granularity of a clock tick.
const SETTLED_NS: i64 = 2_000_000_000;

/// What the file system says of a file. As long as it says the same, the content is taken to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Bytes on disk.
    pub(super) size: u64,
    /// When the content was changed last, nanoseconds since the epoch.
    pub(super) modified: i64,
    /// When content or attributes were changed last, nanoseconds since the epoch; nobody can set it.
    pub(super) changed: i64,
    /// The file behind the name.
    pub(super) inode: u64,
}

impl Facts {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Whether the file was left alone for long enough that another change would show.
    ///
    /// The clock only decides how much is hashed again, never what is new.
    pub(super) fn settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        now.abs_diff(self.changed) >= SETTLED_NS as u64
    }
}

/// Where reading a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reached {
    /// More records are in the file.
    Middle,
    /// The file had nothing more.
    End,
    /// The file had nothing more but a line without its end, which is not consumed.
    Partial,
    /// The file had nothing more, and its last line, though without a line end, was taken as a record.
    Unterminated,
}

/// The account of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Consumed {
    /// Bytes consumed, decompressed.
    pub(super) bytes: u64,
    /// Lines consumed, empty ones included; 1 for a document.
    pub(super) lines: u64,
    /// Where reading stands.
    pub(super) reached: Reached,
    /// The chain up to the last whole block.
    #[serde(with = "hex")]
    pub(super) chain: blake3::Hash,
    /// The digest of all that was consumed: the chain and the bytes of the block begun.
    #[serde(with = "hex")]
    pub(super) digest: blake3::Hash,
    /// The file's facts under which all of it was verified; none where they cannot be relied on.
    pub(super) facts: Option<Facts>,
}

/// The evidence of a batch, for the files that it touched, or of all batches so far, for all files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    /// The running number of the record that comes next.
    pub(super) next: i64,
    /// The accounts by path.
    pub(super) files: BTreeMap<String, Consumed>,
}

/// The digest of a prefix, as it grows.
#[derive(Debug)]
pub(super) struct Prefix {
    bytes: u64,
    chain: blake3::Hash,
    block: blake3::Hasher,
}

impl Prefix {
    /// Of nothing.
    pub(super) fn empty() -> Self {
        Self::at_block(0, blake3::Hash::from_bytes([0; 32]))
    }

    /// Of `bytes` bytes, a whole number of blocks, whose chain is `chain`.
    pub(super) fn at_block(bytes: u64, chain: blake3::Hash) -> Self {
        debug_assert_eq!(bytes % BLOCK_BYTES, 0);
        Self { bytes, chain, block: blake3::Hasher::new_keyed(chain.as_bytes()) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn chain(&self) -> blake3::Hash {
        self.chain
    }

    pub(super) fn digest(&self) -> blake3::Hash {
        self.block.finalize()
    }

    pub(super) fn update(&mut self, mut more: &[u8]) {
        while !more.is_empty() {
            let room = (BLOCK_BYTES - self.bytes % BLOCK_BYTES) as usize;
            let (now, rest) = more.split_at(room.min(more.len()));
            self.block.update(now);
            self.bytes += now.len() as u64;
            more = rest;
            if self.bytes.is_multiple_of(BLOCK_BYTES) {
                *self = Self::at_block(self.bytes, self.block.finalize());
            }
        }
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hash.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<blake3::Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&text)
            .map_err(|_| serde::de::Error::custom(format!("found digest `{text}`, expected 64 hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_does_not_depend_on_how_it_came(cuts in prop::collection::vec(0usize..3 << 20, 0..6)) {
            let bytes: Vec<u8> = (0..5 << 19).map(|i: u32| (i % 251) as u8).collect();
            let mut at: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            at.sort_unstable();
            let (mut whole, mut parts) = (Prefix::empty(), Prefix::empty());
            whole.update(&bytes);
            for pair in at.windows(2) {
                parts.update(&bytes[pair[0]..pair[1]]);
            }
            prop_assert_eq!((whole.bytes(), whole.chain(), whole.digest()), (parts.bytes(), parts.chain(), parts.digest()));
        }
    }

    #[test]
    fn a_prefix_goes_on_from_its_last_whole_block() {
        let bytes = vec![7; BLOCK_BYTES as usize + 5];
        let mut whole = Prefix::empty();
        whole.update(&bytes);
        let mut rest = Prefix::at_block(BLOCK_BYTES, whole.chain());
        rest.update(&bytes[BLOCK_BYTES as usize..]);
        assert_eq!((rest.digest(), rest.bytes()), (whole.digest(), whole.bytes()));
    }

    #[test]
    fn a_change_in_an_early_block_changes_the_digest() {
        let mut bytes = vec![7; 2 * BLOCK_BYTES as usize + 5];
        let digest = |bytes: &[u8]| {
            let mut prefix = Prefix::empty();
            prefix.update(bytes);
            prefix.digest()
        };
        let before = digest(&bytes);
        bytes[3] = 8;
        assert_ne!(digest(&bytes), before);
    }
}
