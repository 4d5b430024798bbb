//! What somebody says in a room, as it gets to a member over a network that loses, repeats and swaps: each message once,
//! in order, and all of it when the member has caught up.

use std::{collections::BTreeSet, time::Duration};

use arbitrary::Arbitrary;
use moim_protocol::{
    limits::{BODY_BYTES_MAX, ORDER_HELD_TOTAL_MAX, SAID_LIFE},
    message::{MessageId, Position, Response},
    ordering::Ordering,
    room::RoomText,
    said::Said,
};
use web_time::Instant;

use crate::{
    given::{WALL, peer},
    input::steps,
};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    /// The speaker says something of so many bytes.
    Say {
        bytes: u16,
    },
    /// One of the messages arrives.
    Arrive {
        which: u8,
    },
    /// Somebody else's message arrives, whose numbers can be anything.
    Other {
        from: u8,
        session: u64,
        sequence: u64,
        is_young: bool,
    },
    /// Somebody else says how far he is.
    OtherSettles {
        from: u8,
        session: u64,
        sequence: u64,
    },
    /// The member asks the speaker for what it has missed.
    CatchUp {
        member_for: u16,
    },
    Wait {
        millis: u16,
    },
}

const SESSION: u64 = 1_700_000_000_000;
const SPEAKER: u8 = 0;

struct Member {
    ordering: Ordering<u64>,
    /// What was delivered of the speaker's.
    heard: BTreeSet<u64>,
    now: Instant,
}

/// Takes both sides through the steps in `data`.
pub fn run(data: &[u8]) {
    let now = Instant::now();
    let mut said = Said::new(SESSION);
    let mut all: Vec<RoomText> = Vec::new();
    let mut member = Member {
        ordering: Ordering::new(),
        heard: BTreeSet::new(),
        now,
    };
    for step in steps::<Step>(data) {
        match step {
            Step::Say { bytes } => {
                let text = text(said.next(), usize::from(bytes % 16_384).max(1));
                said.push(text.clone(), member.now);
                all.push(text);
            }
            Step::Arrive { which } => {
                let text = all.get(usize::from(which));
                if let Some(text) = text.cloned() {
                    member.take(&text);
                }
            }
            Step::Other {
                from,
                session,
                sequence,
                is_young,
            } => {
                let from = peer(from | 1);
                let delivered = member
                    .ordering
                    .handle(from, session, sequence, is_young, sequence, member.now);
                member.deliver(delivered);
            }
            Step::OtherSettles {
                from,
                session,
                sequence,
            } => {
                let delivered = member
                    .ordering
                    .settle(peer(from | 1), Position { session, sequence });
                member.deliver(delivered);
            }
            Step::CatchUp { member_for } => member.catch_up(&mut said, member_for),
            Step::Wait { millis } => member.wait(Duration::from_millis(millis.into())),
        }
        assert!(member.ordering.held() <= ORDER_HELD_TOTAL_MAX);
    }
    // Everything that the speaker still has can be had.
    let mut before = usize::MAX;
    while before != member.heard.len() {
        before = member.heard.len();
        member.catch_up(&mut said, u16::MAX);
    }
    let known = member.ordering.known(&peer(SPEAKER));
    if !all.is_empty() {
        assert_eq!(known, said.newest());
    }
    member.wait(SAID_LIFE);
    assert_eq!(member.ordering.held(), 0);
}

impl Member {
    fn take(&mut self, text: &RoomText) {
        let delivered = self.ordering.handle(
            peer(SPEAKER),
            text.session,
            text.sequence,
            true,
            text.sequence,
            self.now,
        );
        self.deliver(delivered);
    }

    fn deliver(&mut self, delivered: Vec<(moim_peer::PeerId, u64)>) {
        let speaker = peer(SPEAKER);
        for (from, sequence) in delivered {
            assert!(
                from != speaker || self.heard.insert(sequence),
                "{sequence} twice"
            );
        }
    }

    fn catch_up(&mut self, said: &mut Said, member_for: u16) {
        let known = self.ordering.known(&peer(SPEAKER));
        let member_for = Duration::from_secs(member_for.into());
        let messages = said.missed(known, member_for, None, self.now);
        assert!(messages.is_sorted_by_key(|text| text.sequence));
        let answer = Response::Missed {
            said: said.newest(),
            messages,
        };
        let body = answer.encode();
        assert!(body.len() <= BODY_BYTES_MAX);
        let read = Response::decode(&body).expect("what is written can be read");
        assert_eq!(read, answer);
        let Response::Missed {
            said: position,
            messages,
        } = answer
        else {
            return;
        };
        for text in &messages {
            self.take(text);
        }
        // There is more if it did not fit.
        let through = messages
            .last()
            .map_or(position.sequence, |last| last.sequence);
        let position = Position {
            sequence: through,
            ..position
        };
        let delivered = self.ordering.settle(peer(SPEAKER), position);
        self.deliver(delivered);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        let delivered = self.ordering.tick(self.now);
        self.deliver(delivered);
        assert!(self.ordering.poll_timeout().is_none_or(|at| at > self.now));
    }
}

fn text(position: Position, bytes: usize) -> RoomText {
    RoomText {
        id: MessageId::from_bytes([7; 16]),
        session: position.session,
        sequence: position.sequence,
        name: Some("Ada".parse().expect("a name")),
        text: "\"".repeat(bytes).parse().expect("a text"),
        sent: WALL,
    }
}
