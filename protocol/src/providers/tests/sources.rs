//! Who gives way, and who is named, by where entries were put from.

use super::*;

#[test]
fn in_a_full_key_the_largest_source_gives_way() {
    let mut server = Server::with(ProviderConfig {
        per_key_max: 8,
        ..ProviderConfig::default()
    });
    let expires = server.now + seconds(120);
    server.add_from(KEY, peer(1), expires, at(1)).unwrap();
    for n in 0..100 {
        let _ = server.add_from(KEY, id(n), expires, at(66));
    }
    assert_eq!(server.table.len(), 8);
    for n in 2..=4 {
        server.add_from(KEY, peer(n), expires, at(n as u8)).unwrap();
    }
    assert!((1..=4).all(|n| server.table.contains(KEY, &peer(n))));
    assert_eq!(server.table.len(), 8);
    assert!(server.table.gave_way_total() >= 3);
    server.add(KEY, peer(3)).unwrap();
    assert_eq!(server.table.len(), 8, "a renewal needs no room");
    // Everybody has one: nobody gives way.
    for n in 5..=20 {
        let _ = server.add_from(KEY, peer(n), expires, at(n as u8));
    }
    let result = server.add_from(KEY, peer(99), expires, at(99));
    assert_eq!(result, Err(ProviderError::Full));
    // But to somebody who is connected.
    let result = server.add_from(KEY, peer(99), expires, connected(at(99)));
    assert_eq!(result, Ok(()));
    assert!(server.table.contains(KEY, &peer(99)));
}

#[test]
fn in_a_full_table_the_largest_source_gives_way_whatever_keys_it_provides() {
    let mut server = Server::with(ProviderConfig {
        total_max: 100,
        ..ProviderConfig::default()
    });
    let expires = server.now + seconds(120);
    for n in 0..4 {
        server.add_from(KEY, peer(n), expires, at(n as u8)).unwrap();
    }
    for n in 0..100_u8 {
        for peer in 0..3 {
            let _ = server.add_from(&[7, n], id(peer), expires, at(66));
        }
    }
    assert_eq!(server.table.len(), 100);
    assert!(server.table.is_full());
    assert!((0..4).all(|n| server.table.contains(KEY, &peer(n))));
    server.add_from(KEY, peer(4), expires, at(4)).unwrap();
    assert!((0..5).all(|n| server.table.contains(KEY, &peer(n))));
}

#[test]
fn a_flood_from_few_places_is_a_small_part_of_a_sample() {
    let mut server = Server::new();
    let expires = server.now + seconds(120);
    for n in 0..6 {
        server
            .add_from(KEY, peer(n), expires, connected(at(n as u8)))
            .unwrap();
    }
    // By one connection, and by many of one address.
    for n in 0..2_000_u32 {
        let of = if n % 2 == 0 { 0 } else { n as u16 };
        let _ = server.add_from(KEY, id(n), expires, from([198, 51, 100, 66], of));
    }
    for _ in 0..20 {
        let sample = server.sample(20);
        assert_eq!(sample.len(), 12);
        assert!((0..6).all(|n| sample.contains(&peer(n))), "{sample:?}");
    }
    // Of the first five that a newcomer asks, one is of the two that are left.
    for n in 2..6 {
        server.table.remove(KEY, &peer(n));
    }
    assert_eq!(server.sample(20).len(), 6);
    // Where there is nobody else, it is answered with those there are.
    for n in 0..2 {
        server.table.remove(KEY, &peer(n));
    }
    assert_eq!(server.sample(20).len(), 20);
}

#[test]
fn an_entry_stays_that_of_who_put_it_until_the_provider_puts_it_itself() {
    let mut server = Server::with(ProviderConfig {
        total_max: 10,
        ..ProviderConfig::default()
    });
    let (honest, stranger) = (connected(at(1)), at(66));
    let expires = server.now + seconds(120);
    let whose = |server: &Server| {
        let number = server.table.keys[KEY].entries[&peer(1)];
        server.table.entries[number as usize].putter()
    };
    server.add_from(KEY, peer(1), expires, stranger).unwrap();
    server.add_from(KEY, peer(1), expires, at(67)).unwrap();
    assert_eq!(whose(&server), stranger);
    server.add_from(KEY, peer(1), expires, honest).unwrap();
    server.add_from(KEY, peer(1), expires, stranger).unwrap();
    assert_eq!(whose(&server), honest);
    // Whatever that stranger puts besides, it is his own that gives way.
    for n in 0..100 {
        let _ = server.add_from(&[n], id(n.into()), expires, stranger);
    }
    assert!(server.table.contains(KEY, &peer(1)));
    server.table.release(honest.origin);
    server.check();
    assert_eq!(whose(&server), at(1));
    server.table.claim(KEY, &peer(1), honest);
    server.check();
    assert_eq!(whose(&server), honest);
}
