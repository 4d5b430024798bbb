use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    limits::NAME_BYTES_MAX,
    testing::{
        WALL, address, here, hostile, keypair, largest, left, millis, peer, presence, sealed,
        seconds, topic,
    },
};

#[test]
fn what_is_signed_is_read_again() {
    for signed in [here(1, 7), left(2, 1), largest(3)] {
        let read = SignedPresence::decode(signed.as_bytes()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.clone().into_bytes(), signed.as_bytes());
        assert!(format!("{read:?}").contains("SignedPresence"));
    }
    assert_eq!(here(1, 7).presence(), &presence(1, 7));
}

#[test]
fn the_bounds_are_allowed() {
    let mut all = presence(1, INTEGER_MAX);
    all.name = "x".repeat(NAME_BYTES_MAX).parse().unwrap();
    all.addresses = (0..8).map(address).collect();
    all.sign(&keypair(1)).unwrap();

    let mut none = presence(1, 1);
    none.name = "a".parse().unwrap();
    none.addresses.clear();
    none.expires = WALL.saturating_add(millis(1));
    none.sign(&keypair(1)).unwrap();

    let own = |text: &str| -> Multiaddr { format!("{text}/p2p/{}", peer(1)).parse().unwrap() };
    let mut named = presence(1, 1);
    let relay = format!("/ip4/192.0.2.1/tcp/1/p2p/{}/p2p-circuit", peer(2));
    named.addresses = vec![
        own("/ip4/192.0.2.1/tcp/1"),
        own(&relay),
        relay.parse().unwrap(),
    ];
    named.sign(&keypair(1)).unwrap();
}

