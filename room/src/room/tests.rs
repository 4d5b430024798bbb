//! For each kind of input, what comes out.

use moim_protocol::{
    limits::{
        ADDRESS_DEBOUNCE, FULL_MESH_MAX, PRESENCE_TTL, SAY, SAY_WAITING_MAX, TALK_PER_AUTHOR,
    },
    message::{self, Position},
    room::RoomText,
    text::Text,
};

use super::*;
use crate::{
    input::{AskId, GossipId},
    output::Protocol,
    testing::{
        address, brief, check, here, keypair, left, message_id, millis, named, peer, said, seconds,
        start, text, topic,
    },
};

impl Room {
    pub(super) fn assert_bounds(&self) {
        self.around.members.assert_bounds();
        self.meeting.search.assert_bounds();
        self.doubts.assert_bounds();
        self.away.assert_bounds();
        self.conversation.assert_bounds(&self.around);
        assert!(self.around.asking.len() <= 2 * crate::asking::ASKED_MAX);
        assert!(self.neighbourhood.reachable() <= moim_protocol::limits::MEMBERS_MAX);
    }
}

/// The room of peer 0, and its clock.
struct Fixture {
    room: Room,
    now: Now,
}

fn config() -> Config {
    Config {
        keypair: keypair(0),
        topic: topic(),
        name: "Me".parse().unwrap(),
        addresses: vec![address(0)],
        presence_lifetime: PRESENCE_TTL,
        gossip: true,
        in_dht: true,
        connected: Vec::new(),
        listeners: Vec::new(),
        after: 0,
        seed: 1,
    }
}

impl Fixture {
    /// A room that is just joined, with nothing done yet.
    fn join(config: Config) -> Self {
        let now = start();
        let room = Room::join(config, now);
        Self { room, now }
    }

    /// A room that was joined a while ago, has been announced, and has these members, all of them connected.
    fn with(members: &[u16]) -> Self {
        let mut fixture = Self::join(config());
        fixture.timeout();
        fixture.handle(Input::Announced { accepted: true });
        for &n in members {
            fixture.handle(Input::Connected(peer(n)));
            fixture.hears_of(here(n, 1, fixture.now));
            fixture.answer_missed(n, 0, &[]);
        }
        fixture.pass(seconds(15));
        fixture
    }

    fn outputs(&mut self) -> Vec<Output> {
        let outputs = std::iter::from_fn(|| self.room.poll_output()).collect();
        self.room.assert_bounds();
        outputs
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.room.handle(input, self.now);
        self.outputs()
    }

    fn timeout(&mut self) -> Vec<Output> {
        self.room.handle_timeout(self.now);
        self.outputs()
    }

    /// Lets time pass, and has everything done in its time.
    fn pass(&mut self, duration: Duration) -> Vec<Output> {
        let end = self.now.after(duration);
        let mut outputs = Vec::new();
        while let Some(next) = self.room.poll_timeout()
            && next <= end.instant
        {
            let wait = next.saturating_duration_since(self.now.instant);
            self.now = self.now.after(wait);
            outputs.extend(self.timeout());
            assert!(
                self.room
                    .poll_timeout()
                    .is_none_or(|then| then > self.now.instant)
            );
        }
        self.now = end;
        outputs
    }

    fn asked(&mut self, from: u16, request: Request) -> Vec<Output> {
        let (ask, from) = (AskId(1), peer(from));
        self.handle(Input::Asked { ask, from, request })
    }

    fn announced(&mut self, from: u16, presence: SignedPresence) -> Vec<Output> {
        self.asked(from, Request::Announce { presence })
    }

    fn gossip(&mut self, neighbour: u16, author: u16, data: Vec<u8>) -> Vec<Output> {
        self.handle(Input::Gossip {
            id: GossipId(1),
            neighbour: peer(neighbour),
            author: peer(author),
            data,
        })
    }

    fn hears_of(&mut self, presence: SignedPresence) -> Vec<Output> {
        let data = RoomMessage::Presence { presence }.encode();
        self.gossip(50, 51, data)
    }

    /// The newest request to a peer that waits for an answer.
    fn request(&self, to: u16) -> RequestId {
        self.room.around.asking.newest(&peer(to)).unwrap()
    }

    fn answered(&mut self, from: u16, body: Vec<u8>) -> Vec<Output> {
        let request = self.request(from);
        self.handle(Input::Answered { request, body })
    }

    fn failed(&mut self, to: u16, why: Failure) -> Vec<Output> {
        let request = self.request(to);
        self.handle(Input::Failed { request, why })
    }

    fn answer_missed(&mut self, from: u16, said: u64, messages: &[RoomText]) -> Vec<Output> {
        let session = self.now.wall.0 - 60_000;
        let sequence = said;
        let body = message::Response::Missed {
            said: Position { session, sequence },
            messages: messages.to_vec(),
        };
        self.answered(from, body.encode())
    }

    fn say(&mut self, number: u64) -> Vec<Output> {
        self.handle(Input::Say {
            id: message_id(number),
            text: Text::new(&format!("line {number}")).unwrap(),
        })
    }
}

fn list(members: &[SignedPresence], next: Option<u16>) -> Vec<u8> {
    let members = members.iter().cloned();
    Response::Members {
        members: members.map(|signed| (signed, seconds(1))).collect(),
        next: next.map(peer),
    }
    .encode()
}

fn sync(presence: Option<SignedPresence>, after: Option<u16>) -> Request {
    Request::Sync {
        topic: topic().hash(),
        presence,
        after: after.map(peer),
        known: None,
    }
}

fn providers(numbers: std::ops::Range<u16>) -> Input {
    Input::Providers {
        providers: numbers.map(|n| (peer(n), vec![address(n)])).collect(),
        is_answer: true,
    }
}

mod announcing;
mod connections;
mod leaving;
mod presences;
mod searching;
mod talk;
