//! What the tests share: peers made from a number, one clock, presences.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{
    UnixMillis,
    limits::PRESENCE_TTL,
    message::{self, MessageId},
    presence::{Presence, SignedPresence, State},
    presence_wire,
    room::{RoomMessage, RoomText},
    text::{Name, Text},
    topic::Topic,
};
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::{
    now::Now,
    output::{Event, Member, Output, Protocol, Response},
};

impl Now {
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self {
            instant: self.instant + duration,
            wall: self.wall.saturating_add(duration),
        }
    }
}

/// Some moment to count from.
#[allow(
    clippy::disallowed_methods,
    reason = "every other instant is counted from this one"
)]
pub(crate) fn start() -> Now {
    Now {
        instant: Instant::now(),
        wall: UnixMillis(1_800_000_000_000),
    }
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The key pair of peer `n`.
pub(crate) fn keypair(n: u16) -> Keypair {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    Keypair::ed25519_from_bytes(seed).unwrap()
}

/// The id of peer `n`.
pub(crate) fn peer(n: u16) -> PeerId {
    keypair(n).public().to_peer_id()
}

pub(crate) fn topic() -> Topic {
    Topic::new("global-chat").unwrap()
}

pub(crate) fn address(port: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{}", 8000 + port % 50_000)
        .parse()
        .unwrap()
}

/// Peer `n` is here, said at `now`.
pub(crate) fn presence(n: u16, sequence: u64, now: Now) -> Presence {
    Presence {
        peer: peer(n),
        topic: topic().hash(),
        name: format!("peer {n}").parse().unwrap(),
        addresses: vec![address(n)],
        sequence,
        issued: now.wall,
        expires: now.wall.saturating_add(PRESENCE_TTL),
        state: State::Here,
    }
}

pub(crate) fn here(n: u16, sequence: u64, now: Now) -> SignedPresence {
    presence(n, sequence, now).sign(&keypair(n)).unwrap()
}

pub(crate) fn named(n: u16, sequence: u64, name: &str, now: Now) -> SignedPresence {
    Presence {
        name: name.parse().unwrap(),
        ..presence(n, sequence, now)
    }
    .sign(&keypair(n))
    .unwrap()
}

pub(crate) fn left(n: u16, sequence: u64, now: Now) -> SignedPresence {
    Presence {
        state: State::Left,
        addresses: Vec::new(),
        ..presence(n, sequence, now)
    }
    .sign(&keypair(n))
    .unwrap()
}

/// The id of a message that says `number`.
pub(crate) fn message_id(number: u64) -> MessageId {
    MessageId::from_bytes(u128::from(number).to_be_bytes())
}

/// Message `sequence` of a session that began long before `now`.
pub(crate) fn text(sequence: u64, now: Now) -> RoomText {
    RoomText {
        id: message_id(sequence),
        session: now.wall.0 - 60_000,
        sequence,
        name: None,
        text: Text::new(&format!("message {sequence}")).unwrap(),
        sent: now.wall,
    }
}

pub(crate) fn said(text: RoomText) -> Vec<u8> {
    RoomMessage::Text(text).encode()
}

/// The number of a peer.
fn number(peer: &PeerId) -> u16 {
    static PEERS: OnceLock<HashMap<PeerId, u16>> = OnceLock::new();
    let peers = PEERS.get_or_init(|| (0..256).map(|n| (self::peer(n), n)).collect());
    peers.get(peer).copied().unwrap_or(999)
}

fn state(signed: &SignedPresence) -> String {
    let presence = signed.presence();
    let state = match presence.state {
        State::Here => "here",
        State::Left => "left",
    };
    format!("{state} of {}", number(&presence.peer))
}

fn numbers<'a>(peers: impl Iterator<Item = &'a PeerId>) -> String {
    let numbers: Vec<String> = peers.map(|peer| number(peer).to_string()).collect();
    numbers.join(" ")
}

fn shown(member: &Member) -> String {
    let like = member.looks_like.as_ref().map(number);
    let like = like.map_or(String::new(), |like| format!(" like {like}"));
    format!("{} {}{like}", number(&member.peer), member.name)
}

