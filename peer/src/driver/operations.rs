//! Puts and gets: the DHT as a store of values. A pure machine: it says what to ask of the DHT, and is told what came
//! of it.
//!
//! A put finds the servers closest to its key, hands the value to the closest [`QUORUM`] of them, and is answered
//! when they have it; the others follow. A get asks the closest and is answered when two of them have the
//! same newest value: these are among those that a put waits for. A put does not read before it writes, because its
//! sequence is a time. If somebody's clock is ahead, servers refuse it; then it reads, and counts on from there.

mod draft;
mod found;

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    time::Duration,
};

use libp2p::{PeerId, identity::Keypair};
use moim_protocol::{
    UnixMillis, limits,
    presence::next_sequence,
    record::{Record, RecordKey, SignRecordError, SignedRecord},
};
use web_time::Instant;

use self::{
    draft::{Draft, Put, Rest},
    found::Found,
};
use crate::{
    command::Reply,
    error::{GetError, PutError},
    reason::{InvalidValue, NotInDht},
    snapshot::{Stored, Value},
};

/// Puts and gets under way at once. Each may have a stream to every server, and kad 0.49 drops what comes on more
/// than 32 streams of a connection at one time; the rest is for other queries.
const OPERATIONS_MAX: usize = 24;

/// Puts and gets that wait for their turn: 10 MiB of values at most, and some seconds of work.
const WAITING_MAX: usize = 1_024;

/// How often it is looked whether servers answer more questions, when they were asked for as much as they answer.
const PACE_CHECK: Duration = Duration::from_millis(50);

/// Servers that have a value when its put is answered: more than half of the twenty that are to keep it, the
/// closest first; all, where there are fewer.
const QUORUM: usize = 11;

/// Servers that are given a value at one time once its put is answered. Whoever asks for it next is not kept waiting
/// by those who check it, and a peer that stops has all of them asked within a few round trips.
const FOLLOWING: usize = 3;

/// Servers that are asked first who is closest to the key of a put. Where they name nobody closer than those that are
/// known here, the value goes to these; in a network that is larger than the routing table the farther copies may
/// lie a little farther off than they could. Nobody misses them who asks the closest first.
const CONFIRMING: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Servers that are to keep a value (`K_VALUE` of kad).
const KEEPERS: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// Servers that a get asks first (`PARALLELISM` of `moim_dht`), and the next.
const ASKED_FIRST: usize = 3;

/// Names a put or get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OperationId(u64);

/// What the machine wants done.
#[derive(Clone, Debug)]
pub(super) enum Output {
    /// A value has more copies than its put was answered with.
    Grown(Stored),
    /// Ask so many of the closest servers who is closest to a key. [`Operations::servers_found`] follows.
    FindServers {
        id: OperationId,
        key: RecordKey,
        servers: NonZeroUsize,
    },
    /// Hand a value to these servers. [`Operations::handed_over`] follows.
    HandOver {
        id: OperationId,
        signed: SignedRecord,
        servers: Vec<PeerId>,
    },
    /// Keep a copy, if this peer is a server itself.
    Keep(SignedRecord),
    /// Look a value up. [`Operations::value`] and [`Operations::looked_up`] follow.
    LookUp { id: OperationId, key: RecordKey },
}

/// What the machine asks of the DHT as it is now.
pub(super) trait Dht {
    /// Why this peer is not in the DHT; `None` if it is.
    fn why_not(&self) -> Option<NotInDht>;
    /// Whether as many queries are under way as may be.
    fn is_full(&self) -> bool;
    /// Whether so many of the servers closest to a key take so many more questions each.
    fn has_room(&mut self, key: &RecordKey, servers: usize, questions: u32) -> bool;
    /// The servers that are known here to be closest to a key, the closest first.
    fn closest_known(&mut self, key: &RecordKey) -> Vec<PeerId>;
    /// Whether a server has not answered lately.
    fn keeps_silent(&self, server: &PeerId) -> bool;
}

/// Which of the servers that were asked took a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Took {
    All,
    These(Vec<PeerId>),
}

/// A put or get that waits for its turn.
#[derive(Debug)]
enum Waiting {
    Put(Draft),
    Get {
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
    },
}

