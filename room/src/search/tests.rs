use super::*;
use crate::{
    now::Now,
    testing::{here, peer, seconds, start, topic},
};

fn search(now: Instant) -> (Search, Roster) {
    let topic = topic().hash();
    (Search::new(topic, 7, now), Roster::new(topic, peer(0)))
}

fn join(roster: &mut Roster, n: u16, now: Now) {
    let age = Duration::ZERO;
    roster
        .handle_presence(here(n, 1, now), peer(n), age, now.instant, now.wall)
        .unwrap();
}

fn due(search: &mut Search, roster: &Roster, now: Instant) -> Vec<PeerId> {
    let due = search.strangers_due(roster, now);
    due.into_iter().map(|(peer, _)| peer).collect()
}

#[test]
fn providers_are_asked_some_at_a_time() {
    let start = start().instant;
    let (mut search, roster) = search(start);
    let providers: Vec<PeerId> = (1..8).map(peer).collect();
    for provider in &providers {
        assert!(search.provider(*provider, Vec::new(), &roster, start));
        let twice = search.provider(*provider, Vec::new(), &roster, start);
        assert!(!twice);
    }
    assert_eq!(search.poll_timeout(), start);
    assert_eq!(
        due(&mut search, &roster, start),
        providers[..STRANGERS_AT_ONCE]
    );
    assert_eq!(due(&mut search, &roster, start), []);
    search.lookup_due(0, start);
    let later = start + STRANGERS_INTERVAL;
    assert_eq!(search.poll_timeout(), later);
    assert_eq!(
        due(&mut search, &roster, later),
        providers[STRANGERS_AT_ONCE..]
    );
}

#[test]
fn beside_members_few_providers_are_asked() {
    let start = start();
    let (mut search, mut roster) = search(start.instant);
    join(&mut roster, 1, start);
    for n in 1..10 {
        let is_new = search.provider(peer(n), Vec::new(), &roster, start.instant);
        assert_eq!(is_new, n > 1, "a member is none");
    }
    let asked = due(&mut search, &roster, start.instant);
    assert_eq!(asked, [peer(2), peer(3), peer(4)]);
    let later = start.instant + STRANGERS_INTERVAL;
    assert!(search.provider(peer(5), Vec::new(), &roster, later));
    assert_eq!(due(&mut search, &roster, later), [], "those were enough");
}

#[test]
fn who_did_not_answer_is_asked_again_after_a_pause() {
    let start = start().instant;
    let (mut search, roster) = search(start);
    let provider = peer(1);
    assert!(search.provider(provider, Vec::new(), &roster, start));
    assert_eq!(due(&mut search, &roster, start), [provider]);
    let soon = start + STRANGER_PAUSE / 2;
    assert!(!search.provider(provider, Vec::new(), &roster, soon));
    let later = start + STRANGER_PAUSE;
    assert!(search.provider(provider, Vec::new(), &roster, later));
    assert_eq!(due(&mut search, &roster, later), [provider]);
}

#[test]
fn the_dht_is_asked_less_and_less_often_until_it_is_back() {
    let start = start().instant;
    let (mut search, _) = search(start);
    let mut now = start;
    let mut pauses = Vec::new();
    for _ in 0..7 {
        assert!(search.lookup_due(0, now));
        assert!(!search.lookup_due(0, now), "once");
        pauses.push(search.poll_timeout() - now);
        now = search.poll_timeout();
    }
    assert_eq!(pauses[..6], LOOKUP_PAUSES);
    assert_eq!(pauses[6], LOOKUP_PAUSES[5]);
    search.lookup_again(now);
    assert!(search.lookup_due(0, now));
    assert_eq!(search.poll_timeout() - now, LOOKUP_PAUSES[0]);
}

#[test]
fn in_a_large_room_the_dht_is_asked_less_often() {
    let start = start().instant;
    for (members, pause) in [(0, 30), (24, 30), (48, 60), (240, 300), (1024, 300)] {
        let (mut search, _) = search(start);
        for dense in &LOOKUP_PAUSES[..LOOKUP_PAUSES.len() - 1] {
            let now = search.poll_timeout();
            assert!(search.lookup_due(members, now));
            assert_eq!(search.poll_timeout() - now, *dense, "as in any room");
        }
        let now = search.poll_timeout();
        assert!(search.lookup_due(members, now));
        assert_eq!(search.poll_timeout() - now, seconds(pause), "{members}");
    }
}

#[test]
fn later_lookups_wait_for_more_servers() {
    let mut now = start().instant;
    let (mut search, _) = search(now);
    for answers in [1, 1, 3, 3] {
        assert!(search.lookup_due(0, now));
        let mut heard = 1;
        while !search.has_enough() {
            heard += 1;
        }
        assert_eq!(heard, answers);
        now = search.poll_timeout();
    }
}

