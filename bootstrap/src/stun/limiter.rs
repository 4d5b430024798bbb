//! How many questions are answered: so many in all, and so many of them of one source.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use super::bucket::Bucket;
use crate::limits;

/// Decides who is answered. Pure: the time comes in.
#[derive(Debug)]
pub(crate) struct Limiter {
    all: Bucket,
    sources: HashMap<IpAddr, Bucket>,
    /// When sources that have not asked for a while are forgotten.
    next_sweep: Instant,
}

/// How often full buckets are thrown away.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            all: Bucket::full(limits::STUN_BURST, now),
            sources: HashMap::new(),
            next_sweep: now + SWEEP_INTERVAL,
        }
    }

    /// Whether a question from `source` is answered.
    pub(crate) fn allows(&mut self, source: IpAddr, now: Instant) -> bool {
        let (rate, burst) = (limits::STUN_PER_SOURCE, limits::STUN_PER_SOURCE_BURST);
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sources.retain(|_, bucket| {
                bucket.fill(rate, burst, now);
                !bucket.has(burst)
            });
        }
        self.all
            .fill(limits::STUN_PER_SECOND, limits::STUN_BURST, now);
        if !self.all.has(1) {
            return false;
        }
        let source = network(source);
        if !self.sources.contains_key(&source) && self.sources.len() >= limits::STUN_SOURCES_MAX {
            return false;
        }
        let bucket = self
            .sources
            .entry(source)
            .or_insert_with(|| Bucket::full(burst, now));
        bucket.fill(rate, burst, now);
        if !bucket.has(1) {
            return false;
        }
        bucket.take(1);
        self.all.take(1);
        true
    }
}

/// Who counts as one source: an IPv4 address, or an IPv6 network of 64 bits, as a home has it.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => {
            let bits = u128::from(ip) & !u128::from(u64::MAX);
            Ipv6Addr::from(bits).into()
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn allowed(limiter: &mut Limiter, source: IpAddr, now: Instant, tries: u32) -> u32 {
        (0..tries)
            .map(|_| u32::from(limiter.allows(source, now)))
            .sum()
    }

    #[test]
    fn one_source_has_a_burst_and_then_its_rate_and_takes_nothing_from_others() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let loud = ip("192.0.2.1");
        let burst = limits::STUN_PER_SOURCE_BURST;
        assert_eq!(allowed(&mut limiter, loud, start, burst * 2), burst);
        assert!(limiter.allows(ip("192.0.2.2"), start));
        let later = start + Duration::from_secs(1);
        let rate = limits::STUN_PER_SOURCE;
        assert_eq!(allowed(&mut limiter, loud, later, burst), rate);
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let burst = limits::STUN_PER_SOURCE_BURST;
        assert_eq!(
            allowed(&mut limiter, ip("2001:db8::1"), start, burst),
            burst
        );
        assert!(!limiter.allows(ip("2001:db8::2"), start));
        assert!(limiter.allows(ip("2001:db8:0:1::1"), start));
    }

    #[test]
    fn many_sources_share_what_there_is_and_are_forgotten() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let sources = (0..limits::STUN_BURST * 2).map(|n| IpAddr::from(n.to_be_bytes()));
        let answered: u32 = sources
            .map(|source| u32::from(limiter.allows(source, start)))
            .sum();
        assert!(answered <= limits::STUN_BURST, "{answered}");
        assert!(limiter.sources.len() <= limits::STUN_SOURCES_MAX);
        let later = start + SWEEP_INTERVAL;
        assert!(limiter.allows(ip("192.0.2.1"), later));
        assert_eq!(limiter.sources.len(), 1);
    }
}
