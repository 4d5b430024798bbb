//! What the DHT's queries result in.

use libp2p::{
    PeerId,
    kad::{self, QueryResult},
};
use moim_room::Input;
use web_time::Instant;

use super::{
    queries::{Purpose, closest},
    rooms::MachineId,
    state::Driver,
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
            kad::Event::RoutingUpdated { .. } => {
                let buckets = self.swarm.behaviour_mut().kad.kbuckets();
                self.routing = buckets.map(|bucket| bucket.num_entries()).sum();
            }
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
        let is_enough = match (self.queries.get(&id), &result) {
            (
                Some(Purpose::Members { of }),
                QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                    providers,
                    ..
                })),
            ) => {
                let providers = providers.iter().copied().collect();
                self.on_providers(of, providers, has_asked, now)
            }
            #[cfg(feature = "programs")]
            (Some(Purpose::ForProgram(query)), result) => self.on_program_progress(query, result),
            _ => false,
        };
        if is_enough && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
            query.finish();
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
                let accepted = match result {
                    Ok(_) => true,
                    Err(
                        kad::PutRecordError::QuorumFailed { success, .. }
                        | kad::PutRecordError::Timeout { success, .. },
                    ) => !success.is_empty(),
                };
                self.tell_room(of, Input::Announced { accepted }, now);
            }
            (Purpose::LeavePut { of }, _) => {
                self.tell_room(of, Input::LeftHandedOver, now);
            }
            #[cfg(feature = "programs")]
            (Purpose::ForProgram(query), result) => {
                self.on_program_result(query, result, has_asked, now);
            }
            (Purpose::Members { .. }, _) => {}
            (purpose, result) => tracing::debug!(?purpose, ?result, "unexpected end of a query"),
        }
    }

    /// The DHT names providers of a topic: a server (`is_answer`), or what this peer keeps itself. Whether they exist is
    /// to be seen. Returns whether the lookup has enough.
    fn on_providers(
        &mut self,
        id: MachineId,
        providers: Vec<PeerId>,
        is_answer: bool,
        now: Instant,
    ) -> bool {
        tracing::debug!(providers = providers.len(), "the DHT names providers");
        // Their addresses now: they are forgotten with the query.
        let kad = &mut self.swarm.behaviour_mut().kad;
        let with_addresses = |peer| (peer, kad.addresses_of(peer));
        let input = Input::Providers {
            providers: providers.into_iter().map(with_addresses).collect(),
            is_answer,
        };
        self.tell_room(id, input, now).has_enough
    }
}
