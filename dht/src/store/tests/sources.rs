//! Whose things give way: shares are counted by where things are put from, not by who signed them.

use proptest::prelude::*;

use super::*;

fn small(bytes: usize) -> Store {
    let limits = Limits {
        presences_cost_max: bytes,
        values_cost_max: bytes,
    };
    Store::with_limits(PeerId::random(), 7, limits)
}

/// Does something as if this connection had asked for it.
fn by<T>(store: &mut Store, sender: Sender, work: impl FnOnce(&mut Store) -> T) -> T {
    store.set_sender(Some(sender));
    let result = work(store);
    store.set_sender(None);
    result
}

/// A connection that is open.
fn connect(store: &mut Store, peer: &Peer, ip: &str) -> Sender {
    let sender = peer.from(store, ip);
    store.on_connected(sender.origin);
    sender
}

fn announce(store: &mut Store, peer: &Peer, sender: Sender, sequence: u64, t: Time) -> Result<()> {
    by(store, sender, |store| {
        store.put_at(peer.presence(State::Here, sequence, t), t)
    })
}

fn is_here(store: &Store, peer: &Peer, t: Time) -> bool {
    let key = presence_record_key(topic(), &peer.id);
    store.records.live(&key, t.now).is_some()
}

#[test]
fn presences_of_made_up_peers_over_one_connection_hide_nobody() {
    let (mut store, t) = (store(), start());
    let honest: Vec<_> = (0..4).map(|_| Peer::new()).collect();
    for (n, peer) in honest.iter().enumerate() {
        let sender = connect(&mut store, peer, &format!("192.0.2.{n}"));
        announce(&mut store, peer, sender, 1, t).unwrap();
    }
    let flood = connect(&mut store, &Peer::new(), "198.51.100.66");
    for _ in 0..1_100 {
        let _ = announce(&mut store, &Peer::new(), flood, 1, t);
    }
    // One who comes while it goes on is found, too.
    let late = Peer::new();
    let sender = connect(&mut store, &late, "192.0.2.99");
    announce(&mut store, &late, sender, 1, t).unwrap();
    for _ in 0..20 {
        let named = provider_ids(&store, t);
        for peer in honest.iter().chain([&late]) {
            assert!(named.contains(&peer.id));
        }
    }
}

#[test]
fn values_take_nothing_of_what_is_for_presences_and_one_source_no_more_than_another() {
    let (mut store, t) = (small(40_000), start());
    let peer = Peer::new();
    let flood = connect(&mut store, &peer, "198.51.100.66");
    for n in 0..200 {
        // Each is signed by somebody else.
        let record = Peer::new().value(&format!("{n}"), json!(n), 1, t);
        let _ = by(&mut store, flood, |store| store.put_at(record, t));
    }
    assert!(store.stats().parts[1].is_full);
    let honest = Peer::new();
    let sender = connect(&mut store, &honest, "192.0.2.1");
    announce(&mut store, &honest, sender, 1, t).unwrap();
    for n in 0..10 {
        let record = honest.value(&format!("mine {n}"), json!(n), 1, t);
        by(&mut store, sender, |store| store.put_at(record.clone(), t)).unwrap();
        assert!(held(&store, &record, t));
    }
    assert!(store.records.is_consistent());
}

#[test]
fn a_stranger_who_puts_it_first_or_again_does_not_make_a_presence_his() {
    let (mut store, t) = (small(30_000), start());
    let honest = Peer::new();
    let own = connect(&mut store, &honest, "192.0.2.1");
    let stranger = connect(&mut store, &Peer::new(), "198.51.100.66");
    let first = honest.presence(State::Here, 1, t);
    // He was faster.
    by(&mut store, stranger, |store| store.put_at(first.clone(), t)).unwrap();
    by(&mut store, own, |store| store.put_at(first.clone(), t)).unwrap();
    // And brings the next.
    let next = honest.presence(State::Here, 2, t);
    by(&mut store, stranger, |store| store.put_at(next, t)).unwrap();
    // Then he fills the store, and has others fill it, too.
    for n in 0..200 {
        let other = Peer::new();
        let sender = other.from(&store, &format!("203.0.113.{n}"));
        let _ = announce(&mut store, &Peer::new(), sender, 1, t);
        let _ = announce(&mut store, &Peer::new(), stranger, 1, t);
    }
    assert!(store.stats().parts[0].is_full);
    assert!(is_here(&store, &honest, t));
    // When its peer is gone, it is like any other.
    store.on_disconnected(own.origin);
    for n in 0..100 {
        let sender = Peer::new().from(&store, &format!("203.0.113.{}", n % 5));
        let _ = announce(&mut store, &Peer::new(), sender, 1, t);
    }
    assert!(is_here(&store, &honest, t), "it has less than the others");
    assert!(store.records.is_consistent());
}

