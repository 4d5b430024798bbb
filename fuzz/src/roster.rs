//! Who is in a room: presences in any order, of any age, passed on by anybody.

use std::time::Duration;

use arbitrary::Arbitrary;
use moim_protocol::{
    UnixMillis,
    limits::{BODY_BYTES_MAX, CLOCK_SKEW_MAX, MEMBERS_MAX, PRESENCE_TTL},
    presence::State,
    presence_wire::Response,
    roster::{Roster, Verdict},
};
use web_time::Instant;

use crate::{
    given::{WALL, peer, presence, topic},
    input::steps,
};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Hear {
        who: u8,
        by: u8,
        sequence: u8,
        has_left: bool,
        /// In seconds before and after the present.
        issued: i16,
        life: u8,
        age: u16,
    },
    Own {
        sequence: u8,
        is_here: bool,
    },
    Connection {
        to: u8,
        is_open: bool,
    },
    Wait {
        seconds: u8,
    },
    Page {
        after: Option<u8>,
        bytes: u16,
    },
}

const ME: u8 = 0;

/// Takes a room through the steps in `data`.
pub fn run(data: &[u8]) {
    let start = Instant::now();
    let mut past = Duration::ZERO;
    let mut roster = Roster::new(topic(), peer(ME));
    for step in steps::<Step>(data) {
        let (now, wall) = (start + past, WALL.saturating_add(past));
        match step {
            Step::Hear {
                who,
                by,
                sequence,
                has_left,
                issued,
                life,
                age,
            } => {
                let state = if has_left { State::Left } else { State::Here };
                let issued = wall.0.saturating_add_signed(i64::from(issued) * 1000);
                let time = (UnixMillis(issued), Duration::from_secs(life.into()));
                let Some(signed) = presence(who, sequence.into(), time, state) else {
                    continue;
                };
                let age = Duration::from_secs(age.into());
                let known = roster.contains(&peer(who));
                match roster.handle_presence(signed, peer(by), age, now, wall) {
                    Ok(Verdict::Joined) => assert!(!known && !has_left && who != ME),
                    Ok(Verdict::Updated) => assert!(!has_left && who != ME),
                    Ok(Verdict::Left) => assert!(has_left && !roster.contains(&peer(who))),
                    Ok(Verdict::Own) => assert_eq!(who, ME),
                    Ok(Verdict::Unchanged) | Err(_) => {
                        assert_eq!(roster.contains(&peer(who)), known);
                    }
                }
            }
            Step::Own { sequence, is_here } => {
                let own = presence(ME, sequence.into(), (wall, PRESENCE_TTL), State::Here);
                roster.set_own(own.filter(|_| is_here), now);
            }
            Step::Connection { to, is_open: true } => roster.connected(peer(to)),
            Step::Connection { to, is_open: false } => roster.disconnected(&peer(to)),
            Step::Wait { seconds } => {
                past += Duration::from_secs(seconds.into());
                for gone in roster.tick(start + past) {
                    assert!(!roster.contains(&gone));
                }
            }
            Step::Page { after, bytes } => {
                let page = roster.entries(after.map(peer), None, now, usize::from(bytes));
                let length = page.entries.len();
                // However small a page is, it has a member, besides this peer on the first one.
                let least = 1 + usize::from(after.is_none());
                let body = Response::Members {
                    members: page.entries,
                    next: page.next,
                }
                .encode();
                assert!(body.len() <= usize::from(bytes).min(BODY_BYTES_MAX) || length <= least);
            }
        }
        check(&roster, start + past);
    }
    // Whatever was said, everybody is gone in the end.
    roster.tick(start + past + PRESENCE_TTL + CLOCK_SKEW_MAX);
    assert!(roster.is_empty());
}

fn check(roster: &Roster, now: Instant) {
    assert!(roster.len() <= MEMBERS_MAX && !roster.contains(&peer(ME)));
    assert_eq!(roster.members().len(), roster.len());
    let longest = now + PRESENCE_TTL + CLOCK_SKEW_MAX;
    assert!(roster.poll_timeout().is_none_or(|at| at <= longest));
}
