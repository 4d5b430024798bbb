//! How many dial-backs are under way, and for whom. Pure: the time comes in.

use std::{collections::HashMap, hash::Hash, time::Instant};

use moim_protocol::rate::{Buckets, Source};

use crate::limits;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Budget<K> {
    under_way: HashMap<K, Source>,
    rates: Buckets<Source>,
}

impl<K: Eq + Hash> Budget<K> {
    pub(super) fn new() -> Self {
        Self {
            under_way: HashMap::new(),
            rates: Buckets::new(limits::SOURCE_DIAL_BACK_RATE, limits::SOURCES_MAX),
        }
    }

    /// Whether one may begin for this source.
    pub(super) fn begin(&mut self, id: K, source: Source, now: Instant) -> bool {
        let of_source = self.under_way.values().filter(|other| **other == source);
        let is_open = self.under_way.len() < limits::DIAL_BACKS_MAX
            && of_source.count() < limits::DIAL_BACKS_PER_SOURCE_MAX
            && self.rates.take(source, now);
        if is_open {
            self.under_way.insert(id, source);
        }
        is_open
    }

    /// One is over, if it is one.
    pub(super) fn end(&mut self, id: &K) {
        self.under_way.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::*;

    fn source(last: u8) -> Source {
        Source::from(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn no_source_has_more_than_its_share_at_one_time() {
        let now = Instant::now();
        let mut budget = Budget::new();
        let mut id = 0;
        for of in 0..limits::DIAL_BACKS_MAX / limits::DIAL_BACKS_PER_SOURCE_MAX {
            for _ in 0..limits::DIAL_BACKS_PER_SOURCE_MAX {
                assert!(budget.begin(id, source(of as u8), now));
                id += 1;
            }
            assert!(!budget.begin(id, source(of as u8), now));
        }
        assert!(!budget.begin(id, source(99), now), "all are under way");
        budget.end(&0);
        assert!(budget.begin(id, source(99), now));
    }

    #[test]
    fn a_source_has_a_rate() {
        let now = Instant::now();
        let mut budget = Budget::new();
        for id in 0..limits::SOURCE_DIAL_BACK_RATE.burst {
            assert!(budget.begin(id, source(1), now));
            budget.end(&id);
        }
        assert!(!budget.begin(1_000, source(1), now));
        assert!(budget.begin(1_001, source(2), now));
        assert!(budget.begin(1_000, source(1), now + Duration::from_secs(1)));
    }
}
