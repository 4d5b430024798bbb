//! The half of the pair that sees the connections of the swarm.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt as _, channel::mpsc};
use futures_timer::Delay;
use libp2p_core::{ConnectedPoint, Endpoint, Multiaddr, multiaddr::Protocol, transport::PortUse};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm,
    ListenFailure, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
    behaviour::ConnectionEstablished,
    dial_opts::{DialOpts, PeerCondition},
};
use web_time::Instant;

use self::{
    connections::{Kind, SwarmConnection, kind_of},
    handler::{FromHandler, Handler, OpenStream},
    requests::{Action, Requests},
    sessions::Sessions,
    upgrade::Upgrades,
};
use crate::{
    address,
    backend::SelectedPair,
    config::Config,
    muxer::{Change, StateChange},
    report::{Failure, Report, Reports, Role},
    transport::{DialRequest, Notice},
};

mod connections;
mod handler;
mod requests;
mod sessions;
mod upgrade;

/// What became of relayed connections.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// There is a direct connection now. Relayed ones are the application's to close.
    Connected {
        /// To whom.
        peer: PeerId,
        /// The new connection.
        connection: ConnectionId,
        /// Its selected candidate pair; see [`Behaviour::selected_pair`].
        selected_pair: Option<SelectedPair>,
    },
    /// An attempt of ours or of the other side has failed; the relayed connection stays as it is.
    Failed {
        /// With whom.
        peer: PeerId,
        /// Why, for people: it names the step.
        error: String,
        /// How far it came, if it came to a session.
        report: Option<Report>,
        /// When it will be tried again from here, if that is known.
        retry: Option<Duration>,
    },
    /// Nothing has come on a direct connection for some seconds. It may be dead, or the network be slow.
    Silent(ConnectionId),
    /// A connection has another selected candidate pair: it goes by a TURN server from now on, or does no longer. See
    /// [`Behaviour::selected_pair`].
    SelectedPairChanged(ConnectionId),
}

/// Hands signalling streams to the [transport](crate::Transport), and turns relayed connections into
/// direct ones.
pub struct Behaviour {
    local: PeerId,
    config: Config,
    reports: Reports,
    requests: Requests,
    sessions: Sessions,
    notices: mpsc::Sender<Notice>,
    changes: mpsc::Receiver<StateChange>,
    /// Notices that did not fit into the channel.
    unsent: VecDeque<Notice>,
    connections: HashMap<ConnectionId, SwarmConnection>,
    upgrades: Upgrades,
    /// Dials that are attempts to upgrade.
    attempts: HashMap<ConnectionId, PeerId>,
    events: VecDeque<ToSwarm<Event, OpenStream>>,
    timer: Option<(Instant, Delay)>,
}

impl Behaviour {
    pub(crate) fn new(
        local: PeerId,
        config: Config,
        reports: Reports,
        requests: mpsc::Receiver<DialRequest>,
        notices: mpsc::Sender<Notice>,
        changes: mpsc::Receiver<StateChange>,
    ) -> Self {
        let preferred = config.preferred.as_ref().map(|preferred| preferred.time);
        Self {
            local,
            reports,
            requests: Requests::new(requests),
            sessions: Sessions::new(local, config.inbound_max),
            config,
            notices,
            changes,
            unsent: VecDeque::new(),
            connections: HashMap::new(),
            upgrades: Upgrades::new(preferred),
            attempts: HashMap::new(),
            events: VecDeque::new(),
            timer: None,
        }
    }

    /// The selected candidate pair of a connection of this transport; `None` of others, and where the implementation does
    /// not say.
    #[must_use]
    pub fn selected_pair(&self, connection: ConnectionId) -> Option<SelectedPair> {
        self.connections.get(&connection)?.selected_pair
    }

    /// Leaves half of the sessions to these peers, and no longer to those named before: others may be made up.
    pub fn set_known(&mut self, known: HashSet<PeerId>) {
        self.sessions.set_known(known);
    }

    fn handler(&self) -> Handler {
        let preferred = self.config.preferred.as_ref();
        Handler::new(preferred.map_or_else(Vec::new, |preferred| preferred.protocols.clone()))
    }

    fn connections_of(
        &self,
        peer: &PeerId,
    ) -> impl Iterator<Item = (ConnectionId, &SwarmConnection)> {
        let peer = *peer;
        self.connections
            .iter()
            .filter(move |(_, one)| one.peer == peer)
            .map(|(id, one)| (*id, one))
    }

