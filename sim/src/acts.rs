//! Does what a room wants done, as `peer/src/driver/act.rs` and `asks.rs` do in a real peer.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use moim_protocol::{limits::BODY_BYTES_MAX, message, presence_wire, room::gossip_message_id};
use moim_room::{
    Acceptance, AskId, Event as RoomEvent, Failure, GossipId, Input, Output, PAGE_BYTES_MAX,
    Protocol, RequestId, Response, Room,
};

use crate::{
    event::{Event, Hop, Index, Question, Reply},
    gossip::{Control, MESSAGE_OVERHEAD, MessageNumber, is_large},
    measure::{Kind, Said},
    time::{Time, millis, seconds},
    world::{Message, World},
};

/// An asker that gets no answer within this gives up.
const ANSWER_WITHIN: Duration = seconds(8);

/// What opening a stream and naming its protocol adds to a request, and to an answer.
const STREAM_BYTES: usize = 70;

/// How long a connection in doubt has to answer a ping.
const DOUBT: Duration = seconds(2);

/// How long a neighbour is not listened to that brings too much.
const DEAF_FOR: Duration = seconds(60);

/// After so long gossipsub takes a message for a new one.
const DUPLICATE_FOR: Duration = seconds(60);

/// Rooms up to this size ask at once whom to connect to when their list has changed; larger ones ask less often, as
/// `peer/src/driver/thrift.rs` has it.
const THRIFT_FROM: usize = 64;

/// What an input is answered with, if it is one that is answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// To a request.
    pub(crate) response: Option<Response>,
    /// To a message of the gossip.
    pub(crate) verdict: Option<Acceptance>,
}

impl World {
    /// Takes all that a room wants done. Returns whether it is over.
    pub(crate) fn drain(
        &mut self,
        node: Index,
        room: &mut Room,
        inputs: &mut VecDeque<Input>,
        answered: &mut Answered,
    ) -> bool {
        let mut is_over = false;
        while let Some(output) = room.poll_output() {
            match output {
                Output::Ask {
                    request,
                    to,
                    protocol,
                    body,
                } => {
                    let to = self.by_peer[&to];
                    self.ask(node, to, protocol, request, body);
                }
                Output::Answer { response, .. } => answered.response = Some(response),
                Output::Verdict { acceptance, .. } => answered.verdict = Some(acceptance),
                Output::Publish(data) => self.publish(node, data),
                Output::Deafen(peer) => {
                    let until = self.time + DEAF_FOR;
                    let peer = self.by_peer[&peer];
                    self.nodes[node].deaf.insert(peer, until);
                }
                Output::PutPresence { signed, is_last } => self.put(node, &signed, is_last, inputs),
                Output::FindProviders => self.find_providers(node),
                Output::LookupHasEnough => self.nodes[node].query.0 = None,
                Output::Met(presence) => {
                    let peer = self.by_peer[&presence.peer];
                    self.learn(node, peer, &presence);
                    let may = self.nodes[node].reach.may_reach(peer);
                    inputs.push_back(Input::Reachable(presence.peer, may));
                }
                Output::Stranger { peer, .. } => {
                    let peer = self.by_peer[&peer];
                    let now = self.time;
                    self.nodes[node].reach.stranger(peer, now);
                    self.plan_dials(node);
                }
                Output::Forget(peer) => {
                    let peer = self.by_peer[&peer];
                    self.nodes[node].reach.forget(peer);
                }
                Output::HasList => {
                    self.nodes[node].reach.release();
                    self.plan_dials(node);
                }
                Output::Doubt(peer) => self.doubt(node, self.by_peer[&peer]),
                Output::HeardOf(peer) | Output::Spoke(peer) => {
                    let (peer, now) = (self.by_peer[&peer], self.time);
                    self.nodes[node].reach.heard_of(peer, now);
                }
                Output::MembersChanged => self.plan_wanted(node, room.peers().len()),
                Output::Said { id, .. } => {
                    let said = Said {
                        author: node,
                        at: self.time,
                        heard: Vec::new(),
                    };
                    self.said.insert(id, self.ledger.said.len());
                    self.ledger.said.push(said);
                }
                Output::Event(event) => self.room_event(node, event),
                Output::Left => is_over = true,
                Output::ClockDisagrees(peer) => {
                    let fault = format!("{peer} dates by another time than {node}");
                    self.faults.push(fault);
                }
                _ => {}
            }
        }
        is_over
    }

