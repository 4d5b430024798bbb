use libp2p::identity::Keypair;
use moim_protocol::{limits, record::Record};

use super::*;
use crate::platform;

fn signed(key: &str, sequence: u64) -> SignedRecord {
    let keypair = Keypair::generate_ed25519();
    let issued = platform::wall();
    let record = Record {
        key: RecordKey::new(key).unwrap(),
        value: serde_json::json!(sequence),
        publisher: keypair.public().to_peer_id(),
        sequence,
        issued,
        expires: issued.saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    record.sign(&keypair).unwrap()
}

#[test]
fn a_get_has_enough_when_two_have_the_newest() {
    let (old, new) = (signed("key", 1), signed("key", 2));
    let mut found = Found::default();
    for (bytes, is_enough) in [
        (old.as_bytes(), false),
        (new.as_bytes(), false),
        // Older than what is known, whoever agrees.
        (old.as_bytes(), false),
        (old.as_bytes(), false),
        (b"noise".as_slice(), false),
        (signed("another", 3).as_bytes(), false),
        (new.as_bytes(), true),
    ] {
        found.take(&RecordKey::new("key").unwrap(), bytes, platform::wall());
        assert_eq!(found.is_enough(), is_enough);
    }
    assert_eq!(found.newest.unwrap().record().sequence, 2);
}

#[test]
fn one_forged_value_is_nothing_to_agree_with() {
    let mut found = Found::default();
    let good = signed("key", 1);
    let mut forged = good.as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for _ in 0..5 {
        found.take(&RecordKey::new("key").unwrap(), &forged, platform::wall());
    }
    assert!(found.newest.is_none() && !found.is_enough());
}
