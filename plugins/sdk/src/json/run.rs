//! Runs of plain characters in strings, a block of bytes at a time.
//!
//! A block is 16 bytes where WebAssembly has vectors (every plugin is built with them), and a word elsewhere. Both
//! are safe code: a vector is made of two words, and the compiler sees one load.

/// The first place at or behind `at` whose byte ends a run of plain characters: a quote, a backslash, a control
/// character, or the end of the record.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let n_plain = n_plain(block);
        at += n_plain;
        if n_plain < BLOCK {
            return at;
        }
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

#[cfg(target_feature = "simd128")]
const BLOCK: usize = 16;

/// How many plain characters a block starts with.
#[cfg(target_feature = "simd128")]
#[inline(always)]
fn n_plain(block: &[u8; BLOCK]) -> usize {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    let block = u128::from_le_bytes(*block);
    let block = u64x2(block as u64, (block >> 64) as u64);
    let quote = u8x16_eq(block, u8x16_splat(b'"'));
    let backslash = u8x16_eq(block, u8x16_splat(b'\\'));
    let control = u8x16_lt(block, u8x16_splat(0x20));
    let ends = u8x16_bitmask(v128_or(v128_or(quote, backslash), control));
    // A bit behind the last one stands for "none".
    (u32::from(ends) | 1 << BLOCK).trailing_zeros() as usize
}

#[cfg(not(target_feature = "simd128"))]
const BLOCK: usize = 8;

/// How many plain characters a block starts with. Each term sets the high bit of the bytes it looks for; a borrow
/// can set a wrong bit only above a right one, and the lowest is the one that counts.
#[cfg(not(target_feature = "simd128"))]
#[inline(always)]
fn n_plain(block: &[u8; BLOCK]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;

    let block = u64::from_le_bytes(*block);
    let quote = block ^ (ONES * b'"' as u64);
    let backslash = block ^ (ONES * b'\\' as u64);
    let ends = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (block.wrapping_sub(ONES * 0x20) & !block);
    ((ends & (ONES << 7)).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_ends_where_its_first_other_byte_stands(
            bytes in prop::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'"')], 0..40),
            at in 0..41usize,
        ) {
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
            let expected = bytes.iter().skip(at).position(ends).map_or(bytes.len().max(at), |place| at + place);
            prop_assert_eq!(plain_end(&bytes, at), expected);
        }
    }
}
