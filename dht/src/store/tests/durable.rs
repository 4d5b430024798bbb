//! What is written down is what there is, and what is read back is what there was.

use std::{collections::BTreeMap, convert::Infallible};

use super::*;
use crate::journal::{Batch, Change};

/// A disk, as the batches leave it.
#[derive(Default)]
struct Disk {
    rows: BTreeMap<(Vec<u8>, Option<PeerId>), Change>,
}

impl Disk {
    fn write(&mut self, batch: Batch) {
        if batch.replaces_all {
            self.rows.clear();
        }
        for change in batch.changes {
            let (key, is_gone) = match &change {
                Change::Record { key, row } => ((key.clone(), None), row.is_none()),
                Change::Provider { key, peer, row } => ((key.clone(), Some(*peer)), row.is_none()),
            };
            if is_gone {
                self.rows.remove(&key);
            } else {
                self.rows.insert(key, change);
            }
        }
    }

    fn read(&self) -> impl Iterator<Item = std::result::Result<Change, Infallible>> {
        self.rows.values().cloned().map(Ok)
    }
}

/// A store with nothing from before that notes what changes.
fn fresh(limits: Limits) -> Store {
    let mut store = Store::with_limits(PeerId::random(), 7, limits);
    store.restore_at::<Infallible>([], start()).unwrap();
    store
}

fn restarted(disk: &Disk, time: Time) -> Store {
    let mut store = store();
    store.restore_at(disk.read(), time).unwrap();
    store
}

#[test]
fn records_and_providers_outlive_a_restart() {
    let (mut store, mut disk, t) = (
        fresh(StoreLimits::default().into()),
        Disk::default(),
        start(),
    );
    let (peer, gone) = (Peer::new(), Peer::new());
    let value = peer.value("menu", json!("soup"), 3, t);
    let presence = peer.presence(State::Here, 1, t);
    store.put_at(value.clone(), t).unwrap();
    store.put_at(presence.clone(), t).unwrap();
    store.put_at(gone.presence(State::Here, 1, t), t).unwrap();
    store.put_at(gone.presence(State::Left, 2, t), t).unwrap();
    assert!(store.has_changes());
    disk.write(store.take_batch_at(t));
    assert!(!store.has_changes());

    // The machine was off for a minute.
    let t = t.plus_secs(60);
    let mut store = restarted(&disk, t);
    assert!(held(&store, &value, t));
    assert!(held(&store, &presence, t));
    assert_eq!(provider_ids(&store, t), [peer.id]);
    // What was older, or had left, still is.
    store
        .put_at(peer.value("menu", json!("old"), 2, t), t)
        .unwrap_err();
    store
        .put_at(gone.presence(State::Here, 1, t), t)
        .unwrap_err();
    // The rest of a life is what it was.
    let end = t.plus(limits::PRESENCE_TTL - Duration::from_secs(60));
    assert!(!held(&store, &presence, end));
    assert_eq!(provider_ids(&store, end), []);
    assert!(store.records.is_consistent());
}

#[test]
fn who_filled_the_store_before_a_restart_gives_way_after_it() {
    let limits = Limits {
        presences_cost_max: 8_000,
        values_cost_max: 16_000,
    };
    let (mut store, mut disk, t) = (fresh(limits), Disk::default(), start());
    let by = |store: &mut Store, ip: &str, record: Record| {
        let sender = Peer::new().from(store, ip);
        store.set_sender(Some(sender));
        let result = store.put_at(record, t);
        store.set_sender(None);
        result
    };
    let honest = Peer::new();
    let kept: Vec<_> = (0..3)
        .map(|n| {
            let record = honest.value(&format!("mine {n}"), json!(n), 1, t);
            by(&mut store, "192.0.2.1", record.clone()).unwrap();
            record
        })
        .collect();
    for n in 0..100 {
        let record = Peer::new().value(&format!("{n}"), json!(n), 1, t);
        let _ = by(&mut store, "198.51.100.66", record);
    }
    disk.write(store.take_batch_at(t));

    let mut store = Store::with_limits(PeerId::random(), 7, limits);
    store.restore_at(disk.read(), t).unwrap();
    // He goes on, and others come.
    for n in 100..300 {
        let record = Peer::new().value(&format!("{n}"), json!(n), 1, t);
        let ip = format!("203.0.113.{}", n % 3);
        let _ = by(
            &mut store,
            if n % 2 == 0 {
                ip.as_str()
            } else {
                "198.51.100.66"
            },
            record,
        );
    }
    assert!(kept.iter().all(|record| held(&store, record, t)));
    assert!(store.records.is_consistent());
}

