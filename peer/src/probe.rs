//! Asks one connection for a sign of life when it is in doubt.
//!
//! libp2p's ping has a time of its own, and forgives the first failure. This one opens a stream of the
//! same protocol (libp2p's ping) on the connection that it is told, and says when something has come
//! back. How long that may take is the caller's to decide.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{DeniedUpgrade, ReadyUpgrade},
    },
    ping,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamProtocol, SubstreamProtocol, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedOutbound},
    },
};

/// What a ping carries: the other side sends the same back.
const PAYLOAD: [u8; 32] = *b"is this connection still alive??";

/// The connection is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered(pub(crate) ConnectionId);

/// Pings single connections. What waits is bounded by their number: the caller asks for one at a time.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    actions: VecDeque<ToSwarm<Answered, Ping>>,
}

/// What a handler is told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping;

impl Behaviour {
    /// Pings one connection. [`Answered`] comes if it is alive, and nothing if it is not.
    pub(crate) fn ping(&mut self, peer_id: PeerId, connection: ConnectionId) {
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event: Ping,
        });
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Answered;

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

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        connection: ConnectionId,
        (): THandlerOutEvent<Self>,
    ) {
        self.actions
            .push_back(ToSwarm::GenerateEvent(Answered(connection)));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // The driver asks and polls in the same task: nobody has to be woken.
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => Poll::Pending,
        }
    }
}

/// One connection. An error is an answer too: from a dead connection nothing comes back at all, and an
/// end that does not speak ping says so.
#[derive(Default)]
pub(crate) struct Handler {
    asked: bool,
    exchange: Option<BoxFuture<'static, io::Result<()>>>,
    answered: bool,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Ping;
    type ToBehaviour = ();
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn on_behaviour_event(&mut self, Ping: Ping) {
        self.asked = true;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), ()>> {
        if std::mem::take(&mut self.asked) {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(ping::PROTOCOL_NAME), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if let Some(exchange) = &mut self.exchange
            && exchange.poll_unpin(cx).is_ready()
        {
            self.exchange = None;
            self.answered = true;
        }
        if std::mem::take(&mut self.answered) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(()));
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: mut stream,
                ..
            }) => {
                stream.ignore_for_keep_alive();
                self.exchange = Some(exchange(stream).boxed());
            }
            ConnectionEvent::DialUpgradeError(error) => {
                self.answered |= !matches!(error.error, libp2p::swarm::StreamUpgradeError::Timeout);
            }
            _ => {}
        }
    }
}

async fn exchange(mut stream: Stream) -> io::Result<()> {
    stream.write_all(&PAYLOAD).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0; PAYLOAD.len()]).await?;
    stream.close().await
}
