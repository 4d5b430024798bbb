//! What time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts seconds since 1970 from the start of the node on. Clocks that are set meanwhile change
/// neither who has expired nor who has not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    since_epoch: Duration,
}

impl Clock {
    pub(crate) fn new(now: Instant, wall: SystemTime) -> Self {
        Self {
            started: now,
            // A clock that stands before 1970 is as good as any other that is wrong.
            since_epoch: wall.duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Seconds since 1970.
    pub(crate) fn seconds(&self, now: Instant) -> u64 {
        (self.since_epoch + now.saturating_duration_since(self.started)).as_secs()
    }
}
