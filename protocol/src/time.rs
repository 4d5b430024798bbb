//! Wall-clock time as it is written on the wire, and how a life is measured by the receiver.
//!
//! Nothing here reads a clock. A wall-clock time says when something was signed; how long it still
//! lives is counted on the receiver's own clock, so that clocks that differ do no harm.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use web_time::Instant;

use crate::{json, limits::CLOCK_SKEW_MAX};

/// Milliseconds since the Unix epoch, as a wall clock shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The time `since` the epoch, at most the end of time.
    #[must_use]
    pub const fn from_epoch(since: Duration) -> Self {
        Self(whole_millis(since))
    }

    /// This time plus `duration`, at most the end of time.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// This time less `duration`, at least the epoch.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::integer::deserialize(deserializer).map(Self)
    }
}

/// The whole milliseconds of a duration, saturating.
pub(crate) const fn whole_millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

/// `now + duration`, or `now` a year on where the clock cannot say (a remote's number, or a test's).
#[must_use]
pub fn after(now: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    now.checked_add(duration.min(FAR)).unwrap_or(now)
}

/// The dates of something signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) issued: UnixMillis,
    pub(crate) expires: UnixMillis,
}

impl Validity {
    /// The life it was given when it was signed.
    pub(crate) const fn ttl(self) -> Duration {
        self.expires.since(self.issued)
    }

    /// Whether it is dated further in the future than clocks may differ.
    pub(crate) fn is_future(self, wall: UnixMillis) -> bool {
        self.issued > wall.saturating_add(CLOCK_SKEW_MAX)
    }

    /// Whether it is past its end by more than clocks may differ.
    pub(crate) fn is_expired(self, wall: UnixMillis) -> bool {
        self.expires.saturating_add(CLOCK_SKEW_MAX) < wall
    }

    /// How long from `wall` on a copy of it would still not be [`Self::is_expired`].
    pub(crate) const fn replayable(self, wall: UnixMillis) -> Duration {
        self.expires.saturating_add(CLOCK_SKEW_MAX).since(wall)
    }

    /// What is left of its life on the receiver's clock when it has already lived for `age`.
    pub(crate) fn life(self, age: Duration, wall: UnixMillis) -> Duration {
        self.ttl().saturating_sub(age).min(self.replayable(wall))
    }
}

#[cfg(test)]
mod tests;
