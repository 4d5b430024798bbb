//! Waits that grow: for dialling a bootstrap node again, for renewing a reservation.

use std::time::Duration;

use crate::random::Random;

/// Waits between attempts: doubling from `base` up to `max`, each drawn evenly from half of `base`
/// up to the wait (full jitter), so that peers that lost the same node do not come back all at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
    random: Random,
}

impl Backoff {
    /// Starts at `base` and ends at `max`; `seed` should differ from peer to peer.
    #[must_use]
    pub fn new(base: Duration, max: Duration, seed: u64) -> Self {
        Self {
            base,
            max: max.max(base),
            attempts: 0,
            random: Random::new(seed),
        }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = doubled(self.base, self.max, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.random.between(self.base.mul_f64(0.5), ceiling)
    }

    /// After a success: the next wait is short again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How many waits there were since the start or the last [`reset`](Self::reset).
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// `base` doubled `times` times, at most `max`.
pub(crate) fn doubled(base: Duration, max: Duration, times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(max)
}

#[cfg(test)]
mod tests;
