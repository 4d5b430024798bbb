//! What is said in rooms, both ways.

use libp2p::{PeerId, gossipsub};
use moim_protocol::{
    message::Position,
    presence::SignedPresence,
    room::{RoomMessage as Wire, RoomText},
    text::Text,
    topic::TopicHash,
};
use web_time::Instant;

use super::Driver;
use crate::{error::SayError, event::PeerEvent, history::RoomMessage, platform};

/// What is too much is not passed on, and not held against whoever brought it: that peer counts by
/// another clock.
fn within_share(is_within: bool) -> gossipsub::MessageAcceptance {
    if is_within {
        gossipsub::MessageAcceptance::Accept
    } else {
        gossipsub::MessageAcceptance::Ignore
    }
}

impl Driver {
    /// Says what waited for its turn, and answers those who wanted it said.
    pub(super) fn say_due(&mut self, topic: TopicHash, now: Instant) {
        while let Some(room) = self.rooms.get_mut(&topic)
            && let Some((text, reply)) = room.saying.next(now)
        {
            // A dropped reply means that nobody waits to hear of it; it is said all the same.
            let _ = reply.send(self.say(topic, text, now));
        }
    }

    fn say(&mut self, topic: TopicHash, text: Text, now: Instant) -> Result<RoomMessage, SayError> {
        let me = self.me;
        let room = self.rooms.get_mut(&topic).ok_or(SayError::Left)?;
        let Position { session, sequence } = room.said.next();
        let said = RoomText {
            id: platform::message_id(),
            session,
            sequence,
            name: Some(room.profile.name().clone()),
            text,
            sent: platform::wall(),
        };
        let body = Wire::Text(said.clone()).encode();
        let name = said.name.clone();
        let message = RoomMessage::new(room.topic.clone(), me, name, said.clone());
        room.history.push(message.clone());
        room.said.push(said, now);
        let gossip_topic = room.gossip_topic.hash();
        let listeners = self.swarm.behaviour().gossip_listeners(&gossip_topic);
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut()
            && let Err(error) = gossip.publish(gossip_topic, body)
        {
            tracing::debug!(id = %message.id, %error, "said to nobody yet");
        }
        // Those whom gossip does not reach (yet) are told that there is something to ask for.
        for peer in self.connected_members(topic) {
            if !listeners.contains(&peer) {
                self.catch_up(topic, peer, now);
            }
        }
        Ok(message)
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event, now: Instant) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let acceptance = self.on_room_data(&message, propagation_source, now);
                if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
                    gossip.report_message_validation_result(
                        &message_id,
                        &propagation_source,
                        acceptance,
                    );
                }
            }
            other => tracing::trace!(?other),
        }
    }

    /// Checks and takes what a neighbour has brought by gossip. The author's signature was checked by gossipsub.
    fn on_room_data(
        &mut self,
        message: &gossipsub::Message,
        neighbour: PeerId,
        now: Instant,
    ) -> gossipsub::MessageAcceptance {
        let (Some(topic), Some(author)) = (
            TopicHash::from_gossip_topic(message.topic.as_str()),
            message.source,
        ) else {
            return gossipsub::MessageAcceptance::Reject;
        };
        // Before anything is read of it: it may be the topic of a room that was left a moment ago.
        if !self.rooms.contains_key(&topic) {
            return gossipsub::MessageAcceptance::Ignore;
        }
        let bytes = message.data.len();
        if !self.listens_to(topic, neighbour, bytes, now) {
            return gossipsub::MessageAcceptance::Ignore;
        }
        let wire = match Wire::decode(&message.data) {
            Ok(wire) => wire,
            // Others may know it, and must be able to say it through this peer.
            Err(error) if error.code().is_of_later_version() => {
                tracing::debug!(%author, %error, "room message not for this version");
                return within_share(self.has_room_for(topic, author, bytes, now));
            }
            Err(error) => {
                tracing::debug!(%author, %error, "room message refused");
                return if error.is_forwarders_fault() {
                    gossipsub::MessageAcceptance::Reject
                } else {
                    gossipsub::MessageAcceptance::Ignore
                };
            }
        };
        // Old messages may come again from anybody; whoever passes them on need not know better. What its author has
        // brought was said now, whatever the clock there says.
        if author != neighbour
            && let Err(error) = wire.check_time(platform::wall())
        {
            tracing::debug!(%author, %error, "room message ignored");
            return gossipsub::MessageAcceptance::Ignore;
        }
        match wire {
            Wire::Presence { presence } => {
                if presence.presence().topic != topic {
                    return gossipsub::MessageAcceptance::Reject;
                }
                within_share(
                    self.has_room_for_presence(topic, &presence, author, bytes, now)
                        && self.on_gossiped_presence(topic, presence, neighbour, now),
                )
            }
            Wire::Text(text) => {
                if !self.has_room_for_text(topic, author, &text, bytes, now) {
                    tracing::debug!(%author, "says more than its share");
                    return gossipsub::MessageAcceptance::Ignore;
                }
                self.lost.heard_of(&author, now);
                self.is_back(author, now);
                if self.hear(topic, author, text, now) {
                    self.catch_up(topic, author, now);
                }
                gossipsub::MessageAcceptance::Accept
            }
        }
    }

    /// Whether so much of an author is passed on: within the author's share and the room's.
    fn has_room_for(
        &mut self,
        topic: TopicHash,
        author: PeerId,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let is_near = self.is_near(topic, &author);
        self.rooms
            .get_mut(&topic)
            .is_some_and(|room| room.hearing.talk.take(author, is_near, bytes, now))
    }

    fn has_room_for_text(
        &mut self,
        topic: TopicHash,
        author: PeerId,
        text: &RoomText,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return false;
        };
        // Anybody may play again what was said before: that is not the author's doing.
        if room.ordering.has(&author, text.session, text.sequence) {
            return room.hearing.talk.take_of_all(false, bytes, now);
        }
        self.has_room_for(topic, author, bytes, now)
    }

    fn has_room_for_presence(
        &mut self,
        topic: TopicHash,
        signed: &SignedPresence,
        author: PeerId,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let presence = signed.presence();
        let is_near = self.is_near(topic, &presence.peer);
        let Some(room) = self.rooms.get_mut(&topic) else {
            return false;
        };
        let known = room.search.roster.sequence(&presence.peer);
        let presences = &mut room.hearing.presences;
        if known.is_none_or(|known| known < presence.sequence) {
            presences.take(presence.peer, is_near, bytes, now)
        } else {
            // Anybody may show again what somebody has signed, each time in another message.
            presences.take(author, false, bytes, now)
        }
    }

    /// Whether this is a member that we are connected to: of those there are no more than connections.
    pub(super) fn is_near(&self, topic: TopicHash, peer: &PeerId) -> bool {
        self.connections.is_connected(peer)
            && self
                .rooms
                .get(&topic)
                .is_some_and(|room| room.search.roster.contains(peer))
    }

    /// Takes what somebody said, by whatever way it came, and delivers what is due. Returns whether
    /// something that was said earlier is missing.
    pub(super) fn hear(
        &mut self,
        topic: TopicHash,
        author: PeerId,
        text: RoomText,
        now: Instant,
    ) -> bool {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return false;
        };
        let (session, sequence, young) = (text.session, text.sequence, text.is_young());
        let message = RoomMessage::new(room.topic.clone(), author, None, text);
        let ready = room
            .ordering
            .handle(author, session, sequence, young, message, now);
        let gap = room.ordering.waits_for(&author);
        self.deliver(topic, ready, now);
        gap
    }

    /// What somebody said up to `position` and we have not, is not to be had.
    pub(super) fn settle(
        &mut self,
        topic: TopicHash,
        author: PeerId,
        position: Position,
        now: Instant,
    ) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let ready = room.ordering.settle(author, position);
        self.deliver(topic, ready, now);
    }

    /// Messages that waited long enough, for earlier ones or for a presence.
    pub(super) fn deliver_ordered(&mut self, topic: TopicHash, now: Instant) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let ready = room.ordering.tick(now);
        let nobodys = room.newcomers.tick(now);
        for message in nobodys {
            self.show(topic, message);
        }
        self.deliver(topic, ready, now);
    }

    /// What comes in order from a member is shown; what comes from somebody who is none (yet) waits for a presence.
    fn deliver(&mut self, topic: TopicHash, messages: Vec<(PeerId, RoomMessage)>, now: Instant) {
        for (author, message) in messages {
            let Some(room) = self.rooms.get_mut(&topic) else {
                return;
            };
            let due = if room.search.roster.contains(&author) {
                Some(message)
            } else {
                room.newcomers.push(author, message, now)
            };
            if let Some(message) = due {
                self.show(topic, message);
            }
        }
    }

    /// Hands a message to the user, under the name in its author's presence.
    pub(super) fn show(&mut self, topic: TopicHash, mut message: RoomMessage) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let author = room.search.roster.get(&message.from);
        message.name = author.map(|member| member.presence.name.clone());
        room.history.push(message.clone());
        self.events.emit(PeerEvent::RoomMessage(message));
    }
}
