//! kad's handler of a connection, made to end the stream of a record that is refused.
//!
//! kad 0.49 asks its handler for that (`HandlerIn::Reset`), and the handler closes the stream; but it
//! does so when the stream is polled again, and nothing wakes it for that (`InboundSubstreamState::close`
//! lets go of the waker). The stream is polled once after its request was read, though, and what is
//! closed by then ends at once. So the handler isn't polled between a record and what became of it, which takes
//! as long as one event needs to the behaviour and one back.

use std::task::{Context, Poll};

use libp2p::{
    kad,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, NetworkBehaviour, SubstreamProtocol,
        THandlerInEvent, THandlerOutEvent, handler::ConnectionEvent,
    },
};

use crate::store::Store;

type Kad = <kad::Behaviour<Store> as NetworkBehaviour>::ConnectionHandler;

/// What kad tells its handler.
pub(super) type KadIn = THandlerInEvent<kad::Behaviour<Store>>;

/// What kad's handler tells it.
pub(super) type KadOut = THandlerOutEvent<kad::Behaviour<Store>>;

/// What the handler of a connection is told.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all of them are of the large kind, and each is moved on at once"
)]
pub enum ToHandler {
    /// What kad says.
    Kad(KadIn),
    /// The record that came last is taken. Its acknowledgement may still have to wait.
    Taken,
}

/// kad's handler of a connection, which waits until it is known what becomes of a record.
pub struct Handler {
    kad: Kad,
    /// Whether it isn't known yet what becomes of the record that came last.
    is_judging: bool,
}

impl Handler {
    pub(super) fn new(kad: Kad) -> Self {
        Self {
            kad,
            is_judging: false,
        }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("is_judging", &self.is_judging)
            .finish_non_exhaustive()
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = KadOut;
    type InboundProtocol = <Kad as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Kad as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <Kad as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <Kad as ConnectionHandler>::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.kad.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.kad.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        // The connection polls again after what the behaviour says: nobody has to be woken.
        if self.is_judging {
            return Poll::Pending;
        }
        let event = self.kad.poll(cx);
        self.is_judging = matches!(
            event,
            Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(
                KadOut::PutRecord { .. }
            ))
        );
        event
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.kad.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {
            ToHandler::Taken => self.is_judging = false,
            ToHandler::Kad(event) => {
                if matches!(event, KadIn::Reset(_)) {
                    self.is_judging = false;
                }
                self.kad.on_behaviour_event(event);
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.kad.on_connection_event(event);
    }
}
