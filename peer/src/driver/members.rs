//! Who is in a room: announcing ourselves, finding the others, telling and asking them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    gossipsub::IdentTopic,
    kad,
    multiaddr::Protocol,
    request_response::{self, OutboundFailure, OutboundRequestId},
};
use moim_protocol::{
    announcer::Announcer,
    limits,
    ordering::Ordering,
    presence::{Presence, SignedPresence, State, next_sequence, presence_record_key},
    presence_wire::{Request, Response},
    roster::{RosterError, Verdict},
    topic::{Topic, TopicHash},
    wire::ErrorCode,
};
use tokio::sync::watch;
use web_time::Instant;

use super::{
    Driver,
    queries::Purpose,
    reach::Addresses,
    room::{self, Leaving, Lookup, RoomState, Search, Shown},
};
use crate::{
    command::Reply,
    error::{JoinError, LookupError},
    event::{LeaveReason, PeerEvent},
    platform, rpc,
    snapshot::{Member, Path, Profile, Reach},
    swarm::{dial_ranks, is_relayed},
};

/// Room for the rest of an answer beside the members in it.
const PAGE_BYTES_MAX: usize = limits::BODY_BYTES_MAX;

/// Requests of the presence protocol that wait for an answer.
const ASKED_MAX: usize = 512;

/// What a request of ours was for.
#[derive(Debug)]
pub(super) struct Asked {
    topic: TopicHash,
    kind: AskedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedKind {
    /// Somebody's list of members; which page.
    Sync(usize),
    /// Told a member that we are here.
    Here,
    /// Told a member that we left.
    Left,
}

/// Where a list of members goes.
#[derive(Clone, Copy)]
enum Origin {
    /// The member itself said it to us, who should tell the room.
    ForTheRoom,
    /// A member said it, of itself or of another.
    Another,
    /// It came by the room's gossip.
    Gossip,
}

impl Driver {
    pub(super) fn join(
        &mut self,
        topic: Topic,
        profile: Profile,
        now: Instant,
    ) -> Result<watch::Receiver<Vec<Member>>, JoinError> {
        let hash = topic.hash();
        if self.rooms.contains_key(&hash) {
            return Err(JoinError::AlreadyJoined);
        }
        if self.rooms.len() >= room::ROOMS_MAX {
            return Err(JoinError::TooManyRooms {
                max: room::ROOMS_MAX,
            });
        }
        let gossip_topic = IdentTopic::new(hash.gossip_topic());
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut()
            && let Err(error) = gossip.subscribe(&gossip_topic)
        {
            tracing::warn!(%error, "cannot subscribe to the room's gossip");
        }
        let refresh = self
            .presence_lifetime
            .mul_f64(limits::PRESENCE_REFRESH.div_duration_f64(limits::PRESENCE_TTL));
        let mut announcer =
            Announcer::with_refresh(refresh, self.seed ^ u64::from(hash.as_bytes()[0]));
        announcer.announce_now(now);
        let (members, receiver) = watch::channel(Vec::new());
        self.rooms.insert(
            hash,
            RoomState {
                topic,
                profile,
                gossip_topic,
                search: Search::new(hash, self.me, now),
                announcer,
                ordering: Ordering::new(),
                session: platform::wall().0.max(1),
                sequence: 0,
                presence_sequence: 0,
                own: None,
                servers: Vec::new(),
                held: VecDeque::new(),
                history: VecDeque::new(),
                members,
                shown: HashMap::new(),
            },
        );
        self.dirty = true;
        Ok(receiver)
    }

    /// Signs our presence in a room. `None` when it cannot be signed, which is logged.
    fn sign_presence(&mut self, topic: TopicHash, state: State) -> Option<SignedPresence> {
        let addresses = self.own_addresses();
        let wall = platform::wall();
        let room = self.rooms.get_mut(&topic)?;
        room.presence_sequence = next_sequence(room.presence_sequence, wall);
        let presence = Presence {
            peer: self.me,
            topic,
            name: room.profile.name().to_owned(),
            addresses,
            sequence: room.presence_sequence,
            issued: wall,
            expires: wall.saturating_add(self.presence_lifetime),
            state,
        };
        match presence.sign_fitting(&self.keypair) {
            Ok(signed) => Some(signed),
            Err(error) => {
                tracing::error!(%error, "cannot sign presence");
                None
            }
        }
    }

