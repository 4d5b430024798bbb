//! What the node refused, by reason: counted for `/metrics`, and told in the log without letting
//! those who are refused fill it.

use std::{
    array,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use moim_protocol::{rate::Source, refusal_wire::Refusal};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::limits;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A connection could not even be accepted: no file left, mostly.
    Accept,
    /// On the block list.
    Blocked,
    /// All connections of the node are taken.
    Connections,
    /// AutoNAT dials no more for a source.
    DialBack,
    /// A peer asked the DHT too fast.
    DhtRate,
    /// An address asks for too much by HTTP.
    HttpRate,
    /// An address has too many HTTP connections.
    HttpSource,
    /// A peer has introductions (identify) too often.
    IntroductionRate,
    /// The process uses too much memory.
    Memory,
    /// Too many connections of one peer.
    Peer,
    /// Too many connections are being set up.
    Pending,
    /// The relay does not carry a connection.
    RelayCircuit,
    /// The relay does not take a reservation.
    RelayReservation,
    /// Too many connections of one address.
    SourceConnections,
    /// Too many connections of one address are being set up.
    SourcePending,
    /// Too many new connections of one address.
    SourceRate,
}

impl Reason {
    const ALL: [Self; 16] = [
        Self::Accept,
        Self::Blocked,
        Self::Connections,
        Self::DialBack,
        Self::DhtRate,
        Self::HttpRate,
        Self::HttpSource,
        Self::IntroductionRate,
        Self::Memory,
        Self::Peer,
        Self::Pending,
        Self::RelayCircuit,
        Self::RelayReservation,
        Self::SourceConnections,
        Self::SourcePending,
        Self::SourceRate,
    ];

    /// What a peer is told that is not admitted. Nothing of what has passed a moment later.
    pub(crate) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Blocked => Some(Refusal::Blocked),
            Self::Connections | Self::Memory => Some(Refusal::Full),
            Self::Peer => Some(Refusal::IdentityInUse),
            Self::SourceConnections => Some(Refusal::AddressFull),
            _ => None,
        }
    }

    /// The label in `/metrics`.
    fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Blocked => "blocked",
            Self::Connections => "connections",
            Self::DialBack => "dial-back",
            Self::DhtRate => "dht-rate",
            Self::HttpRate => "http-rate",
            Self::HttpSource => "http-address",
            Self::IntroductionRate => "introduction-rate",
            Self::Memory => "memory",
            Self::Peer => "peer",
            Self::Pending => "pending",
            Self::RelayCircuit => "relay-circuit",
            Self::RelayReservation => "relay-reservation",
            Self::SourceConnections => "address-connections",
            Self::SourcePending => "address-pending",
            Self::SourceRate => "address-rate",
        }
    }

    /// What the log says.
    fn explanation(self) -> &'static str {
        match self {
            Self::Accept => "connections can't be accepted (are there files left? see `ulimit -n`)",
            Self::Blocked => "connections of blocked peers or addresses",
            Self::Connections => "connections, because the node has as many as it can",
            Self::DialBack => "dials back, for an address that asks for too many",
            Self::DhtRate => {
                "DHT requests of peers that ask too fast, and closed their connections"
            }
            Self::HttpRate => {
                "HTTP connections and requests of an address that makes them too fast"
            }
            Self::HttpSource => "HTTP connections of an address that has too many",
            Self::IntroductionRate => {
                "introductions of peers that ask who the node is, or say who they are, too often, and closed their \
                 connections"
            }
            Self::Memory => "connections, because the node uses as much memory as it may",
            Self::Peer => "connections of a peer that has too many",
            Self::Pending => "connections, because too many are being set up",
            Self::RelayCircuit => "relayed connections",
            Self::RelayReservation => "relay reservations",
            Self::SourceConnections => "connections of an address that has too many",
            Self::SourcePending => "connections of an address that is setting up too many",
            Self::SourceRate => "connections of an address that makes them too fast",
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    reason: &'static str,
}

