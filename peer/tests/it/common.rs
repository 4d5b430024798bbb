//! Starting peers and waiting for what they report.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

use std::time::Duration;

use moim_peer::{
    BootstrapSource, EventStream, Peer, PeerBuilder, PeerEvent, Profile, Room, Status, Topic,
};
use n0_future::time::timeout;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use tokio::test;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::browser::{builder, server, webrtc_direct};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::native::{builder, server};

/// Longer than anything here takes on a busy machine; waiting for it means failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).expect("a topic")
}

/// A peer with what happens to it.
pub(crate) struct TestPeer {
    pub(crate) peer: Peer,
    pub(crate) events: EventStream,
    /// Events that were looked past.
    pub(crate) seen: Vec<PeerEvent>,
}

impl TestPeer {
    pub(crate) async fn start(builder: PeerBuilder) -> Self {
        let (peer, events) = builder.start().await.expect("starts");
        Self {
            peer,
            events,
            seen: Vec::new(),
        }
    }

    /// The first event, from now on or looked past before, of which `pick` makes something.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&PeerEvent) -> Option<T>,
    ) -> T {
        if let Some(index) = self.seen.iter().position(|event| pick(event).is_some()) {
            let event = self.seen.remove(index);
            return pick(&event).expect("picked before");
        }
        let waiting = async {
            loop {
                let event = self.events.next().await.expect("the peer runs");
                if let Some(picked) = pick(&event) {
                    return picked;
                }
                self.seen.push(event);
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(picked) => picked,
            Err(_) => panic!(
                "{} waits for {what} in vain; seen: {:#?}",
                self.peer.id(),
                self.seen
            ),
        }
    }

    pub(crate) async fn connected(&self) {
        let mut snapshot = self.peer.snapshot();
        let wait = snapshot.wait_for(|snapshot| snapshot.status == Status::Connected);
        timeout(PATIENCE, wait)
            .await
            .expect("in the DHT in time")
            .expect("the peer runs");
    }

    pub(crate) async fn join(&self, topic: &str, name: &str) -> Room {
        self.peer
            .join(self::topic(topic), Profile::named(name).expect("a name"))
            .await
            .expect("joins")
    }

    /// Waits until the room's member list satisfies `done`.
    pub(crate) async fn members(
        &self,
        room: &Room,
        what: &str,
        done: impl FnMut(&Vec<moim_peer::Member>) -> bool,
    ) {
        let mut members = room.members();
        let outcome = timeout(PATIENCE, members.wait_for(done)).await;
        assert!(
            matches!(outcome, Ok(Ok(_))),
            "{what}; members: {:#?}, snapshot: {:#?}",
            *room.members().borrow(),
            *self.peer.snapshot().borrow(),
        );
    }
}

/// A peer that enters by `source`.
pub(crate) async fn peer(source: &BootstrapSource) -> TestPeer {
    TestPeer::start(builder(source)).await
}