    /// Tells the members, the room and the DHT that we are here.
    fn announce(&mut self, topic: TopicHash, now: Instant) {
        let Some(signed) = self.sign_presence(topic, State::Here) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.search.roster.set_own(Some(signed.clone()), now);
        room.own = Some(signed.clone());
        self.gossip_presence(topic, &signed);
        self.tell_members(topic, &signed, AskedKind::Here);
        if !self.in_dht() || self.queries.announcing(&topic) || self.queries.is_full() {
            return;
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let key = topic.provider_key();
        // For servers that know nothing of presence: the plain provider record.
        if let Err(error) = kad.start_providing(key.clone().into()) {
            tracing::warn!(%error, "cannot keep our own provider record");
        }
        let query = kad.get_closest_peers(key);
        self.queries
            .insert(query, Purpose::AnnounceFind { topic }, now);
    }

    /// The servers closest to the topic are known: hand our presence to them.
    pub(super) fn on_announce_found(
        &mut self,
        topic: TopicHash,
        mut servers: Vec<PeerId>,
        now: Instant,
    ) {
        servers.extend(
            self.connections
                .servers()
                .filter(|server| !servers.contains(server))
                .collect::<Vec<_>>(),
        );
        servers.truncate(kad::K_VALUE.get());
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.servers.clone_from(&servers);
        // Signed anew: addresses may have changed while the servers were looked for.
        let Some(signed) = self.sign_presence(topic, State::Here) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(&topic) {
            room.search.roster.set_own(Some(signed.clone()), now);
            room.own = Some(signed.clone());
        }
        self.put_presence(&signed, servers, Purpose::AnnouncePut { topic }, now);
    }

    fn put_presence(
        &mut self,
        signed: &SignedPresence,
        servers: Vec<PeerId>,
        purpose: Purpose,
        now: Instant,
    ) {
        let presence = signed.presence();
        let record = kad::Record {
            key: presence_record_key(presence.topic, &presence.peer).into(),
            value: signed.as_bytes().to_vec(),
            publisher: Some(self.me),
            expires: Some(now + self.presence_lifetime),
        };
        let kad = &mut self.swarm.behaviour_mut().kad;
        if servers.is_empty() {
            return;
        }
        let query = kad.put_record_to(record, servers.into_iter(), kad::Quorum::One);
        self.queries.insert(query, purpose, now);
    }

    pub(super) fn on_announced(&mut self, topic: TopicHash, accepted: bool, now: Instant) {
        if accepted && let Some(room) = self.rooms.get_mut(&topic) {
            room.announcer.succeeded(now);
        }
    }

    fn gossip_presence(&mut self, topic: TopicHash, signed: &SignedPresence) {
        let Some(room) = self.rooms.get(&topic) else {
            return;
        };
        let body = moim_protocol::room::RoomMessage::Presence {
            presence: signed.clone(),
        }
        .encode();
        let gossip_topic = room.gossip_topic.hash();
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut()
            && let Err(error) = gossip.publish(gossip_topic, body)
        {
            // Nobody listens yet, or somebody else was faster: members also hear it in other ways.
            tracing::trace!(%error, "presence not published");
        }
    }

    /// Tells connected members directly: those that gossip does not reach, and so that a `left`
    /// needs no second hop.
    fn tell_members(
        &mut self,
        topic: TopicHash,
        signed: &SignedPresence,
        kind: AskedKind,
    ) -> HashSet<PeerId> {
        let Some(room) = self.rooms.get(&topic) else {
            return HashSet::new();
        };
        let listeners: HashSet<PeerId> = match kind {
            // A refresh needs no request where gossip carries it.
            AskedKind::Here if self.gossip => self
                .swarm
                .behaviour()
                .gossip_listeners(&room.gossip_topic.hash())
                .into_iter()
                .collect(),
            _ => HashSet::new(),
        };
        let told: HashSet<PeerId> = room
            .search
            .roster
            .members()
            .map(|member| member.presence.peer)
            .filter(|peer| self.connections.is_connected(peer) && !listeners.contains(peer))
            .collect();
        let body = Request::Announce {
            presence: signed.clone(),
        }
        .encode();
        for peer in &told {
            self.ask(*peer, body.clone(), Asked { topic, kind });
        }
        told
    }

    fn ask(&mut self, peer: PeerId, body: Vec<u8>, asked: Asked) {
        if self.asked.len() >= ASKED_MAX {
            tracing::debug!("too many presence requests under way");
            return;
        }
        let id = self
            .swarm
            .behaviour_mut()
            .presence
            .send_request(&peer, body);
        self.asked.insert(id, asked);
    }

    pub(super) fn leave(&mut self, topic: TopicHash, reply: Option<Reply<()>>, now: Instant) {
        let signed = self.sign_presence(topic, State::Left);
        let Some(signed) = signed else {
            if let Some(reply) = reply {
                let _ = reply.send(());
            }
            return;
        };
        self.gossip_presence(topic, &signed);
        let told = self.tell_members(topic, &signed, AskedKind::Left);
        let Some(room) = self.rooms.remove(&topic) else {
            return;
        };
        let mut servers = room.servers;
        servers.extend(
            self.connections
                .servers()
                .filter(|server| !servers.contains(server))
                .collect::<Vec<_>>(),
        );
        servers.truncate(kad::K_VALUE.get());
        // A gossip topic or provider record that was never there is as good as removed.
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
            let _ = gossip.unsubscribe(&room.gossip_topic);
        }
        self.swarm
            .behaviour_mut()
            .kad
            .stop_providing(&topic.provider_key().into());
        self.put_presence(&signed, servers, Purpose::LeavePut { topic }, now);
        self.leavings.push(Leaving {
            topic,
            told,
            deadline: now + room::LEAVE_DEADLINE,
            reply,
        });
        self.dirty = true;
    }

