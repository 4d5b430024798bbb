use moim_protocol::limits::MEMBERS_MAX;

use super::*;
use crate::testing::{check, here, named, peer, seconds, start, topic};

fn members() -> (Members, Outputs) {
    let name = "Me".parse().unwrap();
    let members = Members::new(topic().hash(), peer(0), &name);
    (members, Outputs::default())
}

fn take(members: &mut Members, signed: &SignedPresence, by: u16, now: Now) -> Vec<Output> {
    let mut out = Outputs::default();
    let by = peer(by);
    members
        .take(signed, by, Duration::ZERO, now, &mut out)
        .unwrap();
    members.review(&mut out);
    members.assert_bounds();
    outputs(&mut out)
}

fn outputs(out: &mut Outputs) -> Vec<Output> {
    std::iter::from_fn(|| out.pop()).collect()
}

#[test]
fn whoever_makes_room_for_another_is_gone_a_moment_later() {
    let now = start();
    let (mut members, mut out) = members();
    members.connected(peer(2000));
    let count = u16::try_from(MEMBERS_MAX).unwrap();
    for n in 1..=count {
        take(&mut members, &here(n, 1, now), 1001, now);
    }
    assert_eq!(members.iter().len(), MEMBERS_MAX);
    let joined = take(&mut members, &here(2000, 1, now), 2000, now);
    assert_eq!(joined.len(), 3, "it is met, joins, and the list is another");
    assert_eq!(members.iter().len(), MEMBERS_MAX);
    assert_eq!(members.poll_timeout(), Some(now.instant));
    assert_eq!(members.tick(now.instant, &mut out), [peer(count)]);
    let gone = outputs(&mut out);
    assert!(matches!(
        &gone[..],
        [
            Output::Event(Event::Left { .. }),
            Output::Forget(_),
            Output::MembersChanged
        ]
    ));
    members.assert_bounds();
}

#[test]
fn of_many_that_look_alike_each_is_told_of_once_at_a_time() {
    let now = start();
    let (mut members, mut out) = members();
    for n in 1..=100 {
        let by = peer(n);
        members
            .take(&named(n, 1, "Ada", now), by, Duration::ZERO, now, &mut out)
            .unwrap();
    }
    members.review(&mut out);
    let events = outputs(&mut out);
    let updated = |output: &&Output| matches!(output, Output::Event(Event::Updated { .. }));
    assert!(events.iter().filter(updated).count() <= 100);
    assert!(members.iter().all(|member| member.looks_like.is_some()));
    members.review(&mut out);
    assert_eq!(outputs(&mut out), []);
}

#[test]
fn who_looks_like_this_peer_is_told_of_it() {
    let now = start();
    let (mut members, _) = members();
    let joined = take(&mut members, &named(1, 1, "me", now), 1, now);
    check(
        &joined,
        &["met 1", "joined: 1 me like 0", "members changed"],
    );
    let renamed = take(&mut members, &named(1, 2, "Ada", now), 1, now);
    let expected = [
        "heard of 1",
        "met 1",
        "updated: 1 Ada from 1 me like 0",
        "members changed",
    ];
    check(&renamed, &expected);
    assert_eq!(members.name(&peer(1)), Some("Ada".parse().unwrap()));
    assert_eq!(members.name(&peer(2)), None);
}

#[test]
fn who_is_back_has_come_anew() {
    let start = start();
    let (mut members, mut out) = members();
    take(&mut members, &here(1, 1, start), 1, start);
    assert_eq!(members.met(&peer(1)), Some(start.instant));
    assert!(members.suspend(&peer(1), 0, &mut out));
    assert!(!members.suspend(&peer(1), 0, &mut out));
    check(
        &outputs(&mut out),
        &["left: 1 peer 1 Lost", "members changed"],
    );
    assert_eq!(members.met(&peer(1)), None);
    let later = start.after(seconds(9)).instant;
    assert!(members.resume(&peer(1), later, &mut out));
    assert!(!members.resume(&peer(1), later, &mut out));
    check(
        &outputs(&mut out),
        &["met 1", "joined: 1 peer 1", "members changed"],
    );
    assert_eq!(members.met(&peer(1)), Some(later));
}

#[test]
fn another_swarm_is_told_of_every_member() {
    let now = start();
    let (mut members, mut out) = members();
    take(&mut members, &here(1, 1, now), 1, now);
    members.restarted(&mut out);
    check(&outputs(&mut out), &["met 1", "members changed"]);
    members.clear(&mut out);
    check(&outputs(&mut out), &["members changed"]);
    assert_eq!(members.peers().len(), 0);
}

#[test]
fn in_a_full_room_who_has_parted_makes_room_for_who_is_connected() {
    let now = start();
    let (mut members, _) = members();
    let count = u16::try_from(MEMBERS_MAX).unwrap();
    for n in 1..=count {
        members.connected(peer(n));
        take(&mut members, &here(n, 1, now), n, now);
    }
    members.disconnected(&peer(7));
    members.connected(peer(2000));
    take(&mut members, &here(2000, 1, now), 2000, now);
    assert!(members.contains(&peer(2000)) && !members.contains(&peer(7)));
}
