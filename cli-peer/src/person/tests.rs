//! What a person sees, word for word.

use moim_peer::{
    BootstrapNode, BootstrapState, Connection, DirectMessage, DirectTransport, ErrorCode,
    LeaveReason, MessageId, NoDirectWay, NodeFault, NotDirect, NotInDht, Path, PeerId, Reach,
    Receipt, RoomMessage, SendError, Setback, Status, Stored, Unreached, Value,
};

use super::*;
use crate::{
    ids::short,
    testing::{member, peer, room_message, snapshot},
};

const DIRECT: Path = Path::Direct(DirectTransport::Tcp);

fn view() -> View {
    View {
        style: Style::with(false),
        clock: || "12:03".to_owned(),
    }
}

/// The person at the terminal.
fn me() -> PeerId {
    peer(77)
}

fn others(members: &[Member]) -> Others<'_> {
    Others { me: me(), members }
}

fn relayed() -> Path {
    Path::Relayed { by: peer(9) }
}

#[test]
fn what_nobody_hears_is_said_to_be_so() {
    let members = [
        member(1, "Ada", Reach::Unconnected),
        member(2, "Bob", Reach::Connected(DIRECT)),
    ];
    let is_about =
        |members: &[Member], what| unheard(members).is_some_and(|why| why.contains(what));
    assert!(is_about(&[], "nobody else is here"));
    assert!(is_about(&members[..1], "two minutes"));
    assert_eq!(unheard(&members), None);
}

#[test]
fn messages_have_time_name_and_short_id() {
    let id = short(&peer(1));
    assert_eq!(
        view().room_message(&room_message(1, "Ada", "hello")),
        format!("12:03 Ada {id}: hello\n")
    );
    let direct = DirectMessage {
        id: MessageId::from_bytes([1; 16]),
        from: peer(1),
        to: peer(2),
        text: "psst".parse().unwrap(),
        sent: moim_peer::UnixMillis(0),
        path: Some(relayed()),
    };
    let by = short(&peer(9));
    assert_eq!(
        view().direct_message(&direct, &[member(1, "Ada", Reach::Connecting)]),
        format!("12:03 [direct message, relayed by {by}] Ada {id}: psst\n")
    );
    assert_eq!(
        view().direct_message(&direct, &[]),
        format!("12:03 [direct message, relayed by {by}] {id} (not in the room): psst\n")
    );
}

/// Whatever name stands beside the message itself.
#[test]
fn who_is_no_member_is_shown_as_that() {
    let message = RoomMessage {
        name: None,
        ..room_message(1, "Ada", "hello")
    };
    assert_eq!(
        view().room_message(&message),
        format!("12:03 {} (not in the room): hello\n", short(&peer(1)))
    );
}

#[test]
fn names_that_look_alike_are_pointed_out() {
    let mut eve = member(2, "\u{410}da", Reach::Unconnected);
    let mut ada = member(1, "Ada", Reach::Unconnected);
    (eve.looks_like, ada.looks_like) = (Some(ada.peer), Some(eve.peer));
    let (ada_id, eve_id) = (short(&ada.peer), short(&eve.peer));
    let members = [ada, eve.clone()];
    assert_eq!(
        view().joined(&eve, &others(&members)),
        format!(
            "12:03 → \u{410}da {eve_id} is here, and has a name that looks like that of Ada {ada_id}: go by the ids\n"
        )
    );
    let list = view().members("me", &others(&members));
    assert_eq!(list.matches("looks like that of").count(), 2, "{list}");
    let before = member(2, "Eve", Reach::Unconnected);
    assert!(
        view()
            .updated(&eve, &before, &others(&members))
            .contains("has this name now, and has a name that looks")
    );
    eve.looks_like = Some(me());
    assert!(
        view()
            .joined(&eve, &others(&members))
            .contains("looks like yours")
    );
}

#[test]
fn a_direct_message_says_what_became_of_it() {
    let text = "a rather long message that one would not want to see twice";
    let receipt = Receipt {
        id: MessageId::from_bytes([1; 16]),
        to: peer(1),
        path: Some(DIRECT),
    };
    assert_eq!(
        view().delivered("Ada", text, &receipt),
        "12:03 ✓ delivered to Ada (direct (tcp)): a rather long message that one would not…\n"
    );
    let refused = SendError::Refused(ErrorCode::NotAccepted);
    assert_eq!(
        view().undelivered("Ada", "hi", &refused),
        "12:03 ✗ not delivered to Ada: hi\n      the receiver refused the message: it does not want messages from here\n"
    );
    let lost = SendError::NoReceipt {
        after: std::time::Duration::from_secs(30),
        last: Setback::Unreached(Unreached::NoRoute),
    };
    assert!(
        view()
            .undelivered("Ada", "hi", &lost)
            .contains("this device's network does not lead there; it may have arrived")
    );
}