#[test]
fn what_expired_meanwhile_is_left_out_and_gone_from_the_disk_with_the_next_batch() {
    let (mut store, mut disk, t) = (
        fresh(StoreLimits::default().into()),
        Disk::default(),
        start(),
    );
    let peer = Peer::new();
    let presence = peer.presence(State::Here, 1, t);
    store.put_at(presence.clone(), t).unwrap();
    disk.write(store.take_batch_at(t));
    assert_eq!(disk.rows.len(), 2);

    let t = t.plus_secs(121);
    let mut store = restarted(&disk, t);
    assert_eq!(store.stats().records, 0);
    assert_eq!(store.stats().providers, 0);
    // An older one could still be put again, so its number is remembered.
    store.put_at(presence, t).unwrap_err();
    disk.write(store.take_batch_at(t));
    assert_eq!(disk.rows.len(), 1);

    let t = t.plus(limits::CLOCK_SKEW_MAX * 3);
    let mut store = restarted(&disk, t);
    disk.write(store.take_batch_at(t));
    assert_eq!(disk.rows.len(), 0);
}

#[test]
fn a_clock_that_was_set_back_prolongs_nothing_beyond_the_longest_life() {
    let (mut store, mut disk, t) = (
        fresh(StoreLimits::default().into()),
        Disk::default(),
        start(),
    );
    let peer = Peer::new();
    let presence = peer.presence(State::Here, 1, t);
    let value = peer.value("menu", json!("soup"), 1, t);
    store.put_at(presence.clone(), t).unwrap();
    store.put_at(value.clone(), t).unwrap();
    disk.write(store.take_batch_at(t));

    let year_ago = Time {
        now: t.now,
        wall: UnixMillis(t.wall.0 - 365 * 24 * 60 * 60 * 1000),
    };
    let mut store = restarted(&disk, year_ago);
    assert_eq!(provider_ids(&store, year_ago), [peer.id]);
    let end = year_ago.plus(limits::PROVIDER_TTL);
    assert_eq!(provider_ids(&store, end), []);
    assert!(!held(&store, &value, year_ago.plus(limits::RECORD_TTL_MAX)));
    store.sweep_at(year_ago.plus(limits::RECORD_TTL_MAX).now);
    assert_eq!(store.stats().records, 0);
}

#[test]
fn a_smaller_store_takes_what_fits_and_drops_the_rest_from_the_disk() {
    let (mut store, mut disk, t) = (
        fresh(StoreLimits::default().into()),
        Disk::default(),
        start(),
    );
    for n in 0..10 {
        let peer = Peer::new();
        store
            .put_at(peer.value(&format!("k{n}"), json!(n), 1, t), t)
            .unwrap();
    }
    disk.write(store.take_batch_at(t));
    let limits = Limits {
        presences_cost_max: 0,
        values_cost_max: 4_000,
    };
    let mut store = Store::with_limits(PeerId::random(), 7, limits);
    store.restore_at(disk.read(), t).unwrap();
    let left = store.stats().records;
    assert!((4..10).contains(&left), "{left}");
    disk.write(store.take_batch_at(t));
    assert_eq!(disk.rows.len(), left);
}

