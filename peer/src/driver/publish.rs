//! What the handle can see of the peer.

use super::{shown::Shown, state::Driver};
use crate::{
    builder::DhtMode,
    event::PeerEvent,
    snapshot::{Connection, DhtState, Snapshot},
};

impl Driver {
    /// Brings the status and the snapshot up to date.
    pub(super) fn publish(&mut self) {
        // A server that was told of no others is a DHT of one, until others come.
        let alone = self.dht_mode == DhtMode::Server && self.entry.is_empty();
        let status = self.entry.status(alone || self.connections.has_server());
        if status != self.status {
            self.status = status.clone();
            self.events.emit(PeerEvent::StatusChanged(status));
        }
        let shown = Shown {
            status: self.status.clone(),
            clock: self.clock_off,
            bootstrap: self.entry.nodes(),
            addresses: self.told_addresses.clone(),
            connections: self.connections.revision(),
            rooms: self.rooms.revision(),
            routing: self.routing,
        };
        if self.shown.as_ref() == Some(&shown) {
            return;
        }
        self.shown = Some(shown);
        let snapshot = self.take_snapshot();
        self.snapshot.send_if_modified(|current| {
            let changed = *current != snapshot;
            if changed {
                *current = snapshot;
            }
            changed
        });
    }

    fn take_snapshot(&self) -> Snapshot {
        Snapshot {
            peer: self.me,
            status: self.status.clone(),
            clock: self.clock_off,
            addresses: self.own_addresses(),
            bootstrap: self.entry.nodes(),
            dht: DhtState {
                server: self.dht_mode == DhtMode::Server,
                servers: self.connections.servers().count(),
                peers: self.routing,
            },
            connections: self
                .connections
                .iter()
                .map(|open| Connection {
                    peer: open.peer,
                    address: open.address.clone(),
                    path: open.path,
                    round_trip: open.round_trip,
                    agent: self.connections.agent(&open.peer).map(str::to_owned),
                    bootstrap_node: self.entry.is_bootstrap_node(&open.peer),
                    not_direct: self.connections.not_direct(&open.peer).cloned(),
                })
                .collect(),
            rooms: self
                .rooms
                .joined()
                .map(|room| room.machine.topic().clone())
                .collect(),
        }
    }
}
