//! When to ask the CA: for the first certificate, before the end of one, and after a failure. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use crate::{limits, tls::certificate::Validity};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Both clocks. Certificates end by the one on the wall; pauses pass by the steady one, so that
/// they end when they should although somebody sets the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) wall: SystemTime,
    pub(super) steady: Instant,
}

impl Now {
    pub(super) fn read() -> Self {
        Self {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }
}

/// Decides when the next attempt is due.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Of the certificate there is.
    validity: Option<Validity>,
    /// When the CA advises to renew it.
    advice: Option<SystemTime>,
    /// How often it failed since it last succeeded.
    failures: u32,
    /// No attempt before this, after one that has ended.
    pause_ends: Option<Instant>,
    /// The newest attempts, oldest first; at most as many as an hour may have.
    attempts: VecDeque<SystemTime>,
}

impl Schedule {
    /// With the certificate there is, and the attempts of earlier runs.
    pub(super) fn new(
        validity: Option<Validity>,
        attempts: impl IntoIterator<Item = SystemTime>,
    ) -> Self {
        let mut schedule = Self {
            validity,
            advice: None,
            failures: 0,
            pause_ends: None,
            attempts: VecDeque::new(),
        };
        for attempt in attempts {
            schedule.remember(attempt);
        }
        schedule
    }

    /// How long it is until the next attempt.
    pub(super) fn wait(&self, now: Now) -> Duration {
        let until = |time: SystemTime| time.duration_since(now.wall).unwrap_or_default();
        let renewal = self.renewal().map(until).unwrap_or_default();
        let pause = self
            .pause_ends
            .map(|end| end.saturating_duration_since(now.steady))
            .unwrap_or_default();
        renewal.max(pause).max(self.hour_is_full_for(now.wall))
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now: Now) {
        self.remember(now.wall);
    }

    /// It gave a certificate. The next is left for later, though this one may look as if it had to be
    /// renewed at once, to a clock that is wrong or a CA that gives odd advice.
    pub(super) fn succeeded(&mut self, now: Now, validity: Validity) {
        let pause = limits::ACME_SUCCESS_PAUSE.min(validity.life() / 2);
        self.validity = Some(validity);
        self.advice = None;
        self.failures = 0;
        self.pause_ends = now.steady.checked_add(pause);
    }

