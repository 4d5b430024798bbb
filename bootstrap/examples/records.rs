//! Records for `moim-bootstrap store import`, to measure a full store with: prints so many, of 100
//! bytes each, from as many publishers as it takes.
//!
//! `cargo run --release -p moim-bootstrap --example records -- 1000000 > records.jsonl`

use std::{
    env,
    io::{self, BufWriter, Write as _},
    time::SystemTime,
};

use data_encoding::BASE64;
use libp2p::identity::Keypair;
use moim_protocol::{
    UnixMillis, limits,
    record::{Record, record_key},
};

/// Records of one publisher.
const PER_PUBLISHER: usize = 500;

fn main() -> anyhow::Result<()> {
    let count: usize = env::args()
        .nth(1)
        .ok_or_else(|| anyhow::anyhow!("how many?"))?
        .parse()?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let issued = UnixMillis::from_epoch(since);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut keypair = Keypair::generate_ed25519();
    for number in 0..count {
        if number % PER_PUBLISHER == 0 {
            keypair = Keypair::generate_ed25519();
        }
        let record = Record {
            key: format!("bench/{number}").parse()?,
            value: serde_json::json!("x".repeat(100)),
            publisher: keypair.public().to_peer_id(),
            sequence: 1,
            issued,
            expires: issued.saturating_add(limits::RECORD_TTL_MAX),
        };
        let line = serde_json::json!({
            "key": BASE64.encode(&record_key(&record.key)),
            "value": BASE64.encode(&record.sign(&keypair)?.into_bytes()),
        });
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
