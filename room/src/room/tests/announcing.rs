//! Joining, and saying that one is here.

use super::*;

#[test]
fn who_joins_says_so_and_looks_for_others() {
    for (gossip, in_dht, listeners, expected) in [
        (
            true,
            true,
            vec![],
            vec!["publish: here of 0", "put: here of 0", "find providers"],
        ),
        (
            false,
            true,
            vec![],
            vec!["put: here of 0", "find providers"],
        ),
        (true, false, vec![], vec!["publish: here of 0"]),
        (
            true,
            false,
            vec![1, 2],
            vec!["publish: here of 0", "ask 1: list, here of 0"],
        ),
        (false, false, vec![1], vec![]),
    ] {
        let mut fixture = Fixture::join(Config {
            gossip,
            in_dht,
            connected: vec![peer(1)],
            listeners: listeners.into_iter().map(peer).collect(),
            ..config()
        });
        assert_eq!(fixture.room.poll_timeout(), Some(fixture.now.instant));
        check(&fixture.timeout(), &expected);
    }
}

#[test]
fn without_a_dht_some_of_those_who_listen_are_asked() {
    let connected: Vec<PeerId> = (1..8).map(peer).collect();
    let mut fixture = Fixture::join(Config {
        in_dht: false,
        listeners: connected.clone(),
        connected,
        ..config()
    });
    let asked = fixture.timeout();
    let asked = asked
        .iter()
        .filter(|output| matches!(output, Output::Ask { .. }));
    assert_eq!(asked.count(), 4);
}

#[test]
fn the_dht_is_tried_again_until_it_takes_the_presence_and_members_are_told_once() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    let tries = fixture.pass(seconds(5));
    let of = |outputs: &[Output], which| {
        outputs
            .iter()
            .filter(|output| brief(output).starts_with(which))
            .count()
    };
    assert_eq!(of(&tries, "put: here of 0"), 2);
    assert_eq!(of(&tries, "publish"), 0);
    fixture.handle(Input::Announced { accepted: false });
    assert_eq!(of(&fixture.pass(seconds(5)), "put: here of 0"), 1);
    fixture.handle(Input::Announced { accepted: true });
    assert_eq!(of(&fixture.pass(seconds(40)), "put: here of 0"), 0);
    let refreshed = fixture.pass(seconds(10));
    assert!(of(&refreshed, "put: here of 0") >= 1);
    assert_eq!(of(&refreshed, "publish: here of 0"), 1);
    fixture.handle(Input::Announced { accepted: true });
    fixture.handle(Input::AnnounceNow);
    assert_eq!(fixture.room.poll_timeout(), Some(fixture.now.instant));
    let due = fixture.timeout();
    assert_eq!(of(&due, "put"), 1);
}

#[test]
fn members_are_told_directly_whom_gossip_does_not_reach() {
    let mut fixture = Fixture::with(&[1, 2]);
    fixture.handle(Input::Listens(peer(1)));
    fixture.handle(Input::Listens(peer(3)));
    check(
        &fixture.handle(Input::AddressesChanged(vec![address(5)])),
        &[],
    );
    let expected = ["publish: here of 0", "ask 2: here of 0", "put: here of 0"];
    check(&fixture.pass(ADDRESS_DEBOUNCE), &expected);
    let own = fixture.room.own().unwrap().presence();
    assert_eq!(own.addresses, [address(5)]);
    fixture.handle(Input::ListensNoMore(peer(1)));
    fixture.handle(Input::AddressesChanged(vec![address(6)]));
    let told = fixture.pass(ADDRESS_DEBOUNCE);
    assert_eq!(
        told.iter()
            .filter(|output| matches!(output, Output::Ask { .. }))
            .count(),
        2
    );
}
