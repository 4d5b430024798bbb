//! What the handle asks for.

use web_time::Instant;

use super::{Driver, direct, room};
use crate::{
    command::Command,
    error::{LookupError, SayError},
};

impl Driver {
    pub(super) fn on_command(&mut self, command: Command, now: Instant) {
        // A dropped reply means that the caller lost interest; there is nobody to tell.
        match command {
            Command::Conversation { other, reply } => {
                let _ = reply.send(self.history.conversation(&other));
            }
            Command::Get { key, reply } => self.get(key, reply, now),
            Command::Join {
                topic,
                profile,
                handle,
                reply,
            } => {
                let _ = reply.send(self.join(topic, profile, handle, now));
            }
            Command::Leave { topic, reply } => self.leave(topic.hash(), Some(reply), now),
            Command::Lookup { topic, wait, reply } => {
                if !self.in_dht() {
                    let why = self.entry.why_not();
                    let _ = reply.send(Err(LookupError::NotConnected(why)));
                } else if self.lookups.len() >= room::LOOKUPS_MAX {
                    let _ = reply.send(Err(LookupError::Busy));
                } else {
                    self.begin_lookup(topic.hash(), wait, reply, now);
                }
            }
            Command::NetworkChanged { online } => self.on_network_changed(online, now),
            #[cfg(test)]
            Command::Panic => panic!("sabotage"),
            Command::Put {
                key,
                value,
                lifetime,
                reply,
            } => self.put(key, value, lifetime, reply, now),
            // What is to be done is found out by looking at the rooms, see `leave_dropped`.
            Command::RoomDropped => {}
            Command::RoomHistory { topic, reply } => {
                let history = self
                    .rooms
                    .get(&topic.hash())
                    .map(|room| room.history.iter().cloned().collect())
                    .unwrap_or_default();
                let _ = reply.send(history);
            }
            Command::Say { topic, text, reply } => match self.rooms.get_mut(&topic.hash()) {
                None => {
                    let _ = reply.send(Err(SayError::Left));
                }
                Some(room) => {
                    room.saying.push(text, reply);
                    self.say_due(topic.hash(), now);
                }
            },
            Command::Send {
                id,
                to,
                text,
                reply,
            } => {
                self.send(direct::NewMessage { id, to, text }, reply, now);
            }
            Command::Stop { reply } => self.begin_stop(Some(reply), now),
        }
    }
}
