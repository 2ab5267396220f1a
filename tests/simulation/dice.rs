//! Chance that the seed decides.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::random;

/// A sequence of numbers that anybody can make again from its seed. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut seed = seed;
        // Seeds that differ by little are to begin differently.
        random(&mut seed);
        Self(Arc::new(Mutex::new(seed)))
    }

    pub(super) fn roll(&self) -> u64 {
        random(&mut self.0.lock().expect("rolling does not panic"))
    }

    /// A number in `range`, which is not empty.
    pub(super) fn between(&self, range: Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }

    /// Milliseconds in `range`.
    pub(super) fn time(&self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.between(range.start * 1000..range.end * 1000))
    }

    /// Whether what happens so many times in a thousand happens.
    pub(super) fn happens(&self, permille: u64) -> bool {
        self.between(0..1000) < permille
    }

    pub(super) fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.between(0..last as u64 + 1) as usize);
        }
    }
}
