//! The selected candidate pair (RFC 8445, section 8).

use rtc_ice::candidate::{Candidate, CandidateType};

use super::{super::super::SelectedPair, Agent, Noted};

impl Agent {
    /// Tells of the selected pair, if it is another one.
    pub(super) fn tell_selected_pair(&mut self) {
        if self.sctp.is_none() {
            return;
        }
        let selected = self.selected_pair();
        if self.told != selected {
            self.told = selected;
            if let Some(pair) = selected {
                self.note(Noted::SelectedPair(pair));
            }
        }
    }

    /// We use no TURN server ourselves. Where the other side does, what comes from it may be here before the
    /// candidate is: then it counts as peer-reflexive until the candidate comes.
    fn selected_pair(&self) -> Option<SelectedPair> {
        let (local, remote) = self.ice.get_selected_candidate_pair()?;
        let is_relayed = |one: &Candidate| one.candidate_type() == CandidateType::Relay;
        let mut named = self.ice.get_remote_candidates().iter();
        let by_turn = is_relayed(local)
            || is_relayed(remote)
            || named.any(|one| is_relayed(one) && one.addr() == remote.addr());
        Some(if by_turn {
            SelectedPair::Turn
        } else {
            SelectedPair::Direct
        })
    }
}
