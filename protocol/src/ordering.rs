//! Room messages in the order in which each sender said them.
//!
//! Gossip delivers in any order. A message that comes before an earlier one of the same sender
//! waits for it, at most [`ORDER_GAP_MAX`]; then it is delivered, and the earlier one still is when
//! it comes. Nothing is lost and nothing is delivered twice, within the bounds of
//! [`limits`](crate::limits).

use std::collections::{BTreeMap, HashMap};

use libp2p_identity::PeerId;
use web_time::Instant;

use crate::{
    limits::{
        ORDER_GAP_MAX, ORDER_HELD_MAX, ORDER_HELD_TOTAL_MAX, ORDER_MISSED_MAX, ORDER_SENDERS_MAX,
        ORDER_SESSIONS_MAX, SAID_MAX,
    },
    message::Position,
    time::after,
};

/// When a held message is let go, and a number that keeps two of the same instant apart.
type Deadline = (Instant, u64);

/// Which held message a deadline is of.
#[derive(Clone, Copy, Debug)]
struct Place {
    from: PeerId,
    session: u64,
    sequence: u64,
}

type Waiting = BTreeMap<Deadline, Place>;

/// Puts the messages (`T`) of every sender in order. See the [module](self).
#[derive(Debug)]
pub struct Ordering<T> {
    senders: HashMap<PeerId, Sender<T>>,
    /// Senders by when they were last heard, to forget the quietest.
    by_use: BTreeMap<u64, PeerId>,
    waiting: Waiting,
    ticket: u64,
}

#[derive(Debug)]
struct Sender<T> {
    /// In ascending order of their numbers; only the last one holds messages back.
    sessions: Vec<Session<T>>,
    used: u64,
}

#[derive(Debug)]
struct Session<T> {
    number: u64,
    used: u64,
    /// Everything up to here is delivered or [`missed`](Self::missed).
    through: u64,
    /// Ranges (first → last) that were passed over, and are still delivered when they come.
    missed: BTreeMap<u64, u64>,
    /// Up to here the sender has nothing more to give.
    settled: u64,
    /// Messages that wait for earlier ones.
    held: BTreeMap<u64, (T, Deadline)>,
}

impl<T> Session<T> {
    fn new(number: u64, first: u64) -> Self {
        let mut session = Self {
            number,
            used: 0,
            through: 0,
            missed: BTreeMap::new(),
            settled: 0,
            held: BTreeMap::new(),
        };
        session.pass_to(first);
        session
    }

    /// Waits no longer for what comes before `sequence`.
    fn pass_to(&mut self, sequence: u64) {
        let (first, last) = (self.through.saturating_add(1), sequence.saturating_sub(1));
        if first <= last {
            self.missed.insert(first, last);
            self.through = last;
            self.bound_missed();
        }
    }

    fn bound_missed(&mut self) {
        while self.missed.len() > ORDER_MISSED_MAX {
            self.missed.pop_first();
        }
    }

    /// Whether `sequence` was passed over and not delivered since.
    fn take_missed(&mut self, sequence: u64) -> bool {
        let Some((&first, &last)) = self.missed.range(..=sequence).next_back() else {
            return false;
        };
        if last < sequence {
            return false;
        }
        self.missed.remove(&first);
        if first < sequence {
            self.missed.insert(first, sequence.saturating_sub(1));
        }
        if sequence < last {
            self.missed.insert(sequence.saturating_add(1), last);
        }
        self.bound_missed();
        true
    }

    /// Delivers what is held up to `sequence`, whatever is missing, and what follows without a gap.
    fn release(&mut self, sequence: u64, waiting: &mut Waiting, out: &mut Vec<T>) {
        while let Some(entry) = self.held.first_entry() {
            let next = *entry.key();
            if next > sequence && next.saturating_sub(1) > self.through {
                break;
            }
            let (item, deadline) = entry.remove();
            waiting.remove(&deadline);
            self.pass_to(next);
            self.through = next;
            out.push(item);
        }
    }
}

