//! Hands this peer's presence to the DHT, and asks the DHT for the members of a topic.

use libp2p::{PeerId, kad};
use moim_protocol::{
    presence::{SignedPresence, presence_record_key},
    topic::TopicHash,
};
use web_time::Instant;

use super::{queries::Purpose, rooms::MachineId, state::Driver};

impl Driver {
    pub(super) fn find_providers(&mut self, id: MachineId) {
        let Some(topic) = self.rooms.topic(id).map(|topic| topic.hash()) else {
            return;
        };
        if self.queries.is_full() || self.queries.members_query(id) {
            return;
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.get_providers(topic.provider_key().into());
        self.queries.insert(query, Purpose::Members { of: id });
    }

    /// Has our presence handed to the servers closest to the topic.
    pub(super) fn announce(&mut self, id: MachineId) {
        let Some(topic) = self.rooms.topic(id).map(|topic| topic.hash()) else {
            return;
        };
        if !self.connections.has_server() || self.queries.announcing(id) || self.queries.is_full() {
            return;
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let key = topic.provider_key();
        // For servers that know nothing of presence: the plain provider record.
        if let Err(error) = kad.start_providing(key.clone().into()) {
            tracing::warn!(%error, "cannot keep our own provider record");
        }
        let query = kad.get_closest_peers(key);
        self.queries.insert(query, Purpose::AnnounceFind { of: id });
    }

    /// The servers closest to the topic are known: hand our presence to them.
    pub(super) fn on_announce_found(&mut self, id: MachineId, servers: Vec<PeerId>, now: Instant) {
        let servers = self.with_connected_servers(servers);
        let Some(room) = self.rooms.room_mut(id) else {
            return;
        };
        room.servers.clone_from(&servers);
        // The same presence that the members have, so that it goes round once: other addresses are
        // announced by themselves.
        let Some(signed) = room.machine.own().cloned() else {
            return;
        };
        self.put_presence(&signed, servers, Purpose::AnnouncePut { of: id }, now);
    }

    /// Has our farewell handed to the servers that have our presence. Returns whether there is any.
    pub(super) fn put_farewell(
        &mut self,
        id: MachineId,
        signed: &SignedPresence,
        now: Instant,
    ) -> bool {
        let room = self.rooms.room(id);
        let servers = room.map(|room| room.servers.clone()).unwrap_or_default();
        let servers = self.with_connected_servers(servers);
        self.put_presence(signed, servers, Purpose::LeavePut { of: id }, now)
    }

    fn with_connected_servers(&self, mut servers: Vec<PeerId>) -> Vec<PeerId> {
        let more = self.connections.servers();
        let more: Vec<_> = more.filter(|server| !servers.contains(server)).collect();
        servers.extend(more);
        servers.truncate(kad::K_VALUE.get());
        servers
    }

    fn put_presence(
        &mut self,
        signed: &SignedPresence,
        servers: Vec<PeerId>,
        purpose: Purpose,
        now: Instant,
    ) -> bool {
        if servers.is_empty() {
            return false;
        }
        let presence = signed.presence();
        let record = kad::Record {
            key: presence_record_key(presence.topic, &presence.peer).into(),
            value: signed.as_bytes().to_vec(),
            publisher: Some(self.me),
            expires: Some(now + self.presence_lifetime),
        };
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.put_record_to(record, servers.into_iter(), kad::Quorum::One);
        self.queries.insert(query, purpose);
        true
    }

    /// Stops listening to a room's gossip, and providing its topic. What was never there is as good as removed.
    pub(super) fn stop_listening(&mut self, id: MachineId, topic: TopicHash) {
        let Some(room) = self.rooms.room(id) else {
            return;
        };
        let behaviour = self.swarm.behaviour_mut();
        if let Some(gossip) = behaviour.gossip.as_mut() {
            let _ = gossip.unsubscribe(&room.gossip_topic);
        }
        behaviour.kad.stop_providing(&topic.provider_key().into());
    }
}