    pub(super) fn begin_lookup(
        &mut self,
        topic: TopicHash,
        wait: Duration,
        reply: Reply<Result<Vec<Member>, LookupError>>,
        now: Instant,
    ) {
        self.lookups.push(Lookup {
            search: Search::new(topic, self.me, now),
            deadline: now.checked_add(wait).unwrap_or(now),
            quiet: now + room::LOOKUP_QUIET,
            reply,
        });
    }

    /// Everything about rooms that is due.
    pub(super) fn advance_rooms(&mut self, now: Instant) {
        let topics: Vec<TopicHash> = self.rooms.keys().copied().collect();
        for topic in topics {
            let Some(room) = self.rooms.get_mut(&topic) else {
                continue;
            };
            let announce = room.announcer.poll(now);
            let lookup = room.search.lookup_due(now);
            let sync = (room.search.next_sync <= now)
                .then(|| room.search.next_sync = now + room::SYNC_INTERVAL);
            let gone: Vec<(PeerId, String)> = {
                let names: HashMap<PeerId, String> = room
                    .search
                    .roster
                    .members()
                    .map(|member| (member.presence.peer, member.presence.name.clone()))
                    .collect();
                room.search
                    .roster
                    .tick(now)
                    .into_iter()
                    .map(|peer| (peer, names.get(&peer).cloned().unwrap_or_default()))
                    .collect()
            };
            for (peer, name) in gone {
                self.member_gone(topic, peer, name, LeaveReason::Expired);
            }
            if announce {
                self.announce(topic, now);
            }
            if lookup {
                self.look_up_members(topic, now);
            }
            if sync.is_some() {
                self.sync_with_somebody(topic);
            }
            self.deliver_ordered(topic, now);
            self.release_held(topic, now);
        }
        self.leavings.retain_mut(|leaving| {
            let done = leaving.told.is_empty() && !self.queries.leaving(&leaving.topic);
            if done || leaving.deadline <= now {
                if let Some(reply) = leaving.reply.take() {
                    let _ = reply.send(());
                }
                return false;
            }
            true
        });
    }

