//! The DHT as a store, and the results of all its queries.

use std::time::Duration;

use libp2p::kad::{self, QueryResult, store::RecordStore as _};
use moim_protocol::{
    limits,
    presence::next_sequence,
    record::{Record, SignedRecord, record_key},
};
use web_time::Instant;

use super::{
    Driver,
    queries::{Purpose, closest},
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

impl Driver {
    pub(super) fn put(
        &mut self,
        key: String,
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
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_closest_peers(record_key(&signed.record().key));
        self.queries.insert(
            query,
            Purpose::PutFind {
                record: Box::new(signed),
                reply,
            },
            now,
        );
    }

    fn on_put_found(
        &mut self,
        signed: &SignedRecord,
        found: kad::GetClosestPeersResult,
        reply: Reply<Result<Stored, PutError>>,
        now: Instant,
    ) {
        let servers = closest(found, self.me);
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
        key: String,
        reply: Reply<Result<Option<Value>, GetError>>,
        now: Instant,
    ) {
        if key.is_empty() || key.len() > limits::RECORD_KEY_BYTES_MAX {
            let reason = format!("it must have 1 to {} bytes", limits::RECORD_KEY_BYTES_MAX);
            let _ = reply.send(Err(GetError::Invalid { reason }));
            return;
        }
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
                reply,
            },
            now,
        );
    }

    pub(super) fn on_kad(&mut self, event: kad::Event, now: Instant) {
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
            (Purpose::PutFind { record, reply }, QueryResult::GetClosestPeers(found)) => {
                self.on_put_found(&record, found, reply, now);
            }
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
                    key, best, reply, ..
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
fn take_newest(key: &str, best: &mut Option<SignedRecord>, bytes: &[u8]) {
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
