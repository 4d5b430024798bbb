//! A full room: who has a place in it.

use super::*;
use crate::limits::HEARSAY_MIN;

/// Those who bring others.
const ADA: u16 = 2_001;
const BOB: u16 = 2_002;
const MALLORY: u16 = 2_003;

/// Filled up by one.
fn filled_by(by: u16) -> Room {
    let mut room = Room::new();
    for signed in &CROWD[..MEMBERS_MAX] {
        let verdict = room.hear_by(by, signed, Duration::ZERO);
        assert_eq!(verdict.unwrap(), Verdict::Joined);
    }
    room
}

fn newcomer(number: usize) -> &'static SignedPresence {
    &CROWD[MEMBERS_MAX + number]
}

fn who(signed: &SignedPresence) -> PeerId {
    signed.presence().peer
}

#[test]
fn one_that_is_connected_has_a_place_in_a_room_filled_with_made_up_members() {
    let mut room = filled_by(MALLORY);
    let ada = who(newcomer(0));
    room.roster.connected(ada);
    assert_eq!(room.hear(newcomer(0)).unwrap(), Verdict::Joined);
    assert!(room.roster.has_met(&ada));
    assert!(!room.roster.has_met(&who(&CROWD[0])));
    assert_eq!(room.tick(), [who(&CROWD[MEMBERS_MAX - 1])], "the newest");
    // Whoever else is brought by the same has none, and the first one keeps its own.
    let result = room.hear_by(MALLORY, newcomer(1), Duration::ZERO);
    assert!(matches!(result, Err(RosterError::Full)));
    room.at(61);
    room.roster.disconnected(&ada);
    for number in 1..6 {
        let verdict = room.hear_by(MALLORY, newcomer(number), Duration::ZERO);
        assert_eq!(verdict.unwrap(), Verdict::Joined);
    }
    assert!(room.roster.has_met(&ada));
}

#[test]
fn who_has_brought_most_makes_room_for_what_others_bring() {
    let mut room = filled_by(MALLORY);
    for number in 0..6 {
        let verdict = room.hear_by(ADA, newcomer(number), Duration::ZERO);
        assert_eq!(verdict.unwrap(), Verdict::Joined);
    }
    let gone: Vec<PeerId> = CROWD[MEMBERS_MAX - 6..MEMBERS_MAX]
        .iter()
        .map(who)
        .collect();
    assert!(gone.iter().all(|peer| !room.roster.contains(peer)));
    assert_eq!(room.tick().len(), 6);
    // To bring what another has brought makes it nobody's but theirs.
    for number in 0..6 {
        let again = here_at(who_is(newcomer(number)), 2, 1);
        let verdict = room.hear_by(MALLORY, &again, Duration::ZERO);
        assert_eq!(verdict.unwrap(), Verdict::Updated);
    }
    let verdict = room.hear_by(BOB, &CROWD[MEMBERS_MAX - 1], Duration::ZERO);
    assert_eq!(verdict.unwrap(), Verdict::Joined);
    assert!((0..6).all(|number| room.roster.contains(&who(newcomer(number)))));
}

/// The number of a peer of the crowd.
fn who_is(signed: &SignedPresence) -> u16 {
    (1..=1030)
        .find(|n| peer(*n) == who(signed))
        .expect("of the crowd")
}

#[test]
fn who_comes_and_goes_with_many_keys_leaves_half_to_hearsay() {
    const FREE: usize = 4;
    let mut room = Room::new();
    let (brought, parted) = CROWD[..MEMBERS_MAX].split_at(HEARSAY_MIN - FREE);
    for signed in brought {
        room.hear_by(ADA, signed, Duration::ZERO).unwrap();
    }
    for signed in parted {
        room.roster.connected(who(signed));
        room.hear(signed).unwrap();
        room.roster.disconnected(&who(signed));
    }
    let listed = |room: &Room, of: &[SignedPresence]| {
        let listed = of
            .iter()
            .filter(|signed| room.roster.contains(&who(signed)));
        listed.count()
    };
    // Who brings fewer takes the places of those who have parted, and nobody else's, up to half of the room.
    for number in 0..FREE {
        let verdict = room.hear_by(MALLORY, newcomer(number), Duration::ZERO);
        assert_eq!(verdict.unwrap(), Verdict::Joined);
    }
    assert_eq!(listed(&room, brought), brought.len());
    assert_eq!(listed(&room, parted), parted.len() - FREE);
    let verdict = room.hear_by(MALLORY, newcomer(FREE), Duration::ZERO);
    assert_eq!(verdict.unwrap(), Verdict::Joined);
    assert_eq!(listed(&room, brought), brought.len() - 1);
    // One that is connected takes the place of one who has parted.
    let another = newcomer(FREE + 1);
    room.roster.connected(who(another));
    assert_eq!(room.hear(another).unwrap(), Verdict::Joined);
    assert_eq!(listed(&room, parted), parted.len() - FREE - 1);
    assert_eq!(listed(&room, brought), brought.len() - 1);
}

#[test]
fn farewells_of_nobody_push_out_no_memory() {
    let mut room = Room::new();
    room.hear(&here(1, 5)).unwrap();
    room.hear(&left(1, 6)).unwrap();
    for number in 0..GONE_MAX {
        let nobody = u16::try_from(number + 2_100).expect("few");
        let verdict = room.hear(&left(nobody, 1)).unwrap();
        assert_eq!(verdict, Verdict::Unchanged);
    }
    assert_eq!(room.roster.sequence(&peer(1)), Some(6));
    assert_eq!(
        room.hear(&here(1, 5)).unwrap(),
        Verdict::Unchanged,
        "no news"
    );
    // Who was there is remembered, whoever was not.
    room.hear(&here(2, 1)).unwrap();
    room.hear(&left(2, 2)).unwrap();
    assert_eq!(room.roster.sequence(&peer(2)), Some(2));
}

#[test]
fn what_was_known_of_who_is_gone_is_no_news() {
    let mut room = Room::new();
    assert_eq!(room.roster.sequence(&peer(1)), None);
    room.hear(&here(1, 5)).unwrap();
    assert_eq!(room.roster.sequence(&peer(1)), Some(5));
    room.at(10).hear(&left(1, 7)).unwrap();
    assert_eq!(room.roster.sequence(&peer(1)), Some(7));
    room.roster.set_own(Some(here(ME, 3)), room.now);
    assert_eq!(room.roster.sequence(&peer(ME)), Some(3));
}
