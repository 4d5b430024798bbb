//! What users ask of rooms: joining, leaving, saying something, looking topics up.

use std::{sync::Weak, time::Duration};

use libp2p::gossipsub::IdentTopic;
use moim_protocol::{
    limits,
    text::Text,
    topic::{Topic, TopicHash},
};
use moim_room::{Config, Input, Lookup, LookupConfig, Room};
use tokio::sync::watch;
use web_time::Instant;

use super::{
    act::{Answered, Inputs, at},
    kept::Kept,
    rooms::{LOOKUPS_MAX, MachineId, ROOMS_MAX},
    state::Driver,
};
use crate::{
    command::Reply,
    error::{JoinError, LookupError, SayError},
    history::{Cursor, RoomMessage},
    platform,
    snapshot::{Member, Profile},
};

impl Driver {
    pub(super) fn join(
        &mut self,
        topic: Topic,
        profile: &Profile,
        handle: Weak<()>,
        now: Instant,
    ) -> Result<watch::Receiver<Vec<Member>>, JoinError> {
        self.leave_dropped(now);
        let hash = topic.hash();
        if self.rooms.of_topic(&hash).is_some() {
            return Err(JoinError::AlreadyJoined);
        }
        if self.rooms.len() >= ROOMS_MAX {
            return Err(JoinError::TooManyRooms { max: ROOMS_MAX });
        }
        Ok(self.enter(topic, profile, handle, None, now))
    }

    /// Begins a room, perhaps with what was kept of it.
    pub(super) fn enter(
        &mut self,
        topic: Topic,
        profile: &Profile,
        handle: Weak<()>,
        kept: Option<Kept>,
        now: Instant,
    ) -> watch::Receiver<Vec<Member>> {
        let hash = topic.hash();
        let gossip_topic = IdentTopic::new(hash.gossip_topic());
        let behaviour = self.swarm.behaviour_mut();
        behaviour.listen_to(&gossip_topic);
        let listeners = behaviour.gossip_listeners(&gossip_topic.hash());
        self.told_addresses = self.own_addresses();
        let config = Config {
            keypair: self.keypair.clone(),
            topic,
            name: profile.name().clone(),
            addresses: self.told_addresses.clone(),
            presence_lifetime: self.presence_lifetime.min(limits::PRESENCE_TTL),
            gossip: self.gossip,
            in_dht: self.connections.has_server(),
            connected: self.connections.peers().collect(),
            listeners,
            after: self.rooms.last_sequence(),
            seed: platform::seed(),
        };
        let machine = Room::join(config, at(now));
        let name = profile.name().clone();
        let members = self.rooms.join(machine, gossip_topic, name, handle, kept);
        self.reaching.hold(now);
        members
    }

    /// Leaves a room, and says so. `reply` is answered when everybody is told, or the time for it is over.
    pub(super) fn leave(&mut self, topic: TopicHash, reply: Option<Reply<()>>, now: Instant) {
        self.events.left(topic);
        self.part(topic, reply, now);
    }

    /// The same, as far as others are concerned.
    pub(super) fn part(&mut self, topic: TopicHash, reply: Option<Reply<()>>, now: Instant) {
        let Some(id) = self.rooms.leave(topic) else {
            if let Some(reply) = reply {
                let _ = reply.send(());
            }
            return;
        };
        if let Some(room) = self.rooms.room_mut(id) {
            room.leaving = reply;
        }
        self.tell_room(id, Input::Leave, now);
        self.stop_listening(id, topic);
    }

    /// Leaves the rooms whose handles are gone. Handles are looked at, and not only what they say when they go: that
    /// may find no place in the queue of commands.
    pub(super) fn leave_dropped(&mut self, now: Instant) {
        let dropped: Vec<TopicHash> = self
            .rooms
            .joined()
            .filter(|room| room.handle.strong_count() == 0)
            .map(|room| room.machine.topic().hash())
            .collect();
        for topic in dropped {
            self.leave(topic, None, now);
        }
    }

    /// Everything about rooms that is due.
    pub(super) fn advance_rooms(&mut self, now: Instant) {
        self.leave_dropped(now);
        let in_dht = self.connections.has_server();
        if self.rooms_in_dht != in_dht {
            self.rooms_in_dht = in_dht;
            self.tell_rooms(&Input::Dht(in_dht), now);
        }
        let due = self.rooms.due(now);
        if !due.is_empty() {
            self.tell_addresses(now);
        }
        for id in due {
            self.rooms.handle_timeout(id, at(now));
            let mut inputs = Inputs::new();
            let mut answered = Answered::default();
            self.act(id, &mut inputs, &mut answered, now);
            self.tell_all(&mut inputs, &mut answered, now);
        }
    }

    pub(super) fn say(
        &mut self,
        topic: &Topic,
        text: Text,
        reply: Reply<Result<RoomMessage, SayError>>,
        now: Instant,
    ) {
        let room = self.rooms.of_topic(&topic.hash());
        let Some((id, room)) = room.and_then(|id| Some((id, self.rooms.room_mut(id)?))) else {
            let _ = reply.send(Err(SayError::Left));
            return;
        };
        let message = platform::message_id();
        room.says.insert(message, reply);
        self.tell_room(id, Input::Say { id: message, text }, now);
    }

    pub(super) fn begin_lookup(
        &mut self,
        topic: Topic,
        wait: Duration,
        reply: Reply<Result<Vec<Member>, LookupError>>,
        now: Instant,
    ) {
        if !self.connections.has_server() {
            let why = self.entry.why_not();
            let _ = reply.send(Err(LookupError::NotConnected(why)));
            return;
        }
        if self.rooms.lookups() >= LOOKUPS_MAX {
            let _ = reply.send(Err(LookupError::Busy));
            return;
        }
        let config = LookupConfig {
            me: self.me,
            topic,
            wait,
            in_dht: true,
            connected: self.connections.peers().collect(),
            seed: platform::seed(),
        };
        self.rooms.look_up(Lookup::begin(config, at(now)), reply);
    }

    /// What was said in a room in this session after something.
    pub(super) fn room_history(&self, topic: &Topic, after: Cursor) -> Vec<RoomMessage> {
        let id: Option<MachineId> = self.rooms.of_topic(&topic.hash());
        let Some(room) = id.and_then(|id| self.rooms.room(id)) else {
            return Vec::new();
        };
        let is_later = |message: &&RoomMessage| message.cursor > after;
        room.history.iter().filter(is_later).cloned().collect()
    }
}