impl<T> Default for Ordering<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Ordering<T> {
    /// Nobody has said anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            senders: HashMap::new(),
            by_use: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ticket: 0,
        }
    }

    /// Takes a message and returns those that are now to be delivered, in order.
    ///
    /// The first message of a session that is not `young` (see
    /// [`RoomText::is_young`](crate::room::RoomText::is_young)) is delivered whatever its
    /// `sequence`: a peer that joins late does not wait for what was said before. In a young session
    /// the messages from number 1 on are still under way, and waited for. The first message of a
    /// higher `session` (the sender has joined again) lets go what the lower ones held; what still
    /// comes of those is delivered without waiting. Sequence numbers start at 1; 0 is dropped.
    pub fn handle(
        &mut self,
        from: PeerId,
        session: u64,
        sequence: u64,
        young: bool,
        item: T,
        now: Instant,
    ) -> Vec<(PeerId, T)> {
        if sequence == 0 {
            return Vec::new();
        }
        let mut delivered = self.make_room(&from);
        let mut out = Vec::new();
        let first = if young { 1 } else { sequence };
        let ticket = self.next_ticket();
        if let Some((state, is_current)) = enter(
            &mut self.senders,
            &mut self.by_use,
            &mut self.waiting,
            (from, session, first, ticket),
            &mut out,
        ) {
            if sequence <= state.through {
                if state.take_missed(sequence) {
                    out.push(item);
                }
            } else if !state.held.contains_key(&sequence) {
                let deadline = (after(now, ORDER_GAP_MAX), ticket);
                let waits = is_current
                    && state.held.len() < ORDER_HELD_MAX
                    && self.waiting.len() < ORDER_HELD_TOTAL_MAX;
                self.waiting.insert(
                    deadline,
                    Place {
                        from,
                        session,
                        sequence,
                    },
                );
                state.held.insert(sequence, (item, deadline));
                // Nothing is missing: it goes at once. It may not wait: all up to it go.
                let through = if waits { state.through } else { u64::MAX };
                state.release(through, &mut self.waiting, &mut out);
            }
        }
        delivered.extend(out.into_iter().map(|item| (from, item)));
        delivered
    }

    /// Takes note that the sender has nothing more to give up to `position`: what is missing of that
    /// is waited for no longer, though delivered if it comes. Returns what waited for it, in order.
    pub fn settle(&mut self, from: PeerId, position: Position) -> Vec<(PeerId, T)> {
        let Position { session, sequence } = position;
        if sequence == 0 {
            return Vec::new();
        }
        let mut delivered = self.make_room(&from);
        let mut out = Vec::new();
        let ticket = self.next_ticket();
        if let Some((state, _)) = enter(
            &mut self.senders,
            &mut self.by_use,
            &mut self.waiting,
            (from, session, 1, ticket),
            &mut out,
        ) {
            state.settled = state.settled.max(sequence);
            state.release(sequence, &mut self.waiting, &mut out);
            state.pass_to(sequence.saturating_add(1));
            // What waited for nothing else.
            state.release(sequence, &mut self.waiting, &mut out);
        }
        delivered.extend(out.into_iter().map(|item| (from, item)));
        delivered
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket = self.ticket.saturating_add(1);
        self.ticket
    }

    /// Before a new sender is kept in a full house, the one that was quiet for longest is forgotten.
    fn make_room(&mut self, newcomer: &PeerId) -> Vec<(PeerId, T)> {
        if self.senders.len() < ORDER_SENDERS_MAX || self.senders.contains_key(newcomer) {
            return Vec::new();
        }
        let Some((_, quietest)) = self.by_use.pop_first() else {
            return Vec::new();
        };
        let Some(mut sender) = self.senders.remove(&quietest) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for session in &mut sender.sessions {
            session.release(u64::MAX, &mut self.waiting, &mut out);
        }
        out.into_iter().map(|item| (quietest, item)).collect()
    }

    /// Returns the messages that have waited long enough, in order.
    pub fn tick(&mut self, now: Instant) -> Vec<(PeerId, T)> {
        let mut delivered = Vec::new();
        while let Some((&deadline, &place)) = self.waiting.first_key_value()
            && deadline.0 <= now
        {
            self.waiting.remove(&deadline);
            let session = self.senders.get_mut(&place.from).and_then(|sender| {
                sender
                    .sessions
                    .iter_mut()
                    .find(|session| session.number == place.session)
            });
            if let Some(session) = session {
                let mut out = Vec::new();
                session.release(place.sequence, &mut self.waiting, &mut out);
                delivered.extend(out.into_iter().map(|item| (place.from, item)));
            }
        }
        delivered
    }

    /// How far the messages of a sender are delivered without a gap that may still be filled.
    #[must_use]
    pub fn known(&self, from: &PeerId) -> Position {
        let Some(session) = self
            .senders
            .get(from)
            .and_then(|sender| sender.sessions.last())
        else {
            return Position::default();
        };
        // Senders keep no more than so many to give again.
        let kept = u64::try_from(SAID_MAX).unwrap_or(u64::MAX);
        let oldest = session.through.saturating_sub(kept).max(session.settled);
        let gap = session.missed.iter().find(|(_, last)| **last > oldest);
        Position {
            session: session.number,
            sequence: gap.map_or(session.through, |(first, _)| {
                first.saturating_sub(1).max(oldest)
            }),
        }
    }

    /// Whether a message has come already: it was delivered, or waits for an earlier one.
    #[must_use]
    pub fn has(&self, from: &PeerId, session: u64, sequence: u64) -> bool {
        let session = self.senders.get(from).and_then(|sender| {
            let sessions = &sender.sessions;
            sessions.iter().find(|known| known.number == session)
        });
        session.is_some_and(|session| {
            let missed = session.missed.range(..=sequence).next_back();
            let is_missed = missed.is_some_and(|(_, last)| *last >= sequence);
            session.held.contains_key(&sequence) || (sequence <= session.through && !is_missed)
        })
    }

    /// Whether messages of this sender wait for earlier ones.
    #[must_use]
    pub fn waits_for(&self, from: &PeerId) -> bool {
        self.senders.get(from).is_some_and(|sender| {
            sender
                .sessions
                .iter()
                .any(|session| !session.held.is_empty())
        })
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(&(at, _), _)| at)
    }

    /// How many messages wait for earlier ones.
    #[must_use]
    pub fn held(&self) -> usize {
        self.waiting.len()
    }
}

