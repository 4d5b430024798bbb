//! What other peers ask and say about rooms, and what comes of this peer's own requests.

use libp2p::{
    PeerId, gossipsub,
    request_response::{self, OutboundFailure},
};
use moim_protocol::{
    limits::BODY_BYTES_MAX,
    message,
    presence_wire::{Request, Response},
    topic::TopicHash,
    wire::ErrorCode,
};
use moim_room::{Acceptance, AskId, Failure, GossipId, Input, PAGE_BYTES_MAX, text_bytes};
use web_time::Instant;

use super::state::Driver;

/// One request or message is handed in at a time, and answered before the next.
const ASK: AskId = AskId(0);

/// See [`ASK`].
const GOSSIP: GossipId = GossipId(0);

/// Why a request of a room has no answer.
pub(super) fn failure(error: &OutboundFailure) -> Failure {
    match error {
        OutboundFailure::Timeout => Failure::Timeout,
        OutboundFailure::ConnectionClosed => Failure::ConnectionClosed,
        OutboundFailure::Io(_) => Failure::Io,
        OutboundFailure::DialFailure | OutboundFailure::UnsupportedProtocols => Failure::Other,
    }
}

impl Driver {
    pub(super) fn on_presence(&mut self, event: moim_rpc::Event, now: Instant) {
        match event {
            request_response::Event::Message {
                peer,
                message:
                    request_response::Message::Request {
                        request, channel, ..
                    },
                ..
            } => {
                let answer = self.answer_presence_within(peer, &request, now);
                // The asker may be gone already.
                let presence = &mut self.swarm.behaviour_mut().presence;
                let _ = presence.send_response(channel, answer);
            }
            request_response::Event::Message {
                message:
                    request_response::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                if let Some((room, request)) = self.rooms.asked.remove(&request_id) {
                    let body = response;
                    self.tell_room(room, Input::Answered { request, body }, now);
                }
            }
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                if let Some((room, request)) = self.rooms.asked.remove(&request_id) {
                    tracing::debug!(%peer, %error, "presence request failed");
                    let why = failure(&error);
                    self.tell_room(room, Input::Failed { request, why }, now);
                }
            }
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// An answer may have a thousand times the bytes of the question.
    fn answer_presence_within(&mut self, peer: PeerId, body: &[u8], now: Instant) -> Vec<u8> {
        let is_member = self.rooms.have_member(&peer);
        let lists = &mut self.shares.lists;
        if !lists.has(peer, is_member, 1, PAGE_BYTES_MAX, now) {
            return Response::error(ErrorCode::Busy, "asked for too much at once").encode();
        }
        let answer = self.answer_presence(peer, body, now).encode();
        self.shares.lists.spend(peer, 1, answer.len(), now);
        answer
    }

    fn answer_presence(&mut self, from: PeerId, body: &[u8], now: Instant) -> Response {
        let request = match Request::decode(body) {
            Ok(request) => request,
            Err(error) => return Response::from(&error),
        };
        let Some(room) = self.rooms.of_topic(&request.topic()) else {
            return match request.check_sender(&from) {
                Err(error) => Response::from(&error),
                Ok(()) => Response::error(ErrorCode::NotAMember, "this peer is not in that room"),
            };
        };
        let ask = ASK;
        let asked = Input::Asked { ask, from, request };
        match self.tell_room(room, asked, now).response {
            Some(moim_room::Response::Presence(response)) => response,
            other => {
                tracing::error!(?other, "a room has not answered");
                Response::error(ErrorCode::Other, "no answer")
            }
        }
    }

    pub(super) fn answer_catch_up(
        &mut self,
        topic: TopicHash,
        from: PeerId,
        asked: impl FnOnce(AskId) -> Input,
        now: Instant,
    ) -> message::Response {
        let is_member = self.rooms.have_member(&from);
        let shares = &mut self.shares.catch_ups;
        if !shares.has(from, is_member, 1, BODY_BYTES_MAX, now) {
            return message::Response::error(ErrorCode::Busy, "asked for too much at once");
        }
        let Some(room) = self.rooms.of_topic(&topic) else {
            shares.spend(from, 1, 0, now);
            let why = "this peer is not in that room";
            return message::Response::error(ErrorCode::NotAMember, why);
        };
        let response = match self.tell_room(room, asked(ASK), now).response {
            Some(moim_room::Response::Message(response)) => response,
            other => {
                tracing::error!(?other, "a room has not answered");
                message::Response::error(ErrorCode::Other, "no answer")
            }
        };
        let bytes = match &response {
            message::Response::Missed { messages, .. } => text_bytes(messages),
            _ => 0,
        };
        self.shares.catch_ups.spend(from, 1, bytes, now);
        response
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event, now: Instant) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let acceptance = self.judge(message, propagation_source, now);
                if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
                    gossip.report_message_validation_result(
                        &message_id,
                        &propagation_source,
                        acceptance,
                    );
                }
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                self.tell_listening(&topic, Input::Listens(peer_id), now);
            }
            gossipsub::Event::Unsubscribed { peer_id, topic } => {
                self.tell_listening(&topic, Input::ListensNoMore(peer_id), now);
            }
            other => tracing::trace!(?other),
        }
    }

    fn tell_listening(&mut self, topic: &gossipsub::TopicHash, input: Input, now: Instant) {
        let topic = TopicHash::from_gossip_topic(topic.as_str());
        if let Some(room) = topic.and_then(|topic| self.rooms.of_topic(&topic)) {
            self.tell_room(room, input, now);
        }
    }

    /// Checks and takes what a neighbour has brought by gossip. The author's signature was checked by gossipsub.
    fn judge(
        &mut self,
        message: gossipsub::Message,
        neighbour: PeerId,
        now: Instant,
    ) -> gossipsub::MessageAcceptance {
        let (Some(topic), Some(author)) = (
            TopicHash::from_gossip_topic(message.topic.as_str()),
            message.source,
        ) else {
            return gossipsub::MessageAcceptance::Reject;
        };
        // It may be the topic of a room that was left a moment ago.
        let Some(room) = self.rooms.of_topic(&topic) else {
            return gossipsub::MessageAcceptance::Ignore;
        };
        let input = Input::Gossip {
            id: GOSSIP,
            neighbour,
            author,
            data: message.data,
        };
        match self.tell_room(room, input, now).verdict {
            Some(Acceptance::Accept) => gossipsub::MessageAcceptance::Accept,
            Some(Acceptance::Reject) => gossipsub::MessageAcceptance::Reject,
            Some(Acceptance::Ignore) | None => gossipsub::MessageAcceptance::Ignore,
        }
    }
}
