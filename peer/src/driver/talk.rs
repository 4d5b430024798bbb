//! What is said in rooms, both ways.

use libp2p::{PeerId, gossipsub};
use moim_protocol::{
    message::Position,
    room::{RoomMessage as Wire, RoomText},
    text::Text,
    topic::TopicHash,
};
use web_time::Instant;

use super::Driver;
use crate::{
    error::SayError,
    event::PeerEvent,
    history::{RoomMessage, push_bounded},
    platform,
};

impl Driver {
    pub(super) fn say(
        &mut self,
        topic: TopicHash,
        text: Text,
        now: Instant,
    ) -> Result<RoomMessage, SayError> {
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
        push_bounded(&mut room.history, message.clone());
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
                let acceptance = self.on_room_data(&message, now);
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

    /// Checks and takes what came by gossip. The author's signature was checked by gossipsub.
    fn on_room_data(
        &mut self,
        message: &gossipsub::Message,
        now: Instant,
    ) -> gossipsub::MessageAcceptance {
        let (Some(topic), Some(author)) = (
            TopicHash::from_gossip_topic(message.topic.as_str()),
            message.source,
        ) else {
            return gossipsub::MessageAcceptance::Reject;
        };
        let wire = match Wire::decode(&message.data) {
            Ok(wire) => wire,
            // Others may know it, and must be able to say it through this peer.
            Err(error) if error.code().is_of_later_version() => {
                tracing::debug!(%author, %error, "room message passed on unread");
                return gossipsub::MessageAcceptance::Accept;
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
        // Old messages may come again from anybody; whoever passes them on need not know better.
        if let Err(error) = wire.check_time(platform::wall()) {
            tracing::debug!(%author, %error, "room message ignored");
            return gossipsub::MessageAcceptance::Ignore;
        }
        if !self.rooms.contains_key(&topic) {
            return gossipsub::MessageAcceptance::Ignore;
        }
        match wire {
            Wire::Presence { presence } => {
                if presence.presence().topic != topic {
                    return gossipsub::MessageAcceptance::Reject;
                }
                if self.on_gossiped_presence(topic, presence, now) {
                    gossipsub::MessageAcceptance::Accept
                } else {
                    gossipsub::MessageAcceptance::Ignore
                }
            }
            Wire::Text(text) => {
                if self.hear(topic, author, text, now) {
                    self.catch_up(topic, author, now);
                }
                gossipsub::MessageAcceptance::Accept
            }
        }
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
        push_bounded(&mut room.history, message.clone());
        self.events.emit(PeerEvent::RoomMessage(message));
    }
}
