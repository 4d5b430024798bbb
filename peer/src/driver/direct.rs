//! The message protocol: direct messages, both ways. The receiver answers when it has stored the message, not before.

use libp2p::{
    PeerId,
    request_response::{self, OutboundFailure},
    swarm::ConnectionId,
};
use moim_protocol::{
    UnixMillis, limits,
    message::{MessageId, Request, Response},
    outbox::{FailureReason, OutboxAction, OutboxError},
    text::Text,
    wire::{ErrorCode, WireError},
};
use moim_room::{Input, RequestId};
use web_time::Instant;

use super::{Driver, asks::failure, rooms::MachineId};
use crate::{
    command::Reply, error::SendError, event::PeerEvent, history::DirectMessage, platform,
    reason::Setback, snapshot::Receipt,
};

/// A message as the handle gives it.
#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) id: MessageId,
    pub(super) to: PeerId,
    pub(super) text: Text,
}

/// What a request of the message protocol is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transmission {
    /// A direct message.
    Direct(MessageId),
    /// What was missed of a room.
    CatchUp(MachineId, RequestId),
}

/// A message that waits for its receipt.
#[derive(Debug)]
pub(super) struct PendingSend {
    message: NewMessage,
    sent: u64,
    reply: Reply<Result<Receipt, SendError>>,
}

impl PendingSend {
    pub(super) fn is_to(&self, peer: &PeerId) -> bool {
        self.message.to == *peer
    }
}

impl Driver {
    pub(super) fn send(
        &mut self,
        message: NewMessage,
        reply: Reply<Result<Receipt, SendError>>,
        now: Instant,
    ) {
        let sent = platform::wall();
        match self
            .outbox
            .send(message.id, message.to, message.text.clone(), sent, now)
        {
            Ok(()) => {
                self.sends.insert(
                    message.id,
                    PendingSend {
                        message,
                        sent: sent.0,
                        reply,
                    },
                );
            }
            Err(OutboxError::Full) => {
                let _ = reply.send(Err(SendError::Busy));
            }
            Err(OutboxError::Duplicate) => {
                let _ = reply.send(Err(SendError::Duplicate));
            }
        }
    }

    pub(super) fn advance_outbox(&mut self, now: Instant) {
        for action in self.outbox.next(now) {
            match action {
                OutboxAction::Transmit { id, to, body } => self.transmit(id, to, body, now),
                OutboxAction::Failed { id, reason, .. } => {
                    let Some(pending) = self.sends.remove(&id) else {
                        continue;
                    };
                    let error = match reason {
                        FailureReason::Deadline { last } => SendError::NoReceipt {
                            seconds: limits::OUTBOX_DEADLINE.as_secs(),
                            last: last.unwrap_or(Setback::NoAnswer),
                        },
                        FailureReason::Refused(Setback::Answered(code)) => SendError::Refused(code),
                        FailureReason::Refused(_) => SendError::Refused(ErrorCode::Other),
                        FailureReason::Unsupported => SendError::Unsupported,
                    };
                    let _ = pending.reply.send(Err(error));
                }
            }
        }
    }

    fn transmit(&mut self, id: MessageId, to: PeerId, body: Vec<u8>, now: Instant) {
        if self.connections.is_connected(&to) {
            self.request_message(to, body, Transmission::Direct(id));
            return;
        }
        // The next attempt finds the connection, if there is one to be had.
        let last = self.reaching.last_error(&to);
        let why = last.map_or(Setback::NotConnected, Setback::Unreached);
        if !self.reaching.is_dialling(&to) {
            self.reaching.urge(to, now);
        }
        self.outbox.failure(id, why, now);
    }

    pub(super) fn request_message(&mut self, to: PeerId, body: Vec<u8>, what: Transmission) {
        let request = self.swarm.behaviour_mut().message.send_request(&to, body);
        self.transmissions.insert(request, what);
    }

    pub(super) fn outbox_connected(&mut self, peer: &PeerId, now: Instant) {
        self.outbox.connected(peer, now);
    }

