//! One attempt to reach a peer: its addresses in ranks, a rank at a time, the next one when the
//! last failed or takes too long. A pure machine: time comes in, dials go out.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use web_time::Instant;

use crate::{reason::Unreached, swarm};

/// The longest head start, however long handshakes take.
const HEAD_START_MAX: Duration = Duration::from_secs(5);

/// How many times a usual handshake the head start is.
const HEAD_START_FACTOR: u32 = 4;

/// The whole attempt. Longer than a transport's own handshake time-out needs no waiting for.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Still something to hope for.
    Ongoing,
    /// Every address failed; what says most of why.
    Failed(Unreached),
}

/// How long handshakes take at present. Where they take long, be it the line or a machine with too
/// much to do, a second dial beside the first would only make it longer.
#[derive(Debug, Default)]
pub(super) struct Pace {
    usual: Option<Duration>,
}

impl Pace {
    pub(super) fn took(&mut self, time: Duration) {
        self.usual = Some(match self.usual {
            Some(usual) => (usual * 7 + time) / 8,
            None => time,
        });
    }

    /// How long a rank has before the next one is tried beside it (RFC 8305, section 5).
    pub(super) fn head_start(&self) -> Duration {
        let usual = self.usual.unwrap_or_default();
        usual
            .saturating_mul(HEAD_START_FACTOR)
            .clamp(swarm::HEAD_START, HEAD_START_MAX)
    }
}

#[derive(Debug)]
pub(super) struct Attempt {
    peer: Option<PeerId>,
    /// Whether to dial although there is a connection: from relayed to direct.
    upgrade: bool,
    /// Whether to dial from ports of their own instead of those that are listened on.
    new_ports: bool,
    ranks: VecDeque<Vec<Multiaddr>>,
    /// The dials, and when they began.
    under_way: HashMap<ConnectionId, Instant>,
    next_rank: Instant,
    deadline: Instant,
    /// What says most of those that have failed.
    why: Option<Unreached>,
}

impl Attempt {
    /// An empty rank stands for the addresses that the behaviours know (the DHT's).
    pub(super) fn new(
        peer: Option<PeerId>,
        ranks: Vec<Vec<Multiaddr>>,
        upgrade: bool,
        now: Instant,
    ) -> Self {
        Self {
            peer,
            upgrade,
            new_ports: false,
            ranks: ranks.into(),
            under_way: HashMap::new(),
            next_rank: now,
            deadline: now + ATTEMPT_TIMEOUT,
            why: None,
        }
    }

    /// For somebody who may dial us at the same moment: from the port that one listens on to that of the other, two such
    /// dials are one TCP connection (RFC 9293, section 3.5), at whose ends nobody listens, and both fail. QUIC keeps
    /// the port, which opens a NAT for the other side.
    pub(super) fn with_new_ports(self) -> Self {
        Self {
            new_ports: true,
            ..self
        }
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        self.peer
    }

    /// The dials that are due now. A rank has `head_start` before the next one is tried beside it.
    pub(super) fn due(&mut self, head_start: Duration, now: Instant) -> Vec<DialOpts> {
        if now < self.next_rank && !self.under_way.is_empty() {
            return Vec::new();
        }
        let Some(rank) = self.ranks.pop_front() else {
            return Vec::new();
        };
        self.next_rank = now + head_start;
        let dials: Vec<_> = match self.peer {
            Some(peer) => {
                let condition = if self.upgrade {
                    PeerCondition::Always
                } else {
                    PeerCondition::Disconnected
                };
                let dial = DialOpts::peer_id(peer).condition(condition);
                let is_udp = |address: &Multiaddr| {
                    let mut parts = address.iter();
                    parts.any(|part| matches!(part, Protocol::Udp(_)))
                };
                let keeps_port = !self.new_ports || rank.iter().any(is_udp);
                // With addresses of its own a dial does not ask the behaviours for more.
                vec![if rank.is_empty() {
                    dial.build()
                } else if keeps_port {
                    dial.addresses(rank).build()
                } else {
                    dial.addresses(rank).allocate_new_port().build()
                }]
            }
            None => rank
                .into_iter()
                .map(|address| DialOpts::unknown_peer_id().address(address).build())
                .collect(),
        };
        self.under_way
            .extend(dials.iter().map(|dial| (dial.connection_id(), now)));
        dials
    }

