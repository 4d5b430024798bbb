//! Direct messages that wait for their receipt.
//!
//! The outbox decides when a message is sent, when it is tried again and when it has failed; the
//! caller sends and reports. Messages to one receiver go one after the other, so that they arrive
//! in the order in which they were written.

use std::collections::{BTreeMap, HashMap, VecDeque};

use libp2p_identity::PeerId;
use thiserror::Error;
use web_time::Instant;

use crate::{
    backoff::doubled,
    limits::{OUTBOX_DEADLINE, OUTBOX_MAX, OUTBOX_RETRY_BASE, OUTBOX_RETRY_MAX},
    message::{MessageId, Request},
    text::Text,
    time::{UnixMillis, after},
};

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OutboxError {
    /// A message with this id waits already.
    #[error("a message with this id is waiting already")]
    Duplicate,
    /// [`OUTBOX_MAX`] messages wait.
    #[error("{OUTBOX_MAX} messages wait for their receipt already")]
    Full,
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxAction<W> {
    /// The message was not delivered, and is not tried any more.
    Failed {
        /// The message.
        id: MessageId,
        /// Whom it was for.
        to: PeerId,
        /// Why.
        reason: FailureReason<W>,
    },
    /// Send `body` on a stream of [`MESSAGE_PROTOCOL`](crate::names::MESSAGE_PROTOCOL) and report
    /// what came of it: [`Outbox::accepted`] or [`Outbox::failure`].
    Transmit {
        /// The message.
        id: MessageId,
        /// Whom it is for.
        to: PeerId,
        /// The request to be sent.
        body: Vec<u8>,
    },
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureReason<W> {
    /// [`OUTBOX_DEADLINE`] passed without a receipt.
    Deadline {
        /// What the last attempt failed with, if one has failed.
        last: Option<W>,
    },
    /// The receiver gave a reason for which no other attempt can succeed.
    Refused(W),
    /// The program at the other end does not speak
    /// [`MESSAGE_PROTOCOL`](crate::names::MESSAGE_PROTOCOL).
    Unsupported,
}

/// A message that its receiver has accepted and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The message.
    pub id: MessageId,
    /// Who has it.
    pub to: PeerId,
}

#[derive(Debug)]
enum Step {
    InFlight,
    Waiting { until: Instant },
}

#[derive(Debug)]
struct Entry<W> {
    to: PeerId,
    body: Vec<u8>,
    deadline: Instant,
    step: Step,
    failures: u32,
    last: Option<W>,
}

/// Messages that wait for their receipt, at most [`OUTBOX_MAX`]. `W` says why an attempt has failed. See the
/// [module](self).
#[derive(Debug)]
pub struct Outbox<W> {
    entries: HashMap<MessageId, Entry<W>>,
    /// Per receiver in the order of writing; no queue is empty.
    queues: BTreeMap<PeerId, VecDeque<MessageId>>,
    /// Failed for good, not yet reported.
    failed: Vec<(Instant, OutboxAction<W>)>,
}

impl<W> Default for Outbox<W> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            queues: BTreeMap::new(),
            failed: Vec::new(),
        }
    }
}

impl<W> Outbox<W> {
    /// Nothing waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a message; [`next`](Self::next) then says when to send it. `sent` is the wall clock of
    /// its writing.
    pub fn send(
        &mut self,
        id: MessageId,
        to: PeerId,
        text: Text,
        sent: UnixMillis,
        now: Instant,
    ) -> Result<(), OutboxError> {
        if self.entries.contains_key(&id) {
            return Err(OutboxError::Duplicate);
        }
        if self.entries.len().saturating_add(self.failed.len()) >= OUTBOX_MAX {
            return Err(OutboxError::Full);
        }
        let entry = Entry {
            to,
            body: Request::Text { id, text, sent }.encode(),
            deadline: after(now, OUTBOX_DEADLINE),
            step: Step::Waiting { until: now },
            failures: 0,
            last: None,
        };
        self.entries.insert(id, entry);
        self.queues.entry(to).or_default().push_back(id);
        Ok(())
    }

