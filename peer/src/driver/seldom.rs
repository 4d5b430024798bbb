//! So often in a while, and no more: for what a remote can cause. A pure machine.

use std::{collections::VecDeque, time::Duration};

use web_time::Instant;

#[derive(Debug)]
pub(super) struct Seldom {
    most: usize,
    within: Duration,
    /// The last times; at most `most`.
    times: VecDeque<Instant>,
}

impl Seldom {
    /// At most `most` times in `within`.
    pub(super) fn new(most: usize, within: Duration) -> Self {
        Self {
            most,
            within,
            times: VecDeque::new(),
        }
    }

    /// Whether once more is not too often. If so, it counts.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        while (self.times.front()).is_some_and(|time| now >= *time + self.within) {
            self.times.pop_front();
        }
        let free = self.times.len() < self.most;
        if free {
            self.times.push_back(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    #[test]
    fn a_few_are_free_and_then_there_is_one_for_each_that_is_long_ago() {
        let start = platform::now();
        let mut seldom = Seldom::new(2, Duration::from_secs(60));
        let taken: Vec<u64> = (0..150)
            .filter(|second| seldom.take(start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(taken, [0, 1, 60, 61, 120, 121]);
    }
}
