use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{WALL, hostile, keypair, millis, peer, sealed, seconds};

fn key(text: &str) -> RecordKey {
    RecordKey::new(text).unwrap()
}

fn record(value: Value) -> Record {
    Record {
        key: key("greeting"),
        value,
        publisher: peer(1),
        sequence: WALL.0,
        issued: WALL,
        expires: WALL.saturating_add(seconds(3600)),
    }
}

fn sign(change: impl Fn(&mut Record)) -> Result<SignedRecord, RecordError> {
    let mut record = record(json!("hello"));
    change(&mut record);
    match record.sign(&keypair(1)) {
        Ok(signed) => Ok(signed),
        Err(SignRecordError::Invalid(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn numbers_that_would_come_back_changed_are_refused() {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for text in [
        "9007199254740991",
        "-9007199254740991",
        "[0.1, -1e-300, 9e15]",
    ] {
        let signed = sign(|record| record.value = read(text)).unwrap();
        assert_eq!(signed.record().value, read(text));
    }
    for text in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551615",
        "123456789012345678901234567890",
        "-123456789012345678901234567890",
        "1e300",
        r#"{"a": [0, {"b": 9007199254740993}]}"#,
    ] {
        let error = sign(|record| record.value = read(text)).unwrap_err();
        assert!(matches!(error, RecordError::Number(_)), "{text}: {error}");
        assert_eq!(error.code(), ErrorCode::Invalid);
        // Nor is it taken from others.
        let payload = good().to_string().replace("\"hello\"", text);
        let error = SignedRecord::decode(&sealed(1, PURPOSE, payload)).unwrap_err();
        assert!(matches!(error, RecordError::Number(_)), "{text}: {error}");
    }
}

/// As written by whoever writes a double by its shortest decimals.
#[test]
fn every_double_comes_back_as_it_was_written() {
    let random = crate::random::Random::new(7);
    for number in (0..20_000).map(|_| random.next()) {
        let double = (number >> 11) as f64 / (1_u64 << 53) as f64 * 1_000.0;
        let text = format!("{double:?}");
        let signed = sign(|record| record.value = from_json(&text).unwrap()).unwrap();
        let again = SignedRecord::decode(signed.as_bytes()).unwrap();
        assert_eq!(again.record().value.to_string(), text);
        let read = again.record().value.as_f64().unwrap();
        assert_eq!(read.to_bits(), double.to_bits(), "{text}");
    }
}

#[test]
fn any_json_is_a_value() {
    for value in [
        json!(null),
        json!(true),
        json!(-1.5),
        json!("text"),
        json!([1, [2, {"a": []}]]),
        json!({"v": 2, "type": "record", "nested": {"key": "\u{0}\"\\"}}),
    ] {
        let signed = record(value.clone()).sign(&keypair(1)).unwrap();
        assert_eq!(signed.record().value, value);
        assert_eq!(SignedRecord::decode(signed.as_bytes()).unwrap(), signed);
        assert_eq!(signed.clone().into_bytes(), signed.as_bytes());
    }
}

#[test]
fn the_largest_record_fits() {
    let mut largest = record(json!("x".repeat(RECORD_VALUE_BYTES_MAX - 2)));
    largest.key = key(&"\"".repeat(RECORD_KEY_BYTES_MAX));
    largest.issued = UnixMillis((1 << 53) - 1 - 172_800_000);
    largest.expires = UnixMillis((1 << 53) - 1);
    largest.sequence = largest.issued.0;
    let signed = largest.sign(&keypair(1)).unwrap();
    assert!(
        signed.as_bytes().len() <= RECORD_ENVELOPE_BYTES_MAX,
        "{}",
        signed.as_bytes().len()
    );
}

#[test]
fn the_bounds_are_allowed() {
    sign(|r| r.expires = WALL.saturating_add(RECORD_TTL_MIN)).unwrap();
    sign(|r| r.expires = WALL.saturating_add(RECORD_TTL_MAX)).unwrap();
    sign(|r| r.sequence = 1).unwrap();
    sign(|r| r.sequence = WALL.0 + 600_000).unwrap();
    sign(|r| r.key = key(" 모임 ")).unwrap();
}

#[test]
fn what_is_out_of_bounds_is_not_signed() {
    assert!(matches!(
        sign(|r| r.value = json!("x".repeat(RECORD_VALUE_BYTES_MAX - 1))),
        Err(RecordError::ValueTooLarge(8193))
    ));
    assert!(matches!(
        sign(|r| r.sequence = 0),
        Err(RecordError::Sequence)
    ));
    // Nobody could write after it.
    assert!(matches!(
        sign(|r| r.sequence = WALL.0 + 600_001),
        Err(RecordError::Sequence)
    ));
    assert!(matches!(
        sign(|r| r.sequence = u64::MAX),
        Err(RecordError::Sequence)
    ));
    for ttl in [millis(0), millis(59_999), RECORD_TTL_MAX + millis(1)] {
        let error = sign(|r| r.expires = WALL.saturating_add(ttl)).unwrap_err();
        assert!(
            matches!(error, RecordError::Lifetime(life) if life == ttl),
            "{ttl:?}"
        );
    }
    assert!(matches!(
        sign(|r| r.expires = UnixMillis(u64::MAX)),
        Err(RecordError::Lifetime(_))
    ));
    assert!(matches!(
        sign(|r| r.publisher = peer(2)),
        Err(RecordError::Signer(_))
    ));
    // Deeper than receivers read.
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let error = sign(|r| r.value = deep.clone()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidJson);
}

fn good() -> Value {
    json!({
        "v": 1, "type": "record", "key": "greeting", "value": {"text": "hello"},
        "publisher": peer(1).to_string(), "sequence": WALL.0, "issued": WALL.0,
        "expires": WALL.0 + 86_400_000
    })
}

fn decode(payload: &str) -> Result<SignedRecord, RecordError> {
    SignedRecord::decode(&sealed(1, PURPOSE, payload))
}

fn decode_with(field: &str, value: Value) -> Result<SignedRecord, RecordError> {
    let mut payload = good();
    payload[field] = value;
    decode(&payload.to_string())
}

#[test]
fn every_field_is_needed() {
    assert!(decode(&good().to_string()).is_ok());
    for field in good().as_object().unwrap().keys() {
        let mut payload = good();
        payload.as_object_mut().unwrap().remove(field);
        let error = decode(&payload.to_string()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "without {field}: {error}");
    }
}

#[test]
fn bad_records_are_told_apart() {
    let table: &[(&str, Value, ErrorCode)] = &[
        ("v", json!(2), ErrorCode::UnsupportedVersion),
        ("type", json!("presence"), ErrorCode::UnknownType),
        ("key", json!(""), ErrorCode::Invalid),
        ("key", json!("\u{1b}"), ErrorCode::Invalid),
        ("key", json!("x".repeat(257)), ErrorCode::TooLarge),
        ("key", json!(["greeting"]), ErrorCode::Invalid),
        ("value", json!("x".repeat(8191)), ErrorCode::TooLarge),
        ("value", json!("x".repeat(20_000)), ErrorCode::TooLarge),
        ("publisher", json!(peer(2).to_string()), ErrorCode::Invalid),
        ("publisher", json!("me"), ErrorCode::Invalid),
        ("sequence", json!(0), ErrorCode::Invalid),
        ("sequence", json!((1_u64 << 53) - 1), ErrorCode::Invalid),
        ("issued", json!(1_u64 << 60), ErrorCode::Invalid),
        ("issued", json!(0), ErrorCode::Invalid),
        ("expires", json!(0), ErrorCode::Invalid),
        ("expires", json!((1_u64 << 53) - 1), ErrorCode::Invalid),
    ];
    for (field, value, code) in table {
        let error = decode_with(field, value.clone()).unwrap_err();
        assert_eq!(error.code(), *code, "{field}: {error}");
    }
    let other = Purpose {
        domain: "moim-presence",
        ..PURPOSE
    };
    let error = SignedRecord::decode(&sealed(1, other, good().to_string())).unwrap_err();
    assert!(matches!(
        error,
        RecordError::Envelope(EnvelopeError::Signature)
    ));
}

#[test]
fn dates_are_checked_against_the_receivers_clock() {
    let signed = sign(|_| {}).unwrap();
    let at = |offset: i64| UnixMillis(WALL.0.saturating_add_signed(offset));
    assert!(signed.check_time(at(0)).is_ok());
    assert!(signed.check_time(at(-600_000)).is_ok());
    assert!(matches!(
        signed.check_time(at(-600_001)),
        Err(RecordError::Future)
    ));
    assert!(signed.check_time(at(4_200_000)).is_ok());
    assert!(matches!(
        signed.check_time(at(4_200_001)),
        Err(RecordError::Expired)
    ));
    // The life on the receiver's clock, the further it is from the publisher's.
    let table = [
        (-600_000, 3600),
        (0, 3600),
        (600_000, 3600),
        (3_600_000, 600),
        (4_200_000, 0),
    ];
    for (offset, life) in table {
        assert_eq!(signed.life(at(offset)), seconds(life), "{offset}");
    }
}

#[test]
fn keys_are_lines() {
    let long = "x".repeat(RECORD_KEY_BYTES_MAX + 1);
    let (bytes, max) = (RECORD_KEY_BYTES_MAX + 1, RECORD_KEY_BYTES_MAX);
    for (text, error) in [
        ("", LineError::Empty),
        ("  ", LineError::Empty),
        ("a\nb", LineError::Forbidden('\n')),
        ("a\u{202e}", LineError::Forbidden('\u{202e}')),
        ("menu\u{200b}", LineError::Forbidden('\u{200b}')),
        (long.as_str(), LineError::TooLong { bytes, max }),
    ] {
        assert_eq!(RecordKey::new(text), Err(KeyError(error)), "{text:?}");
        // As little when somebody else has signed it.
        let mut payload = good();
        payload["key"] = json!(text);
        let sealed = sealed(1, PURPOSE, payload.to_string());
        assert!(matches!(
            SignedRecord::decode(&sealed),
            Err(RecordError::Key(KeyError(of))) if of == error
        ));
    }
}

#[test]
fn forms_of_the_same_name_are_one_key() {
    assert_eq!(record_key("\u{2764}\u{fe0f}"), record_key("\u{2764}"));
    assert_eq!(record_key("caf\u{e9}"), record_key("cafe\u{301}"));
    assert_ne!(record_key("a"), record_key("A"));
    assert_ne!(record_key("a"), record_key(" a"));
    assert_eq!(record_key("").len(), 15 + 32);
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(bytes in hostile(sign(|_| {}).unwrap().into_bytes())) {
        let good = sign(|_| {}).unwrap();
        prop_assert!(SignedRecord::decode(&bytes).is_err() || bytes == good.as_bytes());
    }

    #[test]
    fn hostile_payloads_do_no_harm(payload in hostile(good().to_string().into_bytes())) {
        if let Ok(signed) = SignedRecord::decode(&sealed(1, PURPOSE, payload)) {
            prop_assert_eq!(signed.record().publisher, peer(1));
            prop_assert!(signed.life(WALL) <= RECORD_TTL_MAX);
        }
    }

    #[test]
    fn whatever_is_signed_is_read(key in "\\PC{1,40}", number: i64, text in any::<String>()) {
        let mut record = record(json!({"number": number, "text": text}));
        record.key = match RecordKey::new(key) {
            Ok(key) => key,
            Err(_) => return Ok(()),
        };
        if let Ok(signed) = record.sign(&keypair(1)) {
            prop_assert_eq!(signed.record(), &record);
        }
    }
}