#[test]
fn whatever_happens_the_disk_has_what_the_store_has() {
    let limits = Limits {
        presences_cost_max: 3_000,
        values_cost_max: 4_500,
    };
    let (mut store, mut disk, mut t) = (fresh(limits), Disk::default(), start());
    let peers: Vec<_> = (0..5).map(|_| Peer::new()).collect();
    // A fixed sequence: the same every time, and long enough to meet every case.
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    for step in 0..2_000 {
        let peer = &peers[next(5) as usize];
        let sequence = 1 + step / 4;
        // Most of these are refused, for being old, too many or from one who left.
        let _ = match next(6) {
            0 => store.put_at(peer.presence(State::Here, sequence, t), t),
            1 => store.put_at(peer.presence(State::Left, sequence, t), t),
            2 => store.add_provider_at(&peer.provides(t), t),
            _ => {
                let key = format!("k{}", next(12));
                store.put_at(peer.value(&key, json!(step), sequence, t), t)
            }
        };
        if next(40) == 0 {
            t = t.plus_secs(next(400));
            store.sweep_at(t.now);
        }
        if next(3) == 0 {
            disk.write(store.take_batch_at(t));
            let mut all = Disk::default();
            all.write(store.everything(t));
            assert_eq!(disk.rows.len(), all.rows.len(), "step {step}");
            assert_eq!(disk.rows, all.rows, "step {step}");
            assert!(store.records.is_consistent());
        }
    }
    assert!(disk.rows.len() > 5);
}

#[test]
fn many_at_one_time_are_taken_in_as_they_are_one_by_one() {
    let (mut store, mut disk, t) = (
        fresh(StoreLimits::default().into()),
        Disk::default(),
        start(),
    );
    for n in 0..60 {
        let peer = Peer::new();
        let sender = peer.from(&store, &format!("192.0.{}.{}", n % 3, n % 7));
        store.set_sender(Some(sender));
        let record = match n % 4 {
            0 => peer.presence(State::Here, 1, t),
            1 => peer.presence(State::Left, 1, t),
            _ => peer.value(&format!("k{n}"), json!(n), 1, t),
        };
        store.put_at(record, t).unwrap();
        store.set_sender(None);
    }
    disk.write(store.take_batch_at(t));
    // Room for all of them, and for some.
    for presences_cost_max in [1_000_000, 12_000, 0] {
        let limits = Limits {
            presences_cost_max,
            values_cost_max: presences_cost_max,
        };
        let local = PeerId::random();
        let mut stores = [(); 2].map(|()| Store::with_limits(local, 7, limits));
        let [at_once, one_by_one] = &mut stores;
        at_once.restore_at(disk.read(), t).unwrap();
        // A row that is there already comes twice: from there on the rest are taken in one by one.
        let first = disk
            .read()
            .find(|row| matches!(row, Ok(Change::Record { .. })));
        let rows = first.clone().into_iter().chain(first).chain(disk.read());
        one_by_one.restore_at(rows, t).unwrap();
        assert!(stores.iter().all(|store| store.records.is_consistent()));
        // They have the same, and go on alike when it becomes full, and in time.
        let again = Peer::new();
        for step in 0..80 {
            let record = again.value(&format!("again {step}"), json!(step), 1, t);
            let results = stores.each_mut().map(|store| {
                let sender = again.from(store, "198.51.100.1");
                store.set_sender(Some(sender));
                store.put_at(record.clone(), t).is_ok()
            });
            assert_eq!(results[0], results[1], "step {step}");
            assert_same(&stores, t);
        }
        for seconds in [100, 130, 600, 4_000] {
            let t = t.plus_secs(seconds);
            for store in &mut stores {
                store.sweep_at(t.now);
            }
            assert_same(&stores, t);
        }
    }
}

fn assert_same(stores: &[Store; 2], time: Time) {
    let [one, other] = stores.each_ref().map(|store| {
        let mut disk = Disk::default();
        disk.write(store.everything(time));
        assert!(store.records.is_consistent());
        disk.rows
    });
    assert_eq!(one, other);
}
