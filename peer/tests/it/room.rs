//! A room of a few peers: who is there, what is said, who leaves.

use std::time::Duration;

use moim_peer::{LeaveReason, Path, PeerEvent, Reach};
use serde_json::json;

use crate::common::{peer, server};

#[tokio::test]
async fn two_peers_meet_talk_and_part() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let mut bob = peer(&source).await;
    let (ada_id, bob_id) = (ada.peer.id(), bob.peer.id());

    let ada_room = ada.join("global-chat", "Ada").await;
    let bob_room = bob.join("global-chat", "Bob").await;
    for (one, other, name) in [(&mut ada, bob_id, "Bob"), (&mut bob, ada_id, "Ada")] {
        let member = one
            .expect("the other joins", |event| match event {
                PeerEvent::MemberJoined { member, .. } if member.peer == other => Some(member.clone()),
                _ => None,
            })
            .await;
        assert_eq!(member.name, name);
    }
    ada.members(&ada_room, "reached directly", |members| {
        members.iter().any(|member| matches!(member.reach, Reach::Connected(Path::Direct(_))))
    })
    .await;

    let said = ada_room.say("hello, room").await.expect("said");
    let heard = bob
        .expect("the message", |event| match event {
            PeerEvent::RoomMessage(message) => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!(heard, said);

    let receipt = bob.peer.send(ada_id, "hello, Ada").await.expect("delivered");
    assert_eq!(receipt.to, ada_id);
    let direct = ada
        .expect("the direct message", |event| match event {
            PeerEvent::DirectMessage(message) => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!((direct.id, direct.text.as_str(), direct.from), (receipt.id, "hello, Ada", bob_id));
    assert_eq!(ada.peer.conversation(bob_id).await, vec![direct], "stored");

    bob_room.leave().await;
    let reason = ada
        .expect("that Bob leaves", |event| match event {
            PeerEvent::MemberLeft { peer, reason, .. } if *peer == bob_id => Some(*reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, LeaveReason::Left);
}

#[tokio::test]
async fn a_value_put_by_one_is_got_by_another() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let bob = peer(&source).await;
    ada.connected().await;
    bob.connected().await;

    assert_eq!(bob.peer.get("colour").await.expect("asked"), None);
    let stored = ada.peer.put("colour", json!({"name": "green"}), Duration::from_secs(600)).await.expect("stored");
    assert_eq!((stored.key.as_str(), stored.copies), ("colour", 1));
    let value = bob.peer.get("colour").await.expect("asked").expect("there");
    assert_eq!(value.value, json!({"name": "green"}));
    assert_eq!(value.publisher, ada.peer.id());

    bob.peer.put("colour", json!("blue"), Duration::from_secs(600)).await.expect("stored");
    let value = ada.peer.get("colour").await.expect("asked").expect("there");
    assert_eq!(value.value, json!("blue"), "the newer value took its place");
}
