//! For each kind of input, what comes out of a lookup.

use moim_protocol::{
    presence::SignedPresence, presence_wire::Response, text::Text, wire::ErrorCode,
};

use super::*;
use crate::{
    input::{AskId, GossipId},
    testing::{address, check, here, message_id, millis, named, peer, seconds, start, topic},
};

struct Fixture {
    lookup: Lookup,
    now: Now,
}

impl Fixture {
    fn begin(connected: &[u16]) -> Self {
        let config = LookupConfig {
            me: peer(0),
            topic: topic(),
            wait: seconds(10),
            in_dht: true,
            connected: connected.iter().copied().map(peer).collect(),
            seed: 7,
        };
        let now = start();
        let lookup = Lookup::begin(config, now);
        let mut fixture = Self { lookup, now };
        check(&fixture.timeout(), &["find providers"]);
        fixture
    }

    fn outputs(&mut self) -> Vec<Output> {
        self.lookup.search.assert_bounds();
        std::iter::from_fn(|| self.lookup.poll_output()).collect()
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.lookup.handle(input, self.now);
        self.outputs()
    }

    fn timeout(&mut self) -> Vec<Output> {
        self.lookup.handle_timeout(self.now);
        self.outputs()
    }

    fn pass(&mut self, duration: Duration) -> Vec<Output> {
        let end = self.now.after(duration);
        let mut outputs = Vec::new();
        while let Some(next) = self.lookup.poll_timeout()
            && next <= end.instant
        {
            let wait = next.saturating_duration_since(self.now.instant);
            self.now = self.now.after(wait);
            outputs.extend(self.timeout());
            let then = self.lookup.poll_timeout();
            assert!(then.is_none_or(|then| then > self.now.instant));
        }
        self.now = end;
        outputs
    }

    fn providers(&mut self, numbers: std::ops::Range<u16>, is_answer: bool) -> Vec<Output> {
        let providers = numbers.map(|n| (peer(n), vec![address(n)])).collect();
        let input = Input::Providers {
            providers,
            is_answer,
        };
        self.handle(input)
    }

    fn answered(&mut self, from: u16, body: Vec<u8>) -> Vec<Output> {
        let request = self.lookup.asking.newest(&peer(from)).unwrap();
        self.handle(Input::Answered { request, body })
    }

    fn failed(&mut self, to: u16, why: Failure) -> Vec<Output> {
        let request = self.lookup.asking.newest(&peer(to)).unwrap();
        self.handle(Input::Failed { request, why })
    }
}

fn list(members: &[SignedPresence], next: Option<u16>) -> Vec<u8> {
    let members = members.iter().cloned();
    Response::Members {
        members: members.map(|signed| (signed, seconds(1))).collect(),
        next: next.map(peer),
    }
    .encode()
}

#[test]
fn members_are_found_by_those_who_announced_themselves() {
    let mut fixture = Fixture::begin(&[]);
    check(&fixture.providers(1..3, true), &["enough"]);
    check(&fixture.timeout(), &["stranger 1", "stranger 2"]);
    check(&fixture.handle(Input::Connected(peer(3))), &[]);
    check(&fixture.handle(Input::Connected(peer(1))), &["ask 1: list"]);
    let now = fixture.now;
    let first = list(&[named(1, 1, "Ada", now)], Some(1));
    let expected = ["has list", "ask 1: list after 1"];
    check(&fixture.answered(1, first), &expected);
    let second = list(&[named(2, 1, "ADA", now)], None);
    check(&fixture.answered(1, second), &["has list"]);
    let mut expected = ["1 Ada like 2", "2 ADA like 1"];
    expected.sort_by_key(|shown| peer(if shown.starts_with('1') { 1 } else { 2 }));
    let expected = format!("found: {}", expected.join(", "));
    let outputs = fixture.pass(LOOKUP_QUIET);
    check(&outputs[outputs.len() - 1..], &[&expected]);
    assert_eq!(fixture.lookup.poll_timeout(), None);
    check(&fixture.pass(seconds(20)), &[]);
}

#[test]
fn nobody_is_there_as_soon_as_a_server_says_so() {
    let mut fixture = Fixture::begin(&[]);
    fixture.pass(seconds(3));
    check(&fixture.providers(0..0, true), &[]);
    check(&fixture.pass(LOOKUP_SETTLE), &["found: "]);

    let mut fixture = Fixture::begin(&[]);
    check(&fixture.providers(0..1, true), &[]);
    check(&fixture.pass(LOOKUP_QUIET), &["find providers", "found: "]);
}