#[test]
fn some_lists_are_asked_for_at_once_and_then_one_in_a_while() {
    let start = start().instant;
    let (mut search, _) = search(start);
    let asked = |search: &mut Search, now| (0..10).filter(|_| search.list_due(now)).count();
    assert_eq!(asked(&mut search, start), 4);
    assert_eq!(asked(&mut search, start + LIST_INTERVAL / 2), 0);
    assert_eq!(asked(&mut search, start + LIST_INTERVAL), 1);
    assert_eq!(asked(&mut search, start + 3 * LIST_INTERVAL), 2);
    assert_eq!(asked(&mut search, start + seconds(3600)), 4);
}

#[test]
fn in_a_large_room_lists_are_asked_for_less_often() {
    let start = start().instant;
    for (members, pause) in [(0, 20), (64, 20), (96, 30), (192, 60), (1024, 60)] {
        let (mut search, _) = search(start);
        let now = search.next_sync();
        assert!(!search.sync_due(members, start));
        assert!(search.sync_due(members, now));
        assert_eq!(search.next_sync() - now, seconds(pause), "{members}");
    }
}

#[test]
fn only_so_many_providers_wait() {
    let start = start().instant;
    let (mut search, roster) = search(start);
    let named = (1..200).filter(|n| search.provider(peer(*n), Vec::new(), &roster, start));
    assert_eq!(named.count(), WAITING_MAX);
    search.assert_bounds();
}

#[test]
fn lists_go_on_where_they_say() {
    let (_, roster) = search(start().instant);
    let first = Walk::from_the_first();
    for (next, expected) in [(None, None), (Some(peer(9)), first.next(Some(peer(9))))] {
        let members = Vec::new();
        let body = Response::Members { members, next }.encode();
        let mut out = Outputs::default();
        let list = read_list(peer(1), first, &body, &roster, &mut out).unwrap();
        assert_eq!(list.next, expected);
        assert_eq!(out.pop(), Some(Output::HasList));
    }
}

#[test]
fn who_asks_says_whom_it_knows() {
    let now = start();
    let (mut search, mut roster) = search(now.instant);
    let (mut asking, mut out) = (Asking::default(), Outputs::default());
    let mut ask = |roster: &Roster| {
        let walk = (None, Walk::from_the_first());
        search.ask(peer(9), walk, None, roster, &mut asking, &mut out);
        let Some(Output::Ask { body, .. }) = out.pop() else {
            panic!("nobody is asked");
        };
        match Request::decode(&body).unwrap() {
            Request::Sync { known, .. } => known,
            Request::Announce { .. } => panic!("no list is asked for"),
        }
    };
    assert_eq!(ask(&roster), None);
    join(&mut roster, 1, now);
    join(&mut roster, 2, now);
    roster.suspend(&peer(2), 4);
    let known = [ask(&roster).unwrap(), ask(&roster).unwrap()];
    for known in &known {
        assert!(known.contains(&peer(1), 1) && !known.contains(&peer(1), 2));
        assert!(known.contains(&peer(2), 4) && !known.contains(&peer(2), 5));
        assert!(!known.contains(&peer(3), 1));
    }
    assert_ne!(known[0], known[1], "each with a salt of its own");
}

#[test]
fn lists_that_are_asked_for_at_once_begin_at_different_members() {
    let (mut search, roster) = search(start().instant);
    let (mut asking, mut out) = (Asking::default(), Outputs::default());
    let first = search.walk();
    assert_eq!(first, Walk::from_the_first());
    search.ask(peer(1), (None, first), None, &roster, &mut asking, &mut out);
    assert_ne!(search.walk(), search.walk());
    search.asked(&peer(1));
    assert_eq!(search.walk(), first);
}

#[test]
fn what_is_no_list_is_none() {
    let (_, roster) = search(start().instant);
    let expired = Response::error(ErrorCode::Expired, "too old").encode();
    let busy = Response::error(ErrorCode::Busy, "").encode();
    for (body, expected) in [
        (expired, Some(Output::ClockDisagrees(peer(1)))),
        (busy, None),
        (Response::Accepted.encode(), None),
        (b"{".to_vec(), None),
    ] {
        let mut out = Outputs::default();
        assert!(read_list(peer(1), Walk::from_the_first(), &body, &roster, &mut out).is_none());
        assert_eq!(out.pop(), expected);
    }
}

#[test]
fn who_is_being_asked_is_no_news() {
    let start = start().instant;
    let (mut search, roster) = search(start);
    let (mut asking, mut out) = (Asking::default(), Outputs::default());
    let walk = (None, search.walk());
    search.ask(peer(1), walk, None, &roster, &mut asking, &mut out);
    assert!(search.is_asking(&peer(1)) && search.is_asking_anybody());
    assert!(!search.provider(peer(1), Vec::new(), &roster, start));
    search.asked(&peer(1));
    assert!(search.provider(peer(1), Vec::new(), &roster, start));
}
