//! The shape of STUN messages: a header, and attributes after it. RFC 8489, sections 5 and 14.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Length of the header, and of a message without attributes.
pub(crate) const HEADER_BYTES: usize = 20;
/// In every message, at the same place.
pub(crate) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Length of the header of an attribute.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Length of the value of MESSAGE-INTEGRITY.
pub(crate) const SIGNATURE_BYTES: usize = 20;

/// The numbers of attributes.
pub(crate) mod attribute {
    pub(crate) const USERNAME: u16 = 0x0006;
    pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(crate) const ERROR_CODE: u16 = 0x0009;
    pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(crate) const LIFETIME: u16 = 0x000d;
    pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(crate) const DATA: u16 = 0x0013;
    pub(crate) const REALM: u16 = 0x0014;
    pub(crate) const NONCE: u16 = 0x0015;
    pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(crate) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub(crate) const EVEN_PORT: u16 = 0x0018;
    pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(crate) const RESERVATION_TOKEN: u16 = 0x0022;
}

/// What ties an answer to its question.
pub(crate) type Transaction = [u8; 12];

/// A message whose parts add up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) transaction: Transaction,
    bytes: &'a [u8],
}

/// An attribute and where it begins in the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) at: usize,
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message that is as long as `bytes`. `None` if it is anything else.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = take_u16(bytes)?;
        let (length, rest) = take_u16(rest)?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let (transaction, attributes) = rest.split_first_chunk()?;
        // Two zeros come first, so that it can be told from other protocols on its port.
        let is_whole = usize::from(length) == attributes.len() && attributes.len() % 4 == 0;
        let message = Self {
            kind,
            transaction: *transaction,
            bytes,
        };
        let adds_up = || message.attributes().all(|attribute| attribute.is_some());
        (kind < 0x4000 && *cookie == MAGIC_COOKIE && is_whole && adds_up()).then_some(message)
    }

    /// The attributes, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.attributes().flatten()
    }

    /// The attributes, and at last `None` if what is left is none.
    fn attributes(&self) -> impl Iterator<Item = Option<Attribute<'a>>> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER_BYTES;
        std::iter::from_fn(move || {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let attribute = attribute_at(at, rest);
            at = match attribute {
                Some(Attribute { value, .. }) => {
                    at + ATTRIBUTE_HEADER_BYTES + value.len().next_multiple_of(4)
                }
                None => bytes.len(),
            };
            Some(attribute)
        })
    }

    /// Whether `signature`, an attribute MESSAGE-INTEGRITY of this message, is made with `key`
    /// (section 14.5). Takes as long for one that is nearly right.
    pub(crate) fn is_signed(&self, signature: Attribute<'_>, key: &[u8]) -> bool {
        let before = self.bytes.get(..signature.at).unwrap_or_default();
        let Some((_, rest)) = before.split_at_checked(4) else {
            return false;
        };
        let mac = mac(self.kind, rest, key);
        mac.is_some_and(|mac| mac.verify_slice(signature.value).is_ok())
    }
}

fn attribute_at(at: usize, bytes: &[u8]) -> Option<Attribute<'_>> {
    let (kind, rest) = take_u16(bytes)?;
    let (length, rest) = take_u16(rest)?;
    let length = usize::from(length);
    let (padded, _) = rest.split_at_checked(length.next_multiple_of(4))?;
    let value = padded.get(..length)?;
    Some(Attribute { at, kind, value })
}

/// The MAC of a message: of its kind, of the length that it has with the signature, and of the rest.
fn mac(kind: u16, after_length: &[u8], key: &[u8]) -> Option<Hmac<Sha1>> {
    let length = after_length.len() + 4 - HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + SIGNATURE_BYTES;
    // A key may have any length.
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(&kind.to_be_bytes());
    mac.update(&u16::try_from(length).ok()?.to_be_bytes());
    mac.update(after_length);
    Some(mac)
}

