//! Which way was chosen.

use rtc_ice::candidate::{Candidate, CandidateType};

use super::{super::super::Way, Agent, Noted};

impl Agent {
    /// Tells which way the connection goes, if that is news.
    pub(super) fn tell_way(&mut self) {
        if self.sctp.is_none() {
            return;
        }
        let way = self.way();
        if self.told != way {
            self.told = way;
            if let Some(way) = way {
                self.note(Noted::Way(way));
            }
        }
    }

    /// We use no TURN server ourselves. Where the other side does, what comes from it may be here before the
    /// candidate is: then it counts as one that a NAT has made, until we are told better.
    fn way(&self) -> Option<Way> {
        let (local, remote) = self.ice.get_selected_candidate_pair()?;
        let is_relayed = |one: &Candidate| one.candidate_type() == CandidateType::Relay;
        let mut named = self.ice.get_remote_candidates().iter();
        let by_turn = is_relayed(local)
            || is_relayed(remote)
            || named.any(|one| is_relayed(one) && one.addr() == remote.addr());
        Some(if by_turn { Way::Turn } else { Way::Straight })
    }
}
