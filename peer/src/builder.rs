//! Settings of a peer, and its start.

use std::time::Duration;

use libp2p::{Multiaddr, identity::Keypair};
use moim_protocol::limits;

use crate::{
    bootstrap::BootstrapSource, driver::Driver, error::StartError, event::EventStream, handle::Peer,
};

/// Whether a peer answers others' DHT queries and keeps records for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DhtMode {
    /// Asks only. What a browser page must be: nobody can open a connection to it unannounced.
    #[default]
    Client,
    /// Serves the DHT. For native peers that others can reach.
    Server,
}

/// Settings of a peer. Everything has a default: a fresh identity, no bootstrap node, no listening.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct PeerBuilder {
    pub(crate) identity: Option<Keypair>,
    pub(crate) bootstrap: Vec<BootstrapSource>,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) listen_where_possible: Vec<Multiaddr>,
    pub(crate) dht: DhtMode,
    pub(crate) gossip: bool,
    pub(crate) presence_lifetime: Duration,
    pub(crate) agent: String,
}

impl Default for PeerBuilder {
    fn default() -> Self {
        Self {
            identity: None,
            bootstrap: Vec::new(),
            listen: Vec::new(),
            listen_where_possible: Vec::new(),
            dht: DhtMode::default(),
            gossip: true,
            presence_lifetime: limits::PRESENCE_TTL,
            agent: concat!("moim-peer/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl PeerBuilder {
    /// The key whose public half is the peer's id. Without it the peer is somebody new.
    pub fn identity(mut self, keypair: Keypair) -> Self {
        self.identity = Some(keypair);
        self
    }

    /// Where to enter the DHT. Any one of them suffices; all are tried at once, and again with
    /// growing pauses as long as the peer runs.
    pub fn bootstrap(mut self, sources: impl IntoIterator<Item = BootstrapSource>) -> Self {
        self.bootstrap = sources.into_iter().collect();
        self
    }

    /// Addresses to listen on: TCP, QUIC and WebSocket on native peers; a browser page has none.
    pub fn listen(mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        self.listen = addresses.into_iter().collect();
        self
    }

    /// Addresses to listen on where the machine has such: one without IPv6 goes without those of IPv6.
    /// If it has none of them, and there are no others, starting fails.
    pub fn listen_where_possible(mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        self.listen_where_possible = addresses.into_iter().collect();
        self
    }

    /// Whether to serve the DHT. A page stays a client.
    pub fn dht_mode(mut self, mode: DhtMode) -> Self {
        if moim_dht::SERVES {
            self.dht = mode;
        }
        self
    }

    /// Whether to take part in the rooms' gossip. Without it a peer still finds all members and
    /// exchanges direct messages, but hears and says nothing in rooms. For tests and monitors.
    pub fn gossip(mut self, gossip: bool) -> Self {
        self.gossip = gossip;
        self
    }

    /// How long the others of a small room keep this peer as a member when they hear nothing more of it; renewed
    /// at three eighths of it. At most [`limits::PRESENCE_TTL`], which is the default. In a room of more than
    /// 24 others it is longer as the room is larger, up to [`limits::PRESENCE_TTL_MAX`].
    pub fn presence_lifetime(mut self, lifetime: Duration) -> Self {
        self.presence_lifetime = lifetime.clamp(Duration::from_secs(2), limits::PRESENCE_TTL);
        self
    }

    /// The program's name and version as others see it (identify `agentVersion`).
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = agent.into();
        self
    }

    /// Starts the peer. It joins the DHT in the background: watch [`Peer::snapshot`]. No event is
    /// lost, the stream exists before anything can happen.
    ///
    /// # Errors
    /// [`StartError`] when an address cannot be listened on or a part cannot be set up. Being
    /// offline is not an error.
    pub async fn start(self) -> Result<(Peer, EventStream), StartError> {
        Driver::start(self).await
    }
}
