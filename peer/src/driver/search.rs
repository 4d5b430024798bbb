//! Finding the members of a topic: lookups in the DHT, and whom to ask for a list.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_protocol::{
    alike::Alike, limits, neighbours, presence::Presence, presence_wire::Request, topic::TopicHash,
};
use web_time::Instant;

use super::{
    Driver,
    presence::{Asked, AskedKind},
    queries::Purpose,
    reach::Addresses,
    room::{self, Lookup, Search},
};
use crate::{
    command::Reply,
    error::LookupError,
    platform,
    snapshot::Member,
    swarm::{dial_ranks, is_loopback, needs_relay},
};

/// Those who hear a room's gossip and are asked for its list at once where there is no DHT.
const LISTENERS_AT_ONCE: usize = 4;

impl Driver {
    /// Everybody whom the rooms want a connection to. Anybody can make up members, and they would be nearly all of a
    /// room: only those count for its size who are connected or may be reached. Where some could not be, as many are
    /// tried as a small room has: those that were not tried yet, then those that once were connected, then the others.
    pub(super) fn wanted(&mut self) -> HashSet<PeerId> {
        let mut wanted = HashSet::new();
        for room in self.rooms.values_mut() {
            let roster = &room.search.roster;
            let members = roster.members().map(|member| member.presence.peer);
            let (likely, others): (Vec<_>, Vec<_>) = members.partition(|peer| {
                self.connections.is_connected(peer) || self.reaching.may_reach(peer)
            });
            room.likely = likely.len();
            let mut near = neighbours::among(self.me, likely.iter().copied());
            if !others.is_empty() {
                let (met, others): (Vec<_>, Vec<_>) =
                    others.into_iter().partition(|peer| roster.has_met(peer));
                for more in [likely, met, others] {
                    let left = limits::FULL_MESH_MAX.saturating_sub(near.len());
                    let more = more.into_iter().filter(|peer| !near.contains(peer));
                    let more = neighbours::nearest(self.me, more, left);
                    near.extend(more);
                }
            }
            wanted.extend(near);
            // Those who can't be reached are tried again: they may be back before they say so.
            wanted.extend(room.search.roster.suspended());
        }
        wanted
    }

    /// Looks for the members of a topic, given who is connected.
    pub(super) fn new_search(&self, topic: TopicHash, now: Instant) -> Search {
        let mut search = Search::new(topic, self.me, now);
        for peer in self.connections.peers() {
            search.roster.connected(peer);
        }
        search
    }

    fn all_searches(&mut self) -> impl Iterator<Item = &mut Search> {
        let rooms = self.rooms.values_mut().map(|room| &mut room.search);
        let lookups = self.lookups.iter_mut().map(|lookup| &mut lookup.search);
        rooms.chain(lookups)
    }

    pub(super) fn begin_lookup(
        &mut self,
        topic: TopicHash,
        wait: Duration,
        reply: Reply<Result<Vec<Member>, LookupError>>,
        now: Instant,
    ) {
        self.lookups.push(Lookup {
            search: self.new_search(topic, now),
            deadline: now.checked_add(wait).unwrap_or(now),
            quiet: now + room::LOOKUP_QUIET,
            answered: false,
            reply,
        });
    }

    pub(super) fn look_up_members(&mut self, topic: TopicHash) {
        if !self.in_dht() {
            self.ask_listeners(topic);
            return;
        }
        if self.queries.is_full() || self.queries.members_query(&topic) {
            return;
        }
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_providers(topic.provider_key().into());
        self.queries.insert(query, Purpose::Members { topic });
    }

    /// Without a DHT, asks those who are connected and hear the room's gossip: who knows one member
    /// learns of the others.
    fn ask_listeners(&mut self, topic: TopicHash) {
        let Some(room) = self.rooms.get(&topic) else {
            return;
        };
        let search = &room.search;
        let mut listeners = self
            .swarm
            .behaviour()
            .gossip_listeners(&room.gossip_topic.hash());
        listeners.retain(|peer| !search.roster.contains(peer) && !search.asking.contains_key(peer));
        listeners.truncate(LISTENERS_AT_ONCE);
        for peer in listeners {
            self.sync_with(topic, peer, None, 0);
        }
    }