#[test]
fn comings_changes_and_goings_are_told() {
    let id = short(&peer(1));
    let ada = |reach| member(1, "Ada", reach);
    let direct = Reach::Connected(DIRECT);
    let (by, relayed) = (short(&peer(9)), Reach::Connected(relayed()));
    assert_eq!(
        view().joined(&ada(Reach::Connecting), &others(&[])),
        format!("12:03 → Ada {id} is here, connecting\n")
    );
    assert_eq!(
        view().joined(&ada(relayed), &others(&[])),
        format!("12:03 → Ada {id} is here, relayed by {by}\n")
    );
    assert_eq!(
        view().updated(&ada(direct), &ada(relayed), &others(&[])),
        format!("12:03 · Ada {id} is reached directly now (tcp)\n")
    );
    assert_eq!(
        view().updated(&ada(relayed), &ada(direct), &others(&[])),
        format!("12:03 · Ada {id} is reached through the relay {by} now\n")
    );
    assert_eq!(
        view().updated(&ada(direct), &member(1, "Bob", direct), &others(&[])),
        format!("12:03 · Ada {id} has this name now\n")
    );
    assert_eq!(
        view().updated(&ada(Reach::Connecting), &ada(direct), &others(&[])),
        format!("12:03 · Ada {id} is here, but the connection is gone\n")
    );
    assert_eq!(
        view().updated(
            &ada(Reach::Unconnected),
            &ada(Reach::Connecting),
            &others(&[])
        ),
        ""
    );
    assert_eq!(
        view().gone(&peer(1), "Ada", LeaveReason::Left),
        format!("12:03 ← Ada {id} left\n")
    );
    let expired = view().gone(&peer(1), "Ada", LeaveReason::Expired);
    assert_eq!(
        expired,
        format!("12:03 ← Ada {id} is gone: not heard of for too long\n")
    );
}

#[test]
fn the_state_of_the_network_comes_with_reason_and_advice() {
    let failed = Status::Failed {
        why: NotInDht::NoNode,
    };
    let text = view().status(&failed);
    assert!(
        text.starts_with("12:03 cannot get into the DHT: no bootstrap node was given\n"),
        "{text}"
    );
    assert!(text.contains("--bootstrap"), "{text}");
    assert_eq!(
        view().status(&Status::Connected),
        "12:03 connected: in the DHT\n"
    );
    let mut state = snapshot(1, Status::Connected);
    state.bootstrap.push(BootstrapNode {
        source: "/ip4/192.0.2.1/tcp/1".to_owned(),
        state: BootstrapState::Failed {
            why: NodeFault::Unreached(Unreached::NoAnswer),
        },
    });
    state.connections.push(Connection {
        peer: peer(2),
        address: "/ip4/127.0.0.1/tcp/9".parse().unwrap(),
        path: DIRECT,
        round_trip: Some(std::time::Duration::from_millis(3)),
        agent: Some("evil\x1b[2J".to_owned()),
        bootstrap_node: false,
        not_direct: None,
    });
    state.connections.push(Connection {
        peer: peer(3),
        address: "/p2p-circuit".parse().unwrap(),
        path: Path::Relayed { by: peer(9) },
        round_trip: None,
        agent: None,
        bootstrap_node: false,
        not_direct: Some(NotDirect {
            why: NoDirectWay::HolePunching,
            report: None,
            retry: Some(std::time::Duration::from_secs(30)),
        }),
    });
    let text = view().network(&state, &[member(2, "Bob", Reach::Connecting)]);
    let bob = short(&peer(2));
    assert!(
        text.contains(
            "bootstrap node: /ip4/192.0.2.1/tcp/1: failed, will be tried again: no answer in time\n"
        ),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "connection: Bob {bob} direct (tcp), 3.0 ms, evil␛[2J /ip4/127.0.0.1/tcp/9\n"
        )),
        "{text}"
    );
    assert!(
        text.contains("/p2p-circuit\n  not direct: hole punching did not get through; tried again 30 s later\n"),
        "{text}"
    );
}

