//! Native: a peer of this program serves the DHT.

use moim_peer::{BootstrapSource, DhtMode, Peer, PeerBuilder};

use super::TestPeer;

/// A peer that serves the DHT, for others to enter by.
pub(crate) async fn server() -> (TestPeer, BootstrapSource) {
    // With RUST_LOG set, a failing test shows what the peers did.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
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

/// What a peer here is made with: it is reachable on loopback.
pub(crate) fn builder(source: &BootstrapSource) -> PeerBuilder {
    Peer::builder()
        .bootstrap([source.clone()])
        .listen(["/ip4/127.0.0.1/tcp/0".parse().expect("valid")])
}
