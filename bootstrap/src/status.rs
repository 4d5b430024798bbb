//! What the node tells about itself, published by the event loop and read by everybody else.

use std::net::SocketAddr;

use libp2p::{Multiaddr, PeerId};

use crate::config::Domain;

/// A snapshot of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether every listener has an address.
    pub ready: bool,
    /// The node's peer id.
    pub peer_id: PeerId,
    /// Addresses the configuration adds, as given.
    pub external: Vec<Multiaddr>,
    /// Addresses listened on, without `/p2p`, in no particular order. Changes as interfaces come
    /// and go.
    pub listening: Vec<Multiaddr>,
    /// Sockets of the HTTP server.
    pub http: Vec<SocketAddr>,
    /// Whether the HTTP server has the dashboard.
    pub admin: bool,
    /// Whether the HTTP server has the page.
    pub page: bool,
    /// The name and the port by which the TLS port is reached, if it has a name.
    pub domain: Option<(Domain, u16)>,
    /// Sockets of the TLS port.
    pub tls: Vec<SocketAddr>,
    /// Sockets of the STUN server.
    pub stun: Vec<SocketAddr>,
    /// Whether the STUN server is a TURN server too, over UDP and TCP.
    pub turn: bool,
    /// Whether values are refused because the store can't be written.
    pub store_stuck: bool,
    /// Whether a part of the store is full: what comes takes the place of others, or is refused.
    pub store_full: bool,
    /// Peers connected right now.
    pub peers: usize,
}
