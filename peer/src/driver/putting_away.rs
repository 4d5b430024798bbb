//! A page that is put away leaves its rooms, since it answers nobody, and is in them again when it is back: with the
//! same handles, lists and histories.

use std::mem;

use web_time::Instant;

use super::{kept::Kept, state::Driver, view::View};
use crate::{platform::Change, snapshot::Profile};

impl Driver {
    pub(super) fn on_change(&mut self, change: Change, now: Instant) {
        match change {
            Change::Addresses => self.liveness.addresses_changed(now),
            Change::Network(online) => self.on_network_changed(online, now),
            Change::PutAway => self.put_away(now),
            Change::Back => self.come_back(now),
        }
    }

    /// Says farewell in every room. What is closed for good is done with that.
    fn put_away(&mut self, now: Instant) {
        for id in self.rooms.joined_ids() {
            let Some(room) = self.rooms.room_mut(id) else {
                continue;
            };
            let mut kept = Kept {
                topic: room.machine.topic().clone(),
                name: room.name.clone(),
                handle: room.handle.clone(),
                history: mem::take(&mut room.history),
                view: mem::replace(&mut room.view, View::new()),
            };
            for event in kept.view.clear(&kept.topic) {
                self.events.emit(event);
            }
            self.part(kept.topic.hash(), None, now);
            self.put_away.push(kept);
        }
    }

    /// Joins again what was put away, unless it was left or joined anew since.
    fn come_back(&mut self, now: Instant) {
        // What was connected is hardly so any more.
        self.on_network_changed(true, now);
        for kept in mem::take(&mut self.put_away) {
            let is_joined = self.rooms.of_topic(&kept.topic.hash()).is_some();
            if kept.handle.strong_count() > 0 && !is_joined {
                let profile = Profile::from(kept.name.clone());
                let (topic, handle) = (kept.topic.clone(), kept.handle.clone());
                self.enter(topic, &profile, handle, Some(kept), now);
            }
        }
    }
}
