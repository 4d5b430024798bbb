//! What clients say: requests and data. RFC 8656, sections 5 to 12 and 18.

use std::net::SocketAddr;

use super::credentials::User;
use crate::{
    limits,
    stun::{
        message,
        wire::{self, Attribute, Message, attribute},
    },
};

/// The methods of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Allocate,
    ChannelBind,
    CreatePermission,
    Refresh,
}

/// The message type of an Allocate request.
pub(super) const ALLOCATE: u16 = 0x0003;
/// Of the class of a message.
pub(super) const SUCCESS: u16 = 0x0100;
/// See [`SUCCESS`].
pub(super) const ERROR: u16 = 0x0110;
/// Data from a client.
pub(super) const SEND_INDICATION: u16 = 0x0016;
/// Data to a client.
pub(super) const DATA_INDICATION: u16 = 0x0017;

/// Attributes that are looked at or may be passed over.
const KNOWN: [u16; 13] = [
    attribute::USERNAME,
    attribute::MESSAGE_INTEGRITY,
    attribute::CHANNEL_NUMBER,
    attribute::LIFETIME,
    attribute::XOR_PEER_ADDRESS,
    attribute::DATA,
    attribute::REALM,
    attribute::NONCE,
    attribute::REQUESTED_ADDRESS_FAMILY,
    attribute::EVEN_PORT,
    attribute::REQUESTED_TRANSPORT,
    attribute::RESERVATION_TOKEN,
    0x001c, // MESSAGE-INTEGRITY-SHA256
];

impl Method {
    fn of(kind: u16) -> Option<Self> {
        match kind {
            ALLOCATE => Some(Self::Allocate),
            0x0004 => Some(Self::Refresh),
            0x0008 => Some(Self::CreatePermission),
            0x0009 => Some(Self::ChannelBind),
            _ => None,
        }
    }
}

/// Whether this looks like a request, which costs more than data and is answered to whoever asks.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    let kind = bytes.first_chunk().map(|kind| u16::from_be_bytes(*kind));
    kind.and_then(Method::of).is_some()
}

/// A request, as far as it can be read.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) message: Message<'a>,
    /// Everything below stands before it, or is not there.
    pub(super) signature: Option<Attribute<'a>>,
    pub(super) user: Option<User<'a>>,
    pub(super) has_realm: bool,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) channel: Option<u16>,
    /// The number of an address family: 1 or 2.
    pub(super) family: Option<u8>,
    pub(super) lifetime: Option<u32>,
    /// `None` for one that is no address. At most [`limits::TURN_PERMISSIONS_MAX`].
    pub(super) peers: Vec<Option<SocketAddr>>,
    /// Asks for an even port, as old programs do for RTP.
    pub(super) wants_even_port: bool,
    /// Asks for a port that is or will be reserved for him.
    pub(super) wants_reservation: bool,
    /// The number of an IP protocol.
    pub(super) transport: Option<u8>,
    /// What would have to be understood and is not.
    pub(super) unknown: Vec<u16>,
}

impl<'a> Request<'a> {
    /// Reads a request. `None` if the message is something else.
    pub(super) fn read(message: Message<'a>) -> Option<Self> {
        let mut request = Self {
            method: Method::of(message.kind)?,
            message,
            signature: None,
            user: None,
            has_realm: false,
            nonce: None,
            channel: None,
            family: None,
            lifetime: None,
            peers: Vec::new(),
            wants_even_port: false,
            wants_reservation: false,
            transport: None,
            unknown: message::unknown(&message, &KNOWN),
        };
        for attribute in message.iter() {
            request.take(attribute);
            if request.signature.is_some() {
                // What comes after is not signed (RFC 8489, section 14.5).
                break;
            }
        }
        Some(request)
    }

    /// What a request says twice counts as it was said first (RFC 8489, section 14).
    fn take(&mut self, attribute: Attribute<'a>) {
        let value = attribute.value;
        match attribute.kind {
            attribute::MESSAGE_INTEGRITY => self.signature = Some(attribute),
            attribute::USERNAME if self.user.is_none() => {
                self.user = Some(value)
                    .filter(|value| value.len() <= limits::TURN_USERNAME_BYTES_MAX)
                    .and_then(|value| std::str::from_utf8(value).ok())
                    .map(|name| User::parse(name).unwrap_or_else(|| User::unknown(name)));
            }
            attribute::REALM => self.has_realm = true,
            attribute::NONCE => self.nonce = self.nonce.or(Some(value)),
            attribute::CHANNEL_NUMBER => self.channel = self.channel.or_else(|| first_u16(value)),
            attribute::REQUESTED_ADDRESS_FAMILY => {
                self.family = self.family.or_else(|| value.first().copied());
            }
            attribute::LIFETIME => {
                let seconds = value.try_into().ok().map(u32::from_be_bytes);
                self.lifetime = self.lifetime.or(seconds);
            }
            attribute::XOR_PEER_ADDRESS if self.peers.len() < limits::TURN_PERMISSIONS_MAX => {
                let peer = peer_address(value, &self.message);
                self.peers.push(peer);
            }
            attribute::EVEN_PORT => {
                self.wants_even_port = true;
                // The next port too (section 18.6).
                self.wants_reservation |= value.first().is_some_and(|flags| flags & 0x80 != 0);
            }
            attribute::RESERVATION_TOKEN => self.wants_reservation = true,
            attribute::REQUESTED_TRANSPORT => {
                self.transport = self.transport.or_else(|| value.first().copied());
            }
            _ => {}
        }
    }
}

/// What a Send indication wants to be sent, and where (section 11.2).
pub(super) fn sent<'a>(message: &Message<'a>) -> Option<(SocketAddr, &'a [u8])> {
    // Without an answer there is nowhere to say what is not understood.
    if !message::unknown(message, &KNOWN).is_empty() {
        return None;
    }
    let value_of = |kind| {
        let mut all = message.iter().filter(move |one| one.kind == kind);
        all.next().map(|attribute| attribute.value)
    };
    let peer = peer_address(value_of(attribute::XOR_PEER_ADDRESS)?, message)?;
    Some((peer, value_of(attribute::DATA)?))
}

/// The channel and the data of a ChannelData message (section 12.4), which may be padded.
pub(super) fn channel_data(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let data = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some((u16::from_be_bytes(*number), data))
}

/// A ChannelData message; over TCP it is padded.
pub(super) fn write_channel_data(number: u16, data: &[u8], padded: bool) -> Option<Vec<u8>> {
    let length = u16::try_from(data.len()).ok()?;
    let mut bytes = Vec::with_capacity(data.len() + 8);
    bytes.extend(number.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(data);
    if padded {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Some(bytes)
}

/// The address without an IPv4 address in an IPv6 one.
fn peer_address(value: &[u8], message: &Message<'_>) -> Option<SocketAddr> {
    let address = wire::unxor(value, &message.transaction)?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn first_u16(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}
