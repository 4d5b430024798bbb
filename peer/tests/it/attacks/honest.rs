//! Honest members, and the newcomer who has to find them while somebody attacks.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use moim_peer::{BootstrapSource, Member, PeerEvent, PeerId, Reach, Room, RoomMessage};
use tokio::time::timeout;

use crate::common::{PATIENCE, TestPeer, peer, server};

/// How much longer than in quiet a newcomer may take: so many times as long, and this.
const SLOWER: (u32, Duration) = (3, Duration::from_secs(2));

/// Two honest members that are connected.
pub(super) struct Honest {
    _server: TestPeer,
    source: BootstrapSource,
    topic: String,
    pub(super) ada: TestPeer,
    pub(super) ada_room: Room,
    pub(super) bob: TestPeer,
    pub(super) bob_room: Room,
    /// How long a newcomer takes without any attack.
    quiet: Duration,
    newcomers: u32,
}

fn is_connected(member: &Member) -> bool {
    matches!(member.reach, Reach::Connected(_))
}

impl Honest {
    pub(super) async fn meet(topic: &str) -> Self {
        let (server, source) = server().await;
        let (ada, bob) = (peer(&source).await, peer(&source).await);
        let ada_room = ada.join(topic, "Ada").await;
        let bob_room = bob.join(topic, "Bob").await;
        for (peer, room) in [(&ada, &ada_room), (&bob, &bob_room)] {
            let met = |members: &Vec<Member>| members.iter().any(is_connected);
            peer.members(room, "the other is there", met).await;
        }
        let mut honest = Self {
            _server: server,
            source,
            topic: topic.to_owned(),
            ada,
            ada_room,
            bob,
            bob_room,
            quiet: Duration::ZERO,
            newcomers: 0,
        };
        honest.talk("we have met").await;
        honest.quiet = honest.newcomer().await;
        honest
    }

    /// Whether each lists the other as connected.
    pub(super) fn are_connected(&self) -> bool {
        let sees =
            |room: &Room, other: &TestPeer| meets(&room.members().borrow(), &other.peer.id());
        sees(&self.ada_room, &self.bob) && sees(&self.bob_room, &self.ada)
    }

    /// Both are heard by each other.
    pub(super) async fn talk(&mut self, text: &str) {
        for (from, to) in [
            (&self.ada_room, &mut self.bob),
            (&self.bob_room, &mut self.ada),
        ] {
            from.say(text).await.expect("said");
            heard(to, text).await;
        }
    }

    /// How long a newcomer takes until it sees both, is connected to them, and is heard by both.
    async fn newcomer(&mut self) -> Duration {
        self.newcomers += 1;
        let began = Instant::now();
        let grace = peer(&self.source).await;
        let room = grace.join(&self.topic, "Grace").await;
        let both = [self.ada.peer.id(), self.bob.peer.id()];
        let sees_both = |members: &Vec<Member>| both.iter().all(|peer| meets(members, peer));
        grace.members(&room, "both are there", sees_both).await;
        let text = format!("newcomer {}", self.newcomers);
        room.say(&text).await.expect("said");
        for room in [&self.ada_room, &self.bob_room] {
            said_in(room, &text).await;
        }
        began.elapsed()
    }

    /// A newcomer is welcomed nearly as fast as in quiet.
    #[expect(clippy::print_stdout, reason = "the figures of docs/security.md")]
    pub(super) async fn welcome(&mut self) {
        let took = self.newcomer().await;
        let most = self.quiet * SLOWER.0 + SLOWER.1;
        println!(
            " | a newcomer is heard after {} ms, in quiet after {} ms",
            took.as_millis(),
            self.quiet.as_millis()
        );
        assert!(took <= most, "{took:?}, in quiet {:?}", self.quiet);
    }

    /// Goes on with an attack for so many steps at the least, and until a newcomer is welcomed meanwhile. Answers how
    /// many steps there were.
    pub(super) async fn withstand(
        &mut self,
        least: usize,
        mut step: impl AsyncFnMut(usize),
    ) -> usize {
        let is_welcomed = Cell::new(false);
        let welcoming = async {
            self.welcome().await;
            is_welcomed.set(true);
        };
        let attacking = async {
            let mut steps = 0;
            while steps < least || !is_welcomed.get() {
                step(steps).await;
                steps += 1;
                // It may find everything ready, always.
                tokio::task::yield_now().await;
            }
            steps
        };
        tokio::join!(welcoming, attacking).1
    }
}

fn meets(members: &[Member], peer: &PeerId) -> bool {
    members
        .iter()
        .any(|member| member.peer == *peer && is_connected(member))
}

/// Waits until a text is among what a room has heard: its events may be too many to be kept.
pub(super) async fn said_in(room: &Room, text: &str) {
    let hearing = async {
        let is_it = |message: &RoomMessage| message.text.as_str() == text;
        while !room.history().await.iter().any(is_it) {
            tokio::task::yield_now().await;
        }
    };
    let heard = timeout(PATIENCE, hearing).await;
    assert!(heard.is_ok(), "{text} is not heard");
}

/// Waits until a text is heard.
pub(super) async fn heard(peer: &mut TestPeer, text: &str) -> RoomMessage {
    peer.expect(text, |event| match event {
        PeerEvent::RoomMessage(message) if message.text.as_str() == text => Some(message.clone()),
        _ => None,
    })
    .await
}