    pub(super) fn on_message(&mut self, event: moim_rpc::Event, now: Instant) {
        match event {
            request_response::Event::Message {
                peer,
                connection_id,
                message:
                    request_response::Message::Request {
                        request, channel, ..
                    },
            } => {
                let answer = self.answer_message(peer, connection_id, &request, now);
                // The sender tries again if this does not reach it, and is told the same.
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .message
                    .send_response(channel, answer.encode());
            }
            request_response::Event::Message {
                connection_id,
                message:
                    request_response::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => match self.transmissions.remove(&request_id) {
                Some(Transmission::Direct(id)) => {
                    let response = Response::decode(&response);
                    self.on_receipt(id, connection_id, response, now);
                }
                Some(Transmission::CatchUp(room, request)) => {
                    let body = response;
                    self.tell_room(room, Input::Answered { request, body }, now);
                }
                None => {}
            },
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => match self.transmissions.remove(&request_id) {
                Some(Transmission::Direct(id)) => {
                    if matches!(error, OutboundFailure::Timeout) {
                        self.doubt_peer(&peer, now);
                    }
                    tracing::debug!(%peer, %error, "a direct message is not answered");
                    let why = match error {
                        OutboundFailure::UnsupportedProtocols => {
                            self.outbox.unsupported(id, now);
                            return;
                        }
                        OutboundFailure::Timeout => Setback::NoAnswer,
                        OutboundFailure::DialFailure => Setback::NotConnected,
                        OutboundFailure::ConnectionClosed | OutboundFailure::Io(_) => {
                            Setback::Broken
                        }
                    };
                    self.outbox.failure(id, why, now);
                }
                Some(Transmission::CatchUp(room, request)) => {
                    tracing::debug!(%peer, %error, "not answered what was missed");
                    let why = failure(&error);
                    self.tell_room(room, Input::Failed { request, why }, now);
                }
                None => {}
            },
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_receipt(
        &mut self,
        id: MessageId,
        connection: ConnectionId,
        response: Result<Response, WireError>,
        now: Instant,
    ) {
        match response {
            Ok(Response::Accepted { id: accepted }) if accepted == id => {
                self.delivered(id, connection);
            }
            Ok(Response::Accepted { .. } | Response::Missed { .. }) => {
                self.outbox.failure(id, Setback::Nonsense, now);
            }
            Ok(Response::Error { code, reason }) => {
                tracing::debug!(%code, %reason, "a direct message is refused");
                let why = Setback::Answered(code);
                if code.is_retryable() {
                    self.outbox.failure(id, why, now);
                } else {
                    self.outbox.refused(id, why, now);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "an answer is no receipt");
                self.outbox.failure(id, Setback::Nonsense, now);
            }
        }
    }

    fn answer_message(
        &mut self,
        from: PeerId,
        connection: ConnectionId,
        body: &[u8],
        now: Instant,
    ) -> Response {
        let is_member = self.rooms.have_member(&from);
        // Nothing is read for who has no share left.
        if !self.shares.direct.has(from, is_member, 1, body.len(), now) {
            return Response::error(ErrorCode::Busy, "too many messages at once");
        }
        let request = Request::decode(body);
        // The answer to who missed something has a share of its own.
        if !matches!(request, Ok(Request::CatchUp { .. })) {
            self.shares.direct.spend(from, 1, body.len(), now);
        }
        match request {
            Ok(Request::Text { id, text, sent }) => {
                self.take_direct(from, connection, id, text, sent)
            }
            Ok(Request::CatchUp {
                topic,
                said,
                known,
                member_for,
            }) => {
                let asked = |ask| Input::AskedMissed {
                    ask,
                    from,
                    said,
                    known,
                    member_for,
                };
                self.answer_catch_up(topic, from, asked, now)
            }
            Err(error) => Response::from(&error),
        }
    }

    fn take_direct(
        &mut self,
        from: PeerId,
        connection: ConnectionId,
        id: MessageId,
        text: Text,
        sent: UnixMillis,
    ) -> Response {
        // A repeated message has lost its receipt on the way, not itself.
        let (rooms, history) = (&self.rooms, &self.history);
        // Anybody can be a member under any number of names; to whom the user has written is its own choice.
        let standing = |peer: &PeerId| (history.is_answered(peer), rooms.have_member(peer));
        if self.received.insert(from, id, standing) {
            let path = self.connections.path(connection);
            let message = DirectMessage {
                id,
                from,
                to: self.me,
                text,
                sent: sent.0,
                path,
            };
            self.history.push(from, message.clone());
            self.events.emit(PeerEvent::DirectMessage(message));
        }
        Response::Accepted { id }
    }

    fn delivered(&mut self, id: MessageId, connection: ConnectionId) {
        self.outbox.accepted(id);
        let Some(pending) = self.sends.remove(&id) else {
            return;
        };
        let path = self.connections.path(connection);
        let NewMessage { to, text, .. } = pending.message;
        let message = DirectMessage {
            id,
            from: self.me,
            to,
            text,
            sent: pending.sent,
            path,
        };
        self.history.push(to, message);
        let _ = pending.reply.send(Ok(Receipt { id, to, path }));
    }
}
