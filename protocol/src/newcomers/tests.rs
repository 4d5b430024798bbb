use super::*;
use crate::testing::{millis, peer, start};

#[test]
fn words_wait_for_the_presence_of_who_said_them() {
    let now = start();
    let mut newcomers = Newcomers::default();
    for (author, word) in [(1, "a"), (2, "b"), (1, "c")] {
        assert_eq!(newcomers.push(peer(author), word, now), None);
    }
    assert_eq!(newcomers.joined(&peer(1)), ["a", "c"]);
    assert_eq!(newcomers.joined(&peer(1)), [""; 0]);
    assert_eq!(newcomers.poll_timeout(), Some(now + NEWCOMER_PATIENCE));
    assert_eq!(newcomers.tick(now + NEWCOMER_PATIENCE - millis(1)), [""; 0]);
    assert_eq!(newcomers.tick(now + NEWCOMER_PATIENCE), ["b"]);
    assert_eq!(newcomers.poll_timeout(), None);
}

#[test]
fn a_flood_waits_no_longer_but_is_not_lost() {
    let now = start();
    let mut newcomers = Newcomers::default();
    let shown: Vec<usize> = (0..NEWCOMERS_HELD_MAX + 10)
        .filter_map(|n| newcomers.push(peer(1), n, now))
        .collect();
    assert_eq!(shown, (0..10).collect::<Vec<_>>());
    let rest = newcomers.tick(now + NEWCOMER_PATIENCE);
    assert_eq!(rest, (10..NEWCOMERS_HELD_MAX + 10).collect::<Vec<_>>());
}
