//! Records as Moim's peers publish them: signed, of 100 bytes each.

use std::time::SystemTime;

use anyhow::Result;
use libp2p::identity::Keypair;
use moim_protocol::{
    UnixMillis, limits,
    record::{self, record_key},
};

use super::kad::Record;

/// Records of one publisher.
const PER_PUBLISHER: usize = 500;
/// Bytes of a value.
const VALUE_BYTES: usize = 100;

/// So many records, under keys that begin with `prefix`. Each is signed when it is asked for.
pub(super) fn records(prefix: &str, count: usize) -> Result<impl Iterator<Item = Result<Record>>> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let issued = UnixMillis::from_epoch(since);
    let mut keypair = Keypair::generate_ed25519();
    Ok((0..count).map(move |number| {
        if number % PER_PUBLISHER == 0 {
            keypair = Keypair::generate_ed25519();
        }
        let record = record::Record {
            key: format!("{prefix}/{number}").parse()?,
            value: serde_json::json!("x".repeat(VALUE_BYTES)),
            publisher: keypair.public().to_peer_id(),
            sequence: 1,
            issued,
            expires: issued.saturating_add(limits::RECORD_TTL_MAX),
        };
        Ok(Record {
            key: record_key(&record.key),
            value: record.sign(&keypair)?.into_bytes(),
        })
    }))
}
