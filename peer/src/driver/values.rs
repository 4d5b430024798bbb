//! Puts and gets: the DHT as a store of values.
//!
//! A put finds the servers closest to its key, hands the value to the closest [`QUORUM`] of them, and is answered
//! when they have it; the others follow. A get asks the closest and is answered when two of them have the
//! same newest value: these are among those that a put waits for. A put does not read before it writes, because its
//! sequence is a time. If somebody's clock is ahead, servers refuse it; then it reads, and counts on from there.

mod found;

use std::{collections::VecDeque, num::NonZeroUsize, time::Duration};

use libp2p::{
    PeerId,
    kad::{self, store::RecordStore as _},
};
use moim_protocol::{
    limits,
    presence::next_sequence,
    record::{Record, RecordKey, SignRecordError, SignedRecord, record_key},
};
use web_time::Instant;

pub(super) use self::found::Found;
use super::{
    Driver,
    dht::{copies, keepers},
    queries::Purpose,
};
use crate::{
    builder::DhtMode,
    command::Reply,
    error::{GetError, PutError},
    event::PeerEvent,
    platform,
    reason::{InvalidValue, NotInDht},
    snapshot::{Stored, Value},
};

/// Puts and gets under way at once. Each may have a stream to every server, and kad 0.49 drops what comes on more
/// than 32 streams of a connection at one time; the rest is for other queries.
const OPERATIONS_MAX: usize = 24;

/// Puts and gets that wait for their turn: 10 MiB of values at most, and some seconds of work.
pub(super) const WAITING_MAX: usize = 1_024;

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

/// Servers that a get asks first (`PARALLELISM` of `moim_dht`), and the next.
const ASKED_FIRST: usize = 3;

/// Puts and gets, those that wait and how many do not.
#[derive(Debug, Default)]
pub(super) struct Operations {
    waiting: VecDeque<Operation>,
    open: usize,
    next_check: Option<Instant>,
}

impl Operations {
    /// Those that were under way have been answered.
    pub(super) fn none_is_open(&mut self) {
        self.open = 0;
    }
}

#[derive(Debug)]
enum Operation {
    Put(Draft),
    Get {
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
    },
}

impl Operation {
    fn key(&self) -> &RecordKey {
        match self {
            Self::Put(draft) => &draft.signed.record().key,
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
            Self::Put(draft) => draft.reply.is_closed(),
            Self::Get { reply, .. } => reply.is_closed(),
        }
    }

    fn fail_not_connected(self, why: NotInDht) {
        // Whoever asked may have lost interest.
        match self {
            Self::Put(Draft { reply, .. }) => {
                let _ = reply.send(Err(PutError::NotConnected(why)));
            }
            Self::Get { reply, .. } => {
                let _ = reply.send(Err(GetError::NotConnected(why)));
            }
        }
    }

    fn fail_busy(self) {
        match self {
            Self::Put(Draft { reply, .. }) => {
                let _ = reply.send(Err(PutError::Busy));
            }
            Self::Get { reply, .. } => {
                let _ = reply.send(Err(GetError::Busy));
            }
        }
    }
}

/// A value on its way into the DHT.
#[derive(Debug)]
pub(super) struct Draft {
    signed: SignedRecord,
    /// Whether the value that is there has been looked for.
    has_read: bool,
    reply: Reply<Result<Stored, PutError>>,
}

impl Draft {
    /// The put comes to nothing.
    pub(super) fn refuse(self, error: PutError) {
        // Nobody may be waiting any more.
        let _ = self.reply.send(Err(error));
    }
}

/// A put whose value is being handed over.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) draft: Draft,
    /// Those who are asked now.
    asked: Vec<PeerId>,
    /// Those who are asked next.
    rest: Vec<PeerId>,
}

/// A value whose put is answered, on its way to the other servers.
#[derive(Debug)]
pub(super) struct Rest {
    signed: SignedRecord,
    /// As it was reported, with those who took it since.
    stored: Stored,
    reported: usize,
    /// How many are asked now.
    asked: usize,
    /// Those who are asked next, the closest first.
    rest: Vec<PeerId>,
}

/// Who wants to know a value.
#[derive(Debug)]
pub(super) enum Reader {
    Caller(Reply<Result<Option<Value>, GetError>>),
    /// A put that somebody refused.
    Put(Draft),
}

