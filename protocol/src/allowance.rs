//! How much somebody may say or be given: so many things, and so many bytes of them.
//!
//! Keys cost nothing, so a bound for each of those who ask bounds nobody who makes many. Hence
//! [`Shares`]: one allowance for each, and one for all together.

use std::{collections::HashMap, hash::Hash, time::Duration};

use web_time::Instant;

use crate::rate::{Bucket, Rate};

/// What fills up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Messages, requests, answers.
    pub things: Rate,
    /// The bytes of all of them.
    pub bytes: Rate,
}

/// What is left of a [`Share`].
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    things: Bucket,
    bytes: Bucket,
}

fn whole(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Allowance {
    /// All of it.
    #[must_use]
    pub fn new(share: Share, now: Instant) -> Self {
        Self {
            things: Bucket::new(share.things, now),
            bytes: Bucket::new(share.bytes, now),
        }
    }

    /// Takes one thing of so many bytes, if that is left.
    pub fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let is_left = self.has(1, bytes, now);
        if is_left {
            self.spend(1, bytes);
        }
        is_left
    }

    /// Whether so much is left.
    pub fn has(&mut self, things: u32, bytes: usize, now: Instant) -> bool {
        self.things.has(things, now) && self.bytes.has(whole(bytes), now)
    }

    /// Takes so much, or what is left.
    pub fn spend(&mut self, things: u32, bytes: usize) {
        self.things.spend(things);
        self.bytes.spend(whole(bytes));
    }

    /// How long until one thing of so many bytes can be taken, if nothing else is.
    pub fn wait(&mut self, bytes: usize, now: Instant) -> Duration {
        self.things
            .wait(1, now)
            .max(self.bytes.wait(whole(bytes), now))
    }

    /// Whether nothing is lost when it is forgotten.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.things.is_full(now) && self.bytes.is_full(now)
    }

    fn is_half_full(&mut self, now: Instant) -> bool {
        self.things.is_half_full(now) && self.bytes.is_half_full(now)
    }
}

/// An allowance for each of many. Bounded like [`Buckets`](crate::rate::Buckets): when there are too
/// many, full ones are forgotten, and if none is full, all of them.
#[derive(Debug)]
pub struct Allowances<K> {
    share: Share,
    max: usize,
    of: HashMap<K, Allowance>,
}

impl<K: Eq + Hash> Allowances<K> {
    /// With this share for each of at most `max`.
    #[must_use]
    pub fn new(share: Share, max: usize) -> Self {
        Self {
            share,
            max,
            of: HashMap::new(),
        }
    }

