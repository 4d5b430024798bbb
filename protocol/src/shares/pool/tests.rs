use std::{collections::BTreeMap, net::IpAddr};

use proptest::prelude::*;

use super::*;
use crate::shares::Whence;

fn source(ip: impl Into<IpAddr>) -> Whence {
    Whence::Network(ip.into().into())
}

fn origin_at(ip: &str, peer: u16) -> Origin {
    let ip: IpAddr = ip.parse().unwrap();
    Origin::new(7, source(ip), &crate::testing::peer(peer))
}

fn loose(origin: Origin) -> Putter {
    Putter {
        origin,
        is_held: false,
    }
}

fn held(origin: Origin) -> Putter {
    Putter {
        origin,
        is_held: true,
    }
}

/// A pool of things, as its user keeps them.
struct Table {
    pool: Pool,
    things: BTreeMap<u32, (Place, Putter, usize, u64)>,
    next: u32,
}

impl Table {
    fn new(max: usize) -> Self {
        Self {
            pool: Pool::new(max),
            things: BTreeMap::new(),
            next: 0,
        }
    }

    /// Puts a thing, and says which one it is and which gave way.
    fn put(&mut self, putter: Putter, cost: usize, end: u64) -> Result<(u32, Vec<u32>), Full> {
        let mut gone = Vec::new();
        while let Some(thing) = self.pool.gives_way(putter, cost, end)? {
            self.remove(thing);
            gone.push(thing);
        }
        let thing = self.next;
        self.next += 1;
        let place = self.pool.add(thing, putter, cost, end);
        self.things.insert(thing, (place, putter, cost, end));
        self.check();
        Ok((thing, gone))
    }

    fn remove(&mut self, thing: u32) {
        let (place, _, cost, end) = self.things.remove(&thing).unwrap();
        self.pool.remove(thing, place, cost, end);
        self.check();
    }

    fn of(&self, origin: Origin) -> usize {
        let things = self.things.values();
        things.filter(|(_, it, ..)| it.origin == origin).count()
    }

    /// What must hold after every input.
    fn check(&self) {
        let mut places = (0, 0);
        for (thing, (place, putter, ..)) in &self.things {
            assert_eq!(self.pool.putter(*place).unwrap().origin, putter.origin);
            if place.is_held {
                places.0 += 1;
                assert!(self.pool.held_of(putter.origin).contains(thing));
            } else {
                places.1 += 1;
            }
        }
        for (shares, is_held, count) in [
            (&self.pool.held, true, places.0),
            (&self.pool.loose, false, places.1),
        ] {
            let here = || {
                let things = self.things.values();
                things.filter(move |(place, ..)| place.is_held == is_held)
            };
            let mut sums: [BTreeMap<u64, usize>; 3] = Default::default();
            for (_, putter, cost, _) in here() {
                let Origin {
                    site,
                    network,
                    peer,
                    ..
                } = putter.origin;
                for (sums, part) in sums.iter_mut().zip([site, network, peer]) {
                    *sums.entry(part).or_default() += cost;
                }
            }
            assert_eq!(
                shares.cost,
                here().map(|(_, _, cost, _)| cost).sum::<usize>()
            );
            assert_eq!(shares.things.len(), count);
            let sites: BTreeMap<_, _> = shares.sites.iter().map(|(k, v)| (*k, *v)).collect();
            assert_eq!(sites, sums[0]);
            let networks: BTreeMap<_, _> = shares.networks.iter().map(|(k, v)| (*k, *v)).collect();
            assert_eq!(networks, sums[1]);
            let leaves = shares.leaves.iter().flatten();
            let leaves: BTreeMap<_, _> = leaves.map(|it| (it.origin.peer, it.cost)).collect();
            assert_eq!(leaves, sums[2]);
            assert_eq!(shares.by_site.len(), sums[0].len());
            assert_eq!(shares.by_network.len(), sums[1].len());
            assert_eq!(shares.by_leaf.len(), sums[2].len());
            assert_eq!(shares.by_origin.len(), sums[2].len());
        }
        assert!(self.pool.cost() <= self.pool.max);
    }
}

