//! The machines of the rooms that are joined or being left, and of the topics that are looked up, each with what
//! belongs to it outside of the machine: who waits for an answer, what was said, and the list as it is shown.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Weak,
};

use libp2p::{PeerId, gossipsub::IdentTopic, request_response::OutboundRequestId};
use moim_protocol::{
    message::MessageId,
    text::Name,
    topic::{Topic, TopicHash},
};
use moim_room::{Input, Lookup, Now, Output, RequestId, Room};
use tokio::sync::watch;
use web_time::Instant;

use super::{kept::Kept, revision::Revision, view::View};
use crate::{
    command::Reply,
    error::{LookupError, SayError},
    history::{Conversation, RoomMessage},
    snapshot::Member,
};

/// Lookups under way at once.
pub(super) const LOOKUPS_MAX: usize = 16;

/// Rooms a peer may be in at once; gossipsub takes 100 topics.
pub(super) const ROOMS_MAX: usize = 32;

/// Names a machine. Another room of the same topic has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MachineId(u64);

/// A room, until everybody is told that it is left.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) machine: Room,
    pub(super) gossip_topic: IdentTopic,
    /// What this peer calls itself there.
    pub(super) name: Name,
    /// The user's handle of the room.
    pub(super) handle: Weak<()>,
    /// Who waits to hear that something was said.
    pub(super) says: HashMap<MessageId, Reply<Result<RoomMessage, SayError>>>,
    pub(super) history: Conversation<RoomMessage>,
    pub(super) view: View,
    /// DHT servers that hold our presence, as of the last announcement.
    pub(super) servers: Vec<PeerId>,
    /// Who waits to hear that the room is left.
    pub(super) leaving: Option<Reply<()>>,
}

/// A topic that is looked up.
#[derive(Debug)]
pub(super) struct LookedUp {
    pub(super) machine: Lookup,
    pub(super) reply: Reply<Result<Vec<Member>, LookupError>>,
}

#[derive(Debug)]
enum Machine {
    Room(Box<Joined>),
    Lookup(Box<LookedUp>),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    next: u64,
    machines: BTreeMap<MachineId, Machine>,
    /// The rooms that are joined and not left.
    joined: BTreeMap<TopicHash, MachineId>,
    /// Of the rooms that are left.
    last_sequence: u64,
    revision: Revision,
    members: Revision,
    /// Requests of the presence protocol that wait for an answer.
    pub(super) asked: HashMap<OutboundRequestId, (MachineId, RequestId)>,
}

impl Rooms {
    /// Changes when a room is joined or left.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Changes when somebody comes to a room or leaves one, or has another name.
    pub(super) fn members(&self) -> Revision {
        self.members
    }

    fn next_id(&mut self) -> MachineId {
        self.next = self.next.wrapping_add(1);
        MachineId(self.next)
    }

    /// A room is joined.
    pub(super) fn join(
        &mut self,
        machine: Room,
        gossip_topic: IdentTopic,
        name: Name,
        handle: Weak<()>,
        kept: Option<Kept>,
    ) -> watch::Receiver<Vec<Member>> {
        let id = self.next_id();
        let topic = machine.topic().hash();
        let (history, view) = match kept {
            Some(kept) => (kept.history, kept.view),
            None => (Conversation::default(), View::new()),
        };
        let members = view.members();
        let joined = Joined {
            machine,
            gossip_topic,
            name,
            handle,
            says: HashMap::new(),
            history,
            view,
            servers: Vec::new(),
            leaving: None,
        };
        self.machines.insert(id, Machine::Room(Box::new(joined)));
        self.joined.insert(topic, id);
        self.revision.bump();
        members
    }

    /// A topic is to be looked up.
    pub(super) fn look_up(
        &mut self,
        machine: Lookup,
        reply: Reply<Result<Vec<Member>, LookupError>>,
    ) -> MachineId {
        let id = self.next_id();
        let looked_up = LookedUp { machine, reply };
        self.machines
            .insert(id, Machine::Lookup(Box::new(looked_up)));
        id
    }

    /// The room of a topic is left: another may be joined.
    pub(super) fn leave(&mut self, topic: TopicHash) -> Option<MachineId> {
        self.revision.bump();
        self.joined.remove(&topic)
    }

    /// A room is left, and everybody told.
    pub(super) fn remove(&mut self, id: MachineId) {
        self.last_sequence = self.last_sequence();
        self.machines.remove(&id);
        self.asked.retain(|_, (of, _)| *of != id);
    }