#[test]
fn without_an_answer_nobody_knows() {
    let mut fixture = Fixture::begin(&[]);
    check(&fixture.providers(0..1, false), &[]);
    let outputs = fixture.pass(seconds(10));
    check(&outputs[outputs.len() - 1..], &["no answer"]);
}

#[test]
fn who_is_being_asked_is_waited_for_until_the_deadline() {
    let mut fixture = Fixture::begin(&[1]);
    fixture.providers(1..2, true);
    check(&fixture.timeout(), &["ask 1: list"]);
    let outputs = fixture.pass(seconds(9));
    assert!(
        outputs
            .iter()
            .all(|output| *output == Output::FindProviders)
    );
    let outputs = fixture.pass(seconds(1));
    check(&outputs[outputs.len() - 1..], &["found: "]);
}

#[test]
fn who_does_not_answer_is_no_longer_waited_for() {
    for (why, expected) in [
        (Failure::Timeout, &["doubt 1"][..]),
        (Failure::Other, &[]),
        (Failure::ConnectionClosed, &["ask 1: list"]),
    ] {
        let mut fixture = Fixture::begin(&[1]);
        fixture.providers(1..2, true);
        fixture.timeout();
        check(&fixture.failed(1, why), expected);
        let is_over = fixture
            .pass(LOOKUP_QUIET)
            .contains(&Output::Found(Vec::new()));
        assert_eq!(is_over, why != Failure::ConnectionClosed);
    }
    let mut fixture = Fixture::begin(&[1]);
    fixture.providers(1..2, true);
    fixture.timeout();
    let expired = Response::error(ErrorCode::Expired, "").encode();
    check(&fixture.answered(1, expired), &["clock disagrees with 1"]);
}

#[test]
fn it_ends_with_its_swarm() {
    let mut fixture = Fixture::begin(&[1]);
    check(&fixture.handle(Input::Restarted), &["no answer"]);
    check(&fixture.handle(Input::Restarted), &[]);
    assert_eq!(fixture.lookup.poll_timeout(), None);
}

#[test]
fn the_dht_is_asked_when_it_is_there() {
    let mut fixture = Fixture::begin(&[]);
    fixture.handle(Input::Dht(false));
    check(&fixture.pass(millis(700)), &[]);
    fixture.handle(Input::Dht(true));
    fixture.handle(Input::LookupAgain);
    check(&fixture.timeout(), &["find providers"]);
}

#[test]
fn it_is_no_member() {
    let mut fixture = Fixture::begin(&[1]);
    let now = fixture.now;
    let presence = here(1, 1, now);
    let request = moim_protocol::presence_wire::Request::Announce { presence };
    let (ask, from) = (AskId(1), peer(1));
    let asked = Input::Asked { ask, from, request };
    check(&fixture.handle(asked), &["answer: error not_a_member"]);
    let gossip = Input::Gossip {
        id: GossipId(1),
        neighbour: peer(1),
        author: peer(1),
        data: Vec::new(),
    };
    check(&fixture.handle(gossip), &["ignore"]);
    let (id, text) = (message_id(1), Text::new("hello").unwrap());
    check(
        &fixture.handle(Input::Say { id, text }),
        &["not said: Left"],
    );
    assert_eq!(*fixture.lookup.topic(), topic());
}

#[test]
fn a_new_provider_is_waited_for() {
    let mut fixture = Fixture::begin(&[]);
    fixture.providers(0..0, true);
    fixture.pass(LOOKUP_QUIET - millis(1));
    fixture.providers(1..2, true);
    let outputs = fixture.pass(LOOKUP_QUIET - millis(1));
    assert!(!outputs.contains(&Output::Found(Vec::new())), "{outputs:?}");
    check(&fixture.pass(millis(1)), &["found: "]);
}

#[test]
fn whose_presence_has_ended_is_not_found() {
    let mut fixture = Fixture::begin(&[1]);
    fixture.providers(1..2, true);
    fixture.timeout();
    let members = [(1, seconds(119)), (2, seconds(1))];
    let members = members.map(|(n, age)| (here(n, 1, fixture.now), age));
    let (members, next) = (members.to_vec(), None);
    fixture.answered(1, Response::Members { members, next }.encode());
    let outputs = fixture.pass(LOOKUP_QUIET);
    check(&outputs[outputs.len() - 1..], &["found: 2 peer 2"]);
}
