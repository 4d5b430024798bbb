//! Who left, and who hears of it.

use super::*;

#[test]
fn a_leave_holds_against_what_was_said_before() {
    let mut room = Room::new();
    room.hear(&here(1, 5)).unwrap();
    assert_eq!(
        room.hear(&left(1, 5)).unwrap(),
        Verdict::Unchanged,
        "not a higher number"
    );
    assert!(room.roster.contains(&peer(1)));
    assert_eq!(room.hear(&left(1, 8)).unwrap(), Verdict::Left);
    for sequence in 4..=8 {
        assert_eq!(
            room.hear(&here(1, sequence)).unwrap(),
            Verdict::Unchanged,
            "{sequence}"
        );
    }
    assert_eq!(
        room.hear(&left(1, 9)).unwrap(),
        Verdict::Unchanged,
        "gone already"
    );
    // A leave that overtakes the arrival.
    assert_eq!(room.hear(&left(2, 3)).unwrap(), Verdict::Unchanged);
    assert_eq!(room.hear(&here(2, 2)).unwrap(), Verdict::Unchanged);
    assert!(room.roster.is_empty());
}

#[test]
fn who_missed_a_leave_hears_it_from_another() {
    let mut told = Room::new();
    told.hear(&here(2, 1)).unwrap();
    told.hear(&here(1, 1)).unwrap();
    told.hear(&left(1, 2)).unwrap();
    let mut missed = Room::new();
    missed.hear(&here(1, 1)).unwrap();
    told.at(60);
    let page = told.roster.entries(None, None, told.now, BODY_BYTES_MAX);
    assert_eq!(page.entries.len(), 2);
    missed.at(60);
    let verdicts: Vec<Verdict> = page
        .entries
        .iter()
        .map(|(signed, age)| missed.hear_aged(signed, *age).unwrap())
        .collect();
    assert!(verdicts.contains(&Verdict::Left) && verdicts.contains(&Verdict::Joined));
    // Handed on, it does not last longer than the presence that it ends could have.
    for room in [&mut told, &mut missed] {
        room.at(121);
        let page = room.roster.entries(None, None, room.now, BODY_BYTES_MAX);
        assert!(page.entries.is_empty());
    }
}

#[test]
fn a_farewell_with_addresses_is_heard_but_not_passed_on() {
    let mut room = Room::new();
    room.hear(&here(1, 1)).unwrap();
    let long = Presence {
        state: State::Left,
        ..presence(1, 2)
    };
    let verdict = room.hear(&long.sign(&keypair(1)).unwrap()).unwrap();
    assert_eq!(verdict, Verdict::Left);
    let page = room.roster.entries(None, None, room.now, BODY_BYTES_MAX);
    assert!(page.entries.is_empty());
}

#[test]
fn the_envelopes_are_those_that_change_nothing() {
    let mut room = Room::new();
    for signed in [here(1, 1), left(1, 2), here(2, 1), here(2, 3), here(3, 1)] {
        room.hear(&signed).unwrap();
    }
    room.at(121).tick();
    room.hear(&here_at(4, 1, 121)).unwrap();
    for signed in [left(1, 2), here(2, 3), here(3, 1), here_at(4, 1, 121)] {
        let is_known = room.roster.envelopes().contains(signed.as_bytes());
        let verdict = room.hear(&signed);
        assert!(!is_known || matches!(verdict, Ok(Verdict::Unchanged)));
    }
    assert_eq!(room.roster.envelopes().len(), 2, "one left, one is there");
}

#[test]
fn a_leave_counts_however_old_it_is() {
    let mut room = Room::new();
    room.hear(&here(1, 1)).unwrap();
    assert_eq!(
        room.hear_aged(&left(1, 2), seconds(5000)).unwrap(),
        Verdict::Left
    );
}

#[test]
fn memory_of_the_gone_is_bounded_too() {
    let mut gone = Gone::default();
    let start = start();
    for n in 0..=u16::try_from(GONE_MAX).unwrap() {
        let id = PeerId::from_multihash(
            multiaddr::multihash::Multihash::wrap(0, &n.to_be_bytes()).unwrap(),
        );
        gone.insert(id.unwrap(), 1, start + millis(n.into()), None);
    }
    assert_eq!(gone.by_peer.len(), GONE_MAX);
    assert_eq!(
        gone.by_end.first().unwrap().0,
        start + millis(1),
        "the first to end made room"
    );
    gone.tick(start + seconds(3600));
    assert!(gone.by_peer.is_empty() && gone.by_end.is_empty());
}
