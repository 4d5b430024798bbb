//! Leaving, and after that.

use super::*;

#[test]
fn who_leaves_tells_everybody() {
    let mut fixture = Fixture::with(&[1, 2]);
    fixture.handle(Input::Listens(peer(1)));
    let outputs = fixture.handle(Input::Leave);
    let mut told = ["ask 1: left of 0", "ask 2: left of 0"];
    told.sort_by_key(|told| {
        if told.starts_with("ask 1") {
            peer(1)
        } else {
            peer(2)
        }
    });
    let rest = ["put: left of 0", "members changed"];
    check(
        &outputs,
        &[&["publish: left of 0"], &told[..], &rest].concat(),
    );
    assert!(fixture.room.is_left());
    assert_eq!(fixture.room.members().len(), 0);
    check(&fixture.answered(1, Vec::new()), &[]);
    check(
        &fixture.failed(2, Failure::ConnectionClosed),
        &["ask 2: left of 0"],
    );
    check(&fixture.failed(2, Failure::Timeout), &["doubt 2"]);
    check(&fixture.handle(Input::LeftHandedOver), &["all told"]);
    assert_eq!(fixture.room.poll_timeout(), None);
    check(&fixture.handle(Input::LeftHandedOver), &[]);
}

#[test]
fn leaving_ends_whoever_does_not_answer() {
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Leave);
    check(&fixture.pass(millis(1499)), &[]);
    check(&fixture.pass(millis(1)), &["all told"]);
    assert_eq!(fixture.room.poll_timeout(), None);

    // Nothing is asked again when it is too late.
    check(&fixture.failed(1, Failure::ConnectionClosed), &[]);

    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Leave);
    fixture.handle(Input::LeftHandedOver);
    check(&fixture.handle(Input::Disconnected(peer(1))), &["all told"]);

    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Leave);
    check(&fixture.handle(Input::Restarted), &["all told"]);
}

#[test]
fn who_has_left_answers_as_one_who_is_not_in_the_room() {
    let mut fixture = Fixture::with(&[1]);
    let burst = u64::from(SAY.things.burst);
    for number in 0..burst {
        fixture.say(number);
    }
    check(&fixture.say(burst), &[]);
    let left = fixture.handle(Input::Leave);
    assert!(left.iter().any(|output| brief(output) == "not said: Left"));
    let now = fixture.now;
    check(&fixture.say(1), &["not said: Left"]);
    check(
        &fixture.announced(1, here(1, 9, now)),
        &["answer: error not_a_member"],
    );
    check(&fixture.gossip(1, 1, said(text(1, now))), &["ignore"]);
    check(&fixture.handle(Input::Leave), &[]);
    let missed = Input::AskedMissed {
        ask: AskId(1),
        from: peer(1),
        said: Position::default(),
        known: Position::default(),
        member_for: seconds(1),
    };
    check(&fixture.handle(missed), &["answer: error not_a_member"]);
    assert!(!fixture.room.contains(&peer(1)));
}

#[test]
fn who_comes_back_is_newer_than_what_it_signed_elsewhere() {
    let mut fixture = Fixture::join(config());
    let elsewhere = here(0, fixture.now.wall.0 + 5_000, fixture.now);
    check(&fixture.hears_of(elsewhere), &["accept"]);
    fixture.timeout();
    let own = fixture.room.own().unwrap().presence();
    assert_eq!(own.sequence, fixture.now.wall.0 + 5_001);
}

#[test]
fn requests_go_by_the_protocol_that_they_are_of() {
    let mut fixture = Fixture::with(&[1]);
    let asked = fixture.handle(Input::ConnectionClosed(peer(1)));
    assert!(matches!(
        &asked[..],
        [Output::Ask {
            protocol: Protocol::Message,
            ..
        }]
    ));
    let told = fixture.announced(2, left(1, 2, fixture.now));
    assert!(!told.iter().any(|output| matches!(
        output,
        Output::Ask {
            protocol: Protocol::Message,
            ..
        }
    )));
}
