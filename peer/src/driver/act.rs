//! Tells the rooms' machines what happened, and does what they want done.

use std::collections::VecDeque;

use libp2p::PeerId;
use moim_protocol::neighbours;
use moim_room::{Acceptance, Event, Input, NotSaid, Now, Output, Protocol, Response};
use web_time::Instant;

use super::{
    requests::Transmission,
    rooms::MachineId,
    state::Driver,
    view::{self, View},
};
use crate::{
    error::{LookupError, SayError},
    event::{LeaveReason, PeerEvent},
    history::RoomMessage,
    platform,
    snapshot::Reach,
};

/// What an input is answered with, if it is one that is answered.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) response: Option<Response>,
    pub(super) verdict: Option<Acceptance>,
    /// What the DHT has named is enough.
    pub(super) has_enough: bool,
}

pub(super) type Inputs = VecDeque<(MachineId, Input)>;

/// What time it is for a machine.
pub(super) fn at(now: Instant) -> Now {
    Now {
        instant: now,
        wall: platform::wall(),
    }
}

impl Driver {
    /// Tells one machine, and does what it wants done.
    pub(super) fn tell_room(&mut self, id: MachineId, input: Input, now: Instant) -> Answered {
        let mut answered = Answered::default();
        let mut inputs = Inputs::from([(id, input)]);
        self.tell_all(&mut inputs, &mut answered, now);
        answered
    }

    /// Tells all machines the same.
    pub(super) fn tell_rooms(&mut self, input: &Input, now: Instant) {
        let ids = self.rooms.ids().into_iter();
        let mut inputs: Inputs = ids.map(|id| (id, input.clone())).collect();
        self.tell_all(&mut inputs, &mut Answered::default(), now);
    }

    pub(super) fn tell_all(&mut self, inputs: &mut Inputs, answered: &mut Answered, now: Instant) {
        while let Some((id, input)) = inputs.pop_front() {
            self.rooms.handle(id, input, at(now));
            self.act(id, inputs, answered, now);
        }
    }

    /// Tells the rooms where this peer can be dialled, if that is news.
    pub(super) fn tell_addresses(&mut self, now: Instant) {
        let addresses = self.own_addresses();
        if self.told_addresses != addresses {
            self.told_addresses.clone_from(&addresses);
            self.tell_rooms(&Input::AddressesChanged(addresses), now);
        }
    }

    pub(super) fn request_message(&mut self, to: PeerId, body: Vec<u8>, what: Transmission) {
        let request = self.swarm.behaviour_mut().message.send_request(&to, body);
        self.transmissions.insert(request, what);
    }

    /// Does what a machine wants done. What it is to be told of that goes to the `inputs`.
    pub(super) fn act(
        &mut self,
        id: MachineId,
        inputs: &mut Inputs,
        answered: &mut Answered,
        now: Instant,
    ) {
        while let Some(output) = self.rooms.poll_output(id) {
            match output {
                Output::Ask {
                    request,
                    to,
                    protocol,
                    body,
                } => match protocol {
                    Protocol::Presence => {
                        let presence = &mut self.swarm.behaviour_mut().presence;
                        let sent = presence.send_request(&to, body);
                        self.rooms.asked.insert(sent, (id, request));
                    }
                    Protocol::Message => {
                        self.request_message(to, body, Transmission::CatchUp(id, request));
                    }
                },
                Output::Answer { response, .. } => answered.response = Some(response),
                Output::Verdict { acceptance, .. } => answered.verdict = Some(acceptance),
                Output::LookupHasEnough => answered.has_enough = true,
                Output::Publish(body) => self.publish_in(id, body),
                Output::Deafen(neighbour) => self.deafen(neighbour, now),
                Output::PutPresence { signed, is_last } => {
                    if is_last {
                        if !self.put_farewell(id, &signed, now) {
                            inputs.push_back((id, Input::LeftHandedOver));
                        }
                    } else {
                        self.announce(id);
                    }
                }
                Output::FindProviders => self.find_providers(id),
                Output::Met(presence) => {
                    let peer = presence.peer;
                    self.learn_addresses(&presence, now);
                    let may = self.reaching.may_reach(&peer);
                    inputs.push_back((id, Input::Reachable(peer, may)));
                }
                Output::Stranger { peer, addresses } => {
                    let addresses = self.usable(&addresses, peer);
                    self.reaching.stranger(peer, addresses, now);
                }
                Output::Forget(peer) => self.forget(id, &peer),
                Output::HasList => self.reaching.release(),
                Output::ClockDisagrees(peer) => self.clock.disagrees(peer),
                Output::ClockAgrees => self.clock.agrees(),
                Output::Doubt(peer) => self.doubt_peer(&peer, now),
                Output::HeardOf(peer) => self.lost.heard_of(&peer, now),
                Output::Spoke(peer) => {
                    self.lost.heard_of(&peer, now);
                    let others = self.rooms.joined_ids().into_iter();
                    let others = others.filter(|other| *other != id);
                    inputs.extend(others.map(|other| (other, Input::HeardFrom(peer))));
                }
                Output::Event(event) => self.on_room_event(id, event),
                // The rooms count that.
                Output::MembersChanged => {}
                other => self.on_done(id, other),
            }
        }
    }