/// The session of a sender, both made if need be, and whether it is the sender's newest.
fn enter<'a, T>(
    senders: &'a mut HashMap<PeerId, Sender<T>>,
    by_use: &mut BTreeMap<u64, PeerId>,
    waiting: &mut Waiting,
    (from, session, first, ticket): (PeerId, u64, u64, u64),
    out: &mut Vec<T>,
) -> Option<(&'a mut Session<T>, bool)> {
    let sender = senders.entry(from).or_insert_with(|| Sender {
        sessions: Vec::new(),
        used: ticket,
    });
    by_use.remove(&sender.used);
    by_use.insert(ticket, from);
    sender.used = ticket;
    let index = sender.enter(session, first, waiting, out);
    let newest = sender.sessions.last().map(|last| last.number);
    let state = sender.sessions.get_mut(index)?;
    state.used = ticket;
    Some((state, newest == Some(session)))
}

impl<T> Sender<T> {
    /// The index of a session, which is made if need be; `first` is the first message that is
    /// waited for.
    fn enter(&mut self, number: u64, first: u64, waiting: &mut Waiting, out: &mut Vec<T>) -> usize {
        let index = match self
            .sessions
            .binary_search_by_key(&number, |session| session.number)
        {
            Ok(index) => return index,
            Err(index) => index,
        };
        if index == self.sessions.len()
            && let Some(superseded) = self.sessions.last_mut()
        {
            superseded.release(u64::MAX, waiting, out);
        }
        self.sessions.insert(index, Session::new(number, first));
        if self.sessions.len() <= ORDER_SESSIONS_MAX {
            return index;
        }
        // The current session stays, and so does the one just made.
        let current = self.sessions.len().saturating_sub(1);
        let quietest = (0..current)
            .filter(|&other| other != index)
            .min_by_key(|&other| self.sessions.get(other).map(|session| session.used));
        let Some(quietest) = quietest else {
            return index;
        };
        let mut forgotten = self.sessions.remove(quietest);
        forgotten.release(u64::MAX, waiting, out);
        if quietest < index {
            index.saturating_sub(1)
        } else {
            index
        }
    }
}

#[cfg(test)]
mod tests;
