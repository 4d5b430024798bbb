//! Asking bootstrap nodes what time it is, and telling when this device's clock is wrong.

use libp2p::{PeerId, request_response};
use moim_protocol::time_wire::{Request, Response};
use moim_room::Input;
use web_time::Instant;

use super::state::Driver;
use crate::{event::PeerEvent, platform};

impl Driver {
    /// Asks a bootstrap node that is connected.
    pub(super) fn ask_time(&mut self, node: &PeerId) {
        let behaviour = self.swarm.behaviour_mut();
        behaviour.time.send_request(node, Request::Get.encode());
    }

    pub(super) fn on_time(&mut self, event: moim_rpc::Event, now: Instant) {
        let request_response::Event::Message {
            peer,
            message: request_response::Message::Response { response, .. },
            ..
        } = event
        else {
            return;
        };
        match Response::decode(&response) {
            Ok(Response::Time(time)) => self.clock.told(peer, time, now),
            other => tracing::debug!(%peer, ?other, "it does not say what time it is"),
        }
    }

    pub(super) fn advance_clock(&mut self, now: Instant) {
        let wall = platform::wall();
        if self.clock.tick(now, wall) {
            let nodes: Vec<PeerId> = self
                .connections
                .ids()
                .map(|(peer, _)| peer)
                .filter(|peer| self.entry.is_bootstrap_node(peer))
                .collect();
            for node in nodes {
                self.ask_time(&node);
            }
            // What was dated by the clock before may be of no use.
            self.tell_rooms(&Input::AnnounceNow, now);
        }
        let off = self.clock.off(now, wall);
        if off != self.clock_off {
            self.clock_off = off;
            self.events.emit(PeerEvent::ClockChanged(off));
        }
    }
}
