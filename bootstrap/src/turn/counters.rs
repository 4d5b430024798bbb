//! What is counted.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// The numbers of the STUN and TURN server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// STUN questions that were answered.
    pub(crate) answered: Counter,
    /// Datagrams and connections that were not: no questions, or too many.
    pub(crate) ignored: Counter,
    pub(super) allocations: Gauge,
    pub(super) allocations_accepted: Counter,
    pub(super) connections: Gauge,
    bytes: Family<BytesLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
}

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Direction {
    ToClient,
    ToPeer,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Refused {
    /// No port or no room in a table.
    Capacity,
    /// Signed, but not by somebody who may; or not any more.
    Credentials,
    /// More allocations than one may have.
    Quota,
    /// More bytes than there are for it.
    Rate,
    /// Towards an address that the server does not send to.
    Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BytesLabels {
    direction: Direction,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: Refused,
}

impl Counters {
    pub(super) fn refuse(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    pub(super) fn carry(&self, direction: Direction, bytes: usize) {
        let labels = BytesLabels { direction };
        self.bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    /// Makes them part of `/metrics`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "stun_answered",
            "STUN questions answered so far",
            self.answered.clone(),
        );
        registry.register(
            "stun_ignored",
            "Datagrams to the STUN and TURN server that were not answered so far",
            self.ignored.clone(),
        );
        registry.register(
            "turn_allocations",
            "Ports that peers have on the TURN server right now",
            self.allocations.clone(),
        );
        registry.register(
            "turn_allocations_accepted",
            "Ports that peers have been given on the TURN server so far",
            self.allocations_accepted.clone(),
        );
        registry.register(
            "turn_connections",
            "TCP connections to the TURN server right now",
            self.connections.clone(),
        );
        registry.register_with_unit(
            "turn",
            "Data carried by the TURN server so far",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "turn_refused",
            "What the TURN server has refused so far",
            self.refused.clone(),
        );
        // So that they are there before anything happens.
        for direction in [Direction::ToClient, Direction::ToPeer] {
            self.carry(direction, 0);
        }
        for reason in [
            Refused::Capacity,
            Refused::Credentials,
            Refused::Quota,
            Refused::Rate,
            Refused::Target,
        ] {
            drop(self.refused.get_or_create(&RefusedLabels { reason }));
        }
    }
}
