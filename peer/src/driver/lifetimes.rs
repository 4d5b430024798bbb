//! Which of the open connections live on. A pure machine.
//!
//! Three kinds are closed: the relayed connection to a peer, when a direct one has settled beside it; one whose other
//! end does not answer pings; and those that nobody needs. A second direct connection is turned away before it
//! stands, see [`duplicates`](crate::duplicates).

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use moim_webrtc::address::is_webrtc;
use web_time::Instant;

use super::connections::{Connections, Open};

/// How long the relayed connection stays after the peer has introduced itself on the direct one. What is
/// on its way there gets through, above all the end of the signalling: js-libp2p gives the direct
/// connection up when the relayed one goes before that.
const SETTLES: Duration = Duration::from_secs(1);

/// The same for a peer that does not introduce itself.
const SETTLES_MAX: Duration = Duration::from_secs(10);

/// How often connections are looked through for those that nobody needs.
const PRUNE_INTERVAL: Duration = Duration::from_secs(5);

/// A connection younger than this may be about to be used.
const PRUNE_AGE: Duration = Duration::from_secs(10);

/// Connections to strangers are left to their own time-out below this many connections.
const PRUNE_ABOVE: usize = 48;

/// Pings in a row without an answer after which a connection is taken for dead.
const SILENT_PINGS_MAX: u32 = 2;

/// What connections are needed for.
pub(super) trait Needs {
    /// Whether a peer is a bootstrap node.
    fn is_bootstrap_node(&self, peer: &PeerId) -> bool;
    /// Whether the rooms want a connection to a peer.
    fn is_wanted(&self, peer: &PeerId) -> bool;
    /// Whether a message waits for a peer, or an answer of it, or a stream of a program's own is open.
    fn is_in_use(&self, peer: &PeerId) -> bool;
    /// Whether something is on a connection that would be lost with it.
    fn is_busy(&self, connection: ConnectionId) -> bool;
    /// Of the connected peers, those connected longest first: all members, and those of them that are kept for a
    /// room's sake.
    fn members(&self, connected: &[PeerId]) -> (HashSet<PeerId>, HashSet<PeerId>);
}

/// What is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// A relayed connection beside a direct one.
    Connection(ConnectionId),
    /// Every connection to a peer.
    Peer(PeerId),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Lifetimes {
    /// Peers that are connected both ways, and when the relayed way is closed. Bounded by the connection limits of the
    /// swarm.
    handovers: HashMap<PeerId, Instant>,
    next_prune: Instant,
}

impl Lifetimes {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            handovers: HashMap::new(),
            next_prune: now + PRUNE_INTERVAL,
        }
    }

    /// A connection to a peer was opened.
    pub(super) fn opened(&mut self, peer: PeerId, connections: &Connections, now: Instant) {
        if !connections.superfluous(&peer).is_empty() {
            self.handovers.entry(peer).or_insert(now + SETTLES_MAX);
        }
    }

    /// A peer has introduced itself on a direct connection.
    pub(super) fn identified(&mut self, peer: &PeerId, now: Instant) {
        if let Some(due) = self.handovers.get_mut(peer) {
            *due = (*due).min(now + SETTLES);
        }
    }

    /// A connection to a peer was closed.
    pub(super) fn closed(&mut self, peer: &PeerId, connections: &Connections) {
        if connections.superfluous(peer).is_empty() {
            self.handovers.remove(peer);
        }
    }

    /// Whether a connection is dead on which so many pings in a row have no answer.
    pub(super) fn is_dead(silent: u32) -> bool {
        silent >= SILENT_PINGS_MAX
    }

    /// What is to be closed now.
    pub(super) fn handle_timeout(
        &mut self,
        connections: &Connections,
        needs: &impl Needs,
        now: Instant,
    ) -> Vec<Closing> {
        let mut closing = Vec::new();
        self.handovers.retain(|peer, due| {
            if now < *due {
                return true;
            }
            // Requests and gossip choose among connections as they like, so only one kind stays.
            let superfluous = connections.superfluous(peer).into_iter();
            let (busy, idle): (Vec<_>, Vec<_>) = superfluous.partition(|id| needs.is_busy(*id));
            closing.extend(idle.into_iter().map(Closing::Connection));
            // What is busy ends by itself, because relays bound circuits in time.
            *due = now + SETTLES;
            !busy.is_empty()
        });
        if now >= self.next_prune {
            self.next_prune = now + PRUNE_INTERVAL;
            let useless = useless(connections, needs, now);
            closing.extend(useless.into_iter().map(Closing::Peer));
        }
        closing
    }

    /// When a relayed connection is due. Connections that nobody needs are found when something else is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.handovers.values().min().copied()
    }
}

/// Peers whose connections are of no more use: members of a large room who are no neighbours, and strangers when
/// there are many. Both ends of a connection mostly agree on who is a neighbour.
fn useless(connections: &Connections, needs: &impl Needs, now: Instant) -> HashSet<PeerId> {
    let is_crowded = connections.len() > PRUNE_ABOVE;
    let (members, kept) = needs.members(&longest_first(connections));
    let mut useless = HashSet::new();
    for open in connections.iter() {
        let peer = &open.peer;
        let is_young = now.saturating_duration_since(open.since) < PRUNE_AGE;
        let is_needed = is_young
            || kept.contains(peer)
            || needs.is_wanted(peer)
            || needs.is_bootstrap_node(peer)
            || serves(connections, open, is_crowded)
            || needs.is_in_use(peer);
        if !is_needed && (is_crowded || members.contains(peer)) {
            useless.insert(*peer);
        }
    }
    useless
}

/// The connected peers, those connected longest first.
fn longest_first(connections: &Connections) -> Vec<PeerId> {
    let mut since: HashMap<PeerId, Instant> = HashMap::new();
    for open in connections.iter() {
        let first = since.entry(open.peer).or_insert(open.since);
        *first = open.since.min(*first);
    }
    let mut longest: Vec<(Instant, PeerId)> =
        since.iter().map(|(peer, since)| (*since, *peer)).collect();
    longest.sort_unstable();
    longest.into_iter().map(|(_, peer)| peer).collect()
}

/// Whether a connection is worth keeping for what the peer at its other end does for us. Anybody can say that he
/// serves; where many say so unasked, those whom this peer has dialled are kept.
fn serves(connections: &Connections, open: &Open, is_crowded: bool) -> bool {
    let abilities = connections.abilities(&open.peer);
    // Every page relays, which is of use as long as it is wanted for a room's sake anyway.
    (open.is_ours || !is_crowded)
        && (abilities.dht_server || (abilities.relay && !is_webrtc(&open.address)))
}

#[cfg(test)]
mod tests;
