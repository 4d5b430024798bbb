//! What rooms want done, and what they are told.

use moim_protocol::{message, presence_wire, room::gossip_message_id};
use moim_room::{Acceptance, AskId, Event, GossipId, Input, Output, Protocol, RequestId};

use super::{
    happening::Happening,
    net::{Index, Net, pair},
    node::Brought,
};

impl Net {
    pub(super) fn request(
        &mut self,
        (from, to, link): (Index, Index, u64),
        protocol: Protocol,
        request: RequestId,
        body: &[u8],
    ) {
        self.number += 1;
        let ask = AskId(self.number);
        let peer = self.peer(from);
        self.nodes[to].asked.insert(ask, (from, link, request));
        let input = match protocol {
            Protocol::Presence => Input::Asked {
                ask,
                from: peer,
                request: presence_wire::Request::decode(body).unwrap(),
            },
            Protocol::Message => match message::Request::decode(body).unwrap() {
                message::Request::CatchUp {
                    said,
                    known,
                    member_for,
                    ..
                } => Input::AskedMissed {
                    ask,
                    from: peer,
                    said,
                    known,
                    member_for,
                },
                message::Request::Text { .. } => panic!("not of a room"),
            },
        };
        self.tell(to, input);
        assert!(!self.nodes[to].asked.contains_key(&ask), "not answered");
    }

    pub(super) fn gossip(&mut self, from: Index, to: Index, author: Index, data: Vec<u8>) {
        let (author_peer, neighbour) = (self.peer(author), self.peer(from));
        let id = gossip_message_id("room", Some(&author_peer), &data);
        if !self.is_up(to) || !self.nodes[to].seen.insert(id) {
            return;
        }
        self.number += 1;
        let id = GossipId(self.number);
        self.nodes[to].brought = Some(Brought {
            id,
            from,
            author,
            data: data.clone(),
        });
        let author = author_peer;
        self.tell(
            to,
            Input::Gossip {
                id,
                neighbour,
                author,
                data,
            },
        );
        assert!(self.nodes[to].brought.is_none(), "no verdict");
    }

    /// Says something to everybody who is known to hear it.
    fn spread(&mut self, from: Index, but: Option<Index>, author: Index, data: &[u8]) {
        for to in self.nodes[from].hears.clone() {
            if let Some(link) = self.link(from, to)
                && Some(to) != but
                && to != author
            {
                let data = data.to_vec();
                self.soon(Happening::Gossip {
                    from,
                    to,
                    link,
                    author,
                    data,
                });
            }
        }
    }

    pub(super) fn tell(&mut self, node: Index, input: Input) {
        let now = self.now();
        if let Some(room) = &mut self.nodes[node].room {
            room.handle(input, now);
            self.drain(node);
        }
    }

    /// Does what a room wants done, and plans when it is to be asked again.
    pub(super) fn drain(&mut self, node: Index) {
        while let Some(room) = &mut self.nodes[node].room
            && let Some(output) = room.poll_output()
        {
            self.put_out(node, output);
        }
        let Some(room) = &self.nodes[node].room else {
            return;
        };
        let next = room.poll_timeout();
        let next = next.map(|next| next.saturating_duration_since(self.begun.instant));
        if let Some(next) = next
            && self.nodes[node].timer.is_none_or(|timer| next < timer)
        {
            let next = next.max(self.time);
            self.nodes[node].timer = Some(next);
            self.plan(next, Happening::Timer(node));
        }
    }

    fn put_out(&mut self, node: Index, output: Output) {
        match output {
            Output::Ask {
                request,
                to,
                protocol,
                body,
            } => {
                let to = self.by_peer[&to];
                let Some(link) = self.link(node, to) else {
                    // It is closed, which the room hears in a moment.
                    self.soon(Happening::Unreached { node, request });
                    return;
                };
                self.nodes[node].requests.insert(request, (to, link));
                let from = node;
                self.soon(Happening::Request {
                    from,
                    to,
                    link,
                    protocol,
                    request,
                    body,
                });
            }
            Output::Answer { ask, response } => {
                let (to, link, request) = self.nodes[node].asked.remove(&ask).expect("asked once");
                let body = response.encode();
                self.soon(Happening::Response {
                    to,
                    link,
                    request,
                    body,
                });
            }
            Output::Publish(data) => {
                let peer = self.peer(node);
                let id = gossip_message_id("room", Some(&peer), &data);
                if self.nodes[node].seen.insert(id) {
                    self.spread(node, None, node, &data);
                }
            }
            Output::Verdict { id, acceptance } => {
                let brought = self.nodes[node].brought.take().expect("brought once");
                assert_eq!(brought.id, id);
                if acceptance == Acceptance::Accept {
                    let Brought {
                        from, author, data, ..
                    } = brought;
                    self.spread(node, Some(from), author, &data);
                }
            }
            Output::PutPresence { is_last, .. } => self.soon(Happening::Put { node, is_last }),
            Output::FindProviders => self.soon(Happening::Providers(node)),
            Output::Met(presence) => {
                self.nodes[node]
                    .dial_failed
                    .remove(&self.by_peer[&presence.peer]);
                self.tell(node, Input::Reachable(presence.peer, true));
            }
            Output::Stranger { peer, .. } => self.dial(node, self.by_peer[&peer]),
            Output::MembersChanged => self.dial_wanted(node),
            Output::Said { id, .. } => {
                let said = (id, self.time);
                self.nodes[node].said.push(said);
            }
            Output::NotSaid { id, why } => panic!("{id} is not said: {why:?}"),
            Output::Event(Event::Message(message)) => {
                let heard = &mut self.nodes[node].heard;
                heard.entry(message.from).or_default().push(message.id);
            }
            Output::Left => {
                self.nodes[node].has_left = true;
                self.nodes[node].room = None;
                for other in 0..self.nodes.len() {
                    if let Some(link) = self.link(node, other) {
                        let (one, other) = pair(node, other);
                        self.soon(Happening::Closed { one, other, link });
                    }
                }
            }
            Output::Deafen(peer) | Output::ClockDisagrees(peer) => {
                panic!("{peer} has done nothing wrong")
            }
            _ => {}
        }
    }
}