#[test]
fn whoever_has_most_gives_way_with_what_would_live_longest() {
    let mut table = Table::new(10);
    let (flood, honest) = (origin_at("192.0.2.1", 1), origin_at("192.0.2.2", 2));
    let kept: Vec<_> = (0..10)
        .map(|end| table.put(loose(flood), 1, 100 + end).unwrap().0)
        .collect();
    let (_, gone) = table.put(loose(honest), 1, 1_000).unwrap();
    assert_eq!(gone, [kept[9]]);
    for end in 0..4 {
        table.put(loose(honest), 1, end).unwrap();
    }
    assert_eq!((table.of(flood), table.of(honest)), (5, 5));
    // Both have as much: neither takes anything of the other, but of its own what lives longer.
    assert_eq!(table.put(loose(honest), 1, 2_000), Err(Full));
    table.put(loose(honest), 1, 7).unwrap();
    assert_eq!((table.of(flood), table.of(honest)), (5, 5));
}

#[test]
fn many_networks_of_one_site_are_one_and_so_are_many_peers_of_one_network() {
    let mut table = Table::new(100);
    let honest = origin_at("2001:db8:1::1", 999);
    for n in 0..200_u16 {
        // All of one /48.
        let flood = origin_at(&format!("2001:db8:2:{n:x}::1"), n);
        let _ = table.put(loose(flood), 1, 10);
    }
    assert_eq!(table.things.len(), 100);
    for _ in 0..50 {
        table.put(loose(honest), 1, 10).unwrap();
    }
    assert_eq!(table.of(honest), 50);

    // Behind one address, who came with one connection for everything has less than those with one each.
    let mut table = Table::new(100);
    let flood = origin_at("192.0.2.1", 0);
    for _ in 0..100 {
        table.put(loose(flood), 1, 10).unwrap();
    }
    for peer in 1..=50 {
        table
            .put(loose(origin_at("192.0.2.1", peer)), 1, 10)
            .unwrap();
    }
    assert_eq!(table.of(flood), 50);
}

#[test]
fn what_is_held_gives_way_to_nothing_that_is_not() {
    let mut table = Table::new(100);
    let school: Vec<_> = (0..20).map(|n| origin_at("192.0.2.1", n)).collect();
    for peer in &school {
        table.put(held(*peer), 1, 10).unwrap();
    }
    for site in 0..=255 {
        for _ in 0..3 {
            let _ = table.put(loose(origin_at(&format!("198.51.100.{site}"), 1)), 1, 1);
        }
    }
    assert!(school.iter().all(|peer| table.of(*peer) == 1));
    // And one more that is connected finds room.
    let newcomer = origin_at("203.0.113.1", 1);
    table.put(held(newcomer), 1, 10).unwrap();
    assert_eq!(table.of(newcomer), 1);
}

#[test]
fn connections_alone_hold_a_quarter_and_one_of_them_a_part_of_that() {
    let mut table = Table::new(256);
    let crowd: Vec<_> = (0..200).map(|n| origin_at("192.0.2.1", n)).collect();
    for peer in &crowd {
        for end in 0..2 {
            let _ = table.put(held(*peer), 1, end);
        }
    }
    let count = |table: &Table| table.things.values().filter(|(it, ..)| it.is_held).count();
    assert_eq!(count(&table), 256 / SITE_PART);
    // One connection.
    let mut table = Table::new(256);
    for end in 0..200 {
        table.put(held(crowd[0]), 1, end).unwrap();
    }
    assert_eq!(count(&table), 256 / PEER_PART);
    // Everybody may come by a proxy on this machine, or by no address at all.
    let mut table = Table::new(256);
    for n in 0..200 {
        table.put(held(origin_at("127.0.0.1", n)), 1, 10).unwrap();
    }
    assert_eq!(count(&table), 256 - 256 / LOOSE_PART);
}

