//! The way into the DHT: every bootstrap source is tried, and again, as long as the peer runs.
//! A pure machine: the driver fetches and dials what it asks for and tells it what happened.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use moim_protocol::{backoff::Backoff, limits, refusal_wire::Refusal};
use web_time::Instant;

use super::dial::{Attempt, Progress};
use crate::{
    bootstrap::{BootstrapSource, Target},
    reason::{DocumentFault, NodeFault, NotInDht, Unreached},
    snapshot::{BootstrapNode, BootstrapState, Status},
    swarm::dial_ranks,
};

/// Bootstrap sources used at most; more do not make the network safer, only slower to start.
const SOURCES_MAX: usize = 16;

/// The pause before the first redial of a node that was connected: it is probably restarting.
const LOST_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
    },
    Fetching,
    Dialling(Box<Attempt>),
    Connected {
        peer: PeerId,
        since: Instant,
        /// It has introduced itself, and not turned us away.
        welcome: bool,
    },
}

#[derive(Debug)]
struct Source {
    source: BootstrapSource,
    state: State,
    backoff: Backoff,
    /// While the node says that it does not let us in.
    turned_away: Backoff,
    refusal: Option<Refusal>,
    last_error: Option<NodeFault>,
    /// Doors that were shut again without a word, since one was open: a node whose places by one transport are taken
    /// may let others in.
    doors_shut: usize,
    /// Transports by which it was dialled last.
    doors: usize,
}

/// What the driver has to do.
#[derive(Debug)]
pub(super) enum Action {
    Dial(DialOpts),
    /// Fetch the document at `url` and report by [`Entry::fetched`].
    Fetch {
        source: usize,
        url: String,
    },
}

#[derive(Debug)]
pub(super) struct Entry {
    sources: Vec<Source>,
    online: bool,
    /// When the device came into another network: what is lost soon after that was not the node's doing.
    changed: Option<Instant>,
    was_connected: bool,
}

impl Entry {
    pub(super) fn new(sources: Vec<BootstrapSource>, seed: u64, now: Instant) -> Self {
        let mut unique: Vec<BootstrapSource> = Vec::new();
        for source in sources {
            if !unique.contains(&source) && unique.len() < SOURCES_MAX {
                unique.push(source);
            }
        }
        let sources = (0_u64..)
            .zip(unique)
            .map(|(index, source)| Source {
                source,
                state: State::Waiting { until: now },
                backoff: Backoff::new(
                    limits::REDIAL_BASE,
                    limits::REDIAL_MAX,
                    seed.wrapping_add(index),
                ),
                turned_away: Backoff::new(
                    limits::TURNED_AWAY_BASE,
                    limits::TURNED_AWAY_MAX,
                    seed.wrapping_add(index),
                ),
                refusal: None,
                last_error: None,
                doors_shut: 0,
                doors: 0,
            })
            .collect();
        Self {
            sources,
            online: true,
            changed: None,
            was_connected: false,
        }
    }

    /// What is due now. `connected` tells whether there is a connection to a peer already.
    pub(super) fn poll(
        &mut self,
        head_start: Duration,
        now: Instant,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for (index, source) in self.sources.iter_mut().enumerate() {
            match &mut source.state {
                State::Waiting { until } if self.online && *until <= now => match &source.source {
                    BootstrapSource::Address(address) => {
                        source.dial(Target::from_address(address), now, &connected);
                    }
                    BootstrapSource::Url(url) => {
                        actions.push(Action::Fetch {
                            source: index,
                            url: url.clone(),
                        });
                        source.state = State::Fetching;
                    }
                },
                State::Connected { .. }
                | State::Dialling(_)
                | State::Fetching
                | State::Waiting { .. } => {}
            }
            if let State::Dialling(attempt) = &mut source.state {
                actions.extend(attempt.due(head_start, now).into_iter().map(Action::Dial));
                if let Progress::Failed(why) = attempt.tick(now) {
                    source.fail(NodeFault::Unreached(why), now);
                }
            }
        }
        actions
    }