    pub(super) fn owns(&self, id: ConnectionId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// When a dial of this attempt began that is still under way.
    pub(super) fn began(&self, id: ConnectionId) -> Option<Instant> {
        self.under_way.get(&id).copied()
    }

    /// A dial succeeded.
    pub(super) fn succeeded(&mut self, id: ConnectionId) {
        self.under_way.remove(&id);
    }

    /// Whether no dial is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn failed(&mut self, id: ConnectionId, why: Unreached) -> Progress {
        if self.under_way.remove(&id).is_some() {
            self.why = self.why.max(Some(why));
        }
        self.progress()
    }

    /// Gives the attempt up when its time is over.
    pub(super) fn tick(&self, now: Instant) -> Progress {
        if now >= self.deadline {
            let silent = (!self.under_way.is_empty()).then_some(Unreached::NoAnswer);
            return Progress::Failed(self.why.max(silent).unwrap_or(Unreached::NoAddress));
        }
        self.progress()
    }

    fn progress(&self) -> Progress {
        if self.under_way.is_empty() && self.ranks.is_empty() {
            Progress::Failed(self.why.unwrap_or(Unreached::NoAddress))
        } else {
            Progress::Ongoing
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        if self.ranks.is_empty() {
            self.deadline
        } else if self.under_way.is_empty() {
            // Due at once.
            self.next_rank
                .min(self.deadline)
                .min(self.deadline - ATTEMPT_TIMEOUT)
        } else {
            self.next_rank.min(self.deadline)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("valid")
    }

    fn now() -> Instant {
        crate::platform::now()
    }

    const HEAD_START: Duration = Duration::from_millis(300);

    #[test]
    fn the_second_rank_follows_when_the_first_fails_or_is_slow() {
        let start = now();
        let ranks = vec![
            vec![address("/ip4/127.0.0.1/tcp/1")],
            vec![address("/ip4/127.0.0.1/tcp/2")],
        ];
        let mut attempt = Attempt::new(Some(PeerId::random()), ranks.clone(), false, start);
        let first = attempt.due(HEAD_START, start);
        assert_eq!(first.len(), 1);
        assert!(
            attempt.due(HEAD_START, start).is_empty(),
            "the first has its head start"
        );
        assert_eq!(
            attempt.failed(first[0].connection_id(), Unreached::Refused),
            Progress::Ongoing
        );
        let second = attempt.due(HEAD_START, start);
        assert_eq!(second.len(), 1, "at once after the failure");
        assert_eq!(
            attempt.failed(second[0].connection_id(), Unreached::NoAnswer),
            Progress::Failed(Unreached::Refused),
            "what says most"
        );

        let mut attempt = Attempt::new(Some(PeerId::random()), ranks, false, start);
        assert_eq!(attempt.due(HEAD_START, start).len(), 1);
        assert_eq!(
            attempt.due(HEAD_START, start + HEAD_START).len(),
            1,
            "beside the slow one"
        );
        assert!(matches!(
            attempt.tick(start + ATTEMPT_TIMEOUT),
            Progress::Failed(_)
        ));
    }

    #[test]
    fn without_an_id_every_address_is_its_own_dial() {
        let start = now();
        let ranks = vec![vec![
            address("/ip4/127.0.0.1/tcp/1"),
            address("/ip4/127.0.0.1/tcp/2"),
        ]];
        let mut attempt = Attempt::new(None, ranks, false, start);
        assert_eq!(attempt.due(HEAD_START, start).len(), 2);
    }

    #[test]
    fn the_head_start_follows_the_time_that_handshakes_take_and_is_bounded() {
        let mut pace = Pace::default();
        assert_eq!(pace.head_start(), swarm::HEAD_START);
        pace.took(Duration::from_secs(1));
        assert_eq!(pace.head_start(), Duration::from_secs(4));
        for _ in 0..50 {
            pace.took(Duration::from_secs(9));
        }
        assert_eq!(pace.head_start(), HEAD_START_MAX);
        for _ in 0..100 {
            pace.took(Duration::from_millis(1));
        }
        assert_eq!(pace.head_start(), swarm::HEAD_START);
    }

    #[test]
    fn nothing_to_dial_is_a_failure() {
        let start = now();
        let mut attempt = Attempt::new(None, Vec::new(), false, start);
        assert!(attempt.due(HEAD_START, start).is_empty());
        assert!(matches!(attempt.tick(start), Progress::Failed(_)));
    }
}
