//! The addresses that Moim dials: a strict grammar.
//!
//! A multiaddr may hold any text in many of its parts, and transports write some of them into their
//! first bytes: a WebSocket's path, with line ends in it, becomes a command for whatever listens there.
//! So nothing is dialled, kept or passed on to a transport that is not of one of these forms, in which a
//! stranger chooses a host, a port and peer ids, and nothing else:
//!
//! ```text
//! address = direct ["/p2p/" peer] / circuit
//! direct  = host "/tcp/" port [ws] / host "/udp/" port ("/quic-v1" / "/webrtc-direct/certhash/" sha2-256)
//! ws      = "/ws" / "/wss" / "/tls/ws" / "/tls/sni/" name "/ws"          ; the path is "/"
//! host    = "/ip4/" ip / "/ip6/" ip / ("/dns/" / "/dns4/" / "/dns6/") name
//! circuit = [direct / "/webrtc"] "/p2p/" relay "/p2p-circuit" ["/webrtc"] ["/p2p/" peer]
//! ```
//!
//! Where the host may be is not said here, see [`dials`](crate::dials).

use std::{borrow::Cow, iter::Peekable, net::IpAddr};

use libp2p_identity::PeerId;
use multiaddr::{Iter, Multiaddr, Protocol};
use thiserror::Error;

/// The code of SHA-256 in a multihash, and its length.
const SHA_256: (u64, usize) = (0x12, 32);

/// Longest DNS name as text, and longest label of it (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Why an address is none that Moim dials.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The hash of a certificate after `/webrtc-direct`.
    #[error("after /webrtc-direct there must be one /certhash with the SHA-256 of a certificate")]
    Certhash,
    /// What is not a circuit and goes on.
    #[error("there is something behind the point where the address must end")]
    GoesOn,
    /// It begins with none of the hosts.
    #[error("it does not begin with /ip4, /ip6, /dns, /dns4 or /dns6")]
    Host,
    /// An IPv4 address in IPv6's clothes.
    #[error("it has an IPv4 address inside an IPv6 address; write it with /ip4")]
    Mapped,
    /// A DNS name.
    #[error("its host name must be a DNS name of letters, digits and hyphens")]
    Name,
    /// A WebSocket's path.
    #[error("its WebSocket has a path other than /")]
    Path,
    /// Port 0.
    #[error("its port must be from 1 to 65535; it is 0")]
    Port,
    /// No circuit after a relay.
    #[error("/p2p-circuit has to follow the relay's id")]
    Relay,
    /// A transport that is none of ours.
    #[error("it has none of the transports /tcp, /ws, /wss, /tls/ws, /quic-v1 and /webrtc-direct")]
    Transport,
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `/tcp`
    Tcp,
    /// `/udp/…/quic-v1`
    Quic,
    /// `/tcp/…/ws`
    WebSocket,
    /// `/tcp/…/tls/ws` and its like.
    SecureWebSocket,
    /// `/udp/…/webrtc-direct`
    WebRtcDirect,
}

/// A host, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// By number.
    Ip(IpAddr),
    /// By name.
    Name(Cow<'a, str>),
}

/// To where the first packet goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place<'a> {
    /// The host.
    pub host: Host<'a>,
    /// Never 0.
    pub port: u16,
    /// How.
    pub transport: Transport,
    /// The name that TLS asks for, if it is not the host's.
    pub server_name: Option<Cow<'a, str>>,
}

/// An address of one of the forms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address<'a> {
    /// The peer itself.
    Direct(Place<'a>),
    /// A circuit through this relay, also where it is only signalled over (`/webrtc`).
    Circuit {
        /// The relay.
        relay: PeerId,
        /// Where the relay is. `None`: whoever dials has to be connected to it.
        place: Option<Place<'a>>,
    },
}

impl Address<'_> {
    /// To where the first packet goes, if a connection has to be made for it.
    #[must_use]
    pub const fn place(&self) -> Option<&Place<'_>> {
        match self {
            Self::Direct(place) => Some(place),
            Self::Circuit { place, .. } => place.as_ref(),
        }
    }
}

/// Whether Moim dials such addresses.
#[must_use]
pub fn is_dialled(address: &Multiaddr) -> bool {
    parse(address).is_ok()
}

