use super::*;
use crate::platform;

const MINUTE: Duration = Duration::from_secs(60);

/// How a node treats whoever dials it.
#[derive(Clone, Copy, Debug)]
enum Node {
    /// It says why, and closes the connection.
    Refuses(Refusal),
    /// It closes the connection at once, without a word.
    Closes,
    /// It introduces itself and closes the connection then.
    ClosesLater,
    /// It takes no connection at all.
    IsAway,
}

fn entry(start: Instant) -> (Entry, PeerId) {
    let node = PeerId::random();
    let address = format!("/ip4/192.0.2.1/tcp/1/p2p/{node}");
    let source = BootstrapSource::Address(address.parse().expect("valid"));
    (Entry::new(vec![source], 7, start), node)
}

fn dial(entry: &mut Entry, now: Instant) -> Option<ConnectionId> {
    let actions = entry.poll(Duration::ZERO, now, |_| false);
    actions.into_iter().find_map(|action| match action {
        Action::Dial(dial) => Some(dial.connection_id()),
        Action::Fetch { .. } => None,
    })
}

/// Dials in `time` from `from` on, each answered within 100 ms.
fn dials(entry: &mut Entry, peer: PeerId, node: Node, from: Instant, time: Duration) -> u32 {
    let mut dials = 0;
    let mut now = from;
    while now < from + time {
        if let Some(id) = dial(entry, now) {
            dials += 1;
            now += Duration::from_millis(50);
            if matches!(node, Node::IsAway) {
                entry.failed(id, Unreached::Refused, now);
                continue;
            }
            assert!(entry.connected(id, peer, now));
            match node {
                Node::Refuses(why) => {
                    assert!(entry.may_turn_away(&peer));
                    entry.turned_away(&peer, why);
                }
                Node::ClosesLater => entry.welcomed(&peer),
                Node::Closes | Node::IsAway => {}
            }
            now += Duration::from_millis(50);
            entry.disconnected(&peer, now);
        }
        let next = entry.poll_timeout().expect("it is tried again");
        now = next.max(now + Duration::from_millis(1));
    }
    dials
}

#[test]
fn whoever_is_turned_away_comes_back_seldom_whatever_the_reason() {
    for (node, hourly) in [
        (Node::Refuses(Refusal::Full), 200),
        (Node::Refuses(Refusal::Blocked), 200),
        (Node::Refuses(Refusal::IdentityInUse), 200),
        (Node::Refuses(Refusal::AddressFull), 200),
        (Node::Refuses(Refusal::Other), 200),
        (Node::Closes, 1_200),
        (Node::ClosesLater, 1_200),
        (Node::IsAway, 1_200),
    ] {
        let start = platform::now();
        let (mut entry, peer) = entry(start);
        let count = dials(&mut entry, peer, node, start, 60 * MINUTE);
        // Four times a second were 14,400.
        assert!((30..hourly).contains(&count), "{node:?}: {count}");
    }
}

/// As where interfaces of containers come and go all the time.
#[test]
fn whoever_is_turned_away_comes_back_seldom_however_often_the_network_changes() {
    let start = platform::now();
    let (mut entry, peer) = entry(start);
    let end = start + 10 * MINUTE;
    let (mut now, mut dials) = (start, 0);
    while now < end {
        entry.network_changed(true, now);
        if let Some(id) = dial(&mut entry, now) {
            dials += 1;
            assert!(entry.connected(id, peer, now));
            entry.turned_away(&peer, Refusal::Full);
            now += Duration::from_millis(50);
            entry.disconnected(&peer, now);
        }
        now += Duration::from_millis(200);
    }
    // Four a second were 2,400.
    let seldom = 10 * MINUTE.as_secs() / limits::TURNED_AWAY_BASE.as_secs();
    assert!((100..=seldom).contains(&dials), "{dials} of {seldom}");
}