    /// The sequence of the last presence that this peer has signed for any room.
    pub(super) fn last_sequence(&self) -> u64 {
        let of_rooms = self.machines.values().map(|machine| match machine {
            Machine::Room(joined) => joined.machine.sequence(),
            Machine::Lookup(_) => 0,
        });
        of_rooms.fold(self.last_sequence, u64::max)
    }

    /// A lookup is done.
    pub(super) fn take_lookup(&mut self, id: MachineId) -> Option<LookedUp> {
        if !matches!(self.machines.get(&id), Some(Machine::Lookup(_))) {
            return None;
        }
        self.asked.retain(|_, (of, _)| *of != id);
        match self.machines.remove(&id) {
            Some(Machine::Lookup(looked_up)) => Some(*looked_up),
            _ => None,
        }
    }

    pub(super) fn handle(&mut self, id: MachineId, input: Input, now: Now) {
        match self.machines.get_mut(&id) {
            Some(Machine::Room(joined)) => joined.machine.handle(input, now),
            Some(Machine::Lookup(looked_up)) => looked_up.machine.handle(input, now),
            None => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, id: MachineId, now: Now) {
        match self.machines.get_mut(&id) {
            Some(Machine::Room(joined)) => joined.machine.handle_timeout(now),
            Some(Machine::Lookup(looked_up)) => looked_up.machine.handle_timeout(now),
            None => {}
        }
    }

    pub(super) fn poll_output(&mut self, id: MachineId) -> Option<Output> {
        let output = match self.machines.get_mut(&id)? {
            Machine::Room(joined) => joined.machine.poll_output(),
            Machine::Lookup(looked_up) => looked_up.machine.poll_output(),
        };
        if matches!(output, Some(Output::MembersChanged)) {
            self.members.bump();
        }
        output
    }

    fn timeout_of(machine: &Machine) -> Option<Instant> {
        match machine {
            Machine::Room(joined) => joined.machine.poll_timeout(),
            Machine::Lookup(looked_up) => looked_up.machine.poll_timeout(),
        }
    }

    /// When one of them has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.machines.values().filter_map(Self::timeout_of).min()
    }

    /// Those that have something to do.
    pub(super) fn due(&self, now: Instant) -> Vec<MachineId> {
        let is_due = |machine: &Machine| Self::timeout_of(machine).is_some_and(|at| at <= now);
        let machines = self.machines.iter();
        let due = machines.filter(|(_, machine)| is_due(machine));
        due.map(|(id, _)| *id).collect()
    }

    /// All of them: rooms, those that are being left, and lookups.
    pub(super) fn ids(&self) -> Vec<MachineId> {
        self.machines.keys().copied().collect()
    }

    pub(super) fn topic(&self, id: MachineId) -> Option<&Topic> {
        Some(match self.machines.get(&id)? {
            Machine::Room(joined) => joined.machine.topic(),
            Machine::Lookup(looked_up) => looked_up.machine.topic(),
        })
    }

    /// The room of a topic that is joined.
    pub(super) fn of_topic(&self, topic: &TopicHash) -> Option<MachineId> {
        self.joined.get(topic).copied()
    }

    pub(super) fn room(&self, id: MachineId) -> Option<&Joined> {
        match self.machines.get(&id)? {
            Machine::Room(joined) => Some(joined),
            Machine::Lookup(_) => None,
        }
    }

    pub(super) fn room_mut(&mut self, id: MachineId) -> Option<&mut Joined> {
        match self.machines.get_mut(&id)? {
            Machine::Room(joined) => Some(joined),
            Machine::Lookup(_) => None,
        }
    }

    /// The rooms that are joined, in the order of their topics' hashes.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Joined> {
        self.joined.values().filter_map(|id| self.room(*id))
    }

    /// Their ids.
    pub(super) fn joined_ids(&self) -> Vec<MachineId> {
        self.joined.values().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.joined.len()
    }

    pub(super) fn lookups(&self) -> usize {
        let is_lookup = |machine: &&Machine| matches!(machine, Machine::Lookup(_));
        self.machines.values().filter(is_lookup).count()
    }

    /// Whether rooms are being left of which not everybody is told yet.
    pub(super) fn are_leaving(&self) -> bool {
        let rooms = self.machines.len().saturating_sub(self.lookups());
        rooms > self.joined.len()
    }

    /// Whether a peer is a member of a room that is joined.
    pub(super) fn have_member(&self, peer: &PeerId) -> bool {
        self.joined().any(|room| room.machine.contains(peer))
    }
}
