use proptest::prelude::*;

use super::*;
use crate::{
    limits::{REDIAL_BASE, REDIAL_MAX},
    testing::{millis, seconds},
};

#[test]
fn doubling_ends_at_the_maximum() {
    let table = [
        (0, 500),
        (1, 1000),
        (2, 2000),
        (4, 8000),
        (5, 8000),
        (31, 8000),
        (32, 8000),
    ];
    for (times, expected) in table {
        assert_eq!(
            doubled(REDIAL_BASE, REDIAL_MAX, times),
            millis(expected),
            "{times}"
        );
    }
    assert_eq!(doubled(REDIAL_BASE, REDIAL_MAX, u32::MAX), REDIAL_MAX);
    assert_eq!(doubled(Duration::MAX, Duration::MAX, 9), Duration::MAX);
}

#[test]
fn a_success_makes_the_next_wait_short() {
    let mut backoff = Backoff::new(REDIAL_BASE, REDIAL_MAX, 1);
    for _ in 0..20 {
        backoff.next_delay();
    }
    assert_eq!(backoff.attempts(), 20);
    backoff.reset();
    assert_eq!(backoff.attempts(), 0);
    assert!(backoff.next_delay() <= REDIAL_BASE);
}

#[test]
fn peers_that_lost_the_same_node_spread() {
    let mut delays: Vec<Duration> = (0..100)
        .map(|seed| {
            let mut backoff = Backoff::new(REDIAL_BASE, REDIAL_MAX, seed);
            (0..6).map(|_| backoff.next_delay()).last().unwrap()
        })
        .collect();
    delays.sort();
    assert!(
        delays[9] < seconds(2) && delays[90] > seconds(6),
        "{delays:?}"
    );
}

proptest! {
    #[test]
    fn waits_stay_in_bounds(seed: u64, base in 1_u64..5000, max in 1_u64..60_000) {
        let mut backoff = Backoff::new(millis(base), millis(max), seed);
        for _ in 0..40 {
            let delay = backoff.next_delay();
            prop_assert!(delay >= millis(base) / 2 && delay <= millis(max.max(base)));
        }
    }
}
