//! Who is in the room.

use super::*;

#[test]
fn a_newcomer_is_a_member_by_whatever_way_it_is_heard_of() {
    let joined = ["met 1", "joined: 1 peer 1"];
    let catch_up = "ask 1: missed from 0";
    let mut fixture = Fixture::join(config());
    let signed = here(1, 1, fixture.now);
    check(
        &fixture.announced(1, signed.clone()),
        &[
            &["clock agrees"][..],
            &joined,
            &["answer: accepted", "members changed"],
        ]
        .concat(),
    );
    let again = ["clock agrees", "answer: accepted"];
    check(&fixture.announced(1, signed.clone()), &again);

    let mut fixture = Fixture::join(config());
    fixture.handle(Input::Connected(peer(1)));
    let told = ["publish: here of 1", "answer: members 1", "members changed"];
    check(
        &fixture.asked(1, sync(Some(signed.clone()), None)),
        &[&["clock agrees"][..], &joined, &[catch_up], &told].concat(),
    );

    let mut fixture = Fixture::join(config());
    check(
        &fixture.hears_of(signed),
        &[&joined[..], &["accept", "members changed"]].concat(),
    );
    assert!(fixture.room.contains(&peer(1)));
    assert_eq!(fixture.room.members().len(), 1);
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    let mut fixture = Fixture::join(config());
    let now = fixture.now;
    let foreign = Request::Sync {
        topic: "elsewhere".parse::<Topic>().unwrap().hash(),
        presence: None,
        after: None,
        known: None,
    };
    check(
        &fixture.announced(2, here(1, 1, now)),
        &["answer: error invalid"],
    );
    check(&fixture.asked(2, foreign), &["answer: error invalid"]);
}

#[test]
fn whoever_brings_its_own_presence_is_here_whatever_its_clock_says() {
    let mut fixture = Fixture::join(config());
    let now = fixture.now;
    let wall = now.wall.saturating_sub(seconds(800));
    let old = here(1, 1, Now { wall, ..now });
    check(&fixture.hears_of(old.clone()), &["ignore"]);
    let expected = [
        "clock disagrees with 1",
        "met 1",
        "joined: 1 peer 1",
        "answer: accepted",
        "members changed",
    ];
    check(&fixture.announced(1, old), &expected);
}

#[test]
fn a_renewed_presence_is_told_of_for_its_addresses() {
    let mut fixture = Fixture::with(&[1]);
    let renewed = here(1, 2, fixture.now);
    check(
        &fixture.hears_of(renewed.clone()),
        &["heard of 1", "met 1", "accept"],
    );
    check(&fixture.hears_of(renewed), &["accept"]);
}

#[test]
fn names_that_change_or_look_alike_are_told() {
    let mut fixture = Fixture::with(&[1, 2]);
    let now = fixture.now;
    check(
        &fixture.hears_of(named(1, 2, "Ada", now)),
        &[
            "heard of 1",
            "met 1",
            "updated: 1 Ada from 1 peer 1",
            "accept",
            "members changed",
        ],
    );
    check(
        &fixture.hears_of(named(2, 2, "\u{410}da", now)),
        &[
            "heard of 2",
            "met 2",
            "updated: 2 \u{410}da like 1 from 2 peer 2",
            "accept",
            "updated: 1 Ada like 2 from 1 Ada",
            "members changed",
        ],
    );
    check(
        &fixture.hears_of(named(3, 1, "ME", now)),
        &["met 3", "joined: 3 ME like 0", "accept", "members changed"],
    );
    let listed: Vec<_> = fixture
        .room
        .members()
        .map(|member| member.looks_like)
        .collect();
    assert_eq!(listed.iter().flatten().count(), 3);
    check(
        &fixture.hears_of(left(2, 3, now)),
        &[
            "left: 2 \u{410}da Left",
            "forget 2",
            "ask 1: left of 2",
            "accept",
            "updated: 1 Ada from 1 Ada like 2",
            "members changed",
        ],
    );
}

