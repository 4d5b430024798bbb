//! A room that was left, until everybody is told.

use std::{collections::BTreeSet, time::Duration};

use libp2p_identity::PeerId;
use moim_protocol::{after, message, presence_wire, wire::ErrorCode};
use web_time::Instant;

use crate::{
    around::Around,
    input::Input,
    output::{Acceptance, NotSaid, Output, Outputs, Response},
};

/// How long leaving takes at most.
const LEAVE_DEADLINE: Duration = Duration::from_millis(1500);

/// What a request gets for an answer that is about a room that this peer is not in.
const NOT_IN_ROOM: &str = "this peer is not in that room";

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Leaving {
    /// Members that have not answered to the farewell yet.
    told: BTreeSet<PeerId>,
    is_handed_over: bool,
    /// `None` when all is done.
    deadline: Option<Instant>,
}

impl Leaving {
    /// These members are `told`, and the DHT is, unless that `is_handed_over`.
    pub(crate) fn new(
        told: BTreeSet<PeerId>,
        is_handed_over: bool,
        now: Instant,
        out: &mut Outputs,
    ) -> Self {
        let mut leaving = Self {
            told,
            is_handed_over,
            deadline: Some(after(now, LEAVE_DEADLINE)),
        };
        leaving.advance(now, out);
        leaving
    }

    /// Takes an input for a room that is left.
    pub(crate) fn handle(&mut self, input: Input, around: &mut Around, now: Instant) {
        let Around {
            links, asking, out, ..
        } = around;
        if self.deadline.is_none() {
            answer_as_none(input, out);
            return;
        }
        match input {
            Input::LeftHandedOver => self.is_handed_over = true,
            Input::Connected(peer) => links.connected(peer),
            Input::Disconnected(peer) => {
                links.disconnected(&peer);
                self.told.remove(&peer);
            }
            // Nobody can be told any more.
            Input::Restarted => {
                self.told.clear();
                self.is_handed_over = true;
            }
            // Whoever has answered is told, and whoever will not cannot be.
            Input::Answered { request, .. } => {
                if let Some(asked) = asking.answered(request) {
                    self.told.remove(&asked.to);
                }
            }
            Input::Failed { request, why } => {
                let is_connected = |peer: &PeerId| links.is_connected(peer);
                if let Some(asked) = asking.failed(request, why, is_connected, out) {
                    self.told.remove(&asked.to);
                }
            }
            other => answer_as_none(other, out),
        }
        self.advance(now, out);
    }

    /// Says so, once, when everybody is told or the time for it is over.
    pub(crate) fn advance(&mut self, now: Instant, out: &mut Outputs) {
        let is_over = self.deadline.is_some_and(|deadline| deadline <= now);
        if is_over || (self.told.is_empty() && self.is_handed_over && self.deadline.is_some()) {
            self.deadline = None;
            out.push(Output::Left);
        }
    }

    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

/// Answers what has to be answered, as one who is not in the room.
pub(crate) fn answer_as_none(input: Input, out: &mut Outputs) {
    match input {
        Input::Asked { ask, .. } => {
            let response = presence_wire::Response::error(ErrorCode::NotAMember, NOT_IN_ROOM);
            let response = Response::Presence(response);
            out.push(Output::Answer { ask, response });
        }
        Input::AskedMissed { ask, .. } => {
            let response = message::Response::error(ErrorCode::NotAMember, NOT_IN_ROOM);
            let response = Response::Message(response);
            out.push(Output::Answer { ask, response });
        }
        // It may be the topic of a room that was left a moment ago.
        Input::Gossip { id, .. } => {
            let acceptance = Acceptance::Ignore;
            out.push(Output::Verdict { id, acceptance });
        }
        Input::Say { id, .. } => {
            let why = NotSaid::Left;
            out.push(Output::NotSaid { id, why });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{peer, start};

    fn leaving(told: &[u16], is_handed_over: bool) -> (Leaving, Outputs, Instant) {
        let (mut out, now) = (Outputs::default(), start().instant);
        let told = told.iter().copied().map(peer).collect();
        let leaving = Leaving::new(told, is_handed_over, now, &mut out);
        (leaving, out, now)
    }

    #[test]
    fn who_has_nobody_to_tell_has_left_at_once() {
        let (leaving, mut out, _) = leaving(&[], true);
        assert_eq!(out.pop(), Some(Output::Left));
        assert_eq!(leaving.poll_timeout(), None);
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for_long() {
        let (mut leaving, mut out, now) = leaving(&[1], false);
        assert_eq!(leaving.poll_timeout(), Some(now + LEAVE_DEADLINE));
        leaving.advance(now + LEAVE_DEADLINE, &mut out);
        assert_eq!(out.pop(), Some(Output::Left));
        assert_eq!(leaving.poll_timeout(), None);
    }
}
