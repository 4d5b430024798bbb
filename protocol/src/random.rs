//! A small generator for jitter and samples. Its seed comes from outside; nothing secret hangs on
//! it. The same seed draws the same, so that whatever uses it can be repeated.

use std::{cell::Cell, time::Duration};

/// Xorshift64* (Vigna 2016). Takes `&self`, so that reading a sample does not look like a change.
#[derive(Clone, Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// A generator that begins at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The generator stands still at zero; mixing also keeps small seeds apart (SplitMix64).
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(Cell::new((z ^ (z >> 31)) | 1))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Evenly one of `0..bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: usize) -> usize {
        // Lemire's multiplication; the bias of at most bound / 2^64 does not matter here.
        let product = u128::from(self.next()).saturating_mul(bound as u128);
        (product >> 64) as usize
    }

    /// Evenly between `low` and `high`.
    pub fn between(&self, low: Duration, high: Duration) -> Duration {
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low.saturating_add(high.saturating_sub(low).mul_f64(fraction))
    }
}

#[cfg(test)]
mod tests;
