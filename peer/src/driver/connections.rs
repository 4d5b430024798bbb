//! The open connections, and what is known of the programs at their other ends.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use web_time::Instant;

use super::revision::Revision;
use crate::snapshot::{NotDirect, Path};

/// Protocol names that tell what a peer can do for us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Answers DHT queries.
    pub(super) dht_server: bool,
    /// Relays connections.
    pub(super) relay: bool,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    /// Whether we have dialled it, so that `address` is where we reached the peer.
    pub(super) is_ours: bool,
    pub(super) path: Path,
    pub(super) round_trip: Option<Duration>,
    /// Pings in a row without an answer.
    pub(super) silent: u32,
    pub(super) since: Instant,
}

#[derive(Debug, Default)]
struct Known {
    agent: Option<String>,
    abilities: Abilities,
    connections: HashSet<ConnectionId>,
    /// Why there was no direct connection when it was tried last.
    not_direct: Option<NotDirect>,
}

/// Every open connection. Bounded by the connection limits of the swarm.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<(PeerId, ConnectionId), Open>,
    ids: HashMap<ConnectionId, PeerId>,
    peers: HashMap<PeerId, Known>,
    revision: Revision,
    ways: Revision,
}

/// Of two paths to a peer the lower one is better.
fn rank(path: Path) -> u8 {
    match path {
        Path::Direct(_) => 0,
        Path::Turn => 1,
        Path::Relayed { .. } => 2,
    }
}

/// Longest agent name shown; a remote chooses it.
const AGENT_CHARS_MAX: usize = 64;

impl Connections {
    /// Changes with everything that people are shown of connections.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Changes when a peer may be reached in another way than before.
    pub(super) fn ways(&self) -> Revision {
        self.ways
    }

    fn way_changed(&mut self) {
        self.revision.bump();
        self.ways.bump();
    }

