//! Signed presences and values: as they come, and with any payload in an envelope whose signature is good.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use libp2p_core::SignedEnvelope;
use moim_protocol::{
    admission,
    limits::{
        ADDRESSES_MAX, ENVELOPE_BYTES_MAX, PRESENCE_TTL_MAX, RECORD_ENVELOPE_BYTES_MAX,
        RECORD_TTL_MAX, RECORD_VALUE_BYTES_MAX,
    },
    names::{PRESENCE_DOMAIN, PRESENCE_PAYLOAD_TYPE, RECORD_DOMAIN, RECORD_PAYLOAD_TYPE},
    presence::{SignedPresence, presence_record_key},
    record::{SignedRecord, record_key},
};

use crate::given::{WALL, keypair, peer};

/// Where what is given stands.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum In {
    Nothing,
    Presence,
    Record,
}

/// Reads an envelope, or any payload in a good one.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(around) = data.arbitrary::<In>() else {
        return;
    };
    let bytes = around.put(data.take_rest());
    if let Ok(signed) = SignedPresence::decode(&bytes) {
        presence(&signed, &bytes);
    }
    if let Ok(signed) = SignedRecord::decode(&bytes) {
        record(&signed, &bytes);
    }
}

impl In {
    fn put(self, payload: &[u8]) -> Vec<u8> {
        let (domain, kind) = match self {
            Self::Nothing => return payload.to_vec(),
            Self::Presence => (PRESENCE_DOMAIN, PRESENCE_PAYLOAD_TYPE),
            Self::Record => (RECORD_DOMAIN, RECORD_PAYLOAD_TYPE),
        };
        // Of peer 1: the payloads of the seeds say so.
        SignedEnvelope::new(
            keypair(1),
            domain.to_owned(),
            kind.to_vec(),
            payload.to_vec(),
        )
        .expect("the key signs")
        .into_protobuf_encoding()
    }
}

fn presence(signed: &SignedPresence, bytes: &[u8]) {
    let presence = signed.presence();
    assert!(bytes.len() <= ENVELOPE_BYTES_MAX && presence.addresses.len() <= ADDRESSES_MAX);
    for age in [Duration::ZERO, Duration::from_secs(60), Duration::MAX] {
        assert!(signed.life(age, WALL) <= PRESENCE_TTL_MAX);
    }
    if presence.peer == peer(1) {
        let again = presence.sign(keypair(1)).expect("it was signed");
        assert_eq!(again.presence(), presence);
    }
    let key = presence_record_key(presence.topic, &presence.peer);
    admit(
        &key,
        bytes,
        signed.check_time(WALL).is_ok(),
        PRESENCE_TTL_MAX,
    );
}

fn record(signed: &SignedRecord, bytes: &[u8]) {
    let record = signed.record();
    assert!(bytes.len() <= RECORD_ENVELOPE_BYTES_MAX);
    assert!(record.value.to_string().len() <= RECORD_VALUE_BYTES_MAX);
    assert!(signed.life(WALL) <= RECORD_TTL_MAX);
    if record.publisher == peer(1) {
        let again = record.sign(keypair(1)).expect("it was signed");
        assert_eq!(again.record(), record);
    }
    let key = record_key(&record.key);
    admit(&key, bytes, signed.check_time(WALL).is_ok(), RECORD_TTL_MAX);
}

/// A DHT server keeps what holds and is of the time, under its key and no other.
fn admit(key: &[u8], bytes: &[u8], is_timely: bool, life_max: Duration) {
    let admitted = admission::admit(key, bytes, WALL);
    assert_eq!(admitted.is_ok(), is_timely);
    if let Ok(admitted) = admitted {
        assert!(admitted.lifetime(WALL) <= life_max);
        assert_eq!(admitted.as_bytes(), bytes);
        assert!(!admission::supersedes(&admitted, &admitted));
    }
    let (last, rest) = key.split_last().expect("a key is not empty");
    let other = [rest, &[last ^ 1]].concat();
    assert!(admission::admit(&other, bytes, WALL).is_err());
}
