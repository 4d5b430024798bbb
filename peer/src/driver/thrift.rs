//! Work that grows with what strangers bring, and that any of it makes necessary again: it is not done all the time. A
//! pure machine.

use std::time::Duration;

use web_time::Instant;

/// How many times as long as the work took nothing of it is done: it has a quarter of the time.
const PAUSE: u32 = 3;

/// The longest pause: the machine may have stood still meanwhile.
const PAUSE_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Thrift {
    not_before: Option<Instant>,
}

impl Thrift {
    /// Whether the work may be done now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.poll_timeout(now).is_none()
    }

    /// The work was done.
    pub(super) fn worked(&mut self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        self.not_before = Some(ended + took.saturating_mul(PAUSE).min(PAUSE_MAX));
    }

    /// When it may be done again, if that is not yet.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|not_before| now < *not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    #[test]
    fn work_has_a_quarter_of_the_time() {
        const MILLISECOND: Duration = Duration::from_millis(1);
        let start = platform::now();
        let mut thrift = Thrift::default();
        let mut worked = Duration::ZERO;
        for passed in 0..1_000 {
            let now = start + passed * MILLISECOND;
            if thrift.is_due(now) {
                worked += 5 * MILLISECOND;
                thrift.worked(now, now + 5 * MILLISECOND);
                assert_eq!(thrift.poll_timeout(now), Some(now + 20 * MILLISECOND));
            }
        }
        assert_eq!(worked, 250 * MILLISECOND);
        // A machine that slept for an hour does not rest for three.
        let hour = Duration::from_secs(3_600);
        thrift.worked(start, start + hour);
        assert!(thrift.is_due(start + hour + PAUSE_MAX));
        assert_eq!(thrift.poll_timeout(start + hour + PAUSE_MAX), None);
    }
}
