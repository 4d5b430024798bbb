//! Opens and takes signalling streams on one connection.

#![expect(
    unnameable_types,
    reason = "the behaviour's trait wants its handler to be public"
)]

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use futures::channel::oneshot;
use libp2p_core::upgrade::ReadyUpgrade;
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError,
    SubstreamProtocol,
    handler::{
        ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        ProtocolsChange,
    },
};

use crate::{error::OpenError, signaling};

/// Inbound streams of one connection that are on their way to the behaviour.
const INBOUND_MAX: usize = 4;

/// Answers a request for a stream. The stream, or why there is none.
pub(super) type Reply = oneshot::Sender<Result<Stream, OpenError>>;

/// What a connection tells the behaviour.
#[derive(Debug)]
pub enum FromHandler {
    /// The other side wants to signal.
    Inbound(Stream),
    /// What the other side says that it speaks.
    Speaks(Speaks),
}

/// Whether the other side speaks the signalling protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// It does.
    Signaling {
        /// And it knows the preferred upgrade too.
        preferred: bool,
    },
    /// It does not any more.
    Nothing,
}

/// What the behaviour wants of a connection: a signalling stream.
#[derive(Debug)]
pub struct OpenStream(pub(super) Reply);

/// See the [module](self).
#[derive(Debug)]
pub struct Handler {
    /// The protocols of the preferred upgrade, if we know one.
    preferred: Vec<StreamProtocol>,
    wanted: VecDeque<Reply>,
    events: VecDeque<FromHandler>,
}

impl Handler {
    pub(super) fn new(preferred: Vec<StreamProtocol>) -> Self {
        Self {
            preferred,
            wanted: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What a change of the other side's protocols says of ours.
    fn speaks(&self, change: ProtocolsChange<'_>) -> Option<Speaks> {
        match change {
            ProtocolsChange::Added(names) => {
                let (mut signaling, mut preferred) = (false, false);
                for name in names {
                    signaling |= *name == signaling::PROTOCOL;
                    preferred |= self.preferred.contains(name);
                }
                signaling.then_some(Speaks::Signaling { preferred })
            }
            ProtocolsChange::Removed(mut names) => names
                .any(|name| *name == signaling::PROTOCOL)
                .then_some(Speaks::Nothing),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenStream;
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(signaling::PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, OpenStream(reply): OpenStream) {
        self.wanted.push_back(reply);
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
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if self.events.len() < INBOUND_MAX => {
                self.events.push_back(FromHandler::Inbound(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: reply,
            }) => {
                // Nobody waits any more: dropping the stream tells the other side.
                let _ = reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info: reply }) => {
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    other => OpenError::Failed(other.to_string()),
                };
                let _ = reply.send(Err(error));
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                if let Some(speaks) = self.speaks(change) {
                    self.events.push_back(FromHandler::Speaks(speaks));
                }
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(reply) = self.wanted.pop_front() {
            let protocol = ReadyUpgrade::new(signaling::PROTOCOL);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(protocol, reply),
            });
        }
        Poll::Pending
    }
}
