//! The DHT as such, for programs: what this peer provides, and who provides something. A pure machine but for the
//! replies that it keeps.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
};

use libp2p::PeerId;
use moim_protocol::{
    limits::{ANNOUNCE_RETRY_MAX, PRESENCE_REFRESH, PROVIDED_MAX, PROVIDERS_FOUND_MAX},
    provider_key::ProviderKey,
};
use web_time::Instant;

use super::reach::Addresses;
use crate::{
    command::Reply,
    error::{LookupError, ProvideError},
    reason::NotInDht,
};

/// Peers that the DHT has named, whose addresses are kept for when they are called.
const KEPT_MAX: usize = 1_024;

/// Something that is provided.
#[derive(Debug)]
struct Provided {
    /// When the servers are to be told again; `None` while they are being told.
    next: Option<Instant>,
    /// Who waits to hear that they were told first.
    waiting: Vec<Reply<Result<(), ProvideError>>>,
}

/// Names a search for providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SearchId(u64);

/// Providers that are being looked for, with the addresses that the DHT has of them.
#[derive(Debug)]
struct Search {
    found: HashMap<PeerId, Addresses>,
    reply: Reply<Result<Vec<PeerId>, LookupError>>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Providing {
    /// Servers forget them after [`PROVIDER_TTL`](moim_protocol::limits::PROVIDER_TTL), so they are told again before.
    keys: BTreeMap<ProviderKey, Provided>,
    /// Bounded by the queries under way.
    searches: BTreeMap<SearchId, Search>,
    next: u64,
    /// Where those are whom the DHT has named, and in which order it has.
    named: HashMap<PeerId, Addresses>,
    order: VecDeque<PeerId>,
}

impl Providing {
    /// The DHT is to name this peer as a provider.
    pub(super) fn provide(
        &mut self,
        key: ProviderKey,
        reply: Reply<Result<(), ProvideError>>,
        now: Instant,
    ) {
        if let Some(provided) = self.keys.get_mut(&key) {
            if provided.waiting.is_empty() {
                let _ = reply.send(Ok(()));
            } else {
                provided.waiting.push(reply);
            }
            return;
        }
        if self.keys.len() >= PROVIDED_MAX {
            let _ = reply.send(Err(ProvideError::TooMany { max: PROVIDED_MAX }));
            return;
        }
        let provided = Provided {
            next: Some(now),
            waiting: vec![reply],
        };
        self.keys.insert(key, provided);
    }

    /// It is no more. Returns whether it was.
    pub(super) fn stop(&mut self, key: &ProviderKey) -> bool {
        self.keys.remove(key).is_some()
    }

    /// A key of which servers are to be told now.
    pub(super) fn due(&mut self, now: Instant) -> Option<ProviderKey> {
        let is_due = |provided: &Provided| provided.next.is_some_and(|next| next <= now);
        let (key, provided) = self
            .keys
            .iter_mut()
            .find(|(_, provided)| is_due(provided))?;
        provided.next = None;
        Some(*key)
    }

    /// Servers were told, or none has answered. Returns whether it is not provided after all.
    pub(super) fn told(&mut self, key: ProviderKey, is_told: bool, now: Instant) -> bool {
        let Some(provided) = self.keys.get_mut(&key) else {
            return false;
        };
        let pause = if is_told {
            PRESENCE_REFRESH
        } else {
            ANNOUNCE_RETRY_MAX
        };
        provided.next = Some(now + pause);
        let waiting = mem::take(&mut provided.waiting);
        let has_failed = !is_told && !waiting.is_empty();
        for reply in waiting {
            let _ = reply.send(if is_told {
                Ok(())
            } else {
                Err(ProvideError::NoAnswer)
            });
        }
        has_failed && self.stop(&key)
    }

    /// When servers are to be told something.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.keys.values().filter_map(|key| key.next).min()
    }

    /// Providers are to be found.
    pub(super) fn search(&mut self, reply: Reply<Result<Vec<PeerId>, LookupError>>) -> SearchId {
        let id = SearchId(self.next);
        self.next = self.next.wrapping_add(1);
        let found = HashMap::new();
        self.searches.insert(id, Search { found, reply });
        id
    }

    /// A server names providers. Returns whether there are enough.
    pub(super) fn found(
        &mut self,
        id: SearchId,
        providers: impl IntoIterator<Item = (PeerId, Addresses)>,
    ) -> bool {
        let Some(Search { found, .. }) = self.searches.get_mut(&id) else {
            return false;
        };
        for (peer, addresses) in providers {
            if found.len() < PROVIDERS_FOUND_MAX || found.contains_key(&peer) {
                found.insert(peer, addresses);
            }
        }
        found.len() >= PROVIDERS_FOUND_MAX
    }

