//! What is said, both ways.

use moim_protocol::wire::ErrorCode;

use super::*;

#[test]
fn who_says_something_reaches_those_who_listen_and_tells_the_others_that_there_is_something() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    check(&fixture.say(1), &["publish: line 1", "said: line 1"]);

    let mut fixture = Fixture::with(&[1, 2]);
    fixture.handle(Input::Listens(peer(1)));
    let expected = ["publish: line 1", "ask 2: missed from 0", "said: line 1"];
    let outputs = fixture.say(1);
    check(&outputs, &expected);
    let Some(Output::Said { id, message }) = outputs.last() else {
        panic!("{outputs:?}");
    };
    assert_eq!(
        (*id, message.id, message.from),
        (message_id(1), *id, peer(0))
    );
    assert_eq!(message.name, Some("Me".parse().unwrap()));
}

#[test]
fn a_flood_waits_for_its_turn_and_what_is_too_much_is_refused() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    let burst = u64::from(SAY.things.burst);
    let waiting = SAY_WAITING_MAX as u64;
    for number in 0..burst + waiting {
        let expected = usize::from(number < burst) * 2;
        assert_eq!(fixture.say(number).len(), expected);
    }
    check(&fixture.say(0), &["not said: TooFast"]);
    let said = fixture.pass(seconds(1));
    let said = said
        .iter()
        .filter(|output| matches!(output, Output::Said { .. }));
    let rate = usize::try_from(SAY.things.per_second).unwrap();
    assert!((rate - 1..=rate).contains(&said.count()));
}

#[test]
fn messages_are_shown_in_order_and_what_is_missing_is_asked_for() {
    let mut fixture = Fixture::with(&[1, 2]);
    let now = fixture.now;
    let texts: Vec<RoomText> = (0..6).map(|sequence| text(sequence, now)).collect();
    let of = |sequence: usize| said(texts[sequence].clone());
    check(
        &fixture.gossip(2, 1, of(1)),
        &["spoke 1", "peer 1: message 1", "accept"],
    );
    check(&fixture.gossip(2, 1, of(1)), &["spoke 1", "accept"]);
    check(
        &fixture.gossip(2, 1, of(3)),
        &["spoke 1", "ask 1: missed from 1", "accept"],
    );
    let missed = fixture.answer_missed(1, 3, &texts[2..3]);
    check(&missed, &["peer 1: message 2", "peer 1: message 3"]);
    check(
        &fixture.gossip(2, 1, of(5)),
        &["spoke 1", "ask 1: missed from 3", "accept"],
    );
    check(&fixture.answer_missed(1, 5, &[]), &["peer 1: message 5"]);
    check(
        &fixture.gossip(2, 1, of(4)),
        &["spoke 1", "peer 1: message 4", "accept"],
    );
}

#[test]
fn the_first_words_of_who_has_been_there_for_a_while_are_shown_as_they_come() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    // Nothing tells that there was an earlier one. A newcomer's words are waited for from the first on.
    let second = fixture.gossip(2, 1, said(text(2, now)));
    check(&second, &["spoke 1", "peer 1: message 2", "accept"]);
    let first = fixture.gossip(2, 1, said(text(1, now)));
    check(&first, &["spoke 1", "peer 1: message 1", "accept"]);
    let young = |sequence| RoomText {
        session: now.wall.0 - 1_000,
        ..text(sequence, now)
    };
    let second = fixture.gossip(2, 1, said(young(2)));
    check(&second, &["spoke 1", "ask 1: missed from 0", "accept"]);
    let first = fixture.gossip(2, 1, said(young(1)));
    let both = [
        "spoke 1",
        "peer 1: message 1",
        "peer 1: message 2",
        "accept",
    ];
    check(&first, &both);
}

#[test]
fn what_is_missing_and_not_given_is_waited_for_a_moment() {
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Disconnected(peer(1)));
    let now = fixture.now;
    fixture.gossip(2, 1, said(text(1, now)));
    check(
        &fixture.gossip(2, 1, said(text(3, now))),
        &["spoke 1", "accept"],
    );
    let outputs = fixture.pass(seconds(2));
    assert!(
        outputs
            .iter()
            .any(|output| brief(output) == "peer 1: message 3")
    );
}

