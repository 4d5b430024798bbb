//! What is said in rooms, both ways.

use libp2p::{PeerId, gossipsub};
use moim_protocol::{
    message::Position,
    room::{RoomMessage as Wire, RoomText},
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
        text: String,
        now: Instant,
    ) -> Result<RoomMessage, SayError> {
        let me = self.me;
        let room = self.rooms.get_mut(&topic).ok_or(SayError::Left)?;
        let Position { session, sequence } = room.said.next();
        let said = RoomText {
            id: platform::message_id(),
            session,
            sequence,
            name: room.profile.name().to_owned(),
            text,
            sent: platform::wall(),
        };
        let body = Wire::Text(said.clone()).encode();
        let message = RoomMessage::new(room.topic.clone(), me, said.clone());
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
                return gossipsub::MessageAcceptance::Reject;
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
        let message = RoomMessage::new(room.topic.clone(), author, text);
        let ready = room
            .ordering
            .handle(author, session, sequence, young, message, now);
        let gap = room.ordering.waits_for(&author);
        self.deliver(topic, ready.into_iter().map(|(_, message)| message));
        gap
    }

    /// What somebody said up to `position` and we have not, is not to be had.
    pub(super) fn settle(&mut self, topic: TopicHash, author: PeerId, position: Position) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let ready = room.ordering.settle(author, position);
        self.deliver(topic, ready.into_iter().map(|(_, message)| message));
    }

    /// Messages that waited for earlier ones long enough.
    pub(super) fn deliver_ordered(&mut self, topic: TopicHash, now: Instant) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let ready = room.ordering.tick(now);
        self.deliver(topic, ready.into_iter().map(|(_, message)| message));
    }

    fn deliver(&mut self, topic: TopicHash, messages: impl Iterator<Item = RoomMessage>) {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        for message in messages {
            push_bounded(&mut room.history, message.clone());
            self.events.emit(PeerEvent::RoomMessage(message));
        }
    }
}