/// Nothing leaves that others would refuse.
#[test]
fn what_is_out_of_bounds_is_not_signed() {
    let sign = |change: &dyn Fn(&mut Presence)| {
        let mut presence = presence(1, 1);
        change(&mut presence);
        match presence.sign(&keypair(1)) {
            Err(SignError::Invalid(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let foreign = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(2));
    let long = format!("/dns4/{}/tcp/1", "x".repeat(250));
    assert!(matches!(
        sign(&|p| p.addresses = (0..9).map(address).collect()),
        PresenceError::TooManyAddresses(9)
    ));
    assert!(matches!(
        sign(&|p| p.addresses = vec![long.parse().unwrap()]),
        PresenceError::AddressTooLong(262)
    ));
    assert!(matches!(
        sign(&|p| p.addresses = vec![foreign.parse().unwrap()]),
        PresenceError::ForeignAddress
    ));
    assert!(matches!(
        sign(&|p| p.addresses = vec!["/ip4/192.0.2.1/tcp/1/http".parse().unwrap()]),
        PresenceError::Address(AddressError::GoesOn)
    ));
    assert!(matches!(sign(&|p| p.sequence = 0), PresenceError::Sequence));
    assert!(matches!(
        sign(&|p| p.sequence = INTEGER_MAX + 1),
        PresenceError::Body(_)
    ));
    assert!(matches!(
        sign(&|p| p.expires = p.issued),
        PresenceError::Lifetime(_)
    ));
    assert!(matches!(
        sign(&|p| p.expires = UnixMillis(0)),
        PresenceError::Lifetime(_)
    ));
    assert!(matches!(
        sign(&|p| p.expires = WALL.saturating_add(millis(120_001))),
        PresenceError::Lifetime(life) if life == millis(120_001)
    ));
    assert!(matches!(
        sign(&|p| p.peer = peer(2)),
        PresenceError::Signer(_)
    ));
}

#[test]
fn addresses_that_do_not_fit_are_left_out_from_the_end() {
    let mut presence = presence(1, 1);
    let name = vec!["x".repeat(57); 4].join(".");
    let long = |i: u16| -> Multiaddr { format!("/dns4/{name}/tcp/{}", i + 1).parse().unwrap() };
    let foreign: Multiaddr = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(2))
        .parse()
        .unwrap();
    presence.addresses = vec![foreign];
    presence.addresses.extend((0..12).map(long));
    assert!(presence.sign(&keypair(1)).is_err());
    let signed = presence.clone().sign_fitting(&keypair(1)).unwrap();
    let kept = &signed.presence().addresses;
    assert!(kept.len() > 4, "{}", kept.len());
    assert_eq!(kept[..], presence.addresses[1..=kept.len()]);
    assert!(signed.as_bytes().len() <= ENVELOPE_BYTES_MAX);

    // Nothing else is repaired.
    presence.sequence = 0;
    assert!(presence.sign_fitting(&keypair(1)).is_err());
}

/// Well signed by peer 1, in whatever words.
fn decode(payload: &str) -> Result<SignedPresence, PresenceError> {
    SignedPresence::decode(&sealed(1, PURPOSE, payload))
}

fn good() -> Value {
    json!({
        "v": 1, "type": "presence", "peer": peer(1).to_string(), "topic": topic().to_hex(),
        "name": "Ada", "addresses": ["/ip4/192.0.2.1/tcp/8468"], "sequence": 1,
        "issued": WALL.0, "expires": WALL.0 + 120_000, "state": "here"
    })
}

fn decode_with(field: &str, value: Value) -> Result<SignedPresence, PresenceError> {
    let mut payload = good();
    payload[field] = value;
    decode(&payload.to_string())
}

#[test]
fn a_payload_in_other_words_is_taken() {
    let signed = decode(&good().to_string()).unwrap();
    assert_eq!(signed.presence().name.as_str(), "Ada");
    assert!(decode(&format!("\n {:#} \n", good())).is_ok());
    assert!(decode_with("later", json!({"version": [1, 2]})).is_ok());
}

/// One that is not understood must not hide the peer, nor its other addresses: a later version may have
/// it.
#[test]
fn addresses_that_nobody_dials_are_skipped_one_by_one() {
    let foreign = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(2));
    let long = format!("/dns4/{}/tcp/1", vec!["x".repeat(60); 5].join("."));
    let endless_id = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", "z".repeat(200));
    let (first, second) = (
        json!("/ip4/192.0.2.1/tcp/1"),
        json!("/dns4/a.example/tcp/443/wss"),
    );
    for skipped in [
        json!("/newproto/7/ip4/192.0.2.1"),
        json!("/ip4/192.0.2.1/tcp/1/newproto"),
        json!("192.0.2.1:8468"),
        json!(""),
        json!("/"),
        json!("/memory/7"),
        json!("/unix/tmp%2Fa"),
        json!("/ip4/192.0.2.1/tcp/2/x-parity-ws/%2Fgoform%2Freboot"),
        json!("/ip4/192.0.2.1/tcp/2/x-parity-ws/%0D%0AFLUSHALL%0D%0A"),
        json!("/dns4/user@a.example/tcp/443/wss"),
        json!(foreign),
        json!(long),
        json!(endless_id),
        json!({"transport": "new"}),
        json!(["/ip4/192.0.2.1/tcp/1"]),
        json!(7),
        Value::Null,
    ] {
        let addresses = json!([first, skipped, second]);
        let mut payload = good();
        payload["addresses"] = addresses.clone();
        let bytes = sealed(1, PURPOSE, payload.to_string());
        let signed = SignedPresence::decode(&bytes).unwrap();
        let kept: Vec<Value> = signed
            .presence()
            .addresses
            .iter()
            .map(|a| json!(a))
            .collect();
        assert_eq!(kept, [first.clone(), second.clone()], "{skipped}");
        // Whoever knows more than we do gets all of it.
        assert_eq!(signed.as_bytes(), bytes);
    }
    let mut payload = good();
    payload["addresses"] = json!(["/newproto"]);
    assert!(
        decode(&payload.to_string())
            .unwrap()
            .presence()
            .addresses
            .is_empty()
    );
}

#[test]
fn every_field_is_needed() {
    for field in good().as_object().unwrap().keys() {
        let mut payload = good();
        payload.as_object_mut().unwrap().remove(field);
        let error = decode(&payload.to_string()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "without {field}: {error}");
    }
}

#[test]
fn bad_payloads_are_told_apart() {
    let table: &[(&str, Value, ErrorCode, &str)] = &[
        ("v", json!(2), ErrorCode::UnsupportedVersion, "version 2"),
        (
            "type",
            json!("record"),
            ErrorCode::UnknownType,
            "unknown type",
        ),
        (
            "peer",
            json!(peer(2).to_string()),
            ErrorCode::Invalid,
            "signed by",
        ),
        ("peer", json!("Ada"), ErrorCode::Invalid, "peer id"),
        (
            "peer",
            json!("1".repeat(1000)),
            ErrorCode::Invalid,
            "too long",
        ),
        (
            "topic",
            json!("global-chat"),
            ErrorCode::Invalid,
            "topic hash",
        ),
        (
            "topic",
            json!(topic().to_hex().to_uppercase()),
            ErrorCode::Invalid,
            "topic hash",
        ),
        ("name", json!(""), ErrorCode::Invalid, "name is empty"),
        (
            "name",
            json!("x".repeat(65)),
            ErrorCode::Invalid,
            "at most 64 are allowed",
        ),
        ("name", json!("a\u{202e}b"), ErrorCode::Invalid, "U+202E"),
        ("name", json!("Ada\u{200b}"), ErrorCode::Invalid, "U+200B"),
        ("name", json!("\u{3164}"), ErrorCode::Invalid, "U+3164"),
        (
            "addresses",
            json!("/ip4/192.0.2.1"),
            ErrorCode::Invalid,
            "expected a sequence",
        ),
        (
            "addresses",
            json!(vec!["/tcp/1"; 9]),
            ErrorCode::Invalid,
            "9 addresses",
        ),
        ("sequence", json!(0), ErrorCode::Invalid, "start at 1"),
        ("sequence", json!(-1), ErrorCode::Invalid, "invalid value"),
        ("sequence", json!(1.5), ErrorCode::Invalid, "invalid type"),
        ("sequence", json!(1_u64 << 53), ErrorCode::Invalid, "2^53"),
        (
            "issued",
            json!("2026-11-22"),
            ErrorCode::Invalid,
            "invalid type",
        ),
        ("issued", json!(u64::MAX), ErrorCode::Invalid, "2^53"),
        (
            "issued",
            json!(WALL.0 + 120_000),
            ErrorCode::Invalid,
            "life of 0",
        ),
        (
            "expires",
            json!(WALL.0 + 120_001),
            ErrorCode::Invalid,
            "life of 120.001s",
        ),
        ("expires", json!(0), ErrorCode::Invalid, "life of 0"),
        (
            "expires",
            json!((1_u64 << 53) - 1),
            ErrorCode::Invalid,
            "life of",
        ),
        (
            "state",
            json!("away"),
            ErrorCode::UnknownType,
            "unknown state",
        ),
        (
            "state",
            json!("Here"),
            ErrorCode::UnknownType,
            "unknown state",
        ),
        ("state", json!(1), ErrorCode::Invalid, "invalid type"),
    ];
    for (field, value, code, words) in table {
        let error = decode_with(field, value.clone()).unwrap_err();
        assert_eq!(error.code(), *code, "{field} = {value}: {error}");
        assert!(
            error.to_string().contains(words),
            "{field} = {value}: {error}"
        );
    }
}

#[test]
fn bad_envelopes_are_told_apart() {
    assert_eq!(decode("hello").unwrap_err().code(), ErrorCode::InvalidJson);
    assert_eq!(
        decode("[1,\"presence\"]").unwrap_err().code(),
        ErrorCode::Invalid
    );
    let other = Purpose {
        domain: "moim-record",
        ..PURPOSE
    };
    let wrong = SignedPresence::decode(&sealed(1, other, good().to_string())).unwrap_err();
    assert!(matches!(
        wrong,
        PresenceError::Envelope(EnvelopeError::Signature)
    ));
    let large = decode_with("more", json!("x".repeat(2048))).unwrap_err();
    assert_eq!(large.code(), ErrorCode::TooLarge);
    assert_eq!(
        SignedPresence::decode(&[]).unwrap_err().code(),
        ErrorCode::Invalid
    );
}

#[test]
fn dates_are_checked_against_the_receivers_clock() {
    let signed = here(1, 1);
    // (the receiver's clock, in ms after signing; whether it is taken)
    let table: &[(i64, Result<(), &str>)] = &[
        (0, Ok(())),
        (-600_000, Ok(())),
        (-600_001, Err("future")),
        (i64::MIN, Err("future")),
        (720_000, Ok(())),
        (720_001, Err("expired")),
        (i64::MAX, Err("expired")),
    ];
    for (offset, expected) in table {
        let wall = UnixMillis(WALL.0.saturating_add_signed(*offset));
        match (signed.check_time(wall), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{offset}: {error}");
                assert_eq!(error.code(), ErrorCode::Expired);
            }
            (result, _) => panic!("{offset}: {result:?}"),
        }
    }
    assert_eq!(signed.life(seconds(20), WALL), seconds(100));
    assert_eq!(signed.replayable(WALL), seconds(720));
}