    /// All servers that were to be asked have answered, if any has.
    pub(super) fn searched(&mut self, id: SearchId, is_answered: bool) {
        let Some(Search { found, reply }) = self.searches.remove(&id) else {
            return;
        };
        let providers: Vec<PeerId> = found.keys().copied().collect();
        for (peer, addresses) in found {
            self.name(peer, addresses);
        }
        let _ = reply.send(if providers.is_empty() && !is_answered {
            Err(LookupError::NoAnswer)
        } else {
            Ok(providers)
        });
    }

    fn name(&mut self, peer: PeerId, addresses: Addresses) {
        if self.named.insert(peer, addresses).is_none() {
            self.order.push_back(peer);
        }
        while self.order.len() > KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.named.remove(&oldest);
            }
        }
    }

    /// Where the DHT says that a peer is.
    pub(super) fn addresses(&self, peer: &PeerId) -> Option<&Addresses> {
        self.named.get(peer)
    }

    /// The queries are gone with the swarm.
    pub(super) fn restarted(&mut self, now: Instant) {
        for key in self.keys.values_mut() {
            key.next.get_or_insert(now);
        }
        for (_, search) in mem::take(&mut self.searches) {
            let why = LookupError::NotConnected(NotInDht::Restarting);
            let _ = search.reply.send(Err(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::{self, error::TryRecvError};

    use super::*;
    use crate::platform;

    #[test]
    fn servers_are_told_again_before_they_forget() {
        let (mut providing, now) = (Providing::default(), platform::now());
        let key = ProviderKey::of("mirror");
        let (reply, mut answer) = oneshot::channel();
        providing.provide(key, reply, now);
        assert_eq!(providing.due(now), Some(key));
        assert_eq!(providing.due(now), None, "they are being told");
        let (reply, mut second) = oneshot::channel();
        providing.provide(key, reply, now);
        assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
        assert!(!providing.told(key, true, now));
        assert_eq!(
            (answer.try_recv(), second.try_recv()),
            (Ok(Ok(())), Ok(Ok(())))
        );
        let next = now + PRESENCE_REFRESH;
        assert_eq!(providing.poll_timeout(), Some(next));
        assert_eq!(providing.due(next), Some(key));
        // A server that does not answer later is no reason to give it up.
        assert!(!providing.told(key, false, next));
        assert_eq!(providing.due(next + ANNOUNCE_RETRY_MAX), Some(key));
        providing.restarted(next);
        assert_eq!(providing.due(next), Some(key), "by the new swarm");
        assert!(providing.stop(&key) && !providing.stop(&key));
        assert_eq!(providing.poll_timeout(), None);
    }

    #[test]
    fn what_no_server_was_told_is_not_provided() {
        let (mut providing, now) = (Providing::default(), platform::now());
        let key = ProviderKey::of("mirror");
        let (reply, mut answer) = oneshot::channel();
        providing.provide(key, reply, now);
        assert_eq!(providing.due(now), Some(key));
        assert!(providing.told(key, false, now));
        assert_eq!(answer.try_recv(), Ok(Err(ProvideError::NoAnswer)));
        assert_eq!(providing.poll_timeout(), None);
    }

    #[test]
    fn providers_are_so_many_and_their_addresses_are_kept_for_a_while() {
        let mut providing = Providing::default();
        let (reply, mut answer) = oneshot::channel();
        let id = providing.search(reply);
        let some = |count: usize| (0..count).map(|_| (PeerId::random(), Addresses::default()));
        let first: Vec<_> = some(PROVIDERS_FOUND_MAX - 1).collect();
        assert!(!providing.found(id, first.clone()));
        assert!(!providing.found(id, first.clone()), "the same again");
        assert!(providing.found(id, some(10)));
        providing.searched(id, true);
        let found = answer.try_recv().expect("answered").expect("found");
        assert_eq!(found.len(), PROVIDERS_FOUND_MAX);
        assert!(providing.addresses(&first[0].0).is_some());
        for (peer, addresses) in some(KEPT_MAX) {
            providing.name(peer, addresses);
        }
        assert!(providing.addresses(&first[0].0).is_none());
        assert_eq!(providing.named.len(), KEPT_MAX);

        let (reply, mut nobody) = oneshot::channel();
        let id = providing.search(reply);
        providing.searched(id, false);
        assert_eq!(nobody.try_recv(), Ok(Err(LookupError::NoAnswer)));
    }
}