impl Driver {
    pub(super) fn put(
        &mut self,
        key: RecordKey,
        value: serde_json::Value,
        lifetime: Duration,
        reply: Reply<Result<Stored, PutError>>,
        now: Instant,
    ) {
        if !(limits::RECORD_TTL_MIN..=limits::RECORD_TTL_MAX).contains(&lifetime) {
            let _ = reply.send(Err(InvalidValue::Lifetime.into()));
            return;
        }
        let wall = platform::wall();
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
            Ok(signed) => {
                let has_read = false;
                let draft = Draft {
                    signed,
                    has_read,
                    reply,
                };
                self.operate(Operation::Put(draft), now);
            }
            Err(error) => {
                let why = match error {
                    SignRecordError::Invalid(error) => error.into(),
                    _ => InvalidValue::Other,
                };
                let _ = reply.send(Err(why.into()));
            }
        }
    }

    pub(super) fn get(
        &mut self,
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
        now: Instant,
    ) {
        self.operate(Operation::Get { key, reply }, now);
    }

    fn operate(&mut self, operation: Operation, now: Instant) {
        if !self.in_dht() {
            operation.fail_not_connected(self.entry.why_not());
        } else if self.operations.waiting.len() >= WAITING_MAX {
            operation.fail_busy();
        } else {
            self.operations.waiting.push_back(operation);
            self.advance_operations(now);
        }
    }

    /// Begins what there is room for, in the order in which it was asked for.
    pub(super) fn advance_operations(&mut self, now: Instant) {
        self.operations.next_check = None;
        while self.operations.open < OPERATIONS_MAX && !self.queries.is_full() {
            let Some(next) = self.operations.waiting.front() else {
                return;
            };
            let (servers, questions) = next.questions();
            let place = record_key(next.key()).into();
            let kad = &mut self.swarm.behaviour_mut().kad;
            if !next.is_abandoned() && !kad.has_room(&place, servers, questions) {
                self.operations.next_check = now.checked_add(PACE_CHECK);
                return;
            }
            let Some(next) = self.operations.waiting.pop_front() else {
                return;
            };
            if next.is_abandoned() {
                continue;
            }
            if !self.in_dht() {
                next.fail_not_connected(self.entry.why_not());
                continue;
            }
            self.operations.open += 1;
            match next {
                Operation::Put(draft) => self.find_servers(draft, CONFIRMING),
                Operation::Get { key, reply } => self.look_up(key, Reader::Caller(reply)),
            }
        }
    }

    /// When servers may have room again.
    pub(super) fn operations_deadline(&self) -> Option<Instant> {
        self.operations.next_check
    }

    fn operation_done(&mut self, now: Instant) {
        self.operations.open = self.operations.open.saturating_sub(1);
        self.advance_operations(now);
    }

    fn look_up(&mut self, key: RecordKey, reader: Reader) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.get_record(record_key(&key).into());
        let found = Found::default();
        self.queries
            .insert(query, Purpose::Get { key, found, reader });
    }

    /// A server has something. Returns whether that is enough.
    pub(super) fn on_value(key: &RecordKey, found: &mut Found, record: &kad::Record) -> bool {
        found.take(key, &record.value);
        found.is_enough()
    }

    pub(super) fn on_looked_up(
        &mut self,
        key: RecordKey,
        found: Found,
        reader: Reader,
        is_answered: bool,
        now: Instant,
    ) {
        match reader {
            Reader::Caller(reply) => {
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
                self.operation_done(now);
            }
            Reader::Put(draft) if !is_answered && found.newest.is_none() => {
                draft.refuse(PutError::NoAnswer);
                self.operation_done(now);
            }
            Reader::Put(draft) => self.put_after(found.newest, draft),
        }
    }

    /// Asks the closest servers who is closest to the key of a put; all of them, if they know what we do not.
    fn find_servers(&mut self, draft: Draft, servers: NonZeroUsize) {
        let place = record_key(&draft.signed.record().key);
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.get_n_closest_peers(place, servers);
        self.queries
            .insert(query, Purpose::PutFind { draft, servers });
    }

    /// The servers closest to the key of a put have answered.
    pub(super) fn on_servers_found(
        &mut self,
        draft: Draft,
        asked: NonZeroUsize,
        mut servers: Vec<PeerId>,
        now: Instant,
    ) {
        if asked == CONFIRMING {
            let place = record_key(&draft.signed.record().key).into();
            let mut known = self.swarm.behaviour_mut().kad.closest_known(&place);
            known.retain(|server| *server != self.me);
            if servers.is_empty() || servers.iter().any(|server| !known.contains(server)) {
                self.find_servers(draft, kad::K_VALUE);
                return;
            }
            servers = known;
        }
        let record = self.record(&draft.signed, now);
        if self.dht_mode == DhtMode::Server
            && let Err(error) = self.swarm.behaviour_mut().kad.store_mut().put(record)
        {
            tracing::debug!(%error, "no copy of our own");
        }
        if servers.is_empty() {
            let error = if self.in_dht() {
                PutError::NoAnswer
            } else {
                PutError::NotConnected(NotInDht::NoServer)
            };
            draft.refuse(error);
            self.operation_done(now);
            return;
        }
        let rest = servers.split_off(QUORUM.min(servers.len()));
        let asked = servers.clone();
        let query = self.hand_over(&draft.signed, servers, now);
        let put = Put { draft, asked, rest };
        self.queries.insert(query, Purpose::Put(put));
    }

    /// Hands a value to these servers.
    fn hand_over(
        &mut self,
        signed: &SignedRecord,
        servers: Vec<PeerId>,
        now: Instant,
    ) -> kad::QueryId {
        let record = self.record(signed, now);
        // `All`, so that the answer tells how many took it.
        self.swarm
            .behaviour_mut()
            .kad
            .put_record_to(record, servers.into_iter(), kad::Quorum::All)
    }

    fn record(&self, signed: &SignedRecord, now: Instant) -> kad::Record {
        kad::Record {
            key: record_key(&signed.record().key).into(),
            value: signed.as_bytes().to_vec(),
            publisher: Some(self.me),
            expires: Some(now + signed.life(platform::wall())),
        }
    }

    /// The closest servers have answered, or will not.
    pub(super) fn on_handed_over(&mut self, put: Put, result: &kad::PutRecordResult, now: Instant) {
        let Put { draft, asked, rest } = put;
        let kept = keepers(result, &asked);
        let kad = &self.swarm.behaviour().kad;
        let is_refused = |server: &PeerId| !kept.contains(server) && !kad.keeps_silent(server);
        if !draft.has_read && (kept.is_empty() || asked.iter().any(is_refused)) {
            let key = draft.signed.record().key.clone();
            self.look_up(key, Reader::Put(draft));
            return;
        }
        if kept.is_empty() {
            let asked = asked.len();
            let _ = draft.reply.send(Err(PutError::Refused { asked }));
            self.operation_done(now);
            return;
        }
        let copies = kept.len();
        let key = draft.signed.record().key.clone();
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
        self.hand_on(rest, now);
    }

    /// Hands a value whose put is answered to the next servers, or says how many have it in the end.
    fn hand_on(&mut self, mut rest: Rest, now: Instant) {
        if rest.rest.is_empty() {
            if rest.stored.copies > rest.reported {
                self.events.emit(PeerEvent::CopiesGrown(rest.stored));
            }
            self.operation_done(now);
            return;
        }
        let later = rest.rest.split_off(FOLLOWING.min(rest.rest.len()));
        let next = std::mem::replace(&mut rest.rest, later);
        rest.asked = next.len();
        let query = self.hand_over(&rest.signed, next, now);
        self.queries.insert(query, Purpose::PutRest(rest));
    }

    /// Some of the other servers have answered, or will not.
    pub(super) fn on_handed_on(
        &mut self,
        mut rest: Rest,
        result: &kad::PutRecordResult,
        now: Instant,
    ) {
        rest.stored.copies += copies(result, rest.asked);
        self.hand_on(rest, now);
    }

    /// Somebody refused a value, and now it is known what is there: ours has to count as newer, whatever the
    /// clocks say.
    fn put_after(&mut self, old: Option<SignedRecord>, mut draft: Draft) {
        draft.has_read = true;
        let old = old.map_or(0, |old| old.record().sequence);
        if old >= draft.signed.record().sequence {
            let mut record = draft.signed.record().clone();
            record.sequence = next_sequence(old, record.issued);
            match record.sign(&self.keypair) {
                Ok(signed) => draft.signed = signed,
                // Its time lies further ahead than anybody accepts; so will the servers say.
                Err(error) => tracing::debug!(%error, "the stored value is from the future"),
            }
        }
        self.find_servers(draft, CONFIRMING);
    }
}
