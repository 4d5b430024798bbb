//! How a room's members are shown: with how each is reached, which is not the room's to know.

use std::collections::HashMap;

use libp2p::PeerId;
use moim_room::Room;
use tokio::sync::watch;

use crate::{
    event::PeerEvent,
    snapshot::{Member, Reach},
};

/// A room's list as people see it.
#[derive(Debug)]
pub(super) struct View {
    members: watch::Sender<Vec<Member>>,
    /// How each was last said to be reached.
    shown: HashMap<PeerId, Reach>,
}

/// A member of a room as it is shown.
pub(super) fn member(member: moim_room::Member, reach: Reach) -> Member {
    Member {
        peer: member.peer,
        name: member.name,
        reach,
        looks_like: member.looks_like,
    }
}

impl View {
    pub(super) fn new() -> (Self, watch::Receiver<Vec<Member>>) {
        let (members, receiver) = watch::channel(Vec::new());
        let shown = HashMap::new();
        (Self { members, shown }, receiver)
    }

    /// A member has come, and is reached like this.
    pub(super) fn joined(&mut self, peer: PeerId, reach: Reach) {
        self.shown.insert(peer, reach);
    }

    pub(super) fn left(&mut self, peer: &PeerId) {
        self.shown.remove(peer);
    }

    /// How a member was last said to be reached.
    pub(super) fn reach(&self, peer: &PeerId) -> Reach {
        self.shown.get(peer).copied().unwrap_or(Reach::Unconnected)
    }

    /// Brings the list up to date. Returns what is to be told: who is reached otherwise than before.
    pub(super) fn update(
        &mut self,
        room: &Room,
        reach: impl Fn(&PeerId) -> Reach,
    ) -> Vec<PeerEvent> {
        let mut events = Vec::new();
        let mut list: Vec<Member> = room
            .members()
            .map(|of_room| {
                let reach = reach(&of_room.peer);
                member(of_room, reach)
            })
            .collect();
        for member in &list {
            if let Some(shown) = self.shown.get_mut(&member.peer)
                && *shown != member.reach
            {
                let before = Member {
                    reach: std::mem::replace(shown, member.reach),
                    ..member.clone()
                };
                events.push(PeerEvent::MemberUpdated {
                    topic: room.topic().clone(),
                    member: member.clone(),
                    before: Box::new(before),
                });
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.peer.cmp(&b.peer)));
        self.members.send_if_modified(|current| {
            let changed = *current != list;
            if changed {
                *current = list;
            }
            changed
        });
        events
    }
}
