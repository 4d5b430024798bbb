//! What holds for any sequence of inputs.

use std::collections::{BTreeMap, BTreeSet};

use moim_protocol::{
    limits::PRESENCE_TTL,
    message::{self, MessageId, Position},
    room::RoomText,
    text::Text,
};
use proptest::prelude::*;

use self::steps::{Answer, Gossip, Signed, Step, step};
use super::*;
use crate::{
    input::{AskId, GossipId},
    output::Event,
    testing::{address, keypair, message_id, named, peer, start, topic},
};

mod steps;

/// A room, and what must hold of it.
struct Checked {
    room: Room,
    begun: Now,
    now: Now,
    connected: BTreeSet<PeerId>,
    /// What is to be answered, and what was said.
    open: BTreeSet<RequestId>,
    saying: BTreeSet<MessageId>,
    numbered: u64,
    /// The members as the events tell of them.
    members: BTreeMap<PeerId, Member>,
    is_over: bool,
    /// Everything that was put out.
    all: Vec<Output>,
}

impl Checked {
    fn new() -> Self {
        let now = start();
        let config = Config {
            keypair: keypair(0),
            topic: topic(),
            name: "Ana".parse().unwrap(),
            addresses: vec![address(0)],
            presence_lifetime: PRESENCE_TTL,
            gossip: true,
            in_dht: true,
            connected: Vec::new(),
            listeners: Vec::new(),
            after: 0,
            seed: 5,
        };
        Self {
            room: Room::join(config, now),
            begun: now,
            now,
            connected: BTreeSet::new(),
            open: BTreeSet::new(),
            saying: BTreeSet::new(),
            numbered: 0,
            members: BTreeMap::new(),
            is_over: false,
            all: Vec::new(),
        }
    }

    fn sign(&self, signed: &Signed) -> SignedPresence {
        let name = ["Ana", "\u{410}na", "Bob"][usize::from(signed.name)];
        if signed.is_here {
            named(signed.peer, signed.sequence, name, self.begun)
        } else {
            crate::testing::left(signed.peer, signed.sequence, self.begun)
        }
    }

    fn text(&self, session: u64, sequence: u64) -> RoomText {
        RoomText {
            session,
            ..crate::testing::text(sequence, self.begun)
        }
    }

    /// Takes what is put out and checks it. Returns how many answers and verdicts there were.
    fn outputs(&mut self) -> usize {
        let mut answers = 0;
        let before = self.all.len();
        while let Some(output) = self.room.poll_output() {
            assert!(!self.is_over, "{output:?} when everything was over");
            match &output {
                Output::Ask { request, to, .. } => {
                    assert!(self.connected.contains(to), "{output:?}");
                    assert!(self.open.insert(*request), "twice");
                }
                Output::Answer { ask, .. } => {
                    assert_eq!(ask.0, self.numbered);
                    answers += 1;
                }
                Output::Verdict { id, .. } => {
                    assert_eq!(id.0, self.numbered);
                    answers += 1;
                }
                Output::Said { id, .. } | Output::NotSaid { id, .. } => {
                    assert!(self.saying.remove(id), "{output:?}");
                }
                Output::Event(event) => self.happened(event),
                Output::Left => self.is_over = true,
                _ => {}
            }
            self.all.push(output);
        }
        assert!(self.all.len() - before < 2_000);
        self.room.assert_bounds();
        if self.room.is_left() {
            self.members.clear();
        }
        let members: BTreeMap<_, _> = self.room.members().map(|it| (it.peer, it)).collect();
        assert_eq!(members, self.members, "events tell the whole story");
        let wanted = self.room.wanted();
        assert!(!wanted.contains(&peer(0)));
        answers
    }

    fn happened(&mut self, event: &Event) {
        match event {
            Event::Joined(member) => {
                let before = self.members.insert(member.peer, member.clone());
                assert_eq!(before, None);
            }
            Event::Updated { member, before } => {
                let known = self.members.insert(member.peer, member.clone());
                assert_eq!(known.as_ref(), Some(before));
                assert_ne!(member, before);
            }
            Event::Left { peer, name, .. } => {
                let known = self.members.remove(peer).map(|member| member.name);
                assert_eq!(known.as_ref(), Some(name));
            }
            Event::Message(message) => assert_ne!(message.from, peer(0)),
        }
    }

    fn handle(&mut self, input: Input) {
        let expected = match &input {
            Input::Asked { .. } | Input::AskedMissed { .. } | Input::Gossip { .. } => 1,
            _ => 0,
        };
        match &input {
            Input::Connected(peer) => {
                self.connected.insert(*peer);
            }
            Input::Disconnected(peer) => {
                self.connected.remove(peer);
            }
            Input::Restarted => {
                self.connected.clear();
                self.open.clear();
            }
            _ => {}
        }
        let was_over = std::mem::take(&mut self.is_over);
        self.room.handle(input, self.now);
        let answers = self.outputs();
        assert_eq!(answers, expected);
        self.is_over |= was_over;
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now.after(Duration::from_millis(millis));
        let mut rounds = 0;
        while let Some(next) = self.room.poll_timeout()
            && next <= end.instant
        {
            let wait = next.saturating_duration_since(self.now.instant);
            self.now = self.now.after(wait);
            self.room.handle_timeout(self.now);
            assert_eq!(self.outputs(), 0);
            let then = self.room.poll_timeout();
            assert!(
                then.is_none_or(|then| then > self.now.instant),
                "no progress"
            );
            rounds += 1;
        }
        assert!(rounds < 5_000, "{rounds} in {millis} ms");
        self.now = end;
        // Too early: nothing is due.
        let before = self.all.len();
        self.room.handle_timeout(self.now);
        self.outputs();
        assert_eq!(self.all[before..], []);
    }

