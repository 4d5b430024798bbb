//! Rooms in a network that loses connections, from seeds. `SEED=7 cargo test -p moim-room --test network` tries one
//! seed alone.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "it is a test"
)]

use std::{
    collections::BTreeSet,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use moim_protocol::limits::{FULL_MESH_MAX, PRESENCE_TTL};

use self::{happening::Deed, net::Net};

mod happening;
mod net;
mod node;
mod rooms;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Tries a scenario with each of these seeds, and says with which it fails.
fn each(seeds: Range<u64>, scenario: impl Fn(u64)) {
    let only: Option<u64> = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in only.map_or(seeds, |seed| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            eprintln!("it failed with SEED={seed}");
            resume_unwind(panic);
        }
    }
}

/// Everybody joins within these seconds.
fn joined(seed: u64, nodes: usize, within: u64) -> Net {
    let mut net = Net::new(seed, nodes);
    for node in 0..nodes {
        let time = net.between(Duration::ZERO, seconds(within));
        net.at(time, node, Deed::Join);
    }
    net
}

/// Everybody in the room lists everybody else in it.
#[track_caller]
fn assert_all_listed(net: &Net) {
    let present = net.present();
    for node in &present {
        let others: BTreeSet<_> = present.iter().copied().filter(|it| it != node).collect();
        assert_eq!(net.listed(*node), others, "by {node} at {:?}", net.time);
    }
}

/// Nobody is listed any more who has ended so long ago.
#[track_caller]
fn assert_none_listed_after(net: &Net, life: Duration) {
    for node in net.present() {
        for other in net.listed(node) {
            let ended = net.nodes[other].ended;
            let is_over = ended.is_some_and(|ended| net.time > ended + life);
            assert!(
                !is_over,
                "{other} by {node} at {:?}, ended {ended:?}",
                net.time
            );
        }
    }
}

/// Whoever was in the room from `since` on has heard all that was said from then on, each message once and in order.
#[track_caller]
fn assert_all_heard(net: &Net, since: Duration) {
    for author in &net.nodes {
        let said = author.said.iter();
        let said: Vec<_> = said
            .filter(|(_, at)| *at >= since)
            .map(|(id, _)| *id)
            .collect();
        for node in net.present() {
            let hearer = &net.nodes[node];
            if hearer.peer != author.peer && hearer.joined.is_some_and(|joined| joined <= since) {
                let heard = hearer.heard.get(&author.peer);
                let heard = heard.map_or(&[][..], Vec::as_slice).iter();
                let heard: Vec<_> = heard.filter(|id| said.contains(id)).copied().collect();
                assert_eq!(heard, said, "by {node}");
            }
        }
    }
}

#[test]
fn all_find_each_other() {
    each(0..150, |seed| {
        let nodes = 2 + usize::try_from(seed % 7).unwrap();
        let mut net = joined(seed, nodes, 5);
        net.run_until(seconds(15));
        assert_all_listed(&net);
        for node in 0..nodes {
            assert_eq!(net.connections(node), nodes - 1);
        }
    });
}

#[test]
fn without_gossip_all_find_each_other_and_hear_everything() {
    each(0..30, |seed| {
        let nodes = 2 + usize::try_from(seed % 5).unwrap();
        let mut net = joined(seed, nodes, 3);
        net.has_gossip = false;
        net.run_until(seconds(15));
        assert_all_listed(&net);
        for _ in 0..20 {
            let (time, node) = (net.between(seconds(15), seconds(25)), net.one_of(nodes));
            net.at(time, node, Deed::Say);
        }
        net.run_until(seconds(40));
        assert_all_heard(&net, seconds(15));
    });
}

#[test]
fn who_is_connected_to_one_finds_the_others_without_a_dht() {
    each(0..30, |seed| {
        let nodes = 3 + usize::try_from(seed % 5).unwrap();
        let mut net = joined(seed, nodes, 1);
        net.has_dht = false;
        net.run_until(seconds(1));
        for node in 1..nodes {
            net.connect(node, net.one_of(node));
        }
        net.run_until(seconds(60));
        assert_all_listed(&net);
    });
}

#[test]
fn every_message_is_heard_once_and_in_order_whatever_connections_do() {
    each(0..100, |seed| {
        let nodes = 3 + usize::try_from(seed % 4).unwrap();
        let mut net = joined(seed, nodes, 2);
        net.run_until(seconds(10));
        assert_all_listed(&net);
        // The first words of somebody who has been there for a while are shown as they come; those of a newcomer are
        // put in order too.
        for node in 0..nodes {
            net.at(seconds(10), node, Deed::Say);
        }
        let (from, to) = (seconds(12), seconds(30));
        for _ in 0..40 {
            let (time, node) = (net.between(from, to), net.one_of(nodes));
            net.at(time, node, Deed::Say);
        }
        for _ in 0..12 {
            let (time, node) = (net.between(from, to), net.one_of(nodes));
            net.at(time, node, Deed::BreakConnection);
        }
        net.run_until(seconds(40));
        assert_all_listed(&net);
        assert_all_heard(&net, seconds(10));
    });
}

