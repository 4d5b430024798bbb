//! What servers are asked, and which are not.

use libp2p::{
    PeerId, kad,
    swarm::{ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour as _},
};
use web_time::Instant;

use super::{handler::KadIn, silence::Silence};
use crate::{pacing::Pacing, store::Store};

/// Whether a question of ours may go to a server: not to one that keeps silent.
pub(super) fn may_ask(
    silence: &mut Silence,
    pacing: &mut Pacing,
    peer: PeerId,
    question: &KadIn,
    now: Instant,
) -> bool {
    if silence.is_silent(&peer) {
        return false;
    }
    pacing.asked(peer, now);
    // Nobody answers it.
    if !matches!(question, KadIn::AddProvider { .. }) {
        silence.asked(peer, now);
    }
    true
}

/// Has the queries go on without this peer.
pub(super) fn go_on_without(kad: &mut kad::Behaviour<Store>, peer: PeerId) {
    kad.on_swarm_event(FromSwarm::DialFailure(DialFailure {
        peer_id: Some(peer),
        error: &DialError::Aborted,
        connection_id: ConnectionId::new_unchecked(0),
    }));
}