    /// A document arrived, or did not.
    pub(super) fn fetched(
        &mut self,
        index: usize,
        result: Result<Target, DocumentFault>,
        now: Instant,
        connected: impl Fn(&PeerId) -> bool,
    ) {
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        if !matches!(source.state, State::Fetching) {
            return;
        }
        match result {
            Ok(target) => source.dial(target, now, &connected),
            Err(fault) => source.fail(NodeFault::Document(fault), now),
        }
    }

    /// A dial of ours succeeded. Returns whether it was ours. How good that is will be seen: pauses get
    /// short again when the connection has lasted, and errors are forgotten when the node has introduced
    /// itself.
    pub(super) fn connected(&mut self, id: ConnectionId, peer: PeerId, now: Instant) -> bool {
        let mut ours = false;
        for source in &mut self.sources {
            let dialled = matches!(&source.state, State::Dialling(attempt) if attempt.owns(id));
            let wanted =
                matches!(&source.state, State::Dialling(attempt) if attempt.peer() == Some(peer));
            if dialled || wanted {
                source.state = State::Connected {
                    peer,
                    since: now,
                    welcome: false,
                };
                ours = true;
            }
        }
        ours
    }

    /// When a dial of one of its attempts began.
    pub(super) fn dialling_since(&self, id: ConnectionId) -> Option<Instant> {
        self.sources.iter().find_map(|source| match &source.state {
            State::Dialling(attempt) => attempt.began(id),
            _ => None,
        })
    }

    /// A dial failed. Returns whether it was ours.
    pub(super) fn failed(&mut self, id: ConnectionId, why: Unreached, now: Instant) -> bool {
        for source in &mut self.sources {
            if let State::Dialling(attempt) = &mut source.state
                && attempt.owns(id)
            {
                if let Progress::Failed(why) = attempt.failed(id, why) {
                    source.fail(NodeFault::Unreached(why), now);
                }
                return true;
            }
        }
        false
    }

    /// A node has introduced itself, which it does for those whom it lets in.
    pub(super) fn welcomed(&mut self, by: &PeerId) {
        for source in &mut self.sources {
            if let State::Connected { peer, welcome, .. } = &mut source.state
                && peer == by
            {
                *welcome = true;
                source.last_error = None;
                source.refusal = None;
                source.doors_shut = 0;
            }
        }
    }

    /// Whether this is a node that was dialled and may not let us in.
    pub(super) fn may_turn_away(&self, peer: &PeerId) -> bool {
        self.sources.iter().any(|source| source.knocks_at(peer))
    }

