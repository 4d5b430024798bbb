//! What must hold in every run.
//!
//! - Nobody is listed for longer than a presence lives after the last proof of life. A liar can play a presence again by
//!   gossip, which carries no age; where there are liars, the bound is when others refuse its date, and a life more.
//! - In a room that is whole and calm, every member lists every other.
//! - What is said there is heard exactly once by everybody, in the order in which its author said it; only what arrives
//!   later than others wait for it may come after them. Nothing is ever heard twice.
//! - All bounds hold.

use std::time::Duration;

use moim_protocol::{
    announcer::life,
    limits::{CLOCK_SKEW_MAX, MEMBERS_MAX, ORDER_GAP_MAX, PRESENCE_TTL},
};

use crate::{
    event::{Event, Index},
    time::{Time, seconds},
    world::World,
};

/// How often the lists are looked at.
const CHECKED_EVERY: Duration = seconds(5);

/// What may be on its way when a life ends.
const SLACK: Duration = seconds(2);

/// Requests of one room that wait for an answer: of two protocols.
const REQUESTS_MAX: usize = 1_024;

/// Faults that are told of one run.
const FAULTS_MAX: usize = 20;

impl World {
    /// Checks all lists, now and from time to time.
    pub(crate) fn check(&mut self) {
        self.after(CHECKED_EVERY, Event::Check);
        let mut faults = Vec::new();
        let now = self.time;
        let has_liars = !self.made_up.is_empty();
        let replayed = if has_liars {
            CLOCK_SKEW_MAX + PRESENCE_TTL
        } else {
            Duration::ZERO
        };
        // What others doubt is gone sooner; who has missed that lists it until its life ends.
        let bound = life(PRESENCE_TTL, self.nodes.len()) + replayed + SLACK;
        for (index, node) in self.nodes.iter().enumerate() {
            if !node.is_present() {
                continue;
            }
            if node.listed.len() > MEMBERS_MAX {
                faults.push(format!("{index} lists {} members", node.listed.len()));
            }
            if node.requests.len() > REQUESTS_MAX {
                faults.push(format!("{index} waits for {} answers", node.requests.len()));
            }
            for who in node.listed.iter() {
                if let Some(ended) = self.nodes[who].ended
                    && now > ended + bound
                {
                    let late = (now - ended).as_secs();
                    faults.push(format!(
                        "{index} still lists {who}, which ended {late} s ago"
                    ));
                }
            }
        }
        self.faults.extend(faults);
        self.faults.truncate(FAULTS_MAX);
    }

    /// The room is whole and calm: everybody lists everybody.
    pub fn check_whole(&mut self) {
        let present: Vec<Index> = (0..self.nodes.len())
            .filter(|it| self.nodes[*it].is_present())
            .collect();
        for at in &present {
            for who in &present {
                if at != who && !self.nodes[*at].listed.contains(*who) {
                    let seconds = self.time.as_secs();
                    self.faults
                        .push(format!("{at} does not list {who} at {seconds:.0} s"));
                }
            }
        }
        self.faults.truncate(FAULTS_MAX);
    }

    /// What was said from `since` on is heard exactly once, and in order, by all who were in the room from then on; and
    /// nothing was heard twice.
    pub fn check_heard(&mut self, since: Time) {
        let mut faults = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for (author, heard) in &node.heard {
                let mut numbers = heard.clone();
                numbers.sort_unstable();
                numbers.dedup();
                if numbers.len() < heard.len() {
                    faults.push(format!("{index} has heard something of {author} twice"));
                }
            }
            if !node.is_present() || node.joined.is_none_or(|joined| joined > since) {
                continue;
            }
            for author in 0..self.nodes.len() {
                let said = self.ledger.said.iter().enumerate();
                let said =
                    said.filter(|(_, it)| author != index && it.author == author && it.at >= since);
                let said: Vec<usize> = said.map(|(number, _)| number).collect();
                let heard = node.heard.get(&author).into_iter().flatten().copied();
                let heard: Vec<usize> = heard.filter(|it| said.contains(it)).collect();
                let mut all = heard.clone();
                all.sort_unstable();
                let in_time = heard.iter().filter(|number| !self.is_late(**number, index));
                if all != said || !in_time.is_sorted() {
                    faults.push(format!(
                        "{index} has heard {heard:?} of {author}, which said {said:?}"
                    ));
                }
            }
        }
        self.faults.extend(faults);
        self.faults.truncate(FAULTS_MAX);
    }

    /// Whether somebody has heard something later than others wait for it.
    fn is_late(&self, number: usize, hearer: Index) -> bool {
        let heard = self.ledger.said[number].heard.iter();
        let mut own = heard.filter(|(who, _)| *who == hearer);
        own.any(|(_, after)| *after > ORDER_GAP_MAX)
    }
}