    fn is_direct(&self, peer: &PeerId) -> bool {
        self.connections_of(peer)
            .any(|(_, one)| !matches!(one.kind, Kind::Relayed { .. }))
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.events.push_back(match action {
                Action::Dial(opts) => ToSwarm::Dial { opts },
                Action::Open {
                    peer,
                    connection,
                    command,
                } => ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler: NotifyHandler::One(connection),
                    event: command,
                },
            });
        }
    }

    /// Of several connections of this transport to one peer, which come to be when both sides begin
    /// at the same time, the one that the smaller peer id has begun stays, and of these the newest.
    fn close_doubles(&mut self, peer: PeerId) {
        let we_begin = self.local < peer;
        let mut doubles: Vec<(bool, ConnectionId)> = self
            .connections_of(&peer)
            .filter(|(_, one)| one.kind == Kind::WebRtc)
            .map(|(id, one)| (one.dialled == we_begin, id))
            .collect();
        doubles.sort_unstable();
        doubles.pop();
        for (_, id) in doubles {
            tracing::debug!(%peer, "closing a second connection");
            self.events.push_back(ToSwarm::CloseConnection {
                peer_id: peer,
                connection: CloseConnection::One(id),
            });
        }
    }

    fn on_established(&mut self, id: ConnectionId, peer: PeerId, kind: Kind, dialled: bool) {
        let now = Instant::now();
        let is_ours = kind == Kind::WebRtc;
        let role = if dialled {
            Role::Offerer
        } else {
            Role::Answerer
        };
        let report = is_ours.then(|| self.reports.take(peer, role)).flatten();
        let is_relayed = matches!(kind, Kind::Relayed { .. });
        self.connections.insert(
            id,
            SwarmConnection {
                peer,
                kind,
                dialled,
                selected_pair: report.and_then(|report| report.selected_pair),
            },
        );
        if !is_ours {
            let actions = self.requests.connected(peer, id, &mut self.sessions);
            self.act(actions);
        }
        if !is_relayed {
            self.upgrades.done(&peer);
        } else if !self.is_direct(&peer)
            && ((dialled && self.config.upgrade)
                || (!dialled && self.config.upgrade_inbound && self.local < peer))
        {
            self.upgrades.relayed(peer, dialled, now);
        }
        if is_ours {
            self.attempts.remove(&id);
            self.close_doubles(peer);
            self.events
                .push_back(ToSwarm::GenerateEvent(Event::Connected {
                    peer,
                    connection: id,
                    selected_pair: report.and_then(|report| report.selected_pair),
                }));
        }
    }

    fn on_change(&mut self, StateChange { peer, role, change }: StateChange) {
        let Some((id, one)) = connections::newest(&mut self.connections, peer, role) else {
            return;
        };
        let event = match change {
            Change::Silent => Event::Silent(id),
            Change::SelectedPair(pair) if one.selected_pair.replace(pair) != Some(pair) => {
                Event::SelectedPairChanged(id)
            }
            Change::SelectedPair(_) => return,
        };
        self.events.push_back(ToSwarm::GenerateEvent(event));
    }

    fn on_closed(&mut self, id: ConnectionId, peer: PeerId) {
        self.connections.remove(&id);
        let relayed = self
            .connections_of(&peer)
            .any(|(_, one)| matches!(one.kind, Kind::Relayed { .. }));
        if !relayed {
            self.upgrades.done(&peer);
        } else if !self.is_direct(&peer) && self.config.upgrade {
            // The direct one is lost and the relayed one is still there.
            self.upgrades.relayed(peer, true, Instant::now());
        }
    }

    fn on_dial_failure(&mut self, id: ConnectionId, error: &libp2p_swarm::DialError) {
        self.requests.dial_failed(id, || innermost(error));
        let Some(peer) = self.attempts.remove(&id) else {
            return;
        };
        let report = self.reports.take(peer, Role::Offerer);
        if self.is_direct(&peer) {
            return;
        }
        let error = innermost(error);
        let failure = report.and_then(|report| report.failure);
        let retry = self.upgrades.failed(&peer, failure, Instant::now());
        // The other side's attempt is under way.
        if failure == Some(Failure::Superseded) {
            return;
        }
        tracing::debug!(%peer, %error, ?retry, "no direct connection");
        self.events.push_back(ToSwarm::GenerateEvent(Event::Failed {
            peer,
            error,
            report,
            retry,
        }));
    }

    /// An attempt of the other side's came to nothing.
    fn on_listen_failure(&mut self, remote: &Multiaddr, error: &libp2p_swarm::ListenError) {
        let Some(Protocol::P2p(peer)) = remote.iter().last() else {
            return;
        };
        let report = self.reports.take(peer, Role::Answerer);
        let failure = report.and_then(|report| report.failure);
        if self.is_direct(&peer) || failure == Some(Failure::Superseded) {
            return;
        }
        let error = deepest(error);
        tracing::debug!(%peer, %error, "no direct connection from the other side");
        self.events.push_back(ToSwarm::GenerateEvent(Event::Failed {
            peer,
            error,
            report,
            retry: None,
        }));
    }

    fn attempt(&mut self, peer: PeerId) {
        let circuit = self
            .connections_of(&peer)
            .find_map(|(_, one)| match &one.kind {
                Kind::Relayed { circuit } => Some(circuit.clone()),
                Kind::WebRtc | Kind::Direct => None,
            });
        let Some(circuit) = circuit else {
            self.upgrades.done(&peer);
            return;
        };
        let address = circuit.with(Protocol::WebRTC).with(Protocol::P2p(peer));
        tracing::debug!(%peer, %address, "trying to connect directly");
        let dial = DialOpts::peer_id(peer)
            .addresses(vec![address])
            .condition(PeerCondition::Always)
            .build();
        self.attempts.insert(dial.connection_id(), peer);
        self.events.push_back(ToSwarm::Dial { opts: dial });
    }

    fn poll_notices(&mut self, cx: &mut Context<'_>) {
        while let Some(notice) = self.unsent.pop_front() {
            match self.notices.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    // The transport is gone, and with it the swarm, soon.
                    let _ = self.notices.start_send(notice);
                }
                Poll::Ready(Err(_)) => return,
                Poll::Pending => {
                    self.unsent.push_front(notice);
                    return;
                }
            }
        }
    }
}