impl Waiting {
    fn key(&self) -> &RecordKey {
        match self {
            Self::Put(draft) => draft.key(),
            Self::Get { key, .. } => key,
        }
    }

    /// The closest servers that it asks, and how often each.
    fn questions(&self) -> (usize, u32) {
        match self {
            Self::Put(_) => (QUORUM, 2),
            Self::Get { .. } => (ASKED_FIRST, 1),
        }
    }

    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Put(draft) => draft.is_abandoned(),
            Self::Get { reply, .. } => reply.is_closed(),
        }
    }

    fn fail_busy(self) {
        // Whoever asked may have lost interest; here and below.
        match self {
            Self::Put(draft) => draft.refuse(PutError::Busy),
            Self::Get { reply, .. } => {
                let _ = reply.send(Err(GetError::Busy));
            }
        }
    }

    fn fail_not_connected(self, why: NotInDht) {
        match self {
            Self::Put(draft) => draft.refuse(PutError::NotConnected(why)),
            Self::Get { reply, .. } => {
                let _ = reply.send(Err(GetError::NotConnected(why)));
            }
        }
    }
}

/// How far a put or get under way has come.
#[derive(Debug)]
enum Stage {
    /// The servers are to be found: so many were asked.
    Finding(Draft, NonZeroUsize),
    /// The closest servers are being given the value.
    Putting(Put),
    /// It is answered; the other servers are being given the value.
    Following(Rest),
    /// A value is looked up for whoever asked for it.
    Getting {
        key: RecordKey,
        found: Found,
        reply: Reply<Result<Option<Value>, GetError>>,
    },
    /// Somebody refused a put: what is there is looked up.
    Reading(Draft, Found),
}

/// All puts and gets.
#[derive(Debug)]
pub(super) struct Operations {
    me: PeerId,
    keypair: Keypair,
    /// Of the last value that was put: of two in a millisecond the second is newer.
    last_sequence: u64,
    next: u64,
    waiting: VecDeque<Waiting>,
    open: BTreeMap<OperationId, Stage>,
    outputs: VecDeque<Output>,
    next_check: Option<Instant>,
}

impl Operations {
    pub(super) fn new(keypair: Keypair) -> Self {
        Self {
            me: keypair.public().to_peer_id(),
            keypair,
            last_sequence: 0,
            next: 0,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            outputs: VecDeque::new(),
            next_check: None,
        }
    }

    /// Signs a value and has it stored.
    pub(super) fn put(
        &mut self,
        key: RecordKey,
        value: serde_json::Value,
        lifetime: Duration,
        reply: Reply<Result<Stored, PutError>>,
        dht: &impl Dht,
        wall: UnixMillis,
    ) {
        if !(limits::RECORD_TTL_MIN..=limits::RECORD_TTL_MAX).contains(&lifetime) {
            let _ = reply.send(Err(InvalidValue::Lifetime.into()));
            return;
        }
        self.last_sequence = next_sequence(self.last_sequence, wall);
        let record = Record {
            key,
            value,
            publisher: self.me,
            sequence: self.last_sequence,
            issued: wall,
            expires: wall.saturating_add(lifetime),
        };
        match record.sign(&self.keypair) {
            Ok(signed) => self.enqueue(Waiting::Put(Draft::new(signed, reply)), dht),
            Err(error) => {
                let why = match error {
                    SignRecordError::Invalid(error) => error.into(),
                    _ => InvalidValue::Other,
                };
                let _ = reply.send(Err(why.into()));
            }
        }
    }

    /// Has a value looked up.
    pub(super) fn get(
        &mut self,
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
        dht: &impl Dht,
    ) {
        self.enqueue(Waiting::Get { key, reply }, dht);
    }

    fn enqueue(&mut self, operation: Waiting, dht: &impl Dht) {
        if let Some(why) = dht.why_not() {
            operation.fail_not_connected(why);
        } else if self.waiting.len() >= WAITING_MAX {
            operation.fail_busy();
        } else {
            self.waiting.push_back(operation);
        }
    }

