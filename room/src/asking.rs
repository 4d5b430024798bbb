//! Requests of this machine that wait for an answer.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;

use crate::{
    input::{Failure, RequestId},
    output::{Output, Outputs, Protocol},
    walk::Walk,
};

/// Requests of one protocol that wait for an answer in one room. More are not sent: whatever they are for comes up
/// again.
pub(crate) const ASKED_MAX: usize = 512;

/// How often a request is repeated that its connection took with it: when a direct connection
/// replaces a relayed one, whatever was on its way over the relayed one goes by the other.
const REPEATS_MAX: u8 = 3;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody's list of members, and how it is gone through.
    Sync(Walk),
    /// Told a member what others hear by gossip: that we are here, or that somebody left.
    Told,
    /// Told a member that we left.
    Left,
    /// What was missed of somebody's talk.
    Missed,
}

impl Purpose {
    const fn protocol(self) -> Protocol {
        match self {
            Self::Sync(_) | Self::Told | Self::Left => Protocol::Presence,
            Self::Missed => Protocol::Message,
        }
    }

    /// What was missed is asked for anew, because more may be missing by then.
    const fn is_repeated(self) -> bool {
        match self {
            Self::Sync(_) | Self::Told | Self::Left => true,
            Self::Missed => false,
        }
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) to: PeerId,
    pub(crate) purpose: Purpose,
    body: Vec<u8>,
    repeats: u8,
}

/// The requests under way. See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Asking {
    open: BTreeMap<RequestId, Asked>,
    next: u64,
}

impl Asking {
    /// Asks a connected peer. Returns whether it is asked: not where too much is under way already.
    pub(crate) fn ask(
        &mut self,
        to: PeerId,
        purpose: Purpose,
        body: Vec<u8>,
        out: &mut Outputs,
    ) -> bool {
        let asked = Asked {
            to,
            purpose,
            body,
            repeats: 0,
        };
        self.send(asked, out)
    }

    fn send(&mut self, asked: Asked, out: &mut Outputs) -> bool {
        let protocol = asked.purpose.protocol();
        let same = self.open.values();
        let same = same.filter(|open| open.purpose.protocol() == protocol);
        if self.open.len() >= ASKED_MAX && same.count() >= ASKED_MAX {
            tracing::debug!(?protocol, "too many requests under way");
            return false;
        }
        let request = RequestId(self.next);
        self.next = self.next.wrapping_add(1);
        out.push(Output::Ask {
            request,
            to: asked.to,
            protocol,
            body: asked.body.clone(),
        });
        self.open.insert(request, asked);
        true
    }

    /// A request is answered. Returns what it was, if it was one.
    pub(crate) fn answered(&mut self, request: RequestId) -> Option<Asked> {
        self.open.remove(&request)
    }

    /// A request is not answered. Returns what it was, unless it is asked again.
    pub(crate) fn failed(
        &mut self,
        request: RequestId,
        why: Failure,
        is_connected: impl Fn(&PeerId) -> bool,
        out: &mut Outputs,
    ) -> Option<Asked> {
        let asked = self.open.remove(&request)?;
        let Asked {
            to,
            purpose,
            repeats,
            ..
        } = asked;
        tracing::debug!(peer = %to, ?purpose, ?why, "a request failed");
        let is_lost_with_connection = match why {
            Failure::ConnectionClosed | Failure::Io => true,
            Failure::Timeout => {
                out.push(Output::Doubt(to));
                false
            }
            Failure::Other => false,
        };
        if !is_lost_with_connection
            || !purpose.is_repeated()
            || repeats >= REPEATS_MAX
            || !is_connected(&to)
        {
            return Some(asked);
        }
        let again = Asked {
            repeats: repeats.saturating_add(1),
            ..asked
        };
        // There is room for it: it has just given up its place.
        self.send(again, out);
        None
    }

    /// No answer comes any more.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    /// The newest request to a peer.
    #[cfg(test)]
    pub(crate) fn newest(&self, to: &PeerId) -> Option<RequestId> {
        let mut open = self.open.iter().rev();
        open.find(|(_, asked)| asked.to == *to)
            .map(|(request, _)| *request)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(asking: &mut Asking, purpose: Purpose, out: &mut Outputs) -> Option<RequestId> {
        asking.ask(PeerId::random(), purpose, Vec::new(), out);
        requests(out).pop()
    }

    fn requests(out: &mut Outputs) -> Vec<RequestId> {
        let all = std::iter::from_fn(|| out.pop());
        all.filter_map(|output| match output {
            Output::Ask { request, .. } => Some(request),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn what_a_connection_took_along_is_asked_again_some_times() {
        let lost = [Failure::ConnectionClosed, Failure::Io];
        for (purpose, why, is_connected, repeats) in [
            (Purpose::Told, lost[0], true, 3),
            (Purpose::Left, lost[1], true, 3),
            (Purpose::Sync(Walk::from_the_first()), lost[0], true, 3),
            (Purpose::Sync(Walk::from_the_first()), lost[0], false, 0),
            (Purpose::Missed, lost[0], true, 0),
            (Purpose::Told, Failure::Timeout, true, 0),
            (Purpose::Told, Failure::Other, true, 0),
        ] {
            let (mut asking, mut out) = (Asking::default(), Outputs::default());
            let mut request = ask(&mut asking, purpose, &mut out).unwrap();
            let mut asked_again = 0;
            let asked = loop {
                let failed = asking.failed(request, why, |_| is_connected, &mut out);
                match failed {
                    Some(asked) => break asked,
                    None => asked_again += 1,
                }
                request = requests(&mut out).pop().unwrap();
            };
            assert_eq!((asked.purpose, asked_again), (purpose, repeats), "{why:?}");
            assert_eq!(asking.len(), 0);
        }
    }

    #[test]
    fn who_does_not_answer_in_time_is_in_doubt() {
        let (mut asking, mut out) = (Asking::default(), Outputs::default());
        let request = ask(&mut asking, Purpose::Missed, &mut out).unwrap();
        let asked = asking.failed(request, Failure::Timeout, |_| true, &mut out);
        assert_eq!(out.pop(), Some(Output::Doubt(asked.unwrap().to)));
        assert!(
            asking
                .failed(request, Failure::Timeout, |_| true, &mut out)
                .is_none()
        );
        assert_eq!(out.pop(), None, "once");
    }

    #[test]
    fn only_so_much_is_asked_at_once_of_each_protocol() {
        let (mut asking, mut out) = (Asking::default(), Outputs::default());
        for _ in 0..ASKED_MAX {
            assert!(ask(&mut asking, Purpose::Told, &mut out).is_some());
        }
        assert!(ask(&mut asking, Purpose::Sync(Walk::from_the_first()), &mut out).is_none());
        let missed = ask(&mut asking, Purpose::Missed, &mut out).unwrap();
        assert!(asking.answered(missed).is_some());
        assert!(asking.answered(missed).is_none(), "once");
        let bound = asking.len();
        asking.clear();
        assert_eq!((bound, asking.len()), (ASKED_MAX, 0));
    }
}
