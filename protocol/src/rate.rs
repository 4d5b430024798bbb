//! How much one source may ask for: buckets of tokens, one for each that asked lately.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use web_time::Instant;

/// So many per second, and so many at once after a quiet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in a second.
    pub per_second: u32,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

/// A bucket of tokens that fills up again. A full one is as good as none.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let has_one = self.has(1, now);
        if has_one {
            self.spend(1);
        }
        has_one
    }

    /// Whether there are so many tokens.
    pub fn has(&mut self, tokens: u32, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(tokens)
    }

    /// Takes the tokens that [`has`](Self::has) said are there.
    pub fn spend(&mut self, tokens: u32) {
        self.tokens = (self.tokens - f64::from(tokens)).max(0.0);
    }

    /// Puts a token back that was taken for nothing.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(f64::from(self.rate.burst));
    }

    /// How long until there are so many tokens, if nobody takes any.
    pub fn wait(&mut self, tokens: u32, now: Instant) -> Duration {
        self.fill(now);
        let missing = (f64::from(tokens) - self.tokens).max(0.0);
        Duration::try_from_secs_f64(missing / f64::from(self.rate.per_second))
            .unwrap_or(Duration::MAX)
    }

    /// Whether half of what it holds is there.
    pub fn is_half_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.rate.burst) / 2.0
    }

    /// Whether nothing is lost when it is forgotten.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.rate.burst)
    }

    fn fill(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        let tokens = self.tokens + time * f64::from(self.rate.per_second);
        self.tokens = tokens.min(f64::from(self.rate.burst));
        // A clock that is behind gives nothing, and takes nothing either.
        self.at = self.at.max(now);
    }
}

/// A bucket for each of many. Bounded: when there are too many, full buckets are forgotten, and if
/// none is full, all of them. Then everybody has a burst once more, which is better than turning
/// newcomers away because somebody has many addresses.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    max: usize,
    buckets: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// With this rate for each of at most `max`.
    #[must_use]
    pub fn new(rate: Rate, max: usize) -> Self {
        Self {
            rate,
            max,
            buckets: HashMap::new(),
        }
    }

    /// Takes a token from the bucket of `key`, if there is one.
    pub fn take(&mut self, key: K, now: Instant) -> bool {
        self.take_many(key, 1, now)
    }

    /// Takes so many tokens from the bucket of `key`, if there are so many.
    pub fn take_many(&mut self, key: K, tokens: u32, now: Instant) -> bool {
        if self.buckets.len() >= self.max && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= self.max {
                self.buckets.clear();
            }
        }
        let rate = self.rate;
        let bucket = self
            .buckets
            .entry(key)
            .or_insert_with(|| Bucket::new(rate, now));
        let has_enough = bucket.has(tokens, now);
        if has_enough {
            bucket.spend(tokens);
        }
        has_enough
    }

    /// How many buckets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

/// Who counts as one: an IPv4 address, or an IPv6 network of 64 bits, as a home has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl Source {
    /// Whether it is this machine, a reverse proxy on it included.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        // `::1` is the only address in use of its network.
        self.0.is_loopback() || self.0 == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }

    /// Who can have many sources: the same IPv4 address, or the IPv6 network of 48 bits around it, which
    /// is rented out whole and has 65,536 networks of 64 bits.
    #[must_use]
    pub fn site(&self) -> IpAddr {
        match self.0 {
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
            ip => ip,
        }
    }
}

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(ip) => {
                let bits = u128::from(ip) & !u128::from(u64::MAX);
                Self(Ipv6Addr::from(bits).into())
            }
            ip => Self(ip),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 50,
    };

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn taken<K: Eq + Hash + Copy>(
        buckets: &mut Buckets<K>,
        key: K,
        now: Instant,
        tries: u32,
    ) -> u32 {
        (0..tries).map(|_| u32::from(buckets.take(key, now))).sum()
    }

    #[test]
    fn one_has_a_burst_and_then_its_rate_and_takes_nothing_from_others() {
        let start = testing::start();
        let mut buckets = Buckets::new(RATE, 100);
        assert_eq!(taken(&mut buckets, 1, start, 100), 50);
        assert!(buckets.take(2, start));
        let later = start + Duration::from_secs(2);
        assert_eq!(taken(&mut buckets, 1, later, 100), 20);
    }

    #[test]
    fn a_crowd_of_sources_neither_grows_it_nor_shuts_newcomers_out() {
        let start = testing::start();
        let mut buckets = Buckets::new(RATE, 100);
        for key in 0..10_000 {
            assert!(buckets.take(key, start));
            assert!(buckets.len() <= 100);
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_twice() {
        let start = testing::start();
        let later = start + Duration::from_secs(1);
        let mut bucket = Bucket::new(RATE, later);
        while bucket.take(later) {}
        assert!(!bucket.take(start));
        assert!(!bucket.take(later));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert!(source("::1").is_loopback() && source("127.0.0.66").is_loopback());
        assert!(!source("::ffff:192.0.2.1").is_loopback());
        assert_eq!(source("2001:db8::1").to_string(), "2001:db8::/64");
        let site = |text| source(text).site();
        assert_eq!(site("2001:db8:1:2::3"), site("2001:db8:1:ffff::"));
        assert_ne!(site("2001:db8:1::"), site("2001:db8:2::"));
        assert_ne!(site("192.0.2.1"), site("192.0.2.2"));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_burst_and_rate(steps in proptest::collection::vec(0_u64..500, 1..400)) {
            let start = testing::start();
            let mut bucket = Bucket::new(RATE, start);
            let (mut now, mut taken) = (start, 0_u64);
            for step in steps {
                now += Duration::from_millis(step);
                taken += u64::from(bucket.take(now));
                let seconds = now.duration_since(start).as_secs_f64();
                prop_assert!(taken as f64 <= 50.0 + 10.0 * seconds + 1e-6);
            }
        }
    }
}