    fn look_up_members(&mut self, topic: TopicHash, now: Instant) {
        if !self.in_dht() || self.queries.is_full() || self.queries.members_query(&topic) {
            return;
        }
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_providers(topic.provider_key().into());
        self.queries.insert(query, Purpose::Members { topic }, now);
    }

    /// The DHT names providers of a topic. Whether they exist is to be seen. Returns whether the
    /// lookup has enough.
    pub(super) fn on_providers(
        &mut self,
        topic: TopicHash,
        providers: &[PeerId],
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
        let mut enough = !providers.is_empty();
        for search in self.searches(topic) {
            enough &= !providers.is_empty() && search.has_enough();
        }
        for provider in providers {
            let mut ask = false;
            if let Some(room) = self.rooms.get_mut(&topic) {
                ask |= room.search.provider(provider, now);
            }
            for lookup in self
                .lookups
                .iter_mut()
                .filter(|lookup| lookup.search.roster.topic() == topic)
            {
                if lookup.search.provider(provider, now) {
                    ask = true;
                    lookup.quiet = now + room::LOOKUP_QUIET;
                }
            }
            if !ask {
                continue;
            }
            if self.connections.is_connected(&provider) {
                self.on_member_connected(provider, now);
            } else {
                self.reaching.stranger(provider, now);
            }
        }
        // At once: kad knows their addresses only as long as the lookup runs.
        self.dial_due(now);
        enough
    }

    fn searches(&mut self, topic: TopicHash) -> impl Iterator<Item = &mut Search> {
        let room = self.rooms.get_mut(&topic).map(|room| &mut room.search);
        let lookups = self.lookups.iter_mut().map(|lookup| &mut lookup.search);
        room.into_iter()
            .chain(lookups.filter(move |search| search.roster.topic() == topic))
    }

    /// Asks a peer for its list of members and tells it of ourselves.
    fn sync_with(&mut self, topic: TopicHash, peer: PeerId, after: Option<PeerId>, page: usize) {
        let presence = match self.rooms.get_mut(&topic) {
            Some(room) => {
                room.search.asking.insert(peer, page);
                room.own.clone()
            }
            None => None,
        };
        for lookup in self
            .lookups
            .iter_mut()
            .filter(|lookup| lookup.search.roster.topic() == topic)
        {
            lookup.search.asking.insert(peer, page);
        }
        let body = Request::Sync {
            topic,
            presence,
            after,
        }
        .encode();
        self.ask(
            peer,
            body,
            Asked {
                topic,
                kind: AskedKind::Sync(page),
            },
        );
    }

    fn sync_with_somebody(&mut self, topic: TopicHash) {
        let Some(room) = self.rooms.get(&topic) else {
            return;
        };
        let connected: Vec<PeerId> = room
            .search
            .roster
            .members()
            .map(|member| member.presence.peer)
            .filter(|peer| {
                self.connections.is_connected(peer) && !room.search.asking.contains_key(peer)
            })
            .collect();
        let Ok(count) = u64::try_from(connected.len()) else {
            return;
        };
        if count == 0 {
            return;
        }
        let index = usize::try_from(platform::seed() % count).unwrap_or_default();
        if let Some(peer) = connected.get(index) {
            self.sync_with(topic, *peer, None, 0);
        }
    }

