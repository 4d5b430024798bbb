use proptest::prelude::*;

use super::*;
use crate::testing::{millis, seconds, start};

/// Runs until the next announcement and returns when it was, in milliseconds after `start`.
fn run(announcer: &mut Announcer, start: Instant) -> u128 {
    let deadline = announcer.poll_timeout().unwrap();
    assert!(!announcer.poll(deadline.checked_sub(millis(1)).unwrap()));
    assert!(announcer.poll(deadline));
    (deadline - start).as_millis()
}

#[test]
fn nothing_is_due_before_joining() {
    let mut announcer = Announcer::new(1);
    let now = start();
    announcer.addresses_changed(now);
    announcer.succeeded(now);
    assert_eq!(announcer.poll_timeout(), None);
    assert!(!announcer.poll(now + seconds(1000)));
    assert!(!announcer.is_settled());
}

#[test]
fn joining_announces_at_once_and_again_until_it_succeeds() {
    let mut announcer = Announcer::new(1);
    let start = start();
    announcer.announce_now(start);
    assert!(announcer.poll(start));
    assert!(!announcer.poll(start), "once");
    let times: Vec<u128> = (0..6).map(|_| run(&mut announcer, start)).collect();
    assert_eq!(times, [1000, 3000, 7000, 15_000, 30_000, 45_000]);
    assert!(!announcer.is_settled());
    let now = start + seconds(45);
    announcer.succeeded(now);
    assert!(announcer.is_settled());
    let next = announcer.poll_timeout().unwrap() - now;
    assert!(
        (millis(40_500)..=millis(49_500)).contains(&next),
        "{next:?}"
    );
}

#[test]
fn a_refresh_that_fails_is_tried_again_soon() {
    let mut announcer = Announcer::new(1);
    let start = start();
    announcer.announce_now(start);
    assert!(announcer.poll(start));
    announcer.succeeded(start);
    let refresh = run(&mut announcer, start);
    assert_eq!(run(&mut announcer, start) - refresh, 1000);
    assert_eq!(run(&mut announcer, start) - refresh, 3000);
}

#[test]
fn a_burst_of_address_changes_is_announced_once() {
    let mut announcer = Announcer::new(1);
    let start = start();
    announcer.announce_now(start);
    assert!(announcer.poll(start));
    announcer.succeeded(start);
    for at in [1000, 1100, 1250] {
        announcer.addresses_changed(start + millis(at));
    }
    assert_eq!(run(&mut announcer, start), 1450);
    announcer.succeeded(start + millis(1500));
    assert!(announcer.poll_timeout().unwrap() > start + seconds(40));
}

#[test]
fn endless_address_changes_do_not_put_it_off_for_ever() {
    let mut announcer = Announcer::new(1);
    let start = start();
    announcer.announce_now(start);
    assert!(announcer.poll(start));
    announcer.succeeded(start);
    for at in 0..9 {
        announcer.addresses_changed(start + millis(5000 + 150 * at));
        assert!(
            !announcer.poll(start + millis(5000 + 150 * at)) || at == 7,
            "{at}"
        );
    }
}

#[test]
fn a_change_during_an_announcement_is_not_lost_when_that_succeeds() {
    let mut announcer = Announcer::new(1);
    let start = start();
    announcer.announce_now(start);
    assert!(announcer.poll(start));
    announcer.addresses_changed(start + millis(10));
    announcer.succeeded(start + millis(20));
    assert_eq!(run(&mut announcer, start), 210);
}

#[test]
fn the_network_is_back() {
    let mut announcer = Announcer::new(1);
    let start = start();
    announcer.announce_now(start);
    for _ in 0..9 {
        run(&mut announcer, start);
    }
    let now = announcer
        .poll_timeout()
        .unwrap()
        .checked_sub(seconds(3))
        .unwrap();
    announcer.announce_now(now);
    assert!(announcer.poll(now));
    assert_eq!(
        announcer.poll_timeout(),
        Some(now + seconds(1)),
        "retries start anew"
    );
}

#[test]
fn lives_grow_with_the_room_so_that_all_cost_the_same() {
    for (others, seconds) in [
        (0, 120),
        (24, 120),
        (48, 240),
        (100, 500),
        (480, 2_400),
        (1_024, 2_400),
    ] {
        assert_eq!(life(PRESENCE_TTL, others).as_secs(), seconds, "{others}");
    }
    assert_eq!(life(Duration::from_secs(2), 48), Duration::from_secs(4));
    assert!(life(PRESENCE_TTL_MAX, usize::MAX) <= PRESENCE_TTL_MAX);
}

proptest! {
    #[test]
    fn refreshes_spread_around_their_interval(seed: u64, refresh in 1_u64..1000) {
        let mut announcer = Announcer::new(seed);
        announcer.signed_for(seconds(refresh) * 8 / 3);
        let start = start();
        announcer.announce_now(start);
        prop_assert!(announcer.poll(start));
        announcer.succeeded(start);
        let wait = announcer.poll_timeout().unwrap() - start;
        prop_assert!(wait >= seconds(refresh).mul_f64(0.899) && wait <= seconds(refresh).mul_f64(1.101));
    }

    /// Three announcements fit in the life of a presence.
    #[test]
    fn two_lost_refreshes_are_survived(seed: u64) {
        let mut announcer = Announcer::new(seed);
        let start = start();
        announcer.announce_now(start);
        prop_assert!(announcer.poll(start));
        announcer.succeeded(start);
        let first = run(&mut announcer, start);
        let second = run(&mut announcer, start);
        prop_assert!(u128::from(second < 120_000 && first < second) == 1);
    }
}