    /// What is left for `key`.
    pub fn of(&mut self, key: K, now: Instant) -> &mut Allowance {
        if self.of.len() >= self.max && !self.of.contains_key(&key) {
            self.of.retain(|_, allowance| !allowance.is_full(now));
            if self.of.len() >= self.max {
                self.of.clear();
            }
        }
        let share = self.share;
        self.of
            .entry(key)
            .or_insert_with(|| Allowance::new(share, now))
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

/// An allowance for each, and one for all together, of which the second half is kept for those who
/// are *known* to whoever gives: strangers, of whom there can be any number, leave that to them.
#[derive(Debug)]
pub struct Shares<K> {
    each: Allowances<K>,
    all: Allowance,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// With one share for each of at most `max` that are remembered, and another for all.
    #[must_use]
    pub fn new(each: Share, all: Share, max: usize, now: Instant) -> Self {
        Self {
            each: Allowances::new(each, max),
            all: Allowance::new(all, now),
        }
    }

    /// Takes one thing of so many bytes for `key`, if that is left.
    pub fn take(&mut self, key: K, is_known: bool, bytes: usize, now: Instant) -> bool {
        let is_left = self.has(key, is_known, 1, bytes, now);
        if is_left {
            self.spend(key, 1, bytes, now);
        }
        is_left
    }

    /// Takes what counts for nobody in particular: it may be somebody else's doing.
    pub fn take_of_all(&mut self, is_known: bool, bytes: usize, now: Instant) -> bool {
        (is_known || self.all.is_half_full(now)) && self.all.take(bytes, now)
    }

    /// Whether so much is left for `key`.
    pub fn has(&mut self, key: K, is_known: bool, things: u32, bytes: usize, now: Instant) -> bool {
        (is_known || self.all.is_half_full(now))
            && self.all.has(things, bytes, now)
            && self.each.of(key, now).has(things, bytes, now)
    }

    /// Takes so much for `key`, or what is left.
    pub fn spend(&mut self, key: K, things: u32, bytes: usize, now: Instant) {
        self.all.spend(things, bytes);
        self.each.of(key, now).spend(things, bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{seconds, start};

    const EACH: Share = Share {
        things: Rate {
            per_second: 2,
            burst: 10,
        },
        bytes: Rate {
            per_second: 100,
            burst: 1_000,
        },
    };

    const ALL: Share = Share {
        things: Rate {
            per_second: 10,
            burst: 40,
        },
        bytes: Rate {
            per_second: 500,
            burst: 100_000,
        },
    };

    fn taken(shares: &mut Shares<u32>, key: u32, is_known: bool, now: Instant) -> usize {
        (0..100)
            .filter(|_| shares.take(key, is_known, 1, now))
            .count()
    }

    #[test]
    fn things_and_bytes_are_both_bounded() {
        let now = start();
        let mut few_and_large = Allowance::new(EACH, now);
        assert!(few_and_large.take(600, now));
        assert!(!few_and_large.take(600, now));
        assert_eq!(few_and_large.wait(600, now), seconds(2));
        assert!(few_and_large.take(600, now + seconds(2)));
        let mut many_and_small = Allowance::new(EACH, now);
        assert_eq!((0..100).filter(|_| many_and_small.take(0, now)).count(), 10);
        assert_eq!(many_and_small.wait(0, now), Duration::from_millis(500));
        assert_eq!(many_and_small.wait(0, now + seconds(1)), Duration::ZERO);
    }

    #[test]
    fn who_has_many_keys_leaves_half_to_those_who_are_known() {
        let now = start();
        let mut shares = Shares::new(EACH, ALL, 100, now);
        let strangers: usize = (0..50).map(|key| taken(&mut shares, key, false, now)).sum();
        assert_eq!(strangers, 21, "down to half of what all have");
        assert_eq!(taken(&mut shares, 100, true, now), 10, "one's own");
        assert_eq!(taken(&mut shares, 101, true, now), 9, "what is left");
        assert_eq!(taken(&mut shares, 102, true, now), 0);
        let later = now + seconds(1);
        assert_eq!(taken(&mut shares, 103, false, later), 0);
        assert_eq!(taken(&mut shares, 102, true, later), 10);
    }

    #[test]
    fn who_is_refused_takes_nothing_from_the_others() {
        let now = start();
        let mut shares = Shares::new(EACH, ALL, 100, now);
        assert_eq!(taken(&mut shares, 1, true, now), 10);
        for _ in 0..1_000 {
            assert!(!shares.take(1, true, 1, now));
        }
        let others: usize = (2..5).map(|key| taken(&mut shares, key, true, now)).sum();
        assert_eq!(others, 30);
    }

    #[test]
    fn what_counts_for_nobody_leaves_everybody_their_own() {
        let now = start();
        let mut shares = Shares::new(EACH, ALL, 100, now);
        let replayed = (0..100).filter(|_| shares.take_of_all(false, 1, now));
        assert_eq!(replayed.count(), 21);
        assert_eq!(taken(&mut shares, 1, true, now), 10);
    }

    proptest! {
        #[test]
        fn the_number_of_keys_is_bounded(keys in proptest::collection::vec(any::<u16>(), 1..500)) {
            let now = start();
            let mut allowances = Allowances::new(EACH, 16);
            for key in keys {
                prop_assert!(allowances.of(key, now).take(1, now));
                prop_assert!(allowances.len() <= 16);
            }
        }
    }
}