#[test]
fn a_value_of_another_publisher_is_from_then_on_of_who_put_that() {
    let (mut store, t) = (small(20_000), start());
    let (one, other) = (Peer::new(), Peer::new());
    let (first, second) = (
        connect(&mut store, &one, "192.0.2.1"),
        connect(&mut store, &other, "192.0.2.2"),
    );
    let old = one.value("menu", json!(1), 1, t);
    by(&mut store, first, |store| store.put_at(old, t)).unwrap();
    // Brought by somebody else, it still is the first one's.
    let newer = one.value("menu", json!(2), 2, t);
    by(&mut store, second, |store| store.put_at(newer, t)).unwrap();
    let cost = |store: &Store, sender: Sender| store.records.cost_of_values(sender.origin);
    assert!(cost(&store, first) > 0 && cost(&store, second) == 0);
    let newest = other.value("menu", json!(3), 3, t);
    by(&mut store, second, |store| store.put_at(newest, t)).unwrap();
    assert!(cost(&store, first) == 0 && cost(&store, second) > 0);
}

#[test]
fn many_connections_of_one_source_with_an_identity_each_leave_room_for_others() {
    let (mut store, t) = (small(200_000), start());
    for n in 0..400 {
        let peer = Peer::new();
        let ip = if n % 2 == 0 {
            "198.51.100.66".to_owned()
        } else {
            format!("2001:db8:0:{n:x}::1")
        };
        let sender = connect(&mut store, &peer, &ip);
        let _ = announce(&mut store, &peer, sender, 1, t);
    }
    assert!(store.stats().parts[0].is_full);
    let honest: Vec<_> = (0..50).map(|_| Peer::new()).collect();
    for (n, peer) in honest.iter().enumerate() {
        let sender = connect(&mut store, peer, &format!("192.0.2.{n}"));
        announce(&mut store, peer, sender, 1, t).unwrap();
    }
    assert!(honest.iter().all(|peer| is_here(&store, peer, t)));
    for _ in 0..20 {
        let named = provider_ids(&store, t);
        let found = honest.iter().filter(|it| named.contains(&it.id)).count();
        assert!(found >= 10, "{found}");
    }
}

proptest! {
    // Each case signs some hundred records.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever puts, replaces, replays, connects and leaves, in whatever order: the books are right, and the
    /// bounds hold.
    #[test]
    fn the_books_are_right_whatever_happens(
        steps in proptest::collection::vec((0_u8..6, 0_usize..4, 0_usize..4, 1_u64..6, 0_u64..90), 1..120)
    ) {
        let bytes = 6_000;
        let (mut store, mut t) = (small(bytes), start());
        let peers: Vec<_> = (0..4).map(|_| Peer::new()).collect();
        for (kind, who, whose, sequence, pause) in steps {
            let sender = peers[who].from(&store, &format!("192.0.2.{}", who % 3));
            let peer = &peers[whose];
            match kind {
                0 => store.on_connected(sender.origin),
                1 => store.on_disconnected(sender.origin),
                2 => {
                    let _ = announce(&mut store, peer, sender, sequence, t);
                }
                3 => {
                    let record = peer.value(&format!("k{sequence}"), json!(pause), sequence, t);
                    let _ = by(&mut store, sender, |store| store.put_at(record, t));
                }
                4 => {
                    let record = peers[who].provides(t);
                    let _ = by(&mut store, sender, |store| store.add_provider_at(&record, t));
                }
                _ => {
                    t = t.plus_secs(pause);
                    store.sweep_at(t.now);
                }
            }
            prop_assert!(store.records.is_consistent());
            prop_assert!(store.stats().record_bytes <= 2 * bytes);
        }
        for peer in &peers {
            for ip in 0..3 {
                let origin = peer.from(&store, &format!("192.0.2.{ip}")).origin;
                for _ in 0..200 {
                    store.on_disconnected(origin);
                }
            }
        }
        prop_assert!(store.connections.is_empty());
        store.sweep_at(t.plus(limits::RECORD_TTL_MAX).now);
        prop_assert_eq!(store.stats().record_bytes, 0);
    }
}
