//! Direct messages, both ways: what waits for its receipt, what was received before, and what was said. A pure
//! machine: it says what to send and whom to connect to, and is told what came of it.

use std::collections::HashMap;

use libp2p::PeerId;
use moim_protocol::{
    UnixMillis, limits,
    message::{MessageId, Response},
    outbox::{FailureReason, Outbox, OutboxAction, OutboxError},
    seen::SeenByPeer,
    text::Text,
    wire::ErrorCode,
};
use web_time::Instant;

use crate::{
    command::Reply,
    error::SendError,
    history::{DirectMessage, History},
    reason::{Setback, Unreached},
    snapshot::{Path, Receipt},
};

/// What was written to somebody, here or there.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) id: MessageId,
    pub(super) text: Text,
    /// By the author's clock.
    pub(super) sent: UnixMillis,
}

/// How a receiver can be reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connected,
    /// Not connected, and a dial is under way.
    Dialling(Option<Unreached>),
    /// Not connected, and nobody dials. With what the last dial failed with.
    Down(Option<Unreached>),
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Dial this peer: there is something for it.
    Connect(PeerId),
    /// Send `body` to `to`, which is connected. [`Direct::answered`] or [`Direct::failed`] follows.
    Request {
        id: MessageId,
        to: PeerId,
        body: Vec<u8>,
    },
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another try may succeed.
    Setback(Setback),
    /// The other program does not speak the protocol.
    Unsupported,
}

/// A message that waits for its receipt.
#[derive(Debug)]
struct Waiting {
    to: PeerId,
    letter: Letter,
    reply: Reply<Result<Receipt, SendError>>,
}

/// Every direct message of this session. Bounded by the outbox, the histories and what is remembered of each peer.
#[derive(Debug)]
pub(super) struct Direct {
    me: PeerId,
    outbox: Outbox<Setback>,
    waiting: HashMap<MessageId, Waiting>,
    received: SeenByPeer<PeerId, MessageId>,
    history: History,
}

impl Direct {
    pub(super) fn new(me: PeerId) -> Self {
        Self {
            me,
            outbox: Outbox::new(),
            waiting: HashMap::new(),
            received: SeenByPeer::new(limits::SEEN_PER_PEER, limits::SEEN_MAX),
            history: History::default(),
        }
    }

    /// Takes a message for `to`. The reply is answered with its receipt, or why there is none.
    pub(super) fn send(
        &mut self,
        to: PeerId,
        letter: Letter,
        reply: Reply<Result<Receipt, SendError>>,
        now: Instant,
    ) {
        let Letter { id, text, sent } = letter.clone();
        let refused = match self.outbox.send(id, to, text, sent, now) {
            Ok(()) => {
                self.waiting.insert(id, Waiting { to, letter, reply });
                return;
            }
            Err(OutboxError::Full) => SendError::Busy,
            Err(OutboxError::Duplicate) => SendError::Duplicate,
        };
        // Nobody may be waiting any more; here and below.
        let _ = reply.send(Err(refused));
    }

    /// What is due. `link` says how a receiver can be reached.
    pub(super) fn handle_timeout(
        &mut self,
        link: impl Fn(&PeerId) -> Link,
        now: Instant,
    ) -> Vec<Output> {
        let mut outputs = Vec::new();
        for action in self.outbox.next(now) {
            match action {
                OutboxAction::Transmit { id, to, body } => {
                    let last = match link(&to) {
                        Link::Connected => {
                            outputs.push(Output::Request { id, to, body });
                            continue;
                        }
                        Link::Dialling(last) => last,
                        Link::Down(last) => {
                            outputs.push(Output::Connect(to));
                            last
                        }
                    };
                    // The next attempt finds the connection, if there is one to be had.
                    let why = last.map_or(Setback::NotConnected, Setback::Unreached);
                    self.outbox.failure(id, why, now);
                }
                OutboxAction::Failed { id, reason, .. } => self.give_up(id, reason),
            }
        }
        outputs
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.outbox.poll_timeout()
    }

    fn give_up(&mut self, id: MessageId, reason: FailureReason<Setback>) {
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        let error = match reason {
            FailureReason::Deadline { last } => SendError::NoReceipt {
                after: limits::OUTBOX_DEADLINE,
                last: last.unwrap_or(Setback::NoAnswer),
            },
            FailureReason::Refused(Setback::Answered(code)) => SendError::Refused(code),
            FailureReason::Refused(_) => SendError::Refused(ErrorCode::Other),
            FailureReason::Unsupported => SendError::Unsupported,
        };
        let _ = waiting.reply.send(Err(error));
    }

    /// A connection to a peer has come up.
    pub(super) fn connected(&mut self, peer: &PeerId, now: Instant) {
        self.outbox.connected(peer, now);
    }

    /// The receiver has answered the request of a message, on a connection of this `path`.
    pub(super) fn answered(
        &mut self,
        id: MessageId,
        body: &[u8],
        path: Option<Path>,
        now: Instant,
    ) {
        match Response::decode(body) {
            Ok(Response::Accepted { id: accepted }) if accepted == id => self.delivered(id, path),
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

    /// The request of a message has no answer.
    pub(super) fn failed(&mut self, id: MessageId, why: Failure, now: Instant) {
        match why {
            Failure::Setback(why) => self.outbox.failure(id, why, now),
            Failure::Unsupported => self.outbox.unsupported(id, now),
        }
    }

    fn delivered(&mut self, id: MessageId, path: Option<Path>) {
        self.outbox.accepted(id);
        let Some(Waiting { to, letter, reply }) = self.waiting.remove(&id) else {
            return;
        };
        let from = self.me;
        self.remember(from, to, letter, path);
        let _ = reply.send(Ok(Receipt { id, to, path }));
    }

    /// A peer has sent a message. Returns it if it is new: a repeated one has lost its receipt on the way, not
    /// itself. Whoever is a member, or was written to, is remembered longer than a stranger.
    pub(super) fn received(
        &mut self,
        from: PeerId,
        letter: Letter,
        path: Option<Path>,
        is_member: impl Fn(&PeerId) -> bool,
    ) -> Option<DirectMessage> {
        let history = &self.history;
        // Anybody can be a member under any number of names; to whom the user has written is its own choice.
        let standing = |peer: &PeerId| (history.is_answered(peer), is_member(peer));
        if !self.received.insert(from, letter.id, standing) {
            return None;
        }
        Some(self.remember(from, self.me, letter, path))
    }

    fn remember(
        &mut self,
        from: PeerId,
        to: PeerId,
        letter: Letter,
        path: Option<Path>,
    ) -> DirectMessage {
        let other = if from == self.me { to } else { from };
        let message = DirectMessage {
            id: letter.id,
            from,
            to,
            text: letter.text,
            sent: letter.sent,
            path,
        };
        self.history.push(other, message.clone());
        message
    }

    /// What was said between this peer and another one.
    pub(super) fn conversation(&self, other: &PeerId) -> Vec<DirectMessage> {
        self.history.conversation(other)
    }

    /// Whether something waits for a receipt of this peer.
    pub(super) fn is_writing_to(&self, peer: &PeerId) -> bool {
        self.waiting.values().any(|waiting| waiting.to == *peer)
    }
}

#[cfg(test)]
mod tests;
