//! Binding requests: which are answered, and with what. RFC 8489, sections 6 and 7.

use std::net::SocketAddr;

use super::wire::{Message, Writer, attribute};

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

/// Attributes that a client may use with any server. Credentials are not asked for here, and may
/// be ignored then (section 9).
const KNOWN: [u16; 8] = [
    0x0001, // MAPPED-ADDRESS
    attribute::USERNAME,
    attribute::MESSAGE_INTEGRITY,
    attribute::REALM,
    attribute::NONCE,
    0x001c, // MESSAGE-INTEGRITY-SHA256
    0x001d, // PASSWORD-ALGORITHM
    0x001e, // USERHASH
];

/// Unknown attributes that an error names at most, so that its size does not follow the request's.
pub(crate) const UNKNOWN_MAX: usize = 4;

/// The answer to what came from `source`. `None` for everything but a Binding request.
pub(crate) fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let message = Message::parse(datagram).filter(|message| message.kind == BINDING_REQUEST)?;
    let unknown: Vec<u16> = unknown(&message, &KNOWN);
    Some(if unknown.is_empty() {
        Writer::new(BINDING_SUCCESS, &message.transaction)
            .with_address(attribute::XOR_MAPPED_ADDRESS, source)
            .finish()
    } else {
        refuse_unknown(BINDING_ERROR, &message, &unknown).finish()
    })
}

/// The first few attributes that the server would have to understand and does not.
pub(crate) fn unknown(message: &Message<'_>, known: &[u16]) -> Vec<u16> {
    let kinds = message.iter().map(|attribute| attribute.kind);
    // The upper half of the numbers may be ignored by whoever does not know them.
    kinds
        .filter(|kind| *kind < 0x8000 && !known.contains(kind))
        .take(UNKNOWN_MAX)
        .collect()
}

/// "420 Unknown Attribute".
pub(crate) fn refuse_unknown(kind: u16, message: &Message<'_>, unknown: &[u16]) -> Writer {
    let names: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    Writer::new(kind, &message.transaction)
        .with_error(420)
        .with(attribute::UNKNOWN_ATTRIBUTES, &names)
}

#[cfg(test)]
mod tests {
    use super::{
        super::wire::{HEADER_BYTES, MAGIC_COOKIE},
        *,
    };

    const TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut request = BINDING_REQUEST.to_be_bytes().to_vec();
        request.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
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
