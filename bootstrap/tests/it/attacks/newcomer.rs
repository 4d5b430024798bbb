//! A room of real peers beside every attack, and the newcomer who has to find its members and be heard.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use moim_peer::{BootstrapSource, EventStream, Peer, PeerId, Profile, Room};

use super::{SLOWDOWN_FLOOR, SLOWDOWN_MAX};
use crate::{network::TOPIC, process::Node, soon, until};

/// A peer in the room.
struct Member {
    peer: Peer,
    room: Room,
    // Without it nobody would be told anything.
    _events: EventStream,
}

impl Member {
    async fn join(source: &str, name: &str) -> Self {
        let builder = Peer::builder()
            .bootstrap([source.parse::<BootstrapSource>().unwrap()])
            .listen(["/ip4/127.0.0.1/tcp/0".parse().unwrap()]);
        let (peer, events) = builder.start().await.unwrap();
        let profile = Profile::named(name).unwrap();
        let room = soon("to join", peer.join(TOPIC.parse().unwrap(), profile))
            .await
            .unwrap();
        Self {
            peer,
            room,
            _events: events,
        }
    }

    async fn lists(&self, others: &[&Self]) {
        let mut members = self.room.members();
        let listed = members.wait_for(|members| {
            others
                .iter()
                .all(|other| members.iter().any(|it| it.peer == other.peer.id()))
        });
        soon("the members to be found", listed).await.unwrap();
    }

    async fn hears(&self, text: &str) {
        until("what is said to be heard", async || {
            let history = self.room.history().await;
            history.iter().any(|message| message.text.as_str() == text)
        })
        .await;
    }
}

/// Two members who entered by the node, each by another transport, and who stay.
pub(super) struct HonestRoom {
    /// Where the node says how it is reached, for the newcomer.
    document: String,
    ada: Member,
    bob: Member,
    newcomers: AtomicU32,
    /// How long a newcomer takes while all is quiet.
    pub(super) quiet: Duration,
}

impl HonestRoom {
    pub(super) async fn gather(node: &Node) -> Self {
        let ada = Member::join(&node.address("tcp").to_string(), "Ada").await;
        let bob = Member::join(&node.address("ws").to_string(), "Bob").await;
        ada.lists(&[&bob]).await;
        bob.lists(&[&ada]).await;
        let mut room = Self {
            document: format!("http://127.0.0.1:{}", node.http_port()),
            ada,
            bob,
            newcomers: AtomicU32::new(0),
            quiet: Duration::ZERO,
        };
        let (one, other) = (room.newcomer().await, room.newcomer().await);
        room.quiet = one.heard.min(other.heard);
        room
    }

    pub(super) fn members(&self) -> [PeerId; 2] {
        [self.ada.peer.id(), self.bob.peer.id()]
    }

    /// A newcomer is in the room nearly as fast as in quiet. Says how long the slower of two takes.
    pub(super) async fn welcome(&self) -> Duration {
        let (one, other) = (self.newcomer().await, self.newcomer().await);
        let slower = if one.heard > other.heard { one } else { other };
        let bound = self.quiet * SLOWDOWN_MAX + SLOWDOWN_FLOOR;
        assert!(
            slower.heard <= bound,
            "a newcomer takes {slower:?}, in quiet {:?}",
            self.quiet
        );
        slower.heard
    }

    async fn newcomer(&self) -> Welcome {
        let number = self.newcomers.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let grace = Member::join(&self.document, "Grace").await;
        let joined = began.elapsed();
        grace.lists(&[&self.ada, &self.bob]).await;
        let found = began.elapsed();
        let text = format!("newcomer {number}");
        grace.room.say(&text).await.unwrap();
        for member in [&self.ada, &self.bob] {
            member.hears(&text).await;
        }
        let heard = began.elapsed();
        soon("the newcomer to leave", grace.peer.stop()).await;
        Welcome {
            joined,
            found,
            heard,
        }
    }
}

/// How long a newcomer takes from its start ...
#[derive(Debug)]
#[expect(dead_code, reason = "a failure shows them all")]
struct Welcome {
    /// ... until it has joined the room,
    joined: Duration,
    /// lists both members,
    found: Duration,
    /// and both have heard it.
    heard: Duration,
}
