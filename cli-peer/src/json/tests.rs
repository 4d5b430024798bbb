//! The shapes of events and answers, exactly as programs get them.

use std::time::Duration;

use moim_peer::{
    CandidateTypes, Connection, DirectMessage, DirectTransport, Failure, LeaveReason, MessageId,
    NoDirectWay, NodeFault, NotDirect, NotInDht, Path, PeerEvent, Reach, Receipt, Report, Role,
    SayError, Status, Step, Value,
};
use serde_json::json;

use super::*;
use crate::testing::{member, peer, room_message, snapshot, topic};

const DIRECT: Path = Path::Direct(DirectTransport::Quic);

fn check(line: &str, expected: &serde_json::Value) {
    assert!(
        line.ends_with('\n') && line.lines().count() == 1,
        "{line:?}"
    );
    assert!(line.starts_with("{\"type\":\""), "{line}");
    assert_eq!(
        &serde_json::from_str::<serde_json::Value>(line).unwrap(),
        expected
    );
}

fn event_line_of(event: PeerEvent) -> String {
    event_line(event, &[])
}

fn answering(reference: Option<serde_json::Value>) -> Answering {
    Answering {
        command: "say",
        line: 3,
        reference,
    }
}

#[test]
fn members_come_change_and_go() {
    let id = peer(1).to_string();
    let ada = |reach| member(1, "Ada", reach);
    check(
        &event_line_of(PeerEvent::MemberJoined {
            topic: topic(),
            member: ada(Reach::Connecting),
        }),
        &json!({"type": "member_joined", "peer": id, "name": "Ada", "path": "connecting"}),
    );
    let relayed = Reach::Connected(Path::Relayed { by: peer(9) });
    check(
        &event_line_of(PeerEvent::MemberUpdated {
            topic: topic(),
            member: ada(Reach::Connected(DIRECT)),
            before: Box::new(ada(relayed)),
        }),
        &json!({"type": "member_updated", "peer": id, "name": "Ada", "path": "direct"}),
    );
    for (reason, word) in [
        (LeaveReason::Left, "left"),
        (LeaveReason::Expired, "expired"),
    ] {
        check(
            &event_line_of(PeerEvent::MemberLeft {
                topic: topic(),
                peer: peer(1),
                name: "Ada".parse().unwrap(),
                reason,
            }),
            &json!({"type": "member_left", "peer": id, "reason": word}),
        );
    }
    let members = vec![
        MemberRow::from(&ada(relayed)),
        MemberRow::from(&member(2, "Bob", Reach::Unconnected)),
    ];
    check(
        &answering(None).with(Event::Members { members }),
        &json!({"type": "members", "members": [
            {"peer": id, "name": "Ada", "path": "relayed"},
            {"peer": peer(2).to_string(), "name": "Bob", "path": "unconnected"},
        ]}),
    );
}