    /// A connection to this peer is there: tell it who we are, and ask it who else is there.
    pub(super) fn on_member_connected(&mut self, peer: PeerId, now: Instant) {
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
                let body = Request::Announce { presence: own }.encode();
                self.ask(
                    peer,
                    body,
                    Asked {
                        topic,
                        kind: AskedKind::Here,
                    },
                );
            }
        }
    }

    pub(super) fn on_member_disconnected(&mut self, peer: &PeerId) {
        for room in self.rooms.values_mut() {
            room.search.asking.remove(peer);
        }
        for leaving in &mut self.leavings {
            leaving.told.remove(peer);
        }
    }

    pub(super) fn on_presence(&mut self, event: rpc::Event, now: Instant) {
        match event {
            request_response::Event::Message {
                peer,
                message:
                    request_response::Message::Request {
                        request, channel, ..
                    },
                ..
            } => {
                let answer = self.answer_presence(peer, &request, now);
                // The asker may be gone already.
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .presence
                    .send_response(channel, answer.encode());
            }
            request_response::Event::Message {
                peer,
                message:
                    request_response::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => self.on_presence_answer(peer, request_id, &response, now),
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.on_presence_failure(peer, request_id, &error, now);
            }
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn answer_presence(&mut self, peer: PeerId, body: &[u8], now: Instant) -> Response {
        let request = match Request::decode(body).and_then(|request| {
            request.check_sender(&peer)?;
            Ok(request)
        }) {
            Ok(request) => request,
            Err(error) => return Response::error(error.code(), &error.to_string()),
        };
        let topic = request.topic();
        if !self.rooms.contains_key(&topic) {
            return Response::error(ErrorCode::NotAMember, "this peer is not in that room");
        }
        // A newcomer asks a few members for their lists and announces itself to all it meets: those
        // few tell the room. Somebody who hears the room's gossip says there itself that it left.
        let for_the_room = match &request {
            Request::Announce { presence } => {
                presence.presence().state == State::Left && !self.listens(topic, &peer)
            }
            Request::Sync { .. } => true,
        };
        let origin = if for_the_room {
            Origin::ForTheRoom
        } else {
            Origin::Another
        };
        if let Some(presence) = request.presence()
            && let Err(error) =
                self.take_presence(topic, presence.clone(), Duration::ZERO, origin, now)
        {
            return Response::error(error.code(), &error.to_string());
        }
        match (request, self.rooms.get(&topic)) {
            (Request::Sync { after, .. }, Some(room)) => {
                let page = room.search.roster.entries(after, now, PAGE_BYTES_MAX);
                Response::Members {
                    members: page.entries,
                    next: page.next,
                }
            }
            _ => Response::Accepted,
        }
    }

    fn listens(&self, topic: TopicHash, peer: &PeerId) -> bool {
        self.rooms.get(&topic).is_some_and(|room| {
            self.swarm
                .behaviour()
                .gossip_listeners(&room.gossip_topic.hash())
                .contains(peer)
        })
    }

    fn on_presence_answer(
        &mut self,
        peer: PeerId,
        id: OutboundRequestId,
        body: &[u8],
        now: Instant,
    ) {
        let Some(Asked { topic, kind }) = self.asked.remove(&id) else {
            return;
        };
        match kind {
            AskedKind::Here => {}
            AskedKind::Left => self.told_left(topic, &peer),
            AskedKind::Sync(page) => {
                self.asked_done(topic, &peer, now);
                match Response::decode(body) {
                    Ok(Response::Members { members, next }) => {
                        self.take_members(topic, peer, members, next, page, now);
                    }
                    Ok(Response::Accepted | Response::Error { .. }) => {}
                    Err(error) => tracing::debug!(%peer, %error, "unusable list of members"),
                }
            }
        }
    }

    fn on_presence_failure(
        &mut self,
        peer: PeerId,
        id: OutboundRequestId,
        error: &OutboundFailure,
        now: Instant,
    ) {
        let Some(Asked { topic, kind }) = self.asked.remove(&id) else {
            return;
        };
        tracing::debug!(%peer, %error, "presence request failed");
        match kind {
            AskedKind::Here => {}
            AskedKind::Left => self.told_left(topic, &peer),
            AskedKind::Sync(_) => self.asked_done(topic, &peer, now),
        }
    }

    fn told_left(&mut self, topic: TopicHash, peer: &PeerId) {
        for leaving in self
            .leavings
            .iter_mut()
            .filter(|leaving| leaving.topic == topic)
        {
            leaving.told.remove(peer);
        }
    }

    fn asked_done(&mut self, topic: TopicHash, peer: &PeerId, now: Instant) {
        if let Some(room) = self.rooms.get_mut(&topic) {
            room.search.asking.remove(peer);
        }
        for lookup in self
            .lookups
            .iter_mut()
            .filter(|lookup| lookup.search.roster.topic() == topic)
        {
            lookup.search.asking.remove(peer);
            lookup.quiet = now + room::LOOKUP_QUIET;
        }
    }

    fn take_members(
        &mut self,
        topic: TopicHash,
        from: PeerId,
        members: Vec<(SignedPresence, Duration)>,
        next: Option<PeerId>,
        page: usize,
        now: Instant,
    ) {
        for (presence, age) in members {
            for lookup in self
                .lookups
                .iter_mut()
                .filter(|lookup| lookup.search.roster.topic() == topic)
            {
                // What one list has wrong, another has right.
                let _ = lookup.search.roster.handle_presence(
                    presence.clone(),
                    age,
                    now,
                    platform::wall(),
                );
            }
            if self.rooms.contains_key(&topic)
                && let Err(error) = self.take_presence(topic, presence, age, Origin::Another, now)
            {
                tracing::debug!(%from, %error, "presence not taken");
            }
        }
        // The last id of a page is behind the one that was asked for, so this ends.
        if next.is_some() && page < limits::SYNC_PAGES_MAX {
            self.sync_with(topic, from, next, page + 1);
        }
    }

    /// A member's presence by gossip. Returns whether it is worth passing on.
    pub(super) fn on_gossiped_presence(
        &mut self,
        topic: TopicHash,
        presence: SignedPresence,
        now: Instant,
    ) -> bool {
        self.take_presence(topic, presence, Duration::ZERO, Origin::Gossip, now)
            .is_ok()
    }

    fn take_presence(
        &mut self,
        topic: TopicHash,
        signed: SignedPresence,
        age: Duration,
        origin: Origin,
        now: Instant,
    ) -> Result<(), RosterError> {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return Ok(());
        };
        let peer = signed.presence().peer;
        let before = room
            .search
            .roster
            .get(&peer)
            .map(|member| member.presence.name.clone());
        let verdict =
            room.search
                .roster
                .handle_presence(signed.clone(), age, now, platform::wall())?;
        match verdict {
            Verdict::Joined => {
                self.learn_addresses(&signed, now);
                self.member_joined(topic, &signed, now);
            }
            Verdict::Updated => {
                self.learn_addresses(&signed, now);
                if before.as_deref() != Some(signed.presence().name.as_str()) {
                    self.member_renamed(topic, &signed);
                }
            }
            Verdict::Left => {
                self.member_gone(topic, peer, before.unwrap_or_default(), LeaveReason::Left);
            }
            Verdict::Own => {
                room.presence_sequence = room.presence_sequence.max(signed.presence().sequence);
            }
            Verdict::Unchanged => {}
        }
        // Once: it is no news the next time.
        if matches!(origin, Origin::ForTheRoom)
            && matches!(verdict, Verdict::Joined | Verdict::Left)
        {
            self.gossip_presence(topic, &signed);
        }
        Ok(())
    }

    fn learn_addresses(&mut self, signed: &SignedPresence, now: Instant) {
        let presence = signed.presence();
        let addresses = self.usable(&presence.addresses, presence.peer);
        let can_be_dialled = self.can_be_dialled();
        self.reaching
            .member(presence.peer, addresses, can_be_dialled, now);
    }

    /// Sorts a member's addresses into what this peer can dial. A circuit through a relay that is
    /// connected goes through that connection, whatever address the member has for the relay.
    fn usable(&self, addresses: &[Multiaddr], peer: PeerId) -> Addresses {
        let mut direct = Vec::new();
        let mut relayed: Vec<Multiaddr> = Vec::new();
        for address in addresses {
            let (_, bare) = crate::bootstrap::split_peer(address.clone());
            if !is_relayed(&bare) {
                direct.push(bare);
                continue;
            }
            let relay = bare.iter().find_map(|protocol| match protocol {
                Protocol::P2p(relay) => Some(relay),
                _ => None,
            });
            let through = relay.and_then(|relay| self.circuit_through(relay));
            let circuit = through.unwrap_or(bare).with(Protocol::P2p(peer));
            if !relayed.contains(&circuit) {
                relayed.push(circuit);
            }
        }
        Addresses {
            direct: dial_ranks(&direct),
            relayed,
        }
    }

    fn member_joined(&mut self, topic: TopicHash, signed: &SignedPresence, now: Instant) {
        let presence = signed.presence();
        let reach = self.reach_of(topic, &presence.peer);
        let member = Member {
            peer: presence.peer,
            name: presence.name.clone(),
            reach,
        };
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.shown
            .insert(presence.peer, Shown { reach, since: now });
        self.events.emit(PeerEvent::MemberJoined {
            topic: room.topic.clone(),
            member,
        });
    }

    fn member_renamed(&mut self, topic: TopicHash, signed: &SignedPresence) {
        let presence = signed.presence();
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let reach = room
            .shown
            .get(&presence.peer)
            .map(|shown| shown.reach)
            .unwrap_or_default();
        let member = Member {
            peer: presence.peer,
            name: presence.name.clone(),
            reach,
        };
        self.events.emit(PeerEvent::MemberUpdated {
            topic: room.topic.clone(),
            member,
            before: reach,
        });
    }

    fn member_gone(&mut self, topic: TopicHash, peer: PeerId, name: String, reason: LeaveReason) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.shown.remove(&peer);
        self.events.emit(PeerEvent::MemberLeft {
            topic: room.topic.clone(),
            peer,
            name,
            reason,
        });
        if !self
            .rooms
            .values()
            .any(|room| room.search.roster.contains(&peer))
        {
            self.reaching.forget(&peer);
        }
    }

    fn reach_of(&self, topic: TopicHash, peer: &PeerId) -> Reach {
        let Some(room) = self.rooms.get(&topic) else {
            return Reach::Unconnected;
        };
        let neighbours = self.reaching.neighbours(
            room.search
                .roster
                .members()
                .map(|member| member.presence.peer),
        );
        self.reaching.reach(
            peer,
            neighbours.contains(peer),
            self.connections.best_path(peer),
        )
    }

    /// Brings the members' lists and the events about how they are reached up to date.
    pub(super) fn update_members(&mut self, wanted: &HashSet<PeerId>) {
        for room in self.rooms.values_mut() {
            let mut list: Vec<Member> = Vec::with_capacity(room.search.roster.len());
            for member in room.search.roster.members() {
                let peer = member.presence.peer;
                let path: Option<Path> = self.connections.best_path(&peer);
                let reach = self.reaching.reach(&peer, wanted.contains(&peer), path);
                let member = Member {
                    peer,
                    name: member.presence.name.clone(),
                    reach,
                };
                if let Some(shown) = room.shown.get_mut(&peer)
                    && shown.reach != reach
                {
                    let before = std::mem::replace(&mut shown.reach, reach);
                    self.events.emit(PeerEvent::MemberUpdated {
                        topic: room.topic.clone(),
                        member: member.clone(),
                        before,
                    });
                }
                list.push(member);
            }
            list.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.peer.cmp(&b.peer)));
            room.members.send_if_modified(|current| {
                let changed = *current != list;
                if changed {
                    *current = list;
                }
                changed
            });
        }
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
            self.look_up_members(topic, now);
        }
        let mut index = 0;
        while let Some(lookup) = self.lookups.get_mut(index) {
            lookup.search.roster.tick(now);
            let busy = !lookup.search.asking.is_empty();
            if lookup.deadline > now && (lookup.quiet > now || busy) {
                if busy {
                    lookup.quiet = lookup.quiet.max(now + Duration::from_millis(50));
                }
                index += 1;
                continue;
            }
            let lookup = self.lookups.swap_remove(index);
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
                    }
                })
                .collect();
            let _ = lookup.reply.send(Ok(members));
        }
    }
}
