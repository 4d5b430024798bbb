//! A bucket of tokens that fills up again.

use std::time::Instant;

/// The bucket. A full one is as good as none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(burst: u32, now: Instant) -> Self {
        Self {
            tokens: f64::from(burst),
            at: now,
        }
    }

    /// What has come since the last time, up to `burst`.
    pub(crate) fn fill(&mut self, per_second: u32, burst: u32, now: Instant) {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + time * f64::from(per_second)).min(f64::from(burst));
        self.at = now;
    }

    pub(crate) fn has(self, tokens: u32) -> bool {
        self.tokens >= f64::from(tokens)
    }

    /// Takes what [`has`](Self::has) said is there.
    pub(crate) fn take(&mut self, tokens: u32) {
        self.tokens -= f64::from(tokens);
    }
}
