//! The records of one call, as the plugin reads them.

use super::{BronzeBatch, BytesColumn};

/// Records in order, borrowed from what the host sent. Indexes beyond [`Batch::len`] panic.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    inner: &'a BronzeBatch,
}

impl<'a> Batch<'a> {
    /// Reads `inner`, whose offsets the host vouches for.
    pub fn new(inner: &'a BronzeBatch) -> Self {
        Self { inner }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.inner.offsets.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of record `index`, or none for a tombstone.
    pub fn payload(&self, index: usize) -> Option<&'a [u8]> {
        let tombstone = self.inner.tombstones.as_ref().is_some_and(|bits| is_set(bits, index));
        let bytes = cut(&self.inner.offsets, &self.inner.payload, index);
        (!tombstone).then_some(bytes)
    }

    /// Property `column`, counted as in the descriptor, of record `index`, or none where the record lacks it.
    pub fn property(&self, column: usize, index: usize) -> Option<&'a [u8]> {
        let BytesColumn { offsets, data, validity } = &self.inner.properties[column];
        let valid = validity.as_ref().is_none_or(|bits| is_set(bits, index));
        valid.then(|| cut(offsets, data, index))
    }
}

fn cut<'a>(offsets: &[u32], data: &'a [u8], index: usize) -> &'a [u8] {
    &data[offsets[index] as usize..offsets[index + 1] as usize]
}

fn is_set(bits: &[u8], index: usize) -> bool {
    bits[index / 8] >> (index % 8) & 1 == 1
}
