//! The message protocol: direct messages, and what was missed of a room. The receiver answers when it has stored the
//! message, not before.

use libp2p::{
    PeerId,
    request_response::{self, OutboundFailure},
    swarm::ConnectionId,
};
use moim_protocol::{
    message::{Request, Response},
    wire::ErrorCode,
};
use moim_room::Input;
use web_time::Instant;

use super::{
    asks::failure,
    direct::{Failure, Letter, Link, Output},
    requests::Transmission,
    state::Driver,
};
use crate::{event::PeerEvent, reason::Setback};

impl Driver {
    pub(super) fn advance_direct(&mut self, now: Instant) {
        let (connections, reaching) = (&self.connections, &self.reaching);
        let link = |peer: &PeerId| {
            if connections.is_connected(peer) {
                return Link::Connected;
            }
            let last = reaching.last_error(peer);
            if reaching.is_dialling(peer) {
                Link::Dialling(last)
            } else {
                Link::Down(last)
            }
        };
        for output in self.direct.handle_timeout(link, now) {
            match output {
                Output::Connect(peer) => self.urge(peer, now),
                Output::Request { id, to, body } => {
                    self.request_message(to, body, Transmission::Direct(id));
                }
            }
        }
    }

    pub(super) fn on_message(&mut self, event: moim_rpc::Event, now: Instant) {
        match event {
            request_response::Event::Message {
                peer,
                connection_id,
                message:
                    request_response::Message::Request {
                        request, channel, ..
                    },
            } => {
                let answer = self.answer_message(peer, connection_id, &request, now);
                // The sender tries again if this does not reach it, and is told the same.
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .message
                    .send_response(channel, answer.encode());
            }
            request_response::Event::Message {
                connection_id,
                message:
                    request_response::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => match self.transmissions.remove(&request_id) {
                Some(Transmission::Direct(id)) => {
                    let path = self.connections.path(connection_id);
                    self.direct.answered(id, &response, path, now);
                }
                Some(Transmission::CatchUp(room, request)) => {
                    let body = response;
                    self.tell_room(room, Input::Answered { request, body }, now);
                }
                None => {}
            },
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => match self.transmissions.remove(&request_id) {
                Some(Transmission::Direct(id)) => {
                    tracing::debug!(%peer, %error, "a direct message is not answered");
                    let why = match error {
                        OutboundFailure::UnsupportedProtocols => Failure::Unsupported,
                        OutboundFailure::Timeout => {
                            self.doubt_peer(&peer, now);
                            Failure::Setback(Setback::NoAnswer)
                        }
                        OutboundFailure::DialFailure => Failure::Setback(Setback::NotConnected),
                        OutboundFailure::ConnectionClosed | OutboundFailure::Io(_) => {
                            Failure::Setback(Setback::Broken)
                        }
                    };
                    self.direct.failed(id, why, now);
                }
                Some(Transmission::CatchUp(room, request)) => {
                    tracing::debug!(%peer, %error, "not answered what was missed");
                    let why = failure(&error);
                    self.tell_room(room, Input::Failed { request, why }, now);
                }
                None => {}
            },
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn answer_message(
        &mut self,
        from: PeerId,
        connection: ConnectionId,
        body: &[u8],
        now: Instant,
    ) -> Response {
        let is_member = self.rooms.have_member(&from);
        // Nothing is read for who has no share left.
        if !self.shares.direct.has(from, is_member, 1, body.len(), now) {
            return Response::error(ErrorCode::Busy, "too many messages at once");
        }
        let request = Request::decode(body);
        // The answer to who missed something has a share of its own.
        if !matches!(request, Ok(Request::CatchUp { .. })) {
            self.shares.direct.spend(from, 1, body.len(), now);
        }
        match request {
            Ok(Request::Text { id, text, sent }) => {
                let path = self.connections.path(connection);
                let rooms = &self.rooms;
                let is_member = |peer: &PeerId| rooms.have_member(peer);
                let letter = Letter { id, text, sent };
                if let Some(message) = self.direct.received(from, letter, path, is_member) {
                    self.events.emit(PeerEvent::DirectMessage(message));
                }
                Response::Accepted { id }
            }
            Ok(Request::CatchUp {
                topic,
                said,
                known,
                member_for,
            }) => {
                let asked = |ask| Input::AskedMissed {
                    ask,
                    from,
                    said,
                    known,
                    member_for,
                };
                self.answer_catch_up(topic, from, asked, now)
            }
            Err(error) => Response::from(&error),
        }
    }
}
