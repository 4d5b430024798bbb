//! Who speaks, and what can be said.

use std::sync::Arc;

use moim_peer::{
    LeaveReason, Member, PeerEvent, PeerId, Profile, RoomMessage, SayError, SendError, TextError,
    Topic,
};
use serde_json::json;

use crate::{
    by_hand::{ByHand, text},
    common::{PATIENCE, TestPeer, peer, server},
};

fn heard(event: &PeerEvent) -> Option<RoomMessage> {
    match event {
        PeerEvent::RoomMessage(message) => Some(message.clone()),
        _ => None,
    }
}

fn joined(event: &PeerEvent) -> Option<Member> {
    match event {
        PeerEvent::MemberJoined { member, .. } => Some(member.clone()),
        _ => None,
    }
}

/// A peer made by hand beside one of the library's, which is in the room `topic` as Ada.
async fn beside(ada: &TestPeer, topic: &Topic, missed: serde_json::Value) -> ByHand {
    let mut snapshot = ada.peer.snapshot();
    let snapshot = snapshot
        .wait_for(|snapshot| !snapshot.addresses.is_empty())
        .await;
    let address = snapshot.expect("it runs").addresses[0].clone();
    ByHand::start(address, topic, missed).await
}

fn nothing_missed() -> serde_json::Value {
    json!({"v": 1, "type": "missed", "said": {"session": 0, "sequence": 0}, "messages": []})
}

/// U+000B comes from word processors, and used to be said, heard by nobody, and in the way of everything else.
#[tokio::test]
async fn what_is_pasted_is_heard_at_once_and_caught_up_with() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let mut bob = peer(&source).await;
    let room = ada.join("pasted", "Ada").await;
    let _bobs = bob.join("pasted", "Bob").await;
    bob.expect("Ada", joined).await;
    ada.expect("Bob", joined).await;
    let said = room
        .say("one\u{b}two\0\u{c}three\u{1b}[31m\u{7f}\r\nfour")
        .await
        .expect("said");
    assert_eq!(said.text.as_str(), "one\ntwo\nthree[31m\nfour");
    assert_eq!(bob.expect("it", heard).await, said);
    assert_eq!(
        room.say("\u{b}\u{1b}")
            .await
            .expect("a newline is left")
            .text
            .as_str(),
        "\n"
    );
    assert_eq!(bob.expect("the newline", heard).await.text.as_str(), "\n");
    for nothing in ["", "\0\u{1b}"] {
        let refused = room.say(nothing).await.expect_err("nothing is left");
        assert_eq!(refused, SayError::Text(TextError::Empty));
        let refused = ada
            .peer
            .send(bob.peer.id(), nothing)
            .await
            .expect_err("nothing is left");
        assert_eq!(refused, SendError::Text(TextError::Empty));
    }
    let receipt = ada
        .peer
        .send(bob.peer.id(), "a\u{b}b")
        .await
        .expect("delivered");
    assert_eq!(
        ada.peer.conversation(bob.peer.id()).await[0].text.as_str(),
        "a\nb"
    );
    assert_eq!(receipt.to, bob.peer.id());
    // Who was away hears all of it.
    let mut eve = peer(&source).await;
    let _eves = eve.join("pasted", "Eve").await;
    eve.expect("Ada", joined).await;
    room.say("and\u{2028}on").await.expect("said");
    assert_eq!(eve.expect("it", heard).await.text.as_str(), "and\non");
}

/// A message of this peer's own making never reads as if the receiver had refused it.
#[tokio::test]
async fn a_local_refusal_is_told_as_one() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let nobody = PeerId::random();
    let id = moim_peer::Peer::new_message_id();
    let waits = tokio::spawn({
        let ada = ada.peer.clone();
        async move { ada.send_with_id(id, nobody, "hello").await }
    });
    tokio::task::yield_now().await;
    let error = ada
        .peer
        .send_with_id(id, nobody, "hello")
        .await
        .expect_err("twice");
    assert_eq!(error, SendError::Duplicate);
    assert!(!error.to_string().contains("receiver"), "{error}");
    waits.abort();
    let long = "x".repeat(moim_peer::limits::TEXT_BYTES_MAX + 1);
    let error = ada.peer.send(nobody, long).await.expect_err("too long");
    assert_eq!(error, SendError::Text(TextError::TooLong(16_385)));
}