#[test]
fn farewells_are_heard() {
    each(0..100, |seed| {
        let nodes = 4 + usize::try_from(seed % 5).unwrap();
        let mut net = joined(seed, nodes, 5);
        // One leaves beside a newcomer, the others when all know each other.
        for node in 1..nodes / 2 {
            let time = net.between(seconds(6), seconds(12));
            net.at(time, node, Deed::Leave);
        }
        for second in 5..20 {
            net.run_until(seconds(second));
            assert_none_listed_after(&net, seconds(3));
        }
        assert!((1..nodes / 2).all(|node| net.nodes[node].has_left));
        assert_all_listed(&net);
    });
}

#[test]
fn who_dies_is_off_the_list_when_it_cannot_be_reached() {
    each(0..50, |seed| {
        let nodes = 4 + usize::try_from(seed % 5).unwrap();
        let mut net = joined(seed, nodes, 5);
        for node in 0..nodes / 3 {
            net.at(seconds(15), node, Deed::Die);
        }
        net.run_until(seconds(45));
        assert_all_listed(&net);
    });
}

/// In a large room most members have no connection to it, and learn of it from those that had one.
#[test]
fn who_dies_in_a_large_room_is_off_all_lists_soon() {
    each(0..3, |seed| {
        let nodes = 60;
        let mut net = joined(seed, nodes, 5);
        net.run_until(seconds(40));
        assert_all_listed(&net);
        assert!((0..nodes).all(|node| net.connections(node) < nodes / 2 + FULL_MESH_MAX));
        for node in 0..3 {
            net.at(seconds(60), node, Deed::Die);
        }
        net.run_until(seconds(85));
        assert_none_listed_after(&net, seconds(20));
        assert_all_listed(&net);
    });
}

#[test]
fn nobody_is_listed_for_longer_than_its_presence_lives() {
    each(0..24, |seed| {
        let nodes = 6;
        let mut net = joined(seed, nodes, 20);
        for node in 0..3 {
            // Nobody may have met it, or all may have.
            let joined = net.between(seconds(1), seconds(15));
            let deed = [Deed::Die, Deed::Leave, Deed::Die][node];
            net.at(seconds(20) + joined, node, deed);
        }
        let slack = seconds(2);
        for second in (30..170).step_by(5) {
            net.run_until(seconds(second));
            assert_none_listed_after(&net, PRESENCE_TTL + slack);
        }
        assert_all_listed(&net);
    });
}

#[test]
fn a_network_that_fell_into_parts_becomes_one_room_again() {
    each(0..30, |seed| {
        let nodes = 4 + usize::try_from(seed % 5).unwrap();
        let mut net = joined(seed, nodes, 5);
        net.run_until(seconds(15));
        assert_all_listed(&net);
        net.split(Some(nodes / 2));
        // Some are apart for so long that their presences end, and some are not even lost.
        let apart = net.between(seconds(3), seconds(180));
        net.run_until(seconds(15) + apart);
        net.split(None);
        let one_again = net.time;
        net.run_until(one_again + seconds(35));
        assert_all_listed(&net);
        for node in 0..nodes {
            net.at(net.time, node, Deed::Say);
        }
        let since = net.time;
        net.run_until(since + seconds(5));
        assert_all_heard(&net, since);
    });
}

#[test]
fn a_newcomer_hears_everything_from_then_on() {
    each(0..50, |seed| {
        let nodes = 4 + usize::try_from(seed % 3).unwrap();
        let mut net = Net::new(seed, nodes);
        let newcomer = nodes - 1;
        for node in 0..newcomer {
            net.at(Duration::ZERO, node, Deed::Join);
        }
        net.at(seconds(20), newcomer, Deed::Join);
        for _ in 0..60 {
            let (time, node) = (net.between(seconds(10), seconds(35)), net.one_of(newcomer));
            net.at(time, node, Deed::Say);
        }
        net.run_until(seconds(45));
        let (settled, joined) = (seconds(23), seconds(20));
        for author in &net.nodes {
            let heard = net.nodes[newcomer].heard.get(&author.peer);
            let heard = heard.map_or(&[][..], Vec::as_slice);
            for (id, at) in &author.said {
                let times = heard.iter().filter(|heard| *heard == id).count();
                assert!(
                    times == 1 || (times == 0 && *at < settled),
                    "{at:?} {times} times"
                );
                // What was said a moment before may be on its way still.
                assert!(times == 0 || *at > joined - seconds(1), "{at:?} was before");
            }
        }
    });
}

#[test]
fn in_a_large_room_everybody_is_listed_and_neighbours_are_connected() {
    each(0..1, |seed| {
        let nodes = 48;
        let mut net = joined(seed, nodes, 10);
        net.run_until(seconds(30));
        assert_all_listed(&net);
        for node in 0..10 {
            net.at(seconds(31), node, Deed::Say);
        }
        net.run_until(seconds(40));
        assert_all_heard(&net, seconds(30));
        let connections: usize = (0..nodes).map(|node| net.connections(node)).sum();
        assert!(connections / nodes >= FULL_MESH_MAX / 2);
    });
}
