//! Starting peers and waiting for what they report.

use std::time::Duration;

use moim_peer::{
    BootstrapSource, DhtMode, EventStream, Peer, PeerBuilder, PeerEvent, Profile, Room, Status,
};

/// Longer than anything here takes on a busy machine; waiting for it means failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A peer with what happens to it.
pub(crate) struct TestPeer {
    pub(crate) peer: Peer,
    pub(crate) events: EventStream,
    /// Events that were looked past.
    pub(crate) seen: Vec<PeerEvent>,
}

impl TestPeer {
    pub(crate) async fn start(builder: PeerBuilder) -> Self {
        // With RUST_LOG set, a failing test shows what the peers did.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
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
        match tokio::time::timeout(PATIENCE, waiting).await {
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
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("in the DHT in time")
            .expect("the peer runs");
    }

    pub(crate) async fn join(&self, topic: &str, name: &str) -> Room {
        self.peer
            .join(topic, Profile::named(name).expect("a name"))
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
        let outcome = tokio::time::timeout(PATIENCE, members.wait_for(done))
            .await
            .map(|result| result.is_ok());
        assert_eq!(
            outcome,
            Ok(true),
            "{what}; members: {:#?}, snapshot: {:#?}",
            *room.members().borrow(),
            *self.peer.snapshot().borrow(),
        );
    }
}

/// A peer that serves the DHT, for others to enter by.
pub(crate) async fn server() -> (TestPeer, BootstrapSource) {
    let server = TestPeer::start(
        Peer::builder()
            .listen(["/ip4/127.0.0.1/tcp/0".parse().expect("valid")])
            .dht_mode(DhtMode::Server),
    )
    .await;
    let mut snapshot = server.peer.snapshot();
    let address = snapshot
        .wait_for(|snapshot| !snapshot.addresses.is_empty())
        .await
        .expect("listens")
        .addresses[0]
        .clone();
    let source = format!("{address}/p2p/{}", server.peer.id())
        .parse()
        .expect("valid");
    (server, source)
}

/// A peer that is reachable on loopback and enters by `source`.
pub(crate) async fn peer(source: &BootstrapSource) -> TestPeer {
    TestPeer::start(
        Peer::builder()
            .bootstrap([source.clone()])
            .listen(["/ip4/127.0.0.1/tcp/0".parse().expect("valid")]),
    )
    .await
}
