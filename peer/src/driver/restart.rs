//! Goes on after a panic: another swarm with the same identity, addresses and rooms takes the place of the
//! one that panicked.
//!
//! What was under way on the old connections is answered as failed or tried again; what people have said
//! and received stays. In a page nothing can be caught, and the page says that it has broken.

use std::{mem, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};
use moim_connection_guard::{Falls, Panic, catch_future};
use moim_room::Input;

use super::{
    dial::Pace, direct::Failure, entry::Entry, lifetimes::Lifetimes, liveness::Liveness,
    lost::Lost, reach::Reaching, relays::Relays, requests::Transmission, start, state::Driver,
};
use crate::{
    error::{LookupError, StartError},
    platform,
    reason::{NotInDht, Setback},
    swarm,
};

/// How long the sockets of the old swarm may take to be free: QUIC says goodbye for up to three round trips.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);

/// How often they are tried.
const SOCKET_PAUSE: Duration = Duration::from_millis(100);

impl Driver {
    /// Runs until the peer is to stop, or panics too often.
    pub(super) async fn keep_running(mut self) {
        let mut falls = Falls::default();
        while let Err(panic) = catch_future(self.work()).await {
            if let Err(error) = self.go_on(&panic, &mut falls).await {
                tracing::error!(%panic, %error, "the peer panicked and has stopped; please report this line");
                return;
            }
        }
        self.close().await;
    }

    async fn go_on(&mut self, panic: &Panic, falls: &mut Falls) -> Result<(), StartError> {
        if !falls.another(platform::now()) {
            return Err(StartError::SetUp {
                part: "the peer",
                source: "it panics again and again".into(),
            });
        }
        tracing::error!(
            %panic,
            "the peer panicked and goes on with the same identity and rooms; please report this line"
        );
        self.replace_swarm().await?;
        self.begin_again();
        Ok(())
    }

    /// Puts another swarm in the place of the one there is, which listens where that did.
    async fn replace_swarm(&mut self) -> Result<(), StartError> {
        let listening: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        let (swarm, platform) = start::new_swarm(&self.keypair, &self.settings, &self.dials)?;
        let old = mem::replace(&mut self.swarm, swarm);
        self.platform = platform;
        // What panicked may do so again.
        let _ = catch_future(async move { drop(old) }).await;
        // Where it did not listen it can't now.
        let wanted = self.settings.listen.iter();
        let wanted = wanted.chain(&self.settings.listen_where_possible);
        let again: Vec<_> = wanted
            .filter_map(|address| same_port(address, &listening))
            .chain([swarm::signalled()])
            .collect();
        for address in again {
            self.listen_again(&address).await;
        }
        Ok(())
    }

    /// Listens there as soon as the old swarm does no more.
    async fn listen_again(&mut self, address: &Multiaddr) {
        let mut tries_left = SOCKET_PATIENCE.as_millis() / SOCKET_PAUSE.as_millis();
        while let Err(error) = self.swarm.listen_on(address.clone()) {
            if tries_left == 0 {
                tracing::warn!(%address, %error, "cannot listen there again");
                return;
            }
            tries_left -= 1;
            platform::sleep(SOCKET_PAUSE).await;
        }
    }

    /// Forgets the connections of the old swarm, and does again what it had been told to.
    fn begin_again(&mut self) {
        let now = platform::now();
        self.entry = Entry::new(self.settings.bootstrap.clone(), self.seed, now);
        self.connections.clear();
        self.lifetimes = Lifetimes::new(now);
        self.liveness = Liveness::new(now, platform::wall());
        self.lost = Lost::default();
        self.relays = Relays::new(self.seed);
        self.reaching = Reaching::new(self.me, self.seed);
        self.pace = Pace::default();
        self.programs.restarted(now);
        self.answer_lost_questions();
        for (_, lost) in self.transmissions.drain() {
            if let Transmission::Direct(id) = lost {
                let broken = Failure::Setback(Setback::Broken);
                self.direct.failed(id, broken, now);
            }
        }
        for id in self.rooms.joined_ids() {
            if let Some(room) = self.rooms.room_mut(id) {
                self.swarm.behaviour_mut().listen_to(&room.gossip_topic);
                room.servers.clear();
            }
        }
        self.rooms_in_dht = false;
        self.tell_rooms(&Input::Dht(false), now);
        self.tell_rooms(&Input::Restarted, now);
    }

    /// Whoever waits for an answer hears that there is none. Nobody may be waiting any more.
    fn answer_lost_questions(&mut self) {
        self.queries.clear();
        for id in self.rooms.ids() {
            if let Some(lookup) = self.rooms.take_lookup(id) {
                let lost = LookupError::NotConnected(NotInDht::Restarting);
                let _ = lookup.reply.send(Err(lost));
            }
        }
        self.rooms.asked.clear();
    }
}

/// `wanted`, with the port that was listened on where any port was wanted; `None` if it was not to be had.
fn same_port(wanted: &Multiaddr, listening: &[Multiaddr]) -> Option<Multiaddr> {
    let port = |address: &Multiaddr| {
        address.iter().find_map(|protocol| match protocol {
            Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
            _ => None,
        })
    };
    let with_port = |address: &Multiaddr, port: u16| -> Multiaddr {
        let parts = address.iter().map(|protocol| match protocol {
            Protocol::Tcp(_) => Protocol::Tcp(port),
            Protocol::Udp(_) => Protocol::Udp(port),
            other => other,
        });
        parts.collect()
    };
    // Where every address of the machine is listened on, each has its own line.
    let shape = |address: &Multiaddr| -> Vec<String> {
        let parts = with_port(address, 0);
        let parts = parts.iter().map(|protocol| match protocol {
            Protocol::Ip4(_) => "ip4".to_owned(),
            Protocol::Ip6(_) => "ip6".to_owned(),
            other => other.to_string(),
        });
        parts.collect()
    };
    let wanted_port = port(wanted)?;
    let is_it = |address: &&Multiaddr| {
        shape(address) == shape(wanted) && (wanted_port == 0 || port(address) == Some(wanted_port))
    };
    let there = listening.iter().find(is_it).and_then(port)?;
    Some(with_port(wanted, there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_the_system_chose_is_kept() {
        let parse = |text: &str| -> Multiaddr { text.parse().expect("valid") };
        let listening = [
            "/ip4/127.0.0.1/tcp/4001/ws",
            "/ip4/127.0.0.1/tcp/4002",
            "/ip4/192.0.2.1/udp/4003/quic-v1",
        ]
        .map(parse);
        for (wanted, expected) in [
            ("/ip4/0.0.0.0/tcp/0", Some("/ip4/0.0.0.0/tcp/4002")),
            ("/ip4/0.0.0.0/tcp/0/ws", Some("/ip4/0.0.0.0/tcp/4001/ws")),
            ("/ip4/0.0.0.0/tcp/4001/ws", Some("/ip4/0.0.0.0/tcp/4001/ws")),
            (
                "/ip4/0.0.0.0/udp/0/quic-v1",
                Some("/ip4/0.0.0.0/udp/4003/quic-v1"),
            ),
            ("/ip4/0.0.0.0/tcp/7", None),
            ("/ip6/::/tcp/0", None),
        ] {
            assert_eq!(same_port(&parse(wanted), &listening), expected.map(parse));
        }
    }
}
