//! The TURN server: what eight clients with four users' credentials may do, and what goes through their
//! allocations.

use std::net::{IpAddr, SocketAddr};

use arbitrary::Arbitrary;
use moim_bootstrap::fuzzing::TurnLab;

use crate::input::steps;

/// Methods, as [`TurnLab::request`] counts them.
const ALLOCATE: u8 = 0;
const CREATE_PERMISSION: u8 = 2;
const CHANNEL_BIND: u8 = 3;

#[derive(Arbitrary, Clone, Debug)]
enum Step<'a> {
    /// What a client does that means well: an allocation, a permission and a channel, in one step because data goes
    /// nowhere without them.
    Establish {
        from: u8,
        peer: Peer,
        channel: u8,
    },
    Request {
        from: u8,
        user: u8,
        method: u8,
        peer: Option<Peer>,
        other: Option<Peer>,
        attribute: Option<(Attribute, &'a [u8])>,
    },
    Receive {
        from: u8,
        bytes: &'a [u8],
    },
    Send {
        from: u8,
        peer: Peer,
        data: &'a [u8],
    },
    SendOnChannel {
        from: u8,
        number: u8,
        data: &'a [u8],
    },
    ReceiveFromPeer {
        allocation: u8,
        peer: Peer,
        data: &'a [u8],
    },
    Wait {
        seconds: u16,
    },
}

/// Few enough that the same come again.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Peer {
    One,
    Two,
    Six,
    Allocation(u8),
    Any(IpAddr, u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Attribute {
    Channel,
    Family,
    Lifetime,
    EvenPort,
    ReservationToken,
    Any(u16),
}

impl From<Peer> for SocketAddr {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::One => Self::from(([198, 51, 100, 7], 4000)),
            Peer::Two => Self::from(([198, 51, 100, 8], 4000)),
            Peer::Six => Self::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9], 4000)),
            Peer::Allocation(number) => Self::from(([203, 0, 113, 5], 50_000 + u16::from(number))),
            Peer::Any(ip, port) => Self::new(ip, port),
        }
    }
}

impl From<Attribute> for u16 {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Channel => 0x000c,
            Attribute::Family => 0x0017,
            Attribute::Lifetime => 0x000d,
            Attribute::EvenPort => 0x0018,
            Attribute::ReservationToken => 0x0022,
            Attribute::Any(kind) => kind,
        }
    }
}

/// Takes a server through the steps in `data`.
pub fn run(data: &[u8]) {
    let mut lab = TurnLab::new();
    for step in steps::<Step<'_>>(data) {
        match step {
            Step::Establish {
                from,
                peer,
                channel,
            } => {
                let peers = [peer.into()];
                let number = [0x40, channel, 0, 0];
                lab.request((from, from), ALLOCATE, &[], &[]);
                lab.request((from, from), CREATE_PERMISSION, &peers, &[]);
                let attributes = [(Attribute::Channel.into(), &number[..])];
                lab.request((from, from), CHANNEL_BIND, &peers, &attributes);
            }
            Step::Request {
                from,
                user,
                method,
                peer,
                other,
                attribute,
            } => {
                let peers: Vec<SocketAddr> = peer
                    .into_iter()
                    .chain(other)
                    .map(SocketAddr::from)
                    .collect();
                let attributes: Vec<(u16, &[u8])> = attribute
                    .into_iter()
                    .map(|(kind, value)| (kind.into(), value))
                    .collect();
                lab.request((from, user), method, &peers, &attributes);
            }
            Step::Receive { from, bytes } => lab.receive(from, bytes),
            Step::Send { from, peer, data } => lab.send(from, peer.into(), data),
            Step::SendOnChannel { from, number, data } => {
                lab.send_on_channel(from, 0x4000 + u16::from(number), data);
            }
            Step::ReceiveFromPeer {
                allocation,
                peer,
                data,
            } => {
                lab.receive_from_peer(allocation, peer.into(), data);
            }
            Step::Wait { seconds } => lab.wait(seconds),
        }
    }
}
