//! How many questions are answered: so many in all, and so many of them of one source.

use std::{net::IpAddr, time::Instant};

use moim_protocol::rate::{Bucket, Buckets, Source};

use crate::limits;

/// Decides who is answered. Pure: the time comes in.
#[derive(Debug)]
pub(crate) struct Limiter {
    all: Bucket,
    sources: Buckets<Source>,
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            all: Bucket::new(limits::STUN_RATE, now),
            sources: Buckets::new(limits::STUN_SOURCE_RATE, limits::STUN_SOURCES_MAX),
        }
    }

    /// Whether a question from `source` is answered.
    pub(crate) fn allows(&mut self, source: IpAddr, now: Instant) -> bool {
        if !self.all.take(now) {
            return false;
        }
        let allowed = self.allows_known(source, now);
        if !allowed {
            self.all.give_back();
        }
        allowed
    }

    /// The same for one who has shown that the address is his: what others send in made-up names
    /// takes nothing from him.
    pub(crate) fn allows_known(&mut self, source: IpAddr, now: Instant) -> bool {
        self.sources.take(source.into(), now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn allowed(limiter: &mut Limiter, source: &str, now: Instant, tries: u32) -> u32 {
        let source = source.parse().unwrap();
        (0..tries)
            .map(|_| u32::from(limiter.allows(source, now)))
            .sum()
    }

    #[test]
    fn one_source_has_a_burst_and_then_its_rate_and_takes_nothing_from_others() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let rate = limits::STUN_SOURCE_RATE;
        let loud = "192.0.2.1";
        // More than the socket's own burst: what is refused costs others nothing.
        let tries = limits::STUN_RATE.burst * 2;
        assert_eq!(allowed(&mut limiter, loud, start, tries), rate.burst);
        assert_eq!(allowed(&mut limiter, "192.0.2.2", start, 1), 1);
        let later = start + Duration::from_secs(1);
        assert_eq!(allowed(&mut limiter, loud, later, tries), rate.per_second);
    }

    #[test]
    fn many_sources_share_what_there_is() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let burst = limits::STUN_RATE.burst;
        let answered: u32 = (0..burst * 2)
            .map(|n| u32::from(limiter.allows(n.to_be_bytes().into(), start)))
            .sum();
        assert_eq!(answered, burst);
    }
}
