use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    limits::{PRESENCE_TTL, RECORD_TTL_MAX},
    record::Record,
    testing::{WALL, here, hostile, keypair, left, peer, seconds, topic},
};

fn record(key: &str, sequence: u64, text: &str) -> SignedRecord {
    let record = Record {
        key: key.parse().unwrap(),
        value: json!(text),
        publisher: peer(1),
        sequence,
        issued: WALL,
        expires: WALL.saturating_add(seconds(3600)),
    };
    record.sign(&keypair(1)).unwrap()
}

fn presence_key() -> Vec<u8> {
    presence_record_key(topic(), &peer(1))
}

fn at(offset_seconds: i64) -> UnixMillis {
    UnixMillis(WALL.0.saturating_add_signed(offset_seconds * 1000))
}

#[test]
fn good_records_are_admitted() {
    for signed in [here(1, 3), left(1, 4)] {
        let admitted = admit(&presence_key(), signed.as_bytes(), WALL).unwrap();
        assert_eq!(admitted.sequence(), signed.presence().sequence);
        assert_eq!(admitted.lifetime(WALL), PRESENCE_TTL);
        assert_eq!(admitted.replayable(WALL), seconds(720));
        assert_eq!(admitted.publisher(), peer(1));
        assert_eq!(admitted.as_bytes(), signed.as_bytes());
        assert_eq!(admitted, Admitted::Presence(signed));
    }
    let signed = record("greeting", 5, "hello");
    let admitted = admit(&record_key("greeting"), signed.as_bytes(), WALL).unwrap();
    assert_eq!(
        (admitted.sequence(), admitted.lifetime(WALL)),
        (5, seconds(3600))
    );
    assert_eq!(admitted.replayable(WALL), seconds(4200));
    assert_eq!(admitted.publisher(), peer(1));
    assert_eq!(admitted, Admitted::Record(signed));
}

#[test]
fn a_value_is_refused_under_any_key_but_its_own() {
    let presence = here(1, 1);
    let value = record("greeting", 1, "hello");
    let mut longer = presence_key();
    longer.push(0);
    let mut shorter = presence_key();
    shorter.pop();
    let other_topic = presence_record_key(crate::topic::TopicHash::from_bytes([0; 32]), &peer(1));
    let mismatched: &[(&[u8], &[u8])] = &[
        (&presence_record_key(topic(), &peer(2)), presence.as_bytes()),
        (&other_topic, presence.as_bytes()),
        (&longer, presence.as_bytes()),
        (&shorter, presence.as_bytes()),
        (b"/moim/presence/1/", presence.as_bytes()),
        (&record_key("other"), value.as_bytes()),
        (b"/moim/record/1/", value.as_bytes()),
        (b"/moim/record/1/greeting", value.as_bytes()),
    ];
    for (key, value) in mismatched {
        let error = admit(key, value, WALL).unwrap_err();
        assert!(
            matches!(error, AdmissionError::KeyMismatch),
            "{key:?}: {error}"
        );
        assert_eq!(error.code(), ErrorCode::Invalid);
    }
    // One kind of value under the key of the other.
    let error = admit(&presence_key(), value.as_bytes(), WALL).unwrap_err();
    assert!(matches!(error, AdmissionError::Presence(_)), "{error}");
    let error = admit(&record_key("greeting"), presence.as_bytes(), WALL).unwrap_err();
    assert!(matches!(error, AdmissionError::Record(_)), "{error}");
}

#[test]
fn other_namespaces_are_refused() {
    let long = vec![b'/'; 100_000];
    let keys: &[&[u8]] = &[
        b"",
        b"/",
        b"/pk/abc",
        b"/ipns/abc",
        b"/moim/presence/2/",
        b"/moim/record",
        &long,
    ];
    for key in keys {
        let error = admit(key, here(1, 1).as_bytes(), WALL).unwrap_err();
        assert!(matches!(error, AdmissionError::UnknownNamespace));
        assert_eq!(error.code(), ErrorCode::UnknownType);
    }
}

#[test]
fn garbage_and_oversize_are_refused() {
    let junk = vec![0xff; 4096];
    let huge = vec![0; 1 << 20];
    for value in [b"".as_slice(), b"hello", &junk, &huge] {
        assert!(admit(&presence_key(), value, WALL).is_err());
        assert!(admit(&record_key("greeting"), value, WALL).is_err());
    }
    assert_eq!(
        admit(&presence_key(), &huge, WALL).unwrap_err().code(),
        ErrorCode::TooLarge
    );
}

#[test]
fn expired_and_future_records_are_refused() {
    let presence = here(1, 1);
    let value = record("greeting", 1, "hello");
    for (offset, is_presence, is_value) in [
        (-601, false, false),
        (-600, true, true),
        (720, true, true),
        (721, false, true),
        (4201, false, false),
    ] {
        let admitted = admit(&presence_key(), presence.as_bytes(), at(offset));
        assert_eq!(admitted.is_ok(), is_presence, "{offset}");
        let admitted = admit(&record_key("greeting"), value.as_bytes(), at(offset));
        assert_eq!(admitted.is_ok(), is_value, "{offset}");
        if let Err(error) = admitted {
            assert_eq!(error.code(), ErrorCode::Expired);
        }
    }
}

#[test]
fn the_higher_number_supersedes_and_servers_agree_on_equal_ones() {
    let admitted = |sequence, text| Admitted::Record(record("greeting", sequence, text));
    let (old, new) = (admitted(1, "zzz"), admitted(2, "aaa"));
    assert!(supersedes(&new, &old));
    assert!(!supersedes(&old, &new));
    assert!(!supersedes(&new, &new), "the same again");
    let (one, other) = (admitted(3, "one"), admitted(3, "other"));
    assert!(supersedes(&one, &other) != supersedes(&other, &one));
    // Leaving counts like any later word.
    let here = Admitted::Presence(here(1, 5));
    assert!(supersedes(&Admitted::Presence(left(1, 6)), &here));
    assert!(!supersedes(&Admitted::Presence(left(1, 4)), &here));
}

proptest! {
    #[test]
    fn hostile_values_are_refused(value in hostile(here(1, 1).into_bytes()), offset in -10_000_i64..10_000) {
        if let Ok(admitted) = admit(&presence_key(), &value, at(offset)) {
            prop_assert_eq!(admitted.as_bytes().to_vec(), here(1, 1).into_bytes());
            prop_assert!(admitted.lifetime(at(offset)) <= RECORD_TTL_MAX);
        }
    }

    #[test]
    fn hostile_keys_are_refused(key in hostile(presence_key())) {
        let admitted = admit(&key, here(1, 1).as_bytes(), WALL);
        prop_assert_eq!(admitted.is_ok(), key == presence_key());
    }
}
