//! What the relay gives to whom: so much in all, so much to a peer, and so much to all peers behind
//! one address.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    relay::{self, StatusCode},
};
use moim_protocol::rate::{Buckets, Source};

use crate::limits;

/// Why reservations and circuits are denied, as `/metrics` calls it.
pub(crate) const DENIALS: [&str; 5] = [
    "connection-failed",
    "no-reservation",
    "permission-denied",
    "resource-limit-exceeded",
    "other",
];

/// One of [`DENIALS`].
pub(crate) fn denial(status: StatusCode) -> &'static str {
    match status {
        StatusCode::ConnectionFailed => "connection-failed",
        StatusCode::NoReservation => "no-reservation",
        StatusCode::PermissionDenied => "permission-denied",
        StatusCode::ResourceLimitExceeded => "resource-limit-exceeded",
        // What clients do wrong, or is no denial.
        StatusCode::MalformedMessage
        | StatusCode::OK
        | StatusCode::ReservationRefused
        | StatusCode::UnexpectedMessage => "other",
    }
}

/// Who has how many relayed connections. libp2p asks before each one, and tells the event loop what
/// came of it: both happen in one task, so the lock is always free.
#[derive(Clone, Debug)]
pub(crate) struct Circuits(Arc<Mutex<Accounts>>);

/// The pure part.
#[derive(Debug)]
struct Accounts {
    limit_loopback: bool,
    /// Circuits that a peer asked for and may have, and the source they are counted for. libp2p
    /// counts them from then on, too.
    peers: HashMap<PeerId, (Source, u32)>,
    sources: HashMap<Source, u32>,
    /// Circuits that are carried, by both ends. libp2p tells twice of the end of one whose other end was lost.
    carried: HashMap<(PeerId, PeerId), u32>,
    peer_rates: Buckets<PeerId>,
    source_rates: Buckets<Source>,
}

impl Circuits {
    pub(crate) fn new(limit_loopback: bool) -> Self {
        Self(Arc::new(Mutex::new(Accounts {
            limit_loopback,
            peers: HashMap::new(),
            sources: HashMap::new(),
            carried: HashMap::new(),
            peer_rates: Buckets::new(limits::PEER_CIRCUIT_RATE, limits::SOURCES_MAX),
            source_rates: Buckets::new(limits::SOURCE_CIRCUIT_RATE, limits::SOURCES_MAX),
        })))
    }

    /// A circuit from one peer to another is carried from now on.
    pub(crate) fn accepted(&self, from: PeerId, to: PeerId) {
        let mut accounts = self.lock();
        let count = accounts.carried.entry((from, to)).or_default();
        *count = count.saturating_add(1);
    }

    /// A circuit is carried no longer. Whether that is news.
    pub(crate) fn ended(&self, from: PeerId, to: PeerId) -> bool {
        self.lock().ended(from, to)
    }

    /// A circuit that this peer asked for came to nothing.
    pub(crate) fn closed(&self, peer: PeerId) {
        self.lock().closed(peer);
    }