    /// What is to be done at `now`.
    pub fn next(&mut self, now: Instant) -> Vec<OutboxAction<W>> {
        let mut actions: Vec<_> = self.failed.drain(..).map(|(_, action)| action).collect();
        actions.extend(self.overdue(now));
        for (&to, queue) in &self.queues {
            let Some(&id) = queue.front() else { continue };
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            if matches!(entry.step, Step::Waiting { until } if until <= now) {
                entry.step = Step::InFlight;
                actions.push(OutboxAction::Transmit {
                    id,
                    to,
                    body: entry.body.clone(),
                });
            }
        }
        actions
    }

    fn overdue(&mut self, now: Instant) -> Vec<OutboxAction<W>> {
        let ids: Vec<MessageId> = self
            .queues
            .values()
            .flatten()
            .filter(|id| {
                self.entries
                    .get(id)
                    .is_some_and(|entry| entry.deadline <= now)
            })
            .copied()
            .collect();
        ids.into_iter()
            .filter_map(|id| {
                let Entry { to, last, .. } = self.remove(id)?;
                Some(OutboxAction::Failed {
                    id,
                    to,
                    reason: FailureReason::Deadline { last },
                })
            })
            .collect()
    }

    /// When [`next`](Self::next) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let heads =
            self.queues
                .values()
                .filter_map(|queue| match self.entries.get(queue.front()?)?.step {
                    Step::Waiting { until } => Some(until),
                    Step::InFlight => None,
                });
        let deadlines = self.entries.values().map(|entry| entry.deadline);
        let failed = self.failed.iter().map(|&(at, _)| at);
        heads.chain(deadlines).chain(failed).min()
    }

    /// The receiver has it. `None` if it is not waited for (any more): a second receipt, or one
    /// that came after the failure was reported.
    pub fn accepted(&mut self, id: MessageId) -> Option<Delivered> {
        let entry = self.remove(id)?;
        Some(Delivered { id, to: entry.to })
    }

    /// An attempt has failed in a way that another one may not: no connection, no answer,
    /// [`busy`](crate::wire::ErrorCode::is_retryable).
    pub fn failure(&mut self, id: MessageId, why: W, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&id)
            && matches!(entry.step, Step::InFlight)
        {
            let wait = doubled(OUTBOX_RETRY_BASE, OUTBOX_RETRY_MAX, entry.failures);
            entry.step = Step::Waiting {
                until: after(now, wait),
            };
            entry.failures = entry.failures.saturating_add(1);
            entry.last = Some(why);
        }
    }

    /// The receiver does not take the message, and will not take it later.
    pub fn refused(&mut self, id: MessageId, why: W, now: Instant) {
        self.give_up(id, FailureReason::Refused(why), now);
    }

    /// The receiver's program does not take direct messages: no other attempt is of use.
    pub fn unsupported(&mut self, id: MessageId, now: Instant) {
        self.give_up(id, FailureReason::Unsupported, now);
    }

    fn give_up(&mut self, id: MessageId, reason: FailureReason<W>, now: Instant) {
        if let Some(Entry { to, .. }) = self.remove(id) {
            self.failed
                .push((now, OutboxAction::Failed { id, to, reason }));
        }
    }

    /// A connection to `peer` has come up: what waits for another try is tried at once.
    pub fn connected(&mut self, peer: &PeerId, now: Instant) {
        let head = self.queues.get(peer).and_then(VecDeque::front);
        if let Some(entry) = head.and_then(|id| self.entries.get_mut(id))
            && let Step::Waiting { until } = &mut entry.step
        {
            *until = now.min(*until);
        }
    }

    /// How many messages wait for their receipt.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn remove(&mut self, id: MessageId) -> Option<Entry<W>> {
        let entry = self.entries.remove(&id)?;
        if let Some(queue) = self.queues.get_mut(&entry.to) {
            queue.retain(|other| *other != id);
            if queue.is_empty() {
                self.queues.remove(&entry.to);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
