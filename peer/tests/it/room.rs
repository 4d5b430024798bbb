//! A room of a few peers: who is there, what is said, who leaves.

use std::time::Duration;

use futures::future::join_all;
use moim_peer::{
    JoinError, LeaveReason, PeerEvent, PeerId, Profile, Reach, RoomMessage, SendError, TextError,
};
use n0_future::time::timeout;
use serde_json::json;

use crate::common::{PATIENCE, TestPeer, builder, peer, server, test, topic};

#[test]
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
                PeerEvent::MemberJoined { member, .. } if member.peer == other => {
                    Some(member.clone())
                }
                _ => None,
            })
            .await;
        assert_eq!(member.name.as_str(), name);
    }
    ada.members(&ada_room, "reached", |members| {
        members
            .iter()
            .any(|member| matches!(member.reach, Reach::Connected(_)))
    })
    .await;

    let said = ada_room.say("hello, room").await.expect("said");
    let heard = bob
        .expect("the message", |event| match event {
            PeerEvent::RoomMessage(message) => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!(
        (
            heard.id,
            heard.topic,
            heard.from,
            heard.name,
            heard.text,
            heard.sent
        ),
        (
            said.id, said.topic, said.from, said.name, said.text, said.sent
        )
    );

    let receipt = bob
        .peer
        .send(ada_id, "hello, Ada")
        .await
        .expect("delivered");
    assert_eq!(receipt.to, ada_id);
    let direct = ada
        .expect("the direct message", |event| match event {
            PeerEvent::DirectMessage(message) => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!(
        (direct.id, direct.text.as_str(), direct.from),
        (receipt.id, "hello, Ada", bob_id)
    );
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

/// Gossip loses what it carries when a connection breaks; here it carries nothing at all.
#[test]
async fn what_gossip_does_not_bring_is_asked_for() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let mut deaf = TestPeer::start(builder(&source).gossip(false)).await;
    let ada_room = ada.join("lost and found", "Ada").await;
    // Before anybody is there to hear it.
    ada_room.say("hello?").await.expect("said");
    let deaf_room = deaf.join("lost and found", "Bob").await;
    ada.members(&ada_room, "Bob is there", |members| !members.is_empty())
        .await;
    deaf.members(&deaf_room, "Ada is there", |members| !members.is_empty())
        .await;
    let text = |event: &PeerEvent| match event {
        PeerEvent::RoomMessage(message) => Some(message.text.to_string()),
        _ => None,
    };
    for number in 0..20 {
        ada_room.say(format!("a{number}")).await.expect("said");
        deaf_room.say(format!("b{number}")).await.expect("said");
    }
    for number in 0..20 {
        assert_eq!(deaf.expect("Ada's", text).await, format!("a{number}"));
        assert_eq!(ada.expect("Bob's", text).await, format!("b{number}"));
    }
    // Longer than anybody takes, and split over several answers.
    let long = "모".repeat(5000);
    for _ in 0..6 {
        ada_room.say(long.as_str()).await.expect("said");
    }
    for _ in 0..6 {
        assert_eq!(deaf.expect("a long one", text).await, long);
    }
}

#[test]
async fn a_value_put_by_one_is_got_by_another() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let bob = peer(&source).await;
    ada.connected().await;
    bob.connected().await;

    assert_eq!(bob.peer.get("colour").await.expect("asked"), None);
    let stored = ada
        .peer
        .put("colour", json!({"name": "green"}), Duration::from_secs(600))
        .await
        .expect("stored");
    assert_eq!((stored.key.as_str(), stored.copies), ("colour", 1));
    let value = bob.peer.get("colour").await.expect("asked").expect("there");
    assert_eq!(value.value, json!({"name": "green"}));
    assert_eq!(value.publisher, ada.peer.id());

    bob.peer
        .put("colour", json!("blue"), Duration::from_secs(600))
        .await
        .expect("stored");
    let value = ada.peer.get("colour").await.expect("asked").expect("there");
    assert_eq!(value.value, json!("blue"), "the newer value took its place");

    // However fast they follow each other, and whatever the writers' clocks say: the last one counts.
    for number in 0..10 {
        for peer in [&ada, &bob] {
            peer.peer
                .put("colour", json!(number), Duration::from_secs(600))
                .await
                .expect("stored");
        }
    }
    let value = ada.peer.get("colour").await.expect("asked").expect("there");
    assert_eq!((value.value, value.publisher), (json!(9), bob.peer.id()));
}

#[test]
async fn every_message_of_a_busy_room_arrives_once_and_in_order() {
    const MESSAGES: usize = 30;
    let (_server, source) = server().await;
    let mut peers = Vec::new();
    for name in ["Ada", "Bob", "Cleo", "Dan"] {
        let peer = peer(&source).await;
        let room = peer.join("busy", name).await;
        peers.push((peer, room));
    }
    for (peer, room) in &peers {
        peer.members(room, "the three others are there", |members| {
            members.len() == 3
        })
        .await;
    }
    for number in 0..MESSAGES {
        for (peer, room) in &peers {
            room.say(format!("{} {number}", peer.peer.id()))
                .await
                .expect("said");
        }
    }
    let authors: Vec<_> = peers.iter().map(|(peer, _)| peer.peer.id()).collect();
    for (peer, _) in &mut peers {
        let me = peer.peer.id();
        let mut heard: Vec<RoomMessage> = Vec::new();
        while heard.len() < 3 * MESSAGES {
            heard.push(
                peer.expect("one more message", |event| match event {
                    PeerEvent::RoomMessage(message) => Some(message.clone()),
                    _ => None,
                })
                .await,
            );
        }
        for author in authors.iter().filter(|author| **author != me) {
            let texts: Vec<_> = heard
                .iter()
                .filter(|message| message.from == *author)
                .map(|message| message.text.to_string())
                .collect();
            let said: Vec<_> = (0..MESSAGES)
                .map(|number| format!("{author} {number}"))
                .collect();
            assert_eq!(texts, said, "once and in order");
        }
    }
    // A direct message comes after everything that gossip still had under way on the connection.
    let (first, others) = peers.split_first_mut().expect("four");
    for (other, _) in others {
        other
            .peer
            .send(first.0.peer.id(), "done")
            .await
            .expect("delivered");
        let event = first.0.expect("the last word", |event| match event {
            PeerEvent::DirectMessage(message) => Some(message.text.to_string()),
            PeerEvent::RoomMessage(message) => Some(format!("twice: {}", message.text)),
            _ => None,
        });
        assert_eq!(event.await, "done");
    }
}

/// Others take no more of one author: the rest waits here, and none of it is lost.
#[test]
async fn what_is_said_faster_than_others_take_it_waits_for_its_turn() {
    const LINES: usize = 150;
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let mut bob = peer(&source).await;
    let ada_room = ada.join("paste", "Ada").await;
    let bob_room = bob.join("paste", "Bob").await;
    for (peer, room) in [(&ada, &ada_room), (&bob, &bob_room)] {
        peer.members(room, "the other is there", |members| members.len() == 1)
            .await;
    }
    let lines: Vec<String> = (0..LINES).map(|number| format!("line {number}")).collect();
    let said = join_all(lines.iter().map(|line| ada_room.say(line.as_str()))).await;
    assert!(said.iter().all(Result::is_ok), "{said:?}");
    // Callers that do not wait for each other have no order among themselves.
    let mut heard = Vec::new();
    while heard.len() < LINES {
        let line = bob.expect("the next line", |event| match event {
            PeerEvent::RoomMessage(message) => Some(message.text.to_string()),
            _ => None,
        });
        heard.push(line.await);
    }
    let sorted = |mut texts: Vec<String>| {
        texts.sort_unstable();
        texts
    };
    assert_eq!(sorted(heard), sorted(lines));
}

#[test]
async fn a_message_to_nobody_fails_with_a_reason() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    ada.connected().await;
    let error = ada
        .peer
        .send(ada.peer.id(), "hello")
        .await
        .expect_err("to itself");
    assert!(matches!(error, SendError::ToSelf), "{error}");
    let error = ada
        .peer
        .send(PeerId::random(), "")
        .await
        .expect_err("empty");
    assert_eq!(error, SendError::Text(TextError::Empty));
    let error = ada
        .peer
        .send(PeerId::random(), "x".repeat(20_000))
        .await
        .expect_err("too long");
    assert_eq!(error, SendError::Text(TextError::TooLong(20_000)));
}

#[test]
async fn a_room_left_by_dropping_it_is_left_for_the_others() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let bob = peer(&source).await;
    let _room = ada.join("short", "Ada").await;
    let room = bob.join("short", "Bob").await;
    bob.members(&room, "Ada is there", |members| members.len() == 1)
        .await;
    drop(room);
    let reason = ada
        .expect("that Bob leaves", |event| match event {
            PeerEvent::MemberLeft { reason, .. } => Some(*reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, LeaveReason::Left);
    let again = bob.join("short", "Bob again").await;
    bob.members(&again, "Ada is still there", |members| members.len() == 1)
        .await;
    let error = bob
        .peer
        .join(topic("short"), Profile::named("Bob").expect("a name"))
        .await
        .expect_err("joined already");
    assert!(matches!(error, JoinError::AlreadyJoined), "{error}");
}

#[test]
async fn several_parts_of_a_program_read_along_and_make_good_what_they_missed() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let bob = peer(&source).await;
    let ada_room = ada.join("read along", "Ada").await;
    let elsewhere = bob.join("elsewhere", "Bob").await;
    let room = bob.join("read along", "Bob").await;
    let clone = room.clone();
    let (mut one, mut other) = (room.events(), clone.events());
    let mut apart = elsewhere.events();
    bob.members(&room, "Ada is reached", |members| {
        let mut members = members.iter();
        members.any(|member| matches!(member.reach, Reach::Connected(_)))
    })
    .await;
    let mut cursors = Vec::new();
    for text in ["first", "second", "third"] {
        ada_room.say(text).await.expect("said");
        for events in [&mut one, &mut other] {
            let heard = async {
                loop {
                    match events.next().await.expect("it goes on") {
                        PeerEvent::RoomMessage(message) => return message,
                        event => assert!(event.topic() == Some(room.topic()), "{event:?}"),
                    }
                }
            };
            let heard = timeout(PATIENCE, heard).await.expect("in time");
            assert_eq!(heard.text.as_str(), text);
            cursors.push(heard.cursor);
        }
    }
    assert!(cursors.is_sorted());
    let texts = |messages: Vec<RoomMessage>| -> Vec<String> {
        let texts = messages.iter().map(|message| message.text.to_string());
        texts.collect()
    };
    let missed = clone.history_after(cursors[0]).await;
    assert_eq!(texts(missed), ["second", "third"]);
    assert_eq!(texts(room.history_after(cursors[5]).await), [""; 0]);
    assert_eq!(texts(room.history().await).len(), 3);

    // Left by one handle, it is left by all.
    drop(room);
    clone.leave().await;
    let end = async { while one.next().await.is_some() {} };
    timeout(PATIENCE, end).await.expect("it ends");
    assert!(clone.events().next().await.is_none());
    elsewhere.leave().await;
    assert!(
        timeout(PATIENCE, apart.next())
            .await
            .expect("it ends")
            .is_none()
    );
}
