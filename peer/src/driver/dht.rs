//! The DHT as a store, and the results of all its queries.

use std::time::Duration;

use libp2p::{
    PeerId,
    kad::{self, QueryResult, store::RecordStore as _},
};
use moim_protocol::{
    limits,
    presence::next_sequence,
    record::{Record, RecordKey, SignedRecord, record_key},
};
use web_time::Instant;

use super::{
    Driver,
    queries::{Purpose, Reader, closest},
};
use crate::{
    builder::DhtMode,
    command::Reply,
    error::{GetError, PutError},
    platform,
    snapshot::{Stored, Value},
};

/// Why a query cannot be made, when the peer was in the DHT a moment ago.
pub(super) const NO_SERVER: &str = "no DHT server is connected";

/// A value on its way into the DHT.
#[derive(Debug)]
pub(super) struct Draft {
    signed: SignedRecord,
    /// Those who are to hold it, once they are found.
    servers: Option<Vec<PeerId>>,
    /// Whether the value that is there has been looked for.
    read: bool,
    reply: Reply<Result<Stored, PutError>>,
}

impl Draft {
    /// The put comes to nothing.
    pub(super) fn refuse(self, error: PutError) {
        // Nobody may be waiting any more.
        let _ = self.reply.send(Err(error));
    }
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
            let reason = format!(
                "its lifetime must be between {} and {} s",
                limits::RECORD_TTL_MIN.as_secs(),
                limits::RECORD_TTL_MAX.as_secs()
            );
            let _ = reply.send(Err(PutError::Invalid { reason }));
            return;
        }
        let wall = platform::wall();
        let record = Record {
            key,
            value,
            publisher: self.me,
            sequence: next_sequence(0, wall),
            issued: wall,
            expires: wall.saturating_add(lifetime),
        };
        let signed = match record.sign(&self.keypair) {
            Ok(signed) => signed,
            Err(error) => {
                let _ = reply.send(Err(PutError::Invalid {
                    reason: error.to_string(),
                }));
                return;
            }
        };
        if !self.in_dht() || self.queries.is_full() {
            let _ = reply.send(Err(PutError::NotConnected {
                reason: NO_SERVER.to_owned(),
            }));
            return;
        }
        // At the same time, so that hung peers hold up neither for the other.
        let place = record_key(&signed.record().key);
        let key = signed.record().key.clone();
        self.last_put = self.last_put.wrapping_add(1);
        let put = self.last_put;
        self.puts.insert(
            put,
            Draft {
                signed,
                servers: None,
                read: false,
                reply,
            },
        );
        let kad = &mut self.swarm.behaviour_mut().kad;
        let (find, read) = (
            kad.get_closest_peers(place.clone()),
            kad.get_record(place.into()),
        );
        self.queries.insert(find, Purpose::PutFind { put }, now);
        self.queries.insert(
            read,
            Purpose::Get {
                key,
                best: None,
                found: 0,
                reader: Reader::Put(put),
            },
            now,
        );
    }

    /// The value that a put is to replace is known: the new one has to count as newer, whatever our
    /// clock says.
    fn on_put_read(&mut self, put: u64, old: Option<SignedRecord>, now: Instant) {
        let Some(draft) = self.puts.get_mut(&put) else {
            return;
        };
        draft.read = true;
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
        self.advance_put(put, now);
    }

    /// Stores the value as soon as it is known where, and what is there.
    fn advance_put(&mut self, put: u64, now: Instant) {
        if !self
            .puts
            .get(&put)
            .is_some_and(|draft| draft.read && draft.servers.is_some())
        {
            return;
        }
        let Some(Draft {
            signed,
            servers,
            reply,
            ..
        }) = self.puts.remove(&put)
        else {
            return;
        };
        let servers = servers.unwrap_or_default();
        let key = signed.record().key.clone();
        let record = kad::Record {
            key: record_key(&key).into(),
            value: signed.as_bytes().to_vec(),
            publisher: Some(self.me),
            expires: Some(now + signed.life(platform::wall())),
        };
        let own_copy = self.dht_mode == DhtMode::Server
            && self
                .swarm
                .behaviour_mut()
                .kad
                .store_mut()
                .put(record.clone())
                .is_ok();
        if servers.is_empty() {
            let _ = reply.send(Err(PutError::NotConnected {
                reason: NO_SERVER.to_owned(),
            }));
            return;
        }
        let asked = servers.len();
        // `All`, so that the answer tells how many took it; the rule against stalls ends it in time.
        let query = self.swarm.behaviour_mut().kad.put_record_to(
            record,
            servers.into_iter(),
            kad::Quorum::All,
        );
        self.queries.insert(
            query,
            Purpose::Put {
                key,
                own_copy,
                asked,
                reply,
            },
            now,
        );
    }

    pub(super) fn get(
        &mut self,
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
        now: Instant,
    ) {
        if !self.in_dht() || self.queries.is_full() {
            let _ = reply.send(Err(GetError::NotConnected {
                reason: NO_SERVER.to_owned(),
            }));
            return;
        }
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_record(record_key(&key).into());
        self.queries.insert(
            query,
            Purpose::Get {
                key,
                best: None,
                found: 0,
                reader: Reader::Caller(reply),
            },
            now,
        );
    }

    pub(super) fn on_kad(&mut self, event: kad::Event, now: Instant) {
        moim_dht::trim_addresses(&mut self.swarm.behaviour_mut().kad, &event);
        match event {
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => self.on_query(id, result, step.last, now),
            kad::Event::RoutingUpdated { .. } => self.dirty = true,
            other => tracing::trace!(?other),
        }
    }

    fn on_query(&mut self, id: kad::QueryId, result: QueryResult, last: bool, now: Instant) {
        // What comes before the end of a query.
        match (self.queries.get_mut(&id), &result) {
            (
                Some(Purpose::Members { topic }),
                QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                    providers,
                    ..
                })),
            ) => {
                let topic = *topic;
                let providers: Vec<_> = providers.iter().copied().collect();
                if self.on_providers(topic, &providers, now)
                    && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                {
                    query.finish();
                }
            }
            (
                Some(Purpose::Get {
                    key, best, found, ..
                }),
                QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(peer_record))),
            ) => {
                take_newest(key, best, &peer_record.record.value);
                *found += 1;
            }
            _ => {}
        }
        if !last {
            return;
        }
        let Some(purpose) = self.queries.remove(&id) else {
            return;
        };
        match (purpose, result) {
            (Purpose::AnnounceFind { topic }, QueryResult::GetClosestPeers(found)) => {
                self.on_announce_found(topic, closest(found, self.me), now);
            }
            (Purpose::AnnouncePut { topic }, QueryResult::PutRecord(result)) => {
                self.on_announced(topic, copies(&result, 1) > 0, now);
            }
            (Purpose::PutFind { put }, QueryResult::GetClosestPeers(found)) => {
                if let Some(draft) = self.puts.get_mut(&put) {
                    draft.servers = Some(closest(found, self.me));
                }
                self.advance_put(put, now);
            }
            (
                Purpose::Get {
                    best,
                    reader: Reader::Put(put),
                    ..
                },
                _,
            ) => self.on_put_read(put, best, now),
            (
                Purpose::Put {
                    key,
                    own_copy,
                    asked,
                    reply,
                },
                QueryResult::PutRecord(result),
            ) => {
                let copies = copies(&result, asked);
                tracing::debug!(%key, copies, own_copy, "stored");
                let _ = reply.send(if copies == 0 {
                    Err(PutError::Refused { asked })
                } else {
                    Ok(Stored { key, copies })
                });
            }
            (
                Purpose::Get {
                    key,
                    best,
                    reader: Reader::Caller(reply),
                    ..
                },
                _,
            ) => {
                let value = best.map(|signed| {
                    let record = signed.record();
                    Value {
                        key,
                        value: record.value.clone(),
                        publisher: record.publisher,
                    }
                });
                let _ = reply.send(Ok(value));
            }
            (Purpose::LeavePut { .. } | Purpose::Members { .. }, _) => {}
            (purpose, result) => tracing::debug!(?purpose, ?result, "unexpected end of a query"),
        }
    }

    pub(super) fn advance_queries(&mut self, now: Instant) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        for id in self.queries.stalled(kad, now) {
            if let Some(mut query) = kad.query_mut(&id) {
                query.finish();
            }
        }
    }
}

/// How many servers took a record.
fn copies(result: &kad::PutRecordResult, asked: usize) -> usize {
    match result {
        Ok(_) => asked,
        Err(
            kad::PutRecordError::QuorumFailed { success, .. }
            | kad::PutRecordError::Timeout { success, .. },
        ) => success.len(),
    }
}

/// Keeps the newest valid value of a key. A server can withhold a value, but not forge one.
fn take_newest(key: &RecordKey, best: &mut Option<SignedRecord>, bytes: &[u8]) {
    let signed = match SignedRecord::decode(bytes) {
        Ok(signed) => signed,
        Err(error) => {
            tracing::debug!(%error, "a server returned an invalid value");
            return;
        }
    };
    if record_key(&signed.record().key) != record_key(key)
        || signed.check_time(platform::wall()).is_err()
    {
        return;
    }
    let newer = best.as_ref().is_none_or(|best| {
        (signed.record().sequence, signed.as_bytes()) > (best.record().sequence, best.as_bytes())
    });
    if newer {
        *best = Some(signed);
    }
}