#[test]
fn what_was_missed_is_asked_for_again_when_there_was_a_reason() {
    let fresh = || {
        let mut fixture = Fixture::with(&[1]);
        fixture.handle(Input::ConnectionClosed(peer(1)));
        fixture
    };
    let error = message::Response::error(ErrorCode::Busy, "").encode();
    let again = "ask 1: missed from 0";
    check(&fresh().answered(1, error.clone()), &[]);
    check(&fresh().failed(1, Failure::ConnectionClosed), &[again]);
    check(&fresh().failed(1, Failure::Timeout), &["doubt 1", again]);
    check(&fresh().failed(1, Failure::Io), &[]);
    check(&fresh().failed(1, Failure::Other), &[]);
    for answer in [
        error,
        message::Response::error(ErrorCode::NotAMember, "").encode(),
    ] {
        let mut fixture = fresh();
        check(&fixture.handle(Input::ConnectionClosed(peer(1))), &[]);
        check(&fixture.answered(1, answer), &[again]);
    }
    let mut gone = fresh();
    gone.handle(Input::Disconnected(peer(1)));
    check(&gone.failed(1, Failure::ConnectionClosed), &[]);
}

#[test]
fn who_asks_is_given_what_it_missed_and_asked_in_turn() {
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Listens(peer(1)));
    fixture.say(1);
    fixture.say(2);
    let asked = |said: u64, known: u64, now: Now| Input::AskedMissed {
        ask: AskId(3),
        from: peer(1),
        said: Position {
            session: now.wall.0,
            sequence: said,
        },
        known: Position {
            session: now.wall.0 - 15_000,
            sequence: known,
        },
        member_for: seconds(5),
    };
    let now = fixture.now;
    check(
        &fixture.handle(asked(0, 0, now)),
        &["answer: missed 1 2 of 2"],
    );
    let session = fixture
        .room
        .own()
        .map(|own| own.presence().issued.0)
        .unwrap();
    assert_eq!(session, now.wall.0 - 15_000);
    check(
        &fixture.handle(asked(0, 1, now)),
        &["answer: missed 2 of 2"],
    );
    let expected = ["answer: missed  of 2", "ask 1: missed from 0"];
    check(&fixture.handle(asked(4, 2, now)), &expected);
}

#[test]
fn what_a_newcomer_says_waits_for_its_presence() {
    let mut fixture = Fixture::join(config());
    let now = fixture.now;
    check(
        &fixture.gossip(2, 1, said(text(1, now))),
        &["spoke 1", "accept"],
    );
    let expected = [
        "met 1",
        "joined: 1 peer 1",
        "peer 1: message 1",
        "accept",
        "members changed",
    ];
    check(&fixture.hears_of(here(1, 1, now)), &expected);
    check(
        &fixture.gossip(2, 3, said(text(1, now))),
        &["spoke 3", "accept"],
    );
    let outputs = fixture.pass(seconds(2));
    assert!(
        outputs
            .iter()
            .any(|output| brief(output) == "nobody: message 1")
    );
}

