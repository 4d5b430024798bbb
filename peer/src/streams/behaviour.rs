//! Opens streams on the connections that it is told, and takes those that others open.
//!
//! libp2p-stream opens on any connection to a peer; which one it is matters here, so the driver says it.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionClosed,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use moim_protocol::{limits::STREAM_HEADER_TIME, names};

const PROTOCOL: StreamProtocol = StreamProtocol::new(names::STREAM_PROTOCOL);

/// Names a stream that is being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OpenId(pub(crate) u64);

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// Nothing came of it on this connection.
    Broken,
    /// The other side does not speak the protocol.
    Unsupported,
}

/// What has become of streams.
#[derive(Debug)]
pub(crate) enum Event {
    /// One that was to be opened.
    Opened(OpenId, Result<Stream, NotOpened>),
    /// Somebody has opened one.
    Came {
        peer: PeerId,
        connection: ConnectionId,
        stream: Stream,
    },
}

/// What waits is bounded by the streams that the driver has opened at once, and for each connection by one that came.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    opening: HashMap<OpenId, ConnectionId>,
    actions: VecDeque<ToSwarm<Event, OpenId>>,
}

impl Behaviour {
    /// Opens a stream on one connection. [`Event::Opened`] comes in any case.
    pub(crate) fn open(&mut self, id: OpenId, peer_id: PeerId, connection: ConnectionId) {
        self.opening.insert(id, connection);
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event: id,
        });
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
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) = event {
            let lost = self
                .opening
                .extract_if(|_, connection| *connection == connection_id);
            let lost = lost.map(|(id, _)| Event::Opened(id, Err(NotOpened::Broken)));
            self.actions.extend(lost.map(ToSwarm::GenerateEvent));
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let event = match event {
            FromHandler::Opened(id, result) => {
                self.opening.remove(&id);
                Event::Opened(id, result)
            }
            FromHandler::Came(stream) => Event::Came {
                peer,
                connection,
                stream,
            },
        };
        self.actions.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // The driver opens and polls in the same task: nobody has to be woken.
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => Poll::Pending,
        }
    }
}

/// What a connection has to tell.
#[derive(Debug)]
pub(crate) enum FromHandler {
    Opened(OpenId, Result<Stream, NotOpened>),
    Came(Stream),
}

/// One connection. It is polled before the next stream is taken off the muxer, so that little waits here.
#[derive(Debug, Default)]
pub(crate) struct Handler {
    wanted: VecDeque<OpenId>,
    told: VecDeque<FromHandler>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenId;
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenId;

    fn listen_protocol(&self) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, id: OpenId) {
        self.wanted.push_back(id);
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, OpenId, FromHandler>> {
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        if let Some(id) = self.wanted.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), id)
                .with_timeout(STREAM_HEADER_TIME);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), OpenId>,
    ) {
        self.told.push_back(match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => FromHandler::Came(stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => FromHandler::Opened(info, Ok(stream)),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let why = match error {
                    StreamUpgradeError::NegotiationFailed => NotOpened::Unsupported,
                    StreamUpgradeError::Apply(_)
                    | StreamUpgradeError::Io(_)
                    | StreamUpgradeError::Timeout => NotOpened::Broken,
                };
                FromHandler::Opened(info, Err(why))
            }
            _ => return,
        });
    }
}