    /// All of them are gone with their swarm.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.ids.clear();
        self.peers.clear();
        self.way_changed();
    }

    pub(super) fn opened(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: Multiaddr,
        path: Path,
        is_ours: bool,
        now: Instant,
    ) {
        self.way_changed();
        self.open.insert(
            (peer, id),
            Open {
                peer,
                address,
                is_ours,
                path,
                round_trip: None,
                silent: 0,
                since: now,
            },
        );
        self.ids.insert(id, peer);
        self.peers.entry(peer).or_default().connections.insert(id);
    }

    /// Returns the peer when this was the last connection to it.
    pub(super) fn closed(&mut self, id: ConnectionId) -> Option<PeerId> {
        let peer = self.ids.remove(&id)?;
        self.way_changed();
        self.open.remove(&(peer, id));
        let known = self.peers.get_mut(&peer)?;
        known.connections.remove(&id);
        if known.connections.is_empty() {
            self.peers.remove(&peer);
            return Some(peer);
        }
        None
    }

    pub(super) fn identified(&mut self, peer: &PeerId, agent: &str, abilities: Abilities) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.agent = Some(
                agent
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(AGENT_CHARS_MAX)
                    .collect(),
            );
            known.abilities = abilities;
            self.revision.bump();
        }
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Open> {
        let peer = *self.ids.get(&id)?;
        self.open.get_mut(&(peer, id))
    }

    /// The other end has answered a ping.
    pub(super) fn ponged(&mut self, id: ConnectionId, round_trip: Duration) {
        if let Some(open) = self.get_mut(id) {
            open.round_trip = Some(round_trip);
            open.silent = 0;
            self.revision.bump();
        }
    }

    /// The other end has not answered a ping. Returns how many in a row that are.
    pub(super) fn missed_ping(&mut self, id: ConnectionId) -> u32 {
        let Some(open) = self.get_mut(id) else {
            return 0;
        };
        open.silent = open.silent.saturating_add(1);
        open.silent
    }

    /// A connection takes another way now, as `path` finds out from its address.
    pub(super) fn set_path(&mut self, id: ConnectionId, path: impl FnOnce(&Multiaddr) -> Path) {
        if let Some(open) = self.get_mut(id) {
            open.path = path(&open.address);
            self.way_changed();
        }
    }

    pub(super) fn path(&self, id: ConnectionId) -> Option<Path> {
        let peer = *self.ids.get(&id)?;
        self.open.get(&(peer, id)).map(|open| open.path)
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Everybody connected.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.keys().copied()
    }

    pub(super) fn agent(&self, peer: &PeerId) -> Option<&str> {
        self.peers.get(peer)?.agent.as_deref()
    }

    pub(super) fn abilities(&self, peer: &PeerId) -> Abilities {
        self.peers
            .get(peer)
            .map(|known| known.abilities)
            .unwrap_or_default()
    }

    /// An attempt to connect directly has failed. One that says how it went is not forgotten for one that
    /// does not: a program tries to punch holes to pages too, which know nothing of that.
    pub(super) fn stays_relayed(&mut self, peer: &PeerId, why: NotDirect) {
        if let Some(known) = self.peers.get_mut(peer) {
            let before = known.not_direct.as_ref();
            let says_more = before.is_some_and(|before| before.report.is_some());
            if why.report.is_some() || !says_more {
                known.not_direct = Some(why);
                self.revision.bump();
            }
        }
    }

    /// Why there is no direct connection, if there is none and one was tried.
    pub(super) fn not_direct(&self, peer: &PeerId) -> Option<&NotDirect> {
        let why = self.peers.get(peer)?.not_direct.as_ref()?;
        self.best_path(peer)?.is_relayed().then_some(why)
    }

    /// How a peer is reached: directly, if any of its connections is direct.
    pub(super) fn best_path(&self, peer: &PeerId) -> Option<Path> {
        let paths = self.of(peer).map(|open| open.path);
        paths.min_by_key(|path| rank(*path))
    }

    /// The connection for a stream that stays on it: a direct one if there is one, and of several the one that answers
    /// and is oldest, as it is the other ones that are closed when there are two.
    #[cfg(feature = "programs")]
    pub(super) fn best(&self, peer: &PeerId) -> Option<ConnectionId> {
        let ids = self.peers.get(peer)?.connections.iter();
        let open = ids.filter_map(|id| Some((*id, self.open.get(&(*peer, *id))?)));
        let best = open.min_by_key(|(id, open)| (rank(open.path), open.silent, open.since, *id));
        best.map(|(id, _)| id)
    }

    /// The address of a direct connection that we dialled or accepted.
    pub(super) fn direct_address(&self, peer: &PeerId) -> Option<&Multiaddr> {
        self.direct(peer).map(|open| &open.address)
    }

    /// One that we have dialled, if there is one; the oldest, so that it stays the same one.
    fn direct(&self, peer: &PeerId) -> Option<&Open> {
        self.of(peer)
            .filter(|open| !open.path.is_relayed())
            .min_by_key(|open| (!open.is_ours, open.since))
    }

    /// Relayed connections that a direct one has made superfluous.
    pub(super) fn superfluous(&self, peer: &PeerId) -> Vec<ConnectionId> {
        if self.best_path(peer).is_none_or(|path| path.is_relayed()) {
            return Vec::new();
        }
        let Some(known) = self.peers.get(peer) else {
            return Vec::new();
        };
        known
            .connections
            .iter()
            .filter(|id| self.path(**id).is_some_and(|path| path.is_relayed()))
            .copied()
            .collect()
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers
            .iter()
            .filter(|(_, known)| known.abilities.dht_server)
            .map(|(peer, _)| *peer)
    }

    /// Whether this peer has a DHT server to ask.
    pub(super) fn has_server(&self) -> bool {
        self.servers().next().is_some()
    }

    /// Those that offer to relay, and are connected directly.
    pub(super) fn relays(&self) -> impl Iterator<Item = &Open> + '_ {
        self.peers
            .iter()
            .filter(|(_, known)| known.abilities.relay)
            .filter_map(|(peer, _)| self.direct(peer))
    }

    /// Every connection, with the peer at its other end.
    pub(super) fn ids(&self) -> impl Iterator<Item = (PeerId, ConnectionId)> + '_ {
        self.open.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    fn of(&self, peer: &PeerId) -> impl Iterator<Item = &Open> {
        self.peers
            .get(peer)
            .into_iter()
            .flat_map(|known| known.connections.iter())
            .filter_map(|id| self.open.get(&(*peer, *id)))
    }
}
