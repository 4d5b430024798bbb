//! What is known of the swarm's connections.

use std::collections::HashMap;

use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use libp2p_swarm::ConnectionId;

use crate::{address, backend::Way, muxer::WayChanged, report::Role};

/// A connection of the swarm.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) peer: PeerId,
    pub(super) kind: Kind,
    /// By us.
    pub(super) dialled: bool,
    /// Of a connection of this transport, as far as it is known.
    pub(super) way: Option<Way>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Made by this transport. Nothing is signalled on it.
    WebRtc,
    /// Direct in another way.
    Direct,
    /// Through a relay; with the address of the relay's circuit.
    Relayed { circuit: Multiaddr },
}

/// Takes note of the way of a connection. Which one it was, if that is news.
pub(super) fn turn(
    connections: &mut HashMap<ConnectionId, Known>,
    WayChanged { peer, role, way }: WayChanged,
) -> Option<ConnectionId> {
    let ours = connections.iter_mut().filter(|(_, known)| {
        known.peer == peer && known.kind == Kind::WebRtc && known.dialled == (role == Role::Offerer)
    });
    // The newest, where an older one is about to be closed.
    let (id, known) = ours.max_by_key(|(id, _)| **id)?;
    let is_news = known.way.replace(way) != Some(way);
    is_news.then_some(*id)
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
