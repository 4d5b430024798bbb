use super::*;
use crate::{platform, snapshot::DirectTransport};

const DIRECT: Path = Path::Direct(DirectTransport::Tcp);
const HOUR: Duration = Duration::from_secs(3_600);

fn addresses(port: u16) -> Addresses {
    let address = format!("/ip4/192.0.2.1/tcp/{port}");
    Addresses {
        direct: vec![vec![address.parse().expect("valid")]],
        relayed: Vec::new(),
    }
}

/// A peer that wants to be connected to one member, and which that is.
fn reaching(start: Instant) -> (Reaching, PeerId) {
    let mut reaching = Reaching::new(PeerId::random(), 7);
    let member = PeerId::random();
    reaching.member(member, addresses(1), true, YIELD, start);
    reaching.want(HashSet::from([member]));
    (reaching, member)
}

fn dial(reaching: &mut Reaching, now: Instant) -> Option<ConnectionId> {
    let dials = reaching.poll(|_| None, Duration::ZERO, now);
    dials.first().map(DialOpts::connection_id)
}

/// Dials in an hour, if each makes a connection that lasts so long.
fn dials(lasts: Duration) -> u32 {
    let start = platform::now();
    let (mut reaching, member) = reaching(start);
    let (mut dials, mut now) = (0, start);
    while now < start + HOUR {
        if let Some(id) = dial(&mut reaching, now) {
            dials += 1;
            reaching.connected(&member, id, DIRECT, now);
            now += lasts;
            reaching.disconnected(&member, now);
        }
        let next = reaching.poll_timeout(|_| None).expect("it is tried again");
        now = next.max(now + Duration::from_millis(1));
    }
    dials
}

#[test]
fn a_member_that_closes_every_connection_at_once_is_dialled_ever_more_seldom() {
    // Every 100 ms, or with the larger id every 1.2 s, it was 3,000 at the least.
    let count = dials(Duration::from_millis(50));
    assert!((60..400).contains(&count), "{count}");
}

#[test]
fn a_connection_that_has_lasted_is_replaced_at_once() {
    let count = dials(limits::CONNECTION_LASTS);
    assert!((300..=360).contains(&count), "{count}");
}

#[test]
fn a_member_that_has_other_addresses_all_the_time_is_dialled_now_and_then() {
    let start = platform::now();
    let (mut reaching, member) = reaching(start);
    let mut dials = 0;
    for tenth in 0..36_000_u32 {
        let now = start + Duration::from_millis(100) * tenth;
        let port = u16::try_from(tenth % 60_000).expect("small");
        reaching.member(member, addresses(port), true, YIELD, now);
        if let Some(id) = dial(&mut reaching, now) {
            dials += 1;
            reaching.failed(id, Unreached::Refused, now);
        }
    }
    // Each time, it were 36,000.
    assert!((100..1_000).contains(&dials), "{dials}");
}

#[test]
fn what_is_lost_with_the_network_is_dialled_again_at_once() {
    let start = platform::now();
    let (mut reaching, member) = reaching(start);
    let now = start + YIELD;
    let id = dial(&mut reaching, now).expect("a dial");
    reaching.connected(&member, id, DIRECT, now);
    reaching.network_changed(now);
    let lost = now + Duration::from_secs(2);
    reaching.disconnected(&member, lost);
    let next = reaching.poll_timeout(|_| None).expect("it is tried again");
    assert!(next <= lost + YIELD, "{:?}", next - lost);
}

#[test]
fn a_connection_made_since_the_network_changed_has_the_pauses_of_any_other() {
    let start = platform::now();
    let (mut reaching, member) = reaching(start);
    let (mut dials, mut now) = (0, start);
    let end = start + limits::CONNECTION_LASTS;
    reaching.network_changed(start);
    while now < end {
        if let Some(id) = dial(&mut reaching, now) {
            dials += 1;
            now += Duration::from_millis(1);
            reaching.connected(&member, id, DIRECT, now);
            reaching.disconnected(&member, now);
        }
        now += Duration::from_millis(50);
    }
    // Every 100 ms, or with the larger id every 1.2 s, it was 8 at the least.
    assert!((1..6).contains(&dials), "{dials}");
}

#[test]
fn made_up_members_leave_room_for_one_that_may_be_reached() {
    let start = platform::now();
    let (mut reaching, wanted) = reaching(start);
    for _ in 0..TARGETS_MAX {
        reaching.member(PeerId::random(), Addresses::default(), true, YIELD, start);
    }
    assert_eq!(reaching.targets.len(), TARGETS_MAX);
    let ada = PeerId::random();
    reaching.member(ada, addresses(2), true, YIELD, start);
    for _ in 0..100 {
        reaching.member(PeerId::random(), Addresses::default(), true, YIELD, start);
    }
    assert!(reaching.may_reach(&ada) && reaching.may_reach(&wanted));
    assert!(reaching.targets.len() <= TARGETS_MAX);
}

#[test]
fn who_could_not_be_reached_does_not_count_until_it_moves() {
    let start = platform::now();
    let (mut reaching, member) = reaching(start);
    reaching.take_doubts();
    let now = start + YIELD;
    let id = dial(&mut reaching, now).expect("dialled");
    assert!(reaching.may_reach(&member) && !reaching.take_doubts());
    reaching.failed(id, Unreached::NoAnswer, now);
    assert!(!reaching.may_reach(&member) && reaching.take_doubts());
    reaching.member(member, addresses(9), true, YIELD, now);
    assert!(reaching.may_reach(&member) && reaching.take_doubts());
}
