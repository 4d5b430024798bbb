//! Who is in a room: announcing ourselves, finding the others, telling and asking them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Weak,
};

use libp2p::{PeerId, gossipsub::IdentTopic, kad};
use moim_protocol::{
    alike::Alike,
    announcer::Announcer,
    limits, neighbours,
    newcomers::Newcomers,
    ordering::Ordering,
    presence::{Presence, SignedPresence, State, next_sequence, presence_record_key},
    said::Said,
    topic::{Topic, TopicHash},
};
use tokio::sync::watch;
use web_time::Instant;

use super::{
    Driver,
    catch_up::CatchingUp,
    presence::AskedKind,
    queries::Purpose,
    room::{self, Leaving, RoomState, Shown},
    saying::Saying,
    shares::Hearing,
};
use crate::{
    command::Reply,
    error::JoinError,
    event::{LeaveReason, PeerEvent},
    history::Conversation,
    platform,
    snapshot::{Member, Path, Profile, Reach},
};

impl Driver {
    pub(super) fn join(
        &mut self,
        topic: Topic,
        profile: Profile,
        handle: Weak<()>,
        now: Instant,
    ) -> Result<watch::Receiver<Vec<Member>>, JoinError> {
        self.leave_dropped(now);
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
        self.swarm.behaviour_mut().listen_to(&gossip_topic);
        let refresh = self
            .presence_lifetime
            .mul_f64(limits::PRESENCE_REFRESH.div_duration_f64(limits::PRESENCE_TTL));
        let mut announcer =
            Announcer::with_refresh(refresh, self.seed ^ u64::from(hash.as_bytes()[0]));
        announcer.announce_now(now);
        let search = self.new_search(hash, now);
        let (members, receiver) = watch::channel(Vec::new());
        let mut alike = Alike::new(self.me);
        alike.insert(self.me, profile.name());
        self.rooms.insert(
            hash,
            RoomState {
                topic,
                profile,
                handle,
                gossip_topic,
                search,
                likely: 0,
                announcer,
                ordering: Ordering::new(),
                newcomers: Newcomers::default(),
                alike,
                joined: now,
                told: now,
                // The time of the join, so that a rejoin starts the numbering anew.
                said: Said::new(platform::wall().0.max(1)),
                saying: Saying::new(now),
                hearing: Hearing::new(now),
                catching_up: CatchingUp::default(),
                presence_sequence: 0,
                own: None,
                farewells: VecDeque::new(),
                servers: Vec::new(),
                history: Conversation::default(),
                members,
                shown: HashMap::new(),
            },
        );
        self.reaching.hold(now);
        self.dirty = true;
        Ok(receiver)
    }

