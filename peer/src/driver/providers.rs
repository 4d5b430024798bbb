//! Tells the DHT what programs provide, and asks it who does.

use libp2p::PeerId;
use moim_protocol::provider_key::ProviderKey;
use web_time::Instant;

use super::{programs::ProgramQuery, providing::SearchId, queries::Purpose, state::Driver};
use crate::{command::Reply, error::LookupError};

impl Driver {
    /// Servers forget it by themselves.
    pub(super) fn stop_providing(&mut self, key: ProviderKey) {
        if self.programs.providing.stop(&key) {
            self.remove_provided(key);
        }
    }

    fn remove_provided(&mut self, key: ProviderKey) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        kad.stop_providing(&key.to_multihash().into());
    }

    /// Tells the servers what they are to be told.
    pub(super) fn advance_providing(&mut self, now: Instant) {
        while self.connections.has_server()
            && !self.queries.is_full()
            && let Some(key) = self.programs.providing.due(now)
        {
            let kad = &mut self.swarm.behaviour_mut().kad;
            match kad.start_providing(key.to_multihash().into()) {
                Ok(query) => self
                    .queries
                    .insert(query, Purpose::ForProgram(ProgramQuery::Provide(key))),
                Err(error) => {
                    tracing::warn!(%error, "cannot keep our own provider record");
                    self.programs.providing.told(key, false, now);
                }
            }
        }
    }

    /// When servers are to be told something, if there are any.
    pub(super) fn providing_timeout(&self) -> Option<Instant> {
        let next = self.programs.providing.poll_timeout();
        next.filter(|_| self.connections.has_server() && !self.queries.is_full())
    }

    pub(super) fn on_provided(&mut self, key: ProviderKey, is_told: bool, now: Instant) {
        if self.programs.providing.told(key, is_told, now) {
            self.remove_provided(key);
        }
    }

    pub(super) fn search_providers(
        &mut self,
        key: ProviderKey,
        reply: Reply<Result<Vec<PeerId>, LookupError>>,
    ) {
        if !self.connections.has_server() {
            let why = self.entry.why_not();
            let _ = reply.send(Err(LookupError::NotConnected(why)));
            return;
        }
        if self.queries.is_full() {
            let _ = reply.send(Err(LookupError::Busy));
            return;
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.get_providers(key.to_multihash().into());
        let search = self.programs.providing.search(reply);
        self.queries
            .insert(query, Purpose::ForProgram(ProgramQuery::Providers(search)));
    }

    /// The DHT names providers. Their addresses are looked up now: they are forgotten with the query. Returns whether
    /// there are enough.
    pub(super) fn on_providers_found(
        &mut self,
        search: SearchId,
        providers: impl Iterator<Item = PeerId>,
    ) -> bool {
        let mut named = Vec::new();
        for peer in providers.filter(|peer| *peer != self.me) {
            let addresses = self.swarm.behaviour_mut().kad.addresses_of(peer);
            named.push((peer, self.usable(&addresses, peer)));
        }
        self.programs.providing.found(search, named)
    }
}