    /// This peer is gone, and with it all its circuits, those of which nothing was heard too.
    pub(crate) fn gone(&self, peer: PeerId) {
        self.lock().gone(peer);
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    fn allows(&mut self, peer: PeerId, source: Option<Source>, now: Instant) -> bool {
        if !self.peer_rates.take(peer, now) {
            return false;
        }
        let Some(source) = source.filter(|s| self.limit_loopback || !s.is_loopback()) else {
            return true;
        };
        let open = self.sources.get(&source).copied().unwrap_or_default();
        if open >= limits::CIRCUITS_PER_SOURCE_MAX || !self.source_rates.take(source, now) {
            return false;
        }
        // A peer in two places is counted where it was first, as long as it has circuits.
        let (source, count) = self.peers.entry(peer).or_insert((source, 0));
        *count += 1;
        *self.sources.entry(*source).or_default() += 1;
        true
    }

    fn ended(&mut self, from: PeerId, to: PeerId) -> bool {
        let Entry::Occupied(mut carried) = self.carried.entry((from, to)) else {
            return false;
        };
        *carried.get_mut() = carried.get().saturating_sub(1);
        if *carried.get() == 0 {
            carried.remove();
        }
        self.closed(from);
        true
    }

    fn gone(&mut self, peer: PeerId) {
        if let Some((source, count)) = self.peers.remove(&peer) {
            self.give_back(source, count);
        }
    }

    fn closed(&mut self, peer: PeerId) {
        let Some((source, count)) = self.peers.get_mut(&peer) else {
            return;
        };
        let source = *source;
        *count -= 1;
        if *count == 0 {
            self.peers.remove(&peer);
        }
        self.give_back(source, 1);
    }

    fn give_back(&mut self, source: Source, circuits: u32) {
        if let Some(count) = self.sources.get_mut(&source) {
            *count = count.saturating_sub(circuits);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

/// The settings of libp2p's relay, which holds so many reservations.
pub(crate) fn config(circuits: &Circuits, reservations_max: usize) -> relay::Config {
    let asked = circuits.clone();
    let mut reservations = Buckets::new(limits::PEER_RESERVATION_RATE, limits::SOURCES_MAX);
    relay::Config {
        max_reservations: reservations_max,
        max_reservations_per_peer: limits::RESERVATIONS_PER_PEER_MAX,
        reservation_duration: limits::RESERVATION_DURATION,
        // libp2p's default limiters allow an IP address one reservation and one circuit a minute
        // after a burst of 60, and everybody behind one NAT shares it. Reservations need no bound
        // per address: a peer has one per connection, and connections are bounded.
        reservation_rate_limiters: vec![Box::new(move |peer: PeerId, _: &Multiaddr, now| {
            reservations.take(peer, now)
        })],
        max_circuits: limits::CIRCUITS_MAX,
        max_circuits_per_peer: limits::CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: limits::CIRCUIT_DURATION,
        max_circuit_bytes: limits::CIRCUIT_BYTES_MAX,
        circuit_src_rate_limiters: vec![Box::new(move |peer: PeerId, address: &Multiaddr, now| {
            let source = moim_dht::first_ip(address).map(Source::from);
            asked.lock().allows(peer, source, now)
        })],
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn one_address_has_a_part_of_the_circuits_whatever_its_peers_are_called() {
        let now = Instant::now();
        let circuits = Circuits::new(false);
        let mut accounts = circuits.lock();
        let source = Some(Source::from(IpAddr::from([192, 0, 2, 1])));
        let mut opened = Vec::new();
        for _ in 0..100 {
            let peer = PeerId::random();
            for _ in 0..limits::CIRCUITS_PER_PEER_MAX {
                if accounts.allows(peer, source, now) {
                    opened.push(peer);
                }
            }
        }
        assert_eq!(opened.len() as u32, limits::CIRCUITS_PER_SOURCE_MAX);
        let other = Some(Source::from(IpAddr::from([192, 0, 2, 2])));
        assert!(accounts.allows(PeerId::random(), other, now));
        accounts.gone(opened[0]);
        for peer in opened {
            accounts.closed(peer);
        }
        assert_eq!(accounts.sources.len(), 1);
        let last = *accounts.peers.keys().next().unwrap();
        accounts.closed(last);
        assert!(accounts.peers.is_empty() && accounts.sources.is_empty());
        accounts.closed(PeerId::random());
    }

    #[test]
    fn the_end_of_a_circuit_counts_once_however_often_it_is_told() {
        let now = Instant::now();
        let circuits = Circuits::new(false);
        let source = Some(Source::from(IpAddr::from([192, 0, 2, 1])));
        let (from, to) = (PeerId::random(), PeerId::random());
        for _ in 0..3 {
            assert!(circuits.lock().allows(from, source, now));
        }
        // The third is still asked for.
        circuits.accepted(from, to);
        circuits.accepted(from, to);
        let told = [(); 4].map(|()| circuits.ended(from, to));
        assert_eq!(told, [true, true, false, false]);
        let accounts = circuits.lock();
        assert_eq!(accounts.peers[&from].1, 1);
        assert!(accounts.carried.is_empty());
    }

    #[test]
    fn a_proxy_on_this_machine_is_not_one_address_unless_told_so() {
        let now = Instant::now();
        let here = Some(Source::from(IpAddr::from([127, 0, 0, 1])));
        for (limit_loopback, expected) in [(false, false), (true, true)] {
            let circuits = Circuits::new(limit_loopback);
            let mut accounts = circuits.lock();
            let peer = PeerId::random();
            assert!(accounts.allows(peer, here, now));
            assert_eq!(accounts.sources.len() == 1, expected);
        }
    }
}
