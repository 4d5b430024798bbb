//! Has the DHT do what puts and gets want, and tells them what came of it.

use std::time::Duration;

use libp2p::{
    PeerId,
    kad::{self, store::RecordStore as _},
};
use moim_protocol::record::{RecordKey, SignedRecord, record_key};
use web_time::Instant;

use super::{
    connections::Connections,
    entry::Entry,
    operations::{Dht, OperationId, Output, Took},
    programs::ProgramQuery,
    queries::{Purpose, Queries},
    state::{Driver, PeerSwarm},
};
use crate::{
    builder::DhtMode,
    command::Reply,
    error::{GetError, PutError},
    event::PeerEvent,
    platform,
    reason::NotInDht,
    snapshot::{Stored, Value},
};

/// The DHT as this peer sees it now.
struct View<'a> {
    kad: &'a mut moim_dht::Behaviour,
    queries: &'a Queries,
    connections: &'a Connections,
    entry: &'a Entry,
}

impl<'a> View<'a> {
    fn new(
        swarm: &'a mut PeerSwarm,
        queries: &'a Queries,
        connections: &'a Connections,
        entry: &'a Entry,
    ) -> Self {
        Self {
            kad: &mut swarm.behaviour_mut().kad,
            queries,
            connections,
            entry,
        }
    }
}

impl Dht for View<'_> {
    fn why_not(&self) -> Option<NotInDht> {
        (!self.connections.has_server()).then(|| self.entry.why_not())
    }

    fn is_full(&self) -> bool {
        self.queries.is_full()
    }

    fn has_room(&mut self, key: &RecordKey, servers: usize, questions: u32) -> bool {
        self.kad
            .has_room(&record_key(key).into(), servers, questions)
    }

    fn closest_known(&mut self, key: &RecordKey) -> Vec<PeerId> {
        self.kad.closest_known(&record_key(key).into())
    }

    fn keeps_silent(&self, server: &PeerId) -> bool {
        self.kad.keeps_silent(server)
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
        let view = View::new(
            &mut self.swarm,
            &self.queries,
            &self.connections,
            &self.entry,
        );
        self.programs
            .operations
            .put(key, value, lifetime, reply, &view, platform::wall());
        self.advance_operations(now);
    }

    pub(super) fn get(
        &mut self,
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
        now: Instant,
    ) {
        let view = View::new(
            &mut self.swarm,
            &self.queries,
            &self.connections,
            &self.entry,
        );
        self.programs.operations.get(key, reply, &view);
        self.advance_operations(now);
    }

    /// Does what puts and gets want done.
    pub(super) fn advance_operations(&mut self, now: Instant) {
        loop {
            let mut view = View::new(
                &mut self.swarm,
                &self.queries,
                &self.connections,
                &self.entry,
            );
            let Some(output) = self.programs.operations.poll_output(&mut view, now) else {
                return;
            };
            self.do_for_operations(output, now);
        }
    }

    fn do_for_operations(&mut self, output: Output, now: Instant) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let (id, query) = match output {
            Output::FindServers { id, key, servers } => {
                (id, kad.get_n_closest_peers(record_key(&key), servers))
            }
            Output::LookUp { id, key } => (id, kad.get_record(record_key(&key).into())),
            Output::HandOver {
                id,
                signed,
                servers,
            } => {
                let record = record(self.me, &signed, now);
                // `All`, so that the answer tells how many took it.
                let query = kad.put_record_to(record, servers.into_iter(), kad::Quorum::All);
                (id, query)
            }
            Output::Keep(signed) => {
                if self.dht_mode == DhtMode::Server
                    && let Err(error) = kad.store_mut().put(record(self.me, &signed, now))
                {
                    tracing::debug!(%error, "no copy of our own");
                }
                return;
            }
            Output::Grown(stored) => {
                self.events.emit(PeerEvent::CopiesGrown(stored));
                return;
            }
        };
        self.queries
            .insert(query, Purpose::ForProgram(ProgramQuery::Operation(id)));
    }

    /// The servers closest to the key of a put have answered.
    pub(super) fn on_servers_found(&mut self, id: OperationId, servers: Vec<PeerId>, now: Instant) {
        let mut view = View::new(
            &mut self.swarm,
            &self.queries,
            &self.connections,
            &self.entry,
        );
        self.programs
            .operations
            .servers_found(id, servers, &mut view);
        self.advance_operations(now);
    }

    /// The servers that were given a value have answered, or will not.
    pub(super) fn on_handed_over(
        &mut self,
        id: OperationId,
        result: kad::PutRecordResult,
        now: Instant,
    ) {
        let took = match result {
            Ok(_) => Took::All,
            Err(
                kad::PutRecordError::QuorumFailed { success, .. }
                | kad::PutRecordError::Timeout { success, .. },
            ) => Took::These(success),
        };
        let view = View::new(
            &mut self.swarm,
            &self.queries,
            &self.connections,
            &self.entry,
        );
        self.programs.operations.handed_over(id, took, &view);
        self.advance_operations(now);
    }

    /// A lookup has ended.
    pub(super) fn on_looked_up(
        &mut self,
        id: OperationId,
        result: &kad::GetRecordResult,
        now: Instant,
    ) {
        // Whether a server has said anything of the key, be it that there is nothing.
        let is_answered = match result {
            Ok(_) => true,
            Err(kad::GetRecordError::NotFound { closest_peers, .. }) => !closest_peers.is_empty(),
            Err(kad::GetRecordError::Timeout { .. }) => false,
        };
        self.programs.operations.looked_up(id, is_answered);
        self.advance_operations(now);
    }
}

fn record(me: PeerId, signed: &SignedRecord, now: Instant) -> kad::Record {
    kad::Record {
        key: record_key(&signed.record().key).into(),
        value: signed.as_bytes().to_vec(),
        publisher: Some(me),
        expires: Some(now + signed.life(platform::wall())),
    }
}
