//! What the store does when it is full.

use super::*;

fn small(records_max: usize) -> Store {
    let limits = Limits {
        records_max,
        gone_max: 3,
        ..Limits::from(StoreLimits::default())
    };
    Store::with_limits(PeerId::random(), 7, limits)
}

#[test]
fn a_publisher_that_has_had_its_share_is_refused_and_loses_nothing() {
    let limits = Limits {
        publisher_records_max: 3,
        ..Limits::from(StoreLimits::default())
    };
    let (mut store, t) = (Store::with_limits(PeerId::random(), 7, limits), start());
    let (peer, other) = (Peer::new(), Peer::new());
    let records: Vec<_> = (0..3)
        .map(|n| peer.value(&format!("k{n}"), json!(n), 1, t))
        .collect();
    for record in &records {
        store.put_at(record.clone(), t).unwrap();
    }
    let error = store
        .put_at(peer.value("k3", json!(3), 1, t), t)
        .unwrap_err();
    assert!(matches!(error, Error::MaxRecords));
    assert!(records.iter().all(|record| held(&store, record, t)));
    // It may still replace what it has, and others have their own share.
    store
        .put_at(peer.value("k0", json!("new"), 2, t), t)
        .unwrap();
    store.put_at(other.value("k3", json!(3), 1, t), t).unwrap();
}

#[test]
fn bytes_are_bounded_as_well_as_records() {
    let limits = Limits {
        publisher_cost_max: 8_000,
        ..Limits::from(StoreLimits::default())
    };
    let (mut store, t) = (Store::with_limits(PeerId::random(), 7, limits), start());
    let peer = Peer::new();
    let long = "x".repeat(4_000);
    store.put_at(peer.value("a", json!(long), 1, t), t).unwrap();
    store
        .put_at(peer.value("b", json!(long), 1, t), t)
        .unwrap_err();
    // A refused replacement leaves the old one in place.
    let longer = "x".repeat(8_000);
    store
        .put_at(peer.value("a", json!(longer), 2, t), t)
        .unwrap_err();
    assert!(held(&store, &peer.value("a", json!(long), 1, t), t));
    assert!(store.stats().record_bytes <= 8_000);
}

#[test]
fn in_a_full_store_the_biggest_publisher_gives_way_soonest_to_expire_first() {
    let (mut store, t) = (small(10), start());
    let big = Peer::new();
    let mut first = None;
    for n in 0..9 {
        let record = big.value(&format!("big {n}"), json!(n), 1, t.plus_secs(n));
        first.get_or_insert_with(|| record.clone());
        store.put_at(record, t).unwrap();
    }
    let modest = Peer::new().value("modest", json!(1), 1, t);
    store.put_at(modest.clone(), t).unwrap();
    assert_eq!(store.stats().records, 10);

    let newcomer = Peer::new().value("new", json!(1), 1, t);
    store.put_at(newcomer.clone(), t).unwrap();
    assert_eq!(store.stats().records, 10);
    assert!(held(&store, &newcomer, t));
    assert!(held(&store, &modest, t));
    assert!(!held(&store, &first.unwrap(), t));
}

#[test]
fn in_a_full_store_nobody_gives_way_to_one_who_has_as_much() {
    let (mut store, t) = (small(4), start());
    let records: Vec<_> = (0..4)
        .map(|n| Peer::new().value(&format!("k{n}"), json!(n), 1, t))
        .collect();
    for record in &records {
        store.put_at(record.clone(), t).unwrap();
    }
    store
        .put_at(Peer::new().value("k4", json!(4), 1, t), t)
        .unwrap_err();
    assert!(records.iter().all(|record| held(&store, record, t)));
}

#[test]
fn a_flood_of_identities_does_not_grow_the_store() {
    let (mut store, t) = (small(20), start());
    for n in 0..200 {
        let t = t.plus_secs(n * 3);
        let _ = store.put_at(Peer::new().presence(State::Here, 1, t), t);
        let stats = store.stats();
        assert!(stats.records <= 20);
        assert!(store.records.gone_len() <= 3);
    }
    let end = t.plus_secs(3600);
    store.sweep_at(end.now);
    assert_eq!(
        store.stats(),
        StoreStats {
            refused_total: store.refused_records,
            ..Default::default()
        }
    );
    assert_eq!(store.records.gone_len(), 0);
    assert!(store.records.is_consistent());
}

#[test]
fn what_expired_makes_room_in_passing() {
    let (mut store, t) = (small(2), start());
    for _ in 0..2 {
        store
            .put_at(Peer::new().presence(State::Here, 1, t), t)
            .unwrap();
    }
    store
        .put_at(Peer::new().presence(State::Here, 1, t), t)
        .unwrap_err();
    let later = t.plus_secs(121);
    store
        .put_at(Peer::new().presence(State::Here, 1, later), later)
        .unwrap();
    assert_eq!(store.stats().records, 1);
}
