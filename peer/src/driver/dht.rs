//! What the DHT's queries result in.

use libp2p::{
    PeerId,
    kad::{self, QueryResult},
};
use moim_room::Input;
use web_time::Instant;

use super::{
    Driver,
    queries::{Purpose, closest},
};

impl Driver {
    pub(super) fn on_kad(&mut self, event: kad::Event, now: Instant) {
        moim_dht::trim_addresses(&mut self.swarm.behaviour_mut().kad, &event);
        match event {
            kad::Event::OutboundQueryProgressed {
                id,
                result,
                step,
                stats,
            } => {
                let has_asked = stats.num_requests() > 0;
                self.on_query(id, result, step.last, has_asked, now);
            }
            kad::Event::RoutingUpdated { .. } => self.dirty = true,
            other => tracing::trace!(?other),
        }
    }

    /// A query has a result, of a server if it `has_asked` one.
    fn on_query(
        &mut self,
        id: kad::QueryId,
        result: QueryResult,
        last: bool,
        has_asked: bool,
        now: Instant,
    ) {
        // What comes before the end of a query.
        match (self.queries.get_mut(&id), &result) {
            (
                Some(Purpose::Members { of }),
                QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                    providers,
                    ..
                })),
            ) => {
                let room = *of;
                let providers: Vec<_> = providers.iter().copied().collect();
                if self.on_providers(room, providers, has_asked, now)
                    && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                {
                    query.finish();
                }
            }
            (
                Some(Purpose::Get { key, found, .. }),
                QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(peer_record))),
            ) => {
                if Self::on_value(key, found, &peer_record.record)
                    && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                {
                    query.finish();
                }
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
            (Purpose::AnnounceFind { of }, QueryResult::GetClosestPeers(found)) => {
                self.on_announce_found(of, closest(found, self.me), now);
            }
            (Purpose::AnnouncePut { of }, QueryResult::PutRecord(result)) => {
                let accepted = copies(&result, 1) > 0;
                self.tell_room(of, Input::Announced { accepted }, now);
            }
            (Purpose::LeavePut { of }, _) => {
                self.tell_room(of, Input::LeftHandedOver, now);
            }
            (Purpose::PutFind { draft, servers }, QueryResult::GetClosestPeers(found)) => {
                self.on_servers_found(draft, servers, closest(found, self.me), now);
            }
            (Purpose::Put(put), QueryResult::PutRecord(result)) => {
                self.on_handed_over(put, &result, now);
            }
            (Purpose::PutRest(rest), QueryResult::PutRecord(result)) => {
                self.on_handed_on(rest, &result, now);
            }
            (Purpose::Get { key, found, reader }, QueryResult::GetRecord(result)) => {
                let is_answered = is_answered(&result);
                self.on_looked_up(key, found, reader, is_answered, now);
            }
            (Purpose::Members { .. }, _) => {}
            (purpose, result) => tracing::debug!(?purpose, ?result, "unexpected end of a query"),
        }
    }
}

/// Whether a server has said anything of a key, be it that there is nothing.
fn is_answered(result: &kad::GetRecordResult) -> bool {
    match result {
        Ok(_) => true,
        Err(kad::GetRecordError::NotFound { closest_peers, .. }) => !closest_peers.is_empty(),
        Err(kad::GetRecordError::Timeout { .. }) => false,
    }
}

/// How many servers took a record.
pub(super) fn copies(result: &kad::PutRecordResult, asked: usize) -> usize {
    match result {
        Ok(_) => asked,
        Err(
            kad::PutRecordError::QuorumFailed { success, .. }
            | kad::PutRecordError::Timeout { success, .. },
        ) => success.len(),
    }
}

/// Which of the servers that were asked took a record.
pub(super) fn keepers(result: &kad::PutRecordResult, asked: &[PeerId]) -> Vec<PeerId> {
    match result {
        Ok(_) => asked.to_vec(),
        Err(
            kad::PutRecordError::QuorumFailed { success, .. }
            | kad::PutRecordError::Timeout { success, .. },
        ) => success.clone(),
    }
}
