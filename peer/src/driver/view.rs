//! How a room's members are shown: with how each is reached, which is not the room's to know.

use std::collections::HashMap;

use libp2p::PeerId;
use moim_protocol::topic::Topic;
use moim_room::Room;
use tokio::sync::watch;

use crate::{
    event::{LeaveReason, PeerEvent},
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
    pub(super) fn new() -> Self {
        Self {
            members: watch::Sender::new(Vec::new()),
            shown: HashMap::new(),
        }
    }

    /// The list, as it is and as it will be.
    pub(super) fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.subscribe()
    }

    /// Nobody is there any more as far as can be known. Returns what is to be told.
    pub(super) fn clear(&mut self, topic: &Topic) -> Vec<PeerEvent> {
        self.shown.clear();
        let gone = self.members.send_replace(Vec::new()).into_iter();
        let events = gone.map(|member| PeerEvent::MemberLeft {
            topic: topic.clone(),
            peer: member.peer,
            name: member.name,
            reason: LeaveReason::Lost,
        });
        events.collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libp2p::identity::Keypair;
    use moim_protocol::{
        UnixMillis,
        presence::{Presence, State},
        presence_wire::Request,
        topic::Topic,
    };
    use moim_room::{AskId, Config, Input, Now};

    use super::*;
    use crate::{
        platform,
        snapshot::{DirectTransport, Path},
    };

    const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

    fn now() -> Now {
        Now {
            instant: platform::now(),
            wall: WALL,
        }
    }

    fn room() -> Room {
        let config = Config {
            keypair: Keypair::generate_ed25519(),
            topic: Topic::new("view").expect("valid"),
            name: "Eve".parse().expect("valid"),
            addresses: Vec::new(),
            presence_lifetime: Duration::from_secs(120),
            gossip: false,
            in_dht: false,
            connected: Vec::new(),
            listeners: Vec::new(),
            after: 0,
            seed: 7,
        };
        Room::join(config, now())
    }

    /// Somebody comes into the room and says so.
    fn comes(room: &mut Room, name: &str) -> PeerId {
        let keypair = Keypair::generate_ed25519();
        let peer = keypair.public().to_peer_id();
        let presence = Presence {
            peer,
            topic: room.topic().hash(),
            name: name.parse().expect("valid"),
            addresses: Vec::new(),
            sequence: WALL.0,
            issued: WALL,
            expires: WALL.saturating_add(Duration::from_secs(120)),
            state: State::Here,
        };
        let presence = presence.sign(&keypair).expect("signs");
        let asked = Input::Asked {
            ask: AskId(1),
            from: peer,
            request: Request::Announce { presence },
        };
        room.handle(asked, now());
        peer
    }

    #[test]
    fn a_change_of_the_way_is_told_once_and_the_list_is_in_order() {
        let mut view = View::new();
        let members = view.members();
        let mut room = room();
        let (bob, ada) = (comes(&mut room, "Bob"), comes(&mut room, "Ada"));
        for peer in [bob, ada] {
            view.joined(peer, Reach::Connecting);
        }
        let direct = Reach::Connected(Path::Direct(DirectTransport::Tcp));
        let reach = |peer: &PeerId| {
            if *peer == bob {
                direct
            } else {
                Reach::Connecting
            }
        };
        let events = view.update(&room, reach);
        let [PeerEvent::MemberUpdated { member, before, .. }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((member.peer, member.reach), (bob, direct));
        assert_eq!(before.reach, Reach::Connecting);
        assert_eq!(view.reach(&bob), direct);
        assert!(view.update(&room, reach).is_empty(), "that was told");
        let names: Vec<String> = members
            .borrow()
            .iter()
            .map(|member| member.name.to_string())
            .collect();
        assert_eq!(names, ["Ada", "Bob"]);
        view.left(&bob);
        assert_eq!(view.reach(&bob), Reach::Unconnected);
        let gone = view.clear(room.topic());
        let lost = |event: &PeerEvent| matches!(event, PeerEvent::MemberLeft { reason, .. } if *reason == LeaveReason::Lost);
        assert!(gone.len() == 2 && gone.iter().all(lost), "{gone:?}");
        assert!(members.borrow().is_empty());
    }
}
