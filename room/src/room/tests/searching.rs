//! Finding the others, and being asked by them.

use super::*;

#[test]
fn providers_are_asked_five_at_a_time_until_one_answers() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    check(&fixture.handle(providers(0..9)), &["enough"]);
    let first = [
        "stranger 1",
        "stranger 2",
        "stranger 3",
        "stranger 4",
        "stranger 5",
    ];
    assert_eq!(fixture.room.poll_timeout(), Some(fixture.now.instant));
    check(&fixture.timeout(), &first);
    let asked = fixture.handle(Input::Connected(peer(2)));
    check(&asked, &["ask 2: list, here of 0"]);
    assert!(fixture.room.is_asking(&peer(2)));
    let members = [here(2, 1, fixture.now), here(7, 1, fixture.now)];
    check(
        &fixture.answered(2, list(&members, Some(7))),
        &[
            "has list",
            "clock agrees",
            "met 2",
            "joined: 2 peer 2",
            "ask 2: missed from 0",
            "met 7",
            "joined: 7 peer 7",
            "ask 2: list after 7, here of 0",
            "members changed",
        ],
    );
    check(&fixture.pass(millis(300)), &[]);
    let request = fixture.room.around.asking.newest(&peer(2)).unwrap();
    let body = list(&[here(3, 1, fixture.now)], None);
    let second = fixture.handle(Input::Answered { request, body });
    check(&second[..2], &["has list", "met 3"]);
    assert!(!fixture.room.is_asking(&peer(2)));
    let request = RequestId(999);
    check(
        &fixture.handle(Input::Answered {
            request,
            body: Vec::new(),
        }),
        &[],
    );
}

#[test]
fn providers_that_are_connected_are_asked_at_once() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    fixture.handle(Input::Connected(peer(1)));
    fixture.handle(providers(1..3));
    check(
        &fixture.timeout(),
        &["ask 1: list, here of 0", "stranger 2"],
    );
}

#[test]
fn nobody_provides_the_topic_but_this_peer() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    check(&fixture.handle(providers(0..1)), &[]);
    check(&fixture.handle(Input::LookupAgain), &[]);
    assert_eq!(fixture.room.poll_timeout(), Some(fixture.now.instant));
    check(&fixture.timeout(), &["find providers"]);
    fixture.handle(Input::Dht(false));
    let later = fixture.pass(seconds(3));
    check(&later, &[]);
}

#[test]
fn after_some_lists_members_are_only_told() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    fixture.handle(providers(1..7));
    fixture.timeout();
    fixture.pass(millis(300));
    let asked = (1..7).map(|n| fixture.handle(Input::Connected(peer(n))));
    let asked: Vec<String> = asked.map(|outputs| brief(&outputs[0])).collect();
    assert_eq!(
        asked.iter().filter(|asked| asked.contains("list")).count(),
        4
    );
    assert_eq!(asked[5], "ask 6: here of 0");
}

#[test]
fn a_list_is_asked_for_once_in_a_while() {
    let mut fixture = Fixture::with(&[1]);
    let outputs = fixture.pass(seconds(20));
    let asked: Vec<String> = outputs.iter().map(brief).collect();
    let asked: Vec<&String> = asked
        .iter()
        .filter(|asked| asked.starts_with("ask"))
        .collect();
    assert_eq!(asked, ["ask 1: list, here of 0", "ask 1: missed from 0"]);
}

#[test]
fn what_was_asked_and_fails_is_asked_again_or_forgotten() {
    for (why, connected, expected) in [
        (
            Failure::ConnectionClosed,
            true,
            vec!["ask 1: list, here of 0"],
        ),
        (Failure::Io, true, vec!["ask 1: list, here of 0"]),
        (Failure::ConnectionClosed, false, vec![]),
        (Failure::Timeout, true, vec!["doubt 1"]),
        (Failure::Other, true, vec![]),
    ] {
        let mut fixture = Fixture::join(config());
        fixture.timeout();
        fixture.handle(providers(1..2));
        fixture.timeout();
        fixture.handle(Input::Connected(peer(1)));
        if !connected {
            fixture.handle(Input::Disconnected(peer(1)));
        }
        let is_repeated = expected.iter().any(|asked| asked.starts_with("ask"));
        check(&fixture.failed(1, why), &expected);
        assert_eq!(fixture.room.is_asking(&peer(1)), is_repeated, "{why:?}");
    }
}

#[test]
fn pages_are_given_to_who_asks() {
    let mut fixture = Fixture::with(&[1, 2]);
    let [first, second] = if peer(1) < peer(2) { [1, 2] } else { [2, 1] };
    let all = format!("answer: members 0 {first} {second}");
    check(&fixture.asked(3, sync(None, None)), &[&all]);
    let rest = format!("answer: members {second}");
    check(&fixture.asked(3, sync(None, Some(first))), &[&rest]);
    check(
        &fixture.asked(3, sync(None, Some(second))),
        &["answer: members "],
    );
}

#[test]
fn who_is_gone_is_not_asked_for_another_page() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    fixture.handle(providers(1..2));
    fixture.timeout();
    fixture.handle(Input::Connected(peer(1)));
    fixture.handle(Input::Disconnected(peer(1)));
    check(&fixture.answered(1, list(&[], Some(3))), &["has list"]);
}

#[test]
fn who_is_being_asked_is_not_asked_once_more() {
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Disconnected(peer(1)));
    assert!(!fixture.room.is_asking(&peer(1)));
    let again = fixture.handle(Input::Connected(peer(1)));
    check(&again, &["ask 1: list, here of 0", "ask 1: missed from 0"]);
    let outputs = fixture.pass(seconds(30));
    let asked = |output: &Output| brief(output).contains("list");
    assert!(!outputs.iter().any(asked), "{outputs:?}");
    fixture.handle(Input::Disconnected(peer(1)));
    assert!(!fixture.room.is_asking(&peer(1)), "no answer will come");
}

#[test]
fn members_need_not_be_found() {
    let mut fixture = Fixture::with(&[1]);
    fixture.handle(Input::Dht(false));
    fixture.handle(Input::Listens(peer(1)));
    fixture.handle(Input::LookupAgain);
    check(&fixture.timeout(), &[]);
    fixture.handle(Input::Connected(peer(2)));
    fixture.handle(Input::Listens(peer(2)));
    fixture.handle(Input::LookupAgain);
    check(&fixture.timeout(), &["ask 2: list, here of 0"]);
}

#[test]
fn whoever_did_not_answer_is_asked_again_when_the_dht_is_back() {
    let mut fixture = Fixture::join(config());
    fixture.timeout();
    fixture.handle(providers(1..2));
    check(&fixture.timeout(), &["stranger 1"]);
    fixture.handle(providers(1..2));
    fixture.handle(Input::LookupAgain);
    fixture.handle(providers(1..2));
    let again = fixture.pass(millis(300));
    assert!(again.iter().any(|output| brief(output) == "stranger 1"));
}
