//! What the store does when it is full.

use super::*;

/// Bytes that a value of these tests costs, at least.
const VALUE: usize = 800;

/// Room for so many values, or some more, and as many presences.
fn small(records: usize) -> Store {
    let limits = Limits {
        presences_cost_max: records * VALUE,
        values_cost_max: records * VALUE,
    };
    Store::with_limits(PeerId::random(), 7, limits)
}

fn small_value(peer: &Peer, key: &str, sequence: u64, time: Time) -> Record {
    let text = "x".repeat(VALUE);
    peer.value(key, json!(text[..100]), sequence, time)
}

/// Puts values, all with the same end, until there is no room; says how many there are.
fn fill(store: &mut Store, peer: &Peer, time: Time) -> usize {
    let mut count = 0;
    while store
        .put_at(small_value(peer, &format!("fill {count}"), 1, time), time)
        .is_ok()
    {
        count += 1;
    }
    count
}

#[test]
fn bytes_are_bounded_and_a_refused_replacement_leaves_the_old_one_in_place() {
    let limits = Limits {
        presences_cost_max: 8_000,
        values_cost_max: 8_000,
    };
    let (mut store, t) = (Store::with_limits(PeerId::random(), 7, limits), start());
    let peer = Peer::new();
    let long = "x".repeat(4_000);
    store.put_at(peer.value("a", json!(long), 1, t), t).unwrap();
    store
        .put_at(peer.value("b", json!(long), 1, t), t)
        .unwrap_err();
    let longer = "x".repeat(8_000);
    store
        .put_at(peer.value("a", json!(longer), 2, t), t)
        .unwrap_err();
    assert!(held(&store, &peer.value("a", json!(long), 1, t), t));
    assert!(store.stats().record_bytes <= 8_000);
    assert!(store.records.is_consistent());
}

#[test]
fn in_a_full_store_the_biggest_gives_way_with_what_would_live_longest() {
    let (mut store, t) = (small(10), start());
    let big = Peer::new();
    let later = t.plus_secs(60);
    let count = fill(&mut store, &big, later);
    assert!(count >= 8, "{count}");
    // What would live longer gives way to what ends before, and not to what doesn't.
    let latest = t.plus_secs(120);
    store
        .put_at(small_value(&big, "late", 1, latest), latest)
        .unwrap_err();
    store.put_at(small_value(&big, "soon", 1, t), t).unwrap();
    assert_eq!(store.stats().records, count);
    let others: Vec<_> = (0..3)
        .map(|n| {
            let record = small_value(&Peer::new(), &format!("other {n}"), 1, t);
            store.put_at(record.clone(), t).unwrap();
            record
        })
        .collect();
    assert_eq!(store.stats().records, count);
    assert!(held(&store, &small_value(&big, "soon", 1, t), t));
    assert!(others.iter().all(|record| held(&store, record, t)));
    let stats = store.stats();
    assert!(stats.parts[1].is_full && stats.parts[1].gave_way_total >= 3);
    assert!(!stats.parts[0].is_full && !stats.parts[2].is_full);
    assert!(store.records.is_consistent());
}

#[test]
fn in_a_full_store_nobody_gives_way_to_one_who_has_as_much() {
    let (mut store, t) = (small(4), start());
    let mut records = Vec::new();
    for n in 0.. {
        let record = small_value(&Peer::new(), &format!("k{n}"), 1, t);
        if store.put_at(record.clone(), t).is_err() {
            break;
        }
        records.push(record);
    }
    assert!(records.len() >= 4);
    assert!(records.iter().all(|record| held(&store, record, t)));
}

#[test]
fn a_flood_of_identities_does_not_grow_the_store() {
    let (mut store, t) = (small(20), start());
    let bytes_max = 20 * VALUE;
    for n in 0..200 {
        let t = t.plus_secs(n * 3);
        let _ = store.put_at(Peer::new().presence(State::Here, 1, t), t);
        assert!(store.stats().record_bytes <= bytes_max);
    }
    assert!(store.records.remembered() > 0);
    let end = t.plus_secs(3600);
    store.sweep_at(end.now);
    let stats = store.stats();
    assert_eq!(
        (stats.records, stats.record_bytes, stats.providers),
        (0, 0, 0)
    );
    assert_eq!(store.records.remembered(), 0);
    assert!(store.records.is_consistent());
}

#[test]
fn what_expired_makes_room_in_passing() {
    let (mut store, t) = (small(2), start());
    while store
        .put_at(Peer::new().presence(State::Here, 1, t), t)
        .is_ok()
    {}
    let later = t.plus(limits::CLOCK_SKEW_MAX * 2);
    store
        .put_at(Peer::new().presence(State::Here, 1, later), later)
        .unwrap();
    assert_eq!(store.stats().records, 1);
}
