//! Looks over all members: whom the rooms want a connection to, who is dialled, and how each is shown.

use std::collections::HashSet;

use libp2p::PeerId;
use moim_room::Input;
use web_time::Instant;

use super::{shown::Listed, state::Driver};
use crate::{platform, swarm};

impl Driver {
    /// Decides whom to connect to, dials those who are due, and lists the members anew: all of them are looked at, so
    /// that it is not done for every event of a large room. Says when somebody is to be dialled again.
    pub(super) fn look_over_members(&mut self, now: Instant) -> Option<Instant> {
        let began = platform::now();
        let has_changed = self.listed != self.listing();
        if has_changed | self.reaching.take_doubts() {
            let wanted = self.wanted(now);
            let behaviour = self.swarm.behaviour_mut();
            swarm::want(&mut behaviour.platform, wanted.clone());
            behaviour.sources.want(wanted.clone());
            self.reaching.want(wanted);
        }
        self.dial_due(now);
        // The rooms were told who is within reach.
        let has_changed = self.listed != self.listing();
        self.listed = self.listing();
        if has_changed | self.reaching.take_changed() {
            self.update_members();
        }
        let connections = &self.connections;
        let next = if self.reaching.has_news() {
            Some(now)
        } else {
            let path = |peer: &PeerId| connections.best_path(peer);
            self.reaching.poll_timeout(path)
        };
        let ended = platform::now();
        self.overview.worked(began, ended);
        let pause = self.overview.poll_timeout(ended);
        next.map(|next| pause.map_or(next, |pause| next.max(pause)))
    }

    /// What the members' lists would be made of now.
    fn listing(&self) -> Listed {
        Listed {
            members: self.rooms.members(),
            ways: self.connections.ways(),
        }
    }

    /// Makes the connections that are due.
    fn dial_due(&mut self, now: Instant) {
        let connections = &self.connections;
        let dials = self.reaching.poll(
            |peer| connections.best_path(peer),
            self.pace.head_start(),
            now,
        );
        for dial in dials {
            self.dial_member(dial, now);
        }
    }

    /// Everybody whom the rooms want a connection to, by what dialling has come to.
    fn wanted(&mut self, now: Instant) -> HashSet<PeerId> {
        let mut wanted = HashSet::new();
        for id in self.rooms.joined_ids() {
            let Some(room) = self.rooms.room(id) else {
                continue;
            };
            let members = room.machine.peers();
            let changed: Vec<(PeerId, bool)> = members
                .map(|peer| (peer, self.reaching.may_reach(&peer)))
                .filter(|(peer, may)| room.machine.is_reachable(peer) != *may)
                .collect();
            for (peer, may) in changed {
                self.tell_room(id, Input::Reachable(peer, may), now);
            }
            if let Some(room) = self.rooms.room_mut(id) {
                wanted.extend(room.machine.wanted());
            }
        }
        wanted
    }

    /// Brings the members' lists and the events about how they are reached up to date.
    fn update_members(&mut self) {
        let (reaching, connections) = (&self.reaching, &self.connections);
        let reach =
            |peer: &PeerId| reaching.reach(peer, reaching.wants(peer), connections.best_path(peer));
        for id in self.rooms.joined_ids() {
            if let Some(room) = self.rooms.room_mut(id) {
                for event in room.view.update(&room.machine, reach) {
                    self.events.emit(event);
                }
            }
        }
    }
}
