//! The time of a simulation: microseconds since its beginning.

use std::{
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// A moment of a simulation, in microseconds since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// So many seconds.
#[must_use]
pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many milliseconds.
#[must_use]
pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Time {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// A moment that no simulation reaches.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many seconds after the beginning.
    #[must_use]
    pub const fn at(seconds: u64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// How long after the beginning.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn as_secs(self) -> f64 {
        self.since_start().as_secs_f64()
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Time {
    type Output = Duration;

    /// How much later this is; zero if it is earlier.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_the_beginning() {
        let time = Time::at(3) + millis(500);
        assert_eq!(time - Time::at(1), millis(2_500));
        assert_eq!(Time::at(1) - time, Duration::ZERO);
        assert_eq!(Time::NEVER + seconds(1), Time::NEVER);
        assert!((time.as_secs() - 3.5).abs() < 1e-9);
    }
}