#[test]
fn the_reason_is_shown_from_one_attempt_to_the_next() {
    let start = platform::now();
    let (mut entry, peer) = entry(start);
    let turned_away = BootstrapState::TurnedAway { why: Refusal::Full };
    let mut now = start;
    for _ in 0..3 {
        let id = dial(&mut entry, now).expect("a dial");
        entry.connected(id, peer, now);
        entry.turned_away(&peer, Refusal::Full);
        assert_eq!(entry.nodes()[0].state, turned_away);
        let status = entry.status(false);
        let NotInDht::Nodes(nodes) = status.why().expect("why not") else {
            panic!("{status:?}");
        };
        assert_eq!(nodes[0].1, NodeFault::TurnedAway(Refusal::Full));
        entry.disconnected(&peer, now);
        assert_eq!(entry.nodes()[0].state, turned_away);
        now = entry.poll_timeout().expect("it is tried again");
    }
    // Somebody has left.
    let id = dial(&mut entry, now).expect("a dial");
    entry.connected(id, peer, now);
    assert_eq!(entry.nodes()[0].state, turned_away, "so far");
    entry.welcomed(&peer);
    assert_eq!(entry.nodes()[0].state, BootstrapState::Connected { peer });
    assert!(!entry.may_turn_away(&peer), "it has let us in");
}

#[test]
fn strangers_have_no_say_in_it() {
    let start = platform::now();
    let (mut entry, peer) = entry(start);
    assert!(!entry.may_turn_away(&PeerId::random()));
    assert!(!entry.may_turn_away(&peer), "not dialled yet");
    let id = dial(&mut entry, start).expect("a dial");
    assert!(!entry.may_turn_away(&PeerId::random()));
    entry.connected(id, peer, start);
    assert!(!entry.may_turn_away(&PeerId::random()));
}

#[test]
fn a_connection_that_has_lasted_is_replaced_at_once() {
    let start = platform::now();
    let (mut entry, peer) = entry(start);
    dials(&mut entry, peer, Node::Closes, start, 10 * MINUTE);
    let mut now = entry.poll_timeout().expect("it is tried again");
    let id = dial(&mut entry, now).expect("a dial");
    entry.connected(id, peer, now);
    entry.welcomed(&peer);
    now += limits::CONNECTION_LASTS;
    entry.disconnected(&peer, now);
    assert_eq!(entry.poll_timeout(), Some(now + LOST_PAUSE));
    // With it the pauses are short again.
    let id = dial(&mut entry, now + LOST_PAUSE).expect("a dial");
    entry.failed(id, Unreached::Refused, now);
    let next = entry.poll_timeout().expect("it is tried again");
    assert!(next <= now + limits::REDIAL_BASE);
}

#[test]
fn what_is_lost_with_the_network_is_not_held_against_the_node() {
    let start = platform::now();
    let (mut entry, peer) = entry(start);
    let id = dial(&mut entry, start).expect("a dial");
    entry.connected(id, peer, start);
    entry.welcomed(&peer);
    entry.network_changed(true, start);
    let lost = start + Duration::from_secs(2);
    entry.disconnected(&peer, lost);
    assert_eq!(entry.poll_timeout(), Some(lost + LOST_PAUSE));
}

#[test]
fn a_door_that_is_shut_without_a_word_is_tried_after_the_others() {
    let (start, peer) = (platform::now(), PeerId::random());
    let doors = ["udp/1/quic-v1", "tcp/1", "tcp/2/ws"];
    let target = Target {
        peer: Some(peer),
        addresses: doors
            .iter()
            .map(|door| format!("/ip4/192.0.2.1/{door}").parse().expect("valid"))
            .collect(),
    };
    let url = BootstrapSource::Url("http://192.0.2.1:8470".to_owned());
    let mut entry = Entry::new(vec![url], 7, start);
    let mut knock = |now| {
        let fetch = entry.poll(MINUTE, now, |_| false);
        assert!(matches!(fetch[..], [Action::Fetch { .. }]), "{fetch:?}");
        entry.fetched(0, Ok(target.clone()), now, |_| false);
        let dials = entry.poll(MINUTE, now, |_| false);
        let [Action::Dial(dial)] = &dials[..] else {
            panic!("{dials:?}");
        };
        let shown = format!("{dial:?}");
        let mut doors = doors.iter();
        let door = doors.find(|door| shown.contains(&format!("/{door}]")));
        entry.connected(dial.connection_id(), peer, now);
        entry.disconnected(&peer, now);
        let next = entry.poll_timeout().expect("it is tried again");
        (*door.expect("one of them"), next)
    };
    let mut now = start;
    for door in doors {
        let (knocked, next) = knock(now);
        assert_eq!(knocked, door);
        assert_eq!(next == now, door != doors[2], "{door}");
        now = next;
    }
    // And so on, with pauses.
    let (knocked, next) = knock(now);
    assert_eq!(knocked, doors[0]);
    assert!(next > now);
}
