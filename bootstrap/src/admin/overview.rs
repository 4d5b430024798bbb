//! What the event loop tells the dashboard: who is connected, and which topics there are. Pure.

use std::{cmp::Reverse, collections::HashSet, time::Instant};

use data_encoding::HEXLOWER;
use libp2p::PeerId;
use serde::Serialize;

use crate::{block_list::BlockList, connections::Connections, limits};

/// The answer to a [`Question`](super::Question).
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    connections: List<ConnectionRow>,
    topics: List<TopicRow>,
    /// Peer ids and ranges of addresses.
    blocked: List<String>,
}

/// The first of many.
#[derive(Debug, Serialize)]
struct List<T> {
    total: usize,
    listed: Vec<T>,
}

#[derive(Debug, Serialize)]
struct ConnectionRow {
    peer: String,
    address: String,
    transport: &'static str,
    direction: &'static str,
    /// How long it has been open.
    seconds: u64,
    agent: Option<String>,
    round_trip_ms: Option<f64>,
    /// Whether the peer has a relay reservation.
    reservation: bool,
}

#[derive(Debug, Serialize)]
struct TopicRow {
    /// The hash of the topic's name, as the DHT knows it: hexadecimal digits of a multihash.
    key: String,
    providers: usize,
}

impl Overview {
    /// `topics` are the DHT's provider keys and how many providers each has.
    pub(crate) fn new<'a>(
        connections: &Connections,
        reservations: &HashSet<PeerId>,
        topics: impl Iterator<Item = (&'a [u8], usize)>,
        blocked: &BlockList,
        now: Instant,
    ) -> Self {
        Self {
            connections: newest(connections, reservations, now),
            topics: largest(topics),
            blocked: some_of(blocked),
        }
    }
}

fn newest(
    connections: &Connections,
    reservations: &HashSet<PeerId>,
    now: Instant,
) -> List<ConnectionRow> {
    let mut all: Vec<_> = connections.iter().collect();
    all.sort_by_key(|connection| (Reverse(connection.since), connection.peer));
    let rows = all.iter().take(limits::ADMIN_CONNECTIONS_MAX);
    let rows = rows.map(|connection| ConnectionRow {
        peer: connection.peer.to_string(),
        address: connection.remote.to_string(),
        transport: connection.transport(),
        direction: connection.direction(),
        seconds: now.saturating_duration_since(connection.since).as_secs(),
        agent: connections.agent(&connection.peer).map(str::to_owned),
        round_trip_ms: connection.round_trip.map(|time| time.as_secs_f64() * 1e3),
        reservation: reservations.contains(&connection.peer),
    });
    List {
        listed: rows.collect(),
        total: all.len(),
    }
}

fn largest<'a>(topics: impl Iterator<Item = (&'a [u8], usize)>) -> List<TopicRow> {
    let mut all: Vec<_> = topics.collect();
    all.sort_by_key(|(key, providers)| (Reverse(*providers), *key));
    let rows = all.iter().take(limits::ADMIN_TOPICS_MAX);
    let rows = rows.map(|(key, providers)| TopicRow {
        // Others may have longer keys than a topic's.
        key: HEXLOWER.encode(&key[..key.len().min(limits::ADMIN_KEY_BYTES_MAX)]),
        providers: *providers,
    });
    List {
        listed: rows.collect(),
        total: all.len(),
    }
}

fn some_of(blocked: &BlockList) -> List<String> {
    let entries = blocked.iter().take(limits::ADMIN_BLOCKED_MAX);
    let mut listed: Vec<_> = entries.map(|entry| entry.to_string()).collect();
    listed.sort();
    List {
        total: blocked.len(),
        listed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libp2p::{core::ConnectedPoint, swarm::ConnectionId};

    use super::*;

    #[test]
    fn the_newest_connections_and_the_largest_topics_are_listed_and_all_are_counted() {
        let start = Instant::now();
        let mut connections = Connections::default();
        let many = limits::ADMIN_CONNECTIONS_MAX + 5;
        let mut last = PeerId::random();
        for number in 0..many {
            last = PeerId::random();
            let endpoint = ConnectedPoint::Listener {
                local_addr: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
                send_back_addr: "/ip4/127.0.0.1/tcp/2/ws".parse().unwrap(),
            };
            let id = ConnectionId::new_unchecked(number);
            let at = start + Duration::from_secs(number as u64);
            connections.opened(id, last, &endpoint, at);
        }
        let id = ConnectionId::new_unchecked(many - 1);
        connections.identified(id, "agent/1");
        connections.answered(id, Duration::from_micros(1500));
        let keys: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 100]).collect();
        let topics = keys.iter().map(|key| (key.as_slice(), usize::from(key[0])));
        let now = start + Duration::from_secs(many as u64 + 9);
        let (blocked, _) = BlockList::parse("192.0.2.0/24\n10.0.0.1\n");
        let overview = Overview::new(&connections, &[last].into(), topics, &blocked, now);

        assert_eq!(overview.connections.total, many);
        assert_eq!(
            overview.connections.listed.len(),
            limits::ADMIN_CONNECTIONS_MAX
        );
        let row = serde_json::to_value(&overview.connections.listed[0]).unwrap();
        let expected = serde_json::json!({
            "peer": last.to_string(),
            "address": "/ip4/127.0.0.1/tcp/2/ws",
            "transport": "ws",
            "direction": "inbound",
            "seconds": 10,
            "agent": "agent/1",
            "round_trip_ms": 1.5,
            "reservation": true,
        });
        assert_eq!(row, expected);
        assert!(!overview.connections.listed[1].reservation);

        assert_eq!(overview.blocked.total, 2);
        assert_eq!(overview.blocked.listed, ["10.0.0.1", "192.0.2.0/24"]);

        assert_eq!(overview.topics.total, 200);
        assert_eq!(overview.topics.listed.len(), limits::ADMIN_TOPICS_MAX);
        let first = &overview.topics.listed[0];
        assert_eq!(first.key, "c7".repeat(limits::ADMIN_KEY_BYTES_MAX));
        assert_eq!(first.providers, 199);
    }
}
