use std::{collections::HashSet, time::Duration};

use proptest::prelude::*;

use super::{sample::encoded_bytes, *};
use crate::{
    shares::Whence,
    testing::{address, millis, peer, seconds, start},
};

mod sources;

const KEY: &[u8] = &[0x12, 0x20, 1, 2, 3];

/// A table whose clock a test moves.
struct Server {
    table: ProviderTable,
    start: Instant,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        Self::with(ProviderConfig::default())
    }

    fn with(config: ProviderConfig) -> Self {
        let start = start();
        Self {
            table: ProviderTable::new(config, 1),
            start,
            now: start,
        }
    }

    fn at(&mut self, at: u64) -> &mut Self {
        self.now = self.start + millis(at);
        self
    }

    /// Adds a provider with one address for 120 s.
    fn add(&mut self, key: &[u8], peer: PeerId) -> Result<(), ProviderError> {
        self.add_until(key, peer, self.now + seconds(120))
    }

    fn add_until(
        &mut self,
        key: &[u8],
        peer: PeerId,
        expires: Instant,
    ) -> Result<(), ProviderError> {
        let putter = at(peer.to_bytes().last().copied().unwrap_or_default());
        self.add_from(key, peer, expires, putter)
    }

    fn add_from(
        &mut self,
        key: &[u8],
        peer: PeerId,
        expires: Instant,
        putter: Putter,
    ) -> Result<(), ProviderError> {
        let (addresses, now) = ([address(1)], self.now);
        let result = self.table.add(key, peer, &addresses, expires, putter, now);
        self.check();
        result
    }

    fn sample(&self, count: usize) -> Vec<PeerId> {
        let sample = self.table.sample(KEY, count, usize::MAX, self.now);
        sample.into_iter().map(|provider| provider.peer).collect()
    }

    /// What must hold after every input.
    fn check(&self) {
        let table = &self.table;
        let entries: usize = table.keys.values().map(|it| it.entries.len()).sum();
        assert_eq!(entries, table.by_end.len());
        assert_eq!(entries, table.entries.len());
        assert_eq!(entries, table.pool.cost());
        assert!(entries <= table.config.total_max);
        for providers in table.keys.values() {
            let count = providers.entries.len();
            assert!((1..=table.config.per_key_max).contains(&count));
            assert!(
                providers
                    .pool
                    .as_ref()
                    .is_none_or(|pool| pool.cost() == count)
            );
        }
        assert_eq!(table.peers.values().sum::<usize>(), entries);
        assert!(
            table
                .peers
                .values()
                .all(|keys| (1..=table.config.per_peer_max).contains(keys))
        );
    }
}

/// Somebody at an address of its own that ends with this number.
fn at(number: u8) -> Putter {
    from([198, 51, 100, number], 0)
}

fn from(ip: [u8; 4], of: u16) -> Putter {
    let whence = Whence::Network(std::net::IpAddr::from(ip).into());
    Putter {
        origin: Origin::new(1, whence, &peer(of)),
        is_held: false,
    }
}

fn connected(putter: Putter) -> Putter {
    Putter {
        is_held: true,
        ..putter
    }
}

/// Cheap peer ids, for crowds.
fn id(n: u32) -> PeerId {
    let multihash = multiaddr::multihash::Multihash::wrap(0, &n.to_be_bytes()).unwrap();
    PeerId::from_multihash(multihash).unwrap()
}

#[test]
fn a_provider_is_there_until_it_expires_or_is_removed() {
    let mut server = Server::new();
    server.add(KEY, peer(1)).unwrap();
    server.add(KEY, peer(2)).unwrap();
    let expires = server.now + seconds(120);
    let mut sample = server.table.sample(KEY, 20, 8192, server.now);
    sample.sort_by_key(|provider| provider.peer != peer(1));
    assert_eq!(
        sample[0],
        Provider {
            peer: peer(1),
            addresses: vec![address(1)],
            expires
        }
    );
    assert_eq!(sample.len(), 2);
    assert!(server.table.remove(KEY, &peer(1)));
    assert!(!server.table.remove(KEY, &peer(1)));
    assert_eq!(server.sample(20), [peer(2)]);
    server.at(120_000);
    assert!(server.sample(20).is_empty(), "also before it is swept");
    assert_eq!(server.table.poll_timeout(), Some(server.now));
    assert_eq!(server.table.sweep(server.now), 1);
    assert!(server.table.is_empty());
    assert_eq!(server.table.key_count(), 0);
    server.check();
}

