//! The messages: which are answered, and with what. RFC 8489, sections 5, 6 and 14.

use std::net::{IpAddr, SocketAddr};

/// Length of the header, and of a request without attributes.
const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Attributes that a client may use with any server. Credentials are not asked for here, and may
/// be ignored then (section 9).
const KNOWN: [u16; 8] = [
    0x0001, // MAPPED-ADDRESS
    0x0006, // USERNAME
    0x0008, // MESSAGE-INTEGRITY
    0x0014, // REALM
    0x0015, // NONCE
    0x001c, // MESSAGE-INTEGRITY-SHA256
    0x001d, // PASSWORD-ALGORITHM
    0x001e, // USERHASH
];

/// Unknown attributes that an error names at most, so that its size does not follow the request's.
const UNKNOWN_MAX: usize = 4;

/// The answer to what came from `source`. `None` for everything but a Binding request.
pub(super) fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = datagram.split_at_checked(HEADER_BYTES)?;
    let (kind, header) = take_u16(header)?;
    let (length, header) = take_u16(header)?;
    let (cookie, transaction) = header.split_at_checked(MAGIC_COOKIE.len())?;
    if kind != BINDING_REQUEST
        || cookie != MAGIC_COOKIE
        || usize::from(length) != attributes.len()
        || !attributes.len().is_multiple_of(4)
    {
        return None;
    }
    let unknown = unknown(attributes)?;
    Some(if unknown.is_empty() {
        let address = xor_address(source, transaction);
        message(
            BINDING_SUCCESS,
            transaction,
            &[(XOR_MAPPED_ADDRESS, &address)],
        )
    } else {
        // "420 Unknown Attribute", without the words.
        let code = [0, 0, 4, 20];
        let names: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        let attributes = [(ERROR_CODE, &code[..]), (UNKNOWN_ATTRIBUTES, &names[..])];
        message(BINDING_ERROR, transaction, &attributes)
    })
}

/// The attributes that the server would have to understand and does not. `None` if they don't add
/// up.
fn unknown(mut attributes: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    while !attributes.is_empty() {
        let (kind, rest) = take_u16(attributes)?;
        let (length, rest) = take_u16(rest)?;
        let padded = usize::from(length).next_multiple_of(4);
        (_, attributes) = rest.split_at_checked(padded)?;
        // The upper half of the numbers may be ignored by whoever does not know them.
        if kind < 0x8000 && !KNOWN.contains(&kind) && unknown.len() < UNKNOWN_MAX {
            unknown.push(kind);
        }
    }
    Some(unknown)
}

/// The value of XOR-MAPPED-ADDRESS: the address mixed with what the request brought, so that a NAT
/// that rewrites addresses wherever it sees one does not find it (section 14.2).
fn xor_address(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let mask = || MAGIC_COOKIE.iter().chain(transaction);
    let mix = |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(mask()).map(|(a, b)| a ^ b).collect() };
    let (family, address) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => (1, mix(&ip.octets())),
        IpAddr::V6(ip) => (2, mix(&ip.octets())),
    };
    let mut value = vec![0, family];
    value.extend(mix(&source.port().to_be_bytes()));
    value.extend(address);
    value
}

fn message(kind: u16, transaction: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(length(value).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend(kind.to_be_bytes());
    message.extend(length(&body).to_be_bytes());
    message.extend(MAGIC_COOKIE);
    message.extend(transaction);
    message.extend(body);
    message
}

fn length(bytes: &[u8]) -> u16 {
    // What is sent here has some dozen bytes.
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut request = BINDING_REQUEST.to_be_bytes().to_vec();
        request.extend(length(attributes).to_be_bytes());
        request.extend(MAGIC_COOKIE);
        request.extend(TRANSACTION);
        request.extend(attributes);
        request
    }

    fn source(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The addresses and the transaction of the test vectors in RFC 5769, sections 2.2 and 2.3; their
    /// answers hold further attributes, which are left out here.
    #[test]
    fn the_address_comes_back_as_in_the_test_vectors() {
        let answer4 = answer(&request(&[]), source("192.0.2.1:32853")).unwrap();
        let mut expected = vec![0x01, 0x01, 0x00, 0x0c];
        expected.extend(MAGIC_COOKIE);
        expected.extend(TRANSACTION);
        expected.extend([
            0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
        ]);
        assert_eq!(answer4, expected);

        let answer6 = answer(
            &request(&[]),
            source("[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        )
        .unwrap();
        assert_eq!(
            answer6[HEADER_BYTES..],
            [
                0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3,
                0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9
            ]
        );
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_socket_is_an_ipv4_address() {
        assert_eq!(
            answer(&request(&[]), source("[::ffff:192.0.2.1]:32853")),
            answer(&request(&[]), source("192.0.2.1:32853"))
        );
    }

    #[test]
    fn optional_attributes_are_passed_over_and_others_refused_by_name() {
        let software = [0x80, 0x22, 0x00, 0x01, b'x', 0, 0, 0];
        assert_eq!(
            answer(&request(&software), source("192.0.2.1:1")),
            answer(&request(&[]), source("192.0.2.1:1"))
        );
        // CHANGE-REQUEST of RFC 3489: please answer from elsewhere.
        let change = [0x00, 0x03, 0x00, 0x04, 0, 0, 0, 6];
        let refused = answer(&request(&change), source("192.0.2.1:1")).unwrap();
        assert_eq!(refused[..2], BINDING_ERROR.to_be_bytes());
        assert_eq!(
            refused[HEADER_BYTES..],
            [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 3, 0, 0]
        );
    }

    #[test]
    fn an_answer_is_never_much_larger_than_its_request() {
        let strange: Vec<u8> = (1..200_u16)
            .flat_map(|kind| [(kind >> 8) as u8 | 0x40, kind as u8, 0, 0])
            .collect();
        for attributes in [&strange[..], &strange[..4], &[]] {
            let request = request(attributes);
            for source in [source("192.0.2.1:1"), source("[2001:db8::1]:1")] {
                let answer = answer(&request, source).unwrap();
                assert!(answer.len() <= request.len() + 24, "{attributes:?}");
            }
        }
    }

    #[test]
    fn everything_else_is_not_answered() {
        let good = request(&[]);
        let source = source("192.0.2.1:1");
        for length in 0..good.len() {
            assert_eq!(answer(&good[..length], source), None, "{length} bytes");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(answer(&longer, source), None, "more than it says");
        for (index, bit) in [(0, 0x80), (0, 0x01), (1, 0x10), (3, 0x01), (4, 0x01)] {
            let mut other = good.clone();
            other[index] ^= bit;
            assert_eq!(answer(&other, source), None, "byte {index}");
        }
        let overrun = [0x80, 0x22, 0x00, 0x08, 0, 0, 0, 0];
        assert_eq!(
            answer(&request(&overrun), source),
            None,
            "an attribute too long"
        );
        // What it answers is no question, so two servers cannot be set upon each other.
        let answered = answer(&good, source).unwrap();
        assert_eq!(answer(&answered, source), None);
    }
}