/// The counters. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Rejections {
    family: Family<Labels, Counter>,
    counters: [Counter; Reason::ALL.len()],
    /// Where the last one came from. Locked for no longer than a copy takes.
    sources: Arc<Mutex<[Option<Source>; Reason::ALL.len()]>>,
}

impl Default for Rejections {
    fn default() -> Self {
        let family = Family::<Labels, Counter>::default();
        let counters = Reason::ALL.map(|reason| {
            let labels = Labels {
                reason: reason.label(),
            };
            family.get_or_create(&labels).clone()
        });
        Self {
            family,
            counters,
            sources: Arc::default(),
        }
    }
}

impl Rejections {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "rejected",
            "What was refused so far, by reason",
            self.family.clone(),
        );
    }

    /// Counts one, with its source where there is one.
    pub(crate) fn count(&self, reason: Reason, source: Option<Source>) {
        self.counters[reason as usize].inc();
        if source.is_some() {
            self.sources.lock().unwrap_or_else(PoisonError::into_inner)[reason as usize] = source;
        }
    }

    /// Brings a count up to one that is kept elsewhere.
    pub(crate) fn count_up_to(&self, reason: Reason, total: u64) {
        let counter = &self.counters[reason as usize];
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    fn totals(&self) -> [u64; Reason::ALL.len()] {
        array::from_fn(|index| self.counters[index].get())
    }

    fn source(&self, reason: Reason) -> Option<Source> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)[reason as usize]
    }
}

/// What of it the log has said.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    told: [Told; Reason::ALL.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    total: u64,
    at: Option<Instant>,
}

impl Journal {
    /// Says what is new, at most one line per reason and [`limits::REJECTIONS_LOG_INTERVAL`]. To be
    /// called every second or so.
    pub(crate) fn tell(&mut self, rejections: &Rejections, now: Instant) {
        for (reason, new) in self.due(rejections.totals(), now) {
            let source = rejections.source(reason).map(tracing::field::display);
            tracing::warn!(
                reason = reason.label(),
                new,
                last_from = source,
                "refused {}; more of these within a minute are summed up",
                reason.explanation()
            );
        }
    }

    fn due(&mut self, totals: [u64; Reason::ALL.len()], now: Instant) -> Vec<(Reason, u64)> {
        let mut due = Vec::new();
        for reason in Reason::ALL {
            let (told, total) = (&mut self.told[reason as usize], totals[reason as usize]);
            let is_quiet = told.at.is_none_or(|at| {
                now.saturating_duration_since(at) >= limits::REJECTIONS_LOG_INTERVAL
            });
            if total > told.total && is_quiet {
                due.push((reason, total - told.total));
                *told = Told {
                    total,
                    at: Some(now),
                };
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_at_once_and_then_once_a_minute() {
        let start = Instant::now();
        let mut journal = Journal::default();
        let rejections = Rejections::default();
        let mut lines = Vec::new();
        for second in 0..150 {
            for _ in 0..1_000 {
                rejections.count(Reason::SourceRate, None);
            }
            let now = start + std::time::Duration::from_secs(second);
            lines.extend(journal.due(rejections.totals(), now));
        }
        let expected = [1_000, 60_000, 60_000].map(|new| (Reason::SourceRate, new));
        assert_eq!(lines, expected);
    }

    #[test]
    fn reasons_do_not_silence_each_other_and_nothing_is_said_of_nothing() {
        let now = Instant::now();
        let mut journal = Journal::default();
        let rejections = Rejections::default();
        assert_eq!(journal.due(rejections.totals(), now), []);
        rejections.count(Reason::Memory, None);
        assert_eq!(journal.due(rejections.totals(), now), [(Reason::Memory, 1)]);
        rejections.count(Reason::Memory, None);
        rejections.count(Reason::Blocked, None);
        assert_eq!(
            journal.due(rejections.totals(), now),
            [(Reason::Blocked, 1)]
        );
    }

    #[test]
    fn each_reason_has_its_place_and_its_label() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            let same = Reason::ALL.iter().filter(|r| r.label() == reason.label());
            assert_eq!(same.count(), 1);
        }
    }
}