#[test]
fn adding_again_renews_address_and_life() {
    let mut server = Server::new();
    server.add(KEY, peer(1)).unwrap();
    server.at(60_000);
    let expires = server.now + seconds(120);
    server
        .table
        .add(KEY, peer(1), &[address(9)], expires, at(1), server.now)
        .unwrap();
    server.check();
    server.at(130_000);
    let sample = server.table.sample(KEY, 20, 8192, server.now);
    assert_eq!(
        sample,
        [Provider {
            peer: peer(1),
            addresses: vec![address(9)],
            expires
        }]
    );
    assert_eq!(server.table.len(), 1);
    assert_eq!(
        server
            .table
            .keys_of(&peer(1))
            .map(|(key, _)| key)
            .collect::<Vec<_>>(),
        [KEY]
    );
    assert_eq!(server.table.keys_of(&peer(2)).count(), 0);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut server = Server::new();
    let now = server.now;
    assert_eq!(server.add(b"", peer(1)), Err(ProviderError::Key(0)));
    assert_eq!(server.add(&[1; 81], peer(1)), Err(ProviderError::Key(81)));
    assert_eq!(server.add(&[1; 80], peer(1)), Ok(()));
    assert_eq!(
        server.add_until(KEY, peer(1), now),
        Err(ProviderError::Expired)
    );
}

#[test]
fn newcomers_and_veterans_are_both_in_a_sample() {
    let mut server = Server::new();
    for n in 0..100 {
        server.add(KEY, id(n)).unwrap();
    }
    // The last ten are in every sample; the others in some.
    let mut seen = HashSet::new();
    for _ in 0..60 {
        let sample: HashSet<PeerId> = server.sample(20).into_iter().collect();
        assert_eq!(sample.len(), 20);
        assert!((90..100).all(|n| sample.contains(&id(n))));
        seen.extend(sample);
    }
    assert!(seen.len() > 95, "{}", seen.len());
}

/// Twenty throw-away identities hide everybody else in stock kad.
#[test]
fn a_crowd_that_announces_itself_without_pause_hides_nobody() {
    let mut server = Server::new();
    server.add(KEY, peer(1)).unwrap();
    for _ in 0..10 {
        for n in 0..60 {
            server.add(KEY, id(n)).unwrap();
        }
    }
    let found = (0..100)
        .filter(|_| server.sample(20).contains(&peer(1)))
        .count();
    assert!(found > 5, "{found}");
}

#[test]
fn a_small_topic_is_answered_whole() {
    let mut server = Server::new();
    for n in 0..20 {
        server.add(KEY, id(n)).unwrap();
    }
    let sample: HashSet<PeerId> = server.sample(20).into_iter().collect();
    assert_eq!(sample.len(), 20);
    assert!(server.sample(0).is_empty());
    assert_eq!(server.sample(1).len(), 1);
    assert!(
        server
            .table
            .sample(b"other", 20, 8192, server.now)
            .is_empty()
    );
}

#[test]
fn a_sample_keeps_to_its_bytes() {
    let mut server = Server::new();
    for n in 0..200 {
        let addresses: Vec<Multiaddr> = (0..8).map(address).collect();
        let expires = server.now + seconds(120);
        server
            .table
            .add(KEY, peer(n), &addresses, expires, at(n as u8), server.now)
            .unwrap();
    }
    for bytes_max in [0, 100, 200, 1000, 8192] {
        let sample = server.table.sample(KEY, 200, bytes_max, server.now);
        let bytes: usize = sample.iter().map(encoded_bytes).sum();
        assert!(bytes <= bytes_max);
        assert!(bytes + 200 > bytes_max, "{bytes} of {bytes_max}");
    }
}

#[test]
fn where_bytes_are_short_newcomers_and_veterans_share_them() {
    let mut server = Server::new();
    for n in 0..300 {
        server.add(KEY, id(n)).unwrap();
    }
    let sample = server.table.sample(KEY, 200, 700, server.now);
    let fresh: HashSet<PeerId> = (200..300).map(id).collect();
    let newcomers = sample
        .iter()
        .filter(|provider| fresh.contains(&provider.peer))
        .count();
    assert!(sample.len() >= 10, "{}", sample.len());
    assert!(newcomers >= sample.len() / 2, "{newcomers}");
    assert!(newcomers < sample.len(), "{newcomers}");
}

