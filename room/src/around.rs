//! What all parts of a room have to do with: who is connected, who is a member, what is asked, what is put out.

use libp2p_identity::PeerId;

use crate::{asking::Asking, links::Links, members::Members, output::Outputs};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Around {
    pub(crate) links: Links,
    pub(crate) members: Members,
    pub(crate) asking: Asking,
    pub(crate) out: Outputs,
}

impl Around {
    pub(crate) fn new(members: Members) -> Self {
        Self {
            links: Links::default(),
            members,
            asking: Asking::default(),
            out: Outputs::default(),
        }
    }

    /// Whether this is a member that we are connected to: of those there are no more than connections.
    pub(crate) fn is_near(&self, peer: &PeerId) -> bool {
        self.links.is_connected(peer) && self.members.contains(peer)
    }

    pub(crate) fn connected_members(&self) -> Vec<PeerId> {
        let members = self.members.peers();
        members
            .filter(|peer| self.links.is_connected(peer))
            .collect()
    }
}