    /// What somebody waits for has come about, or never will.
    fn on_done(&mut self, id: MachineId, output: Output) {
        match output {
            Output::Said { id: said, message } => {
                if let Some(room) = self.rooms.room_mut(id) {
                    let cursor = room.history.next_cursor();
                    let message = RoomMessage::new(cursor, room.machine.topic().clone(), message);
                    room.history.push(message.clone());
                    // A dropped reply means that nobody waits to hear of it; it is said all the same.
                    if let Some(reply) = room.says.remove(&said) {
                        let _ = reply.send(Ok(message));
                    }
                }
            }
            Output::NotSaid { id: said, why } => {
                let reply = self.rooms.room_mut(id).and_then(|it| it.says.remove(&said));
                if let Some(reply) = reply {
                    let _ = reply.send(Err(match why {
                        NotSaid::TooFast => SayError::TooFast,
                        _ => SayError::Left,
                    }));
                }
            }
            Output::Found(members) => {
                if let Some(lookup) = self.rooms.take_lookup(id) {
                    let members = members.into_iter().map(|member| {
                        let path = self.connections.best_path(&member.peer);
                        let reach = self.reaching.reach(&member.peer, false, path);
                        view::member(member, reach)
                    });
                    let _ = lookup.reply.send(Ok(members.collect()));
                }
            }
            Output::NoAnswer => {
                if let Some(lookup) = self.rooms.take_lookup(id) {
                    let _ = lookup.reply.send(Err(LookupError::NoAnswer));
                }
            }
            Output::Left => {
                let reply = self.rooms.room_mut(id).and_then(|it| it.leaving.take());
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
                self.rooms.remove(id);
            }
            other => tracing::warn!(?other, "a room wants something unknown"),
        }
    }

    /// Tells people what has happened in a room.
    fn on_room_event(&mut self, id: MachineId, event: Event) {
        let Some(room) = self.rooms.room(id) else {
            return;
        };
        let topic = room.machine.topic().clone();
        let event = match event {
            Event::Joined(member) => {
                self.lost.found(&member.peer);
                let reach = self.reach_of(id, &member.peer);
                self.with_view(id, |view| view.joined(member.peer, reach));
                let member = view::member(member, reach);
                PeerEvent::MemberJoined { topic, member }
            }
            Event::Updated { member, before } => {
                let reach = room.view.reach(&member.peer);
                PeerEvent::MemberUpdated {
                    topic,
                    member: view::member(member, reach),
                    before: Box::new(view::member(before, reach)),
                }
            }
            Event::Left { peer, name, reason } => {
                self.with_view(id, |view| view.left(&peer));
                PeerEvent::MemberLeft {
                    topic,
                    peer,
                    name,
                    reason: LeaveReason::from(reason),
                }
            }
            Event::Message(message) => {
                let Some(room) = self.rooms.room_mut(id) else {
                    return;
                };
                let message = RoomMessage::new(room.history.next_cursor(), topic, message);
                room.history.push(message.clone());
                PeerEvent::RoomMessage(message)
            }
            other => {
                tracing::warn!(?other, "something unknown has happened in a room");
                return;
            }
        };
        self.events.emit(event);
    }

    fn with_view(&mut self, id: MachineId, change: impl FnOnce(&mut View)) {
        if let Some(room) = self.rooms.room_mut(id) {
            change(&mut room.view);
        }
    }

    fn reach_of(&self, id: MachineId, peer: &PeerId) -> Reach {
        let likely = self.rooms.room(id).map_or(0, |room| room.machine.likely());
        self.reaching.reach(
            peer,
            neighbours::is_one(self.me, *peer, likely),
            self.connections.best_path(peer),
        )
    }

    /// A member of a room that is joined is gone. Who left with the room may still be written to.
    fn forget(&mut self, id: MachineId, peer: &PeerId) {
        let room = self.rooms.room(id);
        if room.is_some_and(|room| !room.machine.is_left()) && !self.rooms.have_member(peer) {
            self.reaching.forget(peer);
            self.lost.found(peer);
        }
    }

    fn publish_in(&mut self, id: MachineId, body: Vec<u8>) {
        let Some(room) = self.rooms.room(id) else {
            return;
        };
        let topic = room.gossip_topic.hash();
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut()
            && let Err(error) = gossip.publish(topic, body)
        {
            // Nobody listens yet, or somebody else was faster: members also hear it in other ways.
            tracing::debug!(%error, "not published");
        }
    }
}
