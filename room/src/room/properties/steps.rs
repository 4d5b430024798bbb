//! What may happen to a room, drawn at random.

use proptest::prelude::*;

use crate::{
    input::{Failure, Input},
    testing::{address, peer},
};

/// Peers that take part, and one more that this peer itself is.
const PEERS: u16 = 7;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Time passes: the clock for durations, and the wall clock perhaps differently.
    Pass {
        millis: u64,
        wall: i64,
    },
    /// An input that needs no more than it says.
    Simple(Box<Input>),
    Say,
    Announced {
        from: u16,
        signed: Signed,
    },
    Synced {
        from: u16,
        signed: Option<Signed>,
        after: Option<u16>,
    },
    AskedMissed {
        from: u16,
        said: u64,
        known: u64,
    },
    /// A request of the machine is answered: with a list, with what was missed, or with nonsense.
    Answered {
        which: prop::sample::Index,
        answer: Answer,
    },
    Failed {
        which: prop::sample::Index,
        why: Failure,
    },
    Gossip {
        neighbour: u16,
        author: u16,
        what: Gossip,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    List {
        members: Vec<Signed>,
        next: Option<u16>,
    },
    Missed {
        said: u64,
        sequences: Vec<u64>,
    },
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) enum Gossip {
    Presence(Signed),
    Text { session: u64, sequence: u64 },
    Bytes(Vec<u8>),
}

/// What some peer may have signed.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) peer: u16,
    pub(super) sequence: u64,
    pub(super) name: u8,
    pub(super) is_here: bool,
}

/// Any other peer: nobody is connected to itself.
fn any_peer() -> impl Strategy<Value = u16> {
    1..=PEERS
}

fn signed() -> impl Strategy<Value = Signed> {
    (0..=PEERS, 1..5_u64, 0..3_u8, prop::bool::weighted(0.8)).prop_map(
        |(peer, sequence, name, is_here)| Signed {
            peer,
            sequence,
            name,
            is_here,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    prop::sample::select(vec![
        Failure::Timeout,
        Failure::ConnectionClosed,
        Failure::Io,
        Failure::Other,
    ])
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        r#"{"v":1,"type":"text"}"#,
        r#"{"v":2,"type":"text"}"#,
        r#"{"v":1,"type":"members","members":[7]}"#,
        r#"{"v":1,"type":"error","code":"expired"}"#,
        r#"{"v":1,"type":"error","code":"busy"}"#,
        r#"{"v":1,"type":"accepted"}"#,
    ];
    let known = known.map(|text| text.as_bytes().to_vec()).to_vec();
    prop_oneof![
        prop::sample::select(known),
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![b'x'; 40_000]),
    ]
}

fn simple() -> impl Strategy<Value = Input> {
    let of_peer = (any_peer(), 0..8_u8).prop_map(|(n, which)| match which {
        0 | 1 => Input::Connected(peer(n)),
        2 => Input::ConnectionClosed(peer(n)),
        3 => Input::Disconnected(peer(n)),
        4 => Input::Listens(peer(n)),
        5 => Input::ListensNoMore(peer(n)),
        6 => Input::Lost(peer(n)),
        _ => Input::HeardFrom(peer(n)),
    });
    let providers = (prop::collection::vec(0..40_u16, 0..12), any::<bool>());
    prop_oneof![
        10 => of_peer,
        2 => (any_peer(), any::<bool>()).prop_map(|(n, is)| Input::Reachable(peer(n), is)),
        2 => providers.prop_map(|(numbers, is_answer)| Input::Providers {
            providers: numbers.into_iter().map(|n| (peer(n), vec![address(n)])).collect(),
            is_answer,
        }),
        1 => any::<bool>().prop_map(|accepted| Input::Announced { accepted }),
        1 => any::<bool>().prop_map(Input::Dht),
        1 => (0..9_u16).prop_map(|n| Input::AddressesChanged(vec![address(n)])),
        1 => Just(Input::AnnounceNow),
        1 => Just(Input::NetworkChanged),
        1 => Just(Input::LookupAgain),
        1 => Just(Input::LeftHandedOver),
        1 => Just(Input::Restarted),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let next = prop::option::of(any_peer());
    prop_oneof![
        (prop::collection::vec(signed(), 0..6), next)
            .prop_map(|(members, next)| Answer::List { members, next }),
        (0..9_u64, prop::collection::vec(1..9_u64, 0..6))
            .prop_map(|(said, sequences)| Answer::Missed { said, sequences }),
        bytes().prop_map(Answer::Bytes),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let gossip = prop_oneof![
        signed().prop_map(Gossip::Presence),
        (1..3_u64, 0..9_u64).prop_map(|(session, sequence)| Gossip::Text { session, sequence }),
        bytes().prop_map(Gossip::Bytes),
    ];
    let millis = prop_oneof![4 => 0..400_u64, 2 => 400..5_000_u64, 1 => 5_000..150_000_u64];
    let wall = prop_oneof![20 => Just(0), 1 => -700_000..700_000_i64];
    prop_oneof![
        6 => (millis, wall).prop_map(|(millis, wall)| Step::Pass { millis, wall }),
        8 => simple().prop_map(|input| Step::Simple(Box::new(input))),
        2 => Just(Step::Say),
        3 => (any_peer(), signed()).prop_map(|(from, signed)| Step::Announced { from, signed }),
        2 => (any_peer(), prop::option::of(signed()), prop::option::of(any_peer()))
            .prop_map(|(from, signed, after)| Step::Synced { from, signed, after }),
        1 => (any_peer(), 0..9_u64, 0..9_u64)
            .prop_map(|(from, said, known)| Step::AskedMissed { from, said, known }),
        5 => (any::<prop::sample::Index>(), answer())
            .prop_map(|(which, answer)| Step::Answered { which, answer }),
        2 => (any::<prop::sample::Index>(), failure())
            .prop_map(|(which, why)| Step::Failed { which, why }),
        5 => (any_peer(), any_peer(), gossip)
            .prop_map(|(neighbour, author, what)| Step::Gossip { neighbour, author, what }),
    ]
}