    /// The DHT names providers of a topic: a server (`is_answer`), or what this peer keeps itself. Whether they exist is
    /// to be seen. Returns whether the lookup has enough.
    pub(super) fn on_providers(
        &mut self,
        topic: TopicHash,
        providers: &[PeerId],
        is_answer: bool,
        now: Instant,
    ) -> bool {
        tracing::debug!(%topic, providers = providers.len(), "the DHT names providers");
        // We ourselves are named first of all, by our own store.
        let me = self.me;
        let providers: Vec<PeerId> = providers
            .iter()
            .copied()
            .filter(|provider| *provider != me)
            .collect();
        for lookup in self.lookups_of(topic) {
            lookup.answered |= is_answer;
        }
        let mut enough = !providers.is_empty();
        for search in self.searches(topic) {
            enough &= !providers.is_empty() && search.has_enough();
        }
        for provider in providers {
            // Now: they are forgotten with the query.
            let addresses = self.swarm.behaviour_mut().kad.addresses_of(provider);
            if let Some(room) = self.rooms.get_mut(&topic) {
                room.search.provider(provider, addresses.clone(), now);
            }
            for lookup in self.lookups_of(topic) {
                if lookup.search.provider(provider, addresses.clone(), now) {
                    lookup.quiet = now + room::LOOKUP_QUIET;
                }
            }
        }
        enough
    }

    /// Asks the providers whose turn it is.
    pub(super) fn advance_strangers(&mut self, now: Instant) {
        let due: Vec<_> = self
            .all_searches()
            .flat_map(|search| search.strangers_due(now))
            .collect();
        for (provider, addresses) in due {
            if self.connections.is_connected(&provider) {
                self.on_member_connected(provider, now);
            } else {
                let addresses = self.usable(&addresses, provider);
                self.reaching.stranger(provider, addresses, now);
            }
        }
    }

    /// The lookups of a topic.
    pub(super) fn lookups_of(&mut self, topic: TopicHash) -> impl Iterator<Item = &mut Lookup> {
        let lookups = self.lookups.iter_mut();
        lookups.filter(move |lookup| lookup.search.roster.topic() == topic)
    }

    pub(super) fn searches(&mut self, topic: TopicHash) -> impl Iterator<Item = &mut Search> {
        let room = self.rooms.get_mut(&topic).map(|room| &mut room.search);
        let lookups = self.lookups.iter_mut().map(|lookup| &mut lookup.search);
        room.into_iter()
            .chain(lookups.filter(move |search| search.roster.topic() == topic))
    }

    /// Asks a peer for its list of members and tells it of ourselves.
    pub(super) fn sync_with(
        &mut self,
        topic: TopicHash,
        peer: PeerId,
        after: Option<PeerId>,
        page: usize,
    ) {
        let presence = match self.rooms.get_mut(&topic) {
            Some(room) => {
                room.search.asking.insert(peer, page);
                room.own.clone()
            }
            None => None,
        };
        for lookup in self.lookups_of(topic) {
            lookup.search.asking.insert(peer, page);
        }
        let request = Request::Sync {
            topic,
            presence,
            after,
        };
        self.ask(peer, Asked::new(topic, AskedKind::Sync(page), &request));
    }

    /// The members of a room that are connected.
    pub(super) fn connected_members(&self, topic: TopicHash) -> Vec<PeerId> {
        self.rooms
            .get(&topic)
            .into_iter()
            .flat_map(|room| room.search.roster.members())
            .map(|member| member.presence.peer)
            .filter(|peer| self.connections.is_connected(peer))
            .collect()
    }

    /// Asks one connected member for its list, and for what of its talk was missed.
    pub(super) fn sync_with_somebody(&mut self, topic: TopicHash, now: Instant) {
        let mut connected = self.connected_members(topic);
        if let Some(room) = self.rooms.get(&topic) {
            connected.retain(|peer| !room.search.asking.contains_key(peer));
        }
        let Ok(count) = u64::try_from(connected.len()) else {
            return;
        };
        if count == 0 {
            return;
        }
        let index = usize::try_from(platform::seed() % count).unwrap_or_default();
        if let Some(peer) = connected.get(index) {
            self.sync_with(topic, *peer, None, 0);
            self.catch_up(topic, *peer, now);
        }
    }

    /// A connection to this peer is there: tell it who we are, and ask it who else is there.
    pub(super) fn on_member_connected(&mut self, peer: PeerId, now: Instant) {
        for search in self.all_searches() {
            search.roster.connected(peer);
        }
        let mut ask = Vec::new();
        let mut tell = Vec::new();
        for (topic, room) in &mut self.rooms {
            if room.search.concerns(&peer) {
                if room.search.list_due(now) {
                    ask.push(*topic)
                } else {
                    tell.push((*topic, room.own.clone()))
                }
            }
        }
        for lookup in &mut self.lookups {
            if lookup.search.concerns(&peer) && lookup.search.list_due(now) {
                ask.push(lookup.search.roster.topic());
            }
        }
        for topic in ask {
            self.sync_with(topic, peer, None, 0);
        }
        for (topic, own) in tell {
            if let Some(own) = own {
                let request = Request::Announce { presence: own };
                self.ask(peer, Asked::new(topic, AskedKind::Told, &request));
            }
        }
    }