/// An older member gives what it said itself, U+000B and all: that one is not to be had, the others are.
#[tokio::test]
async fn one_bad_message_costs_no_other_in_what_was_missed() {
    let topic = Topic::new("missed").expect("a topic");
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let _room = ada.join(topic.as_str(), "Ada").await;
    let mut messages: Vec<_> = (1..=10)
        .map(|n| text(n, "Old", &format!("message {n}")))
        .collect();
    for (index, bad) in [(0, "a\u{b}b"), (4, ""), (9, "\u{1b}[2J")] {
        messages[index]["text"] = json!(bad);
    }
    let session = messages[0]["session"].clone();
    let missed = json!({"v": 1, "type": "missed", "said": {"session": session, "sequence": 10}, "messages": messages});
    let old = beside(&ada, &topic, missed).await;
    old.sync(ada.peer.id(), &topic, "Old");
    for number in [2, 3, 4, 6, 7, 8, 9] {
        let message = ada.expect("a good one", heard).await;
        assert_eq!(message.text.as_str(), format!("message {number}"));
        assert_eq!(
            message.name.as_ref().map(moim_peer::Name::as_str),
            Some("Old")
        );
    }
}

/// What is shown is the name in the presence; whoever has none is shown as no member.
#[tokio::test]
async fn nobody_speaks_in_anothers_name() {
    let topic = Topic::new("who speaks").expect("a topic");
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let _room = ada.join(topic.as_str(), "Ada").await;
    let eve = beside(&ada, &topic, nothing_missed()).await;
    eve.publish(text(1, "Bob", "I am Bob"));
    let message = ada.expect("it", heard).await;
    assert_eq!((message.from, message.name), (eve.id(), None));
    assert_eq!(message.text.as_str(), "I am Bob");

    eve.publish(text(2, "Bob", "no, really"));
    eve.sync(ada.peer.id(), &topic, "Eve");
    let member = ada.expect("Eve", joined).await;
    assert_eq!((member.peer, member.name.as_str()), (eve.id(), "Eve"));
    let message = ada.expect("it", heard).await;
    assert_eq!(
        message.name,
        Some(member.name.clone()),
        "said a moment before Eve was known"
    );
    eve.publish(text(3, "Bob", "as I said"));
    assert_eq!(ada.expect("it", heard).await.name, Some(member.name));
}

/// The text of a member is shown whatever stands beside it for a name.
#[tokio::test]
async fn what_older_peers_take_for_a_name_costs_no_message() {
    let topic = Topic::new("older").expect("a topic");
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let _room = ada.join(topic.as_str(), "Ada").await;
    let old = beside(&ada, &topic, nothing_missed()).await;
    old.sync(ada.peer.id(), &topic, "Old");
    ada.expect("Old", joined).await;
    for (number, name) in [(1, "O\u{200b}ld"), (2, "\u{3164}"), (3, "")] {
        old.publish(text(number, name, "hello"));
        let message = ada.expect("it", heard).await;
        assert_eq!(
            message.name.map(|name| name.to_string()).as_deref(),
            Some("Old")
        );
    }
}

#[tokio::test]
async fn names_that_look_alike_are_pointed_out_and_no_more_when_one_is_gone() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let room = ada.join("alike", "Ada").await;
    let bob = peer(&source).await;
    let _bobs = bob.join("alike", "Bob").await;
    let member = ada.expect("Bob", joined).await;
    assert_eq!(member.looks_like, None);
    // Cyrillic Ве, a Latin b as in bed.
    let mut eve = peer(&source).await;
    let eves = eve.join("alike", "\u{412}ob").await;
    let member = ada.expect("the other Bob", joined).await;
    assert_eq!(
        (member.peer, member.looks_like),
        (eve.peer.id(), Some(bob.peer.id()))
    );
    let changed = |event: &PeerEvent| match event {
        PeerEvent::MemberUpdated { member, before, .. }
            if member.looks_like != before.looks_like =>
        {
            Some((member.peer, member.looks_like))
        }
        _ => None,
    };
    assert_eq!(
        ada.expect("that Bob is one of two", changed).await,
        (bob.peer.id(), Some(eve.peer.id()))
    );
    ada.members(&room, "both are marked", |members| {
        members.len() == 2 && members.iter().all(|member| member.looks_like.is_some())
    })
    .await;
    let me = eve.peer.id();
    eve.expect("Bob", |event| {
        joined(event).filter(|member| member.looks_like == Some(me))
    })
    .await;
    eves.leave().await;
    assert_eq!(
        ada.expect("that Bob is alone", changed).await,
        (bob.peer.id(), None)
    );
    // Whoever looks like this peer itself.
    let mallory = peer(&source).await;
    let _room = mallory.join("alike", "ADA").await;
    let member = ada.expect("the other Ada", joined).await;
    assert_eq!(member.looks_like, Some(ada.peer.id()));
}

