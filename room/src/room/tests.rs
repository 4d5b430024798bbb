//! For each kind of input, what comes out.

use moim_protocol::{
    limits::{
        ADDRESS_DEBOUNCE, FULL_MESH_MAX, PRESENCE_TTL, SAY, SAY_WAITING_MAX, TALK_PER_AUTHOR,
    },
    message::{self, Position},
    room::RoomText,
    text::Text,
};

use super::*;
use crate::{
    input::{AskId, GossipId},
    output::Protocol,
    testing::{
        address, brief, check, here, keypair, left, message_id, millis, named, peer, said, seconds,
        start, text, topic,
    },
};

/// The room of peer 0, and its clock.
struct Fixture {
    room: Room,
    now: Now,
}

fn config() -> Config {
    Config {
        keypair: keypair(0),
        topic: topic(),
        name: "Me".parse().unwrap(),
        addresses: vec![address(0)],
        presence_lifetime: PRESENCE_TTL,
        gossip: true,
        in_dht: true,
        connected: Vec::new(),
        listeners: Vec::new(),
        seed: 1,
    }
}

impl Fixture {
    /// A room that is just joined, with nothing done yet.
    fn join(config: Config) -> Self {
        let now = start();
        let room = Room::join(config, now);
        Self { room, now }
    }

    /// A room that was joined a while ago, has been announced, and has these members, all of them connected.
    fn with(members: &[u16]) -> Self {
        let mut fixture = Self::join(config());
        fixture.timeout();
        fixture.handle(Input::Announced { accepted: true });
        for &n in members {
            fixture.handle(Input::Connected(peer(n)));
            fixture.hears_of(here(n, 1, fixture.now));
            fixture.answer_missed(n, 0, &[]);
        }
        fixture.pass(seconds(15));
        fixture
    }

    fn outputs(&mut self) -> Vec<Output> {
        let outputs = std::iter::from_fn(|| self.room.poll_output()).collect();
        self.room.assert_bounds();
        outputs
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.room.handle(input, self.now);
        self.outputs()
    }

    fn timeout(&mut self) -> Vec<Output> {
        self.room.handle_timeout(self.now);
        self.outputs()
    }

    /// Lets time pass, and has everything done in its time.
    fn pass(&mut self, duration: Duration) -> Vec<Output> {
        let end = self.now.after(duration);
        let mut outputs = Vec::new();
        while let Some(next) = self.room.poll_timeout()
            && next <= end.instant
        {
            let wait = next.saturating_duration_since(self.now.instant);
            self.now = self.now.after(wait);
            outputs.extend(self.timeout());
            assert!(
                self.room
                    .poll_timeout()
                    .is_none_or(|then| then > self.now.instant)
            );
        }
        self.now = end;
        outputs
    }

    fn asked(&mut self, from: u16, request: Request) -> Vec<Output> {
        let (ask, from) = (AskId(1), peer(from));
        self.handle(Input::Asked { ask, from, request })
    }

    fn announced(&mut self, from: u16, presence: SignedPresence) -> Vec<Output> {
        self.asked(from, Request::Announce { presence })
    }

    fn gossip(&mut self, neighbour: u16, author: u16, data: Vec<u8>) -> Vec<Output> {
        self.handle(Input::Gossip {
            id: GossipId(1),
            neighbour: peer(neighbour),
            author: peer(author),
            data,
        })
    }

    fn hears_of(&mut self, presence: SignedPresence) -> Vec<Output> {
        let data = RoomMessage::Presence { presence }.encode();
        self.gossip(50, 51, data)
    }

    /// The newest request to a peer that waits for an answer.
    fn request(&self, to: u16) -> RequestId {
        self.room.around.asking.newest(&peer(to)).unwrap()
    }

    fn answered(&mut self, from: u16, body: Vec<u8>) -> Vec<Output> {
        let request = self.request(from);
        self.handle(Input::Answered { request, body })
    }

    fn failed(&mut self, to: u16, why: Failure) -> Vec<Output> {
        let request = self.request(to);
        self.handle(Input::Failed { request, why })
    }

    fn answer_missed(&mut self, from: u16, said: u64, messages: &[RoomText]) -> Vec<Output> {
        let session = self.now.wall.0 - 60_000;
        let sequence = said;
        let body = message::Response::Missed {
            said: Position { session, sequence },
            messages: messages.to_vec(),
        };
        self.answered(from, body.encode())
    }

