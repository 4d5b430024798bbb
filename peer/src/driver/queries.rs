//! DHT queries under way, what each is for, and the rule that a few hung peers must not stall it.

use std::{collections::HashMap, time::Duration};

use libp2p::{
    PeerId,
    kad::{self, QueryId},
};
use moim_protocol::{
    record::{RecordKey, SignedRecord},
    topic::TopicHash,
};
use web_time::Instant;

use crate::{
    command::Reply,
    error::{GetError, PutError},
    snapshot::{Stored, Value},
};

/// Queries under way at once. More wait at the caller: each holds up to twenty streams.
pub(super) const QUERIES_MAX: usize = 128;

/// A query that has an answer and makes no progress for this long goes on without the silent
/// peers. Twice per put (find the servers, store), so that hung peers cost less than a second.
const STALL: Duration = Duration::from_millis(350);

/// The same while nobody has answered at all: connections may still be made.
const STALL_WITHOUT_ANSWER: Duration = Duration::from_secs(6);

/// A far network answers slowly: the pause allowed grows with the time the first answer took.
const STALL_PER_FIRST_ANSWER: u32 = 2;

/// Values of a key that are compared before the newest is taken.
const VALUES_WANTED: usize = 3;

/// What a query is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Find the servers that are to hold our presence.
    AnnounceFind { topic: TopicHash },
    /// Hand our presence to them.
    AnnouncePut { topic: TopicHash },
    /// Tell them that we left.
    LeavePut { topic: TopicHash },
    /// Find providers of a topic.
    Members { topic: TopicHash },
    /// Find the servers that are to hold the value of a put.
    PutFind { put: u64 },
    /// Hand the value to them.
    Put {
        key: RecordKey,
        own_copy: bool,
        asked: usize,
        reply: Reply<Result<Stored, PutError>>,
    },
    /// Look a value up.
    Get {
        key: RecordKey,
        best: Option<SignedRecord>,
        found: usize,
        reader: Reader,
    },
}

/// Who wants to know a value.
#[derive(Debug)]
pub(super) enum Reader {
    Caller(Reply<Result<Option<Value>, GetError>>),
    /// The put that is to take its place.
    Put(u64),
}

#[derive(Debug)]
pub(super) struct Query {
    pub(super) purpose: Purpose,
    started: Instant,
    first_answer: Option<Duration>,
    seen: (u32, u32, u32),
    progress: Instant,
}

/// The queries under way.
#[derive(Debug, Default)]
pub(super) struct Queries {
    open: HashMap<QueryId, Query>,
}

/// How often stalled queries are looked for while there are any.
const STALL_CHECK: Duration = Duration::from_millis(50);

impl Queries {
    pub(super) fn insert(&mut self, id: QueryId, purpose: Purpose, now: Instant) {
        let query = Query {
            purpose,
            started: now,
            first_answer: None,
            seen: (0, 0, 0),
            progress: now,
        };
        self.open.insert(id, query);
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= QUERIES_MAX
    }

    pub(super) fn get_mut(&mut self, id: &QueryId) -> Option<&mut Purpose> {
        self.open.get_mut(id).map(|query| &mut query.purpose)
    }

    pub(super) fn remove(&mut self, id: &QueryId) -> Option<Purpose> {
        self.open.remove(id).map(|query| query.purpose)
    }

    /// What all of them were for. None of them is under way any more.
    pub(super) fn take_all(&mut self) -> Vec<Purpose> {
        self.open.drain().map(|(_, query)| query.purpose).collect()
    }

    /// Queries that should end now with what they have.
    pub(super) fn stalled<S>(&mut self, kad: &kad::Behaviour<S>, now: Instant) -> Vec<QueryId>
    where
        S: kad::store::RecordStore + Send + 'static,
    {
        let mut stalled = Vec::new();
        for (id, query) in &mut self.open {
            let Some(open) = kad.query(id) else { continue };
            let stats = open.stats();
            let seen = (
                stats.num_requests(),
                stats.num_successes(),
                stats.num_failures(),
            );
            if seen != query.seen {
                query.seen = seen;
                query.progress = now;
                if seen.1 > 0 && query.first_answer.is_none() {
                    query.first_answer = Some(now.saturating_duration_since(query.started));
                }
            }
            let allowed = match query.first_answer {
                Some(first) => STALL.max(first.saturating_mul(STALL_PER_FIRST_ANSWER)),
                None => STALL_WITHOUT_ANSWER,
            };
            let enough =
                matches!(&query.purpose, Purpose::Get { found, .. } if *found >= VALUES_WANTED);
            if enough || now.saturating_duration_since(query.progress) >= allowed {
                stalled.push(*id);
            }
        }
        stalled
    }

    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        (!self.open.is_empty()).then(|| now + STALL_CHECK)
    }

    pub(super) fn members_query(&self, topic: &TopicHash) -> bool {
        self.open
            .values()
            .any(|query| matches!(&query.purpose, Purpose::Members { topic: of } if of == topic))
    }

    pub(super) fn leaving(&self, topic: &TopicHash) -> bool {
        self.open
            .values()
            .any(|query| matches!(&query.purpose, Purpose::LeavePut { topic: of } if of == topic))
    }

    pub(super) fn announcing(&self, topic: &TopicHash) -> bool {
        self.open.values().any(|query| {
            matches!(&query.purpose, Purpose::AnnounceFind { topic: of } | Purpose::AnnouncePut { topic: of } if of == topic)
        })
    }
}

/// The peers that a find query ended with, without ourselves.
pub(super) fn closest(result: kad::GetClosestPeersResult, me: PeerId) -> Vec<PeerId> {
    let peers = match result {
        Ok(found) => found.peers,
        Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
    };
    peers
        .into_iter()
        .map(|peer| peer.peer_id)
        .filter(|peer| *peer != me)
        .collect()
}
