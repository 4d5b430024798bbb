//! Which peers are connected, and which of them hear the room's gossip.

use std::collections::BTreeSet;

use libp2p_identity::PeerId;

/// Who is connected. Bounded by the caller's connections: nobody else is kept.
#[derive(Debug, Default)]
pub(crate) struct Links {
    connected: BTreeSet<PeerId>,
    listeners: BTreeSet<PeerId>,
}

impl Links {
    pub(crate) fn connected(&mut self, peer: PeerId) {
        self.connected.insert(peer);
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.connected.remove(peer);
        self.listeners.remove(peer);
    }

    pub(crate) fn listens(&mut self, peer: PeerId) {
        if self.is_connected(&peer) {
            self.listeners.insert(peer);
        }
    }

    pub(crate) fn listens_no_more(&mut self, peer: &PeerId) {
        self.listeners.remove(peer);
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.connected.contains(peer)
    }

    /// Whether gossip brings a peer what is said in the room.
    pub(crate) fn hears(&self, peer: &PeerId) -> bool {
        self.listeners.contains(peer)
    }

    pub(crate) fn listeners(&self) -> impl Iterator<Item = PeerId> {
        self.listeners.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_are_connected_listen() {
        let [ada, bob] = [PeerId::random(), PeerId::random()];
        let mut links = Links::default();
        links.listens(ada);
        assert!(!links.hears(&ada));
        for peer in [ada, bob] {
            links.connected(peer);
            links.listens(peer);
        }
        assert!(links.hears(&ada));
        links.disconnected(&ada);
        links.listens_no_more(&bob);
        assert!(links.is_connected(&bob));
        assert_eq!(links.listeners().next(), None);
    }
}
