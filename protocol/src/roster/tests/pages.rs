//! How members are passed on.

use super::*;

/// Asks for page after page as a newcomer does.
fn pages(roster: &Roster, now: Instant, bytes_max: usize) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    let mut after = None;
    loop {
        let page = roster.entries(after, None, now, bytes_max);
        after = page.next;
        pages.push(page);
        if after.is_none() {
            return pages;
        }
        assert!(pages.len() < 2000, "no progress");
    }
}

fn all_peers(pages: &[Page]) -> Vec<PeerId> {
    pages
        .iter()
        .flat_map(|page| &page.entries)
        .map(|(s, _)| s.presence().peer)
        .collect()
}

#[test]
fn pages_hold_everybody_once_in_order_and_fit() {
    let mut room = Room::new();
    for n in 1..=200 {
        room.hear(&largest(n)).unwrap();
    }
    room.roster.set_own(Some(here(ME, 1)), room.now);
    let pages = pages(&room.roster, room.now, BODY_BYTES_MAX);
    let mut expected: Vec<PeerId> = (1..=200).map(peer).collect();
    expected.sort_by_key(|peer| peer.to_bytes());
    expected.insert(0, peer(ME));
    assert_eq!(all_peers(&pages), expected, "this peer first");
    assert!(pages.len() <= 10, "{}", pages.len());
    for page in pages {
        let body = Response::Members {
            members: page.entries,
            next: page.next,
        }
        .encode();
        assert!(body.len() <= BODY_BYTES_MAX, "{}", body.len());
        assert!(
            page.next.is_none() || body.len() > BODY_BYTES_MAX - 3000,
            "{}",
            body.len()
        );
        Response::decode(&body).unwrap();
    }
}

#[test]
fn a_page_makes_progress_however_small() {
    let mut room = Room::new();
    for n in 1..=5 {
        room.hear(&here(n, 1)).unwrap();
    }
    for bytes_max in [0, 1, 700, 1500] {
        let pages = pages(&room.roster, room.now, bytes_max);
        assert_eq!(all_peers(&pages).len(), 5, "{bytes_max}");
    }
    // Whoever answers comes besides: what comes after it has to have an id to go on from.
    room.roster.set_own(Some(here(ME, 1)), room.now);
    let pages = pages(&room.roster, room.now, 1);
    let lengths: Vec<usize> = pages.iter().map(|page| page.entries.len()).collect();
    assert_eq!(lengths, [2, 1, 1, 1, 1]);
}

#[test]
fn pages_leave_out_who_has_expired_and_start_after_anybody() {
    let mut room = Room::new();
    room.hear(&here(1, 1)).unwrap();
    room.at(100).hear(&here_at(2, 1, 100)).unwrap();
    room.at(120);
    assert_eq!(
        all_peers(&pages(&room.roster, room.now, BODY_BYTES_MAX)),
        [peer(2)]
    );
    // A peer id that is no member's is a place in the order like any other.
    let mut ids: Vec<PeerId> = vec![peer(2), peer(9)];
    ids.sort();
    let page = room
        .roster
        .entries(Some(peer(9)), None, room.now, BODY_BYTES_MAX);
    assert_eq!(page.entries.len(), usize::from(ids[0] == peer(9)));
    assert_eq!(page.next, None);
}

#[test]
fn ones_own_presence_is_passed_on_while_it_lasts() {
    let mut room = Room::new();
    let entries = |room: &Room| {
        room.roster
            .entries(None, None, room.now, BODY_BYTES_MAX)
            .entries
    };
    room.roster.set_own(Some(here(ME, 1)), room.now);
    assert_eq!(room.roster.len(), 0);
    room.at(30);
    assert_eq!(entries(&room), [(here(ME, 1), seconds(30))]);
    assert!(
        room.roster
            .entries(Some(peer(ME)), None, room.now, BODY_BYTES_MAX)
            .entries
            .is_empty()
    );
    room.at(120);
    assert!(entries(&room).is_empty(), "not refreshed");
    room.roster.set_own(Some(here_at(ME, 2, 120)), room.now);
    assert_eq!(entries(&room).len(), 1);
    room.roster.set_own(None, room.now);
    assert!(entries(&room).is_empty());
}

proptest! {
    #[test]
    fn pages_of_any_size_hold_everybody(bytes_max in 0_usize..10_000, count in 0_usize..40) {
        let mut room = Room::new();
        for signed in &CROWD[..count] {
            room.hear(signed).unwrap();
        }
        let peers = all_peers(&pages(&room.roster, room.now, bytes_max));
        prop_assert_eq!(peers.len(), count);
        prop_assert!(peers.is_sorted_by(|a, b| a.to_bytes() < b.to_bytes()));
    }
}