    fn take(&mut self, step: Step) {
        self.numbered += 1;
        let (ask, id) = (AskId(self.numbered), GossipId(self.numbered));
        match step {
            Step::Pass { millis, wall } => {
                self.pass(millis);
                self.now.wall.0 = self.now.wall.0.saturating_add_signed(wall);
            }
            Step::Simple(input) => self.handle(*input),
            Step::Say => {
                let id = message_id(self.numbered);
                self.saying.insert(id);
                let text = Text::new("hello").unwrap();
                self.handle(Input::Say { id, text });
            }
            Step::Announced { from, signed } => {
                let presence = self.sign(&signed);
                let (from, request) = (peer(from), Request::Announce { presence });
                self.handle(Input::Asked { ask, from, request });
            }
            Step::Synced {
                from,
                signed,
                after,
            } => {
                let request = Request::Sync {
                    topic: topic().hash(),
                    presence: signed.map(|signed| self.sign(&signed)),
                    after: after.map(peer),
                    known: None,
                };
                let from = peer(from);
                self.handle(Input::Asked { ask, from, request });
            }
            Step::AskedMissed { from, said, known } => {
                let at = |sequence| Position {
                    session: self.begun.wall.0,
                    sequence,
                };
                self.handle(Input::AskedMissed {
                    ask,
                    from: peer(from),
                    said: at(said),
                    known: at(known),
                    member_for: Duration::from_secs(60),
                });
            }
            Step::Answered { which, answer } => {
                let Some(request) = self.take_open(which) else {
                    return;
                };
                let body = self.encode(answer);
                self.handle(Input::Answered { request, body });
            }
            Step::Failed { which, why } => {
                if let Some(request) = self.take_open(which) {
                    self.handle(Input::Failed { request, why });
                }
            }
            Step::Gossip {
                neighbour,
                author,
                what,
            } => {
                let data = match what {
                    Gossip::Presence(signed) => {
                        let presence = self.sign(&signed);
                        RoomMessage::Presence { presence }.encode()
                    }
                    Gossip::Text { session, sequence } => {
                        RoomMessage::Text(self.text(session, sequence)).encode()
                    }
                    Gossip::Bytes(data) => data,
                };
                // Gossipsub does not hand over what this peer has said itself.
                let (author, neighbour) = (peer(author), peer(neighbour));
                self.handle(Input::Gossip {
                    id,
                    neighbour,
                    author,
                    data,
                });
            }
        }
    }

    fn take_open(&mut self, which: prop::sample::Index) -> Option<RequestId> {
        if self.open.is_empty() {
            return None;
        }
        let index = which.index(self.open.len());
        let request = self.open.iter().nth(index).copied()?;
        self.open.remove(&request);
        Some(request)
    }

    fn encode(&self, answer: Answer) -> Vec<u8> {
        match answer {
            Answer::List { members, next } => {
                let members = members.iter().map(|signed| self.sign(signed));
                Response::Members {
                    members: members.map(|signed| (signed, Duration::ZERO)).collect(),
                    next: next.map(peer),
                }
                .encode()
            }
            Answer::Missed { said, sequences } => {
                let texts = sequences.iter().map(|sequence| self.text(1, *sequence));
                message::Response::Missed {
                    said: Position {
                        session: 1,
                        sequence: said,
                    },
                    messages: texts.collect(),
                }
                .encode()
            }
            Answer::Bytes(body) => body,
        }
    }

    /// Leaves the room, and checks that nothing is owed after that.
    fn leave(&mut self) {
        self.handle(Input::Leave);
        self.handle(Input::LeftHandedOver);
        self.pass(2_000);
        assert!(self.is_over);
        assert_eq!(self.room.poll_timeout(), None);
        assert_eq!(self.saying, BTreeSet::new(), "all that was to be said");
        let left = self.all.iter().filter(|output| **output == Output::Left);
        assert_eq!(left.count(), 1);
    }
}

fn run(steps: Vec<Step>) -> Vec<Output> {
    let mut checked = Checked::new();
    for step in steps {
        checked.take(step);
    }
    checked.leave();
    checked.all
}

/// Without what is counted from the moment at which the test began.
fn compared(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(crate::testing::brief).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_question_has_one_answer_and_nothing_grows(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        run(steps);
    }

    #[test]
    fn whoever_leaves_and_whatever_comes_after_it_is_left_once(
        before in prop::collection::vec(step(), 0..40),
        after in prop::collection::vec(step(), 0..40),
    ) {
        let mut checked = Checked::new();
        for step in before {
            checked.take(step);
        }
        checked.handle(Input::Leave);
        for step in after {
            checked.take(step);
        }
        checked.handle(Input::Restarted);
        checked.leave();
    }

    #[test]
    fn the_same_inputs_bring_about_the_same(steps in prop::collection::vec(step(), 0..60)) {
        prop_assert_eq!(compared(&run(steps.clone())), compared(&run(steps)));
    }
}