fn asked(protocol: Protocol, body: &[u8]) -> String {
    match protocol {
        Protocol::Presence => match presence_wire::Request::decode(body).unwrap() {
            presence_wire::Request::Announce { presence } => state(&presence),
            presence_wire::Request::Sync {
                presence, after, ..
            } => {
                let own = presence.map_or(String::new(), |own| format!(", {}", state(&own)));
                let after = after.map_or(String::new(), |peer| format!(" after {}", number(&peer)));
                format!("list{after}{own}")
            }
        },
        Protocol::Message => match message::Request::decode(body).unwrap() {
            message::Request::CatchUp { known, .. } => format!("missed from {}", known.sequence),
            message::Request::Text { .. } => panic!("not of a room"),
        },
    }
}

fn answered(response: &Response) -> String {
    match response {
        Response::Presence(presence_wire::Response::Accepted) => "accepted".to_owned(),
        Response::Presence(presence_wire::Response::Members { members, next }) => {
            let peers = numbers(members.iter().map(|(signed, _)| &signed.presence().peer));
            let next = next.map_or(String::new(), |peer| {
                format!(", more after {}", number(&peer))
            });
            format!("members {peers}{next}")
        }
        Response::Message(message::Response::Missed { said, messages }) => {
            let missed = messages.iter().map(|text| text.sequence.to_string());
            let missed: Vec<String> = missed.collect();
            format!("missed {} of {}", missed.join(" "), said.sequence)
        }
        Response::Presence(presence_wire::Response::Error { code, .. })
        | Response::Message(message::Response::Error { code, .. }) => format!("error {code}"),
        Response::Message(message::Response::Accepted { .. }) => panic!("not of a room"),
    }
}

fn happened(event: &Event) -> String {
    match event {
        Event::Joined(member) => format!("joined: {}", shown(member)),
        Event::Updated { member, before } => {
            format!("updated: {} from {}", shown(member), shown(before))
        }
        Event::Left { peer, name, reason } => {
            format!("left: {} {name} {reason:?}", number(peer))
        }
        Event::Message(message) => {
            let name = message.name.as_ref().map_or("nobody", Name::as_str);
            format!("{name}: {}", message.text.as_str())
        }
    }
}

/// An output in a few words, with peers by their numbers.
pub(crate) fn brief(output: &Output) -> String {
    match output {
        Output::Ask {
            to, protocol, body, ..
        } => format!("ask {}: {}", number(to), asked(*protocol, body)),
        Output::Answer { response, .. } => format!("answer: {}", answered(response)),
        Output::Publish(data) => match RoomMessage::decode(data).unwrap() {
            RoomMessage::Presence { presence } => format!("publish: {}", state(&presence)),
            RoomMessage::Text(text) => format!("publish: {}", text.text.as_str()),
            RoomMessage::Doubt(doubt) => {
                format!("publish: {} may be gone", number(&doubt.peer))
            }
        },
        Output::Verdict { acceptance, .. } => format!("{acceptance:?}").to_lowercase(),
        Output::Deafen(peer) => format!("deafen {}", number(peer)),
        Output::PutPresence { signed, is_last } => {
            assert_eq!(*is_last, signed.presence().state == State::Left);
            format!("put: {}", state(signed))
        }
        Output::FindProviders => "find providers".to_owned(),
        Output::LookupHasEnough => "enough".to_owned(),
        Output::Met(presence) => format!("met {}", number(&presence.peer)),
        Output::Stranger { peer, .. } => format!("stranger {}", number(peer)),
        Output::Forget(peer) => format!("forget {}", number(peer)),
        Output::HasList => "has list".to_owned(),
        Output::ClockDisagrees(peer) => format!("clock disagrees with {}", number(peer)),
        Output::ClockAgrees => "clock agrees".to_owned(),
        Output::Doubt(peer) => format!("doubt {}", number(peer)),
        Output::HeardOf(peer) => format!("heard of {}", number(peer)),
        Output::Spoke(peer) => format!("spoke {}", number(peer)),
        Output::Said { message, .. } => format!("said: {}", message.text.as_str()),
        Output::NotSaid { why, .. } => format!("not said: {why:?}"),
        Output::Event(event) => happened(event),
        Output::MembersChanged => "members changed".to_owned(),
        Output::Found(members) => {
            let members: Vec<String> = members.iter().map(shown).collect();
            format!("found: {}", members.join(", "))
        }
        Output::NoAnswer => "no answer".to_owned(),
        Output::Left => "all told".to_owned(),
    }
}

/// Asserts what a machine has put out, in a few words each.
#[track_caller]
pub(crate) fn check(outputs: &[Output], expected: &[&str]) {
    let briefs: Vec<String> = outputs.iter().map(brief).collect();
    assert_eq!(briefs, expected);
}