#[test]
fn what_cannot_be_read_is_passed_on_or_not_by_whose_fault_it_is() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    let old = Now {
        wall: now.wall.saturating_sub(seconds(700)),
        ..now
    };
    let foreign = Presence {
        topic: "elsewhere".parse::<Topic>().unwrap().hash(),
        ..crate::testing::presence(1, 9, now)
    };
    let presence = foreign.sign(&keypair(1)).unwrap();
    for (data, expected) in [
        (br#"{"v":2,"type":"text"}"#.to_vec(), "accept"),
        (br#"{"v":1,"type":"song"}"#.to_vec(), "accept"),
        (b"nonsense".to_vec(), "reject"),
        (br#"{"v":1,"type":"text"}"#.to_vec(), "reject"),
        (RoomMessage::Presence { presence }.encode(), "reject"),
    ] {
        check(&fixture.gossip(1, 1, data), &[expected]);
    }
    // Others may say again what was said long ago; its author says it now.
    let (first, second) = (said(text(1, old)), said(text(2, old)));
    check(&fixture.gossip(2, 1, first), &["ignore"]);
    let outputs = fixture.gossip(1, 1, second);
    assert_eq!(brief(outputs.last().unwrap()), "accept");
}

#[test]
fn who_says_too_much_is_not_passed_on() {
    let mut fixture = Fixture::with(&[1, 2]);
    let now = fixture.now;
    let share = u64::from(TALK_PER_AUTHOR.things.burst);
    for sequence in 1..=share {
        let outputs = fixture.gossip(2, 1, said(text(sequence, now)));
        assert_eq!(brief(outputs.last().unwrap()), "accept");
    }
    check(
        &fixture.gossip(2, 1, said(text(share + 1, now))),
        &["ignore"],
    );
    let unknown = br#"{"v":2,"type":"text"}"#.to_vec();
    check(&fixture.gossip(2, 1, unknown), &["ignore"]);
    check(
        &fixture.gossip(2, 2, said(text(1, now)))[1..],
        &["peer 2: message 1", "accept"],
    );
    // What is asked for counts as said: it waits.
    check(&fixture.handle(Input::ConnectionClosed(peer(1))), &[]);
    let asked = fixture.pass(seconds(2));
    let asked: Vec<String> = asked.iter().map(brief).collect();
    assert!(
        asked.contains(&format!("ask 1: missed from {share}")),
        "{asked:?}"
    );
}

#[test]
fn a_neighbour_that_brings_more_than_any_room_has_is_not_listened_to() {
    let mut fixture = Fixture::with(&[1, 2]);
    let nonsense = vec![b'x'; moim_protocol::limits::ROOM_BYTES_MAX];
    let mut outputs = Vec::new();
    for _ in 0..600 {
        outputs = fixture.gossip(2, 1, nonsense.clone());
    }
    check(&outputs, &["deafen 2", "ignore"]);
    check(&fixture.gossip(1, 1, nonsense), &["reject"]);
}

#[test]
fn what_is_not_given_again_is_not_waited_for() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    fixture.gossip(2, 1, said(text(1, now)));
    fixture.gossip(2, 1, said(text(4, now)));
    let missed = fixture.answer_missed(1, 4, &[text(3, now)]);
    check(&missed, &["peer 1: message 3", "peer 1: message 4"]);
}

#[test]
fn who_has_more_to_give_is_asked_again() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    fixture.handle(Input::ConnectionClosed(peer(1)));
    let first = [text(1, now), text(2, now)];
    check(
        &fixture.answer_missed(1, 4, &first),
        &[
            "peer 1: message 1",
            "peer 1: message 2",
            "ask 1: missed from 2",
        ],
    );
    let rest = [text(3, now), text(4, now)];
    let rest = fixture.answer_missed(1, 4, &rest);
    check(&rest, &["peer 1: message 3", "peer 1: message 4"]);
}

#[test]
fn what_is_given_again_counts_as_said() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    fixture.handle(Input::ConnectionClosed(peer(1)));
    let count = u64::from(TALK_PER_AUTHOR.things.burst) - 10;
    let messages: Vec<RoomText> = (1..=count).map(|sequence| text(sequence, now)).collect();
    let shown = fixture.answer_missed(1, count, &messages);
    assert_eq!(shown.len() as u64, count);
    check(&fixture.handle(Input::ConnectionClosed(peer(1))), &[]);
    let asked = fixture.pass(seconds(1));
    let asked: Vec<String> = asked.iter().map(brief).collect();
    assert!(
        asked.contains(&format!("ask 1: missed from {count}")),
        "{asked:?}"
    );
}

#[test]
fn what_others_play_again_is_not_its_authors_doing() {
    let mut fixture = Fixture::with(&[1]);
    let now = fixture.now;
    for _ in 0..2 * TALK_PER_AUTHOR.things.burst {
        fixture.gossip(2, 1, said(text(1, now)));
    }
    let expected = ["spoke 1", "peer 1: message 2", "accept"];
    check(&fixture.gossip(2, 1, said(text(2, now))), &expected);
}
