//! How much of the processor somebody gets who is not known.
//!
//! What is known to be costly is bounded by what is counted: records, messages, bytes. This is for what was
//! overlooked. It has no clock: whoever works says how long it took.

use std::time::Duration;

/// For all of a handshake. One with a browser takes some 2 ms in a debug build, and a slow machine may need twenty times as much.
pub(super) const UNKNOWN_MAX: Duration = Duration::from_millis(250);

/// For one datagram of somebody who is known. SCTP looks through all that waits for one that got lost.
pub(super) const DATAGRAM_MAX: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: Duration,
    is_known: bool,
}

impl Budget {
    /// The other side has proven who it is.
    pub(super) fn lift(&mut self) {
        tracing::trace!(spent = ?self.spent, "known");
        self.is_known = true;
    }

    /// A datagram, or whatever was due, took so long. Whether there is anything left.
    pub(super) fn spend(&mut self, time: Duration) -> bool {
        if self.is_known {
            return time <= DATAGRAM_MAX;
        }
        self.spent = self.spent.saturating_add(time);
        self.spent <= UNKNOWN_MAX
    }
}

/// The time that this thread has had of a processor, where the system says; else the time. Of use is the
/// difference of two.
pub(super) fn processor_time() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    {
        use nix::time::{ClockId, clock_gettime};
        if let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) {
            return Duration::from(time);
        }
    }
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_has_so_much_in_all_and_who_is_known_so_much_at_a_time() {
        let mut budget = Budget::default();
        let step = UNKNOWN_MAX / 10;
        let steps = (0..100).take_while(|_| budget.spend(step)).count();
        assert_eq!(steps, 10);
        assert!(!budget.spend(Duration::ZERO), "it stays spent");
        budget.lift();
        assert!((0..100).all(|_| budget.spend(DATAGRAM_MAX)));
        assert!(!budget.spend(DATAGRAM_MAX + step));
        assert!(!Budget::default().spend(Duration::MAX));
    }

    #[test]
    fn it_is_measured_by_what_was_worked() {
        let before = processor_time();
        let mut sum = 0_u64;
        while processor_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processor_time() > before);
    }
}