    /// It failed. The CA may have `asked` to be left alone for so long. `jitter` is a random number
    /// from 0 to 1. Says how long it is until the next attempt.
    pub(super) fn failed(&mut self, now: Now, asked: Option<Duration>, jitter: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        let pause = limits::ACME_PAUSE
            .saturating_mul(doubled)
            .min(limits::ACME_PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let asked = asked.unwrap_or_default().min(limits::ACME_ASKED_PAUSE_MAX);
        let pause = pause.max(asked);
        let pause = pause + pause.mul_f64(limits::ACME_JITTER * jitter.clamp(0.0, 1.0));
        self.pause_ends = now.steady.checked_add(pause);
        self.wait(now)
    }

    /// The CA advises to renew the certificate at this time.
    pub(super) fn advise(&mut self, renewal: SystemTime) {
        self.advice = Some(renewal);
    }

    /// The newest attempts, to be remembered by the next run.
    pub(super) fn attempts(&self) -> impl Iterator<Item = SystemTime> {
        self.attempts.iter().copied()
    }

    /// When the certificate is to be renewed; `None` if there is none. The CA's advice counts where
    /// it is earlier.
    fn renewal(&self) -> Option<SystemTime> {
        let validity = self.validity?;
        let ours = validity
            .until
            .checked_sub(validity.life() / limits::ACME_RENEWAL_PART)
            .unwrap_or(validity.from);
        Some(self.advice.map_or(ours, |advice| advice.min(ours)))
    }

    /// How long it is until the last hour has room for an attempt.
    fn hour_is_full_for(&self, now: SystemTime) -> Duration {
        let first = self.attempts.front();
        let is_full = self.attempts.len() >= limits::ACME_ATTEMPTS_PER_HOUR;
        let Some(first) = first.filter(|_| is_full) else {
            return Duration::ZERO;
        };
        // What is in the future was noted before the clock was set back; it says nothing any more.
        match now.duration_since(*first) {
            Ok(age) => HOUR.saturating_sub(age),
            Err(_) => Duration::ZERO,
        }
    }

    fn remember(&mut self, attempt: SystemTime) {
        if self.attempts.len() >= limits::ACME_ATTEMPTS_PER_HOUR {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn validity(from: SystemTime, days: u32) -> Validity {
        Validity {
            from,
            until: from + DAY * days,
        }
    }

    fn later(now: Now, time: Duration) -> Now {
        Now {
            wall: now.wall + time,
            steady: now.steady + time,
        }
    }

    #[test]
    fn the_first_is_ordered_at_once_and_renewed_in_its_last_third() {
        let start = Now::read();
        let mut schedule = Schedule::new(None, []);
        assert_eq!(schedule.wait(start), Duration::ZERO);
        schedule.begin(start);
        schedule.succeeded(start, validity(start.wall, 90));
        assert_eq!(schedule.wait(start), DAY * 60);
        assert_eq!(schedule.wait(later(start, DAY * 59)), DAY);
        assert_eq!(schedule.wait(later(start, DAY * 61)), Duration::ZERO);
    }

    #[test]
    fn one_that_is_there_is_used_and_one_that_has_ended_is_replaced() {
        let now = Now::read();
        let of = |from| Schedule::new(Some(validity(from, 90)), []);
        assert_eq!(of(now.wall - DAY * 10).wait(now), DAY * 50);
        assert_eq!(of(now.wall - DAY * 100).wait(now), Duration::ZERO);
        // The clock was not set yet.
        assert_eq!(of(now.wall + DAY).wait(now), DAY * 61);
        let upside_down = Validity {
            from: now.wall,
            until: now.wall - DAY,
        };
        let schedule = Schedule::new(Some(upside_down), []);
        assert_eq!(schedule.wait(now), Duration::ZERO);
    }

    #[test]
    fn pauses_after_failures_double_up_to_a_bound_and_end_with_a_success() {
        let mut now = Now::read();
        let mut schedule = Schedule::new(Some(validity(now.wall - DAY * 89, 90)), []);
        let mut pause = limits::ACME_PAUSE;
        for _ in 0..50 {
            assert_eq!(schedule.failed(now, None, 0.0), pause);
            pause = (pause * 2).min(limits::ACME_PAUSE_MAX);
        }
        // Whoever sets the clock does not shorten it.
        now.wall += DAY * 30;
        assert_eq!(schedule.wait(now), limits::ACME_PAUSE_MAX);
        schedule.succeeded(now, validity(now.wall, 3));
        assert_eq!(schedule.wait(now), DAY * 2);
        assert_eq!(schedule.failures, 0);
    }

    #[test]
    fn pauses_differ_by_chance_within_bounds() {
        let now = Now::read();
        for jitter in [-1.0, 0.0, 0.5, 1.0, 7.0] {
            let pause = Schedule::new(None, []).failed(now, None, jitter);
            let most = limits::ACME_PAUSE.mul_f64(1.0 + limits::ACME_JITTER);
            assert!((limits::ACME_PAUSE..=most).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn the_ca_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
        let now = Now::read();
        let asked = |pause| Schedule::new(None, []).failed(now, Some(pause), 0.0);
        assert_eq!(asked(Duration::from_secs(1)), limits::ACME_PAUSE);
        assert_eq!(asked(DAY / 2), DAY / 2);
        assert_eq!(asked(Duration::MAX), limits::ACME_ASKED_PAUSE_MAX);
    }

    #[test]
    fn an_hour_has_few_attempts_even_if_the_node_is_started_again_and_again() {
        let start = Now::read();
        let mut attempts = Vec::new();
        let mut now = start;
        // A start every 10 s, whose attempt fails, for a day.
        while now.wall < start.wall + DAY {
            let mut schedule = Schedule::new(None, attempts.clone());
            if schedule.wait(now).is_zero() {
                schedule.begin(now);
                attempts = schedule.attempts().collect();
                let oldest = attempts[0];
                assert!(attempts.len() <= limits::ACME_ATTEMPTS_PER_HOUR);
                let is_full = attempts.len() == limits::ACME_ATTEMPTS_PER_HOUR;
                let next = Schedule::new(None, attempts.clone()).wait(now);
                assert_eq!(is_full, !next.is_zero());
                if is_full {
                    assert_eq!(next, HOUR - now.wall.duration_since(oldest).unwrap());
                }
            }
            now = later(now, Duration::from_secs(10));
        }
        // What a clock that was wrong noted holds up nothing.
        let future = vec![start.wall + DAY * 900; limits::ACME_ATTEMPTS_PER_HOUR];
        assert_eq!(Schedule::new(None, future).wait(start), Duration::ZERO);
    }

    #[test]
    fn one_run_alone_stays_below_the_hours_bound_by_its_pauses() {
        let mut now = Now::read();
        let hour_ends = now.steady + HOUR;
        let mut schedule = Schedule::new(None, []);
        let mut attempts = 0;
        while now.steady < hour_ends {
            attempts += 1;
            schedule.begin(now);
            now = later(now, schedule.failed(now, None, 0.0));
        }
        assert!(attempts <= limits::ACME_ATTEMPTS_PER_HOUR, "{attempts}");
    }

    #[test]
    fn advice_makes_a_renewal_earlier_and_never_later() {
        let now = Now::read();
        let mut schedule = Schedule::new(Some(validity(now.wall, 90)), []);
        schedule.advise(now.wall + DAY * 80);
        assert_eq!(schedule.wait(now), DAY * 60);
        schedule.advise(now.wall + DAY * 3);
        assert_eq!(schedule.wait(now), DAY * 3);
        schedule.advise(now.wall - DAY);
        assert_eq!(schedule.wait(now), Duration::ZERO);
        schedule.succeeded(now, validity(now.wall, 90));
        assert_eq!(schedule.wait(now), DAY * 60);
    }

    #[test]
    fn a_certificate_that_looks_old_when_it_is_new_is_not_renewed_at_once() {
        let now = Now::read();
        let mut schedule = Schedule::new(None, []);
        schedule.succeeded(now, validity(now.wall - DAY * 400, 90));
        assert_eq!(schedule.wait(now), limits::ACME_SUCCESS_PAUSE);
        schedule.succeeded(now, validity(now.wall, 90));
        schedule.advise(now.wall - DAY);
        assert_eq!(schedule.wait(now), limits::ACME_SUCCESS_PAUSE);
        // One with a short life is renewed in time nevertheless.
        let validity = Validity {
            from: now.wall,
            until: now.wall + Duration::from_secs(60),
        };
        schedule.succeeded(now, validity);
        assert_eq!(schedule.wait(now), Duration::from_secs(40));
    }
}
