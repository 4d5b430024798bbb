//! Whom the relay serves.

use std::collections::HashSet;

use libp2p::{PeerId, relay};

use crate::{
    metrics::{NodeMetrics, ReasonLabels},
    rejections::Reason,
    relay::{Circuits, denial},
};

/// Reservations and circuits.
#[derive(Debug)]
pub(super) struct Relaying {
    /// Peers with a relay reservation, for the metrics.
    reservations: HashSet<PeerId>,
    circuits: Circuits,
}

impl Relaying {
    pub(super) fn new(circuits: Circuits) -> Self {
        Self {
            reservations: HashSet::new(),
            circuits,
        }
    }

    /// Peers with a relay reservation.
    pub(super) fn reservations(&self) -> &HashSet<PeerId> {
        &self.reservations
    }

    /// The last connection of a peer is gone.
    pub(super) fn gone(&mut self, peer: PeerId) {
        self.reservations.remove(&peer);
        self.circuits.gone(peer);
    }

    /// Something has happened at the relay.
    pub(super) fn on_event(&mut self, event: relay::Event, node: &NodeMetrics) {
        match event {
            relay::Event::ReservationReqAccepted {
                src_peer_id,
                renewed,
            } => {
                tracing::debug!(peer = %src_peer_id, renewed, "relay reservation");
                self.reservations.insert(src_peer_id);
                node.relay_reservations_accepted.inc();
            }
            relay::Event::ReservationReqDenied {
                src_peer_id,
                status,
            } => {
                tracing::debug!(peer = %src_peer_id, ?status, "relay reservation denied");
                if matches!(status, relay::StatusCode::ResourceLimitExceeded) {
                    node.rejections.count(Reason::RelayReservation, None);
                }
                let reason = denial(status);
                node.relay_reservations_denied
                    .get_or_create(&ReasonLabels { reason })
                    .inc();
            }
            relay::Event::ReservationTimedOut { src_peer_id } => {
                self.reservations.remove(&src_peer_id);
            }
            relay::Event::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, "relaying");
                self.circuits.accepted(src_peer_id, dst_peer_id);
                node.relay_circuits.inc();
                node.relay_circuits_accepted.inc();
            }
            relay::Event::CircuitReqDenied {
                src_peer_id,
                dst_peer_id,
                status,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "not relaying");
                // Otherwise there was nobody to relay to.
                match status {
                    relay::StatusCode::ResourceLimitExceeded => {
                        node.rejections.count(Reason::RelayCircuit, None);
                    }
                    relay::StatusCode::NoReservation => self.circuits.closed(src_peer_id),
                    _ => {}
                }
                let reason = denial(status);
                node.relay_circuits_denied
                    .get_or_create(&ReasonLabels { reason })
                    .inc();
            }
            relay::Event::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                error,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?error, "relayed");
                if self.circuits.ended(src_peer_id, dst_peer_id) {
                    node.relay_circuits.dec();
                }
            }
            #[allow(deprecated, reason = "there is no other word of it")]
            relay::Event::CircuitReqOutboundConnectFailed { src_peer_id, .. }
            | relay::Event::CircuitReqAcceptFailed { src_peer_id, .. } => {
                self.circuits.closed(src_peer_id);
            }
            // `ReservationClosed` comes for every connection that closes, with or without a
            // reservation; the loss of the last connection says it better.
            other => tracing::trace!(?other, "relay"),
        }
    }
}