    fn room_event(&mut self, node: Index, event: RoomEvent) {
        let now = self.time;
        match event {
            RoomEvent::Joined(member) => {
                let peer = self.by_peer[&member.peer];
                self.nodes[node].reach.found(peer);
                self.ledger.lists(&mut self.nodes, node, peer, true, now);
            }
            RoomEvent::Left { peer, .. } => {
                let peer = self.by_peer[&peer];
                self.ledger.lists(&mut self.nodes, node, peer, false, now);
            }
            RoomEvent::Message(message) => {
                let Some(&number) = self.said.get(&message.id) else {
                    self.faults
                        .push(format!("{node} has heard what nobody said"));
                    return;
                };
                let said = &mut self.ledger.said[number];
                let author = said.author;
                // A liar may say it again, as its own word.
                if self.nodes[author].peer != message.from {
                    return;
                }
                said.heard.push((node, now - said.at));
                self.nodes[node]
                    .heard
                    .entry(author)
                    .or_default()
                    .push(number);
            }
            _ => {}
        }
    }

    fn plan_wanted(&mut self, node: Index, members: usize) {
        if !std::mem::replace(&mut self.nodes[node].asks_wanted, true) {
            let wait = if members > THRIFT_FROM {
                seconds(1)
            } else {
                millis(1)
            };
            self.after(wait, Event::Wanted(node));
        }
    }

    /// A dial has failed, or somebody is connected who could not be reached: whom the room wants is to be asked again.
    pub(crate) fn wanted_changes(&mut self, node: Index) {
        let members = self.nodes[node]
            .room
            .as_ref()
            .map_or(0, |room| room.peers().len());
        self.plan_wanted(node, members);
    }

    pub(crate) fn ask_wanted(&mut self, node: Index) {
        self.nodes[node].asks_wanted = false;
        let Some(room) = &mut self.nodes[node].room else {
            return;
        };
        let wanted = room.wanted();
        let wanted = wanted.iter().map(|peer| self.by_peer[peer]).collect();
        self.nodes[node].reach.want(wanted);
        self.plan_dials(node);
    }

    fn ask(
        &mut self,
        from: Index,
        to: Index,
        protocol: Protocol,
        request: RequestId,
        body: Vec<u8>,
    ) {
        let Some(link) = self.link(from, to) else {
            self.nodes[from].requests.insert(request, (to, 0));
            self.fail_later(from, request, Failure::Other, millis(1));
            return;
        };
        self.nodes[from].requests.insert(request, (to, link.number));
        let hop = Hop {
            from,
            to,
            link: link.number,
        };
        let arrival = self.send(hop, Kind::Request, body.len() + STREAM_BYTES);
        self.plan(
            arrival,
            Event::Asks(Box::new(Question {
                hop,
                protocol,
                request,
                body,
            })),
        );
        self.fail_later(from, request, Failure::Timeout, ANSWER_WITHIN);
    }

    pub(crate) fn asks(&mut self, question: Question) {
        let Question {
            hop,
            protocol,
            request,
            body,
        } = question;
        let Hop { from, to, link } = hop;
        if !self.arrives(hop) {
            return;
        }
        self.nodes[to].traffic.got[Kind::Request as usize] += body.len() + STREAM_BYTES;
        let now = self.time;
        self.nodes[to].reach.heard(now);
        self.asks += 1;
        let ask = AskId(self.asks);
        let body = match protocol {
            Protocol::Presence => self.answer_presence(to, from, ask, &body),
            Protocol::Message => self.answer_missed(to, from, ask, &body),
        };
        let hop = Hop {
            from: to,
            to: from,
            link,
        };
        if self.link(to, from).is_none() {
            return;
        }
        let arrival = self.send(hop, Kind::Request, body.len() + STREAM_BYTES);
        self.plan(
            arrival,
            Event::Answers(Box::new(Reply { hop, request, body })),
        );
    }