/// However a room's handle goes, and however busy the peer is: then others see it leave, and it can be joined again.
#[tokio::test]
async fn a_room_is_left_however_its_handle_goes() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let _room = ada.join("left", "Ada").await;
    let bob = peer(&source).await;
    let left = |event: &PeerEvent| match event {
        PeerEvent::MemberLeft { reason, .. } => Some(*reason),
        _ => None,
    };
    for way in 0..3 {
        let room = bob.join("left", "Bob").await;
        ada.expect("Bob", joined).await;
        match way {
            0 => drop(room),
            // Given up before the peer has even been asked.
            1 => drop(room.leave()),
            _ => {
                // The queue of commands is full, so nothing can be said to the peer.
                for _ in 0..1000 {
                    bob.peer.network_changed(true);
                }
                room.leave_now();
            }
        }
        assert_eq!(ada.expect("that Bob leaves", left).await, LeaveReason::Left);
    }
    // At once again, although nobody has said that the one before is left.
    drop(bob.join("left", "Bob").await);
    let room = bob
        .peer
        .join(
            Topic::new("left").expect("valid"),
            Profile::named("Bob").expect("a name"),
        )
        .await
        .expect("joins");
    tokio::time::timeout(PATIENCE, room.leave())
        .await
        .expect("left");
}

#[tokio::test]
async fn a_room_is_left_while_lines_wait_to_be_said() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let _room = ada.join("waiting", "Ada").await;
    let bob = peer(&source).await;
    let room = Arc::new(bob.join("waiting", "Bob").await);
    ada.expect("Bob", joined).await;
    // More than others would take at once.
    let long = "x".repeat(16_000);
    let says: Vec<_> = (0..40)
        .map(|_| {
            let (room, long) = (room.clone(), long.clone());
            tokio::spawn(async move { room.say(long).await })
        })
        .collect();
    let said = ada.expect("Bob's first line", |event| match event {
        PeerEvent::RoomMessage(message) => Some(message.from),
        _ => None,
    });
    assert_eq!(said.await, bob.peer.id());
    tokio::time::timeout(PATIENCE, room.leave())
        .await
        .expect("left");
    let mut refused = 0;
    for say in says {
        match say.await.expect("no panic") {
            Ok(_) => {}
            Err(SayError::Left) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "nothing waited");
    let left = |event: &PeerEvent| match event {
        PeerEvent::MemberLeft { reason, .. } => Some(*reason),
        _ => None,
    };
    assert_eq!(ada.expect("that Bob leaves", left).await, LeaveReason::Left);
    // The handle of before is still there, and has nothing to do with the room of now.
    let again = bob.join("waiting", "Bob").await;
    ada.expect("Bob", joined).await;
    room.leave().await;
    drop(room);
    again.say("still here").await.expect("said");
}

#[tokio::test]
async fn names_and_topics_that_show_nothing_are_refused() {
    for name in [
        "\u{3164}",
        "An\u{200b}a",
        "Ana\u{202e}",
        "\u{2800}",
        "A\u{e0041}na",
        "a\u{489}\u{489}\u{489}\u{489}\u{489}",
    ] {
        assert!(Profile::named(name).is_err(), "{name:?}");
        assert!(Topic::new(name).is_err(), "{name:?}");
        assert!(moim_peer::RecordKey::new(name).is_err(), "{name:?}");
    }
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let error = ada
        .peer
        .put("menu\u{200b}", json!(1), moim_peer::limits::RECORD_TTL_MIN)
        .await
        .expect_err("a key");
    assert!(error.to_string().contains("U+200B"), "{error}");
    let error = ada.peer.get("menu\u{200b}").await.expect_err("a key");
    assert!(error.to_string().contains("U+200B"), "{error}");
    // Drawn in another way, a topic is the same.
    let (one, other) = (peer(&source).await, peer(&source).await);
    let room = one.join("\u{2764}\u{fe0f}", "One").await;
    let _others = other.join("\u{2764}", "Other").await;
    one.members(&room, "they meet", |members| !members.is_empty())
        .await;
}