/// A message in the making.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: u16, transaction: &Transaction) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(transaction);
        Self(bytes)
    }

    /// Adds an attribute.
    #[must_use]
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend(length(value.len()).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an error, without the words.
    #[must_use]
    pub(crate) fn with_error(self, code: u16) -> Self {
        // Codes have three digits.
        let (class, number) = ((code / 100) as u8, (code % 100) as u8);
        self.with(attribute::ERROR_CODE, &[0, 0, class, number])
    }

    /// Adds an address.
    #[must_use]
    pub(crate) fn with_address(self, kind: u16, address: SocketAddr) -> Self {
        let transaction = self.0.get(8..HEADER_BYTES).unwrap_or_default();
        let value = xor(address, transaction.try_into().unwrap_or_default());
        self.with(kind, &value)
    }

    /// The message.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = length(self.0.len() - HEADER_BYTES).to_be_bytes();
        self.0[2..4].copy_from_slice(&length);
        self.0
    }

    /// The message, with a signature.
    pub(crate) fn sign(self, key: &[u8]) -> Vec<u8> {
        let kind = u16::from_be_bytes([self.0[0], self.0[1]]);
        match mac(kind, &self.0[4..], key) {
            Some(mac) => {
                let signature = mac.finalize().into_bytes();
                self.with(attribute::MESSAGE_INTEGRITY, &signature).finish()
            }
            None => self.finish(),
        }
    }
}

fn length(bytes: usize) -> u16 {
    // What is sent here is no longer than a datagram that came.
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// The value of an attribute that holds an address: mixed with what every message has and with the
/// transaction, so that a NAT that rewrites addresses wherever it sees one does not find it
/// (section 14.2).
fn xor(address: SocketAddr, transaction: Transaction) -> Vec<u8> {
    let (family, ip) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(mix(&address.port().to_be_bytes(), &transaction));
    value.extend(mix(&ip, &transaction));
    value
}

/// The address in such a value.
pub(crate) fn unxor(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let ([_, family], rest) = value.split_first_chunk()?;
    let (port, ip) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(mix(port, transaction).try_into().ok()?);
    let ip = mix(ip, transaction);
    let ip = match family {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn mix(bytes: &[u8], transaction: &Transaction) -> Vec<u8> {
    let mask = MAGIC_COOKIE.iter().chain(transaction);
    bytes.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*value), rest))
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};

    use super::*;

    /// RFC 5769, section 2.4: a request with a long-term credential.
    const SIGNED: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aa\
                          e38383e382afe382b900000015001c662f2f3439396b3935346436\
                          4f4c33346f4c394653547679363473410014000b6578616d706c65\
                          2e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

    fn signed() -> Vec<u8> {
        data_encoding::HEXLOWER.decode(SIGNED.as_bytes()).unwrap()
    }

    fn key() -> [u8; 16] {
        let user = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
        Md5::digest(format!("{user}:example.org:TheMatrIX")).into()
    }

    #[test]
    fn a_signature_is_checked_as_in_the_test_vector() {
        let bytes = signed();
        let message = Message::parse(&bytes).unwrap();
        let signature = message.iter().last().unwrap();
        assert_eq!(signature.kind, attribute::MESSAGE_INTEGRITY);
        assert!(message.is_signed(signature, &key()));
        assert!(!message.is_signed(signature, b"another key"));
        for index in 20..bytes.len() {
            let mut other = bytes.clone();
            other[index] ^= 1;
            if let Some(message) = Message::parse(&other)
                && let Some(signature) = message.iter().last()
                && signature.kind == attribute::MESSAGE_INTEGRITY
            {
                assert!(!message.is_signed(signature, &key()), "byte {index}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let transaction = [7; 12];
        for address in ["192.0.2.1:32853", "[2001:db8::1]:1", "0.0.0.0:0"] {
            let address = address.parse().unwrap();
            let bytes = Writer::new(0x0103, &transaction)
                .with_address(attribute::XOR_PEER_ADDRESS, address)
                .with(attribute::DATA, b"hello")
                .sign(b"key");
            let message = Message::parse(&bytes).unwrap();
            let all: Vec<_> = message.iter().collect();
            assert_eq!((message.kind, message.transaction), (0x0103, transaction));
            assert_eq!(unxor(all[0].value, &transaction), Some(address));
            assert_eq!(all[1].value, b"hello");
            assert!(message.is_signed(all[2], b"key"));
        }
    }

    #[test]
    fn what_does_not_add_up_is_no_message() {
        let good = signed();
        for length in 0..good.len() {
            assert!(Message::parse(&good[..length]).is_none(), "{length} bytes");
        }
        let overrun = Writer::new(1, &[0; 12])
            .with(attribute::DATA, &[0; 8])
            .finish();
        let mut overrun: Vec<u8> = overrun;
        overrun[23] = 9;
        assert!(Message::parse(&overrun).is_none());
        assert_eq!(unxor(&[], &[0; 12]), None);
        assert_eq!(unxor(&[0, 1, 0, 0, 1, 2, 3], &[0; 12]), None);
        assert_eq!(unxor(&[0, 3, 0, 0, 1, 2, 3, 4], &[0; 12]), None);
    }
}