#[test]
fn messages_arrive() {
    let message = room_message(1, "Ada", "hi\nthere");
    check(
        &event_line_of(PeerEvent::RoomMessage(message.clone())),
        &json!({"type": "room_message", "id": "01010101010101010101010101010101", "from": peer(1).to_string(),
            "member": true, "name": "Ada", "text": "hi\nthere", "sent": 1_700_000_000_123_u64}),
    );
    let nobodys = moim_peer::RoomMessage {
        name: None,
        ..message.clone()
    };
    let line = event_line_of(PeerEvent::RoomMessage(nobodys));
    assert!(line.contains(r#""member":false,"name":"","#), "{line}");
    let direct = DirectMessage {
        id: message.id,
        from: peer(1),
        to: peer(2),
        text: "psst".parse().unwrap(),
        sent: moim_peer::UnixMillis(5),
        path: Some(Path::Relayed { by: peer(9) }),
    };
    check(
        &event_line_of(PeerEvent::DirectMessage(direct)),
        &json!({"type": "direct_message", "id": message.id.to_string(), "from": peer(1).to_string(), "member": false, "text": "psst",
            "path": "relayed", "sent": 5}),
    );
    check(
        &event_line_of(PeerEvent::Lagged(7)),
        &json!({"type": "lagged", "missed": 7}),
    );
    assert_eq!(
        event_line_of(PeerEvent::StatusChanged(Status::Connected)),
        "",
        "told from the snapshot"
    );
}

#[test]
fn commands_get_their_answers() {
    let id = MessageId::from_bytes([0xab; 16]);
    let reference = || answering(Some(json!("r1")));
    let receipt = Receipt {
        id,
        to: peer(2),
        path: Some(DIRECT),
    };
    check(
        &reference().with(Event::delivered(&receipt)),
        &json!({"type": "receipt", "id": id.to_string(), "to": peer(2).to_string(), "state": "delivered", "path": "direct",
            "ref": "r1"}),
    );
    check(
        &reference().with(Event::undelivered(id, peer(2), "why".to_owned())),
        &json!({"type": "receipt", "id": id.to_string(), "to": peer(2).to_string(), "state": "failed", "reason": "why",
            "ref": "r1"}),
    );
    check(
        &answering(None).with(Event::Said {
            id: id.to_string(),
            text: "hi".to_owned(),
        }),
        &json!({"type": "said", "id": id.to_string(), "text": "hi"}),
    );
    check(
        &answering(None).with(Event::Stored {
            key: "k".parse().unwrap(),
            copies: 3,
        }),
        &json!({"type": "stored", "key": "k", "copies": 3}),
    );
    let value = Value {
        key: "k".parse().unwrap(),
        value: json!({"a": [1, null]}),
        publisher: peer(1),
    };
    check(
        &answering(None).with(Event::value("k".to_owned(), Some(value))),
        &json!({"type": "value", "key": "k", "value": {"a": [1, null]}, "publisher": peer(1).to_string()}),
    );
    check(
        &answering(None).with(Event::value("k".to_owned(), None)),
        &json!({"type": "value", "key": "k", "value": null, "publisher": null}),
    );
    check(
        &reference().failed(&SayError::Text(moim_peer::TextError::Empty)),
        &json!({"type": "error", "error": "empty", "message": "the message is not valid: the text is empty", "cmd": "say", "line": 3, "ref": "r1"}),
    );
    check(&Event::Left.to_line(), &json!({"type": "left"}));
}

#[test]
fn connections_say_how_and_with_whom() {
    let address = "/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap();
    let direct = Connection {
        peer: peer(1),
        address,
        path: DIRECT,
        round_trip: Some(Duration::from_micros(1234)),
        agent: Some("moim/0.1.0".to_owned()),
        bootstrap_node: true,
        not_direct: None,
    };
    let turn = Connection {
        path: Path::Turn,
        round_trip: None,
        agent: None,
        ..direct.clone()
    };
    let relayed = Connection {
        path: Path::Relayed { by: peer(9) },
        round_trip: None,
        agent: None,
        bootstrap_node: false,
        not_direct: Some(NotDirect {
            why: NoDirectWay::WebRtc(Failure::IceFailed, Step::Connecting),
            report: Some(Report {
                role: Role::Offerer,
                step: Step::Connecting,
                local: CandidateTypes {
                    host: true,
                    reflexive: true,
                    relayed: false,
                },
                remote: CandidateTypes::default(),
                refused: None,
                selected_pair: None,
                failure: Some(Failure::IceFailed),
            }),
            retry: Some(Duration::from_secs(30)),
        }),
        ..direct.clone()
    };
    let connections = [direct, turn, relayed]
        .iter()
        .map(ConnectionRow::from)
        .collect();
    check(
        &answering(None).with(Event::Connections { connections }),
        &json!({"type": "connections", "connections": [
            {"peer": peer(1).to_string(), "address": "/ip4/127.0.0.1/udp/9/quic-v1", "path": "direct", "transport": "quic",
             "round_trip_ms": 1.23, "agent": "moim/0.1.0", "bootstrap_node": true},
            {"peer": peer(1).to_string(), "address": "/ip4/127.0.0.1/udp/9/quic-v1", "path": "turn", "transport": "webrtc",
             "round_trip_ms": null, "agent": null, "bootstrap_node": true},
            {"peer": peer(1).to_string(), "address": "/ip4/127.0.0.1/udp/9/quic-v1", "path": "relayed",
             "relay": peer(9).to_string(), "round_trip_ms": null, "agent": null, "bootstrap_node": false,
             "not_direct": {"reason": "while looking for a way (ICE): there is no way through the networks in between", "own_candidates": "host, reflexive", "their_candidates": "none", "retry_s": 30}},
        ]}),
    );
}

#[test]
fn state_is_told_when_it_changes_and_only_then() {
    let mut told = Told::default();
    let mut state = snapshot(1, Status::Connecting);
    check(
        &told.changes(&state),
        &json!({"type": "status", "state": "connecting"}),
    );
    assert_eq!(told.changes(&state), "");
    let nodes = vec![("a".to_owned(), NodeFault::Lost)];
    state.status = Status::Failed {
        why: NotInDht::Nodes(nodes),
    };
    check(
        &told.changes(&state),
        &json!({"type": "status", "state": "failed", "reason": "a: the connection was lost"}),
    );
    state.dht.peers = 7;
    assert_eq!(told.changes(&state), "");
    let id = peer(1);
    state.addresses = vec![
        "/ip4/127.0.0.1/tcp/9".parse().unwrap(),
        format!("/ip4/127.0.0.1/tcp/8/p2p/{id}").parse().unwrap(),
    ];
    check(
        &told.changes(&state),
        &json!({"type": "addresses", "addresses": [
            format!("/ip4/127.0.0.1/tcp/9/p2p/{id}"), format!("/ip4/127.0.0.1/tcp/8/p2p/{id}"),
        ]}),
    );
    let ready = Event::Ready {
        peer_id: id.to_string(),
        addresses: addresses(&state)[..1].to_vec(),
    };
    check(
        &ready.to_line(),
        &json!({"type": "ready", "peer_id": id.to_string(), "addresses": [format!("/ip4/127.0.0.1/tcp/9/p2p/{id}")]}),
    );
}

#[test]
fn a_line_stays_a_line_and_harmless_whatever_others_write() {
    let hostile = "\x1b[2J\u{9b}2J\u{85}\u{2028}\r\n\u{202e}\"}\n{\"type\":\"left\"}";
    let message = room_message(1, "Eve\"}", hostile);
    let line = event_line_of(PeerEvent::RoomMessage(message.clone()));
    let plain = line.strip_suffix('\n').unwrap();
    assert!(
        !plain.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{202e}'),
        "{plain:?}"
    );
    let event: serde_json::Value = serde_json::from_str(plain).unwrap();
    assert_eq!(
        (event["name"].as_str(), event["text"].as_str()),
        (Some("Eve\"}"), Some(message.text.as_str()))
    );
}
