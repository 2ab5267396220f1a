//! Order-independent digests of multisets, for the identities of the proof.
//!
//! A [`Sum`] is a count and the sum modulo 2^256 of one keyed BLAKE3 hash for each element. Sums of parts add
//! up to the sum of the whole, whatever the order or the layout of files, so an auditor recomputes one from
//! the tables alone. The elements are unique by construction (a position and a row index are in each), and
//! the key is held by host and auditor only: without it nobody can choose elements whose hashes cancel.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The key under which elements are hashed; one a lake.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash of one element, given as parts; each part is framed by its length.
    pub fn element(&self, parts: &[&[u8]]) -> Sum {
        // One short text, hashed at once: a hasher that is fed part by part costs twice as much.
        let mut text = Vec::with_capacity(parts.iter().map(|part| 4 + part.len()).sum());
        for part in parts {
            text.extend_from_slice(&(part.len() as u32).to_le_bytes());
            text.extend_from_slice(part);
        }
        Sum::of(*blake3::keyed_hash(&self.0, &text).as_bytes())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

/// The digest of a multiset: how many elements, and the sum of their hashes modulo 2^256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many elements.
    pub count: u64,
    /// Little endian limbs of the sum.
    limbs: [u64; 4],
}

impl Sum {
    fn of(hash: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(hash.chunks_exact(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().expect("chunks_exact(8) gives 8 bytes"));
        }
        Self { count: 1, limbs }
    }

    /// The sum as 64 lower-case hexadecimal digits, most significant first.
    pub fn hex(&self) -> String {
        self.limbs.iter().rev().map(|limb| format!("{limb:016x}")).collect()
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        let mut carry = false;
        for (limb, more) in self.limbs.iter_mut().zip(other.limbs) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first | second);
        }
    }
}

impl Add for Sum {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Self>>(elements: I) -> Self {
        elements.fold(Self::default(), Self::add)
    }
}

/// `<count>:<hex>`.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.count, self.hex())
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("found digest `{text}`, expected `<count>:<64 hexadecimal digits>`"))
        })
    }
}

fn parse(text: &str) -> Option<Sum> {
    let (count, hex) = text.split_once(':')?;
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut limbs = [0; 4];
    for (i, limb) in limbs.iter_mut().rev().enumerate() {
        *limb = u64::from_str_radix(&hex[i * 16..(i + 1) * 16], 16).ok()?;
    }
    Some(Sum { count: count.parse().ok()?, limbs })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(elements: &[Vec<u8>]) -> Sum {
        let key = DigestKey::new([7; 32]);
        elements.iter().map(|element| key.element(&[element])).sum()
    }

    proptest! {
        #[test]
        fn a_sum_ignores_order_and_adds_up(elements: Vec<Vec<u8>>, cut: prop::sample::Index) {
            let at = cut.index(elements.len() + 1);
            prop_assert_eq!(sum(&elements[..at]) + sum(&elements[at..]), sum(&elements));
            let reversed: Vec<_> = elements.iter().rev().cloned().collect();
            prop_assert_eq!(sum(&reversed), sum(&elements));
        }

        #[test]
        fn a_sum_survives_its_text(elements: Vec<Vec<u8>>) {
            let sum = sum(&elements);
            prop_assert_eq!(parse(&sum.to_string()), Some(sum));
        }
    }

    #[test]
    fn parts_are_framed() {
        let key = DigestKey::new([7; 32]);
        assert_ne!(key.element(&[b"ab", b"c"]), key.element(&[b"a", b"bc"]));
    }

    #[test]
    fn carries_run_through_all_limbs() {
        let mut most = Sum { count: 1, limbs: [u64::MAX; 4] };
        most += Sum { count: 1, limbs: [1, 0, 0, 0] };
        assert_eq!(most, Sum { count: 2, limbs: [0; 4] });
    }
}