#[test]
fn values_are_told() {
    let value = Value {
        key: "k".parse().unwrap(),
        value: serde_json::json!({"a": "\u{9b}"}),
        publisher: peer(1),
    };
    let id = short(&peer(1));
    assert_eq!(
        view().value("k", Some(&value)),
        format!("12:03 k = {{\"a\":\"\\u009b\"}} (from {id})\n")
    );
    assert_eq!(view().value("k", None), "12:03 there is no value under k\n");
    assert_eq!(
        view().stored(&Stored {
            key: "k".parse().unwrap(),
            copies: 3
        }),
        "12:03 ✓ k is kept by 3 peers\n"
    );
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let hostile = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\u{202e}";
    let mallory = member(1, "\u{fffd}]0;owned", Reach::Connecting);
    let mut message = room_message(
        1,
        mallory.name.as_str(),
        &format!("{hostile}\n12:03 Ada …abcdef: I agree"),
    );
    let mut lines = view().room_message(&message);
    assert_eq!(
        lines
            .lines()
            .filter(|line| line.starts_with("12:03"))
            .count(),
        1,
        "{lines}"
    );
    message.text = "\n".repeat(16_000).parse().unwrap();
    lines.push_str(&view().room_message(&message));
    lines.push_str(&view().joined(&mallory, &others(&[])));
    lines.push_str(&view().gone(&mallory.peer, hostile, LeaveReason::Left));
    lines.push_str(&view().updated(&mallory, &mallory, &others(&[])));
    lines.push_str(&view().members("me", &others(&[mallory])));
    lines.push_str(&view().status(&Status::Failed {
        why: NotInDht::Nodes(vec![(hostile.to_owned(), NodeFault::Lost)]),
    }));
    lines.push_str(&view().problem(hostile));
    assert!(
        !lines
            .chars()
            .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "{lines:?}"
    );
    assert!(lines.lines().count() < 100);
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let colourful = View {
        style: Style::with(true),
        ..view()
    };
    assert!(
        colourful
            .joined(&member(1, "Ada", Reach::Connecting), &others(&[]))
            .contains("\x1b[")
    );
    assert!(
        !view()
            .joined(&member(1, "Ada", Reach::Connecting), &others(&[]))
            .contains('\x1b')
    );
}

/// A person at a peer that has no network.
async fn person() -> Person {
    let (peer, _events) = Peer::builder().start().await.unwrap();
    let profile = moim_peer::Profile::named("Ada").unwrap();
    let room = peer.join(crate::testing::topic(), profile).await.unwrap();
    Person {
        view: view(),
        me: "Ada".to_owned(),
        topic: "global-chat".to_owned(),
        members: room.members(),
        room,
        state: peer.snapshot(),
        peer,
        told: None,
        clock: None,
        crowded: false,
        next: None,
    }
}

fn joined(seed: u8) -> PeerEvent {
    PeerEvent::MemberJoined {
        topic: crate::testing::topic(),
        member: member(seed, "x", Reach::Connecting),
    }
}

#[tokio::test]
async fn in_a_crowd_comings_and_goings_are_not_shown_one_by_one() {
    let mut person = person().await;
    let crowd = |count: u8| {
        (0..count)
            .map(|seed| member(seed, "x", Reach::Connecting))
            .collect::<Vec<_>>()
    };
    let (here, members) = watch::channel(crowd(30));
    person.members = members;
    assert!(person.event(joined(1)).contains("is here"));
    here.send(crowd(31)).unwrap();
    assert!(person.event(joined(2)).starts_with("More than 30 are here"));
    assert_eq!(person.event(joined(3)), "");
    here.send(crowd(16)).unwrap();
    assert_eq!(person.event(joined(4)), "");
    here.send(crowd(15)).unwrap();
    let text = person.event(joined(5));
    assert!(
        text.starts_with("15 others are here") && text.contains("is here, connecting"),
        "{text}"
    );
}

#[tokio::test]
async fn a_state_is_told_once_also_when_its_reason_changes() {
    let mut person = person().await;
    let failed = |why| snapshot(1, Status::Failed { why });
    assert!(
        person
            .started(&failed(NotInDht::NoAnswer))
            .contains("no bootstrap node has answered yet")
    );
    assert_eq!(person.snapshot(&failed(NotInDht::NoServer)), "");
    assert!(
        person
            .snapshot(&snapshot(1, Status::Connected))
            .contains("connected")
    );
}

#[tokio::test]
async fn lines_lead_to_what_they_say() {
    let mut person = person().await;
    let mut printed = |line: Line, busy| match person.line(line, busy) {
        Reaction::Print(text) => text,
        Reaction::Leave => "leave".to_owned(),
        Reaction::Start(text, _) => format!("start {text}"),
    };
    let text = |text: &str| Line::Text(text.to_owned());
    assert_eq!(printed(text(" "), false), "");
    assert_eq!(printed(text("hello"), false), "start ");
    assert!(printed(text("hello"), true).contains("too much is under way"));
    assert!(printed(text("/members"), true).contains("Nobody else is here yet"));
    assert_eq!(
        printed(text("/get k"), false),
        "start waiting for the DHT …\n"
    );
    assert_eq!(printed(text("/leave"), true), "leave");
    assert!(printed(text("/to Bob hi"), false).contains("nobody here is Bob"));
    assert!(
        printed(text(&format!("/to {} hi", peer(7))), false).starts_with("start 12:03 sending to ")
    );
    assert!(printed(Line::TooLong { bytes: 200_000 }, false).contains("200000"));
    assert!(printed(Line::NotUtf8, false).contains("UTF-8"));
}