    /// Signs our presence in a room. `None` when it cannot be signed, which is logged.
    pub(super) fn sign_presence(
        &mut self,
        topic: TopicHash,
        state: State,
    ) -> Option<SignedPresence> {
        let addresses = match state {
            State::Here => self.own_addresses(),
            State::Left => Vec::new(),
        };
        let wall = platform::wall();
        let room = self.rooms.get_mut(&topic)?;
        room.presence_sequence = next_sequence(room.presence_sequence, wall);
        let presence = Presence {
            peer: self.me,
            topic,
            name: room.profile.name().clone(),
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
    pub(super) fn announce(&mut self, topic: TopicHash, now: Instant) {
        let Some(signed) = self.sign_presence(topic, State::Here) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        // Another try with the DHT is no news to the members.
        let is_known = room.own.as_ref().is_some_and(|own| {
            own.presence().addresses == signed.presence().addresses
                && now.saturating_duration_since(room.told)
                    < self.presence_lifetime / room::TELL_AGAIN
        });
        room.search.roster.set_own(Some(signed.clone()), now);
        room.own = Some(signed.clone());
        if !is_known {
            room.told = now;
            self.gossip_presence(topic, &signed);
            self.tell_members(topic, &signed, AskedKind::Told);
        }
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
        self.queries.insert(query, Purpose::AnnounceFind { topic });
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
        // The same presence that the members have, so that it goes round once: other addresses are
        // announced by themselves.
        let Some(signed) = room.own.clone() else {
            return;
        };
        self.put_presence(&signed, servers, Purpose::AnnouncePut { topic }, now);
    }

    pub(super) fn put_presence(
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
        self.queries.insert(query, purpose);
    }

    pub(super) fn on_announced(&mut self, topic: TopicHash, accepted: bool, now: Instant) {
        if accepted && let Some(room) = self.rooms.get_mut(&topic) {
            room.announcer.succeeded(now);
        }
    }

    pub(super) fn gossip_presence(&mut self, topic: TopicHash, signed: &SignedPresence) {
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

    /// Leaves a room, and says so if that can be signed: whoever is not told sees our presence end.
    pub(super) fn leave(&mut self, topic: TopicHash, reply: Option<Reply<()>>, now: Instant) {
        let signed = self.sign_presence(topic, State::Left);
        let mut told = HashSet::new();
        if let Some(signed) = &signed {
            self.gossip_presence(topic, signed);
            told = self.tell_members(topic, signed, AskedKind::Left);
        }
        let Some(room) = self.rooms.remove(&topic) else {
            if let Some(reply) = reply {
                let _ = reply.send(());
            }
            return;
        };
        room.saying.give_up();
        self.members_changed = true;
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
        if let Some(signed) = &signed {
            self.put_presence(signed, servers, Purpose::LeavePut { topic }, now);
        }
        self.leavings.push(Leaving {
            topic,
            told,
            deadline: now + room::LEAVE_DEADLINE,
            reply,
        });
        self.dirty = true;
    }

    /// Leaves the rooms whose handles are gone. Handles are looked at, and not only what they say when they go: that
    /// may find no place in the queue of commands.
    fn leave_dropped(&mut self, now: Instant) {
        let dropped: Vec<TopicHash> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.handle.strong_count() == 0)
            .map(|(topic, _)| *topic)
            .collect();
        for topic in dropped {
            self.leave(topic, None, now);
        }
    }

    /// Everything about rooms that is due.
    pub(super) fn advance_rooms(&mut self, now: Instant) {
        self.leave_dropped(now);
        let topics: Vec<TopicHash> = self.rooms.keys().copied().collect();
        for topic in topics {
            let Some(room) = self.rooms.get_mut(&topic) else {
                continue;
            };
            let announce = room.announcer.poll(now);
            let lookup = room.search.lookup_due(now);
            let sync = room.search.sync_due(now);
            let farewells = room.farewells_due(now);
            let ends = room.search.roster.next_deadline();
            let gone = if ends.is_none_or(|end| end > now) {
                Vec::new()
            } else {
                room.search.roster.tick(now)
            };
            for peer in gone {
                self.member_gone(topic, peer, LeaveReason::Expired);
            }
            // What gossip has brought in the meantime is not published twice: see `gossip_message_id`.
            for farewell in farewells {
                self.gossip_presence(topic, &farewell);
            }
            if announce {
                self.announce(topic, now);
            }
            if lookup {
                self.look_up_members(topic);
            }
            if sync {
                self.sync_with_somebody(topic, now);
            }
            self.deliver_ordered(topic, now);
            self.say_due(topic, now);
            self.catch_up_due(topic, now);
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

    pub(super) fn member_joined(
        &mut self,
        topic: TopicHash,
        signed: &SignedPresence,
        now: Instant,
    ) {
        let presence = signed.presence();
        self.members_changed = true;
        let reach = self.reach_of(topic, &presence.peer);
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.alike.insert(presence.peer, &presence.name);
        let member = room.member(presence, reach);
        let shown = Shown {
            name: member.name.clone(),
            reach,
            looks_like: member.looks_like,
            since: now,
        };
        room.shown.insert(presence.peer, shown);
        let waiting = room.newcomers.joined(&presence.peer);
        self.events.emit(PeerEvent::MemberJoined {
            topic: room.topic.clone(),
            member,
        });
        for message in waiting {
            self.show(topic, message);
        }
        self.catch_up(topic, presence.peer, now);
    }

    pub(super) fn member_renamed(&mut self, topic: TopicHash, signed: &SignedPresence) {
        let presence = signed.presence();
        self.members_changed = true;
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.alike.insert(presence.peer, &presence.name);
        let Some(shown) = room.shown.get(&presence.peer) else {
            return;
        };
        let member = room.member(presence, shown.reach);
        let now = Shown {
            name: member.name.clone(),
            looks_like: member.looks_like,
            ..shown.clone()
        };
        let Some(shown) = room.shown.insert(presence.peer, now) else {
            return;
        };
        let before = Member {
            name: shown.name,
            looks_like: shown.looks_like,
            ..member.clone()
        };
        self.events.emit(PeerEvent::MemberUpdated {
            topic: room.topic.clone(),
            member,
            before: Box::new(before),
        });
    }

    pub(super) fn member_gone(&mut self, topic: TopicHash, peer: PeerId, reason: LeaveReason) {
        self.members_changed = true;
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        room.alike.remove(&peer);
        if let Some(Shown { name, .. }) = room.shown.remove(&peer) {
            self.events.emit(PeerEvent::MemberLeft {
                topic: room.topic.clone(),
                peer,
                name,
                reason,
            });
        }
        // Who is lost is tried again until its life ends.
        if reason != LeaveReason::Lost && !self.is_member(&peer) {
            self.reaching.forget(&peer);
            self.lost.found(&peer);
        }
    }

    pub(super) fn reach_of(&self, topic: TopicHash, peer: &PeerId) -> Reach {
        let Some(room) = self.rooms.get(&topic) else {
            return Reach::Unconnected;
        };
        self.reaching.reach(
            peer,
            neighbours::is_one(self.me, *peer, room.likely),
            self.connections.best_path(peer),
        )
    }

    /// Brings the members' lists and the events about how they are reached up to date.
    pub(super) fn update_members(&mut self) {
        for room in self.rooms.values_mut() {
            let mut list: Vec<Member> = Vec::with_capacity(room.search.roster.len());
            for member in room.search.roster.members() {
                let peer = member.presence.peer;
                let path: Option<Path> = self.connections.best_path(&peer);
                let reach = self.reaching.reach(&peer, self.reaching.wants(&peer), path);
                let member = Member {
                    peer,
                    name: member.presence.name.clone(),
                    reach,
                    looks_like: room.alike.of(&peer),
                };
                if let Some(shown) = room.shown.get_mut(&peer)
                    && (shown.reach, shown.looks_like) != (reach, member.looks_like)
                {
                    let before = Member {
                        reach: std::mem::replace(&mut shown.reach, reach),
                        looks_like: std::mem::replace(&mut shown.looks_like, member.looks_like),
                        ..member.clone()
                    };
                    self.events.emit(PeerEvent::MemberUpdated {
                        topic: room.topic.clone(),
                        member: member.clone(),
                        before: Box::new(before),
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
}
