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