    pub(super) fn on_member_disconnected(&mut self, peer: &PeerId) {
        for search in self.all_searches() {
            search.roster.disconnected(peer);
        }
        for room in self.rooms.values_mut() {
            room.search.asking.remove(peer);
            room.catching_up.disconnected(peer);
        }
        for leaving in &mut self.leavings {
            leaving.told.remove(peer);
        }
    }

    pub(super) fn learn_addresses(&mut self, presence: &Presence, now: Instant) {
        let addresses = self.usable(&presence.addresses, presence.peer);
        let can_be_dialled = self.can_be_dialled();
        let head_start = self.pace.head_start();
        self.reaching
            .member(presence.peer, addresses, can_be_dialled, head_start, now);
    }

    /// Sorts a member's addresses into what this peer can dial. A circuit through a relay that is
    /// connected goes through that connection, whatever address the member has for the relay; a member
    /// that relays has none that could be dialled. Relays that are connected come first, and of these
    /// the servers, which can carry more. A loopback address comes first when the member is on this
    /// machine, and else after all others: who answers there is hardly the one that is meant.
    pub(super) fn usable(&self, addresses: &[Multiaddr], peer: PeerId) -> Addresses {
        let mut direct = Vec::new();
        let [mut servers, mut members, mut unconnected]: [Vec<Multiaddr>; 3] = Default::default();
        for address in addresses {
            let (_, bare) = crate::bootstrap::split_peer(address.clone());
            if !needs_relay(&bare) {
                direct.push(bare);
                continue;
            }
            // A direct connection that needs a relay for its signalling comes after the relayed one,
            // by itself: some list nothing else.
            let bare: Multiaddr = bare
                .iter()
                .filter(|protocol| *protocol != Protocol::WebRTC)
                .collect();
            let relay = bare.iter().find_map(|protocol| match protocol {
                Protocol::P2p(relay) => Some(relay),
                _ => None,
            });
            let through = relay.and_then(|relay| self.circuit_through(relay));
            let relay_is_named_only = matches!(bare.iter().next(), Some(Protocol::P2p(_)));
            let (rank, circuit) = match through {
                Some(circuit) if relay_is_named_only => (&mut members, circuit),
                Some(circuit) => (&mut servers, circuit),
                None if relay_is_named_only => continue,
                None => (&mut unconnected, bare),
            };
            let circuit = circuit.with(Protocol::P2p(peer));
            if !rank.contains(&circuit) {
                rank.push(circuit);
            }
        }
        let mut relayed = vec![servers, members, unconnected];
        relayed.retain(|rank| !rank.is_empty());
        let own: HashSet<IpAddr> = self
            .swarm
            .listeners()
            .filter_map(moim_dht::first_ip)
            .filter(|ip| !ip.is_loopback())
            .collect();
        let is_here = direct
            .iter()
            .filter_map(moim_dht::first_ip)
            .any(|ip| own.contains(&ip));
        let (here, elsewhere): (Vec<_>, Vec<_>) = direct.into_iter().partition(is_loopback);
        let mut direct = dial_ranks(if is_here { &here } else { &elsewhere });
        direct.extend(dial_ranks(if is_here { &elsewhere } else { &here }));
        Addresses { direct, relayed }
    }

    /// Lookups that are done, or go on.
    pub(super) fn advance_lookups(&mut self, now: Instant) {
        let due: Vec<TopicHash> = self
            .lookups
            .iter_mut()
            .filter_map(|lookup| {
                lookup
                    .search
                    .lookup_due(now)
                    .then(|| lookup.search.roster.topic())
            })
            .collect();
        for topic in due {
            self.look_up_members(topic);
        }
        let mut index = 0;
        while let Some(lookup) = self.lookups.get_mut(index) {
            lookup.search.roster.tick(now);
            let busy = !lookup.search.asking.is_empty() || !lookup.answered;
            if lookup.deadline > now && (lookup.quiet > now || busy) {
                if busy {
                    lookup.quiet = lookup.quiet.max(now + Duration::from_millis(50));
                }
                index += 1;
                continue;
            }
            let lookup = self.lookups.swap_remove(index);
            if !lookup.answered && lookup.search.roster.is_empty() {
                let _ = lookup.reply.send(Err(LookupError::NoAnswer));
                continue;
            }
            let mut alike = Alike::new(self.me);
            for member in lookup.search.roster.members() {
                alike.insert(member.presence.peer, &member.presence.name);
            }
            let members = lookup
                .search
                .roster
                .members()
                .map(|member| {
                    let peer = member.presence.peer;
                    Member {
                        peer,
                        name: member.presence.name.clone(),
                        reach: self
                            .reaching
                            .reach(&peer, false, self.connections.best_path(&peer)),
                        looks_like: alike.of(&peer),
                    }
                })
                .collect();
            let _ = lookup.reply.send(Ok(members));
        }
    }
}