    fn say(&mut self, number: u64) -> Vec<Output> {
        self.handle(Input::Say {
            id: message_id(number),
            text: Text::new(&format!("line {number}")).unwrap(),
        })
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

fn sync(presence: Option<SignedPresence>, after: Option<u16>) -> Request {
    Request::Sync {
        topic: topic().hash(),
        presence,
        after: after.map(peer),
    }
}

fn providers(numbers: std::ops::Range<u16>) -> Input {
    Input::Providers {
        providers: numbers.map(|n| (peer(n), vec![address(n)])).collect(),
        is_answer: true,
    }
}

// --- Joining and announcing ---------------------------------------------------------------------

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

// --- Presences ------------------------------------------------------------------------------------

#[test]
fn a_newcomer_is_a_member_by_whatever_way_it_is_heard_of() {
    let joined = ["met 1", "joined: 1 peer 1"];
    let catch_up = "ask 1: missed from 0";
    let mut fixture = Fixture::join(config());
    let signed = here(1, 1, fixture.now);
    check(
        &fixture.announced(1, signed.clone()),
        &[&joined[..], &["answer: accepted", "members changed"]].concat(),
    );
    check(&fixture.announced(1, signed.clone()), &["answer: accepted"]);

    let mut fixture = Fixture::join(config());
    fixture.handle(Input::Connected(peer(1)));
    let told = ["publish: here of 1", "answer: members 1", "members changed"];
    check(
        &fixture.asked(1, sync(Some(signed.clone()), None)),
        &[&joined[..], &[catch_up], &told].concat(),
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
    let old = here(
        1,
        1,
        Now {
            wall: now.wall.saturating_sub(seconds(800)),
            ..now
        },
    );
    let foreign = Request::Sync {
        topic: "elsewhere".parse::<Topic>().unwrap().hash(),
        presence: None,
        after: None,
    };
    check(
        &fixture.announced(2, here(1, 1, now)),
        &["answer: error invalid"],
    );
    check(&fixture.asked(2, foreign), &["answer: error invalid"]);
    let expected = ["clock disagrees with 1", "answer: error expired"];
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

#[test]
fn who_cannot_be_reached_is_off_the_list_until_it_is_heard_of() {
    let back: [(fn(&mut Fixture) -> Vec<Output>, &[&str]); 3] = [
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

// --- Searching and asking ---------------------------------------------------------------------------

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
            "clock agrees",
            "has list",
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
    check(&second[..2], &["clock agrees", "has list"]);
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

// --- Talk -------------------------------------------------------------------------------------------

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
    let foreign = moim_protocol::presence::Presence {
        topic: "elsewhere".parse::<Topic>().unwrap().hash(),
        ..crate::testing::presence(1, 9, now)
    };
    let presence = foreign.sign(&keypair(1)).unwrap();
    for (data, expected) in [
        (br#"{"v":2,"type":"text"}"#.to_vec(), "accept"),
        (br#"{"v":1,"type":"song"}"#.to_vec(), "accept"),
        (b"nonsense".to_vec(), "reject"),
        (br#"{"v":1,"type":"text"}"#.to_vec(), "reject"),
        (said(text(1, old)), "ignore"),
        (RoomMessage::Presence { presence }.encode(), "reject"),
    ] {
        check(&fixture.gossip(1, 1, data), &[expected]);
    }
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

// --- Connections ----------------------------------------------------------------------------------

#[test]
fn a_connection_that_breaks_has_what_was_on_it_asked_for() {
    let mut fixture = Fixture::with(&[1]);
    let asked = fixture.handle(Input::ConnectionClosed(peer(1)));
    check(&asked, &["ask 1: missed from 0"]);
    check(&fixture.handle(Input::ConnectionClosed(peer(2))), &[]);
    check(&fixture.handle(Input::Disconnected(peer(1))), &[]);
    assert!(!fixture.room.is_near(&peer(1)) && fixture.room.contains(&peer(1)));
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
    assert!(!fixture.room.is_near(&peer(1)) && fixture.room.contains(&peer(1)));
    assert_eq!(fixture.room.poll_timeout(), Some(fixture.now.instant));
    check(&fixture.timeout(), &["put: here of 0", "find providers"]);
    let asked = fixture.handle(Input::Connected(peer(1)));
    check(&asked, &["ask 1: list, here of 0", "ask 1: missed from 0"]);
}

// --- Leaving ----------------------------------------------------------------------------------------

#[test]
fn who_leaves_tells_everybody() {
    let mut fixture = Fixture::with(&[1, 2]);
    fixture.handle(Input::Listens(peer(1)));
    let outputs = fixture.handle(Input::Leave);
    let mut told = vec!["ask 1: left of 0", "ask 2: left of 0"];
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