    fn is_member(&self, node: Index, peer: Index) -> bool {
        let room = self.nodes[node].room.as_ref();
        room.is_some_and(|room| room.contains(&self.nodes[peer].peer))
    }

    fn answer_presence(&mut self, node: Index, from: Index, ask: AskId, body: &[u8]) -> Vec<u8> {
        let (peer, now) = (self.nodes[from].peer, self.instant());
        let request = match presence_wire::Request::decode(body) {
            Ok(request) => request,
            Err(error) => return presence_wire::Response::from(&error).encode(),
        };
        let is_list = matches!(request, presence_wire::Request::Sync { .. });
        let most = if is_list { PAGE_BYTES_MAX } else { 0 };
        let is_known = self.is_member(node, from);
        if !self.nodes[node].lists.has(peer, is_known, 1, most, now) {
            let code = moim_protocol::wire::ErrorCode::Busy;
            return presence_wire::Response::error(code, "asked for too much at once").encode();
        }
        let response = self
            .tell(
                node,
                Input::Asked {
                    ask,
                    from: peer,
                    request,
                },
            )
            .response;
        let Some(mut response) = response else {
            self.faults.push(format!("{node} has not answered"));
            return Vec::new();
        };
        if is_list && self.nodes[node].is_liar {
            response = Response::Presence(self.false_list(node));
        }
        let body = response.encode();
        self.nodes[node].lists.spend(peer, 1, body.len(), now);
        body
    }

    fn answer_missed(&mut self, node: Index, from: Index, ask: AskId, body: &[u8]) -> Vec<u8> {
        let (peer, now) = (self.nodes[from].peer, self.instant());
        let is_known = self.is_member(node, from);
        if !self.nodes[node]
            .catch_ups
            .has(peer, is_known, 1, BODY_BYTES_MAX, now)
        {
            let code = moim_protocol::wire::ErrorCode::Busy;
            return message::Response::error(code, "asked for too much at once").encode();
        }
        let Ok(message::Request::CatchUp {
            said,
            known,
            member_for,
            ..
        }) = message::Request::decode(body)
        else {
            self.faults
                .push(format!("{from} asks {node} for nothing of a room"));
            return Vec::new();
        };
        let input = Input::AskedMissed {
            ask,
            from: peer,
            said,
            known,
            member_for,
        };
        let Some(response) = self.tell(node, input).response else {
            self.faults.push(format!("{node} has not answered"));
            return Vec::new();
        };
        let bytes = match &response {
            Response::Message(message::Response::Missed { messages, .. }) => {
                moim_room::text_bytes(messages)
            }
            _ => 0,
        };
        self.nodes[node].catch_ups.spend(peer, 1, bytes, now);
        response.encode()
    }

    pub(crate) fn answers(&mut self, reply: Reply) {
        let Reply { hop, request, body } = reply;
        let to = hop.to;
        let asked = self.nodes[to].requests.get(&request);
        if !self.arrives(hop) || asked.is_none_or(|(_, link)| *link != hop.link) {
            return;
        }
        self.nodes[to].requests.remove(&request);
        self.nodes[to].traffic.got[Kind::Request as usize] += body.len() + STREAM_BYTES;
        let now = self.time;
        self.nodes[to].reach.heard(now);
        self.tell(to, Input::Answered { request, body });
    }

    /// The number of a message of the gossip.
    fn number(&mut self, author: Index, data: Vec<u8>) -> MessageNumber {
        let id = gossip_message_id("room", Some(&self.nodes[author].peer), &data);
        if let Some((number, since)) = self.numbers.get(&id)
            && self.time - *since < DUPLICATE_FOR
        {
            return *number;
        }
        let number = self.messages.len() as MessageNumber;
        self.numbers.insert(id, (number, self.time));
        let data = Rc::new(data);
        self.messages.push(Message { author, data });
        number
    }

    /// Publishes something as gossipsub does: to everybody who listens.
    pub(crate) fn publish(&mut self, node: Index, data: Vec<u8>) {
        let number = self.number(node, data);
        if !self.nodes[node].gossip.is_first(number) {
            return;
        }
        self.nodes[node].gossip.keep(number);
        let listeners: Vec<Index> = self.nodes[node].gossip.listeners().collect();
        for to in listeners {
            self.gossip_to(node, to, number);
        }
    }