    /// What is to be done next. What there is room for begins in the order in which it was asked for.
    pub(super) fn poll_output(&mut self, dht: &mut impl Dht, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if !self.begin_next(dht, now) {
                return None;
            }
        }
    }

    /// Begins, refuses or drops the one that waits longest. Returns whether there was one that could be.
    fn begin_next(&mut self, dht: &mut impl Dht, now: Instant) -> bool {
        self.next_check = None;
        if self.open.len() >= OPERATIONS_MAX || dht.is_full() {
            return false;
        }
        let Some(next) = self.waiting.front() else {
            return false;
        };
        let (servers, questions) = next.questions();
        if !next.is_abandoned() && !dht.has_room(next.key(), servers, questions) {
            self.next_check = now.checked_add(PACE_CHECK);
            return false;
        }
        let Some(next) = self.waiting.pop_front() else {
            return false;
        };
        if next.is_abandoned() {
            return true;
        }
        if let Some(why) = dht.why_not() {
            next.fail_not_connected(why);
            return true;
        }
        self.next = self.next.wrapping_add(1);
        let id = OperationId(self.next);
        match next {
            Waiting::Put(draft) => self.find_servers(id, draft, CONFIRMING),
            Waiting::Get { key, reply } => {
                let found = Found::default();
                self.look_up(id, key.clone(), Stage::Getting { key, found, reply });
            }
        }
        true
    }

    /// When [`poll_output`](Self::poll_output) may have something that it has not now.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_check
    }

    /// Whether a value that was reported as stored is still being handed to others.
    pub(super) fn is_handing_over(&self) -> bool {
        let is_following = |stage: &Stage| matches!(stage, Stage::Following(_));
        self.open.values().any(is_following)
    }

    fn look_up(&mut self, id: OperationId, key: RecordKey, stage: Stage) {
        self.open.insert(id, stage);
        self.outputs.push_back(Output::LookUp { id, key });
    }

    /// A server has something of a key that is looked up. Returns whether that is enough.
    pub(super) fn value(&mut self, id: OperationId, bytes: &[u8], wall: UnixMillis) -> bool {
        let (key, found) = match self.open.get_mut(&id) {
            Some(Stage::Getting { key, found, .. }) => (&*key, found),
            Some(Stage::Reading(draft, found)) => (draft.key(), found),
            _ => return false,
        };
        found.take(key, bytes, wall);
        found.is_enough()
    }

    /// A lookup has ended. `is_answered` if any server has said anything, be it that there is nothing.
    pub(super) fn looked_up(&mut self, id: OperationId, is_answered: bool) {
        match self.open.remove(&id) {
            Some(Stage::Getting { key, found, reply }) => {
                let value = found.newest.map(|signed| {
                    let record = signed.record();
                    Value {
                        key,
                        value: record.value.clone(),
                        publisher: record.publisher,
                    }
                });
                let result = match value {
                    None if !is_answered => Err(GetError::NoAnswer),
                    value => Ok(value),
                };
                let _ = reply.send(result);
            }
            Some(Stage::Reading(draft, found)) => {
                if !is_answered && found.newest.is_none() {
                    draft.refuse(PutError::NoAnswer);
                    return;
                }
                let draft = draft.after(found.newest.as_ref(), &self.keypair);
                self.find_servers(id, draft, CONFIRMING);
            }
            other => self.put_back(id, other),
        }
    }

    /// Asks the closest servers who is closest to the key of a put.
    fn find_servers(&mut self, id: OperationId, draft: Draft, servers: NonZeroUsize) {
        let key = draft.key().clone();
        self.open.insert(id, Stage::Finding(draft, servers));
        self.outputs
            .push_back(Output::FindServers { id, key, servers });
    }

    /// The servers closest to the key of a put have answered, and named these, the closest first.
    pub(super) fn servers_found(
        &mut self,
        id: OperationId,
        mut servers: Vec<PeerId>,
        dht: &mut impl Dht,
    ) {
        let (draft, asked) = match self.open.remove(&id) {
            Some(Stage::Finding(draft, asked)) => (draft, asked),
            other => return self.put_back(id, other),
        };
        if asked == CONFIRMING {
            let mut known = dht.closest_known(draft.key());
            known.retain(|server| *server != self.me);
            if servers.is_empty() || servers.iter().any(|server| !known.contains(server)) {
                // They know what we do not.
                self.find_servers(id, draft, KEEPERS);
                return;
            }
            servers = known;
        }
        self.outputs.push_back(Output::Keep(draft.signed.clone()));
        if servers.is_empty() {
            draft.refuse(match dht.why_not() {
                None => PutError::NoAnswer,
                Some(_) => PutError::NotConnected(NotInDht::NoServer),
            });
            return;
        }
        let rest = servers.split_off(QUORUM.min(servers.len()));
        let signed = draft.signed.clone();
        let asked = servers.clone();
        self.open
            .insert(id, Stage::Putting(Put { draft, asked, rest }));
        self.outputs.push_back(Output::HandOver {
            id,
            signed,
            servers,
        });
    }

    /// The servers that were given a value have answered, or will not.
    pub(super) fn handed_over(&mut self, id: OperationId, took: Took, dht: &impl Dht) {
        match self.open.remove(&id) {
            Some(Stage::Putting(put)) => self.put_to_closest(id, put, took, dht),
            Some(Stage::Following(mut rest)) => {
                rest.stored.copies += match took {
                    Took::All => rest.asked,
                    Took::These(servers) => servers.len(),
                };
                self.hand_on(id, rest);
            }
            other => self.put_back(id, other),
        }
    }

    fn put_to_closest(&mut self, id: OperationId, put: Put, took: Took, dht: &impl Dht) {
        let Put { draft, asked, rest } = put;
        let kept = match took {
            Took::All => asked.clone(),
            Took::These(servers) => servers,
        };
        let is_refused = |server: &PeerId| !kept.contains(server) && !dht.keeps_silent(server);
        if !draft.has_read && (kept.is_empty() || asked.iter().any(is_refused)) {
            let key = draft.key().clone();
            self.look_up(id, key, Stage::Reading(draft, Found::default()));
            return;
        }
        if kept.is_empty() {
            let asked = asked.len();
            draft.refuse(PutError::Refused { asked });
            return;
        }
        let copies = kept.len();
        let key = draft.key().clone();
        tracing::debug!(%key, copies, "stored");
        let stored = Stored { key, copies };
        let _ = draft.reply.send(Ok(stored.clone()));
        let rest = Rest {
            signed: draft.signed,
            stored,
            reported: copies,
            asked: 0,
            rest,
        };
        self.hand_on(id, rest);
    }

    /// Hands a value whose put is answered to the next servers, or says how many have it in the end.
    fn hand_on(&mut self, id: OperationId, mut rest: Rest) {
        if rest.rest.is_empty() {
            if rest.stored.copies > rest.reported {
                self.outputs.push_back(Output::Grown(rest.stored));
            }
            return;
        }
        let later = rest.rest.split_off(FOLLOWING.min(rest.rest.len()));
        let servers = std::mem::replace(&mut rest.rest, later);
        rest.asked = servers.len();
        let signed = rest.signed.clone();
        self.open.insert(id, Stage::Following(rest));
        self.outputs.push_back(Output::HandOver {
            id,
            signed,
            servers,
        });
    }

    /// What is told of an operation fits no more: it goes on as it was.
    fn put_back(&mut self, id: OperationId, stage: Option<Stage>) {
        if let Some(stage) = stage {
            self.open.insert(id, stage);
        }
    }

    /// There is another swarm: nothing is under way any more. Whatever waits for its turn goes on waiting.
    pub(super) fn restarted(&mut self) {
        self.outputs.clear();
        let why = || NotInDht::Restarting;
        for stage in std::mem::take(&mut self.open).into_values() {
            match stage {
                Stage::Finding(draft, _) | Stage::Reading(draft, _) => {
                    draft.refuse(PutError::NotConnected(why()));
                }
                Stage::Putting(put) => put.draft.refuse(PutError::NotConnected(why())),
                // It was answered.
                Stage::Following(_) => {}
                Stage::Getting { reply, .. } => {
                    let _ = reply.send(Err(GetError::NotConnected(why())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
