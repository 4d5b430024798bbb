//! How many streams there may be: of one peer, and in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{PeerId, swarm::ConnectionId};
use moim_protocol::limits::{STREAMS_ALL, STREAMS_PER_PEER};

/// Of all places, those that only members of one's rooms may have.
const FOR_KNOWN: usize = STREAMS_ALL / 2;

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    peers: HashMap<PeerId, usize>,
    connections: HashMap<ConnectionId, usize>,
}

/// Places of streams in one direction. Each is free again when its stream is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

/// One that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    peer: PeerId,
    connection: Option<ConnectionId>,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream of this peer, if there is one left for it.
    pub(crate) fn take(&self, peer: PeerId, is_known: bool) -> Option<Place> {
        let mut taken = self.lock();
        let reserved = if is_known { 0 } else { FOR_KNOWN };
        let of_peer = taken.peers.get(&peer).copied().unwrap_or_default();
        if of_peer >= STREAMS_PER_PEER || taken.all >= STREAMS_ALL.saturating_sub(reserved) {
            return None;
        }
        taken.all += 1;
        taken.peers.insert(peer, of_peer + 1);
        Some(Place {
            places: self.clone(),
            peer,
            connection: None,
        })
    }

    /// Whether a stream of this peer is open or being opened.
    pub(crate) fn are_taken_by(&self, peer: &PeerId) -> bool {
        self.lock().peers.contains_key(peer)
    }

    /// Whether a stream is on this connection.
    pub(crate) fn are_on(&self, connection: ConnectionId) -> bool {
        self.lock().connections.contains_key(&connection)
    }
}

impl Place {
    /// Its stream is on this connection.
    pub(crate) fn on(mut self, connection: ConnectionId) -> Self {
        self.leave_connection();
        *self
            .places
            .lock()
            .connections
            .entry(connection)
            .or_default() += 1;
        self.connection = Some(connection);
        self
    }

    fn leave_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            decrease(&mut self.places.lock().connections, &connection);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_connection();
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        decrease(&mut taken.peers, &self.peer);
    }
}

fn decrease<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_has_its_share_and_strangers_leave_half_to_members() {
        let places = Places::default();
        let mut taken = Vec::new();
        let greedy = PeerId::random();
        for _ in 0..1_000 {
            taken.extend(places.take(greedy, true));
        }
        assert_eq!(taken.len(), STREAMS_PER_PEER);
        for _ in 0..1_000 {
            taken.extend(places.take(PeerId::random(), false));
        }
        assert_eq!(taken.len(), STREAMS_ALL - FOR_KNOWN);
        for _ in 0..1_000 {
            taken.extend(places.take(PeerId::random(), true));
        }
        assert_eq!(taken.len(), STREAMS_ALL);
        drop(taken);
        assert!(!places.are_taken_by(&greedy));
        assert!(places.take(greedy, false).is_some());
    }

    #[test]
    fn a_connection_is_in_use_for_as_long_as_a_stream_is_on_it() {
        let places = Places::default();
        let (peer, relayed, direct) = (
            PeerId::random(),
            ConnectionId::new_unchecked(1),
            ConnectionId::new_unchecked(2),
        );
        let first = places.take(peer, false).expect("a place").on(relayed);
        let second = places.take(peer, false).expect("a place").on(relayed);
        drop(first);
        assert!(places.are_on(relayed));
        let second = second.on(direct);
        assert!(places.are_on(direct) && !places.are_on(relayed));
        drop(second);
        assert!(!places.are_on(direct) && !places.are_taken_by(&peer));
    }
}
