//! What the behaviour keeps of the swarm's connections.

use std::collections::HashMap;

use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use libp2p_swarm::ConnectionId;

use crate::{address, backend::SelectedPair, report::Role};

/// A connection of the swarm.
#[derive(Debug)]
pub(super) struct SwarmConnection {
    pub(super) peer: PeerId,
    pub(super) kind: Kind,
    /// By us.
    pub(super) dialled: bool,
    /// Of a connection of this transport, as far as it is known.
    pub(super) selected_pair: Option<SelectedPair>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Made by this transport. Nothing is signalled on it.
    WebRtc,
    /// Direct by another transport.
    Direct,
    /// Through a relay; with the address of the relay's circuit.
    Relayed { circuit: Multiaddr },
}

/// A connection that signals can go over: js-libp2p takes any but those of this transport, and so do we.
pub(super) fn signalling(
    connections: &HashMap<ConnectionId, SwarmConnection>,
    peer: &PeerId,
) -> Option<ConnectionId> {
    connections
        .iter()
        .find(|(_, one)| one.peer == *peer && one.kind != Kind::WebRtc)
        .map(|(id, _)| *id)
}

/// The connection of this transport with a peer in which we have this role: the newest, where an older one is about to
/// be closed.
pub(super) fn newest(
    connections: &mut HashMap<ConnectionId, SwarmConnection>,
    peer: PeerId,
    role: Role,
) -> Option<(ConnectionId, &mut SwarmConnection)> {
    let ours = connections.iter_mut().filter(|(_, one)| {
        one.peer == peer && one.kind == Kind::WebRtc && one.dialled == (role == Role::Offerer)
    });
    let (id, one) = ours.max_by_key(|(id, _)| **id)?;
    Some((*id, one))
}

pub(super) fn kind_of(address: &Multiaddr) -> Kind {
    if !address::is_direct(address) {
        return Kind::Relayed {
            circuit: address::circuit(address),
        };
    }
    if address::is_webrtc(address) {
        Kind::WebRtc
    } else {
        Kind::Direct
    }
}