#[test]
fn where_all_are_connected_the_largest_gives_way_to_the_next() {
    let mut table = Table::new(16);
    for n in 0..16 {
        table.put(held(origin_at("127.0.0.1", n)), 1, 10).unwrap();
    }
    let newcomer = origin_at("192.0.2.1", 1);
    table.put(held(newcomer), 1, 10).unwrap();
    assert_eq!(table.of(newcomer), 1);
    // And to one that is not, of what isn't held.
    let stranger = origin_at("192.0.2.2", 1);
    table.put(loose(stranger), 1, 1).unwrap();
    assert_eq!((table.of(newcomer), table.of(stranger)), (1, 1));
}

#[test]
fn origins_differ_by_way_and_server_and_a_mapped_address_is_the_address() {
    let peer = crate::testing::peer(1);
    let relay = crate::testing::peer(2);
    assert_eq!(origin_at("::ffff:192.0.2.1", 1), origin_at("192.0.2.1", 1));
    let ways = [
        source([192, 0, 2, 1]),
        source([192, 0, 2, 2]),
        Whence::Relayed(None),
        Whence::Relayed(Some(relay)),
        Whence::Here,
        Whence::Earlier,
    ];
    let mut peers: Vec<_> = ways.map(|way| Origin::new(7, way, &peer).peer).to_vec();
    peers.sort_unstable();
    peers.dedup();
    assert_eq!(peers.len(), ways.len());
    let relayed = [None, Some(relay)].map(|it| Origin::new(7, Whence::Relayed(it), &peer).site);
    assert_eq!(relayed[0], relayed[1]);
    for way in ways {
        let origin = Origin::new(7, way, &peer);
        assert_eq!(Origin::from_bytes(&origin.to_bytes()), Some(origin));
    }
    // As long as a peer id, which is what older stores have in its place.
    assert_eq!(Origin::from_bytes(&peer.to_bytes()), None);
    let (one, other) = (7, 8);
    assert_ne!(
        Origin::new(one, ways[0], &peer),
        Origin::new(other, ways[0], &peer)
    );
}

proptest! {
    /// Whatever is put and removed, what is counted is what is there, and nothing is put into a full pool
    /// at the cost of somebody who has less.
    #[test]
    fn shares_are_what_things_cost(
        steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u16..3, 1_usize..40, 0_u64..50, any::<bool>()), 1..200)
    ) {
        let mut table = Table::new(200);
        for (kind, site, peer, cost, end, is_held) in steps {
            let origin = origin_at(&format!("2001:db8:{site}:{peer}::"), peer);
            if kind == 0 {
                let some = table.things.keys().nth(end as usize % table.things.len().max(1)).copied();
                if let Some(thing) = some {
                    table.remove(thing);
                }
                continue;
            }
            let before = table.things.clone();
            let putter = Putter { origin, is_held };
            match table.put(putter, cost, end) {
                Ok((_, gone)) => {
                    let costs = |site| -> usize {
                        let all = before.values().filter(|(it, ..)| !it.is_held);
                        all.filter(|(_, it, ..)| it.origin.site == site).map(|(_, _, cost, _)| cost).sum()
                    };
                    for thing in gone {
                        let (place, victim, ..) = before[&thing];
                        prop_assert!(!place.is_held || is_held);
                        if !is_held && victim.origin.site != origin.site {
                            prop_assert!(costs(victim.origin.site) > costs(origin.site));
                        }
                    }
                }
                Err(Full) => prop_assert!(table.pool.cost() + cost > 200),
            }
        }
        for thing in table.things.keys().copied().collect::<Vec<_>>() {
            table.remove(thing);
        }
        prop_assert!(table.pool.loose.sites.is_empty() && table.pool.held.by_leaf.is_empty());
    }
}
