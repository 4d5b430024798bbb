//! The peers by which a restarted node comes back into the DHT.

use libp2p::{PeerId, kad};

use crate::{limits, store::RememberedPeer};

/// The servers in the routing table, those that are connected first.
pub(super) fn peers(kad: &mut moim_dht::Behaviour) -> Vec<RememberedPeer> {
    let mut peers = Vec::new();
    for bucket in kad.kbuckets() {
        for entry in bucket.iter() {
            let is_connected = matches!(entry.status, kad::NodeStatus::Connected);
            let peer = RememberedPeer {
                peer: *entry.node.key.preimage(),
                addresses: entry.node.value.iter().cloned().collect(),
            };
            peers.push((is_connected, peer));
        }
    }
    peers.sort_by_key(|(is_connected, _)| !is_connected);
    peers.truncate(limits::REMEMBERED_PEERS_MAX);
    peers.into_iter().map(|(_, peer)| peer).collect()
}

/// Takes the peers of the last run into the routing table, and looks for the others by them.
pub(super) fn come_back(
    kad: &mut moim_dht::Behaviour,
    local: PeerId,
    remembered: Vec<RememberedPeer>,
) {
    for RememberedPeer { peer, addresses } in remembered {
        if peer == local {
            continue;
        }
        for address in addresses {
            kad.add_address(&peer, address);
        }
    }
    // An error says that there is nobody yet.
    let _ = kad.bootstrap();
}
