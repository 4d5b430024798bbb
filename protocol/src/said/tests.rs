use super::*;
use crate::{
    limits::TEXT_BYTES_MAX,
    message::{MessageId, Response},
    testing::{WALL, start},
};

const SESSION: u64 = 7;
const LONG: Duration = Duration::from_secs(1000);

fn said(texts: &[&str], now: Instant) -> Said {
    let mut said = Said::new(SESSION);
    for text in texts {
        say(&mut said, text, now);
    }
    said
}

fn say(said: &mut Said, text: &str, now: Instant) {
    let Position { session, sequence } = said.next();
    let text = RoomText {
        id: MessageId::from_bytes([1; 16]),
        session,
        sequence,
        name: Some("Ada".parse().unwrap()),
        text: text.parse().unwrap(),
        sent: WALL,
    };
    said.push(text, now);
}

fn known(session: u64, sequence: u64) -> Position {
    Position { session, sequence }
}

fn numbers(missed: &[RoomText]) -> Vec<u64> {
    missed.iter().map(|text| text.sequence).collect()
}

#[test]
fn somebody_is_given_what_they_do_not_know() {
    let now = start();
    let mut said = said(&["a", "b", "c"], now);
    assert_eq!(said.newest(), known(SESSION, 3));
    for (position, expected) in [
        (Position::default(), vec![1, 2, 3]),
        (known(SESSION, 0), vec![1, 2, 3]),
        (known(SESSION, 2), vec![3]),
        (known(SESSION, 3), vec![]),
        (known(SESSION, u64::MAX), vec![]),
        // Of an earlier session of ours, or of one that our clock, set back, has not reached.
        (known(SESSION - 1, 9), vec![1, 2, 3]),
        (known(SESSION + 1, 9), vec![1, 2, 3]),
    ] {
        assert_eq!(
            numbers(&said.missed(position, LONG, None, now)),
            expected,
            "{position:?}"
        );
    }
}

#[test]
fn a_newcomer_is_not_given_what_was_said_before() {
    let start = start();
    let mut said = said(&["before"], start);
    let now = start + Duration::from_secs(60);
    say(&mut said, "after", now);
    let second = Duration::from_secs(1);
    for (member_for, met, after, expected) in [
        // In time; and just so.
        (second, None, Duration::ZERO, vec![2]),
        (second, None, second, vec![2]),
        // The question was under way for longer, and we knew of them when we said it, or not.
        (Duration::ZERO, Some(now), second, vec![2]),
        (Duration::ZERO, Some(now + second), second, vec![]),
        (Duration::ZERO, None, second, vec![]),
        // They have been here before, and come anew.
        (second, Some(start), second, vec![2]),
        (second, Some(start), second + CATCH_UP_SLACK, vec![2]),
        (second, Some(start), second * 2 + CATCH_UP_SLACK, vec![]),
    ] {
        let missed = said.missed(Position::default(), member_for, met, now + after);
        assert_eq!(
            numbers(&missed),
            expected,
            "{member_for:?} {met:?} {after:?}"
        );
    }
}

#[test]
fn messages_are_kept_for_their_time() {
    let start = start();
    let mut said = said(&["a", "b"], start);
    assert_eq!(
        numbers(&said.missed(Position::default(), LONG, None, start + SAID_LIFE)),
        [1, 2]
    );
    let late = start + SAID_LIFE + Duration::from_millis(1);
    assert!(
        said.missed(Position::default(), LONG, None, late)
            .is_empty()
    );
    // The numbers go on.
    assert_eq!(said.next(), known(SESSION, 3));
}

#[test]
fn the_number_of_messages_is_bounded() {
    let now = start();
    let texts = vec!["x"; SAID_MAX + 10];
    let mut said = said(&texts, now);
    let missed = numbers(&said.missed(Position::default(), LONG, None, now));
    assert_eq!(missed.first(), Some(&11));
    assert_eq!(missed.len(), SAID_MAX);
}

/// Page by page everything comes, and every page fits in a body.
#[test]
fn long_messages_come_in_several_answers() {
    for character in ["x", "\\", "모"] {
        let now = start();
        let text = character.repeat(TEXT_BYTES_MAX / character.len());
        let mut said = said(&[text.as_str(); 7], now);
        let (mut position, mut pages) = (Position::default(), 0);
        while position != said.newest() {
            let messages = said.missed(position, LONG, None, now);
            position = known(SESSION, messages.last().expect("progress").sequence);
            let answer = Response::Missed {
                said: said.newest(),
                messages,
            };
            let body = answer.encode();
            assert!(body.len() <= BODY_BYTES_MAX, "{}", body.len());
            assert_eq!(Response::decode(&body).unwrap(), answer);
            pages += 1;
        }
        assert!(pages > 1);
    }
}
