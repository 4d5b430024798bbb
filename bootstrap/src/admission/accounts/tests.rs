use std::time::Duration;

use proptest::prelude::*;

use super::*;

const CAPACITY: Capacity = Capacity {
    pending: 40,
    inbound: 80,
    pending_outbound: 4,
    outbound: 6,
    per_peer: 3,
    source_pending: 10,
    source_inbound: 20,
    http: 0,
    source_http: 0,
    turn: crate::admission::capacity::TurnFiles {
        allocations: 0,
        connections: 0,
    },
};

const CARRIERS: [Carrier; 4] = [
    Carrier::Tcp,
    Carrier::WebSocket,
    Carrier::Quic,
    Carrier::WebRtc,
];

fn ip(n: u8) -> Option<IpAddr> {
    Some([192, 0, 2, n].into())
}

fn id(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

fn inbound(ip: Option<IpAddr>) -> Connection {
    Connection {
        peer: PeerId::random(),
        ip,
        is_inbound: true,
    }
}

/// A whole connection.
fn connect(
    accounts: &mut Accounts,
    number: usize,
    connection: Connection,
    now: Instant,
) -> Result<(), Reason> {
    accounts.begin_inbound(id(number), connection.ip, Carrier::Tcp, now)?;
    accounts.check(id(number), &connection, false)?;
    accounts.establish(id(number), connection);
    Ok(())
}

#[test]
fn one_address_has_its_part_and_leaves_the_rest() {
    let now = Instant::now();
    let mut accounts = Accounts::new(CAPACITY, false);
    for number in 0..20 {
        connect(&mut accounts, number, inbound(ip(1)), now).unwrap();
    }
    let refused = connect(&mut accounts, 20, inbound(ip(1)), now);
    assert_eq!(refused, Err(Reason::SourceConnections));
    connect(&mut accounts, 21, inbound(ip(2)), now).unwrap();
    accounts.end(id(0));
    connect(&mut accounts, 22, inbound(ip(1)), now).unwrap();
}

#[test]
fn silent_connections_of_one_address_leave_room_for_others() {
    let now = Instant::now();
    let mut accounts = Accounts::new(CAPACITY, false);
    for number in 0..10 {
        accounts
            .begin_inbound(id(number), ip(1), Carrier::Tcp, now)
            .unwrap();
    }
    let refused = accounts.begin_inbound(id(10), ip(1), Carrier::Tcp, now);
    assert_eq!(refused, Err(Reason::SourcePending));
    connect(&mut accounts, 11, inbound(ip(2)), now).unwrap();
    accounts.end(id(0));
    accounts
        .begin_inbound(id(12), ip(1), Carrier::Tcp, now)
        .unwrap();
}

#[test]
fn what_one_transport_carries_is_no_other_ones_loss() {
    let now = Instant::now();
    for full in CARRIERS {
        let mut accounts = Accounts::new(CAPACITY, false);
        // By many sources, as they can be made up for QUIC.
        for number in 0..CAPACITY.pending as usize {
            let source = ip(number as u8 / 10);
            accounts
                .begin_inbound(id(number), source, full, now)
                .unwrap();
        }
        let (newcomer, mut number) = (ip(200), 1_000);
        for carrier in CARRIERS {
            let begun = accounts.begin_inbound(id(number), newcomer, carrier, now);
            let expected = if carrier == full {
                Err(Reason::Pending)
            } else {
                Ok(())
            };
            assert_eq!(begun, expected, "{full:?}, {carrier:?}");
            number += 1;
        }
        // Nor is it of the one in whose name it was.
        for carrier in CARRIERS.into_iter().filter(|carrier| *carrier != full) {
            accounts
                .begin_inbound(id(number), ip(0), carrier, now)
                .unwrap();
            number += 1;
        }
    }
}

#[test]
fn who_is_impersonated_by_one_transport_may_still_come_by_the_others() {
    let now = Instant::now();
    let mut accounts = Accounts::new(CAPACITY, false);
    let mut connect = |carrier| {
        let begun = accounts.begin_inbound(id(1), ip(1), carrier, now);
        accounts.end(id(1));
        begun
    };
    let burst = limits::SOURCE_CONNECTION_RATE.burst;
    assert!((0..burst).all(|_| connect(Carrier::Quic).is_ok()));
    assert_eq!(connect(Carrier::Quic), Err(Reason::SourceRate));
    assert_eq!(connect(Carrier::Tcp), Ok(()));
}

#[test]
fn a_source_connects_no_faster_than_its_rate() {
    let start = Instant::now();
    let mut accounts = Accounts::new(CAPACITY, false);
    let rate = limits::SOURCE_CONNECTION_RATE;
    let mut attempts = |now, tries: u32| {
        let mut made = 0;
        for _ in 0..tries {
            let result = accounts.begin_inbound(id(1), ip(1), Carrier::Tcp, now);
            made += u32::from(result.is_ok());
            accounts.end(id(1));
        }
        made
    };
    assert_eq!(attempts(start, 1_000), rate.burst);
    assert_eq!(
        attempts(start + Duration::from_secs(1), 1_000),
        rate.per_second
    );
}

#[test]
fn this_machine_is_bounded_only_when_told_so_and_then_like_others() {
    let now = Instant::now();
    let here = Some([127, 0, 0, 66].into());
    for (limit_loopback, expected) in [(false, 40), (true, 10)] {
        let mut accounts = Accounts::new(CAPACITY, limit_loopback);
        let made = (0..100).filter(|n| {
            accounts
                .begin_inbound(id(*n), here, Carrier::Tcp, now)
                .is_ok()
        });
        assert_eq!(made.count(), expected);
    }
}

#[test]
fn a_peer_has_a_few_connections_and_the_node_has_its_own_left_in_a_crowd() {
    let now = Instant::now();
    let mut accounts = Accounts::new(CAPACITY, false);
    let one = inbound(ip(1));
    for number in 0..3 {
        connect(&mut accounts, number, one, now).unwrap();
    }
    assert_eq!(connect(&mut accounts, 3, one, now), Err(Reason::Peer));
    for number in 4..81 {
        connect(&mut accounts, number, inbound(ip(number as u8)), now).unwrap();
    }
    let refused = connect(&mut accounts, 81, inbound(ip(200)), now);
    assert_eq!(refused, Err(Reason::Connections));
    accounts.begin_outbound(id(100)).unwrap();
    let ours = Connection {
        is_inbound: false,
        ..inbound(ip(201))
    };
    accounts.check(id(100), &ours, false).unwrap();
}

proptest! {
    /// Whatever comes and goes in whatever order, no bound is passed, and at the end nothing is left.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0_u8..4, 0_usize..60, 1_u8..5, 0_usize..4), 1..500)) {
        let now = Instant::now();
        let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        let mut accounts = Accounts::new(CAPACITY, false);
        for (step, number, source, carrier) in steps {
            let connection = Connection {
                peer: peers[usize::from(source)],
                ip: ip(source),
                is_inbound: true,
            };
            match step {
                0 if !accounts.pending.contains_key(&id(number))
                    && !accounts.connections.contains_key(&id(number)) =>
                {
                    let _ = accounts.begin_inbound(id(number), ip(source), CARRIERS[carrier], now);
                }
                1 if accounts.pending.contains_key(&id(number)) => {
                    if accounts.check(id(number), &connection, false).is_ok() {
                        accounts.establish(id(number), connection);
                    }
                }
                _ => accounts.end(id(number)),
            }
            prop_assert!(accounts.pending_sources.values().all(|n| (1..=CAPACITY.source_pending).contains(n)));
            prop_assert!(accounts.pending_carriers.values().all(|n| (1..=CAPACITY.pending).contains(n)));
            prop_assert!(accounts.sources.values().all(|n| (1..=CAPACITY.source_inbound).contains(n)));
            let pending: u32 = accounts.pending_carriers.values().sum();
            prop_assert_eq!(pending as usize, accounts.pending.len());
            let inbound: u32 = accounts.sources.values().sum();
            prop_assert_eq!(inbound, accounts.inbound);
            prop_assert!(accounts.peers.values().all(|count| (1..=3).contains(count)));
        }
        for number in 0..60 {
            accounts.end(id(number));
        }
        prop_assert!(accounts.sources.is_empty() && accounts.peers.is_empty());
        prop_assert!(accounts.pending.is_empty() && accounts.connections.is_empty());
        prop_assert!(accounts.pending_sources.is_empty() && accounts.pending_carriers.is_empty());
        prop_assert_eq!(accounts.inbound, 0);
    }
}
