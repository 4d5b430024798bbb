//! What the handle asks for.

use web_time::Instant;

use super::{direct::Letter, state::Driver};
use crate::{command::Command, platform};

impl Driver {
    pub(super) fn on_command(&mut self, command: Command, now: Instant) {
        // A dropped reply means that the caller lost interest; there is nobody to tell.
        match command {
            Command::Conversation { other, reply } => {
                let _ = reply.send(self.direct.conversation(&other));
            }
            #[cfg(feature = "programs")]
            Command::ForPrograms(command) => self.on_command_of_program(command, now),
            Command::Join {
                topic,
                profile,
                handle,
                reply,
            } => {
                let _ = reply.send(self.join(topic, &profile, handle, now));
            }
            Command::Leave { topic, reply } => self.leave(topic.hash(), Some(reply), now),
            Command::Lookup { topic, wait, reply } => self.begin_lookup(topic, wait, reply, now),
            Command::NetworkChanged { online } => self.on_network_changed(online, now),
            #[cfg(test)]
            Command::Change(change) => self.on_change(change, now),
            #[cfg(test)]
            Command::Panic => panic!("sabotage"),
            // What is to be done is found out by looking at the rooms, see `leave_dropped`.
            Command::RoomDropped => {}
            Command::RoomHistory {
                topic,
                after,
                reply,
            } => {
                let _ = reply.send(self.room_history(&topic, after));
            }
            Command::Say { topic, text, reply } => self.say(&topic, text, reply, now),
            Command::Send {
                id,
                to,
                text,
                reply,
            } => {
                let sent = platform::wall();
                let letter = Letter { id, text, sent };
                self.direct.send(to, letter, reply, now);
            }
            Command::Stop { reply } => self.begin_stop(Some(reply), now),
        }
    }
}