#[test]
fn a_farewell_that_one_is_told_of_is_said_in_the_room() {
    let mut fixture = Fixture::with(&[1, 2, 3]);
    fixture.handle(Input::Listens(peer(3)));
    let farewell = left(1, 2, fixture.now);
    let gone = [
        "left: 1 peer 1 Left",
        "forget 1",
        "ask 1: left of 1",
        "ask 2: left of 1",
    ];
    let outputs = fixture.announced(2, farewell.clone());
    // Whoever has left is not told.
    let gone: Vec<&str> = gone
        .into_iter()
        .filter(|it| !it.starts_with("ask 1"))
        .collect();
    check(
        &outputs,
        &[&gone[..], &["answer: accepted", "members changed"]].concat(),
    );
    check(
        &fixture.announced(3, farewell.clone()),
        &["answer: accepted"],
    );
    check(&fixture.pass(millis(300)), &["publish: left of 1"]);
    let asked = fixture.asked(2, sync(None, None));
    assert!(brief(&asked[0]).contains(" 1"), "it is listed: {asked:?}");

    let mut fixture = Fixture::with(&[1]);
    let farewell = left(1, 2, fixture.now);
    let expected = [
        "left: 1 peer 1 Left",
        "forget 1",
        "accept",
        "members changed",
    ];
    check(&fixture.hears_of(farewell), &expected);
    check(&fixture.pass(millis(300)), &[]);
}

#[test]
fn who_does_not_renew_its_presence_is_gone() {
    let mut fixture = Fixture::join(config());
    let signed = here(1, 1, fixture.now);
    fixture.announced(1, signed);
    fixture.pass(PRESENCE_TTL - millis(1));
    assert!(fixture.room.contains(&peer(1)));
    let outputs = fixture.pass(millis(1));
    let expected = ["left: 1 peer 1 Expired", "forget 1"];
    check(&outputs[..2], &expected);
    assert_eq!(outputs.last(), Some(&Output::MembersChanged));
    assert!(!fixture.room.contains(&peer(1)));
}

type Comeback = fn(&mut Fixture) -> Vec<Output>;

#[test]
fn who_cannot_be_reached_is_off_the_list_until_it_is_heard_of() {
    let back: [(Comeback, &[&str]); 3] = [
        (
            |fixture| fixture.handle(Input::Connected(peer(1))),
            &[
                "met 1",
                "joined: 1 peer 1",
                "ask 1: missed from 0",
                "ask 1: list, here of 0",
                "members changed",
            ],
        ),
        (
            |fixture| fixture.handle(Input::HeardFrom(peer(1))),
            &["met 1", "joined: 1 peer 1", "members changed"],
        ),
        (
            |fixture| fixture.gossip(2, 1, said(text(1, fixture.now))),
            &[
                "spoke 1",
                "met 1",
                "joined: 1 peer 1",
                "peer 1: message 1",
                "accept",
                "members changed",
            ],
        ),
    ];
    for (comes_back, expected) in back {
        let mut fixture = Fixture::with(&[1, 2]);
        fixture.handle(Input::Reachable(peer(1), true));
        assert!(fixture.room.is_reachable(&peer(1)));
        fixture.handle(Input::Disconnected(peer(1)));
        let lost = fixture.handle(Input::Lost(peer(1)));
        check(&lost, &["left: 1 peer 1 Lost", "members changed"]);
        check(&fixture.handle(Input::Lost(peer(1))), &[]);
        assert!(!fixture.room.contains(&peer(1)) && !fixture.room.is_reachable(&peer(1)));
        assert!(
            fixture.room.wanted().contains(&peer(1)),
            "it is tried again"
        );
        check(&comes_back(&mut fixture), expected);
        assert!(fixture.room.contains(&peer(1)));
    }
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Disconnected(peer(1)));
    fixture.handle(Input::Lost(peer(1)));
    let ended = fixture.pass(PRESENCE_TTL);
    let ended: Vec<String> = ended.iter().map(brief).collect();
    assert!(ended.contains(&"forget 1".to_owned()), "{ended:?}");
    check(&fixture.handle(Input::HeardFrom(peer(1))), &[]);
}

#[test]
fn what_others_show_again_is_not_its_signers_doing() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    let shown = here(1, 1, now);
    let again = (0..100).map(|_| fixture.hears_of(shown.clone()));
    let again: Vec<String> = again.map(|outputs| brief(&outputs[0])).collect();
    assert!(again.contains(&"ignore".to_owned()), "that is too much");
    let renewed = fixture.hears_of(here(1, 2, now));
    check(&renewed, &["heard of 1", "met 1", "accept"]);
}

#[test]
fn anothers_old_farewell_says_nothing_of_ones_clock() {
    let mut fixture = Fixture::join(config());
    let now = fixture.now;
    let old = Now {
        wall: now.wall.saturating_sub(seconds(800)),
        ..now
    };
    let told = fixture.announced(2, left(1, 1, old));
    check(&told, &["answer: error expired"]);
}
