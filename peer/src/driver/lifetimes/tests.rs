use libp2p::Multiaddr;

use super::*;
use crate::{
    driver::connections::Abilities,
    platform,
    snapshot::{DirectTransport, Path},
};

const DIRECT: Path = Path::Direct(DirectTransport::Tcp);

/// What a test needs connections for.
#[derive(Default)]
struct Wishes {
    bootstrap_nodes: HashSet<PeerId>,
    wanted: HashSet<PeerId>,
    in_use: HashSet<PeerId>,
    busy: HashSet<ConnectionId>,
    members: HashSet<PeerId>,
    /// So many of the members that are connected longest are kept.
    keep: usize,
}

impl Needs for Wishes {
    fn is_bootstrap_node(&self, peer: &PeerId) -> bool {
        self.bootstrap_nodes.contains(peer)
    }

    fn is_wanted(&self, peer: &PeerId) -> bool {
        self.wanted.contains(peer)
    }

    fn is_in_use(&self, peer: &PeerId) -> bool {
        self.in_use.contains(peer)
    }

    fn is_busy(&self, connection: ConnectionId) -> bool {
        self.busy.contains(&connection)
    }

    fn members(&self, connected: &[PeerId]) -> (HashSet<PeerId>, HashSet<PeerId>) {
        let members = connected.iter().filter(|peer| self.members.contains(peer));
        let members: Vec<PeerId> = members.copied().collect();
        let kept = members.iter().take(self.keep).copied().collect();
        (members.into_iter().collect(), kept)
    }
}

/// Connections, what they are needed for, and the machine.
struct Table {
    lifetimes: Lifetimes,
    connections: Connections,
    wishes: Wishes,
    next: usize,
    now: Instant,
}

fn relayed() -> Path {
    let by = PeerId::random();
    Path::Relayed { by }
}

impl Table {
    fn new() -> Self {
        let now = platform::now();
        Self {
            lifetimes: Lifetimes::new(now),
            connections: Connections::default(),
            wishes: Wishes::default(),
            next: 0,
            now,
        }
    }

    fn open(&mut self, peer: PeerId, path: Path, is_ours: bool) -> ConnectionId {
        self.next += 1;
        let id = ConnectionId::new_unchecked(self.next);
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().expect("valid");
        self.connections
            .opened(id, peer, address, path, is_ours, self.now);
        self.lifetimes.opened(peer, &self.connections, self.now);
        id
    }

    fn stranger(&mut self) -> PeerId {
        let peer = PeerId::random();
        self.open(peer, DIRECT, false);
        peer
    }

    fn close(&mut self, id: ConnectionId, peer: &PeerId) {
        self.connections.closed(id);
        self.lifetimes.closed(peer, &self.connections);
    }

    fn after(&mut self, time: Duration) -> Vec<Closing> {
        self.now += time;
        self.lifetimes
            .handle_timeout(&self.connections, &self.wishes, self.now)
    }
}

#[test]
fn the_relayed_connection_stays_until_the_direct_one_has_settled() {
    let mut table = Table::new();
    let start = table.now;
    let (quick, silent) = (PeerId::random(), PeerId::random());
    let through = [quick, silent].map(|peer| table.open(peer, relayed(), false));
    assert_eq!(table.lifetimes.poll_timeout(), None);
    for peer in [quick, silent] {
        table.open(peer, DIRECT, true);
    }
    table.lifetimes.identified(&quick, start);
    // Its addresses have changed: that is no reason to wait longer.
    table.lifetimes.identified(&quick, start + SETTLES / 2);
    assert_eq!(table.after(Duration::ZERO), []);
    assert_eq!(table.lifetimes.poll_timeout(), Some(start + SETTLES));
    assert_eq!(table.after(SETTLES), [Closing::Connection(through[0])]);
    assert_eq!(table.after(Duration::ZERO), [], "once");
    let silent = table.after(SETTLES_MAX - SETTLES);
    assert_eq!(silent, [Closing::Connection(through[1])]);
    assert_eq!(table.lifetimes.poll_timeout(), None);
}

#[test]
fn a_relayed_connection_in_use_stays_until_it_is_free() {
    let mut table = Table::new();
    let peer = PeerId::random();
    let through = table.open(peer, relayed(), false);
    table.open(peer, DIRECT, true);
    table.wishes.busy.insert(through);
    assert_eq!(table.after(SETTLES_MAX), []);
    assert_eq!(table.lifetimes.poll_timeout(), Some(table.now + SETTLES));
    table.wishes.busy.clear();
    assert_eq!(table.after(SETTLES), [Closing::Connection(through)]);
}

#[test]
fn a_direct_connection_that_goes_first_leaves_the_relayed_one() {
    let mut table = Table::new();
    let peer = PeerId::random();
    table.open(peer, relayed(), false);
    let direct = table.open(peer, DIRECT, true);
    table.close(direct, &peer);
    assert_eq!(table.lifetimes.poll_timeout(), None);
    assert_eq!(table.after(SETTLES_MAX), []);
}

#[test]
fn of_members_those_that_nobody_needs_are_closed() {
    let mut table = Table::new();
    let [useless, wanted, used, node, server] = [(); 5].map(|()| table.stranger());
    let members = [useless, wanted, used, node, server];
    table.wishes.members.extend(members);
    table.wishes.wanted.insert(wanted);
    table.wishes.in_use.insert(used);
    table.wishes.bootstrap_nodes.insert(node);
    let serves = Abilities {
        dht_server: true,
        relay: false,
    };
    table.connections.identified(&server, "", serves);
    // No member: left to its own time-out.
    table.stranger();
    assert_eq!(table.after(PRUNE_AGE / 2), [], "young");
    assert_eq!(table.after(PRUNE_AGE / 2), [Closing::Peer(useless)]);
    assert_eq!(table.after(Duration::ZERO), [], "not all the time");
}

#[test]
fn a_room_keeps_those_that_are_connected_longest() {
    let mut table = Table::new();
    let first = table.stranger();
    table.now += Duration::from_secs(1);
    let second = table.stranger();
    table.wishes.members.extend([first, second]);
    table.wishes.keep = 1;
    assert_eq!(table.after(PRUNE_AGE), [Closing::Peer(second)]);
}

#[test]
fn where_many_are_connected_strangers_go_and_so_do_those_who_say_that_they_serve() {
    let mut table = Table::new();
    let strangers: HashSet<PeerId> = (0..=PRUNE_ABOVE).map(|_| table.stranger()).collect();
    let serves = Abilities {
        dht_server: true,
        relay: true,
    };
    let ours = PeerId::random();
    table.open(ours, DIRECT, true);
    for peer in strangers.iter().chain([&ours]) {
        table.connections.identified(peer, "", serves);
    }
    let closed = table.after(PRUNE_AGE).into_iter();
    let closed: HashSet<PeerId> = closed
        .filter_map(|closing| match closing {
            Closing::Peer(peer) => Some(peer),
            Closing::Connection(_) => None,
        })
        .collect();
    assert_eq!(closed, strangers, "we have dialled the other one");
}