    /// A node has said why it does not let us in.
    pub(super) fn turned_away(&mut self, by: &PeerId, why: Refusal) {
        for source in &mut self.sources {
            if source.knocks_at(by) {
                source.refusal = Some(why);
                source.last_error = Some(NodeFault::TurnedAway(why));
            }
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn disconnected(&mut self, gone: &PeerId, now: Instant) {
        let elsewhere = self
            .changed
            .is_some_and(|changed| now < changed + limits::CONNECTION_LASTS);
        for source in &mut self.sources {
            let State::Connected {
                peer,
                since,
                welcome,
            } = source.state
            else {
                continue;
            };
            if peer != *gone {
                continue;
            }
            // It went with the network that it was made in. One made since has the pauses of any other.
            let went_with_network =
                source.refusal.is_none() && self.changed.is_some_and(|changed| since <= changed);
            if elsewhere && went_with_network || now >= since + limits::CONNECTION_LASTS {
                source.backoff.reset();
                source.turned_away.reset();
                source.last_error = Some(NodeFault::Lost);
                source.state = State::Waiting {
                    until: now + LOST_PAUSE,
                };
            } else if source.refusal.is_some() {
                source.state = State::Waiting {
                    until: now + source.turned_away.next_delay(),
                };
            } else if welcome {
                source.fail(NodeFault::Lost, now);
            } else {
                source.doors_shut = source.doors_shut.saturating_add(1);
                if source.doors_shut < source.doors {
                    source.last_error = Some(NodeFault::Closed);
                    source.state = State::Waiting { until: now };
                } else {
                    source.fail(NodeFault::Closed, now);
                }
            }
        }
    }

    /// The device lost or regained its network: with it every pause is over. Who was turned away may not be so from here,
    /// but asks seldom, however often the network changes.
    pub(super) fn network_changed(&mut self, online: bool, now: Instant) {
        self.online = online;
        if online {
            self.changed = Some(now);
            for source in &mut self.sources {
                let State::Waiting { until } = &mut source.state else {
                    continue;
                };
                if source.refusal.is_some() {
                    *until = (*until).min(now + limits::TURNED_AWAY_BASE);
                } else {
                    source.backoff.reset();
                    *until = now;
                }
            }
        }
    }

    pub(super) fn is_bootstrap_node(&self, peer: &PeerId) -> bool {
        self.sources
            .iter()
            .any(|source| matches!(&source.state, State::Connected { peer: connected, .. } if connected == peer))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sources
            .iter()
            .filter_map(|source| match &source.state {
                State::Waiting { until } => self.online.then_some(*until),
                State::Dialling(attempt) => Some(attempt.poll_timeout()),
                State::Fetching | State::Connected { .. } => None,
            })
            .min()
    }

    /// Whether no bootstrap source was given.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The peer's status, given whether it has a DHT server.
    pub(super) fn status(&mut self, in_dht: bool) -> Status {
        self.was_connected |= in_dht;
        // The device knows before any connection has timed out.
        if !self.online {
            return Status::Offline;
        }
        if in_dht {
            return Status::Connected;
        }
        if self.was_connected {
            return Status::Reconnecting {
                why: self.why_not(),
            };
        }
        if self.sources.iter().all(|it| it.last_error.is_some()) {
            return Status::Failed {
                why: self.why_not(),
            };
        }
        Status::Connecting
    }

    /// Why this peer has no DHT server, as far as anything is known.
    pub(super) fn why_not(&self) -> NotInDht {
        let faults: Vec<(String, NodeFault)> = self
            .sources
            .iter()
            .filter_map(|source| Some((source.source.to_string(), source.last_error?)))
            .collect();
        if !self.online {
            NotInDht::Offline
        } else if self.sources.is_empty() {
            NotInDht::NoNode
        } else if faults.is_empty() {
            NotInDht::NoServer
        } else {
            NotInDht::Nodes(faults)
        }
    }

    pub(super) fn nodes(&self) -> Vec<BootstrapNode> {
        self.sources
            .iter()
            .map(|source| BootstrapNode {
                source: source.source.to_string(),
                state: source.shown(),
            })
            .collect()
    }
}

impl Source {
    /// Whether we are at a node's door.
    fn knocks_at(&self, node: &PeerId) -> bool {
        match &self.state {
            State::Connected { peer, welcome, .. } => peer == node && !welcome,
            // The reason may be here before the connection is known.
            State::Dialling(attempt) => attempt.peer().as_ref() == Some(node),
            State::Fetching | State::Waiting { .. } => false,
        }
    }

    /// What people see. While a node turns us away, that is so between two attempts too.
    fn shown(&self) -> BootstrapState {
        match (&self.state, self.refusal, self.last_error) {
            (
                State::Connected {
                    peer,
                    welcome: true,
                    ..
                },
                ..,
            ) => BootstrapState::Connected { peer: *peer },
            (_, Some(why), _) => BootstrapState::TurnedAway { why },
            (State::Waiting { .. }, None, Some(why)) => BootstrapState::Failed { why },
            _ => BootstrapState::Connecting,
        }
    }

    fn dial(&mut self, target: Target, now: Instant, connected: &impl Fn(&PeerId) -> bool) {
        if let Some(peer) = target.peer
            && connected(&peer)
        {
            self.state = State::Connected {
                peer,
                since: now,
                welcome: true,
            };
            self.last_error = None;
            self.refusal = None;
            return;
        }
        let mut ranks: Vec<Vec<Multiaddr>> = dial_ranks(&target.addresses);
        self.doors = ranks.len();
        if !ranks.is_empty() {
            let first = self.doors_shut % ranks.len();
            ranks.rotate_left(first);
        }
        self.state = State::Dialling(Box::new(Attempt::new(target.peer, ranks, false, now)));
    }

    fn fail(&mut self, why: NodeFault, now: Instant) {
        self.refusal = None;
        self.last_error = Some(why);
        self.state = State::Waiting {
            until: now + self.backoff.next_delay(),
        };
    }
}

#[cfg(test)]
mod tests;