    fn gossip_to(&mut self, from: Index, to: Index, number: MessageNumber) {
        if let Some(link) = self.link(from, to) {
            let hop = Hop {
                from,
                to,
                link: link.number,
            };
            let bytes = self.messages[number as usize].data.len() + MESSAGE_OVERHEAD;
            let arrival = self.send(hop, Kind::Message, bytes);
            self.plan(arrival, Event::Gossip(hop, number));
        }
    }

    pub(crate) fn control_to(&mut self, from: Index, to: Index, control: Control) {
        if let Some(link) = self.link(from, to) {
            let hop = Hop {
                from,
                to,
                link: link.number,
            };
            let arrival = self.send(hop, Kind::Control, control.bytes());
            self.plan(arrival, Event::Control(hop, Box::new(control)));
        }
    }

    pub(crate) fn gossip_arrives(&mut self, hop: Hop, number: MessageNumber) {
        let Hop { from, to, .. } = hop;
        if !self.arrives(hop) {
            return;
        }
        let Message { author, data } = self.messages[number as usize].clone();
        let bytes = data.len() + MESSAGE_OVERHEAD;
        let now = self.time;
        let node = &mut self.nodes[to];
        node.traffic.got[Kind::Message as usize] += bytes;
        node.reach.heard(now);
        if author == to || node.deaf.get(&from).is_some_and(|until| now < *until) {
            return;
        }
        if !node.gossip.is_first(number) {
            node.traffic.repeated += bytes;
            return;
        }
        if is_large(data.len()) {
            for peer in self.nodes[to].gossip.tell_unwanted(from, author) {
                self.control_to(to, peer, Control::Unwanted(number));
            }
        }
        let input = Input::Gossip {
            id: GossipId(u64::from(number)),
            neighbour: self.nodes[from].peer,
            author: self.nodes[author].peer,
            data: data.to_vec(),
        };
        if self.tell(to, input).verdict == Some(Acceptance::Accept) {
            self.nodes[to].gossip.keep(number);
            for peer in self.nodes[to].gossip.pass_on_to(number, from, author) {
                self.gossip_to(to, peer, number);
            }
        }
    }

    pub(crate) fn control_arrives(&mut self, hop: Hop, control: Control) {
        let Hop { from, to, .. } = hop;
        if !self.arrives(hop) {
            return;
        }
        let now = self.time;
        self.nodes[to].traffic.got[Kind::Control as usize] += control.bytes();
        let gossip = &mut self.nodes[to].gossip;
        match control {
            Control::Graft => {
                if !gossip.graft(from, now) {
                    self.control_to(to, from, Control::Prune);
                }
            }
            Control::Prune => gossip.prune(from, now),
            Control::Unwanted(number) => gossip.is_unwanted(from, number),
            Control::Have(numbers) => {
                let missing = gossip.missing(&numbers);
                if !missing.is_empty() {
                    self.control_to(to, from, Control::Want(missing));
                }
            }
            Control::Want(numbers) => {
                for number in numbers {
                    if self.nodes[to].gossip.has(number) {
                        self.gossip_to(to, from, number);
                    }
                }
            }
        }
    }

    pub(crate) fn heartbeat(&mut self, node: Index) {
        if !self.nodes[node].is_up() {
            return;
        }
        let now: Time = self.time;
        for (to, control) in self.nodes[node].gossip.heartbeat(now, &mut self.draw) {
            self.control_to(node, to, control);
        }
        self.after(crate::gossip::HEARTBEAT, Event::Heartbeat(node));
    }

    /// A peer did not answer in time. Its connection is closed if a ping is not answered either.
    fn doubt(&mut self, node: Index, peer: Index) {
        if let Some(link) = self.link(node, peer)
            && (!self.nodes[peer].is_up() || self.are_apart(node, peer))
        {
            let (at, who, link) = (node, peer, link.number);
            self.after(DOUBT, Event::Closed { at, who, link });
        }
    }
}