#[test]
fn addresses_are_bounded_in_number_and_bytes() {
    let mut server = Server::new();
    let name = vec!["x".repeat(62); 4].join(".");
    let long = |n: usize| -> Multiaddr {
        let sni = "x".repeat(50);
        format!("/dns4/{name}/tcp/{}/tls/sni/{sni}/ws", n + 1)
            .parse()
            .unwrap()
    };
    let expires = server.now + seconds(120);
    let mut add = |addresses: &[Multiaddr]| {
        server
            .table
            .add(KEY, peer(1), addresses, expires, at(1), server.now)
            .unwrap();
        server
            .table
            .sample(KEY, 1, usize::MAX, server.now)
            .remove(0)
            .addresses
    };
    let many: Vec<Multiaddr> = (0..50).map(address).collect();
    assert_eq!(add(&many), many[..8]);
    let kept = add(&(0..50).map(long).collect::<Vec<_>>());
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().map(Multiaddr::len).sum::<usize>() <= PROVIDER_ADDRESS_BYTES_MAX);
    let nobodys: Vec<Multiaddr> = ["/memory/7", "/ip4/192.0.2.1/tcp/1/x-parity-ws/%2Fa"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    assert_eq!(add(&[&nobodys[..], &many[..1]].concat()), many[..1]);
    assert_eq!(add(&nobodys), []);
    assert_eq!(add(&[]), []);
}

#[test]
fn one_peer_does_not_fill_the_table() {
    let mut server = Server::with(ProviderConfig {
        per_peer_max: 2,
        ..ProviderConfig::default()
    });
    for n in 1..=2 {
        server.add(&[n], peer(1)).unwrap();
    }
    assert_eq!(
        server.add(&[3], peer(1)),
        Err(ProviderError::TooManyKeys(2))
    );
    assert_eq!(server.add(&[2], peer(1)), Ok(()), "a renewal");
    assert_eq!(server.add(&[3], peer(2)), Ok(()));
    server.table.remove(&[1], &peer(1));
    assert_eq!(server.add(&[3], peer(1)), Ok(()));
    // What has expired does not count.
    server.at(120_000);
    assert_eq!(server.add(&[4], peer(1)), Ok(()));
}

#[test]
fn the_estimate_of_a_providers_bytes_is_never_too_small() {
    // A protobuf field of up to 127 bytes takes two more, one of up to 16 383 three.
    let addresses: Vec<Multiaddr> = (0..8).map(address).collect();
    let provider = Provider {
        peer: peer(1),
        addresses,
        expires: start(),
    };
    let exact: usize = 2
        + peer(1).to_bytes().len()
        + provider
            .addresses
            .iter()
            .map(|a| 2 + a.len())
            .sum::<usize>()
        + 2;
    assert!(encoded_bytes(&provider) >= exact + 3);
}

proptest! {
    #[test]
    fn the_bounds_hold_whatever_arrives(
        inputs in prop::collection::vec((0_u8..8, 0_u32..8, 0_u64..100, 0_u64..40, any::<bool>()), 0..150)
    ) {
        let config = ProviderConfig { per_key_max: 4, per_peer_max: 3, total_max: 10 };
        let mut server = Server::with(config);
        let mut now = 0;
        for (key, peer, life, pause, remove) in inputs {
            now += pause;
            server.at(now * 1000);
            if remove {
                let was_there = server.table.contains(&[key], &id(peer));
                prop_assert_eq!(server.table.remove(&[key], &id(peer)), was_there);
            } else {
                let expires = server.now + Duration::from_secs(life);
                match server.add_until(&[key], id(peer), expires) {
                    Ok(()) => prop_assert!(server.table.contains(&[key], &id(peer))),
                    Err(ProviderError::Expired) => prop_assert_eq!(life, 0),
                    Err(ProviderError::TooManyKeys(keys)) => prop_assert_eq!(keys, 3),
                    Err(ProviderError::Full) => prop_assert!(server.table.len() >= 4),
                    Err(error) => prop_assert!(false, "{}", error),
                }
            }
            server.table.sweep(server.now);
            server.check();
            prop_assert!(server.table.poll_timeout().is_none_or(|deadline| deadline > server.now));
            let sample = server.table.sample(&[key], 3, 8192, server.now);
            let peers: HashSet<PeerId> = sample.iter().map(|provider| provider.peer).collect();
            prop_assert!(sample.len() <= 3 && peers.len() == sample.len());
        }
    }
}
