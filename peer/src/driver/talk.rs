//! What is said in rooms, both ways.

use libp2p::gossipsub;
use moim_protocol::{room::RoomMessage as Wire, topic::TopicHash};
use web_time::Instant;

use super::{
    Driver,
    room::{HELD_MAX, HOLD_FOR_ANYBODY, HOLD_FOR_ARRIVING, Held, RoomState},
};
use crate::{
    error::SayError,
    event::PeerEvent,
    history::{RoomMessage, push_bounded},
    platform,
    snapshot::Reach,
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
        if room.held.len() >= HELD_MAX {
            return Err(SayError::Busy);
        }
        room.sequence = room.sequence.saturating_add(1);
        let message = RoomMessage {
            id: platform::message_id(),
            topic: room.topic.clone(),
            from: me,
            name: room.profile.name().to_owned(),
            text,
            sent: platform::wall().0,
        };
        let body = Wire::Text {
            id: message.id,
            session: room.session,
            sequence: room.sequence,
            name: message.name.clone(),
            text: message.text.clone(),
            sent: moim_protocol::UnixMillis(message.sent),
        }
        .encode();
        push_bounded(&mut room.history, message.clone());
        room.held.push_back(Held {
            message: message.clone(),
            body,
            since: now,
        });
        self.release_held(topic, now);
        Ok(message)
    }

    /// Publishes what waits, in order, as soon as everybody who is being connected can hear it, or
    /// its time is over.
    pub(super) fn release_held(&mut self, topic: TopicHash, now: Instant) {
        loop {
            let Some(room) = self.rooms.get(&topic) else {
                return;
            };
            let Some(held) = room.held.front() else {
                return;
            };
            if self.next_held(room, now).is_some_and(|until| until > now) {
                return;
            }
            let (body, id) = (held.body.clone(), held.message.id);
            let gossip_topic = room.gossip_topic.hash();
            if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut()
                && let Err(error) = gossip.publish(gossip_topic, body)
            {
                tracing::debug!(%id, %error, "said to nobody");
            }
            if let Some(room) = self.rooms.get_mut(&topic) {
                room.held.pop_front();
            }
        }
    }

    /// Until when the first waiting message waits: in the past when it need not.
    pub(super) fn next_held(&self, room: &RoomState, now: Instant) -> Option<Instant> {
        let held = room.held.front()?;
        let listeners = self
            .swarm
            .behaviour()
            .gossip_listeners(&room.gossip_topic.hash());
        // A member that came a moment ago is about to listen; one that has not by now, will not.
        let arriving = room
            .shown
            .iter()
            .filter(|(peer, shown)| shown.reach != Reach::Unconnected && !listeners.contains(peer))
            .map(|(_, shown)| shown.since + HOLD_FOR_ARRIVING)
            .filter(|until| *until > now)
            .max();
        if let Some(until) = arriving {
            return Some(until.min(held.since + HOLD_FOR_ARRIVING));
        }
        let nobody = listeners.is_empty() && !room.shown.is_empty();
        Some(if nobody {
            held.since + HOLD_FOR_ANYBODY
        } else {
            now
        })
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
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(topic) = TopicHash::from_gossip_topic(topic.as_str()) {
                    tracing::trace!(peer = %peer_id, "listens");
                    self.release_held(topic, now);
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
        let Some(room) = self.rooms.get_mut(&topic) else {
            return gossipsub::MessageAcceptance::Ignore;
        };
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
            Wire::Text {
                id,
                session,
                sequence,
                name,
                text,
                sent,
            } => {
                let message = RoomMessage {
                    id,
                    topic: room.topic.clone(),
                    from: author,
                    name,
                    text,
                    sent: sent.0,
                };
                let young = Wire::is_young(session, sent);
                let ready = room
                    .ordering
                    .handle(author, session, sequence, young, message, now);
                self.deliver(topic, ready.into_iter().map(|(_, message)| message));
                gossipsub::MessageAcceptance::Accept
            }
        }
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
