//! The one task that owns the swarm.
//!
//! A command comes in from the handle, or an event from the swarm, or a deadline passes; the
//! handler, a plain function, feeds the machines and applies what they decide. Nothing is awaited
//! but the next of these three. Answers go out by the command's own channel, state by `watch`
//! channels, and what happened by the bounded event queue.

mod act;
mod addresses;
mod asks;
mod circuits;
mod clock;
mod commands;
mod connections;
mod dht;
mod dial;
mod dial_error;
mod direct;
mod doubt;
mod entry;
mod handover;
mod joining;
mod liveness;
mod lost;
mod network;
mod prune;
mod queries;
mod reach;
mod relays;
mod restart;
mod rooms;
mod seldom;
mod shares;
mod start;
mod streams;
mod thrift;
mod time;
mod values;
mod view;
mod ways;

use std::{collections::HashMap, net::IpAddr, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use libp2p::{Multiaddr, PeerId, Swarm, identity::Keypair, request_response::OutboundRequestId};
use moim_dials::Dials;
use moim_protocol::{UnixMillis, message::MessageId, outbox::Outbox, seen::SeenByPeer};
use tokio::sync::{mpsc, watch};
use web_time::Instant;

use self::{
    clock::Clock,
    connections::Connections,
    dial::Pace,
    direct::{PendingSend, Transmission},
    entry::Entry,
    handover::Handovers,
    liveness::Liveness,
    lost::Lost,
    queries::Queries,
    reach::Reaching,
    relays::Relays,
    rooms::Rooms,
    seldom::Seldom,
    shares::PeerShares,
    streams::Streams,
    thrift::Thrift,
    values::Operations,
};
use crate::{
    behaviour::Behaviour,
    bootstrap::Target,
    builder::{DhtMode, PeerBuilder},
    command::{Command, Reply},
    event::{EventSink, PeerEvent},
    history::History,
    platform,
    reason::{DocumentFault, Setback},
    snapshot::{ClockOff, Connection, DhtState, Snapshot, Status},
    swarm,
};

/// Swarm events handled before commands and deadlines are looked at again.
const EVENTS_PER_ROUND: usize = 32;

/// Connections are made after this many rounds whatever the network has to say.
const ROUNDS_BEHIND_MAX: u32 = 32;

/// So often within [`REVIVALS_WITHIN`] a relay that takes us, or a first DHT server, ends the pauses before
/// others are tried again. One that comes and goes all the time has nothing new for us.
const REVIVALS: usize = 6;

/// See [`REVIVALS`].
const REVIVALS_WITHIN: Duration = Duration::from_secs(60);
/// How long stopping waits for servers to take values that were put just before.
const HAND_OVER_DEADLINE: Duration = Duration::from_millis(500);

/// How long stopping takes at most, besides leaving the rooms.
const CLOSE_DEADLINE: Duration = Duration::from_millis(500);

/// What the driver's own background tasks report.
#[derive(Debug)]
struct Fetched {
    source: usize,
    /// It comes from this machine.
    is_local: bool,
    /// With the time at which it was sent, by the clock there.
    result: Result<(Target, Option<UnixMillis>), DocumentFault>,
}

/// Whether the peer is on its way out.
#[derive(Debug)]
enum Stopping {
    No,
    /// Waiting for members and DHT servers to be told, and for values to be handed over until the deadline.
    Leaving(Vec<Reply<()>>, Instant),
}

/// The swarm, in which a connection that panics is closed where that can be caught.
type PeerSwarm = Swarm<swarm::Guarded<Behaviour>>;

pub(crate) struct Driver {
    me: PeerId,
    keypair: Keypair,
    /// As they were given, but for the identity.
    settings: PeerBuilder,
    swarm: PeerSwarm,
    platform: swarm::Platform,
    dials: Dials,
    /// From where bootstrap nodes see us come, the last ones first.
    seen_at: Vec<IpAddr>,
    dht_mode: DhtMode,
    presence_lifetime: Duration,
    gossip: bool,
    seed: u64,

    commands: mpsc::Receiver<Command>,
    fetched: mpsc::Receiver<Fetched>,
    fetched_sender: mpsc::Sender<Fetched>,
    events: EventSink,
    snapshot: watch::Sender<Snapshot>,

    entry: Entry,
    connections: Connections,
    handovers: Handovers,
    liveness: Liveness,
    lost: Lost,
    clock: Clock,
    clock_off: Option<ClockOff>,
    addresses: platform::AddressWatch,
    relays: Relays,
    reaching: Reaching,
    /// What others can bring about to have everybody dialled again.
    revivals: Seldom,
    pace: Pace,
    queries: Queries,
    operations: Operations,
    /// Of the last value that was put: of two in a millisecond the second is newer.
    last_sequence: u64,

    rooms: Rooms,
    /// As the rooms were told last.
    rooms_in_dht: bool,
    told_addresses: Vec<Multiaddr>,

    outbox: Outbox<Setback>,
    sends: HashMap<MessageId, PendingSend>,
    transmissions: HashMap<OutboundRequestId, Transmission>,
    received: SeenByPeer<PeerId, MessageId>,
    history: History,
    streams: Streams,
    shares: PeerShares,

    status: Status,
    next_prune: Instant,
    stopping: Stopping,
    /// Something that the snapshot shows has changed.
    dirty: bool,
    /// Somebody came to a room or left one, has another name, or is connected otherwise.
    members_changed: bool,
    /// Of looking at all members.
    overview: Thrift,
}

impl Driver {
    /// Runs until the peer is to stop.
    async fn work(&mut self) {
        // Rounds in which there was more from the network than was handled.
        let mut behind = 0;
        loop {
            let now = platform::now();
            let deadline = self.advance(now, behind > 0 && behind < ROUNDS_BEHIND_MAX);
            self.publish();
            if let Stopping::Leaving(_, deadline) = self.stopping
                && !self.rooms.are_leaving()
                && (now >= deadline || !self.queries.handing_over())
            {
                return;
            }
            // The order is the policy: what the user asks for goes first, then what was fetched for
            // it, then the network, then time.
            tokio::select! {
                biased;
                command = self.commands.recv(), if !self.is_stopping() => match command {
                    Some(command) => self.on_command(command, platform::now()),
                    None => self.begin_stop(None, platform::now()),
                },
                Some(fetched) = self.fetched.recv() => self.on_fetched(fetched, platform::now()),
                event = self.swarm.select_next_some() => {
                    self.on_swarm_event(event, platform::now());
                    behind = if self.drain_swarm() { 0 } else { behind + 1 };
                }
                () = self.addresses.changed() => self.liveness.addresses_changed(platform::now()),
                () = platform::sleep_until(Some(deadline)) => behind = 0,
            }
        }
    }

    /// Handles what else the network has ready, so that a burst costs one round of everything else.
    /// Returns whether that is all it has.
    fn drain_swarm(&mut self) -> bool {
        for _ in 0..EVENTS_PER_ROUND {
            let Some(Some(event)) = self.swarm.next().now_or_never() else {
                return true;
            };
            self.on_swarm_event(event, platform::now());
        }
        false
    }

    /// Applies everything that is due, and says when something will be again. Who is `behind` with what
    /// the network says looks at no members and makes no new connections: those that wait may be there already.
    fn advance(&mut self, now: Instant, behind: bool) -> Instant {
        self.advance_liveness(now);
        self.advance_clock(now);
        self.advance_entry(now);
        self.advance_handovers(now);
        self.advance_relays(now);
        self.advance_operations(now);
        self.advance_lost(now);
        self.advance_rooms(now);
        self.advance_outbox(now);
        self.advance_streams(now);
        self.advance_shares(now);
        self.advance_ice(now);
        let reaching = if behind {
            Some(now)
        } else {
            if self.overview.is_due(now) {
                self.look_over_members(now)
            } else {
                self.overview.next_deadline(now)
            }
        };
        self.prune_connections(now);
        self.next_deadline(reaching, now)
    }

    /// Decides whom to connect to, dials those who are due, and lists the members anew: all of them are looked at, so
    /// that it is not done for every event of a large room. Says when somebody is to be dialled again.
    fn look_over_members(&mut self, now: Instant) -> Option<Instant> {
        let began = platform::now();
        if self.members_changed | self.reaching.take_doubts() {
            let wanted = self.wanted(now);
            let behaviour = self.swarm.behaviour_mut();
            swarm::want(&mut behaviour.platform, wanted.clone());
            behaviour.sources.want(wanted.clone());
            self.reaching.want(wanted);
        }
        self.dial_due(now);
        if std::mem::take(&mut self.members_changed) | self.reaching.take_changed() {
            self.update_members();
        }
        let connections = &self.connections;
        let next = if self.reaching.has_news() {
            Some(now)
        } else {
            let path = |peer: &PeerId| connections.best_path(peer);
            self.reaching.next_deadline(path)
        };
        let ended = platform::now();
        self.overview.worked(began, ended);
        let pause = self.overview.next_deadline(ended);
        next.map(|next| pause.map_or(next, |pause| next.max(pause)))
    }

    /// Renews what helps to find direct ways.
    fn advance_ice(&mut self, now: Instant) {
        let connections = &self.connections;
        let is_connected = |peer: &PeerId| connections.best_path(peer).is_some();
        let behaviour = &mut self.swarm.behaviour_mut().platform;
        self.platform.renew(behaviour, is_connected, now);
    }

    /// Makes the connections that are due.
    fn dial_due(&mut self, now: Instant) {
        let connections = &self.connections;
        let dials = self.reaching.poll(
            |peer| connections.best_path(peer),
            self.pace.head_start(),
            now,
        );
        for dial in dials {
            self.dial_member(dial, now);
        }
    }

    fn next_deadline(&self, reaching: Option<Instant>, now: Instant) -> Instant {
        // Without anything to do there is still the status to look at.
        let mut next = now + Duration::from_secs(5);
        let mut consider = |deadline: Option<Instant>| {
            if let Some(deadline) = deadline {
                next = next.min(deadline);
            }
        };
        consider(self.entry.next_deadline());
        consider(self.handovers.next_deadline());
        consider(self.liveness.next_deadline());
        consider(self.lost.next_deadline(now));
        consider(self.relays.next_deadline(&self.relay_candidates()));
        consider(self.operations_deadline());
        consider(self.outbox.next_deadline());
        consider(self.streams.next_deadline());
        consider(self.shares.next_deadline());
        consider(self.platform.next_deadline());
        consider(reaching);
        consider(self.rooms.next_deadline());
        if let Stopping::Leaving(_, deadline) = self.stopping {
            consider(Some(deadline));
        }
        // However a deadline came to lie in the past, the loop breathes.
        next.max(now + Duration::from_millis(1))
    }

    fn is_stopping(&self) -> bool {
        matches!(self.stopping, Stopping::Leaving(..))
    }

    fn begin_stop(&mut self, reply: Option<Reply<()>>, now: Instant) {
        let topics = self.rooms.joined().map(|room| room.machine.topic().hash());
        for topic in topics.collect::<Vec<_>>() {
            self.leave(topic, None, now);
        }
        match &mut self.stopping {
            Stopping::No => {
                let deadline = now + HAND_OVER_DEADLINE;
                self.stopping = Stopping::Leaving(reply.into_iter().collect(), deadline);
            }
            Stopping::Leaving(replies, _) => replies.extend(reply),
        }
    }

    /// Closes every connection in order, so that the others need no time-out to notice.
    async fn close(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        platform::within(CLOSE_DEADLINE, closing).await;
        if let Stopping::Leaving(replies, _) = self.stopping {
            for reply in replies {
                let _ = reply.send(());
            }
        }
    }

    /// Brings the status and the snapshot up to date.
    fn publish(&mut self) {
        // A server that was told of no others is a DHT of one, until others come.
        let alone = self.dht_mode == DhtMode::Server && self.entry.is_empty();
        let status = self.entry.status(alone || self.in_dht());
        if status != self.status {
            self.status = status.clone();
            self.events.emit(PeerEvent::StatusChanged(status));
            self.dirty = true;
        }
        if !self.dirty {
            return;
        }
        self.dirty = false;
        let snapshot = self.take_snapshot();
        self.snapshot.send_if_modified(|current| {
            let changed = *current != snapshot;
            if changed {
                *current = snapshot;
            }
            changed
        });
    }

    fn take_snapshot(&mut self) -> Snapshot {
        let peers = self
            .swarm
            .behaviour_mut()
            .kad
            .kbuckets()
            .map(|bucket| bucket.num_entries())
            .sum();
        Snapshot {
            peer: self.me,
            status: self.status.clone(),
            clock: self.clock_off,
            addresses: self.own_addresses(),
            bootstrap: self.entry.nodes(),
            dht: DhtState {
                server: self.dht_mode == DhtMode::Server,
                servers: self.connections.servers().count(),
                peers,
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