fn innermost(error: &libp2p_swarm::DialError) -> String {
    if let libp2p_swarm::DialError::Transport(errors) = error {
        let reasons: Vec<String> = errors.iter().map(|(_, error)| deepest(error)).collect();
        return reasons.join("; ");
    }
    deepest(error)
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("connections", &self.connections)
            .field("upgrades", &self.upgrades)
            .finish_non_exhaustive()
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                connection_id,
                peer_id,
                endpoint,
                ..
            }) => {
                let kind = match endpoint {
                    ConnectedPoint::Dialer { address, .. } => kind_of(address),
                    // An inbound connection through a relay tells so by our own address only.
                    ConnectedPoint::Listener { local_addr, .. } => kind_of(local_addr),
                };
                self.on_established(connection_id, peer_id, kind, endpoint.is_dialer());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                connection_id,
                peer_id,
                ..
            }) => self.on_closed(connection_id, peer_id),
            FromSwarm::DialFailure(DialFailure {
                connection_id,
                error,
                ..
            }) => self.on_dial_failure(connection_id, error),
            FromSwarm::ListenFailure(ListenFailure {
                local_addr,
                send_back_addr,
                error,
                ..
            }) if matches!(kind_of(local_addr), Kind::WebRtc) => {
                self.on_listen_failure(send_back_addr, error);
            }
            FromSwarm::NewListenAddr(new) if !address::is_direct(new.addr) => {
                self.unsent.push_back(Notice::CircuitUp(new.addr.clone()));
            }
            FromSwarm::ExpiredListenAddr(expired) if !address::is_direct(expired.addr) => {
                self.unsent
                    .push_back(Notice::CircuitDown(expired.addr.clone()));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            FromHandler::Inbound(stream) => {
                let circuit = match self.connections.get(&id).map(|one| &one.kind) {
                    Some(Kind::WebRtc) => return,
                    Some(Kind::Relayed { circuit }) => Some(circuit.clone()),
                    Some(Kind::Direct) | None => None,
                };
                if let Some(opened) = self.sessions.answer(peer, stream, Instant::now()) {
                    self.unsent.push_back(Notice::Inbound {
                        peer,
                        circuit,
                        opened: Box::new(opened),
                    });
                }
            }
            FromHandler::Speaks(speaks) => {
                self.upgrades.speaks(&peer, speaks, Instant::now());
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.poll_notices(cx);
        while let Poll::Ready(Some(change)) = self.changes.poll_next_unpin(cx) {
            self.on_change(change);
        }
        let connections = &self.connections;
        let actions = self.requests.poll(cx, &mut self.sessions, |peer| {
            connections::signalling(connections, peer)
        });
        self.act(actions);
        loop {
            let now = Instant::now();
            for peer in self.upgrades.poll(now) {
                self.attempt(peer);
            }
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            let Some(deadline) = self.upgrades.poll_timeout() else {
                self.timer = None;
                return Poll::Pending;
            };
            if self.timer.as_ref().is_none_or(|(at, _)| *at != deadline) {
                let delay = Delay::new(deadline.saturating_duration_since(now));
                self.timer = Some((deadline, delay));
            }
            if let Some((_, timer)) = &mut self.timer
                && Pin::new(timer).poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}