/// Takes an address apart.
///
/// # Errors
///
/// If it is of none of the forms.
pub fn parse(address: &Multiaddr) -> Result<Address<'_>, AddressError> {
    let mut parts = address.iter().peekable();
    let place = match parts.peek() {
        Some(Protocol::WebRTC) => {
            parts.next();
            None
        }
        Some(Protocol::P2p(_)) => None,
        _ => Some(direct(&mut parts)?),
    };
    let peer = match parts.next_if(|part| matches!(part, Protocol::P2p(_))) {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    };
    let is_circuit = parts
        .next_if(|part| matches!(part, Protocol::P2pCircuit))
        .is_some();
    let parsed = match (place, peer, is_circuit) {
        (place, Some(relay), true) => {
            let _ = parts.next_if(|part| matches!(part, Protocol::WebRTC));
            let _ = parts.next_if(|part| matches!(part, Protocol::P2p(_)));
            Address::Circuit { relay, place }
        }
        (Some(place), _, false) => Address::Direct(place),
        (None, _, false) | (_, None, true) => return Err(AddressError::Relay),
    };
    match parts.next() {
        None => Ok(parsed),
        Some(_) => Err(AddressError::GoesOn),
    }
}

fn direct<'a>(parts: &mut Peekable<Iter<'a>>) -> Result<Place<'a>, AddressError> {
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => Host::Ip(ip.into()),
        Some(Protocol::Ip6(ip)) if ip.to_ipv4_mapped().is_some() => {
            return Err(AddressError::Mapped);
        }
        Some(Protocol::Ip6(ip)) => Host::Ip(ip.into()),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            Host::Name(checked(name)?)
        }
        _ => return Err(AddressError::Host),
    };
    let (port, transport, server_name) = match parts.next() {
        Some(Protocol::Tcp(port)) => {
            let (transport, server_name) = over_tcp(parts)?;
            (port, transport, server_name)
        }
        Some(Protocol::Udp(port)) => (port, over_udp(parts)?, None),
        _ => return Err(AddressError::Transport),
    };
    if port == 0 {
        return Err(AddressError::Port);
    }
    Ok(Place {
        host,
        port,
        transport,
        server_name,
    })
}

fn over_tcp<'a>(
    parts: &mut Peekable<Iter<'a>>,
) -> Result<(Transport, Option<Cow<'a, str>>), AddressError> {
    let has_tls = parts
        .next_if(|part| matches!(part, Protocol::Tls))
        .is_some();
    let server_name = match parts.next_if(|part| has_tls && matches!(part, Protocol::Sni(_))) {
        Some(Protocol::Sni(name)) => Some(checked(name)?),
        _ => None,
    };
    let is_websocket = |part: &Protocol<'_>| matches!(part, Protocol::Ws(_) | Protocol::Wss(_));
    match parts.next_if(is_websocket) {
        Some(Protocol::Ws(path) | Protocol::Wss(path)) if path != "/" => Err(AddressError::Path),
        Some(Protocol::Ws(_)) if !has_tls => Ok((Transport::WebSocket, None)),
        Some(Protocol::Ws(_)) => Ok((Transport::SecureWebSocket, server_name)),
        Some(Protocol::Wss(_)) if !has_tls => Ok((Transport::SecureWebSocket, None)),
        None if !has_tls => Ok((Transport::Tcp, None)),
        _ => Err(AddressError::Transport),
    }
}

fn over_udp(parts: &mut Peekable<Iter<'_>>) -> Result<Transport, AddressError> {
    match parts.next() {
        Some(Protocol::QuicV1) => Ok(Transport::Quic),
        Some(Protocol::WebRTCDirect) => match parts.next() {
            Some(Protocol::Certhash(hash)) if (hash.code(), hash.digest().len()) == SHA_256 => {
                Ok(Transport::WebRtcDirect)
            }
            _ => Err(AddressError::Certhash),
        },
        _ => Err(AddressError::Transport),
    }
}

/// A host name in the letters-digits-hyphens form (RFC 1123, section 2.1), without a dot at its end. One
/// whose last label is a number is what URLs have for an IPv4 address (`127.1`, `0x7f000001`).
fn checked(name: Cow<'_, str>) -> Result<Cow<'_, str>, AddressError> {
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    if name.len() <= NAME_MAX && !is_number && name.split('.').all(is_label) {
        Ok(name)
    } else {
        Err(AddressError::Name)
    }
}

#[cfg(test)]
mod tests;