#[test]
fn sequence_numbers_follow_the_clock_and_never_fall_back() {
    let table = [
        (0, 1000, 1000),
        (999, 1000, 1000),
        (1000, 1000, 1001),
        // The clock was set back.
        (5000, 1000, 5001),
        // No clock at all.
        (0, 0, 1),
        (1, 0, 2),
        (INTEGER_MAX - 1, 0, INTEGER_MAX),
        (u64::MAX, u64::MAX, INTEGER_MAX),
    ];
    for (previous, wall, next) in table {
        assert_eq!(
            next_sequence(previous, UnixMillis(wall)),
            next,
            "{previous}, {wall}"
        );
    }
}

#[test]
fn a_record_key_names_topic_and_peer() {
    let key = presence_record_key(topic(), &peer(1));
    assert!(key.starts_with(b"/moim/presence/1/"));
    assert_eq!(key.len(), 17 + 32 + 38);
    assert_ne!(key, presence_record_key(topic(), &peer(2)));
    assert_ne!(
        key,
        presence_record_key(TopicHash::from_bytes([0; 32]), &peer(1))
    );
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(bytes in hostile(here(1, 1).into_bytes())) {
        prop_assert!(SignedPresence::decode(&bytes).is_err() || bytes == here(1, 1).as_bytes());
    }

    /// With a good signature, so that the payload is really read.
    #[test]
    fn hostile_payloads_do_no_harm(payload in hostile(good().to_string().into_bytes())) {
        if let Ok(signed) = SignedPresence::decode(&sealed(1, PURPOSE, payload)) {
            let presence = signed.presence();
            prop_assert_eq!(presence.peer, peer(1));
            prop_assert!(Name::received(presence.name.as_str()).is_ok());
            prop_assert!(presence.addresses.len() <= ADDRESSES_MAX);
            let life = signed.life(Duration::ZERO, WALL);
            prop_assert!(life <= PRESENCE_TTL);
        }
    }

    #[test]
    fn whatever_is_signed_is_read(
        name in "\\PC{1,16}",
        sequence in 1..=INTEGER_MAX,
        issued in 0..INTEGER_MAX - 120_000,
        ttl in 1_u64..=120_000,
        ports: Vec<u16>,
    ) {
        let Ok(name) = Name::received(&name) else {
            return Ok(());
        };
        let mut presence = presence(1, sequence);
        presence.name = name;
        presence.issued = UnixMillis(issued);
        presence.expires = UnixMillis(issued + ttl);
        presence.addresses = ports.into_iter().take(8).map(address).collect();
        let signed = presence.sign(&keypair(1)).unwrap();
        prop_assert_eq!(signed.presence(), &presence);
    }

    #[test]
    fn sequence_numbers_only_grow(walls: Vec<u32>) {
        let mut last = 0;
        for wall in walls {
            let next = next_sequence(last, UnixMillis(wall.into()));
            prop_assert!(next > last);
            last = next;
        }
    }
}
