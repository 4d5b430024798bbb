use proptest::prelude::*;

use super::*;
use crate::testing::{hostile, keypair, peer, sealed};

const PURPOSE: Purpose = Purpose {
    domain: "moim-test",
    payload_type: b"/moim/test/1",
    bytes_max: 300,
};

fn good() -> Vec<u8> {
    sealed(1, PURPOSE, "payload")
}

#[test]
fn what_is_sealed_opens() {
    let opened = open(&good(), PURPOSE).unwrap();
    assert_eq!(opened.payload, b"payload");
    assert_eq!(opened.signer, peer(1));
    assert_eq!(signer(&good()), Some(peer(1)));
    assert_eq!(signer(&good()[..37]), None);
    assert_eq!(signer(&[]), None);
}

#[test]
fn an_envelope_for_another_purpose_does_not_open() {
    let domain = Purpose {
        domain: "moim-other",
        ..PURPOSE
    };
    assert!(matches!(
        open(&good(), domain),
        Err(EnvelopeError::Signature)
    ));
    let payload_type = Purpose {
        payload_type: b"/moim/other/1",
        ..PURPOSE
    };
    assert!(matches!(
        open(&good(), payload_type),
        Err(EnvelopeError::PayloadType)
    ));
}

#[test]
fn an_oversize_envelope_is_not_looked_at() {
    let bytes = sealed(1, PURPOSE, vec![b'x'; 300]);
    let max = PURPOSE.bytes_max;
    assert!(matches!(
        open(&bytes, PURPOSE),
        Err(EnvelopeError::TooLarge { bytes: n, max: m }) if n == bytes.len() && m == max
    ));
    let noise = vec![0; 10_000_000];
    assert!(matches!(
        open(&noise, PURPOSE),
        Err(EnvelopeError::TooLarge { .. })
    ));
}

#[test]
fn every_changed_byte_is_noticed() {
    let good = good();
    for index in 0..good.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[index] ^= change;
            assert!(
                open(&bytes, PURPOSE).is_err(),
                "byte {index} changed by {change:#x}"
            );
        }
    }
}

#[test]
fn every_missing_end_is_noticed() {
    let good = good();
    for length in 0..good.len() {
        assert!(open(&good[..length], PURPOSE).is_err(), "{length} bytes");
    }
}

#[test]
fn the_same_content_in_other_bytes_is_refused() {
    let good = good();
    // An unknown field (number 15, a varint), which the signature does not cover.
    let mut unknown = good.clone();
    unknown.extend_from_slice(&[0x78, 0x01]);
    // A second, equal signature: protobuf takes the last.
    let mut repeated = good.clone();
    let signature = &good[good.len() - 66..];
    assert_eq!(signature[..2], [0x2a, 64]);
    repeated.extend_from_slice(signature);
    // A length written in two bytes instead of one.
    let mut long = good.clone();
    assert_eq!(long[..2], [0x0a, 36]);
    long.splice(1..2, [36 | 0x80, 0]);
    for bytes in [unknown, repeated, long] {
        assert!(matches!(
            open(&bytes, PURPOSE),
            Err(EnvelopeError::NotCanonical)
        ));
    }
}

#[test]
fn an_unknown_kind_of_key_is_malformed() {
    let mut bytes = good();
    // The key: a protobuf of its type (field 1) and its bytes.
    assert_eq!(bytes[2..4], [0x08, 0x01]);
    bytes[3] = 9;
    assert!(matches!(
        open(&bytes, PURPOSE),
        Err(EnvelopeError::Malformed(_))
    ));
}

#[test]
fn another_key_in_the_envelope_does_not_fit_the_signature() {
    let mut bytes = good();
    let other = keypair(2).public().encode_protobuf();
    bytes[2..2 + other.len()].copy_from_slice(&other);
    assert!(matches!(
        open(&bytes, PURPOSE),
        Err(EnvelopeError::Signature)
    ));
}

proptest! {
    #[test]
    fn hostile_bytes_do_not_open(bytes in hostile(good())) {
        prop_assert!(open(&bytes, PURPOSE).is_err() || bytes == good());
    }
}
