//! Peers that talk. They meet through one of them that serves the DHT.

use serde_json::json;

use crate::support::{Joined, dead_address};

#[test]
fn two_peers_meet_talk_and_part() {
    let (mut ada, ada_id, address) = Joined::ready("Ada", &dead_address(), &["--serve-dht"]);
    let (mut bob, bob_id, _) = Joined::ready("Bob", &address, &[]);

    let joined = ada.event("member_joined");
    assert_eq!(
        (&joined["peer"], &joined["name"]),
        (&json!(bob_id), &json!("Bob"))
    );
    bob.event_that(|event| event["type"] == "member_joined" && event["peer"] == ada_id);
    bob.event_that(|event| event["type"] == "status" && event["state"] == "connected");

    ada.command(&json!({"cmd": "say", "text": "hello, 세계", "ref": "s"}));
    let said = ada.event("said");
    assert_eq!(said["ref"], "s");
    let heard = bob.event("room_message");
    assert_eq!(
        (&heard["from"], &heard["name"], &heard["text"]),
        (&json!(ada_id), &json!("Ada"), &json!("hello, 세계"))
    );
    assert_eq!(heard["id"], said["id"]);

    bob.command(&json!({"cmd": "send", "to": ada_id, "text": "psst", "ref": 9}));
    let receipt = bob.event("receipt");
    assert_eq!(
        (&receipt["state"], &receipt["to"], &receipt["ref"]),
        (&json!("delivered"), &json!(ada_id), &json!(9))
    );
    let message = ada.event("direct_message");
    assert_eq!(
        (&message["from"], &message["text"], &message["path"]),
        (&json!(bob_id), &json!("psst"), &json!("direct"))
    );
    assert_eq!(message["id"], receipt["id"]);

    bob.command(&json!({"cmd": "put", "key": "k", "value": [1, 2]}));
    assert_eq!(
        bob.event("stored"),
        json!({"type": "stored", "key": "k", "copies": 1})
    );
    bob.command(&json!({"cmd": "get", "key": "k"}));
    let value = bob.event("value");
    assert_eq!(
        (&value["value"], &value["publisher"]),
        (&json!([1, 2]), &json!(bob_id))
    );

    bob.command(&json!({"cmd": "members"}));
    let members = bob.event("members");
    assert_eq!(
        members["members"],
        json!([{"peer": ada_id, "name": "Ada", "path": "direct"}])
    );
    bob.command(&json!({"cmd": "connections"}));
    let connections = bob.event("connections");
    assert_eq!(connections["connections"][0]["peer"], json!(ada_id));

    bob.command(&json!({"cmd": "leave"}));
    let gone = ada.event("member_left");
    assert_eq!(
        (&gone["peer"], &gone["reason"]),
        (&json!(bob_id), &json!("left"))
    );
    assert!(bob.exit().success());
}

#[cfg(unix)]
#[test]
fn a_peer_that_is_told_to_end_says_that_it_leaves_and_one_that_is_killed_expires() {
    let (mut ada, _, address) = Joined::ready("Ada", &dead_address(), &["--serve-dht"]);
    let (mut bob, bob_id, _) = Joined::ready("Bob", &address, &[]);
    ada.event_that(|event| event["type"] == "member_joined" && event["peer"] == bob_id);
    bob.signal("-TERM");
    assert_eq!(ada.event("member_left")["reason"], "left");
    assert_eq!(bob.exit().code(), Some(0));

    let (carol, carol_id, _) = Joined::ready("Carol", &address, &["--presence-lifetime", "4"]);
    ada.event_that(|event| event["type"] == "member_joined" && event["peer"] == carol_id);
    carol.signal("-KILL");
    let gone = ada.event("member_left");
    assert_eq!(
        (&gone["peer"], &gone["reason"]),
        (&json!(carol_id), &json!("expired"))
    );
}

/// What is pasted is said as it reads, and what cannot be said is refused by this side and in its name.
#[test]
fn what_is_pasted_is_said_or_refused() {
    let (mut ada, ada_id, address) = Joined::ready("Ada", &dead_address(), &["--serve-dht"]);
    let (mut bob, bob_id, _) = Joined::ready("Bob", &address, &[]);
    ada.event_that(|event| event["type"] == "member_joined" && event["peer"] == bob_id);
    bob.event_that(|event| event["type"] == "member_joined" && event["peer"] == ada_id);
    for (typed, text) in [
        ("one\u{b}two\u{c}three", "one\ntwo\nthree"),
        ("\0a\u{1b}[1mb\u{7f}", "a[1mb"),
        ("and\u{2028}on\r\n", "and\non\n"),
    ] {
        ada.command(&json!({"cmd": "say", "text": typed}));
        assert_eq!(ada.event("said")["text"], text);
        let heard = bob.event("room_message");
        assert_eq!(
            (&heard["text"], &heard["member"]),
            (&json!(text), &json!(true))
        );
        ada.command(&json!({"cmd": "send", "to": bob_id, "text": typed}));
        assert_eq!(ada.event("receipt")["state"], "delivered");
        let direct = bob.event("direct_message");
        assert_eq!(
            (&direct["text"], &direct["member"]),
            (&json!(text), &json!(true))
        );
    }
    for command in ["say", "send"] {
        let mut command = json!({"cmd": command, "text": "\0\u{1b}"});
        if command["cmd"] == "send" {
            command["to"] = json!(bob_id);
        }
        ada.command(&command);
        let error = ada.event("error");
        assert_eq!(error["error"], "empty", "{error}");
        assert!(
            !error["message"].to_string().contains("receiver"),
            "{error}"
        );
    }
}

#[test]
fn names_that_look_alike_are_pointed_out() {
    let (mut ada, ada_id, address) = Joined::ready("Ada", &dead_address(), &["--serve-dht"]);
    // A Greek Alpha.
    let (mut other, other_id, _) = Joined::ready("\u{391}da", &address, &[]);
    let joined = ada.event("member_joined");
    assert_eq!(
        (&joined["peer"], &joined["looks_like"]),
        (&json!(other_id), &json!(ada_id))
    );
    let joined = other.event("member_joined");
    assert_eq!(joined["looks_like"], json!(other_id));
    let mut person = Joined::start(&["--ephemeral", "--name", "Bob", "--bootstrap", &address]);
    let warned =
        |line: &String| line.contains("looks like that of") && line.contains("go by the ids");
    while !warned(&person.line().expect("a warning")) {}
    person.write(b"/members\n");
    let mut rows = 0;
    while rows < 2 {
        let line = person.line().expect("a row of the list");
        rows += usize::from(line.starts_with("  ") && warned(&line));
    }
}
