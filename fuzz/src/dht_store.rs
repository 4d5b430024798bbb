//! The store of a DHT server: records and providers of anybody, rows that were written down, and what comes out of it.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use arbitrary::Arbitrary;
use libp2p::kad::{Record, store::RecordStore as _};
use moim_bootstrap::fuzzing::{provider_row, record_row};
use moim_dht::{Change, Store, StoreLimits};
use moim_protocol::{
    UnixMillis,
    presence::{State, presence_record_key},
};

use crate::{
    given::{peer, presence, topic},
    input::steps,
};

#[derive(Arbitrary, Clone, Debug)]
enum Step<'a> {
    /// A record of anybody's making.
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    /// A presence that holds.
    Presence {
        who: u8,
        sequence: u8,
        has_left: bool,
        life: u8,
    },
    /// A row of a record in the store's file.
    RecordRow {
        key: &'a [u8],
        sequence: u64,
        flags: u8,
        times: (i32, i32),
        origin: &'a [u8],
        value: &'a [u8],
    },
    /// A row of a provider in the store's file.
    ProviderRow {
        key: Key<'a>,
        peer: Peer<'a>,
        expires: i32,
        address: &'a [u8],
    },
    Sweep,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Key<'a> {
    OurTopic,
    Any(&'a [u8]),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Peer<'a> {
    Ours(u8),
    Any(&'a [u8]),
}

const LIMITS: StoreLimits = StoreLimits {
    bytes_max: 16 * 1024,
};

/// A store with the rows in `data`, taken through the other steps in it.
pub fn run(data: &[u8]) {
    let wall = wall();
    let steps: Vec<Step<'_>> = steps(data).collect();
    let mut store = Store::new(peer(0), 0, LIMITS);
    restore(&mut store, steps.iter().filter_map(|step| step.row(wall)));
    check(&store);
    for step in &steps {
        match step {
            Step::Put { key, value } => put(&mut store, key, value),
            Step::Presence {
                who,
                sequence,
                has_left,
                life,
            } => {
                let state = if *has_left { State::Left } else { State::Here };
                let time = (wall, Duration::from_secs((*life).into()));
                if let Some(signed) = presence(*who, (*sequence).into(), time, state) {
                    let key = presence_record_key(topic(), &peer(*who));
                    put(&mut store, &key, signed.as_bytes());
                }
            }
            Step::Sweep => store.sweep(),
            Step::RecordRow { .. } | Step::ProviderRow { .. } => {}
        }
        check(&store);
    }
    // What is written down makes the same store again, or a smaller one where something has ended since.
    let written = store.take_batch().changes;
    let mut again = Store::new(peer(0), 0, LIMITS);
    restore(&mut again, written);
    let (one, other) = (store.stats(), again.stats());
    assert!(other.records <= one.records && other.providers <= one.providers);
}

impl Step<'_> {
    /// What a row of the store's file says, if it says something.
    fn row(&self, wall: UnixMillis) -> Option<Change> {
        match self {
            Self::RecordRow {
                key,
                sequence,
                flags,
                times: (remembered, expires),
                origin,
                value,
            } => {
                let times = (moment(wall, *remembered), moment(wall, *expires));
                Some(record_row(key, (*sequence, *flags), times, (origin, value)))
            }
            Self::ProviderRow {
                key,
                peer: id,
                expires,
                address,
            } => {
                let key = match key {
                    Key::OurTopic => topic().provider_key(),
                    Key::Any(key) => key.to_vec(),
                };
                let id = match id {
                    Peer::Ours(n) => peer(*n).to_bytes(),
                    Peer::Any(id) => id.to_vec(),
                };
                provider_row(&key, &id, moment(wall, *expires), &[address])
            }
            Self::Put { .. } | Self::Presence { .. } | Self::Sweep => None,
        }
    }
}

/// What is taken is what is given out.
fn put(store: &mut Store, key: &[u8], value: &[u8]) {
    let record = Record::new(key.to_vec(), value.to_vec());
    if store.put(record.clone()).is_ok() {
        let held = store.get(&record.key).map(|held| held.into_owned().value);
        assert!(held.is_none_or(|held| held == value));
    }
}

fn check(store: &Store) {
    let stats = store.stats();
    assert!(stats.record_bytes <= LIMITS.bytes_max, "{stats:?}");
    let providers: usize = store.provider_counts().map(|(_, count)| count).sum();
    assert_eq!(providers, stats.providers);
}

/// The store reads the clock, so presences have to be of the present.
fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis::from_epoch(since.unwrap_or_default())
}

fn moment(wall: UnixMillis, seconds: i32) -> u64 {
    wall.0.saturating_add_signed(i64::from(seconds) * 1000)
}

fn restore(store: &mut Store, rows: impl IntoIterator<Item = Change>) {
    let rows = rows.into_iter().map(Ok::<_, Infallible>);
    let Ok(()) = store.restore(rows);
}
