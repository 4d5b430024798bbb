//! Connections that come and go, and whom to connect to.

use super::*;

#[test]
fn a_connection_that_breaks_has_what_was_on_it_asked_for() {
    let mut fixture = Fixture::with(&[1]);
    let asked = fixture.handle(Input::ConnectionClosed(peer(1)));
    check(&asked, &["ask 1: missed from 0"]);
    check(&fixture.handle(Input::ConnectionClosed(peer(2))), &[]);
    check(&fixture.handle(Input::Disconnected(peer(1))), &[]);
    assert!(!fixture.room.around.is_near(&peer(1)) && fixture.room.contains(&peer(1)));
    let again = fixture.handle(Input::Connected(peer(1)));
    check(&again, &["ask 1: list, here of 0", "ask 1: missed from 0"]);
}

#[test]
fn a_small_room_is_a_full_mesh_and_of_others_as_many_are_tried() {
    let mut fixture = Fixture::join(config());
    let now = fixture.now;
    for n in 1..=40 {
        fixture.hears_of(here(n, 1, now));
    }
    let tried = fixture.room.wanted();
    assert_eq!((tried.len(), fixture.room.likely()), (FULL_MESH_MAX, 0));
    for n in 1..=10 {
        fixture.handle(Input::Reachable(peer(n), true));
        fixture.handle(Input::Connected(peer(n + 5)));
    }
    fixture.handle(Input::Reachable(peer(99), true));
    assert!(!fixture.room.is_reachable(&peer(99)), "no member");
    let wanted = fixture.room.wanted();
    assert_eq!((wanted.len(), fixture.room.likely()), (FULL_MESH_MAX, 15));
    assert!((1..=15).all(|n| wanted.contains(&peer(n))));
    let longest: Vec<PeerId> = (6..=15).chain([99]).map(peer).collect();
    let kept = fixture.room.kept(&longest);
    assert_eq!(kept.len(), 10);
    assert!(!kept.contains(&peer(99)), "no member");
}

#[test]
fn another_swarm_begins_anew_with_the_same_members() {
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::ConnectionClosed(peer(1)));
    let request = fixture.request(1);
    check(
        &fixture.handle(Input::Restarted),
        &["met 1", "members changed"],
    );
    let body = Vec::new();
    check(&fixture.handle(Input::Answered { request, body }), &[]);
    assert!(!fixture.room.around.is_near(&peer(1)) && fixture.room.contains(&peer(1)));
    assert_eq!(fixture.room.poll_timeout(), Some(fixture.now.instant));
    check(&fixture.timeout(), &["put: here of 0", "find providers"]);
    let asked = fixture.handle(Input::Connected(peer(1)));
    check(&asked, &["ask 1: list, here of 0", "ask 1: missed from 0"]);
}

#[test]
fn of_those_who_cannot_be_reached_who_was_met_is_tried_first() {
    let mut fixture = Fixture::join(config());
    let now = fixture.now;
    for n in 1..=60 {
        fixture.hears_of(here(n, 1, now));
    }
    for n in 40..=55 {
        fixture.handle(Input::Connected(peer(n)));
        fixture.handle(Input::Disconnected(peer(n)));
    }
    let wanted = fixture.room.wanted();
    assert_eq!(wanted.len(), FULL_MESH_MAX);
    assert!((40..=55).all(|n| wanted.contains(&peer(n))));
}

#[test]
fn another_swarm_knows_nothing_of_what_was_asked() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    fixture.handle(Input::Connected(peer(1)));
    fixture.handle(providers(1..2));
    fixture.timeout();
    let request = fixture.request(1);
    fixture.handle(Input::Restarted);
    let body = list(&[here(2, 1, fixture.now)], None);
    check(&fixture.handle(Input::Answered { request, body }), &[]);
}
